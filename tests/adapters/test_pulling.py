"""Fetching from several nodes: whoever hangs is waited for by nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock

import httpx
import pytest

from fedcredit.adapters.pulling import Pull, Pulls, pull_in_turn

ASKED = {"a": 1, "b": 2, "c": 3}
LONG_S = 20.0


class Nodes:
    """Answers that are fetched by their names; some hang until they are let go."""

    def __init__(self, *hanging: str) -> None:
        self.hanging, self.go = set(hanging), Event()
        self.calls: list[tuple[str, ...]] = []
        self.problems: dict[str, Exception] = {}
        self.under_way = self.most = 0
        self._lock = Lock()

    def fetch(self, names: Sequence[str]) -> list[str]:
        with self._lock:
            self.calls.append(tuple(names))
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            for name in names:
                if name in self.hanging:
                    self.go.wait(LONG_S)
                if name in self.problems:
                    raise self.problems[name]
            return [name.upper() for name in names]
        finally:
            with self._lock:
                self.under_way -= 1

    @contextmanager
    def open(self) -> Iterator[Nodes]:
        try:
            yield self
        finally:
            self.go.set()


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG_S
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(params=[Pulls, pull_in_turn], ids=["threads", "in turn"])
def way(request: pytest.FixtureRequest) -> Callable[..., Pull[str]]:
    found: Callable[..., Pull[str]] = request.param
    return found


def test_each_nodes_answers_are_fetched_in_a_call_of_their_own(
    way: Callable[..., Pull[str]],
) -> None:
    nodes = Nodes()
    came = way(nodes.fetch)({"a": 1, "b": 2, "again": 1})
    assert sorted(came) == [(1, "A"), (1, "AGAIN"), (2, "B")]
    assert sorted(nodes.calls) == [("a", "again"), ("b",)]


def test_a_node_that_hangs_keeps_no_other_waiting_and_its_answer_comes_later() -> None:
    with Nodes("b").open() as nodes:
        pull = Pulls(nodes.fetch, patience_s=0.05)
        found = [pull(ASKED) for _ in range(3)]
        assert [("b",)] == [one for one in nodes.calls if "b" in one], "it is asked for once"
        assert {name for came in found for _, name in came} == {"A", "C"}
        nodes.go.set()
        until(lambda: nodes.under_way == 0)
        assert (2, "B") in pull({})


def test_the_way_without_threads_is_late_for_all() -> None:
    """The positive control: the same hanging node, and nobody's answer is there before its own."""
    with Nodes("b").open() as nodes:
        finished = Event()
        pull = pull_in_turn(nodes.fetch)

        def look() -> list[str]:
            pull(ASKED)
            finished.set()
            return []

        Pulls(lambda _: look(), patience_s=0.3)({"all": 0})
        assert not finished.is_set()
        assert ("c",) not in nodes.calls


def test_one_node_can_hold_a_few_threads_and_no_more() -> None:
    with Nodes(*(f"m{k}" for k in range(20))).open() as nodes:
        pull = Pulls(nodes.fetch, patience_s=0.01)
        for k in range(20):
            pull({f"m{k}": 1})
        assert nodes.most == 4
        assert pull({"other": 2}) or pull({"other": 2}), "another node has threads of its own"


def test_a_node_that_has_come_back_is_heard_while_its_old_answer_hangs() -> None:
    with Nodes("old").open() as nodes:
        pull = Pulls(nodes.fetch, patience_s=0.05)
        assert pull({"old": 1}) == []
        pull({"old": 1, "new": 1})
        until(lambda: ("new",) in nodes.calls)


def test_an_answer_that_cannot_be_read_is_its_nodes_alone(
    way: Callable[..., Pull[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged by the error's name: its text is the node's."""
    nodes = Nodes()
    nodes.problems["b"] = ValueError("income of Zebedee")
    assert sorted(way(nodes.fetch)(ASKED)) == [(1, "A"), (3, "C")]
    assert "ValueError" in caplog.text
    assert "Zebedee" not in caplog.text


def test_where_nothing_can_be_fetched_the_caller_is_told(way: Callable[..., Pull[str]]) -> None:
    nodes = Nodes()
    nodes.problems["b"] = httpx.ConnectError("refused")
    with pytest.raises(httpx.ConnectError):
        way(nodes.fetch)(ASKED)
