"""One record moves every sum by at most its stated sensitivity, for any table and question.

Every epsilon rests on this. The steps are compared in Python's own integers, exactly, and
for each kind of question a record is planted that moves the sum as far as it may, so a
sensitivity that is stated too large is seen too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import Batch, Records, in_memory
from fedcredit.data.schema import Schema
from fedcredit.errors import ConfigError, PeerError
from fedcredit.measures import measure as asking
from fedcredit.measures.measure import check_able, measure
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.network import Network
from fedcredit.models.queries import (
    Gradient,
    Histograms,
    Leaves,
    Moments,
    NetworkGradient,
    Query,
    ScoreHistogram,
    decode_query,
    encode_query,
)
from fedcredit.models.trees import Boosted, Forest
from fedcredit.units import Flags, Ints
from tests.models.strategies import (
    KINDS,
    Seen,
    model_of,
    queries,
    records_of,
    schema_of,
    schemas,
    tables,
    whole,
)


def some(records: Records, keep: Flags, batch_rows: int = 5) -> Records:
    """Some of the records, in their order."""
    batch = whole(records)
    cells = np.ascontiguousarray(batch.cells[:, keep])
    return in_memory(records.schema, cells, batch.bad[keep], batch.held_out[keep], batch_rows)


def squared(steps: Ints) -> int:
    """Exactly, in Python's own integers."""
    return sum(step * step for step in steps.tolist())


def moves(records: Records, query: Query) -> list[int]:
    """How far each record moves the sum, squared."""
    with_all = measure(records, query).value
    rows = np.arange(whole(records).bad.size)
    return [
        squared(with_all - measure(some(records, rows != left_out), query).value)
        for left_out in rows
    ]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60)
@given(data=st.data(), schema=schemas())
def test_one_record_moves_a_sum_by_at_most_its_sensitivity(
    kind: str, data: st.DataObject, schema: Schema
) -> None:
    query = data.draw(queries(schema, kind))
    records = data.draw(tables(schema, most=8))

    found = measure(records, query)

    assert found.value.shape == (query.dim,)
    assert found.sensitivity_squared == query.sensitivity_squared
    assert all(moved <= query.sensitivity_squared for moved in moves(records, query))


@settings(max_examples=60)
@given(
    data=st.data(),
    kind=st.sampled_from(KINDS),
    edits=st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), min_size=1, max_size=2),
)
def test_a_question_that_was_changed_on_its_way_moves_no_further(
    data: st.DataObject, kind: str, edits: list[tuple[int, int]]
) -> None:
    """Whatever a coordinator sends: it is refused, or its own sensitivity holds."""
    schema = schema_of(
        Numeric("income", "EUR", 0.0, 9.0, cells=9), Categorical("home", ("own", "rent"))
    )
    query = data.draw(queries(schema, kind))
    changed = bytearray(encode_query(query))
    for at, flip in edits:
        changed[at % len(changed)] ^= flip
    records = records_of(schema, 6, 1)
    try:
        accepted = decode_query(bytes(changed))
        with np.errstate(over="ignore"):
            moved = moves(records, accepted)
    except PeerError:
        return

    assert all(one <= accepted.sensitivity_squared for one in moved)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(data=st.data(), schema=schemas(), seed=st.integers(0, 2**32), parts=st.integers(1, 5))
def test_sums_over_any_partition_add_up_to_the_pooled_sum(
    kind: str, data: st.DataObject, schema: Schema, seed: int, parts: int
) -> None:
    """Exactly: this is why a federation learns what one table would teach."""
    query = data.draw(queries(schema, kind))
    records = data.draw(tables(schema, most=30))
    owner = np.random.default_rng(seed).integers(0, parts, whole(records).bad.size)

    each = [measure(some(records, owner == one), query).value for one in range(parts)]

    assert (
        sum(each, np.zeros(query.dim, np.int64)).tolist() == measure(records, query).value.tolist()
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(
    data=st.data(),
    schema=schemas(),
    seed=st.integers(0, 2**32),
    batch_rows=st.integers(1, 40),
)
def test_neither_batches_nor_the_order_of_records_matter(
    kind: str, data: st.DataObject, schema: Schema, seed: int, batch_rows: int
) -> None:
    query = data.draw(queries(schema, kind))
    records = data.draw(tables(schema, most=30))
    batch = whole(records)
    order = np.random.default_rng(seed).permutation(batch.bad.size)
    shuffled = in_memory(
        schema,
        np.ascontiguousarray(batch.cells[:, order]),
        batch.bad[order],
        batch.held_out[order],
        batch_rows,
    )

    assert measure(shuffled, query).value.tolist() == measure(records, query).value.tolist()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(data=st.data(), schema=schemas(), seed=st.integers(0, 2**32))
def test_training_never_sees_a_held_out_record_nor_evaluation_another(
    kind: str, data: st.DataObject, schema: Schema, seed: int
) -> None:
    """Whatever the records of the other side are changed into, the sum stays the same."""
    query = data.draw(queries(schema, kind))
    records = data.draw(tables(schema, most=30))
    batch = whole(records)
    other = whole(records_of(schema, batch.bad.size, seed))
    seen = batch.held_out == (query.part == "held-out")
    changed = in_memory(
        schema,
        np.where(seen, batch.cells, other.cells),
        np.where(seen, batch.bad, other.bad),
        batch.held_out,
    )

    expected = measure(records, query).value

    assert measure(changed, query).value.tolist() == expected.tolist()
    assert measure(some(records, seen), query).value.tolist() == expected.tolist()
    assert not measure(some(records, ~seen), query).value.any()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(data=st.data(), schema=schemas(), other=schemas())
def test_a_question_about_another_schema_is_refused_before_any_record_is_read(
    kind: str, data: st.DataObject, schema: Schema, other: Schema
) -> None:
    """So that a refusal says nothing of the records."""
    query = data.draw(queries(other, kind))
    records = Seen(data.draw(tables(schema)))
    counts = [[column.cell_count for column in one.features] for one in (schema, other)]

    # A question with a model says which schema it is of; the others ask for cells alone.
    named = kind not in ("histograms", "moments")
    if counts[0] == counts[1] and not (named and schema.digest() != other.digest()):
        measure(records, query)
        assert records.times == 1
    else:
        with pytest.raises(PeerError, match="cells are not those of schema 'made-up' version 1"):
            measure(records, query)
        assert records.times == 0


WIDE = schema_of(*(Numeric(f"n{at}", "EUR", 0.0, 9.0, cells=9) for at in range(16)))
ONE_TRAINED = in_memory(WIDE, np.ones((16, 1), np.uint8), np.zeros(1, np.uint8), np.zeros(1, bool))
ONE_HELD_OUT = in_memory(WIDE, np.ones((16, 1), np.uint8), np.zeros(1, np.uint8), np.ones(1, bool))


def card(woe: float, intercept: float) -> Scorecard:
    """Every cell of every feature has the same WoE."""
    bins = tuple(
        FeatureBins(
            column.name,
            np.zeros(column.cell_count, dtype=np.uint8),
            ("all",),
            np.ones(1),
            np.ones(1),
            np.array([woe]),
            np.zeros(1),
        )
        for column in WIDE.features
    )
    return Scorecard(WIDE.digest(), bins, np.zeros(16), intercept, np.eye(17))


def boosted(intercept: float) -> Boosted:
    """Two trees of one split."""
    table = np.array([[0], [3]])
    additive = Additive(card(0.0, intercept), (np.zeros(1),) * 16)
    return Boosted(additive, Forest(table, table), np.zeros((2, 2)))


SURELY_BAD = -1e4  # of a good record: its residual is 1

TIGHT: dict[str, tuple[Query, Records, float]] = {
    "histograms": (Histograms((9,) * 16, (1,) * 16, ((1, 2, 4),) * 16, 16), ONE_TRAINED, 1.0),
    # Of 16 equal numbers all products but the squares count: 15/16 of the bound.
    "moments": (
        Moments(
            tuple(one.of_cell for one in card(0.0, 0.0).bins), ((np.ones(1),) * 16,) * 2, 1.0, 4096
        ),
        ONE_TRAINED,
        15 / 16,
    ),
    # Its entries are rounded towards zero where rounding would leave the ball.
    "gradient": (Gradient(card(9.0, SURELY_BAD), 1.0, 4096), ONE_TRAINED, 0.995),
    "leaves": (
        Leaves(boosted(SURELY_BAD), boosted(0.0).forest, 4096, 1234),
        ONE_TRAINED,
        1.0,
    ),
    "score-histogram": (ScoreHistogram(boosted(0.0), np.zeros(1), 16), ONE_HELD_OUT, 1.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_can_move_a_sum_as_far_as_its_sensitivity_says(kind: str) -> None:
    """A sensitivity that is too large would cost noise for nothing."""
    query, records, part = TIGHT[kind]
    (moved,) = moves(records, query)

    assert part * query.sensitivity_squared <= moved <= query.sensitivity_squared


def test_a_sum_over_an_empty_table_is_zero() -> None:
    """An institution without records answers like any other: only its noise is in it."""
    for query, records, _ in TIGHT.values():
        empty = some(records, np.zeros(1, dtype=np.bool_))
        assert measure(empty, query).value.tolist() == [0] * query.dim


def test_a_batch_that_is_not_contiguous_is_read_all_the_same() -> None:
    """Records are a port: whoever implements it may slice."""

    class Sliced:
        schema = WIDE

        def batches(self) -> Iterator[Batch]:
            batch = whole(records_of(WIDE, 20, 3))
            yield Batch(batch.cells[:, ::2], batch.bad[::2], batch.held_out[::2])

    query = TIGHT["histograms"][0]
    every_other = some(records_of(WIDE, 20, 3), np.arange(20) % 2 == 0)

    found = measure(Sliced(), query).value

    assert found.tolist() == measure(every_other, query).value.tolist()


@pytest.mark.parametrize("missing", ["torch", "opacus"])
def test_a_question_about_a_network_is_refused_where_what_it_needs_is_not_installed(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name and before a record is read; other questions need neither."""
    here = {"torch": True, "opacus": True, missing: False}
    monkeypatch.setattr(asking, "find_spec", lambda name: here[name] or None)
    schema = schema_of(
        Numeric("income", "EUR", 0.0, 9.0, cells=9), Categorical("home", ("own", "rent"))
    )
    network = model_of("neural", schema, 1)
    assert isinstance(network, Network)
    records = Seen(records_of(schema, 6, 1))

    with pytest.raises(ConfigError, match="torch and Opacus") as caught:
        measure(records, NetworkGradient(network, "head", 1.0, 10))

    assert "fedcredit[neural]" in str(caught.value.remedy)
    assert records.times == 0
    for kind in KINDS:
        check_able(kind)


def test_where_they_are_installed_it_may_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "find_spec", lambda name: name)

    check_able(NetworkGradient.kind)
