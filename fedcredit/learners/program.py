"""The port of every learner: a study is a short program of private sums.

    program = learner.start(schema, seed, noise)
    for step in learner.steps:
        query = program.query()                  the next question, public
        total = ...                              its noisy sum over the institutions
        program = program.fold(total)            post-processing: free
    model = program.model()

A program is a frozen value: folding returns the next one and changes nothing. All that
it holds was released or is public, so nothing in this package can spend any budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

from fedcredit.data.schema import Schema
from fedcredit.errors import LocalError
from fedcredit.models.queries import Query
from fedcredit.models.released import Model
from fedcredit.units import Ints

__all__ = ["COUNT_STEPS", "Learner", "NoisyTotal", "Program", "Step", "grid_steps", "unfinished"]

MOST_NOISE = 1 << 19  # grid steps of one institution's noise: variances stay below 2**40
COUNT_STEPS = 16  # grid steps of a record in a count: noise of a quarter record can be drawn
FINEST = 1 << 12  # grid steps of a clip: finer than this the rounding is already invisible


@dataclass(frozen=True, slots=True)
class Step:
    """One round of a program, known before anything runs.

    Attributes:
        name: what is asked.
        share: the part of the study's rho that it spends; the shares of a program sum to 1.
        rate: at which each record is in a secret sample that is drawn for this round alone,
            in parts of 2^-20, below all of them; None where all records are asked. What its
            total is divided by is then the rate times the declared records.
    """

    name: str
    share: Fraction
    rate: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NoisyTotal:
    """A released sum over the institutions, in grid steps.

    Attributes:
        value: shape ``(dim,)``.
        variance: of the noise in every entry of ``value``, in grid steps squared.
    """

    value: Ints
    variance: int

    @property
    def sd(self) -> float:
        """Standard deviation of the noise in every entry, in grid steps."""
        return math.sqrt(self.variance)


@runtime_checkable
class Program(Protocol):
    """A study under way."""

    def query(self) -> Query:
        """The next question; LocalError when there is none."""
        ...

    def fold(self, total: NoisyTotal) -> Program:
        """The program after the answer to `query`."""
        ...

    def model(self) -> Model:
        """The model learned; LocalError before the last answer is folded in."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A way to learn a model: its rounds, and the program that runs them."""

    @property
    def name(self) -> str:
        """The name that a study file gives it."""
        ...

    @property
    def steps(self) -> tuple[Step, ...]:
        """The rounds with their shares of the budget."""
        ...

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        """Begin.

        Args:
            schema: the data contract; its features are what is learned from.
            seed: public randomness, for the structure of trees and stand-in records.
            noise: for each step, one institution's noise sd over the question's
                sensitivity; a question's grid is chosen by it.
        """
        ...


def grid_steps(noise: float, degree: int = 1) -> int:
    """Finest grid whose noise can still be drawn.

    Args:
        noise: noise sd over sensitivity, of one institution.
        degree: 1 where the sensitivity grows with the steps, 2 with their square.

    Returns:
        Grid steps of a row's clip norm, from 1 to `FINEST`.

    >>> grid_steps(5.0), grid_steps(5.0, degree=2)
    (4096, 323)
    """
    return max(1, min(FINEST, int((MOST_NOISE / noise) ** (1 / degree))))


def unfinished(what: str) -> LocalError:
    """The error for asking a program out of order."""
    return LocalError(
        f"the program was asked for {what} out of order",
        remedy="ask for one query a step, fold its total in, and take the model at the end",
    )
