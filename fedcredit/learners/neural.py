"""Networks: the four rounds of the scorecard, and five on the head of a network over its bins.

    neural     units bend wherever the stand-ins are in doubt
    monotone   no unit falls as a feature with a declared direction turns to the good, and
               no such unit has a negative head: every direction is kept for every record

Vectors, hidden layer and curvature follow from released numbers and the study's public seed;
only the head's gradient is asked for, so no budget goes to numbers that noise would drown
(docs/adr/0019-networks-whose-head-is-learned.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from fedcredit.data.schema import Schema
from fedcredit.learners.head import Heard, fold_head, head_query
from fedcredit.learners.program import NoisyTotal, Program, Step, unfinished
from fedcredit.learners.scorecard import Counting, Fitting, public_generator
from fedcredit.learners.standin import StandIn
from fedcredit.learners.units import draw_network
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
from fedcredit.models.queries import Query
from fedcredit.models.released import Model

__all__ = ["NeuralLearner"]

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class NeuralLearner:
    """A scorecard improved by a network on the same bins.

    Attributes:
        name: ``"neural"``, or ``"monotone"`` for one that keeps declared directions.
    """

    name: Literal["neural", "monotone"] = "neural"

    @property
    def steps(self) -> tuple[Step, ...]:
        """A little less than half of the budget for the scorecard, the rest for the head."""
        return (
            Step("histograms", Fraction(26, 100)),
            Step("moments", Fraction(8, 100)),
            Step("gradient", Fraction(7, 100)),
            Step("gradient", Fraction(4, 100)),
            *(Step("network", Fraction(55, 100 * ROUNDS)) for _ in range(ROUNDS)),
        )

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        """Begin with the scorecard's first round."""
        return _Scoring(self.name == "monotone", seed, noise, Counting(schema, seed, noise))


@dataclass(frozen=True, slots=True, eq=False)
class _Scoring:
    """The scorecard is under way."""

    monotone: bool
    seed: bytes
    noise: tuple[float, ...]
    inner: Program

    def query(self) -> Query:
        """The scorecard's question."""
        return self.inner.query()

    def fold(self, total: NoisyTotal) -> Program:
        """Go on with the scorecard, or draw the network when it is done."""
        inner, noise = self.inner.fold(total), self.noise[1:]
        if not isinstance(inner, Fitting) or inner.left:
            return _Scoring(self.monotone, self.seed, noise, inner)
        rng = public_generator(self.seed, "units")
        network = draw_network(
            inner.binned, inner.model(), inner.by_order, rng, monotone=self.monotone
        )
        kept = (np.array(inner.binned.signs) != 0) & self.monotone
        signs = tuple(map(int, network.reads(kept)))
        return _Heading(noise, network, inner.by_order, signs, ())

    def model(self) -> Model:
        """There is none yet."""
        raise unfinished("a model")


@dataclass(frozen=True, slots=True, eq=False)
class _Heading:
    """The hidden layer is fixed and the head is under way."""

    noise: tuple[float, ...]
    network: Network
    standin: StandIn
    signs: tuple[int, ...]
    heard: tuple[Heard, ...]

    def query(self) -> NetworkGradient:
        """The gradient of the head as it is."""
        if not self.noise:
            raise unfinished("a query")
        return head_query(self.network, self.standin, self.noise[0])

    def fold(self, total: NoisyTotal) -> Program:
        """Move the head."""
        network, heard = fold_head(self.query(), total, self.heard, self.standin, self.signs)
        return _Heading(self.noise[1:], network, self.standin, self.signs, heard)

    def model(self) -> Model:
        """The model, once no round is left."""
        if self.noise:
            raise unfinished("a model")
        return self.network
