"""Programs that are kept running: started again when they end, and ended together.

Also when this process is killed: the kernel ends them then, since one that stays behind would
keep its port and its locks from those that are started next.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcredit.adapters.pauses import Pauses
from fedcredit.adapters.system import SystemClock

__all__ = ["Program", "Supervisor"]

_TICK_S: Final = 0.1
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_HEALTHY_S: Final = 60.0  # who has run for so long is started again at once
_GRACE_S: Final = 3.0
_LOG: Final = logging.getLogger("fedcredit.coordinator")

# prctl(PR_SET_PDEATHSIG, SIGKILL), unless the parent has gone meanwhile; then the program.
_TIED: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to keep running.

    Attributes:
        name: for logs.
        command: the program and its arguments.
        environment: all that it is told of the environment.
        folder: where it runs; its log is written there.
        stands_on: the name of a program without which it is of no use: when that one
            ends, this one is ended, and both are started again.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    stands_on: str | None = None


class Supervisor:
    """Keeps programs running from `start` to `close`."""

    def __init__(
        self,
        programs: Sequence[Program],
        tend: Callable[[], None],
        *,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        """Set up, without starting anything.

        Args:
            programs: in the order in which they are started.
            tend: is called about ten times a second on the thread that looks after the
                programs, whether all of them run or not. It must not raise.
            first_pause_s: seconds before a program that ended is started again, the first
                time; they double each time it ends soon.
        """
        self._tend = tend
        self._keepers = [_Keeper(one, Pauses(first_pause_s, _LONGEST_PAUSE_S)) for one in programs]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the programs; they are not ready yet."""
        self._thread.start()

    def starts(self, name: str) -> int:
        """How often a program has been started.

        Args:
            name: the program's.
        """
        return sum(one.starts for one in self._keepers if one.program.name == name)

    def pid(self, name: str) -> int | None:
        """The number of a program's process; none while it does not run.

        Args:
            name: the program's.
        """
        for one in self._keepers:
            process = one.process
            if one.program.name == name and process is not None and process.poll() is None:
                return process.pid
        return None

    def close(self) -> None:
        """End every program with all that it has started."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look_after(self) -> None:
        """Start what does not run, until `close`; then end it, as programs die with the thread."""
        while not self._stop.is_set():
            for one in self._keepers:
                if one.has_ended():
                    _LOG.warning("%s has ended; it is started again", one.program.name)
                    self._end(one.program.name)
                one.start_if_due()
            self._tend()
            self._stop.wait(_TICK_S)
        for one in reversed(self._keepers):
            one.end()

    def _end(self, name: str) -> None:
        """End what is left of a program, and whatever stands on it."""
        for one in self._keepers:
            if name in {one.program.name, one.program.stands_on}:
                one.end()


class _Keeper:
    """One program's process, and when to start the next."""

    def __init__(self, program: Program, pauses: Pauses) -> None:
        self.program, self._pauses = program, pauses
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._clock = SystemClock()
        self._started_at = self._due_at = self._clock.now()

    def has_ended(self) -> bool:
        """Whether it ran and does no longer."""
        return self.process is not None and self.process.poll() is not None

    def start_if_due(self) -> None:
        """Start it, unless it runs or has ended a moment ago."""
        if self.process is not None or self._clock.now() < self._due_at:
            return
        self._started_at = self._clock.now()
        log = self.program.folder / f"{self.program.name}.log"
        try:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(file, "ab") as opened:
                self.process = subprocess.Popen(  # noqa: S603 - the command is our own
                    _tied(self.program.command),
                    env=dict(self.program.environment),
                    cwd=self.program.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=opened,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as problem:
            _LOG.error("%s cannot be started: %s", self.program.name, problem.strerror)
            self._due_at = self._clock.now() + self._pauses.next()
            return
        self.starts += 1

    def end(self) -> None:
        """End the process and all of its group: gently, then not."""
        if self.process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            _LOG.info("%s does not end by itself", self.program.name)
        self._signal(signal.SIGKILL)  # also what the process has left behind
        self.process.wait()
        self.process = None
        if self._clock.now() - self._started_at >= _HEALTHY_S:
            self._pauses.restart()
        self._due_at = self._clock.now() + self._pauses.next()

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the group; it may be gone."""
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except (ProcessLookupError, PermissionError):
                _LOG.debug("%s was gone", self.program.name)


def _tied(command: tuple[str, ...]) -> list[str]:
    """A command for a program that the kernel kills when the thread that starts it has ended.

    Raises:
        FileNotFoundError: there is no such program.
    """
    if not os.access(command[0], os.X_OK):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return [sys.executable, "-I", "-S", "-c", _TIED, str(os.getpid()), *command]
