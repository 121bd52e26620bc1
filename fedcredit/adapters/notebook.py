"""notes.txt in a coordinator's folder: what is to stand in its ledger, and waits for its turn.

The ledger has one writer at a time, and during a study that is another process. So what
happens at the desk is written here first, a line each, and taken over when the ledger is
free. A line that was taken over and not yet struck out is known by its text.

What strangers can cause is bounded: of refusals, a few an hour stand there one by one, and
then one line says how many more there were.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from threading import Lock, Timer
from typing import Final

from fedcredit.adapters.coordinator_folder import locked, read_register
from fedcredit.adapters.disk import append_to, write_file, write_through
from fedcredit.adapters.institutions import stamp
from fedcredit.adapters.ledgers import open_ledger
from fedcredit.adapters.policies import read_coordinator
from fedcredit.ledger.entries import Note
from fedcredit.ledger.ledger import Ledger

__all__ = [
    "AN_HOUR",
    "MOST_BYTES",
    "NOTES",
    "Refusals",
    "later",
    "note",
    "put_notes",
    "write_notes",
]

NOTES: Final = "notes.txt"
MOST_BYTES: Final = 256 << 10
"""Of refusals that wait: where there is no ledger, they wait for ever."""

AN_HOUR: Final = 5
"""Refusals that are noted one by one."""

_HOUR_S: Final = 3600.0
_LOG: Final = logging.getLogger("fedcredit.front")


def note(folder: Path, text: str) -> None:
    """Write a line down, to be taken over into the ledger; on the disk on return.

    Args:
        folder: the coordinator's.
        text: printable ASCII, with its time: a text that stands in the ledger is not repeated.

    Raises:
        OSError: it could not be written.
    """
    path = folder / NOTES
    with locked(folder):
        if not path.exists():
            write_through(path, b"", os.fsync)
        append_to(path, f"{text}\n".encode("ascii"), os.fsync)


def write_notes(folder: Path) -> bool:
    """Take over what waits, if anything does, into the ledger in a coordinator's folder.

    Returns:
        Whether anything did.

    Raises:
        ConfigError: there is no ledger, or a file is wrong.
        LocalError: another process has it open.
        UnreachableError: too few witnesses have signed; it is tried again.
    """
    if not _waiting(folder):
        return False
    with open_ledger(folder, read_coordinator(folder / "policy.toml")) as ledger:
        put_notes(folder, ledger)
    return True


def put_notes(folder: Path, ledger: Ledger) -> None:
    """The same with a ledger that is open.

    Raises:
        LocalError: it could not be made durable.
        UnreachableError: too few witnesses have signed; it is tried again.
    """
    data = _waiting(folder)
    if not data:
        return
    there = {one.entry.text for one in ledger.written if isinstance(one.entry, Note)}
    for text in data.decode("ascii").splitlines():
        if text not in there:
            ledger.write(Note(text=text))
            there.add(text)
    ledger.settle()
    with locked(folder):
        write_file(folder / NOTES, (folder / NOTES).read_bytes()[len(data) :])


def later(seconds: float, act: Callable[[], None]) -> None:
    """Do something in a while, if this process is still there then."""
    timer = Timer(seconds, act)
    timer.daemon = True
    timer.start()


class Refusals:
    """Notes enrolments that were refused, a few an hour; for several threads.

    Args:
        folder: the coordinator's.
        now: time of day, with a time zone.
        later: has something done in so many seconds.
    """

    def __init__(
        self,
        folder: Path,
        now: Callable[[], datetime],
        later: Callable[[float, Callable[[], None]], None] = later,
    ) -> None:
        self._folder, self._now, self._later = folder, now, later
        self._lock = Lock()
        self._count, self._begun = 0, now()

    def add(self, kind: str, name: str = "") -> None:
        """One more was refused.

        Args:
            kind: why, see `EnrolmentRefused`.
            name: whose it was said to be; it is noted only if the register knows it.

        Raises:
            ConfigError: the register cannot be read.
            OSError: the note could not be written.
        """
        with self._lock:
            self._count += 1
            count = self._count
            if count == 1:
                self._begun = self._now()
                self._later(_HOUR_S, self._turn)
        if count <= AN_HOUR:
            known = name if name and read_register(self._folder).find(name) else ""
            whose = f", in the name of {known}" if known else ""
            self._note(f"{stamp(self._now())} an enrolment was refused: {kind}{whose}")

    def _turn(self) -> None:
        """The hour since the first one is over: say how many more there were."""
        with self._lock:
            more, begun, self._count = self._count - AN_HOUR, self._begun, 0
        if more > 0:
            try:
                self._note(f"{stamp(begun)} within an hour {more} more enrolments were refused")
            except OSError as problem:
                _LOG.warning("%d refusals cannot be noted: %s", more, problem.strerror)

    def _note(self, text: str) -> None:
        """Unless too many wait."""
        path = self._folder / NOTES
        if not path.exists() or path.stat().st_size < MOST_BYTES:
            note(self._folder, text)


def _waiting(folder: Path) -> bytes:
    """Whole lines that wait; a crash can have cut the last one short."""
    try:
        data = (folder / NOTES).read_bytes()
    except FileNotFoundError:
        return b""
    return data[: data.rfind(b"\n") + 1]
