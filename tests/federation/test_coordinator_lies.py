"""One turn of a coordinator, among members that lie, repeat themselves or are late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.federation.coordinator import Transport, conduct_turn
from fedcredit.federation.member import Member, answer
from fedcredit.federation.messages import Answer, Heard
from fedcredit.federation.simulate import plain_calls
from fedcredit.secagg.messages import (
    Reveal,
    Shares,
    Start,
    Upload,
    decode_request,
)
from fedcredit.secagg.packages import (
    Package,
    Prepared,
)
from fedcredit.secagg.server import Aborted
from fedcredit.secagg.signed import (
    shares_digest,
)
from fedcredit.units import InstitutionId
from tests.federation.driven import Watched, asked, prepare, session
from tests.federation.made import NAMES, keys, parties
from tests.federation.test_coordinator import PLAN, TRIPS, conduct, exact, opened

STRANGER = InstitutionId("stranger")

Tamper = Callable[[InstitutionId, bytes, bytes], Iterable[Heard]]


def tampered(members: Mapping[InstitutionId, Member], change: Tamper) -> Transport:
    """What is heard of each member is what ``change`` makes of its request and its answer."""
    direct = plain_calls(members)

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        for heard in direct(requests, deadline_s):
            assert isinstance(heard, Answer), heard
            yield from change(heard.sender, requests[heard.sender], heard.data)

    return ask


def lying(liars: Iterable[InstitutionId]) -> Tamper:
    """Holders that reveal false shares, and sign them."""
    false = set(liars)

    def change(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        asked_for = decode_request(request)
        if isinstance(asked_for, Reveal) and name in false:
            shares = Shares.decode(data)
            blinds = bytes(len(shares.blinds))
            signed = shares_digest(asked_for.context, name, blinds, shares.secrets)
            identity = keys(NAMES)[0][name]
            data = Shares(blinds, shares.secrets, identity.sign(signed)).encode()
        yield Answer(name, data)

    return change


@pytest.mark.parametrize("liar", NAMES)
def test_a_holder_that_lies_is_found_out_and_the_sum_is_right_all_the_same(
    liar: InstitutionId,
) -> None:
    """Its shares are held against what it had been dealt; another's take their place."""
    members = parties(PLAN)
    result = conduct(tampered(members, lying([liar])))
    assert opened(result).total.tolist() == exact(members, NAMES)
    if liar == NAMES[5]:  # enough others had answered before it was heard
        assert result.troubles == {}
    else:
        assert opened(result).liars == (liar,)
        assert result.troubles == {liar: "revealed false shares"}


def test_with_too_many_that_lie_there_is_no_sum_rather_than_a_wrong_one() -> None:
    result = conduct(tampered(parties(PLAN), lying(NAMES[1:3])))
    assert isinstance(result.outcome, Aborted)
    assert result.troubles == dict.fromkeys(NAMES[1:3], "revealed false shares")


def dealing_rubbish(dealer: InstitutionId) -> Tamper:
    """A dealer whose shares are of no use to anybody."""

    def change(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        if name == dealer and request == prepare(PLAN):
            said = Prepared.decode(data, len(data))
            package = Package.decode(said.package, len(data))
            useless = replace(package, parcels=bytes(len(package.parcels))).encode()
            data = replace(said, package=useless).encode()
        yield Answer(name, data)

    return change


def test_a_dealer_of_useless_shares_is_blamed_before_anything_is_opened() -> None:
    """By all who got one; the next turn can go on without it."""
    members = parties(PLAN)
    watched = Watched(tampered(members, dealing_rubbish(NAMES[3])))
    result = conduct(watched)
    assert isinstance(result.outcome, Aborted)
    assert result.outcome.blamed == (NAMES[3],)
    assert watched.kinds() == ["prepare", "start"]
    assert result.troubles == {NAMES[3]: "dealt shares that were of no use"}


def test_whoever_was_not_asked_is_not_heard() -> None:
    """A dealer that was left out does not come back by itself."""
    members = parties(PLAN)
    package = answer(members[NAMES[3]], prepare(PLAN))
    direct = plain_calls(members)

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        yield Answer(NAMES[3], package)
        yield from direct(requests, deadline_s)

    invited = tuple(name for name in NAMES if name != NAMES[3])
    result = conduct_turn(session(PLAN), asked(PLAN), {}, invited, ask, 1.0)
    assert opened(result).survivors == invited
    assert result.troubles == {NAMES[3]: "was not asked"}


def test_late_doubled_and_strange_messages_do_not_stop_a_turn() -> None:
    """Each is named as what it is, and the sum is that of the others."""
    members = parties(PLAN)
    old: dict[InstitutionId, bytes] = {}

    def keep(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        if isinstance(decode_request(request), Start):
            old[name] = data
        yield Answer(name, data)

    conduct(tampered(members, keep))

    def change(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        if isinstance(decode_request(request), Start):
            yield Answer(STRANGER, b"hello")
            if name == NAMES[0]:
                yield Answer(name, old[name])
                return
            if name == NAMES[1]:
                yield Answer(name, data)
        yield Answer(name, data)

    result = conduct(tampered(members, change), turn=(1, 0))
    assert result.answered == NAMES[1:]
    assert opened(result).survivors == NAMES[1:]
    assert set(result.troubles) == {STRANGER, NAMES[0], NAMES[1]}
    assert "another question" in result.troubles[NAMES[0]]
    assert result.troubles[STRANGER]


def test_a_late_answer_is_replaced_by_a_good_one() -> None:
    """A message that is wrong stands in nobody's way."""
    members = parties(PLAN)

    def change(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        yield Answer(name, data[:-1])
        yield Answer(name, data)

    result = conduct(tampered(members, change))
    assert opened(result).total.tolist() == exact(members, NAMES)
    assert result.troubles == {}


@settings(max_examples=20)
@given(garbage=st.binary(max_size=60), trip=st.sampled_from(TRIPS))
def test_bytes_of_any_kind_are_trouble_of_their_sender_only(garbage: bytes, trip: str) -> None:
    members = parties(PLAN)

    def change(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        kind = type(decode_request(request)).__name__.lower()
        yield Answer(name, garbage if (kind, name) == (trip, NAMES[0]) else data)

    result = conduct(tampered(members, change))
    counted = trip in ("survive", "reveal")
    assert opened(result).survivors == (NAMES if counted else NAMES[1:])
    assert set(result.troubles) == {NAMES[0]}


def test_an_altered_vector_is_not_summed() -> None:
    """The receipt is signed, and it names every byte."""
    members = parties(PLAN)

    def change(name: InstitutionId, request: bytes, data: bytes) -> Iterable[Heard]:
        if isinstance(decode_request(request), Start) and name == NAMES[2]:
            upload = Upload.decode(data, len(data))
            vector = bytes([upload.vector[0] ^ 1, *upload.vector[1:]])
            data = replace(upload, vector=vector).encode()
        yield Answer(name, data)

    result = conduct(tampered(members, change))
    assert NAMES[2] not in opened(result).survivors
    assert "altered" in result.troubles[NAMES[2]]
