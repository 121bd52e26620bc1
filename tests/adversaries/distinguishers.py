"""What tells a mask from noise, or finds its seed: attacks on a vector, whoever masked it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.random import MT19937
from numpy.typing import NDArray
from scipy.stats import chisquare

Vector = NDArray[np.int64]


def folded(key: bytes) -> int:
    """32 bits that are all Flower's generator takes of a key."""
    words = np.frombuffer(key, "<u4")
    return int(np.bitwise_xor.reduce(words))


def flower_mask(seed: int, modulus: int, shapes: Iterable[tuple[int, ...]]) -> list[Vector]:
    """The mask that Flower draws from a folded key, part by part."""
    generator = np.random.RandomState(seed)
    return [generator.randint(0, modulus - 1, shape, dtype=np.int64) for shape in shapes]


def seed_of(
    first: int, shape: tuple[int, ...], fits: Callable[[Vector], bool], near: int, bits: int
) -> int | None:
    """Look for the seed of a mask modulo 2^32 of which the first number is known.

    Args:
        first: that number, drawn by itself.
        shape: of the numbers that come after it.
        fits: whether these may be the ones.
        near: a seed whose upper bits are right.
        bits: how many of the lower ones are looked for; Flower's seeds have 32 in all.
    """
    upper = near >> bits << bits
    legacy = MT19937()
    generator = np.random.RandomState(legacy)
    for seed in range(upper, upper + (1 << bits)):
        legacy._legacy_seeding(seed)
        if legacy.random_raw() == first and fits(
            generator.randint(0, (1 << 32) - 1, shape, np.int64)
        ):
            return seed
    return None


def is_not_uniform(vector: bytes) -> bool:
    """Whether bytes differ from uniform ones in their counts, or in those of their pairs."""
    data = np.frombuffer(vector, np.uint8)
    pairs = (data[:-1:2].astype(np.int64) >> 4) * 16 + (data[1::2] >> 4)
    counts = [np.bincount(part, minlength=256) for part in (data, pairs)]
    return any(chisquare(one).pvalue < 1e-6 for one in counts)


def are_alike(one: bytes, other: bytes) -> bool:
    """Whether two vectors go together: their difference, or their bits, are not as of chance."""
    left, right = (np.frombuffer(part, np.uint8) for part in (one, other))
    agreeing = int(np.unpackbits(~(left ^ right)).sum())
    spread = (8 * left.size) ** 0.5 / 2
    return abs(agreeing - 4 * left.size) > 5 * spread or is_not_uniform((left - right).tobytes())


def linear_complexity(bits: Iterable[int]) -> int:
    """Length of the shortest shift register that gives these bits (Berlekamp and Massey)."""
    stream = list(bits)
    register, before, length, since = 1, 1, 0, 1
    seen = 0  # the bits so far, the latest lowest
    for at, bit in enumerate(stream):
        seen = seen << 1 | bit
        if not (register & seen).bit_count() & 1:
            since += 1
            continue
        changed = register ^ before << since
        if 2 * length <= at:
            length, before, since = at + 1 - length, register, 0
        register, since = changed, since + 1
    return length
