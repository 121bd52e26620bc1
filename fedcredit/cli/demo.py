"""`fedcredit demo`: a made-up consortium trains one private model, in about a minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # `--help` waits for none of these
    from collections.abc import Mapping

    from fedcredit.data.records import Records
    from fedcredit.federation.plan import StudyPlan
    from fedcredit.models.released import Model
    from fedcredit.report.record import Findings, OwnFigures
    from fedcredit.scoring.breakdown import Breakdown
    from fedcredit.scoring.model import ReleasedModel
    from fedcredit.units import InstitutionId

__all__ = ["demo"]

_PURPOSE = "Made up, to show fedcredit at work: will a borrower fall behind?"


def demo(
    seed: Annotated[
        int, typer.Option(help="Seed of the made-up tables; the noise is always fresh.")
    ] = 7,
    keep: Annotated[
        Path, typer.Option(help="Folder for the run; an earlier run there is replaced.")
    ] = Path("fedcredit-demo"),
    scale: Annotated[
        float, typer.Option(help="Size of the tables; 0.5 is 60,000 records in all.")
    ] = 0.5,
    learner: Annotated[
        str, typer.Option(help="What learns; neural and monotone need fedcredit[neural].")
    ] = "boosting",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Six made-up institutions train one private model together; nothing leaves this machine.

    Three banks, a telco, a utility and a shop, at epsilon 1 per record, under secure
    aggregation. Shows what each would have learned alone, what they learn together, what
    it costs in privacy, what the coordinator could see, and the score of a sample
    applicant; leaves a report and the ledgers behind.

    Exit status: 0 done; 1 the folder cannot be written; 2 wrong usage.

    Example: fedcredit demo --seed 7 --keep fedcredit-demo
    """
    from fedcredit.cli.progress import talking

    with talking() as talk:
        talk.step("drawing the tables of six made-up institutions")
        from fedcredit.cli.conduct import (
            check_folder,
            conduct,
            models_alone,
            renew_folder,
            today,
        )
        from fedcredit.cli.version import program_version
        from fedcredit.report.folder import findings_of, release_model, run_files

        check_folder(keep, renew=True)
        plan, records = _made_up(seed, scale, learner)
        done = conduct(plan, records, talk.watch("together", len(records)))
        released = release_model(done.result)
        models = models_alone(plan, records, talk.count("each alone", len(records)))
        findings = findings_of(
            done.result,
            released,
            made_on=today(),
            software=program_version(),
            made_up=True,
            own=_own_figures(released, models, records),
            applicant=(_sample(released, seed),),
        )
        renew_folder(keep, run_files(findings, done.audit))
    if as_json:
        _print_json(findings, keep)
    else:
        _print_text(findings, keep)


def _made_up(
    seed: int, scale: float, learner: str
) -> tuple[StudyPlan, dict[InstitutionId, Records]]:
    """The plan of the demo and the institutions' records."""
    from fedcredit.codec import digest
    from fedcredit.data.synthetic import consortium, records_of
    from fedcredit.federation.study import Study, draw_up
    from fedcredit.learners.registry import learner_named
    from fedcredit.units import InstitutionId

    study = Study(
        name="A made-up consortium",
        purpose=_PURPOSE,
        learner=learner,
        salt=digest("fedcredit/demo/salt", str(seed).encode()).hex(),
        seed=digest("fedcredit/demo/seed", str(seed).encode()).hex(),
    )
    drawn = consortium(seed, scale)
    tables = {InstitutionId(one.name): one for one in drawn.institutions}
    plan = draw_up(study, learner_named(study.learner), drawn.schema, list(tables))
    salt = bytes.fromhex(plan.salt)
    return plan, {name: records_of(one, drawn.schema, salt) for name, one in tables.items()}


def _own_figures(
    released: ReleasedModel,
    models: Mapping[InstitutionId, Model],
    records: Mapping[InstitutionId, Records],
) -> tuple[OwnFigures, ...]:
    """What each institution sees on its own held-out records, for its own eyes."""
    from fedcredit.report.record import OwnFigures
    from fedcredit.scoring.ranking import own_auc

    return tuple(
        OwnFigures(name, own_auc(records[name], model), own_auc(records[name], released.model))
        for name, model in models.items()
    )


def _sample(released: ReleasedModel, seed: int) -> Breakdown:
    """A made-up applicant's score."""
    import numpy as np

    from fedcredit.data.columns import Numeric
    from fedcredit.data.planted.reference import to_cells
    from fedcredit.data.synthetic import sample_applicant
    from fedcredit.scoring.breakdown import breakdown

    values = sample_applicant(seed)
    columns = {
        column.name: np.array(
            [values.get(column.name, np.nan if isinstance(column, Numeric) else "")]
        )
        for column in released.schema.features
    }
    return breakdown(released, to_cells(released.schema, columns))


def _print_json(findings: Findings, keep: Path) -> None:
    """One object with everything that the text says."""
    import json

    from fedcredit.report.record import model_record

    record = model_record(findings)
    shown = {key: record[key] for key in ("study", "own", "claims", "metrics", "applicant")}
    files = {
        "folder": str(keep),
        "report": str(keep / "report.html"),
        "ledgers": str(keep / "audit.zip"),
    }
    typer.echo(json.dumps(shown | files, ensure_ascii=False))


def _print_text(findings: Findings, keep: Path) -> None:
    """The tables, the applicant, and the paths of the report and of the ledgers."""
    from fedcredit.cli.results import Results
    from fedcredit.report.sight import view_of

    out, released = Results(), findings.released
    claim = released.claim
    out.line()
    out.own(findings.own)
    out.line(
        f"  each on its own held-out records: alone at epsilon {findings.plan.epsilon:.2f}, "
        f"together at {claim.epsilon:.2f}."
    )
    out.line(
        "  Such figures are for an institution's own eyes; all are shown because all is made up."
    )
    out.line()
    out.claims(released)
    out.line()
    out.seen(view_of(findings.plan, findings.events))
    out.line()
    out.metrics(findings.evaluation)
    out.line()
    for one in findings.applicant:
        out.applicant(one)
    out.files(keep)
