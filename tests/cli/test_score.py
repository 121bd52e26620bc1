"""A table is scored as the model's own contract says, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedcredit.cli.main import main
from fedcredit.scoring.model import ReleasedModel, write_model
from fedcredit.scoring.points import TIERS
from fedcredit.units import Bytes8
from tests.scoring.made import released

ROWS = 70_000  # more than one chunk


@pytest.fixture(autouse=True)
def _threads_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder with two tables of applicants beside it."""
    path = tmp_path_factory.mktemp("score")
    save(released("boosting"), path / "model")
    draw = np.random.default_rng(5)
    table = pl.DataFrame(
        {
            "applicant": [f"A-{at:06}" for at in range(ROWS)],
            "income": np.where(draw.random(ROWS) < 0.1, -9, draw.uniform(0, 9000, ROWS).round(2)),
            "late": draw.integers(0, 9, ROWS),
            "home": np.array(["own", "rent", "tent", None])[draw.integers(0, 4, ROWS)],
            "secret": draw.random(ROWS),
        }
    )
    table.write_csv(path / "table.csv")
    table.write_parquet(path / "table.parquet")
    return path


def save(model: ReleasedModel, path: Path) -> None:
    weights, manifest = write_model(model)
    path.mkdir()
    (path / "model.safetensors").write_bytes(weights)
    (path / "manifest.json").write_bytes(manifest)


def score(folder: Path, source: str, out: Path, *more: str) -> int:
    model, table = str(folder / "model"), str(folder / source)
    return main(["score", "--model", model, "--in", table, "--out", str(out), *more])


def cells_of(table: pl.DataFrame) -> Bytes8:
    """The applicants' cells, reckoned without the product's readers."""
    income = table["income"].to_numpy()
    homes = {"own": 0, "rent": 1, "other people's <house>": 2, "tent": 3, None: 4}
    return np.stack(
        [
            np.where(income == -9, 9, np.clip(income // 1000, 0, 7)),
            np.clip(table["late"].to_numpy(), 0, 5),
            np.array([homes[home] for home in table["home"]]),
        ]
    ).astype(np.uint8)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_scores_are_the_models_own(kind: str, folder: Path, tmp_path: Path) -> None:
    """Row for row those of the model in memory, from either format into either format."""
    out = tmp_path / f"scores.{kind}"
    assert score(folder, f"table.{kind}", out) == 0
    read = pl.read_csv(out) if kind == "csv" else pl.read_parquet(out)
    expected = released("boosting").scores(cells_of(pl.read_parquet(folder / "table.parquet")))
    assert read.columns == ["score", "pd", "tier"]
    np.testing.assert_array_equal(read["score"].to_numpy(), expected.score)
    np.testing.assert_allclose(read["pd"].to_numpy(), expected.pd, rtol=1e-12)
    assert read["tier"].to_list() == [TIERS[tier].name for tier in expected.tier]


def test_an_id_is_carried_over_only_when_asked_for(folder: Path, tmp_path: Path) -> None:
    """And no other column of the table ever is."""
    assert score(folder, "table.parquet", tmp_path / "a.csv", "--id", "applicant") == 0
    read = pl.read_csv(tmp_path / "a.csv")
    assert read.columns == ["applicant", "score", "pd", "tier"]
    assert read["applicant"].to_list() == [f"A-{at:06}" for at in range(ROWS)]


def test_json_names_the_model(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folder, "table.csv", tmp_path / "a.parquet", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rows"] == ROWS
    assert said["model_digest"] == released("boosting").digest


def test_a_glob_is_one_table(folder: Path, tmp_path: Path) -> None:
    """Files in the order of their names, ids in step with scores."""
    table = pl.read_parquet(folder / "table.parquet").head(1000)
    table.head(600).write_csv(tmp_path / "part-1.csv")
    table.tail(400).write_csv(tmp_path / "part-2.csv")
    save(released("boosting"), tmp_path / "model")
    assert score(tmp_path, "part-*.csv", tmp_path / "out.parquet", "--id", "applicant") == 0
    assert score(folder, "table.parquet", tmp_path / "all.parquet", "--id", "applicant") == 0
    whole = pl.read_parquet(tmp_path / "all.parquet").head(1000)
    assert pl.read_parquet(tmp_path / "out.parquet").equals(whole)


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["--id", "name"], 1, "no column 'name'"),
        (["--id", "score"], 1, "--id names 'score'"),
    ],
)
def test_a_wrong_id_is_refused(
    more: list[str],
    status: int,
    said: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert score(folder, "table.csv", tmp_path / "a.csv", *more) == status
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_broken_table_leaves_nothing_behind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even the rows before the broken one; and the message holds no value."""
    bad = tmp_path / "bad.csv"
    bad.write_text("income,late,home\n100,1,own\nJane Roe,2,rent\n", "utf-8")
    out = tmp_path / "out.csv"
    assert (
        main(["score", "--model", str(folder / "model"), "--in", str(bad), "--out", str(out)]) == 1
    )
    shown = capsys.readouterr().err
    assert "'income'" in shown
    assert "Jane" not in shown
    assert sorted(one.name for one in tmp_path.iterdir()) == ["bad.csv"]


def test_a_missing_column_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("income,late\n1,1\n", "utf-8")
    arguments = ["--in", str(tmp_path / "t.csv"), "--out", str(tmp_path / "o.csv")]
    assert main(["score", "--model", str(folder / "model"), *arguments]) == 1
    assert "'home'" in capsys.readouterr().err


def test_a_changed_model_scores_nobody(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(released("scorecard"), tmp_path / "model")
    file = tmp_path / "model" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    table = str(folder / "table.csv")
    out = tmp_path / "out.csv"
    status = main(["score", "--model", str(tmp_path / "model"), "--in", table, "--out", str(out)])
    assert status == 5
    assert not out.exists()
    assert "fix: fetch the model's two files again" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["scores.xlsx", "no/such/folder/scores.csv"])
def test_a_place_that_cannot_be_written_is_named(
    out: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folder, "table.csv", tmp_path / out) == 1
    assert Path(out).name in capsys.readouterr().err
