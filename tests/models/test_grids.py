"""Fine grids for rows, coarse ones for release: sums are exact until they are rounded once."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcredit.errors import PrivacyError
from fedcredit.models.grids import Grid, fine_grid, sensitivity_squared
from fedcredit.units import Ints

GRIDS = st.builds(Grid, st.integers(1, 1 << 20), st.integers(0, 26))
ENTRIES = st.integers(-(2**50), 2**50)
FINE = arrays(np.int64, st.tuples(st.integers(1, 5), st.just(3)), elements=ENTRIES)


@given(grid=GRIDS, parts=FINE)
def test_parts_added_in_two_pieces_are_the_whole_sum_rounded_once(
    grid: Grid, parts: np.ndarray[tuple[int, int], np.dtype[np.int64]]
) -> None:
    """In Python's integers, and to the nearest step, halves upwards."""
    pieces = [grid.split(part) for part in parts]

    both: Ints = np.sum(pieces, axis=0, dtype=np.int64)
    found = grid.join(both[0], both[1])

    step = 1 << grid.shift
    exact = [sum(int(part[at]) for part in parts) for at in range(3)]
    assert found.tolist() == [(2 * total + step) // (2 * step) for total in exact]


@given(grid=GRIDS, low=st.integers(-(2**62), -(2**61)), count=st.integers(4, 9))
def test_a_total_beyond_64_bits_of_the_fine_grid_is_still_right(
    grid: Grid, low: int, count: int
) -> None:
    grid = Grid(grid.steps, max(grid.shift, 8))
    pieces = [grid.split(np.array([low])) for _ in range(count)]

    both: Ints = np.sum(pieces, axis=0, dtype=np.int64)
    found = grid.join(both[0], both[1])

    step = 1 << grid.shift
    assert found.tolist() == [(2 * low * count + step) // (2 * step)]


@given(steps=st.integers(1, 1 << 20), finest=st.integers(1, 46))
def test_a_fine_grid_is_the_finest_that_its_bits_allow(steps: int, finest: int) -> None:
    grid = fine_grid(steps, finest)

    assert grid.steps == steps
    assert grid.shift == 0 or grid.radius <= 2**finest
    assert 2 * grid.radius > 2**finest, "one bit more would not fit"


@given(reach=st.integers(1, 1 << 32), steps=st.integers(1, 1 << 20))
def test_the_sensitivity_is_the_clip_and_a_step_in_every_number_touched(
    reach: int, steps: int
) -> None:
    """Rounded up, by no more than one; ``(s - steps^2 - reach)^2 >= 4 steps^2 reach``."""
    crossed = sensitivity_squared(reach, steps) - steps**2 - reach

    assert crossed**2 >= 4 * steps**2 * reach
    assert (crossed - 1) ** 2 < 4 * steps**2 * reach


@given(
    grid=st.builds(Grid, st.integers(1, 50), st.integers(0, 8)),
    start=arrays(np.int64, 4, elements=st.integers(-5000, 5000)),
    row=arrays(np.int64, 4, elements=st.integers(-2000, 2000)),
)
def test_rounding_moves_neighbouring_sums_apart_by_no_more_than_stated(
    grid: Grid,
    start: np.ndarray[tuple[int], np.dtype[np.int64]],
    row: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> None:
    """For rows as long as the radius allows, which is where the bound is closest."""
    length = math.isqrt(int((row**2).sum()) - 1) + 1 if row.any() else 1
    row = np.sign(row) * (np.abs(row) * min(grid.radius, length) // length)
    touched = max(1, int(np.count_nonzero(row)))

    moved = grid.join(*grid.split(start + row)) - grid.join(*grid.split(start))

    assert int((moved**2).sum()) <= sensitivity_squared(touched, grid.steps)


def test_rounding_alone_can_move_a_sum_by_more_than_the_clip() -> None:
    """Why the bound has a second part: one step of the fine grid moves four whole ones."""
    grid = Grid(1, 8)
    start = np.array([127, 127, 127, 127])

    moved = grid.join(*grid.split(start + 1)) - grid.join(*grid.split(start))

    assert moved.tolist() == [1, 1, 1, 1]
    assert grid.steps**2 < int((moved**2).sum()) <= sensitivity_squared(4, 1)


@pytest.mark.parametrize("steps", [0, -1, (1 << 20) + 1])
def test_a_grid_out_of_range_is_refused(steps: int) -> None:
    with pytest.raises(PrivacyError, match="steps"):
        fine_grid(steps, 17)
    with pytest.raises(PrivacyError, match="steps"):
        sensitivity_squared(5, steps)


@pytest.mark.parametrize("reach", [0, (1 << 32) + 1])
def test_a_reach_out_of_range_is_refused(reach: int) -> None:
    with pytest.raises(PrivacyError, match="reach"):
        sensitivity_squared(reach, 1)
