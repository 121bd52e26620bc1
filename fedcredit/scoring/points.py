"""The score scale: log-odds become points between 350 and 950, and points become a tier.

    score = offset + factor * ln(odds good : bad)      factor = PDO / ln 2
                                                       offset = base - factor * ln(base odds)

Higher is better. A score is rounded half to even and then clipped to the scale; the
probability of default always comes from the log-odds before rounding. A tier's edges
are half-open, ``[600, 650)``, except that the best tier includes the top of the scale.

Source: Siddiqi (2006), Credit Risk Scorecards, chapter 6, for the scaling; the five tiers
are those of the publicly described Sesame scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from fedcredit.errors import ConfigError, IntegrityError
from fedcredit.models.odds import probability_of_good
from fedcredit.units import Floats, Ints, Points

__all__ = ["STANDARD_SCALE", "TIERS", "ScoreScale", "Tier", "pd_of", "tier_of", "tiers_of"]


@dataclass(frozen=True, slots=True)
class Tier:
    """A named range of scores: from ``low`` up to, not including, ``high``.

    Attributes:
        name: what an applicant is told.
        low: the lowest score of the tier.
        high: the lowest score above the tier; of the best tier, the top of the scale.
        closed: whether ``high`` itself belongs to the tier.
    """

    name: str
    low: Points
    high: Points
    closed: bool = False

    @property
    def interval(self) -> str:
        """The range as it is written: ``[600, 650)``."""
        return f"[{self.low}, {self.high}{']' if self.closed else ')'}"


TIERS: Final = (
    Tier("poor", Points(350), Points(550)),
    Tier("fair", Points(550), Points(600)),
    Tier("good", Points(600), Points(650)),
    Tier("excellent", Points(650), Points(700)),
    Tier("outstanding", Points(700), Points(950), closed=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreScale:
    """How log-odds become points; every field is public and stands in the model's manifest.

    Attributes:
        points_to_double: PDO, points that double the odds of good to bad.
        base_score: the score at ``base_odds``.
        base_odds: goods for each bad at ``base_score``.
        lowest: smallest score given.
        highest: largest score given.
    """

    points_to_double: int = 50
    base_score: int = 600
    base_odds: int = 20
    lowest: int = 350
    highest: int = 950

    def __post_init__(self) -> None:
        """Refuse a scale on which a better applicant would not score higher."""
        for name in ("points_to_double", "base_odds"):
            if not 1 <= getattr(self, name) <= 10_000:
                raise ConfigError(
                    f"scale.{name} is {getattr(self, name)}, expected 1 to 10000",
                    remedy=f"set scale.{name} to a whole number such as 50",
                )
        if not 0 <= self.lowest < self.base_score < self.highest <= 10_000:
            raise ConfigError(
                f"scale runs from {self.lowest} over {self.base_score} to {self.highest}",
                remedy="set lowest < base_score < highest, all from 0 to 10000",
            )

    @property
    def factor(self) -> float:
        """Points for each unit of log-odds."""
        return self.points_to_double / math.log(2.0)

    @property
    def offset(self) -> float:
        """The score at even odds."""
        return self.base_score - self.factor * math.log(self.base_odds)

    def exact(self, log_odds: Floats) -> Floats:
        """Scores before rounding and clipping, shape of ``log_odds``."""
        return np.asarray(self.offset + self.factor * log_odds, dtype=np.float64)

    def scores(self, log_odds: Floats) -> Ints:
        """Scores that are given: rounded half to even, then clipped to the scale.

        Guarantee: never falls when the log-odds rise.

        Args:
            log_odds: of good to bad, any shape; infinite values are clipped.

        Returns:
            Integers from ``lowest`` to ``highest``, of the same shape.

        Raises:
            IntegrityError: a log-odds is NaN: the model is broken, not the applicant.

        >>> STANDARD_SCALE.scores(np.log(np.array([1e-9, 20.0, 40.0, 1e9]))).tolist()
        [350, 600, 650, 950]
        """
        if bool(np.isnan(log_odds).any()):
            raise IntegrityError(
                "the model gave a score that is not a number",
                remedy="fetch the model again and compare its digest with the study's",
            )
        rounded = np.rint(self.exact(log_odds))
        return np.asarray(np.clip(rounded, self.lowest, self.highest), dtype=np.int64)

    def log_odds_at(self, score: float) -> float:
        """The log-odds of good to bad at a score."""
        return (score - self.offset) / self.factor

    def pd_at(self, score: float) -> float:
        """Probability of default at a score.

        >>> round(STANDARD_SCALE.pd_at(600), 6) == round(1 / 21, 6)
        True
        """
        return 1.0 / (1.0 + math.exp(self.log_odds_at(score)))


STANDARD_SCALE: Final = ScoreScale()


def pd_of(log_odds: Floats) -> Floats:
    """Probability of default, 1 / (1 + odds of good), shape of ``log_odds``."""
    return probability_of_good(-log_odds)


def tiers_of(scores: Ints) -> Ints:
    """Index into `TIERS` of each score, same shape.

    >>> [TIERS[tier].name for tier in tiers_of(np.array([549, 550, 649, 650, 950]))]
    ['poor', 'fair', 'good', 'excellent', 'outstanding']
    """
    edges = np.array([tier.low for tier in TIERS[1:]])
    return np.searchsorted(edges, scores, side="right").astype(np.int64)


def tier_of(score: int) -> Tier:
    """The tier of one score."""
    return TIERS[int(tiers_of(np.array([score]))[0])]
