"""The questions that a learner may ask of a table: frozen, public, each with its sensitivity.

An institution answers a question with one sum of integer rows, one row a record. The
sensitivity is computed from the question's public fields alone, by the institution too:
it never believes a number it was sent. All text is encoded by `codec`, so a question has
one byte form, which is what is hashed, logged and signed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from fedcredit.codec import Value, decode, encode
from fedcredit.models.bins import Scorecard
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
from fedcredit.models.released import Model, from_wire, to_wire
from fedcredit.models.sound import (
    MOST_STEPS,
    bin_of_cells,
    check_grid,
    malformed,
    numbers,
    tuple_of,
    whole_numbers,
)
from fedcredit.models.trees import Boosted, Forest
from fedcredit.units import Bytes8, Floats

__all__ = [
    "Gradient",
    "Histograms",
    "Leaves",
    "Moments",
    "NetworkGradient",
    "Query",
    "ScoreHistogram",
    "decode_query",
    "encode_query",
]


@dataclass(frozen=True, slots=True)
class Histograms:
    """Records by cell and class, for every feature, on several levels of coarseness.

    Level g of an ordered feature groups g neighbouring ordered cells; cells that have no
    order (missing, codes, categories) are counted on the finest level only.

    Attributes:
        ordered: number of ordered cells of each feature.
        extra: number of further cells of each feature.
        groups: group sizes of each feature's levels; the first is 1.
        steps: grid steps that a record counts, so that noise below one record can be drawn.
    """

    ordered: tuple[int, ...]
    extra: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    steps: int = 1

    kind = "histograms"
    part = "train"

    def __post_init__(self) -> None:
        """Refuse shapes that no schema has."""
        if not (
            whole_numbers(self.ordered)
            and whole_numbers(self.extra)
            and tuple_of(self.groups, whole_numbers)
        ):
            raise malformed(self.kind)
        sizes = {len(self.ordered), len(self.extra), len(self.groups)}
        cells = zip(self.ordered, self.extra, strict=False)
        if (
            len(sizes) != 1
            or not self.ordered
            or any(min(pair) < 0 or not 1 <= sum(pair) <= 256 for pair in cells)
            or any(not g or g[0] != 1 or g[-1] > MOST_STEPS for g in self.groups)
            or any(sorted(set(g)) != list(g) for g in self.groups)
        ):
            raise malformed(self.kind)
        check_grid(self.kind, 1.0, self.steps)

    def level_sizes(self, feature: int) -> tuple[int, ...]:
        """Number of counts a class on each level of one feature."""
        fine, *coarse = self.groups[feature]
        cells = self.ordered[feature]
        return (cells + self.extra[feature], *(-(-cells // g) for g in coarse if fine))

    @property
    def dim(self) -> int:
        """Length of the sum."""
        return 2 * sum(sum(self.level_sizes(f)) for f in range(len(self.ordered)))

    @property
    def sensitivity_squared(self) -> int:
        """One record adds ``steps`` to one count of every level of every feature."""
        return self.steps**2 * sum(map(len, self.groups))


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sum of products of two different features' values, in one or more blocks.

    A record's row is looked up, ``values[block][f][bin]`` for each feature, clipped to the
    norm ``clip``, rounded to ``steps`` grid steps a clip, and then multiplied with itself.

    Attributes:
        of_cell: bin of each cell of each feature.
        values: blocks, each with the value of every bin of every feature.
        clip: norm of a row before rounding, > 0.
        steps: integer norm of a rounded row.
    """

    of_cell: tuple[Bytes8, ...]
    values: tuple[tuple[Floats, ...], ...]
    clip: float
    steps: int

    kind = "moments"
    part = "train"

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit together."""
        if (
            not tuple_of(self.of_cell, bin_of_cells)
            or not tuple_of(self.values, lambda block: tuple_of(block, numbers))
            or len(self.of_cell) < 2
            or not self.values
            or any(len(block) != len(self.of_cell) for block in self.values)
            or not _tables_fit(self.of_cell, self.values)
        ):
            raise malformed(self.kind)
        check_grid(self.kind, self.clip, self.steps)

    @property
    def dim(self) -> int:
        """Length of the sum: the upper triangle of each block, without its diagonal."""
        features = len(self.of_cell)
        return len(self.values) * features * (features - 1) // 2

    @property
    def sensitivity_squared(self) -> int:
        """At most r^4 / 2 a block: sum_(i<j) (z_i z_j)^2 = (|z|^4 - sum_i z_i^4) / 2."""
        return len(self.values) * -(-(self.steps**4) // 2)


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """Sum of the loss's gradient in the row [WoE of every feature, 1] at a scorecard.

    It is the weighted residual of `models.odds`, with its sign turned, times the row.

    Attributes:
        scorecard: where the gradient is taken.
        clip: norm of a row before rounding, > 0.
        steps: integer norm of a rounded row times its residual.
    """

    scorecard: Scorecard
    clip: float
    steps: int

    kind = "gradient"
    part = "train"

    def __post_init__(self) -> None:
        """Refuse a grid that is not one."""
        check_grid(self.kind, self.clip, self.steps)

    @property
    def dim(self) -> int:
        """Length of the sum."""
        return len(self.scorecard.bins) + 1

    @property
    def sensitivity_squared(self) -> int:
        """The row's norm is at most ``steps`` and the residual at most 1."""
        return self.steps**2


@dataclass(frozen=True, slots=True, eq=False)
class Leaves:
    """Sum of weighted residuals over every leaf of a forest and every bin of every feature.

    A record adds its residual, rounded to ``leaf_steps`` a unit, to one leaf of every
    tree, and rounded to ``bin_steps`` a unit to one bin of every feature.

    Attributes:
        model: where the residual is taken.
        forest: the trees, over the bins of the model's scorecard; may hold none.
        leaf_steps: grid steps of a residual of 1 in a leaf.
        bin_steps: grid steps of a residual of 1 in a bin.
    """

    model: Boosted
    forest: Forest
    leaf_steps: int
    bin_steps: int

    kind = "leaves"
    part = "train"

    def __post_init__(self) -> None:
        """Refuse steps out of range and trees over features that are not there."""
        shape = self.forest.feature.shape
        if (
            {self.forest.feature.dtype, self.forest.threshold.dtype} != {np.dtype(np.int64)}
            or len(shape) != 2
            or shape != self.forest.threshold.shape
            or not 1 <= shape[1] <= 8
            or (self.forest.feature.size and int(self.forest.feature.min()) < 0)
            or (
                self.forest.feature.size
                and int(self.forest.feature.max()) >= len(self.model.scorecard.bins)
            )
        ):
            raise malformed(self.kind)
        for steps in (self.leaf_steps, self.bin_steps):
            check_grid(self.kind, 1.0, steps)

    @property
    def dim(self) -> int:
        """Length of the sum: leaves tree by tree, then bins feature by feature."""
        bins = sum(feature.woe.size for feature in self.model.scorecard.bins)
        return len(self.forest.feature) * self.forest.leaves + bins

    @property
    def sensitivity_squared(self) -> int:
        """One leaf of every tree and one bin of every feature, each by its steps."""
        trees, features = len(self.forest.feature), len(self.model.scorecard.bins)
        return trees * self.leaf_steps**2 + features * self.bin_steps**2


@dataclass(frozen=True, slots=True, eq=False)
class ScoreHistogram:
    """Held-out records by class and by the model's log-odds, in bins between public edges.

    Attributes:
        model: the model to be judged.
        edges: inner edges in log-odds, ascending; a value at an edge goes right.
        steps: grid steps that a record counts, so that noise below one record can be drawn.
    """

    model: Model
    edges: Floats
    steps: int = 1

    kind = "score-histogram"
    part = "held-out"

    def __post_init__(self) -> None:
        """Refuse edges that do not ascend."""
        if (
            not numbers(self.edges)
            or not 1 <= self.edges.size <= 65_535
            or bool((np.diff(self.edges) <= 0).any())
        ):
            raise malformed(self.kind)
        check_grid(self.kind, 1.0, self.steps)

    @property
    def dim(self) -> int:
        """Length of the sum: the goods of every bin, then the bads."""
        return 2 * (int(self.edges.size) + 1)

    @property
    def sensitivity_squared(self) -> int:
        """One record is in one bin of one class."""
        return self.steps**2


Query: TypeAlias = Histograms | Moments | Gradient | Leaves | NetworkGradient | ScoreHistogram


def encode_query(query: Query) -> bytes:
    """The one byte form of a question."""
    match query:
        case Histograms():
            body: dict[str, Value] = {
                "ordered": query.ordered,
                "extra": query.extra,
                "groups": query.groups,
                "steps": query.steps,
            }
        case Moments():
            body = {
                "of_cell": query.of_cell,
                "values": query.values,
                "clip": query.clip,
                "steps": query.steps,
            }
        case Gradient():
            body = {
                "scorecard": to_wire(query.scorecard),
                "clip": query.clip,
                "steps": query.steps,
            }
        case Leaves():
            body = {
                "model": to_wire(query.model),
                "feature": query.forest.feature,
                "threshold": query.forest.threshold,
                "leaf_steps": query.leaf_steps,
                "bin_steps": query.bin_steps,
            }
        case NetworkGradient():
            body = {
                "network": to_wire(query.network),
                "learned": query.learned,
                "clip": query.clip,
                "steps": query.steps,
            }
        case ScoreHistogram():
            body = {
                "model": to_wire(query.model),
                "edges": query.edges,
                "steps": query.steps,
            }
    return encode({"kind": query.kind, "body": body})


def decode_query(data: bytes) -> Query:
    """Read a question; the inverse of `encode_query`.

    Raises:
        PeerError: the bytes are not the canonical form of a question.
    """
    message = decode(data)
    try:
        query = _build(message)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise malformed("query") from error
    if encode_query(query) != data:
        raise malformed("query")
    return query


def _build(message: object) -> Query:
    """Make the question that a decoded message names."""
    if not isinstance(message, Mapping):
        raise TypeError
    kind, body = message["kind"], message["body"]
    match kind:
        case "histograms":
            return Histograms(body["ordered"], body["extra"], body["groups"], body["steps"])
        case "moments":
            return Moments(body["of_cell"], body["values"], body["clip"], body["steps"])
        case "gradient":
            return Gradient(_scorecard(body["scorecard"]), body["clip"], body["steps"])
        case "leaves":
            model = from_wire(body["model"])
            if not isinstance(model, Boosted):
                raise TypeError
            forest = Forest(body["feature"], body["threshold"])
            return Leaves(model, forest, body["leaf_steps"], body["bin_steps"])
        case "network":
            network = from_wire(body["network"])
            if not isinstance(network, Network):
                raise TypeError
            return NetworkGradient(network, body["learned"], body["clip"], body["steps"])
        case "score-histogram":
            return ScoreHistogram(from_wire(body["model"]), body["edges"], body["steps"])
    raise KeyError(kind)


def _scorecard(body: object) -> Scorecard:
    """Read a model that must be a scorecard."""
    model = from_wire(body)
    if not isinstance(model, Scorecard):
        raise TypeError
    return model


def _tables_fit(of_cell: tuple[Bytes8, ...], values: tuple[tuple[Floats, ...], ...]) -> bool:
    """Every cell's bin has a value in every block."""
    return all(
        cells.size and int(cells.max()) < table.size
        for block in values
        for cells, table in zip(of_cell, block, strict=True)
    )
