"""Seeded draws: named streams of made-up values, the same in every version of numpy.

A stream is SHAKE-256 of the seed and the stream's name. Streams do not know of
each other, so a column that is added or taken away moves no other column. They
are for made-up tables alone: nothing private may rest on them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import shake_256

import numpy as np

from fedcredit.units import Flags, Floats, Ints

__all__ = ["Draws"]


@dataclass(frozen=True, slots=True)
class Draws:
    """A family of streams.

    Attributes:
        path: the seed and what it was split by; two families with one path are one.
    """

    path: str

    def under(self, name: str) -> Draws:
        """The family of streams below this one.

        >>> Draws("7").under("shop").path
        '7/shop'
        """
        return Draws(f"{self.path}/{name}")

    def uniform(self, name: str, count: int) -> Floats:
        """Uniform on the open interval from 0 to 1, shape ``(count,)``.

        >>> Draws("7").uniform("x", 2).tolist() == Draws("7").uniform("x", 3).tolist()[:2]
        True
        """
        data = shake_256(f"fedcredit/made-up/1/{self.path}/{name}".encode()).digest(8 * count)
        words = np.frombuffer(data, dtype="<u8") >> np.uint64(12)
        return (words.astype(np.float64) + 0.5) * 2.0**-52

    def chance(self, name: str, probability: Floats | float, count: int) -> Flags:
        """True with the given probability, shape ``(count,)``."""
        return self.uniform(name, count) < probability

    def normal(self, name: str, count: int) -> Floats:
        """Standard normal, shape ``(count,)`` (Box and Muller, 1958)."""
        one, other = self.uniform(name, 2 * count).reshape(2, count)
        return np.asarray(np.sqrt(-2.0 * np.log(one)) * np.cos(2.0 * math.pi * other))

    def exponential(self, name: str, count: int) -> Floats:
        """Exponential with mean 1, shape ``(count,)``."""
        return -np.log(self.uniform(name, count))

    def share(self, name: str, mean: Floats, spread: float) -> Floats:
        """A share between 0 and 1 around ``mean``, bell-shaped in log-odds, like a beta law.

        Args:
            name: the stream.
            mean: the median of each draw, inside 0 to 1, shape ``(n,)``.
            spread: standard deviation in log-odds.
        """
        odds = mean / (1.0 - mean) * np.exp(spread * self.normal(name, len(mean)))
        return np.asarray(odds / (1.0 + odds))

    def count(self, name: str, mean: Floats, most: int) -> Floats:
        """Poisson counts, at most ``most``, as floats.

        Args:
            name: the stream.
            mean: expected count of each draw, shape ``(n,)``.
            most: larger counts become this one.
        """
        left = self.uniform(name, len(mean))
        counts = np.zeros(len(mean))
        rows, mass = np.arange(len(mean)), np.exp(-mean)
        for step in range(1, most + 1):  # inverts the law; only rows not yet decided go on
            left = left - mass
            going = left > 0.0
            rows, left = rows[going], left[going]
            mass = mass[going] * mean[rows] / step
            counts[rows] = step
        return counts

    def pick(self, name: str, weights: Floats) -> Ints:
        """A place for each row, by the row's own weights, shape ``(n,)``.

        Args:
            name: the stream.
            weights: not negative, one row a draw, shape ``(n, places)``.
        """
        edges = np.cumsum(weights, axis=1)
        at = self.uniform(name, len(weights)) * edges[:, -1]
        return np.asarray((at[:, None] > edges[:, :-1]).sum(axis=1), dtype=np.int64)

    def sample(self, name: str, weights: Floats, count: int) -> Ints:
        """Places drawn without replacement, rising, shape ``(count,)``.

        Args:
            name: the stream.
            weights: above 0, shape ``(n,)``; a heavier place is more likely to be drawn.
            count: how many, at most ``n``.

        Source: Efraimidis and Spirakis (2006), doi 10.1016/j.ipl.2005.11.003, algorithm A.
        """
        keys = self.exponential(name, len(weights)) / weights
        return np.sort(np.argpartition(keys, count - 1)[:count])
