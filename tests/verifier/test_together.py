"""Several ledgers: receipts against releases, persons at several institutions, two histories."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from fedcredit.privacy.accounting import epsilon_of
from fedcredit.units import NanoRho
from fedcredit.verifier import verify
from tests.ledger.written import Writer, coordinator, digest, event, opened, story
from tests.verifier.judged import Findings, broken, judge, problems, rows


def cross(findings: Findings) -> Findings:
    return cast(Findings, findings["coordinator"])


def test_receipts_and_releases_match_both_ways() -> None:
    findings = judge(story(), story("bank-b"), coordinator("bank-a", "bank-b"))
    assert findings["exit"] == 0
    assert cross(findings) == {
        "present": True, "receipts": 8, "matched": 8, "unmatched": [],
        "releases_without_receipt": [],
    }  # fmt: skip


def test_a_receipt_for_what_was_never_released_is_a_contradiction() -> None:
    central = coordinator("bank-a")
    central.receipt("bank-a", 4)
    findings = judge(story(), central)
    assert findings["exit"] == 5
    found = problems(findings)[0]
    assert (found.ledger, found.seq) == ("coordinator", 10)
    assert "bank-a's own ledger has no such release" in found.what
    assert len(cast(list[str], cross(findings)["unmatched"])) == 1


def test_a_receipt_for_other_bytes_is_a_contradiction() -> None:
    central = Writer("coordinator", "coordinator")
    central.genesis()
    central.plan()
    central.receipt("bank-a", 0, reply=digest("other bytes"))
    findings = judge(story(), central)
    assert findings["exit"] == 5
    assert "releases other bytes" in problems(findings)[0].what


def test_a_release_that_nobody_received_is_an_exception_and_no_fault() -> None:
    central = Writer("coordinator", "coordinator")
    central.genesis()
    central.plan()
    central.receipt("bank-a", 0)
    findings = judge(story(), central)
    assert findings["exit"] == 0
    assert len(cast(list[str], cross(findings)["releases_without_receipt"])) == 3
    assert "released and not received" in str(rows(findings, "ledgers")[0]["exceptions"])


def test_receipts_from_an_institution_whose_ledger_is_not_here_are_not_verified() -> None:
    findings = judge(story(), coordinator("bank-a", "bank-b"))
    assert findings["exit"] == 0
    assert "receipts from bank-b: its ledger was not given" in cast(
        list[str], findings["not_verified"]
    )


def test_a_broken_ledger_is_not_contradicted_beyond_where_it_was_read() -> None:
    writer = story()
    writer.lines[4] = writer.lines[4].replace(b"2026", b"2027")
    findings = judge(writer, coordinator("bank-a"))
    assert [(one.ledger, one.seq) for one in problems(findings)] == [("bank-a", 4)]


def test_other_ledgers_are_read_on_after_a_broken_one() -> None:
    writer = story()
    writer.lines[4] = b"nonsense\n"
    findings = judge(writer, story("bank-b"))
    assert [row["whole"] for row in rows(findings, "ledgers")] == [False, True]
    assert "bank-a: anything after line 5" in cast(list[str], findings["not_verified"])


@pytest.mark.parametrize("kind", ["approve", "charge", "burn", "audit"])
def test_a_coordinator_s_ledger_spends_nothing(kind: str) -> None:
    writer = coordinator("bank-a")
    if kind == "audit":
        writer.add("audit", what="", result="")
    else:
        getattr(writer, kind)()
    broken(writer, 10, 1, "not an entry of a coordinator's ledger")


def test_a_coordinator_s_turn_has_one_receipt_an_institution_and_one_close() -> None:
    writer = coordinator("bank-a")
    writer.receipt("bank-a", 0)
    broken(writer, 10, 1, "its turn was closed before")
    writer = coordinator("bank-a")
    writer.close(0)
    broken(writer, 10, 1, "its turn was closed before")
    writer = coordinator("bank-a")
    writer.receipt("bank-a", 4)
    writer.receipt("bank-a", 4)
    broken(writer, 11, 1, "a second receipt")


def test_a_person_pays_for_every_joint_turn_once_and_for_the_dearest_institutions() -> None:
    """Both banks were in all turns; bank-b's noise stands alone in one turn more."""
    second = story("bank-b")
    second.charge(4, event=event(variance=23_000))
    second.release(4)
    findings = judge(story(), second)

    assert findings["exit"] == 0
    joint, more, more_alone = 5 * 1_000_001, 125_001, 500_000
    apart = [20_000_000 + more_alone, 20_000_000]
    assert rows(findings, "persons") == [
        {
            "institutions": m,
            "epsilon": pytest.approx(epsilon_of(NanoRho(m * m * (joint + more)), 1e-5), rel=1e-5),
            "epsilon_local": pytest.approx(epsilon_of(NanoRho(sum(apart[:m])), 1e-5), rel=1e-5),
            "delta": 1e-5,
        }
        for m in (1, 2, 3)
    ]


def test_two_copies_of_a_ledger_count_once_and_must_be_one_history(tmp_path: Path) -> None:
    earlier, later = story(), story()
    later.add("note", text="later")
    copies = [earlier.save(tmp_path / "1"), later.save(tmp_path / "2")]
    findings = verify(copies)
    assert findings["exit"] == 0
    assert rows(findings, "persons") == rows(verify(copies[1:]), "persons")


def test_two_histories_of_one_ledger_are_found(tmp_path: Path) -> None:
    """What a coordinator would show to two institutions."""
    first, second = opened(Writer()), opened(Writer())
    first.charge(0)
    second.charge(1)
    second.add("note", text="")
    findings = verify([first.save(tmp_path / "1"), second.save(tmp_path / "2")])
    assert findings["exit"] == 5
    assert "another root than the checkpoint of size 4" in problems(findings)[0].what


def test_two_ledgers_of_one_institution_are_found(tmp_path: Path) -> None:
    """A second ledger, under another origin, would hide what it spends."""

    class Second(Writer):
        origin = "fedcredit.example/delta/bank-a/second"

    copies = [story().save(tmp_path / "1"), opened(Second()).save(tmp_path / "2")]
    findings = verify(copies)
    assert findings["exit"] == 5
    assert "2 ledgers of different origins" in problems(findings)[0].what
