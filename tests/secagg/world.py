"""Members and a coordinator in memory, each as careful as the core asks its callers to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import shake_256
from typing import Final, TypeAlias

import numpy as np

from fedcredit.codec import decode, digest, encode
from fedcredit.errors import PeerError
from fedcredit.secagg import client, opening, server
from fedcredit.secagg.client import (
    Admitted,
    Agreed,
    Masked,
)
from fedcredit.secagg.dealing import (
    Dealt,
    deal,
)
from fedcredit.secagg.keys import Identity, Kind, new_identity
from fedcredit.secagg.lanes import Lanes, new_lanes, stepped
from fedcredit.secagg.messages import (
    Prepare,
    Reveal,
    Start,
    Survive,
    decode_request,
    encode_request,
)
from fedcredit.secagg.opening import (
    Opened,
    Opening,
)
from fedcredit.secagg.packages import Prepared
from fedcredit.secagg.ring import RING_BITS, Ring
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.server import (
    Aborted,
    Agreeing,
    Collecting,
    Gathering,
)
from fedcredit.secagg.session import Asked, Floor, Session, Turn
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.secagg.states import Holding, decode_holding, encode_holding
from fedcredit.units import InstitutionId, Ints

FLOOR: Final = Floor()
ServerState: TypeAlias = Gathering | Collecting | Agreeing | Opening | Opened | Aborted


def drawn(seed: str) -> RandomBytes:
    """Bytes that are the same on every run."""
    calls = 0

    def random(count: int, /) -> bytes:
        nonlocal calls
        calls += 1
        return shake_256(f"{seed}/{calls}".encode()).digest(count)

    return random


def names_of(count: int) -> tuple[InstitutionId, ...]:
    return tuple(InstitutionId(f"bank-{at:03}") for at in range(count))


@lru_cache(maxsize=1024)
def identity(name: InstitutionId, kind: Kind = "x25519", epoch: int = 0) -> Identity:
    return new_identity(name, drawn(f"identity/{name}/{kind}/{epoch}"), kind)


@lru_cache(maxsize=64)
def session_of(
    count: int,
    threshold: int | None = None,
    colluders: int | None = None,
    kind: Kind = "x25519",
    study: bytes = bytes(32),
) -> Session:
    """A session of ``count`` members with the default threshold of the plan."""
    names = names_of(count)
    c = max(1, count // 10) if colluders is None else colluders
    t = max((count + c) // 2 + 1, -(-4 * count // 5)) if threshold is None else threshold
    roster = Roster(0, b"", tuple(identity(name, kind).card for name in names))
    return Session(study, roster, names, t, c)


@lru_cache(maxsize=4096)
def lanes_of(session: Session, name: InstitutionId, step: int = 0) -> Lanes:
    """A member's lanes, the same ones for all tests."""
    if step:
        return stepped(lanes_of(session, name, step - 1))
    random = drawn(f"lanes/{session.digest().hex()}/{name}")
    return new_lanes(identity(name, session.roster.kind), session, random)


@lru_cache(maxsize=4096)
def dealt(session: Session, name: InstitutionId, turn: Turn) -> Dealt:
    """A member's keys for a turn: the same ones for all tests that want to save the time."""
    random = drawn(f"deal/{session.digest().hex()}/{name}/{turn}")
    lanes = lanes_of(session, name, sum(turn))
    return deal(identity(name, session.roster.kind), session, turn, lanes, random)[0]


def with_cards(session: Session, name: InstitutionId, package: bytes) -> bytes:
    """A package as a member sends it when it is asked to prepare."""
    return Prepared(lanes_of(session, name).cards, package).encode()


def prepared(session: Session, name: InstitutionId, turn: Turn) -> bytes:
    """What a member says when it is asked to prepare."""
    return with_cards(session, name, dealt(session, name, turn).package)


@lru_cache(maxsize=4096)
def numbers(name: InstitutionId, turn: Turn, dim: int, bits: int, members: int) -> Ints:
    """A member's own vector: every sum of ``members`` of them fits the ring."""
    raw = np.frombuffer(shake_256(f"{name}/{turn}/{dim}".encode()).digest(8 * dim), dtype="<i8")
    largest = Ring(bits).largest // members
    return (raw % (2 * largest + 1) - largest).astype(np.int64)


def ask(turn: Turn, dim: int = 3, bits: int = 32) -> Asked:
    """What all sides work out from the question."""
    question = encode((*turn, dim, bits))
    return Asked(turn=turn, dim=dim, ring=Ring(bits), question=question, parameters={"clip": 7})


def understood(question: bytes) -> Asked:
    """What a member works out from a question, or a PeerError."""
    match decode(question, size_limit_bytes=1000):
        case (int(index), int(attempt), int(dim), int(bits)):
            if 0 < dim <= 1 << 24 and bits in RING_BITS:
                return ask((index, attempt), dim, bits)
    raise PeerError("a question that we do not answer", remedy="drop it")


def plain_sum(names: Sequence[InstitutionId], asked: Asked, members: int) -> list[int]:
    """What must come out: in Python's integers, which do not wrap."""
    vectors = [
        numbers(name, asked.turn, asked.dim, asked.ring.bits, members).tolist() for name in names
    ]
    return [sum(column) for column in zip(*vectors, strict=True)]


def starts(
    session: Session, turn: Turn, packages: Mapping[InstitutionId, bytes], asked: Asked
) -> tuple[Collecting, Mapping[InstitutionId, bytes]]:
    """A turn that has begun with these packages."""
    state = Gathering(session, turn)
    for name, data in packages.items():
        state = server.receive_package(state, name, data)
    begun = server.start(state, asked)
    assert not isinstance(begun, Aborted)
    return begun


def start_of(data: bytes) -> Start:
    request = decode_request(data)
    assert isinstance(request, Start)
    return request


def survive_of(data: bytes) -> Survive:
    request = decode_request(data)
    assert isinstance(request, Survive)
    return request


def reveal_of(data: bytes) -> Reveal:
    request = decode_request(data)
    assert isinstance(request, Reveal)
    return request


@dataclass
class Node:
    """A member: keeps its state before it answers, and repeats itself when asked again."""

    session: Session
    name: InstitutionId
    holding: Holding = field(default_factory=Holding)

    @property
    def identity(self) -> Identity:
        return identity(self.name, self.session.roster.kind)

    def receive(self, data: bytes) -> bytes:
        """Answer a request, or raise PeerError with everything as it was."""
        asked = digest("asked", data)
        if asked in self.holding.replies:
            return self.holding.replies[asked]
        match decode_request(data):
            case Prepare() as request:
                return self._prepare(request)
            case Start() as request:
                return self._start(asked, request)
            case Survive() as request:
                state = self._state(request.context)
                if not isinstance(state, Masked):
                    raise PeerError("another list was signed", remedy="drop it")
                agreed, reply = client.agree(self.identity, self.session, state, request)
                self.holding = self.holding.took(state.turn, agreed, asked, reply)
                return reply
            case Reveal() as request:
                current = self._state(request.context)
                revealed, reply = client.reveal(self.identity, self.session, current, request)
                self.holding = self.holding.took(revealed.turn, revealed, asked, reply)
                return reply

    def restart(self) -> None:
        """What a crash leaves is what the vault held."""
        self.holding = decode_holding(encode_holding(self.holding))

    def _prepare(self, request: Prepare) -> bytes:
        if request.session != self.session.digest():
            raise PeerError("another session", remedy="drop it")
        state = self.holding.states.get(request.turn)
        if state is None and request.turn > max(self.holding.states, default=(-1, 0)):
            state = dealt(self.session, self.name, request.turn)
            after = lanes_of(self.session, self.name, sum(request.turn) + 1)
            self.holding = self.holding.dealt(state, after)
        if not isinstance(state, Dealt):
            raise PeerError("no package is to be had for that turn", remedy="drop it")
        return Prepared(self.holding.lanes.cards, state.package).encode()

    def _start(self, asked: bytes, request: Start) -> bytes:
        question = understood(request.question)
        state = self.holding.states.get(question.turn)
        if not isinstance(state, Dealt):
            raise PeerError("no keys for that turn", remedy="drop it")
        admitted: Admitted = client.admit(
            self.identity, self.session, FLOOR, state, request, question
        )
        members = len(self.session.members)
        vector = numbers(self.name, question.turn, question.dim, question.ring.bits, members)
        masked, reply = client.mask(self.identity, admitted, vector)
        self.holding = self.holding.took(state.turn, masked, asked, reply)
        return reply

    def _state(self, context: bytes) -> Masked | Agreed:
        """The state that goes with a context."""
        for state in self.holding.states.values():
            masked = state.masked if isinstance(state, Agreed) else state
            if isinstance(masked, Masked) and masked.context == context:
                return state if isinstance(state, Agreed) else masked
        raise PeerError("nothing is held for that context", remedy="drop it")


@dataclass
class Desk:
    """The coordinator: a server's state, and what it says next."""

    session: Session
    turn: Turn = (0, 0)
    dim: int = 3
    bits: int = 32
    state: ServerState = field(init=False)

    def __post_init__(self) -> None:
        self.state = Gathering(self.session, self.turn)

    def prepare(self) -> bytes:
        """What every member is sent before a turn."""
        return encode_request(Prepare(self.session.digest(), self.turn))

    def restart(self) -> None:
        """All is forgotten but the number of the attempt: the next one has fresh packages."""
        self.turn = self.turn[0], self.turn[1] + 1
        self.state = Gathering(self.session, self.turn)

    def receive(self, sender: InstitutionId, data: bytes) -> None:
        """Take a message, or raise PeerError with the state as it was."""
        match self.state:
            case Gathering() as state:
                self.state = server.receive_package(state, sender, data)
            case Collecting() as state:
                self.state = server.receive_upload(state, sender, data)
            case Agreeing() as state:
                self.state = server.receive_agreement(state, sender, data)
            case Opening() as state:
                self.state = opening.receive_shares(state, sender, data)
            case _:
                raise PeerError("the turn is over", remedy="drop it")

    def advance(self) -> Mapping[InstitutionId, bytes]:
        """Wait no longer: take the next step, and say what is to be sent to whom."""
        match self.state:
            case Gathering() as state:
                begun = server.start(state, ask(self.turn, self.dim, self.bits))
                if isinstance(begun, Aborted):
                    self.state = begun
                    return {}
                self.state, messages = begun
                return messages
            case Collecting() as state:
                closed = server.close(state)
                if isinstance(closed, Aborted):
                    self.state = closed
                    return {}
                self.state, message = closed
                return dict.fromkeys(self.state.survivors, message)
            case Agreeing() as state:
                asked = opening.ask_shares(state)
                if isinstance(asked, Aborted):
                    self.state = asked
                    return {}
                self.state, message = asked
                return dict.fromkeys(state.survivors, message)
            case Opening() as state:
                self.state = opening.open_sum(state)
        return {}


@dataclass
class World:
    """A coordinator and its members, with nothing between them."""

    session: Session
    desk: Desk = field(init=False)
    nodes: Mapping[InstitutionId, Node] = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk(self.session)
        self.nodes = {name: Node(self.session, name) for name in self.session.members}

    def sum_up(self, turn: Turn, dim: int = 3, bits: int = 32) -> Opened:
        """One turn in which everybody is there and nothing is lost."""
        self.desk.turn, self.desk.dim, self.desk.bits = turn, dim, bits
        self.desk.state = Gathering(self.session, turn)
        messages: Mapping[InstitutionId, bytes] = dict.fromkeys(
            self.session.members, self.desk.prepare()
        )
        while not isinstance(self.desk.state, Opened):
            for name, message in messages.items():
                self.desk.receive(name, self.nodes[name].receive(message))
            messages = self.desk.advance()
        return self.desk.state
