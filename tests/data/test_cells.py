"""Encoding agrees with a plain search, value by value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.cells import Levels, encode_levels, encode_numbers, level_cells
from fedcredit.data.columns import Categorical, Numeric

COLUMNS = (
    Numeric("age", "years", 18, 100, step=1, special=(-9.0, 99.0)),
    Numeric("rate", "ratio", -0.3, 1.7, cells=77),
    Numeric("income", "EUR", 0, 1e6, "log", scale=100),
    Numeric("balance", "EUR", -1e5, 1e6, "signed-log", step=1, scale=1000, special=(0.0,)),
    Numeric("flag", "", 0, 1, step=1),
)


def search(column: Numeric, value: float) -> int:
    """The definition: special codes, then missing, then the edges that are not above."""
    if value in column.special:
        return column.ordered + 1 + column.special.index(value)
    if np.isnan(value):
        return column.ordered
    return int(sum(edge <= value for edge in column.edges))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
@given(drawn=st.lists(st.floats() | st.integers(-10, 120).map(float), max_size=20))
def test_every_number_falls_where_the_definition_says(column: Numeric, drawn: list[float]) -> None:
    edges = column.edges
    around = [edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)]
    values = np.concatenate([*around, np.array(drawn, dtype=np.float64)])
    cells = encode_numbers(column, values)
    assert cells.dtype == np.uint8
    assert cells.tolist() == [search(column, value) for value in values.tolist()]


def test_texts_fall_into_their_category_other_or_missing() -> None:
    column = Categorical("code", ("1", "A 11", "true", "NA"), other=True)
    texts = ("1", "1.0", " A 11 ", "True", "NA", "NaN", "", "zzz", "01")
    assert level_cells(column, texts).tolist() == [0, 0, 1, 2, 3, 5, 5, 4, 4, 5]
    levels = Levels(np.array([1, -1, 7, 0]), texts)
    assert encode_levels(column, levels).tolist() == [0, 5, 4, 0]


def test_texts_of_rows_are_not_shown() -> None:
    assert "secret" not in repr(Levels(np.array([0]), ("secret",)))


def test_no_rows_have_no_cells() -> None:
    assert encode_numbers(COLUMNS[0], np.empty(0)).shape == (0,)
    assert encode_levels(Categorical("a", ("x",)), Levels(np.empty(0, np.int64), ())).shape == (0,)
