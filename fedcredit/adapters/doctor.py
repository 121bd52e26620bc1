"""An examination of a node or a coordinator by its folder: everything that usually goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from fedcredit.adapters.coordinator_folder import AUTHORITY, read_register, read_settings
from fedcredit.adapters.finding import Finding, of_error
from fedcredit.adapters.holdings import contract_of, records
from fedcredit.adapters.joining import read_place
from fedcredit.adapters.left import read_left
from fedcredit.adapters.memory import memory, read_memory
from fedcredit.adapters.pki import WARN_DAYS, days_left, read_certificate
from fedcredit.adapters.policies import (
    CoordinatorFile,
    PolicyFile,
    read_coordinator,
    read_policy,
)
from fedcredit.adapters.premises import (
    certificate,
    disk,
    egress,
    ledger,
    secrets_of,
    versions,
    witnesses,
)
from fedcredit.adapters.system import Clock
from fedcredit.adapters.way import Resolve, Way, walk
from fedcredit.errors import ConfigError, FedCreditError

__all__ = ["Surroundings", "examine"]

_NODE_SECRETS: Final = (
    "identity.json",
    "keys/*.key",
    "keys/member.pem",
    "keys/member.next.pem",
    "witness/key.json",
)
_CENTRE_SECRETS: Final = ("pki/*.key", "keys/*.key", "witness/key.json", "superlink/*.secret")
_AWAY: Final = ("keys/root.key", "keys/officer.key", "pki/authority.key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What an examination asks of the machine.

    Attributes:
        resolve: addresses of a name.
        now: time of day, with a time zone.
        clock: to measure by.
        environment: of the process.
        root: where ``proc`` and ``sys`` are.
    """

    resolve: Resolve
    now: Callable[[], datetime]
    clock: Clock
    environment: Mapping[str, str]
    root: Path = Path("/")


def examine(folder: Path, around: Surroundings) -> list[Finding]:
    """Look at a folder, and walk the way to its coordinator.

    Args:
        folder: a node's or a coordinator's.
        around: the machine.

    Returns:
        What was found, the way first.

    Raises:
        ConfigError: the folder is neither's.
    """
    if (folder / "node.toml").exists():
        return _node(folder, around)
    if (folder / "coordinator.toml").exists():
        return _centre(folder, around)
    raise ConfigError(
        f"{folder} holds neither node.toml nor coordinator.toml",
        remedy="name the folder of a node or of a coordinator",
    )


def _node(folder: Path, around: Surroundings) -> list[Finding]:
    """An institution's."""
    authority, member = folder / "keys/authority.pem", folder / "keys/member.pem"
    found, urls = list[Finding](), list[str]()
    if left := read_left(folder):
        what, do = f"the node has left the consortium, at {left.at}", "to come back, join anew"
        if not left.told:
            what, do = f"{what}; its coordinator does not know", f"fedcredit node leave {folder}"
        found.append(Finding(check="left", ok=left.told, what=what, do=do))
    try:
        way = Way(url=read_place(folder).url, authority=authority.read_text("ascii"), member=member)
    except (FedCreditError, OSError, UnicodeDecodeError):
        what = "the node has not joined a consortium, or its authority.pem is away"
        do = "fedcredit node join FOLDER INVITE"
        found.append(Finding(check="membership", ok=False, what=what, do=do))
    else:
        urls.append(way.url)
        found += walk(way, around.resolve, around.now)
        renew = f"fedcredit node renew {folder}"
        found.append(certificate(member, authority, around.now(), renew=renew))
    found += [*versions(), *disk(folder, around.clock), *_secrets(folder, _NODE_SECRETS)]
    schema = contract_of(folder)
    found += [
        records(folder, schema),
        memory(read_memory(around.root, gettempdir()), schema),
    ]
    return [*found, *_ledger(folder, urls, around, read_policy)]


def _centre(folder: Path, around: Surroundings) -> list[Finding]:
    """A coordinator's."""
    authority, found = folder / AUTHORITY, list[Finding]()
    try:
        way = Way(url=read_settings(folder).url, authority=authority.read_text("ascii"))
    except FedCreditError as problem:
        found.append(of_error("settings", problem))
    except (OSError, UnicodeDecodeError):
        what = f"{authority} cannot be read"
        found.append(Finding(check="settings", ok=False, what=what, do="restore its backup"))
    else:
        found += walk(way, around.resolve, around.now)
        renew = f"fedcredit coordinator renew {folder}, and start it again"
        found += [
            certificate(folder / f"pki/{name}.pem", authority, around.now(), renew=renew)
            for name in ("server", "superlink")
        ]
        found += _members(folder, around.now())
    found += [*versions(), *disk(folder, around.clock), *_secrets(folder, _CENTRE_SECRETS)]
    return [*found, *_ledger(folder, [], around, read_coordinator)]


def _members(folder: Path, now: datetime) -> list[Finding]:
    """Whose certificate ends soon."""
    try:
        ours = [one for one in read_register(folder).institutions if one.state == "member"]
        left = {
            one.name: days_left(read_certificate(one.certificate.encode()), now) for one in ours
        }
    except FedCreditError as problem:
        return [of_error("members", problem)]
    soon = [f"{name} in {days} days" for name, days in left.items() if days < WARN_DAYS]
    if soon:
        what = f"certificates of members end: {', '.join(soon)}"
        do = "telephone them: fedcredit node renew FOLDER"
        return [Finding(check="members", ok=False, what=what, do=do)]
    what = f"certificates of {len(left)} members count for {WARN_DAYS} days and more"
    return [Finding(check="members", ok=True, what=what)]


def _secrets(folder: Path, patterns: tuple[str, ...]) -> list[Finding]:
    """The files' rights; and keys that people had better take away."""
    paths = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    away = [name for name in _AWAY if (folder / name).exists()]
    found = [secrets_of(paths)]
    if away:
        what = f"lies here and is not needed to run: {', '.join(away)}"
        do = "take it to the people whose key it is, offline"
        found.append(Finding(check="keys", ok=True, what=what, do=do))
    return found


def _ledger(
    folder: Path,
    urls: list[str],
    around: Surroundings,
    read: Callable[[Path], PolicyFile | CoordinatorFile],
) -> list[Finding]:
    """The ledger, its witnesses, and whom the process calls."""
    found = [ledger(folder)]
    try:
        written = read(folder / "policy.toml")
        found += witnesses(written.places, written.quorum.witnesses)
    except FedCreditError as problem:
        return [*found, of_error("policy", problem), egress(urls, around.environment)]
    return [*found, egress([*urls, *written.places.values()], around.environment)]
