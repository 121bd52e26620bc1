"""A whole federation in which members are lost, late, broken or false."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from fedcredit.data.records import Records
from fedcredit.data.schema import Schema
from fedcredit.errors import StudyStopped
from fedcredit.federation.member import Member
from fedcredit.federation.messages import Answer, Heard
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import (
    Progress,
    RoundClosed,
    finish,
    plain_calls,
    run_study,
)
from fedcredit.learners.program import NoisyTotal, Program
from fedcredit.ledger.entries import Charge
from fedcredit.models.queries import Query
from fedcredit.privacy.sums import BoundedSum
from fedcredit.secagg.messages import (
    Start,
    decode_request,
)
from fedcredit.secagg.packages import (
    Package,
    Prepared,
)
from fedcredit.units import InstitutionId
from tests.federation.books import MemoryBook, entries
from tests.federation.driven import Trip, Watched, prepare
from tests.federation.made import (
    NAMES,
    QUERY,
    Counting,
    CountingLearner,
    Party,
    learner,
    parties,
    plan,
    roster,
)
from tests.federation.test_simulate import conduct, model_bytes


def losing(
    study: StudyPlan, lost: Iterable[tuple[int, int, InstitutionId]]
) -> tuple[Watched, Mapping[InstitutionId, Member]]:
    """Members whose answers to a start are lost, for good, in some rounds and attempts."""
    gone, held = set(lost), parties(study)

    def silent(trip: Trip, name: InstitutionId) -> bool:
        return trip.kind == "start" and (*trip.turn, name) in gone

    return Watched(plain_calls(held), silent), held


def charges(member: Member) -> list[Charge]:
    return [one for one in entries(member.institution.book) if isinstance(one, Charge)]


def test_a_study_is_three_trips_a_round_and_one_for_keys() -> None:
    """Keys for the round to come ride along, so only the first round asks for them."""
    study = plan()
    watched = Watched(plain_calls(parties(study)))
    conduct(study, watched)
    assert watched.kinds() == ["prepare"] + ["start", "survive", "reveal"] * len(study.rounds)
    assert {len(trip.requests) for trip in watched.trips} == {len(NAMES)}


def test_a_missing_institution_takes_its_noise_and_its_records_away() -> None:
    """Above the threshold the round goes on, and the charge is the same."""
    study = plan()
    ask, _ = losing(study, {(0, 0, NAMES[5]), (2, 0, NAMES[0])})
    result = conduct(study, ask)
    assert [len(one.answered) for one in result.rounds] == [5, 6, 5, 6]
    assert result.rounds[0].troubles == ((NAMES[5], "no answer"),)
    assert result.claim == conduct(study, plain_calls(parties(study))).claim
    asked_for_keys = [list(one.requests) for one in ask.trips if one.kind == "prepare"]
    assert asked_for_keys == [list(NAMES), [NAMES[5]], [NAMES[0]]]


def test_a_round_is_folded_with_the_noise_of_those_that_answered() -> None:
    """A learner that knows how much noise is in a total must be told the truth."""
    study = plan(evaluate=False)
    folded: list[NoisyTotal] = []

    class Noting(CountingLearner):
        def start(self, schema: Schema, seed: bytes, noise: tuple[float, ...]) -> Program:
            return Noted()

    class Noted(Counting):
        def fold(self, total: NoisyTotal) -> Program:
            folded.append(total)
            return Noted((*self.totals, total))

    ask, _ = losing(study, {(1, 0, NAMES[2])})
    finish(run_study(study, Noting(), ask, roster(study)))
    variances = [study.event(index, QUERY).variance for index in range(3)]
    assert [one.variance for one in folded] == [
        6 * variances[0],
        5 * variances[1],
        6 * variances[2],
    ]


def test_lost_answers_are_sent_again_before_a_round_is_retried() -> None:
    """A resend costs nothing: the same bytes come back, at one charge."""
    study = plan()
    held = parties(study)
    ask = Watched(plain_calls(held), lambda trip, name: trip.resent == 0 and name in NAMES[:2])
    result = conduct(study, ask)
    for first in [one for one in ask.trips if not one.resent]:
        again = [one for one in ask.trips if one.resent and (one.kind, one.turn) == first.short[:2]]
        assert [dict(one.requests) for one in again] == [
            {name: first.requests[name] for name in NAMES[:2]}
        ]
    assert len(result.events) == len(study.rounds)
    for one in held.values():
        assert [entry.turn for entry in charges(one)] == [(index, 0) for index in range(4)]
    assert model_bytes(result) == model_bytes(conduct(study, plain_calls(parties(study))))


def test_below_the_threshold_a_round_is_retried_at_a_new_charge() -> None:
    """Everybody is asked afresh, for keys too; the claim holds both attempts."""
    study = plan(retries=1)
    ask, held = losing(study, {(0, 0, name) for name in NAMES[:2]})
    result = conduct(study, ask)
    assert [(one.number, one.attempt, one.enough) for one in result.rounds[:3]] == [
        (1, 0, False),
        (1, 1, True),
        (2, 0, True),
    ]
    keys_for = [(one.turn, len(one.requests)) for one in ask.trips if one.kind == "prepare"]
    assert keys_for == [((0, 0), 6), ((0, 1), 6)]
    assert len(result.events) == len(study.rounds) + 1
    for name in NAMES:
        assert [one.event for one in charges(held[name])] == list(result.events)
    plain = conduct(plan(), plain_calls(parties(plan())))
    assert result.claim.rho > plain.claim.rho


def test_a_turn_that_fails_after_the_uploads_is_retried_and_opens_nothing_before() -> None:
    """Its masked vectors are of no use: the retry has other keys and other noise."""
    study = plan(retries=1)
    held = parties(study)
    ask = Watched(
        plain_calls(held),
        lambda trip, name: (trip.kind, trip.turn) == ("survive", (1, 0)) and name in NAMES[:2],
    )
    result = conduct(study, ask)
    assert [one.enough for one in result.rounds] == [True, False, True, True, True]
    assert ("reveal", (1, 0)) not in {one.short[:2] for one in ask.trips}
    assert len(result.events) == len(study.rounds) + 1


def test_when_retries_are_used_up_the_study_stops_and_nothing_more_is_asked() -> None:
    """A typed error; what was charged stays charged; later rounds are never asked."""
    study = plan(retries=1)
    ask, held = losing(study, {(1, attempt, name) for attempt in (0, 1) for name in NAMES[:2]})
    seen: list[Progress] = []
    with pytest.raises(
        StudyStopped, match="4 of 6 institutions answered, the plan needs 5"
    ) as stop:
        finish(run_study(study, learner(), ask, roster(study)), seen.append)
    assert stop.value.exit_status == 75
    closed = [one for one in seen if isinstance(one, RoundClosed)]
    assert [(one.number, one.attempt, one.enough) for one in closed] == [
        (1, 0, True),
        (2, 0, False),
        (2, 1, False),
    ]
    for one in held.values():
        assert max(entry.round for entry in entries(one.institution.book)) == 1


def test_the_error_of_a_study_that_stopped_says_what_went_wrong_last() -> None:
    """All may have answered, and yet there is no sum."""
    study = plan(retries=0)
    ask = Watched(
        plain_calls(parties(study)),
        lambda trip, name: trip.kind == "survive" and name in NAMES[:2],
    )
    with pytest.raises(StudyStopped, match=r"no retry is left \(4 survivors have signed, too few"):
        finish(run_study(study, learner(), ask, roster(study)))


@pytest.mark.parametrize("rounds_lost", [1, 2])
def test_retries_are_for_the_whole_study(rounds_lost: int) -> None:
    """Two rounds that fail once each use up two retries."""
    study = plan(retries=1)
    ask, _ = losing(study, {(index, 0, name) for index in range(rounds_lost) for name in NAMES[:2]})
    if rounds_lost == 1:
        assert len(conduct(study, ask).events) == len(study.rounds) + 1
    else:
        with pytest.raises(StudyStopped):
            conduct(study, ask)


def test_a_blamed_dealer_is_not_invited_again() -> None:
    """The attempt opens nothing, costs a retry, and the study goes on with the others."""
    study = plan(retries=1)
    direct = plain_calls(parties(study))

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        for heard in direct(requests, deadline_s):
            assert isinstance(heard, Answer)
            if heard.sender == NAMES[3] and requests[NAMES[3]] == prepare(study):
                said = Prepared.decode(heard.data, len(heard.data))
                package = Package.decode(said.package, len(heard.data))
                rubbish = replace(package, parcels=bytes(len(package.parcels))).encode()
                yield Answer(heard.sender, replace(said, package=rubbish).encode())
            else:
                yield heard

    watched = Watched(ask)
    result = conduct(study, watched)
    assert [one.enough for one in result.rounds] == [False, True, True, True, True]
    assert result.rounds[0].troubles == ((NAMES[3], "dealt shares that were of no use"),)
    later = [one for one in watched.trips if one.turn != (0, 0)]
    assert later
    assert all(NAMES[3] not in one.requests for one in later)
    assert [len(one.answered) for one in result.rounds] == [6, 5, 5, 5, 5]


def test_wrong_late_and_doubled_answers_do_not_stop_a_round() -> None:
    """Each is named as what it is, and the sum is that of the others."""
    study = plan(retries=0, evaluate=False)
    direct = plain_calls(parties(study))
    before: list[bytes] = []

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        starts = isinstance(decode_request(next(iter(requests.values()))), Start)
        if starts:
            yield Answer(InstitutionId("stranger"), b"hello")
        for heard in direct(requests, deadline_s):
            assert isinstance(heard, Answer)
            if starts and heard.sender == NAMES[0]:
                yield Answer(NAMES[0], b"wrong" if not before else before[-1])
                before.append(heard.data)
                continue
            yield heard
            if heard.sender == NAMES[1]:
                yield heard

    result = conduct(study, ask)
    for one in result.rounds:
        assert one.answered == NAMES[1:]
        reasons = dict(one.troubles)
        assert set(reasons) == {"stranger", NAMES[0], NAMES[1]}
    assert "does not have the form" in dict(result.rounds[0].troubles)[NAMES[0]]
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
    book = MemoryBook()
    held[NAMES[0]] = Party(study, NAMES[0], book=book)()
    conduct(study, plain_calls(held))
    again = replace(study, name="again")
    others = {name: Party(again, name)() for name in NAMES[1:]}
    others[NAMES[0]] = Party(again, NAMES[0], book=book)()
    result = conduct(again, plain_calls(others))
    assert {one.troubles for one in result.rounds} == {((NAMES[0], "refused: BudgetExceeded"),)}
