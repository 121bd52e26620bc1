"""The vault on the disk: one file a session, for its owner's eyes, replaced whole.

What a new state replaces is overwritten with zeros once the new one is durable. On a disk
that moves blocks about (an SSD, a copying file system) that is the best a program can do;
an encrypted volume does the rest.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fedcredit.adapters.disk import write_file
from fedcredit.codec import digest
from fedcredit.errors import IntegrityError, LocalError

__all__ = ["DiskVault"]

_NAME_BYTES: Final = 32


class DiskVault:
    """A `Vault` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Open a vault.

        Args:
            folder: made if it is not there.

        Raises:
            LocalError: it cannot be made.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as problem:
            raise self._failed(folder, problem) from problem
        self._folder = folder

    def load(self, session: bytes) -> bytes:
        """See `Vault`."""
        path = self._path(session)
        if not path.exists():
            return b""
        try:
            kept = path.read_bytes()
        except OSError as problem:
            raise self._failed(self._folder, problem) from problem
        name, data = kept[:_NAME_BYTES], kept[_NAME_BYTES:]
        if _name_of(session, data) != name:
            raise IntegrityError(
                f"{path} is not what was kept there",
                remedy="remove it: the turns it holds keys for are lost and stay paid for; the "
                "study goes on with fresh keys",
            )
        return data

    def keep(self, session: bytes, data: bytes) -> None:
        """See `Vault`."""
        path = self._path(session)
        try:
            old = os.open(path, os.O_WRONLY) if path.exists() else None
            try:
                write_file(path, _name_of(session, data) + data)
                if old is not None:  # the replaced file has no name any more, but it has bytes
                    os.pwrite(old, bytes(os.fstat(old).st_size), 0)
                    os.fsync(old)
            finally:
                if old is not None:
                    os.close(old)
        except OSError as problem:
            raise self._failed(self._folder, problem) from problem

    def _path(self, session: bytes) -> Path:
        """Where a session's secrets are kept."""
        return self._folder / f"{session.hex()}.bin"

    @staticmethod
    def _failed(folder: Path, problem: OSError) -> LocalError:
        """The error of the disk."""
        return LocalError(
            f"the vault in {folder} failed: {problem.strerror}",
            remedy="make room on the disk or mend it, and start again; nothing was sent",
        )


def _name_of(session: bytes, data: bytes) -> bytes:
    """What stands before a session's secrets, so that a turned bit is noticed."""
    return digest("fedcredit/vault/1", session, data)
