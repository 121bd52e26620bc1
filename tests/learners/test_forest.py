"""A forest's structure: public randomness, each feature once in a tree, cuts between bins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.schema import Schema
from fedcredit.learners.binning import fold_histograms, histogram_query
from fedcredit.learners.forest import DEPTH, TREES, grow_forest, no_forest
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.scorecard import Fitting, ScorecardLearner
from fedcredit.learners.standin import draw_standins, moments_query
from fedcredit.models.bins import Scorecard
from fedcredit.models.trees import Forest
from tests.learners.studies import table, told
from tests.models.strategies import schemas

SEEDS = st.integers(0, 2**32)


@settings(max_examples=40)
@given(schema=schemas(most=6), seed=SEEDS)
def test_each_tree_asks_distinct_features_between_two_of_their_bins(
    schema: Schema, seed: int
) -> None:
    """For any released numbers: depth at most 5, and a feature of one bin is never asked."""
    rng = np.random.default_rng(seed)
    counts = histogram_query(schema)
    value = rng.integers(-100, int(rng.choice([1, 1000, 100_000])), counts.dim)
    binned = fold_histograms(schema, counts, NoisyTotal(value, 16))
    query = moments_query(binned, 1.0)
    nothing = NoisyTotal(np.zeros(query.dim, dtype=np.int64), 16)
    _, standin = draw_standins(binned, query, nothing, rng)
    features = len(binned.bins)
    card = Scorecard("", binned.bins, rng.normal(size=features), 1.0, np.eye(features + 1))

    forest = grow_forest(binned, card, standin, rng)

    sizes = np.array([one.woe.size for one in binned.bins])
    splittable = int((sizes > 1).sum())
    if not splittable:
        assert forest.feature.shape[0] == 0
        return
    assert forest.feature.shape == forest.threshold.shape == (TREES, min(DEPTH, splittable))
    for asked, cuts in zip(forest.feature, forest.threshold, strict=True):
        assert len(set(asked.tolist())) == asked.size
        assert (cuts >= 0).all()
        assert (cuts <= sizes[asked] - 2).all()


def grown(seed: int) -> Forest:
    """A forest for a table of the usual kind."""
    program = told(ScorecardLearner(), table(1, 5000), 20.0).programs[-1]
    assert isinstance(program, Fitting)
    rng = np.random.default_rng(seed)
    return grow_forest(program.binned, program.scorecard(), program.by_order, rng)


def test_public_randomness_is_all_that_is_drawn() -> None:
    one, same, other = grown(1), grown(1), grown(2)

    assert one.feature.tobytes() + one.threshold.tobytes() == (
        same.feature.tobytes() + same.threshold.tobytes()
    )
    assert one.feature.tobytes() != other.feature.tobytes()


def test_features_that_tell_more_are_asked_first() -> None:
    """By released information value, so at the first depth the best one leads."""
    program = told(ScorecardLearner(), table(1, 5000), 20.0).programs[-1]
    assert isinstance(program, Fitting)
    value = np.array([one.iv for one in program.binned.bins])
    first = [int(tree[0]) for seed in range(10) for tree in grown(seed).feature]
    asked = np.bincount(first, minlength=value.size) / len(first)

    expected = 0.9 * value / value.sum() + 0.1 / value.size
    assert np.abs(asked - expected).max() < 5 * np.sqrt(0.25 / len(first))
    assert int(np.argmax(asked)) == int(np.argmax(value))


def test_no_forest_has_no_tree() -> None:
    assert len(no_forest().feature) == 0
