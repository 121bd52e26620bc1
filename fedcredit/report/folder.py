"""The run folder: everything that a study leaves behind, as files by name.

    plan.json           what was agreed
    schema.toml         the data contract that it names
    model.safetensors   the model's numbers
    manifest.json       all else about the model; with it, a table can be scored
    points.csv          the points table
    metrics.json        claims and metrics, with their standard errors
    model_record.json   every figure of the report
    charges.jsonl       what an institution was charged that was asked every time
    audit.zip           the ledgers of all sides, where they are at hand
    report.html         the report

No file holds a row, a count without noise, or a figure that was not charged; a made-up
consortium's own figures are the one exception, and say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from fedcredit.data.schema import write_schema
from fedcredit.federation.plan_json import plan_to_json
from fedcredit.federation.simulate import NotEvaluated, StudyResult
from fedcredit.models.released import scorecard_of
from fedcredit.privacy.events import event_to_dict
from fedcredit.report.html import report_page
from fedcredit.report.record import Findings, OwnFigures, Participation, model_record, to_json
from fedcredit.scoring.breakdown import Breakdown
from fedcredit.scoring.model import ReleasedModel, write_model
from fedcredit.scoring.points import STANDARD_SCALE
from fedcredit.scoring.table import points_table, points_to_csv

__all__ = ["FILES", "findings_of", "release_model", "run_files"]

FILES: Final = (
    "plan.json",
    "schema.toml",
    "model.safetensors",
    "manifest.json",
    "points.csv",
    "metrics.json",
    "model_record.json",
    "charges.jsonl",
    "audit.zip",
    "report.html",
)


def release_model(result: StudyResult) -> ReleasedModel:
    """The model of a study with its claims, ready to be written: only totals were opened."""
    first = scorecard_of(result.model).bins[0]
    goods, bads = float(first.goods.sum()), float(first.bads.sum())
    return ReleasedModel(
        model=result.model,
        schema=result.plan.schema,
        scale=STANDARD_SCALE,
        study=result.plan.name,
        plan_digest=result.plan.digest().hex(),
        claim=result.claim,
        in_force="distributed",
        training=f"about {goods + bads:,.0f} records of {len(result.plan.institutions)} "
        f"institutions with a bad rate of {bads / (goods + bads):.1%} (noisy counts)",
    )


def findings_of(
    result: StudyResult,
    released: ReleasedModel,
    *,
    made_on: str,
    software: str,
    made_up: bool = False,
    own: tuple[OwnFigures, ...] = (),
    applicant: tuple[Breakdown, ...] = (),
) -> Findings:
    """Gather what a report is made from.

    Args:
        result: of the study.
        released: its model.
        made_on: the day, as ``2026-11-23``.
        software: name and version of the program.
        made_up: whether the records are made up.
        own: figures for the institutions' own eyes; only of made-up records.
        applicant: a sample applicant's score, none or one.
    """
    evaluation = result.evaluation
    return Findings(
        plan=result.plan,
        released=released,
        evaluation=() if isinstance(evaluation, NotEvaluated) else (evaluation,),
        events=result.events,
        institutions=tuple(
            Participation(
                name,
                answered=sum(one.enough and name in one.answered for one in result.rounds),
                asked=len(result.rounds),
            )
            for name in result.plan.institutions
        ),
        own=own,
        applicant=applicant,
        made_on=made_on,
        software=software,
        made_up=made_up,
    )


def run_files(findings: Findings, audit: bytes) -> dict[str, bytes]:
    """The contents of a run folder.

    Args:
        findings: of the study.
        audit: the bundle of ledgers; empty in a study whose institutions keep them at home.

    Returns:
        Bytes by file name, the names of `FILES`; without a bundle, no ``audit.zip``.
    """
    record = model_record(findings)
    released = findings.released
    weights, manifest = write_model(released)
    table = points_table(released.model, released.schema, released.scale)
    metrics = {key: record[key] for key in ("claims", "metrics", "institutions")}
    texts = {
        "plan.json": plan_to_json(findings.plan),
        "schema.toml": write_schema(released.schema),
        "points.csv": points_to_csv(table),
        "metrics.json": to_json(metrics),
        "model_record.json": to_json(record),
        "charges.jsonl": "".join(f"{line}\n" for line in _charges(findings)),
        "report.html": report_page(record),
    }
    files = {name: text.encode() for name, text in texts.items()}
    files |= {"model.safetensors": weights, "manifest.json": manifest}
    return files | ({"audit.zip": audit} if audit else {})


def _charges(findings: Findings) -> Iterator[str]:
    """Lines of JSON: every event of the study."""
    for event in findings.events:
        yield json.dumps({"entry": "charge", "event": event_to_dict(event)}, sort_keys=True)
