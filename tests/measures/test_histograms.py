"""Counts are counts: each cell of each level, and each score bin, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import in_memory
from fedcredit.data.schema import Schema
from fedcredit.measures.histograms import count_cells, count_scores
from fedcredit.models.bins import Scorecard
from fedcredit.models.queries import Histograms, ScoreHistogram
from tests.models.strategies import (
    model_of,
    queries,
    records_of,
    schema_of,
    schemas,
    tables,
    whole,
)


@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_each_count_is_that_of_its_cell_level_and_class(
    data: st.DataObject, schema: Schema
) -> None:
    """Feature by feature, level by level, goods and then bads, counted in plain Python."""
    query = data.draw(queries(schema, "histograms"))
    assert isinstance(query, Histograms)
    records = data.draw(tables(schema, most=20))
    batch = whole(records)

    expected: list[int] = []
    for f, groups in enumerate(query.groups):
        for group in groups:
            for bad in (0, 1):
                column = batch.cells[f][batch.bad == bad].tolist()
                if group == 1:
                    cells = range(query.ordered[f] + query.extra[f])
                    expected += [column.count(cell) for cell in cells]
                else:
                    inside = [cell // group for cell in column if cell < query.ordered[f]]
                    coarse = range(-(-query.ordered[f] // group))
                    expected += [inside.count(cell) for cell in coarse]

    found = count_cells(records.batches(), query)

    assert found.tolist() == [count * query.steps for count in expected]


def test_cells_without_order_are_counted_on_the_finest_level_alone() -> None:
    schema = schema_of(
        Numeric("income", "EUR", 0.0, 9.0, cells=5, special=(-9.0,)), Categorical("k", ("a",))
    )
    cells = np.array([[4, 5, 6, 0], [0, 1, 2, 2]], dtype=np.uint8)  # missing 5, code -9 6
    bad = np.array([0, 0, 1, 1], dtype=np.uint8)
    records = in_memory(schema, cells, bad, np.zeros(4, dtype=np.bool_))

    found = count_cells(records.batches(), Histograms((5, 0), (2, 3), ((1, 4), (1,))))

    assert found.tolist() == [
        *(0, 0, 0, 0, 1, 1, 0),  # goods: in cell 4, and missing
        *(1, 0, 0, 0, 0, 0, 1),  # bads: in cell 0, and the code
        *(0, 1),  # goods in cells 0 to 3, in cell 4
        *(1, 0),
        *(1, 1, 0),
        *(0, 0, 2),
    ]


@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_each_score_count_is_that_of_its_bin_and_class(data: st.DataObject, schema: Schema) -> None:
    query = data.draw(queries(schema, "score-histogram"))
    assert isinstance(query, ScoreHistogram)
    records = data.draw(tables(schema, most=20))

    found = count_scores(records.batches(), query).reshape(2, -1) // query.steps

    edges = [-np.inf, *query.edges.tolist(), np.inf]
    batch = whole(records)
    scores = query.model.log_odds(batch.cells)
    for bad in (0, 1):
        of_class = scores[batch.bad == bad]
        for at, count in enumerate(found[bad].tolist()):
            assert count == int(((of_class >= edges[at]) & (of_class < edges[at + 1])).sum())


def test_a_score_at_an_edge_goes_right() -> None:
    schema = schema_of(Categorical("a", ("x",)), Categorical("b", ("y",)))
    records = records_of(schema, 3, 1)
    query = _constant(schema, 0.5)

    found = count_scores(records.batches(), query).reshape(2, -1).sum(axis=0)

    assert found.tolist() == [0, 3, 0]


@pytest.mark.parametrize("log_odds", [-1e300, 1e300])
def test_a_score_beyond_the_edges_is_in_an_outer_bin(log_odds: float) -> None:
    schema = schema_of(Categorical("a", ("x",)), Categorical("b", ("y",)))
    records = records_of(schema, 3, 1)

    found = count_scores(records.batches(), _constant(schema, log_odds)).reshape(2, -1).sum(axis=0)

    assert found.tolist() == ([3, 0, 0] if log_odds < 0 else [0, 0, 3])


def _constant(schema: Schema, log_odds: float) -> ScoreHistogram:
    """A model that gives everybody the same log-odds, in bins around one half."""
    card = model_of("scorecard", schema, 1)
    assert isinstance(card, Scorecard)
    flat = replace(card, coefficients=np.zeros(len(card.bins)), intercept=log_odds)
    return ScoreHistogram(flat, np.array([0.5, 0.75]))
