"""Dealing: one-time keys for a turn, shared among all members; and opening a dealt parcel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from fedcredit.codec import digest
from fedcredit.errors import PeerError
from fedcredit.secagg.keys import Identity, Sealer, public_of, seal, sealed_bytes, signed_by, unseal
from fedcredit.secagg.packages import (
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
    random: RandomBytes,
    *,
    sealer: Sealer = seal,
) -> Dealt:
    """Make one-time keys for a turn, and share them among all members.

    Guarantee: fewer than t members together learn nothing of either secret. The caller
    deals once for a turn, and keeps the state before the package leaves.

    Args:
        identity: ours.
        session: whose members hold the shares.
        turn: that the keys are for.
        random: secret bytes.
        sealer: how shares are sealed.
    """
    secret, blind = random(32), random(32)
    count, kind = len(session.members), session.roster.kind
    header = Header(
        session=session.digest(),
        turn=turn,
        name=identity.name,
        public=public_of(secret),
        blind=blind_digest(blind),
    ).encode()
    of_blind = split(blind, session.threshold, count, random)
    of_secret = split(secret, session.threshold, count, random)
    parcels = []
    for holder, pair in zip(session.members, zip(of_blind, of_secret, strict=True), strict=True):
        texts = [write_shares([share]) for share in pair]
        sealed = (
            bytes(sealed_bytes(kind))
            if holder == identity.name
            else sealer(session.roster.member(holder), b"".join(texts), _info(header, holder))
        )
        unsigned = Parcel(
            sealed,
            commitment("blind", header, holder, texts[0]),
            commitment("secret", header, holder, texts[1]),
            b"",
        )
        signature = identity.sign(unsigned.digest(header, holder))
        parcels.append(unsigned.encode() + signature)
    at = session.point(identity.name) - 1
    package = Package(header, identity.sign(header_digest(header)), b"".join(parcels))
    return Dealt(turn, secret, blind, (of_blind[at], of_secret[at]), package.encode())


def open_parcel(
    identity: Identity, session: Session, dealer: InstitutionId, header: bytes, parcel: Parcel
) -> SharePair:
    """The shares of one dealer; none where they are not what it has committed to."""
    signed = parcel.digest(header, identity.name)
    if not signed_by(session.roster.member(dealer), parcel.signature, signed):
        return NO_PAIR
    try:
        text = unseal(identity, parcel.sealed, _info(header, identity.name))
        blind, secret = read_shares(text, 2)
    except PeerError:
        return NO_PAIR
    promised = parcel.blind, parcel.secret
    found = tuple(
        commitment(kind, header, identity.name, write_shares([share]))
        for kind, share in (("blind", blind), ("secret", secret))
    )
    if found != promised or max(blind, secret) >= PRIME:
        return NO_PAIR
    return blind, secret


def _info(header: bytes, holder: InstitutionId) -> bytes:
    """The context under which a dealer's shares are sealed for a holder."""
    return digest("fedcredit/secagg/sealed/1", header, holder.encode())
