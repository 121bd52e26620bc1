"""A whole federation in one loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.codec import encode
from fedcredit.data.records import Records
from fedcredit.errors import LocalError, PeerError, PrivacyError, StudyStopped
from fedcredit.federation.consortium import found
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.simulate import (
    NotEvaluated,
    Progress,
    RoundClosed,
    RoundOpened,
    StudyResult,
    finish,
    plain_calls,
    run_study,
)
from fedcredit.learners.evaluation import Evaluation, evaluate, evaluation_query
from fedcredit.learners.program import NoisyTotal
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Query
from fedcredit.models.released import to_wire
from fedcredit.privacy.accounting import epsilon_of, rho
from fedcredit.privacy.noise import discrete_gaussian
from tests.federation.books import entries
from tests.federation.driven import Watched
from tests.federation.made import (
    NAMES,
    SCHEMA,
    Stream,
    keys,
    learner,
    parties,
    plan,
    records,
    roster,
    shared_out,
)


def conduct(study: StudyPlan, ask: Transport) -> StudyResult:
    return finish(run_study(study, learner(study.learner), ask, roster(study)))


def model_bytes(result: StudyResult) -> bytes:
    return encode(to_wire(result.model))


def pooled(study: StudyPlan, whole: Records) -> tuple[bytes, bytes]:
    """The same study on one table, with the sum of the same noise integers."""
    streams = [Stream(name) for name in study.institutions]

    def total(index: int, query: Query) -> NoisyTotal:
        event = study.event(index, query)
        noise = sum(discrete_gaussian(event.variance, event.dim, one) for one in streams)
        return NoisyTotal(measure(whole, query).value + noise, len(streams) * event.variance)

    training = len(study.rounds) - study.evaluates
    seed = bytes.fromhex(study.seed)
    program = learner(study.learner).start(SCHEMA, seed, study.noise_levels[:training])
    for index in range(training):
        program = program.fold(total(index, program.query()))
    model = program.model()
    query = evaluation_query(model)
    found = evaluate(query, total(training, query))
    return encode(to_wire(model)), encode([found.auc, found.goods, found.bads])


def evaluation_bytes(result: StudyResult) -> bytes:
    found = result.evaluation
    assert isinstance(found, Evaluation)
    return encode([found.auc, found.goods, found.bads])


@settings(max_examples=20)
@given(data=st.data())
def test_federated_equals_pooled_for_any_partition(data: st.DataObject) -> None:
    """Bit for bit, with the same noise integers: however skewed, empty institutions too."""
    study = plan()
    whole = records(60)
    owner = data.draw(st.lists(st.integers(0, 5), min_size=60, max_size=60))
    tables = shared_out(whole, np.array(owner), 6)
    result = conduct(study, plain_calls(parties(study, tables)))
    assert (model_bytes(result), evaluation_bytes(result)) == pooled(study, whole)


@pytest.mark.parametrize("name", ["scorecard", "additive", "boosting"])
def test_every_learner_learns_the_same_from_any_partition(name: str) -> None:
    """The real ones: iid, all at one institution, and goods apart from bads."""
    study = plan(name)
    whole = records(3000)
    (batch,) = whole.batches()
    owners = (
        np.arange(3000) % 6,
        np.full(3000, 4),
        np.where(batch.bad == 1, 0, 1 + np.arange(3000) % 5),
    )
    learned = set()
    for owner in owners:
        result = conduct(study, plain_calls(parties(study, shared_out(whole, owner, 6))))
        learned.add((model_bytes(result), evaluation_bytes(result)))
    assert learned == {pooled(study, whole)}


def test_the_claim_in_force_is_the_one_for_totals() -> None:
    """Only totals are opened, so the plan's epsilon holds; the local figure stands beside it."""
    result = conduct(plan(), plain_calls(parties(plan())))
    assert result.claim.epsilon <= result.plan.epsilon
    assert result.claim.epsilon == pytest.approx(1.0, abs=0.08)
    last = result.rounds[-1]
    assert last.epsilon == result.claim.epsilon
    assert last.epsilon_unmasked == result.claim.epsilon_local > 2 * result.claim.epsilon
    assert [one.institutions for one in result.claim.persons] == [1, 2, 3]


def test_a_record_pays_for_training_or_for_evaluation() -> None:
    """The two touch different records; a person may be in both."""
    result = conduct(plan(), plain_calls(parties(plan())))
    trained = conduct(plan(evaluate=False), plain_calls(parties(plan(evaluate=False))))
    assert len(result.events) == len(trained.events) + 1
    assert result.claim.rho == max(trained.claim.rho, rho(result.events[-1]))
    assert result.claim.persons[0].epsilon > trained.claim.persons[0].epsilon


def test_under_local_noise_both_claims_are_one() -> None:
    study = plan(noise="local")
    result = conduct(study, plain_calls(parties(study)))
    assert result.claim.epsilon == result.claim.epsilon_local <= 1.0


def test_progress_says_what_happens_round_by_round() -> None:
    """Before and after each, with who answered and what is spent so far."""
    seen: list[Progress] = []
    study = plan()
    ask = plain_calls(parties(study))
    finish(run_study(study, learner(), ask, roster(study)), seen.append)
    opened = [one for one in seen if isinstance(one, RoundOpened)]
    closed = [one for one in seen if isinstance(one, RoundClosed)]
    assert [(one.number, one.rounds, one.name) for one in opened] == [
        (1, 4, "first"),
        (2, 4, "second"),
        (3, 4, "third"),
        (4, 4, "score histogram"),
    ]
    assert [type(one) for one in seen] == [RoundOpened, RoundClosed] * 4
    assert all(one.answered == NAMES and one.troubles == () for one in closed)
    for spent in ([one.epsilon for one in closed], [one.epsilon_unmasked for one in closed]):
        assert spent == sorted(spent)
    assert len({one.transcript for one in closed}) == 4


def test_without_evaluation_nothing_is_asked_of_held_out_records() -> None:
    study = plan(evaluate=False)
    result = conduct(study, plain_calls(parties(study)))
    assert result.evaluation == NotEvaluated()
    assert {event.part for event in result.events} == {"train"}


def test_a_plan_for_one_institution_is_not_conducted() -> None:
    """Its sums would have nobody to hide among."""
    study = alone(plan(), NAMES[1])
    with pytest.raises(PrivacyError):
        conduct(study, plain_calls({}))


def test_a_roster_without_a_member_of_the_plan_is_refused_before_anything_is_asked() -> None:
    study = plan()
    watched = Watched(plain_calls(parties(study)))
    with pytest.raises(PeerError):
        finish(run_study(study, learner(), watched, keys(NAMES[:-1])[1]))
    assert watched.trips == []


def test_under_another_roster_than_the_members_no_key_is_dealt() -> None:
    """The members' own copies decide, not the coordinator's."""
    study = plan()
    _, other = found(NAMES, Stream("strangers"), "x25519")
    held = parties(study)
    with pytest.raises(StudyStopped):
        finish(run_study(study, learner(), plain_calls(held), other))
    assert all(entries(one.institution.book) == () for one in held.values())


def test_the_transcript_of_a_study_names_its_plan_and_every_answer() -> None:
    same = [conduct(plan(), plain_calls(parties(plan()))).rounds[-1].transcript for _ in "ab"]
    assert same[0] == same[1]
    renamed = plan(name="another")
    other = conduct(renamed, plain_calls(parties(renamed))).rounds[-1].transcript
    assert other != same[0]


def test_another_learner_than_the_plans_is_refused() -> None:
    study = plan()
    with pytest.raises(LocalError):
        finish(run_study(study, learner("scorecard"), plain_calls(parties(study)), roster(study)))


def test_epsilon_so_far_is_that_of_the_events_so_far() -> None:
    study = plan(evaluate=False)
    result = conduct(study, plain_calls(parties(study)))
    last = result.rounds[-1]
    assert last.epsilon == epsilon_of(result.claim.rho, study.delta)
    assert last.epsilon_unmasked == epsilon_of(result.claim.rho_local, study.delta)
