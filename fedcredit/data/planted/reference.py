"""A reference population: so large, and so well known, that its figures stand for the truth.

Its probabilities are computed from what is planted, not counted from outcomes,
so what is left of chance is small, and only in who was drawn.

Source: weight of evidence, Siddiqi (2006), chapter 6; the coefficients are the limit
of maximum likelihood in a misspecified model, White (1982), doi 10.2307/1912526.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedcredit.data.cells import Levels, encode_levels, encode_numbers
from fedcredit.data.columns import Column, Numeric
from fedcredit.data.planted.effects import Cohort, ColumnValues, Outcome
from fedcredit.data.schema import Schema
from fedcredit.units import Bytes8, Flags, Floats, Ints

__all__ = ["Reference", "to_cells"]

_CHUNK = 65_536  # records in memory at a time as floats


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A large population with known probabilities.

    Attributes:
        schema: the contract of its columns.
        outcome: the model that its outcomes would be drawn from.
        cohort: its records.
        cells: their features in cells, shape ``(features, n)``.
        bad_probability: of each record, shape ``(n,)``.
        institutions: names.
        institution: place of each record's institution in ``institutions``, shape ``(n,)``.
    """

    schema: Schema
    outcome: Outcome
    cohort: Cohort
    cells: Bytes8
    bad_probability: Floats
    institutions: tuple[str, ...]
    institution: Ints

    def masses(self, feature: str, among: Flags | None = None) -> Floats:
        """Expected goods and bads in each cell of a feature.

        Args:
            feature: the column.
            among: True for the records that count, shape ``(n,)``; all if not given.

        Returns:
            Shape ``(cell_count, 2)``: goods, bads.
        """
        names = [column.name for column in self.schema.features]
        place = names.index(feature)
        count = self.schema.features[place].cell_count
        bad = self.bad_probability
        good = 1.0 - bad
        if among is not None:
            good, bad = good * among, bad * among
        columns = [np.bincount(self.cells[place], each, count) for each in (good, bad)]
        return np.stack(columns, axis=1)

    def woe(self, feature: str, of_cell: Bytes8) -> Floats:
        """True weight of evidence of each bin of any binning of a feature's cells.

        Args:
            feature: the column.
            of_cell: the bin of each cell, shape ``(cell_count,)``.

        Returns:
            ln(share of the goods / share of the bads), shape ``(bins,)``; 0 for a bin that
            nobody falls into.
        """
        goods, bads = (np.bincount(of_cell, each) for each in self.masses(feature).T)
        held = goods + bads > 0
        odds = np.where(held, goods, goods.sum()) / np.where(held, bads, bads.sum())
        return np.asarray(np.log(odds) - np.log(goods.sum() / bads.sum()))

    def coefficients(self, woe_of_cell: Sequence[Floats]) -> Floats:
        """Coefficients of the scorecard that reads the given WoE, without noise.

        They maximise the expected likelihood of ``logit P(good) = b0 + sum of b_f * WoE_f``.

        Args:
            woe_of_cell: for each feature the value that stands for each cell; such as
                ``bins.woe[bins.of_cell]`` of a released scorecard.

        Returns:
            One for each feature, then the intercept, shape ``(F + 1,)``.
        """
        size = len(woe_of_cell) + 1
        theta = np.zeros(size)
        for _ in range(25):
            gradient, curvature = np.zeros(size), 1e-9 * np.eye(size)
            for start in range(0, self.cells.shape[1], _CHUNK):
                rows = slice(start, start + _CHUNK)
                columns = [
                    woe[cells[rows]] for woe, cells in zip(woe_of_cell, self.cells, strict=True)
                ]
                design = np.stack([*columns, np.ones(len(columns[0]))])
                good = 1.0 / (1.0 + np.exp(-theta @ design))
                gradient += design @ (1.0 - self.bad_probability[rows] - good)
                curvature += (design * (good * (1.0 - good))) @ design.T
            step = np.linalg.solve(curvature, gradient)
            theta += step
            if np.abs(step).max() < 1e-7:
                break
        return theta


def to_cells(schema: Schema, columns: Mapping[str, ColumnValues]) -> Bytes8:
    """Put a made-up table into the cells of its schema.

    Args:
        schema: the contract.
        columns: the table's columns, NaN and "" for missing.

    Returns:
        Shape ``(features, n)``, C-contiguous.
    """
    return np.stack([_cells_of(column, columns[column.name]) for column in schema.features])


def _cells_of(column: Column, values: ColumnValues) -> Bytes8:
    """One column in cells."""
    if isinstance(column, Numeric):
        return encode_numbers(column, np.asarray(values, dtype=np.float64))
    codes = np.full(len(values), -1)
    for at, category in enumerate(column.categories):
        codes[values == category] = at
    return encode_levels(column, Levels(codes, column.categories))
