"""Residuals summed over every leaf of a forest and every bin of every feature."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedcredit.data.records import Batch
from fedcredit.models.bins import bins_of
from fedcredit.models.odds import residual
from fedcredit.models.queries import Leaves
from fedcredit.units import Ints

__all__ = ["sum_leaves"]


def sum_leaves(batches: Iterable[Batch], query: Leaves) -> Ints:
    """Sum the weighted residuals, in integer steps, over leaves and bins.

    A record is in exactly one leaf of a tree and one bin of a feature, and its residual
    is rounded before it is summed, so no row of ``query.dim`` numbers is ever formed.
    Sums are of integers below 2^53, which float64 adds exactly.

    Returns:
        Shape ``(query.dim,)``: leaves tree by tree, then bins feature by feature.
    """
    features = query.model.scorecard.bins
    forest, trees = query.forest, len(query.forest.feature)
    leaves = np.zeros((trees, forest.leaves))
    by_bin = [np.zeros(feature.woe.size) for feature in features]
    for batch in batches:
        signal = residual(query.model.log_odds(batch.cells), batch.bad)
        bins = bins_of(features, batch.cells)
        steps = np.rint(signal * query.leaf_steps)
        for tree, total in enumerate(leaves):
            total += np.bincount(forest.leaf(tree, bins), weights=steps, minlength=total.size)
        steps = np.rint(signal * query.bin_steps)
        for column, total in zip(bins, by_bin, strict=True):
            total += np.bincount(column, weights=steps, minlength=total.size)
    return np.concatenate([leaves.ravel(), *by_bin]).astype(np.int64)
