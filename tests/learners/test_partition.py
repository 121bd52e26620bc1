"""Values for many partitions: one norm, one posterior, and noise that moves less."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.learners.forest import grow_forest, no_forest
from fedcredit.learners.partition import (
    PRIOR_VARIANCE,
    Partition,
    _posterior,
    _stiffened,
    _values_of,
    fold_leaves,
    leaves_query,
    start_partition,
)
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.scorecard import Fitting, ScorecardLearner
from fedcredit.measures.measure import measure
from fedcredit.units import Floats
from tests.learners.studies import UNDIRECTED, cells_of, table, told

ROWS = table(1, 5000, UNDIRECTED)
SEEDS = st.integers(0, 2**32)


def started(share: float = 0.4, *, trees: bool = True) -> Partition:
    """Values at zero, after a scorecard."""
    program = told(ScorecardLearner(), ROWS, 20.0).programs[-1]
    assert isinstance(program, Fitting)
    rng = np.random.default_rng(1)
    card = program.scorecard()
    forest = grow_forest(program.binned, card, program.by_order, rng) if trees else no_forest()
    return start_partition(program.binned, card, forest, program.by_order, share)


@pytest.mark.parametrize(("share", "trees"), [(0.4, True), (1.0, False)])
def test_a_record_has_norm_1_however_many_partitions_there_are(share: float, trees: bool) -> None:
    """And its features' own bins have their share of it."""
    partition = started(share, trees=trees)
    count = len(partition.forest.feature)

    assert (partition.scale**2).sum() == pytest.approx(1.0)
    assert (partition.scale[count:] ** 2).sum() == pytest.approx(share)


@pytest.mark.parametrize("noise", [0.5, 30.0, 1000.0])
def test_the_question_costs_what_one_row_of_norm_1_costs(noise: float) -> None:
    """Leaves and bins are rounded to whole steps, and together miss the norm by 1 % at most."""
    query = leaves_query(started(), noise)
    steps = min(4096, int((1 << 19) / noise))

    assert math.sqrt(query.sensitivity_squared) == pytest.approx(steps, rel=0.01)


def test_a_start_leaves_the_scorecard_as_it_is() -> None:
    partition = started()
    cells = cells_of(ROWS)[:, :100]

    assert partition.model().log_odds(cells) == pytest.approx(
        partition.scorecard.log_odds(cells), abs=1e-12
    )


def answered(partition: Partition, variance: int, seed: int = 1) -> Partition:
    """After one round with noise of that variance over a sensitivity of 1."""
    query = leaves_query(partition, math.sqrt(variance))
    exact = measure(ROWS, query)
    drawn = variance * query.sensitivity_squared
    noise = np.random.default_rng(seed).normal(0, math.sqrt(drawn), query.dim)
    total = NoisyTotal(exact.value + np.rint(noise).astype(np.int64), drawn)
    return fold_leaves(partition, query, total)


def test_the_model_holds_the_values_where_no_direction_is_declared() -> None:
    """From values to a model and back, every value the same."""
    partition = answered(started(), 4)

    np.testing.assert_allclose(_values_of(partition, partition.model()), partition.theta, atol=1e-9)


def test_values_answer_the_residuals() -> None:
    """After some rounds with little noise the sums of residuals are nearly spent."""
    partition = started()
    query = leaves_query(partition, 1.0)
    before = np.abs(measure(ROWS, query).value).mean()
    for _ in range(4):
        partition = answered(partition, 1)

    after = np.abs(measure(ROWS, leaves_query(partition, 1.0)).value).mean()

    assert after < 0.7 * before


def test_noise_moves_values_the_less_the_larger_it_is_known_to_be() -> None:
    """Said to be huge, it moves nothing: the values stay where the prior has them."""
    sizes = [
        float(np.abs(answered(started(), variance).theta).max())
        for variance in (10**2, 10**6, 10**10)
    ]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.01


def test_the_noise_of_all_rounds_is_kept() -> None:
    partition = answered(answered(started(), 100), 400)

    variances = [variance for _, _, variance in partition.heard]
    assert variances == pytest.approx([100.0, 400.0], rel=0.05)


@settings(max_examples=50)
@given(seed=SEEDS, size=st.integers(1, 8), variance=st.floats(0.01, 100))
def test_the_posterior_is_that_of_normal_values_seen_through_normal_noise(
    seed: int, size: int, variance: float
) -> None:
    """theta ~ N(0, tau), u ~ N(M theta, M + s): its mean solves (M^2 + (M + s) / tau) = M u."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size))
    matrix, noted = root @ root.T + np.eye(size), rng.normal(size=size) * 10

    found = _posterior(matrix, noted, variance)

    left = matrix @ matrix + (matrix + variance * np.eye(size)) / PRIOR_VARIANCE
    np.testing.assert_allclose(found, np.linalg.solve(left, matrix @ noted), rtol=1e-4, atol=1e-6)


def test_nothing_noted_is_nothing_learned() -> None:
    assert _posterior(np.eye(3), np.zeros(3), 1.0).tolist() == [0.0, 0.0, 0.0]


def test_a_step_that_met_more_curvature_than_foreseen_stiffens_the_hessian() -> None:
    """Along that step it is then as the gradients say; where noise explains it, it stays."""
    hessian, step = np.eye(3), np.array([1.0, 1.0, 0.0])
    start, gradient = np.zeros(3), np.array([9.0, 9.0, 0.0])

    def heard(variance: float) -> tuple[tuple[Floats, Floats, float], ...]:
        return (start, gradient, variance), (step, gradient - 4.0 * step, variance)

    clear, noisy = (_stiffened(hessian, heard(variance)) for variance in (0.01, 100.0))

    assert step @ clear @ step == pytest.approx(step @ (4.0 * step))
    assert noisy is hessian
    assert _stiffened(hessian, heard(0.01)[:1]) is hessian
