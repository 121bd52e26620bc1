"""Planted values: a thousand values of a table, and none of them comes out of it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from fedcredit.adapters.summaries import describe_table
from fedcredit.adapters.tables import check_table, open_table, scoring_batches
from fedcredit.data.draft import draft_schema, write_draft
from fedcredit.data.schema import Categorical, Label, Numeric, Schema
from fedcredit.errors import FedCreditError

SCHEMA = Schema(
    "loans",
    1,
    "",
    (
        Numeric("amount", "EUR", 0, 1000, outside="refuse", missing="refuse"),
        Numeric("price", "EUR", 0, 1000, format="currency"),
        Categorical("town", ("a", "b"), missing="refuse"),
        Categorical("note", ("a", "b"), other=True),
    ),
    Label("y", ("0",), ("1",), "late", 12),
    person="who",
    ids=("loan",),
)
COUNT = 1_000
CANARY = re.compile(r"canary|77[0-9]{7}", re.IGNORECASE)


def text(at: int) -> str:
    return f"Canary{at:04d}"


def number(at: int) -> float:
    return 770_000_013.0 + at * 997


def planted(rows: int = COUNT) -> pl.DataFrame:
    """A table full of canaries, which breaks every rule."""
    return pl.DataFrame(
        {
            "who": [text(at) if at % 5 else text(0) for at in range(rows)],
            "loan": [text(at // 2) for at in range(rows)],
            "amount": [str(number(at)) if at % 3 else text(at) for at in range(rows)],
            "price": [f"${number(at)}" if at % 7 else text(at) for at in range(rows)],
            "town": [text(at) for at in range(rows)],
            "note": [text(at) for at in range(rows)],
            "y": [("0", "1", text(at), "")[at % 4] for at in range(rows)],
        }
    )


def faulty_files(folder: Path) -> Iterator[Path]:
    """The canaries in files that are wrong in every way."""
    table = planted()
    table.write_parquet(folder / "whole.parquet")
    yield folder / "whole.parquet"
    content = (folder / "whole.parquet").read_bytes()
    for cut in (30, len(content) // 2, len(content) - 10):
        (folder / f"cut{cut}.parquet").write_bytes(content[:cut])
        yield folder / f"cut{cut}.parquet"
    table.with_columns(amount=pl.Series(map(number, range(COUNT)))).write_parquet(
        folder / "n.parquet"
    )
    yield folder / "n.parquet"
    csv = table.write_csv()
    versions = {
        "whole": csv.encode(),
        "headless": csv.split("\n", 1)[1].encode(),
        "long": csv.replace("\n", ",Canary1\n").replace(",Canary1", "", 1).encode(),
        "open": csv.encode() + b'"Canary2,',
        "latin": csv.encode() + "Canary3é".encode("latin-1"),
        "numbers": csv.replace("Canary", "77000").encode(),
    }
    for name, data in versions.items():
        (folder / f"{name}.csv").write_bytes(data)
        yield folder / f"{name}.csv"


def everything_said(source: str) -> Iterator[str]:
    """All that checking, opening and scoring a table says."""
    for step in (
        lambda: check_table(source, SCHEMA),
        lambda: open_table(source, SCHEMA, b"salt"),
        lambda: list(scoring_batches(source, SCHEMA)),
    ):
        try:
            yield repr(step())
        except FedCreditError as problem:
            yield f"{problem} {problem!r} {problem.what} {problem.remedy} {problem.args}"
            yield "".join(traceback.format_exception(problem))


def test_no_value_is_printed_raised_or_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = 0
    for path in faulty_files(tmp_path):
        for words in everything_said(str(path)):
            assert not CANARY.search(words), path.name
            said += 1
    assert said >= 33
    out, err = capfd.readouterr()
    assert not CANARY.search(out + err)
    assert not CANARY.search(caplog.text)


def test_no_value_is_left_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a refused table nothing is written; of a good one, cells in a file without a name."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    path = tmp_path / "loans.parquet"
    for table in (planted(), planted().with_columns(y=pl.lit("0"))):
        table.write_parquet(path)
        with pytest.raises(FedCreditError):
            open_table(str(path), SCHEMA, b"salt")
        assert not list(scratch.iterdir())


def test_a_draft_names_no_value_that_few_rows_have(tmp_path: Path) -> None:
    path = tmp_path / "loans.parquet"
    table = planted().with_columns(
        y=pl.Series([at % 2 for at in range(COUNT)]),
        amount=pl.Series([number(at * 7 % COUNT) for at in range(COUNT)]),
        town=pl.Series(["a" if at % 50 else text(at) for at in range(COUNT)]),
        clean=pl.Series([at % 10 for at in range(COUNT)]),
    )
    table.write_parquet(path)
    described = describe_table(str(path))
    drafted = draft_schema("loans", described, "y")
    assert {"town", "clean", "amount"} <= {column.name for column in drafted.schema.columns}
    assert "Canary" not in write_draft(drafted)
    assert not CANARY.search(repr(described))
    values = {str(int(number(at))) for at in range(COUNT)}
    assert not values & set(re.findall(r"\d+", write_draft(drafted))), "bounds are rounded"
