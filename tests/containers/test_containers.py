"""A consortium in containers, from nothing to the auditor's verdict.

`make e2e` runs it: the compose file is brought up, five institutions enrol, one of them beside
a PostgreSQL database and one on Parquet, a study of nine rounds runs under secure aggregation
with ledgers and witnesses, the auditor's job checks all ledgers, and everything goes down.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.containers.brought_up import FOLDER, NAMES, ON_POSTGRES, Consortium

OURS = (*NAMES, *(f"{name}-witness" for name in NAMES), "coordinator", "auditor")
ALL = (*OURS, f"{ON_POSTGRES}-database")

STUDY = """
name = "{name}"
purpose = "to show that it works"
learner = "{learner}"
schema = "consumer.toml"
salt = "00000000000000000000000000000001"
seed = "00000000000000000000000000000002"
threshold = {threshold}
colluders = 1
retries = 1
deadline_s = {deadline_s}

[target]
epsilon = {epsilon}
"""
NODE = os.environ.get("FEDCREDIT_NODE", "node")
LEARNER = "neural" if NODE == "node-neural" else "boosting"
LOST = "telco"
THREE = ("direct-bank", "south-bank", LOST)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Five institutions that have joined, signed the roster and run."""
    with Consortium(tmp_path_factory.mktemp("containers")) as made:
        yield made


@pytest.fixture(scope="module")
def watched(consortium: Consortium) -> list[dict[str, object]]:
    """What is seen of a study, which has been proposed, approved, started and watched."""
    schema = (consortium.base / "made-up/consumer.toml").read_text("utf-8")
    consortium.write("coordinator", f"{FOLDER}/consumer.toml", schema)
    terms = {"learner": LEARNER, "threshold": 4, "deadline_s": 60.0, "epsilon": 1.0}
    name = propose(consortium, STUDY.format(name="pilot", **terms))
    wanted = {one: "waiting" if one == ON_POSTGRES else "approved" for one in NAMES}
    consortium.until(lambda: answers(consortium, name) == wanted)
    consortium.call(
        ON_POSTGRES, "study", "approve", FOLDER, name, "--officer", f"{FOLDER}/keys/officer.key",
        "--note", "credit committee",
    )  # fmt: skip
    return run(consortium, name)


def propose(consortium: Consortium, text: str) -> str:
    """Put a study before its institutions; its id."""
    consortium.write("coordinator", f"{FOLDER}/study.toml", text)
    return consortium.call(
        "coordinator", "study", "propose", FOLDER, f"{FOLDER}/study.toml"
    ).split()[0]


def listed(consortium: Consortium, study: str) -> dict[str, Any]:
    """What the coordinator says of it."""
    found = json.loads(consortium.call("coordinator", "study", "list", FOLDER, "--json"))
    (one,) = [one for one in found["studies"] if one["id"].startswith(study)]
    return dict(one)


def answers(consortium: Consortium, study: str) -> dict[str, str]:
    """What each institution has said to it."""
    return {one: said["word"] for one, said in listed(consortium, study)["answers"].items()}


def approved(consortium: Consortium, study: str) -> bool:
    """Whether all of its institutions have."""
    wanted = listed(consortium, study)["institutions"]
    return answers(consortium, study) == dict.fromkeys(wanted, "approved")


def run(consortium: Consortium, study: str, *, status: int = 0) -> list[dict[str, object]]:
    """Start a study that everybody has approved, and watch it to its end."""
    consortium.until(partial(approved, consortium, study))
    consortium.call("coordinator", "study", "start", FOLDER, study)
    told = consortium.call(
        "coordinator", "study", "watch", FOLDER, study, "--json", timeout_s=400, status=status
    )
    return [json.loads(line) for line in told.splitlines()]


def test_every_service_says_that_it_is_healthy(consortium: Consortium) -> None:
    assert set(consortium.services()) == set(ALL)
    for service in ALL:
        if service != "auditor":
            consortium.until(partial(consortium.healthy, service))


def test_nobody_is_root_and_no_root_file_system_can_be_written(consortium: Consortium) -> None:
    for service in ALL:
        container = consortium.container(service)
        if service == "auditor" and not consortium.running(service):
            continue
        assert consortium.podman("exec", container, "id", "-u").strip() != "0", service
        assert consortium.status("exec", container, "touch", "/srv/new") != 0, service
        assert consortium.status("exec", container, "touch", "/usr/new") != 0, service
        scratch = "/tmp/new"
        assert consortium.status("exec", container, "touch", scratch) == 0, "the control"


def test_a_study_of_nine_rounds_completes(watched: list[dict[str, object]]) -> None:
    *rounds, end = watched
    assert end["state"] == "done", end
    assert len(rounds) >= 9
    assert all(one["answered"] == sorted(NAMES) for one in rounds)
    assert isinstance(end["auc"], float)
    assert end["auc"] > 0.6


def test_with_a_threshold_of_four_one_of_five_may_be_lost(
    consortium: Consortium, watched: list[dict[str, object]]
) -> None:
    terms = {"learner": "scorecard", "threshold": 4, "deadline_s": 15.0, "epsilon": 0.2}
    name = propose(consortium, STUDY.format(name="one is lost", **terms))
    consortium.until(partial(approved, consortium, name))
    with consortium.lost(LOST):
        *rounds, end = run(consortium, name)
    assert end["state"] == "done", end
    assert all(one["answered"] == sorted(set(NAMES) - {LOST}) for one in rounds)


def test_with_a_threshold_of_three_a_lost_one_of_three_stops_the_study(
    consortium: Consortium, watched: list[dict[str, object]]
) -> None:
    """Nothing is opened, and with everybody back the next study completes."""
    terms = {"learner": "scorecard", "threshold": 3, "deadline_s": 10.0, "epsilon": 0.2}
    three = "".join(f'[[institutions]]\nname = "{one}"\ntable = ""\n' for one in THREE)
    name = propose(consortium, STUDY.format(name="three", **terms) + three)
    consortium.until(partial(approved, consortium, name))
    with consortium.lost(LOST):
        *rounds, end = run(consortium, name, status=75)
    assert end["state"] == "stopped"
    assert "stopped in round 1 of" in str(end["why"])
    assert not any(one["opened"] for one in rounds)
    name = propose(consortium, STUDY.format(name="all three", **terms) + three)
    *rounds, end = run(consortium, name)
    assert end["state"] == "done", end
    assert all(one["answered"] == sorted(THREE) for one in rounds)


def test_the_auditors_job_verifies_every_ledger(
    consortium: Consortium, watched: list[dict[str, object]]
) -> None:
    found = consortium.audit()
    assert (found["verdict"], found["problems"]) == ("holds", [])
    assert isinstance(found["ledgers"], list)
    assert len(found["ledgers"]) == len(NAMES) + 1


def test_a_role_that_may_write_is_refused_by_the_node(
    consortium: Consortium, watched: list[dict[str, object]]
) -> None:
    listed = json.loads(consortium.call(ON_POSTGRES, "study", "list", FOLDER, "--json"))
    dryrun = (ON_POSTGRES, "study", "dryrun", FOLDER, listed["studies"][0]["id"])
    consortium.call(*dryrun)  # the control
    consortium.ask_database("grant update on loans to fedcredit")
    with pytest.raises(AssertionError, match="the role that reads it may change tables"):
        consortium.call(*dryrun)
    consortium.ask_database("revoke update on loans from fedcredit")
    consortium.write(
        ON_POSTGRES, f"{FOLDER}/keys/dsn", "postgresql://fedcredit:wrong@north-bank-database/bank"
    )
    with pytest.raises(AssertionError, match="does not answer, or refuses the role") as refused:
        consortium.call(*dryrun)
    assert "wrong" not in str(refused.value)


def test_keys_are_files_for_their_owners_eyes(consortium: Consortium) -> None:
    for service in (*NAMES, "coordinator"):
        found = consortium.podman(
            "exec", consortium.container(service), "find", FOLDER, "-name", "*.key",
            "-perm", "/077",
        )  # fmt: skip
        assert found == "", service


def test_a_node_reaches_its_coordinator_and_witnesses_and_nothing_else(
    consortium: Consortium,
) -> None:
    """By name and by address, for a name could be missing and the address still answer."""
    for name in NAMES:
        assert consortium.reaches(name, "coordinator", 8443)
        for other in NAMES:
            assert consortium.reaches(name, f"{other}-witness", 8470)
    database = consortium.addresses(f"{ON_POSTGRES}-database")
    assert consortium.reaches(ON_POSTGRES, database[0], 5432), "the control"
    for name in set(NAMES) - {ON_POSTGRES}:
        assert not consortium.reaches(name, f"{ON_POSTGRES}-database", 5432)
        assert not consortium.reaches(name, database[0], 5432)
        for other in set(NAMES) - {name}:
            assert not consortium.resolves(name, other)
    assert not consortium.reaches(ON_POSTGRES, "192.0.2.1", 443), "nothing outside"


def test_torch_is_in_the_image_for_networks_and_in_no_other(consortium: Consortium) -> None:
    """Whichever images there are; where that one is built, its node is whole."""
    ours = ("--filter", "reference=localhost/fedcredit-*", "--format", "{{.Repository}}")
    listed = set(consortium.podman("images", *ours).split()) - {"localhost/fedcredit-database"}
    assert {f"localhost/fedcredit-{one}" for one in ("node", "coordinator", "scoring")} < listed
    alone = ("run", "--rm", "--network=none", "--read-only", "--entrypoint", "python")
    for image in listed:
        neural = image.endswith("-neural")
        assert (consortium.status(*alone, image, "-c", "import torch") == 0) == neural, image
        if neural:
            assert consortium.status(*alone, image, "-c", "import opacus, flwr, fedcredit") == 0


def test_no_image_holds_what_it_does_not_need(consortium: Consortium) -> None:
    """No pip, no compiler, torch for networks alone; an auditor has the one file of ours."""
    for service in {consortium.image(one): one for one in OURS}.values():
        inside = consortium.podman(
            "run", "--rm", "--network=none", "--entrypoint", "sh",
            consortium.image(service), "-c",
            "command -v pip pip3 gcc cc make curl; "
            'for one in pip torch flwr fedcredit; do python -c "import $one" 2>/dev/null '
            "&& echo $one; done; true",
        ).split()  # fmt: skip
        expected = [] if service == "auditor" else ["flwr", "fedcredit"]
        if service in NAMES and NODE == "node-neural":
            expected = ["torch", *expected]
        assert inside == expected, service
