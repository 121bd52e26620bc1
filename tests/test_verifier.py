"""The verifier as a program: by itself, with the status, the text and the JSON it promises."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Final

import pytest

from fedcredit import verifier
from fedcredit.verifier import UsageProblem, main, verify
from tests.ledger.written import (
    Writer,
    bundle,
    coordinator,
    event,
    opened,
    policy,
    public_of,
    story,
    verifier_key,
)

FILE: Final = Path(verifier.__file__)
LEDGER_KEYS: Final = {
    "institution", "origin", "role", "size", "root", "time", "cosigned", "policy", "keys",
    "software", "spent", "caps", "lifetime", "plans", "recompute", "refusals", "burns",
    "exceptions", "entries",
}  # fmt: skip


def dear() -> Writer:
    """A ledger that passes a cap at entry 3."""
    writer = Writer()
    writer.genesis(policy(rho=1))
    writer.plan()
    writer.approve()
    writer.charge(0)
    return writer


def spoiled() -> Writer:
    """A ledger whose entry 4 was altered."""
    writer = story()
    writer.lines[4] = writer.lines[4].replace(b"2026", b"2025")
    return writer


def test_it_imports_nothing_but_the_standard_library_and_cryptography() -> None:
    names = set()
    for node in ast.walk(ast.parse(FILE.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert names - sys.stdlib_module_names == {"cryptography", "dp_accounting"}


@pytest.mark.parametrize(("make", "status"), [(story, 0), (dear, 1), (spoiled, 5)])
def test_a_copy_of_the_file_runs_by_itself(make: object, status: int, tmp_path: Path) -> None:
    """Isolated: no fedcredit on the path, another folder, another name."""
    assert callable(make)
    copy = shutil.copy(FILE, tmp_path / "check.py")
    bundle(tmp_path / "audit.zip", make())
    run = subprocess.run(
        [sys.executable, "-I", str(copy), "audit.zip"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (status, "")
    assert (
        run.stdout.splitlines()[-1]
        == "verdict: " + ({0: "holds", 1: "rule broken", 5: "evidence broken"}[status])
    )


@pytest.mark.parametrize("words", [[], ["none.zip"], ["--wrong"], ["x", "--trust", "none.toml"]])
def test_wrong_usage_is_status_2(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2


def test_the_text_says_what_was_verified_and_what_was_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(story().save(tmp_path))]) == 0
    text = capsys.readouterr().out
    assert "bank-a: verified to size 20, root " in text
    assert "cosigned by bank-b.example/witness, coordinator.example/witness at size 20" in text
    assert "a record has paid epsilon 0.34 of 0.55 (delta 1e-05), alone 0.71 of 1.16" in text
    assert "1 burned, 1 refused" in text
    assert text.index("Verified:") < text.index("NOT verified:") < text.index("verdict: holds")
    assert "that an institution ran the software it names" in text


def test_the_first_bad_entry_is_named_in_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(spoiled().save(tmp_path))]) == 5
    text = capsys.readouterr().out
    assert "evidence broken: bank-a, entry 4: line 5: the checkpoint of size 5 has another" in text


@pytest.mark.parametrize("make", [story, dear, spoiled])
def test_the_json_has_the_promised_shape(
    make: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(make)
    path = bundle(tmp_path / "a.zip", make(), coordinator("bank-a"))
    status = main([str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["exit"] == status
    assert found.keys() == {
        "format", "verdict", "exit", "problems", "ledgers", "coordinator", "persons", "verified",
        "not_verified", "versions",
    }  # fmt: skip
    names = {"rho", "rho_local", "person_rho", "person_rho_local"}
    names |= {name.replace("rho", "epsilon") for name in names}
    for one in found["ledgers"]:
        assert one.keys() >= LEDGER_KEYS
        assert one["spent"].keys() == one["caps"].keys() == names
        assert len(one["entries"]) == one["size"]
        assert [row["seq"] for row in one["entries"]] == list(range(one["size"]))
    assert found["not_verified"] != []
    assert found["coordinator"].keys() == {
        "present", "receipts", "matched", "unmatched", "releases_without_receipt",
    }  # fmt: skip


def test_entries_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(story().save(tmp_path)), "--json", "--no-entries"]) == 0
    assert "entries" not in json.loads(capsys.readouterr().out)["ledgers"][0]


def test_heads_saved_today_hold_tomorrow_s_ledger_to_them(tmp_path: Path) -> None:
    saved, trust = tmp_path / "heads.toml", tmp_path / "trust.toml"
    first = bundle(tmp_path / "a.zip", story(), coordinator("bank-a"))
    assert main([str(first), "--save", str(saved)]) == 0
    assert main([str(first), "--save", str(saved)]) == 2, "what was saved is not overwritten"
    root = f'[[ledger]]\norigin = "{story().origin}"\nroot = "{public_of("bank-a root").hex()}"\n'
    central = Writer("coordinator")
    root += f'[[ledger]]\norigin = "{central.origin}"\n'
    root += f'root = "{public_of(central.root).hex()}"\n'
    trust.write_text(root + saved.read_text("utf-8"), "utf-8")

    longer = story()
    longer.charge(4, event=event(variance=10**6))
    longer.release(4)
    assert main([str(longer.save(tmp_path / "longer")), "--trust", str(trust)]) == 0
    other = opened(Writer())
    for _ in range(20):
        other.add("note", text="another history")
    assert main([str(other.save(tmp_path / "other")), "--trust", str(trust)]) == 5


def test_a_head_is_saved_whatever_signs_its_origin_has(tmp_path: Path) -> None:
    class Odd(Writer):
        origin = 'fedcredit.example/"""\\u0041\\'

    saved = tmp_path / "heads.toml"
    folder = str(opened(Odd()).save(tmp_path))
    assert main([folder, "--save", str(saved)]) == 0
    assert list(verifier.Trust.read(saved).saved) == [Odd.origin]
    assert main([folder, "--trust", str(saved)]) == 0


def test_the_head_of_a_broken_ledger_is_not_saved(tmp_path: Path) -> None:
    saved = tmp_path / "heads.toml"
    assert main([str(spoiled().save(tmp_path)), "--save", str(saved)]) == 5
    assert saved.read_text("utf-8") == ""


@pytest.mark.parametrize(
    "text",
    [
        "ledger",
        "[[ledger]]\norigin = 'x'\n",
        "[[ledger]]\norigin = 'x'\nroot = 'ab'\n",
        "[[ledger]]\norigin = 'x'\nroot = 7\n",
        "[[witness]]\nkey = 'x'\nrole = 'institution'\n",
        f"[[witness]]\nkey = '{verifier_key('bank-b')}'\nrole = 'friend'\n",
        f"[[witness]]\nkey = '{verifier_key('bank-b')[:-2]}aa'\nrole = 'institution'\n",
        "[[saved]]\nnote = 'x'\n",
        "[[other]]\nnote = 'x'\n",
    ],
)
def test_a_trust_file_is_read_strictly(text: str, tmp_path: Path) -> None:
    trust = tmp_path / "trust.toml"
    trust.write_text(text, "utf-8")
    with pytest.raises(UsageProblem, match=r"trust\.toml"):
        verify([story().save(tmp_path)], trust)


def test_a_sparse_gigabyte_is_refused_in_little_memory(tmp_path: Path) -> None:
    folder = story().save(tmp_path)
    with (folder / "ledger.jsonl").open("r+b") as file:
        file.truncate(1 << 30)
    tracemalloc.start()
    try:
        findings = verify([folder])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert findings["exit"] == 5
    assert peak < 20 << 20


def test_signatures_that_were_left_out_are_said_to_be(tmp_path: Path) -> None:
    findings = verify([story().save(tmp_path)], signatures=False)
    assert "any signature of a checkpoint: it was left out" in str(findings["not_verified"])
