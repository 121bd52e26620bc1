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
from typing import Literal

import numpy as np

from fedcredit.data.schema import Schema
from fedcredit.learners.after_scorecard import after_scorecard, card_first
from fedcredit.learners.head import Heard, fold_head, head_query
from fedcredit.learners.program import NoisyTotal, Program, Step, unfinished
from fedcredit.learners.scorecard import Fitting, public_generator
from fedcredit.learners.standin import StandIn
from fedcredit.learners.units import draw_network
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
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
        return card_first("network", ROUNDS)

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        """Begin with the scorecard's first round."""

        def heads(card: Fitting, noise: tuple[float, ...]) -> Program:
            monotone, rng = self.name == "monotone", public_generator(seed, "units")
            network = draw_network(card.binned, card.model(), card.by_order, rng, monotone=monotone)
            kept = (np.array(card.binned.signs) != 0) & monotone
            signs = tuple(map(int, network.reads(kept)))
            return _Heading(noise, network, card.by_order, signs, ())

        return after_scorecard(schema, seed, noise, heads)


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
