"""What all sides agree on before a mask is drawn: members, threshold, and one turn's manifest.

A session is one study under one roster. A turn is one secure sum: a round, or a retry of
it. Everything secret in a turn is bound to its context, the hash of the manifest, in
which every public parameter stands; whoever holds another manifest derives other masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fedcredit.codec import Value, decode, digest, encode
from fedcredit.errors import PeerError, PrivacyError
from fedcredit.secagg.ring import RING_BITS, Ring
from fedcredit.secagg.roster import Roster
from fedcredit.units import InstitutionId

__all__ = [
    "Asked",
    "Floor",
    "Manifest",
    "Session",
    "Turn",
    "check_floor",
    "decode_manifest",
    "encode_manifest",
    "turn_of",
]

Turn: TypeAlias = tuple[int, int]  # round and attempt, each from 0

VERSION: Final = "fedcredit/secagg/1"
_MOST: Final = 1 << 20
_MANIFEST_LIMIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Session:
    """A study as secure aggregation sees it; wholly public.

    Attributes:
        study: 32 bytes that name all that is agreed besides.
        roster: whose keys count.
        members: who takes part, by rising name; n of them.
        threshold: t, fewest members whose numbers may be summed, and shares that open.
        colluders: c, members that may conspire with the coordinator.

    Raises:
        PrivacyError: with these n, t and c a coordinator could open one member's numbers.
        PeerError: a member is not in the roster, or named twice.
    """

    study: bytes
    roster: Roster
    members: tuple[InstitutionId, ...]
    threshold: int
    colluders: int
    _name: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hold n, t and c against the safety argument, not against a default."""
        n, t, c = len(self.members), self.threshold, self.colluders
        if list(self.members) != sorted(set(self.members)) or len(self.study) != 32:
            raise PeerError(
                "a session's members do not rise, or its study is not named by 32 bytes",
                remedy="name each member once, and the study by its plan's digest",
            )
        for member in self.members:
            self.roster.member(member)
        if c < 1 or t - c < 2 or not (n + c) // 2 + 1 <= t <= n:
            raise PrivacyError(
                f"threshold {t} with {c} colluders among {n} members",
                remedy="take colluders of 1 or more, and a threshold from (members + colluders) "
                "/ 2 + 1 to all members and at least colluders + 2",
            )

        name = digest(VERSION, self.study, self.roster.digest(), encode((self.members, t, c)))
        object.__setattr__(self, "_name", name)

    def digest(self) -> bytes:
        """32 bytes that name the session."""
        return self._name

    def point(self, name: InstitutionId) -> int:
        """Where a member's shares lie, from 1."""
        return self.members.index(name) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A member's own, non-negotiable: what it takes part in, whoever asks.

    Attributes:
        members: fewest of them.
        threshold: smallest t.
        colluders: smallest c.
        honest: fewest members beside the colluders in every sum.
        rings: sizes that numbers may be masked in.
    """

    members: int = 3
    threshold: int = 3
    colluders: int = 1
    honest: int = 2
    rings: tuple[int, ...] = RING_BITS


def check_floor(floor: Floor, session: Session) -> None:
    """Refuse a session below the floor.

    Raises:
        PrivacyError: a parameter is below it; the message names both numbers.
    """
    for name, found, least in (
        ("members", len(session.members), floor.members),
        ("threshold", session.threshold, floor.threshold),
        ("colluders", session.colluders, floor.colluders),
        ("honest members", session.threshold - session.colluders, floor.honest),
    ):
        if found < least:
            raise PrivacyError(
                f"{found} {name}, our floor is {least}",
                remedy="have the study changed; the floor is not for the coordinator to move",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is summed in a turn; each member works it out for itself and compares.

    Attributes:
        turn: round and attempt.
        dim: numbers in the sum.
        ring: in which they are masked.
        question: the bytes that were asked; they hold the model, where there is one.
        parameters: every public number that shapes the answer: clip, grid, noise, bound.
    """

    turn: Turn
    dim: int
    ring: Ring
    question: bytes
    parameters: Mapping[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One turn, wholly public, the same for every member.

    Attributes:
        session: digest of the session.
        asked: what is summed; its question stands here by its digest only.
        participants: U1, whose packages are used, by rising name.
        packages: digest of each participant's header, in that order.
    """

    session: bytes
    asked: Asked
    participants: tuple[InstitutionId, ...]
    packages: tuple[bytes, ...]

    def context(self) -> bytes:
        """32 bytes that every secret of the turn is bound to."""
        return digest("fedcredit/secagg/context/1", encode_manifest(self))


def encode_manifest(manifest: Manifest) -> bytes:
    """The one byte form of a manifest."""
    asked = manifest.asked
    return encode(
        {
            "attempt": asked.turn[1],
            "bits": asked.ring.bits,
            "dim": asked.dim,
            "packages": manifest.packages,
            "parameters": asked.parameters,
            "participants": manifest.participants,
            "question": digest("fedcredit/secagg/question/1", asked.question),
            "round": asked.turn[0],
            "session": manifest.session,
            "version": VERSION,
        }
    )


def decode_manifest(data: bytes, session: Session, asked: Asked) -> Manifest:
    """Read a manifest that must be about what we would be willing to answer.

    Guarantee: returns only a manifest whose every field but participants and packages is
    what ``session`` and ``asked`` say, byte for byte.

    Args:
        data: what the coordinator sent.
        session: ours.
        asked: worked out by ourselves from the question and what we agreed to.

    Raises:
        PeerError: it is no manifest, or differs in any parameter; or its participants are
            not enough of the session's members.
    """
    body = decode(data, size_limit_bytes=_MANIFEST_LIMIT_BYTES)
    names = body.get("participants") if isinstance(body, Mapping) else None
    packages = body.get("packages") if isinstance(body, Mapping) else None
    if not isinstance(names, tuple) or not isinstance(packages, tuple):
        raise _differs("no manifest")
    # Whatever is left out here makes other bytes than those that were sent.
    participants = tuple(InstitutionId(name) for name in names if isinstance(name, str))
    manifest = Manifest(
        session=session.digest(),
        asked=asked,
        participants=participants,
        packages=tuple(one for one in packages if isinstance(one, bytes) and len(one) == 32),
    )
    if encode_manifest(manifest) != data:
        raise _differs("of another turn, session or question, or changes a parameter")
    if (
        list(participants) != sorted(set(participants))
        or not set(participants) <= set(session.members)
        or len(manifest.packages) != len(participants)
        or len(participants) < session.threshold
    ):
        raise _differs("about participants that are not enough of the session's members")
    return manifest


def turn_of(round_: Value, attempt: Value) -> Turn:
    """A turn from two decoded values.

    Raises:
        PeerError: they are no small counts.
    """
    return _count(round_), _count(attempt)


def _count(value: Value) -> int:
    """A number of rounds or attempts."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST:
        raise PeerError("a turn is not one", remedy="drop the message")
    return value


def _differs(how: str) -> PeerError:
    """The error for a manifest that is not what we would answer."""
    return PeerError(
        f"the manifest is {how}",
        remedy="refuse the turn; have both sides load the same plan and roster",
    )
