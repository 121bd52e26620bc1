"""An institution leaves while a study is under way: `make e2e-local`.

Four institutions of which one may be lost: one leaves and the study goes on, then another
one leaves and the next study stops by its own rule. What both have left is their ledgers.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcredit.adapters.ledgers import read_chain
from fedcredit.data.schema import write_schema
from fedcredit.ledger.entries import Note
from tests.consortium.people import BIN, ROOT
from tests.consortium.quick import Quick
from tests.federation.made import SCHEMA

STUDY = """
name = "{name}"
purpose = "to see who leaves"
learner = "scorecard"
schema = "schema.toml"
salt = "00000000000000000000000000000001"
seed = "00000000000000000000000000000002"
threshold = 3
colluders = 1
retries = 1
deadline_s = 6.0

[target]
epsilon = 1.0
"""
FIRST, SECOND = "bank-03", "bank-02"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quick]:
    base = tmp_path_factory.mktemp("leaving")
    (base / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
    with Quick(base, 4, 4) as made:
        yield made


def begun(world: Quick, name: str, approved: int) -> Path:
    """A study whose first round is over; its folder."""
    (world.base / "study.toml").write_text(STUDY.format(name=name), "utf-8")
    centre = str(world.centre)
    said = world.call("study", "propose", centre, str(world.base / "study.toml"))
    place = world.centre / "studies" / said.split()[0]
    state = place / "state.json"
    world.until(lambda: state.read_text("utf-8").count('"approved"') == approved)
    world.call("study", "start", centre, place.name)
    world.until(lambda: len(rounds(place)) > 0)
    return place


def rounds(place: Path) -> list[list[str]]:
    """Who was in each round."""
    path = place / "progress.jsonl"
    lines = path.read_text("ascii").splitlines() if path.exists() else []
    return [json.loads(one)["answered"] for one in lines]


def ended(world: Quick, place: Path) -> str:
    world.until(lambda: (place / "run").is_dir() or (place / "ended.txt").exists(), 300.0)
    return "done" if (place / "run").is_dir() else (place / "ended.txt").read_text("utf-8")


def notes(world: Quick) -> list[str]:
    entries = [one.entry for one in read_chain(world.centre / "ledger").written]
    return [one.text for one in entries if isinstance(one, Note)]


def status(*words: str) -> int:
    """Of a command, in a process of its own."""
    return subprocess.run(
        [BIN / "fedcredit", *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    ).returncode


def test_a_study_goes_on_without_an_institution_that_leaves(world: Quick) -> None:
    place, folder = begun(world, "goes on", 4), str(world.folder(FIRST))
    world.call("node", "leave", folder, "--reason", "merger")
    assert world.exit_status(f"node-{FIRST}") == 0, "its process has ended in good order"
    assert ended(world, place) == "done"
    found = rounds(place)
    assert found[0] == list(world.names), "the control: it was there before"
    assert found[-1] == [one for one in world.names if one != FIRST]
    assert status("node", "run", folder) == 1
    assert status("node", "status", folder) == 3
    shown = world.call("coordinator", "institutions", str(world.centre))
    assert "it left: merger" in shown


def test_a_study_that_is_left_by_too_many_stops_by_its_own_rule(world: Quick) -> None:
    place, folder = begun(world, "stops", 3), str(world.folder(SECOND))
    world.call("node", "leave", folder)
    assert "stopped in round" in ended(world, place)
    world.call("node", "leave", folder)


def test_the_coordinators_ledger_says_who_left_and_all_ledgers_hold(world: Quick) -> None:
    world.until(lambda: len(notes(world)) == 2)
    first, second = notes(world)
    assert first.endswith(f" {FIRST} leaves the consortium: merger")
    assert second.endswith(f" {SECOND} leaves the consortium")
    places = [str(world.folder(one)) for one in (*world.names, "coordinator")]
    bundle = str(world.base / "audit.zip")
    world.call("ledger", "bundle", *places, "-o", bundle)
    found = json.loads(world.call("ledger", "verify", bundle, "--json"))
    assert (found["verdict"], found["problems"]) == ("holds", [])
    assert len(found["ledgers"]) == 5
