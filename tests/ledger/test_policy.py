"""A budget policy: what is one, what gives more, and its form in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import IntegrityError, PrivacyError
from fedcredit.ledger.grammar import INTEGER_LIMIT, Item, read_line, write_line
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey, gives_more, policy_from_dict
from fedcredit.privacy.budget import Policy
from fedcredit.units import NanoRho
from tests.ledger.bank import NOTHING, Watchers, policy
from tests.ledger.made import Pair

W = Watchers(4)
RULES = W.rules(3, 1, purposes=("credit scoring", "audit"), automatic_rho=NanoRho(100))
WRONG: tuple[object, ...] = (
    *(-1, -0.0, 0.5, float("nan"), float("inf"), 1e-320, True, "1", 10**400, None, 2**53),
)
FIGURES = ("study_rho", "automatic_rho", "quorum", "beside_coordinator")


def vkey(name: str, seed: str = "") -> str:
    return str(Pair(name, seed).witness)


@pytest.mark.parametrize("value", WRONG, ids=lambda one: str(one)[:10])
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_plain_number_that_a_line_can_hold(name: str, value: object) -> None:
    with pytest.raises(PrivacyError):
        replace(RULES, **{name: value})  # type: ignore[arg-type] # what is refused


@pytest.mark.parametrize("value", WRONG, ids=lambda one: str(one)[:10])
@pytest.mark.parametrize("name", ["rho", "rho_local", "person_rho", "person_rho_local", "persons"])
def test_a_cap_in_a_line_is_a_plain_number(name: str, value: object) -> None:
    with pytest.raises(IntegrityError, match="a policy is not one"):
        policy_from_dict({**RULES.to_dict(), name: value})


def test_a_cap_is_at_most_what_a_line_can_hold() -> None:
    """A policy that could not be written must not come into being."""
    high = NanoRho(INTEGER_LIMIT)
    for name in ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap"):
        caps = replace(RULES.caps, **{name: high})
        write_line(replace(RULES, caps=caps).to_dict())
        with pytest.raises(PrivacyError):
            replace(RULES, caps=replace(caps, **{name: NanoRho(high + 1)}))


@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        ("2026-01-01", "2026-01-01"),
        ("2026-01-02", "2026-01-01"),
        ("2026-02-30", "2027-01-01"),
        ("2026-01-01", "2026-13-01"),
        ("2026-1-1", "2027-01-01"),
        ("20260101", "20270101"),
        ("2026-01-01T00:00:00Z", "2027-01-01"),
        ("", "2027-01-01"),
        (2026, 2027),
        (None, "2027-01-01"),
    ],
)
def test_a_period_is_two_days_of_the_calendar(begins: object, ends: object) -> None:
    with pytest.raises(PrivacyError, match="the period"):
        replace(RULES, begins=begins, ends=ends)  # type: ignore[arg-type] # what is refused


def test_a_period_has_its_first_day_and_not_its_last() -> None:
    rules = replace(RULES, begins="2026-02-01", ends="2026-02-03")
    days = ["2026-01-31", "2026-02-01", "2026-02-02", "2026-02-03", "2025-02-01", "2027-02-01"]
    assert [rules.covers(day) for day in days] == [False, True, True, False, False, False]
    assert rules.covers("2026-02-02T23:59:59Z")
    assert not rules.covers("2026-02-03T00:00:00Z")


@pytest.mark.parametrize("purpose", ["", "Süd", "a\nb", "x" * 257, "\x7f"])
def test_a_purpose_is_a_plain_text(purpose: str) -> None:
    with pytest.raises(PrivacyError, match="purpose"):
        replace(RULES, purposes=("audit", purpose))


A, B, C = (WitnessKey(vkey(name), "institution") for name in "abc")
COORDINATORS = WitnessKey(vkey("d"), "coordinator")


@pytest.mark.parametrize(
    ("quorum", "beside", "witnesses"),
    [
        (1, 0, ()),
        (3, 0, (A, B)),
        (0, 1, (A, B)),
        (1, 2, (A, B)),
        (2, 2, (A, COORDINATORS)),
        (1, 0, (A, B)),  # half of them: two quorums need not meet
        (2, 0, (A, B, C, COORDINATORS)),
        (1, 1, (COORDINATORS,)),
        (1, 0, (A, A)),
        (1, 0, (A, replace(A, role="coordinator"))),
        (1, 0, (A, WitnessKey(vkey("another", "a"), "regulator"))),
        (1, 0, (A, WitnessKey(vkey("b"), "stranger"))),
        (1, 0, (WitnessKey("", "institution"),)),
        (1, 0, (WitnessKey("a name", "institution"),)),
        (1, 0, (WitnessKey(A.key[:-1], "institution"),)),
        (1, 0, (WitnessKey(str(Pair("a").writer), "institution"),)),
        (1, 0, (WitnessKey(7, "institution"),)),  # type: ignore[arg-type] # what is refused
        (1, 0, tuple(WitnessKey(vkey(f"w{at}"), "institution") for at in range(65))),
    ],
)
def test_a_quorum_that_could_never_be_had_or_counts_one_twice_is_refused(
    quorum: int, beside: int, witnesses: tuple[WitnessKey, ...]
) -> None:
    with pytest.raises(PrivacyError):
        policy(quorum=quorum, beside_coordinator=beside, witnesses=witnesses)


@pytest.mark.parametrize(
    ("quorum", "beside", "witnesses"),
    [
        (0, 0, ()),
        (0, 0, (A,)),
        (2, 2, (A, B)),
        (2, 1, (A, COORDINATORS)),
        (1, 0, (COORDINATORS,)),
        (2, 1, (A, B, C)),
    ],
)
def test_a_quorum_that_can_be_had_is_allowed(
    quorum: int, beside: int, witnesses: tuple[WitnessKey, ...]
) -> None:
    made = policy(quorum=quorum, beside_coordinator=beside, witnesses=witnesses)
    assert policy_from_dict(made.to_dict()) == made


MORE: dict[str, dict[str, object]] = {
    "rho": {"caps": replace(RULES.caps, rho_cap=NanoRho(RULES.caps.rho_cap + 1))},
    "rho_local": {"caps": replace(RULES.caps, rho_local_cap=NanoRho(10**9))},
    "person_rho": {"caps": replace(RULES.caps, person_rho_cap=NanoRho(10**9))},
    "person_rho_local": {"caps": replace(RULES.caps, person_rho_local_cap=NanoRho(10**9))},
    "a higher delta": {"caps": replace(RULES.caps, delta=1e-4)},
    "a lower delta": {"caps": replace(RULES.caps, delta=1e-6)},
    "fewer institutions a person": {"caps": replace(RULES.caps, institutions=2)},
    "study_rho": {"study_rho": NanoRho(RULES.study_rho + 1)},
    "automatic_rho": {"automatic_rho": NanoRho(101)},
    "a new period": {"begins": "2027-01-01", "ends": "2028-01-01"},
    "one more purpose": {"purposes": (*RULES.purposes, "marketing")},
    "another purpose": {"purposes": ("marketing",)},
    "any purpose": {"purposes": ()},
    "a smaller quorum": {"quorum": 0, "beside_coordinator": 0},
    "fewer beside the coordinator": {"beside_coordinator": 0},
    "other witnesses": {"witnesses": RULES.witnesses[:3]},
    "more witnesses": {"witnesses": (*RULES.witnesses, A)},
    "another role": {"witnesses": (replace(W.keys()[0], role="regulator"), *W.keys()[1:])},
}


@pytest.mark.parametrize("name", MORE)
def test_each_way_to_give_more_is_seen(name: str) -> None:
    assert gives_more(RULES, replace(RULES, **MORE[name]))  # type: ignore[arg-type]


LESS: dict[str, dict[str, object]] = {
    "nothing": {},
    "lower caps": {"caps": NOTHING.caps},
    "more institutions a person": {"caps": replace(RULES.caps, institutions=4)},
    "study_rho": {"study_rho": NanoRho(1)},
    "automatic_rho": {"automatic_rho": NanoRho(0)},
    "an end brought forward": {"ends": "2026-06-01"},
    "one purpose fewer": {"purposes": ("audit",)},
    "purposes turned round": {"purposes": RULES.purposes[::-1]},
    "a larger quorum": {"quorum": 4},
    "more beside the coordinator": {"beside_coordinator": 2},
}


@pytest.mark.parametrize("name", LESS)
def test_what_gives_less_needs_the_root_alone(name: str) -> None:
    assert not gives_more(RULES, replace(RULES, **LESS[name]))  # type: ignore[arg-type]


def test_to_name_purposes_where_any_was_allowed_gives_less() -> None:
    assert not gives_more(replace(RULES, purposes=()), RULES)


POLICIES = st.builds(
    BudgetPolicy,
    caps=st.builds(
        Policy,
        delta=st.floats(1e-12, 0.5),
        rho_cap=st.integers(0, 10**12),
        rho_local_cap=st.integers(0, 10**12),
        person_rho_cap=st.integers(0, 10**12),
        person_rho_local_cap=st.integers(0, 10**12),
        institutions=st.integers(1, 1000),
    ),
    study_rho=st.integers(0, INTEGER_LIMIT),
    automatic_rho=st.integers(0, INTEGER_LIMIT),
    begins=st.just("2026-01-01"),
    ends=st.sampled_from(["2026-01-02", "2027-01-01"]),
    purposes=st.lists(st.sampled_from(["a", 'b"', "c\\"]), unique=True).map(tuple),
    quorum=st.integers(3, 4),
    beside_coordinator=st.integers(0, 1),
    witnesses=st.just(W.keys()),
)


@given(POLICIES)
def test_a_policy_is_read_back_from_its_line(made: BudgetPolicy) -> None:
    assert policy_from_dict(read_line(write_line(made.to_dict()))) == made
    assert made.allows_nothing == (
        not any(value for name, value in made.to_dict().items() if "rho" in name)
    )


@given(POLICIES, POLICIES)
def test_either_way_or_both_give_more_unless_nothing_differs(
    one: BudgetPolicy, other: BudgetPolicy
) -> None:
    """What can be put in force without the officer can be undone only with the officer."""
    changed = replace(one, ends=other.ends) != other and set(one.purposes) != set(other.purposes)
    if changed:
        assert gives_more(one, other) or gives_more(other, one)


TABLE: Mapping[str, Item] = RULES.to_dict()


@pytest.mark.parametrize("name", TABLE)
def test_a_table_that_lacks_a_key_or_has_another_type_is_no_policy(name: str) -> None:
    lacking = {one: value for one, value in TABLE.items() if one != name}
    for wrong in (lacking, {**TABLE, name: None}, {**TABLE, name: ({},)}, {**TABLE, name: 0.5}):
        with pytest.raises(IntegrityError, match="a policy is not one"):
            policy_from_dict(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        (),
        "policy",
        {},
        {**TABLE, "refund": 1},
        {**TABLE, "delta": 1e-5},
        {**TABLE, "delta": "0.00001"},
        {**TABLE, "delta": "nan"},
        {**TABLE, "delta": "1e999"},
        {**TABLE, "delta": 10**400},
        {**TABLE, "delta": "much"},
        {**TABLE, "purposes": "audit"},
        {**TABLE, "purposes": (7,)},
        {**TABLE, "purposes": list(RULES.purposes)},
        {**TABLE, "witnesses": ("w",)},
        {**TABLE, "witnesses": ({"key": 7, "role": "institution"},)},
        {**TABLE, "witnesses": ({"key": A.key},)},
        {**TABLE, "quorum": 1, "witnesses": ({"key": A.key, "role": "regulator", "url": "x"},)},
    ],
)
def test_a_table_that_is_no_policy_is_refused(wrong: object) -> None:
    with pytest.raises(IntegrityError, match="a policy is not one"):
        policy_from_dict(wrong)
