"""The structure of a forest, from public randomness and released numbers: it costs nothing."""

from __future__ import annotations

import numpy as np

from fedcredit.learners.binning import Binned
from fedcredit.learners.standin import StandIn
from fedcredit.models.bins import Scorecard
from fedcredit.models.odds import probability_of_good
from fedcredit.models.trees import Forest
from fedcredit.units import Floats

__all__ = ["doubt", "grow_forest", "no_forest"]

TREES = 64
DEPTH = 4
UNIFORM = 0.1  # part of the draws that ignore information value
SAMPLE = 2_000  # stand-ins that thresholds are quantiles of


def no_forest() -> Forest:
    """A forest without a tree."""
    empty = np.zeros((0, 1), dtype=np.int64)
    return Forest(empty, empty)


def grow_forest(
    binned: Binned, scorecard: Scorecard, standin: StandIn, rng: np.random.Generator
) -> Forest:
    """Draw trees whose splits fall where the scorecard is least sure.

    A depth's feature is drawn by released information value (and a little uniformly),
    without repeats in a tree; its threshold is a random quantile of stand-in records that
    were drawn by sqrt(p(1-p)).

    Args:
        binned: the first round's bins.
        scorecard: the model that the trees will be added to.
        standin: stand-ins of block N.
        rng: public randomness.
    """
    bins = [feature.woe.size for feature in binned.bins]
    split = np.array([size > 1 for size in bins])
    depth = min(DEPTH, int(split.sum()))
    if not depth:
        return no_forest()
    value = np.where(split, np.maximum([feature.iv for feature in binned.bins], 0.0), 0.0)
    informed = value / value.sum() if value.sum() > 0 else split / split.sum()
    chance = (1 - UNIFORM) * informed + UNIFORM * split / split.sum()
    chosen = rng.choice(standin.good.size, SAMPLE, p=doubt(scorecard, standin))
    rows = np.sort(standin.bins[:, chosen])
    feature = np.empty((TREES, depth), dtype=np.int64)
    threshold = np.empty((TREES, depth), dtype=np.int64)
    for tree in range(TREES):
        feature[tree] = rng.choice(len(bins), depth, replace=False, p=chance)
        for level, column in enumerate(feature[tree]):
            place = int(rng.uniform(0.1, 0.9) * SAMPLE)
            threshold[tree, level] = min(int(rows[column, place]), bins[column] - 2)
    return Forest(feature, threshold)


def doubt(scorecard: Scorecard, standin: StandIn) -> Floats:
    """Chance of each stand-in to be drawn, by weight and by how unsure the scorecard is."""
    good = probability_of_good(scorecard.log_odds_of_bins(standin.bins))
    # The floor is for a scorecard, made of noise, that is sure of everybody.
    chance = standin.weight * np.maximum(np.sqrt(good * (1.0 - good)), 1e-6)
    return np.asarray(chance / chance.sum(), dtype=np.float64)
