"""Where there is nothing to learn, or no budget to learn it with, nothing is learned.

No direction is declared, as a declared direction is knowledge of its own. The AUC is exact,
over records that were held out; its mean over 20 seeds has an error of about .01, and a
learner that leaked its training records or read the labels twice would show in it.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fedcredit.learners import standin
from fedcredit.learners.program import Learner, NoisyTotal
from fedcredit.learners.registry import LEARNERS
from fedcredit.models.released import Model
from fedcredit.privacy.events import MAX_VARIANCE
from tests.learners.studies import SEED, UNDIRECTED, cells_of, noise_of, table, trained

SEEDS = range(20)
ROWS = 2_000
BY_NAME = pytest.mark.parametrize("learner", LEARNERS, ids=lambda learner: learner.name)


def held_out_auc(model: Model, seed: int, *, shuffled: bool) -> float:
    """AUC over the records that no training round has seen."""
    batches = list(table(seed, ROWS, UNDIRECTED, shuffled=shuffled).batches())
    held_out = np.concatenate([batch.held_out for batch in batches])
    bad = np.concatenate([batch.bad for batch in batches])[held_out]
    cells = np.concatenate([batch.cells for batch in batches], axis=1)[:, held_out]
    return float(roc_auc_score(1 - bad, model.log_odds(cells)))


def mean_auc(learner: Learner, epsilon: float, *, shuffled: bool) -> float:
    """Over 20 tables, each with noise of its own."""
    found = []
    for seed in SEEDS:
        rows = table(seed, ROWS, UNDIRECTED, shuffled=shuffled)
        model = trained(learner, rows, epsilon, seed)
        found.append(held_out_auc(model, seed, shuffled=shuffled))
    return float(np.mean(found))


@pytest.fixture
def few_standins(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the stand-ins, for time: they say how far a step goes, never whereto."""
    monkeypatch.setattr(standin, "RECORDS_PER_CLASS", standin.RECORDS_PER_CLASS // 4)


@BY_NAME
@pytest.mark.usefixtures("few_standins")
def test_labels_that_were_shuffled_teach_nothing(learner: Learner) -> None:
    """At epsilon 1."""
    assert abs(mean_auc(learner, 1.0, shuffled=True) - 0.5) <= 0.05


@BY_NAME
@pytest.mark.usefixtures("few_standins")
def test_a_hundredth_of_epsilon_teaches_nothing(learner: Learner) -> None:
    """Of labels that could be learned."""
    assert abs(mean_auc(learner, 0.01, shuffled=False) - 0.5) <= 0.05


@BY_NAME
def test_at_epsilon_8_the_same_labels_are_learned(learner: Learner) -> None:
    """Else the tests above would pass for a learner that never learns."""
    model = trained(learner, table(1, ROWS, UNDIRECTED), 8.0)

    assert held_out_auc(model, 1, shuffled=False) > 0.65


TOTALS = ("zero", "one", "negative", "many", "noise", "counts")


def absurd(kind: str, dim: int, variance: int, rng: np.random.Generator) -> NoisyTotal:
    """A total that no table gives."""
    noise = np.rint(rng.normal(0.0, np.sqrt(variance), dim)).astype(np.int64)
    value = {
        "zero": np.zeros(dim, dtype=np.int64),
        "one": np.ones(dim, dtype=np.int64),
        "negative": np.full(dim, -(10**6)),
        "many": np.full(dim, 10**6),
        "noise": noise,
        "counts": rng.integers(0, 500, dim),
    }[kind]
    return NoisyTotal(value, variance)


@BY_NAME
@pytest.mark.parametrize("kind", TOTALS)
def test_a_first_total_that_no_table_gives_still_makes_a_model(learner: Learner, kind: str) -> None:
    """And the noise of the other rounds is all that is in them."""
    rng = np.random.default_rng(TOTALS.index(kind))
    cells = cells_of(table(1, 300))
    for epsilon in (0.003, 0.1, 1.0, 100.0):
        program = learner.start(UNDIRECTED, SEED, noise_of(learner, epsilon))
        for step, noise in enumerate(noise_of(learner, epsilon)):
            query = program.query()
            variance = max(16, int(np.ceil(noise**2 * query.sensitivity_squared)))
            total = absurd("noise" if step else kind, query.dim, variance, rng)
            program = program.fold(total)
        assert np.isfinite(program.model().log_odds(cells)).all()


@BY_NAME
@pytest.mark.parametrize("epsilon", [0.001, 0.01, 1.0, 100.0])
def test_the_noise_of_every_question_can_be_drawn(learner: Learner, epsilon: float) -> None:
    """Whatever the price: the grid is chosen by the noise, so no variance is out of range."""
    noise = noise_of(learner, epsilon)
    program = learner.start(UNDIRECTED, SEED, noise)
    rng = np.random.default_rng(0)

    for one in noise:
        query = program.query()
        variance = one**2 * query.sensitivity_squared
        assert variance <= MAX_VARIANCE
        program = program.fold(absurd("noise", query.dim, max(16, int(variance)), rng))
