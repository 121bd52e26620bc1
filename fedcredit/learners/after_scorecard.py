"""The scorecard's rounds, and then another program that stands on what they have released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from fedcredit.data.schema import Schema
from fedcredit.learners.program import NoisyTotal, Program, Step, unfinished
from fedcredit.learners.scorecard import Counting, Fitting
from fedcredit.models.queries import Query
from fedcredit.models.released import Model

__all__ = ["Then", "after_scorecard", "card_first"]

CARD_STEPS: Final = (
    Step("histograms", Fraction(26, 100)),
    Step("moments", Fraction(8, 100)),
    Step("gradient", Fraction(7, 100)),
    Step("gradient", Fraction(4, 100)),
)
"""A little less than half of the budget."""

Then: TypeAlias = Callable[[Fitting, tuple[float, ...]], Program]
"""What goes on from a fitted scorecard, with the noise of the rounds that are left."""


def card_first(name: str, rounds: int) -> tuple[Step, ...]:
    """The scorecard's steps, and as many of that name on equal shares of the rest.

    >>> [str(step.share) for step in card_first("leaves", 5)[4:]]
    ['11/100', '11/100', '11/100', '11/100', '11/100']
    """
    rest = 1 - sum(step.share for step in CARD_STEPS)
    return (*CARD_STEPS, *(Step(name, Fraction(rest, rounds)) for _ in range(rounds)))


def after_scorecard(schema: Schema, seed: bytes, noise: tuple[float, ...], then: Then) -> Program:
    """Begin with the scorecard's first round; arguments as those of `Learner.start`."""
    return _Scoring(noise, Counting(schema, seed, noise), then)


@dataclass(frozen=True, slots=True, eq=False)
class _Scoring:
    """The scorecard is under way."""

    noise: tuple[float, ...]
    inner: Program
    then: Then

    def query(self) -> Query:
        """The scorecard's question."""
        return self.inner.query()

    def fold(self, total: NoisyTotal) -> Program:
        """Go on with the scorecard, or with what comes after it."""
        inner, noise = self.inner.fold(total), self.noise[1:]
        if isinstance(inner, Fitting) and not inner.left:
            return self.then(inner, noise)
        return _Scoring(noise, inner, self.then)

    def model(self) -> Model:
        """There is none yet."""
        raise unfinished("a model")
