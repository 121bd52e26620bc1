"""The head of a network from few noisy gradients: the posterior mean, with the noise known.

As for the values of many partitions (`learners.partition`): curvature comes from stand-in
records, every round speaks about the same numbers, and the head is the posterior mean
under a normal prior,

    theta ~ N(0, tau I),    u = mean of (M theta_then - g) ~ N(M theta, M + var I)

where g is a round's clipped gradient, var the variance of the mean noise, and M the
Hessian over the stand-ins, its own diagonal the sampling variance of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcredit.learners.linear import directed
from fedcredit.learners.program import NoisyTotal, grid_steps
from fedcredit.learners.standin import StandIn
from fedcredit.models.network import Network
from fedcredit.models.network_gradient import NetworkGradient
from fedcredit.models.odds import curvature
from fedcredit.units import Floats

__all__ = ["Heard", "fold_head", "head_query"]

PRIOR_VARIANCE = 0.7  # tau, for units that are together of norm 1
CLIPPED = 0.1  # share of the stand-ins whose row is longer than the clip


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What one round said.

    Attributes:
        head: where it asked, the shift last, shape ``(units + 1,)``.
        gradient: of the loss there, with its noise, shape ``(units + 1,)``.
        variance: of the noise in every number of it.
    """

    head: Floats
    gradient: Floats
    variance: float


def head_query(network: Network, standin: StandIn, noise: float) -> NetworkGradient:
    """Ask for the gradient of the head.

    Args:
        network: as it is.
        standin: the records that say how long a row is.
        noise: one institution's noise sd over the sensitivity.
    """
    length = np.sqrt((network.units(standin.bins) ** 2).sum(axis=1) + 1.0)
    clip = float(np.quantile(length, 1 - CLIPPED))
    return NetworkGradient(network, "head", clip, grid_steps(noise))


def fold_head(
    query: NetworkGradient,
    total: NoisyTotal,
    heard: tuple[Heard, ...],
    standin: StandIn,
    signs: tuple[int, ...],
) -> tuple[Network, tuple[Heard, ...]]:
    """Move the head to its posterior mean given every round so far.

    Args:
        query: the question.
        total: its answer.
        heard: the rounds before.
        standin: the records that give the curvature.
        signs: 1 for a unit whose head must not be negative, else 0.

    Returns:
        The network with its new head, and all rounds.
    """
    network, unit = query.network, query.clip / query.steps
    here = np.append(network.head, network.shift)
    gradient = np.asarray(total.value * unit, dtype=np.float64)
    heard = (*heard, Heard(here, gradient, total.variance * unit**2))
    hessian = _hessian(network, standin, query.clip)
    rounds = len(heard)
    noted = sum((hessian @ one.head - one.gradient for one in heard), np.zeros_like(here)) / rounds
    variance = sum(one.variance for one in heard) / rounds**2
    values, vectors = np.linalg.eigh(hessian)
    values = np.maximum(values, 0.0)
    prior = PRIOR_VARIANCE / network.head.size
    spread = values + variance + 1e-12  # of the noise and of sampling, for each direction
    precision = values**2 / spread + 1 / prior
    head = vectors @ (values / spread / precision * (vectors.T @ noted))
    if any(signs):
        head = directed(head, (vectors * precision) @ vectors.T, signs)
    return network.with_head(head), heard


def _hessian(network: Network, standin: StandIn, clip: float) -> Floats:
    """Hessian of the loss in the head and the shift, over the stand-ins, as clipping leaves it."""
    units = network.units(standin.bins)
    rows = np.column_stack([units, np.ones(len(units))])
    log_odds = network.scorecard.log_odds_of_bins(standin.bins) + rows @ np.append(
        network.head, network.shift
    )
    kept = np.minimum(1.0, clip / np.sqrt((rows**2).sum(axis=1)))
    weighted = rows.T * (standin.weight * curvature(log_odds) * kept)
    return np.asarray(weighted @ rows, dtype=np.float64)
