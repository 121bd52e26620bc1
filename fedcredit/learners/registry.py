"""The learners by the name that a study file gives them."""

from __future__ import annotations

from fedcredit.errors import ConfigError
from fedcredit.learners.boosting import MOST_ROUNDS, BoostingLearner
from fedcredit.learners.program import Learner
from fedcredit.learners.scorecard import ScorecardLearner

__all__ = ["LEARNERS", "learner_named"]

LEARNERS: tuple[Learner, ...] = (
    ScorecardLearner(),
    BoostingLearner("additive"),
    BoostingLearner("boosting"),
)


def learner_named(name: str) -> Learner:
    """The learner of that name; ``boosting-N`` has N rounds on its values rather than five.

    Raises:
        ConfigError: there is none.

    >>> len(learner_named("boosting").steps), len(learner_named("boosting-45").steps)
    (9, 49)
    """
    for learner in LEARNERS:
        if learner.name == name:
            return learner
    for rounds in range(1, MOST_ROUNDS + 1):
        if (longer := BoostingLearner("boosting", rounds)).name == name:
            return longer
    known = ", ".join(repr(learner.name) for learner in LEARNERS)
    raise ConfigError(f"learner is {name!r}, expected one of {known}", remedy="use one of these")
