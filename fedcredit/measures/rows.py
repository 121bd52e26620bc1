"""Sums over rows of looked-up numbers: products of two features, and gradients.

Each record's row is scaled so that the clip is a whole number of grid steps, clipped and
rounded to integers, and only then multiplied and summed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedcredit.data.records import Batch
from fedcredit.models.odds import residual
from fedcredit.models.queries import Gradient, Moments
from fedcredit.privacy.sums import clip_rows, exact_product
from fedcredit.units import Bytes8, Floats, Ints

__all__ = ["sum_gradients", "sum_products"]


def sum_products(batches: Iterable[Batch], query: Moments) -> Ints:
    """Sum the products of two different entries of every record's row.

    Returns:
        Shape ``(query.dim,)``: the upper triangle of each block, row by row.
    """
    tables = [
        [table[cells] for cells, table in zip(query.of_cell, block, strict=True)]
        for block in query.values
    ]
    width = len(query.of_cell)
    totals = np.zeros((len(tables), width, width), dtype=np.int64)
    for batch in batches:
        for total, block in zip(totals, tables, strict=True):
            steps = _clip(_rows(block, batch.cells), query.clip, query.steps)
            total += exact_product(steps.T, steps, bound=query.steps**2)
    upper = np.triu_indices(width, 1)
    return np.concatenate([total[upper] for total in totals])


def sum_gradients(batches: Iterable[Batch], query: Gradient) -> Ints:
    """Sum the weighted residual, with its sign turned, times the clipped row [WoE, 1].

    Returns:
        Shape ``(query.dim,)``.
    """
    card = query.scorecard
    block = [feature.woe[feature.of_cell] for feature in card.bins]
    total = np.zeros(query.dim, dtype=np.int64)
    for batch in batches:
        rows = np.column_stack([_rows(block, batch.cells), np.ones(batch.bad.size)])
        rows *= query.clip / np.maximum(np.linalg.norm(rows, axis=1), query.clip)[:, None]
        rows *= -residual(card.log_odds(batch.cells), batch.bad)[:, None]
        total += _clip(rows, query.clip, query.steps).sum(axis=0)
    return total


def _rows(block: list[Floats], cells: Bytes8) -> Floats:
    """Look up the row of every record, shape ``(n, F)``."""
    return np.stack([table[column] for table, column in zip(block, cells, strict=True)], axis=1)


def _clip(rows: Floats, clip: float, steps: int) -> Ints:
    """Integer rows of norm at most ``steps``, where ``clip`` is ``steps`` grid steps."""
    return clip_rows(rows * (steps / clip), clip_norm=float(steps), grid=1.0)
