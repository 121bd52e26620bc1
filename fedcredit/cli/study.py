"""`fedcredit study`: run a study on tables of this machine before anybody else is asked."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.cli.approve import approve
from fedcredit.cli.studies import dryrun, listing, propose, refuse, result, show, start, stop
from fedcredit.cli.watching import watch
from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` waits for none of these
    from fedcredit.cli.progress import Talk
    from fedcredit.data.columns import Categorical
    from fedcredit.data.records import Records
    from fedcredit.data.schema import Schema
    from fedcredit.federation.study import Split, Study
    from fedcredit.report.record import Findings
    from fedcredit.units import InstitutionId

__all__ = ["study"]

study = typer.Typer(no_args_is_help=True, help="Run studies.")


@study.callback()
def _studies() -> None:
    """Run studies."""


study.command()(approve)
for _life in (propose, show, refuse, dryrun, start, stop, watch, result):
    study.command()(_life)
study.command(name="list")(listing)


@study.command()
def simulate(
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study.")],
    out: Annotated[
        Path | None,
        typer.Option(help="New folder for the run; runs/ and the study's name if not given."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Run the study of STUDY.toml with every institution in this process.

    Institutions have tables of their own, or one table is split: by a column, iid, or by a
    Dirichlet draw. Paths are read from where the study file lies. Noise, masks, charges,
    rounds and messages are those of a real study.

    Exit status: 0 done; 1 a table or file breaks a rule; 2 wrong usage; 4 refused, to keep
    the privacy promised; 75 too few institutions answered.

    Example: fedcredit study simulate study.toml --out runs/first
    """
    from fedcredit.cli.progress import talking

    with talking() as talk:
        talk.step(f"reading {file}")
        from fedcredit.adapters.schemas import load_schema
        from fedcredit.cli.conduct import check_folder, conduct, today, write_run
        from fedcredit.cli.version import program_version
        from fedcredit.federation.study import draw_up, read_study
        from fedcredit.learners.registry import learner_named
        from fedcredit.report.folder import findings_of, release_model, run_files

        wanted = read_study(_text(file), str(file))
        folder = out or Path("runs") / _slug(wanted.name)
        check_folder(folder, renew=False)
        schema = load_schema(file.parent / wanted.schema)
        records = _institutions(wanted, schema, file.parent, talk)
        plan = draw_up(wanted, learner_named(wanted.learner), schema, list(records))
        done = conduct(plan, records, talk.watch(plan.name, len(records)))
        findings = findings_of(
            done.result, release_model(done.result), made_on=today(), software=program_version()
        )
        write_run(folder, run_files(findings, done.audit))
    if as_json:
        _print_json(findings, folder)
    else:
        _print_text(findings, folder)


def _institutions(
    wanted: Study, schema: Schema, base: Path, talk: Talk
) -> dict[InstitutionId, Records]:
    """Every institution's records: from its own table, or from its part of one."""
    from fedcredit.adapters.tables import open_table
    from fedcredit.data.schema import require_confirmed

    require_confirmed(schema)
    salt = bytes.fromhex(wanted.salt)
    if wanted.split.table:
        talk.step(f"reading and splitting {wanted.split.table}")
        return _split(wanted, schema, _place(base, wanted.split.table), salt)
    records = {}
    for one in wanted.institutions:
        talk.step(f"reading the table of {one.name}")
        if one.name in records:
            raise ConfigError(f"two institutions are called {one.name!r}", remedy="rename one")
        records[one.name] = open_table(_place(base, one.table), schema, salt)
    return records


def _split(wanted: Study, schema: Schema, table: str, salt: bytes) -> dict[InstitutionId, Records]:
    """One table's records, shared out as the study says."""
    from fedcredit.adapters.tables import open_table
    from fedcredit.federation.partition import Dirichlet, Iid, Rule, numbered, partition

    split = wanted.split
    if split.by == "column":
        return _split_by_column(split, schema, table, salt)
    names = numbered(split.institutions)
    rule: Rule = (
        Iid(names, wanted.seed)
        if split.by == "iid"
        else Dirichlet(names, wanted.seed, split.concentration)
    )
    return partition(open_table(table, schema, salt), rule)


def _split_by_column(
    split: Split, schema: Schema, table: str, salt: bytes
) -> dict[InstitutionId, Records]:
    """An institution for each value of a column, which no model reads unless it is a feature."""
    from fedcredit.adapters.tables import open_table
    from fedcredit.federation.partition import ByCell, numbered, partition, without_feature

    name = split.column
    if name in {feature.name for feature in schema.features}:
        return partition(open_table(table, schema, salt), ByCell.of(schema, name))
    hidden = {schema.label.column, schema.person, *schema.ids}
    if name in hidden:
        raise ConfigError(
            f"split: {name!r} is the label or an id",
            remedy="split by a column that says who holds a record",
        )
    declared = [column for column in schema.columns if column.name == name]
    column = replace(declared[0], feature=True) if declared else _categories(table, name)
    others = tuple(one for one in schema.columns if one.name != name)
    wide = replace(schema, columns=(*others, column))
    rule = ByCell.of(wide, name)
    parts = partition(open_table(table, wide, salt), rule)
    # A value that no schema lists may be anything, a person's name too: it names nobody.
    names = tuple(parts) if declared else numbered(len(parts))
    return {
        key: without_feature(part, schema, rule.row)
        for key, part in zip(names, parts.values(), strict=True)
    }


def _categories(table: str, name: str) -> Categorical:
    """A column that the schema does not know, as categories: each value names an institution."""
    from fedcredit.adapters.frames import files_of, frames
    from fedcredit.adapters.series import levels
    from fedcredit.data.cells import MISSING_TEXTS
    from fedcredit.data.columns import CELLS_LIMIT, Categorical, canonical_text

    found: set[str] = set()
    for file in files_of(table):
        if name not in file.columns:
            raise ConfigError(
                f"split: {table} has no column {name!r}", remedy="name a column of the table"
            )
        for frame in frames(file, [name]):
            found |= {canonical_text(text) for text in levels(frame[name])[0].texts}
        if len(found) > CELLS_LIMIT:
            raise ConfigError(
                f"split: column {name!r} has more than {CELLS_LIMIT} values",
                remedy="split by a column with one value for each institution",
            )
    return Categorical(name, tuple(sorted(found - MISSING_TEXTS)), other=True)


def _place(base: Path, source: str) -> str:
    """A table's path or pattern, taken from where the study file lies."""
    scheme, colon, rest = source.partition(":")
    if colon and scheme in ("csv", "parquet"):
        return f"{scheme}:{base / rest}"
    return str(base / source)


def _text(path: Path) -> str:
    """A study file's text."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        problem = "is no UTF-8 text" if path.is_file() else "is not there"
    raise ConfigError(f"{path} {problem}", remedy="give a study file, TOML saved as UTF-8")


def _slug(name: str) -> str:
    """A study's name as a folder's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "study"


def _print_json(findings: Findings, folder: Path) -> None:
    """One object with all that was released."""
    import json

    from fedcredit.report.record import model_record

    record = model_record(findings)
    shown = {key: record[key] for key in ("study", "claims", "metrics", "institutions")}
    files = {
        "folder": str(folder),
        "report": str(folder / "report.html"),
        "ledgers": str(folder / "audit.zip"),
    }
    typer.echo(json.dumps(shown | files, ensure_ascii=False))


def _print_text(findings: Findings, folder: Path) -> None:
    """Claims, metrics, and the paths of the report and of the ledgers."""
    from fedcredit.cli.results import Results
    from fedcredit.report.sight import view_of

    out = Results()
    out.line()
    out.claims(findings.released)
    out.line()
    out.seen(view_of(findings.plan, findings.events))
    out.line()
    out.metrics(findings.evaluation)
    out.line()
    out.files(folder)
