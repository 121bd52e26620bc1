"""Records can be read again and again, batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import Categorical, Label, Numeric, Schema
from fedcredit.errors import LocalError
from fedcredit.units import Bytes8, Flags

SCHEMA = Schema(
    "s",
    1,
    "",
    (
        Numeric("a", "", 0, 3, step=1),
        Categorical("b", ("x",)),
        Numeric("c", "", 0, 1, feature=False),
    ),
    Label("y", ("0",), ("1",), "late", 12),
)


def arrays(rows: int) -> tuple[Bytes8, Bytes8, Flags]:
    """Some cells, outcomes and sides."""
    line = np.arange(rows)
    cells = np.array([line % 5, line % 3], dtype=np.uint8)
    return cells, (line % 2).astype(np.uint8), line % 4 == 0


@given(rows=st.integers(0, 40), batch_rows=st.integers(1, 50))
def test_the_batches_are_the_arrays_in_order_every_time(rows: int, batch_rows: int) -> None:
    cells, bad, held_out = arrays(rows)
    records = in_memory(SCHEMA, cells, bad, held_out, batch_rows)
    assert isinstance(records, Records)
    for _ in range(2):
        batches = list(records.batches())
        assert all(0 < len(batch.bad) <= batch_rows for batch in batches)
        assert all(batch.cells.flags.c_contiguous for batch in batches)
        if batches:
            assert (np.concatenate([batch.cells for batch in batches], axis=1) == cells).all()
            assert (np.concatenate([batch.bad for batch in batches]) == bad).all()
            assert (np.concatenate([batch.held_out for batch in batches]) == held_out).all()
        else:
            assert rows == 0


def test_a_batch_shows_nothing_of_its_rows() -> None:
    batch = next(in_memory(SCHEMA, *arrays(7)).batches())
    assert repr(batch) == "Batch(features=2, rows=...)"


def test_what_does_not_fit_the_schema_is_refused() -> None:
    cells, bad, held_out = arrays(6)
    with pytest.raises(LocalError, match="have shapes"):
        in_memory(SCHEMA, cells[:1], bad, held_out)
    with pytest.raises(LocalError, match="have shapes"):
        in_memory(SCHEMA, cells, bad[:-1], held_out)
    with pytest.raises(LocalError, match="have shapes"):
        in_memory(SCHEMA, cells, bad, held_out, batch_rows=0)
    with pytest.raises(LocalError, match="'b' has a cell"):
        in_memory(SCHEMA, np.full_like(cells, 4), bad, held_out)
    with pytest.raises(LocalError, match="above 1"):
        in_memory(SCHEMA, cells, bad * 2, held_out)
