"""`fedcredit study`: its life by commands, at the coordinator and at a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedcredit.adapters.studies import PROGRESS, Studies, StudyState
from fedcredit.cli.main import main
from fedcredit.data.schema import write_schema
from tests.adapters.founded import found
from tests.adapters.test_folders import agree, table
from tests.federation.made import NAMES, SCHEMA, plan

ME = NAMES[0]
STUDY = """
name = "pilot"
purpose = "to show that it works"
learner = "scorecard"
schema = "schema.toml"
salt = "00000000000000000000000000000001"
seed = "00000000000000000000000000000002"
"""


@pytest.fixture
def centre(tmp_path: Path) -> Path:
    folder = agree(tmp_path / "centre", plan("scorecard"))
    (folder / "plan.json").unlink()
    (tmp_path / "study.toml").write_text(STUDY, "utf-8")
    (tmp_path / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
    return folder


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = agree(tmp_path / ME, plan("scorecard", retries=0))
    (folder / "node.toml").write_text(f'institution = "{ME}"\ntable = "table.csv"\n', "utf-8")
    (folder / "table.csv").write_text(table(200, 0), "utf-8")
    found(folder, ME, automatic=0.1)
    return folder


def propose(centre: Path) -> StudyState:
    assert main(["study", "propose", str(centre), str(centre.parent / "study.toml")]) == 0
    (state,) = Studies(centre).all()
    return state


def test_a_study_is_proposed_to_everybody_in_the_roster(
    centre: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = propose(centre)
    assert state.institutions == NAMES
    assert "put before 6 institutions" in capsys.readouterr().out
    assert main(["study", "propose", str(centre), str(centre.parent / "study.toml")]) == 1


def test_a_study_names_institutions_of_the_roster_only(centre: Path) -> None:
    more = "".join(
        f'[[institutions]]\nname = "{name}"\ntable = ""\n' for name in (*NAMES[:3], "stranger")
    )
    (centre.parent / "study.toml").write_text(STUDY + more, "utf-8")
    assert main(["study", "propose", str(centre), str(centre.parent / "study.toml")]) == 1
    assert main(["study", "propose", str(centre), str(centre.parent / "none.toml")]) == 1


def test_the_operator_sees_the_answers_and_starts(
    centre: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, studies = propose(centre), Studies(centre)
    assert main(["study", "start", str(centre), state.id]) == 1
    for name in NAMES[:5]:
        studies.answer(state, name, "approved", "good")
    assert main(["study", "start", str(centre), state.id[:4]]) == 0
    capsys.readouterr()
    assert main(["study", "show", str(centre), state.id]) == 0
    shown = capsys.readouterr().out
    assert "started" in shown
    assert f"{NAMES[5]:<24} has not answered" in shown
    assert main(["study", "list", str(centre)]) == 0
    assert "5 of 6 have approved, 5 are enough" in capsys.readouterr().out
    assert main(["study", "list", str(centre), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["studies"]
    assert (listed["id"], listed["state"]) == (state.id, "started")


def test_the_operator_stops_a_study_for_good(centre: Path) -> None:
    state = propose(centre)
    assert main(["study", "stop", str(centre), state.id, "--reason", "wrong schema"]) == 0
    assert Studies(centre).find(state.id).why == "wrong schema"
    assert main(["study", "start", str(centre), state.id]) == 1


def test_an_officer_sees_tries_approves_and_refuses(
    node: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "list", str(node)]) == 0
    assert "waiting" in capsys.readouterr().out
    assert main(["study", "show", str(node), ME[:3]]) == 0
    assert "this study at most" in capsys.readouterr().out
    before = (node / "ledger" / "ledger.jsonl").read_bytes()
    assert main(["study", "dryrun", str(node), ME]) == 0
    assert "nothing was charged, kept or sent" in capsys.readouterr().out
    assert (node / "ledger" / "ledger.jsonl").read_bytes() == before
    wrong = str(node / "keys" / "ledger.key")
    assert main(["study", "approve", str(node), "--officer", wrong]) == 5
    assert not (node / "approval.json").exists()
    assert main(["study", "refuse", str(node), ME, "--reason", "purpose"]) == 0
    capsys.readouterr()
    assert main(["study", "list", str(node), "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["studies"]
    assert listed["word"] == "refused"
    assert main(["study", "show", str(node), "no such study"]) == 1


def line(number: int, **changes: object) -> str:
    return json.dumps(
        {
            "answered": list(NAMES),
            "at": "2026-11-25T12:00:00Z",
            "attempt": 0,
            "epsilon": 0.5,
            "name": "histograms",
            "opened": True,
            "round": number,
            "rounds": 2,
            "troubles": {},
        }
        | changes
    )


def over(centre: Path, state: StudyState) -> Path:
    """A study that has been run: two rounds, one of them twice."""
    studies = Studies(centre)
    place = studies.place(state)
    lines = [
        line(1, opened=False, troubles={ME: "no answer"}, answered=list(NAMES[1:])),
        line(1, attempt=1),
        line(2),
    ]
    (place / PROGRESS).write_text("\n".join(lines) + "\n", "ascii")
    (place / "run").mkdir()
    (place / "run" / "metrics.json").write_text(
        '{"metrics": {"auc": 0.8, "auc_se": 0.01}}', "utf-8"
    )
    studies.move(state, "done")
    return place


def test_a_study_is_watched_to_its_end(centre: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = propose(centre)
    over(centre, state)
    capsys.readouterr()
    assert main(["study", "watch", str(centre), state.id]) == 0
    first, second, third, end = capsys.readouterr().out.splitlines()
    assert first.startswith("round 1 of 2  histograms")
    assert f"5 in ({ME}: no answer)" in first
    assert "NOT OPENED" in first
    assert "attempt 1" in second
    assert "6 in" in third
    assert "auc: 0.8" in end
    assert main(["study", "watch", str(centre), state.id, "--json"]) == 0
    *rounds, last = map(json.loads, capsys.readouterr().out.splitlines())
    assert [one["round"] for one in rounds] == [1, 1, 2]
    assert (last["state"], last["auc"]) == ("done", 0.8)
    assert 0.77 < last["auc_low"] < 0.8 < last["auc_high"] < 0.83


def test_a_study_that_was_stopped_is_said_with_a_status(centre: Path) -> None:
    state = propose(centre)
    Studies(centre).move(state, "stopped", "too few answered")
    assert main(["study", "watch", str(centre), state.id]) == 75


def test_the_result_is_copied_once(centre: Path, tmp_path: Path) -> None:
    state = propose(centre)
    out = str(tmp_path / "out")
    assert main(["study", "result", str(centre), state.id, "-o", out]) == 1
    over(centre, state)
    assert main(["study", "result", str(centre), state.id, "-o", out]) == 0
    assert (tmp_path / "out" / "metrics.json").exists()
    assert main(["study", "result", str(centre), state.id, "-o", out]) == 1
