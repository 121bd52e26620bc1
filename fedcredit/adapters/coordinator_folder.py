"""A coordinator's folder as far as its members are concerned: certificates and the register.

coordinator.toml        public: the consortium's name, and where the coordinator answers
institutions.json       public: who belongs to it, see `institutions`
pki/authority.pem       public: the authority's certificate, which every invitation carries
pki/authority.key       secret: signs certificates; no process that is reached needs it
pki/server.pem .key     the certificate and secret key that the front shows
pki/superlink.pem .key  the same of Flower's SuperLink, which answers on this machine alone
pki/revoked.crl         public: the signed list of revoked certificates
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.x509 import Certificate

from fedcredit.adapters.disk import write_file
from fedcredit.adapters.institutions import (
    Institution,
    Register,
    Role,
    approve,
    invite,
    revoke,
    stamp,
    token_hash,
)
from fedcredit.adapters.invitation import Invitation
from fedcredit.adapters.pki import (
    WARN_DAYS,
    Authority,
    days_left,
    key_pem,
    new_authority,
    new_key,
    pem_of,
    read_certificate,
)
from fedcredit.data.strict import build, parse_toml
from fedcredit.errors import ConfigError
from fedcredit.federation.plan import check_name
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.units import InstitutionId

__all__ = [
    "AUTHORITY",
    "REGISTER",
    "REVOKED",
    "CoordinatorSettings",
    "approve_institution",
    "change_register",
    "init_coordinator",
    "invite_institution",
    "locked",
    "read_register",
    "read_settings",
    "renew_servers",
    "revoke_institution",
    "server_warning",
]

REGISTER: Final = "institutions.json"
AUTHORITY: Final = "pki/authority.pem"
REVOKED: Final = "pki/revoked.crl"
_SETTINGS: Final = "coordinator.toml"
_TOKEN_BYTES: Final = 32
_SERVERS: Final = ("server", "superlink")
_LOOPBACK: Final = ("localhost", "127.0.0.1")
_LONGEST: Final = timedelta(days=90)  # that an invitation may be open


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorSettings:
    """What ``coordinator.toml`` says.

    Attributes:
        consortium: its name.
        hosts: names and addresses that the coordinator answers at; members use the first.
        port: the only one that is open to the outside.
    """

    consortium: str
    hosts: tuple[str, ...]
    port: int

    def __post_init__(self) -> None:
        """Refuse what nobody can reach."""
        if not self.hosts or not 0 < self.port < 65536:
            raise ConfigError(
                f"{_SETTINGS} names no host, or port {self.port}",
                remedy='write hosts = ["fed.example.org"] and a port from 1 to 65535',
            )

    @property
    def url(self) -> str:
        """Where members reach it."""
        host = f"[{self.hosts[0]}]" if ":" in self.hosts[0] else self.hosts[0]
        return f"https://{host}:{self.port}"


_TEMPLATE: Final = """\
# A coordinator. What stands here is public.

consortium = {consortium}

# Names and addresses that the coordinator answers at. Members use the first. After a change:
# fedcredit coordinator renew FOLDER
hosts = {hosts}

# The only port that is open to the outside.
port = {port}
"""


def init_coordinator(
    folder: Path, settings: CoordinatorSettings, now: datetime, random: RandomBytes
) -> None:
    """Found a consortium: its authority, the servers' certificates, and an empty register.

    Raises:
        ConfigError: there is one in the folder already, a name is none, or nothing can
            be written.
    """
    authority = new_authority(settings.consortium, now, random)
    text = _TEMPLATE.format(
        consortium=json.dumps(settings.consortium, ensure_ascii=False),
        hosts=json.dumps(list(settings.hosts)),
        port=settings.port,
    )
    authority.server(new_key().public_key(), settings.hosts, now, random)  # is every host one?
    with locked(folder):
        if (folder / AUTHORITY).exists() or (folder / REGISTER).exists():
            raise ConfigError(
                f"there is a consortium in {folder}", remedy="keep it, or name another folder"
            )
        (folder / "pki").mkdir(mode=0o700, exist_ok=True)
        write_file(folder / _SETTINGS, text.encode())
        write_file(folder / "pki/authority.key", authority.key_pem)
        write_file(folder / AUTHORITY, authority.pem)
        _write_servers(folder, authority, settings, now, random)
        write_file(folder / REGISTER, Register().data())
        _write_revoked(folder, authority, Register(), now)


def read_settings(folder: Path) -> CoordinatorSettings:
    """Read ``coordinator.toml``.

    Raises:
        ConfigError: it is missing or malformed.
    """
    path = folder / _SETTINGS
    text = _read(path).decode("utf-8", "replace")
    return build(CoordinatorSettings, parse_toml(text, str(path)), str(path))


def read_register(folder: Path) -> Register:
    """Read who belongs to the consortium.

    Raises:
        ConfigError: the file is missing or malformed.
    """
    return Register.read(_read(folder / REGISTER), str(folder / REGISTER))


def change_register(folder: Path, change: Callable[[Register], Register]) -> Register:
    """Take one step; nobody else takes one meanwhile.

    Raises:
        ConfigError: the file is missing or malformed.
        FedCreditError: whatever ``change`` raises; then nothing is written.
    """
    with locked(folder):
        before = read_register(folder)
        after = change(before)
        if after != before:
            write_file(folder / REGISTER, after.data())
    return after


def renew_servers(folder: Path, now: datetime, random: RandomBytes) -> None:
    """Make new keys and certificates for the front and the SuperLink.

    Raises:
        ConfigError: a file is missing or malformed.
    """
    with locked(folder):
        _write_servers(folder, _authority(folder), read_settings(folder), now, random)


def server_warning(folder: Path, now: datetime) -> str:
    """What is to be said about a server's certificate that ends soon; empty if none does.

    Raises:
        ConfigError: a file is missing or malformed.
    """
    found = (read_certificate(_read(folder / f"pki/{name}.pem")) for name in _SERVERS)
    left = min(days_left(one, now) for one in found)
    if left >= WARN_DAYS:
        return ""
    when = f"ends in {left} days" if left >= 0 else "has ended"
    return f"the servers' certificate {when}: fedcredit coordinator renew {folder}"


def invite_institution(
    folder: Path, name: str, role: Role, open_for: timedelta, now: datetime, random: RandomBytes
) -> Invitation:
    """Invite one; its token is in the invitation and nowhere else.

    Args:
        folder: the coordinator's.
        name: as plans will have it.
        role: of it.
        open_for: how long, at most 90 days.
        now: with a time zone.
        random: for the token.

    Raises:
        ConfigError: the name or time is none, or a file is missing.
        EnrolmentRefused: the name is taken.
    """
    check_name(InstitutionId(name))
    if not timedelta() < open_for <= _LONGEST:
        raise ConfigError(
            f"an invitation cannot be open for {open_for}",
            remedy="choose at most 90 days, as in --expires 7d",
        )
    settings, expires = read_settings(folder), stamp(now + open_for)
    token = random(_TOKEN_BYTES).hex()
    hashed = token_hash(token)
    change_register(folder, lambda one: invite(one, name, role, hashed, expires))
    return Invitation(
        consortium=settings.consortium,
        url=settings.url,
        authority=_read(folder / AUTHORITY).decode("ascii"),
        name=InstitutionId(name),
        role=role,
        expires=expires,
        token=token,
    )


def approve_institution(
    folder: Path, name: str, words: str, now: datetime, random: RandomBytes
) -> Institution:
    """Give a certificate to whoever's keys have these words.

    Raises:
        ConfigError: nobody has the name, or a file is missing.
        EnrolmentRefused: it does not wait, or the words are others.
    """
    authority = _authority(folder)

    def issue(request: bytes) -> Certificate:
        """A certificate of the authority."""
        return authority.institution(name, request, now, random)

    return change_register(folder, lambda one: approve(one, name, words, issue)).named(name)


def revoke_institution(folder: Path, name: str, reason: str, now: datetime) -> None:
    """Let one in no more, from the next request on.

    Raises:
        ConfigError: nobody has the name, or a file is missing.
        EnrolmentRefused: it is revoked already.
    """
    authority = _authority(folder)
    register = change_register(folder, lambda one: revoke(one, name, reason))
    _write_revoked(folder, authority, register, now)  # the line above alone has shut it out


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Held by one thread of one process at a time; given back when it ends, however it ends.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / ".institutions.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as problem:
        raise ConfigError(
            f"{folder} cannot be written: {problem.strerror}", remedy="name another folder"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _authority(folder: Path) -> Authority:
    """The consortium's authority, with its key."""
    return Authority.read(_read(folder / AUTHORITY), _read(folder / "pki/authority.key"))


def _write_servers(
    folder: Path,
    authority: Authority,
    settings: CoordinatorSettings,
    now: datetime,
    random: RandomBytes,
) -> None:
    """New keys and certificates of both servers."""
    for name, hosts in zip(_SERVERS, (settings.hosts, _LOOPBACK), strict=True):
        key = new_key()
        certificate = authority.server(key.public_key(), hosts, now, random)
        write_file(folder / f"pki/{name}.key", key_pem(key))
        write_file(folder / f"pki/{name}.pem", pem_of(certificate))


def _write_revoked(folder: Path, authority: Authority, register: Register, now: datetime) -> None:
    """Replace the list; its number is the time, which rises."""
    data = authority.revocations(register.revoked(), int(now.timestamp()), now)
    write_file(folder / REVOKED, data)


def _read(path: Path) -> bytes:
    """A file's bytes."""
    try:
        return path.read_bytes()
    except OSError:
        raise ConfigError(
            f"{path} cannot be read",
            remedy="make a consortium first: fedcredit coordinator init FOLDER",
        ) from None
