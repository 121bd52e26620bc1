"""Small released models of every kind, for tests."""

from __future__ import annotations

import numpy as np

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.schema import Label, Schema
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.network import Network
from fedcredit.models.released import Model
from fedcredit.models.trees import Boosted, Forest
from fedcredit.privacy.accounting import claims
from fedcredit.privacy.events import PARTS, GaussianSum
from fedcredit.scoring.model import ReleasedModel
from fedcredit.scoring.points import STANDARD_SCALE
from fedcredit.units import Bytes8

__all__ = ["EVENTS", "KINDS", "SCHEMA", "cells", "model", "released"]

KINDS = ("scorecard", "additive", "boosting", "neural")

SCHEMA = Schema(
    name="consumer",
    version=3,
    description="A made-up contract <b>with markup</b>.",
    columns=(
        Numeric("income", "EUR", 0.0, 8000.0, cells=8, special=(-9.0,), direction="risk-down"),
        Numeric("late", "payments", 0.0, 5.0, step=1.0, direction="risk-up"),
        Categorical("home", ("own", "rent", "other people's <house>"), other=True),
        Numeric("age", "years", 18.0, 90.0, cells=6, protected=True),
    ),
    label=Label("default", ("0",), ("1",), "90 or more days past due", 12),
)

EVENTS = tuple(
    GaussianSum(
        name=name, part=part, dim=dim, sensitivity_squared=squared, variance=variance, honest=5
    )
    for name, part, dim, squared, variance in (
        ("histograms", PARTS[0], 40, 3, 90),
        ("gradient", PARTS[0], 4, 4096, 90_000),
        ("evaluation", PARTS[1], 200, 1, 16),
    )
)


def model(kind: str, seed: int = 1) -> Model:
    """A model of the kind, with numbers from a seed."""
    draw = np.random.default_rng(seed)
    groups = (
        (
            [0, 0, 0, 1, 1, 2, 2, 2, 3, 4],
            ("< 3000", "[3000, 5000)", ">= 5000", "missing", "code -9"),
        ),
        ([0, 1, 1, 2, 2, 2, 0], ("0 or missing", "1 to 2", "3 or more")),
        ([2, 1, 0, 0, 1], ("other people's <house> or other", "rent or missing", "own")),
    )
    bins = tuple(
        FeatureBins(
            name=column.name,
            of_cell=np.array(of_cell, dtype=np.uint8),
            labels=labels,
            goods=draw.uniform(200, 900, len(labels)),
            bads=draw.uniform(20, 90, len(labels)),
            woe=np.sort(draw.normal(size=len(labels))),
            woe_se=draw.uniform(0.05, 0.2, len(labels)),
        )
        for column, (of_cell, labels) in zip(SCHEMA.features, groups, strict=True)
    )
    card = Scorecard(SCHEMA.digest(), bins, draw.uniform(0.3, 1.2, 3), 2.25, np.eye(4) * 0.01)
    if kind == "scorecard":
        return card
    if kind == "neural":
        vectors = tuple(draw.normal(size=(one.woe.size, 2)) for one in bins)
        weights, biases, head = draw.normal(size=(4, 6)), draw.normal(size=4), draw.normal(size=4)
        return Network(card, vectors, weights, biases, head * 0.2, 0.1, monotone=False)
    additive = Additive(card, tuple(draw.normal(size=one.woe.size) * 0.1 for one in bins))
    if kind == "additive":
        return additive
    forest = Forest(np.array([[0, 1], [2, 0]]), np.array([[1, 0], [0, 2]]))
    return Boosted(additive, forest, draw.normal(size=(2, 4)) * 0.2)


def released(kind: str, seed: int = 1) -> ReleasedModel:
    """The model as a study releases it."""
    return ReleasedModel(
        model=model(kind, seed),
        schema=SCHEMA,
        scale=STANDARD_SCALE,
        study="made-up",
        plan_digest="ab" * 32,
        claim=claims(EVENTS, 1e-5),
        in_force="local",
        training="about 3000 records of 6 institutions",
    )


def cells(rows: int, seed: int = 2) -> Bytes8:
    """Applicants' cells, every cell of every feature among them."""
    draw = np.random.default_rng(seed)
    counts = [column.cell_count for column in SCHEMA.features]
    return np.stack(
        [np.concatenate([np.arange(k), draw.integers(0, k, rows)])[:rows] for k in counts]
    ).astype(np.uint8)
