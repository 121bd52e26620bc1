"""A coordinator's studies on the disk: states, answers, and who may change them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fedcredit.adapters.studies import Studies, StudyState, study_id
from fedcredit.data.schema import write_schema
from fedcredit.errors import ConfigError, LocalError
from tests.federation.made import NAMES, SCHEMA, plan


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    return Studies(tmp_path)


def proposed(studies: Studies, name: str = "one") -> StudyState:
    return studies.propose(plan(name=name), write_schema(SCHEMA), b"{}")


def test_a_study_is_named_by_its_plan_and_read_back(studies: Studies) -> None:
    state = proposed(studies)
    assert state.id == study_id(plan(name="one"))
    assert studies.all() == [studies.find(state.id[:3])] == [state]
    assert (studies.place(state) / "plan.json").exists()


def test_a_study_is_proposed_once(studies: Studies) -> None:
    proposed(studies)
    with pytest.raises(ConfigError, match="exists"):
        proposed(studies)


def test_answers_are_kept_and_changed_by_the_institutions_that_it_names(studies: Studies) -> None:
    state = proposed(studies)
    studies.answer(state, NAMES[0], "waiting", "")
    studies.answer(state, NAMES[1], "approved", "good")
    now = studies.answer(state, NAMES[0], "approved", "x" * 900)
    assert now.approved == 2
    assert len(studies.find(state.id).answers[NAMES[0]].note) == 500
    again = studies.answer(state, NAMES[1], "approved", "good")
    assert again.answers[NAMES[1]].at == now.answers[NAMES[1]].at
    with pytest.raises(ConfigError, match="does not name"):
        studies.answer(state, "stranger", "approved", "")


def test_a_study_starts_when_enough_have_approved(studies: Studies) -> None:
    state = proposed(studies)
    for name in NAMES[: state.threshold - 1]:
        studies.answer(state, name, "approved", "")
    with pytest.raises(ConfigError, match="it needs 5"):
        studies.move(state, "started")
    studies.answer(state, NAMES[5], "approved", "")
    assert studies.move(state, "started").state == "started"


@pytest.mark.parametrize("end", ["done", "stopped"])
def test_a_study_that_is_over_stays_over(studies: Studies, end: str) -> None:
    state = proposed(studies)
    studies.move(state, end, "why")  # type: ignore[arg-type] # both are states
    for state_ in ("started", "stopped" if end == "done" else "done"):
        with pytest.raises(ConfigError, match=f"is {end}"):
            studies.move(state, state_)


@pytest.mark.parametrize("name", ["", "zz", "0123456789abcdef"])
def test_a_name_that_fits_no_study_lists_those_that_there_are(studies: Studies, name: str) -> None:
    state = proposed(studies)
    with pytest.raises(ConfigError, match=state.id):
        studies.find(name)


def test_a_damaged_state_is_named(studies: Studies) -> None:
    state = proposed(studies)
    path = studies.place(state) / "state.json"
    for text in ("", "[]", '{"answers": 1}', json.dumps({"answers": {}})):
        path.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match=r"state\.json"):
            studies.all()


def test_answers_that_come_at_once_are_all_kept(studies: Studies) -> None:
    """Commands and the coordinator's own process take turns."""
    state = proposed(studies)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda name: studies.answer(state, name, "approved", ""), NAMES))
    assert studies.find(state.id).approved == len(NAMES)


def test_where_nothing_can_be_written_nothing_is_changed(tmp_path: Path) -> None:
    studies = Studies(tmp_path)
    state = proposed(studies)
    (studies.folder / "lock").mkdir()
    with pytest.raises(LocalError, match="cannot be written"):
        studies.move(state, "stopped")
