"""Programs that are kept running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fedcredit.adapters.supervisor import Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
LONG = (sys.executable, "-c", "import time; time.sleep(600)")


def program(folder: Path, name: str, *command: str, on: str | None = None) -> Program:
    return Program(
        name=name,
        command=command or LONG,
        environment={"TOLD": "here"},
        folder=folder,
        stands_on=on,
    )


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for counts as well."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_program_that_ends_is_started_again_and_what_stands_on_it_too(tmp_path: Path) -> None:
    programs = [program(tmp_path, "a"), program(tmp_path, "b", on="a"), program(tmp_path, "c")]
    keeper = Supervisor(programs, lambda: None, first_pause_s=0.05)
    keeper.start()
    try:
        until(lambda: all(keeper.pid(name) for name in "abc"))
        first = {name: keeper.pid(name) for name in "abc"}
        os.kill(first["a"] or 0, signal.SIGKILL)
        until(lambda: keeper.starts("a") == 2 and keeper.starts("b") == 2)
        assert (keeper.starts("c"), keeper.pid("c")) == (1, first["c"])
        os.kill(keeper.pid("b") or 0, signal.SIGKILL)
        until(lambda: keeper.starts("b") == 3)
        assert (keeper.starts("a"), keeper.starts("c")) == (2, 1)
    finally:
        keeper.close()


def test_closing_ends_whatever_a_program_has_started(tmp_path: Path) -> None:
    """Also what does not heed a polite signal."""
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('child', 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    keeper = Supervisor([program(tmp_path, "a", sys.executable, "-c", code)], lambda: None)
    keeper.start()
    until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text() != "")
    pid, child = keeper.pid("a"), int((tmp_path / "child").read_text("utf-8"))
    assert pid is not None
    assert not gone(pid)
    assert not gone(child)
    keeper.close()
    until(lambda: gone(pid) and gone(child))
    assert keeper.pid("a") is None


def test_programs_do_not_outlive_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.adapters.test_supervisor import program\n"
        "from fedcredit.adapters.supervisor import Supervisor\n"
        "folder = Path(sys.argv[1])\n"
        "keeper = Supervisor([program(folder, 'a')], lambda: None)\n"
        "keeper.start()\n"
        "while not keeper.pid('a'):\n"
        "    time.sleep(0.02)\n"
        "(folder / 'part').write_text(str(keeper.pid('a')))\n"
        "(folder / 'part').rename(folder / 'pid')\n"
        "time.sleep(600)\n"
    )
    root = Path(__file__).parents[2]
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root)
    until((tmp_path / "pid").exists)
    pid = int((tmp_path / "pid").read_text("utf-8"))
    assert not gone(pid)
    first.kill()
    first.wait()
    until(lambda: gone(pid))


def test_pauses_grow_while_a_program_ends_at_once(tmp_path: Path) -> None:
    keeper = Supervisor(
        [program(tmp_path, "a", sys.executable, "-c", "")], lambda: None, first_pause_s=0.2
    )
    keeper.start()
    time.sleep(3.0)
    keeper.close()
    assert 2 <= keeper.starts("a") <= 5  # 0.2 + 0.4 + 0.8 + 1.6 s


def test_a_program_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    command = tmp_path / "late"
    keeper = Supervisor([program(tmp_path, "a", str(command))], lambda: None, first_pause_s=0.05)
    keeper.start()
    try:
        until(lambda: keeper.starts("a") == 2)
        command.with_suffix(".part").write_text("#!/bin/sh\necho here\nsleep 600\n", "utf-8")
        command.with_suffix(".part").chmod(0o700)
        command.with_suffix(".part").rename(command)
        until(lambda: "here" in (tmp_path / "a.log").read_text("utf-8"))
    finally:
        keeper.close()


def test_a_program_is_told_nothing_but_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "yes")
    code = "import os, time; print(sorted(os.environ), flush=True); time.sleep(600)"
    keeper = Supervisor([program(tmp_path, "a", sys.executable, "-c", code)], lambda: None)
    keeper.start()
    try:
        log = tmp_path / "a.log"
        until(lambda: log.exists() and log.read_text("utf-8") != "")
        assert "TOLD" in log.read_text("utf-8")
        assert "A_SECRET" not in log.read_text("utf-8")
        assert log.stat().st_mode & 0o077 == 0
    finally:
        keeper.close()


def test_the_programs_are_tended_while_they_run(tmp_path: Path) -> None:
    seen: list[int] = []
    keeper = Supervisor([program(tmp_path, "a")], lambda: seen.append(keeper.starts("a")))
    keeper.start()
    until(lambda: len(seen) >= 3)
    keeper.close()
    assert seen[0] == 1


def test_a_program_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    """Even if that one is killed, and can say nothing."""
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from fedcredit.adapters.supervisor import Program, Supervisor\n"
        "folder = Path(sys.argv[1])\n"
        "one = Program(name='a', command=('/bin/sleep', '600'), environment={}, folder=folder)\n"
        "keeper = Supervisor([one], lambda: None)\n"
        "keeper.start()\n"
        "while keeper.pid('a') is None: time.sleep(0.01)\n"
        "print(keeper.pid('a'), flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        until(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0])
        starter.kill()
    until(lambda: gone(pid))
