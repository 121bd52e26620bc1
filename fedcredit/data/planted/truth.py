"""Ground truth of the made-up tables: what is planted, and how it shows in a large population.

Every figure is taken from a reference population's probabilities, so a test can
hold what a learner finds against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fedcredit.data.columns import Categorical, Column, Numeric, plain_number
from fedcredit.data.planted.effects import Curve, Effect, Levels, Outcome
from fedcredit.data.planted.reference import Reference
from fedcredit.errors import LocalError
from fedcredit.units import Flags, Floats

__all__ = [
    "Disparity",
    "DriftFound",
    "InstitutionFound",
    "Interaction",
    "Planted",
    "Truth",
    "ground_truth",
]


@dataclass(frozen=True, slots=True)
class Planted:
    """A feature's effect, as a contrast of log-odds of good between public ranges.

    Attributes:
        feature: the column.
        sign: of the column's own effect on the log-odds of good as the value rises; 0 for none.
        low: the low range, for people.
        high: the high range, for people.
        low_cells: the schema's cells in the low range.
        high_cells: the schema's cells in the high range.
        own_contrast: mean of the column's own curve in the high range less that in the low one.
        log_odds_contrast: WoE of the high range less WoE of the low one, other columns going
            along as they do: what a table of one feature shows.
        standard_error: of ``log_odds_contrast``, because the reference is finite; a little too
            small, as customers of several institutions count as several people.
    """

    feature: str
    sign: int
    low: str
    high: str
    low_cells: tuple[int, ...]
    high_cells: tuple[int, ...]
    own_contrast: float
    log_odds_contrast: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Interaction:
    """An alternative feature's contrast for thin files and for the others.

    Attributes:
        feature: the column.
        factor: by which its own curve is multiplied for thin files.
        thin_contrast: WoE of the high range less WoE of the low one among thin files.
        other_contrast: the same among records with a credit history.
    """

    feature: str
    factor: float
    thin_contrast: float
    other_contrast: float


@dataclass(frozen=True, slots=True)
class DriftFound:
    """How far a drifting feature moves.

    Attributes:
        feature: the column.
        first_month: the first vintage, counted from 0, that differs.
        factor: by which its expected value is then multiplied.
        psi: population stability index of its cells, from that month on against before.
    """

    feature: str
    first_month: int
    factor: float
    psi: float


@dataclass(frozen=True, slots=True)
class Disparity:
    """How a protected group fares.

    Attributes:
        attribute: the protected column.
        group: its category.
        share: of all records.
        bad_rate: the group's.
        ratio: its bad rate over that of all others.
        own_log_odds: what membership itself adds, which no feature carries.
    """

    attribute: str
    group: str
    share: float
    bad_rate: float
    ratio: float
    own_log_odds: float


@dataclass(frozen=True, slots=True)
class InstitutionFound:
    """An institution in the reference population.

    Attributes:
        name: the institution.
        share: of all records.
        bad_rate: of its records.
        thin_share: of its records, those without a credit history.
    """

    name: str
    share: float
    bad_rate: float
    thin_share: float


@dataclass(frozen=True, slots=True)
class Truth:
    """All that is planted in a table.

    Attributes:
        records: size of the reference population.
        bad_rate: over all its records.
        best_auc: of the true probabilities; no model can rank better.
        planted: one for each feature, in the schema's order.
        interactions: one for each alternative feature that has an effect.
        drifts: the features that move.
        downturn_month: the first vintage, counted from 0, of the downturn.
        downturn: what it adds to the log-odds of good.
        bad_rate_before: of the vintages before.
        bad_rate_after: of the others.
        disparities: one for each protected group.
        institutions: one for each institution.
        outcome: the model that outcomes are drawn from.
    """

    records: int
    bad_rate: float
    best_auc: float
    planted: tuple[Planted, ...]
    interactions: tuple[Interaction, ...]
    drifts: tuple[DriftFound, ...]
    downturn_month: int
    downturn: float
    bad_rate_before: float
    bad_rate_after: float
    disparities: tuple[Disparity, ...]
    institutions: tuple[InstitutionFound, ...]
    outcome: Outcome

    def of(self, feature: str) -> Planted:
        """What is planted in one feature."""
        return next(planted for planted in self.planted if planted.feature == feature)


def ground_truth(reference: Reference) -> Truth:
    """Take all figures from a reference population.

    Args:
        reference: the population.

    Returns:
        What is planted, and how it shows.
    """
    outcome, cohort, bad = reference.outcome, reference.cohort, reference.bad_probability
    late = cohort.month >= outcome.downturn_month
    return Truth(
        records=len(bad),
        bad_rate=float(bad.mean()),
        best_auc=_best_auc(bad),
        planted=tuple(_planted(reference, effect) for effect in outcome.effects),
        interactions=tuple(
            _interaction(reference, effect)
            for effect in outcome.effects
            if effect.sign and effect.feature in outcome.alternative
        ),
        drifts=tuple(
            DriftFound(
                drift.feature,
                drift.first_month,
                drift.factor,
                _psi(reference, drift.feature, cohort.month >= drift.first_month),
            )
            for drift in outcome.drifts
        ),
        downturn_month=outcome.downturn_month,
        downturn=outcome.downturn,
        bad_rate_before=float(bad[~late].mean()),
        bad_rate_after=float(bad[late].mean()),
        disparities=tuple(_disparities(reference)),
        institutions=tuple(
            InstitutionFound(
                name,
                float((reference.institution == at).mean()),
                float(bad[reference.institution == at].mean()),
                float(cohort.thin[reference.institution == at].mean()),
            )
            for at, name in enumerate(reference.institutions)
        ),
        outcome=outcome,
    )


def _ranges(column: Column, effect: Effect) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The cells that lie wholly in the low and in the high range."""
    match column, effect:
        case Numeric(), Curve():
            ends = np.concatenate(([column.low], column.edges, [column.high]))
            ranges = [
                (ends[:-1] >= start) & (ends[1:] <= end) for start, end in (effect.low, effect.high)
            ]
        case Categorical(), Levels():
            ranges = [np.isin(column.categories, names) for names in (effect.low, effect.high)]
        case _:
            raise LocalError(
                f"column {effect.feature!r} and its effect are of two kinds",
                remedy="plant a curve in numbers and levels in categories",
            )
    low, high = (tuple(np.flatnonzero(inside).tolist()) for inside in ranges)
    return low, high


def _range_names(effect: Effect) -> tuple[str, str]:
    """Both ranges, for people."""
    if isinstance(effect, Levels):
        return " or ".join(effect.low), " or ".join(effect.high)
    low, high = (
        f"[{plain_number(start)}, {plain_number(end)}]" for start, end in (effect.low, effect.high)
    )
    return low, high


def _planted(reference: Reference, effect: Effect) -> Planted:
    """What is planted in one feature."""
    features = reference.schema.features
    place = [column.name for column in features].index(effect.feature)
    low_cells, high_cells = _ranges(features[place], effect)
    low, high = _range_names(effect)
    inside = [np.isin(reference.cells[place], cells) for cells in (low_cells, high_cells)]
    part = effect.part(reference.cohort.columns[effect.feature])
    contrast, error = _contrast(reference.bad_probability, inside[0], inside[1])
    return Planted(
        feature=effect.feature,
        sign=effect.sign,
        low=low,
        high=high,
        low_cells=low_cells,
        high_cells=high_cells,
        own_contrast=float(part[inside[1]].mean() - part[inside[0]].mean()),
        log_odds_contrast=contrast,
        standard_error=error,
    )


def _interaction(reference: Reference, effect: Effect) -> Interaction:
    """One feature's contrast for thin files and for others."""
    features = reference.schema.features
    place = [column.name for column in features].index(effect.feature)
    low, high = (
        np.isin(reference.cells[place], cells) for cells in _ranges(features[place], effect)
    )
    thin = reference.cohort.thin
    contrasts = [
        _contrast(reference.bad_probability, low & among, high & among)[0]
        for among in (thin, ~thin)
    ]
    return Interaction(effect.feature, reference.outcome.thin_factor, contrasts[0], contrasts[1])


def _contrast(bad: Floats, low: Flags, high: Flags) -> tuple[float, float]:
    """Log-odds of good in the high range less those in the low one, and their standard error."""
    log_odds, variance = [], 0.0
    for inside in (low, high):
        bads, goods = bad[inside].sum(), (1.0 - bad[inside]).sum()
        log_odds.append(float(np.log(goods / bads)))
        # Each record moves ln(goods / bads) by its influence; their squares add up.
        variance += float((((1.0 - bad[inside]) / goods - bad[inside] / bads) ** 2).sum())
    return log_odds[1] - log_odds[0], variance**0.5


def _psi(reference: Reference, feature: str, late: Flags) -> float:
    """Population stability index of a feature's cells, late vintages against early ones."""
    shares = []
    for among in (late, ~late):
        masses = reference.masses(feature, among).sum(axis=1) + 0.5
        shares.append(masses / masses.sum())
    return float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())


def _disparities(reference: Reference) -> Iterator[Disparity]:
    """How each protected group fares."""
    bad = reference.bad_probability
    own = {(one.attribute, one.group): one.log_odds for one in reference.outcome.groups}
    for column in reference.schema.columns:
        if column.protected and isinstance(column, Categorical):
            for group in column.categories:
                inside = reference.cohort.columns[column.name] == group
                rate = float(bad[inside].mean())
                yield Disparity(
                    attribute=column.name,
                    group=group,
                    share=float(inside.mean()),
                    bad_rate=rate,
                    ratio=rate / float(bad[~inside].mean()),
                    own_log_odds=own.get((column.name, group), 0.0),
                )


def _best_auc(bad: Floats) -> float:
    """Expected area under the ROC curve of the true probabilities."""
    rising = np.sort(bad)
    goods_below = np.cumsum(1.0 - rising) - 0.5 * (1.0 - rising)
    return float((rising * goods_below).sum() / (rising.sum() * (1.0 - rising).sum()))
