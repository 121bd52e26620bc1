"""A released model as an ONNX graph: from cells to log-odds, PD and score, in float64.

    cells (n, F) int64  ->  log_odds (n,), pd (n,) float64, score (n,) int64

Tables of cells are folded in, so that the graph is a handful of nodes: what a bin adds is
looked up by cell, a network's vectors are looked up and multiplied, a tree's answers are
compared and counted. Needs onnx, of the extra ``neural``.

Source: ONNX operators, opset 17 (IR version 8), which runtimes of the last three years read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.network import Network
from fedcredit.models.trees import Boosted
from fedcredit.scoring.model import ReleasedModel
from fedcredit.scoring.table import additive_of
from fedcredit.units import Floats

__all__ = ["to_onnx"]

OPSET = 17
IR_VERSION = 8


def to_onnx(released: ReleasedModel) -> bytes:
    """The model as the bytes of an ``.onnx`` file.

    Guarantee: for every cell of the data contract the graph's log-odds are those of
    `ReleasedModel` up to the rounding of float64 sums; its metadata name the model by digest.

    Args:
        released: of any kind.

    Returns:
        A checked ONNX model, the same bytes for the same model.
    """
    graph = _Graph()
    model, scale = released.model, released.scale
    card = model.scorecard if not isinstance(model, Scorecard) else model
    log_odds = graph.additive(card, additive_of(model))
    match model:
        case Network():
            log_odds = graph.add("Add", log_odds, graph.network(model))
        case Boosted() if model.leaf_values.size:
            log_odds = graph.add("Add", log_odds, graph.trees(model))
    log_odds = graph.add("Identity", log_odds, out="log_odds")
    half = graph.add("Mul", log_odds, graph.constant(np.array(-0.5)))
    graph.add(
        "Mul",
        graph.add("Add", graph.add("Tanh", half), graph.constant(np.array(1.0))),
        graph.constant(np.array(0.5)),
        out="pd",
    )
    points = graph.add("Mul", log_odds, graph.constant(np.array(scale.factor)))
    points = graph.add("Add", points, graph.constant(np.array(scale.offset)))
    low, high = float(scale.lowest), float(scale.highest)
    points = graph.add(
        "Clip",
        graph.add("Round", points),  # half to even, as the product rounds
        graph.constant(np.array(low)),
        graph.constant(np.array(high)),
    )
    graph.add("Cast", points, out="score", to=TensorProto.INT64)
    return graph.model(len(card.bins), released)


class _Graph:
    """Nodes and constants so far."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[np.generic]) -> str:
        """A constant by its name."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: int) -> str:
        """A node, by the name of what it gives."""
        name = out or f"value_{len(self.nodes)}"
        node = helper.make_node(kind, list(inputs), [name])
        node.attribute.extend(helper.make_attribute(*one) for one in attributes.items())
        self.nodes.append(node)
        return name

    def additive(self, card: Scorecard, part: Scorecard | Additive) -> str:
        """Log-odds of the part that reads one variable at a time."""
        by_cell = [
            points[one.of_cell] for one, points in zip(card.bins, part.contributions(), strict=True)
        ]
        looked_up = self._look_up(by_cell, card.bins)
        total = self.add("ReduceSum", looked_up, self._axis(1), keepdims=0)
        return self.add("Add", total, self.constant(np.array(card.intercept)))

    def network(self, model: Network) -> str:
        """What a network adds."""
        bins = model.scorecard.bins
        by_cell = [own[one.of_cell] for one, own in zip(bins, model.vectors, strict=True)]
        looked_up = self._look_up(by_cell, bins)  # (n, F, width)
        shape = np.array([-1, model.weights.shape[1]])
        flat = self.add("Reshape", looked_up, self.constant(shape))
        weights = self.constant(model.weights.T)
        before = self.add("MatMul", flat, weights)
        units = self.add("Tanh", self.add("Add", before, self.constant(model.biases)))
        added = self.add("MatMul", units, self.constant(model.head))
        return self.add("Add", added, self.constant(np.array(model.shift)))

    def trees(self, model: Boosted) -> str:
        """What trees add: the answers of one are the bits of its leaf."""
        forest, bins = model.forest, model.scorecard.bins
        trees, depth = forest.feature.shape
        of_cell = self._look_up([one.of_cell.astype(np.int64) for one in bins], bins)
        asked = self.add("Gather", of_cell, self.constant(forest.feature.ravel()), axis=1)
        right = self.add("Greater", asked, self.constant(forest.threshold.ravel()))
        bits = self.constant(np.tile(1 << np.arange(depth), trees))
        bits = self.add("Mul", self.add("Cast", right, to=TensorProto.INT64), bits)
        by_tree = self.add("Reshape", bits, self.constant(np.array([-1, trees, depth])))
        leaf = self.add("ReduceSum", by_tree, self._axis(2), keepdims=0)
        place = self.add("Add", leaf, self.constant(np.arange(trees) * forest.leaves))
        values = self.add("Gather", self.constant(model.leaf_values.ravel()), place, axis=0)
        return self.add("ReduceSum", values, self._axis(1), keepdims=0)

    def model(self, features: int, released: ReleasedModel) -> bytes:
        """The whole, checked."""
        number, whole = TensorProto.DOUBLE, TensorProto.INT64
        graph = helper.make_graph(
            self.nodes,
            "fedcredit",
            [helper.make_tensor_value_info("cells", whole, ["n", features])],
            [
                helper.make_tensor_value_info("log_odds", number, ["n"]),
                helper.make_tensor_value_info("pd", number, ["n"]),
                helper.make_tensor_value_info("score", whole, ["n"]),
            ],
            self.constants,
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        made.producer_name = "fedcredit"
        helper.set_model_props(
            made,
            {
                "digest": released.digest,
                "schema": released.schema.digest(),
                "study": released.study,
                "features": ",".join(column.name for column in released.schema.features),
            },
        )
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))

    def _look_up(
        self, by_cell: Sequence[Floats | NDArray[np.int64]], bins: tuple[FeatureBins, ...]
    ) -> str:
        """What each record's cells stand for, ``(n, F, ...)``, from one table a feature."""
        sizes = [one.of_cell.size for one in bins]
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        most = self.constant(np.array(sizes, dtype=np.int64) - 1)
        cells = self.add("Min", "cells", most)  # a cell that is not there is the last, as in numpy
        places = self.add("Add", cells, self.constant(first))
        return self.add("Gather", self.constant(np.concatenate(by_cell)), places, axis=0)

    def _axis(self, axis: int) -> str:
        """An axis to sum over."""
        return self.constant(np.array([axis], dtype=np.int64))
