"""Fifty rounds while nodes are killed every few seconds, from a seed: `make chaos` runs it.

Five studies of ten rounds, one after the other. Each ends with the right sums, or stops
with a reason of its own; and what runs all the while neither grows nor forgets a file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.consortium.chaos import Chaos, Killer, Usage

STUDIES = 5
SEED = 20261
MOST_GROWTH = 24 << 20  # bytes, from the end of the first study to the end of the last
MOST_FILES = 8


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    with Chaos(tmp_path_factory.mktemp("kills")) as made:
        yield made


def test_fifty_rounds_survive_nodes_that_are_killed_all_the_time(world: Chaos) -> None:
    seen: list[dict[str, Usage]] = []
    states = []
    with Killer(world, SEED, (4.0, 12.0), spared="shop") as killer:
        for _ in range(STUDIES):
            study = world.propose(learner="boosting", retries=40, deadline_s=10.0, epsilon=2.0)
            world.begin(study)
            states.append(world.ended(study, 600.0).state)
            assert world.wrong(study) == []
            seen.append(world.usages("coordinator", "node-shop", "witness-bank"))
    sys.stdout.write(f"{states} with {len(killer.kills)} kills; {seen[0]} then {seen[-1]}\n")
    assert len(killer.kills) > 20
    assert states.count("done") >= STUDIES - 1
    for name, first in seen[0].items():
        assert seen[-1][name].resident - first.resident < MOST_GROWTH, (name, seen)
        assert seen[-1][name].files - first.files < MOST_FILES, (name, seen)
    world.whole_study()
