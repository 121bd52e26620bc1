"""Newton steps with known noise, and the nearest coefficients that keep the directions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.learners.linear import (
    PRIOR_COEFFICIENT,
    PRIOR_SD,
    directed,
    expected_square,
    fit_standins,
    gradient_of,
    gradient_query,
    newton_step,
    standin_rows,
)
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.standin import StandIn
from fedcredit.models.bins import Scorecard
from fedcredit.models.odds import probability_of_good
from fedcredit.units import Floats
from tests.learners.test_standin import binned, draw, exact

SEEDS = st.integers(0, 2**32)


def metric(rng: np.random.Generator, size: int) -> Floats:
    """Any positive definite matrix that is not too lopsided."""
    root = rng.normal(size=(size, size))
    return np.asarray(root @ root.T + 0.1 * np.eye(size))


@given(seed=SEEDS, size=st.integers(1, 6))
def test_without_noise_a_step_is_newtons_with_the_prior(seed: int, size: int) -> None:
    """(H + 1/variance)^-1 g: the posterior mean where only sampling is uncertain."""
    rng = np.random.default_rng(seed)
    hessian, gradient, theta = metric(rng, size), rng.normal(size=size), rng.normal(size=size)

    found = newton_step(theta, gradient, hessian, sd=0.0)

    step = np.linalg.solve(hessian + np.eye(size) / PRIOR_SD**2, gradient)
    np.testing.assert_allclose(found, theta - step, atol=1e-9)


@given(seed=SEEDS, size=st.integers(1, 6))
def test_a_noisier_gradient_moves_less(seed: int, size: int) -> None:
    """In every direction of curvature, and not at all in the end."""
    rng = np.random.default_rng(seed)
    hessian, gradient, theta = metric(rng, size), rng.normal(size=size), np.zeros(size)

    moves = [
        float(np.linalg.norm(newton_step(theta, gradient, hessian, sd)))
        for sd in (0.0, 1.0, 10.0, 1e6)
    ]

    assert moves == sorted(moves, reverse=True)
    assert moves[-1] < 1e-6


@settings(max_examples=60)
@given(seed=SEEDS, size=st.integers(1, 6))
def test_directed_coefficients_are_the_nearest_ones(seed: int, size: int) -> None:
    """The conditions of Karush, Kuhn and Tucker, which only the minimum fulfils."""
    rng = np.random.default_rng(seed)
    hessian, theta = metric(rng, size + 1), rng.normal(size=size + 1)
    signs = tuple(int(sign) for sign in rng.integers(-1, 2, size))

    found = directed(theta, hessian, signs)

    slope = hessian @ (found - theta)
    for at in range(size + 1):
        bound = at < size and signs[at] != 0
        if bound:
            assert found[at] >= 0
        if bound and found[at] == 0:
            assert slope[at] >= -1e-4
        else:
            assert abs(slope[at]) < 1e-4


def test_coefficients_that_keep_their_directions_are_left_alone() -> None:
    theta = np.array([0.5, -0.5, -1.0])

    assert directed(theta, np.eye(3), (1, 0)) is theta


def test_rows_are_clipped_at_1_5_times_their_expected_norm() -> None:
    bins = binned()
    square = 1 + sum(float((one.share * one.woe**2).sum()) for one in bins.bins)
    card = Scorecard("", bins.bins, np.zeros(4), 0.0, np.eye(5))

    query = gradient_query(card, bins, 10.0)

    assert expected_square(bins) == pytest.approx(square)
    assert query.clip == pytest.approx(1.5 * math.sqrt(square))


def test_a_gradient_is_read_in_the_unit_of_the_rows() -> None:
    query = gradient_query(Scorecard("", binned().bins, np.zeros(4), 0.0, np.eye(5)), binned(), 9.0)
    value = np.array([query.steps, -query.steps, 0, 1, 2])

    gradient, sd = gradient_of(query, NoisyTotal(value, query.steps**2))

    assert gradient[:2] == pytest.approx([query.clip, -query.clip])
    assert sd == pytest.approx(query.clip)


def test_a_stand_ins_row_is_its_woe_and_1() -> None:
    standin = draw(exact()[1])[0]

    rows = standin_rows(binned(), standin)

    assert rows.shape == (standin.good.size, 5)
    assert (rows[:, -1] == 1).all()
    for at, (bins, column) in enumerate(zip(binned().bins, standin.bins, strict=True)):
        assert rows[:, at].tolist() == bins.woe[column].tolist()


def loss(theta: Floats, standin: StandIn) -> float:
    """Log-loss of the stand-ins."""
    good = probability_of_good(standin_rows(binned(), standin) @ theta)
    right = np.where(standin.good == 1, good, 1 - good)
    return float(-(standin.weight * np.log(right)).sum())


def test_the_first_fit_is_better_than_its_prior_and_near_its_best() -> None:
    """Each coefficient is held near the prior's only as far as the geometry is doubtful."""
    standin = draw(exact()[1])[0]
    prior = np.append(np.full(4, PRIOR_COEFFICIENT), binned().base)

    found = fit_standins(binned(), standin)

    rng = np.random.default_rng(1)
    assert loss(found, standin) < loss(prior, standin)
    nearby = [loss(found + 0.2 * rng.normal(size=5), standin) for _ in range(20)]
    assert loss(found, standin) < min(nearby)


def test_a_fit_on_doubtful_stand_ins_stays_near_its_prior() -> None:
    standin = draw(exact()[1])[0]
    doubtful = StandIn(standin.bins, standin.good, standin.weight, moment_sd=1e6)

    found = fit_standins(binned(), doubtful)

    np.testing.assert_allclose(found[:-1], PRIOR_COEFFICIENT, atol=1e-3)
