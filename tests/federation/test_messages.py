"""A question, and how an institution says no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit import errors
from fedcredit.codec import decode, encode
from fedcredit.errors import BudgetExceeded, PeerError
from fedcredit.federation.messages import (
    Question,
    decode_question,
    encode_question,
    refusal_of,
    request_digest,
)
from tests.federation.made import QUERY

PLAN = b"p" * 32


@given(index=st.integers(0, 1000), attempt=st.integers(0, 10))
def test_a_question_comes_back_as_it_was(index: int, attempt: int) -> None:
    data = encode_question(Question(PLAN, index, attempt, QUERY))
    read = decode_question(data)
    assert (read.plan, read.round, read.attempt, read.query) == (PLAN, index, attempt, QUERY)
    assert encode_question(read) == data


@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    """With the error that blames the sender, whatever they are."""
    with pytest.raises(PeerError):
        decode_question(data)


@given(st.data())
def test_a_damaged_question_is_refused_or_another_question(data: st.DataObject) -> None:
    """A flipped byte never becomes anything but an error or a well-formed question."""
    good = bytearray(encode_question(Question(PLAN, 1, 0, QUERY)))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_question(bytes(good))
    except PeerError:
        return
    assert encode_question(read) == bytes(good)


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"round": True},
        {"round": 2**40},
        {"round": "0"},
        {"attempt": 0.0},
        {"attempt": b"0"},
        {"plan": "text"},
        {"plan": b"short"},
        {"query": "text"},
        {"query": b"none"},
        {"records": 17},
        {"noise": 0},
        {"variance": 16},
    ],
    ids=str,
)
def test_a_question_with_another_field_is_refused(change: dict[str, object]) -> None:
    """Noise above all: an institution computes it itself and is never told."""
    body = decode(encode_question(Question(PLAN, 0, 0, QUERY)))
    assert isinstance(body, dict)
    with pytest.raises(PeerError):
        decode_question(encode(body | change))


@pytest.mark.parametrize("key", ["plan", "round", "attempt", "query"])
def test_a_question_that_lacks_a_field_is_refused(key: str) -> None:
    body = decode(encode_question(Question(PLAN, 0, 0, QUERY)))
    assert isinstance(body, dict)
    with pytest.raises(PeerError):
        decode_question(encode({name: one for name, one in body.items() if name != key}))


def test_every_byte_that_was_sent_is_in_its_name() -> None:
    """One turn is asked one thing: a name for each plan, round, attempt and query."""
    questions = (
        Question(PLAN, 0, 0, QUERY),
        Question(b"q" * 32, 0, 0, QUERY),
        Question(PLAN, 1, 0, QUERY),
        Question(PLAN, 0, 1, QUERY),
    )
    names = {request_digest(encode_question(one)) for one in questions}
    assert {len(name) for name in names} == {32}
    assert len(names) == len(questions)


@pytest.mark.parametrize("name", errors.__all__)
def test_our_errors_leave_by_name(name: str) -> None:
    problem = getattr(errors, name)("income 4711 is too high", remedy="forget it")
    assert refusal_of(problem) == name


def test_other_errors_leave_under_one_name() -> None:
    """Which error a table brings about could depend on a row."""
    problems = [ValueError("4711"), KeyError("4711"), ZeroDivisionError(), MemoryError()]
    assert {refusal_of(problem) for problem in problems} == {"LocalError"}
    assert refusal_of(BudgetExceeded("spent", remedy="wait")) == "BudgetExceeded"
