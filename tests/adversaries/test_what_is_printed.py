"""C4: what gets into a log, onto a screen or into an error's text shows no secret of a turn.

Every state is printed, every step is watched, and every refusal is read. The control of a
state is the text that its dataclass would have without its own `__repr__`.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace

import numpy as np
import pytest

from fedcredit.errors import FedCreditError
from fedcredit.secagg import client
from fedcredit.secagg.client import Admitted, Agreed, Masked, admit
from fedcredit.secagg.dealing import Dealt
from fedcredit.secagg.keys import Identity, derive
from fedcredit.secagg.messages import Shares, Start, Survive, decode_request, encode_request
from fedcredit.secagg.opening import Opened, Opening, ask_shares, open_sum, receive_shares
from fedcredit.secagg.server import Aborted, Agreeing, close, receive_agreement
from fedcredit.secagg.shamir import write_shares
from fedcredit.secagg.states import Holding
from tests.adversaries.coordinator_attacks import first, requests_of_a_turn
from tests.adversaries.planted import leave_out
from tests.adversaries.secagg_made import TURN, World, plant, world


@dataclass
class Turn:
    """Every state that the members and the coordinator are in, and what is secret in them."""

    seen: list[object] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    numbers: list[list[int]] = field(default_factory=list)

    def led(self, w: World) -> Turn:
        """Lead a turn to its sum."""
        packages, banks = w.packages(), list(w.banks.values())
        self.numbers += [bank.value.tolist() for bank in banks]
        for bank in banks:
            dealt, identity = bank.dealt(), bank.identity
            self.keys += [identity.signing, identity.sealing, dealt.secret, dealt.blind]
            self.seen += [identity, dealt]
        self._look(w)
        request = decode_request(w.hand_out(packages, w.asked)[1][w.names[0]])
        assert isinstance(request, Start)
        one = first(w)
        self.seen.append(admit(one.identity, w.session, one.floor, one.dealt(), request, w.asked))
        collecting = w.collected(packages, w.names)
        self._look(w)
        closed = close(collecting)
        assert not isinstance(closed, Aborted)
        agreeing, message = closed
        for bank in banks:
            agreeing = receive_agreement(agreeing, bank.name, bank.agree(message))
        self._look(w)
        self.numbers.append(agreeing.masked.tolist())
        asked = ask_shares(agreeing)
        assert not isinstance(asked, Aborted)
        opening, message = asked
        for bank in banks:
            reply = bank.reveal(message)
            self.seen.append(Shares.decode(reply))
            opening = receive_shares(opening, bank.name, reply)
        self._look(w)
        opened = open_sum(opening)
        assert isinstance(opened, Opened)
        self.numbers.append(opened.total.tolist())
        self.seen += [collecting, agreeing, opening, opened]
        return self

    def _look(self, w: World) -> None:
        """What the vaults hold, and the shares in them."""
        for bank in w.banks.values():
            holding = bank.holding()
            state = holding.states[TURN]
            self.seen += [holding, state]
            masked = state.masked if isinstance(state, Agreed) else state
            if isinstance(masked, Masked):
                self.keys += [write_shares([share]) for pair in masked.shares for share in pair]

    def is_shown_in(self, text: str) -> bool:
        """Whether a key or share stands in a text, in any form; or a vector, or the sum."""
        text = re.sub(r"[\s,]+", ",", text.replace("\\'", "'"))
        forms = [form for key in self.keys for form in _written(key)]
        forms += [",".join(map(str, vector)) for vector in self.numbers]
        return any(form in text for form in forms)


def _written(key: bytes) -> tuple[str, ...]:
    """A key as it may stand in a text."""
    plain = re.sub(r"[\s,]+", ",", repr(key)[2:-1].replace("\\'", "'"))
    return plain, key.hex(), str(list(key))[1:-1].replace(" ", ""), str(int.from_bytes(key, "big"))


# ---------------------------------------------------------------------- what is printed


def secret_is_printed(w: World) -> bool:
    """Whether the text of a state shows one of a turn's secrets, alone or in a list."""
    turn = Turn().led(w)
    return turn.is_shown_in(" ".join(f"{one} {[one]!r}" for one in turn.seen))


def plainly(one: object) -> str:
    """The planted fault of a dataclass without a text of its own."""
    assert is_dataclass(one)
    parts = [f"{part.name}={getattr(one, part.name)!r}" for part in fields(one) if part.repr]
    return f"{type(one).__name__}({', '.join(parts)})"


@pytest.mark.parametrize(
    "state", [Identity, Dealt, Admitted, Masked, Holding, Shares, Agreeing, Opening, Opened]
)
def test_what_is_printed_of_a_state_shows_nothing_of_it(
    state: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a state has no text of its own, it does."""
    assert not secret_is_printed(world())
    monkeypatch.setattr(state, "__repr__", plainly)
    assert secret_is_printed(world())


# ---------------------------------------------------------------------- what is logged


def into_a_log(secret: bytes) -> None:
    logging.getLogger("fedcredit.planted").debug("deriving from %s", secret.hex())


def onto_a_screen(secret: bytes) -> None:
    sys.stderr.write(f"deriving from {secret!r}\n")


@pytest.mark.parametrize("tell", [into_a_log, onto_a_screen])
def test_no_step_writes_a_secret_into_a_log_or_onto_a_screen(
    tell: Callable[[bytes], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At the lowest level of every log; where the derivation of keys speaks, it does."""

    def secret_is_told() -> bool:
        turn = Turn().led(world())
        return turn.is_shown_in(caplog.text + "".join(capsys.readouterr()))

    def talkative(secret: bytes, salt: bytes, info: bytes) -> bytes:
        tell(secret)
        return derive(secret, salt, info)

    caplog.set_level(1)
    assert not secret_is_told()
    plant(monkeypatch, "derive", talkative)
    assert secret_is_told()


# ---------------------------------------------------------------------- what is refused


def wrong(data: bytes) -> Iterator[bytes]:
    """A request with one bit turned over, all over it; and a list that is too short."""
    for at in range(0, len(data), max(1, len(data) // 197)):
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]
    request = decode_request(data)
    if isinstance(request, Survive):
        yield encode_request(
            replace(request, survivors=request.survivors[:2], receipts=request.receipts[:2])
        )


def refusals(w: World) -> Iterator[BaseException]:
    """What the first member says to wrong requests, before each right one."""
    bank, requests = first(w), requests_of_a_turn(w)[w.names[0]]
    steps: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("start", lambda data: bank.upload(data, w.asked)),
        ("survive", bank.agree),
        ("reveal", bank.reveal),
    )
    value = bank.value
    bank.value = np.append(value, 1)
    yield from _raised(steps[0][1], requests["start"])
    bank.value = value
    for kind, step in steps:
        before = bank.kept
        for data in wrong(requests[kind]):
            yield from _raised(step, data)
            bank.kept = before
        step(requests[kind])


def _raised(step: Callable[[bytes], bytes], data: bytes) -> Iterator[BaseException]:
    """The error of a step, and those that it came from."""
    try:
        step(data)
    except FedCreditError as error:
        cause: BaseException | None = error
        while cause is not None:
            yield cause
            cause = cause.__cause__ or cause.__context__


def secret_is_in_an_error(w: World, twin: World) -> bool:
    """The twin has the same keys and numbers, and is led to its end."""
    turn = Turn().led(twin)
    found = list(refusals(w))
    assert len({str(one) for one in found}) > 9, "few refusals were seen"
    return turn.is_shown_in(_texts(found))


def _texts(errors: Iterable[BaseException]) -> str:
    return " ".join(f"{one} {one!r} {one.args}" for one in errors)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("{value.size} numbers", "{value} numbers"),
        ("{len(survivors)} survivors", "{state.shares} survivors"),
    ],
    ids=["numbers", "shares"],
)
def test_no_error_shows_a_secret(text: str, instead: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what a member refuses; where an error says more than it should, it does."""
    assert not secret_is_in_an_error(world(), world())
    leave_out(monkeypatch, client, (text, instead))
    assert secret_is_in_an_error(world(), world())
