"""A made-up consortium in memory, and a coordinator that checks nothing.

A `Bank` keeps to the protocol: before every step it is started again from the bytes of its
vault, and a step that is refused leaves those bytes as they were. A `World` has banks, a
session and a question. An attack is a function that answers whether it has won; it is led
once against the product and once against a build into which one fault has been planted.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import shake_256
from types import ModuleType
from typing import Final, TypeVar

import numpy as np
import pytest

import fedcredit.secagg
from fedcredit.errors import PeerError, PrivacyError
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    State,
    admit,
    agree,
    mask,
    reveal,
)
from fedcredit.secagg.dealing import (
    Dealt,
    deal,
)
from fedcredit.secagg.forms import cut
from fedcredit.secagg.keys import TAG_BYTES, Identity, Sealer, new_identity, seal
from fedcredit.secagg.lanes import card_bytes, new_lanes
from fedcredit.secagg.messages import (
    Reveal,
    Start,
    Survive,
    decode_request,
    encode_request,
)
from fedcredit.secagg.opening import (
    Opened,
    Opening,
    ask_shares,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.packages import (
    PARCEL_BYTES,
    Package,
    Prepared,
    decode_header,
    header_digest,
)
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.server import (
    Aborted,
    Collecting,
    Gathering,
    close,
    receive_agreement,
    receive_package,
    receive_upload,
    start,
)
from fedcredit.secagg.session import Asked, Floor, Manifest, Session, Turn, encode_manifest
from fedcredit.secagg.states import Holding, decode_holding, encode_holding
from fedcredit.units import InstitutionId, Ints

TURN: Final[Turn] = (0, 0)
MOST_BYTES: Final = 1 << 24
NO_SIGNATURE: Final = bytes(64)
Names = tuple[InstitutionId, ...]
T = TypeVar("T", Start, Survive, Reveal)
Starts = tuple[Manifest, dict[InstitutionId, bytes]]


@dataclass
class Stream:
    """Random bytes that are the same on every run."""

    seed: str
    at: int = 0

    def __call__(self, count: int, /) -> bytes:
        self.at += 1
        return shake_256(f"{self.seed}/{self.at}".encode()).digest(count)


@dataclass
class Bank:
    """A member that keeps to the protocol, and is started again before every step."""

    identity: Identity
    session: Session
    value: Ints
    random: Stream
    floor: Floor = field(default_factory=Floor)
    sealer: Sealer = seal
    kept: bytes = b""
    sent: list[bytes] = field(default_factory=list)
    forgets: bool = False  # the planted fault of a vault that keeps nothing

    @property
    def name(self) -> InstitutionId:
        return self.identity.name

    def holding(self) -> Holding:
        return decode_holding(self.kept)

    def dealt(self, turn: Turn = TURN) -> Dealt:
        if isinstance(state := self.holding().states.get(turn), Dealt):
            return state
        raise PeerError("no keys wait for that turn", remedy="refuse it")

    def package(self, turn: Turn = TURN) -> bytes:
        """What it says when it is asked to prepare."""
        lanes = self.holding().lanes
        if lanes.spent:
            lanes = new_lanes(self.identity, self.session, self.random, self.sealer)
        made, after = deal(self.identity, self.session, turn, lanes, self.random)
        self.kept = encode_holding(self.holding().dealt(made, after))
        return self._send(Prepared(lanes.cards, made.package).encode())

    def upload(self, data: bytes, asked: Asked) -> bytes:
        request = _request(data, Start)
        dealt = self.dealt(asked.turn)
        admitted = admit(self.identity, self.session, self.floor, dealt, request, asked)
        state, reply = mask(self.identity, admitted, self.value)
        return self._keep(asked.turn, state, reply)

    def agree(self, data: bytes, turn: Turn = TURN) -> bytes:
        request = _request(data, Survive)
        state = self.holding().states.get(turn)
        if not isinstance(state, Masked):
            raise PeerError("nothing was uploaded, or a list was signed", remedy="refuse it")
        after, reply = agree(self.identity, self.session, state, request)
        return self._keep(turn, after, reply)

    def reveal(self, data: bytes, turn: Turn = TURN) -> bytes:
        request = _request(data, Reveal)
        state = self.holding().states.get(turn)
        if not isinstance(state, Masked | Agreed):
            raise PeerError("nothing is left to reveal", remedy="refuse it")
        after, reply = reveal(self.identity, self.session, state, request)
        return self._keep(turn, after, reply)

    def _keep(self, turn: Turn, state: State, reply: bytes) -> bytes:
        if not self.forgets:
            after = self.holding().took(turn, state, b"asked", reply)
            self.kept = encode_holding(after)
        elif isinstance(state, Masked):
            self.kept = encode_holding(Holding({turn: state}))
        return self._send(reply)

    def _send(self, data: bytes) -> bytes:
        self.sent.append(data)
        return data


def _request(data: bytes, kind: type[T]) -> T:
    """What the coordinator sent, if it is of the kind that this step takes."""
    request = decode_request(data)
    if not isinstance(request, kind):
        raise PeerError("another step than ours", remedy="drop it")
    return request


@dataclass
class World:
    """A consortium: the session, its members, and what is asked of them."""

    session: Session
    banks: dict[InstitutionId, Bank]
    asked: Asked

    @property
    def names(self) -> Names:
        return self.session.members

    def total(self, names: Iterable[InstitutionId]) -> list[int]:
        return [int(x) for x in sum(self.banks[n].value for n in names)]  # type: ignore[union-attr]

    def packages(self, turn: Turn = TURN) -> dict[InstitutionId, bytes]:
        return {name: bank.package(turn) for name, bank in self.banks.items()}

    def hand_out(self, packages: Mapping[InstitutionId, bytes], asked: Asked) -> Starts:
        """A start for each member, by a coordinator that checks nothing."""
        read = {name: package_in(data) for name, data in sorted(packages.items())}
        sealed = [Prepared.decode(packages[name], MOST_BYTES).cards for name in read]
        manifest = Manifest(
            session=self.session.digest(),
            asked=asked,
            participants=tuple(read),
            packages=tuple(header_digest(one.header) for one in read.values()),
        )
        card = card_bytes(self.session.roster.kind)
        headers = tuple(one.header for one in read.values())
        signatures = b"".join(one.signature for one in read.values())
        starts = {}
        for name in self.names:
            at = self.session.point(name) - 1
            parcels = b"".join(cut(one.parcels, PARCEL_BYTES)[at] for one in read.values())
            cards = b"".join(cut(one, card)[at] for one in sealed)
            written = encode_manifest(manifest)
            request = Start(written, asked.question, headers, signatures, parcels, cards)
            starts[name] = encode_request(request)
        return manifest, starts

    def collected(
        self, packages: Mapping[InstitutionId, bytes], uploading: Iterable[InstitutionId]
    ) -> Collecting:
        """As far as the uploads, by the product's own coordinator."""
        state = Gathering(self.session, self.asked.turn)
        for name, data in packages.items():
            state = receive_package(state, name, data)
        begun = start(state, self.asked)
        assert not isinstance(begun, Aborted)
        collecting, starts = begun
        for name in uploading:
            reply = self.banks[name].upload(starts[name], self.asked)
            collecting = receive_upload(collecting, name, reply)
        return collecting

    def finish(
        self, collecting: Collecting, spoil: Callable[[InstitutionId, bytes], bytes] | None = None
    ) -> Opened | Opening | Aborted:
        """From the uploads to the sum; ``spoil`` alters what a member reveals."""
        closed = close(collecting)
        if isinstance(closed, Aborted):
            return closed
        agreeing, message = closed
        turn = self.asked.turn
        for name in agreeing.survivors:
            agreeing = receive_agreement(agreeing, name, self.banks[name].agree(message, turn))
        asked = ask_shares(agreeing)
        assert not isinstance(asked, Aborted)
        opening, message = asked
        result: Opened | Opening | Aborted = opening
        for name in agreeing.survivors:
            if not isinstance(result, Opening):
                break
            reply = self.banks[name].reveal(message, turn)
            result = receive_shares(result, name, spoil(name, reply) if spoil else reply)
            if result.enough:
                result = open_sum(result)
        return result


def world(
    n: int = 5,
    t: int = 4,
    c: int = 1,
    dim: int = 6,
    seed: str = "made-up",
    study: bytes = bytes(32),
    sealer: Sealer = seal,
) -> World:
    """A consortium of ``n`` banks; the same seed gives the same keys and numbers."""
    names = tuple(InstitutionId(f"bank-{at}") for at in range(1, n + 1))
    made = [new_identity(name, Stream(f"{seed}/{name}"), "x25519") for name in names]
    session = Session(study, Roster(0, b"", tuple(one.card for one in made)), names, t, c)
    draw = np.random.default_rng(7)
    banks = {}
    for one in made:
        value, secrets = draw.integers(-999, 999, dim), Stream(f"{seed}/{one.name}/secrets")
        banks[one.name] = Bank(one, session, value, secrets, sealer=sealer)
    return World(session, banks, asked_of(dim))


def asked_of(dim: int, question: bytes = b"a model", turn: Turn = TURN, **numbers: int) -> Asked:
    """What a member works out for itself from a question."""
    parameters = {"clip": 4, "noise": 100} | numbers
    return Asked(turn=turn, dim=dim, ring=Ring(32), question=question, parameters=parameters)


def answered(step: Callable[[], object], *banks: Bank) -> bool:
    """Whether a member answers; if it refuses, its vault is as it was."""
    before = [bank.kept for bank in banks]
    try:
        step()
    except (PeerError, PrivacyError):
        assert [bank.kept for bank in banks] == before
        return False
    return True


def package_in(data: bytes) -> Package:
    """The package in what a member says when it is asked to prepare."""
    return Package.decode(Prepared.decode(data, MOST_BYTES).package, MOST_BYTES)


def publics_of(packages: Mapping[InstitutionId, bytes]) -> dict[InstitutionId, bytes]:
    """The one-time public keys in packages."""
    headers = {n: package_in(data).header for n, data in packages.items()}
    return {name: decode_header(data).public for name, data in headers.items()}


def impostor(bank: Bank, seed: str) -> Bank:
    """The coordinator under a member's name, with keys of its own."""
    fake = new_identity(bank.name, Stream(f"impostor/{seed}"), "x25519")
    return replace(bank, identity=fake, random=Stream(f"impostor/{seed}/secrets"), kept=b"")


def modules() -> list[ModuleType]:
    """Every module of secure aggregation."""
    found = pkgutil.iter_modules(fedcredit.secagg.__path__, "fedcredit.secagg.")
    return [importlib.import_module(one.name) for one in found]


def plant(
    patch: pytest.MonkeyPatch, name: str, fault: object, *, having: str = "", lacking: str = ""
) -> None:
    """Put a fault in a function's place, in every module that uses it, and in this one.

    Args:
        patch: undoes it.
        name: of the function.
        fault: what stands there instead.
        having: only in modules that also know this name.
        lacking: only in modules that do not know this one.
    """
    places = [
        module
        for module in [*modules(), sys.modules[__name__]]
        if hasattr(module, name)
        and (not having or hasattr(module, having))
        and not (lacking and hasattr(module, lacking))
    ]
    assert places, f"there is no {name} any more: plant another fault"
    for module in places:
        patch.setattr(module, name, fault)


def everything_is_signed(*_: object) -> bool:
    """The planted fault of a signature check that is not made."""
    return True


def in_clear(secret: bytes, text: bytes, info: bytes) -> bytes:
    """The planted fault of shares that are not sealed."""
    return text + bytes(TAG_BYTES)


def read_in_clear(secret: bytes, locked: bytes, info: bytes) -> bytes:
    """Whoever has such shares reads them."""
    return locked[:-TAG_BYTES]


IN_CLEAR: Final[Mapping[str, object]] = {"lock": in_clear, "unlock": read_in_clear}


def nothing(*_: object) -> None:
    """The planted fault of any other check that is not made."""


class Agreeable:
    """Equal to everything: the planted fault of a comparison that is not made."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]
