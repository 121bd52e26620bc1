"""No sequence of admissions passes a cap; a refusal changes nothing."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import BudgetExceeded, PrivacyError
from fedcredit.privacy.accounting import MAX_RHO, claims, epsilon_of, rho, rho_local
from fedcredit.privacy.budget import NOTHING_SPENT, Policy, Spent, admit
from fedcredit.privacy.costs import WHOSE
from fedcredit.privacy.curves import epsilon_of_curve, room_for
from fedcredit.privacy.events import PARTS, GaussianSum, Part, SampledGaussianSum
from fedcredit.privacy.renyi import ORDERS, renyi, renyi_sum
from fedcredit.units import NanoRho


def event(
    *, part: Part = "train", sensitivity_squared: int = 18, variance: int = 1000, honest: int = 3
) -> GaussianSum:
    """A sum that costs 3,000,001 under the distributed claim and 9,000,000 alone."""
    return GaussianSum(
        name="a sum",
        part=part,
        dim=8,
        sensitivity_squared=sensitivity_squared,
        variance=variance,
        honest=honest,
    )


def policy(
    rho_cap: int = 10**9,
    rho_local_cap: int = 10**9,
    person_rho_cap: int = 10**12,
    person_rho_local_cap: int = 10**12,
) -> Policy:
    return Policy(
        delta=1e-5,
        rho_cap=NanoRho(rho_cap),
        rho_local_cap=NanoRho(rho_local_cap),
        person_rho_cap=NanoRho(person_rho_cap),
        person_rho_local_cap=NanoRho(person_rho_local_cap),
    )


EVENTS = st.builds(
    event,
    part=st.sampled_from(PARTS),
    sensitivity_squared=st.integers(1, 30),
    variance=st.integers(500, 2000),
    honest=st.integers(1, 4),
)
CAPS = st.integers(0, 60_000_000)
POLICIES = st.builds(policy, CAPS, CAPS, st.integers(0, 10**9), st.integers(0, 10**9))


def test_a_charge_adds_both_costs_to_its_part() -> None:
    after = admit(policy(), NOTHING_SPENT, (event(), event(part="held-out"), event()))

    assert after == Spent(
        train=NanoRho(6_000_002),
        train_local=NanoRho(18_000_000),
        held_out=NanoRho(3_000_001),
        held_out_local=NanoRho(9_000_000),
    )
    assert (after.rho, after.rho_local) == (6_000_002, 18_000_000)
    assert (after.person_rho(2), after.person_rho_local(2)) == (36_000_012, 54_000_000)


@pytest.mark.parametrize(
    ("caps", "whose"),
    [
        (policy(rho_cap=3_000_000), "a record would"),
        (policy(rho_local_cap=8_999_999), "a record, noise of one institution, would"),
        (policy(person_rho_cap=9 * 3_000_001 - 1), "a person at 3 institutions would"),
        (
            policy(person_rho_local_cap=3 * 9_000_000 - 1),
            "a person at 3 institutions, noise of one institution, would",
        ),
    ],
)
def test_each_cap_refuses_what_passes_it_by_one_step(caps: Policy, whose: str) -> None:
    with pytest.raises(BudgetExceeded, match=f"exceeded: {whose} come to"):
        admit(caps, NOTHING_SPENT, (event(),))


def test_each_cap_admits_what_just_reaches_it() -> None:
    exact = policy(3_000_001, 9_000_000, 9 * 3_000_001, 3 * 9_000_000)

    assert admit(exact, NOTHING_SPENT, (event(),)).rho == 3_000_001


def test_a_refusal_says_what_it_would_come_to_and_what_is_allowed() -> None:
    with pytest.raises(BudgetExceeded) as refusal:
        admit(policy(rho_cap=3_000_000), NOTHING_SPENT, (event(),), reserve=2)

    assert "rho 9000003e-9 (epsilon 0.5" in refusal.value.what
    assert "2 retries included" in refusal.value.what
    assert "3000000e-9 (epsilon 0.2" in refusal.value.what


@given(caps=POLICIES, rounds=st.lists(EVENTS, max_size=12))
def test_no_sequence_of_admissions_passes_a_cap(
    caps: Policy, rounds: Sequence[GaussianSum]
) -> None:
    """Rounds chosen in any way, refusals in between: the filter."""
    spent, charged = NOTHING_SPENT, []
    for asked in rounds:
        before = spent
        try:
            spent = admit(caps, spent, (asked,))
            charged.append(asked)
        except BudgetExceeded:
            assert spent is before

    found = claims(charged, caps.delta)
    assert found.rho == spent.rho <= caps.rho_cap
    assert found.rho_local == spent.rho_local <= caps.rho_local_cap
    assert 9 * sum(map(rho, charged)) == spent.person_rho(3) <= caps.person_rho_cap
    assert 3 * sum(map(rho_local, charged)) <= caps.person_rho_local_cap


@given(caps=POLICIES, rounds=st.lists(EVENTS, min_size=1, max_size=4), retries=st.integers(0, 3))
def test_a_plan_is_admitted_exactly_if_every_course_of_its_retries_fits(
    caps: Policy, rounds: Sequence[GaussianSum], retries: int
) -> None:
    """Against trying out every way in which the retries could fall."""

    def fits(course: Counter[GaussianSum]) -> bool:
        try:
            admit(caps, NOTHING_SPENT, tuple(course.elements()))
        except BudgetExceeded:
            return False
        return True

    every = itertools.combinations_with_replacement(rounds, retries)
    expected = all(fits(Counter(rounds) + Counter(again)) for again in every)

    try:
        after = admit(caps, NOTHING_SPENT, tuple(rounds), reserve=retries)
    except BudgetExceeded:
        assert not expected
    else:
        assert expected
        assert after == admit(caps, NOTHING_SPENT, tuple(rounds)), "a reserve is not charged"


@given(caps=POLICIES, rounds=st.permutations([event(), event(variance=700), event(honest=1)]))
def test_events_asked_together_are_charged_all_or_none(
    caps: Policy, rounds: Sequence[GaussianSum]
) -> None:
    try:
        after = admit(caps, NOTHING_SPENT, tuple(rounds))
    except BudgetExceeded:
        return
    assert after.train == sum(map(rho, rounds))


def test_what_earlier_studies_spent_counts() -> None:
    caps = policy(rho_cap=10_000_000)
    spent = admit(caps, NOTHING_SPENT, (event(), event(), event()))

    with pytest.raises(BudgetExceeded):
        admit(caps, spent, (event(),))


def test_a_cap_lowered_below_what_is_spent_stops_everything() -> None:
    spent = admit(policy(), NOTHING_SPENT, (event(), event()))
    tiny = event(sensitivity_squared=1, variance=2**40)

    with pytest.raises(BudgetExceeded):
        admit(policy(rho_cap=1), spent, (tiny,))


# ------------------------------------------------------------------------------ sampled sums


def sampled(part: Part = "train", rate: int = 2**15, variance: int = 2**21) -> SampledGaussianSum:
    return SampledGaussianSum(
        name="a sampled sum",
        part=part,
        dim=8,
        sensitivity_squared=2**20,
        variance=variance,
        honest=3,
        rate=rate,
    )


SAMPLED = st.builds(sampled, st.sampled_from(PARTS), st.sampled_from([2**10, 2**15]))


@given(st.lists(st.one_of(EVENTS, SAMPLED), max_size=12), st.integers(1, 5))
def test_a_balance_is_the_sum_of_all_divergences(events: list[GaussianSum], m: int) -> None:
    """Of a record's dearer part at each order, and of both parts for a person."""
    spent = NOTHING_SPENT
    for one in events:
        spent = spent.charged(one)

    parts = [[one for one in events if one.part == part] for part in PARTS]
    for alone, whose in ((False, "rho"), (True, "rho_local")):
        curves = [renyi_sum(part, alone=alone) for part in parts]
        record = tuple(map(max, *curves))
        both = renyi_sum(events, alone=alone, persons=1 if alone else m)
        person = tuple(m * one for one in both) if alone else both
        # A full sum's figure is rounded up to a unit of rho before it is multiplied.
        for key, exact, above in ((whose, record, 1), (f"person_{whose}", person, m * m)):
            found = spent.cost(key, m).curve  # type: ignore[arg-type]
            for order, cost, true in zip(ORDERS, found, exact, strict=True):
                assert true <= cost <= true + len(events) * order * above
    for key in WHOSE:
        curve = spent.cost(key, m).renyi
        assert bool(curve) == any(isinstance(one, SampledGaussianSum) for one in events)


def grants(caps: Policy, asked: GaussianSum) -> int:
    """How often an event is charged before it is refused."""
    spent, granted = NOTHING_SPENT, 0
    for _ in range(100_000):
        try:
            spent = admit(caps, spent, (asked,))
        except BudgetExceeded:
            break
        granted += 1
    return granted


@pytest.mark.parametrize("rho_cap", [10**6, 30_556_590, 10**8])
def test_sampled_rounds_are_granted_until_the_caps_order_is_full(rho_cap: int) -> None:
    caps, asked = policy(rho_cap=rho_cap, rho_local_cap=10**12), sampled(variance=2**22)
    order, room = room_for(NanoRho(rho_cap), caps.delta)
    granted = grants(caps, asked)

    assert granted == room // renyi(asked)[ORDERS.index(order)]
    assert granted > 10 * rho_cap // rho(asked), "many times what zCDP would grant"
    curve = renyi_sum([asked] * granted)
    assert epsilon_of_curve(curve, caps.delta) <= epsilon_of(NanoRho(rho_cap), caps.delta)


@pytest.mark.parametrize("whose", WHOSE)
def test_each_cap_alone_stops_sampled_rounds(whose: str) -> None:
    wide = dict.fromkeys((f"{one}_cap" for one in WHOSE), 10**12)
    caps = policy(**{**wide, f"{whose}_cap": 30_000_000})
    granted = grants(caps, sampled(variance=2**25))
    assert granted > 1


def test_a_full_sum_and_a_sampled_one_use_up_the_same_cap() -> None:
    caps = policy(rho_cap=10_000_000, rho_local_cap=10**12)
    spent = admit(caps, NOTHING_SPENT, (event(), sampled(), event(part="held-out")))
    assert spent.rho > 10_000_000, "counted as if over all records"
    assert spent.cost("rho", 1).under(caps.rho_cap, caps.delta) <= 10_000_000
    for _ in range(1000):
        try:
            spent = admit(caps, spent, (sampled(),))
        except BudgetExceeded:
            break
    with pytest.raises(BudgetExceeded):
        admit(caps, spent, (event(),))


def test_room_is_left_for_retries_of_sampled_rounds() -> None:
    caps, asked = policy(rho_cap=10**6, rho_local_cap=10**12), sampled(variance=2**22)
    order, room = room_for(NanoRho(10**6), caps.delta)
    most = room // renyi(asked)[ORDERS.index(order)]

    admit(caps, NOTHING_SPENT, (asked,) * (most - 2), reserve=2)
    with pytest.raises(BudgetExceeded):
        admit(caps, NOTHING_SPENT, (asked,) * (most - 2), reserve=3)


def test_no_retries_add_no_kind() -> None:
    assert NOTHING_SPENT.charged(sampled(), 0) == NOTHING_SPENT
    assert NOTHING_SPENT.charged(sampled(), 2) == NOTHING_SPENT.charged(sampled()).charged(
        sampled()
    )


# --------------------------------------------------------------------------------- bad input

NOT_A_COST = [-1, 10**18 + 1, 10**400, 0.5, math.nan, math.inf, 5e-324, -0.0, True, "1", None]


@pytest.mark.parametrize("name", ["train", "train_local", "held_out", "held_out_local"])
@pytest.mark.parametrize("wrong", NOT_A_COST)
def test_a_balance_that_no_charge_can_reach_is_refused(name: str, wrong: NanoRho) -> None:
    with pytest.raises(PrivacyError, match=name):
        replace(NOTHING_SPENT, **{name: wrong})  # type: ignore[arg-type] # wrong on purpose


@pytest.mark.parametrize(
    "name", ["rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap"]
)
@pytest.mark.parametrize("wrong", NOT_A_COST)
def test_a_cap_that_is_no_cost_is_refused(name: str, wrong: NanoRho) -> None:
    """Infinity would be no cap at all, and NaN compares with nothing."""
    with pytest.raises(PrivacyError, match=name):
        replace(policy(), **{name: wrong})


@pytest.mark.parametrize("wrong", [0, 1001, True, 3.0])
def test_a_policy_for_no_or_absurdly_many_institutions_is_refused(wrong: int) -> None:
    with pytest.raises(PrivacyError, match="institutions"):
        replace(policy(), institutions=wrong)


@pytest.mark.parametrize("wrong", [0.0, 1.0, math.nan, True])
def test_a_policy_without_a_delta_is_refused(wrong: float) -> None:
    with pytest.raises(PrivacyError, match="delta"):
        replace(policy(), delta=wrong)


@pytest.mark.parametrize("reserve", [-1, 10_001, 1.0, math.nan, True, "2"])
def test_a_reserve_that_is_no_count_is_refused(reserve: int) -> None:
    with pytest.raises(PrivacyError, match="reserve"):
        admit(policy(), NOTHING_SPENT, (event(),), reserve=reserve)


@pytest.mark.parametrize(
    "asked", [[event()], event(), "events", None, (None,), ({"event": "gaussian-sum"},)]
)
def test_what_is_no_tuple_of_events_is_refused(asked: object) -> None:
    with pytest.raises(PrivacyError, match="tuple of events"):
        admit(policy(), NOTHING_SPENT, cast("tuple[GaussianSum, ...]", asked))


@pytest.mark.parametrize("count", [0, 10_001])
def test_no_events_and_absurdly_many_are_refused(count: int) -> None:
    with pytest.raises(PrivacyError, match="events asked"):
        admit(policy(), NOTHING_SPENT, (event(),) * count)


def test_a_sum_of_costs_beyond_any_policy_is_refused_and_changes_nothing() -> None:
    dear = event(sensitivity_squared=2**52, variance=16, honest=1)

    with pytest.raises(PrivacyError, match="train"):
        admit(policy(rho_cap=MAX_RHO), NOTHING_SPENT, (dear,))

    assert NOTHING_SPENT.rho == 0
