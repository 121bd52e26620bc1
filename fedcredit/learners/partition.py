"""Values for many overlapping partitions at once: the rounds after the scorecard.

Every record is in one bin of every feature and one leaf of every tree. Scaled, the
indicators of these make a row phi of norm 1, so a private sum of phi times the residual
has sensitivity 1 however many partitions there are. The curvature comes from stand-in
records. All rounds so far speak about the same values, so their noise is averaged, and
the values are the posterior mean under a normal prior with the noise known:

    theta ~ N(0, tau I),    u = g + M theta_then ~ N(M theta, M + sd^2 I)

where M is the stand-in Hessian, its own diagonal the sampling variance of the sum.

Source: a Newton step with known gradient noise; random partitions as a kernel, Davies &
Ghahramani (2014), arXiv 1402.4293; clipping by unit norm, Abadi et al. (2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fedcredit.learners.binning import Binned
from fedcredit.learners.directions import keep_directions
from fedcredit.learners.program import NoisyTotal, grid_steps
from fedcredit.learners.standin import StandIn
from fedcredit.models.bins import Additive, Scorecard
from fedcredit.models.odds import curvature
from fedcredit.models.queries import Leaves
from fedcredit.models.trees import Boosted, Forest
from fedcredit.units import Floats, Ints

__all__ = ["Partition", "fold_leaves", "leaves_query", "start_partition"]

PRIOR_VARIANCE = 0.7  # tau: of a value, in the unit of phi
SOLVER_STEPS = 40


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """The values under way.

    Attributes:
        binned: the first round's bins, with their declared directions.
        scorecard: the model that the values are added to.
        forest: the trees; may hold none.
        scale: what phi holds in each partition, shape ``(P,)``; the squares sum to 1.
        hessian: of the loss at the scorecard, over the stand-ins, ``(columns, columns)``.
        theta: values in the unit of phi, shape ``(columns,)``.
        heard: of each round, where it asked, its gradient, and the gradient's noise variance.
    """

    binned: Binned
    scorecard: Scorecard
    forest: Forest
    scale: Floats
    hessian: Floats
    theta: Floats
    heard: tuple[tuple[Floats, Floats, float], ...]

    def model(self) -> Boosted:
        """The model with the values as they are, every declared direction kept."""
        trees, bins = len(self.forest.feature), self.binned.bins
        split = trees * self.forest.leaves
        leaf_values = self.theta[:split].reshape(trees, self.forest.leaves)
        leaf_values = leaf_values * self.scale[:trees, None]
        values = self.theta[split:] * np.repeat(
            self.scale[trees:], [feature.woe.size for feature in bins]
        )
        edges = np.cumsum([feature.woe.size for feature in bins])[:-1]
        shifts = tuple(np.split(values, edges))
        free = Boosted(Additive(self.scorecard, shifts), self.forest, leaf_values)
        return keep_directions(free, self.binned.ordered, self.binned.signs)


def start_partition(
    binned: Binned, scorecard: Scorecard, forest: Forest, standin: StandIn, main_share: float
) -> Partition:
    """Begin at zero.

    Args:
        binned: the first round's bins.
        scorecard: the model to add to.
        forest: the trees; may hold none.
        standin: the records that give the curvature.
        main_share: the part of phi's squared norm that the features' own bins have.
    """
    trees = len(forest.feature)
    sizes = [forest.leaves] * trees + [feature.woe.size for feature in binned.bins]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    rows = [forest.leaf(tree, standin.bins) for tree in range(trees)] + list(standin.bins)
    member = np.stack(rows).astype(np.int64) + offsets[:-1, None]
    features = len(binned.bins)
    scale = np.sqrt(
        np.repeat([(1 - main_share) / max(trees, 1), main_share / features], [trees, features])
    )
    zero = np.zeros(int(offsets[-1]))
    hessian = _hessian(scorecard, standin, member, scale, zero.size)
    return Partition(binned, scorecard, forest, scale, hessian, zero, ())


def leaves_query(partition: Partition, noise: float) -> Leaves:
    """Ask for the sum of residuals over every leaf and bin, at the model as it is."""
    trees, steps = len(partition.forest.feature), grid_steps(noise)
    leaf, own = (partition.scale[0], partition.scale[-1])
    return Leaves(
        partition.model(),
        partition.forest,
        leaf_steps=max(1, round(steps * leaf)) if trees else 1,
        bin_steps=max(1, round(steps * own)),
    )


def fold_leaves(partition: Partition, query: Leaves, total: NoisyTotal) -> Partition:
    """Move the values to their posterior mean given every round so far."""
    trees = len(partition.forest.feature)
    split = trees * partition.forest.leaves
    # Residuals of 1 are so many steps in a leaf and in a bin; phi holds the scale there.
    unit = np.full(partition.theta.size, partition.scale[-1] / query.bin_steps)
    if trees:
        unit[:split] = partition.scale[0] / query.leaf_steps
    gradient = total.value * unit
    here = _values_of(partition, query.model)
    heard = (*partition.heard, (here, gradient, float(total.variance * (unit**2).mean())))
    hessian = _stiffened(partition.hessian, heard)
    rounds = len(heard)
    noted = sum((g + hessian @ point for point, g, _ in heard), np.zeros_like(here)) / rounds
    theta = _posterior(hessian, noted, sum(variance for _, _, variance in heard) / rounds**2)
    return replace(partition, theta=theta, hessian=hessian, heard=heard)


def _stiffened(hessian: Floats, heard: tuple[tuple[Floats, Floats, float], ...]) -> Floats:
    """The Hessian, made as stiff along the last step as the gradients' difference says.

    Only where that stands out of their noise by two standard errors: there the stand-ins
    have missed that many features move together, and full steps would overshoot.

    Source: the symmetric secant update, Powell (1970), for a curvature that is too small.
    """
    if len(heard) < 2:
        return hessian
    (before, first, one), (now, second, other) = heard[-2:]
    step, change = now - before, first - second  # the gradient points uphill
    length = float(step @ step)
    found, expected = float(step @ change), float(step @ (hessian @ step))
    if found <= expected + 2.0 * math.sqrt((one + other) * length) or length <= 0:
        return hessian
    return hessian + ((found - expected) / length**2) * np.outer(step, step)


def _values_of(partition: Partition, model: Boosted) -> Floats:
    """The model's values in the unit of phi, as they were when it was asked about."""
    trees = len(partition.forest.feature)
    leaves = (model.leaf_values / partition.scale[:trees, None]).ravel()
    shifts = [
        shift / scale
        for shift, scale in zip(model.additive.shifts, partition.scale[trees:], strict=True)
    ]
    return np.concatenate([leaves, *shifts])


def _hessian(
    card: Scorecard, standin: StandIn, member: Ints, scale: Floats, columns: int
) -> Floats:
    """Hessian of the loss in the values, at the scorecard, over the stand-ins.

    Taking it anew in later rounds changed no figure (docs/adr/0010).

    Args:
        card: the scorecard.
        standin: the records.
        member: column of phi that each record is in, by partition, shape ``(P, m)``.
        scale: what phi holds there, shape ``(P,)``.
        columns: of phi.
    """
    root = np.sqrt(standin.weight * curvature(card.log_odds_of_bins(standin.bins)))
    # float32 halves the time of the one large product; its error is far below the noise.
    phi = np.zeros((standin.good.size, columns), dtype=np.float32)
    rows = np.arange(standin.good.size)
    for part, inside in zip(scale, member, strict=True):
        phi[rows, inside] = part * root
    return np.asarray(phi.T @ phi, dtype=np.float64)


def _posterior(hessian: Floats, noted: Floats, variance: float) -> Floats:
    """Posterior mean of the values by conjugate gradients on the normal equations."""
    right = hessian @ noted
    found, residual = np.zeros_like(right), right.copy()
    direction, square = residual.copy(), float(residual @ residual)
    for _ in range(SOLVER_STEPS):
        if square < 1e-12:
            break
        bent = hessian @ direction
        image = hessian @ bent + (bent + variance * direction) / PRIOR_VARIANCE
        length = square / float(direction @ image)
        found += length * direction
        residual -= length * image
        following = float(residual @ residual)
        direction = residual + following / square * direction
        square = following
    return found
