"""Whatever bytes arrive, a reader returns the value they stand for or raises PeerError.

The corpus holds a sound message of every type, and some that were once made to upset a
reader; it is read again on every run, and everything below starts from it.
"""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.codec import DEPTH_LIMIT, Value, decode, encode
from fedcredit.errors import PeerError
from fedcredit.secagg.messages import (
    REQUEST_LIMIT_BYTES,
    Agreement,
    Receipt,
    Shares,
    Upload,
    decode_request,
    encode_request,
    encode_start,
)
from fedcredit.secagg.packages import (
    PARCEL_BYTES,
    Package,
    Prepared,
    decode_header,
    read_parcel,
)
from fedcredit.secagg.session import decode_manifest, encode_manifest
from tests.secagg.world import ask, session_of

CORPUS: Final = Path(__file__).parent / "corpus"
LIMIT: Final = 1 << 20
SESSION, ASKED = session_of(3), ask((0, 0))

READ_AND_WRITE: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "agreement": lambda data: Agreement.decode(data).encode(),
    "header": lambda data: decode_header(data).encode(),
    "manifest": lambda data: encode_manifest(decode_manifest(data, SESSION, ASKED)),
    "package": lambda data: Package.decode(data, LIMIT).encode(),
    "prepared": lambda data: Prepared.decode(data, LIMIT).encode(),
    "request": lambda data: encode_request(decode_request(data)),
    "shares": lambda data: Shares.decode(data).encode(),
    "upload": lambda data: Upload.decode(data, LIMIT).encode(),
}
LIMITS: Final = {
    "agreement": 1 << 22,
    "header": 1 << 22,
    "manifest": 1 << 20,
    "package": LIMIT,
    "prepared": LIMIT,
    "request": REQUEST_LIMIT_BYTES,
    "shares": 1 << 22,
    "upload": LIMIT,
}


def corpus(kind: str) -> list[tuple[str, bytes]]:
    """Reader and bytes of the sound messages, or of those that are refused."""
    return [
        (path.stem, bytes.fromhex(text))
        for path in sorted(CORPUS.glob("*.json"))
        for text in json.loads(path.read_text("utf-8"))[kind].values()
    ]


def corpus_names(kind: str) -> list[str]:
    return [
        f"{path.stem}: {name}"
        for path in sorted(CORPUS.glob("*.json"))
        for name in json.loads(path.read_text("utf-8"))[kind]
    ]


SOUND: Final = corpus("sound")
sound = pytest.mark.parametrize(("reader", "data"), SOUND, ids=corpus_names("sound"))


def refused_or_exact(reader: str, data: bytes) -> bool:
    """Whether it was read; then what was read has no other byte form."""
    try:
        written = READ_AND_WRITE[reader](data)
    except PeerError:
        return False
    assert written == data
    return True


def framed(vector: bytes, rest: bytes) -> bytes:
    """An upload from what it is made of."""
    return vector + rest + len(rest).to_bytes(4, "big")


def layers(reader: str, data: bytes) -> Iterator[tuple[Value, Callable[[bytes], bytes]]]:
    """The values that a message is made of, each with how others are put in its place."""
    if reader == "upload":
        at = len(data) - 4 - int.from_bytes(data[-4:], "big")
        yield decode(data[at:-4]), lambda rest: framed(data[:at], rest)
        return
    yield decode(data), lambda whole: whole
    match decode(data):
        case {
            "kind": "start",
            "body": {"cards": bytes(cards), "common": bytes(common), "parcels": bytes(parcels)},
        }:
            yield decode(common), lambda other: encode_start(other, parcels, cards)


def test_every_reader_has_its_part_of_the_corpus() -> None:
    assert {reader for reader, _ in SOUND} == set(READ_AND_WRITE) == set(LIMITS)
    kinds = {type(decode_request(data)).__name__ for name, data in SOUND if name == "request"}
    assert kinds == {"Prepare", "Start", "Survive", "Reveal"}


@sound
def test_a_sound_message_is_read_and_written_alike(reader: str, data: bytes) -> None:
    assert refused_or_exact(reader, data)


@pytest.mark.parametrize(("reader", "data"), corpus("refused"), ids=corpus_names("refused"))
def test_what_was_made_to_upset_a_reader_is_refused(reader: str, data: bytes) -> None:
    assert not refused_or_exact(reader, data)


@sound
def test_a_message_cut_off_anywhere_is_refused(reader: str, data: bytes) -> None:
    assert not any(refused_or_exact(reader, data[:at]) for at in range(len(data)))


@sound
def test_a_message_with_bytes_after_it_is_refused(reader: str, data: bytes) -> None:
    twice = () if reader == "upload" else (data,)  # a longer vector, which a turn refuses
    for more in (b"\0", b"T", *twice):
        assert not refused_or_exact(reader, data + more)


@sound
def test_a_message_with_any_one_bit_turned_is_refused_or_another(reader: str, data: bytes) -> None:
    for at in range(len(data)):
        for bit in range(8):
            turned = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
            refused_or_exact(reader, turned)


STRANGERS: Final[Mapping[str, Value]] = {
    "false": False,
    "below zero": -1,
    "a million": 1 << 20,
    "more digits than Python writes": 1 << 15998,
    "a half": 0.5,
    "infinity": float("inf"),
    "no text": "",
    "a name": "bank-001",
    "no bytes": b"",
    "a digest": bytes(32),
    "nothing": (),
    "falling names": ("bank-001", "bank-000"),
    "a mixture": (b"", 7),
    "nested": ((),),
    "an empty mapping": {},
    "a request": {"body": {}, "kind": "start"},
    "no array": np.zeros(0, np.uint8),
    "an array": np.zeros(2, np.int64),
    "a matrix": np.zeros((2, 2), np.float64),
}


def places(value: Value, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where something could stand in a value's stead: itself, and all that is in it."""
    yield path
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, tuple):
        for at, inner in enumerate(value):
            yield from places(inner, (*path, at))


def put(value: Value, path: tuple[str | int, ...], new: Value) -> Value:
    """A value with another in one place."""
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {key: put(one, rest, new) if key == first else one for key, one in value.items()}
    assert isinstance(value, tuple)
    return tuple(put(one, rest, new) if at == first else one for at, one in enumerate(value))


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)
@sound
def test_a_value_of_any_type_in_any_place_is_refused_or_another_message(
    reader: str, data: bytes, stranger: Value
) -> None:
    for value, whole in layers(reader, data):
        for path in places(value):
            refused_or_exact(reader, whole(encode(put(value, path, stranger))))


@sound
def test_a_field_that_is_missing_or_one_too_many_is_refused(reader: str, data: bytes) -> None:
    for value, whole in layers(reader, data):
        for path in places(value):
            inner = value
            for step in path:
                inner = inner[step]  # type: ignore[index]
            if isinstance(inner, Mapping) and path != ("parameters",):
                more = put(value, path, {**inner, "more": b""})
                assert not refused_or_exact(reader, whole(encode(more)))
                for key in inner:
                    fewer = {one: kept for one, kept in inner.items() if one != key}
                    assert not refused_or_exact(reader, whole(encode(put(value, path, fewer))))


@given(data=st.binary(max_size=80))
def test_any_bytes_at_all_are_refused_or_exact(data: bytes) -> None:
    for reader in READ_AND_WRITE:
        refused_or_exact(reader, data)


@settings(max_examples=300)
@given(
    one=st.sampled_from(SOUND),
    other=st.sampled_from(SOUND),
    cut=st.integers(0, 1 << 12),
    skip=st.integers(0, 1 << 12),
)
def test_two_messages_spliced_are_refused_or_exact(
    one: tuple[str, bytes], other: tuple[str, bytes], cut: int, skip: int
) -> None:
    spliced = one[1][: cut % len(one[1])] + other[1][skip % len(other[1]) :]
    for reader in READ_AND_WRITE:
        refused_or_exact(reader, spliced)


def peak_of(reader: str, data: bytes) -> int:
    """The most memory that reading took beside the bytes themselves.

    The smallest of three: the interpreter fills caches of its own now and then.
    """
    return min(_peak_once(reader, data) for _ in range(3))


def _peak_once(reader: str, data: bytes) -> int:
    tracemalloc.start()
    try:
        refused_or_exact(reader, data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def huge(tag: bytes) -> bytes:
    """A value that announces far more than there is."""
    return tag + b"\xff\xff\xff\xff" + bytes(64)


@pytest.mark.parametrize("reader", sorted(READ_AND_WRITE))
def test_a_message_beyond_its_limit_is_not_looked_at(reader: str) -> None:
    data = bytes(LIMITS[reader] + 1)
    assert peak_of(reader, data) < 1 << 14
    with pytest.raises(PeerError, match=r"expected at most|the form of one"):
        READ_AND_WRITE[reader](data)


@pytest.mark.parametrize(
    "data",
    [
        *map(huge, (b"i", b"s", b"b", b"t", b"m")),
        b"aB\1\xff\xff\xff\xff",
        b"ad\2\xff\xff\xff\xff\xff\xff\xff\xff",
        b"aq\2\0\0\0\0\xff\xff\xff\xff",
    ],
    ids=repr,
)
@pytest.mark.parametrize("reader", sorted(READ_AND_WRITE))
def test_an_announcement_costs_no_memory(reader: str, data: bytes) -> None:
    assert peak_of(reader, data) < 1 << 14
    nested = encode({"body": {"x": b"?"}, "kind": "start"}).replace(encode(b"?"), data)
    for inner in (nested, framed(b"", data), encode_start(data, b"", b"")):
        assert peak_of(reader, inner) < 1 << 14


@pytest.mark.parametrize("depth", [DEPTH_LIMIT, DEPTH_LIMIT + 1, 100_000])
@pytest.mark.parametrize("reader", sorted(READ_AND_WRITE))
def test_nesting_is_refused_however_deep(reader: str, depth: int) -> None:
    for one in (b"t\0\0\0\1", b"m\0\0\0\1\0\0\0\1a"):
        nested = one * depth + b"T"
        for data in (nested, framed(b"", nested), encode_start(nested, b"", b"")):
            assert not refused_or_exact(reader, data)


@pytest.mark.parametrize(
    "item",
    [b"T", encode(7), encode(()), encode({}), encode(b""), encode(np.zeros(0))],
    ids=repr,
)
@pytest.mark.parametrize("reader", ["manifest", "request", "upload"])
def test_memory_is_bounded_by_the_size_of_a_message(reader: str, item: bytes) -> None:
    """A message of many small values takes the most memory: some 150 bytes a value."""
    count = 4_000
    many = b"t" + count.to_bytes(4, "big") + item * count
    field = {"manifest": "participants", "request": "survivors", "upload": "accused"}[reader]
    (sound_one,) = [data for name, data in SOUND if name == reader and field.encode() in data][:1]
    value, whole = next(layers(reader, sound_one))
    path = (field,) if reader != "request" else ("body", field)
    data = whole(encode(put(value, path, "?")).replace(encode("?"), many))
    assert peak_of(reader, data) < 4 * len(data) + 300 * count


@pytest.mark.parametrize("size", [0, 1, 111, 113])
def test_a_receipt_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(PeerError):
        Receipt.decode(bytes(size))
    assert Receipt.decode(bytes(112)).encode() == bytes(112)


def test_a_parcel_beyond_the_last_is_refused() -> None:
    parcels = bytes(range(256)) * PARCEL_BYTES  # 256 of them
    assert read_parcel(parcels, 255).encode() == parcels[255 * PARCEL_BYTES :]
    with pytest.raises(PeerError):
        read_parcel(parcels, 256)


def test_shares_are_never_printed() -> None:
    shares = Shares(b"\x41" * 33, b"\x42" * 66, bytes(64))
    assert repr(shares) == "Shares(33 and 66 bytes)"
