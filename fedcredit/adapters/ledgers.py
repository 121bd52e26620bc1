"""A ledger on the disk: a folder that one process may write to.

    ledger.jsonl      entries, one a line
    checkpoints.note  what was signed for, by us and by witnesses
    replies/          the exact bytes of each answer
    tail.quarantine   what a crash cut off before anybody had signed for it
    lock              held by the one writer

Any error of the disk ends the store's use until it is read afresh, for nobody knows what
the disk holds then (Rebello et al. 2020, "Can Applications Recover from fsync Failures?").
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fedcredit.adapters.disk import Sync, append_to, sync_folder, write_through
from fedcredit.adapters.policies import read_key_file, read_policy
from fedcredit.adapters.system import utc_now
from fedcredit.adapters.witness import HttpCourier
from fedcredit.errors import ConfigError, LocalError
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.ledger import Ledger, whole_notes
from fedcredit.ledger.notes import read_checkpoint, read_notes
from fedcredit.ledger.quorum import Quorum
from fedcredit.ledger.signing import SigningKey

__all__ = ["CHECKPOINTS", "LINES", "Copy", "DiskStore", "open_ledger", "open_store"]

LINES: Final = "ledger.jsonl"
CHECKPOINTS: Final = "checkpoints.note"
_TAIL: Final = "tail.quarantine"
_REPLIES: Final = "replies"


class DiskStore:
    """A `ledger.store.Store` in a folder; made by `open_store`, which sees to one writer."""

    def __init__(self, folder: Path, sync: Sync) -> None:
        self._folder, self._sync = folder, sync
        self._broken = False
        for path in (folder / LINES, folder / CHECKPOINTS):
            if not path.exists():
                self._try(partial(write_through, path, b"", sync))

    def lines(self) -> bytes:
        """See `Store`."""
        return self._read(LINES)

    def notes(self) -> bytes:
        """See `Store`."""
        return self._read(CHECKPOINTS)

    def append(self, line: bytes) -> None:
        """See `Store`."""
        self._try(lambda: append_to(self._folder / LINES, line, self._sync))

    def note(self, note: bytes) -> None:
        """See `Store`."""
        self._try(lambda: append_to(self._folder / CHECKPOINTS, note, self._sync))

    def cut(self, lines: int, notes: int) -> None:
        """See `Store`."""
        tails = b"".join(
            tail + b"\n" for tail in (self.lines()[lines:], self.notes()[notes:]) if tail
        )

        def cut() -> None:
            """Keep the tails, then shorten the files."""
            quarantine = self._folder / _TAIL
            if not quarantine.exists():
                write_through(quarantine, b"", self._sync)
            append_to(quarantine, tails, self._sync)
            for name, size in ((LINES, lines), (CHECKPOINTS, notes)):
                with (self._folder / name).open("r+b") as file:
                    file.truncate(size)
                    self._sync(file.fileno())
            sync_folder(self._folder, self._sync)

        self._try(cut)

    def keep(self, name: str, reply: bytes) -> None:
        """See `Store`."""
        self._try(lambda: write_through(self._reply(name), reply, self._sync))

    def kept(self, name: str) -> bytes:
        """See `Store`."""
        path = self._reply(name)
        return path.read_bytes() if path.exists() else b""

    def _reply(self, name: str) -> Path:
        """Where an answer's bytes are kept."""
        return self._folder / _REPLIES / f"{name}.bin"

    def _read(self, name: str) -> bytes:
        """A whole file."""
        data = b""

        def read() -> None:
            """Read it."""
            nonlocal data
            data = (self._folder / name).read_bytes()

        self._try(read)
        return data

    def _try(self, act: Callable[[], None]) -> None:
        """Do something on the disk, unless it has failed before."""
        if self._broken:
            raise LocalError(
                f"the ledger in {self._folder} met an error of the disk before",
                remedy="mend the disk and start again; the ledger is read afresh then",
            )
        try:
            act()
        except OSError as problem:
            self._broken = True
            raise LocalError(
                f"the ledger in {self._folder} could not be read or written: {problem.strerror}",
                remedy="make room on the disk or mend it, and start again; nothing was sent",
            ) from problem


@contextmanager
def open_store(folder: Path, *, sync: Sync = os.fsync) -> Iterator[DiskStore]:
    """Open the ledger's folder, or make one; nobody else can while it is open.

    Args:
        folder: its own folder; made if it is not there, for its owner's eyes only.
        sync: how a file's bytes are forced to the disk.

    Yields:
        The store.

    Raises:
        LocalError: another process has it open, or the folder cannot be written.
    """
    try:
        (folder / _REPLIES).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise LocalError(
            f"the folder {folder} cannot hold a ledger: {problem.strerror}",
            remedy="name a folder that this user may write to",
        ) from problem
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LocalError(
                f"the ledger in {folder} is open in another process ({_holder(lock)})",
                remedy="end that process; two writers could spend one budget twice",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield DiskStore(folder, sync)
    finally:
        os.close(lock)  # gives the lock back


@contextmanager
def open_ledger(
    folder: Path, root: SigningKey | None = None, successor: SigningKey | None = None
) -> Iterator[Ledger]:
    """Open an institution's ledger for writing; see `policies` for the folder.

    Args:
        folder: with policy.toml, keys/ledger.key and ledger/.
        root: only where the key in force is lost and the one in the folder takes over.
        successor: a key that may have taken over before a crash.

    Yields:
        The ledger, which asks the witnesses that the policy file names.

    Raises:
        ConfigError: there is no ledger, or a file is wrong.
        LocalError: another process has it open.
        IntegrityError: it is damaged.
    """
    written = read_policy(folder / "policy.toml")
    key = read_key_file(folder / "keys" / "ledger.key")
    if not (folder / "ledger" / LINES).exists():
        raise ConfigError(
            f"there is no ledger in {folder / 'ledger'}",
            remedy=f"begin one: fedcredit ledger init {folder}",
        )
    with open_store(folder / "ledger") as store:
        quorum = Quorum(HttpCourier(), written.places)
        if successor is not None and _last_key(store) == successor.public.hex():
            key = successor
        yield Ledger(store, key, quorum, utc_now, root)


class Copy:
    """What a ledger's folder holds at this moment, as far as it is signed for; to be read only.

    Raises:
        ConfigError: there is no ledger there.
        IntegrityError: its checkpoints are damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:  # checkpoints first: lines only ever get more
            notes = (folder / CHECKPOINTS).read_bytes()
            lines = (folder / LINES).read_bytes()
        except OSError:
            raise ConfigError(
                f"there is no ledger in {folder}", remedy="name the folder of a ledger"
            ) from None
        self._notes = notes[: whole_notes(notes)]
        signed = read_notes(self._notes)
        size = read_checkpoint(signed[-1].body).size if signed else 0
        self._lines = b"".join(lines.splitlines(keepends=True)[:size])

    def lines(self) -> bytes:
        """All lines that are signed for."""
        return self._lines

    def notes(self) -> bytes:
        """All whole checkpoints."""
        return self._notes


def _last_key(store: DiskStore) -> str:
    """The key that the last entry leaves in force, hex."""
    chain = Chain()
    data = store.lines()
    for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True):
        chain.take(line)
    return chain.account.keys[-1]


def _holder(lock: int) -> str:
    """Who wrote its number into the lock file last."""
    number = os.pread(lock, 16, 0).decode("ascii", "replace").strip()
    return f"pid {number}" if number.isdigit() else "pid unknown"
