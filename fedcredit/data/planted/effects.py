"""Planted effects: how a made-up record's outcome depends on its columns, stated as data.

The outcome is one logistic model, additive in curves over public values. All
log-odds are of good to bad: higher is better, as in `fedcredit.models`. Missing
values add nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedcredit.units import Flags, Floats, Ints

__all__ = [
    "Cohort",
    "ColumnValues",
    "Curve",
    "Drift",
    "Effect",
    "GroupEffect",
    "Levels",
    "Outcome",
    "Texts",
]

Texts: TypeAlias = NDArray[np.str_]
ColumnValues: TypeAlias = Floats | Ints | Texts  # NaN and "" are missing


@dataclass(frozen=True, slots=True)
class Curve:
    """The effect of a numeric column: linear between public knots, flat beyond them.

    Attributes:
        feature: the column.
        at: the knots, rising, in the column's unit.
        log_odds: what the curve adds at each knot; all 0 for a column without effect.
        low: public range ``[from, to)`` of low values, for the contrast high against low.
        high: public range ``[from, to)`` of high values.
        codes: special codes and what each adds.
    """

    feature: str
    at: tuple[float, ...]
    log_odds: tuple[float, ...]
    low: tuple[float, float]
    high: tuple[float, float]
    codes: tuple[tuple[float, float], ...] = ()

    @property
    def sign(self) -> int:
        """+1 where log-odds of good rise with the value, -1 where they fall, 0 for no effect."""
        return int(np.sign(self.log_odds[-1] - self.log_odds[0]))

    def part(self, values: ColumnValues) -> Floats:
        """What each value adds to the log-odds, shape ``(n,)``."""
        numbers = np.asarray(values, dtype=np.float64)
        added = np.interp(numbers, self.at, self.log_odds)
        for code, log_odds in self.codes:
            added[numbers == code] = log_odds
        added[np.isnan(numbers)] = 0.0
        return np.asarray(added)


@dataclass(frozen=True, slots=True)
class Levels:
    """The effect of a categorical column.

    Attributes:
        feature: the column.
        categories: its categories.
        log_odds: what each adds; all 0 for a column without effect.
        low: categories on the low side of the contrast.
        high: categories on the high side.
    """

    feature: str
    categories: tuple[str, ...]
    log_odds: tuple[float, ...]
    low: tuple[str, ...]
    high: tuple[str, ...]

    @property
    def sign(self) -> int:
        """+1 where ``high`` adds more than ``low``, -1 where less, 0 for no effect."""
        added = dict(zip(self.categories, self.log_odds, strict=True))
        low, high = (
            sum(added[name] for name in names) / len(names) for names in (self.low, self.high)
        )
        return int(np.sign(high - low))

    def part(self, values: ColumnValues) -> Floats:
        """What each value adds to the log-odds, shape ``(n,)``."""
        added = np.zeros(len(values))
        for category, log_odds in zip(self.categories, self.log_odds, strict=True):
            if log_odds:
                added[values == category] = log_odds
        return added


Effect: TypeAlias = Curve | Levels


@dataclass(frozen=True, slots=True)
class GroupEffect:
    """What belonging to a protected group adds, which no feature carries.

    Attributes:
        attribute: the protected column.
        group: its category.
        log_odds: what it adds.
    """

    attribute: str
    group: str
    log_odds: float


@dataclass(frozen=True, slots=True)
class Drift:
    """A feature whose values move from some vintage on.

    Attributes:
        feature: the column.
        first_month: the first vintage, counted from 0, that differs.
        factor: by which the expected value is then multiplied.
    """

    feature: str
    first_month: int
    factor: float


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Records with everything that their outcome depends on.

    Attributes:
        columns: the table's columns but for ids and label, shape ``(n,)`` each.
        thin: True where a record has no credit history, shape ``(n,)``.
        month: vintage counted from 0, shape ``(n,)``.
        intercept: the institution's own log-odds of good, shape ``(n,)``.
    """

    columns: Mapping[str, ColumnValues]
    thin: Flags
    month: Ints
    intercept: Floats


@dataclass(frozen=True, slots=True)
class Outcome:
    """The logistic model that outcomes are drawn from.

    Attributes:
        effects: one for each feature, without effect or with one.
        thin: what having no credit history adds.
        thin_factor: by which the effect of an alternative feature is multiplied where there is
            no credit history: the planted interaction.
        alternative: the features whose effects are multiplied.
        groups: effects of protected groups.
        downturn_month: the first vintage, counted from 0, of a downturn.
        downturn: what the downturn adds.
        drifts: features that move over the vintages.
    """

    effects: tuple[Effect, ...]
    thin: float
    thin_factor: float
    alternative: tuple[str, ...]
    groups: tuple[GroupEffect, ...]
    downturn_month: int
    downturn: float
    drifts: tuple[Drift, ...]

    def log_odds(self, cohort: Cohort) -> Floats:
        """Log-odds of good to bad of each record, shape ``(n,)``."""
        total = cohort.intercept + self.thin * cohort.thin
        total += self.downturn * (cohort.month >= self.downturn_month)
        stress = np.where(cohort.thin, self.thin_factor, 1.0)
        for effect in self.effects:
            if effect.sign:
                part = effect.part(cohort.columns[effect.feature])
                total += part * stress if effect.feature in self.alternative else part
        for group in self.groups:
            total += group.log_odds * (cohort.columns[group.attribute] == group.group)
        return total

    def bad_probability(self, cohort: Cohort) -> Floats:
        """Probability of bad of each record, shape ``(n,)``."""
        return np.asarray(1.0 / (1.0 + np.exp(self.log_odds(cohort))))

    def factor(self, feature: str, month: Ints) -> Floats:
        """By how much drift multiplies a feature's expected value, shape ``(n,)``."""
        factor = np.ones(len(month))
        for drift in self.drifts:
            if drift.feature == feature:
                factor[month >= drift.first_month] *= drift.factor
        return factor
