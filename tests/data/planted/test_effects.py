"""The outcome is the stated logistic model, term by term."""

from __future__ import annotations

import numpy as np
import pytest

from fedcredit.data.planted.effects import (
    Cohort,
    Curve,
    Drift,
    GroupEffect,
    Levels,
    Outcome,
)

LATE = Curve("late", (0, 1, 3), (0.5, 0.0, -1.0), low=(0, 1), high=(2, 9), codes=((-7.0, 0.25),))
KIND = Levels("kind", ("a", "b", "c"), (0.5, -0.25, 0.0), low=("b", "c"), high=("a",))
NOTHING = Curve("noise", (0, 1), (0.0, 0.0), low=(0, 0.5), high=(0.5, 1))
OUTCOME = Outcome(
    effects=(LATE, KIND, NOTHING),
    thin=-0.75,
    thin_factor=2.0,
    alternative=("kind",),
    groups=(GroupEffect("sex", "F", 0.125),),
    downturn_month=18,
    downturn=-0.0625,
    drifts=(Drift("late", 12, 1.5), Drift("late", 18, 2.0)),
)


def cohort(*, late: float, kind: str, sex: str, thin: bool, month: int) -> Cohort:
    """One record at an institution whose own log-odds of good are 2."""
    columns = {
        "late": np.array([late]),
        "kind": np.array([kind]),
        "sex": np.array([sex]),
        "noise": np.array([0.5]),
    }
    return Cohort(columns, np.array([thin]), np.array([month]), np.array([2.0]))


@pytest.mark.parametrize(
    ("value", "added"),
    [(0, 0.5), (0.5, 0.25), (2, -0.5), (9, -1.0), (-3, 0.5), (-7, 0.25), (np.nan, 0.0)],
)
def test_a_curve_is_linear_between_knots_and_flat_beyond(value: float, added: float) -> None:
    """A special code has its own effect; a missing value has none."""
    assert LATE.part(np.array([value])).tolist() == [added]


def test_levels_add_what_their_category_says() -> None:
    assert KIND.part(np.array(["a", "b", "c", "", "d"])).tolist() == [0.5, -0.25, 0, 0, 0]


def test_signs_are_of_good_as_the_value_rises() -> None:
    assert (LATE.sign, KIND.sign, NOTHING.sign) == (-1, 1, 0)


@pytest.mark.parametrize(
    ("record", "log_odds"),
    [
        (cohort(late=0, kind="c", sex="M", thin=False, month=0), 2.5),
        (cohort(late=1, kind="a", sex="M", thin=False, month=0), 2.5),
        (cohort(late=1, kind="c", sex="F", thin=False, month=17), 2.125),
        (cohort(late=1, kind="c", sex="M", thin=False, month=18), 1.9375),
        (cohort(late=np.nan, kind="c", sex="M", thin=True, month=0), 1.25),
        (cohort(late=np.nan, kind="a", sex="M", thin=True, month=0), 2.25),
    ],
)
def test_the_outcome_adds_up(record: Cohort, log_odds: float) -> None:
    """Alternative effects, and no others, count twice for a thin file."""
    assert OUTCOME.log_odds(record).tolist() == [log_odds]
    assert OUTCOME.bad_probability(record)[0] == pytest.approx(1 / (1 + np.exp(log_odds)))


def test_drift_multiplies_from_its_month_on() -> None:
    months = np.array([0, 11, 12, 17, 18, 23])
    assert OUTCOME.factor("late", months).tolist() == [1, 1, 1.5, 1.5, 3, 3]
    assert OUTCOME.factor("kind", months).tolist() == [1] * 6
