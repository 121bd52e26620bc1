"""Questions that a hostile coordinator crafts: each is refused before it is charged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fedcredit.codec import Value, decode, encode
from fedcredit.data.columns import Categorical, Numeric
from fedcredit.errors import PeerError
from fedcredit.measures.measure import check_fit
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.odds import residual
from fedcredit.models.queries import (
    Gradient,
    Histograms,
    Leaves,
    Moments,
    Query,
    ScoreHistogram,
    decode_query,
    encode_query,
)
from fedcredit.models.released import from_wire, to_wire
from fedcredit.models.trees import Boosted, Forest
from tests.models.strategies import model_of, schema_of

SCHEMA = schema_of(Categorical("a", ("x", "y")), Categorical("b", ("x", "y")))
WIDE = schema_of(
    Numeric("income", "EUR", 0.0, 9.0, cells=9),
    Categorical("home", ("own", "rent")),
    Numeric("late", "n", 0.0, 5.0, step=1.0),
)
CARD = model_of("scorecard", WIDE, 8)
BOOSTED = model_of("boosting", WIDE, 8, trees=2)
assert isinstance(CARD, Scorecard)
assert isinstance(BOOSTED, Boosted)
CELLS = tuple(one.of_cell for one in CARD.bins)
WOE = tuple(one.woe for one in CARD.bins)
COUNTS = Histograms((9, 0, 6), (1, 4, 1), ((1,), (1,), (1,)))
PRODUCTS = Moments(CELLS, (WOE,), 1.0, 1)
SCORES = ScoreHistogram(BOOSTED, np.zeros(1), 16)


def changed(query: Query, **parts: Value) -> bytes:
    """The bytes of a question, with some of its parts put in another's place."""
    message = decode(encode_query(query))
    assert isinstance(message, Mapping)
    body = message["body"]
    assert isinstance(body, Mapping)
    return encode({"kind": query.kind, "body": {**body, **parts}})


def test_log_odds_that_are_no_number_cannot_be_asked_for_and_would_count_as_zero() -> None:
    """Infinity minus infinity would break the sensitivity of a sum over leaves."""
    ten, woe = np.full(2, 10.0), np.array([0.0, 1e200])
    features = tuple(
        FeatureBins(name, np.array([0, 1, 0, 0], np.uint8), ("p", "q"), ten, ten, woe, np.zeros(2))
        for name in ("a", "b")
    )
    card = Scorecard(SCHEMA.digest(), features, np.array([1e200, -1e200]), 0.0, np.eye(3))
    none = Forest(np.zeros((0, 1), np.int64), np.zeros((0, 1), np.int64))
    model = Boosted(Additive(card, (np.zeros(2), np.zeros(2))), none, np.zeros((0, 2)))

    with pytest.raises(PeerError):
        decode_query(encode_query(Leaves(model, none, 1, 4096)))
    assert residual(np.array([math.nan]), np.zeros(1, np.uint8)).tolist() == [0.0]


CRAFTED: dict[str, bytes] = {
    "cells as floats": changed(COUNTS, extra=(1.0, 4.0, 1.0)),
    "groups as floats": changed(COUNTS, groups=((1.0, 2.0), (1,), (1,))),
    "a group of 10**30": changed(COUNTS, groups=((1, 10**30), (1,), (1,))),
    "a number of cells as an array": changed(COUNTS, ordered=(np.array([9]), 0, 6)),
    "bins of cells as floats": changed(PRODUCTS, of_cell=[c.astype(float) for c in CELLS]),
    "bins of cells in two dimensions": changed(PRODUCTS, of_cell=[c[:, None] for c in CELLS]),
    "an infinite bin": changed(PRODUCTS, of_cell=[np.array([0.0, math.inf]), *CELLS[1:]]),
    "values in two dimensions": changed(PRODUCTS, values=[[woe[None, :] for woe in WOE]]),
    "values that are infinite": changed(PRODUCTS, values=[[np.full(9, math.inf), *WOE[1:]]]),
    "a clip that is a matrix": changed(Gradient(CARD, 1.0, 9), clip=np.eye(1)),
    "a model that is no mapping": changed(Gradient(CARD, 1.0, 9), scorecard=7),
    "features of trees as floats": changed(
        Leaves(BOOSTED, BOOSTED.forest, 1, 1), feature=BOOSTED.forest.feature.astype(float)
    ),
    "edges in two dimensions": changed(SCORES, edges=np.array([[0.0, 1.0]])),
}


@pytest.mark.parametrize("what", CRAFTED)
def test_a_question_of_wrong_types_is_the_peers_fault(what: str) -> None:
    with pytest.raises(PeerError):
        decode_query(CRAFTED[what])


def test_counts_whose_sum_is_infinite_and_features_that_are_none_are_refused() -> None:
    parts = decode(encode(to_wire(CARD)))
    assert isinstance(parts, Mapping)
    bins = parts["bins"]
    assert isinstance(bins, tuple)
    first = bins[0]
    assert isinstance(first, Mapping)
    huge = np.full(WOE[0].size, 1e308)

    for wrong in ({**first, "goods": huge, "bads": huge}, np.zeros(3)):
        with pytest.raises((TypeError, ValueError)):
            from_wire({**parts, "bins": (wrong, *bins[1:])})


def test_a_model_of_another_schema_is_refused_even_if_its_cells_fit() -> None:
    check_fit(WIDE, SCORES)
    with pytest.raises(PeerError, match="not those of schema"):
        check_fit(replace(WIDE, version=2), SCORES)
