"""One order for a cap, fixed before any record was seen; the least epsilon for a fixed plan."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import PrivacyError
from fedcredit.privacy.accounting import epsilon_of, rho_for
from fedcredit.privacy.curves import (
    FINE,
    MAX_RHO,
    epsilon_of_curve,
    order_for,
    rho_under,
    rho_up_to,
    room_for,
    sampled_variance_for,
    whole_rho,
)
from fedcredit.privacy.events import MAX_VARIANCE, MIN_VARIANCE, RATE_ONE
from fedcredit.privacy.renyi import ORDERS, renyi_of
from fedcredit.units import Floats, NanoRho

DELTA = 1e-5


def line(cost: int) -> list[int]:
    """The curve of a full sum."""
    return [order * cost for order in ORDERS]


@pytest.mark.parametrize(
    ("epsilon", "above"), [(0.05, 0.03), (0.1, 0.01), (1, 0.005), (4, 0.01), (8, 0.02), (20, 0.06)]
)
def test_whole_orders_cost_little_in_epsilon(epsilon: float, above: float) -> None:
    cost = rho_for(epsilon, DELTA)
    found = epsilon_of_curve(line(cost), DELTA)

    assert epsilon_of(cost, DELTA) <= found <= epsilon * (1 + above)


@settings(max_examples=30)
@given(cost=st.integers(0, 10**12), delta=st.floats(1e-12, 0.1))
def test_the_order_of_a_cap_is_the_one_with_its_least_epsilon(cost: int, delta: float) -> None:
    order = order_for(NanoRho(cost), delta)

    def epsilon(alpha: int) -> float:
        known = (math.log(alpha) + math.log(delta)) / (alpha - 1)
        return alpha * cost / 1e9 - known + math.log1p(-1 / alpha)

    best = min(map(epsilon, ORDERS))
    assert order in ORDERS
    assert epsilon(order) <= best + 1e-9 * abs(best)


@given(cost=st.integers(0, 10**9), more=st.integers(0, 10**9))
def test_a_larger_cap_is_judged_at_no_larger_an_order(cost: int, more: int) -> None:
    assert order_for(NanoRho(cost + more), DELTA) <= order_for(NanoRho(cost), DELTA)


def test_orders_of_well_known_caps() -> None:
    assert [order_for(rho_for(e, DELTA), DELTA) for e in (0.1, 0.5, 1, 3, 8)] == [128, 32, 18, 8, 4]


@given(cost=st.integers(0, 10**9), order=st.sampled_from(ORDERS))
def test_a_full_sum_s_cost_up_to_any_order_is_its_zcdp(cost: int, order: int) -> None:
    assert rho_up_to(order, line(cost)) == cost


@settings(max_examples=30)
@given(rate=st.integers(1, RATE_ONE - 1), variance=st.integers(2**14, 2**26))
def test_a_sampled_sum_s_cost_covers_every_order_up_to_it_and_rises(
    rate: int, variance: int
) -> None:
    curve = renyi_of(rate, FINE, variance, 1)
    costs = [rho_up_to(order, curve) for order in ORDERS]

    assert costs == sorted(costs)
    for at, order in enumerate(ORDERS):
        assert all(curve[to] <= ORDERS[to] * costs[at] for to in range(at + 1))
        assert costs[at] <= curve[at] // order + 1, "the order itself is the dearest"


@settings(max_examples=8, deadline=None)
@given(
    budget=st.integers(10**3, 10**8),
    rate=st.integers(2**8, RATE_ONE - 1),
    honest=st.integers(1, 10),
    order=st.sampled_from([3, 20, 64]),
)
def test_calibration_gives_no_less_privacy_than_asked_and_no_needless_noise(
    budget: int, rate: int, honest: int, order: int
) -> None:
    variance = sampled_variance_for(NanoRho(budget), rate, honest, order)

    assert rho_up_to(order, renyi_of(rate, FINE, variance, honest)) <= budget
    if variance > MIN_VARIANCE:
        assert rho_up_to(order, renyi_of(rate, FINE, variance - 1, honest)) > budget


@settings(max_examples=20, deadline=None)
@given(squared=st.integers(2**10, 2**26), seen=st.integers(1, 3))
def test_noise_in_proportion_costs_no_more_at_any_order_to_anybody(squared: int, seen: int) -> None:
    variance = sampled_variance_for(NanoRho(10**6), 2**15, 7, 20)
    scaled = max(-(-squared * variance // FINE), MIN_VARIANCE)

    for honest in (1, 7):
        ours = renyi_of(2**15, seen**2 * squared, scaled, honest, seen)
        fine = renyi_of(2**15, seen**2 * FINE, variance, honest, seen)
        assert all(one <= other for one, other in zip(ours, fine, strict=True))


def test_sampling_saves_noise() -> None:
    """At the same price a round on a hundredth of the records needs a fraction of the noise."""
    few = sampled_variance_for(NanoRho(10**6), RATE_ONE // 100, 7, 20)
    most = sampled_variance_for(NanoRho(10**6), RATE_ONE // 100 * 99, 7, 20)

    assert 50 < most / few < 10_000


def test_a_budget_that_no_noise_can_keep_is_refused() -> None:
    assert rho_up_to(2, renyi_of(RATE_ONE - 1, FINE, MAX_VARIANCE, 1)) == 477
    with pytest.raises(PrivacyError, match="needs a variance above"):
        sampled_variance_for(NanoRho(476), RATE_ONE - 1, 1, 2)


@pytest.mark.parametrize("budget", [0, True, 1.0])
def test_a_budget_that_is_no_cost_is_refused(budget: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(PrivacyError, match="rho"):
        sampled_variance_for(budget, 1, 1, 2)


@pytest.mark.parametrize("delta", [0.0, 1.0, math.nan, True, "1e-5"])
def test_a_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="delta"):
        epsilon_of_curve(line(1), delta)
    with pytest.raises(PrivacyError, match="delta"):
        order_for(NanoRho(1), delta)


def test_no_divergence_is_no_epsilon_but_for_what_the_orders_cannot_tell() -> None:
    """Even nothing at all reads as ln(1 / (512 delta)) / 511 and a little."""
    assert epsilon_of_curve(line(0), DELTA) == pytest.approx(
        (math.log(1e5) - math.log(512)) / 511 + math.log1p(-1 / 512)
    )
    assert epsilon_of_curve(line(0), 0.5) < 1e-13


@settings(max_examples=50)
@given(cap=st.integers(0, 10**12), delta=st.floats(1e-12, 0.1), more=st.integers(1, 10**9))
def test_what_fits_under_a_cap_has_no_larger_an_epsilon_than_the_cap(
    cap: int, delta: float, more: int
) -> None:
    """At the cap's order the room is filled to the last unit; a unit more does not fit."""
    order, room = room_for(NanoRho(cap), delta)
    assert room <= order * cap
    curve = [10**18] * len(ORDERS)
    at = ORDERS.index(order)

    curve[at] = room
    assert rho_under(NanoRho(cap), delta, curve) <= cap
    if room:
        assert epsilon_of_curve(curve, delta) <= epsilon_of(NanoRho(cap), delta) * (1 + 1e-9)
    curve[at] = room + more
    assert rho_under(NanoRho(cap), delta, curve) > cap


@given(cap=st.integers(1, 10**9), delta=st.sampled_from([1e-9, 1e-5, 0.01]))
def test_a_study_may_share_out_almost_all_of_its_rho(cap: int, delta: float) -> None:
    found = whole_rho(NanoRho(cap), delta)

    assert found <= cap
    assert found == 0 or rho_under(NanoRho(cap), delta, line(found)) <= cap
    assert rho_under(NanoRho(cap), delta, line(found + 1)) > cap


@pytest.mark.parametrize(
    ("epsilon", "least"), [(0.05, 0.9999), (0.1, 0.999), (0.5, 0.9999), (1, 0.9998), (3, 0.995)]
)
def test_whole_orders_leave_almost_all_of_a_cap(epsilon: float, least: float) -> None:
    cap = rho_for(epsilon, DELTA)

    assert whole_rho(cap, DELTA) >= least * cap


def test_a_cap_too_small_for_the_orders_has_room_for_nothing() -> None:
    assert room_for(NanoRho(100), DELTA) == (512, 0)
    assert rho_under(NanoRho(100), DELTA, line(0)) == 0
    assert rho_under(NanoRho(100), DELTA, line(1)) == MAX_RHO


def two(ratio: float, chance: float) -> tuple[Floats, Floats]:
    """Two laws of two outcomes: the first has ``chance`` here and ``chance / ratio`` there."""
    return np.array([chance, 1 - chance]), np.array([chance / ratio, 1 - chance / ratio])


def apart(one: Floats, other: Floats, order: int) -> float:
    """Their divergence, the larger of both directions."""
    ways = ((one, other), (other, one))
    return max(float(np.log(np.sum(p**order * q ** (1 - order)))) / (order - 1) for p, q in ways)


def test_an_order_for_every_course_would_spend_delta_more_than_once() -> None:
    """Why a cap has one order: whoever may end at either of two passes delta by two thirds.

    A first release has two outcomes; after either one another release follows that keeps
    to the budget of an order of its own, to the letter and in both directions.
    """
    epsilon, delta = 1.0, 1e-3
    first = two(math.exp(0.12), 0.1)
    seconds = {40: two(2.4704, 0.3944), 10: two(3.062, 0.008)}

    spent = 0.0
    for outcome, (order, second) in enumerate(seconds.items()):
        budget = (
            epsilon + (math.log(order) + math.log(delta)) / (order - 1) - math.log1p(-1 / order)
        )
        assert apart(*first, order) + apart(*second, order) <= budget
        here, there = (law[outcome] * then for law, then in zip(first, second, strict=True))
        spent += float(np.maximum(here - math.exp(epsilon) * there, 0).sum())

    assert spent > 1.6 * delta
