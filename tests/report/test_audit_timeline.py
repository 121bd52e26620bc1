"""A timeline lists what an auditor asks about, and counts the rest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fedcredit.report.audit_timeline import LONG, MOST, Timeline, timeline
from fedcredit.report.reading import rows
from tests.report import audited
from tests.report.audited import Findings

KINDS = [
    "genesis",
    "plan",
    "approve",
    "charge",
    "release",
    "agree",
    "reveal",
    "burn",
    "refuse",
    "policy_change",
    "key_rotate",
    "audit",
    "note",
    "receipt",
    "close",
]


def of(entries: list[Findings]) -> Timeline:
    return timeline({"institution": "bank-a", "size": len(entries), "entries": entries})


def lines(found: Timeline) -> list[str]:
    return [line.seq for group in found.groups for line in group.lines]


@given(kinds=st.lists(st.sampled_from(KINDS), max_size=4 * LONG), named=st.booleans())
def test_every_entry_is_listed_once_or_counted(kinds: list[str], named: bool) -> None:
    entries = [
        audited.entry("bank-a", seq, kind, "x")
        | ({"plan": f"plan {seq % 3}"} if named and kind in {"plan", "approve", "release"} else {})
        for seq, kind in enumerate(kinds)
    ]
    found = of(entries)
    seqs = lines(found)
    assert len(seqs) == len(set(seqs)) == found.shown
    counted = [int(part.split(" × ")[0]) for part in found.counted.split(", ") if part]
    assert found.shown + sum(counted) == len(kinds)
    assert {kinds[int(seq)] for seq in seqs} & {"charge", "agree", "reveal", "receipt"} == set()
    assert (len(found.groups) <= 1) or found.shown > LONG
    for group in found.groups:
        own = [int(line.seq) for line in group.lines]
        assert own == sorted(own)


def test_releases_of_a_very_long_ledger_are_counted() -> None:
    whole = audited.long(100, 60)
    (ledger,) = rows(whole, "ledgers")
    found = timeline(ledger)
    assert found.counted == "6000 × charge, 6000 × release"
    assert found.shown == 201
    assert {line.kind for group in found.groups for line in group.lines} == {
        "genesis",
        "plan",
        "approve",
    }


def test_no_ledger_fills_more_than_a_page_can_hold() -> None:
    entries = [audited.entry("bank-a", seq, "refuse", "budget") for seq in range(MOST + 7)]
    found = of(entries)
    assert found.shown == MOST
    assert found.counted == "the last 7"
    assert lines(found)[-1] == str(MOST - 1)


def test_entries_that_were_left_out_are_no_empty_timeline() -> None:
    """A page then says that they are in the bundle."""
    found = timeline({"institution": "bank-a", "size": 9})
    assert found.groups == ()
    assert found.size == "9"
