"""Boosting and the additive model: the scorecard's rounds, then values for many partitions.

    boosting   the four rounds of the scorecard, and five on a forest and the features' bins
    additive   the same without a forest: each bin may leave its coefficient times WoE

The forest is drawn once, from public randomness and released numbers, and every later
round speaks about the same values, so that no round's budget is lost on values that a
next forest would throw away (docs/adr/0010-one-forest.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fedcredit.data.schema import Schema
from fedcredit.learners.after_scorecard import after_scorecard, card_first
from fedcredit.learners.forest import grow_forest, no_forest
from fedcredit.learners.partition import Partition, fold_leaves, leaves_query, start_partition
from fedcredit.learners.program import NoisyTotal, Program, Step, unfinished
from fedcredit.learners.scorecard import Fitting, public_generator
from fedcredit.models.queries import Leaves
from fedcredit.models.released import Model

__all__ = ["MOST_ROUNDS", "BoostingLearner"]

MOST_ROUNDS = 95  # with the scorecard's and the evaluation a hundred
LEAF_ROUNDS = {"boosting": 5, "additive": 4}
MAIN_SHARE = Fraction(2, 5)  # of phi's squared norm that the features' own bins have


@dataclass(frozen=True, slots=True)
class BoostingLearner:
    """A scorecard improved by rounds on many partitions at once.

    Attributes:
        kind: ``"boosting"``, or ``"additive"`` for the features' own bins alone.
        rounds: on the values, 1 to `MOST_ROUNDS`; 0 for as many as have served best.
    """

    kind: str = "boosting"
    rounds: int = 0

    @property
    def name(self) -> str:
        """The kind, and how many rounds if they are not the usual ones."""
        return f"{self.kind}-{self.rounds}" if self.rounds else self.kind

    @property
    def steps(self) -> tuple[Step, ...]:
        """A little less than half of the budget for the scorecard, the rest for the values."""
        return card_first("leaves", self.rounds or LEAF_ROUNDS[self.kind])

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        """Begin with the scorecard's first round."""

        def values(card: Fitting, noise: tuple[float, ...]) -> Program:
            model, boosting = card.model(), self.kind == "boosting"
            rng = public_generator(seed, "forest")
            forest = (
                grow_forest(card.binned, model, card.by_order, rng) if boosting else no_forest()
            )
            share = float(MAIN_SHARE) if len(forest.feature) else 1.0
            partition = start_partition(card.binned, model, forest, card.by_order, share)
            return _Valuing(self.kind, noise, partition)

        return after_scorecard(schema, seed, noise, values)


@dataclass(frozen=True, slots=True, eq=False)
class _Valuing:
    """The partitions are fixed and their values are under way."""

    kind: str
    noise: tuple[float, ...]
    partition: Partition

    def query(self) -> Leaves:
        """Residuals over every leaf and bin."""
        if not self.noise:
            raise unfinished("a query")
        return leaves_query(self.partition, self.noise[0])

    def fold(self, total: NoisyTotal) -> Program:
        """Move the values."""
        return _Valuing(self.kind, self.noise[1:], fold_leaves(self.partition, self.query(), total))

    def model(self) -> Model:
        """The model, once no round is left."""
        if self.noise:
            raise unfinished("a model")
        boosted = self.partition.model()
        return boosted if self.kind == "boosting" else boosted.additive
