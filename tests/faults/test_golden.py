"""Ledgers of earlier versions are read as they are, and not one byte of them is written anew."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedcredit.adapters.ledgers import open_store
from fedcredit.errors import IntegrityError
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import Note
from fedcredit.ledger.grammar import read_line, write_line
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.notes import read_notes
from fedcredit.ledger.signing import SigningKey, approval_text
from tests.faults.checker import Evidence, judge
from tests.faults.written import ORIGIN, PLAN, ROLES, Minutes, key, quorum

GOLDEN: Final = Path(__file__).parent / "golden"
SUMS: Final = {
    "approved/checkpoints.note": "2835107271c2670132c4d54732969577c1946b34e44468bf55d65bdd749fa10b",
    "approved/ledger.jsonl": "5468994db605637ee570c79f8d0ecfdf0334e6c7c6e19a7255caa2e8ee314c53",
    "bank/checkpoints.note": "ef4405676cf6f04e78cee6201b3411fdaf51ecdcbfed4a9b11671568fc1bcf97",
    "bank/ledger.jsonl": "3dc2cbc865f3273c826fb2b47221a212e31fec1943d7d4e014b5ac9f502d07d8",
    "centre/checkpoints.note": "25694034aa59b9448bc5bd9ed1c7ecfb4cb090878c7eab081d44a119195bca10",
    "centre/ledger.jsonl": "caa117c603b451fa35a58a2a3ea78eb5f7095733ee3a8317239bb4eb1ac8a75c",
    "left/checkpoints.note": "6c095ea466b7910baec1229be9f54308d73f6535f426459ebe1dad0ecdd35271",
    "left/ledger.jsonl": "74b9f12338357f34ebd760db6d349bd4b939064d0180ecba88d536d12d3649f8",
}
KEYS: Final = {
    "approved": ROLES.key,
    "bank": SigningKey(hashlib.sha256(b"next").digest()),
    "centre": key("centre"),
    "left": key("centre"),
}
KINDS: Final = {
    "approved": "genesis plan approve charge release",
    "bank": "genesis plan approve charge burn charge release agree reveal refuse policy_change "
    "key_rotate audit note",
    "centre": "genesis plan receipt receipt receipt close",
    "left": "genesis note note plan note",
}


@pytest.mark.parametrize("name", SUMS)
def test_row_57_the_golden_files_are_those_that_were_written(name: str) -> None:
    assert hashlib.sha256((GOLDEN / name).read_bytes()).hexdigest() == SUMS[name]


@pytest.mark.parametrize("name", KEYS)
def test_row_57_every_line_and_note_of_a_golden_ledger_is_read_byte_for_byte(name: str) -> None:
    lines = (GOLDEN / name / "ledger.jsonl").read_bytes()
    notes = (GOLDEN / name / "checkpoints.note").read_bytes()
    chain = Chain()
    for line in lines.splitlines(keepends=True):
        assert write_line(read_line(line)) == line
        chain.take(line)
    assert [json.loads(line)["kind"] for line in lines.splitlines()] == KINDS[name].split()
    assert b"".join(note.data() for note in read_notes(notes)) == notes
    assert judge(Evidence(lines, notes)) == []


@pytest.mark.parametrize("name", KEYS)
def test_row_57_a_golden_ledger_goes_on_behind_what_it_holds(name: str, tmp_path: Path) -> None:
    for part in ("ledger.jsonl", "checkpoints.note"):
        shutil.copy(GOLDEN / name / part, tmp_path / part)
    lines = (GOLDEN / name / "ledger.jsonl").read_bytes()
    notes = (GOLDEN / name / "checkpoints.note").read_bytes()
    with open_store(tmp_path) as store:
        ledger = Ledger(store, KEYS[name], quorum(), Minutes())
        assert (store.lines(), store.notes()) == (lines, notes)
        ledger.write(Note(text="a later version"))
        ledger.settle()
        assert store.lines().startswith(lines)
        assert store.notes().startswith(notes)
        assert judge(Evidence(store.lines(), store.notes())) == []


def test_row_57_a_golden_approval_is_the_officers_and_a_golden_leave_says_who() -> None:
    approval = json.loads((GOLDEN / "approved/ledger.jsonl").read_bytes().splitlines()[2])
    assert (approval["by"], approval["note"]) == ("officer", "credit committee")
    officer = Ed25519PublicKey.from_public_bytes(ROLES.officer.public)
    officer.verify(bytes.fromhex(approval["second"]), approval_text(ORIGIN, PLAN))
    chain = Chain()
    for line in (GOLDEN / "left/ledger.jsonl").read_bytes().splitlines(keepends=True):
        chain.take(line)
    last = chain.written[-1].entry
    assert isinstance(last, Note)
    assert last.text == "2026-11-25T14:01:00Z shop leaves the consortium: merger"


def test_row_57_an_entry_of_a_later_version_is_refused_and_nothing_is_written(
    tmp_path: Path,
) -> None:
    """Its line is signed for, so it is no torn one; it names the entry."""
    for part in ("ledger.jsonl", "checkpoints.note"):
        shutil.copy(GOLDEN / "bank" / part, tmp_path / part)
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"kind":"audit"', b'"kind":"ordit"'))
    before = path.read_bytes()
    with open_store(tmp_path) as store:
        with pytest.raises(IntegrityError, match=r"entry 12 of the ledger \(line 13\) is damaged"):
            Ledger(store, KEYS["bank"], quorum(), Minutes())
        assert store.lines() == before
