"""Bins of a feature, and the two models that are sums over them: scorecard and additive.

Every number here was released, or follows from what was released, so a model may be
shown to anybody. Log-odds are of good to bad: higher is better for the applicant.
WoE of a bin is ln(share of the goods / share of the bads) (Siddiqi 2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcredit.units import Bytes8, Floats

__all__ = ["Additive", "FeatureBins", "Scorecard", "bins_of"]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBins:
    """One feature's bins in rank order, with their noisy counts.

    Attributes:
        name: the feature's column.
        of_cell: bin of each public cell, shape ``(cell_count,)``.
        labels: what each bin holds, for people.
        goods: noisy number of goods in each bin, shape ``(bins,)``, not below 0.
        bads: noisy number of bads in each bin, shape ``(bins,)``, not below 0.
        woe: smoothed weight of evidence of each bin, shape ``(bins,)``.
        woe_se: standard error of ``woe`` (sampling and noise), shape ``(bins,)``.
    """

    name: str
    of_cell: Bytes8
    labels: tuple[str, ...]
    goods: Floats
    bads: Floats
    woe: Floats
    woe_se: Floats

    @property
    def share(self) -> Floats:
        """Share of all records in each bin, shape ``(bins,)``; sums to 1."""
        total = self.goods + self.bads
        return np.asarray(total / total.sum(), dtype=np.float64)

    @property
    def iv(self) -> float:
        """Information value: sum of (share of goods - share of bads) * WoE."""
        goods, bads = self.class_shares()
        return float(((goods - bads) * self.woe).sum())

    def class_shares(self) -> tuple[Floats, Floats]:
        """Shares of the goods and of the bads over the bins, as the smoothed WoE implies them."""
        base = self.goods.sum() / self.bads.sum()
        bad_rate = 1.0 / (1.0 + base * np.exp(self.woe))
        goods, bads = self.share * (1.0 - bad_rate), self.share * bad_rate
        return goods / goods.sum(), bads / bads.sum()


def bins_of(bins: tuple[FeatureBins, ...], cells: Bytes8) -> Bytes8:
    """Bin of every record in every feature.

    Args:
        bins: one a feature.
        cells: public cells, shape ``(F, n)``.

    Returns:
        Shape ``(F, n)``.
    """
    out = np.empty_like(cells)
    for row, (feature, column) in enumerate(zip(bins, cells, strict=True)):
        np.take(feature.of_cell, column, out=out[row], mode="clip")
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Scorecard:
    """A logistic scorecard: intercept plus coefficient times WoE, feature by feature.

    Attributes:
        schema_digest: the data contract whose cells it reads.
        bins: one a feature, in the contract's order.
        coefficients: weight of each feature's WoE, shape ``(F,)``.
        intercept: log-odds of good to bad where every WoE is 0.
        covariance: of (coefficients, intercept), sampling and noise, ``(F + 1, F + 1)``.
    """

    schema_digest: str
    bins: tuple[FeatureBins, ...]
    coefficients: Floats
    intercept: float
    covariance: Floats

    @property
    def kind(self) -> str:
        """The learner that makes such a model."""
        return "scorecard"

    def contributions(self) -> tuple[Floats, ...]:
        """Log-odds that each bin of each feature adds."""
        return tuple(
            beta * feature.woe for beta, feature in zip(self.coefficients, self.bins, strict=True)
        )

    def log_odds(self, cells: Bytes8) -> Floats:
        """Log-odds of good to bad, shape ``(n,)``, of cells ``(F, n)``."""
        return _sum_over_bins(self.intercept, self.bins, self.contributions(), cells)

    def log_odds_of_bins(self, bins: Bytes8) -> Floats:
        """The same of records whose bins ``(F, n)`` are known rather than their cells."""
        total = np.full(bins.shape[1], self.intercept)
        for part, column in zip(self.contributions(), bins, strict=True):
            total += part[column]
        return total


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """A scorecard whose bins may each move away from coefficient times WoE.

    Attributes:
        scorecard: where it started.
        shifts: log-odds added to each bin of each feature.
    """

    scorecard: Scorecard
    shifts: tuple[Floats, ...]

    @property
    def kind(self) -> str:
        """The learner that makes such a model."""
        return "additive"

    @property
    def schema_digest(self) -> str:
        """The data contract whose cells it reads."""
        return self.scorecard.schema_digest

    def contributions(self) -> tuple[Floats, ...]:
        """Log-odds that each bin of each feature adds."""
        return tuple(
            np.asarray(part + shift, dtype=np.float64)
            for part, shift in zip(self.scorecard.contributions(), self.shifts, strict=True)
        )

    def log_odds(self, cells: Bytes8) -> Floats:
        """Log-odds of good to bad, shape ``(n,)``, of cells ``(F, n)``."""
        card = self.scorecard
        return _sum_over_bins(card.intercept, card.bins, self.contributions(), cells)


def _sum_over_bins(
    intercept: float, bins: tuple[FeatureBins, ...], parts: tuple[Floats, ...], cells: Bytes8
) -> Floats:
    """Intercept plus the part of each record's bin, feature by feature in a fixed order."""
    total = np.full(cells.shape[1], intercept)
    for feature, part, column in zip(bins, parts, cells, strict=True):
        total += part[feature.of_cell][column]
    return total
