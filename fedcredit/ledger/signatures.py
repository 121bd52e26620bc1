"""Keys with names, and signature lines: the parts of C2SP signed notes that are not the text.

A key of type 0x01 signs the text of a note; one of type 0x04, a witness's, signs a time and
the text (C2SP tlog-cosignature, cosignature/v1). Both are Ed25519 (RFC 8032).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedcredit.errors import ConfigError, IntegrityError, LocalError

__all__ = [
    "COSIGNATURE",
    "PLAIN",
    "SIGNATURES_LIMIT",
    "Signature",
    "Signer",
    "VerifierKey",
    "from_base64",
    "is_name",
    "malformed",
    "read_key",
    "read_signatures",
    "sign",
    "text_of",
    "to_base64",
]

PLAIN: Final = 0x01  # Ed25519 over the text: the ledger's writer
COSIGNATURE: Final = 0x04  # Ed25519 over a time and the text: a witness
SIGNATURES_LIMIT: Final = 100  # of one note; the specification asks for 16 at least

Signer: TypeAlias = Callable[[bytes], bytes]
"""Gives the 64 bytes of an Ed25519 signature over the bytes that it is handed."""

_KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_TIME_BYTES: Final = 8
_TIME_LIMIT: Final = 2**63 - 1
_SIGNATURE_BYTES: Final = 64
_P: Final = 2**255 - 19
_EIGHTH: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_WEAK: Final = frozenset({0, 1, _P - 1, _P, _P + 1, _EIGHTH, _P - _EIGHTH})
"""Second coordinates of the points of small order, in every encoding that is accepted.

Under such a key one signature is good for many texts, so whoever signs could deny it.
"""
_DASH: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with a name: who may have signed a note.

    Attributes:
        name: not empty, without spaces, plus signs and control characters.
        kind: ``PLAIN`` or ``COSIGNATURE``.
        public: Ed25519 public key, 32 bytes; not of small order.

    Raises:
        LocalError: one of them is not so.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        kinds = (PLAIN, COSIGNATURE)
        if not is_name(self.name) or self.kind not in kinds or len(self.public) != _KEY_BYTES:
            raise LocalError(
                "this is no verifier key: a name without spaces and plus signs, kind 1 or 4 and "
                f"{_KEY_BYTES} bytes were expected",
                remedy="make it from an Ed25519 public key",
            )
        if int.from_bytes(self.public, "little") % 2**255 in _WEAK:
            raise LocalError(
                "a public key is of small order: anybody could sign for it",
                remedy="do not use it, and ask whoever sent it where it comes from",
            )

    @property
    def id(self) -> bytes:
        """4 bytes that name the key in a signature line; too short to be trusted alone."""
        return _hash(self.name, self._typed)[:_ID_BYTES]

    @property
    def _typed(self) -> bytes:
        return bytes([self.kind]) + self.public

    def __str__(self) -> str:
        """The one way to write it, ``name+<id hex>+base64(type || public key)``."""
        return f"{self.name}+{self.id.hex()}+{to_base64(self._typed)}"

    def time_of(self, body: bytes, signature: Signature) -> int | None:
        """When this key signed a text: seconds since 1970, or 0 for a key that tells no time.

        Args:
            body: the text of a note.
            signature: a line that names this key.

        Returns:
            None where it did not sign it.
        """
        data, time_s, signed = signature.data, 0, body
        if self.kind == COSIGNATURE:
            time_s, data = int.from_bytes(data[:_TIME_BYTES], "big"), data[_TIME_BYTES:]
            signed = _timed(body, time_s)
        if time_s > _TIME_LIMIT or len(data) != _SIGNATURE_BYTES:
            return None
        try:
            _public(self.public).verify(data, signed)
        except (InvalidSignature, ValueError):  # ValueError: the bytes are no point
            return None
        return time_s


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature line, which shows nothing before it is verified.

    Attributes:
        name: of the key.
        id: of the key, 4 bytes.
        data: for ``PLAIN`` 64 bytes; for ``COSIGNATURE`` 8 bytes of time before them.
    """

    name: str
    id: bytes
    data: bytes

    def line(self) -> bytes:
        """The line with its newline."""
        return f"{_DASH}{self.name} {to_base64(self.id + self.data)}\n".encode()


def read_key(text: str) -> VerifierKey:
    """Read a verifier key.

    Args:
        text: as ``str`` writes a `VerifierKey`.

    Returns:
        The key; whether to trust it is for the caller to say.

    Raises:
        ConfigError: the text is not how any key of these two kinds is written.

    >>> read_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").name
    'PeterNeumann'
    """
    name, _, rest = text.partition("+")
    data = from_base64(rest[2 * _ID_BYTES + 1 :]) or bytes(1)
    try:
        key = VerifierKey(name, data[0], data[1:])
    except LocalError:
        key = None
    if key is None or str(key) != text:
        raise ConfigError(
            "a verifier key is not of the form name+id+base64, its id is another's, or it is weak",
            remedy="copy the whole line that its owner publishes",
        )
    return key


def read_signatures(data: bytes) -> tuple[Signature, ...]:
    """Read signature lines, such as a witness answers with.

    Args:
        data: one line or more.

    Returns:
        The signatures, none of them verified.

    Raises:
        IntegrityError: the bytes are not signature lines.
    """
    lines = text_of(data).split("\n")
    if not 2 <= len(lines) <= SIGNATURES_LIMIT + 1 or lines.pop():
        raise malformed(f"not 1 to {SIGNATURES_LIMIT} signature lines")
    return tuple(map(_signature, lines))


def sign(
    body: bytes, time_s: int, name: str, kind: int, signer: Signer, public: bytes
) -> Signature:
    """Sign a text.

    Args:
        body: the text.
        time_s: whole seconds since 1970, UTC; a ``PLAIN`` key leaves it out.
        name: of the key.
        kind: ``PLAIN`` or ``COSIGNATURE``.
        signer: signs with the secret key.
        public: of the same key, 32 bytes.

    Returns:
        The signature line.

    Raises:
        LocalError: a name, time or length is wrong.
    """
    key = VerifierKey(name, kind, public)
    if not 0 <= time_s <= _TIME_LIMIT:
        raise LocalError("a time is before 1970 or too late", remedy="set the machine's clock")
    timed = kind == COSIGNATURE
    data = signer(_timed(body, time_s) if timed else body)
    if len(data) != _SIGNATURE_BYTES:
        raise LocalError(
            f"a signer gave {len(data)} bytes, expected {_SIGNATURE_BYTES}",
            remedy="sign with Ed25519",
        )
    return Signature(name, key.id, (time_s.to_bytes(_TIME_BYTES, "big") if timed else b"") + data)


def is_name(text: str) -> bool:
    """Whether a key may have this name: not empty; no space, plus sign or control character."""
    return bool(text) and not any(
        one == "+" or one < " " or one.isspace() or "\ud800" <= one <= "\udfff" for one in text
    )


def text_of(data: bytes) -> str:
    """UTF-8 text without control characters but newlines.

    Raises:
        IntegrityError: it is not.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("it is not UTF-8") from None
    if re.search(r"[\x00-\x09\x0b-\x1f]", text):
        raise malformed("it has a control character")
    return text


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes | None:
    """Bytes from the one base64 text that stands for them; None for any other text."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return data if to_base64(data) == text else None


def malformed(found: str) -> IntegrityError:
    """The error for bytes that are no note."""
    return IntegrityError(
        f"a note is malformed: {found}", remedy="ask its sender for the bytes that were signed"
    )


def _signature(line: str) -> Signature:
    """A signature from its line, without the newline."""
    name, _, text = line.removeprefix(_DASH).partition(" ")
    data = from_base64(text)
    if not line.startswith(_DASH) or not is_name(name) or not data or len(data) <= _ID_BYTES:
        raise malformed("a signature line is not a dash, a name and base64")
    return Signature(name, data[:_ID_BYTES], data[_ID_BYTES:])


def _timed(body: bytes, time_s: int) -> bytes:
    """What a witness signs."""
    return f"cosignature/v1\ntime {time_s}\n".encode("ascii") + body


def _hash(name: str, typed: bytes) -> bytes:
    """The hash whose beginning is a key's id."""
    return hashlib.sha256(name.encode() + b"\n" + typed).digest()


@lru_cache(maxsize=1024)
def _public(data: bytes) -> Ed25519PublicKey:
    """A public key; ValueError if it is none."""
    return Ed25519PublicKey.from_public_bytes(data)
