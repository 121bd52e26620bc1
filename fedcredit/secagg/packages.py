"""A package: a dealer's one-time keys for one turn, with a parcel of shares for every member.

The header is for everybody and is signed once; a parcel is for its holder and is signed
for it, so a spoilt parcel harms nothing but the share in it. Parcels are of fixed length:
the coordinator cuts them out and hands them on without reading them. What opens them is
derived from a lane, see `lanes`; the cards of the lanes travel with a dealer's first package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fedcredit.codec import decode, digest, encode
from fedcredit.secagg.forms import bytes_of, fields_of, malformed, sized
from fedcredit.secagg.keys import SIGNATURE_BYTES, TAG_BYTES
from fedcredit.secagg.lanes import MOST_STEPS
from fedcredit.secagg.session import Turn, turn_of
from fedcredit.secagg.shamir import SHARE_BYTES
from fedcredit.units import InstitutionId

__all__ = [
    "PARCEL_BYTES",
    "SEALED_BYTES",
    "Header",
    "Package",
    "Parcel",
    "Prepared",
    "blind_digest",
    "commitment",
    "decode_header",
    "header_digest",
    "read_parcel",
]

_DIGEST_BYTES: Final = 32
_SMALL_BYTES: Final = 1 << 22
SEALED_BYTES: Final = 2 * SHARE_BYTES + TAG_BYTES
PARCEL_BYTES: Final = SEALED_BYTES + 2 * _DIGEST_BYTES + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The public half of a package.

    Attributes:
        session: digest of the session.
        turn: that the keys are for, and for no other.
        name: of the dealer.
        public: X25519 one-time key, 32 bytes.
        blind: H(b): commitment to the seed of the dealer's own mask, 32 bytes.
        epoch: of the lanes that the shares are sealed by, 32 bytes.
        step: of those lanes.
    """

    session: bytes
    turn: Turn
    name: InstitutionId
    public: bytes
    blind: bytes
    epoch: bytes
    step: int

    def encode(self) -> bytes:
        """The one byte form."""
        return encode(
            {
                "attempt": self.turn[1],
                "blind": self.blind,
                "epoch": self.epoch,
                "name": self.name,
                "public": self.public,
                "round": self.turn[0],
                "session": self.session,
                "step": self.step,
            }
        )


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a dealer has for one holder.

    Attributes:
        sealed: both shares, sealed for the holder, `SEALED_BYTES`; zeros for the dealer itself.
        blind: commitment to the share of b.
        secret: commitment to the share of k.
        signature: of the dealer, under header, holder and all of this.
    """

    sealed: bytes
    blind: bytes
    secret: bytes
    signature: bytes

    def encode(self) -> bytes:
        """`PARCEL_BYTES` of them."""
        return self.sealed + self.blind + self.secret + self.signature

    def digest(self, header: bytes, holder: InstitutionId) -> bytes:
        """What the dealer signs."""
        return digest(
            "fedcredit/secagg/parcel/1",
            header,
            holder.encode(),
            self.sealed,
            self.blind,
            self.secret,
        )


@dataclass(frozen=True, slots=True)
class Package:
    """A dealer's keys for one turn.

    Attributes:
        header: its bytes.
        signature: of the dealer, under the header.
        parcels: for every member of the session in order, one after the other.
    """

    header: bytes
    signature: bytes
    parcels: bytes

    def encode(self) -> bytes:
        """The one byte form."""
        return encode({"header": self.header, "parcels": self.parcels, "signature": self.signature})

    @staticmethod
    def decode(data: bytes, limit: int) -> Package:
        """Read a package.

        Raises:
            PeerError: the bytes are none.
        """
        body = fields_of(decode(data, size_limit_bytes=limit), ("header", "parcels", "signature"))
        header, parcels, signature = (bytes_of(one) for one in body)
        return Package(header, sized(signature, SIGNATURE_BYTES), parcels)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The answer to `Prepare`: a package, and the cards of the epoch that its header names.

    Attributes:
        cards: for every member of the session in order, one after the other.
        package: its bytes.
    """

    cards: bytes
    package: bytes

    def encode(self) -> bytes:
        """The one byte form."""
        return encode({"cards": self.cards, "package": self.package})

    @staticmethod
    def decode(data: bytes, limit: int) -> Prepared:
        """Read it back.

        Raises:
            PeerError: the bytes are none.
        """
        cards, package = fields_of(decode(data, size_limit_bytes=limit), ("cards", "package"))
        return Prepared(bytes_of(cards), bytes_of(package))


def decode_header(data: bytes) -> Header:
    """Read the public half of a package.

    Raises:
        PeerError: the bytes are none.
    """
    attempt, blind, epoch, name, public, round_, session, step = fields_of(
        decode(data, size_limit_bytes=_SMALL_BYTES),
        ("attempt", "blind", "epoch", "name", "public", "round", "session", "step"),
    )
    if not isinstance(name, str) or type(step) is not int or not 0 <= step < MOST_STEPS:
        raise malformed()
    return Header(
        session=sized(bytes_of(session), _DIGEST_BYTES),
        turn=turn_of(round_, attempt),
        name=InstitutionId(name),
        public=sized(bytes_of(public), 32),
        blind=sized(bytes_of(blind), _DIGEST_BYTES),
        epoch=sized(bytes_of(epoch), _DIGEST_BYTES),
        step=step,
    )


def read_parcel(parcels: bytes, at: int) -> Parcel:
    """Cut one parcel out of several.

    Raises:
        PeerError: there are fewer.
    """
    size, sealed = PARCEL_BYTES, SEALED_BYTES
    data = sized(parcels[at * size : (at + 1) * size], size)
    return Parcel(
        data[:sealed],
        data[sealed : sealed + 32],
        data[sealed + 32 : sealed + 64],
        data[sealed + 64 :],
    )


def header_digest(header: bytes) -> bytes:
    """32 bytes that name a package in a manifest; also what its dealer signs."""
    return digest("fedcredit/secagg/header/1", header)


def commitment(kind: str, header: bytes, holder: InstitutionId, share: bytes) -> bytes:
    """Commit to one share; it has as much entropy as the secret, so its hash hides it."""
    return digest(f"fedcredit/secagg/commit-{kind}/1", header, holder.encode(), share)


def blind_digest(blind: bytes) -> bytes:
    """The commitment to b that a header holds."""
    return digest("fedcredit/secagg/blind/1", blind)
