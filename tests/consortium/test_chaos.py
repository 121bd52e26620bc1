"""Faults of a consortium that runs: what is killed, cut off, full, unknown or too much to ask.

`make chaos` runs it. After each of them the study ends with the right sums or stops with a
reason of its own, nothing has left twice, every ledger holds, and the next study runs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.consortium.chaos import FAR, FULL, Chaos
from tests.consortium.traces import aborted, answered, survivors
from tests.superlink.made_link import echo_app


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chaos]:
    with Chaos(tmp_path_factory.mktemp("chaos")) as made:
        yield made


def test_row_13_nodes_that_are_killed_in_every_step_pay_once_and_come_back(world: Chaos) -> None:
    study = world.propose()
    place = world.begin(study)
    for page, name in (
        ("0000.00.packages", "bank"),
        ("0001.00.survivors", "shop"),
        ("0002.00.signed", FAR),
        ("0003.00.result", FULL),
    ):
        world.at(place, page)
        world.killed_and_back(f"node-{name}")
    assert world.ended(study).state == "done", world.logs()
    assert world.wrong(study) == []
    world.whole_study()


@pytest.mark.parametrize("page", ["packages", "survivors", "signed"])
def test_row_53_a_coordinator_that_is_killed_goes_on_where_it_stood(
    world: Chaos, page: str
) -> None:
    study = world.propose()
    place = world.begin(study)
    world.at(place, f"0001.00.{page}")
    world.killed_and_back("coordinator")
    assert world.ended(study).state == "done", world.logs()
    assert world.wrong(study) == []


@pytest.mark.parametrize(
    ("program", "pages"),
    [
        ("flwr-serverapp", ["0001.00.survivors"]),  # Flower notices after a minute
        ("flower-superlink", ["0000.00.packages", "0002.00.signed"]),
        ("flower-superexec", ["0001.00.packages"]),
    ],
)
def test_row_53_a_program_of_flower_that_is_killed_is_started_again(
    world: Chaos, program: str, pages: list[str]
) -> None:
    study = world.propose()
    place = world.begin(study)
    for page in pages:
        world.at(place, page)
        world.kill_program(program)
    assert world.ended(study, 300.0).state == "done", world.logs()
    assert world.wrong(study) == []


def test_row_52_a_node_that_hangs_is_left_out_and_comes_back(world: Chaos) -> None:
    study = world.propose()
    place = world.begin(study)
    world.at(place, "0000.00.result")
    with world.held("node-shop"):
        world.at(place, "0001.00.result")
    assert world.ended(study).state == "done", world.logs()
    assert "shop" not in survivors(place)[1]
    assert world.wrong(study) == []
    world.whole_study()


@pytest.mark.parametrize("way", ["both", "in", "out"])
def test_row_51_a_node_that_is_cut_off_is_left_out_and_comes_back(world: Chaos, way: str) -> None:
    study = world.propose()
    place = world.begin(study)
    world.at(place, "0000.00.result")
    with world.cut(way):
        world.at(place, "0001.00.result")
    assert world.ended(study).state == "done", world.logs()
    assert FAR not in survivors(place)[1]
    assert world.wrong(study) == []
    world.whole_study()


def test_row_51_a_line_that_comes_and_goes_holds_nobody_up_for_good(world: Chaos) -> None:
    study = world.propose()
    place = world.begin(study)
    world.at(place, "0000.00.packages")
    for _ in range(20):
        with world.cut("both"):
            time.sleep(0.3)
        time.sleep(0.7)
    assert world.ended(study).state == "done", world.logs()
    assert world.wrong(study) == []
    world.whole_study()


def test_row_16_a_node_whose_disk_is_full_says_nothing_until_there_is_room(world: Chaos) -> None:
    study = world.propose()
    place = world.begin(study)
    world.at(place, "0000.00.result")
    with world.full():
        world.at(place, "0002.00.result")
    assert world.ended(study).state == "done", world.logs()
    assert FULL not in survivors(place)[2]
    assert world.wrong(study) == []
    world.whole_study()


def test_row_56_without_a_quorum_of_witnesses_nothing_leaves(world: Chaos) -> None:
    """One witness that is gone is missed by nobody; with two gone, two ledgers have no quorum."""
    study = world.propose()
    place = world.begin(study)
    world.at(place, "0000.00.packages")
    world.kill("witness-bank")
    world.at(place, "0001.00.result")
    world.kill("witness-shop")
    world.until(lambda: len(aborted(place)) > 0)
    for name in ("bank", "shop"):
        world.run_witness(name)
    assert world.ended(study, 300.0).state == "done", world.logs()
    assert any({FAR, FULL}.isdisjoint(answered(place, turn)) for turn in aborted(place))
    assert world.wrong(study) == []
    world.whole_study()


def test_row_7_a_copy_of_a_node_takes_no_part_and_signs_nothing(world: Chaos) -> None:
    """While the first is there it is refused; when it is not, the copy's ledger is behind.

    A witness that was not asked of late may sign for the copy: no quorum, and proof of it.
    """
    study = world.propose()
    place = world.begin(study)
    world.at(place, "0000.00.result")
    copy = world.base / "copy"
    shutil.copytree(world.folder("bank"), copy)
    world.at(place, "0001.00.result")
    world.start("copy", "node", "run", str(copy))
    world.until(lambda: "refused by the SuperLink" in world.log("copy"))
    world.kill("node-bank")
    assert world.ended(study).state == "done", world.logs()
    world.end("copy")
    world.run_node("bank")
    assert all("bank" not in one for one in survivors(place)[3:])
    assert "refusing to spend" in world.log("copy")
    world.known = {one for one in world.wrong(study) if one.startswith("bank: I4: a head of ")}
    assert world.wrong(study) == []
    world.whole_study()


def test_row_35_a_node_takes_no_part_in_a_study_below_its_floor(world: Chaos) -> None:
    path = world.folder("bank") / "node.toml"
    before = path.read_text("utf-8")
    path.write_text(before.replace("[floor]", "[floor]\nfewest_honest = 3"), "utf-8")
    world.end("node-bank")
    world.run_node("bank")
    try:
        study = world.propose()
        place = world.begin(study)
        assert world.studies.find(study.id).answers["bank"].word == "refused"
        assert world.ended(study).state == "done", world.logs()
    finally:
        path.write_text(before, "utf-8")
        world.end("node-bank")
        world.run_node("bank")
    assert all("bank" not in one for one in survivors(place))
    assert not any(one.get("plan") == study.plan for one in world.charges("bank"))
    assert world.wrong(study) == []
    world.whole_study()


def test_row_50_a_run_of_another_app_is_answered_by_nobody(world: Chaos) -> None:
    """Whoever reaches the SuperLink's port can start a run; a node knows its app by its digest."""
    before = {name: world.lines(name) for name in world.names}
    folder = world.base / "second operator"
    folder.mkdir()
    asked = {"data": ["a"], "names": ["bank"], "deadline_s": 8.0}
    (folder / "ask.json").write_text(json.dumps(asked), "utf-8")
    with closing(world.link()) as link:
        run = link.run({"folder": str(folder)}, echo_app(b"# of a second operator"))
        world.until(lambda: link.status(run).status == "finished")
    assert json.loads((folder / "told.json").read_text("utf-8"))["heard"] == [{}]
    for name in world.names:
        assert "a run of another app than the one installed here" in world.log(f"node-{name}")
    assert before == {name: world.lines(name) for name in world.names}
    world.whole_study()


def test_row_18_whoever_is_revoked_is_out_and_the_others_go_on(world: Chaos) -> None:
    rest = [one for one in world.names if one != FAR]
    study = world.propose(names=rest)
    place = world.begin(study)
    world.at(place, "0000.00.result")
    world.call("coordinator", "revoke", str(world.centre), FAR, "--reason", "merger")
    assert world.ended(study).state == "done", world.logs()
    assert world.wrong(study) == []
    status = world.folder(FAR) / "status.json"
    world.until(lambda: "403" in json.loads(status.read_text("ascii"))["trouble"])
