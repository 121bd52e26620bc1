"""Lanes: what costs an encapsulation is done once a session, and not once a package.

A dealer draws a lane key for every other member, seals each for its holder (a *card*) and
sends all cards with its first package. The shares of a package are sealed under keys that
are derived from the lane keys as they stand; then every lane key is replaced by a hash of
itself, and the old one is forgotten. A holder keeps nothing: the coordinator hands it the
cards with every start, and it walks from the card's key to the package's step.

Who reads a dealer's lanes reads the shares that it deals from then on, until it begins a
new epoch, and none that it dealt before. Who reads a holder's long-term key reads all that
was ever sealed for it, as with any key that outlives a message.

The cards are not signed apart. A card that was put in another's place makes the shares not
open, which is the accusation of a spoilt parcel; the commitments in the signed parcel decide
what a true share is, whoever sealed the card.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from fedcredit.codec import digest
from fedcredit.errors import PeerError
from fedcredit.secagg.forms import sized
from fedcredit.secagg.keys import Identity, Kind, Sealer, expand, seal, sealed_bytes, unseal
from fedcredit.secagg.session import Session
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.units import InstitutionId

__all__ = [
    "LANE_BYTES",
    "MOST_STEPS",
    "NO_LANES",
    "Cards",
    "Lanes",
    "card_bytes",
    "lane_at",
    "new_lanes",
    "open_card",
    "read_card",
    "stepped",
]

LANE_BYTES: Final = 32
_EPOCH_BYTES: Final = 32
MOST_STEPS: Final = 1 << 12  # far beyond any plan's rounds and retries; a walk of 6 ms
_STEP: Final = digest("fedcredit/secagg/lane-step/1")


@dataclass(frozen=True, slots=True, eq=False)
class Lanes:
    """A dealer's secret state in one session.

    Attributes:
        epoch: 32 random bytes that name the cards; public.
        step: packages that were dealt in this epoch, so the step of the next one.
        keys: one of 32 bytes a member of the session, in order, as they stand at ``step``;
            the one for itself is of no use.
        cards: the keys of step 0, each sealed for its holder, in the same order; public.
    """

    epoch: bytes
    step: int
    keys: bytes
    cards: bytes

    def __repr__(self) -> str:
        """Never print a key."""
        return f"Lanes(step {self.step})"

    @property
    def spent(self) -> bool:
        """Whether the next package needs a new epoch."""
        return not self.keys or self.step >= MOST_STEPS

    def key(self, at: int) -> bytes:
        """The key for the member in this place, from 0."""
        return self.keys[LANE_BYTES * at : LANE_BYTES * (at + 1)]


NO_LANES: Final = Lanes(b"", 0, b"", b"")  # before the first package, and after a vault was lost


@dataclass(frozen=True, slots=True)
class Cards:
    """What the coordinator keeps of a dealer for the session; public.

    Attributes:
        epoch: that headers name them by.
        sealed: all cards, one after the other.
    """

    epoch: bytes
    sealed: bytes


def new_lanes(
    identity: Identity, session: Session, random: RandomBytes, sealer: Sealer = seal
) -> Lanes:
    """Begin an epoch.

    Args:
        identity: the dealer's.
        session: whose members are the holders.
        random: secret bytes; 32 are drawn for the epoch and for each other member.
        sealer: how cards are sealed.

    Source: RFC 9180 for the cards.
    """
    epoch, keys, cards = random(_EPOCH_BYTES), [], []
    for holder in session.members:
        if holder == identity.name:
            keys.append(bytes(LANE_BYTES))
            cards.append(bytes(card_bytes(session.roster.kind)))
            continue
        keys.append(random(LANE_BYTES))
        info = _info(session, identity.name, epoch, holder)
        cards.append(sealer(session.roster.member(holder), keys[-1], info))
    return Lanes(epoch, 0, b"".join(keys), b"".join(cards))


def stepped(lanes: Lanes) -> Lanes:
    """The lanes after a package: no key that it was sealed under can be worked out from them.

    Source: RFC 5869, section 2.3, under a domain of its own.
    """
    count = len(lanes.keys) // LANE_BYTES
    keys = b"".join(expand(lanes.key(at), _STEP) for at in range(count))
    return replace(lanes, step=lanes.step + 1, keys=keys)


def lane_at(key: bytes, step: int) -> bytes:
    """The key of a lane at a step, from that of step 0: what `stepped` comes to.

    Raises:
        PeerError: the step is none that a dealer reaches.
    """
    if not 0 <= step < MOST_STEPS:
        raise PeerError(
            f"a lane's step is {step}, expected less than {MOST_STEPS}",
            remedy="drop the package; its dealer should have begun a new epoch",
        )
    for _ in range(step):
        key = expand(key, _STEP)
    return key


def open_card(
    identity: Identity, session: Session, dealer: InstitutionId, epoch: bytes, card: bytes
) -> bytes:
    """The key of a dealer's lane to us, at step 0.

    Raises:
        PeerError: the card is for another holder, of another dealer, epoch or session, or
            was altered.
    """
    info = _info(session, dealer, epoch, identity.name)
    return sized(unseal(identity, card, info), LANE_BYTES)


def card_bytes(kind: Kind) -> int:
    """Length of a card."""
    return sealed_bytes(kind, LANE_BYTES)


def read_card(cards: bytes, at: int, kind: Kind) -> bytes:
    """Cut one card out of several.

    Raises:
        PeerError: there are fewer.
    """
    size = card_bytes(kind)
    return sized(cards[at * size : (at + 1) * size], size)


def _info(session: Session, dealer: InstitutionId, epoch: bytes, holder: InstitutionId) -> bytes:
    """The context under which a lane key is sealed."""
    names = dealer.encode(), epoch, holder.encode()
    return digest("fedcredit/secagg/lane/1", session.digest(), *names)
