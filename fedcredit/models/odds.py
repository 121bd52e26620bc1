"""Log-odds of good to bad, and the probabilities that they stand for."""

from __future__ import annotations

import numpy as np

from fedcredit.units import Floats

__all__ = ["probability_of_good"]


def probability_of_good(log_odds: Floats) -> Floats:
    """P(good), without overflow for any log-odds; one minus it is the PD.

    >>> probability_of_good(np.array([-1e6, 0.0, 1e6])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)), dtype=np.float64)
