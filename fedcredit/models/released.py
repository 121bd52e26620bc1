"""A model as plain named parts, and back: the form in which it is sent, hashed and stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedcredit.codec import Value
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.network import MOST_INPUTS, MOST_UNITS, MOST_WIDTH, Network
from fedcredit.models.trees import Boosted, Forest

__all__ = ["LARGEST", "Model", "from_wire", "scorecard_of", "to_wire"]

LARGEST = 1e100  # of any number: products of two of them are still finite

Model: TypeAlias = Scorecard | Additive | Boosted | Network


def scorecard_of(model: Model) -> Scorecard:
    """The scorecard that a model started from, with its bins."""
    return model if isinstance(model, Scorecard) else model.scorecard


def to_wire(model: Model) -> dict[str, Value]:
    """Name the parts of a model; `codec.encode` takes the result."""
    match model:
        case Scorecard():
            return {
                "kind": model.kind,
                "schema": model.schema_digest,
                "bins": [_feature_to_wire(feature) for feature in model.bins],
                "coefficients": model.coefficients,
                "intercept": model.intercept,
                "covariance": model.covariance,
            }
        case Additive():
            return {
                "kind": model.kind,
                "scorecard": to_wire(model.scorecard),
                "shifts": list(model.shifts),
            }
        case Boosted():
            return {
                "kind": model.kind,
                "additive": to_wire(model.additive),
                "feature": model.forest.feature,
                "threshold": model.forest.threshold,
                "leaf_values": model.leaf_values,
            }
        case Network():
            return {
                "kind": model.kind,
                "scorecard": to_wire(model.scorecard),
                "vectors": list(model.vectors),
                "weights": model.weights,
                "biases": model.biases,
                "head": model.head,
                "shift": model.shift,
            }


def from_wire(body: object) -> Model:
    """Make a model of its parts; the inverse of `to_wire`.

    Raises:
        ValueError: the parts do not fit together.
        KeyError: a part is missing.
        TypeError: a part is of another type.
    """
    if not isinstance(body, Mapping):
        raise TypeError("a model is a mapping of named parts")
    match body["kind"]:
        case "scorecard":
            return _scorecard(body)
        case "additive":
            card = _scorecard(body["scorecard"])
            shifts = tuple(_array(shift) for shift in body["shifts"])
            if [len(shift) for shift in shifts] != [len(feature.woe) for feature in card.bins]:
                raise ValueError("shifts are not one for each bin")
            _finite(*shifts)
            return Additive(card, shifts)
        case "boosting":
            return _boosted(body)
        case "neural" | "monotone":
            return _network(body)
    raise ValueError("unknown kind of model")


def _feature_to_wire(feature: FeatureBins) -> dict[str, Value]:
    return {
        "name": feature.name,
        "of_cell": feature.of_cell,
        "labels": list(feature.labels),
        "goods": feature.goods,
        "bads": feature.bads,
        "woe": feature.woe,
        "woe_se": feature.woe_se,
    }


def _scorecard(body: object) -> Scorecard:
    """Check and build a scorecard."""
    if not isinstance(body, Mapping):
        raise TypeError("a scorecard is a mapping of named parts")
    parts = body["bins"]
    if body["kind"] != "scorecard" or not isinstance(parts, tuple):
        raise TypeError("a scorecard's bins are a sequence")
    bins = tuple(_feature(part) for part in parts)
    coefficients, covariance = _array(body["coefficients"]), _array(body["covariance"], 2)
    intercept, schema = body["intercept"], body["schema"]
    width = len(bins) + 1
    if coefficients.shape != (len(bins),) or covariance.shape != (width, width):
        raise ValueError("coefficients are not one for each feature")
    if not isinstance(intercept, float) or not isinstance(schema, str):
        raise TypeError("intercept is a float and schema a digest")
    _finite(coefficients, covariance, np.array([intercept]))
    return Scorecard(schema, bins, coefficients, intercept, covariance)


def _feature(part: object) -> FeatureBins:
    """Check and build one feature's bins."""
    if not isinstance(part, Mapping):
        raise TypeError("a feature is a mapping of named parts")
    name, labels, of_cell = part["name"], part["labels"], part["of_cell"]
    numbers = [_array(part[key]) for key in ("goods", "bads", "woe", "woe_se")]
    if (
        not isinstance(name, str)
        or not isinstance(labels, tuple)
        or not all(isinstance(label, str) for label in labels)
        or not isinstance(of_cell, np.ndarray)
        or of_cell.dtype != np.uint8
    ):
        raise TypeError("a feature has a name, labels and a bin for each cell")
    if any(number.shape != (len(labels),) for number in numbers):
        raise ValueError("a feature's numbers are not one for each bin")
    if of_cell.ndim != 1 or not of_cell.size or int(of_cell.max()) >= len(labels):
        raise ValueError("a cell's bin is not there")
    _finite(*numbers)
    goods, bads, woe, woe_se = numbers
    if bool((goods + bads < 0).any()) or float((goods + bads).sum()) <= 0:
        raise ValueError("a feature's counts are negative")
    return FeatureBins(name, of_cell, labels, goods, bads, woe, woe_se)


def _boosted(body: Mapping[str, object]) -> Boosted:
    """Check and build a boosted model."""
    additive = from_wire(body["additive"])
    feature, threshold, values = body["feature"], body["threshold"], _array(body["leaf_values"], 2)
    if not isinstance(additive, Additive):
        raise TypeError("a boosted model starts from an additive one")
    forest = Forest(_table(feature), _table(threshold))
    feature, threshold = forest.feature, forest.threshold
    if (
        feature.shape != threshold.shape
        or not 1 <= feature.shape[1] <= 8
        or values.shape != (feature.shape[0], forest.leaves)
        or (feature.size and not 0 <= feature.min() <= feature.max() < len(additive.shifts))
    ):
        raise ValueError("a forest's tables do not fit together")
    _finite(values)
    return Boosted(additive, forest, values)


def _network(body: Mapping[str, object]) -> Network:
    """Check and build a network."""
    card, kept, shift = _scorecard(body["scorecard"]), body["vectors"], body["shift"]
    if not isinstance(kept, tuple) or not isinstance(shift, float):
        raise TypeError("a network's vectors are a sequence and its shift a float")
    vectors = tuple(_array(part, 2) for part in kept)
    weights, biases, head = _array(body["weights"], 2), _array(body["biases"]), _array(body["head"])
    widths = {part.shape[1] for part in vectors}
    if [len(part) for part in vectors] != [len(feature.woe) for feature in card.bins]:
        raise ValueError("vectors are not one for each bin")
    if (
        len(widths) != 1
        or not 1 <= min(widths) <= MOST_WIDTH
        or not 1 <= biases.size <= MOST_UNITS
        or weights.shape[1] > MOST_INPUTS
        or weights.shape != (biases.size, len(vectors) * min(widths))
        or head.shape != biases.shape
    ):
        raise ValueError("a network's layers do not fit together")
    _finite(*vectors, weights, biases, head, np.array([shift]))
    return Network(card, vectors, weights, biases, head, shift, body["kind"] == "monotone")


def _array(part: object, dimensions: int = 1) -> np.ndarray:
    """A part that must be an array of floats."""
    if not isinstance(part, np.ndarray) or part.dtype != np.float64 or part.ndim != dimensions:
        raise TypeError("expected an array of floats")
    return part


def _table(part: object) -> NDArray[np.int64]:
    """A part that must be a table of integers."""
    if not isinstance(part, np.ndarray) or part.dtype != np.int64 or part.ndim != 2:
        raise TypeError("a forest is two tables of integers")
    return part


def _finite(*arrays: np.ndarray) -> None:
    """Refuse NaN, infinity, and numbers so large that a sum of products could overflow."""
    if not all(bool((np.abs(array) <= LARGEST).all()) for array in arrays):
        raise ValueError("a number is not finite, or absurdly large")
