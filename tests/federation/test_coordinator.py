"""The coordinator's round, as pure steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import LocalError, PeerError, StudyStopped
from fedcredit.federation.coordinator import (
    Collecting,
    Short,
    Summed,
    close,
    open_round,
    receive,
    retry,
)
from fedcredit.federation.messages import (
    MOST_ENTRY,
    Reply,
    decode_request,
    encode_reply,
    request_digest,
)
from fedcredit.federation.plan import StudyPlan
from fedcredit.units import InstitutionId, Ints
from tests.federation.made import NAMES, QUERY, plan

PLAN = plan()
STUDY_DIGEST = PLAN.digest()
numbers = st.integers(-(2**50), 2**50)
vectors = st.lists(numbers, min_size=QUERY.dim, max_size=QUERY.dim).map(
    lambda found: np.array(found, dtype=np.int64)
)


def start(study: StudyPlan = PLAN, retries_left: int = 2) -> Collecting:
    return open_round(study, 0, QUERY, retries_left)


def reply(state: Collecting, sender: InstitutionId, value: Ints, **change: object) -> bytes:
    fields: dict[str, object] = {
        "plan": STUDY_DIGEST,
        "round": state.round,
        "attempt": state.attempt,
        "request": request_digest(state.request),
        "institution": sender,
        "value": value,
        **change,
    }
    return encode_reply(Reply(**fields))  # type: ignore[arg-type]


def ones(times: int = 1) -> Ints:
    return np.full(QUERY.dim, times, dtype=np.int64)


def filled(state: Collecting, count: int) -> Collecting:
    for sender in NAMES[:count]:
        state = receive(state, sender, reply(state, sender, ones()))
    return state


@given(data=st.data(), values=st.lists(vectors, min_size=5, max_size=6))
def test_the_total_is_the_exact_sum_in_any_order(data: st.DataObject, values: list[Ints]) -> None:
    """And its variance is that of all the noise in it."""
    begun = start()
    senders = list(NAMES[: len(values)])
    messages = [
        (sender, reply(begun, sender, value)) for sender, value in zip(senders, values, strict=True)
    ]
    state = begun
    for sender, message in data.draw(st.permutations(messages)):
        state = receive(state, sender, message)
    outcome = close(state)
    assert isinstance(outcome, Summed)
    expected = [sum(int(value[at]) for value in values) for at in range(QUERY.dim)]
    assert outcome.total.value.tolist() == expected
    assert outcome.total.variance == len(values) * state.event.variance
    assert not begun.accepted, "a step must not change the state it was given"


def test_a_request_says_what_is_asked_and_nothing_of_the_noise() -> None:
    request = decode_request(start().request)
    assert (request.plan, request.round, request.attempt) == (STUDY_DIGEST, 0, 0)
    assert request.query == QUERY


@pytest.mark.parametrize("count", range(7))
def test_a_round_is_added_up_from_the_threshold_on(count: int) -> None:
    outcome = close(filled(start(), count))
    assert isinstance(outcome, Summed if count >= PLAN.threshold else Short)


WRONG: dict[str, dict[str, object]] = {
    "of another plan": {"plan": b"x" * 32},
    "of another round": {"round": 1},
    "of another attempt": {"attempt": 1},
    "to another question": {"request": b"x" * 32},
    "in another's name": {"institution": NAMES[1]},
    "too short": {"value": ones()[:-1]},
    "too long": {"value": np.zeros(QUERY.dim + 1, dtype=np.int64)},
    "beyond any table": {"value": ones() * (MOST_ENTRY + 1)},
    "beyond any table, below": {"value": np.full(QUERY.dim, -(2**63), dtype=np.int64)},
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_answer_is_refused_and_changes_nothing(kind: str) -> None:
    state = start()
    with pytest.raises(PeerError):
        receive(state, NAMES[0], reply(state, NAMES[0], **{"value": ones(), **WRONG[kind]}))  # type: ignore[arg-type]
    assert state.accepted == {}
    again = receive(state, NAMES[0], reply(state, NAMES[0], ones()))
    assert again.answered == NAMES[:1]


@given(data=st.binary(max_size=100))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    with pytest.raises(PeerError):
        receive(start(), NAMES[0], data)


def test_a_stranger_and_a_second_answer_are_refused() -> None:
    state = start()
    stranger = InstitutionId("stranger")
    with pytest.raises(PeerError, match="not in the plan"):
        receive(state, stranger, reply(state, stranger, ones()))
    state = receive(state, NAMES[0], reply(state, NAMES[0], ones()))
    with pytest.raises(PeerError, match="already answered"):
        receive(state, NAMES[0], reply(state, NAMES[0], ones(2)))
    assert state.accepted[NAMES[0]].value.tolist() == ones().tolist()


def test_the_largest_answers_of_the_largest_federation_do_not_wrap() -> None:
    """The bound on one entry is what makes the sum exact."""
    assert 1000 * MOST_ENTRY < 2**63


def test_a_retry_asks_everybody_afresh() -> None:
    """An answer to the first attempt is late now."""
    state = filled(start(), 3)
    short = close(state)
    assert isinstance(short, Short)
    again = retry(short)
    assert (again.attempt, again.retries_left, again.accepted) == (1, 1, {})
    assert again.silent == NAMES
    assert again.request != state.request
    with pytest.raises(PeerError, match="answered another question"):
        receive(again, NAMES[0], reply(state, NAMES[0], ones()))


def test_without_retries_left_the_study_stops() -> None:
    """With an error that says how many were missing, and what stays paid."""
    short = close(filled(start(retries_left=0), 4))
    assert isinstance(short, Short)
    with pytest.raises(StudyStopped) as stop:
        retry(short)
    assert "4 of 6 institutions answered, the plan needs 5" in stop.value.what
    assert stop.value.exit_status == 75


def test_retries_are_carried_from_round_to_round() -> None:
    outcome = close(filled(start(retries_left=1), 5))
    assert isinstance(outcome, Summed)
    assert outcome.retries_left == 1


def test_a_question_about_other_records_is_not_asked() -> None:
    with pytest.raises(LocalError):
        open_round(PLAN, 3, QUERY, 0)


def test_the_transcript_names_every_byte() -> None:
    """Who answered, with what, to which question."""
    state = start()
    one = filled(state, 5)
    other = receive(filled(state, 4), NAMES[4], reply(state, NAMES[4], ones(2)))
    found = {one.transcript, other.transcript, filled(state, 4).transcript, state.transcript}
    assert len(found) == 4
    backwards = state
    for sender in reversed(NAMES[:5]):
        backwards = receive(backwards, sender, reply(state, sender, ones()))
    assert backwards.transcript == one.transcript


def test_the_charge_does_not_depend_on_who_answers() -> None:
    """The event is that of h = t - c, with 5 answers or 6."""
    assert {close(filled(start(), count)).collected.event for count in (4, 5, 6)} == {
        PLAN.event(0, QUERY)
    }
    assert replace(PLAN, threshold=6).event(0, QUERY).honest == 5
