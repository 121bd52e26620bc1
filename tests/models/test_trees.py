"""Oblivious trees: a leaf's number spells out the answers, and a boosted model adds its leaf."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.schema import Schema
from fedcredit.models.bins import bins_of
from fedcredit.models.trees import Boosted, Forest
from tests.models.strategies import forest_of, model_of, records_of, schema_of, schemas, whole

SEEDS = st.integers(0, 2**32)
SCHEMA = schema_of(
    Numeric("income", "EUR", 0.0, 9000.0, cells=9), Categorical("home", ("own", "rent"), other=True)
)


@given(schema=schemas(), seed=SEEDS)
def test_bit_d_of_a_leaf_says_whether_the_bin_is_above_the_cut_at_depth_d(
    schema: Schema, seed: int
) -> None:
    model = model_of("boosting", schema, seed)
    assert isinstance(model, Boosted)
    bins = bins_of(model.scorecard.bins, whole(records_of(schema, 12, seed)).cells)
    forest = model.forest

    for tree in range(len(forest.feature)):
        for record, leaf in enumerate(forest.leaf(tree, bins).tolist()):
            assert 0 <= leaf < forest.leaves
            for depth in range(forest.feature.shape[1]):
                column, cut = forest.feature[tree, depth], forest.threshold[tree, depth]
                assert bool(leaf >> depth & 1) == bool(bins[column, record] > cut)


@given(seed=SEEDS)
def test_every_leaf_of_the_deepest_tree_has_a_number_of_its_own(seed: int) -> None:
    """256 leaves at depth 8 fill a byte exactly."""
    corners = np.array([[at >> depth & 1 for at in range(256)] for depth in range(8)])
    order = np.random.default_rng(seed).permutation(8)
    forest = Forest(order[None, :].astype(np.int64), np.zeros((1, 8), dtype=np.int64))

    found = forest.leaf(0, corners.astype(np.uint8))

    assert forest.leaves == 256
    assert sorted(found.tolist()) == list(range(256))


@given(schema=schemas(), seed=SEEDS, trees=st.integers(0, 4))
def test_a_boosted_model_adds_one_leaf_of_every_tree(schema: Schema, seed: int, trees: int) -> None:
    model = model_of("boosting", schema, seed, trees)
    assert isinstance(model, Boosted)
    cells = whole(records_of(schema, 12, seed)).cells
    bins = bins_of(model.scorecard.bins, cells)

    found = model.log_odds(cells)

    added = np.zeros(12)
    for tree in range(trees):
        added += model.leaf_values[tree][model.forest.leaf(tree, bins)]
    assert found == pytest.approx(model.additive.log_odds(cells) + added, rel=1e-12, abs=1e-9)


def test_a_forest_without_trees_adds_nothing() -> None:
    model = model_of("boosting", SCHEMA, 3, trees=0)
    assert isinstance(model, Boosted)
    cells = whole(records_of(SCHEMA, 9, 1)).cells

    assert model.log_odds(cells).tolist() == model.additive.log_odds(cells).tolist()


def test_a_boosted_model_says_of_what_kind_and_of_which_schema_it_is() -> None:
    model = model_of("boosting", SCHEMA, 1)
    assert isinstance(model, Boosted)

    assert (model.kind, model.schema_digest) == ("boosting", SCHEMA.digest())
    assert model.scorecard is model.additive.scorecard


@given(schema=schemas(), seed=SEEDS)
def test_a_tree_asks_each_feature_once(schema: Schema, seed: int) -> None:
    """Said of the forests that these tests draw, so that the laws above are about real ones."""
    model = model_of("boosting", schema, seed)
    assert isinstance(model, Boosted)
    forest = forest_of(model.scorecard, np.random.default_rng(seed), 5)

    assert all(len(set(tree)) == len(tree) for tree in forest.feature.tolist())
