"""A released network on top of a scorecard: vectors of bins, one hidden layer, one output.

    log-odds = scorecard + shift + head . tanh(weights [vector of each feature's bin] + biases)

The vectors stand for what a bin is, as entity embeddings do (Guo & Berkhahn 2016, arXiv
1604.06737). A unit is bounded, so what the network can add to a score is bounded too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fedcredit.models.bins import Scorecard, bins_of
from fedcredit.units import Bytes8, Flags, Floats

__all__ = ["MOST_INPUTS", "MOST_UNITS", "MOST_WIDTH", "Network"]

MOST_UNITS = 4096
MOST_WIDTH = 64  # numbers in a bin's vector
MOST_INPUTS = 8192  # of a unit
_PASS = 1024  # records in one product


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """A scorecard and a network that reads the same bins.

    Attributes:
        scorecard: the model that the network adds to; alone it is a usable model.
        vectors: of every bin of each feature, shape ``(bins, width)``.
        weights: of each hidden unit, shape ``(units, features * width)``.
        biases: shape ``(units,)``.
        head: log-odds that each unit adds where it is 1, shape ``(units,)``.
        shift: log-odds added to every record.
        monotone: whether every direction that the data contract declares is kept.
    """

    scorecard: Scorecard
    vectors: tuple[Floats, ...]
    weights: Floats
    biases: Floats
    head: Floats
    shift: float
    monotone: bool

    @property
    def kind(self) -> str:
        """The learner that makes such a model."""
        return "monotone" if self.monotone else "neural"

    @property
    def schema_digest(self) -> str:
        """The data contract whose cells it reads."""
        return self.scorecard.schema_digest

    @property
    def width(self) -> int:
        """Numbers in a bin's vector."""
        return int(self.vectors[0].shape[1])

    def log_odds(self, cells: Bytes8) -> Floats:
        """Log-odds of good to bad, shape ``(n,)``, of cells ``(F, n)``.

        Guarantee: a record's number is the same, to the bit, whoever its neighbours are.
        """
        bins = bins_of(self.scorecard.bins, cells)
        return self.scorecard.log_odds(cells) + self.added(bins)

    def added(self, bins: Bytes8) -> Floats:
        """What the network adds to the scorecard's log-odds, shape ``(n,)``, by bins ``(F, n)``."""
        total = np.empty(bins.shape[1])
        for some, units in self._passes(bins):
            total[some] = (units * self.head[:, None]).sum(axis=0)[: some.stop - some.start]
        return total + self.shift

    def units(self, bins: Bytes8) -> Floats:
        """The hidden units of records, shape ``(n, units)``."""
        out = np.empty((bins.shape[1], self.biases.size))
        for some, units in self._passes(bins):
            out[some] = units[:, : some.stop - some.start].T
        return out

    def range(self) -> tuple[float, float]:
        """Least and most that `added` could be, were every bin met with every other."""
        tables = self._tables()
        lowest = self.head * np.tanh(self.biases + sum(table.min(axis=1) for table in tables))
        highest = self.head * np.tanh(self.biases + sum(table.max(axis=1) for table in tables))
        least, most = np.minimum(lowest, highest).sum(), np.maximum(lowest, highest).sum()
        return float(least) + self.shift, float(most) + self.shift

    def reads(self, features: Flags) -> Flags:
        """Which units read any of the features that are set, shape ``(units,)``."""
        columns = np.repeat(features, self.width)
        return np.asarray(self.weights[:, columns].any(axis=1), dtype=np.bool_)

    def with_head(self, head: Floats) -> Network:
        """The same network with another head, shape ``(units + 1,)``; its last is the shift."""
        return replace(self, head=head[:-1], shift=float(head[-1]))

    def _tables(self) -> list[Floats]:
        """What each bin of a feature adds to every unit before it bends, ``(units, bins)``."""
        parts = np.split(self.weights, len(self.vectors), axis=1)
        return [part @ own.T for part, own in zip(parts, self.vectors, strict=True)]

    def _passes(self, bins: Bytes8) -> Iterator[tuple[slice, Floats]]:
        """Hidden units, shape ``(units, 1024)``, so many records at a time.

        A record's numbers must not depend on its neighbours, to the last bit. Products of
        matrices may round otherwise in another shape or place, so what a bin adds is looked
        up and added, feature by feature, in passes of one size.
        """
        tables = [(np.flatnonzero(table.any(axis=1)), table) for table in self._tables()]
        tables = [(read, np.ascontiguousarray(table[read])) for read, table in tables]
        for start in range(0, bins.shape[1], _PASS):
            some = slice(start, min(start + _PASS, bins.shape[1]))
            units = np.repeat(self.biases[:, None], _PASS, axis=1)
            for (read, table), of_record in zip(tables, bins, strict=True):
                column = np.zeros(_PASS, dtype=np.intp)
                column[: some.stop - start] = of_record[some]
                units[read] += np.take(table, column, axis=1)
            yield some, np.tanh(units, out=units)
