"""A whole federation in one loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.codec import encode
from fedcredit.data.records import Records
from fedcredit.errors import LocalError, StudyStopped
from fedcredit.federation.book import Charge, InMemoryBook
from fedcredit.federation.institution import answer
from fedcredit.federation.messages import Answer, Heard, Refusal
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.simulate import (
    NotEvaluated,
    Progress,
    RoundClosed,
    RoundOpened,
    StudyResult,
    Transport,
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
from fedcredit.privacy.sums import BoundedSum
from fedcredit.units import InstitutionId
from tests.federation.made import (
    NAMES,
    SCHEMA,
    Party,
    Stream,
    learner,
    parties,
    plan,
    records,
    shared_out,
    without,
)


def conduct(study: StudyPlan, ask: Transport) -> StudyResult:
    return finish(run_study(study, learner(study.learner), ask))


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
    found = set()
    for owner in owners:
        result = conduct(study, plain_calls(parties(study, shared_out(whole, owner, 6))))
        found.add((model_bytes(result), evaluation_bytes(result)))
    assert found == {pooled(study, whole)}


def test_the_claim_in_force_is_the_local_one() -> None:
    """Without retries the figure with masks is the plan's epsilon; the local one leads."""
    result = conduct(plan(), plain_calls(parties(plan())))
    assert result.claim.epsilon <= result.plan.epsilon
    assert result.claim.epsilon == pytest.approx(1.0, abs=0.08)
    last = result.rounds[-1]
    assert last.epsilon == result.claim.epsilon_local > 2 * result.claim.epsilon
    assert last.epsilon_with_masks == result.claim.epsilon
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
    finish(run_study(study, learner(), plain_calls(parties(study))), seen.append)
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
    spent = [one.epsilon for one in closed]
    assert spent == sorted(spent)
    assert len({one.transcript for one in closed}) == 4


def test_without_evaluation_nothing_is_asked_of_held_out_records() -> None:
    study = plan(evaluate=False)
    result = conduct(study, plain_calls(parties(study)))
    assert result.evaluation == NotEvaluated()
    assert {event.part for event in result.events} == {"train"}


def test_a_missing_institution_takes_its_noise_and_its_records_away() -> None:
    """Above the threshold the round goes on, and the charge is the same."""
    study = plan()
    calls: list[bytes] = []
    ask = without(plain_calls(parties(study)), {(0, NAMES[5]), (2, NAMES[0])}, calls)
    result = conduct(study, ask)
    assert len(calls) == len(study.rounds)
    assert [len(one.answered) for one in result.rounds] == [5, 6, 5, 6]
    assert result.rounds[0].troubles == ((NAMES[5], "no answer"),)
    assert result.claim == conduct(study, plain_calls(parties(study))).claim


def test_lost_answers_are_sent_again_before_a_round_is_retried() -> None:
    """A resend costs nothing: the same bytes come back, at one charge."""
    study = plan()
    held = parties(study)
    calls: list[bytes] = []
    ask = without(plain_calls(held), {(0, NAMES[0]), (0, NAMES[1])}, calls)
    result = conduct(study, ask)
    assert calls[0] == calls[1]
    assert len(result.events) == len(study.rounds)
    for one in held.values():
        turns = Counter(entry.turn for entry in one.book.entries() if isinstance(entry, Charge))
        assert set(turns.values()) == {1}
    assert model_bytes(result) == model_bytes(conduct(study, plain_calls(parties(study))))


def test_below_the_threshold_a_round_is_retried_at_a_new_charge() -> None:
    """Everybody is asked afresh; the claim holds both attempts."""
    study = plan(retries=1)
    calls: list[bytes] = []
    lost = {(call, name) for call in (0, 1) for name in NAMES[:2]}
    held = parties(study)
    result = conduct(study, without(plain_calls(held), lost, calls))
    assert [(one.number, one.attempt, one.enough) for one in result.rounds[:3]] == [
        (1, 0, False),
        (1, 1, True),
        (2, 0, True),
    ]
    assert len(result.events) == len(study.rounds) + 1
    for name in NAMES:
        charges = [one for one in held[name].book.entries() if isinstance(one, Charge)]
        assert [one.event for one in charges] == list(result.events)
    plain = conduct(plan(), plain_calls(parties(plan())))
    assert result.claim.rho > plain.claim.rho


def test_when_retries_are_used_up_the_study_stops_and_nothing_more_is_asked() -> None:
    """A typed error; what was charged stays charged; later rounds are never asked."""
    study = plan(retries=1)
    held = parties(study)
    calls: list[bytes] = []
    lost = {(call, name) for call in range(1, 100) for name in NAMES[:2]}
    seen: list[Progress] = []
    ask = without(plain_calls(held), lost, calls)
    with pytest.raises(StudyStopped):
        finish(run_study(study, learner(), ask), seen.append)
    closed = [one for one in seen if isinstance(one, RoundClosed)]
    assert [(one.number, one.attempt, one.enough) for one in closed] == [
        (1, 0, True),
        (2, 0, False),
        (2, 1, False),
    ]
    for one in held.values():
        assert max(entry.round for entry in one.book.entries()) == 1


@pytest.mark.parametrize("attempts_lost", [1, 2])
def test_retries_are_for_the_whole_study(attempts_lost: int) -> None:
    """Two rounds that fail once each use up two retries."""
    study = plan(retries=1)
    calls: list[bytes] = []
    losing = (0, 1) if attempts_lost == 1 else (0, 1, 3, 4)
    lost = {(call, name) for call in losing for name in NAMES[:2]}
    ask = without(plain_calls(parties(study)), lost, calls)
    if attempts_lost == 1:
        assert len(conduct(study, ask).events) == len(study.rounds) + 1
    else:
        with pytest.raises(StudyStopped):
            conduct(study, ask)


def test_wrong_late_and_doubled_answers_do_not_stop_a_round() -> None:
    """Each is named as what it is, and the sum is that of the others."""
    study = plan(retries=0, evaluate=False)
    held = parties(study)
    before: list[bytes] = []

    def ask(
        members: tuple[InstitutionId, ...], request: bytes, deadline_s: float
    ) -> Iterable[Heard]:
        yield Answer(InstitutionId("stranger"), b"hello")
        for name in members:
            data = answer(held[name], request)
            if name == NAMES[0]:
                yield Answer(name, b"wrong" if not before else before[-1])
                before.append(data)
            else:
                yield Answer(name, data)
        yield Answer(NAMES[1], data)

    result = conduct(study, ask)
    for one in result.rounds:
        assert one.answered == NAMES[1:]
        reasons = dict(one.troubles)
        assert set(reasons) == {"stranger", NAMES[0], NAMES[1]}
        assert "not in the plan" in reasons[InstitutionId("stranger")]
    assert "not canonical" in dict(result.rounds[0].troubles)[NAMES[0]]
    assert "another question" in dict(result.rounds[1].troubles)[NAMES[0]]


def test_an_institution_that_breaks_down_is_named_by_a_rule_only() -> None:
    """Its error could hold a row, so its text goes nowhere."""
    study = plan()
    held = parties(study)

    def broken(_: Records, query: Query) -> BoundedSum:
        raise ValueError(f"income 4711 in {query}")

    held[NAMES[3]] = Party(study, NAMES[3], measure=broken)()
    result = conduct(study, plain_calls(held))
    assert {one.troubles for one in result.rounds} == {((NAMES[3], "refused: LocalError"),)}


def test_an_institution_whose_budget_is_spent_is_left_out() -> None:
    study = plan(evaluate=False, retries=0)
    held = parties(study)
    book = InMemoryBook()
    held[NAMES[0]] = Party(study, NAMES[0], book=book)()
    conduct(study, plain_calls(held))
    again = replace(study, name="again")
    others = {name: Party(again, name)() for name in NAMES[1:]}
    others[NAMES[0]] = Party(again, NAMES[0], book=book)()
    result = conduct(again, plain_calls(others))
    assert {one.troubles for one in result.rounds} == {((NAMES[0], "refused: BudgetExceeded"),)}


def test_a_refusal_is_followed_by_an_answer_when_it_is_sent_again() -> None:
    """A node that was busy at first is no trouble in the end."""
    study = plan(evaluate=False)
    held = parties(study)
    direct = plain_calls(held)
    calls: list[int] = []

    def ask(
        members: tuple[InstitutionId, ...], request: bytes, deadline_s: float
    ) -> Iterable[Heard]:
        calls.append(len(members))
        if len(members) == 6:
            yield Refusal(NAMES[0], "UnreachableError")
            yield from direct(NAMES[2:], request, deadline_s)
        else:
            yield from direct(members, request, deadline_s)

    result = conduct(study, ask)
    assert calls == [6, 2] * 3
    assert all(one.troubles == () for one in result.rounds)


def test_one_institution_may_train_alone() -> None:
    """The yardstick of a demo: the same loop with one member and its own full noise."""
    study = alone(plan(), NAMES[1])
    result = conduct(study, plain_calls(parties(study)))
    assert result.claim.epsilon == result.claim.epsilon_local <= 1.0
    assert all(one.answered == (NAMES[1],) for one in result.rounds)


def test_the_transcript_of_a_study_names_its_plan_and_every_answer() -> None:
    same = [conduct(plan(), plain_calls(parties(plan()))).rounds[-1].transcript for _ in "ab"]
    assert same[0] == same[1]
    renamed = plan(name="another")
    other = conduct(renamed, plain_calls(parties(renamed))).rounds[-1].transcript
    assert other != same[0]


def test_another_learner_than_the_plans_is_refused() -> None:
    study = plan()
    with pytest.raises(LocalError):
        finish(run_study(study, learner("scorecard"), plain_calls(parties(study))))


def test_epsilon_so_far_is_that_of_the_events_so_far() -> None:
    study = plan(evaluate=False)
    result = conduct(study, plain_calls(parties(study)))
    assert result.rounds[-1].epsilon == epsilon_of(result.claim.rho_local, study.delta)
