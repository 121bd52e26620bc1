"""What members sign about a turn, and the tag beside it: every string under its own domain."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedcredit.codec import digest, encode
from fedcredit.units import InstitutionId

__all__ = [
    "agreement_digest",
    "content_digest",
    "receipt_digest",
    "shares_digest",
    "vector_tag",
]


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
