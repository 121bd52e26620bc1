"""Boosting sees what no sum over features can; without trees it is the additive model."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.records import Records, in_memory
from fedcredit.learners.registry import learner_named
from fedcredit.models.bins import Additive
from fedcredit.models.released import Model
from fedcredit.models.trees import Boosted
from tests.learners.studies import DIRECTED, UNDIRECTED, cells_of, table, trained
from tests.models.strategies import schema_of

CROSSED = schema_of(
    Numeric("one", "EUR", 0.0, 16.0, cells=16),
    Numeric("other", "EUR", 0.0, 16.0, cells=16),
    Categorical("home", ("own", "rent"), other=True),
)


def crossed(seed: int, rows: int) -> Records:
    """Risk follows from two features together, and much less from each alone."""
    rng = np.random.default_rng(seed)
    cells = np.stack(
        [rng.integers(0, 16, rows), rng.integers(0, 16, rows), rng.integers(0, 2, rows)]
    ).astype(np.uint8)
    same = (cells[0] < 8) == (cells[1] < 8)
    odds = 0.7 + np.where(same, 1.2, -1.2) + 0.05 * (cells[0].astype(float) - 8)
    bad = (rng.random(rows) > 1 / (1 + np.exp(-odds))).astype(np.uint8)
    return in_memory(CROSSED, cells, bad, np.zeros(rows, dtype=np.bool_))


def auc(model: Model, records: Records) -> float:
    """Exact, over all records."""
    bad = np.concatenate([batch.bad for batch in records.batches()])
    return float(roc_auc_score(1 - bad, model.log_odds(cells_of(records))))


def test_trees_see_what_two_features_say_together() -> None:
    """A sum over features ranks near chance here; at epsilon 3 the trees rank far above it."""
    rows, fresh = crossed(1, 20_000), crossed(2, 10_000)

    alone = auc(trained(learner_named("additive"), rows, 3.0), fresh)
    together = auc(trained(learner_named("boosting"), rows, 3.0), fresh)

    assert alone < 0.60
    assert together > 0.70


@pytest.mark.parametrize("name", ["scorecard", "additive", "boosting"])
def test_at_a_usual_price_each_learner_ranks_as_the_truth_nearly_does(name: str) -> None:
    """At epsilon 3 on 16,000 records, within two points of what was planted."""
    rows, fresh = table(1, 20_000), table(2, 20_000)
    best = auc(trained(learner_named("additive"), table(3, 100_000), 500.0), fresh)

    assert auc(trained(learner_named(name), rows, 3.0), fresh) > best - 0.02


def test_each_name_releases_its_own_kind_of_model() -> None:
    rows = table(1, 5000, UNDIRECTED)

    additive = trained(learner_named("additive"), rows, 8.0)
    boosted = trained(learner_named("boosting"), rows, 8.0)

    assert isinstance(additive, Additive)
    assert isinstance(boosted, Boosted)
    assert len(boosted.forest.feature) > 0


def test_boosting_without_a_feature_to_split_has_no_trees_and_no_error() -> None:
    """Where noise leaves each feature one bin."""
    rows = table(1, 50, UNDIRECTED)
    models = [trained(learner_named("boosting"), rows, 0.01, seed) for seed in range(6)]

    for model in models:
        assert isinstance(model, Boosted)
        assert np.isfinite(model.log_odds(cells_of(rows))).all()
    assert any(isinstance(model, Boosted) and not len(model.forest.feature) for model in models)


@pytest.mark.parametrize("name", ["scorecard", "additive", "boosting"])
def test_a_table_without_records_teaches_nothing_and_fails_nothing(name: str) -> None:
    """All institutions' tables may be empty: the totals are noise, and so is the model."""
    empty = table(1, 0, UNDIRECTED)

    for epsilon in (0.1, 1.0, 8.0):
        model = trained(learner_named(name), empty, epsilon)
        assert np.isfinite(model.log_odds(cells_of(table(1, 50)))).all()


def test_both_classes_may_be_missing() -> None:
    """Goods alone, and bads alone."""
    every = cells_of(table(1, 500, UNDIRECTED))
    for bad in (0, 1):
        outcome, side = np.full(500, bad, dtype=np.uint8), np.zeros(500, dtype=np.bool_)
        rows = in_memory(UNDIRECTED, every, outcome, side)
        model = trained(learner_named("boosting"), rows, 8.0)
        odds = model.log_odds(every)
        assert np.isfinite(odds).all()
        assert float(odds.mean()) > 1 if bad == 0 else float(odds.mean()) < -1


def test_directions_are_declared_in_the_schema_that_these_tests_use() -> None:
    assert sum(1 for column in DIRECTED.features if column.sign) == 2
    assert not any(column.sign for column in UNDIRECTED.features)
