"""A stand-in population, drawn from released numbers alone, that gives every later Hessian.

Two class-conditional Gaussian copulas share the bins' released class shares; their
correlations come from one private sum of products of binned scores. Block W scores a
bin by its WoE, block N by its place in the feature's order: the first fits a linear
model of WoE, the second keeps the shape that trees split on. Whatever is learned from a
stand-in record costs nothing, so curvature never needs a private sum of its own.

Source: normal copula, Nelsen (2006); latent correlation of a step function by its
Hermite series, Liu & Der Kiureghian (1986); shrinkage of off-diagonals, Ledoit & Wolf (2004).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from fedcredit.learners.binning import Binned
from fedcredit.learners.program import NoisyTotal, grid_steps
from fedcredit.models.bins import FeatureBins
from fedcredit.models.queries import Moments
from fedcredit.units import Bytes8, Floats

__all__ = ["BY_ORDER", "BY_WOE", "StandIn", "bin_score", "draw_standins", "moments_query"]

BY_WOE = 0
BY_ORDER = 1
RECORDS_PER_CLASS = 4_000
MOST_SCORE = 4.0
HERMITE_TERMS = 12
MOST_CORRELATION = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class StandIn:
    """Records that nobody is, weighted to the released class totals.

    Attributes:
        bins: shape ``(F, m)``.
        good: 1 for a good, 0 for a bad, shape ``(m,)``.
        weight: real records that each stands for, shape ``(m,)``.
        moment_sd: noise sd of one released mean product: how far its geometry can be trusted.
    """

    bins: Bytes8
    good: Floats
    weight: Floats
    moment_sd: float


def moments_query(binned: Binned, noise: float) -> Moments:
    """Ask for the sums of products of two features' scores, in both blocks.

    Args:
        binned: the first round's bins.
        noise: one institution's noise sd over the sensitivity.
    """
    # Scores have mean square 1, so a row's squared norm is F on average.
    clip = 1.5 * math.sqrt(len(binned.bins))
    return Moments(
        of_cell=tuple(feature.of_cell for feature in binned.bins),
        values=tuple(
            tuple(bin_score(feature, block) for feature in binned.bins)
            for block in (BY_WOE, BY_ORDER)
        ),
        clip=clip,
        steps=grid_steps(noise, degree=2),
    )


def draw_standins(
    binned: Binned, query: Moments, total: NoisyTotal, rng: np.random.Generator
) -> tuple[StandIn, StandIn]:
    """Draw both blocks' stand-in records.

    Args:
        binned: the first round's bins.
        query: the question, from `moments_query`.
        total: its answer.
        rng: public randomness.

    Returns:
        The stand-ins of block W (for the scorecard) and of block N (for the trees).
    """
    scale = (query.clip / query.steps) ** 2 / binned.records
    sd = total.sd * scale
    by_woe, by_order = (
        _draw(binned, block, means, sd, rng)
        for block, means in enumerate(np.split(total.value * scale, 2))
    )
    return by_woe, by_order


def bin_score(feature: FeatureBins, block: int) -> Floats:
    """Standardised score of each bin: its WoE, or the normal score of its place in the order."""
    share = feature.share
    if block == BY_WOE:
        raw = feature.woe
    else:
        middle = np.clip(np.cumsum(share) - share / 2, 1e-6, 1 - 1e-6)
        raw = np.array([NormalDist().inv_cdf(place) for place in middle])
    centred = raw - (share * raw).sum()
    spread = math.sqrt(max(float((share * centred**2).sum()), 1e-9))
    return np.asarray(np.clip(centred / spread, -MOST_SCORE, MOST_SCORE), dtype=np.float64)


def _draw(
    binned: Binned, block: int, means: Floats, sd: float, rng: np.random.Generator
) -> StandIn:
    """Draw one block's records from its released mean products (upper triangle)."""
    scores = [bin_score(feature, block) for feature in binned.bins]
    orders = [np.argsort(score, kind="stable") for score in scores]
    latent = _latent(_within_class(binned, scores, means), scores, orders, binned, sd)
    root = np.linalg.cholesky(latent)
    size = RECORDS_PER_CLASS
    bins = np.empty((len(scores), 2 * size), dtype=np.uint8)
    for side in (0, 1):  # goods, then bads
        normal = root @ rng.standard_normal((len(scores), size))
        for row, (feature, order) in enumerate(zip(binned.bins, orders, strict=True)):
            cuts = _cuts(feature.class_shares()[side][order])
            place = np.searchsorted(cuts, normal[row])
            bins[row, side * size : (side + 1) * size] = order[place]
    good = np.repeat([1.0, 0.0], size)
    weight = np.repeat([binned.goods / size, binned.bads / size], size)
    return StandIn(bins, good, weight, sd)


def _within_class(binned: Binned, scores: list[Floats], means: Floats) -> Floats:
    """Correlations within a class: take out what the two classes' different means explain."""
    rate = binned.bads / binned.records
    shares = [feature.class_shares() for feature in binned.bins]
    gap = np.array(
        [((bad - good) * score).sum() for (good, bad), score in zip(shares, scores, strict=True)]
    )
    between = rate * (1 - rate)
    spread = np.sqrt(np.maximum(1 - between * gap**2, 0.2))
    first, second = np.triu_indices(len(scores), 1)
    within = (means - between * gap[first] * gap[second]) / (spread[first] * spread[second])
    return np.asarray(within, dtype=np.float64)


def _latent(
    within: Floats, scores: list[Floats], orders: list[np.ndarray], binned: Binned, sd: float
) -> Floats:
    """Correlation matrix of the latent normals: shrunk, inverted, made positive definite."""
    features = len(scores)
    if features == 1:
        return np.ones((1, 1))
    keep = max(1 - sd**2 / max(float((within**2).mean()), 1e-12), 0.05)
    series = np.array(
        [
            _hermite(feature.share[order], score[order])
            for feature, score, order in zip(binned.bins, scores, orders, strict=True)
        ]
    )
    first, second = np.triu_indices(features, 1)
    products = series[first] * series[second]
    target = np.clip(keep * within, -0.98, 0.98)
    low, high = np.full(target.size, -MOST_CORRELATION), np.full(target.size, MOST_CORRELATION)
    powers = np.arange(1, HERMITE_TERMS + 1)
    for _ in range(24):  # bisection to 2^-23; the series rises with the correlation near 0
        middle = (low + high) / 2
        below = (products * middle[:, None] ** powers).sum(axis=1) < target
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    matrix = np.eye(features)
    matrix[first, second] = matrix[second, first] = (low + high) / 2
    values, vectors = np.linalg.eigh(matrix)
    floor = min(max(0.5 * sd * math.sqrt(features), 0.02), 0.3)
    matrix = (vectors * np.maximum(values, floor)) @ vectors.T
    scale = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / np.outer(scale, scale), dtype=np.float64)


def _cuts(shares: Floats) -> Floats:
    """Normal quantiles between neighbouring bins of the given shares."""
    inner = np.clip(np.cumsum(shares)[:-1], 1e-12, 1 - 1e-12)
    return np.array([NormalDist().inv_cdf(place) for place in inner])


def _hermite(shares: Floats, score: Floats) -> Floats:
    """Coefficients of a standardised step function of a normal in Hermite polynomials."""
    centred = score - (shares * score).sum()
    spread = math.sqrt(max(float((shares * centred**2).sum()), 1e-9))
    cuts, jumps = _cuts(shares), np.diff(score) / spread
    density = np.exp(-(cuts**2) / 2) / math.sqrt(2 * math.pi)
    coefficients = np.zeros(HERMITE_TERMS)
    previous, current = np.zeros_like(cuts), np.ones_like(cuts)
    for k in range(1, HERMITE_TERMS + 1):
        coefficients[k - 1] = (jumps * density * current).sum() / math.sqrt(math.factorial(k))
        previous, current = current, cuts * current - (k - 1) * previous
    return coefficients
