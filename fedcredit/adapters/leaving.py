"""An institution's way out of a consortium: its node stops, and the coordinator is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from fedcredit.adapters.desk_line import DeskLine
from fedcredit.adapters.institutions import check_reason
from fedcredit.adapters.joining import read_place
from fedcredit.adapters.left import LEFT, Left, read_left, write_left
from fedcredit.errors import ConfigError, EnrolmentRefused, UnreachableError

__all__ = ["leave"]

_MEMBER: Final = "keys/member.pem"
_AUTHORITY: Final = "keys/authority.pem"


def leave(folder: Path, reason: str, at: str) -> bool:
    """Stop the node for good, and tell the coordinator, which lets it in no more.

    What the institution has decided holds at once, whether the coordinator can be told or
    not. To leave again is harmless: it tells the coordinator if it does not know yet.

    Args:
        folder: of a node that has joined; an auditor's too.
        reason: the coordinator writes it into its ledger, for auditors.
        at: now, ``2026-01-31T12:00:00Z``.

    Returns:
        Whether there was anything left to do.

    Raises:
        ConfigError: the node has not joined, or the reason is no plain text.
        EnrolmentRefused: the coordinator refuses to be told; ``kind`` says why.
        PeerError: the coordinator is another.
        UnreachableError: it does not answer; the node has stopped all the same.
    """
    check_reason(reason)
    place, left = read_place(folder), _left(folder)
    if left is not None and left.told:
        return False
    if left is None:
        left = Left(at=at, reason=reason, told=False)
        write_left(folder, left)
    try:
        authority = (folder / _AUTHORITY).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{folder / _AUTHORITY} cannot be read", remedy="restore it from its backup"
        ) from None
    try:
        with DeskLine(place.url, authority, folder / _MEMBER) as line:
            line.ask("leave", {"reason": left.reason})
    except EnrolmentRefused as problem:
        if problem.kind != "revoked":  # it lets us in no more: an answer was lost, or it was first
            raise
    except UnreachableError as problem:
        raise UnreachableError(
            f"the node in {folder} has stopped, and the coordinator does not know: {problem.what}",
            remedy="give the command again later, or telephone its operator: "
            f"fedcredit coordinator revoke FOLDER {place.name}",
        ) from None
    write_left(folder, replace(left, told=True))
    return True


def _left(folder: Path) -> Left | None:
    """What stands there; what cannot be read is written anew."""
    try:
        return read_left(folder)
    except ConfigError:
        (folder / LEFT).unlink()
        return None
