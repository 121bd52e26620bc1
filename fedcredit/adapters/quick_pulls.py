"""Makes Flower's grid look again soon for what a reply consists of.

A node announces a reply and then sends its parts, some hundredths of a second apart. A
grid that polls quickly sees many a reply before its parts, and then waits a whole second
before it looks again: a third of a round. Here it waits a twentieth, and gives a node that
announces a reply and never sends it a minute. What it changes is one
private name of flwr; tests/adapters/test_quick_pulls.py says what is expected of it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

# Before flwr: it switches off what flwr does when it is imported.
import fedcredit.adapters.envelopes  # noqa: F401 - for what it does

# isort: split
from flwr.supercore.inflatable import inflatable_utils
from flwr.superlink.grid import http_grid

__all__ = ["hasten_pulls"]

_FIRST_S: Final = 0.05
_LONGEST_S: Final = 0.5
_PATIENCE_S: Final = 60.0


def hasten_pulls() -> None:
    """From now on, in this process, every grid over HTTP looks for parts in this manner."""
    hasty = partial(
        inflatable_utils.pull_objects,
        initial_backoff=_FIRST_S,
        backoff_cap=_LONGEST_S,
        max_time=_PATIENCE_S,
    )
    setattr(http_grid, "pull_objects", hasty)  # noqa: B010 - a checker takes it for a mistake
