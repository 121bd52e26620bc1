"""Learners are found by the name that a study file gives them."""

from __future__ import annotations

import pytest

from fedcredit.errors import ConfigError
from fedcredit.learners.registry import LEARNERS, learner_named


def test_each_learner_answers_to_its_name() -> None:
    names = [learner.name for learner in LEARNERS]

    assert names == ["scorecard", "additive", "boosting"]
    assert [learner_named(name).name for name in names] == names


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="'scorecard', 'additive', 'boosting'"):
        learner_named("neural")
