"""The contract: strictly read, written back, and known by its digest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.schema import (
    SIZE_CLASSES,
    Categorical,
    Column,
    Label,
    Numeric,
    Schema,
    read_schema,
    require_confirmed,
    require_version,
    write_schema,
)
from fedcredit.errors import SchemaError

LABEL = Label("outcome", ("0",), ("1",), "90 days past due", 12)
AMOUNT = Numeric("amount", "EUR", 0, 1000, "log", step=1, special=(-9.0,))
SEX = Categorical("sex", ("f", "m"), protected=True)
SCHEMA = Schema("loans", 1, "Loans", (AMOUNT, SEX), LABEL, person="who", ids=("loan",))

TOML = """
name = "loans"
version = 1
description = "Loans"
person = "who"
ids = ["loan"]

[label]
column = "outcome"
good = ["0"]
bad = ["1"]
definition = "90 days past due"
outcome_months = 12

[[column]]
kind = "numeric"
name = "amount"
unit = "EUR"
low = 0
high = 1000
spacing = "log"
special = [-9]
step = 1

[[column]]
kind = "categorical"
name = "sex"
categories = ["f", "m"]
protected = true
"""

names = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
texts = st.text(st.characters(codec="utf-8"), max_size=30)


@st.composite
def columns(draw: st.DrawFn) -> Column:
    """Any column."""
    common: dict[str, Any] = {
        "name": draw(names),
        "block": draw(names),
        "missing": draw(st.sampled_from(("cell", "refuse"))),
        "protected": draw(st.booleans()),
        "feature": draw(st.booleans()),
        "draft": draw(st.booleans()),
        "description": draw(texts),
    }
    if draw(st.booleans()):
        categories = st.lists(names, min_size=1, max_size=5, unique_by=str.strip)
        known = tuple(f"c{text}" for text in draw(categories))
        return Categorical(categories=known, other=draw(st.booleans()), **common)
    low = draw(st.floats(0, 1e6))
    return Numeric(
        unit=draw(texts),
        low=low,
        high=low + draw(st.floats(1, 1e9)),
        spacing=draw(st.sampled_from(("linear", "log", "signed-log"))),
        cells=draw(st.integers(2, 250)),
        special=tuple(draw(st.lists(st.floats(-1e9, 1e9), max_size=4, unique=True))),
        outside=draw(st.sampled_from(("clamp", "refuse"))),
        direction=draw(st.sampled_from(("risk-up", "risk-down", "none"))),
        step=draw(st.sampled_from((0.0, 0.25, 1.0))),
        scale=draw(st.floats(0, 1e6)),
        format=draw(st.sampled_from(("number", "currency", "percent"))),
        **common,
    )


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """Any schema."""
    described = draw(st.lists(columns(), min_size=1, max_size=4, unique_by=lambda one: one.name))
    kept = replace(described[0], feature=True)
    return Schema(
        name=draw(names),
        version=draw(st.integers(1, 99)),
        description=draw(texts),
        columns=(kept, *described[1:]),
        label=Label("=label", ("0",), ("1", "2"), draw(names), draw(st.integers(0, 60)), "drop"),
        person=draw(st.sampled_from(("", "=person"))),
        ids=draw(st.sampled_from(((), ("=id",), ("=id", "=other id")))),
        size_class=draw(st.sampled_from(SIZE_CLASSES)),
        vintage=draw(st.sampled_from(("", "=month"))),
        rows_per_person=draw(st.integers(1, 5)),
    )


@given(schema=schemas())
def test_what_is_written_is_read_back(schema: Schema) -> None:
    text = write_schema(schema)
    again = read_schema(text, "x.toml")
    assert again == schema
    assert again.digest() == schema.digest()
    assert write_schema(again) == text


@settings(max_examples=20)  # two schemas take long to draw
@given(one=schemas(), other=schemas())
def test_two_contracts_never_share_a_digest(one: Schema, other: Schema) -> None:
    assert (one.digest() == other.digest()) == (one == other)


def test_a_file_is_read_as_it_stands() -> None:
    schema = read_schema(TOML, "loans.toml")
    assert schema == SCHEMA
    assert [column.name for column in schema.features] == ["amount"]
    assert not schema.columns[1].feature, "a protected column is no feature unless said"


def test_layout_and_number_spelling_do_not_change_the_digest() -> None:
    again = read_schema("# a comment\n" + TOML.replace("1000", "1_000.0"), "other.toml")
    assert again.digest() == SCHEMA.digest() == read_schema(TOML, "loans.toml").digest()


@pytest.mark.parametrize(
    ("old", "new", "what", "remedy"),
    [
        ("spacing", "spacin", r"column 1 \(amount\): unknown key 'spacin'", "'spacing'"),
        ("person", "persn", "loans.toml: unknown key 'persn'", "'person'"),
        ("[label]", "[lable]", "unknown key 'lable'", "'label'"),
        ("good = ", "god = ", "label: unknown key 'god'", "'good'"),
        ('kind = "numeric"\n', "", "kind is missing", "numeric"),
        ('"numeric"', '"number"', "kind is missing or unknown", "categorical"),
        ("low = 0", 'low = "0"', "low is text", "number"),
        ("low = 0", "low = 2000", "low=2000.0, high=1000.0", "below high"),
        ("version = 1", "version = 1.5", "version is a number", "integer"),
        ("version = 1", "version = 0", "version", "from 1"),
        ('good = ["0"]', "good = [0]", r"good\[0\] is an integer", '"1"'),
        ('good = ["0"]', "good = []", "no good", "at least one"),
        ('bad = ["1"]', 'bad = ["0.0"]', "both good and bad", "under one"),
        ('name = "sex"', 'name = "amount"', "'amount' twice", "once"),
        ('name = "sex"', 'name = "who"', "label or an id", "remove"),
        ('name = "sex"', 'name = "outcome"', "label or an id", "learn the answer"),
        ('column = "outcome"', 'column = "loan"', "label that is also an id", "two columns"),
        ("outcome_months = 12", "outcome_months = -1", "negative outcome", "months"),
        ('"90 days past due"', '" "', "no definition", "words"),
        ('column = "outcome"', 'column = ""', "names no column", "column"),
        ('name = "loans"', 'name = ""', "has no name", "name"),
        ('ids = ["loan"]', 'ids = ["loan"]\nsize_class = "small"', "size class", "10k-100k"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_remedy(
    old: str, new: str, what: str, remedy: str
) -> None:
    with pytest.raises(SchemaError, match=what) as caught:
        read_schema(TOML.replace(old, new), "loans.toml")
    assert remedy in caught.value.remedy
    assert caught.value.what.startswith("loans.toml"), "the file is named"


def test_a_schema_needs_a_label_and_a_feature() -> None:
    with pytest.raises(SchemaError, match=r"\[label\] is missing"):
        read_schema('name = "a"\nversion = 1\ndescription = ""', "a.toml")
    with pytest.raises(SchemaError, match="no array of tables"):
        read_schema("column = 1", "a.toml")
    with pytest.raises(SchemaError, match="has no feature"):
        replace(SCHEMA, columns=(SEX,))


def test_drafts_are_named_and_refused_until_confirmed() -> None:
    drafted = replace(SCHEMA, columns=(replace(AMOUNT, draft=True), SEX))
    assert drafted.drafts == ("amount",)
    with pytest.raises(SchemaError, match="the first is 'amount'"):
        require_confirmed(drafted)
    require_confirmed(SCHEMA)


def test_another_version_than_agreed_is_refused() -> None:
    require_version(SCHEMA, 1)
    with pytest.raises(SchemaError, match="has version 1, expected version 2"):
        require_version(SCHEMA, 2)
