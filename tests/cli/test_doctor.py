"""`fedcredit doctor`: a line for each thing, an exit status for programs."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from fedcredit.adapters.finding import Finding, exit_status
from fedcredit.cli.main import main
from tests.adapters.enrolled import HOST, Consortium


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    """A coordinator that does not run."""
    made = Consortium(tmp_path).found()
    with socket.socket() as one:
        one.bind((HOST, 0))
        port = one.getsockname()[1]
    settings = made.folder / "coordinator.toml"
    settings.write_text(settings.read_text("utf-8").replace("8443", str(port)), "utf-8")
    return made.folder


def test_a_coordinator_that_does_not_run_ends_with_3(
    centre: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(centre)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok     name")
    assert lines[1].startswith("FAULT  port         nothing listens at")
    assert "fix: " in lines[2]


def test_programs_get_one_object(centre: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(centre), "--json"]) == 3
    table = json.loads(capsys.readouterr().out)
    assert table["exit_status"] == 3
    checks = {one["check"]: one["ok"] for one in table["findings"]}
    assert not checks["port"]
    assert checks["certificate"]
    assert set(table["findings"][0]) == {"check", "ok", "what", "do", "unreachable"}


def test_a_folder_of_neither_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path)]) == 1
    assert "neither node.toml nor coordinator.toml" in capsys.readouterr().err


def test_the_exit_status_is_the_worst_that_was_found() -> None:
    good = Finding(check="a", ok=True, what="a")
    bad = Finding(check="b", ok=False, what="b")
    lost = Finding(check="c", ok=False, what="c", unreachable=True)
    assert exit_status([]) == exit_status([good]) == 0
    assert exit_status([good, bad]) == 1
    assert exit_status([bad, lost, good]) == exit_status([lost, bad]) == 3
