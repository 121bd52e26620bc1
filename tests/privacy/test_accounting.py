"""Costs are rounded up, claims are never below the truth, and other people's code agrees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedcredit.errors import PrivacyError
from fedcredit.privacy.accounting import (
    MAX_RHO,
    claims,
    epsilon_of,
    record_rho,
    reference_pld,
    reference_rdp,
    rho,
    rho_for,
    rho_local,
    share_of,
    sum_of_noise_tau,
    variance_for,
)
from fedcredit.privacy.curves import epsilon_of_curve
from fedcredit.privacy.events import (
    MAX_DIM,
    MAX_HONEST,
    MAX_SENSITIVITY_SQUARED,
    MAX_VARIANCE,
    MIN_VARIANCE,
    PARTS,
    RATE_ONE,
    GaussianSum,
    Part,
    SampledGaussianSum,
)
from fedcredit.privacy.renyi import renyi_sum
from fedcredit.units import Floats, NanoRho

DELTA = 1e-5
VARIANCES = st.integers(MIN_VARIANCE, MAX_VARIANCE) | st.integers(MIN_VARIANCE, 10**6)
SENSITIVITIES = st.integers(1, MAX_SENSITIVITY_SQUARED) | st.integers(1, 10**6)
HONEST = st.integers(1, MAX_HONEST) | st.integers(1, 10)
COSTS = st.integers(1, 10**12) | st.integers(1, 10**6)


def event(
    *, part: Part = "train", sensitivity_squared: int = 23, variance: int = 900, honest: int = 7
) -> GaussianSum:
    return GaussianSum(
        name="a sum",
        part=part,
        dim=8,
        sensitivity_squared=sensitivity_squared,
        variance=variance,
        honest=honest,
    )


EVENTS = st.builds(
    event,
    part=st.sampled_from(PARTS),
    sensitivity_squared=st.integers(1, 1000),
    variance=st.integers(1000, 10**6),
    honest=st.integers(1, 10),
)


@given(sensitivity_squared=SENSITIVITIES, variance=VARIANCES, honest=HONEST)
def test_a_cost_is_the_exact_one_rounded_up(
    sensitivity_squared: int, variance: int, honest: int
) -> None:
    asked = event(sensitivity_squared=sensitivity_squared, variance=variance, honest=honest)
    exact = Fraction(10**9 * sensitivity_squared, 2 * honest * variance)

    assert rho_local(asked) == math.ceil(exact * honest)
    if honest == 1:
        assert rho(asked) == math.ceil(exact)
    else:
        assert rho(asked) == math.floor(exact) + 1, "tau costs something, and less than a step"


def test_the_cost_of_a_histogram_of_23_features() -> None:
    """23 / (2 * 7 * 900) = .00182539...; alone seven times that."""
    assert rho(event()) == 1_825_397
    assert rho_local(event()) == 12_777_778


@pytest.mark.parametrize("honest", [1, 2, 3, 7, 70, 1000])
@pytest.mark.parametrize("variance", [16, 17, 100])
def test_tau_is_never_below_the_paper_s(variance: int, honest: int) -> None:
    with localcontext(prec=60):
        pi = Decimal("3.14159265358979323846264338327950288419716939937510")
        exact = sum(10 * (-2 * pi**2 * variance * k / (k + 1)).exp() for k in range(1, honest))
        bound = sum_of_noise_tau(honest)

        assert Decimal(bound.numerator) / bound.denominator >= exact


def test_tau_enters_by_less_than_a_step_at_the_largest_event_allowed() -> None:
    largest = Fraction(MAX_SENSITIVITY_SQUARED, 2 * MIN_VARIANCE)
    tau = sum_of_noise_tau(MAX_HONEST)

    worst = tau * (math.isqrt(math.ceil(largest * MAX_DIM)) + 1) + tau * tau * MAX_DIM / 2

    assert worst < Fraction(1, 2**120)


def renyi(law: Floats, moved: int, alpha: float) -> float:
    """Renyi divergence of an integer law from itself moved by so many steps."""
    p, q = np.log(law[moved:]), np.log(law[: law.size - moved])
    return float(np.log(np.exp(alpha * p + (1 - alpha) * q).sum()) / (alpha - 1))


@pytest.mark.parametrize("honest", [1, 2, 5])
@pytest.mark.parametrize("moved", [1, 3, 8])
@pytest.mark.parametrize("alpha", [1.01, 1.5, 2.0, 4.0])
def test_the_exact_renyi_divergence_is_within_the_cost(
    honest: int, moved: int, alpha: float
) -> None:
    """From the pmf itself, at the least variance: the theorems, checked by numbers."""
    reach = np.arange(-150, 151)
    law = single = np.exp(-(reach**2) / 32) / np.exp(-(reach**2) / 32).sum()
    for _ in range(honest - 1):
        law = np.convolve(law, single, mode="same")
    law = law[40:-40]  # where cutting off has no part in a convolution's tail

    cost = rho(event(sensitivity_squared=moved**2, variance=16, honest=honest)) / 1e9

    assert renyi(law, moved, alpha) <= alpha * cost * (1 + 1e-9)
    assert renyi(law, moved, alpha) >= alpha * cost * (1 - 1e-6) - 1e-8, "and tight"


@pytest.mark.parametrize(("institutions", "epsilon"), [(1, 1.0), (2, 2.14), (3, 3.37)])
def test_the_figures_of_the_ledger_are_reproduced(institutions: int, epsilon: float) -> None:
    """Rho .03056 is epsilon 1 at delta 1e-5; a person at 2 and 3 institutions."""
    cost = NanoRho(30_560_000 * institutions**2)

    assert epsilon_of(cost, DELTA) == pytest.approx(epsilon, abs=0.005)


def optimum(cost: int, delta: float) -> Decimal:
    """Proposition 12 at the best real order, in 40 digits."""
    r, d = Decimal(cost) / 10**9, Decimal(delta)

    def at(x: Decimal) -> Decimal:
        less_one = x.exp()
        alpha = 1 + less_one
        return r * alpha - (alpha * d).ln() / less_one + (less_one / alpha).ln()

    low, high = Decimal(-12), Decimal(18)
    for _ in range(60):  # unimodal in x = ln(alpha - 1)
        third = (high - low) / 3
        if at(low + third) < at(high - third):
            high -= third
        else:
            low += third
    return max(at((low + high) / 2), Decimal(0))


@pytest.mark.parametrize("cost", [1, 1000, 4_330, 432_993, 30_560_000, 10**9, 10**11, 10**14])
@pytest.mark.parametrize("delta", [1e-12, 1e-6, 1e-5, 1e-2, 0.5])
def test_epsilon_is_never_below_the_optimum_and_hardly_above(cost: int, delta: float) -> None:
    with localcontext(prec=40):
        best = optimum(cost, delta)
        found = Decimal(epsilon_of(NanoRho(cost), delta))

        assert found >= best
        assert found <= best * (1 + Decimal("1e-5")) + Decimal("1e-13")


@given(cost=COSTS, more=st.integers(0, 10**6), delta=st.floats(1e-12, 0.1))
def test_epsilon_never_falls_when_the_cost_rises(cost: int, more: int, delta: float) -> None:
    assert epsilon_of(NanoRho(cost), delta) <= epsilon_of(NanoRho(cost + more), delta)


@given(cost=COSTS, delta=st.floats(1e-12, 0.05))
def test_epsilon_never_rises_when_delta_rises(cost: int, delta: float) -> None:
    assert epsilon_of(NanoRho(cost), 2 * delta) <= epsilon_of(NanoRho(cost), delta)


def test_no_cost_is_no_epsilon() -> None:
    assert epsilon_of(NanoRho(0), DELTA) == 0.0


@given(epsilon=st.floats(1e-3, 100), delta=st.floats(1e-12, 0.1))
def test_the_inverse_is_the_largest_cost_within_epsilon(epsilon: float, delta: float) -> None:
    cost = rho_for(epsilon, delta)

    assert epsilon_of(cost, delta) <= epsilon
    assert epsilon_of(NanoRho(cost + 1), delta) > epsilon


def test_the_cost_of_epsilon_1() -> None:
    assert rho_for(1, DELTA) == 30_556_590


def test_an_epsilon_too_small_for_one_step_buys_nothing() -> None:
    assert rho_for(1e-9, DELTA) == 0


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan, math.inf, 5e-324, 1, True, "1e-5"])
def test_a_delta_that_is_no_probability_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="delta"):
        epsilon_of(NanoRho(1), delta)
    with pytest.raises(PrivacyError, match="delta"):
        claims([], delta)
    with pytest.raises(PrivacyError, match="delta"):
        reference_rdp([], delta)


@pytest.mark.parametrize("cost", [-1, 10**18 + 1, 0.5, math.nan, True, "1"])
def test_a_cost_that_is_no_cost_is_refused(cost: NanoRho) -> None:
    with pytest.raises(PrivacyError, match="rho"):
        epsilon_of(cost, DELTA)


@pytest.mark.parametrize("epsilon", [0, -1.0, math.nan, math.inf, 1001, True, "1"])
def test_an_epsilon_that_promises_nothing_is_refused(epsilon: float) -> None:
    with pytest.raises(PrivacyError, match="epsilon"):
        rho_for(epsilon, DELTA)


@given(budget=COSTS, sensitivity_squared=SENSITIVITIES, honest=HONEST)
def test_calibration_gives_no_less_privacy_than_asked_and_no_needless_noise(
    budget: int, sensitivity_squared: int, honest: int
) -> None:
    needed = Fraction(10**9 * sensitivity_squared, 2 * honest * budget)
    assume(needed < MAX_VARIANCE - 1)

    variance = variance_for(NanoRho(budget), sensitivity_squared, honest)

    asked = event(sensitivity_squared=sensitivity_squared, variance=variance, honest=honest)
    assert rho(asked) <= budget
    if variance > MIN_VARIANCE:
        less = event(sensitivity_squared=sensitivity_squared, variance=variance - 1, honest=honest)
        assert rho(less) > budget
    assert variance <= max(needed + 2 + needed / budget, Fraction(MIN_VARIANCE)), (
        "close to R^2 / 2 h rho"
    )


@settings(max_examples=40)
@given(
    epsilon=st.floats(0.01, 10),
    shares=st.lists(st.integers(1, 20), min_size=1, max_size=9),
    sensitivity_squared=st.integers(1, 10**6),
    honest=st.integers(1, 20),
)
def test_a_study_calibrated_to_epsilon_claims_at_most_that(
    epsilon: float, shares: Sequence[int], sensitivity_squared: int, honest: int
) -> None:
    """End to end, from the wanted epsilon by shares to noise, and back."""
    total = rho_for(epsilon, DELTA)

    spent = [
        event(
            sensitivity_squared=sensitivity_squared,
            honest=honest,
            variance=variance_for(
                share_of(total, Fraction(share, sum(shares))), sensitivity_squared, honest
            ),
        )
        for share in shares
    ]

    assert claims(spent, DELTA).epsilon <= epsilon


def test_a_budget_that_no_noise_can_keep_is_refused() -> None:
    with pytest.raises(PrivacyError, match="needs a variance above"):
        variance_for(NanoRho(1), 2**40, 1)


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (True, 1, 1), (1, 1.0, 1)])
def test_calibration_refuses_what_an_event_would_refuse(
    arguments: tuple[NanoRho, int, int],
) -> None:
    with pytest.raises(PrivacyError):
        variance_for(*arguments)


@given(total=st.integers(0, 10**12), cuts=st.lists(st.integers(1, 99), min_size=1, max_size=9))
def test_shares_never_add_up_to_more_than_the_whole(total: int, cuts: Sequence[int]) -> None:
    parts = [share_of(NanoRho(total), Fraction(cut, sum(cuts))) for cut in cuts]

    assert total - len(cuts) < sum(parts) <= total


@pytest.mark.parametrize("share", [Fraction(-1, 2), Fraction(3, 2)])
def test_a_share_outside_the_whole_is_refused(share: Fraction) -> None:
    with pytest.raises(PrivacyError, match="share"):
        share_of(NanoRho(1), share)


@given(st.lists(EVENTS, max_size=6))
def test_a_record_pays_its_dearer_part_and_a_person_pays_for_all(
    spent: Sequence[GaussianSum],
) -> None:
    found = claims(spent, DELTA)

    train = [asked for asked in spent if asked.part == "train"]
    held_out = [asked for asked in spent if asked.part == "held-out"]
    assert found.rho == max(sum(map(rho, train)), sum(map(rho, held_out)))
    assert found.rho_local == max(sum(map(rho_local, train)), sum(map(rho_local, held_out)))
    assert (found.rho, found.rho_local) == record_rho(spent)
    assert found.epsilon == epsilon_of(found.rho, DELTA)
    assert found.epsilon_local == epsilon_of(found.rho_local, DELTA)
    assert [person.institutions for person in found.persons] == [1, 2, 3]
    for person in found.persons:
        m = person.institutions
        assert person.epsilon == epsilon_of(NanoRho(m * m * sum(map(rho, spent))), DELTA)
        assert person.epsilon_local == epsilon_of(NanoRho(m * sum(map(rho_local, spent))), DELTA)


@given(st.lists(EVENTS, min_size=1, max_size=6))
def test_every_release_more_costs_no_less(spent: Sequence[GaussianSum]) -> None:
    before, after = claims(spent[:-1], DELTA), claims(spent, DELTA)

    assert before.epsilon <= after.epsilon
    assert before.epsilon_local <= after.epsilon_local
    assert all(a.epsilon < b.epsilon for a, b in zip(before.persons, after.persons, strict=True))


def test_under_local_noise_the_claim_is_one_institution_s_own() -> None:
    found = claims([event(honest=1)] * 3, DELTA)

    assert (found.rho, found.epsilon) == (found.rho_local, found.epsilon_local)


def test_training_and_evaluation_of_equal_cost_charge_a_record_once_and_a_person_twice() -> None:
    found = claims([event(), event(part="held-out")], DELTA)

    assert found.rho == rho(event())
    assert found.persons[0].epsilon == epsilon_of(NanoRho(2 * rho(event())), DELTA)


def test_nothing_released_is_nothing_claimed() -> None:
    found = claims([], DELTA, persons=(5,))

    assert [found.epsilon, found.epsilon_local, found.persons[0].epsilon] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("institutions", [0, -1, 1001, True, 2.0])
def test_a_person_at_no_or_absurdly_many_institutions_is_refused(institutions: int) -> None:
    with pytest.raises(PrivacyError, match="institutions"):
        claims([event()], DELTA, persons=(institutions,))


def test_a_claim_without_any_privacy_is_refused() -> None:
    """A billion rho: no figure is better than a meaningless one."""
    dear = event(sensitivity_squared=MAX_SENSITIVITY_SQUARED, variance=16, honest=1)

    assert rho(dear) > MAX_RHO
    with pytest.raises(PrivacyError, match="rho"):
        claims([dear], DELTA)


def study(epsilon: float) -> list[GaussianSum]:
    """Nine unequal rounds and an evaluation that come to ``epsilon``."""
    total = rho_for(epsilon, DELTA)
    train = [
        event(variance=variance_for(share_of(total, Fraction(share, 45)), 2**20, 7),
              sensitivity_squared=2**20)
        for share in range(1, 10)
    ]  # fmt: skip
    evaluation = event(
        part="held-out", sensitivity_squared=2**20, variance=variance_for(total, 2**20, 7)
    )
    return [*train, evaluation]


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 0.5, 1.0, 3.0, 8.0, 30.0])
def test_dp_accounting_s_renyi_accountant_agrees_to_a_thousandth(epsilon: float) -> None:
    ours = claims(study(epsilon), DELTA).epsilon

    assert reference_rdp(study(epsilon), DELTA) == pytest.approx(ours, rel=1e-3)
    assert ours == pytest.approx(epsilon, rel=1e-3)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 3.0, 8.0])
def test_the_headline_lies_within_12_percent_above_the_reference(epsilon: float) -> None:
    headline = claims(study(epsilon), DELTA).epsilon

    reference = reference_pld(study(epsilon), DELTA)

    assert reference <= headline <= 1.12 * reference


def test_the_references_take_the_dearer_part() -> None:
    """An evaluation dearer than the training is what counts, and it alone."""
    dear, cheap = event(part="held-out", variance=100), event(variance=1000)

    assert reference_rdp([cheap, dear], DELTA) == reference_rdp([dear], DELTA)
    assert reference_rdp([cheap, dear], DELTA) > reference_rdp([cheap], DELTA)


# ------------------------------------------------------------------------------ sampled sums


def sampled(q: float, sigma: float, part: Part = "train", honest: int = 1) -> SampledGaussianSum:
    """A sum over a sample at rate q, with so much noise in all over its sensitivity."""
    return SampledGaussianSum(
        name="a sum",
        part=part,
        dim=8,
        sensitivity_squared=2**20,
        variance=round(sigma**2 * 2**20 / honest),
        honest=honest,
        rate=round(q * RATE_ONE),
    )


# Rate, noise over sensitivity, rounds; the best epsilon of the list's orders, and that of
# privacy loss distributions, both at delta 1e-5.
STUDIES = [(0.1707, 4.0, 58, 1.4554, 1.3218), (0.0341, 1.0, 290, 4.3048, 3.7944),
           (0.01, 1.0, 2000, 2.8676, 2.5839)]  # fmt: skip


@pytest.mark.parametrize(("q", "sigma", "rounds", "ours", "exact"), STUDIES)
def test_accountants_agree_about_sampled_rounds(
    q: float, sigma: float, rounds: int, ours: float, exact: float
) -> None:
    """Not below dp-accounting's figure at the same orders, and above it by rounding alone."""
    spent = [sampled(q, sigma)] * rounds
    found = claims(spent, DELTA, persons=()).epsilon
    rdp, pld = reference_rdp(spent, DELTA), reference_pld(spent, DELTA)

    assert found == pytest.approx(ours, rel=2e-4)
    assert rdp <= found <= rdp * (1 + 1e-5)
    assert pld == pytest.approx(exact, rel=2e-3)
    assert pld <= found <= 1.15 * pld


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_full_and_sampled_rounds_are_counted_together(epsilon: float) -> None:
    """A study of both kinds in both parts: other people's code says the same."""
    spent = [*study(epsilon), *[sampled(0.05, 2.0, honest=7)] * 20]
    found = claims(spent, DELTA).epsilon

    rdp, pld = reference_rdp(spent, DELTA), reference_pld(spent, DELTA)
    assert rdp <= found <= rdp * (1 + 1e-5)
    assert pld <= found <= 1.2 * pld


def test_a_sampled_round_costs_less_than_all_records_would() -> None:
    spent = [sampled(0.01, 1.0)] * 100
    most = [GaussianSum(name="a sum", part="train", dim=8, sensitivity_squared=2**20,
                        variance=2**20, honest=1)] * 100  # fmt: skip

    assert claims(spent, DELTA).epsilon < claims(most, DELTA).epsilon / 20
    assert rho(spent[0]) == rho(most[0]), "taken for the sum of all, it is overstated"


def test_what_a_claim_shows_as_rho_implies_the_same_epsilon() -> None:
    found = claims([sampled(0.1, 2.0, honest=4), event()], DELTA)

    for cost, epsilon in ((found.rho, found.epsilon), (found.rho_local, found.epsilon_local)):
        assert epsilon < epsilon_of(cost, DELTA) < epsilon * (1 + 1e-6)
    assert found.epsilon < found.epsilon_local


def test_a_part_without_a_sampled_sum_is_counted_as_ever() -> None:
    evaluation = event(part="held-out")

    found = claims([sampled(0.001, 8.0), evaluation], DELTA)

    assert found.epsilon == claims([evaluation], DELTA).epsilon


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_person_pays_for_every_record_in_a_sampled_sum(m: int) -> None:
    spent = [sampled(0.05, 2.0, honest=4)] * 10 + [event(part="held-out")]

    (person,) = claims(spent, DELTA, persons=(m,)).persons

    apart = [m * cost for cost in renyi_sum(spent, alone=True)]
    assert person.epsilon == epsilon_of_curve(renyi_sum(spent, persons=m), DELTA)
    assert person.epsilon_local == epsilon_of_curve(apart, DELTA)


def test_more_institutions_of_a_person_cost_more() -> None:
    found = claims([sampled(0.05, 2.0, honest=4)] * 10, DELTA)

    assert found.persons[0].epsilon == found.epsilon
    epsilons = [person.epsilon for person in found.persons]
    assert epsilons == sorted(epsilons)
    assert epsilons[1] > 1.5 * epsilons[0]
