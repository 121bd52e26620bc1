"""`fedcredit data synthesize`: writes the made-up consortium's tables, contracts and truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` waits for none of these
    from collections.abc import Mapping

    import polars as pl

    from fedcredit.data.planted.effects import ColumnValues
    from fedcredit.data.synthetic import Consortium, Portfolio

__all__ = ["synthesize"]


def synthesize(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same tables.")] = 7,
    records: Annotated[
        int, typer.Option(min=1_000, max=1_200_000, help="Consumer records in all.")
    ] = 120_000,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the tables of a made-up consortium to DIR: nobody real stands behind any row.

    Three banks, a telco, a utility and a shop, each with a Parquet file under consumer/ and
    under sme/ (small companies, a tenth as many); the data contracts consumer.toml and
    sme.toml; and truth.json, which says what is planted in the tables. The folder appears
    whole or not at all.

    Exit status: 0 done; 1 DIR exists or cannot be written; 2 wrong usage.

    Example: fedcredit data synthesize made-up --seed 7 --records 120000
    """
    from fedcredit.adapters.disk import write_folder
    from fedcredit.data.synthetic import DEFAULT_RECORDS, consortium

    made = consortium(seed, records / DEFAULT_RECORDS)
    try:
        write_folder(out, _files(made))
    except OSError as problem:
        raise ConfigError(
            f"{out} cannot be written: {problem.strerror}",
            remedy="name a folder that this user may write to",
        ) from problem
    rows = [row for portfolio in (made.consumer, made.sme) for row in _figures(portfolio)]
    if as_json:
        typer.echo(json.dumps({"folder": str(out), "seed": seed, "tables": rows}))
    else:
        typer.echo(_as_text(rows))
        typer.echo(f"made up from seed {seed}: {out}", err=True)


def _files(made: Consortium) -> dict[str, bytes]:
    """Every file by name."""
    from io import BytesIO

    from fedcredit.data.schema import write_schema

    files = {"truth.json": _truth(made).encode()}
    for portfolio in (made.consumer, made.sme):
        files[f"{portfolio.table}.toml"] = write_schema(portfolio.schema).encode()
        for one in portfolio.institutions:
            data = BytesIO()
            _frame(portfolio, one.columns).write_parquet(data)
            files[f"{portfolio.table}/{one.name}.parquet"] = data.getvalue()
    return files


def _frame(portfolio: Portfolio, columns: Mapping[str, ColumnValues]) -> pl.DataFrame:
    """A made-up table as people store one: counts are whole numbers, missing values empty."""
    import polars as pl

    from fedcredit.data.columns import Numeric

    whole = [
        column.name
        for column in portfolio.schema.columns
        if isinstance(column, Numeric) and column.step == 1.0
    ]
    frame = pl.DataFrame(columns, nan_to_null=True)
    return frame.with_columns(pl.col(pl.String).replace("", None), pl.col(whole).cast(pl.Int64))


def _truth(made: Consortium) -> str:
    """What is planted in both kinds of tables, as JSON; ranges are named, not listed by cell."""
    from dataclasses import asdict

    truth = {portfolio.table: asdict(portfolio.truth) for portfolio in (made.consumer, made.sme)}
    for figures in truth.values():
        for planted in figures["planted"]:
            del planted["low_cells"], planted["high_cells"]
    note = (
        "Log-odds are of good to bad. Figures are of a reference population, the same for every "
        "seed; docs/synthetic-consortium.md explains them."
    )
    return json.dumps({"note": note, **truth}, indent=1, allow_nan=False) + "\n"


def _figures(portfolio: Portfolio) -> list[dict[str, str | int | float]]:
    """Size, bad rate and thin-file share of each table; they are nobody's secret."""
    label = portfolio.schema.label.column
    return [
        {
            "table": portfolio.table,
            "institution": one.name,
            "kind": one.kind,
            "records": one.rows,
            "bad_rate": round(float(one.columns[label].astype(float).mean()), 4),
            "thin_share": round(float(one.thin.mean()), 4),
        }
        for one in portfolio.institutions
    ]


def _as_text(rows: list[dict[str, str | int | float]]) -> str:
    """The figures in columns."""
    lines = [f"{'table':<10}{'institution':<14}{'kind':<9}{'records':>9}{'bad':>8}{'thin':>8}"]
    lines += [
        f"{row['table']:<10}{row['institution']:<14}{row['kind']:<9}"
        f"{row['records']:>9}{row['bad_rate']:>8.1%}{row['thin_share']:>8.1%}"
        for row in rows
    ]
    return "\n".join(lines)
