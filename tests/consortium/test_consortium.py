"""A consortium as its people run it: our own commands, over TLS, one process each.

`make e2e-local` runs it: as root with a network namespace for each institution, and otherwise
with all on loopback. Nothing stands in for anything: the coordinator with its front and
its SuperLink, nodes, witnesses, enrolment by six words, a roster that members sign, a study
that one officer approves by hand, its result, and an auditor who checks all ledgers.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fedcredit.data.schema import write_schema
from tests.consortium.apart import Apart
from tests.consortium.people import Consortium
from tests.federation.made import SCHEMA

LOOPBACK = "0100007F"  # 127.0.0.1, as the kernel writes it

STUDY = """
name = "pilot"
purpose = "to show that it works"
learner = "scorecard"
schema = "schema.toml"
salt = "00000000000000000000000000000001"
seed = "00000000000000000000000000000002"
retries = 1
deadline_s = 60.0

[target]
epsilon = 1.0
"""


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Three institutions that have joined, signed the roster and run."""
    way = Apart if os.geteuid() == 0 else Consortium
    with way(tmp_path_factory.mktemp("consortium")) as made:
        yield made


@pytest.fixture(scope="module")
def study(consortium: Consortium) -> str:
    """A study that has been proposed, approved, started and watched to its end."""
    (consortium.base / "schema.toml").write_text(write_schema(SCHEMA), "utf-8")
    (consortium.base / "study.toml").write_text(STUDY, "utf-8")
    centre = str(consortium.centre)
    said = consortium.call("study", "propose", centre, str(consortium.base / "study.toml"))
    name = said.split()[0]

    def answers() -> dict[str, str]:
        (listed,) = json.loads(consortium.call("study", "list", centre, "--json"))["studies"]
        return {one: said["word"] for one, said in listed["answers"].items()}

    consortium.until(
        lambda: answers() == {"bank": "waiting", "shop": "approved", "telco": "approved"}
    )
    bank = consortium.folder("bank")
    shown = consortium.call("study", "show", str(bank), name)
    assert "to show that it works" in shown
    assert "this study at most" in shown
    consortium.call(
        "study", "approve", str(bank), name, "--officer", str(bank / "keys/officer.key"),
        "--note", "credit committee",
    )  # fmt: skip
    consortium.until(lambda: set(answers().values()) == {"approved"})
    consortium.call("study", "start", centre, name)
    watched = consortium.call("study", "watch", centre, name, "--json", timeout=300)
    lines = [json.loads(line) for line in watched.splitlines()]
    (consortium.base / "watched.json").write_text(json.dumps(lines), "utf-8")
    return name


def test_a_study_completes_and_everybody_was_in_every_round(
    consortium: Consortium, study: str
) -> None:
    lines = json.loads((consortium.base / "watched.json").read_text("utf-8"))
    *rounds, end = lines
    assert end["state"] == "done", consortium.logs()
    assert 0.5 < end["auc"] < 1.0
    assert end["auc_low"] < end["auc"] < end["auc_high"]
    assert len(rounds) >= 5
    assert all(one["answered"] == ["bank", "shop", "telco"] for one in rounds)
    assert rounds[-1]["epsilon"] <= 1.0


def test_members_fetch_what_was_published(consortium: Consortium, study: str) -> None:
    out = consortium.base / "fetched"
    consortium.call("study", "result", str(consortium.folder("shop")), study, "-o", str(out))
    assert {"report.html", "model.safetensors", "plan.json"} <= {one.name for one in out.iterdir()}


def test_an_auditor_checks_every_ledger(consortium: Consortium, study: str) -> None:
    places = [str(consortium.folder(name)) for name in ("bank", "shop", "telco")]
    bundle = consortium.base / "audit.zip"
    consortium.call("ledger", "bundle", *places, str(consortium.centre), "-o", str(bundle))
    found = json.loads(consortium.call("ledger", "verify", str(bundle), "--json"))
    assert (found["verdict"], found["problems"]) == ("holds", [])
    assert found["coordinator"]["matched"] == found["coordinator"]["receipts"] > 0
    approvals = {
        one["institution"]: one["plans"][0]["approved_by"]
        for one in found["ledgers"]
        if one["role"] == "institution"
    }
    assert approvals == {"bank": "officer", "shop": "policy", "telco": "policy"}


def test_a_doctor_finds_nothing_wrong(consortium: Consortium, study: str) -> None:
    for name in ("bank", "shop", "telco", "coordinator"):
        looked = json.loads(consortium.call("doctor", str(consortium.base / name), "--json"))
        assert looked["exit_status"] == 0
        checks = [one["check"] for one in looked["findings"]]
        assert {"name", "port", "tls", "membership", "clock", "ledger"} <= set(checks)
        assert checks.count("witness") == (3 if name == "coordinator" else 2)


def test_machines_see_how_a_node_and_the_coordinator_are(
    consortium: Consortium, study: str
) -> None:
    """Figures and logs of processes that run, and nothing of a row in either."""
    seen: dict[str, float] = {}
    for name in consortium.metrics:
        page = consortium.seen(name).splitlines()
        lines = [line.rpartition(" ") for line in page if line and not line.startswith("#")]
        seen |= {name: float(figure) for name, _, figure in lines}
    rounds = seen["fedcredit_coordinator_rounds_total"]
    assert seen["fedcredit_node_rounds_total"] == rounds >= 5
    assert seen['fedcredit_node_answers_total{stage="start"}'] >= rounds
    assert seen['fedcredit_node_answer_seconds_sum{stage="start"}'] > 0
    assert 0 < seen['fedcredit_node_epsilon_spent{figure="record"}'] <= 1.0
    assert seen["fedcredit_node_connected"] == 1
    for name in ("coordinator", "node-telco"):
        log = (consortium.base / f"{name}.log").read_text("utf-8").splitlines()
        assert log
        assert {"at", "event", "level", "logger"} == set(json.loads(log[0]))


def test_whoever_is_revoked_is_out(consortium: Consortium, study: str) -> None:
    centre, telco = str(consortium.centre), consortium.folder("telco")
    consortium.call("coordinator", "revoke", centre, "telco", "--reason", "merger")

    def troubled() -> bool:
        return "403" in json.loads((telco / "status.json").read_text("ascii"))["trouble"]

    consortium.until(troubled)


def test_every_service_listens_where_it_must_and_nowhere_else(consortium: Consortium) -> None:
    """One port for all, and a witness's for the others; Flower on loopback alone."""
    ours = {one for pid in consortium.pids() for one in listening(pid)}
    witnesses = {
        (in_hex(consortium.host_of(name)), consortium.ports[name]) for name in consortium.names
    }
    assert {one for one in ours if one[0] != LOOPBACK} - witnesses == {
        ("00000000", consortium.port)
    }
    assert witnesses < ours
    assert (LOOPBACK, consortium.superlink_port) in ours


def listening(pid: int) -> Iterator[tuple[str, int]]:
    """Addresses and ports that a process listens at, where it runs."""
    with suppress(FileNotFoundError):  # it has ended meanwhile
        sockets = {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").glob("*")}
        for line in Path(f"/proc/{pid}/net/tcp").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                address, port = fields[1].split(":")
                yield address, int(port, 16)


def in_hex(address: str) -> str:
    """As the kernel writes it."""
    return f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}"
