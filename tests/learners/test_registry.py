"""Learners are found by the name that a study file gives them."""

from __future__ import annotations

import pytest

from fedcredit.errors import ConfigError
from fedcredit.learners.registry import LEARNERS, learner_named


def test_each_learner_answers_to_its_name() -> None:
    names = [learner.name for learner in LEARNERS]

    assert names == ["scorecard", "additive", "boosting"]
    assert [learner_named(name).name for name in names] == names


def test_boosting_with_more_rounds_says_how_many() -> None:
    longer = learner_named("boosting-45")

    assert longer.name == "boosting-45"
    assert sum(step.name == "leaves" for step in longer.steps) == 45
    assert sum(step.share for step in longer.steps) == sum(
        step.share for step in learner_named("boosting").steps
    )


@pytest.mark.parametrize("name", ["boosting-0", "boosting-96", "boosting-05", "additive-3"])
def test_other_numbers_of_rounds_are_unknown(name: str) -> None:
    with pytest.raises(ConfigError, match="learner is"):
        learner_named(name)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'scorecard', 'additive', 'boosting'"):
        learner_named("neural")
