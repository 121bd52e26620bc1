"""Any schema, model and question that the house allows, for the laws of models and measures.

Shapes are drawn by hypothesis, numbers by numpy from a drawn seed: a law that fails shrinks
to a small shape, and no example takes long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical, Column, Numeric
from fedcredit.data.records import Batch, Records, in_memory
from fedcredit.data.schema import Label, Schema
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.network import Network
from fedcredit.models.queries import (
    Gradient,
    Histograms,
    Leaves,
    Moments,
    NetworkGradient,
    Query,
    ScoreHistogram,
)
from fedcredit.models.released import Model
from fedcredit.models.trees import Boosted, Forest
from fedcredit.units import Floats

__all__ = [
    "ASKED",
    "KINDS",
    "MODELS",
    "Seen",
    "any_query",
    "forest_of",
    "model_of",
    "models",
    "network_of",
    "queries",
    "records_of",
    "schema_of",
    "schemas",
    "tables",
    "whole",
]

KINDS: Final = ("histograms", "moments", "gradient", "leaves", "score-histogram")
ASKED: Final = (*KINDS, "network")
"""Every kind of question; the last one is answered by torch, an extra."""
MODELS: Final = ("scorecard", "additive", "boosting", "neural", "monotone")
LABEL: Final = Label("default", ("0",), ("1",), "90 or more days past due", 12)
DIRECTIONS: Final[tuple[Literal["none", "risk-up", "risk-down"], ...]] = (
    "none",
    "risk-up",
    "risk-down",
)


def schema_of(*columns: Column) -> Schema:
    """A contract of the given columns."""
    return Schema("made-up", 1, "A contract for tests.", columns, LABEL)


@st.composite
def schemas(draw: st.DrawFn, most: int = 4) -> Schema:
    """A contract of two to ``most`` columns."""
    columns: list[Column] = []
    for at in range(draw(st.integers(2, most))):
        if draw(st.booleans()):
            codes = tuple(float(-9 - code) for code in range(draw(st.integers(0, 2))))
            cells = draw(st.sampled_from((2, 3, 7, 60, 250 - len(codes))))
            direction = draw(st.sampled_from(DIRECTIONS))
            column: Column = Numeric(
                f"n{at}", "EUR", 0.0, 1000.0, cells=cells, special=codes, direction=direction
            )
        else:
            names = tuple(f"c{name}" for name in range(draw(st.integers(1, 4))))
            column = Categorical(f"k{at}", names, other=True)
        columns.append(column)
    return schema_of(*columns)


def records_of(schema: Schema, rows: int, seed: int, batch_rows: int = 7) -> Records:
    """A table of any cells at all."""
    rng = np.random.default_rng(seed)
    counts = [column.cell_count for column in schema.features]
    cells = np.stack([rng.integers(0, count, rows) for count in counts]).astype(np.uint8)
    bad = (rng.random(rows) < 0.4).astype(np.uint8)
    return in_memory(schema, cells, bad, rng.random(rows) < 0.4, batch_rows)


def tables(schema: Schema, most: int = 12) -> st.SearchStrategy[Records]:
    """Any small table, the empty one among them, in batches of any size."""
    return st.builds(
        records_of,
        st.just(schema),
        st.integers(0, most),
        st.integers(0, 2**32),
        st.integers(1, most + 1),
    )


def whole(records: Records) -> Batch:
    """All records as one batch."""
    batches = list(records.batches())
    if not batches:
        none = np.zeros(0, dtype=np.uint8)
        return Batch(np.zeros((len(records.schema.features), 0), np.uint8), none, none.astype(bool))
    return Batch(
        np.concatenate([batch.cells for batch in batches], axis=1),
        np.concatenate([batch.bad for batch in batches]),
        np.concatenate([batch.held_out for batch in batches]),
    )


class Seen:
    """Records that count how often they were read."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.schema = records.schema
        self.times = 0

    def batches(self) -> Iterator[Batch]:
        """The batches, after a note."""
        self.times += 1
        return self.records.batches()


def _numbers(rng: np.random.Generator, size: int) -> Floats:
    """Numbers of any usual size: all 0, small, of log-odds, or so large that odds saturate."""
    return np.asarray(rng.normal(size=size) * rng.choice([0.0, 0.05, 1.0, 1.0, 40.0]))


def _feature(column: Column, rng: np.random.Generator) -> FeatureBins:
    """Bins of one feature: every cell in any of them."""
    bins = int(rng.integers(1, min(8, column.cell_count) + 1))
    of_cell = rng.integers(0, bins, column.cell_count)
    return FeatureBins(
        name=column.name,
        of_cell=of_cell.astype(np.uint8),
        labels=tuple(f"{column.name}/{rank}" for rank in range(bins)),
        goods=rng.uniform(0.5, 500.0, bins),
        bads=rng.uniform(0.5, 100.0, bins),
        woe=_numbers(rng, bins),
        woe_se=rng.uniform(0.0, 1.0, bins),
    )


def forest_of(card: Scorecard, rng: np.random.Generator, trees: int) -> Forest:
    """Any trees over the bins of a scorecard, each feature once in a tree."""
    features = len(card.bins)
    depth = int(rng.integers(1, features + 1))
    chosen = [rng.choice(features, depth, replace=False) for _ in range(trees)]
    feature = np.array(chosen, dtype=np.int64).reshape(trees, depth)
    return Forest(feature, rng.integers(0, 7, (trees, depth)))


def network_of(card: Scorecard, rng: np.random.Generator, *, monotone: bool = False) -> Network:
    """Any network over the bins of a scorecard."""
    units, width = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    vectors = tuple(rng.normal(size=(feature.woe.size, width)) for feature in card.bins)
    weights = rng.normal(size=(units, len(vectors) * width))
    biases, head = _numbers(rng, units), _numbers(rng, units)
    return Network(card, vectors, weights, biases, head, float(rng.normal()), monotone)


def model_of(kind: str, schema: Schema, seed: int, trees: int = 3) -> Model:
    """A model of the kind, with numbers from a seed."""
    rng = np.random.default_rng(seed)
    bins = tuple(_feature(column, rng) for column in schema.features)
    features = len(bins)
    covariance = np.eye(features + 1) * rng.uniform(0.001, 1.0)
    intercept = float(rng.normal())
    card = Scorecard(schema.digest(), bins, _numbers(rng, features), intercept, covariance)
    if kind == "scorecard":
        return card
    if kind in ("neural", "monotone"):
        return network_of(card, rng, monotone=kind == "monotone")
    additive = Additive(card, tuple(_numbers(rng, feature.woe.size) for feature in bins))
    if kind == "additive":
        return additive
    forest = forest_of(card, rng, trees)
    return Boosted(additive, forest, rng.normal(size=(trees, forest.leaves)))


def models(schema: Schema, kinds: tuple[str, ...] = MODELS) -> st.SearchStrategy[Model]:
    """Any model of the schema."""
    return st.builds(
        model_of,
        st.sampled_from(kinds),
        st.just(schema),
        st.integers(0, 2**32),
        st.integers(0, 4),
    )


@st.composite
def queries(draw: st.DrawFn, schema: Schema, kind: str) -> Query:
    """Any question of the kind that fits the schema."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = draw(st.sampled_from((1, 2, 100, 4096)))
    clip = draw(st.sampled_from((0.01, 0.5, 2.0, 1000.0)))
    match kind:
        case "histograms":
            ordered = tuple(column.ordered for column in schema.features)
            every = tuple(column.cell_count for column in schema.features)
            groups = st.lists(st.integers(2, 300), max_size=3, unique=True)
            return Histograms(
                ordered,
                tuple(all_ - some for all_, some in zip(every, ordered, strict=True)),
                tuple((1, *sorted(draw(groups))) for _ in ordered),
                steps,
            )
        case "moments":
            card = model_of("scorecard", schema, int(rng.integers(2**32)))
            assert isinstance(card, Scorecard)
            return Moments(
                of_cell=tuple(feature.of_cell for feature in card.bins),
                values=tuple(
                    tuple(_numbers(rng, feature.woe.size) for feature in card.bins)
                    for _ in range(draw(st.integers(1, 3)))
                ),
                clip=clip,
                steps=steps,
            )
        case "gradient":
            card = model_of("scorecard", schema, int(rng.integers(2**32)))
            assert isinstance(card, Scorecard)
            return Gradient(card, clip, steps)
        case "leaves":
            model = model_of("boosting", schema, int(rng.integers(2**32)))
            assert isinstance(model, Boosted)
            forest = forest_of(model.scorecard, rng, draw(st.integers(0, 4)))
            return Leaves(model, forest, steps, draw(st.sampled_from((1, 3, 1000))))
        case "network":
            card = model_of("scorecard", schema, int(rng.integers(2**32)))
            assert isinstance(card, Scorecard)
            learned = draw(st.sampled_from(("head", "all")))
            return NetworkGradient(network_of(card, rng), learned, clip, steps)
        case _:
            model = draw(models(schema))
            edges = np.unique(rng.normal(size=draw(st.integers(1, 9))) * 3)
            return ScoreHistogram(model, edges, steps)


def any_query(schema: Schema) -> st.SearchStrategy[Query]:
    """Any question that fits the schema."""
    return st.sampled_from(ASKED).flatmap(lambda kind: queries(schema, kind))
