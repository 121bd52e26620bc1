"""From noisy class histograms to bins with smoothed WoE: the first round of every learner.

Levels of coarse and fine counts are reconciled, cells are merged until a bin stands out
of its noise, and each bin's WoE is shrunk by its own known variance and made monotone
where the data contract declares a direction. All of it is post-processing.

Source: consistency of levels, Hay et al. (2010), arXiv 0904.0942, Theorem 3;
WoE and information value, Siddiqi (2006), chapter 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fedcredit.data.schema import Categorical, Numeric, Schema
from fedcredit.learners.directions import isotonic
from fedcredit.learners.program import COUNT_STEPS, NoisyTotal
from fedcredit.models.bins import FeatureBins
from fedcredit.models.queries import Histograms
from fedcredit.units import Floats, Ints

__all__ = ["Binned", "fold_histograms", "histogram_query"]

MOST_COARSE = 24  # levels are added until so few ordered groups remain
BRANCH = 4
BINS = 28  # a bin may close at 1/28 of all records or of all bads
FEWEST = 15.0  # and with at least so many expected bads, whatever the noise
PRIOR = 30.0  # pseudo-records of the base rate in every bin's WoE
STEP_VARIANCE = 0.15  # of the random walk that WoE follows from bin to bin
LEVEL_PRECISION = 0.1  # of WoE around 0: 1 / (3.2 log-odds) squared
MOST_WOE = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Binned:
    """What the first round taught.

    Attributes:
        bins: one a feature, in rank order: natural order where there is one, with cells of no order
            placed by their WoE; categories by their WoE.
        ordered: ranks of each feature's bins that have a natural order, rising.
        signs: of good's log-odds along them: +1, -1, or 0 where no direction is declared.
        goods: noisy number of goods, at least 1.
        bads: noisy number of bads, at least 1.
    """

    bins: tuple[FeatureBins, ...]
    ordered: tuple[Ints, ...]
    signs: tuple[int, ...]
    goods: float
    bads: float

    @property
    def base(self) -> float:
        """Log-odds of good to bad over all records."""
        return float(np.log(self.goods / self.bads))

    @property
    def records(self) -> float:
        """Noisy number of records."""
        return self.goods + self.bads


def histogram_query(schema: Schema) -> Histograms:
    """The first question: class histograms of every feature on every level."""
    features = schema.features
    return Histograms(
        ordered=tuple(feature.ordered for feature in features),
        extra=tuple(feature.cell_count - feature.ordered for feature in features),
        groups=tuple(_groups(feature.ordered) for feature in features),
        steps=COUNT_STEPS,
    )


def fold_histograms(schema: Schema, query: Histograms, total: NoisyTotal) -> Binned:
    """Turn the noisy histograms into bins.

    Args:
        schema: the data contract.
        query: the question, from `histogram_query`.
        total: its answer.
    """
    counted = [
        _reconcile(query, feature, levels) for feature, levels in enumerate(_levels(query, total))
    ]
    weights = np.array([1.0 / one.terms for one in counted])
    totals = np.array([one.totals for one in counted])
    goods, bads = np.maximum((weights[:, None] * totals).sum(axis=0) / weights.sum(), 1.0)
    ruler = _Ruler(float(goods), float(bads), total.sd / query.steps)
    features = zip(schema.features, counted, strict=True)
    binned = [_bin(feature, one, ruler) for feature, one in features]
    return Binned(
        bins=tuple(bins for bins, _ in binned),
        ordered=tuple(ordered for _, ordered in binned),
        signs=tuple(-feature.sign for feature in schema.features),
        goods=ruler.goods,
        bads=ruler.bads,
    )


@dataclass(frozen=True, slots=True)
class _Ruler:
    """When a bin is large enough to stand out of the noise of one count."""

    goods: float
    bads: float
    sd: float

    @property
    def bad_rate(self) -> float:
        return self.bads / (self.goods + self.bads)

    def bads_in(self, count: Floats) -> float:
        """Bads of a group, or those expected of its size if more."""
        return float(max(count[1], self.bad_rate * count.sum()))

    def large(self, count: Floats, part: float) -> bool:
        """It holds ``part`` of all records or of all bads."""
        return bool(count.sum() >= part * (self.goods + self.bads) or count[1] >= part * self.bads)

    def clear(self, count: Floats, terms: int) -> bool:
        """Its bads stand out of the noise of ``terms`` counts."""
        return self.bads_in(count) >= max(2.0 * self.sd * math.sqrt(terms), FEWEST)


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """One feature's reconciled counts: levels of (groups, 2), and the cells of no order."""

    groups: tuple[int, ...]
    levels: tuple[Floats, ...]
    extra: Floats

    @property
    def terms(self) -> int:
        """Independent noises in the feature's totals."""
        return len(self.levels[-1]) + len(self.extra)

    @property
    def totals(self) -> Floats:
        """Goods and bads over all cells."""
        return np.asarray(self.levels[-1].sum(axis=0) + self.extra.sum(axis=0), dtype=np.float64)


def _groups(ordered: int) -> tuple[int, ...]:
    """Group sizes of a feature's levels: 1, 4, 16, ... until few groups remain."""
    sizes = [1]
    while ordered / sizes[-1] > MOST_COARSE:
        sizes.append(sizes[-1] * BRANCH)
    return tuple(sizes)


def _levels(query: Histograms, total: NoisyTotal) -> Iterator[list[Floats]]:
    """Cut a total into tables (cells, 2) by feature and level."""
    start = 0
    for feature in range(len(query.ordered)):
        tables = []
        for size in query.level_sizes(feature):
            part = total.value[start : start + 2 * size]
            tables.append(part.reshape(2, size).T / query.steps)
            start += 2 * size
        yield tables


def _reconcile(query: Histograms, feature: int, tables: list[Floats]) -> _Counted:
    """Make the levels agree: weighted means upwards, then differences shared downwards."""
    ordered, groups = query.ordered[feature], query.groups[feature]
    estimates, variances = [tables[0][:ordered]], [np.ones(ordered)]
    for table in tables[1:]:
        starts = np.arange(0, len(estimates[-1]), BRANCH)
        below = np.add.reduceat(estimates[-1], starts, axis=0)
        var = np.add.reduceat(variances[-1], starts)
        estimates.append((table * var[:, None] + below) / (1.0 + var)[:, None])
        variances.append(var / (1.0 + var))
    for level in range(len(groups) - 2, -1, -1):
        size = len(estimates[level])
        starts = np.arange(0, size, BRANCH)
        parent = np.arange(size) // BRANCH
        below = np.add.reduceat(estimates[level], starts, axis=0)
        var = np.add.reduceat(variances[level], starts)
        part = (variances[level] / var[parent])[:, None]
        estimates[level] = estimates[level] + part * (estimates[level + 1] - below)[parent]
    return _Counted(groups, tuple(estimates), tables[0][ordered:])


@dataclass(frozen=True, slots=True, eq=False)
class _Group:
    """Cells that share a bin: a run of ordered cells, or some cells of no order."""

    cells: tuple[int, ...]
    count: Floats
    terms: int

    def joined(self, other: _Group) -> _Group:
        return _Group(self.cells + other.cells, self.count + other.count, self.terms + other.terms)


def _refine(one: _Counted, ruler: _Ruler) -> list[_Group]:
    """Ordered cells as coarse groups, split where both size and noise allow."""
    cells = len(one.levels[0])
    out: list[_Group] = []

    def visit(level: int, index: int) -> None:
        count = one.levels[level][index]
        double = max(2.0 * ruler.sd, FEWEST) * 2.0
        if level and ruler.large(count, 1 / BINS) and ruler.bads_in(count) >= double:
            last = min(BRANCH * (index + 1), len(one.levels[level - 1]))
            for child in range(BRANCH * index, last):
                visit(level - 1, child)
        else:
            size = one.groups[level]
            run = range(index * size, min((index + 1) * size, cells))
            out.append(_Group(tuple(run), count, 1))

    for index in range(len(one.levels[-1])):
        visit(len(one.levels) - 1, index)
    return out


def _merge(groups: list[_Group], ruler: _Ruler) -> list[_Group]:
    """Close a bin, from left to right, once it is large and clear; a weak last one joins."""
    done: list[_Group] = []
    current: _Group | None = None
    for group in groups:
        current = current.joined(group) if current else group
        if ruler.large(current.count, 1 / BINS) and ruler.clear(current.count, current.terms):
            done.append(current)
            current = None
    if current is not None:
        weak = not (
            ruler.large(current.count, 0.5 / BINS)
            and ruler.bads_in(current.count)
            >= max(ruler.sd * math.sqrt(current.terms), 0.5 * FEWEST)
        )
        done.append(done.pop().joined(current) if done and weak else current)
    return done


def _bin(feature: Numeric | Categorical, one: _Counted, ruler: _Ruler) -> tuple[FeatureBins, Ints]:
    """Group, estimate and rank one feature's cells; also the ranks of its ordered bins."""
    ordered = _merge(_refine(one, ruler), ruler)
    singles, rest = _single_out(one, ruler, len(one.levels[0]), named=bool(ordered))
    if rest and not ordered:
        singles.append(rest.pop())
    groups = ordered + singles
    woe, se = _woe(groups, len(ordered), -feature.sign, ruler)
    if rest:  # too few to tell: they take the bin that says least
        neutral = int(np.argmin(np.abs(woe)))
        groups[neutral] = groups[neutral].joined(rest.pop())
    order = _rank(woe, len(ordered))
    of_cell = np.zeros(feature.cell_count, dtype=np.uint8)
    for rank, index in enumerate(order):
        of_cell[list(groups[index].cells)] = rank
    counts = np.maximum([groups[index].count for index in order], 0.5)
    counts *= np.array([ruler.goods, ruler.bads]) / counts.sum(axis=0)
    labels = tuple(_label(feature, groups[index].cells) for index in order)
    bins = FeatureBins(
        feature.name, of_cell, labels, counts[:, 0], counts[:, 1], woe[order], se[order]
    )
    return bins, np.flatnonzero(np.array(order) < len(ordered))


def _single_out(
    one: _Counted, ruler: _Ruler, first: int, *, named: bool
) -> tuple[list[_Group], list[_Group]]:
    """Cells of no order that stand alone, and the others as at most one group."""
    singles: list[_Group] = []
    rest: list[_Group] = []
    for index, count in enumerate(one.extra):
        group = _Group((first + index,), count, 1)
        alone = (
            ruler.bads_in(count) > 0.5 * max(2.0 * ruler.sd, FEWEST)
            if named
            else count.sum() > max(5.0 * math.sqrt(2.0) * ruler.sd, 2.0 * FEWEST)
        )
        if alone:
            singles.append(group)
        else:
            rest = [rest.pop().joined(group) if rest else group]
    return singles, rest


def _woe(groups: list[_Group], ordered: int, sign: int, ruler: _Ruler) -> tuple[Floats, Floats]:
    """Smoothed WoE of every group with its standard error."""
    counts = np.maximum([group.count for group in groups], 0.0)
    noise = ruler.sd**2 * np.array([group.terms for group in groups])
    rate = ruler.bad_rate
    good, bad = counts[:, 0] + PRIOR * (1.0 - rate), counts[:, 1] + PRIOR * rate
    raw = np.log(good / bad) - np.log((1.0 - rate) / rate)
    var = (noise + good) / good**2 + (noise + bad) / bad**2
    precision = np.diag(1.0 / var + LEVEL_PRECISION)
    if ordered > 2:
        walk = np.diff(np.eye(len(groups))[:ordered], axis=0)
        precision += walk.T @ walk / STEP_VARIANCE
    covariance = np.linalg.inv(precision)
    woe = covariance @ (raw / var)
    if sign and ordered > 1:
        woe[:ordered] = isotonic(woe[:ordered], 1.0 / var[:ordered], sign)
    return np.clip(woe, -MOST_WOE, MOST_WOE), np.sqrt(np.diag(covariance))


def _rank(woe: Floats, ordered: int) -> list[int]:
    """Order of the groups: the ordered ones as they are, the others next to the nearest WoE."""
    if not ordered:
        return [int(index) for index in np.argsort(woe, kind="stable")]
    order = list(range(ordered))
    for index in range(ordered, len(woe)):
        nearest = int(np.argmin(np.abs(woe[order] - woe[index])))
        order.insert(nearest + (nearest >= len(order) / 2), index)
    return order


def _label(feature: Numeric | Categorical, cells: tuple[int, ...]) -> str:
    """What a bin holds, for people: its range, then its cells of no order."""
    names = feature.cell_labels()
    run = [cell for cell in cells if cell < feature.ordered]
    parts = [names[cell] for cell in sorted(cells) if cell >= feature.ordered]
    if run and isinstance(feature, Numeric):
        parts.insert(0, feature.run_label(min(run), max(run)))
    return " or ".join(parts)
