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
from fedcredit.learners.forest import grow_forest, no_forest
from fedcredit.learners.partition import Partition, fold_leaves, leaves_query, start_partition
from fedcredit.learners.program import NoisyTotal, Program, Step, unfinished
from fedcredit.learners.scorecard import Counting, Fitting, public_generator
from fedcredit.models.queries import Leaves, Query
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
        rounds = self.rounds or LEAF_ROUNDS[self.kind]
        return (
            Step("histograms", Fraction(26, 100)),
            Step("moments", Fraction(8, 100)),
            Step("gradient", Fraction(7, 100)),
            Step("gradient", Fraction(4, 100)),
            *(Step("leaves", Fraction(55, 100 * rounds)) for _ in range(rounds)),
        )

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        """Begin with the scorecard's first round."""
        return _Scoring(self.kind, seed, noise, Counting(schema, seed, noise))


@dataclass(frozen=True, slots=True, eq=False)
class _Scoring:
    """The scorecard is under way."""

    kind: str
    seed: bytes
    noise: tuple[float, ...]
    inner: Program

    def query(self) -> Query:
        """The scorecard's question."""
        return self.inner.query()

    def fold(self, total: NoisyTotal) -> Program:
        """Go on with the scorecard, or start on the values when it is done."""
        inner, noise = self.inner.fold(total), self.noise[1:]
        if not isinstance(inner, Fitting) or inner.left:
            return _Scoring(self.kind, self.seed, noise, inner)
        card = inner.model()
        boosting = self.kind == "boosting"
        rng = public_generator(self.seed, "forest")
        forest = grow_forest(inner.binned, card, inner.by_order, rng) if boosting else no_forest()
        share = float(MAIN_SHARE) if len(forest.feature) else 1.0
        partition = start_partition(inner.binned, card, forest, inner.by_order, share)
        return _Valuing(self.kind, noise, partition)

    def model(self) -> Model:
        """There is none yet."""
        raise unfinished("a model")


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
