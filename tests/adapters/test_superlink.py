"""A SuperLink that is kept running: with programs that only sleep, and a Control API in memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListNodesResponse,
    ListRunsRequest,
    ListRunsResponse,
    RegisterNodeRequest,
    RegisterNodeResponse,
    StartRunRequest,
    StartRunResponse,
    StopRunRequest,
    StopRunResponse,
    UnregisterNodeRequest,
    UnregisterNodeResponse,
)
from flwr.proto.node_pb2 import NodeInfo
from flwr.proto.run_pb2 import Run, RunStatus
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import ApiErrorCode

from fedcredit.adapters import superlink
from fedcredit.adapters.fab import app_digest
from fedcredit.adapters.node_keys import new_node_key
from fedcredit.adapters.superlink import SuperLink
from fedcredit.errors import ConfigError, UnreachableError
from tests.adapters.made_fleet import refused
from tests.adapters.made_tls import certificates

SLEEPER = """#!/bin/sh
echo "$0" "$@"
env
exec sleep 600
"""


@dataclass
class FakeControl(ControlHttpClient):
    """What a SuperLink remembers, and a network that may be gone."""

    there: bool = True
    nodes: dict[bytes, int] = field(default_factory=dict)
    out: set[bytes] = field(default_factory=set)
    started: list[StartRunRequest] = field(default_factory=list)
    number: int = 0

    def forget(self) -> None:
        self.nodes, self.out = {}, set()

    def _begin(self) -> None:
        if not self.there:
            raise httpx.ConnectError("gone")

    def ListNodes(self, request: ListNodesRequest) -> ListNodesResponse:  # noqa: N802
        self._begin()
        kinds = ((self.nodes, "online"), (dict.fromkeys(self.out, 1), "unregistered"))
        return ListNodesResponse(
            nodes_info=[
                NodeInfo(node_id=node, public_key=key, status=kind)
                for some, kind in kinds
                for key, node in some.items()
            ]
        )

    def RegisterNode(self, request: RegisterNodeRequest) -> RegisterNodeResponse:  # noqa: N802
        self._begin()
        if request.public_key in self.out | set(self.nodes):
            raise refused(23)
        self.number += 1
        self.nodes[request.public_key] = self.number
        return RegisterNodeResponse(node_id=self.number)

    def UnregisterNode(  # noqa: N802
        self, request: UnregisterNodeRequest
    ) -> UnregisterNodeResponse:
        self._begin()
        (key,) = [key for key, node in self.nodes.items() if node == request.node_id]
        del self.nodes[key]
        self.out.add(key)
        return UnregisterNodeResponse()

    def StartRun(self, request: StartRunRequest) -> StartRunResponse:  # noqa: N802
        self._begin()
        self.started.append(request)
        return (
            StartRunResponse(run_id=len(self.started))
            if request.fab.content
            else (StartRunResponse())
        )

    def ListRuns(self, request: ListRunsRequest) -> ListRunsResponse:  # noqa: N802
        self._begin()
        if request.HasField("run_id") and request.run_id > len(self.started):
            raise refused(16)
        runs = {
            number: Run(
                run_id=number,
                fab_hash=one.fab.hash_str,
                pending_at=f"2026-01-0{number}",
                status=RunStatus(status="finished", sub_status="failed", details="why"),
            )
            for number, one in enumerate(self.started, start=1)
        }
        return ListRunsResponse(run_dict=runs)

    def StopRun(self, request: StopRunRequest) -> StopRunResponse:  # noqa: N802
        self._begin()
        return StopRunResponse(success=True)

    def close(self) -> None: ...


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> FakeControl:
    fake = FakeControl()
    monkeypatch.setattr(superlink, "_control", lambda *_: fake)
    return fake


def made(base: Path, database: Path | None = None) -> SuperLink:
    """A SuperLink whose programs sleep and write down what they are told."""
    programs = base / "bin"
    programs.mkdir()
    for name in ("flower-superlink", "flower-superexec"):
        (programs / name).write_text(SLEEPER, "utf-8")
        (programs / name).chmod(0o700)
    return SuperLink(
        base / "link",
        18000,
        certificates(base / "pki"),
        database=database,
        environment={"TOLD": "yes"},
        programs=programs,
    )


@pytest.fixture
def link(
    tmp_path: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SuperLink]:
    monkeypatch.setenv("A_SECRET", "passed on")
    monkeypatch.setenv("TZ", "UTC")
    with made(tmp_path) as one:
        yield one


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 30.0
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_flower_has_the_orders_that_are_given() -> None:
    """Private: the Control API's client, and two of its words."""
    names = ("ListNodes", "RegisterNode", "UnregisterNode", "StartRun", "ListRuns", "StopRun")
    assert all(callable(getattr(ControlHttpClient, name)) for name in names)
    assert "_client" in vars(ControlHttpClient("https://127.0.0.1:1"))
    assert (NodeStatus.ONLINE, NodeStatus.UNREGISTERED) == ("online", "unregistered")
    assert ApiErrorCode(23).name == "PUBLIC_KEY_ALREADY_IN_USE"
    assert ApiErrorCode(16).name == "RUN_ID_NOT_FOUND"


def test_the_superlink_asks_nodes_and_its_executor_who_they_are(
    link: SuperLink, tmp_path: Path
) -> None:
    until(lambda: "TOLD" in (tmp_path / "link" / "superexec.log").read_text("utf-8"))
    told = (tmp_path / "link" / "superlink.log").read_text("utf-8")
    command = told.splitlines()[0]
    secret = tmp_path / "link" / "superexec.secret"
    for words in (
        "--host 127.0.0.1 --port 18000",
        "--enable-supernode-auth",
        f"--isolation process --superexec-auth-secret-file {secret}",
        "--disable-runtime-dependency-installation",
    ):
        assert words in command
    assert "--database" not in command
    assert "--insecure" not in command
    assert f"--superexec-auth-secret-file {secret}" in (
        (tmp_path / "link" / "superexec.log").read_text("utf-8")
    )
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_bytes()) == 32
    assert (tmp_path / "link").stat().st_mode & 0o777 == 0o700


def test_the_programs_are_told_an_allow_list_of_the_environment(
    link: SuperLink, tmp_path: Path
) -> None:
    log = tmp_path / "link" / "superlink.log"
    until(lambda: "TOLD" in log.read_text("utf-8"))
    lines = log.read_text("utf-8").splitlines()[1:]
    told = dict(one.split("=", 1) for one in lines if "=" in one)
    assert "A_SECRET" not in told
    shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert set(told) - shell - {"LANG", "LC_ALL", "LC_CTYPE", "TMPDIR"} == {
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION",
        "FLWR_DISABLE_UPDATE_CHECK",
        "FLWR_HOME",
        "FLWR_LOG_LEVEL",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL",
        "FLWR_TELEMETRY_ENABLED",
        "HOME",
        "OMP_NUM_THREADS",
        "PATH",
        "TOLD",
        "TZ",
    }
    assert told["FLWR_TELEMETRY_ENABLED"] == "0"
    assert told["FLWR_DISABLE_UPDATE_CHECK"] == "1"
    assert told["HOME"] == str(tmp_path / "link")


def test_a_restart_brings_new_memory_and_the_same_keys(
    link: SuperLink, control: FakeControl, tmp_path: Path
) -> None:
    link.register("bank", new_node_key(tmp_path / "bank"))
    link.register("shop", new_node_key(tmp_path / "shop"))
    keys, before = set(control.nodes), link.pid
    control.forget()
    os.kill(before or 0, signal.SIGKILL)
    until(lambda: link.ready and link.pid != before)
    assert set(control.nodes) == keys
    assert link.nodes() == {"bank": True, "shop": True}


def test_a_superlink_is_not_ready_while_it_does_not_answer(
    link: SuperLink, control: FakeControl, tmp_path: Path
) -> None:
    control.there = False
    os.kill(link.pid or 0, signal.SIGKILL)
    time.sleep(1.0)
    assert not link.ready
    with pytest.raises(UnreachableError, match="does not answer"):
        link.register("bank", new_node_key(tmp_path / "bank"))
    control.there = True
    until(lambda: link.ready)
    assert link.nodes() == {"bank": True}, "the key counts once it answers"


def test_a_name_has_one_key(link: SuperLink, tmp_path: Path) -> None:
    line = new_node_key(tmp_path / "bank")
    link.register("bank", line)
    link.register("bank", line)
    with pytest.raises(ConfigError, match="'bank' has another key"):
        link.register("bank", new_node_key(tmp_path / "other"))


def test_a_key_that_is_taken_out_stays_out(
    link: SuperLink, control: FakeControl, tmp_path: Path
) -> None:
    line = new_node_key(tmp_path / "bank")
    link.register("bank", line)
    link.unregister("bank")
    link.unregister("nobody")
    assert (link.nodes(), control.nodes) == ({}, {})
    with pytest.raises(ConfigError, match="cannot come back"):
        link.register("bank", line)
    link.register("bank", new_node_key(tmp_path / "new"))
    assert link.nodes() == {"bank": True}


def test_a_key_is_taken_out_even_if_nobody_hears_it_at_once(
    link: SuperLink, control: FakeControl, tmp_path: Path
) -> None:
    link.register("bank", new_node_key(tmp_path / "bank"))
    control.there = False
    with pytest.raises(UnreachableError):
        link.unregister("bank")
    control.there = True
    os.kill(link.pid or 0, signal.SIGKILL)
    until(lambda: link.ready and not control.nodes)


def test_a_run_is_of_the_installed_app_and_told_its_folder(
    link: SuperLink, control: FakeControl
) -> None:
    number = link.run({"folder": "/a"})
    sent = control.started[0]
    assert (number, sent.fab.hash_str) == (1, app_digest())
    assert {name: one.string for name, one in sent.override_config.items()} == {"folder": "/a"}
    state = link.status(number)
    assert (state.digest, state.status, state.outcome, state.details) == (
        app_digest(),
        "finished",
        "failed",
        "why",
    )
    link.run({"folder": "/b"})
    assert [one.number for one in link.runs()] == [2, 1]
    assert link.stop(2)


def test_a_run_is_abandoned_once_its_executor_has_ended(link: SuperLink) -> None:
    run = link.run({"folder": "/somewhere"})
    assert not link.abandoned(run)
    pid = link._supervisor.pid("superexec")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: link.abandoned(run))
    until(lambda: link._supervisor.pid("superexec") is not None)
    assert not link.abandoned(link.run({"folder": "/somewhere"}))


def test_a_superlink_may_have_forgotten_a_run(link: SuperLink, control: FakeControl) -> None:
    assert (link.status(9).status, link.status(9).outcome) == ("finished", "forgotten")
    control.there = False
    with pytest.raises(UnreachableError, match="does not answer"):
        link.status(9)


def test_closing_ends_the_programs(tmp_path: Path, control: FakeControl) -> None:
    with made(tmp_path) as one:
        pid = one.pid
        assert pid is not None
        os.kill(pid, 0)
    assert one.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_closing_one_that_was_never_started_ends_its_connections(
    tmp_path: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(control, "close", lambda: closed.append(True))
    made(tmp_path).close()
    assert closed == [True]


def test_a_start_that_takes_too_long_leaves_nothing_behind(
    tmp_path: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(superlink, "_START_S", 0.3)
    control.there = False
    one = made(tmp_path)
    with pytest.raises(UnreachableError, match="did not answer within"):
        one.start()
    assert one.pid is None


def test_with_a_database_serverapps_outlive_their_superlink(
    tmp_path: Path, control: FakeControl
) -> None:
    with made(tmp_path, tmp_path / "state.db") as one:
        until(lambda: one._supervisor.pid("superexec") is not None)
        executor, before = one._supervisor.pid("superexec"), one.pid
        os.kill(before or 0, signal.SIGKILL)
        until(lambda: one.ready and one.pid != before)
        assert one._supervisor.pid("superexec") == executor
    assert "--database" in (tmp_path / "link" / "superlink.log").read_text("utf-8")


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path, control: FakeControl) -> None:
    (tmp_path / "link").write_text("a file", "utf-8")
    with pytest.raises(ConfigError, match="cannot be used"):
        made(tmp_path).start()
