"""A ledger that there are two of, and one that is gone."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from fedcredit.adapters.disk import sync_folder
from fedcredit.adapters.ledgers import open_store
from fedcredit.adapters.system import system_random, utc_now
from fedcredit.adapters.witness import HttpCourier
from fedcredit.adapters.witness_folder import add_ledger
from fedcredit.errors import IntegrityError
from fedcredit.federation.ledgers import policy_of
from fedcredit.ledger.entries import Note
from fedcredit.ledger.founding import draw_roles, found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.policy import WitnessKey
from fedcredit.ledger.quorum import Quorum
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.privacy.budget import Policy
from fedcredit.secagg.messages import Start, decode_request
from fedcredit.units import NanoRho
from tests.faults.checker import heads_of, two_heads
from tests.faults.world import ME, Refused, WitnessProcess, World, fedcredit
from tests.federation.driven import Driven, prepare
from tests.federation.made import QUERY


def test_row_7_of_two_copies_of_a_ledger_one_goes_on_and_the_other_stops(world: World) -> None:
    """Both are asked at once, each by a message of its own."""
    node = world.start()
    world.turn(node.ask)
    node.end()
    clone = world.base / "clone"
    shutil.copytree(world.bank, clone)
    nodes = {world.bank: world.start(), clone: world.start(folder=str(clone))}
    request = prepare(world.plan, (1, 0))
    others = world.others_say(dict.fromkeys(world.others, request))
    asked = {}
    for folder, one in nodes.items():
        package = one.ask("prepare", (1, 0), request)
        driven = Driven(world.plan, others | {ME: package}, (1, 0), QUERY)
        start = driven.starts[ME]
        assert isinstance(decode_request(start), Start)
        asked[folder] = one.tell("start", (1, 0), start)
    before, replies, refusals = len(world.sent()), {}, {}
    for folder, one in nodes.items():
        try:
            replies[folder] = one.hear(asked[folder])
        except Refused as problem:
            refusals[folder] = problem
    assert len(replies) == len(refusals) == 1
    assert len(world.sent()) == before + 1
    (stopped,) = refusals.values()
    assert stopped.status == 5
    assert "is not the one that its witnesses have seen" in stopped.said
    (winner,), (loser,) = replies, refusals
    assert len(two_heads([world.notes(winner), world.notes(loser)])) >= 1  # kept as evidence
    # A witness may have been shown the loser's alone, so they are not heard here.
    assert world.verdict(winner, witnesses=0) == []


def test_row_12_a_coordinator_that_shows_two_ledgers_is_found(
    tmp_path: Path, witnesses: list[WitnessProcess]
) -> None:
    """Each of two institutions witnesses another one; what they have kept is proof."""
    one, two = witnesses[:2]
    for each in (one, two):
        each.forget()
    none = NanoRho(0)
    caps = Policy(
        delta=1e-5,
        rho_cap=none,
        rho_local_cap=none,
        person_rho_cap=none,
        person_rho_local_cap=none,
    )
    policy = replace(
        policy_of(caps, utc_now()),
        quorum=1,
        beside_coordinator=1,
        witnesses=(WitnessKey(one.key, "institution"),),
    )
    roles, origin = draw_roles(system_random), f"centre.example/{os.getpid()}"
    for each in (one, two):
        add_ledger(each.folder, origin, VerifierKey(origin, PLAIN, roles.key.public))
    with open_store(tmp_path / "one") as store:
        found_ledger(
            store, roles, policy, utc_now, origin=origin, institution="centre", role="coordinator"
        )
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    heads = []
    for name, witness in (("one", one), ("two", two)):
        with open_store(tmp_path / name) as store:
            # The liar's own quorum: it sends each copy to the witness that shall see it.
            places = {one.key: witness.url}
            quorum = Quorum(HttpCourier(), places)
            ledger = Ledger(store, roles.key, quorum, utc_now)
            ledger.write(Note(text=f"what {name} is shown"))
            if name == "one":
                ledger.settle()
            else:
                with pytest.raises(Exception, match="no line of its key"):
                    ledger.settle()  # the second has signed, under a key that is not the first's
            heads += list(heads_of(store.notes()))[-1:]
    assert [head.size for head in heads] == [2, 2]
    pairs = two_heads([*one.seen(), *two.seen()])
    assert len(pairs) == 1
    assert {head.root for head in pairs[0]} == {head.root for head in heads}
    print("\nproof:", *(head.body.decode() for head in pairs[0]), sep="\n")
    # The same is found without anybody asking around, once the second copy meets the first's.
    with open_store(tmp_path / "two") as store:
        ledger = Ledger(store, roles.key, Quorum(HttpCourier(), {one.key: one.url}), utc_now)
        with pytest.raises(IntegrityError, match="has seen another ledger"):
            ledger.settle()
    assert len(two_heads([*one.seen(), *one.accused()])) == 1
    assert two_heads(one.seen()) == two_heads(two.seen()) == []  # neither is proof by itself


def restored(world: World, packed: Path) -> None:
    """The node's disk is lost, and its ledger restored from a bundle."""
    shutil.rmtree(world.bank / "ledger")
    shutil.rmtree(world.bank / "vault")
    (world.bank / "ledger").mkdir(mode=0o700)
    with ZipFile(packed) as file:
        for name in file.namelist():
            target = world.bank / "ledger" / name.rpartition("/")[2]
            target.write_bytes(file.read(name))
    sync_folder(world.bank / "ledger", os.fsync)


def test_row_58_a_ledger_restored_from_a_bundle_goes_on_from_its_witnessed_head(
    world: World,
) -> None:
    node = world.start()
    world.turn(node.ask)
    node.end()
    packed = world.base / "audit.zip"
    assert fedcredit("ledger", "bundle", world.bank, "-o", packed).status == 0
    lines = world.lines()
    restored(world, packed)
    assert world.lines() == lines
    world.turn(world.start().ask, (1, 0))
    assert world.verdict() == []


def test_row_58_a_ledger_restored_from_an_older_bundle_is_refused(world: World) -> None:
    node = world.start()
    world.turn(node.ask)
    packed = world.base / "audit.zip"
    assert fedcredit("ledger", "bundle", world.bank, "-o", packed).status == 0
    world.turn(node.ask, (1, 0))
    node.end()
    newest = world.base / "newest"
    shutil.copytree(world.bank, newest)
    size = len(world.kinds())
    restored(world, packed)
    with world.aside():
        with pytest.raises(Refused) as refused:
            world.turn(world.start().ask, (2, 0))
        assert refused.value.status == 5
        assert f"< {size}): refusing to spend" in refused.value.said
        assert world.sent() == []
    assert world.verdict(newest, witnesses=2) == []


def test_row_58_an_answer_that_went_with_the_disk_is_not_made_up(world: World) -> None:
    """The bundle holds no answers: a turn that was released is not released in another way."""
    node, said = world.start(), {}

    def say(kind: str, turn: tuple[int, int], data: bytes) -> bytes:
        said[kind] = data
        return node.ask(kind, turn, data)

    world.turn(say)
    node.end()
    packed = world.base / "audit.zip"
    assert fedcredit("ledger", "bundle", world.bank, "-o", packed).status == 0
    restored(world, packed)
    before = world.sent()
    for kind in ("start", "survive", "reveal"):
        with pytest.raises(Refused) as refused:
            world.start().ask(kind, (0, 0), said[kind])
        assert refused.value.status == 5
    assert sorted(world.sent()) == sorted(before)
    assert world.verdict() == []
