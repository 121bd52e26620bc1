"""`fedcredit data`: checks a table against its contract, or drafts a contract for it.

Everything here stays on this machine. A check prints rules, columns and counts,
never a value; a draft prints what its file will hold.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.cli.synthesize import synthesize

if TYPE_CHECKING:  # polars takes a second to import; --help must not wait for it
    from fedcredit.data.findings import Finding
    from fedcredit.data.schema import Schema

data = typer.Typer(
    help="Check a table, draft a schema, make up a consortium.", no_args_is_help=True
)
data.command("synthesize")(synthesize)

__all__ = ["data"]

_TABLE = typer.Argument(help="CSV or Parquet file, or a glob in quotes.", show_default=False)


@data.command()
def check(
    *,
    table: Annotated[str, _TABLE],
    schema: Annotated[Path, typer.Option(help="The consortium's schema file.", show_default=False)],
    version: Annotated[
        int, typer.Option("--schema-version", help="The version agreed on; 0 for any.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check every rule of SCHEMA on TABLE: pass or fail, rows that stand out, and a hint.

    Exit status: 0 every rule holds, 1 a rule is broken or a file cannot be read, 2 wrong usage.

    Example: fedcredit data check 'loans/*.parquet' --schema configs/schema/heloc.toml
    """
    from fedcredit.adapters.schemas import load_schema
    from fedcredit.adapters.tables import check_table
    from fedcredit.data.schema import require_version

    contract = load_schema(schema)
    if version:
        require_version(contract, version)
    found = check_table(table, contract)
    typer.echo(_as_json(contract, found) if as_json else _as_text(found))
    broken = sum(not one.passed for one in found)
    if broken:
        typer.echo(f"{table} breaks its contract in {broken} places", err=True)
        raise typer.Exit(1)
    typer.echo(f"{table} keeps to {contract.name} version {contract.version}", err=True)
    if contract.drafts:
        typer.echo(f"{len(contract.drafts)} columns of {schema} are still drafts", err=True)


@data.command()
def draft(
    *,
    table: Annotated[str, _TABLE],
    label: Annotated[str, typer.Option(help="The column that holds the outcome.")] = "",
    bad: Annotated[
        list[str] | None,
        typer.Option(help="A value of the label that means bad; give it once for each."),
    ] = None,
    person: Annotated[str, typer.Option(help="The column that names a person.")] = "",
    name: Annotated[str, typer.Option(help="Name of the schema.")] = "draft",
    output: Annotated[
        Path | None, typer.Option(help="Write to this new file instead of the screen.")
    ] = None,
) -> None:
    """Draft a first schema for TABLE: types, categories, special codes and rounded bounds.

    What is drawn from the table is marked as a draft; a study refuses it until a person has put
    public knowledge in its place.

    Exit status: 0 drafted, 1 the table cannot be read or drafted, 2 wrong usage.

    Example: fedcredit data draft loans.csv --label defaulted --output loans.toml
    """
    from fedcredit.adapters.schemas import save_draft
    from fedcredit.adapters.summaries import describe_table
    from fedcredit.data.draft import draft_schema, write_draft

    drafted = draft_schema(name, describe_table(table), label, tuple(bad or ()), person)
    text = write_draft(drafted)
    if output is None:
        typer.echo(text, nl=False)
    else:
        save_draft(text, output)
    columns, left_out = len(drafted.schema.columns), len(drafted.left_out)
    typer.echo(f"{columns} columns drafted, {left_out} left out: confirm each by hand", err=True)


def _as_text(found: Sequence[Finding]) -> str:
    """One line for each rule, and under it one for each column that stands out."""
    from fedcredit.data.findings import RULES

    lines = []
    line = "      {:<9}{:>10}  {}: {}"
    for rule, meaning in RULES.items():
        of_rule = [one for one in found if one.rule == rule]
        if not of_rule:
            continue
        verdict = "pass" if all(one.passed for one in of_rule) else "FAIL"
        total = sum(one.count for one in of_rule)
        lines.append(f"{verdict}  {rule:<9}{total:>10}  {meaning}")
        lines += [
            line.format("" if one.passed else "!", one.count, one.column or "table", one.hint)
            for one in of_rule
            if one.hint
        ]
    return "\n".join(lines)


def _as_json(schema: Schema, found: Sequence[Finding]) -> str:
    """The findings for machines."""
    findings = [
        {
            "rule": one.rule,
            "column": one.column,
            "passed": one.passed,
            "count": one.count,
            "hint": one.hint,
        }
        for one in found
    ]
    return json.dumps(
        {
            "schema": schema.name,
            "version": schema.version,
            "digest": schema.digest(),
            "drafts": list(schema.drafts),
            "passed": all(one.passed for one in found),
            "findings": findings,
        }
    )
