"""A13: whatever arrives, a step returns or raises PeerError, and then nothing has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from fedcredit.codec import Value, decode, encode
from fedcredit.secagg.messages import (
    Start,
    decode_request,
    encode_request,
    encode_start,
)
from fedcredit.secagg.opening import (
    ask_shares,
    receive_shares,
)
from fedcredit.secagg.server import (
    Aborted,
    Gathering,
    close,
    receive_agreement,
    receive_package,
    receive_upload,
)
from tests.adversaries.coordinator_attacks import first, requests_of_a_turn
from tests.adversaries.secagg_made import TURN, Bank, World, answered, plant, world

CRASHES: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError)
ODD: Final[tuple[Value, ...]] = (
    True,
    np.zeros(2, dtype=np.int64),
    np.zeros(0, dtype=np.int64),
    -1,
    1 << 70,
    10**5000,
    0.5,
    "x",
    b"",
    b"\0" * 32,
    (),
    (b"",),
    {},
)


def cut(data: bytes) -> Iterator[bytes]:
    """The beginnings of a message, and the message with something after it."""
    yield from (data[:at] for at in range(0, len(data), max(1, len(data) // 97)))
    yield from (data + b"\0", data + data, b"")


def flipped(data: bytes) -> Iterator[bytes]:
    """The message with one bit turned, all over it."""
    for at in range(0, len(data), max(1, len(data) // 397)):
        yield data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def with_odd_values(value: Value) -> Iterator[Value]:
    """The value with each part in turn replaced by every odd one, left out, or doubled."""
    yield from ODD
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield {name: one for name, one in value.items() if name != key}
            yield {**value, key + "x": part}
            yield from ({**value, key: odd} for odd in with_odd_values(part))
    elif isinstance(value, tuple) and value:
        yield from (value[:-1], value[::-1], (*value, value[0]))
        for at, part in enumerate(value):
            yield from ((*value[:at], odd, *value[at + 1 :]) for odd in with_odd_values(part))


def wrong(data: bytes) -> Iterator[bytes]:
    """All of these."""
    yield from cut(data)
    yield from flipped(data)
    yield from (encode(odd) for odd in with_odd_values(decode(data)))


def wrong_upload(data: bytes) -> Iterator[bytes]:
    """The same of an upload, whose vector stands before its fields."""
    yield from cut(data)
    yield from flipped(data)
    at = len(data) - 4 - int.from_bytes(data[-4:], "big")
    for odd in map(encode, with_odd_values(decode(data[at:-4]))):
        yield data[:at] + odd + len(odd).to_bytes(4, "big")


def crashes(bank: Bank, take: Callable[[bytes], object], messages: Iterator[bytes]) -> bool:
    """Whether one of the messages brings a member or the coordinator down."""
    before = bank.kept
    for data in messages:
        bank.kept = before
        try:
            answered(lambda data=data: take(data), bank)  # type: ignore[misc]
        except (*CRASHES, ValueError):
            return True
    bank.kept = before
    return False


def member_falls(w: World) -> bool:
    """Wrong starts, lists and requests for shares, each where the right one would be taken."""
    bank, requests = first(w), requests_of_a_turn(w)[w.names[0]]
    request = decode_request(requests["start"])
    assert isinstance(request, Start)
    manifests = (
        encode_request(replace(request, manifest=encode(odd)))
        for odd in with_odd_values(decode(request.manifest))
    )
    steps: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("start", lambda data: bank.upload(data, w.asked)),
        ("survive", bank.agree),
        ("reveal", bank.reveal),
    )
    commons = (
        encode_start(encode(odd), request.parcels, request.cards)
        for odd in with_odd_values(decode(request.common()))
    )
    if crashes(bank, steps[0][1], manifests) or crashes(bank, steps[0][1], commons):
        return True
    for kind, step in steps:
        if crashes(bank, step, wrong(requests[kind])):
            return True
        step(requests[kind])
    return False


def coordinator_falls(w: World) -> bool:
    """Wrong packages, uploads, signatures and shares, each before the right one."""
    bank = first(w)
    gathering = Gathering(w.session, TURN)
    packages = w.packages()
    mine = packages[bank.name]
    if crashes(bank, lambda data: receive_package(gathering, bank.name, data), wrong(mine)):
        return True
    collecting = w.collected(packages, w.names[1:])
    _, starts = w.hand_out(packages, w.asked)
    upload = bank.upload(starts[bank.name], w.asked)
    if crashes(
        bank, lambda data: receive_upload(collecting, bank.name, data), wrong_upload(upload)
    ):
        return True
    closed = close(receive_upload(collecting, bank.name, upload))
    assert not isinstance(closed, Aborted)
    agreeing, message = closed
    signed = {name: one.agree(message) for name, one in w.banks.items()}
    for name in w.names[1:]:
        agreeing = receive_agreement(agreeing, name, signed[name])
    if crashes(
        bank,
        lambda data: receive_agreement(agreeing, bank.name, data),
        wrong(signed[bank.name]),
    ):
        return True
    asked = ask_shares(receive_agreement(agreeing, bank.name, signed[bank.name]))
    assert not isinstance(asked, Aborted)
    opening, message = asked
    shares = bank.reveal(message)
    if crashes(bank, lambda data: receive_shares(opening, bank.name, data), wrong(shares)):
        return True
    assert bank.name in receive_shares(opening, bank.name, shares).shares
    return False


def fields_of_anything(value: Mapping[str, Value], keys: tuple[str, ...]) -> tuple[Value, ...]:
    """The planted fault: the form of a message is not looked at."""
    return tuple(value[key] for key in keys)


@pytest.mark.parametrize("falls", [member_falls, coordinator_falls])
def test_a_malformed_message_is_one_peer_error_and_changes_nothing(
    falls: Callable[[World], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the form is not looked at, the same messages bring both sides down."""
    assert not falls(world())
    plant(monkeypatch, "fields_of", fields_of_anything)
    assert falls(world())
