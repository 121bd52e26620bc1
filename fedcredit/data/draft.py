"""A first schema for a table that nobody has prepared.

Whatever is drawn from the table is marked `draft = true`: bounds and categories
become public when a person says that they are, not before. What no model should
read is left out, each column with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fedcredit.data.columns import Column, canonical_text
from fedcredit.data.draft_columns import Described, LeftOut, Named, draft_column, frequent
from fedcredit.data.schema import Label, Schema, write_schema
from fedcredit.errors import SchemaError

__all__ = ["Draft", "draft_schema", "write_draft"]

_BAD_WORDS: Final = frozenset(
    ("bad", "default", "defaulted", "yes", "y", "true", "charged off", "chgoff", "late")
)
_LABEL_VALUES: Final = 50


@dataclass(frozen=True, slots=True)
class Draft:
    """A drafted schema and what was left out of it.

    Attributes:
        schema: the schema; its columns are drafts.
        left_out: the other columns, each with the reason, by name.
    """

    schema: Schema
    left_out: Mapping[str, str]


def draft_schema(
    name: str,
    columns: Sequence[Described],
    label: str,
    bad: Sequence[str] = (),
    person: str = "",
) -> Draft:
    """Draft a schema from summaries of a table's columns.

    Args:
        name: name of the schema.
        columns: the table's columns.
        label: the outcome's column.
        bad: the values that mean bad; where empty and the label has two values, the one
            that says so, else the rarer one.
        person: the column that names a person, "" for none.

    Returns:
        The draft.

    Raises:
        SchemaError: the label or the person is not a column, the label's values cannot be told
            apart, or no column can be a feature.
    """
    by_name = {column.name: column for column in columns}
    if label not in by_name:
        raise SchemaError(
            f"{label!r} is no column of the table"
            if label
            else "no column is named as the outcome",
            remedy=f"add --label COLUMN; columns with two values: {_candidates(columns)}",
        )
    if person and person not in by_name:
        raise SchemaError(f"{person!r} is no column of the table", remedy="correct --person")
    drafted: list[Column] = []
    ids: list[str] = []
    left_out: dict[str, str] = {}
    for place, column in enumerate(columns):
        if column.name and column.name in (label, person):
            continue
        result = draft_column(column)
        if isinstance(result, Named):
            ids.append(column.name)
        elif isinstance(result, LeftOut):
            printable = column.name.strip() and column.name.isprintable()
            left_out[column.name if printable else f"column {place + 1}"] = result.reason
        else:
            drafted.append(result)
    if not drafted:
        raise SchemaError(
            "no column of the table can be a feature",
            remedy="check the header and the separator; at least one column must vary",
        )
    schema = Schema(
        name=name,
        version=1,
        description="Drafted from a table: say here what the records are",
        columns=tuple(drafted),
        label=_label(by_name[label], bad),
        person=person,
        ids=tuple(ids),
        size_class=_size_class(columns[0].summary.rows),
    )
    return Draft(schema, left_out)


def write_draft(draft: Draft) -> str:
    """Write a draft as TOML that ``read_schema`` reads, with notes for the person who confirms it.

    Args:
        draft: the draft.

    Returns:
        The file's text.
    """
    notes = [
        "This is a draft. Bounds and categories marked `draft = true` were drawn from a table.",
        "Put public knowledge in their place (documentation, law, common sense), say what `bad`",
        "means, check which values are bad, then remove each `draft = true`: a study refuses a",
        "schema that still has one.",
    ]
    if draft.left_out:
        notes += ["", "Left out:"]
        notes += [f"  {name}: {reason}" for name, reason in draft.left_out.items()]
    protected = [column.name for column in draft.schema.columns if column.protected]
    if protected:
        notes += ["", f"Protected by their names, so no features: {', '.join(protected)}."]
    lines = [f"# {note}".rstrip() for note in notes]
    return "\n".join(lines) + "\n\n" + write_schema(draft.schema)


def _label(column: Described, bad: Sequence[str]) -> Label:
    """The label, its values told apart."""
    counts = frequent(column)
    if not 2 <= len(counts) <= _LABEL_VALUES:
        raise SchemaError(
            f"the label {column.name!r} does not have between 2 and {_LABEL_VALUES} values",
            remedy="name a column that holds the outcome, good or bad",
        )
    wanted = [canonical_text(value) for value in bad]
    if not wanted:
        if len(counts) > 2:
            raise SchemaError(
                f"the label {column.name!r} has {len(counts)} values",
                remedy="say which of them are bad: --bad VALUE, once for each",
            )
        numbers = set(counts) == {"0", "1"}
        saying = ["1"] if numbers else [one for one in counts if one.lower() in _BAD_WORDS]
        wanted = saying if len(saying) == 1 else [min(counts, key=lambda value: counts[value])]
    good = tuple(value for value in counts if value not in wanted)
    if not good or not set(wanted) <= set(counts):
        raise SchemaError(
            f"the label {column.name!r} does not have the values given as bad, or no other",
            remedy="correct --bad",
        )
    return Label(
        column=column.name,
        good=good,
        bad=tuple(wanted),
        definition="say in words what happened to the bad ones",
        outcome_months=0,
        missing="drop" if column.summary.missing else "refuse",
    )


def _candidates(columns: Sequence[Described]) -> str:
    """Columns that could be a label, by name."""
    names = [column.name for column in columns if len(frequent(column)) == 2]
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "") if names else "none"


def _size_class(rows: int) -> str:
    """The size class of a table with so many rows."""
    classes = (
        (1_000, "under 1k"),
        (10_000, "1k-10k"),
        (100_000, "10k-100k"),
        (1_000_000, "100k-1M"),
        (10_000_000, "1M-10M"),
    )
    return next((name for limit, name in classes if rows < limit), "over 10M")
