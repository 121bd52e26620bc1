"""The rules of a table: whether each holds, how many rows stand out, and what to do.

A finding holds counts and hints, no value of any row, and so does the error
that refuses a table, without the counts: it may travel further than a screen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fedcredit.data.columns import Categorical, Column, Numeric
from fedcredit.data.schema import Schema
from fedcredit.data.split import Marks
from fedcredit.data.table import Chunk, Tally, id_columns, read_chunk, repeats
from fedcredit.errors import DataError

__all__ = ["RULES", "Finding", "absences", "broken_rows", "check", "findings", "refuse_broken"]

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
        "person": "every row names its person, and no person has too many rows",
        "ids": "every row has its id, and no id comes twice",
    }
)
_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "rows": "give a table with at least one row",
        "columns": "rename the table's column or correct the schema; a CSV needs a header line",
        "type": "write plain numbers in UTF-8, declare a format, or declare the column categorical",
        "finite": "replace infinite numbers, by an empty entry where the value is unknown",
        "missing": 'fill them in, or set missing = "cell"',
        "bounds": 'correct them or widen the public bounds; outside = "clamp" counts them in',
        "category": "correct them or list the categories; other = true gives them a cell",
        "label": "list the value as good or bad, or leave such rows out of the table",
        "outcome": 'leave rows without an outcome out, or set missing = "drop" for the label',
        "classes": "give a table that holds both good and bad outcomes",
        "person": "name each person, and raise rows_per_person if persons may have more rows",
        "ids": "remove repeated rows; take a column that does not name a record out of ids",
    }
)
_COUNTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "in a cell of their own",
        "bounds": "clamped into the outermost cells",
        "category": "in the cell of other categories",
        "outcome": "dropped",
    }
)
_PER_COLUMN: Final = ("type", "finite", "missing", "bounds", "category")
_NOT_ASKED: Final = {("finite", Categorical), ("bounds", Categorical), ("category", Numeric)}


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one rule for one column.

    Attributes:
        rule: a key of ``RULES``.
        column: the column, "" for a rule about the whole table.
        passed: whether the rule holds, as the schema's policy wants it.
        count: rows that stand out; they may pass, as clamped or dropped ones do.
        hint: what it means or what to do; "" when there is nothing to say.
    """

    rule: str
    column: str
    passed: bool
    count: int
    hint: str = ""


def check(
    schema: Schema, chunks: Iterable[Chunk], absent: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Check a whole table against its contract.

    Args:
        schema: the contract.
        chunks: the table's rows; read once, one chunk in memory at a time. Of each id, 8
            bytes a row are kept until the end.
        absent: declared columns that the table does not have.

    Returns:
        One finding for each rule and column, in the order of ``RULES``.
    """
    tally: Counter[tuple[str, str]] = Counter()
    persons: list[Marks] = []
    ids: dict[str, list[Marks]] = {name: [] for name in id_columns(schema)}
    for chunk in chunks:
        reading = read_chunk(schema, chunk, salt=b"")
        tally.update(reading.tally)
        persons.append(reading.persons)
        for name, of_rows in chunk.ids.items():
            ids[name].append(of_rows)
    tally.update(repeats(schema, persons, ids))
    return findings(schema, tally, absent)


def findings(schema: Schema, tally: Tally, absent: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Turn a whole table's tally into findings.

    Args:
        schema: the contract.
        tally: the sum of its chunks' tallies and of ``repeats``.
        absent: declared columns that the table does not have.

    Returns:
        One finding for each rule and column, in the order of ``RULES``.
    """
    result = [
        _must("rows", "", int(not tally.get(("rows", ""), 0))),
        *absences(absent),
        *_column_findings(schema, tally),
        *_label_findings(schema, tally),
    ]
    if schema.person:
        result.append(_must("person", schema.person, _misnamed(tally, schema.person)))
    result += [_must("ids", name, _misnamed(tally, name)) for name in id_columns(schema)]
    order = list(RULES)
    return tuple(
        sorted(
            (one for one in result if one.rule == "columns" or one.column not in absent),
            key=lambda one: order.index(one.rule),
        )
    )


def absences(absent: Sequence[str]) -> tuple[Finding, ...]:
    """Findings about declared columns that a table does not have.

    Args:
        absent: their names.

    Returns:
        One finding for each, or one that all are there.
    """
    found = tuple(_must("columns", name, 1) for name in absent)
    return found or (Finding("columns", "", passed=True, count=0),)


def broken_rows(schema: Schema, tally: Tally) -> tuple[Finding, ...]:
    """Findings that one file, or rows to be scored, can break by themselves.

    Args:
        schema: the contract.
        tally: of some rows.

    Returns:
        The findings of the described columns that do not hold.
    """
    return tuple(one for one in _column_findings(schema, tally) if not one.passed)


def refuse_broken(found: Sequence[Finding], where: str) -> None:
    """Refuse a table that breaks its contract.

    Args:
        found: the findings.
        where: the table's file or files.

    Raises:
        DataError: a rule does not hold; names file, column, rule and remedy.
    """
    broken = [one for one in found if not one.passed]
    if broken:
        first = broken[0]
        column = f"column {first.column!r}" if first.column else "the table"
        others = list(dict.fromkeys(one.rule for one in broken[1:] if one.rule != first.rule))
        more = f" (and also {', '.join(others)})" if others else ""
        raise DataError(
            f"{where}: {column} breaks the rule {first.rule!r}, {RULES[first.rule]}{more}",
            remedy=f"{first.hint}; `fedcredit data check` counts every rule",
        )


def _column_findings(schema: Schema, tally: Tally) -> list[Finding]:
    """The findings about the described columns."""
    return [
        _judged(rule, column, tally.get((rule, column.name), 0))
        for rule in _PER_COLUMN
        for column in schema.columns
        if (rule, type(column)) not in _NOT_ASKED
    ]


def _judged(rule: str, column: Column, count: int) -> Finding:
    """The finding for a rule that a column's policy may soften."""
    soft = (
        (rule == "missing" and column.missing == "cell")
        or (rule == "bounds" and isinstance(column, Numeric) and column.outside == "clamp")
        or (rule == "category" and isinstance(column, Categorical) and column.other)
    )
    return _counted(rule, column.name, count) if soft else _must(rule, column.name, count)


def _label_findings(schema: Schema, tally: Tally) -> list[Finding]:
    """The findings about the outcome."""
    name = schema.label.column
    lost = tally.get(("no outcome", name), 0)
    drop = schema.label.missing == "drop"
    one_class = not (tally.get(("good", name), 0) and tally.get(("bad", name), 0))
    return [
        _must("type", name, tally.get(("type", name), 0)),
        _must("label", name, tally.get(("unknown outcome", name), 0)),
        _counted("outcome", name, lost) if drop else _must("outcome", name, lost),
        Finding("classes", name, not one_class, 0, _HINTS["classes"] if one_class else ""),
    ]


def _misnamed(tally: Tally, name: str) -> int:
    """Rows whose id is missing or has come too often already."""
    return tally.get(("unnamed", name), 0) + tally.get(("repeated", name), 0)


def _must(rule: str, column: str, count: int) -> Finding:
    """The finding for a rule that no row may break."""
    return Finding(rule, column, not count, count, _HINTS[rule] if count else "")


def _counted(rule: str, column: str, count: int) -> Finding:
    """The finding for a rule whose breaches are counted and let pass."""
    return Finding(rule, column, passed=True, count=count, hint=_COUNTED[rule] if count else "")
