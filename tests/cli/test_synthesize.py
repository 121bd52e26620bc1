"""`fedcredit data synthesize` writes tables that pass their own check, and the truth about them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from fedcredit.adapters.tables import check_table
from fedcredit.cli.synthesize import synthesize
from fedcredit.data.columns import Numeric
from fedcredit.data.schema import read_schema
from fedcredit.data.synthetic import consortium
from fedcredit.errors import ConfigError

app = typer.Typer()
app.command()(synthesize)
run = CliRunner()
INSTITUTIONS = ["north-bank", "south-bank", "direct-bank", "telco", "utility", "shop"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small consortium on disk."""
    folder = tmp_path_factory.mktemp("made") / "below" / "consortium"
    result = run.invoke(app, [str(folder), "--seed", "3", "--records", "12000"])
    assert result.exit_code == 0, result.output
    return folder


def test_the_folder_holds_tables_contracts_and_truth(written: Path) -> None:
    files = sorted(str(path.relative_to(written)) for path in written.rglob("*") if path.is_file())
    tables = [f"{table}/{name}.parquet" for table in ("consumer", "sme") for name in INSTITUTIONS]
    assert files == sorted([*tables, "consumer.toml", "sme.toml", "truth.json"])


@pytest.mark.parametrize("table", ["consumer", "sme"])
@pytest.mark.parametrize("name", INSTITUTIONS)
def test_every_table_passes_its_check_with_nothing_out_of_bounds(
    written: Path, table: str, name: str
) -> None:
    """Only missing values stand out, and they have cells of their own."""
    schema = read_schema((written / f"{table}.toml").read_text("utf-8"), table)
    found = check_table(str(written / table / f"{name}.parquet"), schema)
    assert all(one.passed for one in found)
    assert {one.rule for one in found if one.count} == {"missing"}


def test_a_table_holds_what_was_drawn(written: Path) -> None:
    """Missing values are empty, and counts whole numbers."""
    frame = pl.read_parquet(written / "consumer/telco.parquet")
    made = consortium(3, 0.1)
    telco = made.institutions[3]
    assert frame.columns == list(telco.columns)
    assert frame["utilisation"].null_count() == int(telco.thin.sum())
    assert frame["mobile_contract"].null_count() == 0
    assert not frame.select((pl.col(pl.String) == "").any()).row(0).count(True)
    assert not frame.select(pl.col(pl.Float64).is_nan().any()).row(0).count(True)
    for column in made.schema.columns:
        if isinstance(column, Numeric):
            assert frame[column.name].dtype.is_integer() == (column.step == 1)
    assert frame["person_id"].to_list() == telco.columns["person_id"].tolist()
    assert frame["net_flow_eur"].to_list() == telco.columns["net_flow_eur"].tolist()


def test_the_truth_is_json_with_every_feature(written: Path) -> None:
    truth = json.loads((written / "truth.json").read_text("utf-8"))
    for table in ("consumer", "sme"):
        schema = read_schema((written / f"{table}.toml").read_text("utf-8"), table)
        planted = truth[table]["planted"]
        assert [one["feature"] for one in planted] == [one.name for one in schema.features]
        assert {"sign", "low", "high", "log_odds_contrast"} <= set(planted[0])
        assert len(truth[table]["outcome"]["effects"]) == len(planted)
        assert truth[table]["institutions"][3]["name"] == "telco"


def test_the_same_seed_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    run.invoke(app, [str(again), "--seed", "3", "--records", "12000"])
    for path in written.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(written)).read_bytes()


def test_the_figures_are_printed(tmp_path: Path) -> None:
    """For people on lines, for machines as one object."""
    words = ["--seed", "3", "--records", "12000"]
    text = run.invoke(app, [str(tmp_path / "one"), *words])
    assert "made up from seed 3" in text.stderr
    lines = text.stdout.splitlines()
    assert len(lines) == 13
    assert lines[4].split()[:4] == ["consumer", "telco", "telco", "1800"]

    machine = run.invoke(app, [str(tmp_path / "two"), *words, "--json"])
    shown = json.loads(machine.stdout)
    assert shown["seed"] == 3
    assert shown["folder"] == str(tmp_path / "two")
    assert len(shown["tables"]) == 12
    telco = shown["tables"][3]
    assert (telco["institution"], telco["records"], telco["thin_share"]) == ("telco", 1800, 0.55)


def test_an_existing_folder_is_left_alone(written: Path) -> None:
    before = (written / "truth.json").read_bytes()
    result = run.invoke(app, [str(written), "--records", "1000"])
    assert isinstance(result.exception, ConfigError)
    assert "exists" in result.exception.what
    assert (written / "truth.json").read_bytes() == before


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Nothing is left behind."""
    (tmp_path / "file").write_text("a file, not a folder", "utf-8")
    result = run.invoke(app, [str(tmp_path / "file" / "below"), "--records", "1000"])
    assert isinstance(result.exception, ConfigError)
    assert "cannot be written" in result.exception.what
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("records", ["0", "999", "1200001", "many"])
def test_an_impossible_size_is_wrong_usage(records: str, tmp_path: Path) -> None:
    result = run.invoke(app, [str(tmp_path / "new"), "--records", records])
    assert result.exit_code == 2
    assert not (tmp_path / "new").exists()
