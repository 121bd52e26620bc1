"""What comes out is exactly the sum of those who stayed, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain, combinations

import numpy as np
import pytest

from fedcredit.errors import PeerError
from fedcredit.secagg import client, server
from fedcredit.secagg.client import Masked
from fedcredit.secagg.keys import KINDS, Kind, signed_by
from fedcredit.secagg.opening import (
    Opened,
    Opening,
    ask_shares,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.ring import RING_BITS
from fedcredit.secagg.server import (
    Aborted,
    Collecting,
    Gathering,
)
from fedcredit.secagg.session import Asked, Session
from fedcredit.units import InstitutionId
from tests.secagg.rehearsal import Lost, Pattern, Rehearsal, rehearsal
from tests.secagg.world import (
    FLOOR,
    Desk,
    World,
    ask,
    dealt,
    identity,
    names_of,
    numbers,
    plain_sum,
    prepared,
    reveal_of,
    session_of,
    start_of,
    starts,
    survive_of,
)


def lose(count: int, how_many: int, stage: Lost) -> Pattern:
    """Every third member or so, so that the lost are neither the first nor the last."""
    names = names_of(count)
    return {names[(1 + 3 * at) % count]: stage for at in range(how_many)}


@pytest.mark.parametrize("stage", list(Lost))
@pytest.mark.parametrize("count", [3, 5, 20, 100])
def test_as_many_as_may_be_lost_do_not_change_the_sum_of_the_others(
    count: int, stage: Lost
) -> None:
    """20 of 100 are lost at one stage; at 3 members nobody may be."""
    made = rehearsal(count)
    pattern = lose(count, count - made.session.threshold, stage)
    assert len(pattern) == count - made.session.threshold
    found, _ = made.play(pattern)
    assert isinstance(found, Opened)
    made.check(pattern) if count <= 20 else check_total(made, found)


def check_total(made: Rehearsal, found: Opened) -> None:
    """Hold a sum against Python's integers."""
    members = len(made.session.members)
    assert found.total.tolist() == plain_sum(found.survivors, made.asked, members)


@pytest.mark.parametrize("stage", [Lost.PACKAGE, Lost.UPLOAD, Lost.LATE, Lost.SIGN])
@pytest.mark.parametrize("count", [3, 5, 20, 100])
def test_one_more_lost_ends_the_turn_and_nothing_is_revealed(count: int, stage: Lost) -> None:
    made = rehearsal(count)
    found, revealed = made.play(lose(count, count - made.session.threshold + 1, stage))
    assert isinstance(found, Aborted)
    assert revealed == 0


@pytest.mark.parametrize("count", [3, 5, 20])
def test_too_few_shares_open_nothing(count: int) -> None:
    made = rehearsal(count)
    made.check(lose(count, count - made.session.threshold + 1, Lost.REVEAL))


def test_two_hundred_members_lose_forty_over_all_stages_and_the_sum_is_exact() -> None:
    made = rehearsal(200, 1)
    names = names_of(200)
    stages = [Lost.PACKAGE, Lost.UPLOAD, Lost.LATE, Lost.SIGN, Lost.REVEAL]
    pattern = {name: stages[at % 5] for at, name in enumerate(names[3::5])}
    assert len(pattern) == 200 - made.session.threshold
    found, _ = made.play(pattern)
    assert isinstance(found, Opened)
    check_total(made, found)
    assert len(found.survivors) == 200 - 24


@pytest.fixture(autouse=True, scope="module")
def verified_once() -> Iterator[None]:
    """A signature is true or not, whoever looks: a hundred members look at the same ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "signed_by", lru_cache(maxsize=1 << 17)(signed_by))
        yield


def subsets(names: tuple[InstitutionId, ...]) -> Iterator[frozenset[InstitutionId]]:
    sizes = range(len(names) + 1)
    return map(frozenset, chain.from_iterable(combinations(names, size) for size in sizes))


@pytest.mark.parametrize(("count", "threshold"), [(3, 3), (4, 3), (4, 4), (5, 4), (5, 5)])
def test_whoever_is_lost_at_whatever_stage_the_sum_is_exact_or_there_is_none(
    count: int, threshold: int
) -> None:
    """All of them: each set of members that falls silent at each stage, one after the other.

    A member that did not sign may still reveal, as one that was away for a moment would.
    """
    made = Rehearsal(count, threshold=threshold)
    session, asked = made.session, made.asked
    members = session.members
    completed = 0
    for dealing in subsets(members):
        gathering = Gathering(session, made.turn)
        for name in sorted(dealing):
            package = prepared(session, name, made.turn)
            gathering = server.receive_package(gathering, name, package)
        begun = server.start(gathering, asked)
        assert isinstance(begun, Aborted) == (len(dealing) < threshold)
        if isinstance(begun, Aborted):
            continue
        uploads = {name: made.upload(name, begun[0], begun[1][name]) for name in sorted(dealing)}
        for alive in subsets(tuple(sorted(dealing))):
            collecting = begun[0]
            for name in sorted(alive):
                collecting = server.receive_upload(collecting, name, uploads[name][1])
            closed = server.close(collecting)
            assert isinstance(closed, Aborted) == (len(alive) < threshold)
            if isinstance(closed, Aborted):
                continue
            states = {name: uploads[name][0] for name in alive}
            completed += opened_by_all_subsets(session, closed, states, asked)
    assert completed >= 1


def opened_by_all_subsets(
    session: Session,
    closed: tuple[server.Agreeing, bytes],
    states: Mapping[InstitutionId, Masked],
    asked: Asked,
) -> int:
    """How often a list of survivors was opened, over all who sign and all who reveal."""
    survive = survive_of(closed[1])
    signed = {
        name: client.agree(identity(name), session, state, survive)
        for name, state in states.items()
    }
    expected = plain_sum(sorted(states), asked, len(session.members))
    completed = 0
    for signing in subsets(tuple(sorted(states))):
        agreeing = closed[0]
        for name in sorted(signing):
            agreeing = server.receive_agreement(agreeing, name, signed[name][1])
        wanted = ask_shares(agreeing)
        assert isinstance(wanted, Aborted) == (len(signing) < session.threshold)
        if isinstance(wanted, Aborted):
            continue
        reveal = reveal_of(wanted[1])
        shares = {}
        for name, state in states.items():
            current = signed[name][0] if name in signing else state
            shares[name] = client.reveal(identity(name), session, current, reveal)[1]
        for revealing in subsets(tuple(sorted(states))):
            opening = wanted[0]
            for name in sorted(revealing):
                opening = receive_shares(opening, name, shares[name])
            found = open_sum(opening)
            assert isinstance(found, Opened) == (len(revealing) >= session.threshold)
            if isinstance(found, Opened):
                assert found.total.tolist() == expected
                completed += 1
    return completed


@pytest.mark.parametrize("bits", RING_BITS)
@pytest.mark.parametrize("count", [3, 5])
def test_the_sum_is_exact_in_every_ring_up_to_its_edge(count: int, bits: int) -> None:
    """The first number of all members together is the ring's largest, the second its least."""
    session, asked = session_of(count), ask((0, 0), 4, bits)
    share, rest = divmod(asked.ring.largest, count)
    packages = {name: prepared(session, name, asked.turn) for name in session.members}
    collecting, messages = starts(session, asked.turn, packages, asked)
    states = {}
    for at, name in enumerate(session.members):
        edge = share + (rest if at == 0 else 0)
        value = np.array([edge, -edge, at, -1 - at], dtype=np.int64)
        admitted = client.admit(
            identity(name),
            session,
            FLOOR,
            dealt(session, name, asked.turn),
            start_of(messages[name]),
            asked,
        )
        states[name], data = client.mask(identity(name), admitted, value)
        collecting = server.receive_upload(collecting, name, data)
    total = open_all(session, collecting, states)
    triangle = count * (count - 1) // 2
    largest = asked.ring.largest
    assert total.total.tolist() == [largest, -largest, triangle, -count - triangle]


def open_all(
    session: Session, collecting: Collecting, states: Mapping[InstitutionId, Masked]
) -> Opened:
    closed = server.close(collecting)
    assert not isinstance(closed, Aborted)
    agreeing, message = closed
    survive = survive_of(message)
    for name, state in states.items():
        _, data = client.agree(identity(name), session, state, survive)
        agreeing = server.receive_agreement(agreeing, name, data)
    asked = ask_shares(agreeing)
    assert not isinstance(asked, Aborted)
    opening, message = asked
    reveal = reveal_of(message)
    for name, state in states.items():
        _, data = client.reveal(identity(name), session, state, reveal)
        opening = receive_shares(opening, name, data)
    found = open_sum(opening)
    assert isinstance(found, Opened)
    return found


@pytest.mark.parametrize(("dim", "bits"), [(1, 16), (1, 64), (10_000_000, 24)])
def test_one_number_is_summed_and_ten_millions_are(dim: int, bits: int) -> None:
    """Where no coordinate is left out at the edges of the chunks that are masked at once."""
    world = World(session_of(3))
    found = world.sum_up((0, 0), dim, bits)
    vectors = [numbers(name, (0, 0), dim, bits, 3) for name in world.session.members]
    assert np.array_equal(found.total, vectors[0] + vectors[1] + vectors[2])
    numbers.cache_clear()


def test_a_member_that_was_away_for_turns_takes_part_again() -> None:
    world = World(session_of(5))
    away = world.session.members[2]
    expected = [5, 4, 4, 5]
    for index, survivors in enumerate(expected):
        desk = world.desk = Desk(world.session, (index, 0))
        there = [name for name in world.nodes if survivors == 5 or name != away]
        messages: Mapping[InstitutionId, bytes] = dict.fromkeys(there, desk.prepare())
        while not isinstance(desk.state, Opened):
            for name in there:
                desk.receive(name, world.nodes[name].receive(messages[name]))
            messages = desk.advance()
        assert desk.state.survivors == tuple(there)
        assert desk.state.total.tolist() == plain_sum(there, ask((index, 0)), 5)


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("members_too", [False, True])
def test_a_coordinator_that_forgets_everything_gets_the_exact_sum_with_fresh_packages(
    steps: int, members_too: bool
) -> None:
    """It restarts in each of its states, before or in the midst of what it waits for."""
    for received in (0, 1, 3):
        world = World(session_of(3))
        desk, seen = world.desk, []
        messages: Mapping[InstitutionId, bytes] = dict.fromkeys(world.nodes, desk.prepare())
        for step in range(steps + 1):
            seen.append(type(desk.state))
            for name in list(messages)[: received if step == steps else 3]:
                desk.receive(name, world.nodes[name].receive(messages[name]))
            if step < steps:
                messages = desk.advance()
        assert seen == [Gathering, Collecting, server.Agreeing, Opening, Opened][: steps + 1]
        desk.restart()
        if members_too:
            for node in world.nodes.values():
                node.restart()
        found = world.sum_up(desk.turn)
        assert desk.turn == (0, 1)
        assert found.total.tolist() == plain_sum(world.session.members, ask((0, 1)), 3)


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)])
def test_order_and_repetition_of_messages_change_nothing(order: tuple[int, ...]) -> None:
    """A second copy is refused and changes nothing; a member asked twice repeats itself."""
    world = World(session_of(5))
    desk = world.desk
    messages: Mapping[InstitutionId, bytes] = dict.fromkeys(world.nodes, desk.prepare())
    while not isinstance(desk.state, Opened):
        for at in order:
            name = world.session.members[at]
            reply = world.nodes[name].receive(messages[name])
            assert world.nodes[name].receive(messages[name]) == reply
            desk.receive(name, reply)
            before = desk.state
            with pytest.raises(PeerError):
                desk.receive(name, reply)
            assert desk.state is before
        messages = desk.advance()
    assert desk.state.total.tolist() == plain_sum(world.session.members, ask((0, 0)), 5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_sum_is_exact_however_shares_are_sealed(kind: Kind) -> None:
    world = World(session_of(5, kind=kind))
    found = world.sum_up((0, 0))
    assert found.total.tolist() == plain_sum(world.session.members, ask((0, 0)), 5)
