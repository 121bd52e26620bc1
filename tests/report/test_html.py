"""The report is one file that runs nothing, asks for nothing and hides nothing."""

from __future__ import annotations

import re

import pytest

from fedcredit.report.html import report_page
from fedcredit.report.record import model_record
from tests.report.made import findings
from tests.report.pages import Page, check_self_contained
from tests.scoring.made import KINDS


def page(kind: str = "boosting", *, evaluated: bool = True, made_up: bool = True) -> str:
    return report_page(model_record(findings(kind, evaluated=evaluated, made_up=made_up)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evaluated", [True, False])
@pytest.mark.parametrize("made_up", [True, False])
def test_it_runs_no_script_and_refers_to_nothing_outside(
    kind: str, evaluated: bool, made_up: bool
) -> None:
    """Opening it tells nobody, and looks the same for ever."""
    text = page(kind, evaluated=evaluated, made_up=made_up)
    check_self_contained(text)
    assert "<svg" in text


def test_texts_of_the_record_are_escaped() -> None:
    """A study's name or a category cannot become markup."""
    text = page()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "other people&#39;s &lt;house&gt;" in text


def test_it_leads_with_the_claim_in_force() -> None:
    """The local figure stands first and largest; the other is named for what it needs."""
    found = findings()
    words = " ".join(" ".join(Page(page()).words).split())
    local, masked = found.released.claim.epsilon_local, found.released.claim.epsilon
    assert words.index("in force") < words.index("with masks")
    assert words.index(f"{local:.2f}") < words.index(f"{masked:.2f}")
    assert "in force: sums are opened one by one" in words
    assert "not in force in this run" in words


def test_made_up_records_are_called_so() -> None:
    """And figures for an institution's own eyes are on no other report."""
    assert "are made up" in page()
    assert "own eyes" in page()
    real = page(made_up=False)
    assert "made up" not in real
    assert "own eyes" not in real


def test_every_institution_tier_and_variable_is_on_it() -> None:
    text = page()
    for name in ("bank-alder", "telco-elm", "outstanding", "[600, 650)", "income", "late", "home"):
        assert name in text


def test_an_adjustment_is_shown_where_there_is_one() -> None:
    """The column is left out where it would hold zeros only."""
    assert "adjustment" in page("additive")
    assert "adjustment" not in page("scorecard")


def test_it_serves_light_dark_and_paper() -> None:
    text = page()
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert 'lang="en"' in text
    assert all(
        'role="img"' in plot and "aria-label=" in plot for plot in re.findall(r"<svg[^>]*>", text)
    )
