"""Log-odds become probabilities without overflow, whatever they are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.models.odds import probability_of_good

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
