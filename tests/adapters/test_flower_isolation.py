"""A study under Flower in one process reaches nothing outside of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WATCHED = """
import json, os, sys
opened, asked, started = [], [], []

def watch(event, details):
    if event == "socket.connect" or event == "socket.bind":
        opened.append(repr(details[1]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        asked.append(repr(details))
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        started.append(repr(details[:2]))

sys.addaudithook(watch)
from fedcredit.adapters.flower import run_in_process
from tests.federation.made import learner, parties, plan, roster
result = run_in_process(plan(), learner(), parties(plan()), roster(plan()))
switches = {name: value for name, value in os.environ.items() if name.startswith("FLWR_")}
print(json.dumps([len(result.rounds), opened, asked, started, switches, "ray" in sys.modules]))
"""


def test_a_study_in_one_process_opens_no_connection(tmp_path: Path) -> None:
    """No socket, no name looked up, no process started; Flower's own habits are switched off."""
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    answer = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    rounds, opened, asked_for, started, switches, ray = json.loads(answer.stdout)
    assert rounds == 4
    assert (opened, asked_for, started, ray) == ([], [], [], False)
    assert switches == {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }
    assert list(tmp_path.iterdir()) == []
