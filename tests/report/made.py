"""Findings of a made-up study, for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fedcredit.federation.study import Study, draw_up
from fedcredit.learners.evaluation import Evaluation, evaluate, evaluation_query
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.registry import learner_named
from fedcredit.report.record import Findings, OwnFigures, Participation
from fedcredit.scoring.breakdown import breakdown
from fedcredit.units import InstitutionId
from tests.scoring.made import EVENTS, SCHEMA, cells, model, released

__all__ = ["NAMES", "evaluation", "findings"]

NAMES = tuple(
    InstitutionId(name) for name in ("bank-alder", "bank-birch", "shop-fern", "telco-elm")
)


def evaluation(kind: str, seed: int = 1, records: int = 9000) -> Evaluation:
    """Noisy score histograms of goods and bads, read as metrics."""
    draw = np.random.default_rng(seed)
    query = replace(evaluation_query(model(kind)), steps=1)
    odds = draw.normal(2.6, 1.1, records), draw.normal(1.2, 1.0, records // 10)
    bins = query.edges.size + 1
    counts = [np.bincount(np.searchsorted(query.edges, one), minlength=bins) for one in odds]
    noise = np.rint(draw.normal(0, 9, 2 * bins))
    return evaluate(query, NoisyTotal((np.concatenate(counts) + noise).astype(np.int64), 81))


def findings(
    kind: str = "boosting",
    *,
    evaluated: bool = True,
    made_up: bool = True,
    noise: str = "distributed",
) -> Findings:
    """What a study of the kind found."""
    study = Study(
        name="Study <script>alert(1)</script>",
        purpose='Will a "borrower" & co. fall behind?',
        learner=kind,
        salt="00" * 16,
        seed="11" * 16,
        noise="local" if noise == "local" else "distributed",
        evaluate=evaluated,
    )
    return Findings(
        plan=draw_up(study, learner_named(kind), SCHEMA, NAMES),
        released=released(kind),
        evaluation=(evaluation(kind),) if evaluated else (),
        events=EVENTS,
        institutions=tuple(Participation(name, answered=3, asked=4) for name in NAMES),
        own=tuple(OwnFigures(name, 0.7, 0.75) for name in NAMES) if made_up else (),
        applicant=(breakdown(released(kind), cells(7)[:, -1:]),) if made_up else (),
        made_on="2026-11-23",
        software="fedcredit 0.1.0",
        made_up=made_up,
    )
