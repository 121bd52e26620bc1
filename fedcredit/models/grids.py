"""Two grids for gradients: a fine one for rows and their exact sum, a coarse one for release.

Noise can be drawn only up to a variance of 2^40 steps squared, so the grid of a release is
often too coarse for the row of one record: with thousands of parameters most entries would
be rounded to zero. Rows are therefore integers on a grid that is finer by a power of two,
are summed there exactly, and the sum is rounded once. That moves two neighbouring sums
apart by at most one step in each number that the record touches, which is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from fedcredit.privacy.events import whole
from fedcredit.units import Ints

__all__ = ["Grid", "fine_grid", "sensitivity_squared"]

MOST_STEPS = 1 << 20  # as for every other question
MOST_REACH = 1 << 32


@dataclass(frozen=True, slots=True)
class Grid:
    """A released grid and the finer one below it.

    Attributes:
        steps: the clip in steps of the released grid.
        shift: a released step is ``2 ** shift`` fine ones.
    """

    steps: int
    shift: int

    @property
    def radius(self) -> int:
        """The clip in fine steps: the largest integer norm of a record's row."""
        return self.steps << self.shift

    def split(self, fine: Ints) -> tuple[Ints, Ints]:
        """Cut exact fine sums into whole released steps and the rest, 0 to 2^shift - 1.

        Parts are added part by part, so a total that no longer fits 64 bits on the fine
        grid still does.
        """
        return fine >> self.shift, fine & ((1 << self.shift) - 1)

    def join(self, whole_steps: Ints, rest: Ints) -> Ints:
        """Round the total of many parts to the released grid, once.

        Guarantee: ``floor(fine total / 2 ** shift + 1/2)`` for each number.

        >>> Grid(1, 3).join(np.array([2, 2, -1]), np.array([3, 4, 4])).tolist()
        [2, 3, 0]
        """
        half = (1 << self.shift) >> 1
        return np.asarray(whole_steps + ((rest + half) >> self.shift), dtype=np.int64)


def fine_grid(steps: int, finest: int) -> Grid:
    """The finest grid below the released one whose radius is at most ``2 ** finest``.

    Args:
        steps: the clip in steps of the released grid, 1 to 2^20.
        finest: bits; where ``steps`` has more, rows are on the released grid itself.

    Raises:
        PrivacyError: ``steps`` is out of range.

    >>> fine_grid(3000, 17)
    Grid(steps=3000, shift=5)
    """
    whole("steps", steps, low=1, high=MOST_STEPS)
    shift = max(0, finest - (steps - 1).bit_length())
    return Grid(steps, shift)


def sensitivity_squared(reach: int, steps: int) -> int:
    """Largest squared l2 change of a released gradient sum when one record comes or goes.

    It is ``(steps + sqrt(reach)) ** 2``, rounded up: the row's norm, and up to one step of
    rounding in each number that the row touches. A number that it does not touch is the
    same in both sums.

    Args:
        reach: how many parameters one record's gradient can touch, 1 to 2^32.
        steps: the clip in steps of the released grid, 1 to 2^20.

    Returns:
        Released steps squared.

    Raises:
        PrivacyError: an argument is out of range.

    >>> sensitivity_squared(1, 1), sensitivity_squared(7_489, 4_096)
    (4, 17493633)
    """
    whole("reach", reach, low=1, high=MOST_REACH)
    whole("steps", steps, low=1, high=MOST_STEPS)
    return steps**2 + reach + isqrt(4 * steps**2 * reach - 1) + 1
