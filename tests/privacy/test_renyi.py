"""Divergences at the listed orders: exact up to the last unit, and never below the truth."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.events import (
    MAX_HONEST,
    MAX_SENSITIVITY_SQUARED,
    MAX_VARIANCE,
    MIN_VARIANCE,
    RATE_ONE,
    GaussianSum,
    SampledGaussianSum,
)
from fedcredit.privacy.renyi import ORDERS, exact_rho, renyi, renyi_of, renyi_sum
from fedcredit.units import Floats

RATES = st.integers(1, RATE_ONE - 1)
VARIANCES = st.integers(MIN_VARIANCE, MAX_VARIANCE) | st.integers(MIN_VARIANCE, 10**6)
SENSITIVITIES = st.integers(1, MAX_SENSITIVITY_SQUARED) | st.integers(1, 10**6)
HONEST = st.integers(1, MAX_HONEST) | st.integers(1, 10)


def sampled(
    rate: int = 2**17, squared: int = 2**20, variance: int = 2**20, honest: int = 1
) -> SampledGaussianSum:
    return SampledGaussianSum(
        name="gradient",
        part="train",
        dim=8,
        sensitivity_squared=squared,
        variance=variance,
        honest=honest,
        rate=rate,
    )


def full(event: GaussianSum) -> GaussianSum:
    """The same sum over all records."""
    return GaussianSum(
        name=event.name,
        part=event.part,
        dim=event.dim,
        sensitivity_squared=event.sensitivity_squared,
        variance=event.variance,
        honest=event.honest,
    )


def test_the_orders_are_public_and_stay_what_they_are() -> None:
    """Ledgers are judged by them: an order may be added, and none may be taken away."""
    assert ORDERS[:63] == tuple(range(2, 65))
    assert ORDERS[63:] == (72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512)


@settings(max_examples=40)
@given(rate=RATES, squared=st.integers(1, 2**12), variance=st.integers(2**10, 2**24))
def test_a_divergence_is_the_paper_s_rounded_up(rate: int, squared: int, variance: int) -> None:
    """The sum of section 3.3 again, term by term in 90 digits and in no clever order."""
    found = renyi(sampled(rate, squared, variance))
    with localcontext(prec=90):
        q, r = Decimal(rate) / RATE_ONE, Decimal(squared) / (2 * variance)
        for order in (2, 3, 7, 20, 64):
            moment = sum(
                math.comb(order, k) * (1 - q) ** (order - k) * q**k * (k * (k - 1) * r).exp()
                for k in range(order + 1)
            )
            exact = Decimal(10**9) * Decimal(moment).ln() / (order - 1)
            assert found[ORDERS.index(order)] == math.ceil(exact)


@pytest.mark.parametrize("sigma", [0.8, 1, 4, 20])
@pytest.mark.parametrize("q", [0.001, 0.0341, 0.1707, 0.5, 0.9])
def test_other_people_s_divergences_are_the_same_and_never_above(q: float, sigma: float) -> None:
    rate, variance = round(q * RATE_ONE), round(sigma**2 * 2**20)
    theirs = RdpAccountant([float(order) for order in ORDERS])
    noise = GaussianDpEvent(math.sqrt(variance / 2**20))
    theirs.compose(PoissonSampledDpEvent(rate / RATE_ONE, noise))

    for ours, other in zip(renyi(sampled(rate, 2**20, variance)), theirs._rdp, strict=True):
        assert other * 1e9 * (1 - 1e-9) <= ours <= other * 1e9 * (1 + 1e-9) + 1.001


def divergence(p: Floats, q: Floats, order: int) -> float:
    """Renyi divergence of one law of the integers from another."""
    return float(np.log(np.sum(np.exp(order * np.log(p) + (1 - order) * np.log(q)))) / (order - 1))


def noise_law(honest: int) -> Floats:
    """The law of the sum of so many discrete Gaussians of variance 16, from -200 to 200."""
    reach = np.arange(-200, 201)
    single = np.exp(-(reach**2) / 32) / np.exp(-(reach**2) / 32).sum()
    law = single
    for _ in range(honest - 1):
        law = np.convolve(law, single, mode="same")
    return np.asarray(law, dtype=np.float64)


@pytest.mark.parametrize("order", [2, 3, 5, 8])
@pytest.mark.parametrize("q", [0.01, 0.25, 0.75])
@pytest.mark.parametrize("moved", [1, 4])
@pytest.mark.parametrize("honest", [1, 3])
def test_both_directions_of_the_discrete_mechanism_itself_are_within_the_figure(
    honest: int, moved: int, q: float, order: int
) -> None:
    """From the laws at the least variance: a record added, and a record removed."""
    law = noise_law(honest)
    absent = law[60:-60]
    present = law[60 - moved : -60 - moved]
    rate = round(q * RATE_ONE)
    mixed = (1 - rate / RATE_ONE) * absent + rate / RATE_ONE * present

    event = sampled(rate, moved**2, 16, honest)
    figure = renyi(event)[ORDERS.index(order)] / 1e9
    added, removed = divergence(mixed, absent, order), divergence(absent, mixed, order)

    assert added <= figure * (1 + 1e-9)
    assert removed <= figure * (1 + 1e-9)
    assert added >= figure * (1 - 1e-6) - 2e-9, "and tight"


@pytest.mark.parametrize("order", [2, 4, 8])
@pytest.mark.parametrize("q", [0.05, 0.5])
@pytest.mark.parametrize("m", [2, 3])
def test_a_person_s_records_that_are_sampled_each_by_itself_are_within_the_figure(
    m: int, q: float, order: int
) -> None:
    """Each of m records moves the sum by two steps if it is in: a binomial mixture."""
    law = noise_law(1)
    absent = law[60:-60]
    rate = round(q * RATE_ONE)
    chance = rate / RATE_ONE
    mixed = sum(
        math.comb(m, k) * chance**k * (1 - chance) ** (m - k) * law[60 - 2 * k : -60 - 2 * k]
        for k in range(m + 1)
    )
    mixed = np.asarray(mixed)

    figure = renyi(sampled(rate, 4, 16), persons=m)[ORDERS.index(order)] / 1e9

    assert divergence(mixed, absent, order) <= figure
    assert divergence(absent, mixed, order) <= figure


@settings(max_examples=30)
@given(rate=RATES, squared=SENSITIVITIES, variance=VARIANCES, honest=HONEST)
def test_a_sample_never_costs_more_than_all_records(
    rate: int, squared: int, variance: int, honest: int
) -> None:
    event = sampled(rate, squared, variance, honest)

    for alone in (False, True):
        ours, all_in = renyi(event, alone=alone), renyi(full(event), alone=alone)
        assert all(1 <= one <= other for one, other in zip(ours, all_in, strict=True))


@settings(max_examples=30)
@given(rate=st.integers(1, RATE_ONE - 2), variance=st.integers(2**16, 2**26))
def test_more_noise_costs_no_more_and_a_larger_sample_no_less(rate: int, variance: int) -> None:
    here = renyi(sampled(rate, 2**20, variance))
    noisier = renyi(sampled(rate, 2**20, variance + variance // 8))
    larger = renyi(sampled(rate + (RATE_ONE - rate) // 2, 2**20, variance))

    assert all(a <= b for a, b in zip(noisier, here, strict=True))
    assert all(a <= b for a, b in zip(here, larger, strict=True))


@given(squared=SENSITIVITIES, variance=VARIANCES, honest=HONEST)
def test_a_full_sum_costs_alpha_times_its_zcdp(squared: int, variance: int, honest: int) -> None:
    event = full(sampled(1, squared, variance, honest))

    exact = exact_rho(squared, variance, honest)
    assert renyi(event) == tuple(math.ceil(order * 10**9 * exact) for order in ORDERS)
    assert all(cost <= order * rho(event) for order, cost in zip(ORDERS, renyi(event), strict=True))
    assert renyi(event, alone=True)[0] <= 2 * rho_local(event)


def test_a_person_s_chance_to_be_in_is_reckoned_once() -> None:
    """At m institutions: 1 - (1 - q)^m, m times the step; beyond all parts it is everybody."""
    half = RATE_ONE // 2
    assert renyi_of(half, 9 * 2**20, 2**24, 4, 3) == renyi_of(
        RATE_ONE // 8 * 7, 9 * 2**20, 2**24, 4
    )
    assert renyi_of(half, 2**20, 2**24, 4, 1000) == renyi_of(RATE_ONE, 2**20, 2**24, 4)
    assert renyi(sampled(half), persons=3) == renyi_of(half, 9 * 2**20, 2**20, 1, 3)


def test_where_there_is_no_privacy_a_sample_adds_none() -> None:
    """Above a rho of 1000 the powers would outgrow any number, and nobody would want it."""
    dear = sampled(2**10, squared=2**52, variance=16)

    assert renyi(dear) == renyi(full(dear))


def test_events_add_up_at_every_order() -> None:
    one, other = sampled(), sampled(rate=2**10)
    events = [one, other, full(one), one]

    expected = [
        2 * a + b + c for a, b, c in zip(renyi(one), renyi(other), renyi(full(one)), strict=True)
    ]
    assert list(renyi_sum(events)) == expected
    assert renyi_sum([]) == (0,) * len(ORDERS)
    shared = sampled(honest=5)
    assert renyi_sum([shared], alone=True) == renyi(shared, alone=True)
    assert renyi_sum([shared], persons=2) == renyi(shared, persons=2)
