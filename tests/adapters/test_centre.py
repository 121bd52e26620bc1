"""The coordinator's day, without Flower: runs are numbers that end when a test says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcredit.adapters.centre import ENDED, TROUBLE, Centre
from fedcredit.adapters.studies import Studies, StudyState
from fedcredit.adapters.system import StandingClock
from fedcredit.data.schema import write_schema
from fedcredit.errors import UnreachableError
from tests.federation.made import NAMES, SCHEMA, plan


@dataclass
class Made:
    """Runs that go on until they are ended."""

    begun: list[str] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    stopped: list[int] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)
    down: bool = False

    def register(self, name: str, public_key: str) -> None:
        self.nodes[name] = public_key

    def unregister(self, name: str) -> None:
        del self.nodes[name]

    def run(self, config: Mapping[str, str]) -> int:
        if self.down:
            raise UnreachableError("no SuperLink", remedy="wait")
        self.begun.append(Path(config["folder"]).name)
        return len(self.begun)

    def over(self, number: int) -> bool:
        return number in self.ended

    def stop(self, number: int) -> bool:
        self.stopped.append(number)
        return True


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    return Studies(tmp_path)


def started(studies: Studies, name: str = "one") -> StudyState:
    state = studies.propose(plan(name=name), write_schema(SCHEMA), b"{}")
    for one in NAMES:
        studies.answer(state, one, "approved", "")
    return studies.move(state, "started")


def test_a_started_study_runs_and_is_done_when_its_run_folder_is_there(studies: Studies) -> None:
    state, runs = started(studies), Made()
    centre = Centre(studies, runs)
    for _ in range(3):
        centre.look()
    assert runs.begun == [state.id]
    (studies.place(state) / "run").mkdir()
    runs.ended.add(1)
    centre.look()
    assert studies.find(state.id).state == "done"
    centre.look()
    assert runs.begun == [state.id]


def test_a_study_that_only_was_proposed_does_not_run(studies: Studies) -> None:
    studies.propose(plan(), write_schema(SCHEMA), b"{}")
    runs = Made()
    Centre(studies, runs).look()
    assert runs.begun == []


def test_studies_run_one_after_the_other(studies: Studies) -> None:
    first, second, runs = started(studies, "one"), started(studies, "two"), Made()
    centre = Centre(studies, runs)
    centre.look()
    centre.look()
    assert len(runs.begun) == 1
    running = studies.find(runs.begun[0])
    (studies.place(running) / "run").mkdir()
    runs.ended.add(1)
    centre.look()
    centre.look()
    assert sorted(runs.begun) == sorted([first.id, second.id])


def test_a_run_that_dies_is_followed_by_another_of_the_same_study(studies: Studies) -> None:
    """After a killed ServerApp, a SuperLink that was started anew, or a restart of all."""
    state, runs, clock = started(studies), Made(), StandingClock()
    centre = Centre(studies, runs, clock)
    centre.look()
    runs.ended.add(1)
    centre.look()
    assert len(runs.begun) == 1, "it takes a breath"
    clock.wait(1.0)
    centre.look()
    Centre(studies, runs).look()
    assert runs.begun == [state.id] * 3
    assert studies.find(state.id).state == "started"


def test_a_study_whose_runs_all_die_at_once_is_given_up(studies: Studies) -> None:
    """An outage of minutes is waited out, and another study is not held up by it."""
    state, runs, clock = started(studies), Made(), StandingClock()
    centre = Centre(studies, runs, clock)
    (studies.place(state) / TROUBLE).write_text("no quorum of witnesses\n", "utf-8")
    for number in range(1, 2000):
        centre.look()
        runs.ended.add(number)
        clock.wait(1.0)
        if studies.find(state.id).state == "stopped":
            break
    assert (studies.find(state.id).state, len(runs.begun)) == ("stopped", 10)
    assert studies.find(state.id).why == "its runs came to nothing: no quorum of witnesses"
    assert clock.now() > 500.0


def test_a_study_in_trouble_lets_others_run(studies: Studies) -> None:
    first, runs = started(studies, "one"), Made()
    centre = Centre(studies, runs, StandingClock())
    centre.look()
    second = started(studies, "two")
    runs.ended.add(1)
    centre.look()
    assert runs.begun == [first.id, second.id]


def test_a_study_that_stops_by_its_own_rules_says_why(studies: Studies) -> None:
    state, runs = started(studies), Made()
    centre = Centre(studies, runs)
    centre.look()
    (studies.place(state) / ENDED).write_text("too few answered\n", "utf-8")
    runs.ended.add(1)
    centre.look()
    found = studies.find(state.id)
    assert (found.state, found.why) == ("stopped", "too few answered")


def test_a_person_stops_a_study_by_its_state(studies: Studies) -> None:
    state, runs = started(studies), Made()
    centre = Centre(studies, runs)
    centre.look()
    studies.move(state, "stopped", "enough")
    centre.look()
    assert runs.stopped == [1]
    centre.look()
    assert len(runs.begun) == 1


def test_without_a_superlink_a_study_waits(studies: Studies) -> None:
    state, runs = started(studies), Made(down=True)
    centre = Centre(studies, runs)
    centre.look()
    assert runs.begun == []
    runs.down = False
    centre.look()
    assert runs.begun == [state.id]


def test_members_are_let_in_changed_and_let_out(studies: Studies) -> None:
    runs = Made()
    centre = Centre(studies, runs)
    centre.admit({"a": "1", "b": "2"})
    centre.admit({"a": "1", "b": "3"})
    assert runs.nodes == {"a": "1", "b": "3"}
    centre.admit({"b": "3"})
    assert runs.nodes == {"b": "3"}
