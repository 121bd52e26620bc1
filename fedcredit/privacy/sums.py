"""Bounded sums: what an institution knows before noise, and how far one record can move it.

A sum is built from integer rows, so that it is exact in any order and its
sensitivity is a fact, not an estimate. Nothing after the row is floating point,
but for matrix products of integers so small that float64 holds every partial
sum exactly. Errors depend on public parameters only: an error that depends on a
customer's row would itself be a release, and so would a count of records that
is refused. None is: a row has at most 2^26 steps, so int64 holds the sum of
2^36 records exactly; beyond that it would wrap modulo 2^64, which costs
accuracy and not privacy, because a reduction commutes with the noise.

Source: integers from the row on, after Casacuberta et al. (2022), arXiv 2207.10635.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import MAX_SENSITIVITY_SQUARED, whole
from fedcredit.units import Floats, Ints

__all__ = [
    "BoundedSum",
    "add",
    "bounded_sum",
    "clamp",
    "clip_rows",
    "exact_product",
    "radius",
    "shrink_into",
]

_EXACT_IN_FLOAT64: Final = 2**53
_MAX_RADIUS: Final = math.isqrt(MAX_SENSITIVITY_SQUARED)


@dataclass(frozen=True, slots=True, eq=False)
class BoundedSum:
    """A sum of per-record integer rows that knows how far one record can move it.

    Attributes:
        value: the exact sum in grid steps, int64 of shape ``(dim,)``. Sensitive until released.
        sensitivity_squared: largest squared l2 change of ``value`` when one record is
            added or removed, in grid steps squared. Kept squared because a histogram's
            is the square root of its number of features.

    Raises:
        PrivacyError: ``value`` is not a vector of int64, or the sensitivity is out of range.
    """

    value: Ints
    sensitivity_squared: int

    def __post_init__(self) -> None:
        """Refuse a value that is not exact, by its public type and shape alone."""
        if self.value.dtype != np.int64 or self.value.ndim != 1:
            raise PrivacyError(
                f"a sum is {self.value.dtype} of {self.value.ndim} dimensions, "
                "expected int64 of one",
                remedy="sum integer rows; flatten matrices before they become a BoundedSum",
            )
        whole("sensitivity_squared", self.sensitivity_squared, low=1, high=MAX_SENSITIVITY_SQUARED)

    def __repr__(self) -> str:
        """Never print what is not yet noised."""
        return f"BoundedSum(dim={self.value.size}, sensitivity_squared={self.sensitivity_squared})"


def radius(clip_norm: float, grid: float) -> int:
    """Return ``ceil(clip_norm / grid)``: the largest norm of a clipped row, in grid steps.

    The division is exact, so the same two numbers give the same radius everywhere.

    Args:
        clip_norm: radius of the ball, > 0 and finite, in the unit of the rows.
        grid: size of one step, > 0 and finite, in the unit of the rows.

    Returns:
        The radius in grid steps, 1 to 2^26.

    Raises:
        PrivacyError: an argument is not positive and finite, or the grid is too fine.

    >>> radius(1.0, 2.0**-10)
    1024
    """
    for name, number in (("clip_norm", clip_norm), ("grid", grid)):
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            raise PrivacyError(
                f"{name} is a {type(number).__name__}", remedy=f"set {name} to a number above 0"
            )
        if not 0 < number < math.inf:
            raise PrivacyError(
                f"{name} is {number}", remedy=f"set {name} to a finite number above 0"
            )
    steps = math.ceil(Fraction(clip_norm) / Fraction(grid))
    if steps > _MAX_RADIUS:
        raise PrivacyError(
            f"clip_norm {clip_norm} is more than {_MAX_RADIUS} grid steps",
            remedy="take a coarser grid: 2^12 steps to the clip norm are plenty",
        )
    return steps


def clip_rows(rows: Floats, *, clip_norm: float, grid: float) -> Ints:
    """Clip each row to ``clip_norm`` and round it to the grid, exactly inside the ball.

    Guarantee: every returned row has an integer squared norm of at most
    ``radius(clip_norm, grid) ** 2``, whatever its entries, and depends on its own
    row alone. A row with a NaN or infinite entry, or whose norm is not finite,
    counts as zero.

    Args:
        rows: one row per record, shape ``(n, dim)``; ``n`` may be 0.
        clip_norm: radius of the ball, > 0 and finite, in the unit of the rows.
        grid: size of one step, > 0 and finite, in the unit of the rows.

    Returns:
        int64 rows in grid steps, shape ``(n, dim)``.

    Raises:
        PrivacyError: ``clip_norm`` or ``grid`` is not positive and finite, or
            ``rows`` is not a matrix, or has too many columns for so fine a grid.

    Source: Abadi et al. (2016), https://arxiv.org/abs/1607.00133, Algorithm 1, for the clip.
    """
    bound = radius(clip_norm, grid)
    _check_matrix(rows, bound)
    rows = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, 0.0).astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
        rows *= clip_norm / np.maximum(norms, clip_norm)  # 0 where the squares overflow
        rows /= grid
    # Where squares underflow the norm reads 0 and the row is not yet inside: the
    # clamp bounds the cast, and the integer step below has the last word.
    steps = np.rint(np.clip(rows, -bound, bound)).astype(np.int64)
    return shrink_into(steps, bound)


def shrink_into(steps: Ints, bound: int) -> Ints:
    """Move rows that lie outside the ball of radius ``bound`` back in, by integers alone.

    Guarantee: every returned row has an integer squared norm of at most
    ``bound ** 2``. A row outside is scaled by ``bound / ceil(norm)`` and truncated
    towards zero, both exactly; a row inside is returned as it is.

    Args:
        steps: int64 rows, shape ``(n, dim)``, entries from ``-bound`` to ``bound``.
        bound: radius of the ball in grid steps.

    Returns:
        int64 rows, shape ``(n, dim)``.
    """
    squares = np.einsum("nd,nd->n", steps, steps)
    outside = np.flatnonzero(squares > bound * bound)
    if not outside.size:
        return steps
    # Only a start for the exact integer test below: float64 may be off by a step.
    ceilings = np.maximum(np.sqrt(squares[outside]).astype(np.int64) - 1, 1)
    while (short := ceilings * ceilings < squares[outside]).any():
        ceilings += short
    magnitudes = np.abs(steps[outside]) * bound // ceilings[:, None]
    shrunk = steps.copy()
    shrunk[outside] = np.sign(steps[outside]) * magnitudes
    return shrunk


def bounded_sum(rows: Floats, *, clip_norm: float, grid: float) -> BoundedSum:
    """Clip each row to ``clip_norm``, round it to the grid, and sum exactly.

    Guarantee: adding or removing one row moves the sum by at most
    ``ceil(clip_norm / grid)`` grid steps in l2, whatever its entries.

    Args:
        rows: one row per record, shape ``(n, dim)``; ``n`` may be 0.
        clip_norm: radius of the ball, > 0 and finite, in the unit of the rows.
        grid: size of one step, > 0 and finite, in the unit of the rows.

    Returns:
        The sum in grid steps, shape ``(dim,)``, with its sensitivity.

    Raises:
        PrivacyError: as `clip_rows`.
    """
    steps = clip_rows(rows, clip_norm=clip_norm, grid=grid)
    return BoundedSum(steps.sum(axis=0), radius(clip_norm, grid) ** 2)


def add(one: BoundedSum, other: BoundedSum) -> BoundedSum:
    """Add two sums over disjoint records; a record moves only the one that it is in.

    Args:
        one: a sum, shape ``(dim,)``.
        other: a sum of the same shape over other records.

    Returns:
        The sum over all records, with the larger of the two sensitivities.

    Raises:
        PrivacyError: the shapes differ.
    """
    if one.value.shape != other.value.shape:
        raise PrivacyError(
            f"sums of {one.value.size} and {other.value.size} numbers cannot be added",
            remedy="add sums that answer the same query",
        )
    return BoundedSum(
        one.value + other.value, max(one.sensitivity_squared, other.sensitivity_squared)
    )


def clamp(total: BoundedSum, bound: int) -> BoundedSum:
    """Bring every number of a sum between ``-bound`` and ``bound``.

    Guarantee: no two sums are further apart afterwards than before, so the sensitivity is
    unchanged.

    Args:
        total: a sum.
        bound: public, 1 to 2^62.

    Returns:
        The sum, clamped.
    """
    whole("bound", bound, low=1, high=2**62)
    return BoundedSum(np.clip(total.value, -bound, bound), total.sensitivity_squared)


def exact_product(left: Ints, right: Ints, *, bound: int) -> Ints:
    """Multiply integer matrices in float64, as fast as BLAS and exact all the same.

    Guarantee: the result is the exact integer product. Records are taken in slices of at
    most ``2^53 // bound``, so every partial sum, in whatever order BLAS takes
    them, is an integer of at most 2^53, which float64 holds exactly.

    Args:
        left: int64, shape ``(k, n)``, n records.
        right: int64, shape ``(n, d)``.
        bound: public upper limit of ``|left[i, r] * right[r, j]|`` that the clip of the
            rows guarantees; e.g. R^2 for ``exact_product(rows.T, rows, bound=R * R)``.

    Returns:
        int64, shape ``(k, d)``.

    Raises:
        PrivacyError: ``bound`` is not an integer from 1 to 2^52.
    """
    whole("bound", bound, low=1, high=MAX_SENSITIVITY_SQUARED)
    records = _EXACT_IN_FLOAT64 // bound
    total = np.zeros((left.shape[0], right.shape[1]), dtype=np.int64)
    for start in range(0, left.shape[1], records):
        some = slice(start, start + records)
        total += (left[:, some].astype(np.float64) @ right[some].astype(np.float64)).astype(
            np.int64
        )
    return total


def _check_matrix(rows: Floats, bound: int) -> None:
    """Refuse, by public shape alone, what could not be clipped in exact 64-bit integers."""
    if rows.ndim != 2:
        raise PrivacyError(
            f"rows have {rows.ndim} dimensions, expected 2",
            remedy="give one row per record, shape (n, dim)",
        )
    if rows.shape[1] * bound * bound >= 2**62:  # so that squared norms fit, and a step beyond
        raise PrivacyError(
            f"{rows.shape[1]} columns of up to {bound} steps overflow 64 bits",
            remedy="take a coarser grid",
        )
