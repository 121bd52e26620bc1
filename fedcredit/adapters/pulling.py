"""Fetching what several nodes have answered, so that none holds up another.

A node can say that its answer is there and never hand it over: whoever fetches it then waits
for minutes, and so does whatever came in the same call. Fetching each node's answer in a
call of its own costs a request a node at every look. So all are fetched together as long as
that goes well; while a fetch hangs, each node has one of its own, on a thread of its own. What
a fetch that hung still brings is taken, if anybody wants it by then.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition, Thread
from typing import Final, Generic, TypeAlias, TypeVar

import httpx

__all__ = ["Fetch", "Pull", "Pulled", "Pulls", "pull_in_turn"]

T = TypeVar("T")

_ALL: Final = 0  # stands for all nodes together; Flower's own numbers of nodes are others
_MOST_AT_ONCE: Final = 4  # of one node: it may have died and come back, and have a new answer
_PATIENCE_S: Final = 2.0
_MORE_S: Final = 0.3  # more for each message: an answer takes some 0.1 s to fetch
_LOG: Final = logging.getLogger("fedcredit.coordinator")

Fetch: TypeAlias = Callable[[Sequence[str]], Iterable[T]]
"""Fetches the answers to some messages, as far as they are there."""


@dataclass(frozen=True, slots=True)
class Pulled(Generic[T]):
    """What a look has brought.

    Attributes:
        answers: those that were there.
        hangs: a fetch of several nodes has begun to hang: what they answered may come late,
            and what they are asked anew, each is heard of by itself.
    """

    answers: tuple[T, ...]
    hangs: bool = False


Pull: TypeAlias = Callable[[Mapping[str, int]], Pulled[T]]
"""Is told which node each message was sent to, and looks for the answers. It raises
`httpx.HTTPError` where nobody's answer can be fetched; any other error belongs to one node's
answer: it is logged by its name, and there is no answer."""


class Pulls(Generic[T]):
    """A `Pull` with threads, and a bound on how many a node can hold."""

    def __init__(
        self, fetch: Fetch[T], patience_s: float = _PATIENCE_S, more_s: float = _MORE_S
    ) -> None:
        """Set up.

        Args:
            fetch: may be called from several threads at once.
            patience_s: how long a call waits for the fetches that it begins.
            more_s: how much longer for each message.
        """
        self._fetch, self._patience_s, self._more_s = fetch, patience_s, more_s
        self._changed = Condition()
        self._out: dict[str, int] = {}  # messages that a fetch is under way for, and its number
        self._busy: Counter[int] = Counter()
        self._begun = 0
        self._apart = False
        self._came: list[_Fetched[T]] = []

    def __call__(self, asked: Mapping[str, int]) -> Pulled[T]:
        """See `Pull`; one that hangs is waited for in the call that begins it, and no longer."""
        with self._changed:
            before = self._begun
            fresh = {name: node for name, node in asked.items() if name not in self._out}
            together = not (self._apart or self._out)
            for node, names in ({_ALL: [*fresh]} if together else _by_node(fresh)).items():
                if names and self._busy[node] < _MOST_AT_ONCE:
                    self._begin(node, names)
            ended = self._changed.wait_for(
                lambda: all(number <= before for number in self._out.values()),
                self._patience_s + self._more_s * len(fresh),
            )
            came, self._came = self._came, []
            if any(one.node == _ALL and one.problem is not None for one in came):
                self._apart = True  # whose answer it was is not known; the next one is
        return Pulled(_answers(came), hangs=together and not ended and len(set(fresh.values())) > 1)

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
    return lambda asked: Pulled(
        _answers([_fetched(fetch, node, names) for node, names in _by_node(asked).items()])
    )


@dataclass(frozen=True, slots=True)
class _Fetched(Generic[T]):
    """What one fetch has brought from a node, or what ended it."""

    node: int
    answers: tuple[T, ...] = ()
    problem: Exception | None = None


def _answers(came: Sequence[_Fetched[T]]) -> tuple[T, ...]:
    """What fetches have brought together."""
    for one in came:
        if isinstance(one.problem, httpx.HTTPError):
            raise one.problem
        if one.problem is not None:
            _LOG.warning("a node's answer cannot be read: %s", type(one.problem).__name__)
    return tuple(answer for one in came for answer in one.answers)


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
