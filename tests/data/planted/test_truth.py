"""What is documented as planted is there, and shows as documented."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedcredit.data.columns import Numeric
from fedcredit.data.planted.companies import COMPANIES
from fedcredit.data.planted.consumers import CONSUMERS
from fedcredit.data.planted.effects import Curve, Levels
from fedcredit.data.planted.truth import ground_truth
from fedcredit.data.schema import Schema
from fedcredit.data.synthetic import Table, reference, truth_of
from fedcredit.errors import LocalError
from fedcredit.units import Bytes8, Floats

TABLES: list[Table] = ["consumer", "sme"]
SCHEMAS: dict[Table, Schema] = {"consumer": CONSUMERS, "sme": COMPANIES}
WITHOUT_EFFECT = {"basket_eur", "household_kwh", "mobile_data_gb", "region"}
BYSTANDERS = {"products_held", "employees"}


def expected_auc(score: Floats, bad: Floats) -> float:
    """AUC of a score that is low for bads, over outcomes that are not drawn but expected."""
    order = np.argsort(-score, kind="stable")
    bads, goods = bad[order], 1.0 - bad[order]
    return float((bads * (np.cumsum(goods) - goods / 2)).sum() / (bads.sum() * goods.sum()))


@pytest.mark.parametrize("table", TABLES)
def test_every_feature_has_one_stated_effect(table: Table) -> None:
    truth = truth_of(table)
    features = [column.name for column in SCHEMAS[table].features]
    assert [planted.feature for planted in truth.planted] == features
    assert truth.of(features[3]) is truth.planted[3]


@pytest.mark.parametrize("table", TABLES)
def test_declared_directions_are_those_of_the_effects(table: Table) -> None:
    """Risk rises where the log-odds of good fall; what has no effect declares no direction."""
    truth = truth_of(table)
    for column in SCHEMAS[table].features:
        if isinstance(column, Numeric):
            assert column.sign == -truth.of(column.name).sign, column.name


@pytest.mark.parametrize("table", TABLES)
def test_declared_directions_hold_in_the_tables(table: Table) -> None:
    """Over six bins of like size, WoE moves one way: a monotone scorecard loses nothing."""
    known = reference(table)
    for column in SCHEMAS[table].features:
        if isinstance(column, Numeric) and column.sign:
            of_cell = sixths(known.masses(column.name).sum(axis=1), column)
            woe = known.woe(column.name, of_cell)[: of_cell[: column.ordered].max() + 1]
            assert (np.diff(woe) * -column.sign > -0.02).all(), (column.name, woe)


def sixths(masses: Floats, column: Numeric) -> Bytes8:
    """About six ordered bins of like size, and one for all cells without order."""
    ordered = np.cumsum(masses[: column.ordered])
    middle = ordered - masses[: column.ordered] / 2
    place = np.minimum(np.floor(6 * middle / ordered[-1]), 5)
    of_cell = np.unique(place, return_inverse=True)[1]
    rest = np.full(column.cell_count - column.ordered, of_cell.max() + 1)
    return np.concatenate([of_cell, rest]).astype(np.uint8)


@pytest.mark.parametrize("table", TABLES)
def test_contrasts_have_the_planted_sign_and_nothing_shows_nothing(table: Table) -> None:
    for planted in truth_of(table).planted:
        assert planted.low_cells
        assert planted.high_cells
        assert planted.standard_error < 0.05
        if planted.sign:
            assert planted.sign * planted.own_contrast > 0.2, planted.feature
            assert planted.sign * planted.log_odds_contrast > 0.3, planted.feature
        elif planted.feature in BYSTANDERS:
            assert planted.own_contrast == 0.0
            assert planted.log_odds_contrast > 0.3
        else:
            # The two that drift go along with the downturn, by very little.
            assert planted.own_contrast == 0.0
            assert abs(planted.log_odds_contrast) < 0.1, planted.feature


def test_four_consumer_features_have_no_effect_and_one_is_a_bystander() -> None:
    idle = {planted.feature for planted in truth_of("consumer").planted if not planted.sign}
    assert idle == WITHOUT_EFFECT | {"products_held"}


@pytest.mark.parametrize("table", TABLES)
def test_a_contrast_is_a_difference_of_woe(table: Table) -> None:
    """The same figure follows from the reference's WoE of the same cells."""
    known, truth = reference(table), truth_of(table)
    for planted in truth.planted:
        column = next(one for one in SCHEMAS[table].features if one.name == planted.feature)
        of_cell = np.zeros(column.cell_count, dtype=np.uint8)
        of_cell[list(planted.low_cells)] = 1
        of_cell[list(planted.high_cells)] = 2
        woe = known.woe(planted.feature, of_cell)
        assert woe[2] - woe[1] == pytest.approx(planted.log_odds_contrast, abs=1e-9)


@pytest.mark.parametrize("table", TABLES)
def test_alternative_data_say_more_about_thin_files(table: Table) -> None:
    interactions = truth_of(table).interactions
    assert interactions
    for one in interactions:
        assert abs(one.thin_contrast) > abs(one.other_contrast) + 0.05, one.feature
        assert one.factor == 2.0


def test_alternative_blocks_carry_real_signal_for_thin_files() -> None:
    """Scorecards without them rank thin files far worse, and the others hardly so."""
    known = reference("consumer")
    thin, bad = known.cohort.thin, known.bad_probability
    woe = [
        known.woe(column.name, np.arange(column.cell_count, dtype=np.uint8))
        for column in CONSUMERS.features
    ]
    without = [
        np.zeros_like(one) if column.name in known.outcome.alternative else one
        for column, one in zip(CONSUMERS.features, woe, strict=True)
    ]
    auc = {}
    for name, values in (("with", woe), ("without", without)):
        theta = known.coefficients(values)
        score = np.full(len(bad), theta[-1])
        for weight, cells, one in zip(theta, known.cells, values, strict=False):
            score += weight * one[cells]
        auc[name] = [expected_auc(score[rows], bad[rows]) for rows in (thin, ~thin)]
    assert auc["with"][0] - auc["without"][0] > 0.05
    assert 0.0 < auc["with"][1] - auc["without"][1] < 0.03


def test_joint_coefficients_have_the_planted_signs() -> None:
    """A coefficient multiplies WoE, so it is above 0 wherever there is an effect."""
    known = reference("consumer")
    woe = [
        known.woe(column.name, np.arange(column.cell_count, dtype=np.uint8))
        for column in CONSUMERS.features
    ]
    theta = dict(
        zip([column.name for column in CONSUMERS.features], known.coefficients(woe), strict=False)
    )
    for planted in truth_of("consumer").planted:
        if planted.sign:
            assert theta[planted.feature] > 0.15, planted.feature
    assert abs(theta["products_held"]) < 0.1, "a bystander is seen through"


@pytest.mark.parametrize("table", TABLES)
def test_two_features_drift_and_the_others_stay(table: Table) -> None:
    known, truth = reference(table), truth_of(table)
    moving = {drift.feature for drift in truth.drifts}
    assert len(moving) == 2
    assert all(drift.psi > 0.09 for drift in truth.drifts)
    late = known.cohort.month >= truth.downturn_month
    for column in SCHEMAS[table].features:
        if column.name not in moving:
            shares = [known.masses(column.name, rows).sum(axis=1) + 0.5 for rows in (late, ~late)]
            one, other = (share / share.sum() for share in shares)
            assert ((one - other) * np.log(one / other)).sum() < 0.01, column.name


@pytest.mark.parametrize("table", TABLES)
def test_the_downturn_raises_the_bad_rate(table: Table) -> None:
    truth = truth_of(table)
    assert 1.25 < truth.bad_rate_after / truth.bad_rate_before < 1.8


def test_protected_groups_fare_differently() -> None:
    """The young fail twice as often; women less often than men, which no feature shows."""
    found = {(one.attribute, one.group): one for one in truth_of("consumer").disparities}
    assert found["age_band", "18-25"].ratio > 1.7
    assert found["sex", "F"].ratio < 0.9
    assert found["sex", "F"].own_log_odds > 0.2
    assert found["sex", "M"].own_log_odds == 0.0
    assert sum(one.share for one in found.values()) == pytest.approx(2.0)

    known = reference("consumer")
    women = known.cohort.columns["sex"] == "F"
    income = np.asarray(known.cohort.columns["monthly_income_eur"], dtype=np.float64)
    ratio = np.nanmedian(income[women]) / np.nanmedian(income[~women])
    assert ratio == pytest.approx(0.88, abs=0.02), "their incomes would say the opposite"


@pytest.mark.parametrize("table", TABLES)
def test_institutions_are_unequal_in_size_risk_and_thin_files(table: Table) -> None:
    found = truth_of(table).institutions
    assert sum(one.share for one in found) == pytest.approx(1.0)
    assert max(one.share for one in found) > 4 * min(one.share for one in found)
    assert all(0.045 < one.bad_rate < 0.155 for one in found)
    assert max(one.bad_rate for one in found) > 2 * min(one.bad_rate for one in found)
    banks = [one.thin_share for one in found if one.name.endswith("bank")]
    others = [one.thin_share for one in found if not one.name.endswith("bank")]
    assert len(banks) == len(others) == 3
    assert max(banks) <= 0.2
    assert min(others) >= 0.4


@pytest.mark.parametrize("table", TABLES)
def test_the_best_auc_is_that_of_the_true_probabilities(table: Table) -> None:
    """Hard enough to be like real tables, and the overall rate is the mean probability."""
    known, truth = reference(table), truth_of(table)
    assert truth.best_auc == pytest.approx(
        expected_auc(-known.bad_probability, known.bad_probability)
    )
    assert 0.75 < truth.best_auc < 0.85
    assert truth.bad_rate == pytest.approx(known.bad_probability.mean())
    assert truth.records == len(known.bad_probability)


def test_an_effect_of_the_wrong_kind_is_refused() -> None:
    """A curve cannot be planted in categories."""
    known = reference("sme")
    wrong = Curve("sector", (0, 1), (0, 1), low=(0, 1), high=(1, 2))
    outcome = replace(known.outcome, effects=(wrong,))
    with pytest.raises(LocalError, match="sector"):
        ground_truth(replace(known, outcome=outcome))
    assert isinstance(known.outcome.effects[-1], Levels)
