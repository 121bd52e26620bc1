"""What members sign about a turn, and the tag beside it: every string under its own domain."""

from __future__ import annotations

from fedcredit.codec import digest, encode
from fedcredit.units import InstitutionId

__all__ = [
    "agreement_digest",
    "content_digest",
    "read_tag",
    "receipt_digest",
    "shares_digest",
    "write_tag",
]


def write_tag(sums: tuple[int, int], accused: tuple[InstitutionId, ...]) -> bytes:
    """An upload's checksum as 16 bytes: of the vector, see `Ring.checksum`, and of the accused."""
    return _blended(b"".join(one.to_bytes(8, "big") for one in sums), accused)


def read_tag(tag: bytes, accused: tuple[InstitutionId, ...]) -> tuple[int, int]:
    """The inverse of `write_tag`; with other accused than were written, other sums."""
    plain = _blended(tag, accused)
    return int.from_bytes(plain[:8], "big"), int.from_bytes(plain[8:], "big")


def _blended(tag: bytes, accused: tuple[InstitutionId, ...]) -> bytes:
    """16 bytes xor a digest of the accused."""
    over = digest("fedcredit/secagg/accused/1", encode(accused))[: len(tag)]
    return (int.from_bytes(tag, "big") ^ int.from_bytes(over, "big")).to_bytes(len(over), "big")


def content_digest(vector: bytes | memoryview, accused: tuple[InstitutionId, ...]) -> bytes:
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
