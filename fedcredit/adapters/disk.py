"""The disk: an institution's book that outlives a crash, and files that are whole or not there.

Rules, in the order in which they matter: a line counts only once it is on the disk; any
error in getting it there ends the book's use until it is read again, for nobody knows
what the disk holds then (Rebello et al. 2020, "Can Applications Recover from fsync
Failures?"); a line cut off by a crash was never acted upon, so it is set aside.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from fedcredit.errors import ConfigError, IntegrityError, LocalError
from fedcredit.federation.book import (
    Charge,
    Entry,
    Release,
    Step,
    check_entry,
    entry_from_dict,
    entry_to_dict,
    reply_digest,
)

__all__ = ["DiskBook", "open_book", "write_file", "write_folder"]

_LONGEST_LINE_BYTES: Final = 1 << 14
_BOOK: Final = "book.jsonl"
_TAIL: Final = "tail.quarantine"
_REPLIES: Final = "replies"


class DiskBook:
    """A `Book` in a folder: ``book.jsonl``, one entry a line, and the bytes of the replies.

    It is made by `open_book`, which sees to it that it has one writer.
    """

    def __init__(self, folder: Path, sync: Callable[[int], None]) -> None:
        self._folder = folder
        self._sync = sync
        self._broken = False
        self._entries: list[Entry] = _read_entries(folder, sync)

    def entries(self) -> tuple[Entry, ...]:
        """See `Book`."""
        self._check_whole()
        return tuple(self._entries)

    def charge(self, entry: Charge) -> None:
        """See `Book`."""
        self._append(entry)

    def release(self, entry: Release, reply: bytes) -> None:
        """See `Book`."""
        self._check_whole()
        if reply_digest(reply) != entry.reply:
            raise LocalError("a release does not name its reply", remedy="report this as a bug")
        try:
            _write(self._reply_path(entry), reply, self._sync)
        except OSError as problem:
            raise self._failed(problem) from problem
        self._append(entry)

    def step(self, entry: Step) -> None:
        """See `Book`."""
        self._append(entry)

    def reply(self, entry: Release) -> bytes:
        """See `Book`."""
        try:
            data = self._reply_path(entry).read_bytes()
        except OSError:
            data = b""
        if reply_digest(data) != entry.reply:
            raise IntegrityError(
                f"the stored reply of round {entry.round + 1}, attempt {entry.attempt} is not "
                "what was released",
                remedy="restore the book's folder from its backup; nothing is sent meanwhile",
            )
        return data

    def _append(self, entry: Entry) -> None:
        """Write one line, and return when it is on the disk."""
        self._check_whole()
        check_entry(self._entries, entry)
        line = _line(entry)
        try:
            file = os.open(self._folder / _BOOK, os.O_WRONLY | os.O_APPEND)
            try:
                _write_all(file, line)
                self._sync(file)
            finally:
                os.close(file)
        except OSError as problem:
            raise self._failed(problem) from problem
        self._entries.append(entry)

    def _reply_path(self, entry: Release) -> Path:
        """Where a reply's bytes are kept."""
        return self._folder / _REPLIES / f"{entry.reply}.bin"

    def _check_whole(self) -> None:
        """Refuse to go on after an error of the disk."""
        if self._broken:
            raise LocalError(
                f"the book in {self._folder} met an error of the disk before",
                remedy="mend the disk and start again; the book is read afresh then",
            )

    def _failed(self, problem: OSError) -> LocalError:
        """The error for a line that may or may not be on the disk."""
        self._broken = True
        return LocalError(
            f"the book in {self._folder} could not be written: {problem.strerror}",
            remedy="make room on the disk or mend it, and start again; nothing was sent",
        )


@contextmanager
def open_book(folder: Path, *, sync: Callable[[int], None] = os.fsync) -> Iterator[DiskBook]:
    """Open the book in ``folder``, or begin one; nobody else can while it is open.

    Args:
        folder: its own folder; made if it is not there, for its owner's eyes only.
        sync: how a file's bytes are forced to the disk.

    Yields:
        The book.

    Raises:
        LocalError: another process has it open, or the folder cannot be written.
        IntegrityError: a line of it is damaged.
    """
    try:
        (folder / _REPLIES).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise LocalError(
            f"the folder {folder} cannot hold a book: {problem.strerror}",
            remedy="name a folder that this user may write to",
        ) from problem
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LocalError(
                f"the book in {folder} is open in another process",
                remedy="end that process; two writers could spend one budget twice",
            ) from None
        yield DiskBook(folder, sync)
    finally:
        os.close(lock)  # gives the lock back


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is either as it was or wholly new, whatever happens.

    Args:
        path: in a folder that exists.
        data: the whole content.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        _write(part, data, os.fsync)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(path.parent, os.fsync)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder so that it is either there with all its files or not at all.

    Args:
        path: must not exist; its parents are made.
        files: content by name; a slash in a name makes a folder within.

    Raises:
        ConfigError: ``path`` exists, or a name leads out of it.
    """
    if path.exists():
        raise ConfigError(f"{path} exists", remedy="name a new folder, or remove that one")
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ConfigError(f"the name {name!r} leads out of the folder", remedy="rename it")
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    part.mkdir(parents=True)
    try:
        for name, data in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            _write(part / name, data, os.fsync)
        for folder in (part, *(one for one in part.rglob("*") if one.is_dir())):
            _sync_folder(folder, os.fsync)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already if all went well
    _sync_folder(path.parent, os.fsync)


def _read_entries(folder: Path, sync: Callable[[int], None]) -> list[Entry]:
    """All entries of a book; a line that a crash cut off is set aside first."""
    path = folder / _BOOK
    if not path.exists():
        _write(path, b"", sync)
    whole, newline, tail = path.read_bytes().rpartition(b"\n")
    if tail:
        with (folder / _TAIL).open("ab") as file:
            file.write(tail + b"\n")
            file.flush()
            sync(file.fileno())
        os.truncate(path, len(whole + newline))
        _sync_folder(folder, sync)
    entries: list[Entry] = []
    for number, line in enumerate((whole + newline).split(b"\n")[:-1], start=1):
        try:
            entry = _entry(line + b"\n")
            check_entry(entries, entry)
        except (IntegrityError, LocalError):
            raise IntegrityError(
                f"{path}: line {number} is damaged",
                remedy="restore the book from its backup; nothing is released meanwhile",
            ) from None
        entries.append(entry)
    return entries


def _line(entry: Entry) -> bytes:
    """An entry as its one line."""
    text = json.dumps(entry_to_dict(entry), sort_keys=True, separators=(",", ":"))
    return text.encode("ascii") + b"\n"


def _entry(line: bytes) -> Entry:
    """The entry of a line; whatever is not the one way to write it is refused."""
    try:
        table = json.loads(line) if len(line) <= _LONGEST_LINE_BYTES else None
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise IntegrityError("a line is not an entry", remedy="restore the book from its backup")
    entry = entry_from_dict(table)
    if _line(entry) != line:
        raise IntegrityError("a line is not canonical", remedy="restore the book from its backup")
    return entry


def _write(path: Path, data: bytes, sync: Callable[[int], None]) -> None:
    """Write a whole file and its name to the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(file, data)
        sync(file)
    finally:
        os.close(file)
    _sync_folder(path.parent, sync)


def _write_all(file: int, data: bytes) -> None:
    """Write every byte: the system may take fewer at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _sync_folder(folder: Path, sync: Callable[[int], None]) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)
