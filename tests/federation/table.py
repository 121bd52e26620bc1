"""One member on the table, among five that work: its disk may fail, or be put back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from fedcredit.federation.member import answer
from fedcredit.ledger.entries import Charge, Entry, Release, Step
from fedcredit.models.queries import Query
from fedcredit.secagg.client import State
from fedcredit.secagg.opening import (
    Opened,
)
from fedcredit.secagg.session import Turn
from fedcredit.secagg.states import Holding, decode_holding
from fedcredit.units import InstitutionId
from tests.federation.driven import Driven, each, prepare, session
from tests.federation.made import NAMES, QUERY, Party, parties

ME = NAMES[0]
WHOLE = ["charge", "release", "agree", "reveal"]  # what a book holds of a whole turn

Say = Callable[[bytes], bytes]


@dataclass
class Said:
    """The messages of a whole turn to the member on the table, and what it said to each."""

    pairs: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    opened: Opened | None = None

    def asked(self, kind: str) -> bytes:
        return self.pairs[kind][0]


class Table:
    def __init__(self, party: Party | None = None) -> None:
        self.party = party or Party()
        self.study = self.party.study
        self.members = parties(self.study) | {ME: self.party()}

    def restart(self) -> None:
        """A new process, with the same book and vault and other randomness."""
        self.party = replace(self.party, run=self.party.run + 1)
        self.members[ME] = self.party()

    def say(self, data: bytes) -> bytes:
        return answer(self.members[ME], data)

    def each(self, requests: dict[InstitutionId, bytes], say: Say) -> dict[InstitutionId, bytes]:
        """What all say, the one on the table last."""
        others = {name: data for name, data in requests.items() if name != ME}
        return each(self.members, others) | {ME: say(requests[ME])}

    def driven(self, turn: Turn = (0, 0), query: Query = QUERY, say: Say | None = None) -> Driven:
        """A turn that has begun, with everybody's keys."""
        requests = dict.fromkeys(NAMES, prepare(self.study, turn))
        return Driven(self.study, self.each(requests, say or self.say), turn, query)

    def turn(
        self,
        turn: Turn = (0, 0),
        say: Say | None = None,
        absent: Iterable[InstitutionId] = (),
        after: Callable[[str], None] = lambda kind: None,
    ) -> Said:
        """A whole turn; those absent are lost after they were asked to start."""
        said, say, gone = Said(), say or self.say, set(absent)

        def noted(kind: str) -> Say:
            def speak(data: bytes) -> bytes:
                said.pairs[kind] = data, say(data)
                after(kind)
                return said.pairs[kind][1]

            return speak

        driven = self.driven(turn, say=noted("prepare"))
        uploads = self.each(dict(driven.starts), noted("start"))
        survive = driven.survive({name: one for name, one in uploads.items() if name not in gone})
        left = tuple(name for name in NAMES if name not in gone)
        reveal = driven.reveal(self.each(dict.fromkeys(left, survive), noted("survive")))
        said.opened = driven.open(self.each(dict.fromkeys(left, reveal), noted("reveal")))
        return said

    @property
    def kept(self) -> bytes:
        return self.party.vault.load(session(self.study).digest())

    @kept.setter
    def kept(self, data: bytes) -> None:
        self.party.vault.keep(session(self.study).digest(), data)

    @property
    def holding(self) -> Holding:
        return decode_holding(self.kept)

    def state(self, turn: Turn = (0, 0)) -> State:
        return self.holding.states[turn]

    @property
    def entries(self) -> tuple[Entry, ...]:
        return self.party.book.entries()

    @property
    def written(self) -> list[str]:
        """The kinds of entries in the book."""
        names = {Charge: "charge", Release: "release"}
        return [one.step if isinstance(one, Step) else names[type(one)] for one in self.entries]
