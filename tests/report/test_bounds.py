"""Chances are upper bounds: no test of the exact Gaussian does better, and none falls short."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fedcredit.privacy.accounting import epsilon_of
from fedcredit.report.bounds import exact, found_by_epsilon, found_by_rho, recognised, share_up
from fedcredit.units import NanoRho

costs = st.integers(1, 20 * 10**9)
deltas = st.floats(1e-9, 1e-3)
alarms = st.floats(1e-6, 0.5)


@given(cost=costs, false_alarms=alarms)
def test_no_test_of_a_gaussian_finds_more_members(cost: int, false_alarms: float) -> None:
    """A Gaussian of cost rho has the trade-off of mu = sqrt(2 rho), by Neyman and Pearson."""
    mu = math.sqrt(2 * cost / 1e9)
    truth = float(norm.cdf(norm.ppf(false_alarms) + mu))
    assert found_by_rho(cost, false_alarms) >= truth * (1 - 1e-9)


@given(cost=costs, delta=deltas, false_alarms=alarms)
def test_the_bound_by_epsilon_holds_for_a_gaussian_too(
    cost: int, delta: float, false_alarms: float
) -> None:
    truth = float(norm.cdf(norm.ppf(false_alarms) + math.sqrt(2 * cost / 1e9)))
    epsilon = float(epsilon_of(NanoRho(cost), delta))
    assert found_by_epsilon(epsilon, delta, false_alarms) >= truth * (1 - 1e-9)


@given(cost=costs, delta=deltas)
def test_no_guess_about_a_gaussian_is_right_more_often(cost: int, delta: float) -> None:
    """The best guess by a fair coin is right Phi(mu / 2) of the time."""
    truth = float(norm.cdf(math.sqrt(2 * cost / 1e9) / 2))
    assert recognised(float(epsilon_of(NanoRho(cost), delta)), delta) >= truth * (1 - 1e-9)


def test_the_bound_from_the_cost_is_the_tighter_at_usual_budgets() -> None:
    """And close to the truth: at epsilon 1 and 1 % false alarms 2.05 % against 1.88 %."""
    for epsilon_wanted, cost in ((1, 30_560_000), (3, 220_000_000)):
        epsilon = float(epsilon_of(NanoRho(cost), 1e-5))
        assert epsilon == pytest.approx(epsilon_wanted, rel=0.05)
        assert found_by_rho(cost) < found_by_epsilon(epsilon, 1e-5)
    truth = float(norm.cdf(norm.ppf(0.01) + math.sqrt(2 * 0.03056)))
    assert truth == pytest.approx(0.0188, abs=1e-4)
    assert found_by_rho(30_560_000) == pytest.approx(0.0205, abs=1e-4)


@given(epsilon=st.floats(0, 1e6), delta=st.floats(0, 1))
def test_a_chance_is_between_a_coin_and_certainty(epsilon: float, delta: float) -> None:
    assert 0.5 <= recognised(epsilon, delta) <= 1
    assert 0.01 <= found_by_epsilon(epsilon, delta) <= 1


@given(cost=st.integers(0, 10**18))
def test_whoever_learns_nothing_finds_as_many_as_false_alarms(cost: int) -> None:
    assert found_by_rho(0) == pytest.approx(0.01)
    assert found_by_rho(cost) >= 0.01 * (1 - 1e-9)
    assert found_by_rho(cost) <= 1


def test_known_chances() -> None:
    """Epsilon 1, 3 and 8 without delta."""
    found = [round(100 * recognised(epsilon, 0.0), 2) for epsilon in (1, 3, 8)]
    assert found == [73.11, 95.26, 99.97]
    assert recognised(0.0, 1e-5) == pytest.approx((1 + 1e-5) / 2)


@given(share=st.floats(0, 1), digits=st.integers(0, 3))
def test_a_share_is_never_rounded_down(share: float, digits: int) -> None:
    shown = float(share_up(share, digits).removesuffix("\u00a0%"))
    assert 100 * share - 1e-8 <= shown <= 100 * share + 10.0**-digits + 1e-8


@given(cost=st.integers(0, 10**18))
def test_a_cost_is_shown_in_full(cost: int) -> None:
    whole, _, part = exact(cost).partition(".")
    assert int(whole) * 10**9 + int(part.ljust(9, "0") or 0) == cost
