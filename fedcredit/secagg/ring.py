"""The ring that masked sums live in: integers modulo 2^m, and the bound under which none wraps.

A mask is uniform over the ring, so a masked number says nothing; the sum of numbers that
fit in the ring's middle comes out of it exactly. The words of a ring of 24 bits are held
in 32 and cut off when they are packed: reduction commutes with every sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedcredit.errors import LocalError, PeerError
from fedcredit.units import Ints

__all__ = ["RING_BITS", "Ring", "Words", "noise_reach", "ring_for"]

Words: TypeAlias = NDArray[np.unsignedinteger]

RING_BITS: Final = (16, 24, 32, 64)
_WORD_BITS: Final = {16: 16, 24: 32, 32: 32, 64: 64}
_BLOCK: Final = 1 << 14  # words that are looked at twice while they are in the cache
_REACH: Final = 12  # standard deviations: P(beyond) <= 2 exp(-72) a number


@dataclass(frozen=True, slots=True)
class Ring:
    """Integers modulo 2^bits, little-endian when packed.

    Attributes:
        bits: m, one of `RING_BITS`.

    Raises:
        LocalError: ``bits`` is none of them.
    """

    bits: int

    def __post_init__(self) -> None:
        """Refuse a size that cannot be packed."""
        if self.bits not in RING_BITS:
            raise LocalError(
                f"a ring of {self.bits} bits, expected one of {RING_BITS}",
                remedy="let ring_for choose the ring",
            )

    @property
    def word(self) -> np.dtype[np.unsignedinteger]:
        """The type of one word, little-endian on every machine."""
        return np.dtype(f"<u{_WORD_BITS[self.bits] // 8}")

    @property
    def largest(self) -> int:
        """The largest sum that comes out as it went in; so does its negative."""
        return (1 << (self.bits - 1)) - 1

    def packed_bytes(self, dim: int) -> int:
        """Bytes of ``dim`` packed numbers."""
        return dim * self.bits // 8

    def wrap(self, values: Ints) -> Words:
        """Map integers into the ring.

        Args:
            values: int64, any shape.

        Returns:
            A new array of words, the same shape; equal modulo 2^bits.
        """
        return values.astype(np.int64).view(np.uint64).astype(self.word)

    def centre(self, words: Words) -> Ints:
        """Map words to the integers from -2^(m-1) to 2^(m-1) - 1 that they stand for.

        >>> ring = Ring(24)
        >>> ring.centre(ring.wrap(np.array([-5, 0, 8_388_607]))).tolist()
        [-5, 0, 8388607]
        """
        size = words.dtype.itemsize
        up = 8 * size - self.bits
        # What numpy has computed is in the host's own byte order, whatever that of its terms was.
        if not up:  # every pass over a million numbers counts
            return words.view(words.dtype.str.replace("u", "i")).astype(np.int64)
        return ((words << up).view(f"i{size}") >> up).astype(np.int64)

    def checksum(self, words: Words) -> tuple[int, int]:
        """Fletcher's two sums modulo 2^bits: of the words, and of each times its place from 1.

        They are linear, so the checksum of a sum is the sum of the checksums: whether many
        vectors are as they were sent is seen in one pass over their sum. It is no proof
        against somebody who alters them on purpose.

        Args:
            words: shape ``(dim,)``, of the ring's word type.
        """
        column = np.zeros(min(_BLOCK, words.size), dtype=self.word)  # sums by place in a block
        plain = placed = 0
        for start in range(0, words.size, _BLOCK):
            part = words[start : start + _BLOCK]
            summed = int(part.sum(dtype=self.word.type))
            plain += summed
            placed += start * summed
            column[: part.size] += part
        placed += int(np.dot(column, np.arange(1, column.size + 1).astype(self.word)))
        return plain % (1 << self.bits), placed % (1 << self.bits)

    def pack(self, words: Words) -> bytes:
        """The words of a vector as bytes: ``bits / 8`` of them a number."""
        if self.bits != 24:
            return np.ascontiguousarray(words, dtype=self.word).tobytes()
        wide = np.ascontiguousarray(words, dtype=self.word).view(np.uint8).reshape(-1, 4)
        return wide[:, :3].tobytes()

    def unpack(self, data: bytes | memoryview, dim: int) -> Words:
        """Read ``dim`` packed numbers; the inverse of `pack`.

        Returns:
            Words, shape ``(dim,)``; where no cut is needed a read-only view of ``data``.

        Raises:
            PeerError: the bytes hold another number of them.
        """
        if len(data) != self.packed_bytes(dim):
            raise PeerError(
                f"a vector of {len(data)} bytes, expected {self.packed_bytes(dim)} for {dim} "
                f"numbers of {self.bits} bits",
                remedy="drop it; the sender does not follow the manifest",
            )
        if self.bits != 24:
            return np.frombuffer(data, dtype=self.word)
        wide = np.zeros((dim, 4), dtype=np.uint8)
        wide[:, :3] = np.frombuffer(data, dtype=np.uint8).reshape(dim, 3)
        return wide.view(self.word).reshape(dim)


def noise_reach(members: int, variance: int) -> int:
    """How far the noise of all members together reaches: 12 of its standard deviations.

    Args:
        members: institutions that add noise.
        variance: of one institution's noise, in grid steps squared.

    Returns:
        N, rounded up; a number's noise is beyond it with probability below 2 exp(-72).
    """
    return isqrt(_REACH**2 * members * variance) + 1


def ring_for(members: int, bound: int, reach: int) -> Ring:
    """The smallest ring in which no honest sum wraps.

    Guarantee: ``members * bound + reach <= 2^(bits-1) - 1``. A sum that wraps all the
    same, because noise reached further, is less accurate and not less private.

    Args:
        members: institutions in a sum.
        bound: B, the largest absolute value that one institution's number may have
            before noise.
        reach: N, from `noise_reach`.

    Raises:
        LocalError: no ring is large enough.

    >>> ring_for(100, 2**20, noise_reach(100, 2**20)).bits
    32
    """
    for bits in RING_BITS:
        if members * bound + reach <= Ring(bits).largest:
            return Ring(bits)
    raise LocalError(
        f"{members} numbers of up to {bound} and noise of up to {reach} fit no ring",
        remedy="take a coarser grid, or a smaller bound",
    )
