"""What findings do not hold is told apart from a figure."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.report.reading import figure, number_of, rows, table, text, texts


@given(value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_a_number_is_read_as_it_is_also_from_its_text(value: float) -> None:
    assert figure({"a": value}, "a") == float(value)
    assert figure({"a": repr(value)}, "a") == float(value)


@pytest.mark.parametrize(
    "value", [None, True, "", "one", "nan", math.inf, "-inf", [], {}, [1.0], 10**400]
)
def test_what_is_no_finite_number_is_no_figure(value: object) -> None:
    assert figure({"a": value}, "a") is None
    assert figure({}, "a") is None


@pytest.mark.parametrize("value", [None, True, -1, 1.0, "1", [1]])
def test_only_an_integer_counts(value: object) -> None:
    assert number_of({"a": value}, "a") is None
    assert number_of({"a": 0}, "a") == 0


def test_texts_show_what_an_object_holds() -> None:
    whole = {"a": ["x", {"plan": "p", "turns": [1, 2]}, 3], "b": "no array"}
    assert texts(whole, "a") == ["x", "plan p, turns 1, 2", "3"]
    assert texts(whole, "b") == []
    assert text(whole, "b") == "no array"
    assert text(whole, "a") == ""


def test_what_is_no_object_is_left_out() -> None:
    assert rows({"a": [1, {"b": 2}, None]}, "a") == [{"b": 2}]
    assert rows({"a": {"b": 2}}, "a") == []
    assert table({"a": [1]}, "a") == {}
