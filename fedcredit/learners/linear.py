"""Newton steps for a scorecard whose gradient and curvature are known up to their noise."""

from __future__ import annotations

import math

import numpy as np

from fedcredit.learners.binning import Binned
from fedcredit.learners.program import NoisyTotal, grid_steps
from fedcredit.learners.standin import StandIn
from fedcredit.models.bins import Scorecard
from fedcredit.models.odds import probability_of_good
from fedcredit.models.queries import Gradient
from fedcredit.units import Floats

__all__ = [
    "directed",
    "expected_square",
    "fit_standins",
    "gradient_of",
    "gradient_query",
    "newton_step",
    "standin_rows",
]

PRIOR_COEFFICIENT = 0.3  # about what correlated WoE share between them
PRIOR_SD = 0.4
NEWTON_STEPS = 12


def expected_square(binned: Binned) -> float:
    """Mean squared norm of the row [WoE of every feature, 1], from the released bins."""
    return 1.0 + sum(float((f.share * f.woe**2).sum()) for f in binned.bins)


def gradient_query(card: Scorecard, binned: Binned, noise: float) -> Gradient:
    """Ask for the gradient at a scorecard; rows are clipped at 1.5 times their expected norm."""
    return Gradient(card, clip=1.5 * math.sqrt(expected_square(binned)), steps=grid_steps(noise))


def gradient_of(query: Gradient, total: NoisyTotal) -> tuple[Floats, float]:
    """The gradient and its noise sd, in the unit of the rows."""
    unit = query.clip / query.steps
    return np.asarray(total.value * unit, dtype=np.float64), total.sd * unit


def standin_rows(binned: Binned, standin: StandIn) -> Floats:
    """Rows [WoE of every feature, 1] of stand-in records, shape ``(m, F + 1)``."""
    columns = [f.woe[column] for f, column in zip(binned.bins, standin.bins, strict=True)]
    return np.column_stack([*columns, np.ones(standin.good.size)])


def fit_standins(binned: Binned, standin: StandIn) -> Floats:
    """Logistic fit on the stand-ins, each coefficient held near `PRIOR_COEFFICIENT`.

    Returns:
        Coefficients and intercept, shape ``(F + 1,)``.
    """
    rows, features = standin_rows(binned, standin), len(binned.bins)
    theta = np.append(np.full(features, PRIOR_COEFFICIENT), binned.base)
    spread = np.array([float((f.share * f.woe**2).sum()) for f in binned.bins])
    rate = binned.bads / binned.records
    trust = max(0.01, 2.0 * standin.moment_sd * math.sqrt(features))
    ridge = np.append(spread * binned.records * rate * (1.0 - rate) * trust, 0.0) + 1e-6
    prior = np.append(np.full(features, PRIOR_COEFFICIENT), binned.base)
    for _ in range(NEWTON_STEPS):
        good = probability_of_good(rows @ theta)
        gradient = rows.T @ (standin.weight * (good - standin.good)) + ridge * (theta - prior)
        hessian = (rows.T * (standin.weight * good * (1.0 - good))) @ rows + np.diag(ridge)
        theta = theta - np.linalg.solve(hessian, gradient)
    return np.asarray(theta, dtype=np.float64)


def newton_step(theta: Floats, gradient: Floats, hessian: Floats, sd: float) -> Floats:
    """Newton step in the Hessian's eigenbasis, each direction shrunk by its own noise.

    A direction of curvature e has gradient noise of variance ``sd^2`` and sampling
    variance e; with a prior variance of `PRIOR_SD` squared on coefficients its posterior
    mean is e / (e^2 + (e + sd^2) / prior variance) times the gradient.

    Args:
        theta: where the gradient was taken, shape ``(d,)``.
        gradient: noisy gradient, shape ``(d,)``.
        hessian: positive definite, shape ``(d, d)``.
        sd: noise sd of the gradient.
    """
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, 1e-6)
    gain = values / (values**2 + (values + sd**2) / PRIOR_SD**2)
    return np.asarray(theta - vectors @ (gain * (vectors.T @ gradient)), dtype=np.float64)


def directed(theta: Floats, hessian: Floats, signs: tuple[int, ...]) -> Floats:
    """Nearest coefficients, in the Hessian's metric, that keep every declared direction.

    WoE already runs in the declared direction, so a directed feature's coefficient must
    not be negative. Solved by coordinate descent, which converges for a positive definite
    Hessian (Luo & Tseng 1992).

    Args:
        theta: coefficients and intercept, shape ``(F + 1,)``.
        hessian: shape ``(F + 1, F + 1)``.
        signs: declared direction of each feature, 0 for none.
    """
    bound = np.array([0.0 if sign else -math.inf for sign in signs] + [-math.inf])
    if bool((theta >= bound).all()):
        return theta
    found = np.asarray(np.maximum(theta, bound), dtype=np.float64)
    for _ in range(200):
        for i in range(theta.size):
            slope = hessian[i] @ (found - theta)
            found[i] = max(found[i] - slope / hessian[i, i], bound[i])
    return found
