"""`fedcredit study propose|list|show|start|stop|refuse|watch|result|dryrun`: a study's life."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fedcredit.cli.considering import describe, look
from fedcredit.errors import ConfigError

__all__ = ["dryrun", "listing", "propose", "refuse", "result", "show", "start", "stop"]

_Folder = Annotated[
    Path,
    typer.Argument(metavar="FOLDER", help="The coordinator's or the node's.", file_okay=False),
]
_Study = Annotated[str, typer.Argument(metavar="STUDY", help="The beginning of its id.")]


def propose(
    folder: _Folder,
    file: Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study.")],
) -> None:
    """Put a study before the institutions of the roster in FOLDER, the coordinator's.

    Each of them then sees what is asked and what it costs, and approves it or not.

    Exit status: 0 done; 1 a file is missing or wrong, or the study was proposed before.

    Example: fedcredit study propose /srv/coordinator study.toml
    """
    from fedcredit.adapters.keyring import read_roster
    from fedcredit.adapters.schemas import load_schema
    from fedcredit.adapters.studies import Studies
    from fedcredit.data.schema import write_schema
    from fedcredit.federation.study import draw_up, read_study
    from fedcredit.learners.registry import learner_named

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"{file} cannot be read", remedy="name a study's file") from None
    wanted = read_study(text, str(file), records=False)
    schema = load_schema(file.parent / wanted.schema)
    path = folder / "roster.json"
    names = [one.name for one in read_roster(path).roster.members]
    asked = [one.name for one in wanted.institutions] or names
    missing = ", ".join(sorted(set(asked) - set(names)))
    if missing:
        raise ConfigError(f"not in the roster: {missing}", remedy="enrol them first")
    plan = draw_up(wanted, learner_named(wanted.learner), schema, asked)
    state = Studies(folder).propose(plan, write_schema(schema), path.read_bytes())
    typer.echo(f"{state.id}  {plan.name}, put before {len(plan.institutions)} institutions")


def listing(
    folder: _Folder,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List studies, the coordinator's or those put before a node, and where each stands.

    Exit status: 0 done; 1 a file is wrong.

    Example: fedcredit study list /etc/fedcredit
    """
    from dataclasses import asdict

    from fedcredit.adapters.studies import Studies

    if (folder / "node.toml").exists():
        rows = [
            {"id": place.name, "name": name, "word": word} for place, name, word in _at_node(folder)
        ]
        lines = [f"{row['id']}  {row['word']:<9} {row['name']}" for row in rows]
    else:
        states = Studies(folder).all()
        rows = [asdict(one) | {"id": one.id} for one in states]
        lines = [
            f"{one.id}  {one.state:<9} {one.name}: {one.approved} of {len(one.institutions)} "
            f"have approved, {one.threshold} are enough"
            for one in states
        ]
    typer.echo(json.dumps({"studies": rows}) if as_json else "\n".join(lines) or "no studies")


def show(folder: _Folder, study: _Study) -> None:
    """Show a study: at a node what it asks, costs and leaves; at the coordinator, the answers.

    Exit status: 0 done; 1 there is no such study, or a file is wrong.

    Example: fedcredit study show /etc/fedcredit 4f1c
    """
    from fedcredit.adapters.studies import Studies

    if (folder / "node.toml").exists():
        typer.echo("\n".join(describe(look(folder, study))))
        return
    state = Studies(folder).find(study)
    typer.echo(f"{state.id}  {state.name}: {state.state} {state.why}".rstrip())
    for name in state.institutions:
        said = state.answers.get(name)
        words = f"{said.word}  {said.at}  {said.note}".rstrip() if said else "has not answered"
        typer.echo(f"  {name:<24} {words}")


def refuse(
    folder: _Folder,
    study: _Study,
    reason: Annotated[str, typer.Option(help="Why, for the coordinator; plain letters.")],
) -> None:
    """Refuse a study that was put before the institution in FOLDER.

    Exit status: 0 refused; 1 there is no such study.

    Example: fedcredit study refuse /etc/fedcredit 4f1c --reason "purpose"
    """
    from fedcredit.adapters.hosting import write_refusal

    write_refusal(look(folder, study).place, reason)
    typer.echo("refused; the node tells the coordinator at its next look")


def start(folder: _Folder, study: _Study) -> None:
    """Start a study that enough institutions have approved.

    Exit status: 0 started; 1 too few have approved, or it is over.

    Example: fedcredit study start /srv/coordinator 4f1c
    """
    from fedcredit.adapters.studies import Studies

    studies = Studies(folder)
    state = studies.move(studies.find(study), "started")
    typer.echo(f"{state.id} is started; see it run: fedcredit study watch {folder} {state.id}")


def stop(
    folder: _Folder,
    study: _Study,
    reason: Annotated[str, typer.Option(help="Why, for everybody.")],
) -> None:
    """Stop a study for good. What was charged stays charged.

    Exit status: 0 stopped; 1 it is over already.

    Example: fedcredit study stop /srv/coordinator 4f1c --reason "wrong schema"
    """
    from fedcredit.adapters.studies import Studies

    studies = Studies(folder)
    typer.echo(f"{studies.move(studies.find(study), 'stopped', reason).id} is stopped")


def result(
    folder: _Folder,
    study: _Study,
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.")],
) -> None:
    """Copy what a study has published: model, report, plan.

    Exit status: 0 done; 1 the study is not over, or OUT exists; 3 the coordinator cannot be
    reached.

    Example: fedcredit study result /srv/coordinator 4f1c -o result
    """
    from fedcredit.adapters.disk import write_folder
    from fedcredit.adapters.studies import Studies

    if (folder / "node.toml").exists():
        from fedcredit.adapters.link import fetch_result

        files = fetch_result(folder, look(folder, study).place.name)
    else:
        studies = Studies(folder)
        run = studies.place(studies.find(study)) / "run"
        if not run.is_dir():
            raise ConfigError("the study is not over", remedy="wait: fedcredit study watch")
        files = {one.name: one.read_bytes() for one in run.iterdir() if one.is_file()}
    write_folder(out, files)
    typer.echo(str(out))


def dryrun(folder: _Folder, study: _Study) -> None:
    """Ask the study's first question of our own table; nothing is charged, kept or sent.

    Says what the study would cost, how long a round takes here, and what it sends.

    Exit status: 0 done; 1 a file or the table breaks a rule, or this node lacks what a round
    needs.

    Example: fedcredit study dryrun /etc/fedcredit 4f1c
    """
    import time

    from fedcredit.adapters.folders import read_agreed, read_node
    from fedcredit.adapters.sources import open_source
    from fedcredit.learners.registry import learner_named
    from fedcredit.measures.measure import check_able, check_fit, measure

    seen, node = look(folder, study), read_node(folder)
    schema, plan = read_agreed(seen.place)
    for one in plan.rounds:
        check_able(one.name)
    begun = time.perf_counter()
    records = open_source(folder, node, schema, bytes.fromhex(plan.salt))
    opened = time.perf_counter()
    levels = plan.noise_levels[: sum(one.part == "train" for one in plan.rounds)]
    query = learner_named(plan.learner).start(schema, bytes.fromhex(plan.seed), levels).query()
    check_fit(schema, query)
    measure(records, query)
    asked = time.perf_counter()
    typer.echo("\n".join(describe(seen)))
    typer.echo(
        f"  here: the table opens in {opened - begun:.1f} s, the first of {len(plan.rounds)} "
        f"rounds takes {asked - opened:.1f} s and sends {query.dim:,} masked numbers"
    )
    typer.echo("nothing was charged, kept or sent")


def _at_node(folder: Path) -> list[tuple[Path, str, str]]:
    """Studies at a node: place, name and word."""
    from fedcredit.adapters.folders import read_agreed
    from fedcredit.adapters.hosting import plan_folders, word_of
    from fedcredit.adapters.ledgers import read_chain

    account = read_chain(folder / "ledger").account
    return [
        (place, plan.name, word_of(place, plan, account))
        for place in plan_folders(folder)
        for _, plan in [read_agreed(place)]
    ]
