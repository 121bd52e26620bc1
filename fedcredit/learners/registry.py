"""The learners by the name that a study file gives them."""

from __future__ import annotations

from fedcredit.errors import ConfigError
from fedcredit.learners.boosting import BoostingLearner
from fedcredit.learners.program import Learner
from fedcredit.learners.scorecard import ScorecardLearner

__all__ = ["LEARNERS", "learner_named"]

LEARNERS: tuple[Learner, ...] = (
    ScorecardLearner(),
    BoostingLearner("additive"),
    BoostingLearner("boosting"),
)


def learner_named(name: str) -> Learner:
    """The learner of that name.

    Raises:
        ConfigError: there is none.

    >>> len(learner_named("boosting").steps)
    9
    """
    for learner in LEARNERS:
        if learner.name == name:
            return learner
    known = ", ".join(repr(learner.name) for learner in LEARNERS)
    raise ConfigError(f"learner is {name!r}, expected one of {known}", remedy="use one of these")
