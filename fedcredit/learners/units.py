"""The hidden layer of a network, from public randomness and released numbers: it costs nothing.

A unit reads two to four features, drawn by released information value and a little
uniformly. Its weights are drawn, its length is fixed, and its middle lies at a stand-in
record that the scorecard is unsure of: there, where ranking is decided, it bends most.

Source: random features, Rahimi & Recht (2008); units that a network of few records cannot
learn better, Huang et al. (2006); measured in docs/adr/0019-networks-whose-head-is-learned.md.
"""

from __future__ import annotations

import numpy as np

from fedcredit.learners.binning import Binned
from fedcredit.learners.forest import doubt
from fedcredit.learners.standin import BY_ORDER, BY_WOE, StandIn, bin_score
from fedcredit.models.bins import Scorecard
from fedcredit.models.network import Network
from fedcredit.units import Floats

__all__ = ["draw_network", "vectors_of"]

UNITS = 256
GAIN = 5.0  # length of a unit's weights
ORDERS = (2, 3, 4)  # features that a unit reads
UNIFORM = 0.1  # part of the draws that ignore information value
WIDTH = 2


def vectors_of(binned: Binned) -> tuple[Floats, ...]:
    """The vector of every bin of each feature: its weight of evidence and its place.

    Guarantee: both numbers never fall along the ordered bins of a feature with a declared
    direction, in the direction of good.

    Returns:
        Shape ``(bins, 2)`` a feature; each number has mean about 0 and mean square about 1.
    """
    pairs = zip(binned.bins, binned.signs, strict=True)
    return tuple(
        np.column_stack([bin_score(feature, BY_WOE), (sign or 1) * bin_score(feature, BY_ORDER)])
        for feature, sign in pairs
    )


def draw_network(
    binned: Binned,
    card: Scorecard,
    standin: StandIn,
    rng: np.random.Generator,
    *,
    monotone: bool,
) -> Network:
    """A network whose head is 0.

    Args:
        binned: the first round's bins.
        card: the scorecard that it will add to.
        standin: stand-ins of block N.
        rng: public randomness.
        monotone: no unit falls as a directed feature turns to the good.
    """
    vectors = vectors_of(binned)
    features = len(vectors)
    split = np.array([len(part) > 1 for part in vectors])
    weights = np.zeros((UNITS, features, WIDTH))
    chance = _chance(binned, split)
    most = int((chance > 0).sum())
    for unit in weights:
        order = min(int(rng.choice(ORDERS)), most)
        chosen = rng.choice(features, order, replace=False, p=chance)
        drawn = rng.standard_normal((order, WIDTH))
        unit[chosen] = GAIN * drawn / max(float(np.linalg.norm(drawn)), 1e-9)
    if monotone:
        directed = np.flatnonzero(binned.signs)
        weights[:, directed] = np.abs(weights[:, directed])
    flat = weights.reshape(UNITS, features * WIDTH)
    middles = rng.choice(standin.good.size, UNITS, p=doubt(card, standin))
    rows = np.concatenate(
        [part[column[middles]] for part, column in zip(vectors, standin.bins, strict=True)], axis=1
    )
    biases = -(flat * rows).sum(axis=1)
    return Network(card, vectors, flat, biases, np.zeros(UNITS), 0.0, monotone)


def _chance(binned: Binned, split: np.ndarray) -> Floats:
    """Of each feature to be read, by information value and a little uniformly."""
    if not split.any():  # noise left each feature one bin: the units will be constant
        return np.full(split.size, 1 / split.size)
    value = np.where(split, np.maximum([feature.iv for feature in binned.bins], 0.0), 0.0)
    even = split / split.sum()
    informed = value / value.sum() if value.sum() > 0 else even
    return np.asarray((1 - UNIFORM) * informed + UNIFORM * even, dtype=np.float64)
