"""Witnesses that run for all tests of faults, and a world for each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.world import WitnessProcess, World, copied, make_bank, make_witnesses


@pytest.fixture(scope="session")
def witnesses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[WitnessProcess]]:
    found = make_witnesses(tmp_path_factory.mktemp("witnesses"))
    yield found
    for one in found:
        one.end()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, witnesses: list[WitnessProcess]) -> Path:
    """The folder of an institution that has just begun its ledger."""
    folder = tmp_path_factory.mktemp("template") / "bank"
    make_bank(folder, witnesses)
    return folder


@pytest.fixture
def fresh(
    tmp_path: Path, template: Path, witnesses: list[WitnessProcess]
) -> Iterator[Callable[[], World]]:
    """Makes one world after another; only the latest is used, and its witnesses know no other."""
    made: list[World] = []

    def end() -> None:
        for world in made:
            for node in world.nodes:
                if not node.gone:
                    node.kill()
            shutil.rmtree(world.base)
        made.clear()

    def make() -> World:
        end()
        base = tmp_path / "world"
        base.mkdir()
        made.append(copied(template, base, witnesses))
        return made[0]

    yield make
    end()


@pytest.fixture
def world(fresh: Callable[[], World]) -> World:
    return fresh()
