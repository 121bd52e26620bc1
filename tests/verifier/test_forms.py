"""Policies, events and witnesses are read strictly: what could mean two things is refused."""

from __future__ import annotations

import pytest

from tests.ledger.written import (
    NOTHING,
    PLAN,
    Table,
    Writer,
    coordinator,
    digest,
    event,
    opened,
    policy,
    verifier_key,
)
from tests.verifier.judged import broken, judge, problems

WITNESS: Table = {"key": verifier_key("bank-b"), "role": "institution"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": 1}, "not the keys of a policy"),
        ({"rho": "1"}, "no integer"),
        ({"rho": -1}, "no integer"),
        ({"rho": 2**53}, "no integer"),
        ({"quorum": True}, "no integer"),
        ({"delta": 1}, "a text of the policy is no text"),
        ({"delta": "0"}, "between 0 and 1"),
        ({"delta": "1.0"}, "between 0 and 1"),
        ({"delta": "0.00001"}, "the shortest text"),
        ({"delta": "1e-5"}, "the shortest text"),
        ({"delta": "nan"}, "between 0 and 1"),
        ({"delta": "small"}, "cannot be read"),
        ({"begins": "20260101"}, "does not end after it begins"),
        ({"begins": "2026-02-30"}, "cannot be read"),
        ({"ends": "2026-01-01"}, "does not end after it begins"),
        ({"persons": 0}, "not from 1 to 1000"),
        ({"persons": 1001}, "not from 1 to 1000"),
        ({"quorum": 4}, "more than its witnesses"),
        ({"beside_coordinator": 3}, "less than a part of it"),
        ({"purposes": "all"}, "not a list of texts"),
        ({"purposes": [1]}, "not a list of texts"),
        ({"witnesses": {}}, "not a list of keys"),
        ({"witnesses": ["x"]}, "not a list of keys"),
        ({"witnesses": [{"key": "x"}]}, "not a key and a role"),
        ({"witnesses": [{**WITNESS, "role": "friend"}]}, "role is none of"),
        ({"witnesses": [{**WITNESS, "key": "bank-b"}]}, "no verifier key of type 4"),
        ({"witnesses": [{**WITNESS, "key": "b+00000000+BAAA"}]}, "no verifier key of type 4"),
        ({"witnesses": [{**WITNESS, "key": f"x{WITNESS['key']}"}]}, "not that of its key"),
        ({"witnesses": [WITNESS, WITNESS, WITNESS]}, "named twice"),
    ],
    ids=str,
)
def test_a_policy_is_read_strictly(change: Table, words: str) -> None:
    writer = Writer()
    writer.genesis(policy(**change))
    broken(writer, 0, 5, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"more": 1}, "not the keys of an event"),
        ({"event": "laplace-sum"}, "an event of an unknown kind"),
        ({"dim": 0}, "dim is not from"),
        ({"honest": 0}, "honest is not from"),
        ({"honest": 2**20 + 1}, "honest is not from"),
        ({"variance": 15}, "variance is not from"),
        ({"variance": 2**40 + 1}, "variance is not from"),
        ({"sensitivity_squared": 0}, "sensitivity_squared is not from"),
        ({"sensitivity_squared": "1"}, "sensitivity_squared is not from"),
        ({"name": ""}, "name is not of"),
        ({"name": "x" * 65}, "name is not of"),
        ({"part": "all"}, "neither train nor held-out"),
    ],
    ids=str,
)
def test_an_event_is_read_strictly(change: Table, words: str) -> None:
    writer = opened(Writer())
    writer.charge(0, event=event(**change), **dict.fromkeys(("rho", "rho_local"), 1))
    broken(writer, 3, 5, words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "fedcredit/ledger/2"}, "another format than fedcredit/ledger/1"),
        ({"role": "auditor"}, "role is none of"),
        ({"unit": "person"}, "unit is none of"),
        ({"adjacency": "replace"}, "adjacency is none of"),
        ({"origin": "a b"}, "a name that cannot be one"),
        ({"institution": "Bank A"}, "a name that cannot be one"),
        ({"grant": "00"}, "grant is not lower-case hex"),
    ],
    ids=str,
)
def test_a_genesis_is_read_strictly(change: Table, words: str) -> None:
    writer = Writer()
    writer.genesis(None, **change)
    broken(writer, 0, 5, words)


def test_a_ledger_begins_with_its_genesis() -> None:
    writer = Writer()
    writer.add("note", text="")
    broken(writer, 0, 5, "the first entry is no genesis")


def test_a_refusal_has_one_of_three_reasons() -> None:
    writer = opened(Writer())
    writer.step("refuse", 0, why="because")
    broken(writer, 3, 5, "why is none of")


def test_a_coordinator_s_policy_allows_nothing() -> None:
    writer = Writer("coordinator", "coordinator")
    writer.genesis({**NOTHING, "rho": 1})
    broken(writer, 0, 5, "allows nothing to be spent")
    writer = Writer("coordinator", "coordinator")
    writer.genesis({**NOTHING, "delta": "0", "begins": "", "ends": "", "persons": 0})
    assert judge(writer)["exit"] == 0


def test_entries_of_a_plan_that_was_never_written_are_followed_all_the_same() -> None:
    """The charge is named; its release is then in order."""
    other = {"plan": digest("unwritten")}
    writer = opened(Writer())
    writer.charge(0, **other)
    writer.release(0, **other)
    assert [one.seq for one in problems(judge(writer))] == [3]
    assert other["plan"] != PLAN


def test_receipts_and_closes_need_a_plan_and_survivors_a_receipt() -> None:
    other = {"plan": digest("unwritten")}
    writer = coordinator("bank-a")
    writer.receipt("bank-a", 4, **other)
    broken(writer, 10, 1, "no such plan")
    writer = coordinator("bank-a")
    writer.close(4, **other)
    broken(writer, 10, 1, "no such plan")
    writer = coordinator("bank-a")
    writer.close(4, survivors=1)
    broken(writer, 10, 1, "more survivors than receipts")


def test_a_witness_s_time_beyond_the_calendar_is_shown_as_seconds() -> None:
    writer = opened(Writer(cosign_time=lambda _: 2**62))
    writer.charge(0)
    findings = judge(writer)
    assert findings["exit"] == 0
    assert f"{2**62} s" in str(findings["ledgers"])
