"""Released forests of oblivious trees: public structure, leaves learned from private sums.

In an oblivious tree every node of one depth asks the same question, so a leaf's number
is a few comparisons and shifts on whole columns, and a tree is two short rows of numbers
(Kohavi 1994; the trees of Prokhorenkova et al. 2018). Splits never look at a record.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedcredit.models.bins import Additive, Scorecard, bins_of
from fedcredit.units import Bytes8, Floats

__all__ = ["Boosted", "Forest"]


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """The public structure of a batch of trees over binned features.

    Attributes:
        feature: feature asked at each depth, distinct in a tree, shape ``(trees, depth)``.
        threshold: the record goes right where its bin is above it, shape ``(trees, depth)``.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.int64]

    @property
    def leaves(self) -> int:
        """Leaves of one tree."""
        return 1 << int(self.feature.shape[1])

    def leaf(self, tree: int, bins: Bytes8) -> Bytes8:
        """Leaf of every record in one tree, shape ``(n,)``; bit d is the answer at depth d."""
        out = np.zeros(bins.shape[1], dtype=np.uint8)
        for depth, (column, cut) in enumerate(
            zip(self.feature[tree], self.threshold[tree], strict=True)
        ):
            right = (bins[column] > cut).view(np.uint8)
            out |= right << depth if depth else right
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Boosted:
    """An additive model and a forest on top of it.

    Attributes:
        additive: the part that reads one feature at a time; alone it is a usable model.
        forest: the trees over the bins of its scorecard; may hold none.
        leaf_values: log-odds added by each leaf, shape ``(trees, leaves)``.
    """

    additive: Additive
    forest: Forest
    leaf_values: Floats

    @property
    def kind(self) -> str:
        """The learner that makes such a model."""
        return "boosting"

    @property
    def scorecard(self) -> Scorecard:
        """Where the additive part started, with the bins that all parts read."""
        return self.additive.scorecard

    @property
    def schema_digest(self) -> str:
        """The data contract whose cells it reads."""
        return self.scorecard.schema_digest

    def log_odds(self, cells: Bytes8) -> Floats:
        """Log-odds of good to bad, shape ``(n,)``, of cells ``(F, n)``."""
        total = self.additive.log_odds(cells)
        bins = bins_of(self.scorecard.bins, cells)
        for tree, values in enumerate(self.leaf_values):
            total += values[self.forest.leaf(tree, bins)]
        return total
