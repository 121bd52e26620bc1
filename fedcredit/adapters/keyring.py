"""Keys and rosters as files: an institution's own, which nobody else may read, and everybody's.

identity.json   secret: the institution's keys, mode 0600
roster.json     public: who the members are, with the signatures so far
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedcredit.adapters.disk import write_file
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError
from fedcredit.secagg.keys import Identity, Member, identity_of
from fedcredit.secagg.roster import Roster, SignedRoster
from fedcredit.units import InstitutionId

__all__ = [
    "card_to_json",
    "read_card",
    "read_identity",
    "read_roster",
    "read_secret",
    "write_identity",
    "write_roster",
    "write_secret",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keys:
    """An identity as it is written."""

    name: InstitutionId
    signing: str
    sealing: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A member as it is written."""

    name: InstitutionId
    signing: str
    sealing: str
    signature: str = ""

    def member(self, path: Path) -> Member:
        """What is written, as keys."""
        return Member(self.name, _hex(self.signing, path), _hex(self.sealing, path))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A roster as it is written."""

    epoch: int
    previous: str
    members: tuple[_Card, ...]
    approvals: tuple[_Approval, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Approval:
    """The signature of a member of the roster before that is not in this one."""

    name: InstitutionId
    signature: str


def write_identity(path: Path, identity: Identity) -> None:
    """Write an institution's keys, for its owner's eyes; an existing file is never replaced.

    Raises:
        ConfigError: there is a file already, or none can be made.
    """
    table = {
        "name": identity.name,
        "sealing": identity.sealing.hex(),
        "signing": identity.signing.hex(),
    }
    write_secret(path, table)


def read_identity(path: Path) -> Identity:
    """Read an institution's keys.

    Raises:
        ConfigError: the file is missing, malformed, or others may read it.
    """
    table = read_secret(path)
    written = build(_Keys, table, str(path))
    return identity_of(written.name, _hex(written.signing, path), _hex(written.sealing, path))


def write_secret(path: Path, table: Mapping[str, str]) -> None:
    """Write keys, for their owner's eyes; an existing file is never replaced.

    Raises:
        ConfigError: there is a file already, or none can be made.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(json.dumps(table, indent=2) + "\n")
            opened.flush()
            os.fsync(file)
    except FileExistsError:
        raise ConfigError(
            f"{path} exists", remedy="keep it: a key that is replaced is lost"
        ) from None
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be written: {problem.strerror}", remedy="name another folder"
        ) from None


def read_secret(path: Path) -> Mapping[str, object]:
    """Read keys.

    Raises:
        ConfigError: the file is missing, malformed, or others may read it.
    """
    table = _table(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}: others may read it", remedy=f"chmod 0600 {path}"
        )
    return table


def card_to_json(member: Member) -> str:
    """A member's card, for whoever draws up a roster."""
    return json.dumps(_card(member), indent=2) + "\n"


def read_card(path: Path) -> Member:
    """Read a member's card.

    Raises:
        ConfigError: the file is missing or malformed.
        PeerError: a key in it is not one.
    """
    return build(_Card, _table(path), str(path)).member(path)


def write_roster(path: Path, signed: SignedRoster) -> None:
    """Write a roster with its signatures, for everybody."""
    roster = signed.roster
    members = [
        _card(one) | {"signature": signed.signatures.get(one.name, b"").hex()}
        for one in roster.members
    ]
    approvals = [
        {"name": name, "signature": signature.hex()}
        for name, signature in sorted(signed.approvals.items())
    ]
    table = {
        "approvals": approvals,
        "epoch": roster.epoch,
        "members": members,
        "previous": roster.previous.hex(),
    }
    write_file(path, (json.dumps(table, indent=2) + "\n").encode())


def read_roster(path: Path) -> SignedRoster:
    """Read a roster with its signatures; whether it counts is for `check_roster` to say.

    Raises:
        ConfigError: the file is missing or malformed.
        PeerError: its members do not make a roster.
    """
    written = build(_Written, _table(path), str(path))
    members = tuple(one.member(path) for one in written.members)
    return SignedRoster(
        Roster(written.epoch, _hex(written.previous, path), members),
        {one.name: _hex(one.signature, path) for one in written.members if one.signature},
        {one.name: _hex(one.signature, path) for one in written.approvals},
    )


def _card(member: Member) -> dict[str, str]:
    """A member as it is written."""
    return {
        "name": member.name,
        "sealing": member.sealing.hex(),
        "signing": member.signing.hex(),
    }


def _table(path: Path) -> Mapping[str, object]:
    """A file's JSON object."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except OSError:
        raise ConfigError(f"{path} cannot be read", remedy="put it there") from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is not a JSON object", remedy="fetch or write it anew")
    return table


def _hex(text: str, path: Path) -> bytes:
    """Bytes from hex."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"{path} holds a key that is not hex", remedy="fetch it anew") from None
