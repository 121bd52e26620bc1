"""Each rule of "What follows what", broken alone: status 1, and the entry is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.ledger.written import Writer, cost_of, digest, event, opened, policy, story
from tests.verifier.judged import broken, judge, problems, rows

OTHER = digest("another plan")


def _another_genesis(w: Writer) -> None:
    w.genesis()


def _plan_twice(w: Writer) -> None:
    w.plan()


def _purpose(w: Writer) -> None:
    w.plan(plan=OTHER, purpose="marketing")


def _dear_plan(w: Writer) -> None:
    w.plan(plan=OTHER, rho=8_000_081)


def _approved_twice(w: Writer) -> None:
    w.approve()


def _approved_unknown(w: Writer) -> None:
    w.approve(plan=OTHER)


def _charge_unknown(w: Writer) -> None:
    w.charge(0, plan=OTHER)


def _charge_beyond(w: Writer) -> None:
    w.charge(5)


def _charge_late_attempt(w: Writer) -> None:
    w.charge(0, 3)


def _charge_more_honest(w: Writer) -> None:
    w.charge(0, event=event(honest=5))


def _charge_fewer_honest(w: Writer) -> None:
    w.charge(0, event=event(honest=1))


def _cost_one_less(w: Writer) -> None:
    w.charge(0, rho=cost_of(event(), 4) - 1)


def _cost_one_more(w: Writer) -> None:
    w.charge(0, rho=cost_of(event(), 4) + 1)


def _local_cost_one_less(w: Writer) -> None:
    w.charge(0, rho_local=cost_of(event(), 1) - 1)


def _release_without_charge(w: Writer) -> None:
    w.release(0)


def _burn_without_charge(w: Writer) -> None:
    w.burn(0)


def _agree_without_release(w: Writer) -> None:
    w.step("agree")


def _reveal_without_release(w: Writer) -> None:
    w.step("reveal")


def _receipt(w: Writer) -> None:
    w.receipt("bank-b")


def _close(w: Writer) -> None:
    w.close()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (_another_genesis, "there is one already"),
        (_plan_twice, "written before"),
        (_purpose, "does not allow its purpose"),
        (_dear_plan, "above study_rho"),
        (_approved_twice, "approved before"),
        (_approved_unknown, "no such plan"),
        (_charge_unknown, "no such plan"),
        (_charge_beyond, "only 5 rounds"),
        (_charge_late_attempt, "only 2 retries"),
        (_charge_more_honest, "counts on 5 honest"),
        (_charge_fewer_honest, "counts on 1 honest"),
        (_cost_one_less, "its event costs 1000001 and 4000000"),
        (_cost_one_more, "its event costs 1000001 and 4000000"),
        (_local_cost_one_less, "its event costs 1000001 and 4000000"),
        (_release_without_charge, "not of the open charge"),
        (_burn_without_charge, "not of the open charge"),
        (_agree_without_release, "does not follow a release"),
        (_reveal_without_release, "does not follow a release"),
        (_receipt, "not an entry of a institution's ledger"),
        (_close, "not an entry of a institution's ledger"),
    ],
)
def test_an_entry_out_of_order_breaks_a_rule(entry: Callable[[Writer], None], words: str) -> None:
    """After genesis, a plan and its approval."""
    writer = opened(Writer())
    entry(writer)
    broken(writer, 3, 1, words)


def test_a_charge_needs_an_approval() -> None:
    writer = Writer()
    writer.genesis()
    writer.plan()
    writer.charge(0)
    broken(writer, 2, 1, "not approved")


def test_the_policy_approves_only_what_is_cheap() -> None:
    writer = Writer()
    writer.genesis()
    writer.plan(rho=7_000_071)
    writer.approve()
    broken(writer, 2, 1, "an officer must approve")


def test_an_officer_approves_more() -> None:
    writer = Writer()
    writer.genesis()
    writer.plan(rho=7_000_071)
    writer.approve("officer")
    assert judge(writer)["exit"] == 0


@pytest.mark.parametrize("second", ["", "00" * 64])
def test_an_approval_in_the_officers_name_is_the_officers(second: str) -> None:
    """Whoever has only the node's key approves nothing."""
    writer = Writer()
    writer.genesis()
    writer.plan(rho=7_000_071)
    writer.add("approve", plan=digest("the plan"), by="officer", note="", second=second)
    broken(writer, 2, 5, "officer")


@pytest.mark.parametrize("turn", [(0, 0), (0, 1), (1, 0)])
def test_a_turn_is_charged_once_and_turns_rise(turn: tuple[int, int]) -> None:
    writer = opened(Writer())
    writer.charge(1)
    writer.release(1)
    writer.charge(*turn)
    broken(writer, 5, 1, "does not come after round 1, attempt 0")


def test_attempts_of_all_rounds_are_counted_together() -> None:
    writer = opened(Writer())
    for turn in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 1)):
        writer.charge(*turn)
        writer.burn(*turn)
    broken(writer, 11, 1, "only 2 retries")


def test_no_second_charge_is_opened() -> None:
    writer = opened(Writer())
    writer.charge(0)
    writer.charge(1)
    broken(writer, 4, 1, "entry 3 is still open")


def test_a_charge_is_released_once() -> None:
    writer = opened(Writer())
    writer.charge(0)
    writer.release(0)
    writer.release(0, charge=3)
    broken(writer, 5, 1, "not of the open charge")


@pytest.mark.parametrize("wrong", [{"charge": 2}, {"plan": OTHER}, {"round": 1}, {"attempt": 1}])
@pytest.mark.parametrize("kind", ["release", "burn"])
def test_a_release_or_burn_names_the_open_charge(kind: str, wrong: dict[str, object]) -> None:
    writer = opened(Writer())
    writer.charge(0)
    (writer.release if kind == "release" else writer.burn)(0, **wrong)
    broken(writer, 4, 1, "not of the open charge")


@pytest.mark.parametrize(
    "steps", [("agree", "agree"), ("reveal", "reveal"), ("reveal", "agree")], ids="-".join
)
def test_later_steps_are_taken_once_and_in_order(steps: tuple[str, str]) -> None:
    writer = opened(Writer())
    writer.charge(0)
    writer.release(0)
    for step in steps:
        writer.step(step)
    broken(writer, 6, 1, "comes a second time")


@pytest.mark.parametrize(
    ("cap", "value"),
    [
        ("rho", 2_000_001),
        ("rho_local", 7_999_999),
        ("person_rho", 18_000_017),
        ("person_rho_local", 23_999_999),
    ],
)
def test_each_cap_holds_to_the_last_unit(cap: str, value: int) -> None:
    """Two charges cost 2,000,002 and 8,000,000."""
    for above, status in ((0, 1), (1, 0)):
        writer = Writer()
        writer.genesis(policy(**{cap: value + above}))
        writer.plan()
        writer.approve()
        for turn in (0, 1):
            writer.charge(turn)
            writer.release(turn)
        assert judge(writer)["exit"] == status
        if status:
            broken(writer, 5, 1, f"budget exceeded: {cap} comes to {value + 1}, the cap is {value}")


def test_a_cap_passed_at_a_prefix_is_found_though_it_is_raised_later() -> None:
    writer = Writer()
    writer.genesis(policy(rho=1_000_000))
    writer.plan()
    writer.approve()
    writer.charge(0)
    writer.release(0)
    writer.change(policy(rho=10**9), officer=True)
    broken(writer, 3, 1, "budget exceeded: rho comes to 1000001")


def test_a_plan_costs_no_more_than_it_said() -> None:
    writer = Writer()
    writer.genesis()
    writer.plan(rho=1_000_001, rho_local=4_000_000)
    writer.approve()
    writer.charge(0)
    writer.release(0)
    assert judge(writer)["exit"] == 0
    writer.charge(1)
    broken(writer, 5, 1, "the plan has cost 2000002")


def test_a_plan_costs_no_more_than_it_said_where_noise_stands_alone() -> None:
    writer = Writer()
    writer.genesis()
    writer.plan(rho_local=7_999_999)
    writer.approve()
    for turn in (0, 1):
        writer.charge(turn)
        writer.release(turn)
    broken(writer, 5, 1, "the plan has cost 2000002 (alone 8000000)")


def test_a_plan_costs_no_more_than_a_study_may_by_now() -> None:
    writer = opened(Writer())
    writer.change(policy(study_rho=1_000_001), officer=False)
    writer.charge(0)
    writer.release(0)
    assert judge(writer)["exit"] == 0
    writer.charge(1)
    broken(writer, 6, 1, "the plan has cost 2000002")


def test_a_record_pays_the_dearer_part_whichever_it_is() -> None:
    held_out = event(part="held-out")
    for parts in ((event(), held_out, held_out), (event(), event(), held_out)):
        writer = Writer()
        writer.genesis(policy(rho=2_000_001))
        writer.plan()
        writer.approve()
        for turn, done in enumerate(parts):
            writer.charge(turn, event=done)
            writer.release(turn)
        findings = judge(writer)
        assert "rho comes to 2000002, the cap is 2000001" in problems(findings)[0].what


def test_a_burn_gives_nothing_back() -> None:
    found = rows(judge(story()), "ledgers")[0]
    spent = found["spent"]
    assert isinstance(spent, dict)
    assert spent["rho"] == 4 * 1_000_001, "three rounds and a burned one on train"


@pytest.mark.parametrize("day", ["2025-12-31T23:59:59Z", "2027-01-01T00:00:00Z"])
def test_a_charge_outside_the_period_breaks_a_rule(day: str) -> None:
    writer = opened(Writer())
    writer.charge(0, time=day)
    broken(writer, 3, 1, "outside 2026-01-01 to 2027-01-01")


@pytest.mark.parametrize(
    "change",
    [
        {"rho": 10_000_101},
        {"rho_local": 40_000_401},
        {"person_rho": 90_000_901},
        {"person_rho_local": 120_001_201},
        {"study_rho": 8_000_081},
        {"automatic_rho": 7_000_071},
        {"purposes": ["credit scoring", "marketing"]},
        {"purposes": []},
        {"quorum": 0, "beside_coordinator": 0},
        {"beside_coordinator": 0},
        {"witnesses": policy()["witnesses"][1:]},  # type: ignore[index]
        {"persons": 2},
        {"delta": "1e-06"},
        {"begins": "2027-01-01", "ends": "2028-01-01"},
    ],
    ids=str,
)
def test_whatever_allows_more_needs_the_officer(change: dict[str, object]) -> None:
    writer = opened(Writer())
    writer.change(policy(**change), officer=False)
    broken(writer, 3, 1, "the officer has not signed")

    writer = opened(Writer())
    writer.change(policy(**change), officer=True)
    assert judge(writer)["exit"] == 0


def test_root_alone_may_allow_less() -> None:
    writer = opened(Writer())
    less = policy(
        rho=1, quorum=3, beside_coordinator=2, persons=4, purposes=["credit scoring"], study_rho=1
    )
    writer.change(less, officer=False)
    assert judge(writer)["exit"] == 0


@pytest.mark.parametrize(
    ("period", "words"),
    [
        ({"ends": "2027-01-02"}, "moves the end of the period back"),
        ({"begins": "2026-06-01"}, "begins before the old one ends"),
        ({"begins": "2025-01-01"}, "begins before the old one ends"),
        ({"begins": "2026-12-31", "ends": "2028-01-01"}, "begins before the old one ends"),
    ],
)
def test_a_period_is_not_stretched_and_not_begun_early(period: dict[str, str], words: str) -> None:
    writer = opened(Writer())
    writer.change(policy(**period), officer=True)
    broken(writer, 3, 1, words)


def test_a_new_period_begins_with_nothing_spent_and_the_lifetime_goes_on() -> None:
    writer = story()
    writer.change(policy(begins="2027-01-01", ends="2028-01-01"), officer=True)
    found = rows(judge(writer), "ledgers")[0]
    spent, lifetime = found["spent"], found["lifetime"]
    assert isinstance(spent, dict)
    assert isinstance(lifetime, dict)
    assert (spent["rho"], spent["person_epsilon"], lifetime["rho"]) == (0, 0.0, 4_000_004)


def test_an_end_brought_forward_is_shown() -> None:
    writer = story()
    writer.change(policy(ends="2026-06-01"), officer=False)
    findings = judge(writer)
    assert findings["exit"] == 0
    assert "brought forward to 2026-06-01" in str(rows(findings, "ledgers")[0]["exceptions"])


def test_the_policy_does_not_change_while_a_charge_is_open() -> None:
    writer = opened(Writer())
    writer.charge(0)
    writer.change(policy(rho=1), officer=False)
    broken(writer, 4, 1, "entry 3 is still open")


def test_a_broken_rule_does_not_hide_broken_evidence_behind_it() -> None:
    writer = opened(Writer())
    writer.charge(0, plan=OTHER)
    writer.add("note", text="")
    writer.lines[-1] = writer.lines[-1].replace(b'"text":""', b'"text":"!"')
    findings = judge(writer)
    assert findings["exit"] == 5
    assert [(one.seq, one.kind) for one in problems(findings)] == [(3, "rule"), (4, "evidence")]


def test_broken_rules_without_end_are_counted_and_not_all_listed() -> None:
    writer = opened(Writer())
    for _ in range(150):
        writer.plan()
    findings = judge(writer)
    assert len(problems(findings)) == 100
    assert rows(findings, "ledgers")[0]["further_broken_rules"] == 50


def test_a_charge_left_open_at_the_head_and_a_clock_set_back_are_shown() -> None:
    writer = opened(Writer())
    writer.add("note", text="", time="2026-03-01T09:00:00Z")
    writer.charge(0)
    findings = judge(writer)
    assert findings["exit"] == 0
    shown = str(rows(findings, "ledgers")[0]["exceptions"])
    assert "entry 4: the clock goes back" in shown
    assert "entry 4: its charge is still open" in shown
