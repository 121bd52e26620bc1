"""The roster: who the members are, by their keys, signed by the members themselves.

The coordinator hands it round and cannot change it. A roster counts for a member when that
member has signed it, and with it a quorum of all members; a later one also needs a quorum
of the one before, whose digest it names. Every package, manifest and mask is bound to its
digest, so two members with two rosters cannot even begin a turn together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from fedcredit.codec import digest, encode
from fedcredit.errors import PeerError
from fedcredit.secagg.keys import Identity, Kind, Member, signed_by
from fedcredit.units import InstitutionId

__all__ = [
    "Roster",
    "SignedRoster",
    "add_signature",
    "check_roster",
    "quorum_of",
    "sign_roster",
]

_MOST_MEMBERS = 1000


@dataclass(frozen=True, slots=True)
class Roster:
    """The members of a consortium in one epoch.

    Attributes:
        epoch: from 0, one more with every change.
        previous: digest of the roster before, empty for the first.
        members: by rising name, each with keys that no other has; all sealed for alike.

    Raises:
        PeerError: the members do not make a roster.
    """

    epoch: int
    previous: bytes
    members: tuple[Member, ...]
    _by_name: Mapping[InstitutionId, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what two members could read in two ways."""
        names = [member.name for member in self.members]
        problem = ""
        if not 1 <= len(names) <= _MOST_MEMBERS or names != sorted(set(names)):
            problem = "does not list 1 to 1000 members by rising name"
        elif len({member.signing for member in self.members}) != len(names):
            problem = "gives two members one signing key"
        elif len({member.sealing[-32:] for member in self.members}) != len(names):
            problem = "gives two members one sealing key"
        elif len({member.kind for member in self.members}) != 1:
            problem = "mixes kinds of sealing keys"
        elif self.epoch < 0 or len(self.previous) != (32 if self.epoch else 0):
            problem = "does not name the roster before it"
        if problem:
            raise PeerError(
                f"a roster {problem}", remedy="have the members draw up and sign another"
            )
        object.__setattr__(self, "_by_name", {member.name: member for member in self.members})

    @property
    def kind(self) -> Kind:
        """How shares are sealed in this epoch."""
        return self.members[0].kind

    def member(self, name: InstitutionId) -> Member:
        """The member of that name.

        Raises:
            PeerError: there is none.
        """
        if name not in self._by_name:
            raise PeerError(f"{name!r} is not in the roster", remedy="have the members sign it in")
        return self._by_name[name]

    def digest(self) -> bytes:
        """32 bytes that name the roster; what its members sign."""
        members = tuple((one.name, one.signing, one.sealing) for one in self.members)
        return digest("fedcredit/roster/1", encode((self.epoch, self.previous, members)))


@dataclass(frozen=True, slots=True)
class SignedRoster:
    """A roster with the signatures that it has so far.

    Attributes:
        roster: what is signed.
        signatures: by name, of members of it.
        approvals: by name, of members of the roster before it.
    """

    roster: Roster
    signatures: Mapping[InstitutionId, bytes] = field(default_factory=lambda: MappingProxyType({}))
    approvals: Mapping[InstitutionId, bytes] = field(default_factory=lambda: MappingProxyType({}))


def quorum_of(members: int) -> int:
    """Signatures that make a roster count: more than two thirds.

    >>> [quorum_of(n) for n in (3, 4, 6, 10)]
    [3, 3, 5, 7]
    """
    return 2 * members // 3 + 1


def sign_roster(signed: SignedRoster, identity: Identity) -> SignedRoster:
    """Add one's own signature; a person has looked at every fingerprint before.

    Args:
        signed: the roster.
        identity: of a member, of this roster or of the one before.

    Returns:
        The roster with one signature more.
    """
    signature = identity.sign(signed.roster.digest())
    mine = {identity.name: signature}
    if identity.card in signed.roster.members:
        both = {**signed.signatures, **mine}
        return SignedRoster(signed.roster, MappingProxyType(both), signed.approvals)
    return SignedRoster(
        signed.roster, signed.signatures, MappingProxyType({**signed.approvals, **mine})
    )


def add_signature(signed: SignedRoster, name: InstitutionId, signature: bytes) -> SignedRoster:
    """Add another's signature, if it is true.

    Raises:
        PeerError: it is not the member's under this roster, or there is no such member.
    """
    if not signed_by(signed.roster.member(name), signature, signed.roster.digest()):
        raise PeerError(
            f"the signature of {name!r} is not under this roster",
            remedy="fetch the roster again, and sign that",
        )
    both = {**signed.signatures, name: signature}
    return SignedRoster(signed.roster, MappingProxyType(both), signed.approvals)


def check_roster(signed: SignedRoster, own: Member, previous: Roster | None = None) -> Roster:
    """Hold a roster against the rule under which it counts for one member.

    Guarantee: if this returns, ``own`` and more than two thirds of all members have signed
    exactly this roster, and so have more than two thirds of those before.

    Args:
        signed: the roster with its signatures.
        own: the member that asks.
        previous: the roster that counted until now, if there was one.

    Returns:
        The roster.

    Raises:
        PeerError: a signature is missing or false, or it follows another roster.
    """
    roster = signed.roster
    name = roster.digest()
    problem = ""
    if roster.member(own.name) != own:
        problem = f"gives {own.name!r} other keys than its own"
    elif own.name not in signed.signatures:
        problem = f"has no signature of {own.name!r}"
    elif _count(signed.signatures, roster, name) < quorum_of(len(roster.members)):
        problem = f"has fewer than {quorum_of(len(roster.members))} true signatures of members"
    elif previous is not None and (roster.epoch, roster.previous) != (
        previous.epoch + 1,
        previous.digest(),
    ):
        problem = "does not follow the roster that counted until now"
    elif previous is not None and _count(
        _carried(signed, previous) | dict(signed.approvals), previous, name
    ) < quorum_of(len(previous.members)):
        problem = "has too few signatures of the members before"
    if problem:
        raise PeerError(
            f"the roster of epoch {roster.epoch} {problem}",
            remedy="compare fingerprints with the other members and have them sign: "
            "fedcredit node roster show, fedcredit node roster sign",
        )
    return roster


def _carried(signed: SignedRoster, previous: Roster) -> dict[InstitutionId, bytes]:
    """Signatures of members that still sign with the key that they had before."""
    keys = {(one.name, one.signing) for one in previous.members}
    return {
        one.name: signed.signatures[one.name]
        for one in signed.roster.members
        if one.name in signed.signatures and (one.name, one.signing) in keys
    }


def _count(signatures: Mapping[InstitutionId, bytes], roster: Roster, name: bytes) -> int:
    """True signatures of a roster's members; a false one is refused with all others.

    Raises:
        PeerError: a member's signature is false.
    """
    true = 0
    for member in roster.members:
        if member.name not in signatures:
            continue
        if not signed_by(member, signatures[member.name], name):
            raise PeerError(
                f"the signature of {member.name!r} under the roster is false",
                remedy="fetch the roster again from that member",
            )
        true += 1
    return true
