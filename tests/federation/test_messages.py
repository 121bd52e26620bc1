"""The two messages of a round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedcredit import errors
from fedcredit.codec import decode, encode
from fedcredit.errors import BudgetExceeded, PeerError
from fedcredit.federation.messages import (
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    refusal_of,
)
from fedcredit.units import Ints
from tests.federation.made import NAMES, QUERY

PLAN, ASKED = b"p" * 32, b"r" * 32
values = arrays(np.int64, st.integers(1, 20), elements=st.integers(-(2**63), 2**63 - 1))


def reply(value: Ints) -> Reply:
    return Reply(PLAN, 1, 0, ASKED, NAMES[0], value)


@given(index=st.integers(0, 1000), attempt=st.integers(0, 10))
def test_a_request_comes_back_as_it_was(index: int, attempt: int) -> None:
    data = encode_request(Request(PLAN, index, attempt, QUERY))
    read = decode_request(data)
    assert (read.plan, read.round, read.attempt, read.query) == (PLAN, index, attempt, QUERY)
    assert encode_request(read) == data


@given(value=values)
def test_a_reply_comes_back_as_it_was(value: Ints) -> None:
    data = encode_reply(reply(value))
    read = decode_reply(data, value.size)
    assert read.value.tolist() == value.tolist()
    assert encode_reply(read) == data


def test_a_reply_holds_a_noisy_sum_and_nothing_more() -> None:
    """No count, no metric, no time: whoever adds a field must change this test."""
    body = decode(encode_reply(reply(np.zeros(3, dtype=np.int64))))
    assert isinstance(body, dict)
    assert set(body) == {"attempt", "institution", "plan", "request", "round", "value"}


@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    """With the error that blames the sender, whatever they are."""
    with pytest.raises(PeerError):
        decode_request(data)
    with pytest.raises(PeerError):
        decode_reply(data, 3)


@given(st.data())
def test_a_damaged_message_is_refused_or_another_message(data: st.DataObject) -> None:
    """A flipped byte never becomes anything but an error or a well-formed message."""
    good = bytearray(encode_reply(reply(np.arange(3, dtype=np.int64))))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_reply(bytes(good), 3)
    except PeerError:
        return
    assert encode_reply(read) == bytes(good)


@pytest.mark.parametrize("length", [0, 2, 4, 10_000])
def test_a_reply_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PeerError):
        decode_reply(encode_reply(reply(np.zeros(length, dtype=np.int64))), 3)


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"round": True},
        {"round": 2**40},
        {"attempt": 0.0},
        {"plan": "text"},
        {"request": 1},
        {"institution": b"bank-a"},
        {"value": np.zeros((3, 1), dtype=np.int64)},
        {"value": np.zeros(3)},
        {"value": (0, 0, 0)},
        {"records": 17},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_refused(change: dict[str, object]) -> None:
    body = decode(encode_reply(reply(np.zeros(3, dtype=np.int64))))
    assert isinstance(body, dict)
    with pytest.raises(PeerError):
        decode_reply(encode(body | change), 3)


@pytest.mark.parametrize(
    "change", [{"plan": b"short"}, {"query": "text"}, {"query": b"none"}, {"noise": 0}], ids=str
)
def test_a_request_with_another_field_is_refused(change: dict[str, object]) -> None:
    """Noise above all: an institution computes it itself and is never told."""
    body = decode(encode_request(Request(PLAN, 0, 0, QUERY)))
    assert isinstance(body, dict)
    with pytest.raises(PeerError):
        decode_request(encode(body | change))


@pytest.mark.parametrize("name", errors.__all__)
def test_our_errors_leave_by_name(name: str) -> None:
    problem = getattr(errors, name)("income 4711 is too high", remedy="forget it")
    assert refusal_of(problem) == name


def test_other_errors_leave_under_one_name() -> None:
    """Which error a table brings about could depend on a row."""
    problems = [ValueError("4711"), KeyError("4711"), ZeroDivisionError(), MemoryError()]
    assert {refusal_of(problem) for problem in problems} == {"LocalError"}
    assert refusal_of(BudgetExceeded("spent", remedy="wait")) == "BudgetExceeded"
