"""Products and gradients: each record's row is looked up, clipped, rounded, and then summed."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.schema import Schema
from fedcredit.measures.rows import sum_gradients, sum_products
from fedcredit.models.queries import Gradient, Moments
from fedcredit.privacy.sums import clip_rows
from fedcredit.units import Ints
from tests.models.strategies import queries, schemas, tables, whole


def one_by_one(row: list[float], clip: float, steps: int) -> list[int]:
    """One record's row on the grid."""
    rows = np.array([row]) * (steps / clip)
    found: Ints = clip_rows(rows, clip_norm=float(steps), grid=1.0)
    return [int(step) for step in found[0]]


@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_products_are_of_every_two_features_of_each_record(
    data: st.DataObject, schema: Schema
) -> None:
    """Record by record in Python's integers: block by block, the upper triangle row by row."""
    query = data.draw(queries(schema, "moments"))
    assert isinstance(query, Moments)
    records = data.draw(tables(schema, most=10))

    expected: list[int] = []
    features = range(len(query.of_cell))
    for block in query.values:
        rows = [
            one_by_one(
                [float(block[f][query.of_cell[f][column[f]]]) for f in features],
                query.clip,
                query.steps,
            )
            for column in whole(records).cells.T.tolist()
        ]
        expected += [
            sum(row[one] * row[two] for row in rows)
            for one in features
            for two in features
            if one < two
        ]

    assert sum_products(records.batches(), query).tolist() == expected


@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_a_gradient_is_the_sum_of_residual_times_row(data: st.DataObject, schema: Schema) -> None:
    """To a step a record: the row is rounded once, after it is clipped and weighted."""
    query = data.draw(queries(schema, "gradient"))
    assert isinstance(query, Gradient)
    records = data.draw(tables(schema, most=10))
    batch = whole(records)
    odds = query.scorecard.log_odds(batch.cells)

    found = sum_gradients(records.batches(), query) * (query.clip / query.steps)

    expected = np.zeros(query.dim)
    for record, column in enumerate(batch.cells.T.tolist()):
        bins = query.scorecard.bins
        row = [float(one.woe[one.of_cell[cell]]) for one, cell in zip(bins, column, strict=True)]
        row = [*row, 1.0]
        short = min(1.0, query.clip / math.hypot(*row))
        good = 0.5 * (1.0 + math.tanh(odds[record] / 2))
        residual = (1 - int(batch.bad[record]) - good) / max(good, 1 - good)
        expected -= np.array(row) * short * residual
    tolerance = (0.5 * batch.bad.size + 1e-6) * query.clip / query.steps
    # Where rounding would leave the ball, a row is moved back in: a further step each.
    assert (np.abs(found - expected) <= 3 * tolerance + 1e-9).all()


@settings(max_examples=40)
@given(data=st.data(), schema=schemas())
def test_a_good_and_a_bad_record_pull_in_opposite_ways(data: st.DataObject, schema: Schema) -> None:
    """The last entry of a gradient is a sum of residuals: of one class their sign is known."""
    query = data.draw(queries(schema, "gradient"))
    assert isinstance(query, Gradient)
    records = data.draw(tables(schema, most=10))
    batch = whole(records)

    found = int(sum_gradients(records.batches(), query)[-1])

    if not batch.bad.any():
        assert found <= 0
    if batch.bad.all():
        assert found >= 0
