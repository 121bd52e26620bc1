"""Fetching what several nodes have answered, each on a thread of its own.

A node can say that its answer is there and never hand it over: whoever fetches it then waits
for minutes. So no node's answer is fetched in one call with another's. A fetch that hangs is
left alone, and what it still brings is taken if anybody wants it by then.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Final, Generic, TypeAlias, TypeVar

import httpx

__all__ = ["Fetch", "Pull", "Pulls", "pull_in_turn"]

T = TypeVar("T")

_MOST_AT_ONCE: Final = 4  # of one node: it may have died and come back, and have a new answer
_LOG: Final = logging.getLogger("fedcredit.coordinator")
_PATIENCE_S: Final = 0.3  # a fetch that finds something or nothing takes some 10 ms

Fetch: TypeAlias = Callable[[Sequence[str]], Iterable[T]]
"""Fetches the answers to some messages, as far as they are there."""


Pull: TypeAlias = Callable[[Mapping[str, int]], list[tuple[int, T]]]
"""Is told which node each message was sent to, and gives the answers that are there and whose
they are. It raises `httpx.HTTPError` where nobody's answer can be fetched; any other error
belongs to one node's answer: it is logged by its name, and there is no answer."""


class Pulls(Generic[T]):
    """A `Pull` with a thread for each node, and a bound on how many it can hold."""

    def __init__(self, fetch: Fetch[T], patience_s: float = _PATIENCE_S) -> None:
        """Set up.

        Args:
            fetch: may be called from several threads at once.
            patience_s: how long a call waits for the fetches that it begins.
        """
        self._fetch, self._patience_s = fetch, patience_s
        self._changed = Condition()
        self._out: dict[str, int] = {}  # messages that a fetch is under way for, and its number
        self._busy: Counter[int] = Counter()
        self._begun = 0
        self._came: list[_Fetched[T]] = []

    def __call__(self, asked: Mapping[str, int]) -> list[tuple[int, T]]:
        """See `Pull`; one that hangs is waited for in the call that begins it, and no longer."""
        with self._changed:
            before = self._begun
            for node, names in _by_node(asked).items():
                fresh = [name for name in names if name not in self._out]
                if fresh and self._busy[node] < _MOST_AT_ONCE:
                    self._begin(node, fresh)
            self._changed.wait_for(
                lambda: all(number <= before for number in self._out.values()), self._patience_s
            )
            came, self._came = self._came, []
        return _answers(came)

    def _begin(self, node: int, names: Sequence[str]) -> None:
        """Begin a fetch."""
        self._begun += 1
        self._busy[node] += 1
        self._out |= dict.fromkeys(names, self._begun)
        # A daemon: the process need not wait for a node that lets it hang.
        Thread(target=self._run, args=(node, names), name=f"pull-{node}", daemon=True).start()

    def _run(self, node: int, names: Sequence[str]) -> None:
        """One fetch."""
        found = _fetched(self._fetch, node, names)
        with self._changed:
            for name in names:
                del self._out[name]
            self._busy[node] -= 1
            self._came.append(found)
            self._changed.notify_all()


def pull_in_turn(fetch: Fetch[T]) -> Pull[T]:
    """A `Pull` that fetches one after the other: for nodes of this process, which cannot hang.

    Args:
        fetch: see `Pulls`.
    """
    return lambda asked: _answers(
        [_fetched(fetch, node, names) for node, names in _by_node(asked).items()]
    )


@dataclass(frozen=True, slots=True)
class _Fetched(Generic[T]):
    """What one fetch has brought from a node, or what ended it."""

    node: int
    answers: tuple[T, ...] = ()
    problem: Exception | None = None


def _answers(came: Sequence[_Fetched[T]]) -> list[tuple[int, T]]:
    """What fetches have brought together."""
    for one in came:
        if isinstance(one.problem, httpx.HTTPError):
            raise one.problem
        if one.problem is not None:
            _LOG.warning("a node's answer cannot be read: %s", type(one.problem).__name__)
    return [(one.node, answer) for one in came for answer in one.answers]


def _by_node(asked: Mapping[str, int]) -> dict[int, list[str]]:
    """The messages to each node."""
    found: dict[int, list[str]] = {}
    for name, node in asked.items():
        found.setdefault(node, []).append(name)
    return found


def _fetched(fetch: Fetch[T], node: int, names: Sequence[str]) -> _Fetched[T]:
    """One fetch, whatever comes of it."""
    try:
        return _Fetched(node, tuple(fetch(names)))
    except Exception as problem:  # noqa: BLE001 - judged by whoever called, on another thread
        return _Fetched(node, (), problem)
