"""The auditor's page shows what was found, and only that."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import ConfigError
from fedcredit.report.audit_page import audit_page
from tests.report import audited
from tests.report.audited import Findings
from tests.report.pages import Page, check_self_contained

STORIES: dict[str, Callable[[], Findings]] = {
    "holds": audited.holds,
    "rule broken": audited.rule_broken,
    "evidence broken": audited.evidence_broken,
    "no coordinator": audited.no_coordinator,
    "no dp-accounting": audited.no_dp_accounting,
    "many": audited.many,
    "long": audited.long,
    "long, plans not named": lambda: audited.long(named=False),
    "nothing": audited.findings,
}

SECTIONS = (
    "Verdict",
    "Budget of each institution",
    "Timeline",
    "Epsilon computed again",
    "The claim of differential privacy",
    "Who and what",
    "Exceptions",
    "What was not verified",
    "How to check this without us",
    "Twelve words",
)


def read(found: Findings) -> Page:
    return Page(audit_page(found))


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"<h{level}[^>]*>(.*?)</h{level}>", text)


@pytest.mark.parametrize("story", STORIES)
def test_it_runs_no_script_and_refers_to_nothing_outside(story: str) -> None:
    check_self_contained(audit_page(STORIES[story]()), anchors=True)


@pytest.mark.parametrize("story", STORIES)
def test_every_section_stands_once_and_in_order(story: str) -> None:
    text = audit_page(STORIES[story]())
    assert tuple(headings(text, 2)) == SECTIONS
    assert len(headings(text, 1)) == 1
    page = Page(text)
    levels = [int(name[1]) for name, _ in page.tags if re.fullmatch("h[1-6]", name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {attrs["href"][1:] for name, attrs in page.tags if name == "a"}
    assert links == set(ids) - {"verdict"}
    labelled = {attrs["aria-labelledby"] for name, attrs in page.tags if name == "section"}
    assert labelled == set(ids)


@pytest.mark.parametrize("story", STORIES)
def test_every_table_says_what_its_columns_are(story: str) -> None:
    """Somebody who hears the page knows the column and the row of each figure."""
    page = read(STORIES[story]())
    heads = [attrs for name, attrs in page.tags if name == "th"]
    assert heads
    assert all(attrs.get("scope") in {"col", "row"} for attrs in heads)
    scrolls = [attrs for name, attrs in page.tags if attrs.get("class") == "scroll"]
    assert all("aria-label" in attrs and attrs["tabindex"] == "0" for attrs in scrolls)
    plots = [attrs for name, attrs in page.tags if name == "svg"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in plots)


@pytest.mark.parametrize(
    ("story", "word"),
    [
        ("holds", "Holds"),
        ("rule broken", "Rule broken"),
        ("evidence broken", "Evidence broken"),
    ],
)
def test_it_leads_with_the_verdict(story: str, word: str) -> None:
    text = audit_page(STORIES[story]())
    assert f"<strong>{word}</strong>" in text
    assert ('class="verdict holds"' in text) == (word == "Holds")
    assert text.index("<strong>") < text.index('id="budget"')


def test_the_first_bad_entry_of_the_evidence_is_named() -> None:
    """A broken rule comes second: what was not signed can show no rule to be kept."""
    words = read(audited.evidence_broken()).text()
    assert "First: bank-b, entry 5: line 6: prev is not the hash of the line before" in words
    assert words.index("First: bank-b") < words.index("a quorum is missing")


@pytest.mark.parametrize(
    "changed",
    [
        {"verdict": "perfect"},
        {"verdict": None},
        {"problems": [{"ledger": "bank-a", "seq": 1, "kind": "rule", "what": "a cap"}]},
    ],
)
def test_what_is_not_plainly_sound_is_not_shown_as_sound(changed: Findings) -> None:
    text = audit_page(audited.holds() | changed)
    assert 'class="verdict holds"' not in text
    assert "<strong>No verdict</strong>" in text


def test_spent_and_left_are_those_of_the_findings() -> None:
    words = read(audited.holds()).text()
    assert "0.792 1.000 0.02 0.03056 0.01056 65.5 %" in words  # spent is rounded up
    assert "2.101 3.171 0.12 0.25 0.13 48.0 %" in words
    assert "refused 1 · burned 1" in words


def test_chances_follow_from_the_figures() -> None:
    """x = (e^eps + delta) / (1 + e^eps), and the bound from rho; of all that was ever released.

    Since entry 0 epsilon is 0.8956 and rho 0.025, in the period 0.7912 and 0.02.
    """
    words = read(audited.holds()).text()
    assert "since entry 0, a borrower's chance" in words
    assert "rises from 50 % to at most 71.01 %, and to at most 91.57 % for" in words
    assert "At most 2.0 % of members are found at 1 % false alarms, 4.6 % in the second" in words
    assert "totals are opened, since entry 0 71.01 % 2.0 % 2.5 %" in words
    assert "totals are opened, in the period 68.81 % 1.8 % 2.3 %" in words


def test_a_cap_that_is_exceeded_is_seen() -> None:
    text = audit_page(audited.rule_broken())
    assert "over by 0.00044" in text
    assert 'aria-label="101.5\u00a0% of the cap is spent"' in text
    assert text.count('class="bar bads"') == 1


def test_a_missing_figure_is_a_dash_with_the_reason() -> None:
    """Nothing is filled in for a ledger that was not read to its end."""
    words = read(audited.evidence_broken()).text()
    assert "\u2013 the ledger was not read to its end" in words
    assert "figures end at the last good entry" in words
    words = read(audited.no_dp_accounting()).text()
    assert words.count("\u2013 dp-accounting was not installed") == 4
    assert "dp-accounting not installed" in words
    assert "\u2013 no coordinator's ledger" in read(audited.no_coordinator()).text()


def test_no_figure_shows_where_the_findings_have_none() -> None:
    """Every number that is left when all figures are taken away is part of the page itself."""
    bare = audited.findings({"institution": "bank-a", "origin": "o", "role": "institution"})
    bare |= {"persons": [], "versions": {}, "verified": [], "not_verified": []}
    text = audit_page(bare)
    start, end = (text.index(f'<section aria-labelledby="{one}"') for one in ("budget", "timeline"))
    body = Page(text[start:end]).text()
    assert set(re.findall(r"\d+(?:\.\d+)?", body)) == {"0", "1"}  # entry 0, 1 % false alarms


@pytest.mark.parametrize("story", STORIES)
def test_nothing_that_was_not_verified_is_kept_back(story: str) -> None:
    found = STORIES[story]()
    text = audit_page(found)
    listed = text[text.index('id="not-verified"') : text.index('id="recipe"')]
    unchecked = found["not_verified"]
    assert isinstance(unchecked, list)
    for one in unchecked:
        assert str(one).replace("'", "&#39;") in listed
    assert "its noise was drawn" in listed


def test_an_empty_list_of_what_was_not_verified_is_not_believed() -> None:
    words = read(audited.holds() | {"not_verified": []}).text()
    assert "take them for incomplete" in words


def test_every_institution_of_many_is_on_it() -> None:
    text = audit_page(audited.many(40))
    assert all(f"<h3>institution-{at:03}</h3>" in text for at in range(40))
    assert "41 ledgers, 444 entries" in text


def test_receipts_are_held_against_releases() -> None:
    words = read(audited.evidence_broken()).text()
    assert "2 receipts, 0 of them match" in words
    assert "bank-b: 5c5c, round 0, attempt 0" in words
    assert "bank-a: 5c5c, round 0, attempt 0" in words


@pytest.mark.parametrize("story", STORIES)
def test_the_same_findings_give_the_same_bytes(story: str) -> None:
    """Also after a journey through JSON, in any order of keys."""
    found = STORIES[story]()
    again = json.loads(json.dumps(found, sort_keys=True))
    assert audit_page(found) == audit_page(copy.deepcopy(found)) == audit_page(again)


@pytest.mark.parametrize("form", [None, "fedcredit/findings/2", 1])
def test_findings_of_another_form_are_refused(form: object) -> None:
    with pytest.raises(ConfigError, match="findings"):
        audit_page(audited.holds() | {"format": form})


NASTY = st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</style><b>",
        "{{ 7 * 7 }}{% raw %}",
        "' onmouseover='x",
        "&lt;i&gt;",
        "<!--",
    ]
)


def poisoned(value: object, poison: str) -> object:
    """The same findings with a text put behind every text that is no word of the form."""
    if isinstance(value, dict):
        return {key: poisoned(one, poison) for key, one in value.items()}
    if isinstance(value, list):
        return [poisoned(one, poison) for one in value]
    fixed = {"institution", "coordinator", "evidence", "rule", "fedcredit/findings/1"}
    fixed |= set(audited.KINDS) | {"holds", "rule broken", "evidence broken"}
    if isinstance(value, str) and value not in fixed and not re.fullmatch("[0-9a-f]{64}", value):
        return value + poison
    return value


@settings(max_examples=30, deadline=None)
@given(story=st.sampled_from([*STORIES][:5]), poison=NASTY | st.text(min_size=1, max_size=20))
def test_no_text_of_the_findings_becomes_markup(story: str, poison: str) -> None:
    """Whatever is written into a ledger, the page has the same tags as with plain texts."""
    found, plain = STORIES[story](), STORIES[story]()
    shapes = []
    for text in (poison, "x"):
        page = Page(audit_page(_table(poisoned(found if text == poison else plain, text))))
        shapes.append([(name, sorted(attrs)) for name, attrs in page.tags])
        assert page.open == []
    assert shapes[0] == shapes[1]


def _table(value: object) -> Findings:
    assert isinstance(value, dict)
    return value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(
    where=st.sampled_from(
        ["problems", "ledgers", "coordinator", "persons", "verified", "versions", "verdict"]
    ),
    inner=st.sampled_from(["", "policy", "spent", "caps", "plans", "keys", "recompute", "entries"]),
    value=JSON,
)
def test_findings_of_any_kind_still_make_a_page(where: str, inner: str, value: object) -> None:
    """A figure of another kind is a dash; nothing stops an auditor from seeing the rest."""
    found = audited.holds() | ({} if inner else {where: value})
    if inner:
        found["ledgers"] = [audited.ledger("bank-a") | {inner: value}]
    check_self_contained(audit_page(found), anchors=True)


def test_it_serves_light_dark_phone_and_paper() -> None:
    """On paper what is folded up on a screen is shown."""
    text = audit_page(audited.holds())
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    assert "prefers-color-scheme: dark" in style
    assert "@media (max-width: 560px)" in style
    paper = style[style.index("@media print") :]
    assert "details::details-content { content-visibility: visible" in paper
    assert 'lang="en"' in text
    assert "width=device-width" in text


def test_a_long_ledger_is_folded_up_by_plan() -> None:
    """Its policy and keys stand first, and every listed entry is in one group."""
    text = audit_page(audited.long(12, 30))
    assert "<summary>bank-a: 745 entries, 385 listed; not listed: 360 × charge</summary>" in text
    titles = re.findall(r"<details><summary>(.*?)</summary>", text)
    assert titles[0] == "Policy, keys and notes (1)"
    assert titles[1:13] == [f"Plan study {at} (32)" for at in range(12)]
    unnamed = audit_page(audited.long(12, 30, named=False))
    assert "From plan at entry 1: plan study 0 (32)" in unnamed


def test_a_short_ledger_is_not_folded_up_by_plan() -> None:
    text = audit_page(audited.no_coordinator())
    titles = re.findall(r"<details[^>]*><summary>(.*?)</summary>", text)
    assert titles == [
        "bank-a: 11 entries, 9 listed; not listed: 2 × charge",
        "Policy in force at bank-a",
    ]


def test_every_listed_entry_has_its_number_and_leaf_hash() -> None:
    text = audit_page(audited.no_coordinator())
    for seq in (0, 1, 2, 4, 6, 7, 8, 9, 10):
        assert f'<tr><th scope="row">{seq}</th>' in text
        assert audited.hexed(f"bank-a/{seq}") in text
    assert audited.hexed("bank-a/3") not in text  # a charge, which is counted


def test_no_path_of_a_machine_is_shown() -> None:
    assert "secret-folder" not in audit_page(audited.holds())
