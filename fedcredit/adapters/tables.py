"""Tables as records: read once, checked row by row, kept as cells only.

Reading, checking and encoding are one pass in bounded memory: a chunk of rows,
and 8 bytes a row for each id until repeated ones are counted. Of a row nothing
stays but its cells, its outcome and its side of the split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import polars as pl

from fedcredit.adapters.frames import files_of
from fedcredit.adapters.series import id_texts, levels, marks_of_ids, numbers
from fedcredit.adapters.spool import Spool
from fedcredit.data.columns import Numeric
from fedcredit.data.findings import (
    Finding,
    absences,
    broken_rows,
    check,
    findings,
    refuse_broken,
)
from fedcredit.data.records import Records
from fedcredit.data.schema import Schema
from fedcredit.data.split import Marks
from fedcredit.data.table import Chunk, encode_chunk, id_columns, read_chunk, repeats
from fedcredit.units import Bytes8

__all__ = [
    "Part",
    "check_table",
    "declared_columns",
    "open_parts",
    "open_table",
    "scoring_batches",
]

T = TypeVar("T")


class Part(Protocol):
    """A part of a table, such as one file."""

    @property
    def label(self) -> str:
        """What errors call it."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns."""
        ...

    def frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read some of its columns, some rows at a time.

        Raises:
            DataError: it cannot be read.
        """
        ...

    def guarded(self, step: Callable[[], T]) -> T:
        """Do one step with a frame; if it fails, say so without a value.

        Raises:
            DataError: the step failed.
        """
        ...


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
    return open_parts(files_of(source), source, schema, salt)


def open_parts(parts: Sequence[Part], source: str, schema: Schema, salt: bytes) -> Records:
    """Read the parts of a table under its contract.

    Args:
        parts: of the table.
        source: what errors call the whole of them.
        schema: the contract.
        salt: the study's public salt, which decides the split.

    Returns:
        See `open_table`.

    Raises:
        DataError: see `open_table`.
    """
    wanted = declared_columns(schema)
    _refuse_absent(parts, wanted)
    spool = Spool(schema)
    tally: Counter[tuple[str, str]] = Counter()
    persons: list[Marks] = []
    ids: dict[str, list[Marks]] = {name: [] for name in id_columns(schema)}
    for part in parts:
        for chunk in _chunks(part, schema, wanted):
            reading = read_chunk(schema, chunk, salt)
            refuse_broken(broken_rows(schema, reading.tally), part.label)
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
    wanted = declared_columns(schema)
    absent = [name for name in wanted if not all(name in file.columns for file in files)]
    chunks = (chunk for file in files for chunk in _chunks(file, schema, wanted))
    return check(schema, chunks, absent)


def scoring_batches(source: str, schema: Schema) -> Iterator[Bytes8]:
    """Read a table for scoring: features only, without a label, in the order of its rows.

    Args:
        source: a path or glob of CSV or Parquet files.
        schema: the contract of the model.

    Yields:
        The cells of some rows, uint8, shape ``(features, n)``.

    Raises:
        DataError: a file cannot be read or has no rows, or a row breaks a rule of a feature.
    """
    files = files_of(source)
    wanted = [column.name for column in schema.features]
    _refuse_absent(files, wanted)
    rows = 0
    for file in files:
        for chunk in _chunks(file, schema, wanted):
            cells, tally = encode_chunk(schema, chunk)
            asked = [one for one in broken_rows(schema, tally) if one.column in wanted]
            refuse_broken(asked, file.label)
            rows += chunk.rows
            yield cells
    if not rows:
        refuse_broken([one for one in findings(schema, {}) if one.rule == "rows"], source)


def declared_columns(schema: Schema) -> list[str]:
    """The columns that a table must have."""
    others = (schema.label.column, schema.person, *schema.ids, schema.vintage)
    names = [*(column.name for column in schema.columns), *others]
    return [name for name in dict.fromkeys(names) if name]


def _refuse_absent(parts: Sequence[Part], wanted: Sequence[str]) -> None:
    """Refuse parts that lack a column."""
    for part in parts:
        absent = [name for name in wanted if name not in part.columns]
        refuse_broken(absences(absent), part.label)


def _chunks(part: Part, schema: Schema, wanted: Sequence[str]) -> Iterator[Chunk]:
    """The rows of a part, as far as it has the columns."""
    present = [name for name in wanted if name in part.columns]
    for frame in part.frames(present):
        yield part.guarded(partial(_chunk, schema, frame))


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
    for name in id_columns(schema):
        if name in frame.columns:
            of_rows = id_texts(frame[name])
            ids[name], unnamed[name] = marks_of_ids(of_rows), of_rows.null_count()
    persons: list[bytes] = []
    if schema.person in frame.columns:
        of_rows = id_texts(frame[schema.person])
        unnamed[schema.person] = of_rows.null_count()
        persons = of_rows.fill_null("").cast(pl.Binary).to_list()
    return Chunk(frame.height, values, texts, unreadable, persons, ids, unnamed)
