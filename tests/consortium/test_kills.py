"""A study of fifty rounds while nodes are killed every few seconds, from a seed: `make chaos`.

It ends with the right sums within the retries that its plan declares, or stops with a reason
of its own; and what runs all the while neither grows nor forgets a file.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Self

import numpy as np
import pytest

from tests.consortium.chaos import Chaos, Usage
from tests.consortium.traces import aborted, survivors

SEED = 20261
RETRIES = 50  # with the rounds, as many as an institution agrees to unless it says more
WARM = 10  # rounds until everything that is loaded once has been loaded
MOST_GROWTH = 24 << 20  # bytes, from there to the end
MOST_FILES = 8


class Killer:
    """Kills nodes now and then, from a seed, and starts them again."""

    def __init__(self, world: Chaos, seed: int, pause_s: tuple[float, float], spared: str) -> None:
        self.world, self.draw, self.pause_s = world, np.random.default_rng(seed), pause_s
        self.names = [one for one in world.names if one != spared]
        self.kills: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(float(self.draw.uniform(*self.pause_s))):
            name = str(self.draw.choice(self.names))
            self.kills.append(name)
            self.world.killed_and_back(f"node-{name}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    with Chaos(tmp_path_factory.mktemp("kills")) as made:
        yield made


def test_fifty_rounds_survive_nodes_that_are_killed_all_the_time(world: Chaos) -> None:
    watched = ("coordinator", "node-shop", "witness-bank")
    with Killer(world, SEED, (1.0, 4.0), spared="shop") as killer:
        study = world.propose(learner="boosting-45", retries=RETRIES, deadline_s=10.0, epsilon=2.0)
        place = world.begin(study)
        world.until(lambda: len(survivors(place)) >= WARM, 300.0)
        first: dict[str, Usage] = world.usages(*watched)
        end = world.ended(study, 1200.0)
        last = world.usages(*watched)
    rounds, again = len(survivors(place)), len(aborted(place))
    sys.stdout.write(
        f"{end.state}: {rounds} rounds, {again} tried again, {len(killer.kills)} kills\n"
    )
    sys.stdout.write(f"{first} then {last}\n")
    assert len(killer.kills) > 20
    assert world.wrong(study) == []
    assert end.state == "done", end.why
    assert rounds == 50
    assert again <= RETRIES
    for name, usage in first.items():
        assert last[name].resident - usage.resident < MOST_GROWTH, (name, first, last)
        assert last[name].files - usage.files < MOST_FILES, (name, first, last)
    world.whole_study()
