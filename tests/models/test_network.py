"""A network adds to its scorecard what its units say, for each record alone, within its range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.schema import Schema
from fedcredit.models.bins import bins_of
from fedcredit.models.network import Network
from tests.models.strategies import model_of, records_of, schemas, whole

SEEDS = st.integers(0, 2**32)


def network(schema: Schema, seed: int) -> Network:
    """Any network."""
    model = model_of("neural", schema, seed)
    assert isinstance(model, Network)
    return model


@given(schema=schemas(), seed=SEEDS)
def test_log_odds_are_the_scorecards_and_the_units_by_the_head(schema: Schema, seed: int) -> None:
    """Computed here record by record and unit by unit."""
    model = network(schema, seed)
    cells = whole(records_of(schema, 6, seed)).cells
    bins = bins_of(model.scorecard.bins, cells)

    expected = model.scorecard.log_odds(cells)
    for record in range(6):
        read = np.concatenate([v[b] for v, b in zip(model.vectors, bins[:, record], strict=True)])
        for weights, bias, head in zip(model.weights, model.biases, model.head, strict=True):
            expected[record] += head * np.tanh(weights @ read + bias)

    assert model.log_odds(cells) == pytest.approx(expected + model.shift, rel=1e-12, abs=1e-9)


@given(schema=schemas(), seed=SEEDS, split=st.integers(0, 1500))
def test_a_records_log_odds_do_not_depend_on_who_is_beside_it(
    schema: Schema, seed: int, split: int
) -> None:
    """To the bit: what an institution sums must not move by a neighbour's presence."""
    model = network(schema, seed)
    cells = whole(records_of(schema, 1500, seed)).cells

    parts = [model.log_odds(cells[:, :split]), model.log_odds(cells[:, split:])]

    assert np.concatenate(parts).tobytes() == model.log_odds(cells).tobytes()


@given(schema=schemas(), seed=SEEDS)
def test_what_is_added_stays_within_the_range(schema: Schema, seed: int) -> None:
    model = network(schema, seed)
    bins = bins_of(model.scorecard.bins, whole(records_of(schema, 60, seed)).cells)

    added = model.added(bins)
    least, most = model.range()

    slack = 1e-9 * (1.0 + np.abs(model.head).sum())
    assert least - slack <= added.min() <= added.max() <= most + slack


@given(schema=schemas(), seed=SEEDS)
def test_another_head_changes_head_and_shift_alone(schema: Schema, seed: int) -> None:
    model = network(schema, seed)
    head = np.arange(model.head.size + 1.0)

    changed = model.with_head(head)

    assert changed.head.tolist() == head[:-1].tolist()
    assert changed.shift == head[-1]
    assert changed.weights is model.weights
    assert changed.vectors is model.vectors


@given(schema=schemas(), seed=SEEDS)
def test_a_table_of_no_record_has_no_log_odds(schema: Schema, seed: int) -> None:
    model = network(schema, seed)

    assert model.log_odds(np.zeros((len(schema.features), 0), np.uint8)).shape == (0,)
