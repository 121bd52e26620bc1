"""The rules of a table: what is checked of every row, counted, and never shown.

A table is read chunk by chunk; each chunk gives cells and a tally, tallies add
up, and from their sum follow the findings: for each rule and column whether it
holds, how many rows break it, and what to do. A finding holds no value of any
row, and neither does the error that refuses a table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np

from fedcredit.data.cells import MISSING_TEXTS, Levels, encode_levels, encode_numbers
from fedcredit.data.columns import Categorical, Column, Numeric, canonical_text
from fedcredit.data.records import Batch
from fedcredit.data.schema import Schema
from fedcredit.data.split import Marks, held_out_marks, marks, row_keys
from fedcredit.errors import DataError
from fedcredit.units import Bytes8, Floats, Ints

__all__ = [
    "RULES",
    "Chunk",
    "Finding",
    "Reading",
    "Tally",
    "check",
    "encode_chunk",
    "findings",
    "read_chunk",
    "refuse_broken",
    "repeats",
]

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rows": "the table has rows",
        "columns": "every declared column is there",
        "type": "numbers are numbers, texts are readable",
        "finite": "no number is infinite",
        "missing": "values are there where the schema wants them",
        "bounds": "numbers lie within their public bounds",
        "category": "categories are listed",
        "label": "outcomes are declared good or bad",
        "outcome": "every row has an outcome",
        "classes": "there are good and bad outcomes",
        "person": "every row names its person, no person has more rows than declared",
        "ids": "every row has its id, and no id comes twice",
    }
)

Tally: TypeAlias = Mapping[tuple[str, str], int]  # rows by (rule or fact, column)


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """Some rows of a table, column by column; a column that is absent is not in it.

    Attributes:
        rows: number of rows.
        numbers: values of the numeric columns, NaN for missing, shape ``(rows,)``.
        levels: texts of the categorical columns and of the label.
        unreadable: rows whose entry is no number, or no text, by column.
        persons: each row's person as canonical text, ``b""`` for missing; empty if unnamed.
        ids: a 64-bit hash of each row's id, by id column.
        unnamed: rows without an id, by id column.
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
        tally: what was found.
        persons: a mark of each row's person, shape ``(n,)``; empty if the schema names none.
    """

    batch: Batch
    tally: Tally
    persons: Marks


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one rule for one column.

    Attributes:
        rule: a key of ``RULES``.
        column: the column, "" for a rule about the whole table.
        passed: whether the rule holds, as the schema's policy wants it.
        count: rows that stand out; they may pass, as clamped or counted ones do.
        hint: what it means and what to do; "" when there is nothing to say.
    """

    rule: str
    column: str
    passed: bool
    count: int
    hint: str = ""


def encode_chunk(schema: Schema, chunk: Chunk) -> tuple[Bytes8, Tally]:
    """Encode the features of a chunk and count what stands out.

    Args:
        schema: the contract.
        chunk: some rows; a column that it lacks is missing in every row.

    Returns:
        The cells, shape ``(features, rows)``, and the tally.
    """
    tally: Counter[tuple[str, str]] = Counter({("rows", ""): chunk.rows})
    cells = np.empty((len(schema.features), chunk.rows), dtype=np.uint8)
    places = {column.name: at for at, column in enumerate(schema.features)}
    for column in schema.columns:
        of_column, found = _encode(column, chunk)
        for rule, count in found.items():
            tally[rule, column.name] += count
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
    cells, encoded = encode_chunk(schema, chunk)
    tally = Counter(encoded)
    outcome = _outcomes(schema, chunk)
    for name, value in (("good", 0), ("bad", 1), ("outcome", _NO_OUTCOME), ("label", _UNKNOWN)):
        tally[name, ""] += int((outcome == value).sum())
    tally["type", schema.label.column] += chunk.unreadable.get(schema.label.column, 0)
    for name, count in chunk.unnamed.items():
        tally["unnamed", name] += count

    kept = np.flatnonzero(outcome <= 1)
    cells = cells if len(kept) == chunk.rows else np.ascontiguousarray(cells[:, kept])
    if chunk.persons:
        tally["person", "unnamed"] += sum(not person for person in chunk.persons)
        of_rows = marks(chunk.persons, salt)[kept]
        persons = of_rows
    else:
        of_rows = marks(row_keys(cells), salt)
        persons = of_rows[:0]
    batch = Batch(cells, outcome[kept].astype(np.uint8), held_out_marks(of_rows))
    return Reading(batch, tally, persons)


def check(
    schema: Schema, chunks: Iterable[Chunk], absent: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Check a whole table against its contract.

    Args:
        schema: the contract.
        chunks: the table's rows; read once, one chunk in memory at a time. Of ids, 8 bytes
            for each row are kept until the end.
        absent: declared columns that the table does not have.

    Returns:
        One finding for each rule and column.
    """
    tally: Counter[tuple[str, str]] = Counter()
    persons: list[Marks] = []
    ids: dict[str, list[Marks]] = {name: [] for name in _id_columns(schema)}
    for chunk in chunks:
        reading = read_chunk(schema, chunk, salt=b"")
        tally.update(reading.tally)
        persons.append(reading.persons)
        for name, of_rows in chunk.ids.items():
            ids[name].append(of_rows)
    tally.update(repeats(schema, persons, ids))
    return findings(schema, tally, absent)


def repeats(schema: Schema, persons: Sequence[Marks], ids: Mapping[str, Sequence[Marks]]) -> Tally:
    """Count rows whose person or id has come too often already.

    Args:
        schema: the contract.
        persons: marks of the rows' persons, in parts.
        ids: hashes of the rows' ids, in parts, by id column.

    Returns:
        The tally of repeated rows.
    """
    tally = {("repeated", name): _beyond(parts, 1) for name, parts in ids.items()}
    tally["person", "repeated"] = _beyond(persons, schema.rows_per_person)
    return tally


def findings(schema: Schema, tally: Tally, absent: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Turn a whole table's tally into findings.

    Args:
        schema: the contract.
        tally: the sum of its chunks' tallies and of ``repeats``.
        absent: declared columns that the table does not have.

    Returns:
        One finding for each rule and column, in the order of ``RULES``.
    """
    result = [_must("rows", "", int(not tally.get(("rows", ""), 0)), _HINTS["rows"])]
    result += [_must("columns", name, 1, _HINTS["columns"]) for name in absent]
    if not absent:
        result.append(Finding("columns", "", passed=True, count=0))
    per_column = ("type", "finite", "missing", "bounds", "category")
    result += [
        _finding(rule, column, tally.get((rule, column.name), 0))
        for rule in per_column
        for column in schema.columns
        if (rule, type(column)) not in _NOT_ASKED and column.name not in absent
    ]
    name = schema.label.column
    if name not in absent:
        result += _label_findings(schema, tally)
    for id_column in _id_columns(schema):
        if id_column not in absent:
            unnamed, twice = (
                tally.get(("unnamed", id_column), 0),
                tally.get(("repeated", id_column), 0),
            )
            result.append(_must("ids", id_column, unnamed + twice, _HINTS["ids"]))
    if schema.person and schema.person not in absent:
        count = tally.get(("person", "unnamed"), 0) + tally.get(("person", "repeated"), 0)
        hint = f"{_HINTS['person']} (now {schema.rows_per_person})"
        result.append(_must("person", schema.person, count, hint))
    order = list(RULES)
    return tuple(sorted(result, key=lambda finding: order.index(finding.rule)))


def refuse_broken(found: Sequence[Finding], where: str) -> None:
    """Refuse a table that breaks its contract.

    Args:
        found: the findings.
        where: the table's file or files.

    Raises:
        DataError: a rule does not hold; names file, column, rule and remedy.
    """
    broken = [finding for finding in found if not finding.passed]
    if broken:
        first = broken[0]
        column = f"column {first.column!r}" if first.column else "the table"
        others = sorted({finding.rule for finding in broken[1:]})
        more = f" (and more under {', '.join(others)})" if others else ""
        raise DataError(
            f"{where}: {column} breaks the rule {first.rule!r}, {RULES[first.rule]}{more}",
            remedy=f"{first.hint}; `fedcredit data check` counts every rule",
        )


_NO_OUTCOME, _UNKNOWN = 2, 3
_NOT_ASKED = {("finite", Categorical), ("bounds", Categorical), ("category", Numeric)}
_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rows": "give a table with at least one row",
        "columns": "rename the table's column, or take it out of the schema; is the first line "
        "of a CSV the header",
        "type": "write plain numbers in UTF-8; declare a format, or the column as categorical",
        "finite": "replace infinite numbers, by an empty entry where the value is unknown",
        "missing": 'fill them in, or set missing = "cell"',
        "bounds": 'correct them or widen the public bounds; outside = "clamp" counts them in',
        "category": "correct them or list the categories; other = true gives them a cell",
        "label": "list the value as good or bad, or leave such rows out of the table",
        "outcome": 'leave rows without an outcome out, or set missing = "drop" for the label',
        "classes": "give a table that holds both good and bad outcomes",
        "person": "name each person once, or raise rows_per_person",
        "ids": "remove repeated rows; take a column that does not name a record out of ids",
    }
)
_COUNTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "in a cell of their own",
        "bounds": "clamped into the outermost cells",
        "category": 'counted as "other"',
        "outcome": "dropped",
    }
)


def _encode(column: Column, chunk: Chunk) -> tuple[Bytes8, dict[str, int]]:
    """A column's cells and how many rows stand out by which rule."""
    found = {"type": chunk.unreadable.get(column.name, 0)}
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
    missing = int((cells == column.missing_cell).sum())
    found["missing"] = missing - found["type"]  # what cannot be read was made missing
    return cells, found


def _outcomes(schema: Schema, chunk: Chunk) -> Ints:
    """Each row's outcome: 0 good, 1 bad, or one of the two that are neither."""
    levels = chunk.levels.get(schema.label.column)
    if levels is None:
        return np.full(chunk.rows, _NO_OUTCOME)
    known = {canonical_text(text): 0 for text in schema.label.good}
    known |= {canonical_text(text): 1 for text in schema.label.bad}
    table = np.full(len(levels.texts) + 1, _NO_OUTCOME)
    for at, text in enumerate(levels.texts):
        name = canonical_text(text)
        table[at] = known.get(name, _NO_OUTCOME if name in MISSING_TEXTS else _UNKNOWN)
    outcomes: Ints = table[levels.codes]
    return outcomes


def _finding(rule: str, column: Column, count: int) -> Finding:
    """The finding for a rule that a column's policy may soften."""
    soft = {
        "missing": column.missing == "cell",
        "bounds": isinstance(column, Numeric) and column.outside == "clamp",
        "category": isinstance(column, Categorical) and column.other,
    }
    if soft.get(rule, False):
        return Finding(rule, column.name, True, count, _COUNTED[rule] if count else "")
    return _must(rule, column.name, count, _HINTS[rule])


def _label_findings(schema: Schema, tally: Tally) -> list[Finding]:
    """The findings about the outcome."""
    name = schema.label.column
    lost = tally.get(("outcome", ""), 0)
    if schema.label.missing == "drop":
        outcome = Finding("outcome", name, True, lost, _COUNTED["outcome"] if lost else "")
    else:
        outcome = _must("outcome", name, lost, _HINTS["outcome"])
    absent = sum(not tally.get((side, ""), 0) for side in ("good", "bad"))
    return [
        _must("type", name, tally.get(("type", name), 0), _HINTS["type"]),
        _must("label", name, tally.get(("label", ""), 0), _HINTS["label"]),
        outcome,
        Finding("classes", name, not absent, 0, _HINTS["classes"] if absent else ""),
    ]


def _must(rule: str, column: str, count: int, hint: str) -> Finding:
    """The finding for a rule that no row may break."""
    return Finding(rule, column, not count, count, hint if count else "")


def _id_columns(schema: Schema) -> tuple[str, ...]:
    """The columns whose entries must not repeat; the person's rule is its own."""
    return tuple(name for name in schema.ids if name != schema.person)


def _beyond(parts: Sequence[Marks], allowed: int) -> int:
    """How many marks come after ``allowed`` equal ones."""
    if not parts:
        return 0
    every = np.concatenate(parts)
    every.sort()
    return int((every[allowed:] == every[:-allowed]).sum())
