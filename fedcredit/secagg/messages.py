"""The messages of secure aggregation: frozen values with one byte form each.

    to a member                        from a member
    Prepare  make a package for a turn    Package   one-time keys, and shares for everybody
    Start    a turn's manifest            Upload    the masked vector, and the next package
    Survive  who has uploaded, signed     Agreed    a signature under just that list
    Reveal   enough of those signatures   Shares    of what hides the sum, and nothing else

What a member sends to many it sends once; the parts are of fixed length, so that the
coordinator cuts them out and hands them on without reading them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedcredit.codec import Value, decode, digest, encode
from fedcredit.errors import PeerError
from fedcredit.secagg.keys import SIGNATURE_BYTES, Kind, sealed_bytes
from fedcredit.secagg.session import Turn, turn_of
from fedcredit.units import InstitutionId

__all__ = [
    "Agreement",
    "Header",
    "Package",
    "Parcel",
    "Prepare",
    "Receipt",
    "Request",
    "Reveal",
    "Shares",
    "Start",
    "Survive",
    "Upload",
    "agreement_digest",
    "blind_digest",
    "commitment",
    "content_digest",
    "decode_header",
    "decode_request",
    "parcel_bytes",
    "read_parcel",
    "receipt_digest",
    "shares_digest",
    "vector_tag",
]

REQUEST_LIMIT_BYTES: Final = 1 << 27
_SMALL_BYTES: Final = 1 << 22
_DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The public half of a package.

    Attributes:
        session: digest of the session.
        turn: that the keys are for, and for no other.
        name: of the dealer.
        public: X25519 one-time key, 32 bytes.
        blind: H(b): commitment to the seed of the dealer's own mask, 32 bytes.
    """

    session: bytes
    turn: Turn
    name: InstitutionId
    public: bytes
    blind: bytes

    def encode(self) -> bytes:
        """The one byte form."""
        return encode(
            {
                "attempt": self.turn[1],
                "blind": self.blind,
                "name": self.name,
                "public": self.public,
                "round": self.turn[0],
                "session": self.session,
            }
        )


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a dealer has for one holder.

    Attributes:
        sealed: both shares, sealed for the holder; zeros for the dealer itself.
        blind: commitment to the share of b.
        secret: commitment to the share of k.
        signature: of the dealer, under header, holder and all of this.
    """

    sealed: bytes
    blind: bytes
    secret: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Fixed length, see `parcel_bytes`."""
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
        body = _fields(decode(data, size_limit_bytes=limit), ("header", "parcels", "signature"))
        header, parcels, signature = (_bytes(one) for one in body)
        return Package(header, _sized(signature, SIGNATURE_BYTES), parcels)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make a package for a turn."""

    session: bytes
    turn: Turn


@dataclass(frozen=True, slots=True)
class Start:
    """Sum up.

    Attributes:
        manifest: its bytes.
        question: what is summed.
        headers: of the participants' packages, in order.
        signatures: under them, one after the other.
        parcels: of each participant for this member, one after the other.
    """

    manifest: bytes
    question: bytes
    headers: tuple[bytes, ...]
    signatures: bytes
    parcels: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a member uploaded, for one context.

    Attributes:
        content: `content_digest` of the upload.
        tag: GMAC of the vector under that digest as its key: altered bytes are noticed at
            ten times the speed of SHA-256.
        signature: of the member, see `receipt_digest`.
    """

    content: bytes
    tag: bytes
    signature: bytes

    def encode(self) -> bytes:
        """112 bytes."""
        return self.content + self.tag + self.signature

    @staticmethod
    def decode(data: bytes) -> Receipt:
        """Read it back."""
        data = _sized(data, RECEIPT_BYTES)
        return Receipt(data[:32], data[32:48], data[48:])


RECEIPT_BYTES: Final = 32 + 16 + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class Upload:
    """A member's masked vector.

    Attributes:
        context: of the turn.
        vector: packed words.
        accused: dealers whose shares for this member were not what they had committed to.
        receipt: signed.
        following: the member's package for the turn to come, empty if there is none.
    """

    context: bytes
    vector: bytes
    accused: tuple[InstitutionId, ...]
    receipt: Receipt
    following: bytes

    def encode(self) -> bytes:
        """The one byte form."""
        return encode(
            {
                "accused": self.accused,
                "context": self.context,
                "following": self.following,
                "receipt": self.receipt.encode(),
                "vector": self.vector,
            }
        )

    @staticmethod
    def decode(data: bytes, limit: int) -> Upload:
        """Read an upload.

        Raises:
            PeerError: the bytes are none.
        """
        accused, context, following, receipt, vector = _fields(
            decode(data, size_limit_bytes=limit),
            ("accused", "context", "following", "receipt", "vector"),
        )
        return Upload(
            _sized(_bytes(context), _DIGEST_BYTES),
            _bytes(vector),
            _names(accused),
            Receipt.decode(_bytes(receipt)),
            _bytes(following),
        )


@dataclass(frozen=True, slots=True)
class Survive:
    """Who has uploaded.

    Attributes:
        context: of the turn.
        survivors: U3, by rising name.
        receipts: one for each, in order.
    """

    context: bytes
    survivors: tuple[InstitutionId, ...]
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A member's signature under ``(context, survivors)``, see `agreement_digest`."""

    signature: bytes

    def encode(self) -> bytes:
        """The one byte form."""
        return encode({"agreed": self.signature})

    @staticmethod
    def decode(data: bytes) -> Agreement:
        """Read it back."""
        (signature,) = _fields(decode(data, size_limit_bytes=_SMALL_BYTES), ("agreed",))
        return Agreement(_sized(_bytes(signature), SIGNATURE_BYTES))


@dataclass(frozen=True, slots=True)
class Reveal:
    """Open the sum.

    Attributes:
        context: of the turn.
        survivors: U3, by rising name.
        signers: members of U3 who have signed just this list, by rising name.
        signatures: theirs, in order.
    """

    context: bytes
    survivors: tuple[InstitutionId, ...]
    signers: tuple[InstitutionId, ...]
    signatures: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Shares:
    """What a member reveals: of each participant one kind of share, never both.

    Attributes:
        blinds: shares of b of the survivors, in order, one after the other.
        secrets: shares of k of the other participants, in order.
        signature: of the member, see `shares_digest`.
    """

    blinds: bytes
    secrets: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Never print a share."""
        return f"Shares({len(self.blinds)} and {len(self.secrets)} bytes)"

    def encode(self) -> bytes:
        """The one byte form."""
        return encode({"blinds": self.blinds, "secrets": self.secrets, "signature": self.signature})

    @staticmethod
    def decode(data: bytes) -> Shares:
        """Read it back."""
        blinds, secrets, signature = _fields(
            decode(data, size_limit_bytes=_SMALL_BYTES), ("blinds", "secrets", "signature")
        )
        return Shares(_bytes(blinds), _bytes(secrets), _sized(_bytes(signature), SIGNATURE_BYTES))


Request: TypeAlias = Prepare | Start | Survive | Reveal


def encode_request(request: Request) -> bytes:
    """The one byte form of what the coordinator sends."""
    match request:
        case Prepare():
            body: dict[str, Value] = {
                "attempt": request.turn[1],
                "round": request.turn[0],
                "session": request.session,
            }
        case Start():
            body = {
                "headers": request.headers,
                "manifest": request.manifest,
                "parcels": request.parcels,
                "question": request.question,
                "signatures": request.signatures,
            }
        case Survive():
            body = {
                "context": request.context,
                "receipts": b"".join(one.encode() for one in request.receipts),
                "survivors": request.survivors,
            }
        case Reveal():
            body = {
                "context": request.context,
                "signatures": b"".join(request.signatures),
                "signers": request.signers,
                "survivors": request.survivors,
            }
    return encode({"body": body, "kind": type(request).__name__.lower()})


def decode_request(data: bytes) -> Request:
    """Read what the coordinator sent; the inverse of `encode_request`.

    Raises:
        PeerError: the bytes are no request.
    """
    body, kind = _fields(decode(data, size_limit_bytes=REQUEST_LIMIT_BYTES), ("body", "kind"))
    if not isinstance(kind, str):  # an array would be compared entry by entry
        raise malformed()
    match kind:
        case "prepare":
            attempt, round_, session = _fields(body, ("attempt", "round", "session"))
            return Prepare(_sized(_bytes(session), _DIGEST_BYTES), turn_of(round_, attempt))
        case "start":
            headers, manifest, parcels, question, signatures = _fields(
                body, ("headers", "manifest", "parcels", "question", "signatures")
            )
            if not isinstance(headers, tuple):
                raise malformed()
            return Start(
                _bytes(manifest),
                _bytes(question),
                tuple(_bytes(one) for one in headers),
                _bytes(signatures),
                _bytes(parcels),
            )
        case "survive":
            context, receipts, survivors = _fields(body, ("context", "receipts", "survivors"))
            cut = _cut(_bytes(receipts), RECEIPT_BYTES)
            return Survive(
                _sized(_bytes(context), _DIGEST_BYTES),
                _names(survivors),
                tuple(Receipt.decode(one) for one in cut),
            )
        case "reveal":
            context, signatures, signers, survivors = _fields(
                body, ("context", "signatures", "signers", "survivors")
            )
            return Reveal(
                _sized(_bytes(context), _DIGEST_BYTES),
                _names(survivors),
                _names(signers),
                tuple(_cut(_bytes(signatures), SIGNATURE_BYTES)),
            )
    raise malformed()


def decode_header(data: bytes) -> Header:
    """Read the public half of a package.

    Raises:
        PeerError: the bytes are none.
    """
    attempt, blind, name, public, round_, session = _fields(
        decode(data, size_limit_bytes=_SMALL_BYTES),
        ("attempt", "blind", "name", "public", "round", "session"),
    )
    if not isinstance(name, str):
        raise malformed()
    return Header(
        session=_sized(_bytes(session), _DIGEST_BYTES),
        turn=turn_of(round_, attempt),
        name=InstitutionId(name),
        public=_sized(_bytes(public), 32),
        blind=_sized(_bytes(blind), _DIGEST_BYTES),
    )


def parcel_bytes(kind: Kind) -> int:
    """Length of a parcel."""
    return sealed_bytes(kind) + 2 * _DIGEST_BYTES + SIGNATURE_BYTES


def read_parcel(parcels: bytes, at: int, kind: Kind) -> Parcel:
    """Cut one parcel out of several.

    Raises:
        PeerError: there are fewer.
    """
    size, sealed = parcel_bytes(kind), sealed_bytes(kind)
    data = _sized(parcels[at * size : (at + 1) * size], size)
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


def vector_tag(content: bytes, vector: bytes, accused: tuple[InstitutionId, ...]) -> bytes:
    """GMAC of an upload under its content digest: an altered byte is noticed without hashing.

    It is no proof, since the key is public; the content digest, which is signed, is one.
    """
    nonce = digest("fedcredit/secagg/accused/1", encode(accused))[:12]
    return AESGCM(content).encrypt(nonce, b"", vector)


def content_digest(vector: bytes, accused: tuple[InstitutionId, ...]) -> bytes:
    """32 bytes that name what a member uploaded; keyed to nothing, for anyone to check."""
    return digest("fedcredit/secagg/content/1", vector, encode(accused))


def receipt_digest(context: bytes, name: InstitutionId, content: bytes, tag: bytes) -> bytes:
    """What a member signs when it uploads."""
    return digest("fedcredit/secagg/receipt/1", context, name.encode(), content, tag)


def agreement_digest(context: bytes, survivors: tuple[InstitutionId, ...]) -> bytes:
    """What a member signs, once a turn, before anything is revealed."""
    return digest("fedcredit/secagg/agreement/1", context, encode(survivors))


def shares_digest(context: bytes, name: InstitutionId, blinds: bytes, secrets: bytes) -> bytes:
    """What a member signs when it reveals, so that a false share convicts it."""
    return digest("fedcredit/secagg/shares/1", context, name.encode(), blinds, secrets)


def malformed() -> PeerError:
    """The same error for whatever is wrong with a message's form."""
    return PeerError(
        "a message of secure aggregation does not have the form of one",
        remedy="drop it; check that both sides run the same version",
    )


def _fields(value: object, keys: tuple[str, ...]) -> tuple[Value, ...]:
    """The fields of a message: all of them and no other."""
    if not isinstance(value, Mapping) or set(value) != set(keys):
        raise malformed()
    return tuple(value[key] for key in keys)


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise malformed()
    return value


def _sized(data: bytes, size: int) -> bytes:
    if len(data) != size:
        raise malformed()
    return data


def _cut(data: bytes, size: int) -> list[bytes]:
    if len(data) % size:
        raise malformed()
    return [data[at : at + size] for at in range(0, len(data), size)]


def _names(value: object) -> tuple[InstitutionId, ...]:
    """Names that rise."""
    if not isinstance(value, tuple) or not all(type(one) is str for one in value):
        raise malformed()
    names = tuple(InstitutionId(str(one)) for one in value)
    if list(names) != sorted(set(names)):
        raise malformed()
    return names
