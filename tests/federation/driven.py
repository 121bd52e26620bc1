"""A coordinator taken apart: its messages one at a time, and its trips on a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fedcredit.federation.coordinator import Transport
from fedcredit.federation.member import Member, answer
from fedcredit.federation.messages import Heard, Question, decode_question, encode_question
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.turns import asked_of, session_of
from fedcredit.models.queries import Query
from fedcredit.secagg.messages import Prepare, Start, decode_request, encode_request
from fedcredit.secagg.opening import (
    Opened,
    Opening,
    ask_shares,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.server import (
    Aborted,
    Agreeing,
    Gathering,
    close,
    receive_agreement,
    receive_package,
    receive_upload,
    start,
)
from fedcredit.secagg.session import Asked, Session, Turn
from fedcredit.units import InstitutionId
from tests.federation.made import QUERY, roster


def asked(study: StudyPlan, turn: Turn = (0, 0), query: Query = QUERY) -> Asked:
    question = encode_question(Question(study.digest(), *turn, query))
    return asked_of(study, turn, question, study.event(turn[0], query))


def session(study: StudyPlan) -> Session:
    return session_of(study, roster(study))


def prepare(study: StudyPlan, turn: Turn = (0, 0)) -> bytes:
    return encode_request(Prepare(session(study).digest(), turn))


def each(
    members: Mapping[InstitutionId, Member], requests: Mapping[InstitutionId, bytes]
) -> dict[InstitutionId, bytes]:
    """What each member says to its own request."""
    return {name: answer(members[name], data) for name, data in requests.items()}


class Driven:
    """One turn, whose next message is made of whatever answers a test hands over."""

    def __init__(
        self,
        study: StudyPlan,
        packages: Mapping[InstitutionId, bytes],
        turn: Turn = (0, 0),
        query: Query = QUERY,
    ) -> None:
        self.packages = packages
        state = Gathering(session(study), turn)
        for name, data in packages.items():
            state = receive_package(state, name, data)
        begun = start(state, asked(study, turn, query))
        assert not isinstance(begun, Aborted)
        self.collecting, self.starts = begun

    def survive(self, uploads: Mapping[InstitutionId, bytes]) -> bytes:
        state = self.collecting
        for name, data in uploads.items():
            state = receive_upload(state, name, data)
        closed = close(state)
        assert not isinstance(closed, Aborted)
        self.agreeing: Agreeing = closed[0]
        return closed[1]

    def reveal(self, signatures: Mapping[InstitutionId, bytes]) -> bytes:
        state = self.agreeing
        for name, data in signatures.items():
            state = receive_agreement(state, name, data)
        wanted = ask_shares(state)
        assert not isinstance(wanted, Aborted)
        self.opening: Opening = wanted[0]
        return wanted[1]

    def open(self, shares: Mapping[InstitutionId, bytes]) -> Opened:
        state = self.opening
        for name, data in shares.items():
            state = receive_shares(state, name, data)
        outcome = open_sum(state)
        assert isinstance(outcome, Opened)
        return outcome


@dataclass(frozen=True)
class Trip:
    """One call of a transport: what kind, in which turn, how often before, and to whom."""

    kind: str
    turn: Turn
    resent: int
    requests: Mapping[InstitutionId, bytes]

    @property
    def short(self) -> tuple[str, Turn, int]:
        return self.kind, self.turn, len(self.requests)


Lost = Callable[[Trip, InstitutionId], bool]


class Watched:
    """A transport with a log, that loses the answers of some members in some trips."""

    def __init__(self, inner: Transport, lost: Lost = lambda trip, name: False) -> None:
        self.inner, self.lost = inner, lost
        self.trips: list[Trip] = []
        self._turn: Turn = (0, 0)

    def __call__(
        self, requests: Mapping[InstitutionId, bytes], deadline_s: float
    ) -> Iterable[Heard]:
        request = decode_request(next(iter(requests.values())))
        kind = type(request).__name__.lower()
        if isinstance(request, Prepare):
            self._turn = request.turn
        if isinstance(request, Start):
            question = decode_question(request.question)
            self._turn = question.round, question.attempt
        resent = sum((one.kind, one.turn) == (kind, self._turn) for one in self.trips)
        trip = Trip(kind, self._turn, resent, dict(requests))
        self.trips.append(trip)
        for heard in self.inner(requests, deadline_s):
            if not self.lost(trip, heard.sender):
                yield heard

    def kinds(self) -> list[str]:
        return [trip.kind for trip in self.trips]
