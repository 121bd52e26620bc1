"""Stand-ins look like the table as far as released numbers tell, and are nobody."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.schema import Schema
from fedcredit.learners.binning import Binned, fold_histograms, histogram_query
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.standin import (
    MOST_SCORE,
    RECORDS_PER_CLASS,
    StandIn,
    _latent,
    draw_standins,
    moments_query,
)
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Moments
from fedcredit.units import Floats
from tests.learners.studies import DIRECTED, table
from tests.models.strategies import schemas

SEEDS = st.integers(0, 2**32)
ROWS = table(5, 20_000)


@cache
def binned() -> Binned:
    """The bins of a large table without noise."""
    query = histogram_query(DIRECTED)
    return fold_histograms(DIRECTED, query, NoisyTotal(measure(ROWS, query).value, 16))


@cache
def exact() -> tuple[Moments, NoisyTotal]:
    """The second question and its exact answer."""
    query = moments_query(binned(), 0.01)
    return query, NoisyTotal(measure(ROWS, query).value, 16)


def draw(total: NoisyTotal, seed: int = 1) -> tuple[StandIn, StandIn]:
    """Both blocks' stand-ins."""
    return draw_standins(binned(), exact()[0], total, np.random.default_rng(seed))


def test_scores_are_standardised_over_the_records() -> None:
    """Mean 0 and, where nothing is clipped, mean square 1: so a row's norm is known."""
    query, _ = exact()

    assert len(query.values) == 2
    assert query.clip == pytest.approx(1.5 * math.sqrt(len(DIRECTED.features)))
    for block in query.values:
        for bins, score in zip(binned().bins, block, strict=True):
            assert np.abs(score).max() <= MOST_SCORE
            if np.abs(score).max() < MOST_SCORE:
                assert (bins.share * score).sum() == pytest.approx(0.0, abs=1e-9)
                assert (bins.share * score**2).sum() == pytest.approx(1.0)


def test_scores_of_the_second_block_rise_with_the_bins() -> None:
    """Its geometry keeps the order that trees split on."""
    for score in exact()[0].values[1]:
        assert (np.diff(score) >= 0).all()


def test_stand_ins_weigh_as_much_as_the_classes_they_stand_for() -> None:
    for standin in draw(exact()[1]):
        assert standin.bins.shape == (len(DIRECTED.features), 2 * RECORDS_PER_CLASS)
        assert standin.weight[standin.good == 1].sum() == pytest.approx(binned().goods)
        assert standin.weight[standin.good == 0].sum() == pytest.approx(binned().bads)


def test_stand_ins_fill_the_bins_as_each_class_does() -> None:
    """Within four errors of a share among so many."""
    for standin in draw(exact()[1]):
        for bins, column in zip(binned().bins, standin.bins, strict=True):
            for share, good in zip(bins.class_shares(), (1.0, 0.0), strict=True):
                found = np.bincount(column[standin.good == good], minlength=share.size)
                error = 4 * np.sqrt(share * (1 - share) / RECORDS_PER_CLASS) + 1e-3
                assert (np.abs(found / RECORDS_PER_CLASS - share) < error).all()


def products(standin: StandIn, block: tuple[Floats, ...]) -> Floats:
    """Mean products of two features' scores among the stand-ins, the upper triangle."""
    rows = np.stack([score[column] for score, column in zip(block, standin.bins, strict=True)])
    means = (rows * standin.weight) @ rows.T / standin.weight.sum()
    return np.asarray(means[np.triu_indices(len(rows), 1)])


def test_stand_ins_go_together_as_the_records_do() -> None:
    """Mean products within .06, where the largest is near .25: all zeros would be found out."""
    query, total = exact()
    scale = (query.clip / query.steps) ** 2 / binned().records
    released = np.split(total.value * scale, 2)

    for standin, block, means in zip(draw(total), query.values, released, strict=True):
        found = products(standin, block)
        assert np.abs(means).max() > 0.2
        assert np.abs(found - means).max() < 0.06


def test_noise_that_drowns_the_products_leaves_features_nearly_apart() -> None:
    query, _ = exact()
    variance = 2**40
    noise = np.random.default_rng(7).normal(0, math.sqrt(variance), query.dim)

    for standin in draw(NoisyTotal(np.rint(noise).astype(np.int64), variance)):
        rows = standin.bins[:, standin.good == 1].astype(float)
        varies = rows.std(axis=1) > 0
        correlations = np.corrcoef(rows[varies])
        assert np.abs(correlations - np.eye(len(correlations))).max() < 0.3


def test_the_same_public_randomness_draws_the_same_stand_ins() -> None:
    one, other = draw(exact()[1]), draw(exact()[1])

    assert [s.bins.tobytes() for s in one] == [s.bins.tobytes() for s in other]
    assert draw(exact()[1], seed=2)[0].bins.tobytes() != one[0].bins.tobytes()


@settings(max_examples=40)
@given(schema=schemas(), seed=SEEDS)
def test_any_released_numbers_draw_stand_ins_in_bins_that_exist(schema: Schema, seed: int) -> None:
    """Whatever the noise did to counts and products."""
    rng = np.random.default_rng(seed)
    counts, variance = histogram_query(schema), int(rng.choice([16, 10**6, 2**40]))
    size = float(rng.choice([0.0, 100.0, 1e6, 1e9]))
    value = np.rint(rng.normal(0.0, size, counts.dim)).astype(np.int64)
    bins = fold_histograms(schema, counts, NoisyTotal(value, variance))
    query = moments_query(bins, float(rng.choice([0.1, 10.0, 1e4])))
    products_ = np.rint(rng.normal(0.0, size, query.dim)).astype(np.int64)

    for standin in draw_standins(bins, query, NoisyTotal(products_, variance), rng):
        for feature, column in zip(bins.bins, standin.bins, strict=True):
            assert int(column.max()) < feature.woe.size
        assert np.isfinite(standin.weight).all()
        assert (standin.weight > 0).all()


def test_one_feature_goes_with_nothing() -> None:
    assert _latent(np.zeros(0), [np.zeros(2)], [np.arange(2)], binned(), 1.0).tolist() == [[1.0]]
