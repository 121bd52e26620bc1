"""Dealing: one-time keys for a turn, shared among all members; and opening a dealt parcel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from fedcredit.codec import digest
from fedcredit.errors import PeerError
from fedcredit.secagg.keys import Identity, lock, public_of, signed_by, unlock
from fedcredit.secagg.lanes import Lanes, lane_at, open_card, stepped
from fedcredit.secagg.packages import (
    SEALED_BYTES,
    Header,
    Package,
    Parcel,
    blind_digest,
    commitment,
    header_digest,
)
from fedcredit.secagg.session import Session, Turn
from fedcredit.secagg.shamir import (
    NO_SHARE,
    PRIME,
    RandomBytes,
    read_shares,
    split,
    write_shares,
)
from fedcredit.units import InstitutionId

__all__ = ["NO_PAIR", "Dealt", "SharePair", "deal", "open_parcel"]

SharePair: TypeAlias = tuple[int, int]  # of b and of k

NO_PAIR: Final[SharePair] = (NO_SHARE, NO_SHARE)


@dataclass(frozen=True, slots=True, eq=False)
class Dealt:
    """Keys for one turn, and the package that was made with them.

    Attributes:
        turn: the one.
        secret: k, the one-time X25519 key.
        blind: b, the seed of the own mask.
        own: the shares that the dealer keeps of its own secrets.
        package: bytes that may leave, as often as they are asked for.
    """

    turn: Turn
    secret: bytes
    blind: bytes
    own: SharePair
    package: bytes

    def __repr__(self) -> str:
        """Never print a secret."""
        return f"Dealt({self.turn})"


def deal(
    identity: Identity,
    session: Session,
    turn: Turn,
    lanes: Lanes,
    random: RandomBytes,
) -> tuple[Dealt, Lanes]:
    """Make one-time keys for a turn, and share them among all members.

    Guarantee: fewer than t members together learn nothing of either secret. No key seals
    two texts, even if old lanes were put back and the randomness with them: it is derived
    from what commits to the text. The caller deals once for a turn, and keeps both states
    before the package leaves.

    Args:
        identity: ours.
        session: whose members hold the shares.
        turn: that the keys are for.
        lanes: ours, not spent.
        random: secret bytes.

    Returns:
        The keys, and the lanes for the next package, which cannot open this one.
    """
    secret, blind = random(32), random(32)
    count = len(session.members)
    header = Header(
        session=session.digest(),
        turn=turn,
        name=identity.name,
        public=public_of(secret),
        blind=blind_digest(blind),
        epoch=lanes.epoch,
        step=lanes.step,
    ).encode()
    of_blind = split(blind, session.threshold, count, random)
    of_secret = split(secret, session.threshold, count, random)
    parcels = []
    pairs = zip(of_blind, of_secret, strict=True)
    for at, (holder, pair) in enumerate(zip(session.members, pairs, strict=True)):
        texts = [write_shares([share]) for share in pair]
        promised = (
            commitment("blind", header, holder, texts[0]),
            commitment("secret", header, holder, texts[1]),
        )
        sealed = (
            bytes(SEALED_BYTES)
            if holder == identity.name
            else lock(lanes.key(at), b"".join(texts), _info(header, holder, promised))
        )
        unsigned = Parcel(sealed, *promised, b"")
        signature = identity.sign(unsigned.digest(header, holder))
        parcels.append(unsigned.encode() + signature)
    at = session.point(identity.name) - 1
    package = Package(header, identity.sign(header_digest(header)), b"".join(parcels))
    own = of_blind[at], of_secret[at]
    return Dealt(turn, secret, blind, own, package.encode()), stepped(lanes)


def open_parcel(
    identity: Identity, session: Session, package: tuple[Header, bytes], parcel: Parcel, card: bytes
) -> SharePair:
    """The shares of one dealer; none where they are not what it has committed to.

    Args:
        identity: ours.
        session: ours.
        package: the dealer's header and its bytes.
        parcel: of that package, for us.
        card: of that dealer, for us.
    """
    named, header = package
    dealer = named.name
    signed = parcel.digest(header, identity.name)
    if not signed_by(session.roster.member(dealer), parcel.signature, signed):
        return NO_PAIR
    promised = parcel.blind, parcel.secret
    try:
        lane = lane_at(open_card(identity, session, dealer, named.epoch, card), named.step)
        text = unlock(lane, parcel.sealed, _info(header, identity.name, promised))
        blind, secret = read_shares(text, 2)
    except PeerError:
        return NO_PAIR
    found = tuple(
        commitment(kind, header, identity.name, write_shares([share]))
        for kind, share in (("blind", blind), ("secret", secret))
    )
    if found != promised or max(blind, secret) >= PRIME:
        return NO_PAIR
    return blind, secret


def _info(header: bytes, holder: InstitutionId, promised: tuple[bytes, bytes]) -> bytes:
    """What the key of a dealer's shares for a holder is bound to: no two texts share it."""
    return digest("fedcredit/secagg/sealed/1", header, holder.encode(), *promised)
