"""Networks see what no sum over features can; noise alone decides how much."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fedcredit.data.records import Records
from fedcredit.learners.registry import learner_named
from fedcredit.models.network import Network
from fedcredit.models.released import Model
from tests.learners.studies import DIRECTED, cells_of, table, told, trained
from tests.learners.test_boosting import crossed


def auc(model: Model, records: Records) -> float:
    bad = np.concatenate([batch.bad for batch in records.batches()])
    return float(roc_auc_score(1 - bad, model.log_odds(cells_of(records))))


def test_a_network_sees_what_two_features_say_together() -> None:
    """A sum over features ranks near chance here; at epsilon 3 the network ranks far above it."""
    rows, fresh = crossed(1, 20_000), crossed(2, 10_000)

    alone = auc(trained(learner_named("additive"), rows, 3.0), fresh)
    together = auc(trained(learner_named("neural"), rows, 3.0), fresh)

    assert alone < 0.60
    assert together > 0.70


@pytest.mark.parametrize("name", ["neural", "monotone"])
def test_at_a_usual_price_it_ranks_as_the_truth_nearly_does(name: str) -> None:
    """At epsilon 3 on 16,000 records, within two points of what was planted."""
    rows, fresh = table(1, 20_000), table(2, 20_000)
    best = auc(trained(learner_named("additive"), table(3, 100_000), 500.0), fresh)

    assert auc(trained(learner_named(name), rows, 3.0), fresh) > best - 0.02


def test_the_hidden_layer_stands_before_the_head_is_asked_for() -> None:
    """No round after the scorecard's changes it, and a round's question carries it."""
    study = told(learner_named("neural"), table(1, 3000), 8.0)
    model = study.model
    assert isinstance(model, Network)

    for program in study.programs[4:-1]:
        query = program.query()
        assert query.kind == "network"
        network = query.network  # type: ignore[union-attr]
        assert network.weights.tobytes() == model.weights.tobytes()
        assert network.biases.tobytes() == model.biases.tobytes()
        assert network.scorecard.coefficients.tobytes() == model.scorecard.coefficients.tobytes()


def test_a_monotone_networks_head_is_negative_only_where_no_directed_feature_is_read() -> None:
    model = trained(learner_named("monotone"), table(1, 3000), 8.0)
    assert isinstance(model, Network)
    directed = np.array([column.sign != 0 for column in DIRECTED.features])
    reads = model.reads(directed)

    assert model.monotone
    assert model.head[reads].min() >= 0.0
    assert reads.any()
    assert np.abs(model.head).max() > 0.0
