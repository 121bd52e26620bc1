"""An institution's way into a consortium: it asks, its people say six words, it gets a certificate.

keys/member.next.pem   secret: a key that waits for its certificate, and the request for it
keys/member.pem        secret: the key and the certificate, in one file so that both change at once
keys/authority.pem     public: certificate of the consortium's authority
coordinator.json       public: where the coordinator is, and as whom the node is known to it

A step that broke off is done again by the same command: the same key, the same request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fedcredit.adapters.desk_line import DeskLine, shown
from fedcredit.adapters.disk import write_file
from fedcredit.adapters.folders import read_node
from fedcredit.adapters.institutions import NO_CARD, Role, check_card, words_for
from fedcredit.adapters.invitation import Invitation
from fedcredit.adapters.left import LEFT, refuse_left
from fedcredit.adapters.node_folder import card_of
from fedcredit.adapters.pki import (
    WARN_DAYS,
    days_left,
    institution_of,
    key_pem,
    new_key,
    public_bytes,
    read_certificate,
    read_request,
    request_for,
)
from fedcredit.adapters.system import Clock
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError, EnrolmentRefused, PeerError, UnreachableError
from fedcredit.units import InstitutionId

__all__ = [
    "CoordinatorPlace",
    "Patience",
    "join",
    "member_until",
    "member_warning",
    "read_place",
    "renew",
]

_NEXT: Final = "keys/member.next.pem"
_MEMBER: Final = "keys/member.pem"
_AUTHORITY: Final = "keys/authority.pem"
_PLACE: Final = "coordinator.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinatorPlace:
    """What ``coordinator.json`` says.

    Attributes:
        consortium: its name.
        url: of the coordinator.
        name: of the institution, as the coordinator knows it.
        role: of it.
    """

    consortium: str
    url: str
    name: InstitutionId
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the operator.

    Attributes:
        clock: to wait by.
        most_s: then give up; to ask again is harmless.
        pause_s: between two questions.
    """

    clock: Clock
    most_s: float = 3600.0
    pause_s: float = 3.0


def join(
    folder: Path, invitation: Invitation, patience: Patience, say: Callable[[str], None]
) -> None:
    """Ask to be let in, say the six words, wait for approval, and keep the certificate.

    Args:
        folder: the node's, see `node_folder`; an auditor's may be empty.
        invitation: as it came.
        patience: how long to wait.
        say: is given the six words, once.

    Raises:
        ConfigError: a file is missing or wrong, or the node has joined already.
        EnrolmentRefused: the coordinator does not let it in; ``kind`` says why.
        PeerError: the coordinator is not the one of the invitation.
        UnreachableError: it does not answer, or its operator does not.
    """
    if (folder / _MEMBER).exists() and not (folder / LEFT).exists():
        raise ConfigError(
            f"{folder} has joined already", remedy="for a new certificate: fedcredit node renew"
        )
    key, request = _waiting(folder, invitation.name)
    card = card_of(folder, request) if invitation.role == "institution" else NO_CARD
    card = replace(card, request=request)
    if invitation.role == "institution":
        _check_name(folder, invitation)
    check_card(invitation.name, invitation.role, card)
    with DeskLine(invitation.url, invitation.authority) as line:
        who = {"name": invitation.name, "token": invitation.token}
        line.ask("request", {**who, "card": asdict(card)})
        say(words_for(invitation.name, card))
        certificate = _await(lambda: line.ask("poll", who), request, patience)
    _check(certificate, invitation.authority, invitation.name)
    place = CoordinatorPlace(
        consortium=invitation.consortium,
        url=invitation.url,
        name=invitation.name,
        role=invitation.role,
    )
    write_file(folder / _PLACE, (json.dumps(asdict(place), indent=2) + "\n").encode())
    write_file(folder / _AUTHORITY, invitation.authority.encode())
    _keep(folder, key, certificate)
    (folder / LEFT).unlink(missing_ok=True)


def renew(folder: Path, patience: Patience, say: Callable[[str], None]) -> None:
    """Get the next certificate, for a new key; the present one counts until its end.

    Raises:
        ConfigError: the node has not joined, or has left.
        EnrolmentRefused: the coordinator refuses; ``kind`` says why.
        PeerError: the coordinator is not the one that the node has joined.
        UnreachableError: it does not answer, or its operator does not.
    """
    refuse_left(folder)
    place, authority = read_place(folder), _text(folder / _AUTHORITY)
    key, request = _waiting(folder, place.name)
    card = card_of(folder, request) if place.role == "institution" else NO_CARD
    with DeskLine(place.url, authority, folder / _MEMBER) as line:
        line.ask("renew", {"request": request})
        say(words_for(place.name, replace(card, request=request)))
        certificate = _await(lambda: line.ask("certificate", {}), request, patience)
    _check(certificate, authority, place.name)
    _keep(folder, key, certificate)


def read_place(folder: Path) -> CoordinatorPlace:
    """Where the coordinator of a node is.

    Raises:
        ConfigError: the node has not joined, or the file is malformed.
    """
    path = folder / _PLACE
    try:
        table = json.loads(_text(path))
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is not a JSON object", remedy="restore it from its backup")
    return build(CoordinatorPlace, table, str(path))


def member_until(folder: Path) -> datetime:
    """When a node's certificate ends.

    Raises:
        ConfigError: the node has not joined.
    """
    return read_certificate(_certificate_in(_text(folder / _MEMBER))).not_valid_after_utc


def member_warning(folder: Path, now: datetime) -> str:
    """What is to be said about a node's certificate that ends soon; empty if it does not.

    Raises:
        ConfigError: the node has not joined.
    """
    left = days_left(read_certificate(_certificate_in(_text(folder / _MEMBER))), now)
    if left >= WARN_DAYS:
        return ""
    when = f"ends in {left} days" if left >= 0 else "has ended"
    return f"the node's certificate {when}: fedcredit node renew {folder}"


def _await(ask: Callable[[], Mapping[str, object]], request: str, patience: Patience) -> str:
    """The certificate for a request, when it is there."""
    wanted = public_bytes(read_request(request.encode()))
    begun = patience.clock.now()
    while True:
        answer = ask()
        state, certificate = answer.get("state"), answer.get("certificate")
        if state not in ("waiting", "member"):
            raise EnrolmentRefused(
                f"the coordinator has set the institution to {shown(state)!r}",
                remedy="telephone the coordinator",
                kind="state",
            )
        if isinstance(certificate, str) and certificate:
            found = read_certificate(certificate.encode())
            if public_bytes(found.public_key()) == wanted:
                return certificate
        if patience.clock.now() - begun >= patience.most_s:
            raise UnreachableError(
                f"nobody has approved within {patience.most_s:g} seconds",
                remedy="read the words to the coordinator's operator, and give the command again",
            )
        patience.clock.wait(patience.pause_s)


def _check(certificate: str, authority: str, name: str) -> None:
    """Refuse a certificate that would be of no use."""
    found, root = read_certificate(certificate.encode()), read_certificate(authority.encode())
    try:
        found.verify_directly_issued_by(root)
        sound = institution_of(found) == name
    except (ValueError, TypeError, InvalidSignature):
        sound = False
    if not sound:
        raise PeerError(
            "the certificate that came is another's, or not of the consortium's authority",
            remedy="telephone the coordinator",
        )


def _waiting(folder: Path, name: str) -> tuple[bytes, str]:
    """A key that waits for its certificate, and the request; made if there is none."""
    path = folder / _NEXT
    if not path.exists():
        key = new_key()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, key_pem(key) + request_for(key, name))
    text = _text(path)
    at = text.find("-----BEGIN CERTIFICATE REQUEST-----")
    key_part, request = text[:at].encode(), text[at:]
    try:
        found = load_pem_private_key(key_part, None).public_key()
        if public_bytes(found) == public_bytes(read_request(request.encode())):
            return key_part, request
    except (ValueError, TypeError, PeerError):
        pass
    raise ConfigError(f"{path} is malformed", remedy="remove it, and give the command again")


def _keep(folder: Path, key: bytes, certificate: str) -> None:
    """Put key and certificate in force."""
    write_file(folder / _MEMBER, key + certificate.encode())
    (folder / _NEXT).unlink()


def _check_name(folder: Path, invitation: Invitation) -> None:
    """Refuse another's invitation, before anything is sent."""
    name = read_node(folder).institution
    if name != invitation.name:
        raise ConfigError(
            f"the invitation is for {invitation.name!r}, the node is {name!r}",
            remedy="use the node's own invitation",
        )


def _certificate_in(text: str) -> bytes:
    """The certificate in a file that begins with its key."""
    return text[text.find("-----BEGIN CERTIFICATE-----") :].encode()


def _text(path: Path) -> str:
    """A file's text."""
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{path} cannot be read", remedy="join first: fedcredit node join FOLDER INVITE"
        ) from None
