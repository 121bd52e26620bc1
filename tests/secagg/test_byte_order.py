"""V2: what is sent is little-endian, and what comes out is right, whatever the host's byte order.

No host of the other order is at hand, but what one would do can be shown on this one. Words are
stored in an order that we name, and numpy computes in the host's. So words that are stored in
the order that this host does *not* have meet all that ours meet on a host of the other order.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import fedcredit.secagg
from fedcredit.secagg.masks import add_masks, add_vectors
from fedcredit.secagg.opening import Opened
from fedcredit.secagg.ring import RING_BITS, Ring, Words
from fedcredit.units import Ints
from tests.adversaries.secagg_made import world

FOREIGN: Final = ">" if sys.byteorder == "little" else "<"
KEYS: Final = (bytes(range(32)), bytes(range(1, 33)))
EVERY_RING = pytest.mark.parametrize("bits", RING_BITS)
NUMBERS = arrays(np.int64, st.integers(0, 9), elements=st.integers(-(2**63), 2**63 - 1))
VALUES: Final = np.arange(80_000, dtype=np.int64) % 8192 - 4096  # three of them fit every ring


def swapped(ring: Ring, values: Ints) -> Words:
    """The words of numbers, stored the other way round."""
    return ring.wrap(values).astype(ring.word.newbyteorder("S"))


def of_other_host(ring: Ring) -> np.dtype[np.unsignedinteger]:
    """The planted word: to this host what ours are to a host of the other order."""
    return np.dtype(f"{FOREIGN}u{4 if ring.bits == 24 else ring.bits // 8}")


@EVERY_RING
@given(values=NUMBERS)
def test_words_of_either_order_are_packed_alike(bits: int, values: Ints) -> None:
    ring = Ring(bits)
    width = bits // 8
    expected = b"".join((one % (1 << bits)).to_bytes(width, "little") for one in values.tolist())

    assert ring.pack(ring.wrap(values)) == ring.pack(swapped(ring, values)) == expected
    assert ring.pack(ring.wrap(values.astype(values.dtype.newbyteorder("S")))) == expected


@EVERY_RING
@given(values=NUMBERS)
def test_numbers_come_out_of_words_of_either_order_alike(bits: int, values: Ints) -> None:
    ring = Ring(bits)

    assert ring.centre(swapped(ring, values)).tolist() == ring.centre(ring.wrap(values)).tolist()
    assert ring.checksum(swapped(ring, values)) == ring.checksum(ring.wrap(values))


def centred_as_stored(ring: Ring, words: Words) -> Ints:
    """The planted fault: a result is read in the order of the words that it came from."""
    up = 8 * words.dtype.itemsize - ring.bits
    signed = np.dtype(words.dtype.str.replace("u", "i"))
    return (words << up).view(signed).astype(np.int64) >> up


def is_right_on_the_other_host(bits: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether numbers are masked, added up and come out, in more words than a chunk has."""
    with monkeypatch.context() as patch:
        patch.setattr(Ring, "word", property(of_other_host))
        ring, values = Ring(bits), VALUES
        words = ring.wrap(values)
        assert words.dtype.byteorder == FOREIGN
        add_masks(words, [(KEYS[0], 1), (KEYS[1], -1)], ring)
        if bits != 24:  # three bytes of four are cut out where the lowest of ours are
            packed = ring.pack(words)
            words = np.zeros(values.size, dtype=ring.word)
            add_vectors(words, [packed, packed, packed], ring)
            values = 3 * values
            add_masks(words, [(KEYS[0], -1), (KEYS[1], 1)] * 2, ring)
        add_masks(words, [(KEYS[0], -1), (KEYS[1], 1)], ring)
        return np.array_equal(ring.centre(words), values)


@EVERY_RING
def test_a_masked_sum_is_right_on_a_host_of_the_other_order(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where results are thought to be in the order of the words, it is not.

    Numpy's are in the host's order, whatever order their terms were stored in.
    """
    assert is_right_on_the_other_host(bits, monkeypatch)
    monkeypatch.setattr(Ring, "centre", centred_as_stored)
    assert not is_right_on_the_other_host(bits, monkeypatch)


def test_a_whole_turn_is_exact_on_hosts_of_the_other_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Members and coordinator alike."""
    monkeypatch.setattr(Ring, "word", property(of_other_host))
    w = world()
    result = w.finish(w.collected(w.packages(), w.names))

    assert isinstance(result, Opened)
    assert result.total.tolist() == w.total(w.names)


def unordered(source: str) -> list[str]:
    """Types of more than a byte that bytes are read or written as in no named order."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="frombuffer"), args=[_, read]):
                found.append(ast.unparse(read))
            case ast.Call(func=ast.Attribute(attr="frombuffer"), keywords=keywords):
                found += [ast.unparse(one.value) for one in keywords if one.arg == "dtype"]
    return [one for one in found if one not in ("np.uint8", "ring.word", "self.word")]


SOURCES: Final = sorted(Path(fedcredit.secagg.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=[one.name for one in SOURCES])
def test_bytes_are_read_as_words_of_a_named_order_alone(path: Path) -> None:
    assert unordered(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line", ["np.frombuffer(data, dtype=np.uint32)", 'np.frombuffer(data, "u4")']
)
def test_words_of_the_hosts_own_order_are_noticed(line: str) -> None:
    assert unordered(line)


@EVERY_RING
def test_a_word_is_little_endian_by_name(bits: int) -> None:
    """On a host of either order: `str` spells out what `byteorder` may call the host's own."""
    assert Ring(bits).word.str[0] == "<"
