"""Log-odds of good to bad, the probabilities they stand for, and the loss that is learned from.

A record's gradient must be bounded by 1 whatever it holds, and noise is paid for that
bound. Among losses whose expected gradient vanishes at the true probability p, that is
w(p) (good - p), the weight 1 / max(p, 1 - p) is the largest that the bound allows: records
that the model is unsure of speak up to twice as loud as under the log-loss, for the same
noise. Its loss is exponential on the right side of 0 and linear on the wrong one.

Source: weights of proper losses, Buja, Stuetzle, Shen (2005), section 4; measured in
docs/adr/0011-bounded-loss.md.
"""

from __future__ import annotations

import numpy as np

from fedcredit.units import Bytes8, Floats

__all__ = ["curvature", "probability_of_good", "residual", "variation"]


def probability_of_good(log_odds: Floats) -> Floats:
    """P(good), without overflow for any log-odds; one minus it is the PD.

    >>> probability_of_good(np.array([-1e6, 0.0, 1e6])).tolist()
    [0.0, 0.5, 1.0]
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)), dtype=np.float64)


def residual(log_odds: Floats, bad: Bytes8) -> Floats:
    """Weighted residual (good - P(good)) / max(P(good), P(bad)) of every record.

    Guarantee: from -1 to 1 for any log-odds; 0 where they are not a number.

    Args:
        log_odds: of good to bad, shape ``(n,)``.
        bad: 1 for a bad, 0 for a good, shape ``(n,)``.

    >>> residual(np.array([0.0, 0.0, 800.0]), np.array([0, 1, 1], dtype=np.uint8)).tolist()
    [1.0, -1.0, -1.0]
    """
    sign = 1.0 - 2.0 * bad
    loudness = np.exp(-np.maximum(sign * log_odds, 0.0))
    return np.asarray(np.nan_to_num(sign * loudness), dtype=np.float64)


def curvature(log_odds: Floats) -> Floats:
    """Expected second derivative of the loss, min(p, 1 - p), at every record."""
    return np.asarray(0.5 * (1.0 - np.tanh(0.5 * np.abs(log_odds))), dtype=np.float64)


def variation(log_odds: Floats) -> Floats:
    """Variance of the weighted residual, min(p, 1 - p) / max(p, 1 - p), at every record."""
    return np.asarray(np.exp(-np.abs(log_odds)), dtype=np.float64)
