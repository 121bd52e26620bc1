"""The schemas that ship: sound, confirmed, and with the directions that validators ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcredit.data.schema import Schema, read_schema, require_confirmed, write_schema

FOLDER = Path(__file__).parents[2] / "configs" / "schema"
FILES = sorted(FOLDER.glob("*.toml"))
NAMES = [
    "adult",
    "bank_marketing",
    "german_credit",
    "give_me_some_credit",
    "heloc",
    "sba_national_part22k",
    "taiwan_default",
]


def load(name: str) -> Schema:
    return read_schema((FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_schema_that_ships_is_sound_and_no_draft(path: Path) -> None:
    schema = load(path.stem)
    require_confirmed(schema)
    assert read_schema(write_schema(schema), path.name) == schema
    assert all(column.description for column in schema.columns)
    assert all(column.cell_count <= 255 for column in schema.columns)


def test_the_benchmarks_are_all_there() -> None:
    assert set(NAMES) <= {path.stem for path in FILES}


def test_nothing_that_reveals_the_outcome_is_read() -> None:
    read = {column.name for name in NAMES for column in load(name).columns}
    assert not read & {"ChgOffDate", "ChgOffPrinGr", "BalanceGross", "ID", "Unnamed: 0", "split"}


@pytest.mark.parametrize("name", ["adult", "bank_marketing", "german_credit", "taiwan_default"])
def test_protected_attributes_are_marked_where_the_benchmarks_use_them(name: str) -> None:
    protected = [column for column in load(name).columns if column.protected]
    assert protected
    assert all(column.feature for column in protected)


def test_heloc_has_the_directions_that_fico_published() -> None:
    signs = {column.name: column.sign for column in load("heloc").columns}
    assert signs["ExternalRiskEstimate"] == -1
    assert signs["NumInqLast6M"] == signs["NetFractionRevolvingBurden"] == 1
    assert signs["NumTotalTrades"] == 0
    assert sum(map(abs, signs.values())) == 18
    assert all(column.special == (-7, -8, -9) for column in load("heloc").columns)  # type: ignore[union-attr]
