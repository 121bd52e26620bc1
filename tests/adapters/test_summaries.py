"""Describing tables that nobody has prepared, from files as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedcredit.adapters.summaries import describe_table
from fedcredit.adapters.tables import check_table
from fedcredit.data.draft import draft_schema, write_draft
from fedcredit.data.schema import Categorical, Numeric, read_schema
from fedcredit.data.summary import Numbers, Texts
from fedcredit.errors import DataError

RNG = np.random.default_rng(3)
ROWS = 4_000


def wide(columns: int) -> pl.DataFrame:
    """A wide table as banks have them: codes, gaps, dates, ids, names, constants, amounts."""
    line = np.arange(ROWS)
    table: dict[str, pl.Series] = {
        "CUST_ID": pl.Series(line + 100_000),
        "contract": pl.Series([f"C-{at:08d}" for at in line]),
        "opened": pl.Series([f"20{10 + at % 10}-0{1 + at % 9}-15" for at in line]),
        "report_month": pl.Series(RNG.choice(["Jan-2020", "Feb-2020", "Mar-2021"], ROWS)),
        "currency": pl.Series(["EUR"] * ROWS),
        "employer": pl.Series([f"employer {at % 1_500}" for at in line]),
        "SEX": pl.Series(RNG.integers(1, 3, ROWS)),
        "limit": pl.Series([f"${number:,.2f} " for number in np.exp(RNG.normal(9, 1, ROWS))]),
        "apr": pl.Series([f"{number:.2f}%" for number in RNG.uniform(3, 30, ROWS)]),
        "spend": pl.Series([f"{at // 9 % 5}.{at % 1000:03d},50" for at in line]),
        "active": pl.Series(RNG.integers(0, 2, ROWS).astype(bool)),
        "grade": pl.Series(RNG.choice(list("ABCDEFG"), ROWS)),
        "empty": pl.Series([None] * ROWS, dtype=pl.Float64),
        "defaulted": pl.Series(RNG.integers(0, 2, ROWS)),
    }
    for at in range(columns - len(table)):
        values = RNG.poisson(3 + at, ROWS).astype(float)
        values[RNG.random(ROWS) < 0.1] = (-9, 999, np.nan, -99)[at % 4]
        table[f"feature_{at}"] = pl.Series(values).fill_nan(None)
    return pl.DataFrame(table)


@pytest.mark.parametrize("columns", [15, 150])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_wide_table_nobody_prepared_is_drafted_and_then_passes_its_check(
    columns: int, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"loans.{ending}"
    table = wide(columns)
    table.write_csv(path) if ending == "csv" else table.write_parquet(path)
    drafted = draft_schema("loans", describe_table(str(path)), "defaulted", person="CUST_ID")
    schema = read_schema(write_draft(drafted), "loans.toml")
    assert schema == drafted.schema
    assert set(drafted.left_out) == {
        "contract", "opened", "report_month", "currency", "employer", "empty"
    }  # fmt: skip
    by_name = {column.name: column for column in schema.columns}
    limit, rate = by_name["limit"], by_name["apr"]
    assert isinstance(limit, Numeric)
    assert isinstance(rate, Numeric)
    assert (limit.format, limit.spacing) == ("currency", "log")
    assert rate.format == "percent"
    spend = by_name["spend"]
    assert isinstance(spend, Numeric)
    assert (spend.format, spend.low, spend.high) == ("decimal-comma", 0, 5000)
    assert isinstance(by_name["active"], Categorical)
    assert by_name["SEX"].protected
    feature = by_name["feature_0"]
    assert isinstance(feature, Numeric)
    assert feature.special == (-9,)
    assert set(schema.drafts) == set(by_name)
    found = check_table(str(path), schema)
    assert all(one.passed for one in found), [one for one in found if not one.passed]


def test_what_a_column_is_may_show_only_in_a_later_chunk(tmp_path: Path) -> None:
    """The first entries of a column may all be missing."""
    for at, entry in enumerate(("", "12.5")):
        lines = "".join(f"{entry},{word},{n % 2}\n" for n, word in enumerate("ab" * 10))
        (tmp_path / f"part-{at}.csv").write_text(f"late,word,y\n{lines}")
    late, word, _ = describe_table(str(tmp_path / "*.csv"))
    assert isinstance(late.summary, Numbers)
    assert (late.nature, late.summary.rows, late.summary.missing) == ("number", 40, 20)
    assert isinstance(word.summary, Texts)
    assert word.summary.values == {"a": 20, "b": 20}


def test_types_without_texts_or_numbers_are_named_so(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pl.DataFrame(
        {"list": [[1], [2]], "day": ["2020-01-01", "2020-01-02"], "b": [b"x", b"y"]}
    )
    table.with_columns(pl.col("day").str.to_date()).write_parquet(path)
    assert [column.nature for column in describe_table(str(path))] == ["other", "date", "text"]


def test_headers_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("12,17.5,x\n13,18.5,y\n")
    with pytest.raises(DataError, match="the header holds numbers"):
        describe_table(str(path))
    path.write_text("a,b\n")
    with pytest.raises(DataError, match="has no rows"):
        describe_table(str(path))
    path.write_text("a,b\n1,2\n")
    (tmp_path / "b.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match="has other columns than"):
        describe_table(str(tmp_path / "*.csv"))
