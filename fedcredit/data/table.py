"""A table read chunk by chunk: cells for the learners, and a tally of what stands out.

Tallies add up, so that a table of any length is checked in the memory of one
chunk; what follows from their sum is `fedcredit.data.findings`. Nothing here
raises because of a value, and no `repr` shows one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from fedcredit.data.cells import MISSING_TEXTS, Levels, encode_levels, encode_numbers
from fedcredit.data.columns import Column, Numeric, canonical_text
from fedcredit.data.records import Batch
from fedcredit.data.schema import Schema
from fedcredit.data.split import Marks, held_out_marks, marks, row_keys
from fedcredit.units import Bytes8, Floats, Ints

__all__ = ["Chunk", "Reading", "Tally", "encode_chunk", "id_columns", "read_chunk", "repeats"]

# Rows by (fact, column). Facts are "rows" (of column ""); "type", "finite", "missing", "bounds",
# "category" of a described column; "good", "bad", "no outcome", "unknown outcome" and "type" of
# the label; "unnamed" and "repeated" of an id column or the person.
Tally: TypeAlias = Mapping[tuple[str, str], int]

_NO_OUTCOME, _UNKNOWN_OUTCOME = 2, 3
_OUTCOMES = ("good", "bad", "no outcome", "unknown outcome")


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some rows of a table, column by column; a column that is absent is not in it.

    Attributes:
        rows: number of rows.
        numbers: values of the numeric columns, NaN for missing, shape ``(rows,)``.
        levels: texts of the categorical columns and of the label.
        unreadable: rows whose entry is no number, or no text, by column; they are missing above.
        persons: each row's person as canonical text, ``b""`` for missing; empty if unnamed.
        ids: a 64-bit hash of each id that is there, by id column.
        unnamed: rows without an id, by id column, and without a person.
    """

    rows: int
    numbers: Mapping[str, Floats] = field(default_factory=dict)
    levels: Mapping[str, Levels] = field(default_factory=dict)
    unreadable: Mapping[str, int] = field(default_factory=dict)
    persons: Sequence[bytes] = ()
    ids: Mapping[str, Marks] = field(default_factory=dict)
    unnamed: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:  # holds customers' rows
        return "Chunk(...)"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A chunk read under a schema.

    Attributes:
        batch: the rows that have an outcome.
        tally: what stands out in all rows.
        persons: a mark of each person in ``batch``, shape ``(n,)``; empty if unnamed.
    """

    batch: Batch
    tally: Tally
    persons: Marks

    def __repr__(self) -> str:  # the tally is exact
        return "Reading(...)"


def encode_chunk(schema: Schema, chunk: Chunk) -> tuple[Bytes8, Tally]:
    """Encode the features of a chunk and count what stands out.

    Args:
        schema: the contract.
        chunk: some rows; a column that it lacks is missing in every row.

    Returns:
        The cells, shape ``(features, rows)``, and the tally of every described column.
    """
    tally: dict[tuple[str, str], int] = {("rows", ""): chunk.rows}
    cells = np.empty((len(schema.features), chunk.rows), dtype=np.uint8)
    places = {column.name: at for at, column in enumerate(schema.features)}
    for column in schema.columns:
        of_column, found = _encode(column, chunk)
        tally |= {(fact, column.name): count for fact, count in found.items()}
        if column.name in places:
            cells[places[column.name]] = of_column
    return cells, tally


def read_chunk(schema: Schema, chunk: Chunk, salt: bytes) -> Reading:
    """Read a chunk: cells, outcomes, the split, and what stands out.

    Args:
        schema: the contract.
        chunk: some rows.
        salt: the study's public salt, which decides the split.

    Returns:
        The rows that have an outcome, and the tally of all rows.
    """
    cells, of_columns = encode_chunk(schema, chunk)
    tally = Counter(of_columns)
    label = schema.label.column
    outcome = _outcomes(schema, chunk)
    for value, fact in enumerate(_OUTCOMES):
        tally[fact, label] += int((outcome == value).sum())
    tally["type", label] += chunk.unreadable.get(label, 0)
    tally["no outcome", label] -= chunk.unreadable.get(label, 0)
    tally.update({("unnamed", name): count for name, count in chunk.unnamed.items()})

    kept = np.flatnonzero(outcome < _NO_OUTCOME)
    if len(kept) < chunk.rows:
        cells = np.ascontiguousarray(cells[:, kept])
    named = len(chunk.persons) > 0
    of_rows = marks(chunk.persons, salt)[kept] if named else marks(row_keys(cells), salt)
    batch = Batch(cells, outcome[kept].astype(np.uint8), held_out_marks(of_rows))
    return Reading(batch, tally, of_rows if named else of_rows[:0])


def repeats(schema: Schema, persons: Sequence[Marks], ids: Mapping[str, Sequence[Marks]]) -> Tally:
    """Count rows whose person or id has come too often already.

    Args:
        schema: the contract.
        persons: marks of the rows' persons, in parts; 8 bytes a row.
        ids: hashes of the rows' ids, in parts, by id column; 8 bytes a row.

    Returns:
        The tally of repeated rows.
    """
    tally = {("repeated", name): _beyond(parts, 1) for name, parts in ids.items()}
    if schema.person:
        tally["repeated", schema.person] = _beyond(persons, schema.rows_per_person)
    return tally


def id_columns(schema: Schema) -> tuple[str, ...]:
    """The columns in which nothing may come twice; the person has a rule of its own.

    Args:
        schema: the contract.

    Returns:
        Names, in order.
    """
    return tuple(name for name in schema.ids if name != schema.person)


def _encode(column: Column, chunk: Chunk) -> tuple[Bytes8, dict[str, int]]:
    """A column's cells, and how many rows stand out by which fact."""
    unreadable = chunk.unreadable.get(column.name, 0)
    found = {"type": unreadable}
    if isinstance(column, Numeric):
        values = chunk.numbers.get(column.name)
        if values is None:
            values = np.full(chunk.rows, np.nan)
        cells = encode_numbers(column, values)
        ordered = cells < column.missing_cell
        infinite = np.isinf(values) & ordered
        outside = ((values < column.low) | (values > column.high)) & ordered & ~infinite
        found |= {"finite": int(infinite.sum()), "bounds": int(outside.sum())}
    else:
        levels = chunk.levels.get(column.name)
        if levels is None:
            levels = Levels(np.full(chunk.rows, -1), ())
        cells = encode_levels(column, levels)
        found["category"] = int((cells == column.other_cell).sum())
    found["missing"] = int((cells == column.missing_cell).sum()) - unreadable
    return cells, found


def _outcomes(schema: Schema, chunk: Chunk) -> Ints:
    """Each row's outcome: 0 good, 1 bad, or one of the two that are neither."""
    levels = chunk.levels.get(schema.label.column)
    if levels is None:
        return np.full(chunk.rows, _NO_OUTCOME)
    known = {canonical_text(text): 0 for text in schema.label.good}
    known |= {canonical_text(text): 1 for text in schema.label.bad}
    table = np.full(len(levels.texts) + 1, _NO_OUTCOME)  # code -1 finds the last: missing
    for at, text in enumerate(levels.texts):
        name = canonical_text(text)
        table[at] = known.get(name, _NO_OUTCOME if name in MISSING_TEXTS else _UNKNOWN_OUTCOME)
    outcomes: Ints = table[levels.codes]
    return outcomes


def _beyond(parts: Sequence[Marks], allowed: int) -> int:
    """How many marks come after ``allowed`` equal ones."""
    if not parts:
        return 0
    every = np.concatenate(parts)
    every.sort()
    return int((every[allowed:] == every[:-allowed]).sum())
