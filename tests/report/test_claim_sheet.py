"""The form says what is claimed, and where each answer comes from."""

from __future__ import annotations

from fedcredit.report.claim_sheet import Answer, claim_sheet, many
from tests.report import audited
from tests.report.audited import Findings

UNKNOWABLE = {"To whom", "Side channels", "Exposure of the data", "Utility and bias"}
"""What no ledger says."""


def answers(found: Findings) -> dict[str, Answer]:
    sheet = claim_sheet(found)
    by_field = {one.field: one for one in sheet}
    assert len(by_field) == len(sheet)
    return by_field


def test_every_question_is_answered_with_its_origin() -> None:
    for found in (audited.holds(), audited.evidence_broken(), audited.findings()):
        assert all(one.answer for one in claim_sheet(found))
    sheet = answers(audited.holds())
    assert {field for field, one in sheet.items() if one.origin == "not known"} == UNKNOWABLE


def test_without_a_ledger_no_figure_is_claimed() -> None:
    sheet = answers(audited.findings())
    for field in ("What is released", "Epsilon and delta", "In plain words", "Software"):
        assert sheet[field].origin == "not known"
    assert not [one for one in sheet.values() if "epsilon 0" in one.answer]


def test_figures_are_those_since_entry_0() -> None:
    sheet = answers(audited.holds())
    assert "bank-b: epsilon 0.896, alone 2.385 at delta 1e-05" in sheet["Epsilon and delta"].answer
    assert "at most 71.01" in sheet["In plain words"].answer
    assert "mu = 0.224" in sheet["In plain words"].answer  # sqrt(2 * 0.025)
    assert "all 4 charges" in sheet["Composition"].answer
    assert "the 2 that were burned" in sheet["Composition"].answer


def test_the_second_accountant_is_named_only_where_it_ran() -> None:
    field = "Variant and accountant"
    assert "dp-accounting 0.6.0" in answers(audited.holds())[field].answer
    assert "no second accountant" in answers(audited.no_dp_accounting())[field].answer


def test_an_audit_is_shown_where_one_was_handed_on() -> None:
    assert "one-run audit" in answers(audited.holds())["Empirical check"].answer
    silent = answers(audited.long())["Empirical check"]
    assert silent.origin == "not known"


def test_long_lists_are_cut_and_say_so() -> None:
    assert many(f"n{at}" for at in range(20)).endswith("n11 and 8 more")
    assert "and 28 more" in answers(audited.many(40))["Epsilon and delta"].answer
