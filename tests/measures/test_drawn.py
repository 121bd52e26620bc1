"""A sample of a table: one sample a view, a fresh one for every view."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedcredit.data.records import Records, in_memory
from fedcredit.errors import PrivacyError
from fedcredit.measures.drawn import drawn
from fedcredit.measures.measure import measure
from fedcredit.privacy.events import RATE_ONE
from tests.federation.made import QUERY, SCHEMA, Stream


def numbered(rows: int, batch_rows: int = 70) -> Records:
    """Records that can be told apart by their cells, in some batches."""
    cells = np.zeros((3, rows), dtype=np.uint8)
    cells[0] = np.arange(rows) % 8
    cells[1] = np.arange(rows) // 8 % 4
    cells[2] = np.arange(rows) // 32 % 2
    held_out = np.arange(rows) % 5 == 0
    return in_memory(SCHEMA, cells, (np.arange(rows) % 2).astype(np.uint8), held_out, batch_rows)


def rows_of(records: Records) -> list[tuple[int, ...]]:
    found: list[tuple[int, ...]] = []
    for batch in records.batches():
        assert batch.cells.flags.c_contiguous
        columns = (*batch.cells, batch.bad, batch.held_out)
        found += [tuple(map(int, row)) for row in zip(*columns, strict=True)]
    return found


def test_a_view_is_one_sample_however_often_it_is_read() -> None:
    """Also if the first reading stops half way."""
    view = drawn(numbered(300), RATE_ONE // 2, Stream("coins"))
    next(iter(view.batches()))
    first = rows_of(view)

    assert rows_of(view) == first
    assert 90 < len(first) < 210
    assert view.schema is SCHEMA


def test_a_sample_holds_records_of_the_table_in_their_order_and_no_others() -> None:
    whole = rows_of(numbered(60))
    some = rows_of(drawn(numbered(60), RATE_ONE // 2, Stream("coins")))

    left = iter(whole)
    assert all(row in left for row in some), "a subsequence"


def test_another_view_is_another_sample() -> None:
    source = Stream("coins")
    views = [rows_of(drawn(numbered(300), RATE_ONE // 2, source)) for _ in range(2)]

    assert views[0] != views[1]


@pytest.mark.parametrize("rate", [RATE_ONE // 100, RATE_ONE // 8, RATE_ONE // 10 * 9])
def test_records_are_in_with_the_rate(rate: int) -> None:
    """Within five standard deviations, over batches and parts alike."""
    q, rows = rate / RATE_ONE, 20_000
    found = np.array(rows_of(drawn(numbered(rows, 3000), rate, Stream("coins"))))

    for part, of_part in ((0, rows * 4 // 5), (1, rows // 5)):
        count = int(np.sum(found[:, -1] == part))
        assert abs(count - q * of_part) < 5 * math.sqrt(of_part * q * (1 - q))


def test_a_question_is_asked_of_a_sample_as_of_all_records() -> None:
    view = drawn(numbered(300), RATE_ONE // 4, Stream("coins"))
    kept = [row for row in rows_of(view) if not row[-1]]

    total = measure(view, QUERY)

    assert total.value.sum() == len(SCHEMA.features) * len(kept)
    assert total.sensitivity_squared == QUERY.sensitivity_squared


def test_nobody_prints_who_is_in_nor_how_many() -> None:
    view = drawn(numbered(300), RATE_ONE // 4, Stream("coins"))
    list(view.batches())
    assert repr(view) == "_Drawn(rows=...)"


@pytest.mark.parametrize("wrong", [0.5, -1, RATE_ONE + 1])
def test_a_rate_that_is_none_is_refused_before_a_record_is_given(wrong: int) -> None:
    with pytest.raises(PrivacyError, match="rate"):
        rows_of(drawn(numbered(3), wrong, Stream("coins")))
