"""The consortium's data contract: columns, label, ids and what is declared about a table.

A schema is public and the same for every institution of a study. It is written
in TOML, read strictly, and known by its digest; two schemas with one digest put
every value into the same cell.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from fedcredit.codec import Value, digest, encode
from fedcredit.data.columns import Categorical, Column, Numeric, canonical_text
from fedcredit.data.strict import build, parse_toml, refuse_unknown
from fedcredit.errors import SchemaError

__all__ = [
    "RECORDS_OF",
    "SIZE_CLASSES",
    "Categorical",
    "Column",
    "Label",
    "Numeric",
    "Schema",
    "read_schema",
    "require_confirmed",
    "require_version",
    "write_schema",
]

RECORDS_OF: Final[Mapping[str, int]] = {
    "under 1k": 10**3,
    "1k-10k": 10**4,
    "10k-100k": 10**5,
    "100k-1M": 10**6,
    "1M-10M": 10**7,
    "over 10M": 10**10,
}
"""The most records of an institution of each size class."""

SIZE_CLASSES: Final = tuple(RECORDS_OF)
_KINDS: Final[Mapping[str, type[Numeric | Categorical]]] = {
    "numeric": Numeric,
    "categorical": Categorical,
}


@dataclass(frozen=True, slots=True)
class Label:
    """What is predicted.

    Attributes:
        column: the column's name in the tables.
        good: values that mean the event did not happen, as text.
        bad: values that mean it did.
        definition: the event in words, such as "90 or more days past due".
        outcome_months: months after the decision in which the event counts; 0 for no window.
        missing: "drop" leaves rows without an outcome out and counts them; "refuse" lets a
            table with one fail.
    """

    column: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    definition: str
    outcome_months: int
    missing: Literal["drop", "refuse"] = "refuse"

    def __post_init__(self) -> None:
        good, bad = (set(map(canonical_text, values)) for values in (self.good, self.bad))
        problem, remedy = "", ""
        if not self.column.strip() or not self.column.isprintable():
            problem, remedy = "names no column", "set column to the outcome's column"
        elif not good or not bad:
            problem, remedy = "has no good or no bad values", "list at least one of each"
        elif good & bad or "" in good | bad:
            problem = "has a value that is empty, or both good and bad"
            remedy = "put each value under one of them"
        elif not self.definition.strip():
            problem, remedy = "has no definition", "say in words what bad means"
        elif self.outcome_months < 0:
            problem, remedy = "has a negative outcome window", "give it in months"
        if problem:
            raise SchemaError(f"the label {problem}", remedy=remedy)


@dataclass(frozen=True, slots=True)
class Schema:
    """A data contract.

    Attributes:
        name: short name, such as "consumer".
        version: rises with every change.
        description: one sentence for people.
        columns: the columns that are read, in order; a table's other columns never are.
        label: what is predicted.
        person: the column that names a person, "" when there is none. It decides whether a
            record is held out and is read for nothing else.
        ids: columns that name a record: never read into a model, never twice the same.
        size_class: declared, public number of records of an institution, one of ``SIZE_CLASSES``.
        vintage: the column that says when a record began, "" when there is none.
        rows_per_person: the most rows that one person may have in a table. The figures for
            one record hold for a person only when it is 1.
    """

    name: str
    version: int
    description: str
    columns: tuple[Column, ...]
    label: Label
    person: str = ""
    ids: tuple[str, ...] = ()
    size_class: str = "10k-100k"
    vintage: str = ""
    rows_per_person: int = 1

    def __post_init__(self) -> None:
        counts = Counter(column.name for column in self.columns)
        twice = [name for name, count in counts.items() if count > 1]
        hidden = {self.label.column, self.person, *self.ids} - {""}
        read = [name for name in counts if name in hidden]
        problem, remedy = "", ""
        if not self.name.strip() or not self.name.isprintable():
            problem, remedy = "has no name", "set name to one short word"
        elif self.version < 1 or self.rows_per_person < 1:
            problem, remedy = "has a version or rows_per_person below 1", "count from 1"
        elif not self.features:
            problem, remedy = "has no feature", "add a column that models may read"
        elif twice:
            problem, remedy = f"describes column {twice[0]!r} twice", "describe it once"
        elif read:
            problem = f"describes {read[0]!r}, which is its label or an id"
            remedy = "remove that column: a model that could read it would learn the answer"
        elif self.label.column in (self.person, *self.ids):
            problem, remedy = "has a label that is also an id", "name two columns"
        elif self.size_class not in SIZE_CLASSES:
            problem = f"has the size class {self.size_class!r}"
            remedy = f"choose one of {', '.join(SIZE_CLASSES)}"
        if problem:
            raise SchemaError(f"schema {self.name!r} {problem}", remedy=remedy)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that models read, in order."""
        return tuple(column for column in self.columns if column.feature)

    @property
    def drafts(self) -> tuple[str, ...]:
        """Names of the columns whose bounds or categories no person has confirmed as public."""
        return tuple(column.name for column in self.columns if column.draft)

    def digest(self) -> str:
        """SHA-256 of the canonical form, in hex; layout and comments of the file do not matter."""
        return _digest_of(self)


@lru_cache(maxsize=64)  # asked for at every message of a study
def _digest_of(schema: Schema) -> str:
    """See `Schema.digest`."""
    return digest("fedcredit/schema/1", encode(_canonical(schema))).hex()


def require_confirmed(schema: Schema) -> None:
    """Refuse a schema that still holds drafts.

    Args:
        schema: the contract a study would use.

    Raises:
        SchemaError: a column's bounds or categories were drawn from a table and no person has
            confirmed that they are public.
    """
    if schema.drafts:
        raise SchemaError(
            f"schema {schema.name!r}: {len(schema.drafts)} columns are drafts, "
            f"the first is {schema.drafts[0]!r}",
            remedy="put public knowledge in place of what came from the table, then remove "
            "each `draft = true`",
        )


def require_version(schema: Schema, version: int) -> None:
    """Refuse another version than was agreed.

    Args:
        schema: the contract that was read.
        version: the version that was agreed.

    Raises:
        SchemaError: they differ.
    """
    if schema.version != version:
        raise SchemaError(
            f"schema {schema.name!r} has version {schema.version}, expected version {version}",
            remedy="get the agreed version's file from the consortium",
        )


def read_schema(text: str, where: str) -> Schema:
    """Read a schema from TOML, strictly.

    Args:
        text: the file's text.
        where: the file's name, for the errors.

    Returns:
        The schema.

    Raises:
        SchemaError: the text is not TOML, a key is unknown (the nearest known one is named) or
            missing, or a value is not what it should be.
    """
    table = parse_toml(text, where, SchemaError)
    given = table.pop("column", [])
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise SchemaError(f"{where}: column is no array of tables", remedy="write [[column]]")
    known = [field.name for field in dataclasses.fields(Schema) if field.name != "columns"]
    refuse_unknown(tuple(table), (*known, "column"), where, SchemaError)
    columns = tuple(_read_column(one, f"{where}: column {at + 1}") for at, one in enumerate(given))
    label = table.pop("label", None)
    if not isinstance(label, dict):
        raise SchemaError(f"{where}: the table [label] is missing", remedy="add [label]")
    try:
        head = build(_Head, table, where, SchemaError)
        return Schema(
            columns=columns,
            label=build(Label, label, f"{where}: label", SchemaError),
            **{field.name: getattr(head, field.name) for field in dataclasses.fields(_Head)},
        )
    except SchemaError as problem:
        raise _placed(problem, where) from None


def write_schema(schema: Schema) -> str:
    """Write a schema as TOML that ``read_schema`` reads back as an equal one.

    Args:
        schema: the schema.

    Returns:
        The file's text; keys at their default are left out.
    """
    lines = _lines(schema, ("columns", "label"))
    lines += ["", "[label]", *_lines(schema.label, ())]
    for column in schema.columns:
        kind = "numeric" if isinstance(column, Numeric) else "categorical"
        lines += ["", "[[column]]", f'kind = "{kind}"', *_column_lines(column)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class _Head:
    """The keys above the first table of a schema's file."""

    name: str
    version: int
    description: str
    person: str = ""
    ids: tuple[str, ...] = ()
    size_class: str = "10k-100k"
    vintage: str = ""
    rows_per_person: int = 1


def _read_column(table: Mapping[str, object], where: str) -> Column:
    """One [[column]] table."""
    name, kind = table.get("name"), table.get("kind")
    where = f"{where} ({name})" if isinstance(name, str) and name.isprintable() else where
    if not isinstance(kind, str) or kind not in _KINDS:
        raise SchemaError(
            f"{where}: kind is missing or unknown",
            remedy='set kind = "numeric" or kind = "categorical"',
        )
    rest = {key: value for key, value in table.items() if key != "kind"}
    try:
        return build(_KINDS[kind], rest, where, SchemaError)
    except SchemaError as problem:
        raise _placed(problem, where) from None


def _placed(problem: SchemaError, where: str) -> SchemaError:
    """The same error, with the place in front where it has none."""
    if problem.what.startswith(where):
        return problem
    return SchemaError(f"{where}: {problem.what}", remedy=problem.remedy)


def _canonical(thing: Schema | Label | Column) -> dict[str, Value]:
    """A schema, label or column as a mapping that the codec writes."""
    fields: dict[str, Value] = {"kind": type(thing).__name__.lower()}
    for field in dataclasses.fields(thing):
        value = getattr(thing, field.name)
        if isinstance(value, Label):
            fields[field.name] = _canonical(value)
        elif field.name == "columns":
            fields[field.name] = tuple(_canonical(column) for column in value)
        elif field.type == "float":
            fields[field.name] = float(value) + 0.0  # an int and -0.0 are the same bound
        elif field.type == "tuple[float, ...]":
            fields[field.name] = tuple(float(one) + 0.0 for one in value)
        else:
            fields[field.name] = value
    return fields


def _column_lines(column: Column) -> list[str]:
    """The TOML lines of a column; `feature` where it is not what `protected` implies."""
    lines = _lines(column, ("feature",))
    if column.feature == column.protected:
        lines.append(f"feature = {_toml(column.feature)}")
    return lines


def _lines(thing: Schema | Label | Column, left_out: tuple[str, ...]) -> list[str]:
    """One TOML line for each field that is not at its default."""
    return [
        f"{field.name} = {_toml(getattr(thing, field.name))}"
        for field in dataclasses.fields(thing)
        if field.name not in left_out and getattr(thing, field.name) != field.default
    ]


def _toml(value: object) -> str:
    """A value in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int | float):
        whole = float(value).is_integer() and abs(value) < 1e15
        return str(int(value)) if whole else repr(float(value))
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(_escape(sign) for sign in escaped)}"'


def _escape(sign: str) -> str:
    """A control character as TOML wants it; any other as it is."""
    return f"\\u{ord(sign):04x}" if ord(sign) < 32 or ord(sign) == 127 else sign
