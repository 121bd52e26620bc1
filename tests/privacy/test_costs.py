"""Costs: zCDP alone where nothing is sampled, and divergences at every order once a sum is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import PrivacyError
from fedcredit.privacy.accounting import MAX_RHO, epsilon_of, rho, rho_local
from fedcredit.privacy.costs import WHOSE, Cost, cap_for, kind_of
from fedcredit.privacy.curves import epsilon_of_curve
from fedcredit.privacy.events import SampledGaussianSum
from fedcredit.privacy.renyi import ORDERS, renyi
from fedcredit.units import NanoRho

DELTA = 1e-5
SUM = SampledGaussianSum(
    name="gradient",
    part="train",
    dim=8,
    sensitivity_squared=2**20,
    variance=2**21,
    honest=4,
    rate=2**14,
)
CURVE = renyi(SUM)
FULL = st.integers(0, 10**9).map(lambda cost: Cost(NanoRho(cost)))
SAMPLED = st.integers(1, 3000).map(lambda count: Cost(NanoRho(rho(SUM)), CURVE).times(count))


def test_the_figures_are_named_once_and_in_one_order() -> None:
    assert WHOSE == ("rho", "rho_local", "person_rho", "person_rho_local")


@given(one=FULL, other=FULL, cap=st.integers(0, 10**9))
def test_without_a_sampled_sum_a_cost_is_its_zcdp(one: Cost, other: Cost, cap: int) -> None:
    assert one.under(NanoRho(cap), DELTA) == one.rho == cap_for(one, DELTA)
    assert one.epsilon(DELTA) == epsilon_of(one.rho, DELTA)
    assert one.plus(other) == Cost(NanoRho(one.rho + other.rho))
    assert one.dearer(other) == max(one, other, key=lambda cost: cost.rho)
    assert one.within(other) == (one.rho <= other.rho)
    assert one.times(3) == Cost(NanoRho(3 * one.rho))


@given(one=FULL, other=SAMPLED)
def test_a_full_sum_counts_alpha_rho_beside_a_sampled_one(one: Cost, other: Cost) -> None:
    both = one.plus(other)

    assert both == other.plus(one)
    assert both.rho == one.rho + other.rho
    pairs = zip(ORDERS, other.renyi, both.renyi, strict=True)
    assert all(total == order * one.rho + cost for order, cost, total in pairs)
    assert one.within(both)
    assert other.within(both)
    assert both.within(one) is False
    assert one.within(one.dearer(other))
    assert other.within(one.dearer(other))
    assert one.dearer(other).within(both)
    assert both.epsilon(DELTA) == epsilon_of_curve(both.renyi, DELTA)


@settings(max_examples=30)
@given(cost=SAMPLED, delta=st.sampled_from([1e-9, DELTA, 1e-2]))
def test_a_cost_fits_under_the_cap_that_is_found_for_it(cost: Cost, delta: float) -> None:
    """And then its epsilon is at most that of the cap, and no far smaller cap would do."""
    cap = cap_for(cost, delta)

    assert cost.under(cap, delta) <= cap
    assert cost.epsilon(delta) <= epsilon_of(cap, delta)
    assert cost.under(NanoRho(cap * 15 // 16), delta) > cap * 15 // 16


def test_no_cap_is_found_where_none_is_large_enough() -> None:
    with pytest.raises(PrivacyError, match="no cap"):
        cap_for(Cost(MAX_RHO, tuple(2 * order * MAX_RHO for order in ORDERS)), DELTA)


def test_a_kind_costs_what_its_event_does() -> None:
    kind = kind_of(SUM)

    assert kind.cost(alone=False) == Cost(rho(SUM), renyi(SUM))
    assert kind.cost(alone=True) == Cost(rho_local(SUM), renyi(SUM, alone=True))
    together = kind.cost(alone=False, persons=3)
    assert together == Cost(NanoRho(9 * rho(SUM)), renyi(SUM, persons=3))
    apart = kind.cost(alone=True, persons=3)
    assert apart == Cost(rho_local(SUM), renyi(SUM, alone=True)).times(3)
