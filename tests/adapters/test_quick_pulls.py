from __future__ import annotations

import inspect
import time
from collections.abc import Iterator

import pytest

from fedcredit.adapters.quick_pulls import hasten_pulls

# isort: split
from flwr.supercore.inflatable import inflatable_utils
from flwr.supercore.inflatable.inflatable_utils import ObjectUnavailableError
from flwr.superlink.grid import http_grid


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = vars(http_grid)["pull_objects"]
    vars(http_grid)["pull_objects"] = inflatable_utils.pull_objects  # other tests change it
    yield
    vars(http_grid)["pull_objects"] = before


def late(times: int) -> tuple[dict[str, bytes], float]:
    """Pull a part that is not there the first few times, as the grid does."""
    tries: list[str] = []

    def pull(name: str) -> bytes:
        tries.append(name)
        if len(tries) <= times:
            raise ObjectUnavailableError(name)
        return b"part"

    begun = time.monotonic()
    told = vars(http_grid)["pull_objects"](object_ids=["one"], pull_object_fn=pull)
    return told, time.monotonic() - begun


def test_a_grid_calls_the_name_that_is_changed_and_has_what_is_set() -> None:
    assert "pull_objects(" in inspect.getsource(http_grid.HttpGrid.pull_messages)
    names = inspect.signature(inflatable_utils.pull_objects).parameters
    assert {"initial_backoff", "backoff_cap", "max_time"} <= set(names)


def test_a_part_that_comes_a_little_later_is_had_a_little_later() -> None:
    told, seconds = late(1)
    assert told == {"one": b"part"}
    assert seconds > 0.75, "the control: flwr waits a second"
    hasten_pulls()
    told, seconds = late(1)
    assert told == {"one": b"part"}
    assert seconds < 0.5
