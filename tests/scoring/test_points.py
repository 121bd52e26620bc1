"""The score scale is the one that is printed, and never ranks two applicants wrongly."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import ConfigError, IntegrityError
from fedcredit.scoring.points import STANDARD_SCALE, TIERS, ScoreScale, pd_of, tier_of, tiers_of

log_odds = st.floats(-40, 40)


def test_the_anchor_and_the_doubling() -> None:
    """600 points at 20 : 1, and 50 points more double the odds."""
    odds = np.log([10.0, 20.0, 40.0, 80.0])
    assert STANDARD_SCALE.scores(odds).tolist() == [550, 600, 650, 700]
    np.testing.assert_allclose(STANDARD_SCALE.exact(odds), [550, 600, 650, 700], rtol=1e-14)


@given(st.lists(log_odds, min_size=2, max_size=20))
def test_better_odds_never_score_lower(values: list[float]) -> None:
    """Score and tier rise with the log-odds, and the PD falls."""
    rising = np.sort(np.array(values))
    scores = STANDARD_SCALE.scores(rising)
    assert (np.diff(scores) >= 0).all()
    assert (np.diff(tiers_of(scores)) >= 0).all()
    assert (np.diff(pd_of(rising)) <= 0).all()
    assert scores.min() >= 350
    assert scores.max() <= 950


@given(st.integers(350, 949))
def test_a_half_rounds_to_even(score: int) -> None:
    """No drift upwards or downwards: the rounding that is stated is the one used."""
    scale = ScoreScale(points_to_double=64, base_score=600, base_odds=1)
    between = np.array([(score + 0.5 - 600) * math.log(2) / 64])
    exact = scale.exact(between)
    if exact[0] != score + 0.5:  # the log-odds of this half is no float
        return
    assert scale.scores(between)[0] == round(Fraction(2 * score + 1, 2))


@pytest.mark.parametrize(
    ("score", "name"),
    [
        (350, "poor"), (549, "poor"), (550, "fair"), (599, "fair"), (600, "good"), (649, "good"),
        (650, "excellent"), (699, "excellent"), (700, "outstanding"), (950, "outstanding"),
    ],
)  # fmt: skip
def test_tier_edges_are_half_open(score: int, name: str) -> None:
    """An edge belongs to the better tier, and the top of the scale to the best."""
    assert tier_of(score).name == name


def test_tiers_cover_the_scale_without_gap() -> None:
    """Every score that is given has exactly one tier."""
    assert TIERS[0].low == STANDARD_SCALE.lowest
    assert TIERS[-1].high == STANDARD_SCALE.highest
    assert [tier.high for tier in TIERS[:-1]] == [tier.low for tier in TIERS[1:]]
    assert [tier.interval for tier in TIERS[3:]] == ["[650, 700)", "[700, 950]"]


@given(st.floats(350, 950))
def test_pd_at_a_score_is_that_of_its_odds(score: float) -> None:
    """The table of tier edges and the scores of applicants use one formula."""
    odds = STANDARD_SCALE.log_odds_at(score)
    assert math.isclose(float(STANDARD_SCALE.exact(np.array([odds]))[0]), score, rel_tol=1e-12)
    expected = float(pd_of(np.array([odds]))[0])
    assert math.isclose(STANDARD_SCALE.pd_at(score), expected, rel_tol=1e-9)


def test_infinite_odds_are_clipped_and_nan_is_refused() -> None:
    """No applicant gets a number outside the scale, or a made-up one."""
    assert STANDARD_SCALE.scores(np.array([-np.inf, np.inf])).tolist() == [350, 950]
    with pytest.raises(IntegrityError, match="not a number"):
        STANDARD_SCALE.scores(np.array([0.0, np.nan]))


@pytest.mark.parametrize(
    "field", [{"points_to_double": 0}, {"base_odds": 0}, {"base_score": 950}, {"lowest": 700}]
)
def test_a_scale_that_would_not_rise_is_refused(field: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="scale"):
        ScoreScale(**field)
