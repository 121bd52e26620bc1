"""The canonical encoding: one value, one byte string, and no way to upset its reader."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcredit.codec import DEPTH_LIMIT, Value, decode, digest, encode
from fedcredit.errors import LocalError, PeerError

numbers = st.floats(allow_nan=False)
shapes = st.one_of(st.tuples(st.integers(0, 4)), st.tuples(st.integers(0, 4), st.integers(0, 4)))
matrices = shapes.flatmap(
    lambda shape: st.one_of(
        arrays(np.float64, shape, elements=numbers),
        arrays(np.int64, shape),
        arrays(np.uint8, shape),
    )
)
leaves = st.one_of(st.booleans(), st.integers(), numbers, st.text(), st.binary(), matrices)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple), st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


def same(one: object, other: object) -> bool:
    """Equal in type, shape and bits."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack(">d", one) == struct.pack(">d", other)
    return type(one) is type(other) and one == other


@given(value=values)
def test_what_was_encoded_is_decoded(value: Value) -> None:
    assert same(decode(encode(value)), value)


@given(one=values, other=values)
def test_two_values_never_share_an_encoding(one: Value, other: Value) -> None:
    assert (encode(one) == encode(other)) == same(one, other)


@given(data=st.binary(max_size=64))
def test_any_bytes_are_refused_or_are_the_encoding_of_what_they_decode_to(data: bytes) -> None:
    """The reader never raises anything but PeerError, and accepts only canonical bytes."""
    try:
        value = decode(data)
    except PeerError:
        return
    assert encode(value) == data


@given(value=values, data=st.data())
def test_a_damaged_message_is_refused_or_another_canonical_one(
    value: Value, data: st.DataObject
) -> None:
    sound = encode(value)
    at = data.draw(st.integers(0, len(sound) - 1))
    byte = data.draw(st.integers(0, 255))
    for damaged in (sound[:at], sound[:at] + bytes([byte]) + sound[at + 1 :], sound + b"T"):
        try:
            found = decode(damaged)
        except PeerError:
            continue
        assert encode(found) == damaged


def u32(number: int) -> bytes:
    return struct.pack(">I", number)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("empty", b""),
        ("unknown tag", b"x"),
        ("bytes after the value", b"TT"),
        ("longer integer than needed", b"i" + u32(2) + b"\x00\x01"),
        ("integer of no bytes", b"i" + u32(0)),
        ("NaN", b"f" + struct.pack(">d", math.nan)),
        ("not UTF-8", b"s" + u32(1) + b"\xff"),
        ("keys that fall", b"m" + u32(2) + u32(1) + b"b" + b"T" + u32(1) + b"a" + b"T"),
        ("a key twice", b"m" + u32(2) + u32(1) + b"a" + b"T" + u32(1) + b"a" + b"T"),
        ("more announced than sent", b"t" + u32(2**32 - 1)),
        ("array of unknown type", b"ae\x01" + u32(0)),
        ("array of three dimensions", b"aB\x03" + u32(0) * 3),
        ("array larger than the message", b"ad\x02" + u32(2**32 - 1) * 2),
        ("array with a NaN", b"ad\x01" + u32(1) + struct.pack(">d", math.nan)),
        ("nested too deep", (b"t" + u32(1)) * 100_000 + b"T"),
    ],
)
def test_malformed_bytes_are_refused(why: str, data: bytes) -> None:
    with pytest.raises(PeerError):
        decode(data)


def test_more_values_than_the_limit_are_refused() -> None:
    count = (1 << 20) + 1
    with pytest.raises(PeerError, match="1048576 values"):
        decode(b"t" + u32(count) + b"T" * count)
    with pytest.raises(LocalError, match="1048576 values"):
        encode((True,) * count)


def test_a_message_over_the_size_limit_is_not_looked_at() -> None:
    with pytest.raises(PeerError, match="at most 4"):
        decode(encode(b"12345"), size_limit_bytes=4)


def test_empty_arrays_of_huge_width_are_decoded_without_memory() -> None:
    array = decode(b"ad\x02" + u32(0) + u32(2**32 - 1))
    assert isinstance(array, np.ndarray)
    assert array.shape == (0, 2**32 - 1)


def nested(levels: int) -> Value:
    value: Value = True
    for _ in range(levels):
        value = (value,)
    return value


def test_the_deepest_value_that_can_be_written_can_be_read() -> None:
    assert decode(encode(nested(DEPTH_LIMIT))) == nested(DEPTH_LIMIT)
    with pytest.raises(LocalError, match="levels"):
        encode(nested(DEPTH_LIMIT + 1))


@pytest.mark.parametrize(
    "value",
    [
        None,
        {1, 2},
        math.nan,
        np.array([math.nan]),
        np.zeros(3, dtype=np.float32),
        np.zeros((1, 1, 1)),
        {1: True},
        "\ud800",
    ],
)
def test_what_has_no_encoding_is_refused_on_our_side(value: Value) -> None:
    with pytest.raises(LocalError):
        encode(value)


def test_lists_and_numpy_scalars_are_written_as_what_they_equal() -> None:
    scalars: Any = [np.int64(5), np.bool_(True), np.float64(0.5)]
    assert encode(scalars) == encode((5, True, 0.5))


def test_minus_zero_is_a_value_of_its_own() -> None:
    assert encode(-0.0) != encode(0.0)


def test_a_decoded_array_cannot_be_written_to() -> None:
    array = decode(encode(np.arange(3)))
    assert isinstance(array, np.ndarray)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


@given(
    one=st.tuples(st.text(), st.lists(st.binary())),
    other=st.tuples(st.text(), st.lists(st.binary())),
)
def test_a_digest_names_its_domain_and_every_part(
    one: tuple[str, list[bytes]], other: tuple[str, list[bytes]]
) -> None:
    equal = digest(one[0], *one[1]) == digest(other[0], *other[1])
    assert equal == (one == other)


def test_parts_cannot_be_moved_over_their_border() -> None:
    assert digest("d", b"ab", b"c") != digest("d", b"a", b"bc")
    assert digest("d", b"", b"") != digest("d", b"")
    assert digest("da", b"") != digest("d", b"a")
