"""The cells of a column: every value has one, in order, and their labels say which."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedcredit.data.cells import encode_numbers
from fedcredit.data.columns import CELLS_LIMIT, Categorical, Numeric, canonical_text, plain_number
from fedcredit.errors import SchemaError

Spacing = Literal["linear", "log", "signed-log"]


@st.composite
def numeric_columns(draw: st.DrawFn) -> Numeric:
    """Any numeric column that a schema may hold."""
    spacing: Spacing = draw(st.sampled_from(("linear", "log", "signed-log")))
    low = draw(st.floats(0 if spacing == "log" else -1e6, 1e6))
    high = low + draw(st.floats(1e-3, 1e7))
    step = draw(st.sampled_from((0.0, 0.0, 0.5, 1.0, 10.0)))
    assume(high - low >= max(step, 1e-9 * abs(low)))
    special = tuple(draw(st.lists(st.sampled_from((-9.0, -8.0, 96.0, 98.0)), unique=True)))
    return Numeric(
        "amount",
        "EUR",
        low,
        high,
        spacing,
        cells=draw(st.integers(2, CELLS_LIMIT - 5)),
        special=special,
        step=step,
        scale=draw(st.sampled_from((0.0, 1.0, 1000.0))),
        outside=draw(st.sampled_from(("clamp", "refuse"))),
    )


@given(column=numeric_columns())
def test_the_edges_rise_and_lie_within_the_bounds(column: Numeric) -> None:
    edges = column.edges
    assert (np.diff(edges) > 0).all()
    assert len(edges) + 1 == column.ordered <= column.cells
    if len(edges):
        span = column.high - column.low
        assert edges[0] >= column.low - 1e-3 * span
        assert edges[-1] <= column.high + 1e-3 * span


@given(column=numeric_columns())
def test_every_cell_has_a_label_of_its_own(column: Numeric) -> None:
    labels = column.cell_labels()
    assert len(labels) == column.cell_count <= CELLS_LIMIT
    assert labels[column.missing_cell] == "missing"
    assert len(set(labels[column.ordered :])) == 1 + len(column.special)


@given(column=numeric_columns(), data=st.data())
def test_a_larger_value_never_falls_into_a_lower_cell(column: Numeric, data: st.DataObject) -> None:
    values = np.array(sorted(data.draw(st.lists(st.floats(-1e8, 1e8), min_size=2))))
    values = values[~np.isin(values, column.special)]
    cells = encode_numbers(column, values)
    assert (np.diff(cells.astype(int)) >= 0).all()
    assert (cells < column.ordered).all()


@pytest.mark.parametrize("spacing", ["linear", "log", "signed-log"])
def test_without_a_step_exactly_the_wanted_cells_are_there(spacing: Spacing) -> None:
    column = Numeric("a", "EUR", 0, 1e6, spacing, cells=128)
    assert (column.ordered, column.cell_count) == (128, 129)


def test_a_count_has_one_cell_for_each_number() -> None:
    column = Numeric("late", "times", 0, 5, step=1, special=(96.0, 98.0), outside="refuse")
    expected = ("0", "1", "2", "3", "4", "5", "missing", "code 96", "code 98")
    assert column.cell_labels() == expected
    assert encode_numbers(column, np.array([0, 5, 98, np.nan, 96])).tolist() == [0, 5, 8, 6, 7]


def test_a_step_keeps_as_many_cells_as_wanted_where_edges_would_merge() -> None:
    """Log spacing puts many edges between 0 and 1 dollar; they move to where dollars differ."""
    column = Numeric("income", "USD", 0, 1e6, "log", step=1, cells=100)
    assert column.ordered == 100
    assert all((edge - 0.5).is_integer() for edge in column.edges.tolist())


def test_labels_are_for_people() -> None:
    column = Numeric("income", "USD", 1000, 2000, cells=5)
    labels = ("< 1200", "[1200, 1400)", "[1400, 1600)", "[1600, 1800)", ">= 1800", "missing")
    assert column.cell_labels() == labels
    strict = Numeric("income", "USD", 1000, 2000, cells=2, outside="refuse")
    assert strict.cell_labels() == ("[1000, 1500)", "[1500, 2000]", "missing")
    ages = Numeric("age", "years", 18, 100, step=1, cells=4)
    assert ages.cell_labels()[0].startswith("up to ")
    assert ages.cell_labels()[3].endswith(" or more")


def test_log_spacing_is_even_in_ratios_and_signed_log_on_both_sides() -> None:
    edges = Numeric("a", "EUR", 1, 10**6, "log", cells=6).edges.tolist()
    assert edges == [10, 100, 1000, 10_000, 100_000]
    edges = Numeric("a", "EUR", -1e6, 1e6, "signed-log", cells=8).edges.tolist()
    assert edges == [-edge for edge in reversed(edges)]
    assert all(high > low for low, high in pairwise(edges))


def test_bounds_that_lie_close_together_still_have_their_cells() -> None:
    column = Numeric("a", "EUR", 1e9, 1e9 + 1, cells=250)
    assert column.ordered == 250


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"low": 5, "high": 5}, "low=5, high=5"),
        ({"high": math.inf}, "not finite"),
        ({"special": (math.nan,)}, "not finite"),
        ({"special": (1.0, 1.0)}, "twice"),
        ({"spacing": "log", "low": -1}, "log spacing from -1"),
        ({"cells": 255}, "cells=255"),
        ({"cells": 254, "special": (1.0,)}, "cells=254 and 1 special"),
        ({"cells": 1}, "cells=1"),
        ({"step": -1}, "negative step"),
        ({"step": 1000}, "step wider"),
        ({"name": " "}, "has the name"),
        ({"name": "a\nb"}, "has the name"),
        ({"block": ""}, "has the block"),
    ],
)
def test_a_numeric_column_that_makes_no_sense_is_refused(change: dict[str, Any], what: str) -> None:
    fields: dict[str, Any] = {"name": "a", "unit": "EUR", "low": 0, "high": 100} | change
    with pytest.raises(SchemaError, match=what):
        Numeric(**fields)


@pytest.mark.parametrize(
    ("categories", "what"),
    [
        ((), "no categories"),
        (("1", "1.0"), "twice"),
        (("a", " "), "empty"),
        (tuple(map(str, range(254))), "254 categories"),
    ],
)
def test_a_categorical_column_that_makes_no_sense_is_refused(
    categories: tuple[str, ...], what: str
) -> None:
    with pytest.raises(SchemaError, match=what):
        Categorical("a", categories)


def test_the_cells_of_categories_are_the_list_other_and_missing() -> None:
    column = Categorical("a", ("x", "y"))
    assert column.cell_labels() == ("x", "y", "other", "missing")
    assert (column.cell_count, column.other_cell, column.missing_cell) == (4, 2, 3)
    assert (column.ordered, column.sign) == (0, 0)


def test_a_protected_column_is_no_feature_unless_said() -> None:
    assert not Numeric("age", "years", 18, 100, protected=True).feature
    assert Numeric("age", "years", 18, 100, protected=True, feature=True).feature
    assert Numeric("income", "EUR", 0, 100).feature
    assert not Categorical("sex", ("f", "m"), protected=True).feature
    assert not Categorical("town", ("a", "b"), feature=False).feature


def test_directions_have_a_sign() -> None:
    signs = [
        Numeric("a", "", 0, 1, direction=direction).sign
        for direction in ("risk-up", "none", "risk-down")
    ]
    assert signs == [1, 0, -1]


@given(number=st.integers(-(10**12), 10**12))
def test_one_number_has_one_spelling(number: int) -> None:
    spellings = {canonical_text(text) for text in (f"{number}", f"{number}.0", f" {number}. ")}
    assert spellings == {str(number)} == {plain_number(float(number))}


def test_plain_numbers_keep_their_digits() -> None:
    assert plain_number(1234567.5) == "1234567.5"
    assert plain_number(0.1) == "0.1"
