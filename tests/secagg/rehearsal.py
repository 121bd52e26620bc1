"""One turn played again and again, with other members lost at other stages."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import lru_cache
from typing import TypeAlias

import pytest

from fedcredit.errors import PeerError
from fedcredit.secagg import client, server
from fedcredit.secagg.client import Admitted, Masked
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
    Collecting,
    Gathering,
)
from fedcredit.secagg.session import Asked, Session, Turn
from fedcredit.units import InstitutionId, Ints
from tests.secagg.world import (
    FLOOR,
    ask,
    dealt,
    identity,
    numbers,
    plain_sum,
    prepared,
    reveal_of,
    session_of,
    start_of,
    survive_of,
)


class Lost(IntEnum):
    """What a member does not do any more."""

    PACKAGE = 0
    UPLOAD = 1
    LATE = 2  # its upload comes when the survivors are fixed
    SIGN = 3
    REVEAL = 4
    NEVER = 5


Pattern: TypeAlias = Mapping[InstitutionId, Lost]


class Rehearsal:
    """One turn of a session, played again and again with other drop-outs and the same keys."""

    def __init__(self, count: int, dim: int = 2, bits: int = 32, threshold: int = 0) -> None:
        self.session: Session = session_of(count, threshold or None)
        self.asked: Asked = ask((0, 0), dim, bits)
        self.turn: Turn = self.asked.turn
        self._admitted: dict[tuple[InstitutionId, bytes], Admitted] = {}

    def admit(self, name: InstitutionId, message: bytes, context: bytes) -> Admitted:
        key = name, context
        if key not in self._admitted:
            self._admitted[key] = client.admit(
                identity(name),
                self.session,
                FLOOR,
                dealt(self.session, name, self.turn),
                start_of(message),
                self.asked,
            )
        return self._admitted[key]

    def upload(
        self, name: InstitutionId, collecting: Collecting, message: bytes
    ) -> tuple[Masked, bytes]:
        admitted = self.admit(name, message, collecting.context)
        return client.mask(identity(name), admitted, self.vector(name))

    def vector(self, name: InstitutionId) -> Ints:
        asked = self.asked
        members = len(self.session.members)
        return numbers(name, asked.turn, asked.dim, asked.ring.bits, members)

    def play(self, pattern: Pattern) -> tuple[Opened | Opening | Aborted, int]:
        """Play a pattern; returns how it ended and how many members have revealed anything."""
        session = self.session
        when = {name: pattern.get(name, Lost.NEVER) for name in session.members}
        begun = self._begin(when)
        if isinstance(begun, Aborted):
            return begun, 0
        states, closed = self._collect(when, *begun)
        if isinstance(closed, Aborted):
            return closed, 0
        agreeing, message = closed
        survive = survive_of(message)
        for name in session.members:
            if when[name] > Lost.SIGN:
                _, data = client.agree(identity(name), session, states[name], survive)
                agreeing = server.receive_agreement(agreeing, name, data)
        asked = ask_shares(agreeing)
        if isinstance(asked, Aborted):
            return asked, 0
        opening, message = asked
        reveal = reveal_of(message)
        for name in session.members:
            if when[name] > Lost.REVEAL and not opening.enough:
                _, data = client.reveal(identity(name), session, states[name], reveal)
                opening = receive_shares(opening, name, data)
        return open_sum(opening), len(opening.shares)

    def _begin(self, when: Pattern) -> tuple[Collecting, Mapping[InstitutionId, bytes]] | Aborted:
        gathering = Gathering(self.session, self.turn)
        for name, stage in when.items():
            if stage > Lost.PACKAGE:
                package = prepared(self.session, name, self.turn)
                gathering = server.receive_package(gathering, name, package)
        return server.start(gathering, self.asked)

    def _collect(
        self, when: Pattern, collecting: Collecting, messages: Mapping[InstitutionId, bytes]
    ) -> tuple[Mapping[InstitutionId, Masked], tuple[Agreeing, bytes] | Aborted]:
        """Uploads; one that comes when the survivors are fixed is refused."""
        states: dict[InstitutionId, Masked] = {}
        late: dict[InstitutionId, bytes] = {}
        for name, stage in when.items():
            if stage <= Lost.UPLOAD:
                continue
            states[name], data = self.upload(name, collecting, messages[name])
            if stage == Lost.LATE:
                late[name] = data
            else:
                collecting = server.receive_upload(collecting, name, data)
        closed = server.close(collecting)
        if not isinstance(closed, Aborted):
            for name, data in late.items():
                with pytest.raises(PeerError):
                    server.receive_agreement(closed[0], name, data)
        return states, closed

    def check(self, pattern: Pattern) -> None:
        """It completes if and only if enough stay, with the exact sum of those who uploaded."""
        found, revealed = self.play(pattern)
        members, threshold = self.session.members, self.session.threshold
        stay = [
            [name for name in members if pattern.get(name, Lost.NEVER) > stage]
            for stage in (Lost.PACKAGE, Lost.LATE, Lost.SIGN, Lost.REVEAL)
        ]
        if all(len(names) >= threshold for names in stay):
            assert isinstance(found, Opened)
            assert found.survivors == tuple(stay[1])
            assert found.total.tolist() == plain_sum(stay[1], self.asked, len(members))
            assert not found.liars
        elif all(len(names) >= threshold for names in stay[:-1]):
            assert isinstance(found, Opening)  # too few shares, which open nothing
            assert revealed < threshold
        else:
            assert isinstance(found, Aborted)
            assert not found.blamed
            assert revealed == 0


@lru_cache(maxsize=32)
def rehearsal(count: int, dim: int = 2, bits: int = 32, threshold: int = 0) -> Rehearsal:
    return Rehearsal(count, dim, bits, threshold)
