"""Records: an institution's table as public cells, read batch by batch, again and again.

A batch holds all that training ever reads of a row: one cell for each feature,
the outcome, and on which side of the split the record lies. Its `repr` shows
sizes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from fedcredit.data.schema import Schema
from fedcredit.errors import LocalError
from fedcredit.units import Bytes8, Flags

__all__ = ["BATCH_ROWS", "Batch", "Records", "in_memory"]

BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some records of a table.

    Attributes:
        cells: the cell of each feature, uint8, shape ``(features, n)``, C-contiguous, in the
            order of ``schema.features``.
        bad: 1 where the outcome is bad, uint8, shape ``(n,)``.
        held_out: True where the record serves evaluation only, shape ``(n,)``.
    """

    cells: Bytes8
    bad: Bytes8
    held_out: Flags

    def __repr__(self) -> str:  # never print what is not yet noised
        return f"Batch(features={len(self.cells)}, rows=...)"


@runtime_checkable
class Records(Protocol):
    """A table that can be read any number of times, within the memory of one batch."""

    @property
    def schema(self) -> Schema:
        """The contract that the cells are of."""
        ...

    def batches(self) -> Iterator[Batch]:
        """Every record once, in a fixed order."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _InMemory:
    """Records that are held as three arrays."""

    schema: Schema
    whole: Batch
    batch_rows: int

    def batches(self) -> Iterator[Batch]:
        """Slices of the arrays."""
        for start in range(0, len(self.whole.bad), self.batch_rows):
            rows = slice(start, start + self.batch_rows)
            cells = np.ascontiguousarray(self.whole.cells[:, rows])
            yield Batch(cells, self.whole.bad[rows], self.whole.held_out[rows])


def in_memory(
    schema: Schema,
    cells: Bytes8,
    bad: Bytes8,
    held_out: Flags,
    batch_rows: int = BATCH_ROWS,
) -> Records:
    """Records from arrays, for tables that are small or made up.

    Args:
        schema: the contract.
        cells: uint8, shape ``(features, n)``.
        bad: uint8, 0 or 1, shape ``(n,)``.
        held_out: bool, shape ``(n,)``.
        batch_rows: most rows of a batch, > 0.

    Returns:
        The records; the arrays are not copied and must not be written to.

    Raises:
        LocalError: shapes or types do not fit, or a cell does not exist in the schema.
    """
    features = schema.features
    fits = (
        cells.dtype == np.uint8
        and bad.dtype == np.uint8
        and held_out.dtype == np.bool_
        and bad.shape == held_out.shape == cells.shape[1:]
        and len(cells) == len(features)
    )
    if not fits or batch_rows < 1:
        raise LocalError(
            f"cells, bad and held_out have shapes {cells.shape}, {bad.shape}, {held_out.shape}",
            remedy=f"give uint8 ({len(features)}, n), uint8 (n,) and bool (n,)",
        )
    for column, of_column in zip(features, cells, strict=True):
        if of_column.size and of_column.max() >= column.cell_count:
            raise LocalError(
                f"column {column.name!r} has a cell that its schema does not have",
                remedy="encode the table with this schema",
            )
    if bad.size and bad.max() > 1:
        raise LocalError("bad holds a number above 1", remedy="give 1 for bad, 0 for good")
    return _InMemory(schema, Batch(cells, bad, held_out), batch_rows)
