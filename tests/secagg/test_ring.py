"""The ring: sums that fit come out exactly, and `ring_for` takes no bit too many or too few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcredit.errors import LocalError, PeerError
from fedcredit.secagg.ring import RING_BITS, Ring, Words, noise_reach, ring_for
from fedcredit.units import Ints

RINGS = st.sampled_from([Ring(bits) for bits in RING_BITS])
ANY_INT64 = arrays(np.int64, st.integers(0, 9), elements=st.integers(-(2**63), 2**63 - 1))
EVERY_RING = pytest.mark.parametrize("bits", RING_BITS)


def full(members: int, value: int) -> Ints:
    """The same number from every member."""
    return np.full(members, value, dtype=np.int64)


def summed(ring: Ring, numbers: Ints) -> int:
    """As the coordinator sums: in words, packed and unpacked on the way."""
    total = np.zeros(1, dtype=ring.word)
    for number in numbers:
        sent = ring.pack(ring.wrap(np.array([number])))
        np.add(total, ring.unpack(sent, 1), out=total)
    return int(ring.centre(total)[0])


@given(values=ANY_INT64, ring=RINGS)
def test_a_number_comes_out_as_it_went_in_or_a_multiple_of_the_ring_away(
    values: Ints, ring: Ring
) -> None:
    half = 1 << (ring.bits - 1)
    out = ring.centre(ring.wrap(values)).tolist()

    assert out == [(value + half) % (2 * half) - half for value in values.tolist()]


@EVERY_RING
def test_the_largest_and_its_negative_come_out_and_one_more_does_not(bits: int) -> None:
    ring = Ring(bits)
    edges = np.array([ring.largest, -ring.largest, ring.largest], dtype=np.int64)
    words = ring.wrap(edges)
    words[2:] += words.dtype.type(1)

    assert ring.centre(words).tolist() == [ring.largest, -ring.largest, -ring.largest - 1]


@given(one=ANY_INT64, ring=RINGS, data=st.data())
def test_to_wrap_a_sum_is_to_sum_what_was_wrapped(
    one: Ints, ring: Ring, data: st.DataObject
) -> None:
    other = data.draw(arrays(np.int64, one.shape, elements=st.integers(-(2**63), 2**63 - 1)))

    words = np.add(ring.wrap(one), ring.wrap(other))

    assert ring.centre(words).tolist() == ring.centre(ring.wrap(one + other)).tolist()


def test_wrapping_leaves_the_numbers_as_they_were() -> None:
    """The words are a copy: masks are added to them in place."""
    values = np.array([1, -1], dtype=np.int64)
    words = Ring(64).wrap(values)
    words += np.uint64(5)

    assert values.tolist() == [1, -1]


@given(values=ANY_INT64, ring=RINGS)
def test_what_was_packed_is_unpacked(values: Ints, ring: Ring) -> None:
    words = ring.wrap(values)
    data = ring.pack(words)
    out = ring.unpack(data, values.size)

    assert len(data) == ring.packed_bytes(values.size) == values.size * ring.bits // 8
    assert out.dtype == ring.word
    assert ring.pack(out) == data
    assert ring.centre(out).tolist() == ring.centre(words).tolist()


@pytest.mark.parametrize(
    ("bits", "packed"),
    [
        (16, "feff 0302"),
        (24, "feffff 030201"),
        (32, "feffffff 03020100"),
        (64, "feffffffffffffff 0302010000000000"),
    ],
)
def test_packed_numbers_are_little_endian_without_a_gap(bits: int, packed: str) -> None:
    ring = Ring(bits)
    assert ring.pack(ring.wrap(np.array([-2, 0x010203]))) == bytes.fromhex(packed)


@EVERY_RING
def test_a_vector_laid_out_with_gaps_is_packed_all_the_same(bits: int) -> None:
    ring = Ring(bits)
    words: Words = ring.wrap(np.arange(10))

    assert ring.unpack(ring.pack(words[::2]), 5).tolist() == [0, 2, 4, 6, 8]


@given(ring=RINGS, dim=st.integers(0, 9), size=st.integers(0, 80))
def test_bytes_that_hold_another_number_of_words_are_refused(
    ring: Ring, dim: int, size: int
) -> None:
    assume(size != ring.packed_bytes(dim))
    with pytest.raises(PeerError, match=f"{size} bytes, expected {ring.packed_bytes(dim)}"):
        ring.unpack(bytes(size), dim)


@EVERY_RING
@given(seed=st.integers(0, 99), size=st.sampled_from([0, 1, 9, 1 << 14, (1 << 14) + 1, 70_000]))
def test_the_checksum_of_a_sum_is_the_sum_of_the_checksums(bits: int, seed: int, size: int) -> None:
    """Around the edges of its blocks; places beyond 2^16 wrap as words do."""
    ring, random = Ring(bits), np.random.default_rng(seed)
    one, two = (ring.wrap(random.integers(-(2**63), 2**63 - 1, size)) for _ in range(2))
    places = range(1, size + 1)
    placed = sum(place * word for place, word in zip(places, one.tolist(), strict=True))
    sums = zip(ring.checksum(one), ring.checksum(two), strict=True)

    assert ring.checksum(one) == (sum(one.tolist()) % 2**bits, placed % 2**bits)
    assert ring.checksum(one + two) == tuple((a + b) % 2**bits for a, b in sums)


@given(ring=RINGS, data=st.data())
def test_one_bit_turned_over_has_another_checksum(ring: Ring, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 50))
    at = data.draw(st.integers(0, size * ring.bits - 1))
    sound = bytearray(data.draw(st.binary(min_size=ring.packed_bytes(size), max_size=1 << 9)))
    del sound[ring.packed_bytes(size) :]
    before = ring.checksum(ring.unpack(bytes(sound), size))
    sound[at // 8] ^= 1 << at % 8

    assert ring.checksum(ring.unpack(bytes(sound), size)) != before


@pytest.mark.parametrize("bits", [-16, 0, 8, 17, 48, 128])
def test_a_ring_that_cannot_be_packed_is_refused(bits: int) -> None:
    with pytest.raises(LocalError, match="ring_for"):
        Ring(bits)


@given(members=st.integers(1, 1000), variance=st.integers(0, 2**70))
def test_noise_reaches_twelve_standard_deviations_and_at_most_one_step_further(
    members: int, variance: int
) -> None:
    reach = noise_reach(members, variance)

    assert (reach - 1) ** 2 <= 144 * members * variance < reach**2


@given(members=st.integers(1, 1000), bound=st.integers(0, 2**52), reach=st.integers(0, 2**60))
def test_the_ring_is_the_smallest_in_which_no_honest_sum_wraps(
    members: int, bound: int, reach: int
) -> None:
    furthest = members * bound + reach
    bits = ring_for(members, bound, reach).bits

    assert furthest <= 2 ** (bits - 1) - 1
    assert all(furthest > 2 ** (less - 1) - 1 for less in RING_BITS if less < bits)


@pytest.mark.parametrize("beyond", [0, 1])
def test_what_fits_no_ring_is_refused(beyond: int) -> None:
    if not beyond:
        assert ring_for(1, 2**63 - 1, 0) == Ring(64)
        return
    with pytest.raises(LocalError, match="fit no ring"):
        ring_for(1, 2**63 - 1, beyond)


@EVERY_RING
@pytest.mark.parametrize("members", [3, 7, 100])
def test_all_at_the_bound_with_the_furthest_noise_decode_and_one_beyond_wraps(
    bits: int, members: int
) -> None:
    """V5: the bound is sound at both ends, and it is tight."""
    largest = Ring(bits).largest
    bound = largest // (members + 1)
    reach = largest - members * bound  # the sum may just reach the largest number
    ring = ring_for(members, bound, reach)
    assert ring.bits == bits

    for sign in (1, -1):
        numbers = full(members, sign * bound)
        numbers[0] += sign * reach
        assert summed(ring, numbers) == sign * largest
        assert summed(ring, full(members, sign * bound)) == sign * members * bound
    numbers = full(members, bound)
    numbers[0] += reach
    numbers[-1] += 1

    assert summed(ring, numbers) == -largest - 1


@pytest.mark.parametrize("bits", RING_BITS[:-1])
def test_one_step_more_takes_the_next_ring(bits: int) -> None:
    largest = Ring(bits).largest

    assert ring_for(7, largest // 7, largest % 7).bits == bits
    assert ring_for(7, largest // 7, largest % 7 + 1).bits > bits
