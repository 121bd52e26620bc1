"""Tables on disk as records: read once, checked row by row, kept as cells only.

Reading, checking and encoding are one pass in bounded memory. What stays is the
encoded cells, in memory while they are small and then in a file that has no
name: it belongs to this process and ends with it. Nothing else of a row is kept.
"""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
import polars as pl

from fedcredit.adapters.frames import TableFile, files_of, frames
from fedcredit.adapters.series import id_texts, levels, marks_of_ids, numbers
from fedcredit.data.columns import Numeric
from fedcredit.data.records import Batch, Records
from fedcredit.data.schema import Schema
from fedcredit.data.split import Marks
from fedcredit.data.table import (
    Chunk,
    Finding,
    check,
    encode_chunk,
    findings,
    read_chunk,
    refuse_broken,
    repeats,
)
from fedcredit.units import Bytes8

__all__ = ["check_table", "open_table", "scoring_batches"]

_IN_MEMORY_BYTES: Final = 1 << 26


def open_table(source: str, schema: Schema, salt: bytes) -> Records:
    """Read a table under its contract.

    Args:
        source: a path or glob of CSV or Parquet files.
        schema: the contract.
        salt: the study's public salt, which decides the split.

    Returns:
        The records: public cells, outcomes and the split; rows without an outcome are left
        out where the schema says so.

    Raises:
        DataError: a file cannot be read, or the table breaks its contract; names file, column,
            rule and remedy, never a value.
    """
    files = files_of(source)
    refuse_broken(_absences(files, schema, _declared(schema)), source)
    spool = _Spool(schema)
    tally: Counter[tuple[str, str]] = Counter()
    persons: list[Marks] = []
    ids: dict[str, list[Marks]] = {name: [] for name in schema.ids if name != schema.person}
    for chunk in _chunks(files, schema, _declared(schema)):
        reading = read_chunk(schema, chunk, salt)
        spool.append(reading.batch)
        tally.update(reading.tally)
        persons.append(reading.persons)
        for name, of_rows in chunk.ids.items():
            ids[name].append(of_rows)
    tally.update(repeats(schema, persons, ids))
    refuse_broken(findings(schema, tally), source)
    return spool


def check_table(source: str, schema: Schema) -> tuple[Finding, ...]:
    """Check every rule of a table and count what stands out.

    Args:
        source: a path or glob of CSV or Parquet files.
        schema: the contract.

    Returns:
        One finding for each rule and column.

    Raises:
        DataError: a file cannot be read at all.
    """
    files = files_of(source)
    absent = [finding.column for finding in _absences(files, schema, _declared(schema))]
    return check(schema, _chunks(files, schema, _declared(schema)), absent)


def scoring_batches(source: str, schema: Schema) -> Iterator[Bytes8]:
    """Read a table for scoring: features only, in the order of its rows, without a label.

    Args:
        source: a path or glob of CSV or Parquet files.
        schema: the contract of the model.

    Yields:
        The cells of some rows, uint8, shape ``(features, n)``.

    Raises:
        DataError: a file cannot be read, or a row breaks a rule of a feature.
    """
    files = files_of(source)
    wanted = [column.name for column in schema.features]
    refuse_broken(_absences(files, schema, wanted), source)
    for chunk in _chunks(files, schema, wanted):
        cells, tally = encode_chunk(schema, chunk)
        asked = [one for one in findings(schema, tally) if one.column in wanted]
        refuse_broken(asked, source)
        yield cells


def _declared(schema: Schema) -> list[str]:
    """The columns that a table must have."""
    others = (schema.label.column, schema.person, *schema.ids, schema.vintage)
    names = [*(column.name for column in schema.columns), *others]
    return [name for name in dict.fromkeys(names) if name]


def _absences(
    files: Sequence[TableFile], schema: Schema, wanted: Sequence[str]
) -> tuple[Finding, ...]:
    """Findings for the columns that a file does not have."""
    absent = [name for name in wanted if not all(name in file.columns for file in files)]
    nothing_read = Counter({("rows", ""): 1})
    found = findings(schema, nothing_read, absent)
    return tuple(one for one in found if one.rule == "columns" and not one.passed)


def _chunks(files: Sequence[TableFile], schema: Schema, wanted: Sequence[str]) -> Iterator[Chunk]:
    """The rows of all files."""
    for file in files:
        present = [name for name in wanted if name in file.columns]
        for frame in frames(file, present):
            yield _chunk(schema, frame)


def _chunk(schema: Schema, frame: pl.DataFrame) -> Chunk:
    """The columns of a frame as the arrays that rules are checked on."""
    values, texts, unreadable = {}, {}, {}
    for column in schema.columns:
        if column.name not in frame.columns:
            continue
        series = frame[column.name]
        if isinstance(column, Numeric):
            values[column.name], unreadable[column.name] = numbers(column, series)
        else:
            texts[column.name], unreadable[column.name] = levels(series)
    label = schema.label.column
    if label in frame.columns:
        texts[label], unreadable[label] = levels(frame[label])
    ids, unnamed = {}, {}
    for name in schema.ids:
        if name in frame.columns and name != schema.person:
            of_rows = id_texts(frame[name])
            ids[name], unnamed[name] = marks_of_ids(of_rows), of_rows.null_count()
    persons: list[bytes] = []
    if schema.person in frame.columns:
        persons = id_texts(frame[schema.person]).fill_null("").cast(pl.Binary).to_list()
    return Chunk(frame.height, values, texts, unreadable, persons, ids, unnamed)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a batch lies in the spool."""

    offset: int
    rows: int


class _Spool:
    """Records in a temporary file; each pass reads it from the start."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._places: list[_Place] = []
        self._end = 0
        self._lock = threading.Lock()  # passes in several threads share one file position
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)
        weakref.finalize(self, self._file.close)

    def append(self, batch: Batch) -> None:
        """Keep a batch."""
        for array in (batch.cells, batch.bad, batch.held_out):
            self._file.write(np.ascontiguousarray(array).data)
        self._places.append(_Place(self._end, len(batch.bad)))
        self._end += batch.cells.size + 2 * len(batch.bad)

    def batches(self) -> Iterator[Batch]:
        """Every batch, as it was kept."""
        features = len(self.schema.features)
        for place in self._places:
            with self._lock:
                self._file.seek(place.offset)
                data = self._file.read((features + 2) * place.rows)
            rows = np.frombuffer(data, dtype=np.uint8).reshape(features + 2, place.rows)
            yield Batch(rows[:features], rows[features], rows[features + 1].view(np.bool_))
