"""Sums over samples: counted a second time, and the first that is understated is named."""

from __future__ import annotations

import json
from importlib import metadata
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit import verifier
from fedcredit.privacy import curves
from fedcredit.privacy.accounting import claims
from fedcredit.privacy.events import (
    MAX_HONEST,
    MAX_VARIANCE,
    MIN_VARIANCE,
    RATE_ONE,
    SampledGaussianSum,
)
from fedcredit.privacy.renyi import renyi_of
from fedcredit.units import NanoRho
from fedcredit.verifier import Paid, paid_under, renyi_cost, room_for
from tests.ledger.written import (
    ORDERS,
    Table,
    Writer,
    divergences,
    most_of,
    of_event,
    policy,
    sampled_event,
)
from tests.verifier.judged import broken, judge, problems, rows

RATES = st.integers(1, RATE_ONE - 1) | st.integers(1, 2**12)
VARIANCES = st.integers(MIN_VARIANCE, MAX_VARIANCE) | st.integers(MIN_VARIANCE, 10**4)
HONEST = st.integers(1, MAX_HONEST) | st.integers(1, 10)
WIDE = policy(study_rho=10**9, automatic_rho=10**9, rho=10**9, rho_local=10**10,
              person_rho=10**12, person_rho_local=10**12)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(RATES, st.integers(1, 2**22), VARIANCES, HONEST, st.integers(1, 5))
def test_divergences_are_the_product_s_to_the_last_unit(
    rate: int, squared: int, variance: int, honest: int, m: int
) -> None:
    ours = renyi_cost(rate, squared, variance, honest, m)
    assert ours == renyi_of(rate, m * m * squared, variance, honest, m)


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize(
    ("rate", "variance", "honest"), [(2**14, 180, 4), (1, 16, 1), (2**20 - 1, 10**6, 9)]
)
def test_divergences_are_those_of_the_text(rate: int, variance: int, honest: int, m: int) -> None:
    assert renyi_cost(rate, 23, variance, honest, m) == divergences(23, variance, honest, rate, m)


@settings(max_examples=50)
@given(cap=st.integers(0, 10**12), delta=st.floats(1e-12, 0.3))
def test_a_cap_leaves_the_same_room_at_the_same_order(cap: int, delta: float) -> None:
    assert room_for(cap, delta) == curves.room_for(NanoRho(cap), delta)
    curve = tuple(1000 * order for order in ORDERS)
    ours = paid_under(Paid(0, curve), cap, delta)
    assert ours == curves.rho_under(NanoRho(cap), delta, curve)


def sampling(rounds: int = 5, rules: Table | None = None, **changes: object) -> Writer:
    """A ledger with an approved plan of sampled rounds."""
    writer = Writer()
    writer.genesis(rules or WIDE)
    writer.plan(**{**most_of(rounds + 2, rounds), **changes})
    writer.approve()
    return writer


def charged(writer: Writer, rounds: int, **changes: object) -> Writer:
    for turn in range(rounds):
        writer.charge(turn, event=sampled_event(**changes))
        writer.release(turn)
    return writer


def test_sampled_rounds_hold_and_cost_less_than_all_records() -> None:
    findings = judge(charged(sampling(), 5))

    assert findings["exit"] == 0, problems(findings)
    (ledger,) = rows(findings, "ledgers")
    spent = cast(dict[str, float], ledger["spent"])
    event = SampledGaussianSum(
        name="a", part="train", dim=8, sensitivity_squared=23, variance=180, honest=4, rate=2**14
    )
    claim = claims([event] * 5, 1e-5, persons=(3,))
    assert spent["epsilon"] == pytest.approx(claim.epsilon, rel=1e-9)
    assert spent["epsilon_local"] == pytest.approx(claim.epsilon_local, rel=1e-9)
    assert spent["person_epsilon"] == pytest.approx(claim.persons[0].epsilon, rel=1e-9)
    assert spent["person_epsilon_local"] == pytest.approx(claim.persons[0].epsilon_local, rel=1e-9)
    assert spent["rho"] < 5 * 16_000_000 / 4


@pytest.mark.parametrize("key", ["rho", "rho_local"])
@pytest.mark.parametrize("at", [0, 17, 62, 74])
def test_an_understated_divergence_names_the_first_such_charge(key: str, at: int) -> None:
    """By one unit at one order, and in the next charge again."""
    writer = charged(sampling(), 1)
    done = sampled_event()
    stated = {"rho": list(of_event(done, 4)), "rho_local": list(of_event(done, 1))}
    stated[key][at] -= 1
    first = writer.charge(1, event=done, renyi=stated)
    writer.release(1)
    writer.charge(2, event=done, renyi=stated)
    broken(writer, first, 1, f"{key} diverges by {stated[key][at]} at order {ORDERS[at]}")


def test_a_round_claimed_at_another_rate_is_named() -> None:
    """Half the rate in the event, and the divergences of the true one; or of neither."""
    writer = charged(sampling(), 1)
    done = sampled_event(rate=2**13)
    true = {"rho": list(of_event(sampled_event(), 4)), "rho_local": list(of_event(done, 1))}
    seq = writer.charge(1, event=done, renyi=true)
    broken(writer, seq, 1, "by its event and rate it is")
    writer = charged(sampling(), 1)
    seq = writer.charge(1, event=done)  # consistent with itself, and not with the plan
    broken(writer, seq, 1, f"its rate is {2**13} in 2^20, the plan has {2**14}")


def test_a_full_round_of_a_sampled_plan_and_a_sampled_one_of_a_full_plan_are_named() -> None:
    writer = sampling()
    broken(writer, writer.charge(0), 1, "its rate is 1048576")
    writer = Writer()
    writer.genesis(WIDE)
    writer.plan(rho=10**8, rho_local=10**9)
    writer.approve()
    seq = writer.charge(0, event=sampled_event())
    broken(writer, seq, 1, "the plan has 1048576")


def test_the_figures_in_rho_of_a_sampled_charge_are_held_to_the_event_too() -> None:
    writer = sampling()
    done = sampled_event()
    curves_ = {"rho": list(of_event(done, 4)), "rho_local": list(of_event(done, 1))}
    seq = writer.charge(0, event=done, rho=1, rho_local=1, renyi=curves_)
    broken(writer, seq, 1, "it says that it costs 1 and 1")


@pytest.mark.parametrize("cap", ["rho", "rho_local", "person_rho", "person_rho_local"])
def test_each_cap_holds_to_the_last_unit_of_its_room(cap: str) -> None:
    """At the order that the cap gives, and though all orders but one would allow more."""
    done = sampled_event()
    honest = 1 if cap.endswith("local") else 4
    curve = of_event(done, honest, 3 if cap == "person_rho" else 1)
    cost = tuple((3 if cap == "person_rho_local" else 1) * one for one in curve)

    def granted(most: int) -> int:
        order, room = room_for(most, 1e-5)
        return room // cost[ORDERS.index(order)]

    most = 10**4
    while granted(most) == 0:
        most = most * 105 // 100
    rules, fits = {**WIDE, cap: most}, granted(most)
    assert judge(charged(sampling(fits, rules), fits))["exit"] == 0
    findings = judge(charged(sampling(fits + 1, rules), fits + 1))
    (named,) = problems(findings)
    assert findings["exit"] == 1
    assert named.seq == 3 + 2 * fits
    assert f"budget exceeded: {cap} comes to" in named.what


def test_a_plan_costs_no_more_than_it_said_at_any_order() -> None:
    most = most_of(2, 5)
    table = cast(dict[str, list[int]], most["sampled"])
    for key in ("rho", "rho_local"):
        less = {**table, key: [*table[key][:20], table[key][20] - 1, *table[key][21:]]}
        writer = charged(sampling(sampled=less), 2)
        broken(writer, 5, 1, "above its most")


@pytest.mark.parametrize("key", ["study_rho", "automatic_rho"])
def test_a_sampled_plan_is_held_to_the_cap_of_a_study(key: str) -> None:
    writer = sampling(rules={**WIDE, key: 20_000})
    named = problems(judge(writer))
    assert named[0].seq == (1 if key == "study_rho" else 2)
    assert named[0].kind == "rule"


def _forms() -> dict[str, Table]:
    done = sampled_event()
    whole = {"rho": list(of_event(done, 4)), "rho_local": list(of_event(done, 1))}
    return {
        "no divergences": {"event": done},
        "one figure": {"event": done, "renyi": {"rho": whole["rho"]}},
        "a figure more": {"event": done, "renyi": {**whole, "person_rho": whole["rho"]}},
        "too few orders": {"event": done, "renyi": {**whole, "rho": whole["rho"][1:]}},
        "a text": {"event": done, "renyi": {**whole, "rho": "1"}},
        "a negative one": {"event": done, "renyi": {**whole, "rho": [-1, *whole["rho"][1:]]}},
        "a large one": {"event": done, "renyi": {**whole, "rho": [2**53, *whole["rho"][1:]]}},
        "true": {"event": done, "renyi": {**whole, "rho": [True, *whole["rho"][1:]]}},
        "a list": {"event": done, "renyi": [1]},
        "a rate of none": {"event": sampled_event(rate=0), "renyi": whole},
        "a rate of all": {"event": sampled_event(rate=2**20), "renyi": whole},
        "a rate that is a text": {"event": sampled_event(rate="1"), "renyi": whole},
        "a rate without a sample": {"event": sampled_event(event="gaussian-sum"), "renyi": whole},
    }


@pytest.mark.parametrize("name", _forms())
def test_a_sampled_charge_of_another_form_is_broken_evidence(name: str) -> None:
    fields = _forms()[name]
    writer = sampling()
    seq = writer.charge(0)
    body = {"plan": "", **fields}
    table = json.loads(writer.lines[-1])
    table |= body | {"plan": table["plan"]}
    if "renyi" not in fields:
        table.pop("renyi", None)
    spoiled = Writer()
    spoiled.lines, spoiled.notes, spoiled.leaves = (
        writer.lines[:-1],
        writer.notes[:3],
        writer.leaves[:-1],
    )
    spoiled.put(json.dumps(table, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    spoiled.note(cosigned=True)
    broken(spoiled, seq, 5, "")


def test_divergences_beside_a_full_sum_are_broken_evidence() -> None:
    writer = sampling()
    whole = {"rho": list(of_event(sampled_event(), 4)), "rho_local": [1] * len(ORDERS)}
    broken(writer, writer.charge(0, renyi=whole), 5, "if and only if")


@pytest.mark.parametrize(
    "rates", [[], [2**20] * 5, [0] * 5, [2**20 + 1, *[2**14] * 4], [True] * 5, 2**14]
)
def test_a_plan_with_rates_that_are_none_is_broken_evidence(rates: object) -> None:
    table = cast(Table, most_of(7, 5)["sampled"])
    broken(sampling(sampled={**table, "rates": rates}), 1, 5, "rate" if rates != 2**14 else "lists")


def test_a_plan_has_as_many_rates_as_rounds() -> None:
    writer = sampling(4, rules=WIDE, sampled=most_of(7, 5)["sampled"])
    broken(writer, 1, 1, "4 rounds and 5 rates")


def test_several_ledgers_count_a_joint_round_once_for_a_person() -> None:
    """And the institutions' own noise adds up where each release is seen apart."""
    one, other = charged(sampling(), 3), Writer("bank-b")
    other.genesis(WIDE)
    other.plan(**most_of(7, 5))
    other.approve()
    charged(other, 3)
    findings = judge(one, other)
    event = SampledGaussianSum(
        name="a", part="train", dim=8, sensitivity_squared=23, variance=180, honest=4, rate=2**14
    )
    claim = claims([event] * 3, 1e-5, persons=(1, 2))
    found = rows(findings, "persons")
    for row, theirs in zip(found, claim.persons, strict=False):
        assert row["epsilon"] == pytest.approx(theirs.epsilon, rel=1e-9)
        assert row["epsilon_local"] == pytest.approx(theirs.epsilon_local, rel=1e-9)


def test_a_second_accountant_agrees_at_the_same_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_version", metadata.version)
    writer = charged(sampling(rounds=20), 20, rate=2**14)
    findings = judge(writer)
    assert findings["exit"] == 0, problems(findings)
    (row,) = rows(rows(findings, "ledgers")[0], "recompute")
    ours, rdp, pld = (cast(float, row[key]) for key in ("epsilon", "rdp", "pld"))
    assert rdp == pytest.approx(ours, rel=1e-5)
    assert rdp <= ours * (1 + 1e-9)
    assert pld <= ours
    monkeypatch.setattr(verifier, "_opinion", lambda *_: ours * 1.002)
    named = problems(judge(writer))
    assert {(one.kind, one.seq) for one in named} == {("evidence", 42)}
