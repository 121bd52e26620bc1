"""`fedcredit witness`: its key, the ledgers it signs for, and the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedcredit.adapters.witness import HttpCourier
from fedcredit.cli.main import main
from fedcredit.ledger.signatures import COSIGNATURE, read_key
from tests.ledger.made import SHOP, Pair
from tests.ledger.test_witness import BANK, TRUE

ROOT = Path(__file__).resolve().parents[2]
VKEY = str(Pair(BANK).writer)


def test_a_key_is_made_once_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "witness")
    assert main(["witness", "key", folder]) == 1
    assert "witness key FOLDER --name NAME" in capsys.readouterr().err
    assert main(["witness", "key", folder, "--name", SHOP.name]) == 0
    text = capsys.readouterr().out.strip()
    assert (read_key(text).name, read_key(text).kind) == (SHOP.name, COSIGNATURE)
    assert main(["witness", "key", folder]) == 0
    assert capsys.readouterr().out.strip() == text
    assert main(["witness", "key", folder, "--name", SHOP.name]) == 1
    assert "exists" in capsys.readouterr().err


def test_a_ledger_is_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["witness", "add", str(tmp_path), BANK, VKEY]) == 1  # no witness is here
    assert not (tmp_path / "ledgers.json").exists()
    assert main(["witness", "key", str(tmp_path), "--name", SHOP.name]) == 0
    capsys.readouterr()
    assert main(["witness", "add", str(tmp_path), BANK, VKEY]) == 0
    assert capsys.readouterr().out == f"signs for {BANK}\n"
    assert VKEY in (tmp_path / "ledgers.json").read_text("utf-8")
    second = str(Pair(BANK, "second").writer)
    assert main(["witness", "add", str(tmp_path), BANK, second, "--only"]) == 0
    assert VKEY not in (tmp_path / "ledgers.json").read_text("utf-8")


@pytest.mark.parametrize("vkey", ["", VKEY[:-1], str(SHOP.witness)])
def test_what_is_no_key_of_a_writer_is_not_added(vkey: str, tmp_path: Path) -> None:
    assert main(["witness", "key", str(tmp_path), "--name", SHOP.name]) == 0
    assert main(["witness", "add", str(tmp_path), BANK, vkey]) == 1
    assert not (tmp_path / "ledgers.json").exists()


@pytest.mark.parametrize(("ended_by", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_witness_runs_until_it_is_ended(
    ended_by: signal.Signals, status: int, tmp_path: Path
) -> None:
    assert main(["witness", "key", str(tmp_path), "--name", SHOP.name]) == 0
    assert main(["witness", "add", str(tmp_path), BANK, VKEY]) == 0
    words = ["-m", "fedcredit.cli.main", "witness", "run", str(tmp_path), "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        where = line.split()[-1]
        assert HttpCourier()(where, TRUE.request(0))[0] == 200
        port = where.rpartition(":")[2]
        assert main(["witness", "run", str(tmp_path), "--port", port]) == 1  # it is taken
        process.send_signal(ended_by)
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == status
    finally:
        process.kill()
        process.wait(60)


def test_a_folder_without_a_key_does_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["witness", "run", str(tmp_path), "--port", "0"]) == 1
    assert "key.json cannot be read" in capsys.readouterr().err
