"""Masks: each is a key stream that nothing short of its key tells from random, and pairs cancel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import PeerError
from fedcredit.secagg.keys import public_of
from fedcredit.secagg.masks import Mask, add_masks, add_vectors, pair_mask, pair_seed, self_seed
from fedcredit.secagg.ring import RING_BITS, Ring, Words
from fedcredit.units import InstitutionId
from tests.vectors.secagg_reference import Stream

KEYS = st.binary(min_size=32, max_size=32)
RINGS = st.sampled_from([Ring(bits) for bits in RING_BITS])
EVERY_RING = pytest.mark.parametrize("bits", RING_BITS)
KEY: Final = Stream("mask key")(32)
CONTEXT: Final = Stream("context")(32)
CHUNK_BYTES: Final = 1 << 18


def alone(masks: Sequence[Mask], dim: int, ring: Ring) -> Words:
    """Masks on a vector of zeros."""
    words: Words = np.zeros(dim, dtype=ring.word)
    add_masks(words, masks, ring)
    return words


def key_stream(key: bytes, dim: int, ring: Ring) -> Words:
    """The same in one piece, as the standard has it."""
    encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()
    return np.frombuffer(encryptor.update(bytes(dim * ring.word.itemsize)), dtype=ring.word)


def member(at: int) -> tuple[InstitutionId, bytes]:
    """A name and its one-time secret."""
    return InstitutionId(f"bank-{at}"), Stream(f"secret {at}")(32)


def own(at: int) -> tuple[InstitutionId, bytes]:
    """A name and its one-time public key."""
    return member(at)[0], public_of(member(at)[1])


def turned(data: bytes, at: int) -> bytes:
    """One bit turned over."""
    wrong = bytearray(data)
    wrong[at // 8] ^= 1 << at % 8
    return bytes(wrong)


@EVERY_RING
@pytest.mark.parametrize("beside", [-1, 0, 1])
@pytest.mark.parametrize("chunks", [1, 3])
def test_a_mask_is_the_whole_key_stream_across_the_edges_of_chunks(
    bits: int, beside: int, chunks: int
) -> None:
    ring = Ring(bits)
    dim = chunks * CHUNK_BYTES // ring.word.itemsize + beside

    assert np.array_equal(alone([(KEY, 1)], dim, ring), key_stream(KEY, dim, ring))


@given(
    ring=RINGS, dim=st.integers(0, 70), masks=st.lists(st.tuples(KEYS, st.sampled_from([1, -1])))
)
def test_every_stream_is_added_or_taken_away_by_its_sign(
    ring: Ring, dim: int, masks: list[Mask]
) -> None:
    words = ring.wrap(np.arange(dim) - 5)
    expected = words.copy()
    for key, sign in masks:
        stream = key_stream(key, dim, ring)
        expected = expected + stream if sign > 0 else expected - stream

    add_masks(words, masks, ring)

    assert np.array_equal(words, expected)


@given(ring=RINGS, dim=st.integers(0, 40), keys=st.lists(KEYS, max_size=4))
def test_what_was_added_and_taken_away_leaves_the_vector(
    ring: Ring, dim: int, keys: list[bytes]
) -> None:
    words = ring.wrap(np.arange(dim) * 1001)
    there: list[Mask] = [(key, 1) for key in keys]
    back: list[Mask] = [(key, -1) for key in keys]

    add_masks(words, [*there, *back], ring)

    assert np.array_equal(words, ring.wrap(np.arange(dim) * 1001))


@given(ring=RINGS, count=st.integers(2, 5))
def test_the_masks_of_all_pairs_cancel_in_the_sum(ring: Ring, count: int) -> None:
    total: Words = np.zeros(9, dtype=ring.word)
    for mine in range(count):
        masks = [
            pair_mask(member(mine)[1], CONTEXT, own(mine), own(other))
            for other in range(count)
            if other != mine
        ]
        add_masks(total, masks, ring)

    assert not total.any()


@given(pair=st.lists(st.integers(0, 9), min_size=2, max_size=2, unique=True))
def test_both_of_a_pair_derive_one_key_and_the_first_by_name_adds(pair: list[int]) -> None:
    one, two = pair
    here = pair_mask(member(one)[1], CONTEXT, own(one), own(two))
    there = pair_mask(member(two)[1], CONTEXT, own(two), own(one))

    assert here[0] == there[0]
    assert here[1] == -there[1] == (1 if one < two else -1)


@given(at=st.integers(0, 255))
def test_another_context_is_another_key_for_pair_and_self(at: int) -> None:
    """Two members with two manifests, so with two models, share no mask."""
    other = turned(CONTEXT, at)
    (name, secret), mine, peer = member(0), own(0), own(1)

    assert pair_seed(secret, other, mine, peer) != pair_seed(secret, CONTEXT, mine, peer)
    assert self_seed(secret, other, name) != self_seed(secret, CONTEXT, name)


def test_a_seed_hangs_on_names_and_keys_and_says_what_it_is_for() -> None:
    (name, secret), mine, peer = member(0), own(0), own(1)
    renamed = InstitutionId("bank-1b"), peer[1]
    seeds = [
        pair_seed(secret, CONTEXT, mine, peer),
        pair_seed(secret, CONTEXT, mine, own(2)),
        pair_seed(secret, CONTEXT, mine, renamed),
        pair_seed(secret, CONTEXT, (InstitutionId("bank-0b"), mine[1]), peer),
        self_seed(secret, CONTEXT, name),
        self_seed(secret, CONTEXT, peer[0]),
        self_seed(member(1)[1], CONTEXT, name),
    ]

    assert len({*seeds}) == len(seeds)
    assert {len(seed) for seed in seeds} == {32}


@pytest.mark.parametrize("whose", [0, 1])
def test_a_seed_hangs_on_keys_by_their_bytes_and_not_by_what_is_agreed_on_alone(whose: int) -> None:
    """X25519 ignores a public key's top bit; two who disagree on it must not share a mask."""
    pair = [own(0), own(1)]
    seed = pair_seed(member(0)[1], CONTEXT, pair[0], pair[1])
    pair[whose] = pair[whose][0], turned(pair[whose][1], 255)

    assert pair_seed(member(0)[1], CONTEXT, pair[0], pair[1]) != seed


@given(at=st.integers(0, 255))
def test_turning_over_any_bit_of_b_is_another_seed(at: int) -> None:
    assert self_seed(turned(KEY, at), CONTEXT, member(0)[0]) != self_seed(
        KEY, CONTEXT, member(0)[0]
    )


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31), bytes(31)])
def test_no_mask_is_made_with_a_key_that_gives_nothing_away(public: bytes) -> None:
    with pytest.raises(PeerError, match="small order"):
        pair_mask(member(0)[1], CONTEXT, own(0), (InstitutionId("bank-1"), public))


@pytest.mark.parametrize("at", range(256))
def test_turning_over_any_bit_of_a_key_changes_the_whole_mask(at: int) -> None:
    """C1: every block of it, and half of all its bits, give or take six standard deviations."""
    ring, dim = Ring(32), 128
    before, after = (alone([(key, 1)], dim, ring).tobytes() for key in (KEY, turned(KEY, at)))
    blocks = [(before[i : i + 16], after[i : i + 16]) for i in range(0, len(before), 16)]
    moved = sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True))

    assert all(one != other for one, other in blocks)
    assert abs(moved - 2048) < 6 * 32


def linear_complexity(bits: Iterable[int]) -> int:
    """Length of the shortest linear feedback register that gives a sequence.

    Source: Massey (1969), https://doi.org/10.1109/TIT.1969.1054260, over GF(2).
    """
    connection, before, length, since, past = 1, 1, 0, 1, 0
    for at, bit in enumerate(bits):
        past = past << 1 | bit
        if (connection & past).bit_count() % 2 == 0:
            since += 1
            continue
        kept = connection
        connection ^= before << since
        if 2 * length <= at:
            length, before, since = at + 1 - length, kept, 1
        else:
            since += 1
    return length


def register(length: int, taps: Sequence[int], count: int) -> list[int]:
    """A linear feedback register, for the test to be tested on."""
    bits = [1, *[0] * (length - 1)]
    while len(bits) < count:
        bits.append(sum(bits[-tap] for tap in taps) % 2)
    return bits


def test_a_register_is_found_out_by_its_length() -> None:
    assert linear_complexity(register(17, [17, 14], 400)) == 17
    assert linear_complexity([0] * 50 + [1]) == 51
    assert linear_complexity([0] * 50) == 0


@EVERY_RING
def test_the_lowest_bits_of_a_mask_have_the_linear_complexity_of_random_ones(bits: int) -> None:
    """C3: half their number; further off than ten with a probability below 2^-18."""
    ring, count = Ring(bits), 4000
    for label in ("one", "two", "three"):
        words = alone([(Stream(label)(32), 1)], count, ring)
        length = linear_complexity((words & words.dtype.type(1)).tolist())
        assert abs(length - count // 2) <= 10


@EVERY_RING
@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize("dim", [1, 65_537, 140_000])
def test_vectors_are_added_as_one_by_one(bits: int, count: int, dim: int) -> None:
    """In pairs and in chunks, whatever is left over."""
    ring, random = Ring(bits), np.random.default_rng(bits + count)
    packed = [random.bytes(ring.packed_bytes(dim)) for _ in range(count)]
    words: Words = np.ones(dim, dtype=ring.word)
    expected = words.copy()
    for vector in packed:
        expected += ring.unpack(vector, dim)
    add_vectors(words, [memoryview(vector) for vector in packed], ring)

    assert (words == expected).all()


def chi_square(data: bytes) -> float:
    """Of the 256 bytes, against all being as likely; its mean is 255, its deviation 22.6."""
    counts = np.bincount(np.frombuffer(data, dtype=np.uint8), minlength=256)
    expected = len(data) / 256
    return float(((counts - expected) ** 2 / expected).sum())


@EVERY_RING
def test_a_masked_constant_is_uniform_and_so_are_its_differences(bits: int) -> None:
    """C2: from word to word, and from one turn to the next."""
    ring, dim = Ring(bits), 20_000
    turns = []
    for context in (CONTEXT, turned(CONTEXT, 7)):
        words = ring.wrap(np.full(dim, 77))
        add_masks(words, [(self_seed(KEY, context, member(0)[0]), 1)], ring)
        turns.append(words)
    steps = [later - earlier for earlier, later in pairwise([turns[0][:-1], turns[0][1:]])]

    for words in (*turns, *steps, turns[0] - turns[1]):
        assert abs(chi_square(ring.pack(words)) - 255) < 6 * 22.6
