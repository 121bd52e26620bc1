"""One record moves a sum by at most what the sum says, for any table at all."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcredit.errors import PrivacyError
from fedcredit.privacy.sums import (
    BoundedSum,
    add,
    bounded_sum,
    clip_rows,
    exact_product,
    radius,
    shrink_into,
)
from fedcredit.units import Floats, Ints

ANY_FLOAT = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
NEAR_ONE = st.floats(-2, 2)
TABLES = st.tuples(st.integers(1, 7), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=ANY_FLOAT | NEAR_ONE)
)
GRIDS = st.integers(1, 2**12) | st.floats(1, 2**20)


def squared_norms(rows: Ints) -> list[int]:
    """Exactly, in Python's own integers."""
    return [sum(step * step for step in row) for row in rows.tolist()]


@given(rows=TABLES, clip=st.floats(1e-3, 1e3), steps=GRIDS)
def test_one_record_moves_the_sum_by_at_most_its_stated_sensitivity(
    rows: Floats, clip: float, steps: float
) -> None:
    """The promise every epsilon rests on, for any table a bank could hand us."""
    grid = clip / steps
    with_all = bounded_sum(rows, clip_norm=clip, grid=grid)

    for left_out in range(len(rows)):
        rest = bounded_sum(np.delete(rows, left_out, axis=0), clip_norm=clip, grid=grid)
        (moved,) = squared_norms((with_all.value - rest.value)[None, :])
        assert moved <= with_all.sensitivity_squared


@given(rows=TABLES, clip=st.floats(5e-324, 1e308), steps=GRIDS)
@example(rows=np.array([[1e-170, 1e-170]]), clip=1e-310, steps=100.0)
@example(rows=np.array([[5e-324, 0.0]]), clip=5e-324, steps=1.0)
@example(rows=np.array([[1.7e308, 1.7e308]]), clip=1e308, steps=3.0)
def test_every_clipped_row_lies_in_the_ball_exactly(
    rows: Floats, clip: float, steps: float
) -> None:
    """NaN, infinite, huge and denormal entries included, at any unit."""
    grid = max(clip / steps, 5e-324)

    clipped = clip_rows(rows, clip_norm=clip, grid=grid)

    assert clipped.shape == rows.shape
    assert clipped.dtype == np.int64
    assert all(norm <= radius(clip, grid) ** 2 for norm in squared_norms(clipped))


@pytest.mark.parametrize(
    "row",
    [
        [math.nan, 1.0],
        [math.inf, 1.0],
        [1.0, -math.inf],
        [1e300, 1e300],
        [5e-324, -5e-324],
        [0.0, -0.0],
    ],
)
def test_a_row_that_is_not_finite_or_too_small_to_see_counts_as_zero(row: list[float]) -> None:
    assert clip_rows(np.array([row]), clip_norm=1.0, grid=0.01).tolist() == [[0, 0]]


@given(rows=arrays(np.float64, (4, 3), elements=st.floats(-0.5, 0.5)))
def test_a_row_inside_the_ball_is_only_rounded(rows: Floats) -> None:
    clipped = clip_rows(rows, clip_norm=1.0, grid=2.0**-10)

    assert clipped.tolist() == np.rint(rows * 1024).astype(int).tolist()


@given(row=arrays(np.float64, (1, 4), elements=st.floats(1, 1e6)))
def test_a_row_outside_the_ball_keeps_its_direction_to_the_grid(row: Floats) -> None:
    clipped = clip_rows(row, clip_norm=1.0, grid=2.0**-12)[0] / 2**12

    assert abs(clipped - row[0] / np.linalg.norm(row)).max() < 2.5 * 2.0**-12


def test_a_row_is_clipped_by_itself_alone() -> None:
    """Otherwise a record could move the sum through another record's row."""
    rows = np.array([[3.0, 4.0], [math.nan, 0.0], [0.1, 0.2], [1e200, 1e200]])

    together = clip_rows(rows, clip_norm=1.0, grid=0.001)

    for row, alone in zip(together, rows, strict=True):
        assert row.tolist() == clip_rows(alone[None, :], clip_norm=1.0, grid=0.001)[0].tolist()


def test_a_table_of_single_precision_is_taken_as_it_is() -> None:
    rows = cast(Floats, np.array([[0.25, 0.5]], dtype=np.float32))

    assert clip_rows(rows, clip_norm=1.0, grid=0.25).tolist() == [[1, 2]]


@given(
    steps=arrays(np.int64, st.tuples(st.integers(0, 6), st.integers(1, 6)), elements=st.integers()
                 .map(lambda k: k % (2**27 + 1) - 2**26)),
    bound=st.integers(1, 2**26),
)  # fmt: skip
def test_shrinking_is_exact_up_to_the_largest_radius(steps: Ints, bound: int) -> None:
    steps = np.clip(steps, -bound, bound)

    shrunk = shrink_into(steps, bound)

    for before, after, norm in zip(steps, shrunk, squared_norms(steps), strict=True):
        if norm <= bound * bound:
            assert after.tolist() == before.tolist()
        else:
            ceiling = math.isqrt(norm - 1) + 1
            exact = [abs(k) * bound // ceiling * (1 if k > 0 else -1) for k in before.tolist()]
            gap = max(abs(a - b) for a, b in zip(after.tolist(), exact, strict=True))
            assert squared_norms(after[None, :])[0] <= bound * bound
            assert gap <= 1, "float64 may only propose a ceiling, one step too large at most"


def test_no_records_give_a_sum_of_zero() -> None:
    nothing = bounded_sum(np.empty((0, 3)), clip_norm=1.0, grid=0.1)

    assert nothing.value.tolist() == [0, 0, 0]
    assert nothing.sensitivity_squared == 100


@given(clip=st.floats(1e-300, 1e300), steps=st.integers(1, 2**26))
def test_the_radius_is_the_exact_quotient_rounded_up(clip: float, steps: int) -> None:
    grid = clip / steps
    quotient = Fraction(clip) / Fraction(grid)

    if quotient <= 2**26:
        assert 0 <= radius(clip, grid) - quotient < 1


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf, True, "1"])
@pytest.mark.parametrize("name", ["clip_norm", "grid"])
def test_a_clip_or_grid_that_is_not_positive_and_finite_is_refused(name: str, wrong: float) -> None:
    with pytest.raises(PrivacyError, match=f"{name} is"):
        radius(**{"clip_norm": 1.0, "grid": 1.0} | {name: wrong})


def test_a_grid_too_fine_for_exact_squares_is_refused() -> None:
    with pytest.raises(PrivacyError, match="more than 67108864 grid steps"):
        radius(1.0, 2.0**-27)
    with pytest.raises(PrivacyError, match="overflow 64 bits"):
        clip_rows(np.zeros((1, 1024)), clip_norm=1.0, grid=2.0**-26)


def test_rows_that_are_no_matrix_are_refused() -> None:
    with pytest.raises(PrivacyError, match="1 dimensions, expected 2"):
        clip_rows(np.zeros(3), clip_norm=1.0, grid=0.1)


@pytest.mark.parametrize(
    ("value", "sensitivity_squared"),
    [
        (np.zeros(3), 1),
        (np.zeros((3, 1), dtype=np.int64), 1),
        (np.zeros(3, dtype=np.int32), 1),
        (np.zeros(3, dtype=np.int64), 0),
        (np.zeros(3, dtype=np.int64), 2**52 + 1),
        (np.zeros(3, dtype=np.int64), 1.0),
        (np.zeros(3, dtype=np.int64), True),
    ],
)
def test_a_sum_that_is_not_exact_is_refused(value: Ints, sensitivity_squared: int) -> None:
    with pytest.raises(PrivacyError):
        BoundedSum(value, sensitivity_squared)


def test_a_sum_never_shows_its_value() -> None:
    total = BoundedSum(np.array([4711]), sensitivity_squared=1)

    assert repr(total) == str(total) == "BoundedSum(dim=1, sensitivity_squared=1)"


@given(rows=arrays(np.float64, (9, 3), elements=NEAR_ONE), cut=st.integers(0, 9))
def test_batches_add_up_to_the_whole(rows: Floats, cut: int) -> None:
    """Exactly, in any cut: integers have no order."""
    parts = [bounded_sum(part, clip_norm=1.0, grid=0.001) for part in (rows[:cut], rows[cut:])]

    together = add(*parts)

    whole = bounded_sum(rows, clip_norm=1.0, grid=0.001)
    assert together.value.tolist() == whole.value.tolist()
    assert together.sensitivity_squared == whole.sensitivity_squared


def test_a_record_moves_only_the_sum_it_is_in() -> None:
    one, other = BoundedSum(np.array([1]), 9), BoundedSum(np.array([2]), 4)

    assert add(one, other).sensitivity_squared == 9


def test_sums_of_other_lengths_are_not_added() -> None:
    with pytest.raises(PrivacyError, match="sums of 1 and 2 numbers"):
        add(BoundedSum(np.array([1]), 1), BoundedSum(np.array([1, 2]), 1))


@given(data=st.data(), n=st.integers(0, 12), bound=st.integers(1, 2**26))
def test_a_product_in_float64_is_the_exact_product(data: st.DataObject, n: int, bound: int) -> None:
    """At the very edge too, where a slice holds two records."""
    entries = st.integers(-bound, bound) | st.sampled_from([-bound, bound])
    left = data.draw(arrays(np.int64, (2, n), elements=entries))
    right = data.draw(arrays(np.int64, (n, 3), elements=entries))

    found = exact_product(left, right, bound=bound * bound)

    assert found.dtype == np.int64
    assert found.tolist() == [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in right.T.tolist()]
        for row in left.tolist()
    ]


def test_a_product_is_exact_where_one_float64_sum_would_not_be() -> None:
    """Three odd products near 2^52: their sum needs 54 bits, so they are taken in slices."""
    rows = np.full((3, 1), 2**26 - 1, dtype=np.int64)

    assert exact_product(rows.T, rows, bound=2**52).tolist() == [[3 * (2**26 - 1) ** 2]]
    assert int((rows.T.astype(float) @ rows.astype(float))[0, 0]) != 3 * (2**26 - 1) ** 2


def test_a_product_that_float64_cannot_hold_is_refused() -> None:
    with pytest.raises(PrivacyError, match="bound"):
        exact_product(np.ones((1, 1), np.int64), np.ones((1, 1), np.int64), bound=2**53)


def test_a_sum_beyond_64_bits_wraps_as_a_ring_does() -> None:
    """Reducing modulo 2^64 commutes with adding noise, so it costs accuracy and no privacy."""
    edge = BoundedSum(np.array([2**63 - 1]), 1)

    assert add(edge, BoundedSum(np.array([1]), 1)).value.tolist() == [-(2**63)]
