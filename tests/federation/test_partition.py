"""A table that plays several institutions loses no record and doubles none."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical
from fedcredit.data.records import Records, in_memory
from fedcredit.data.schema import Label, Schema
from fedcredit.errors import ConfigError
from fedcredit.federation.partition import (
    ByCell,
    Dirichlet,
    Iid,
    Rule,
    numbered,
    partition,
    without_feature,
)
from fedcredit.units import InstitutionId

SCHEMA = Schema(
    name="made-up",
    version=1,
    description="",
    columns=(
        Categorical("region", ("North & West", "north-west", "Süd", "-"), other=True),
        Categorical("home", ("own", "rent")),
    ),
    label=Label("bad", ("0",), ("1",), "a made-up outcome", 12),
)
NAMES = numbered(7)


def table(rows: int, seed: int, bad_rate: float = 0.2) -> Records:
    draw = np.random.default_rng(seed)
    cells = np.stack([draw.integers(0, one.cell_count, rows) for one in SCHEMA.features])
    return in_memory(
        SCHEMA,
        cells.astype(np.uint8),
        (draw.random(rows) < bad_rate).astype(np.uint8),
        draw.random(rows) < 0.2,
        batch_rows=97,
    )


def rows_of(records: Records) -> Counter[tuple[int, ...]]:
    """Every record with its outcome and side, counted."""
    return Counter(
        tuple(row)
        for batch in records.batches()
        for row in np.vstack([batch.cells, batch.bad, batch.held_out]).T.tolist()
    )


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "cell"])
@given(rows=st.integers(60, 400), seed=st.integers(0, 50))
def test_every_record_is_in_one_part(kind: str, rows: int, seed: int) -> None:
    """Together the parts are the table, record for record."""
    rules: dict[str, Rule] = {
        "iid": Iid(NAMES, f"{seed}"),
        "dirichlet": Dirichlet(NAMES, f"{seed}", 2.0),
        "cell": ByCell.of(SCHEMA, "region"),
    }
    whole = table(rows, seed)
    parts = partition(whole, rules[kind])
    together: Counter[tuple[int, ...]] = sum((rows_of(part) for part in parts.values()), Counter())
    assert together == rows_of(whole)
    again = partition(whole, rules[kind])
    assert {name: rows_of(part) for name, part in again.items()} == {
        name: rows_of(part) for name, part in parts.items()
    }


def test_iid_parts_are_of_like_size_and_rate() -> None:
    """Sizes and bad rates differ as chance has it, and another seed deals anew."""
    whole = table(21_000, 1)
    parts = partition(whole, Iid(NAMES, "seed"))
    sizes = [rows_of(part).total() for part in parts.values()]
    assert tuple(parts) == NAMES
    assert all(abs(size - 3000) < 5 * 3000**0.5 for size in sizes)
    other = partition(whole, Iid(NAMES, "another seed"))
    assert sizes != [rows_of(part).total() for part in other.values()]


@pytest.mark.parametrize("concentration", [0.1, 0.5, 1.0, 20.0])
def test_dirichlet_shares_have_the_right_law(concentration: float) -> None:
    """Mean 1/K and variance (K - 1) / K^2 / (K a + 1), over many seeds."""
    k = len(NAMES)
    shares = np.concatenate(
        [Dirichlet(NAMES, f"{seed}", concentration).shares() for seed in range(400)]
    )
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    expected = (k - 1) / k**2 / (k * concentration + 1)
    assert shares.mean() == pytest.approx(1 / k)
    assert shares.var() == pytest.approx(expected, rel=0.12)


def test_a_tiny_concentration_stays_finite() -> None:
    """All records of a class at one institution, and no division by nothing."""
    shares = Dirichlet(NAMES, "x", 1e-4).shares()
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.max(axis=1), 1.0)


def test_dirichlet_parts_follow_their_shares() -> None:
    """Goods and bads are dealt by their own draw."""
    rule = Dirichlet(NAMES, "7", 0.5)
    whole = table(40_000, 3, bad_rate=0.5)
    parts = partition(whole, rule)
    for at, name in enumerate(NAMES):
        found = rows_of(parts[name]) if name in parts else Counter[tuple[int, ...]]()
        for bad in (0, 1):
            count = sum(times for row, times in found.items() if row[-2] == bad)
            assert count / 20_000 == pytest.approx(rule.shares()[bad][at], abs=0.02)


def test_a_cell_names_its_institution() -> None:
    """Names can be files' names, and two labels never share one."""
    rule = ByCell.of(SCHEMA, "region")
    assert rule.institutions == ("north-west", "north-west-2", "s-d", "other", "other-5", "missing")
    parts = partition(table(500, 1), rule)
    assert {row[0] for row in rows_of(parts[InstitutionId("s-d")])} == {2}


def test_the_column_that_split_can_be_taken_out() -> None:
    """A column that only says who holds a record is no feature of the model."""
    narrow = replace(SCHEMA, columns=SCHEMA.columns[1:])
    parts = partition(table(300, 1), ByCell.of(SCHEMA, "region"))
    for part in parts.values():
        left = without_feature(part, narrow, 0)
        assert left.schema == narrow
        assert rows_of(left) == Counter(
            row[1:] for row, times in rows_of(part).items() for _ in range(times)
        )


def test_too_few_institutions_and_unknown_columns_are_refused() -> None:
    with pytest.raises(ConfigError, match="2 institutions have records"):
        partition(table(100, 1), Iid(numbered(2), "x"))
    with pytest.raises(ConfigError, match="'regoin' is no feature"):
        ByCell.of(SCHEMA, "regoin")


def test_numbers_sort_as_they_count() -> None:
    assert list(numbered(12)) == sorted(numbered(12))
