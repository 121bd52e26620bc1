"""The control of row 6: where half of the witnesses are a quorum, an old copy spends twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcredit.adapters.witness_folder import new_key
from tests.faults.checker import two_heads
from tests.faults.world import WitnessProcess, World, make_bank


@pytest.fixture
def four(tmp_path: Path, witnesses: list[WitnessProcess]) -> Iterator[World]:
    """A ledger of which two of four witnesses are a quorum."""
    for one in witnesses:
        one.forget()
    folder = tmp_path / "fourth"
    new_key(folder, "fourth.example/witness")
    watchers = [WitnessProcess(folder), *witnesses]
    make_bank(tmp_path / "bank", watchers)
    world = World(tmp_path, watchers)
    yield world
    watchers[0].end()
    for node in world.nodes:
        if not node.gone:
            node.kill()


def test_row_6_two_of_four_witnesses_are_no_quorum_and_the_checker_sees_what_comes_of_it(
    four: World,
) -> None:
    """The first two refuse the older copy; the last two were never asked, and sign for it."""
    older, newest = four.base / "older", four.base / "newest"
    shutil.copytree(four.bank, older)
    node = four.start()
    four.turn(node.ask)
    node.end()
    four.bank.rename(newest)
    older.rename(four.bank)
    four.forget_others()
    node = four.start()
    four.turn(node.ask)  # the same turn again, with other noise
    wrong = {one.partition(":")[0] for one in four.verdict(witnesses=4)}
    assert {"I3", "I4", "I9"} <= wrong
    assert len(two_heads([four.notes(), four.notes(newest)])) > 0
