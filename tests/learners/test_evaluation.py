"""Metrics from score histograms are scikit-learn's, up to what a bin hides and noise adds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from fedcredit.learners.evaluation import (
    BINS,
    MOST_LOG_ODDS,
    Evaluation,
    evaluate,
    evaluation_query,
)
from fedcredit.learners.program import NoisyTotal
from fedcredit.models.queries import ScoreHistogram
from fedcredit.units import Flags, Floats, Ints
from tests.learners.studies import DIRECTED
from tests.models.strategies import model_of

SEEDS = st.integers(0, 2**32)
QUERY: Final = evaluation_query(model_of("scorecard", DIRECTED, 1))
LEAST: Final = 16
"""The least variance that a total can have."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Log-odds and outcomes."""

    log_odds: Floats
    bad: Flags

    @property
    def counts(self) -> Ints:
        """Records by bin, goods and then bads."""
        at = np.searchsorted(QUERY.edges, self.log_odds, side="right")
        return np.bincount(at + BINS * self.bad, minlength=2 * BINS)

    @property
    def exact(self) -> Evaluation:
        """The metrics of the exact counts, said to have the least noise."""
        return evaluate(QUERY, NoisyTotal(self.counts * QUERY.steps, LEAST))

    @property
    def auc(self) -> float:
        return float(roc_auc_score(~self.bad, self.log_odds))

    @property
    def ks(self) -> float:
        false, true, _ = roc_curve(~self.bad, self.log_odds)
        return float((true - false).max())

    @property
    def pd(self) -> Floats:
        return np.asarray(1 / (1 + np.exp(self.log_odds)))


def scored(seed: int, rows: int, base: float = 1.5, spread: float = 1.0) -> Scored:
    """Well calibrated scores, both classes among them."""
    rng = np.random.default_rng(seed)
    log_odds = np.clip(rng.normal(base, spread, rows), -MOST_LOG_ODDS, MOST_LOG_ODDS)
    bad = rng.random(rows) < 1 / (1 + np.exp(log_odds))
    bad[:2] = True, False
    return Scored(log_odds, bad)


def noisy(counts: Ints, sd: int, seed: int) -> Evaluation:
    """The metrics with noise in every count, of an sd in records."""
    fine = sd * QUERY.steps
    drawn = np.rint(np.random.default_rng(seed).normal(0, fine, counts.size)).astype(np.int64)
    return evaluate(QUERY, NoisyTotal(counts * QUERY.steps + drawn, fine**2))


CASES = {"seed": SEEDS, "rows": st.integers(3, 2000), "base": st.floats(-2, 3)}


def test_the_question_has_a_hundred_bins_of_equal_width() -> None:
    assert isinstance(QUERY, ScoreHistogram)
    assert (QUERY.dim, QUERY.sensitivity_squared, QUERY.part) == (
        2 * BINS,
        QUERY.steps**2,
        "held-out",
    )
    np.testing.assert_allclose(np.diff(QUERY.edges), 2 * MOST_LOG_ODDS / BINS)


@given(**CASES)
def test_auc_is_scikit_learns_up_to_pairs_in_one_bin(seed: int, rows: int, base: float) -> None:
    """A good and a bad in one bin count half, and are at most half wrong."""
    case = scored(seed, rows, base)
    goods, bads = np.split(case.counts, 2)
    hidden = float((goods / goods.sum() * bads / bads.sum()).sum()) / 2

    found = case.exact

    assert abs(found.auc - case.auc) <= hidden + 1e-12
    assert found.gini == 2 * found.auc - 1


@given(**CASES)
def test_ks_is_scikit_learns_up_to_the_largest_share_of_a_bin(
    seed: int, rows: int, base: float
) -> None:
    """The gap is seen at edges only: never too large, and too small by one bin's share at most."""
    case = scored(seed, rows, base)
    goods, bads = np.split(case.counts, 2)
    hidden = float(np.maximum(goods / goods.sum(), bads / bads.sum()).max())

    found = case.exact

    assert case.ks - hidden - 1e-12 <= found.ks <= case.ks + 1e-12


@given(**CASES)
def test_brier_and_log_loss_are_scikit_learns_up_to_half_a_bin(
    seed: int, rows: int, base: float
) -> None:
    """A record's log-odds are at most half a width from its bin's middle: .06. There the
    squared error moves by at most 2 * 8/27 a unit, and the log-likelihood by at most 1."""
    case = scored(seed, rows, base)
    half = MOST_LOG_ODDS / BINS

    found = case.exact

    steepest = 8 / 27  # of 2 p^2 (1 - p), the slope of p^2 in log-odds, at p = 2/3
    assert abs(found.brier - brier_score_loss(case.bad, case.pd)) <= steepest * half + 1e-12
    assert abs(found.log_loss - log_loss(case.bad, case.pd)) <= half + 1e-12


@given(**CASES)
def test_counts_and_bad_rate_are_those_of_the_records(seed: int, rows: int, base: float) -> None:
    case = scored(seed, rows, base)

    found = case.exact

    assert found.records == rows
    assert found.bad_rate == pytest.approx(float(case.bad.mean()))
    assert found.goods.tolist() + found.bads.tolist() == case.counts.tolist()
    assert found.noise_sd == math.sqrt(LEAST) / QUERY.steps


@given(**CASES)
def test_the_calibration_table_adds_up(seed: int, rows: int, base: float) -> None:
    """All records and all bads are in it, from the riskiest row on."""
    case = scored(seed, rows, base)

    table = case.exact.calibration

    assert len(table) <= 10
    assert sum(row.records for row in table) == rows
    bads = sum(row.records * row.observed for row in table)
    assert bads == pytest.approx(int(case.bad.sum()))
    expected = [row.expected for row in table]
    assert expected == sorted(expected, reverse=True)


def test_each_row_of_the_calibration_table_holds_about_a_tenth() -> None:
    """Whole bins only: of 50,000 records no bin here holds more than one in twenty."""
    case = scored(2, 50_000)

    table = case.exact.calibration

    assert len(table) == 10
    assert all(0.05 < row.records / 50_000 < 0.15 for row in table)


def test_a_calibrated_score_is_seen_to_be_calibrated() -> None:
    """Of 200 noisy tables nine rows in ten and more lie within 1.96 printed standard errors."""
    inside = [
        abs(row.observed - row.expected) < 1.96 * row.observed_se
        for seed in range(200)
        for row in noisy(scored(seed, 5000).counts, 10, seed).calibration
    ]

    assert 0.90 < np.mean(inside) < 0.99


WORLD: Final = scored(99, 500_000)
"""So large that its own figures stand for the truth."""


@pytest.mark.parametrize(("rows", "sd"), [(20_000, 20), (20_000, 4), (2_000, 4)])
def test_standard_errors_cover_the_truth_in_about_19_of_20_studies(rows: int, sd: int) -> None:
    """Over 200 studies, each with records and noise of its own; the error of a share of .95
    is .015. KS errs on the safe side: it takes cumulated noise as if shares did not sum to 1."""
    studies = [noisy(scored(seed, rows).counts, sd, seed) for seed in range(200)]
    true_auc, true_ks = WORLD.auc, WORLD.exact.ks

    auc = np.array([abs(one.auc - true_auc) / one.auc_se for one in studies])
    ks = np.array([abs(one.ks - true_ks) / one.ks_se for one in studies])

    assert 0.91 <= (auc < 1.96).mean() <= 0.995
    assert (ks < 1.96).mean() >= 0.93
    # Not so wide that they say nothing: one in four studies is beyond half an error.
    assert (auc > 0.5).mean() > 0.25
    assert (ks > 0.5).mean() > 0.25


def test_more_noise_makes_larger_standard_errors() -> None:
    counts = scored(4, 20_000).counts

    found = [noisy(counts, sd, 1) for sd in (1, 20, 100)]

    for figure in ("auc_se", "ks_se"):
        errors = [getattr(one, figure) for one in found]
        assert errors == sorted(errors)
        assert errors[0] < errors[-1]


@settings(max_examples=200)
@given(
    seed=SEEDS,
    size=st.sampled_from((0.0, 1.0, 100.0, 1e6, 1e12)),
    shift=st.sampled_from((-1.0, 0.0, 1.0)),
    variance=st.sampled_from((16, 10**6, 2**40)),
)
def test_any_total_gives_finite_figures_within_their_range(
    seed: int, size: float, shift: float, variance: int
) -> None:
    """None, all negative, a few or huge: a report must never fail on a noisy table."""
    rng = np.random.default_rng(seed)
    value = np.rint(rng.normal(shift * size, size, QUERY.dim)).astype(np.int64)

    found = evaluate(QUERY, NoisyTotal(value, variance))

    for share in (found.bad_rate, found.auc, found.ks, found.brier):
        assert 0 <= share <= 1
    for figure in (found.auc_se, found.ks_se, found.log_loss):
        assert math.isfinite(figure)
        assert figure >= 0
    assert found.records >= 2
    for row in found.calibration:
        assert row.records > 0
        assert 0 <= row.observed <= 1
        assert 0 <= row.expected <= 1
        assert math.isfinite(row.observed_se)


def test_two_edges_are_enough() -> None:
    """The outer bins are as wide as the one between; one edge has bins of no width at all."""
    model = model_of("scorecard", DIRECTED, 1)
    for edges in (np.array([-1.0, 1.0]), np.array([0.0])):
        query = ScoreHistogram(model, edges)
        value = np.arange(1, query.dim + 1)
        assert evaluate(query, NoisyTotal(value, LEAST)).records == value.sum()
