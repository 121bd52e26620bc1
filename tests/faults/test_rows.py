"""Faults of one institution with real processes: those that take a moment."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.faults.checker import two_heads
from tests.faults.world import Refused as Said
from tests.faults.world import World


def test_row_6_a_ledger_that_was_put_back_is_refused_and_nothing_leaves(world: World) -> None:
    node = world.start()
    world.turn(node.ask)
    node.end()
    older, newest = world.base / "older", world.base / "newest"
    shutil.copytree(world.bank, older)
    node = world.start()
    world.turn(node.ask, (1, 0))
    node.end()
    size = len(world.kinds())
    world.bank.rename(newest)
    older.rename(world.bank)
    shown = set()
    with world.aside() as evidence:
        for attempt in range(1, 4):  # each restart burns and charges, so it catches up in size
            node = world.start()
            with pytest.raises(Said) as refused:
                world.turn(node.ask, (1, attempt))
            assert refused.value.status == 5
            behind = re.search(r"behind the witness \S+ \((\d+) < (\d+)\)", refused.value.said)
            if len(world.kinds()) < size:
                assert behind
                assert [int(one) for one in behind.groups()] == [len(world.kinds()), size]
                shown.add("behind")
            else:
                assert "has seen another ledger than this one" in refused.value.said
                shown.add("other")
        assert world.sent() == []
        assert [one.kind for one in evidence.captures] == ["prepare"] * 3
    assert shown == {"behind", "other"}
    shutil.rmtree(world.bank)
    newest.rename(world.bank)
    world.turn(world.start().ask, (2, 0))
    assert world.verdict(witnesses=2) == []
    # The third was never asked before, since two are a quorum: what it signed is proof.
    assert len(two_heads([world.notes(), *world.witnesses[2].seen()])) == 1


def test_row_8_one_process_at_a_time_has_the_ledger_and_a_stale_lock_holds_nobody(
    world: World,
) -> None:
    first = world.start()
    with pytest.raises(Said) as refused:
        world.start()
    assert refused.value.status == 5
    assert f"open in another process (pid {first.process.pid})" in refused.value.said
    first.kill()
    assert (world.bank / "ledger" / "lock").read_text("ascii") == f"{first.process.pid}\n"
    world.turn(world.start().ask)
    assert world.verdict() == []


@pytest.mark.parametrize(
    ("point", "burned"),
    [
        ("half append of charge", 0),
        ("after the quorum of charge", 1),
        ("after the measurement", 1),
        ("after reply kept", 1),
        ("after append of release", 0),
        ("before start is sent", 0),
        ("after start is sent", 0),
    ],
)
def test_row_13_a_killed_process_goes_on_and_pays_for_what_it_lost(
    point: str, burned: int, world: World
) -> None:
    """Killed before its charge is written, it has lost nothing; before its release, the charge."""
    _, attempt = world.persist(world.start(die=point))
    assert [one.status for one in world.evidence.ended if one.status < 0] == [-9]
    assert attempt == burned
    kinds = world.kinds()
    assert kinds.count("burn") == burned
    assert kinds.count("charge") == kinds.count("release") + burned
    assert world.verdict() == []
