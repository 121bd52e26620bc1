"""Records that a sampled round is asked about: a secret sample of a table, as a table.

Whoever measures sees fewer records and nothing else: every question is asked of a sample as
it is of all records. The sample lives as long as this view, which serves one sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedcredit.data.records import Batch, Records
from fedcredit.data.schema import Schema
from fedcredit.measures.sampling import sampled
from fedcredit.privacy.noise import RandomBytes
from fedcredit.units import Flags

__all__ = ["drawn"]


class _Drawn:
    """Some records of a table; the coins of a batch are thrown when it is first read."""

    def __init__(self, whole: Records, rate: int, source: RandomBytes) -> None:
        self._whole, self._rate, self._source = whole, rate, source
        self._coins: list[Flags] = []

    def __repr__(self) -> str:
        """Never print who, or how many."""
        return "_Drawn(rows=...)"

    @property
    def schema(self) -> Schema:
        """The table's."""
        return self._whole.schema

    def batches(self) -> Iterator[Batch]:
        """The table's batches with the records that are in; the same at every reading."""
        for index, batch in enumerate(self._whole.batches()):
            if index == len(self._coins):
                self._coins.append(sampled(len(batch.bad), self._rate, self._source))
            keep = np.flatnonzero(self._coins[index])
            yield Batch(np.take(batch.cells, keep, axis=1), batch.bad[keep], batch.held_out[keep])


def drawn(records: Records, rate: int, source: RandomBytes) -> Records:
    """Draw a sample of records.

    Guarantee: each record of the table is in by itself, with probability ``rate / 2**20``,
    if the bytes are uniform and independent; one view is one sample, however often it is
    read, and another view is another sample.

    Args:
        records: a table, read in the same order every time.
        rate: public, in parts of 2^-20.
        source: secret random bytes, never used before and never to be used again.

    Returns:
        The sample, for one sum. It is as secret as the records are.
    """
    return _Drawn(records, rate, source)
