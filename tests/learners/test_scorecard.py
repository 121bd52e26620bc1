"""The scorecard that four rounds teach is the one that the records hold, as noise allows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fedcredit.data.records import Records
from fedcredit.errors import SchemaError
from fedcredit.learners.scorecard import Fitting, ScorecardLearner, public_generator
from fedcredit.models.bins import Scorecard, bins_of
from fedcredit.units import Bytes8, Floats
from tests.learners.studies import DIRECTED, SEED, UNDIRECTED, declaring, noise_of, table, told
from tests.models.strategies import schema_of, whole

LEARNER = ScorecardLearner()
ROWS = table(21, 20_000, UNDIRECTED, held_out=0.0)
FRESH = table(22, 10_000, UNDIRECTED)


def whole_table(records: Records = ROWS) -> tuple[Bytes8, Bytes8]:
    """Cells and outcomes of all records."""
    batch = whole(records)
    return batch.cells, batch.bad


def learned(epsilon: float) -> Scorecard:
    """The scorecard of a study."""
    model = told(LEARNER, ROWS, epsilon).model
    assert isinstance(model, Scorecard)
    return model


def woe_rows(card: Scorecard, cells: Bytes8) -> Floats:
    """WoE of every record."""
    columns = bins_of(card.bins, cells)
    return np.column_stack([one.woe[row] for one, row in zip(card.bins, columns, strict=True)])


def test_with_little_noise_it_is_the_logistic_regression_on_its_woe() -> None:
    """AUC on fresh records within .002, and every coefficient within .1 of scikit-learn's."""
    card = learned(500.0)
    cells, bad = whole_table()
    oracle = LogisticRegression(C=np.inf).fit(woe_rows(card, cells), 1 - bad)
    fresh, fresh_bad = whole_table(FRESH)

    ours = roc_auc_score(1 - fresh_bad, card.log_odds(fresh))
    theirs = roc_auc_score(1 - fresh_bad, oracle.decision_function(woe_rows(card, fresh)))

    assert abs(ours - theirs) < 0.002
    np.testing.assert_allclose(card.coefficients, oracle.coef_[0], atol=0.1)
    assert card.intercept == pytest.approx(float(oracle.intercept_[0]), abs=0.1)


def test_its_printed_errors_cover_the_noise_of_studies() -> None:
    """Over 30 studies of the same records at epsilon 3: a coefficient lies within two printed
    errors of the logistic regression on the same WoE in nine studies of ten, and more."""
    inside = []
    small = table(31, 6000, UNDIRECTED, held_out=0.0)
    cells, bad = whole_table(small)
    for seed in range(30):
        card = told(LEARNER, small, 3.0, seed=seed).model
        assert isinstance(card, Scorecard)
        rows = woe_rows(card, cells)
        told_apart = rows.std(axis=0) > 0.05
        oracle = LogisticRegression(C=np.inf).fit(rows, 1 - bad)
        errors = np.sqrt(np.diag(card.covariance))[:-1]
        inside += (np.abs(card.coefficients - oracle.coef_[0]) < 2 * errors)[told_apart].tolist()

    assert np.mean(inside) > 0.9


def test_covariance_is_symmetric_and_positive_and_grows_with_the_noise() -> None:
    sizes = []
    for epsilon in (100.0, 3.0, 0.5):
        covariance = learned(epsilon).covariance
        np.testing.assert_allclose(covariance, covariance.T, rtol=1e-6, atol=1e-12)
        assert (np.linalg.eigvalsh((covariance + covariance.T) / 2) > -1e-12).all()
        sizes.append(float(np.trace(covariance)))

    assert sizes == sorted(sizes)


def test_each_gradient_is_asked_at_the_scorecard_as_it_is() -> None:
    """So the second step mends what the first one left."""
    first, second = (
        program
        for program in told(LEARNER, ROWS, 8.0).programs[2:4]
        if isinstance(program, Fitting)
    )

    assert first.query().scorecard.coefficients.tolist() == first.theta[:-1].tolist()
    assert second.query().scorecard.coefficients.tolist() == second.theta[:-1].tolist()
    assert second.theta.tolist() != first.theta.tolist()


def test_a_usable_scorecard_exists_before_any_gradient() -> None:
    """From two rounds: what the stand-ins teach."""
    program = told(LEARNER, ROWS, 8.0).programs[2]
    assert isinstance(program, Fitting)
    fresh, bad = whole_table(FRESH)

    early = roc_auc_score(1 - bad, program.scorecard().log_odds(fresh))
    late = roc_auc_score(1 - bad, learned(8.0).log_odds(fresh))

    assert early > 0.7
    assert late > early - 0.01


def test_a_directed_feature_never_has_a_negative_coefficient() -> None:
    """Even where the records say the opposite of what is declared."""
    against = declaring(income="risk-up", late="risk-up")
    card = told(LEARNER, table(3, 4000, against), 8.0).model
    assert isinstance(card, Scorecard)

    assert (card.coefficients[:2] >= 0).all()


def test_a_schema_of_one_feature_is_refused() -> None:
    with pytest.raises(SchemaError, match="1 features, expected 2 or more"):
        LEARNER.start(schema_of(DIRECTED.columns[0]), SEED, noise_of(LEARNER, 1.0))


def test_public_randomness_is_one_stream_for_each_purpose() -> None:
    draws = [
        public_generator(seed, purpose).integers(2**62)
        for seed in (SEED, SEED[::-1])
        for purpose in ("forest", "stand-ins")
    ]

    assert len(set(draws)) == 4
    assert public_generator(SEED, "forest").integers(2**62) == draws[0]
