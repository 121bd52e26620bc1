"""The scorecard first, and what comes after it is handed what is left."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import LocalError
from fedcredit.learners.after_scorecard import after_scorecard, card_first
from fedcredit.learners.program import NoisyTotal, Program
from fedcredit.learners.scorecard import Fitting, ScorecardLearner
from tests.learners.studies import DIRECTED

SEED = bytes(16)
NOISE = (5.0, 6.0, 7.0, 8.0, 9.0)


@given(st.integers(1, 95))
def test_the_shares_are_the_whole_whatever_comes_after(rounds: int) -> None:
    steps = card_first("more", rounds)

    assert sum(step.share for step in steps) == 1
    assert [step.name for step in steps[4:]] == ["more"] * rounds
    assert len({step.share for step in steps[4:]}) == 1
    assert [s.name for s in steps[:4]] == [s.name for s in ScorecardLearner().steps]


def test_the_rest_begins_once_when_the_scorecard_is_fitted_with_the_noise_that_is_left() -> None:
    begun: list[tuple[Fitting, tuple[float, ...]]] = []

    def then(card: Fitting, noise: tuple[float, ...]) -> Program:
        begun.append((card, noise))
        return card

    program = after_scorecard(DIRECTED, SEED, NOISE, then)
    for _ in range(4):
        assert begun == []
        with pytest.raises(LocalError, match="a model out of order"):
            program.model()
        zero = NoisyTotal(np.zeros(program.query().dim, dtype=np.int64), 100)
        program = program.fold(zero)

    ((card, noise),) = begun
    assert program is card
    assert noise == NOISE[4:]
