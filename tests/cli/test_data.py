"""`fedcredit data check` and `draft`: one line for each rule, exit statuses, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcredit.cli.main import main
from fedcredit.data.findings import RULES
from fedcredit.data.schema import read_schema

SCHEMA = """
name = "loans"
version = 3
description = ""

[label]
column = "y"
good = ["0"]
bad = ["1"]
definition = "late"
outcome_months = 12

[[column]]
kind = "numeric"
name = "amount"
unit = "EUR"
low = 0
high = 100

[[column]]
kind = "categorical"
name = "town"
categories = ["a", "b"]
draft = true
"""
ROWS = "amount,town,y\n" + "".join(
    f"{at % 120},{'ab'[at % 2]},{at // 3 % 2}\n" for at in range(240)
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "schema.toml").write_text(SCHEMA)
    (tmp_path / "loans.csv").write_text(ROWS)
    (tmp_path / "bad.csv").write_text(ROWS + "SECRET,nowhere,0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_table_passes_with_one_line_for_each_rule(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", "loans.csv", "--schema", "schema.toml"]) == 0
    out, err = capsys.readouterr()
    rules = [line.split()[1] for line in out.splitlines() if line.startswith("pass")]
    assert rules == [rule for rule in RULES if rule not in ("person", "ids")]
    assert "38  amount: clamped into the outermost cells" in out
    assert "keeps to loans version 3" in err
    assert "1 columns of schema.toml are still drafts" in err


def test_a_broken_table_fails_with_counts_and_hints_and_no_value(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "check", "bad.csv", "--schema", "schema.toml"]) == 1
    out, err = capsys.readouterr()
    failed = [line.split()[1] for line in out.splitlines() if line.startswith("FAIL")]
    assert failed == ["type", "category"]
    assert "1  town: correct them or list the categories" in out
    assert "breaks its contract in 2 places" in err
    assert "SECRET" not in out + err
    assert "nowhere" not in out + err


def test_programs_get_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "bad.csv", "--schema", "schema.toml", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["version"], found["passed"]) == ("loans", 3, False)
    assert found["drafts"] == ["town"]
    broken = [one for one in found["findings"] if not one["passed"]]
    assert [(one["rule"], one["column"], one["count"]) for one in broken] == [
        ("type", "amount", 1),
        ("category", "town", 1),
    ]


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["loans.csv", "--schema", "none.toml"], "none.toml cannot be read"),
        (["none.csv", "--schema", "schema.toml"], "no file matches none.csv"),
        (["loans.csv", "--schema", "latin.toml"], "latin.toml is not UTF-8"),
        (["loans.csv", "--schema", "loans.csv"], "loans.csv is not TOML"),
        (["loans.csv", "--schema", "schema.toml", "--schema-version", "4"], "expected version 4"),
    ],
)
def test_what_cannot_be_read_is_named_with_a_remedy(
    words: list[str], what: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    assert main(["data", "check", *words]) == 1
    err = capsys.readouterr().err
    assert what in err
    assert "fix:" in err


def test_wrong_usage_has_a_status_of_its_own(folder: Path) -> None:
    assert main(["data", "check", "loans.csv"]) == 2


def test_a_draft_goes_to_the_screen_or_into_a_new_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "draft", "loans.csv", "--label", "y", "--name", "mine"]) == 0
    out, err = capsys.readouterr()
    schema = read_schema(out, "screen")
    assert (schema.name, schema.drafts) == ("mine", ("amount", "town"))
    assert "2 columns drafted, 0 left out" in err
    asked = ["data", "draft", "loans.csv", "--label", "y", "--name", "mine", "--output", "new.toml"]
    assert main(asked) == 0
    assert (folder / "new.toml").read_text() == out
    assert main(asked) == 1
    assert "new.toml cannot be written: File exists" in capsys.readouterr().err
    assert main(["data", "check", "loans.csv", "--schema", "new.toml"]) == 0


def test_a_draft_asks_for_the_label(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.iterdir())
    assert main(["data", "draft", "loans.csv", "--output", "new.toml"]) == 1
    err = capsys.readouterr().err
    assert "fix: add --label COLUMN; columns with two values: town, y" in err
    assert sorted(folder.iterdir()) == before, "nothing is written"
    words = ["--label", "amount", "--bad", "7"]
    assert main(["data", "draft", "loans.csv", *words]) == 1
