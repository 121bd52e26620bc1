"""Canonical bytes and domain-separated hashes: the one place a value becomes something to sign.

Every value has exactly one encoding and every encoding exactly one value, so
that two parties that agree on the bytes agree on the value. Each value is one
tag byte and then, with all numbers big-endian:

    T F   the booleans, nothing more
    i     u32 length, the shortest two's complement of an integer
    f     8 bytes, IEEE 754 binary64; NaN has no encoding
    s b   u32 length, UTF-8 text or plain bytes
    t     u32 count, that many values
    m     u32 count, that many (text without its tag, value), by rising key
    a     element type (B uint8, q int64, d float64), u8 dimensions (1 or 2),
          u32 for each dimension, the elements in row order

Decoding is for bytes that the other side chose: whatever they are, it returns
the one value they stand for or raises PeerError, within bounded depth and size.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias, Union, cast

import numpy as np
from numpy.typing import NDArray

from fedcredit.errors import LocalError, PeerError
from fedcredit.units import Bytes8, Floats, Ints

__all__ = ["DEPTH_LIMIT", "SIZE_LIMIT_BYTES", "VALUES_LIMIT", "Value", "decode", "digest", "encode"]

Value: TypeAlias = Union[
    bool,
    int,
    float,
    str,
    bytes,
    Bytes8,
    Ints,
    Floats,
    "Sequence[Value]",
    "Mapping[str, Value]",
]

DEPTH_LIMIT = 16
VALUES_LIMIT = 1 << 20  # a million one-byte values would take much memory as Python objects
SIZE_LIMIT_BYTES = 1 << 28

_LETTERS: Mapping[np.dtype[np.generic], bytes] = {
    np.dtype(np.uint8): b"B",
    np.dtype(np.int64): b"q",
    np.dtype(np.float64): b"d",
}
_ELEMENTS = {letter: dtype for dtype, letter in _LETTERS.items()}


def encode(value: Value) -> bytes:
    """Write a value as its one canonical byte string.

    Lists are written as tuples, numpy's scalars as the Python number they equal.
    Zero and minus zero are two values: the bits of a float are what is signed.

    Args:
        value: booleans, integers of any size, floats, text, bytes, arrays of
            uint8, int64 or float64 in one or two dimensions, and tuples and
            mappings with text keys of them, at most ``DEPTH_LIMIT`` deep.

    Returns:
        The bytes; ``decode`` gives back an equal value.

    Raises:
        LocalError: the value is of another type, holds a NaN or text that is
            not Unicode, or is too deep or too large.

    >>> encode({"b": (1, True), "a": "x"}).hex(" ", -4)
    '6d000000 02000000 01617300 00000178 00000001 62740000 00026900 00000101 54'
    """
    writer = _Writer()
    writer.value(value, depth=0)
    data = b"".join(writer.pieces)
    if len(data) > SIZE_LIMIT_BYTES:
        raise LocalError(
            f"a value takes {len(data)} bytes, expected at most {SIZE_LIMIT_BYTES}",
            remedy="send it in parts",
        )
    return data


def decode(data: bytes | memoryview, *, size_limit_bytes: int = SIZE_LIMIT_BYTES) -> Value:
    """Read the one value that ``data`` stands for.

    Guarantee: for any bytes at all, returns a value whose encoding is ``data``
    or raises PeerError; depth, number of values and memory are bounded.

    Args:
        data: what the other side sent.
        size_limit_bytes: longest ``data`` that is looked at.

    Returns:
        The value; tuples for sequences, dicts for mappings, read-only arrays.

    Raises:
        PeerError: ``data`` is not the canonical encoding of any value.
    """
    if len(data) > size_limit_bytes:
        raise _refusal(f"{len(data)} bytes, expected at most {size_limit_bytes}")
    reader = _Reader(data if isinstance(data, memoryview) else bytes(data))
    value = reader.value(depth=0)
    if reader.at != len(reader.data):
        raise _refusal(f"{len(reader.data) - reader.at} bytes after the value")
    return value


def digest(domain: str, *parts: bytes | memoryview) -> bytes:
    """Hash ``parts`` under a name that says what they are.

    Guarantee: two calls give the same bytes only when domain, number of parts
    and every part are the same (or SHA-256 is broken).

    Args:
        domain: what is hashed, such as ``"fedcredit/schema/1"``.
        parts: any byte strings.

    Returns:
        32 bytes, SHA-256 over the length-prefixed domain and parts.
    """
    name = domain.encode()
    state = hashlib.sha256(struct.pack(">II", len(name), len(parts)) + name)
    for part in parts:
        state.update(struct.pack(">Q", len(part)))
        state.update(part)
    return state.digest()


class _Writer:
    """The pieces of an encoding so far; keeps to the limits that the reader keeps to."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.values = 0

    def value(self, value: Value, depth: int) -> None:
        """Append one value."""
        self.values += 1
        if depth > DEPTH_LIMIT or self.values > VALUES_LIMIT:
            raise LocalError(
                f"a value has more than {DEPTH_LIMIT} levels or {VALUES_LIMIT} values in it",
                remedy="flatten it, or use arrays",
            )
        if isinstance(value, bool | np.bool_):  # before int: a bool is an int in Python
            self.pieces.append(b"T" if value else b"F")
        elif isinstance(value, int | np.integer):
            number = int(value)
            length = _shortest(number)
            self.pieces += (b"i", _u32(length), number.to_bytes(length, "big", signed=True))
        elif isinstance(value, float):
            if math.isnan(value):
                raise LocalError("a number is NaN, which has no encoding", remedy="find its origin")
            self.pieces += (b"f", struct.pack(">d", value))
        elif isinstance(value, str):
            text = _utf8(value)
            self.pieces += (b"s", _u32(len(text)), text)
        elif isinstance(value, bytes):
            self.pieces += (b"b", _u32(len(value)), value)
        elif isinstance(value, np.ndarray):
            self.array(value)
        elif isinstance(value, Mapping):
            self.mapping(value, depth)
        elif isinstance(value, tuple | list):
            self.pieces += (b"t", _u32(len(value)))
            for item in value:
                self.value(item, depth + 1)
        else:
            raise LocalError(
                f"cannot encode a value of type {type(value).__name__}",
                remedy="use bool, int, float, str, bytes, a tuple, a mapping or an array",
            )

    def mapping(self, value: Mapping[str, Value], depth: int) -> None:
        """Append a mapping, by rising key."""
        for key in value:
            if not isinstance(key, str):
                raise LocalError(
                    f"a mapping has a key of type {type(key).__name__}", remedy="use text keys"
                )
        self.pieces += (b"m", _u32(len(value)))
        for name, key in sorted((_utf8(key), key) for key in value):
            self.pieces += (_u32(len(name)), name)
            self.value(value[key], depth + 1)

    def array(self, array: NDArray[np.generic]) -> None:
        """Append an array."""
        letter = _LETTERS.get(array.dtype)
        if letter is None or array.ndim not in (1, 2):
            raise LocalError(
                f"cannot encode an array of {array.dtype} with {array.ndim} dimensions",
                remedy="use uint8, int64 or float64 in one or two dimensions",
            )
        big_endian = array.astype(array.dtype.newbyteorder(">"))
        if letter == b"d" and np.isnan(big_endian).any():
            raise LocalError(
                "an array holds a NaN, which has no encoding", remedy="find its origin"
            )
        self.pieces += (b"a", letter, bytes([array.ndim]))
        self.pieces += (*map(_u32, array.shape), big_endian.tobytes())


def _shortest(number: int) -> int:
    """Bytes of the shortest two's complement of an integer."""
    return (number if number >= 0 else ~number).bit_length() // 8 + 1


def _u32(number: int) -> bytes:
    """A length in four bytes."""
    if number >= 1 << 32:
        raise LocalError(f"a length of {number} does not fit 32 bits", remedy="send it in parts")
    return struct.pack(">I", number)


def _utf8(text: str) -> bytes:
    """Text as UTF-8; lone surrogates have no encoding."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise LocalError("a text is not valid Unicode", remedy="remove lone surrogates") from None


def _refusal(found: str) -> PeerError:
    """The error for bytes that encode nothing."""
    return PeerError(
        f"a message is not canonical: {found}",
        remedy="drop it; check that both sides run the same version",
    )


class _Reader:
    """A position in bytes that the other side chose; every step checks what it takes."""

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = data
        self.at = 0
        self.values = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, or a refusal."""
        if count > len(self.data) - self.at:
            raise _refusal(f"{count} bytes were announced, {len(self.data) - self.at} are left")
        piece = bytes(self.data[self.at : self.at + count])
        self.at += count
        return piece

    def length(self) -> int:
        """The next u32."""
        return int.from_bytes(self.take(4), "big")

    def text(self) -> str:
        """The next length-prefixed text."""
        try:
            return self.take(self.length()).decode("utf-8")
        except UnicodeDecodeError:
            raise _refusal("a text is not UTF-8") from None

    def value(self, depth: int) -> Value:
        """The next value."""
        self.values += 1
        if depth > DEPTH_LIMIT or self.values > VALUES_LIMIT:
            raise _refusal(f"more than {DEPTH_LIMIT} levels or {VALUES_LIMIT} values")
        tag = self.take(1)
        if tag in (b"T", b"F"):
            return tag == b"T"
        if tag == b"i":
            return self.integer()
        if tag == b"f":
            number: float = struct.unpack(">d", self.take(8))[0]
            if math.isnan(number):
                raise _refusal("a number is NaN")
            return number
        if tag == b"s":
            return self.text()
        if tag == b"b":
            return self.take(self.length())
        if tag == b"t":
            return tuple(self.value(depth + 1) for _ in range(self.length()))
        if tag == b"m":
            return self.mapping(depth)
        if tag == b"a":
            return self.array()
        raise _refusal("an unknown tag")

    def integer(self) -> int:
        """The next integer, in its shortest form."""
        piece = self.take(self.length())
        number = int.from_bytes(piece, "big", signed=True)
        if len(piece) != _shortest(number):
            raise _refusal("an integer is longer than it needs to be")
        return number

    def mapping(self, depth: int) -> dict[str, Value]:
        """The next mapping, its keys strictly rising."""
        result: dict[str, Value] = {}
        last = b""
        for index in range(self.length()):
            key = self.text()
            name = key.encode("utf-8")
            if index and name <= last:
                raise _refusal("the keys of a mapping do not rise")
            result[key], last = self.value(depth + 1), name
        return result

    def array(self) -> Bytes8 | Ints | Floats:
        """The next array."""
        letter, dimensions = self.take(1), self.take(1)[0]
        if letter not in _ELEMENTS or dimensions not in (1, 2):
            raise _refusal("an array of unknown type or shape")
        shape = tuple(self.length() for _ in range(dimensions))
        element = _ELEMENTS[letter]
        piece = self.take(math.prod(shape) * element.itemsize)
        array = np.frombuffer(piece, dtype=element.newbyteorder(">")).astype(element)
        if letter == b"d" and np.isnan(array).any():
            raise _refusal("an array holds a NaN")
        array.flags.writeable = False
        return cast("Bytes8 | Ints | Floats", array.reshape(shape))
