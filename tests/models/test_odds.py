"""Log-odds become probabilities, residuals and curvature without overflow, whatever they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.models.odds import curvature, probability_of_good, residual, variation

ANY = st.floats(allow_nan=False, allow_infinity=True)


@given(log_odds=ANY)
def test_a_probability_lies_from_0_to_1(log_odds: float) -> None:
    (found,) = probability_of_good(np.array([log_odds])).tolist()

    assert 0.0 <= found <= 1.0


@given(log_odds=st.floats(-700, 700))
def test_it_is_the_logistic_function(log_odds: float) -> None:
    (found,) = probability_of_good(np.array([log_odds])).tolist()

    assert found == pytest.approx(1.0 / (1.0 + math.exp(-log_odds)), abs=1e-15)


@given(one=ANY, other=ANY)
def test_higher_log_odds_are_never_less_likely_good(one: float, other: float) -> None:
    low, high = probability_of_good(np.array(sorted((one, other)))).tolist()

    assert low <= high


@given(log_odds=ANY)
def test_good_and_bad_are_mirror_images(log_odds: float) -> None:
    good, bad = probability_of_good(np.array([log_odds, -log_odds])).tolist()

    assert good + bad == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("bad", [0, 1])
@given(log_odds=ANY)
def test_a_residual_is_bounded_by_1_and_has_the_sign_of_its_class(
    bad: int, log_odds: float
) -> None:
    """The sensitivity of every gradient rests on this bound."""
    (found,) = residual(np.array([log_odds]), np.array([bad], dtype=np.uint8)).tolist()

    assert -1.0 <= found <= 0.0 if bad else 0.0 <= found <= 1.0


@pytest.mark.parametrize("bad", [0, 1])
@given(log_odds=st.floats(-30, 30))
def test_a_residual_is_that_of_the_probability_over_the_likelier_class(
    bad: int, log_odds: float
) -> None:
    good = 1.0 / (1.0 + math.exp(-log_odds))

    (found,) = residual(np.array([log_odds]), np.array([bad], dtype=np.uint8)).tolist()

    assert found == pytest.approx((1 - bad - good) / max(good, 1 - good), rel=1e-6, abs=1e-12)


@given(log_odds=st.floats(-30, 30))
def test_residuals_vanish_on_average_at_the_true_probability(log_odds: float) -> None:
    """So the loss is proper: it has its minimum where the probabilities are right."""
    good = 1.0 / (1.0 + math.exp(-log_odds))
    both = residual(np.array([log_odds, log_odds]), np.array([0, 1], dtype=np.uint8))

    assert good * both[0] + (1 - good) * both[1] == pytest.approx(0.0, abs=1e-12)


@given(log_odds=st.floats(-30, 30).filter(lambda z: abs(z) > 1e-3))
def test_curvature_is_the_slope_of_the_expected_residual(log_odds: float) -> None:
    """By differences, with the truth held fixed where the log-odds are."""
    good, step = 1.0 / (1.0 + math.exp(-log_odds)), 1e-5
    around = np.array([log_odds - step, log_odds + step])
    of_good, of_bad = (
        np.diff(residual(around, np.full(2, bad, dtype=np.uint8)))[0] / (2 * step) for bad in (0, 1)
    )

    (found,) = curvature(np.array([log_odds])).tolist()

    assert found == pytest.approx(-(good * of_good + (1 - good) * of_bad), rel=1e-4, abs=1e-8)
    assert found == pytest.approx(min(good, 1 - good), rel=1e-6, abs=1e-12)


@given(log_odds=ANY)
def test_curvature_is_never_negative(log_odds: float) -> None:
    assert 0.0 <= float(curvature(np.array([log_odds]))[0]) <= 0.5


@given(log_odds=st.floats(-30, 30))
def test_variation_is_the_variance_of_the_residual(log_odds: float) -> None:
    """Its mean is 0 at the true probability, so that of its square."""
    good = 1.0 / (1.0 + math.exp(-log_odds))
    both = residual(np.array([log_odds, log_odds]), np.array([0, 1], dtype=np.uint8))

    (found,) = variation(np.array([log_odds])).tolist()

    assert found == pytest.approx(good * both[0] ** 2 + (1 - good) * both[1] ** 2, rel=1e-6)
