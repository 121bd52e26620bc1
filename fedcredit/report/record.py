"""The record of a released model: one JSON object from which every other page is made.

Every figure in it was released and charged, or is public. The one exception says so of
itself: figures that each institution measured on its own records, for its own eyes, are
in the record of a made-up consortium only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, TypeAlias, Union

import numpy as np

from fedcredit.federation.plan import StudyPlan
from fedcredit.learners.evaluation import Evaluation
from fedcredit.models.odds import probability_of_good
from fedcredit.privacy.accounting import Claim
from fedcredit.privacy.events import GaussianSum, event_to_dict
from fedcredit.report.sight import view_of
from fedcredit.scoring.breakdown import Breakdown
from fedcredit.scoring.model import ReleasedModel
from fedcredit.scoring.points import TIERS, ScoreScale, tiers_of
from fedcredit.scoring.table import points_table

__all__ = [
    "Findings",
    "Json",
    "OwnFigures",
    "Participation",
    "claims_record",
    "metrics_record",
    "model_record",
    "plan_record",
    "to_json",
]

Json: TypeAlias = Union[bool, int, float, str, "Sequence[Json]", "Mapping[str, Json]", None]

FORMAT: Final = "fedcredit/model-record/1"
_BINS_A_COLUMN: Final = 3  # of the drawn histogram: single bins show little but noise

ONE_BY_ONE: Final = (
    "Sums are opened one by one: whoever runs the coordinator sees each institution's answer "
    "with that institution's noise alone."
)
WITH_MASKS: Final = (
    "What the same noise is worth once secure aggregation masks the answers, so that only "
    "their total is ever seen: not in force in this run."
)
MASKS_BROKEN: Final = (
    "What would be left if every mask were broken: each institution's noise standing alone."
)
TOTALS_ONLY: Final = "Answers are masked: nobody sees anything but their total."
NOTHING_MORE: Final = "Every institution adds all the noise by itself, so masks would add nothing."
LIMITS: Final = (
    "The claims are about a record added or removed, and a person with records at m institutions.",
    "Schema, participation, timing and the declared size class are not hidden.",
    "Counts, rates and metrics carry the noise of the private releases; small bins carry most.",
    "Held-out records are of the same institutions and time; others may differ.",
    "Records were not re-sampled or re-weighted, and no reject inference was done.",
    "A score is no decision: law and the institution's own policy say what may follow from it.",
)


@dataclass(frozen=True, slots=True)
class Participation:
    """How an institution took part.

    Attributes:
        institution: its name in the plan.
        answered: rounds whose total holds its answer.
        asked: rounds that it was asked in, retries included; each is paid for.
    """

    institution: str
    answered: int
    asked: int


@dataclass(frozen=True, slots=True)
class OwnFigures:
    """What an institution measured on its own held-out records, for its own eyes.

    Attributes:
        institution: its name in the plan.
        alone: AUC of the model that it trained alone, at the same epsilon.
        together: AUC of the model that all trained together.
    """

    institution: str
    alone: float
    together: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Findings:
    """All that a report is made from.

    Attributes:
        plan: the study.
        released: its model, with the claim.
        evaluation: what the held-out records say; empty when the plan asked nothing of them.
        events: what the institution that was charged most was charged for.
        institutions: who took part.
        own: figures for the institutions' own eyes; only of made-up records.
        applicant: a sample applicant's score, none or one.
        made_on: the day, as ``2026-11-23``.
        software: name and version of the program.
        made_up: whether the records are made up.
    """

    plan: StudyPlan
    released: ReleasedModel
    evaluation: tuple[Evaluation, ...]
    events: tuple[GaussianSum, ...]
    institutions: tuple[Participation, ...]
    own: tuple[OwnFigures, ...]
    applicant: tuple[Breakdown, ...]
    made_on: str
    software: str
    made_up: bool


def model_record(findings: Findings) -> dict[str, Json]:
    """Put all findings into one object of plain JSON values.

    Args:
        findings: what a study found.

    Returns:
        The record; `to_json` writes it, `html.report_page` shows it.
    """
    plan, released = findings.plan, findings.released
    table = points_table(released.model, released.schema, released.scale)
    label = released.schema.label
    return {
        "format": FORMAT,
        "study": {
            "name": plan.name,
            "purpose": plan.purpose,
            "learner": plan.learner,
            "made_on": findings.made_on,
            "software": findings.software,
            "made_up": findings.made_up,
            "outcome": label.definition,
            "outcome_months": label.outcome_months,
            "plan_digest": plan.digest().hex(),
            "model_digest": released.digest,
        },
        "plan": plan_record(plan),
        "claims": claims_record(released.claim, released.in_force, plan),
        "coordinator_saw": list(view_of(plan, findings.events)),
        "charges": [dict(event_to_dict(event)) for event in findings.events],
        "institutions": [dict(asdict(one)) for one in findings.institutions],
        "own": [dict(asdict(one)) for one in findings.own],
        "metrics": metrics_record(findings.evaluation, released.scale),
        "scale": _scale(released),
        "points": {
            "base_points": table.base_points,
            "note": table.note,
            "variables": list(table.by_iv()),
            "rows": [dict(asdict(row)) for row in table.rows],
        },
        "applicant": [dict(asdict(one)) for one in findings.applicant],
        "limits": list(LIMITS),
    }


def to_json(record: Mapping[str, Json]) -> str:
    """The record as text: sorted keys, so that two runs can be compared line by line."""
    return json.dumps(record, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def plan_record(plan: StudyPlan) -> dict[str, Json]:
    """What a reader asks of the plan; ``plan.json`` has every field."""
    return {
        "name": plan.name,
        "purpose": plan.purpose,
        "learner": plan.learner,
        "schema_name": plan.schema.name,
        "schema_version": plan.schema.version,
        "schema_digest": plan.schema.digest(),
        "features": len(plan.schema.features),
        "epsilon": plan.epsilon,
        "delta": plan.delta,
        "noise": plan.noise,
        "institutions": list(plan.institutions),
        "threshold": plan.threshold,
        "colluders": plan.colluders,
        "honest": plan.honest,
        "retries": plan.retries,
        "deadline_s": plan.deadline_s,
        "salt": plan.salt,
        "seed": plan.seed,
        "rounds": [dict(one.table()) for one in plan.rounds],
        "digest": plan.digest().hex(),
    }


def claims_record(claim: Claim, in_force: str, plan: StudyPlan) -> dict[str, Json]:
    """Both figures, the one in force first, each with the sentence that says when it holds."""
    local = _figures(claim, alone=True, why=ONE_BY_ONE)
    masked = _figures(claim, alone=False, why=WITH_MASKS)
    if in_force == "distributed":
        masked["why"], local["why"] = TOTALS_ONLY, MASKS_BROKEN
    elif plan.noise != "distributed":
        masked["why"] = NOTHING_MORE
    return {
        "in_force_name": in_force,
        "in_force": local if in_force == "local" else masked,
        "with_masks": masked,
        "local": local,
        "delta": claim.delta,
        "unit": "one record of one institution, added or removed",
    }


def metrics_record(found: tuple[Evaluation, ...], scale: ScoreScale) -> dict[str, Json]:
    """Every figure of an evaluation with its standard error; empty when there was none."""
    if not found:
        return {}
    (one,) = found
    return {
        "records": one.records,
        "bad_rate": one.bad_rate,
        "auc": one.auc,
        "auc_se": one.auc_se,
        "gini": one.gini,
        "gini_se": 2 * one.auc_se,
        "ks": one.ks,
        "ks_se": one.ks_se,
        "brier": one.brier,
        "log_loss": one.log_loss,
        "noise_sd": one.noise_sd,
        "log_odds_edges": one.edges.tolist(),
        "goods": one.goods.tolist(),
        "bads": one.bads.tolist(),
        "calibration": [dict(asdict(row)) for row in one.calibration],
        "score_columns": _columns(one, scale),
        "tiers": _tiers(one, scale),
    }


def _figures(claim: Claim, *, alone: bool, why: str) -> dict[str, Json]:
    """One claim: of a record, and of a person at m institutions."""
    epsilon = claim.epsilon_local if alone else claim.epsilon
    return {
        "epsilon": epsilon,
        "recognised": 1.0 / (1.0 + math.exp(-min(epsilon, 700.0))),
        "persons": [
            {
                "institutions": one.institutions,
                "epsilon": one.epsilon_local if alone else one.epsilon,
            }
            for one in claim.persons
        ],
        "why": why,
    }


def _scale(released: ReleasedModel) -> dict[str, Json]:
    """All that must be printed with a score, and the PD at the edges of its tier."""
    scale = released.scale
    return {
        "points_to_double": scale.points_to_double,
        "base_score": scale.base_score,
        "base_odds": scale.base_odds,
        "factor": scale.factor,
        "offset": scale.offset,
        "lowest": scale.lowest,
        "highest": scale.highest,
        "direction": "higher is better",
        "rounding": "half to even, then clipped",
        "sample": released.training,
        "tiers": [
            {
                "name": tier.name,
                "interval": tier.interval,
                "low": tier.low,
                "pd_at_low": scale.pd_at(tier.low),
                "pd_at_high": scale.pd_at(tier.high),
            }
            for tier in TIERS
        ],
    }


def _middles(found: Evaluation) -> list[float]:
    """A log-odds for every bin: its middle, and beyond the outer edges half a width more."""
    width = float(found.edges[1] - found.edges[0]) if found.edges.size > 1 else 1.0
    return [*(found.edges - width / 2).tolist(), float(found.edges[-1]) + width / 2]


def _columns(found: Evaluation, scale: ScoreScale) -> list[Json]:
    """Columns of the score histogram: several bins each, the outer ones joined to the ends."""
    ends = scale.exact(found.edges)
    inner = np.flatnonzero((ends > scale.lowest) & (ends < scale.highest))
    inner = inner[_BINS_A_COLUMN - 1 :: _BINS_A_COLUMN]
    cuts = [0, *(inner + 1).tolist(), found.goods.size]
    edges = [float(scale.lowest), *ends[inner].tolist()]
    edges.append(min(2 * edges[-1] - edges[-2], float(scale.highest)))
    n_good, n_bad = (max(float(counts.sum()), 1.0) for counts in (found.goods, found.bads))
    return [
        {
            "low": edges[k],
            "high": edges[k + 1],
            "goods": float(found.goods[cuts[k] : cuts[k + 1]].sum()) / n_good,
            "bads": float(found.bads[cuts[k] : cuts[k + 1]].sum()) / n_bad,
        }
        for k in range(len(edges) - 1)
    ]


def _tiers(found: Evaluation, scale: ScoreScale) -> list[Json]:
    """Noisy share and bad rate of every tier; a bin counts where its middle lies."""
    middles = np.array(_middles(found))
    of_bin = tiers_of(scale.scores(middles))
    pd = 1.0 - probability_of_good(middles)
    rows: list[Json] = []
    for index, tier in enumerate(TIERS):
        inside = of_bin == index
        goods, bads = float(found.goods[inside].sum()), float(found.bads[inside].sum())
        counts = np.maximum(found.goods + found.bads, 0.0) * inside
        noise = found.noise_sd * math.sqrt(int(inside.sum()))
        count = max(goods + bads, 1.0)
        rate = min(max(bads / count, 0.0), 1.0)
        rows.append(
            {
                "name": tier.name,
                "share": min(max((goods + bads) / found.records, 0.0), 1.0),
                "expected": float((counts * pd).sum() / max(counts.sum(), 1e-9)),
                "observed": rate,
                "observed_se": math.sqrt(rate * (1 - rate) * count + noise**2) / count,
            }
        )
    return rows
