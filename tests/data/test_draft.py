"""Drafts: useful guesses, every one marked, for tables that nobody has prepared."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from fedcredit.data.draft import draft_schema, write_draft
from fedcredit.data.draft_columns import Described, LeftOut, Named, draft_column
from fedcredit.data.schema import Categorical, Numeric, read_schema, require_confirmed
from fedcredit.data.summary import Texts, summary_of_numbers, summary_of_texts
from fedcredit.errors import SchemaError

RNG = np.random.default_rng(7)
ROWS = 2_000
Nature = Literal["number", "currency", "percent", "text", "date", "other"]


def numbers(name: str, values: ArrayLike, nature: Nature = "number") -> Described:
    """A column of numbers."""
    return Described(name, nature, summary_of_numbers(np.asarray(values, dtype=np.float64)))


def texts(name: str, values: list[str], nature: Nature = "text") -> Described:
    """A column of texts; "" is missing."""
    distinct = tuple(sorted(set(values) - {""}))
    codes = np.array([distinct.index(value) if value else -1 for value in values])
    dates = [at for at, value in enumerate(distinct) if value[:4].isdigit() and "-" in value]
    hashes = np.arange(len(distinct), dtype=np.uint64) + 1
    return Described(name, nature, summary_of_texts(codes, distinct, hashes, np.array(dates, int)))


def numeric(name: str, values: ArrayLike) -> Numeric:
    """What is drafted for a column of numbers."""
    column = draft_column(numbers(name, values))
    assert isinstance(column, Numeric)
    assert column.draft
    return column


COUNTS = RNG.poisson(2.0, ROWS)
LABEL = numbers("defaulted", RNG.integers(0, 2, ROWS))


@pytest.mark.parametrize(
    "codes", [(-9,), (-9, -8, -7), (96, 98), (999,), (-1,), (99,), (-999, 9999)]
)
def test_the_usual_special_codes_are_found(codes: tuple[int, ...]) -> None:
    values = COUNTS.copy()
    for at, code in enumerate(codes):
        values[at * 100 : at * 100 + 50] = code
    column = numeric("visits", values)
    assert column.special == tuple(sorted(codes))
    assert column.low == 0
    assert COUNTS.max() <= column.high < 20


def test_a_frequent_value_far_from_all_others_is_a_code() -> None:
    days = -RNG.integers(100, 20_000, ROWS).astype(float)
    days[:300] = 365_243
    assert numeric("days_employed", days).special == (365_243,)


@pytest.mark.parametrize("values", [np.arange(18, 101), np.arange(-50, 50), np.arange(0, 1000)])
def test_plain_ranges_have_no_codes(values: ArrayLike) -> None:
    assert numeric("points", np.tile(values, 20)).special == ()


def test_spacing_follows_how_numbers_spread() -> None:
    amounts = np.exp(RNG.normal(8, 1.5, ROWS))
    assert numeric("limit", amounts).spacing == "log"
    assert numeric("saldo", amounts * RNG.choice([-1, 1], ROWS)).spacing == "signed-log"
    assert numeric("ratio", RNG.random(ROWS)).spacing == "linear"


@given(low=st.integers(-1000, 1000), span=st.integers(3, 10**6))
def test_drafted_bounds_hold_every_number_and_are_round(low: int, span: int) -> None:
    values = np.tile(np.linspace(low, low + span, 40).round(), 3)
    column = numeric("points", values)
    kept = values[~np.isin(values, column.special)]
    assert column.low <= kept.min()
    assert column.high >= kept.max()
    assert column.step == 1


def test_numbers_that_are_codes_become_categories() -> None:
    column = draft_column(numbers("region_code", RNG.integers(1, 9, ROWS)))
    assert isinstance(column, Categorical)
    assert column.categories == tuple("12345678")
    assert isinstance(draft_column(numbers("months_since", RNG.integers(1, 9, ROWS))), Numeric)
    assert isinstance(draft_column(numbers("flag", RNG.integers(0, 2, ROWS))), Categorical)


def test_rare_texts_are_never_written() -> None:
    """A category that one person alone has would name that person."""
    column = draft_column(texts("job", ["clerk"] * 900 + ["smith"] * 95 + ["astronaut"] * 2))
    assert isinstance(column, Categorical)
    assert column.categories == ("clerk", "smith")
    assert column.other


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (numbers("loan_no", np.arange(ROWS)), "id"),
        (numbers("customer", RNG.permutation(ROWS)), "id"),
        (texts("reference", [f"r{n}" for n in range(100)]), "id"),
        (texts("full_name", [f"n{n}" for n in range(100)]), "nearly every row"),
        (numbers("row", np.arange(ROWS)), "rises from row to row"),
        (numbers("zip", RNG.integers(10_000, 99_999, ROWS)), "group them"),
        (numbers("same", np.ones(ROWS)), "one value"),
        (numbers("void", np.full(ROWS, np.nan)), "missing"),
        (texts("opened", ["2020-01-01", "2020-02-01"] * 50), "a date"),
        (texts("opened", ["x", "y"] * 50, nature="date"), "a date"),
        (numbers("opened", RNG.choice([20200101, 20211231, 19990630], ROWS)), "a date"),
        (texts("bytes", ["x", "y"] * 50, nature="other"), "neither"),
        (texts("town", [f"town {n}" for n in range(200)] * 2), "few of them frequent"),
        (texts("note", ["a" * 90, "b" * 90] * 50), "long texts"),
        (numbers(" ", COUNTS), "no printable name"),
        (numbers("only_codes", np.repeat([3, -9], 50)), ""),
    ],
)
def test_what_no_model_should_read_is_left_out_with_its_reason(
    column: Described, reason: str
) -> None:
    drafted = draft_column(column)
    if reason == "id":
        assert isinstance(drafted, Named)
    elif reason:
        assert isinstance(drafted, LeftOut)
        assert reason in drafted.reason
    else:
        assert isinstance(drafted, Categorical)


def test_mixed_numbers_and_texts_are_left_out() -> None:
    column = Described("mixed", "number", summary_of_numbers(np.append(COUNTS, [np.nan] * 99), 99))
    drafted = draft_column(column)
    assert isinstance(drafted, LeftOut)
    assert "mixed" in drafted.reason


def test_too_many_texts_to_count_are_left_out() -> None:
    many = Described("town", "text", Texts(rows=9_000, many=True, hashes=np.arange(2, dtype="u8")))
    drafted = draft_column(many)
    assert isinstance(drafted, LeftOut)
    assert "thousand" in drafted.reason


def test_protected_attributes_are_no_features_and_are_named() -> None:
    columns = [numbers("Age", RNG.integers(18, 80, ROWS)), numbers("late", COUNTS), LABEL]
    drafted = draft_schema("loans", columns, "defaulted")
    assert [column.name for column in drafted.schema.features] == ["late"]
    assert "so no features: Age" in write_draft(drafted)


def test_a_draft_is_read_back_and_refused_by_a_study() -> None:
    columns = [
        numbers("id", np.arange(ROWS)),
        numbers("late", COUNTS),
        numbers("amount", np.exp(RNG.normal(8, 1.5, ROWS)), "currency"),
        texts("purpose", ["car", "house", ""] * 100),
        numbers("same", np.ones(ROWS)),
        numbers("", COUNTS),
        LABEL,
    ]
    drafted = draft_schema("loans", columns, "defaulted")
    text = write_draft(drafted)
    schema = read_schema(text, "loans.toml")
    assert schema == drafted.schema
    assert schema.drafts == ("late", "amount", "purpose")
    assert schema.ids == ("id",)
    assert schema.size_class == "1k-10k"
    assert dict(drafted.left_out) == {
        "same": "it has one value only",
        "column 6": "it has no printable name",
    }
    assert "#   same: it has one value only" in text
    with pytest.raises(SchemaError, match="3 columns are drafts"):
        require_confirmed(schema)


@pytest.mark.parametrize(
    ("values", "bad", "expected"),
    [
        (["0", "1"], (), ("1",)),
        (["good", "bad"], (), ("bad",)),
        (["paid", "Charged Off"], (), ("Charged Off",)),
        (["1", "1", "2"], (), ("2",)),
        (["yes", "no"], (), ("yes",)),
        (["A", "B", "C"], ("A", "C"), ("A", "C")),
        (["1", "2"], ("1.0",), ("1",)),
    ],
)
def test_the_bad_values_are_guessed_or_given(
    values: list[str], bad: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    columns = [numbers("late", COUNTS), texts("y", values * 50)]
    label = draft_schema("loans", columns, "y", bad).schema.label
    assert label.bad == expected
    assert set(label.good) == set(values) - set(expected)


def test_a_label_with_missing_outcomes_drops_them() -> None:
    columns = [numbers("late", COUNTS), texts("y", ["0", "1", ""] * 50)]
    assert draft_schema("loans", columns, "y").schema.label.missing == "drop"


@pytest.mark.parametrize(
    ("label", "bad", "person", "what", "remedy"),
    [
        ("", (), "", "no column is named as the outcome", "columns with two values: defaulted"),
        ("deflt", (), "", "'deflt' is no column", "--label"),
        ("late", (), "", "has [0-9]+ values", "--bad VALUE"),
        ("defaulted", ("5",), "", "does not have the values", "--bad"),
        ("defaulted", ("0", "1"), "", "does not have the values", "--bad"),
        ("amount", (), "", "does not have between 2 and 50", "outcome"),
        ("defaulted", (), "who", "'who' is no column", "--person"),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(
    label: str, bad: tuple[str, ...], person: str, what: str, remedy: str
) -> None:
    columns = [numbers("late", COUNTS), numbers("amount", RNG.random(ROWS)), LABEL]
    with pytest.raises(SchemaError, match=what) as caught:
        draft_schema("loans", columns, label, bad, person)
    assert remedy in caught.value.remedy


def test_a_table_without_any_feature_is_refused() -> None:
    with pytest.raises(SchemaError, match="no column of the table can be a feature"):
        draft_schema("loans", [numbers("same", np.ones(ROWS)), LABEL], "defaulted")


def test_the_person_is_taken_as_named() -> None:
    columns = [numbers("client", np.arange(ROWS)), numbers("late", COUNTS), LABEL]
    schema = draft_schema("loans", columns, "defaulted", person="client").schema
    assert (schema.person, schema.ids) == ("client", ())
