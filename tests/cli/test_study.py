"""A study file is all it takes; what it reads never shows in what it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedcredit.cli.main import main
from fedcredit.report.folder import FILES

CANARIES = 1000
SCHEMA = """
name = "small"
version = 1
description = "made up"
person = "person"
ids = ["loan"]

[label]
column = "bad"
good = ["0"]
bad = ["1"]
definition = "a made-up outcome"
outcome_months = 12

[[column]]
kind = "numeric"
name = "income"
unit = "EUR"
low = 0
high = 10000
cells = 16
direction = "risk-down"

[[column]]
kind = "categorical"
name = "home"
categories = ["own", "rent"]
other = true

[[column]]
kind = "categorical"
name = "sex"
categories = ["f", "m", "x"]
protected = true
"""
STUDY = """
name = "A small study"
purpose = "a test"
learner = "scorecard"
salt = "00112233445566778899aabbccddeeff"
seed = "ffeeddccbbaa99887766554433221100"
schema = "schema.toml"
"""


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def table(rows: int, seed: int) -> pl.DataFrame:
    """Every row holds values that stand nowhere else."""
    draw = np.random.default_rng(seed)
    income = draw.uniform(0, 10_000, rows)
    return pl.DataFrame(
        {
            "loan": [f"canary-loan-{seed}-{at:07}" for at in range(rows)],
            "person": [f"canary-person-{seed}-{at:07}" for at in range(rows)],
            "bad": (draw.random(rows) < 0.4 - income / 30_000).astype(int),
            "income": income,
            "home": [f"canary-home-{at}" if at % 9 == 0 else "own" for at in range(rows)],
            "sex": np.array(["f", "m", "x"])[draw.integers(0, 3, rows)],
            "branch": np.array(["Nord", "Süd/1", "West"])[draw.integers(0, 3, rows)],
        }
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes tables, a schema and a study with the given lines, and gives the study's path."""

    def written(lines: str) -> str:
        (tmp_path / "schema.toml").write_text(SCHEMA, "utf-8")
        (tmp_path / "study.toml").write_text(STUDY + lines, "utf-8")
        table(3000, 1).write_parquet(tmp_path / "all.parquet")
        table(3000, 1).write_csv(tmp_path / "all.csv")
        for at, name in enumerate(("a", "b", "c")):
            table(900 + 300 * at, at).write_csv(tmp_path / f"{name}.csv")
        return str(tmp_path / "study.toml")

    return written


OWN_TABLES = "".join(
    f'\n[[institutions]]\nname = "bank-{name}"\ntable = "{name}.csv"\n' for name in "abc"
)
SPLIT = '\n[split]\ntable = "all.parquet"\n'
BY_COLUMN = SPLIT + 'by = "column"\ncolumn = '
WAYS = {
    "own tables": (OWN_TABLES, {"bank-a", "bank-b", "bank-c"}),
    "iid": (SPLIT + "institutions = 4", {f"institution-{at}" for at in (1, 2, 3, 4)}),
    "dirichlet": (
        SPLIT + 'by = "dirichlet"\nconcentration = 5\ninstitutions = 3',
        {f"institution-{at}" for at in (1, 2, 3)},
    ),
    # A value that no schema lists could be anything, so it names nobody.
    "an unknown column": (BY_COLUMN + '"branch"', {f"institution-{at}" for at in (1, 2, 3)}),
    "a protected column": (BY_COLUMN + '"sex"', {"f", "m", "x"}),
    "csv": ('\n[split]\ntable = "csv:all.csv"\ninstitutions = 3', {
        f"institution-{at}" for at in (1, 2, 3)
    }),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_institutions_come_from_tables_or_from_one(
    way: str, write: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each way ends with a whole run folder, and with the claim in force in front."""
    lines, names = WAYS[way]
    out = tmp_path / "run"
    assert main(["study", "simulate", write(lines), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {one["institution"] for one in said["institutions"]} == names
    assert said["claims"]["in_force_name"] == "distributed"
    assert said["metrics"]["auc_se"] > 0
    assert sorted(one.name for one in out.iterdir()) == sorted(FILES)
    variables = {line.split(",")[0] for line in (out / "points.csv").read_text().splitlines()[2:]}
    assert variables == {"income", "home"}, "what only splits is never learned from"


def test_no_value_of_a_row_is_in_what_it_says_or_writes(
    write: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand ids, categories and amounts are looked for in every byte."""
    out = tmp_path / "run"
    assert main(["study", "simulate", write(SPLIT), "--out", str(out)]) == 0
    shown = capsys.readouterr()
    everything = b"".join(path.read_bytes() for path in sorted(out.iterdir()))
    everything += shown.out.encode() + shown.err.encode()
    planted = table(3000, 1).head(CANARIES)
    assert b"canary" not in everything
    for income in planted["income"]:
        assert np.float64(income).tobytes() not in everything
        assert f"{income:.7f}".encode() not in everything


def test_people_read_claims_metrics_and_the_path(
    write: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nothing else is said, the run goes to runs/ under the study's name."""
    file = write(SPLIT)
    monkeypatch.chdir(tmp_path)
    assert main(["study", "simulate", file]) == 0
    shown = capsys.readouterr()
    assert shown.out.index("in force: only totals are opened") < shown.out.index(
        "masks were broken"
    )
    assert "The report: runs/a-small-study/report.html" in shown.out
    assert "The ledgers: runs/a-small-study/audit.zip" in shown.out
    assert "round 5 of 5, score histogram: 6 of 6 answered" in shown.err
    before = (tmp_path / "runs/a-small-study/model.safetensors").read_bytes()

    assert main(["study", "simulate", file]) == 1
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "runs/a-small-study/model.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "names no records"),
        ('\nlerner = "x"' + SPLIT, "did you mean 'learner'"),
        (SPLIT.replace("all.parquet", "none.parquet"), "no file matches"),
        (BY_COLUMN + '"bad"', "is the label or an id"),
        (BY_COLUMN + '"person"', "is the label or an id"),
        (BY_COLUMN + '"brunch"', "no column 'brunch'"),
        (BY_COLUMN + '"income_exact"', "no column 'income_exact'"),
        (BY_COLUMN + '"loan"', "is the label or an id"),
        (OWN_TABLES.replace("bank-b", "bank-a"), "two institutions are called 'bank-a'"),
        (OWN_TABLES.replace("b.csv", "study.toml"), "neither CSV nor Parquet"),
    ],
)
def test_a_wrong_study_is_refused_with_a_remedy_and_leaves_nothing(
    lines: str,
    said: str,
    write: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    assert main(["study", "simulate", write(lines), "--out", str(out)]) == 1
    shown = capsys.readouterr()
    assert said in shown.err
    assert "\n  fix: " in shown.err
    assert shown.out == ""
    assert not out.exists()


def test_too_many_values_name_no_institutions(
    write: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column of names or amounts is not a column of institutions, and none of it is shown."""
    file = write(BY_COLUMN + '"note"')
    wide = table(3000, 1).with_columns(note=pl.Series([f"canary-{at}" for at in range(3000)]))
    wide.write_parquet(tmp_path / "all.parquet")
    assert main(["study", "simulate", file, "--out", str(tmp_path / "run")]) == 1
    shown = capsys.readouterr().err
    assert "more than 255 values" in shown
    assert "canary" not in shown


def test_a_draft_is_refused_before_the_table_is_read(
    write: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody has confirmed that its bounds are public."""
    file = write(SPLIT)
    draft = SCHEMA.replace("cells = 16", "cells = 16\ndraft = true")
    (tmp_path / "schema.toml").write_text(draft, "utf-8")
    (tmp_path / "all.parquet").unlink()
    assert main(["study", "simulate", file, "--out", str(tmp_path / "run")]) == 1
    assert "are drafts" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"name = '\xff'"], ids=["absent", "not utf-8"])
def test_a_study_file_that_cannot_be_read_is_named(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "study.toml"
    if content is not None:
        file.write_bytes(content)
    assert main(["study", "simulate", str(file)]) == 1
    assert "give a study file" in capsys.readouterr().err
