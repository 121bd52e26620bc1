"""The question for the gradient of a network: of its head alone, or of all its numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedcredit.models.grids import sensitivity_squared
from fedcredit.models.network import Network
from fedcredit.models.sound import check_grid, malformed

__all__ = ["NetworkGradient"]

LARGEST = 1e6  # of any number of the network: no square or product leaves float32


@dataclass(frozen=True, slots=True, eq=False)
class NetworkGradient:
    """Sum of the clipped gradients of the loss in what is learned of a network.

    The loss is the bounded one of `models.odds`. Each record's gradient is clipped and
    rounded to integers on a grid that is finer than ``clip / steps``; their exact sum is
    rounded to that once (`models.grids`).

    Attributes:
        network: where the gradient is taken.
        learned: ``"head"`` for the head and the shift; ``"all"`` for the vectors, the
            weights and the biases before these.
        clip: norm of a record's gradient before rounding, > 0.
        steps: integer norm that ``clip`` is.
    """

    network: Network
    learned: str
    clip: float
    steps: int

    kind = "network"
    part = "train"

    def __post_init__(self) -> None:
        """Refuse a grid that is not one, layers that are not there, and absurd numbers."""
        network = self.network
        parts = (*network.vectors, network.weights, network.biases, network.head)
        near = all(bool((np.abs(part) <= LARGEST).all()) for part in parts)
        if self.learned not in ("head", "all") or not near or not abs(network.shift) <= LARGEST:
            raise malformed(self.kind)
        check_grid(self.kind, self.clip, self.steps)

    @property
    def dim(self) -> int:
        """Length of the sum: vectors feature by feature, weights, biases; then head and shift."""
        network = self.network
        below = sum(vectors.size for vectors in network.vectors) if self.learned == "all" else 0
        return below + self._linear

    @property
    def reach(self) -> int:
        """How many of them one record's gradient can touch: one vector of each feature."""
        network = self.network
        below = len(network.vectors) * network.width if self.learned == "all" else 0
        return below + self._linear

    @property
    def sensitivity_squared(self) -> int:
        """The clip in steps, and the rounding of the sum; see `models.grids`."""
        return sensitivity_squared(self.reach, self.steps)

    @property
    def _linear(self) -> int:
        """Numbers of the linear layers that are learned."""
        network = self.network
        head = network.head.size + 1
        hidden = network.weights.size + network.biases.size
        return head + hidden if self.learned == "all" else head
