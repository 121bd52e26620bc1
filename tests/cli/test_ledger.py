"""`fedcredit ledger verify` is the verifier, with the same words and the same status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcredit.cli.main import main
from tests.ledger.written import bundle, story


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_sound_bundle_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = bundle(tmp_path / "a.zip", story())
    saved = tmp_path / "heads.toml"
    assert main(["ledger", "verify", str(path), "--json", "--save", str(saved)]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "holds"
    assert main(["ledger", "verify", str(path), "--trust", str(saved)]) == 0
    assert capsys.readouterr().out.endswith("verdict: holds\n")


def test_a_spoiled_bundle_is_status_5_and_a_missing_one_2(tmp_path: Path) -> None:
    writer = story()
    writer.lines[3] = b"{}\n"
    assert main(["ledger", "verify", str(bundle(tmp_path / "a.zip", writer))]) == 5
    assert main(["ledger", "verify", str(tmp_path / "none.zip")]) == 2
