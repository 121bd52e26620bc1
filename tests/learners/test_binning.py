"""From noisy counts to bins: every cell has one, whatever the noise, and levels agree."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import Records
from fedcredit.data.schema import Schema
from fedcredit.learners.binning import (
    BINS,
    BRANCH,
    MOST_COARSE,
    MOST_WOE,
    Binned,
    _Counted,
    _levels,
    _reconcile,
    fold_histograms,
    histogram_query,
)
from fedcredit.learners.program import NoisyTotal
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Histograms
from fedcredit.units import Floats, Ints
from tests.learners.studies import DIRECTED, table
from tests.models.strategies import records_of, schema_of, schemas

SEEDS = st.integers(0, 2**32)


def any_total(query: Histograms, seed: int) -> NoisyTotal:
    """Counts of any size and sign: none, negative, a few, many, or noise alone."""
    rng = np.random.default_rng(seed)
    size = float(rng.choice([0.0, 1.0, 30.0, 1e4, 1e9]))
    shift = float(rng.choice([-1.0, 0.0, 0.0, 1.0])) * size
    value = np.rint(rng.normal(shift, size, query.dim)).astype(np.int64)
    return NoisyTotal(value * query.steps, int(rng.choice([16, 10**4, 10**9, 2**40])))


def exact(records: Records) -> NoisyTotal:
    """Counts with no noise, said to have the least."""
    return NoisyTotal(measure(records, histogram_query(records.schema)).value, 16)


@given(schema=schemas())
def test_the_question_has_levels_until_few_groups_are_left(schema: Schema) -> None:
    query = histogram_query(schema)

    for f, column in enumerate(schema.features):
        assert query.ordered[f] + query.extra[f] == column.cell_count
        assert all(other == BRANCH * one for one, other in pairwise(query.groups[f]))
        assert column.ordered <= MOST_COARSE * query.groups[f][-1]
        assert len(query.groups[f]) == 1 or column.ordered > MOST_COARSE * query.groups[f][-2]


@settings(max_examples=80)
@given(schema=schemas(), seed=SEEDS)
def test_any_total_makes_bins_that_are_whole_and_finite(schema: Schema, seed: int) -> None:
    """Every cell has a bin and every bin a cell, all numbers are finite, no count is 0."""
    query = histogram_query(schema)

    binned = fold_histograms(schema, query, any_total(query, seed))

    assert binned.goods >= 1
    assert binned.bads >= 1
    assert math.isfinite(binned.base)
    for column, bins in zip(schema.features, binned.bins, strict=True):
        assert bins.name == column.name
        assert bins.of_cell.shape == (column.cell_count,)
        assert sorted(set(bins.of_cell.tolist())) == list(range(len(bins.labels)))
        for numbers in (bins.goods, bins.bads, bins.woe, bins.woe_se):
            assert numbers.shape == (len(bins.labels),)
            assert np.isfinite(numbers).all()
        assert (bins.goods > 0).all()
        assert (bins.bads > 0).all()
        assert bins.goods.sum() == pytest.approx(binned.goods)
        assert bins.bads.sum() == pytest.approx(binned.bads)
        assert (np.abs(bins.woe) <= MOST_WOE).all()
        assert (bins.woe_se > 0).all()


@settings(max_examples=80)
@given(schema=schemas(), seed=SEEDS)
def test_ordered_bins_are_runs_of_cells_in_their_order_and_keep_a_declared_direction(
    schema: Schema, seed: int
) -> None:
    query = histogram_query(schema)

    binned = fold_histograms(schema, query, any_total(query, seed))

    for f, column in enumerate(schema.features):
        of_cell = binned.bins[f].of_cell[: column.ordered]
        run = binned.ordered[f].tolist()
        assert run == sorted(set(of_cell.tolist()))
        assert (np.diff(of_cell.astype(int)) >= 0).all()  # no bin is left and entered again
        assert binned.signs[f] == -column.sign
        steps = np.diff(binned.bins[f].woe[run])
        assert (binned.signs[f] * steps >= 0).all()


@settings(max_examples=40)
@given(schema=schemas(), seed=SEEDS)
def test_categories_without_order_stand_in_the_order_of_their_woe(
    schema: Schema, seed: int
) -> None:
    """So that a tree's threshold means something."""
    query = histogram_query(schema)

    binned = fold_histograms(schema, query, any_total(query, seed))

    for column, bins in zip(schema.features, binned.bins, strict=True):
        if isinstance(column, Categorical):
            assert (np.diff(bins.woe) >= 0).all()


ROWS = table(5, 40_000)


def binned_rows() -> Binned:
    """The bins of a large table without noise."""
    return fold_histograms(DIRECTED, histogram_query(DIRECTED), exact(ROWS))


def test_totals_without_noise_are_the_records_own() -> None:
    """Of those that are not held out."""
    bad = np.concatenate([batch.bad[~batch.held_out] for batch in ROWS.batches()])

    binned = binned_rows()

    assert binned.bads == pytest.approx(int(bad.sum()))
    assert binned.records == pytest.approx(bad.size)
    assert binned.base == pytest.approx(math.log((bad.size - bad.sum()) / bad.sum()))


def test_woe_of_a_large_table_is_that_of_its_counts() -> None:
    """Within three printed standard errors, and half a log-odds, of every bin."""
    binned = binned_rows()

    for f, bins in enumerate(binned.bins):
        goods, bads = _counts(f, bins.of_cell)
        known = np.minimum(goods, bads) > 30
        assert known.sum() >= 3
        raw = np.log(goods[known] / goods.sum()) - np.log(bads[known] / bads.sum())
        gap = np.abs(bins.woe[known] - raw)
        assert (gap < 3 * bins.woe_se[known]).all()
        assert gap.max() < 0.5


def test_counts_of_a_large_table_are_its_own() -> None:
    binned = binned_rows()

    for f, bins in enumerate(binned.bins):
        goods, bads = _counts(f, bins.of_cell)
        np.testing.assert_allclose(bins.goods, goods, atol=1.0)
        np.testing.assert_allclose(bins.bads, bads, atol=1.0)


def _counts(feature: int, of_cell: np.ndarray) -> tuple[Ints, Ints]:
    """True goods and bads of each bin."""
    goods = np.zeros(int(of_cell.max()) + 1, dtype=np.int64)
    bads = goods.copy()
    for batch in ROWS.batches():
        seen = ~batch.held_out
        bins = of_cell[batch.cells[feature][seen]]
        goods += np.bincount(bins, weights=1 - batch.bad[seen], minlength=goods.size).astype(int)
        bads += np.bincount(bins, weights=batch.bad[seen], minlength=goods.size).astype(int)
    return goods, bads


def test_a_bin_closes_at_its_part_of_the_records_or_the_bads() -> None:
    """Ordered bins are at least so large, so there are at most twice BINS of them, and the
    last one has at least half of that."""
    binned = binned_rows()

    for run, bins in zip(binned.ordered, binned.bins, strict=True):
        records = (bins.goods + bins.bads) / (bins.goods + bins.bads).sum()
        bads = bins.bads / bins.bads.sum()
        if run.size:
            large = np.maximum(records, bads)[run]
            assert (large[:-1] > 0.99 / BINS).all()
            assert large[-1] > 0.49 / BINS


def test_more_noise_makes_fewer_bins() -> None:
    """A bin must stand out of the noise that its counts are said to have."""
    query = histogram_query(DIRECTED)
    value = exact(ROWS).value

    sizes = [
        sum(
            one.woe.size
            for one in fold_histograms(DIRECTED, query, NoisyTotal(value, variance)).bins
        )
        for variance in (16, 2_500_000, 250_000_000, 2**40)
    ]

    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[-1]
    assert sizes[-1] == len(DIRECTED.features)


FINE = schema_of(
    Numeric("age", "years", 18.0, 90.0, cells=230), Numeric("late", "n", 0.0, 5.0, step=1.0)
)


def reconciled(value: Ints) -> _Counted:
    """The first feature's counts after its levels agree."""
    query = histogram_query(FINE)
    tables = next(iter(_levels(query, NoisyTotal(value, 16))))
    return _reconcile(query, 0, tables)


@given(seed=SEEDS)
def test_children_add_up_to_their_parents(seed: int) -> None:
    """Of 230 cells: 58 groups of 4 at most and 15 of 16, the last ones smaller."""
    query = histogram_query(FINE)
    value = np.random.default_rng(seed).integers(-(10**6), 10**6, query.dim)

    one = reconciled(value)

    assert [len(level) for level in one.levels] == [230, 58, 15]
    for below, above in pairwise(one.levels):
        starts = np.arange(0, len(below), BRANCH)
        np.testing.assert_allclose(np.add.reduceat(below, starts, axis=0), above, atol=1e-6)


def test_levels_that_agree_stay_as_they_are() -> None:
    """Without noise there is nothing to reconcile."""
    query = histogram_query(FINE)
    value = measure(records_of(FINE, 500, 4), query).value
    tables = next(iter(_levels(query, NoisyTotal(value, 16))))

    one = reconciled(value)

    for level, table_ in zip(one.levels, (tables[0][:230], *tables[1:]), strict=True):
        np.testing.assert_allclose(level, table_, atol=1e-9)


def test_reconciled_levels_are_unbiased_and_less_noisy_than_the_counts() -> None:
    """Hay et al. (2010): on each level the variance is below that of its own counts, and of a
    group it is far below that of the fine counts added up."""
    query = histogram_query(FINE)
    rng = np.random.default_rng(3)
    draws = [
        reconciled(np.rint(rng.normal(0.0, 1000.0, query.dim)).astype(np.int64)).levels
        for _ in range(300)
    ]

    for level, size in enumerate((1, 4, 16)):
        drawn: Floats = np.stack([draw[level][:14] for draw in draws]) * query.steps / 1000.0
        variance = float((drawn**2).mean())
        assert abs(float(drawn.mean())) < 5 * math.sqrt(variance / drawn.size) * 4
        assert variance < 0.95  # of the counts themselves: 1
        assert variance < 1.0 if size == 1 else variance < 0.25 * size


def test_labels_name_what_a_bin_holds() -> None:
    """Where a bin is one cell, its label is the cell's; categories are joined by or."""
    schema = schema_of(
        Numeric("late", "n", 0.0, 3.0, step=1.0, outside="refuse"),
        Categorical("home", ("own", "rent", "family"), other=True),
    )
    sizes = ((4000, 3000, 2000, 1000, 900), (5000, 5000, 4, 3, 0))
    value = np.concatenate(
        [np.concatenate([np.array(part), np.array(part) // 4]) for part in sizes]
    )

    binned = fold_histograms(schema, histogram_query(schema), NoisyTotal(value * 16, 16))

    assert set(binned.bins[0].labels) == {"0", "1", "2", "3", "missing"}
    assert set(binned.bins[1].labels) == {"own", "rent", "family or other or missing"}


def test_a_bin_of_several_cells_names_its_whole_range() -> None:
    """From the first cell's lower end to the last one's upper, clamped ends said as such."""
    schema = schema_of(
        Numeric("late", "n", 0.0, 7.0, step=1.0),
        Numeric("income", "EUR", 0.0, 800.0, cells=8),
        Numeric("term", "months", 0.0, 7.0, step=1.0, outside="refuse"),
    )
    thin = [5, 5, 5, 4000, 5, 4000, 5, 5]
    part = np.array([*thin, 0])
    value = np.concatenate([part * 3, part] * 3) * 16

    binned = fold_histograms(schema, histogram_query(schema), NoisyTotal(value, 16))

    assert [one.of_cell[:8].tolist() for one in binned.bins] == [[0, 0, 0, 0, 1, 1, 1, 1]] * 3
    assert [label.split(" or missing")[0] for one in binned.bins for label in one.labels] == [
        *("up to 3", "4 or more"),
        *("< 400", ">= 400"),
        *("0 to 3", "4 to 7"),
    ]
