"""`fedcredit coordinator page`: a process that serves a folder until it is ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from fedcredit.cli.main import main
from fedcredit.cli.page import operating
from fedcredit.errors import ConfigError
from tests.adapters.enrolled import Consortium

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_served_until_a_signal_ends_it(tmp_path: Path) -> None:
    folder = Consortium(tmp_path).found().folder
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    words = ["coordinator", "page", str(folder), "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "fedcredit.cli.main", *words], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        assert address == f"http://127.0.0.1:{port}/"
        with httpx.Client(trust_env=False, timeout=20) as client:
            assert "Delta" in client.get(address).text
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_folder_without_a_coordinator_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["coordinator", "page", str(tmp_path)]) == 1
    assert "coordinator.toml" in capsys.readouterr().err


def test_packages_that_are_not_installed_are_named_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"fedcredit\[operate\]"), operating():
        raise ImportError("no module of that name")
