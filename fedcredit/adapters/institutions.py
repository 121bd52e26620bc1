"""Who belongs to a consortium, as its coordinator knows it: public facts, and how they change.

    (nobody) -- invite --> invited -- ask --> waiting -- approve --> member -- revoke --> revoked

Every step is a function from one register to the next, or a refusal that changes nothing.
Of an invitation's token only the hash is here. What a request brought is fixed with the
six words that stand for all of it, so an approval of the words is one of every key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from cryptography.x509 import Certificate

from fedcredit.adapters.pki import pem_of, public_bytes, read_request, serial_of
from fedcredit.adapters.words import same_words, words_of
from fedcredit.codec import digest
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError, EnrolmentRefused, FedCreditError
from fedcredit.ledger.signatures import read_key
from fedcredit.secagg.keys import Member
from fedcredit.units import InstitutionId

__all__ = [
    "NO_CARD",
    "Institution",
    "PublicCard",
    "Register",
    "Role",
    "approve",
    "ask",
    "ask_renewal",
    "check_card",
    "check_reason",
    "invite",
    "of_token",
    "revoke",
    "stamp",
    "token_hash",
    "words_for",
]

Role: TypeAlias = Literal["institution", "auditor"]
State: TypeAlias = Literal["invited", "waiting", "member", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCard:
    """What an institution shows when it joins; all of it is public. An auditor has no keys.

    Attributes:
        request: certificate request, PEM.
        signing: of secure aggregation, hex, see `secagg.keys`.
        sealing: the same.
        ledger: verifier key of its ledger.
        witness: verifier key of its witness.
        node: the key that its node shows to Flower, OpenSSH.
    """

    request: str = ""
    signing: str = ""
    sealing: str = ""
    ledger: str = ""
    witness: str = ""
    node: str = ""


NO_CARD: Final = PublicCard()
_REASON_LIMIT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Institution:
    """One of the consortium.

    Attributes:
        name: as plans name it.
        role: an auditor reads, and takes part in no study.
        state: see the module.
        token: SHA-256 of the invitation's, hex.
        expires: until when it can be used, ``2026-01-31T12:00:00Z``.
        card: what it has shown.
        words: of the request that waits, or waited last.
        renewal: a request for the next certificate, PEM; waits for approval.
        certificate: the one that it has, PEM.
        serials: of all that it ever had, hex.
        reason: why it was revoked.
    """

    name: InstitutionId
    role: Role
    state: State
    token: str
    expires: str
    card: PublicCard = NO_CARD
    words: str = ""
    renewal: str = ""
    certificate: str = ""
    serials: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """All of them, by name.

    Attributes:
        institutions: each once.
    """

    institutions: tuple[Institution, ...] = ()

    @classmethod
    def read(cls, data: bytes, where: str) -> Register:
        """Read what `data` gave.

        Raises:
            ConfigError: it is malformed.
        """
        try:
            table = json.loads(data)
        except (UnicodeDecodeError, ValueError, RecursionError):
            table = None
        if not isinstance(table, dict):
            raise ConfigError(f"{where} is not a JSON object", remedy="restore it from its backup")
        return build(cls, table, where)

    def data(self) -> bytes:
        """As it is written."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    def find(self, name: str) -> tuple[Institution, ...]:
        """The one of a name, or none."""
        return tuple(one for one in self.institutions if one.name == name)

    def named(self, name: str) -> Institution:
        """The one of a name.

        Raises:
            ConfigError: there is none.
        """
        for one in self.find(name):
            return one
        raise ConfigError(
            f"nobody is called {name!r}",
            remedy="look at the names: fedcredit coordinator institutions FOLDER",
        )

    def put(self, changed: Institution) -> Register:
        """The register with one entry new or replaced."""
        others = [one for one in self.institutions if one.name != changed.name]
        ordered = sorted([*others, changed], key=lambda one: one.name)
        return Register(institutions=tuple(ordered))

    def revoked(self) -> tuple[int, ...]:
        """Numbers of the certificates that count no more."""
        gone = (one for one in self.institutions if one.state == "revoked")
        return tuple(int(serial, 16) for one in gone for serial in one.serials)


def stamp(moment: datetime) -> str:
    """A moment as the register has it; later ones sort after earlier ones.

    >>> stamp(datetime(2026, 1, 31, 12, tzinfo=UTC))
    '2026-01-31T12:00:00Z'
    """
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def token_hash(token: str) -> str:
    """What is kept of a token: it has 256 random bits, so one plain hash hides it."""
    return hashlib.sha256(token.encode()).hexdigest()


def words_for(name: str, card: PublicCard) -> str:
    """Six words for an institution's name and all keys that it shows.

    Raises:
        PeerError: the request in it is none.
    """
    key = public_bytes(read_request(card.request.encode()))
    rest = (name, card.signing, card.sealing, card.ledger, card.witness, card.node)
    return words_of(digest("fedcredit/enrol/1", key, *(text.encode() for text in rest)))


def check_card(name: str, role: Role, card: PublicCard) -> None:
    """Refuse a card with a key that is none, or whose names are another's.

    Raises:
        EnrolmentRefused: kind ``malformed``.
    """
    try:
        read_request(card.request.encode())
        if role == "institution":
            Member(InstitutionId(name), bytes.fromhex(card.signing), bytes.fromhex(card.sealing))
            read_key(card.ledger)
            read_key(card.witness)
            node = load_ssh_public_key(card.node.encode())
            if isinstance(node, EllipticCurvePublicKey) and isinstance(node.curve, SECP384R1):
                return
        elif card == PublicCard(request=card.request):
            return
    except (FedCreditError, UnsupportedAlgorithm, ValueError):
        pass
    raise EnrolmentRefused(
        f"the keys that {name!r} shows are not those of {role}s",
        remedy="make them with fedcredit node init, and join anew",
        kind="malformed",
    )


def check_reason(text: str) -> None:
    """Refuse a reason that does not fit into a line of a ledger.

    Raises:
        ConfigError: it is long, or not in printable ASCII.
    """
    if len(text) > _REASON_LIMIT or not (text.isascii() and text.isprintable()):
        raise ConfigError(
            "the reason is not a plain text",
            remedy=f"write at most {_REASON_LIMIT} signs of printable ASCII",
        )


def invite(register: Register, name: str, role: Role, token: str, expires: str) -> Register:
    """Invite one; one that was invited and has not asked, or is revoked, can be anew.

    Args:
        register: as it is.
        name: checked by the caller.
        role: of it.
        token: its hash, see `token_hash`.
        expires: see `stamp`.

    Raises:
        EnrolmentRefused: kind ``taken``: the name waits or is a member's.
    """
    before = register.find(name)
    if before and before[0].state in ("waiting", "member"):
        raise EnrolmentRefused(
            f"the name {name!r} is taken: its state is {before[0].state!r}",
            remedy="choose another name, or revoke that one first",
            kind="taken",
        )
    serials = before[0].serials if before and before[0].state == "revoked" else ()
    if serials:  # the old certificates stay on the list, under a name that nobody can invite
        gone = replace(before[0], name=InstitutionId(f"{name}#{serials[-1][:16]}"))
        register = register.put(gone)
    entry = Institution(
        name=InstitutionId(name), role=role, state="invited", token=token, expires=expires
    )
    return register.put(entry)


def of_token(register: Register, name: str, token: str) -> Institution:
    """The one whose invitation has this token.

    Raises:
        EnrolmentRefused: kind ``unknown``; it does not tell which of the two is.
    """
    for one in register.find(name):
        if hmac.compare_digest(one.token, token_hash(token)):
            return one
    raise EnrolmentRefused(
        "there is no invitation with this name and token",
        remedy="use the invitation file as it came, or ask the coordinator for a new one",
        kind="unknown",
    )


def ask(register: Register, name: str, token: str, card: PublicCard, now: str) -> Register:
    """Ask to be let in; to ask the same again changes nothing, in case an answer was lost.

    Raises:
        EnrolmentRefused: kind ``unknown``, ``used``, ``expired`` or ``malformed``.
    """
    found = of_token(register, name, token)
    if found.state != "invited":
        if found.state in ("waiting", "member") and found.card == card:
            return register
        raise EnrolmentRefused(
            f"the invitation of {name!r} has been used",
            remedy="if it was not by you, telephone the coordinator: it must not approve",
            kind="used",
        )
    if now >= found.expires:
        raise EnrolmentRefused(
            f"the invitation of {name!r} ended at {found.expires}",
            remedy="ask the coordinator for a new one",
            kind="expired",
        )
    check_card(name, found.role, card)
    words = words_for(name, card)
    return register.put(replace(found, state="waiting", card=card, words=words))


def ask_renewal(register: Register, name: str, request: str) -> Register:
    """Ask for a next certificate, with a new key; the words are of that key.

    Raises:
        EnrolmentRefused: kind ``state``: it is no member.
        PeerError: the request is none.
    """
    found = register.named(name)
    if found.state != "member":
        raise _not_in("member", found)
    words = words_for(name, replace(found.card, request=request))
    return register.put(replace(found, renewal=request, words=words))


def approve(
    register: Register, name: str, words: str, issue: Callable[[bytes], Certificate]
) -> Register:
    """Let in who waits, or give a member the next certificate, if the words are the same.

    Args:
        register: as it is.
        name: who waits.
        words: as its people read them out.
        issue: makes a certificate from a request.

    Raises:
        ConfigError: nobody has the name.
        EnrolmentRefused: kind ``state``: it does not wait; ``words``: the words are others.
    """
    found = register.named(name)
    if found.state != "waiting" and not (found.state == "member" and found.renewal):
        raise _not_in("waiting", found)
    if not same_words(words, found.words):
        raise EnrolmentRefused(
            f"these are not the words of the keys that came for {name!r}",
            remedy="have them read out again; if they stay different, somebody else has sent "
            f"the keys: fedcredit coordinator revoke FOLDER {name}",
            kind="words",
        )
    request = found.renewal or found.card.request
    certificate = issue(request.encode())
    return register.put(
        replace(
            found,
            state="member",
            card=replace(found.card, request=request),
            renewal="",
            certificate=pem_of(certificate).decode(),
            serials=(*found.serials, serial_of(certificate)),
        )
    )


def revoke(register: Register, name: str, reason: str) -> Register:
    """Let one in no more, whatever its state.

    Raises:
        ConfigError: nobody has the name.
        EnrolmentRefused: kind ``state``: it is revoked already.
    """
    found = register.named(name)
    if found.state == "revoked":
        raise _not_in("invited, waiting or member", found)
    return register.put(replace(found, state="revoked", reason=reason, renewal=""))


def _not_in(wanted: str, found: Institution) -> EnrolmentRefused:
    """The refusal of a step that does not follow from the state."""
    return EnrolmentRefused(
        f"{found.name!r} is in the state {found.state!r}, expected {wanted}",
        remedy="look at it: fedcredit coordinator institutions FOLDER",
        kind="state",
    )
