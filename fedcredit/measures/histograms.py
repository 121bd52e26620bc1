"""Counts of cells by class, and of scores by class: rows that are integers already."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedcredit.data.records import Batch
from fedcredit.models.queries import Histograms, ScoreHistogram
from fedcredit.units import Bytes8, Ints

__all__ = ["count_cells", "count_scores"]


def count_cells(batches: Iterable[Batch], query: Histograms) -> Ints:
    """Count records by cell and class on every level of every feature.

    Returns:
        Shape ``(query.dim,)``: feature by feature, level by level, the counts of the
        goods and then of the bads, in grid steps.
    """
    features = range(len(query.ordered))
    fine = [np.zeros(2 * query.level_sizes(f)[0], dtype=np.int64) for f in features]
    for batch in batches:
        for total, cells in zip(fine, batch.cells, strict=True):
            total += _by_class(cells, batch.bad, total.size // 2)
    levels = [
        _group(fine[f].reshape(2, -1)[:, : query.ordered[f]], group) if group > 1 else fine[f]
        for f in features
        for group in query.groups[f]
    ]
    return np.asarray(query.steps * np.concatenate(levels), dtype=np.int64)


def count_scores(batches: Iterable[Batch], query: ScoreHistogram) -> Ints:
    """Count records by the model's log-odds and class.

    Returns:
        Shape ``(query.dim,)``: the goods of every score bin, then the bads, in grid steps.
    """
    bins = query.edges.size + 1
    total = np.zeros(2 * bins, dtype=np.int64)
    for batch in batches:
        score = np.searchsorted(query.edges, query.model.log_odds(batch.cells), side="right")
        total += np.bincount(score + bins * batch.bad.astype(np.int64), minlength=2 * bins)
    return query.steps * total


def _by_class(cells: Bytes8, bad: Bytes8, count: int) -> Ints:
    """Records of one feature by cell, the goods and then the bads, shape ``(2 * count,)``."""
    return np.bincount(cells + np.int64(count) * bad, minlength=2 * count)[: 2 * count]


def _group(fine: Ints, group: int) -> Ints:
    """Add up runs of ``group`` neighbouring cells of both classes, flattened."""
    starts = np.arange(0, fine.shape[1], group)
    return np.asarray(np.add.reduceat(fine, starts, axis=1).ravel(), dtype=np.int64)
