"""Fetching from several nodes: whoever hangs is waited for by nobody."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock

import httpx
import pytest

from fedcredit.adapters.pulling import Pull, Pulled, Pulls, pull_in_turn

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


def test_what_all_have_answered_is_fetched_in_one_call() -> None:
    nodes = Nodes()
    pull = Pulls(nodes.fetch)
    for _ in range(3):
        assert sorted(pull(ASKED).answers) == ["A", "B", "C"]
    assert nodes.calls == [("a", "b", "c")] * 3


def test_a_node_that_hangs_keeps_no_other_waiting_and_its_answer_comes_later() -> None:
    with Nodes("b").open() as nodes:
        pull = Pulls(nodes.fetch, 0.05, 0.0)
        assert pull(ASKED) == Pulled((), hangs=True)
        again = {f"{name} again": node for name, node in ASKED.items()}
        nodes.hanging.add("b again")
        found = pull(again)
        assert not found.hangs, "it is said once"
        assert sorted(found.answers) == ["A AGAIN", "C AGAIN"]
        assert pull(again).answers, "and again"
        assert sum("b again" in one for one in nodes.calls) == 1, "it is asked for once"
        nodes.go.set()
        until(lambda: nodes.under_way == 0)
        assert set(pull({}).answers) >= {"A", "B", "C", "B AGAIN"}
        assert sorted(pull(ASKED).answers) == ["A", "B", "C"]
        assert nodes.calls[-1] == ("a", "b", "c"), "together again"


def test_the_way_without_threads_is_late_for_all() -> None:
    """The positive control: the same hanging node, and nobody's answer is there before its own."""
    with Nodes("b").open() as nodes:
        finished = Event()
        pull = pull_in_turn(nodes.fetch)

        def look() -> list[str]:
            pull(ASKED)
            finished.set()
            return []

        Pulls(lambda _: look(), 0.3, 0.0)({"all": 1})
        assert not finished.is_set()
        assert ("c",) not in nodes.calls


def test_in_turn_each_node_has_a_call_of_its_own() -> None:
    nodes = Nodes()
    assert pull_in_turn(nodes.fetch)({"a": 1, "b": 2, "c": 1}) == Pulled(("A", "C", "B"))
    assert nodes.calls == [("a", "c"), ("b",)]


def test_one_node_can_hold_a_few_threads_and_no_more() -> None:
    with Nodes(*(f"m{k}" for k in range(20))).open() as nodes:
        pull = Pulls(nodes.fetch, 0.01, 0.0)
        for k in range(20):
            pull({f"m{k}": 1})
        assert nodes.most == 5, "one for all, and four of its own"
        until(lambda: pull({"other": 2}).answers == ("OTHER",))


def test_a_node_that_has_come_back_is_heard_while_its_old_answer_hangs() -> None:
    with Nodes("old").open() as nodes:
        pull = Pulls(nodes.fetch, 0.05, 0.0)
        assert pull({"old": 1}) == Pulled(()), "alone, it holds up nobody"
        pull({"old": 1, "new": 1})
        until(lambda: ("new",) in nodes.calls)


def test_an_answer_that_cannot_be_read_is_its_nodes_alone(
    way: Callable[..., Pull[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged by the error's name: its text is the node's."""
    nodes = Nodes()
    nodes.problems["b"] = ValueError("income of Zebedee")
    pull = way(nodes.fetch)
    pull(ASKED)
    assert sorted(pull(ASKED).answers) == ["A", "C"]
    assert "ValueError" in caplog.text
    assert "Zebedee" not in caplog.text


def test_where_nothing_can_be_fetched_the_caller_is_told(way: Callable[..., Pull[str]]) -> None:
    nodes = Nodes()
    nodes.problems["b"] = httpx.ConnectError("refused")
    with pytest.raises(httpx.ConnectError):
        way(nodes.fetch)(ASKED)
