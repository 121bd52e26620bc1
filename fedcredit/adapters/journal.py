"""The coordinator's journal on the disk: one file a page, replaced whole."""

from __future__ import annotations

from pathlib import Path

from fedcredit.adapters.disk import write_file
from fedcredit.codec import digest
from fedcredit.errors import IntegrityError, LocalError

__all__ = ["DiskJournal"]

_NAME_BYTES = 32


class DiskJournal:
    """A `Journal` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Open a journal.

        Args:
            folder: made if it is not there.

        Raises:
            LocalError: it cannot be made.
        """
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise self._failed(problem) from problem

    def keep(self, name: str, data: bytes) -> None:
        """See `Journal`."""
        try:
            write_file(self._folder / name, _mark(name, data) + data)
        except OSError as problem:
            raise self._failed(problem) from problem

    def kept(self, name: str) -> bytes:
        """See `Journal`.

        Raises:
            IntegrityError: the page is damaged.
        """
        path = self._folder / name
        if not path.exists():
            return b""
        try:
            whole = path.read_bytes()
        except OSError as problem:
            raise self._failed(problem) from problem
        mark, data = whole[:_NAME_BYTES], whole[_NAME_BYTES:]
        if _mark(name, data) != mark:
            raise IntegrityError(
                f"{path} is damaged",
                remedy="restore the study's folder from its backup, or start a new study",
            )
        return data

    def _failed(self, problem: OSError) -> LocalError:
        """The error of the disk."""
        return LocalError(
            f"the journal in {self._folder} failed: {problem.strerror}",
            remedy="make room on the disk or mend it, and start again; the study goes on",
        )


def _mark(name: str, data: bytes) -> bytes:
    """What stands before a page, so that a turned bit is noticed."""
    return digest("fedcredit/journal/1", name.encode(), data)
