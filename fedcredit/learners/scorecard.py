"""The scorecard: four rounds, and the start of every other learner.

    histograms   -> bins, WoE, base rate
    moments      -> stand-in records, which give every Hessian; a first fit
    gradient     -> Newton step
    gradient     -> Newton step; the scorecard

A measured Hessian in the second round was no better than the one of the stand-ins
(docs/adr/0009-stand-in-curvature.md), and the stand-ins serve the trees as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from fedcredit.data.schema import Schema
from fedcredit.errors import SchemaError
from fedcredit.learners.binning import Binned, fold_histograms, histogram_query
from fedcredit.learners.linear import (
    directed,
    fit_standins,
    gradient_of,
    gradient_query,
    newton_step,
    standin_rows,
)
from fedcredit.learners.program import NoisyTotal, Program, Step, unfinished
from fedcredit.learners.standin import StandIn, draw_standins, moments_query
from fedcredit.models.bins import Scorecard
from fedcredit.models.odds import curvature, variation
from fedcredit.models.queries import Gradient, Histograms, Moments
from fedcredit.units import Floats

__all__ = ["Counting", "Fitting", "Relating", "ScorecardLearner", "public_generator"]


RIDGE = 1e-3  # a thousandth of a record


def public_generator(seed: bytes, purpose: str) -> np.random.Generator:
    """Public randomness for one purpose; never for noise."""
    words = np.frombuffer(seed + purpose.encode(), dtype=np.uint8)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))


@dataclass(frozen=True, slots=True)
class ScorecardLearner:
    """Weight of evidence and a logistic fit, in four rounds."""

    name: str = "scorecard"
    steps: tuple[Step, ...] = (
        Step("histograms", Fraction(50, 100)),
        Step("moments", Fraction(16, 100)),
        Step("gradient", Fraction(17, 100)),
        Step("gradient", Fraction(17, 100)),
    )

    def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
        """Begin with the histograms."""
        return Counting(schema, seed, noise)


@dataclass(frozen=True, slots=True, eq=False)
class Counting:
    """Before the first round.

    Raises:
        SchemaError: the schema has fewer than two features.
    """

    schema: Schema
    seed: bytes
    noise: tuple[float, ...]

    def __post_init__(self) -> None:
        """A model of one feature has no moments to ask for."""
        if len(self.schema.features) < 2:
            raise SchemaError(
                f"schema {self.schema.name!r} has {len(self.schema.features)} features, "
                "expected 2 or more",
                remedy="declare further columns as features",
            )

    def query(self) -> Histograms:
        """Class histograms of every feature."""
        return histogram_query(self.schema)

    def fold(self, total: NoisyTotal) -> Relating:
        """Make the bins."""
        binned = fold_histograms(self.schema, self.query(), total)
        return Relating(self.schema.digest(), self.seed, self.noise[1:], binned)

    def model(self) -> Scorecard:
        """There is none yet."""
        raise unfinished("a model")


@dataclass(frozen=True, slots=True, eq=False)
class Relating:
    """Bins are known; how the features go together is not."""

    schema_digest: str
    seed: bytes
    noise: tuple[float, ...]
    binned: Binned

    def query(self) -> Moments:
        """Products of two features' scores."""
        return moments_query(self.binned, self.noise[0])

    def fold(self, total: NoisyTotal) -> Fitting:
        """Draw the stand-ins and fit them."""
        rng = public_generator(self.seed, "stand-ins")
        by_woe, by_order = draw_standins(self.binned, self.query(), total, rng)
        theta = fit_standins(self.binned, by_woe)
        return Fitting(
            self.schema_digest, self.noise[1:], self.binned, by_woe, by_order, theta, np.inf, 2
        )

    def model(self) -> Scorecard:
        """There is none yet."""
        raise unfinished("a model")


@dataclass(frozen=True, slots=True, eq=False)
class Fitting:
    """A scorecard that each gradient improves.

    Attributes:
        schema_digest: the data contract.
        noise: of the rounds to come.
        binned: the first round's bins.
        by_woe: stand-ins that give the Hessian.
        by_order: stand-ins for later learners.
        theta: coefficients and intercept, shape ``(F + 1,)``.
        gradient_sd: noise sd of the last gradient; infinite before the first.
        left: gradients still to come.
    """

    schema_digest: str
    noise: tuple[float, ...]
    binned: Binned
    by_woe: StandIn
    by_order: StandIn
    theta: Floats
    gradient_sd: float
    left: int

    def query(self) -> Gradient:
        """The gradient at the scorecard as it is."""
        if not self.left:
            raise unfinished("a query")
        return gradient_query(self.scorecard(), self.binned, self.noise[0])

    def fold(self, total: NoisyTotal) -> Fitting:
        """Take a Newton step and keep the declared directions."""
        gradient, sd = gradient_of(self.query(), total)
        hessian = self._hessian()
        theta = directed(newton_step(self.theta, gradient, hessian, sd), hessian, self.binned.signs)
        return replace(self, noise=self.noise[1:], theta=theta, gradient_sd=sd, left=self.left - 1)

    def model(self) -> Scorecard:
        """The scorecard, once no gradient is left."""
        if self.left:
            raise unfinished("a model")
        return self.scorecard()

    def scorecard(self) -> Scorecard:
        """The scorecard as it is."""
        features = len(self.binned.bins)
        # Sandwich: the gradient's own variance, from sampling and from the noise.
        inverse = np.linalg.inv(self._hessian())
        noise = self.gradient_sd**2 if np.isfinite(self.gradient_sd) else 0.0
        spread = self._over_standins(variation) + noise * np.eye(features + 1)
        covariance = np.asarray(inverse @ spread @ inverse, dtype=np.float64)
        return Scorecard(
            self.schema_digest,
            self.binned.bins,
            self.theta[:features],
            float(self.theta[features]),
            covariance,
        )

    def _hessian(self) -> Floats:
        """Hessian of the loss, with a ridge for where no stand-in is left in doubt."""
        hessian = self._over_standins(curvature)
        ridge = RIDGE + 1e-9 * float(np.trace(hessian))
        return hessian + ridge * np.eye(self.theta.size)

    def _over_standins(self, of: Callable[[Floats], Floats]) -> Floats:
        """Sum over the stand-ins of ``of``(log-odds) x x', shape ``(F + 1, F + 1)``."""
        rows = standin_rows(self.binned, self.by_woe)
        weighted = rows.T * (self.by_woe.weight * of(rows @ self.theta))
        return np.asarray(weighted @ rows, dtype=np.float64)
