"""`fedcredit study approve`: a person's yes, signed, and taken up by the node."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcredit.adapters.hosting import Approval, Host, read_approval, write_approval
from fedcredit.adapters.ledgers import open_store, read_chain
from fedcredit.cli.main import main
from fedcredit.errors import IntegrityError
from fedcredit.federation.book import planned
from fedcredit.ledger.entries import Approve
from tests.adapters.founded import found
from tests.adapters.test_folders import agree, table
from tests.federation.made import NAMES, plan

BANK = NAMES[0]
STUDY = plan("scorecard")


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def bank_of(path: Path, automatic: float = 0.1, epsilon: float = 4.0) -> Path:
    """A node's folder with a study in it that was put before the bank."""
    folder = agree(path / BANK, STUDY)
    (folder / "table.csv").write_text(table(100, 0), "utf-8")
    (folder / "node.toml").write_text(f'institution = "{BANK}"\ntable = "table.csv"\n', "utf-8")
    found(folder, BANK, automatic=automatic, epsilon=epsilon)
    return folder


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return bank_of(tmp_path)


def approve(folder: Path, *words: str, key: str = "officer") -> int:
    path = str(folder / "keys" / f"{key}.key")
    return main(["study", "approve", str(folder), *words, "--officer", path])


def considered(folder: Path) -> str:
    """What the node says of the study at its next look."""
    host = Host(folder)
    try:
        return host.consider(folder)
    finally:
        host.close()


def test_a_study_that_waits_is_approved_and_the_node_takes_it_up(
    bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert considered(bank) == "waiting"
    assert approve(bank, "--note", "credit risk") == 0
    shown = capsys.readouterr().out
    asked = planned(STUDY, 3)
    assert shown.startswith("made-up: to test\n")
    assert shown.endswith("approved\n")
    assert "a record: spent 0.000, this study at most" in shown
    assert "cap 4.000 (epsilon at delta 1e-05)" in shown
    assert read_approval(bank).plan == asked.plan
    assert len(read_chain(bank / "ledger").written) == 2, "the node writes, nobody else"
    assert considered(bank) == "approved"
    last = read_chain(bank / "ledger").written[-1].entry
    assert isinstance(last, Approve)
    assert (last.by, last.note, last.plan) == ("officer", "credit risk", asked.plan)
    assert considered(bank) == "approved"
    assert len(read_chain(bank / "ledger").written) == 3


def test_an_approval_may_come_before_the_node_has_looked(bank: Path) -> None:
    assert approve(bank) == 0
    assert considered(bank) == "approved"


def test_it_is_no_matter_that_the_node_has_the_ledger_open(bank: Path) -> None:
    with open_store(bank / "ledger"):
        assert approve(bank) == 0


def test_a_study_that_the_policy_approves_by_itself_needs_no_person(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, automatic=4.0)
    assert considered(bank) == "approved"
    last = read_chain(bank / "ledger").written[-1].entry
    assert isinstance(last, Approve)
    assert (last.by, last.second) == ("policy", "")
    assert approve(bank) == 0, "and one more yes does no harm"
    assert considered(bank) == "approved"


def test_the_policy_stays_the_limit_whoever_signs(tmp_path: Path) -> None:
    bank = bank_of(tmp_path, epsilon=0.2)
    assert approve(bank) == 0
    assert considered(bank) == "refused"
    kinds = [type(one.entry).__name__ for one in read_chain(bank / "ledger").written]
    assert kinds == ["Genesis", "Refuse"]


@pytest.mark.parametrize("key", ["root", "ledger"])
def test_another_key_than_the_officers_approves_nothing(
    key: str, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve(bank, key=key) == 5
    assert "not the key of this ledger's officer" in capsys.readouterr().err
    assert not (bank / "approval.json").exists()
    assert considered(bank) == "waiting"


def test_a_signature_that_is_not_the_officers_is_not_taken_up(bank: Path) -> None:
    for signature in ("00" * 64, "ff" * 64):
        write_approval(bank, Approval(plan=planned(STUDY, 3).plan, signature=signature))
        with pytest.raises(IntegrityError, match="not signed by the officer"):
            considered(bank)
    assert len(read_chain(bank / "ledger").written) == 2
    assert approve(bank) == 0
    assert considered(bank) == "approved"


@pytest.mark.parametrize("note", ["für Süd", "two\nlines", "x" * 401, "\x07"])
def test_a_note_that_no_ledger_could_hold_is_refused_at_once(
    note: str, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else the node would stumble over it at every look, long after the person has gone."""
    assert approve(bank, "--note", note) == 1
    assert "the note is not a line of at most 400 plain letters" in capsys.readouterr().err
    assert not (bank / "approval.json").exists()


def test_the_longest_note_is_taken_up(bank: Path) -> None:
    assert approve(bank, "--note", '"' * 400) == 0
    assert considered(bank) == "approved"


def test_what_is_missing_is_status_1(
    tmp_path: Path, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert approve(bank, key="none") == 1
    assert approve(bank, "nothing-of-that-name") == 1
    (bank / "plan.json").unlink()
    assert approve(bank) == 1
    assert "0 studies" in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    officer = str(bank / "keys" / "officer.key")
    assert main(["study", "approve", str(empty), "--officer", officer]) == 1
    assert main(["study", "approve", str(bank)]) == 2


def test_without_a_ledger_nothing_is_approved(bank: Path) -> None:
    (bank / "ledger" / "ledger.jsonl").unlink()
    assert approve(bank) == 1
    assert not (bank / "approval.json").exists()


def test_of_a_ledger_that_is_damaged_nothing_is_approved(bank: Path) -> None:
    path = bank / "ledger" / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"persons":3', b'"persons":2'))
    assert approve(bank) == 5
    assert not (bank / "approval.json").exists()
