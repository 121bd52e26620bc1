"""A whole study by plain calls: federated is pooled, to the bit, whoever holds which record.

Institutions are handed random bytes that are known here, so that two studies draw the same
noise integers. Nothing else could make their models differ but the partition, and it does
not: sums of integers do not mind in which order they are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import pytest

from fedcredit.codec import encode
from fedcredit.data.records import Records, in_memory
from fedcredit.federation.institution import Institution
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import (
    NotEvaluated,
    Progress,
    RoundClosed,
    StudyResult,
    finish,
    plain_calls,
    run_study,
)
from fedcredit.federation.study import Study, Target, draw_up
from fedcredit.federation.terms import terms_of
from fedcredit.learners.evaluation import Evaluation, evaluate, evaluation_query
from fedcredit.learners.neural import NeuralLearner
from fedcredit.learners.program import Learner, NoisyTotal
from fedcredit.learners.registry import LEARNERS
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Query
from fedcredit.models.released import Model
from fedcredit.privacy.noise import discrete_gaussian
from fedcredit.units import InstitutionId, Ints
from tests.federation.books import MemoryBook
from tests.federation.made import joined, roster
from tests.learners.studies import DIRECTED, bytes_of, cells_of, fingerprint, table
from tests.models.strategies import whole

NAMES: Final = tuple(InstitutionId(name) for name in ("bank", "shop", "telco", "utility"))
ROWS: Final = 1200
POOLED: Final = table(17, ROWS)
EXACT: Final = [one for one in LEARNERS if not isinstance(one, NeuralLearner)]
"""Networks need an extra, and each institution rounds its own sum: see tests/neural."""
BY_NAME = pytest.mark.parametrize("learner", EXACT, ids=lambda learner: learner.name)


class KnownBytes:
    """Bytes that follow from a name: the same in every study, call by call."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0

    def __call__(self, count: int, /) -> bytes:
        self.calls += 1
        return hashlib.shake_128(f"{self.name} {self.calls}".encode()).digest(count)


def plan_for(learner: Learner, *, evaluated: bool = True) -> StudyPlan:
    """A plan at epsilon 8 for four institutions."""
    study = Study(
        name="tiny",
        purpose="show that federated is pooled",
        learner=learner.name,
        salt="00" * 8,
        seed="5a" * 16,
        target=Target(epsilon=8.0),
        evaluate=evaluated,
    )
    return draw_up(study, learner, DIRECTED, NAMES)


def held(owner: Ints, records: Records = POOLED) -> Mapping[InstitutionId, Records]:
    """Each institution's records."""
    batch = whole(records)
    return {
        name: in_memory(
            DIRECTED,
            np.ascontiguousarray(batch.cells[:, owner == at]),
            batch.bad[owner == at],
            batch.held_out[owner == at],
            batch_rows=97 + 50 * at,
        )
        for at, name in enumerate(NAMES)
    }


def federated(
    plan: StudyPlan,
    learner: Learner,
    tables: Mapping[InstitutionId, Records],
    watch: Callable[[Progress], None] = lambda _: None,
) -> StudyResult:
    """The study, every institution with its own records and the noise of its name."""
    institutions = {
        name: Institution(name, plan, terms_of(plan), rows, MemoryBook(), KnownBytes(name))
        for name, rows in tables.items()
    }
    return finish(
        run_study(plan, learner, plain_calls(joined(plan, institutions)), roster(plan)), watch
    )


def pooled(plan: StudyPlan, learner: Learner) -> tuple[Model, Evaluation]:
    """The same study on one table, without any federation: the noise of all four is added."""
    sources = [KnownBytes(name) for name in NAMES]

    def total(index: int, query: Query) -> NoisyTotal:
        variance = plan.event(index, query).variance
        value = measure(POOLED, query).value
        for source in sources:
            value = value + discrete_gaussian(variance, query.dim, source)
        return NoisyTotal(value, len(sources) * variance)

    rounds = len(learner.steps)
    program = learner.start(plan.schema, bytes.fromhex(plan.seed), plan.noise_levels[:rounds])
    for index in range(rounds):
        program = program.fold(total(index, program.query()))
    model = program.model()
    query = evaluation_query(model)
    return model, evaluate(query, total(rounds, query))


def by_chance(shares: tuple[float, ...]) -> Ints:
    """Who holds each record, drawn."""
    return np.random.default_rng(5).choice(len(NAMES), ROWS, p=shares)


PARTITIONS: Final[dict[str, Ints]] = {
    "shared out evenly": by_chance((0.25, 0.25, 0.25, 0.25)),
    "of unequal size": by_chance((0.9, 0.07, 0.02, 0.01)),
    "all at one, three with none": np.zeros(ROWS, dtype=np.int64),
    "each with its own population": np.minimum(cells_of(POOLED)[0].astype(np.int64) // 20, 3),
    "goods here and bads there": np.where(whole(POOLED).bad == 1, 1, 3),
}


@BY_NAME
def test_federated_equals_pooled_for_any_partition(learner: Learner) -> None:
    """Model and metrics, byte for byte."""
    plan = plan_for(learner)
    model, evaluation = pooled(plan, learner)

    for what, owner in PARTITIONS.items():
        result = federated(plan, learner, held(owner))
        assert bytes_of(result.model) == bytes_of(model), what
        assert isinstance(result.evaluation, Evaluation)
        assert fingerprint(result.evaluation) == fingerprint(evaluation), what


@BY_NAME
def test_the_order_of_records_does_not_matter(learner: Learner) -> None:
    plan = plan_for(learner, evaluated=False)
    batch = whole(POOLED)
    order = np.random.default_rng(2).permutation(ROWS)
    shuffled = in_memory(
        DIRECTED,
        np.ascontiguousarray(batch.cells[:, order]),
        batch.bad[order],
        batch.held_out[order],
    )
    owner = PARTITIONS["shared out evenly"]

    one = federated(plan, learner, held(owner))
    other = federated(plan, learner, held(owner[order], shuffled))

    assert isinstance(one.evaluation, NotEvaluated)
    assert bytes_of(one.model) == bytes_of(other.model)


@BY_NAME
def test_held_out_records_have_no_part_in_the_model(learner: Learner) -> None:
    """Their outcomes turned round: the same model, and other metrics."""
    plan = plan_for(learner)
    batch = whole(POOLED)
    turned = in_memory(
        DIRECTED,
        batch.cells,
        np.where(batch.held_out, 1 - batch.bad, batch.bad).astype(np.uint8),
        batch.held_out,
    )
    owner = PARTITIONS["shared out evenly"]

    one = federated(plan, learner, held(owner))
    other = federated(plan, learner, held(owner, turned))

    assert bytes_of(one.model) == bytes_of(other.model)
    assert fingerprint(one.evaluation) != fingerprint(other.evaluation)


def test_other_noise_makes_another_model() -> None:
    """Else equal models would show nothing."""
    learner = LEARNERS[0]
    plan = plan_for(learner, evaluated=False)
    tables = held(PARTITIONS["shared out evenly"])
    ours = federated(plan, learner, tables)
    others = {
        name: Institution(
            name, plan, terms_of(plan), rows, MemoryBook(), KnownBytes(name + " again")
        )
        for name, rows in tables.items()
    }

    theirs = finish(run_study(plan, learner, plain_calls(joined(plan, others)), roster(plan)))

    assert bytes_of(ours.model) != bytes_of(theirs.model)


@BY_NAME
def test_a_study_spends_what_its_plan_says(learner: Learner) -> None:
    """Every round is closed by all four, and a record pays epsilon 8 with masks, rounded up."""
    plan = plan_for(learner)
    seen: list[Progress] = []

    result = federated(plan, learner, held(PARTITIONS["of unequal size"]), seen.append)

    closed = [one for one in seen if isinstance(one, RoundClosed)]
    assert [one.answered for one in closed] == [NAMES] * len(plan.rounds)
    assert not any(one.troubles for one in closed)
    assert len(result.events) == len(plan.rounds) == len(learner.steps) + 1
    assert 7.9 < result.claim.epsilon <= 8.0
    assert result.claim.epsilon_local > result.claim.epsilon
    assert result.rounds == tuple(closed)


def test_two_studies_are_the_same_message_by_message() -> None:
    """The last transcript names every question and every answer."""
    learner = LEARNERS[1]
    plan = plan_for(learner)
    tables = held(PARTITIONS["shared out evenly"])

    one, other = federated(plan, learner, tables), federated(plan, learner, tables)

    assert one.rounds[-1].transcript == other.rounds[-1].transcript
    assert encode(one.rounds[-1].transcript) != encode(one.rounds[0].transcript)
