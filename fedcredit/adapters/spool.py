"""Encoded records in a file that has no name: it belongs to this process and ends with it.

Only cells, outcomes and the split are written. Small tables stay in memory; a
larger one goes into an unlinked temporary file, read from its start in each pass.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections.abc import Iterator
from typing import IO, Final

import numpy as np

from fedcredit.data.records import Batch
from fedcredit.data.schema import Schema

__all__ = ["Spool"]

_IN_MEMORY_BYTES: Final = 1 << 26


class Spool:
    """Records that are appended once and then read any number of times.

    Attributes:
        schema: the contract that the cells are of.
    """

    def __init__(self, schema: Schema, *, in_memory_bytes: int = _IN_MEMORY_BYTES) -> None:
        self.schema = schema
        self._rows: list[int] = []
        self._lock = threading.Lock()  # passes in several threads share one file position
        # Closed when the records are no longer used, not at the end of a block.
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=in_memory_bytes)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def append(self, batch: Batch) -> None:
        """Keep a batch.

        Args:
            batch: some records.
        """
        if len(batch.bad):
            for array in (batch.cells, batch.bad, batch.held_out):
                self._file.write(np.ascontiguousarray(array).tobytes())
            self._rows.append(len(batch.bad))

    def batches(self) -> Iterator[Batch]:
        """Every batch, as it was kept and in that order.

        Yields:
            The batches; their arrays are read-only.
        """
        features = len(self.schema.features)
        offset = 0
        for rows in tuple(self._rows):
            size = (features + 2) * rows
            with self._lock:
                self._file.seek(offset)
                data = self._file.read(size)
            offset += size
            lines = np.frombuffer(data, dtype=np.uint8).reshape(features + 2, rows)
            yield Batch(lines[:features], lines[features], lines[features + 1].view(np.bool_))
