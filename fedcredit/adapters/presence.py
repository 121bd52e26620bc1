"""One process for a node's folder, which knows as what its last one was there.

A SuperLink takes a node that was killed for present for some twenty seconds and lets nobody
else in with its key, not even the node itself. A node that knows under which number it was
there says at its start that that one is gone, and is let in at once.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from pathlib import Path
from typing import Final

from fedcredit.errors import LocalError

__all__ = ["DiskPresence"]

_FILE: Final = "running"
_WRITTEN: Final = re.compile(r"([0-9]{1,20}) ([0-9]{1,20})\n")  # Flower's number, and the inode
_LOG: Final = logging.getLogger("fedcredit.node")


class DiskPresence:
    """A `fleet.Presence` in a node's folder; nobody else has it until `close`.

    What it says counts for the very file that it was written to. A copy of the folder must
    not put out the node that it was copied from.
    """

    def __init__(self, folder: Path) -> None:
        """Take the folder.

        Args:
            folder: the node's.

        Raises:
            LocalError: another process has it, or it cannot be written.
        """
        try:
            self._file = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise LocalError(
                f"{folder / _FILE} cannot be written: {problem.strerror}",
                remedy="name a folder that this user may write to",
            ) from problem
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise LocalError(
                f"a node runs in {folder} already", remedy="end that one first"
            ) from None

    def last(self) -> int | None:
        """See `fleet.Presence`."""
        found = _WRITTEN.fullmatch(os.pread(self._file, 64, 0).decode("ascii", "replace"))
        if not found or int(found[2]) != os.fstat(self._file).st_ino:
            return None
        return int(found[1])

    def keep(self, node: int) -> None:
        """See `fleet.Presence`."""
        line = f"{node} {os.fstat(self._file).st_ino}\n".encode()
        try:
            os.pwrite(self._file, line, 0)
            os.ftruncate(self._file, len(line))
        except OSError as problem:  # then it waits, as it would have without
            _LOG.warning("what the node is there as was not kept: %s", problem.strerror)

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._file)
