"""Scorecard and additive model: log-odds are sums of what each bin adds, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.schema import Schema
from fedcredit.models.bins import Additive, FeatureBins, Scorecard, bins_of
from fedcredit.units import Floats
from tests.models.strategies import model_of, models, records_of, schemas, whole

SEEDS = st.integers(0, 2**32)


def feature(goods: list[float], bads: list[float], woe: list[float]) -> FeatureBins:
    """Bins with given counts."""
    return FeatureBins(
        name="income",
        of_cell=np.arange(len(woe), dtype=np.uint8),
        labels=tuple(f"bin {rank}" for rank in range(len(woe))),
        goods=np.array(goods),
        bads=np.array(bads),
        woe=np.array(woe),
        woe_se=np.zeros(len(woe)),
    )


def exact_woe(goods: list[float], bads: list[float]) -> list[float]:
    """ln(share of the goods / share of the bads), as Siddiqi defines it."""
    good, bad = np.array(goods) / sum(goods), np.array(bads) / sum(bads)
    return [float(number) for number in np.log(good / bad)]


@given(schema=schemas(), data=st.data(), seed=SEEDS)
def test_log_odds_are_the_intercept_and_the_sum_of_the_contributions(
    schema: Schema, data: st.DataObject, seed: int
) -> None:
    """Cell by cell in plain Python, for every record of any table."""
    model = data.draw(models(schema, ("scorecard", "additive")))
    assert isinstance(model, Scorecard | Additive)
    card = model if isinstance(model, Scorecard) else model.scorecard
    cells = whole(records_of(schema, 15, seed)).cells

    found = model.log_odds(cells)

    parts = model.contributions()
    for record, column in enumerate(cells.T.tolist()):
        bins = [one.of_cell[cell] for one, cell in zip(card.bins, column, strict=True)]
        expected = card.intercept + sum(
            float(part[rank]) for part, rank in zip(parts, bins, strict=True)
        )
        assert found[record] == pytest.approx(expected, rel=1e-12, abs=1e-9)


@given(schema=schemas(), seed=SEEDS)
def test_a_scorecards_contribution_is_coefficient_times_woe(schema: Schema, seed: int) -> None:
    card = model_of("scorecard", schema, seed)
    assert isinstance(card, Scorecard)

    for part, beta, one in zip(card.contributions(), card.coefficients, card.bins, strict=True):
        assert part.tolist() == (beta * one.woe).tolist()


@given(schema=schemas(), seed=SEEDS)
def test_an_additive_model_adds_its_shifts_to_the_scorecards_contributions(
    schema: Schema, seed: int
) -> None:
    model = model_of("additive", schema, seed)
    assert isinstance(model, Additive)

    assert (model.kind, model.schema_digest) == ("additive", schema.digest())
    before = model.scorecard.contributions()
    for part, was, shift in zip(model.contributions(), before, model.shifts, strict=True):
        assert part.tolist() == (was + shift).tolist()


@given(schema=schemas(), seed=SEEDS)
def test_every_cell_has_the_bin_that_its_feature_names(schema: Schema, seed: int) -> None:
    card = model_of("scorecard", schema, seed)
    assert isinstance(card, Scorecard)
    cells = whole(records_of(schema, 20, seed)).cells

    found = bins_of(card.bins, cells)

    assert found.dtype == np.uint8
    for one, row, column in zip(card.bins, found, cells, strict=True):
        assert row.tolist() == [int(one.of_cell[cell]) for cell in column]


def test_a_table_without_records_has_no_log_odds() -> None:
    card = Scorecard("", (feature([9.0, 1.0], [1.0, 1.0], [0.1, 0.2]),), np.ones(1), 1.0, np.eye(2))

    assert card.log_odds(np.zeros((1, 0), dtype=np.uint8)).shape == (0,)


def test_information_value_is_the_textbooks() -> None:
    """Siddiqi (2006), chapter 6, on three bins without smoothing."""
    goods, bads = [100.0, 300.0, 600.0], [60.0, 30.0, 10.0]

    found = feature(goods, bads, exact_woe(goods, bads)).iv

    shares = [(good / 1000, bad / 100) for good, bad in zip(goods, bads, strict=True)]
    assert found == pytest.approx(sum((g - b) * np.log(g / b) for g, b in shares))


@given(
    counts=st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)), min_size=1, max_size=6),
)
def test_class_shares_are_those_of_the_counts_where_woe_is_exact(
    counts: list[tuple[float, float]],
) -> None:
    """The smoothed WoE implies the shares, and without smoothing they are the counts' own."""
    goods, bads = ([float(side) for side in sides] for sides in zip(*counts, strict=True))

    of_goods, of_bads = feature(goods, bads, exact_woe(goods, bads)).class_shares()

    np.testing.assert_allclose(of_goods, np.array(goods) / sum(goods), rtol=1e-9)
    np.testing.assert_allclose(of_bads, np.array(bads) / sum(bads), rtol=1e-9)


@given(
    counts=st.lists(
        st.tuples(st.floats(0.5, 1e6), st.floats(0.5, 1e6), st.floats(-4, 4)),
        min_size=1,
        max_size=6,
    )
)
def test_shares_add_up_to_1_and_information_value_is_not_negative(
    counts: list[tuple[float, float, float]],
) -> None:
    """IV sums (g - b) ln(g / b) over the shares that the WoE implies: no term is below 0."""
    one = feature(*(list(column) for column in zip(*counts, strict=True)))

    for share in (one.share, *one.class_shares()):
        assert (share >= 0).all()
        assert share.sum() == pytest.approx(1.0)
    assert one.iv >= -1e-12


def test_a_model_says_of_what_kind_and_of_which_schema_it_is() -> None:
    card = Scorecard("ab", (feature([1.0], [1.0], [0.0]),), np.ones(1), 0.0, np.eye(2))
    shifts: tuple[Floats, ...] = (np.zeros(1),)

    assert (card.kind, card.schema_digest) == ("scorecard", "ab")
    assert Additive(card, shifts).schema_digest == "ab"
