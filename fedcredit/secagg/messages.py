"""The messages of secure aggregation: frozen values with one byte form each.

    to a member                        from a member
    Prepare  make a package for a turn    Prepared  one-time keys, and shares for everybody
    Start    a turn's manifest            Upload    the masked vector, and the next package
    Survive  who has uploaded, signed     Agreed    a signature under just that list
    Reveal   enough of those signatures   Shares    of what hides the sum, and nothing else

What is signed in them stands in `signed`, what a package is made of in `packages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from fedcredit.codec import Value, decode, encode
from fedcredit.secagg.forms import bytes_of, cut, fields_of, malformed, names_of, sized
from fedcredit.secagg.keys import SIGNATURE_BYTES
from fedcredit.secagg.session import Turn, turn_of
from fedcredit.units import InstitutionId

__all__ = [
    "Agreement",
    "Prepare",
    "Receipt",
    "Request",
    "Reveal",
    "Shares",
    "Start",
    "Survive",
    "Upload",
    "decode_request",
    "encode_request",
    "encode_start",
]

REQUEST_LIMIT_BYTES: Final = 1 << 27
_SMALL_BYTES: Final = 1 << 22
_DIGEST_BYTES: Final = 32
_LENGTH_BYTES: Final = 4


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
        cards: the same, of the epochs that the headers name; see `lanes`.
    """

    manifest: bytes
    question: bytes
    headers: tuple[bytes, ...]
    signatures: bytes
    parcels: bytes
    cards: bytes

    def common(self) -> bytes:
        """The byte form of all but parcels and cards: the same for every participant."""
        return encode(
            {
                "headers": self.headers,
                "manifest": self.manifest,
                "question": self.question,
                "signatures": self.signatures,
            }
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a member uploaded, for one context.

    Attributes:
        content: `content_digest` of the upload.
        tag: checksum of the vector, which adds up as vectors do: an altered byte of any
            of them is noticed in their sum. No proof; the content digest is one.
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
        data = sized(data, RECEIPT_BYTES)
        return Receipt(data[:32], data[32:48], data[48:])


RECEIPT_BYTES: Final = 32 + 16 + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class Upload:
    """A member's masked vector.

    Attributes:
        context: of the turn.
        vector: packed words; a view of what came, since copying it costs as much as a mask.
        accused: dealers whose shares for this member were not what they had committed to.
        receipt: signed.
        following: the member's package for the turn to come, empty if there is none.
    """

    context: bytes
    vector: bytes | memoryview
    accused: tuple[InstitutionId, ...]
    receipt: Receipt
    following: bytes

    def encode(self) -> bytes:
        """The one byte form: the vector, where words are aligned; the rest; its length."""
        rest = encode(
            {
                "accused": self.accused,
                "context": self.context,
                "following": self.following,
                "receipt": self.receipt.encode(),
            }
        )
        return b"".join((self.vector, rest, len(rest).to_bytes(_LENGTH_BYTES, "big")))

    @staticmethod
    def decode(data: bytes, limit: int) -> Upload:
        """Read an upload.

        Raises:
            PeerError: the bytes are none.
        """
        view = memoryview(data)
        end = len(view) - _LENGTH_BYTES
        begin = end - int.from_bytes(view[max(end, 0) :], "big")
        if len(view) > limit or not 0 <= begin < end:
            raise malformed()
        accused, context, following, receipt = fields_of(
            decode(view[begin:end]), ("accused", "context", "following", "receipt")
        )
        return Upload(
            sized(bytes_of(context), _DIGEST_BYTES),
            view[:begin],
            names_of(accused),
            Receipt.decode(bytes_of(receipt)),
            bytes_of(following),
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
        (signature,) = fields_of(decode(data, size_limit_bytes=_SMALL_BYTES), ("agreed",))
        return Agreement(sized(bytes_of(signature), SIGNATURE_BYTES))


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
        blinds, secrets, signature = fields_of(
            decode(data, size_limit_bytes=_SMALL_BYTES), ("blinds", "secrets", "signature")
        )
        return Shares(
            bytes_of(blinds), bytes_of(secrets), sized(bytes_of(signature), SIGNATURE_BYTES)
        )


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
            return encode_start(request.common(), request.parcels, request.cards)
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


def encode_start(common: bytes, parcels: bytes, cards: bytes) -> bytes:
    """The one byte form of a start, from what all participants are told and what is one's own."""
    return encode({"body": {"cards": cards, "common": common, "parcels": parcels}, "kind": "start"})


def decode_request(data: bytes) -> Request:
    """Read what the coordinator sent; the inverse of `encode_request`.

    Raises:
        PeerError: the bytes are no request.
    """
    body, kind = fields_of(decode(data, size_limit_bytes=REQUEST_LIMIT_BYTES), ("body", "kind"))
    if not isinstance(kind, str):  # an array would be compared entry by entry
        raise malformed()
    match kind:
        case "prepare":
            attempt, round_, session = fields_of(body, ("attempt", "round", "session"))
            return Prepare(sized(bytes_of(session), _DIGEST_BYTES), turn_of(round_, attempt))
        case "start":
            cards, common, parcels = fields_of(body, ("cards", "common", "parcels"))
            headers, manifest, question, signatures = fields_of(
                decode(bytes_of(common)), ("headers", "manifest", "question", "signatures")
            )
            if not isinstance(headers, tuple):
                raise malformed()
            return Start(
                bytes_of(manifest),
                bytes_of(question),
                tuple(bytes_of(one) for one in headers),
                bytes_of(signatures),
                bytes_of(parcels),
                bytes_of(cards),
            )
        case "survive":
            context, receipts, survivors = fields_of(body, ("context", "receipts", "survivors"))
            pieces = cut(bytes_of(receipts), RECEIPT_BYTES)
            return Survive(
                sized(bytes_of(context), _DIGEST_BYTES),
                names_of(survivors),
                tuple(Receipt.decode(one) for one in pieces),
            )
        case "reveal":
            context, signatures, signers, survivors = fields_of(
                body, ("context", "signatures", "signers", "survivors")
            )
            return Reveal(
                sized(bytes_of(context), _DIGEST_BYTES),
                names_of(survivors),
                names_of(signers),
                tuple(cut(bytes_of(signatures), SIGNATURE_BYTES)),
            )
    raise malformed()
