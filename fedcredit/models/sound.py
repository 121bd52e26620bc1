"""What every question checks of the parts that it was sent."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fedcredit.errors import PeerError
from fedcredit.models.released import LARGEST

__all__ = [
    "MOST_STEPS",
    "bin_of_cells",
    "check_grid",
    "malformed",
    "numbers",
    "tuple_of",
    "whole_numbers",
]

MOST_STEPS = 1 << 20  # grid steps of a radius: sums of 1e9 records stay below 2**53


def tuple_of(part: object, sound: Callable[[object], bool]) -> bool:
    """It is a tuple, and each of its members is sound."""
    return isinstance(part, tuple) and all(sound(one) for one in part)


def whole_numbers(part: object) -> bool:
    """It is a tuple of plain integers."""
    return tuple_of(part, lambda one: type(one) is int)


def bin_of_cells(part: object) -> bool:
    """It is a bin for each of some cells."""
    return isinstance(part, np.ndarray) and part.dtype == np.uint8 and part.ndim == 1


def numbers(part: object) -> bool:
    """It is one row of finite floats."""
    if not isinstance(part, np.ndarray) or part.dtype != np.float64 or part.ndim != 1:
        return False
    return bool((np.abs(part) <= LARGEST).all())


def check_grid(kind: str, clip: float, steps: int) -> None:
    """A clip and its steps are finite, positive and small enough to add exactly."""
    sound = type(clip) is float and type(steps) is int
    if not sound or not 0 < clip < math.inf or not 1 <= steps <= MOST_STEPS:
        raise malformed(kind)


def malformed(kind: str) -> PeerError:
    """The same error for every shape that does not fit."""
    return PeerError(
        f"a question of kind {kind!r} has parts that do not fit together",
        remedy="have the coordinator run the release of fedcredit that the plan names",
    )
