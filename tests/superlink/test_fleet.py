"""Our own nodes at a real SuperLink with TLS: what they answer, refuse and outlive.

The programs are Flower's own; only the coordinator's app is made for the tests. `make
superlink` runs them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from ast import literal_eval
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.proto.fleet_pb2 import PushMessagesRequest
from flwr.proto.message_pb2 import PushObjectRequest

from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.fleet_calls import DroppedError, HttpsLine, Session
from fedcredit.adapters.node_keys import new_node_key
from fedcredit.adapters.superlink import SuperLink
from fedcredit.errors import ConfigError, UnreachableError
from fedcredit.federation.addressed import TURN
from tests.adapters.made_tls import certificates
from tests.superlink.made_link import (
    NAMES,
    ROOT,
    conduct,
    echo,
    echo_app,
    federation,
    free_port,
    line,
    until,
)

MOST_MEMORY = 150_000_000
DEADLINE_S = 12.0

NODE = """
import sys
from pathlib import Path
from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.fleet_calls import HttpsLine
import fedcredit.adapters.folders
from tests.superlink.made_link import echo, echo_app
address, root, key, name = sys.argv[1:]
line = HttpsLine(address=address, root=Path(root), key=Path(key))
FleetNode(line, echo(name), digest=echo_app().digest).run()
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def link(base: Path) -> Iterator[SuperLink]:
    """A SuperLink with three nodes, which all tests of the module share."""
    with federation(base) as (one, _):
        yield one


def test_three_nodes_answer_every_trip(base: Path, link: SuperLink) -> None:
    seconds, heard = conduct(base, link, ["a", "b", "c"])
    assert heard == [dict.fromkeys(NAMES, word) for word in "ABC"]
    assert len(seconds) == 3
    assert [one.outcome for one in link.runs()] == ["completed"]


def test_a_node_that_dies_in_the_middle_of_an_answer_holds_up_no_other(
    base: Path, link: SuperLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer's head is there and the parts never come: the SuperLink has them waited for."""
    call, turn = Session._call, threading.Event()

    def dying(self: Session, send: Callable[[object], object], request: object) -> object:
        if threading.current_thread().name == "telco":
            if isinstance(request, PushMessagesRequest):
                kind = request.messages_list[0].metadata.message_type
                (turn.set if kind == TURN else turn.clear)()
            if isinstance(request, PushObjectRequest) and turn.is_set():
                raise DroppedError("the process was killed")
        return call(self, send, request)

    monkeypatch.setattr(Session, "_call", dying)
    seconds, heard = conduct(base, link, ["one", "two"], deadline_s=DEADLINE_S)
    assert heard == [dict.fromkeys(NAMES[:2], word) for word in ("ONE", "TWO")]
    assert all(DEADLINE_S <= one < DEADLINE_S + 5 for one in seconds), "given up at the deadline"


def test_a_run_of_another_app_is_refused_by_every_node(base: Path, link: SuperLink) -> None:
    """Even the question who they are: so nobody is heard at all."""
    other = echo_app(b"# one byte more")
    assert other.digest != echo_app().digest
    _, heard = conduct(base, link, ["a"], app=other, deadline_s=8.0)
    assert heard == [{}]


@pytest.fixture(scope="module", params=["ours", "stock"])
def kind(request: pytest.FixtureRequest, base: Path, link: SuperLink) -> Iterator[str]:
    """One more node: either a process of ours, or flower-supernode as it is."""
    name = str(request.param)
    link.register(name, new_node_key(base / f"{name}.key"))
    root = str(base / "pki" / "root.pem")
    if name == "ours":
        command = [sys.executable, "-c", NODE, link.address, root, str(base / "ours.key"), name]
    else:
        command = [str(Path(sys.executable).parent / "flower-supernode")]
        command += ["--superlink", link.address, "--root-certificates", root]
        command += ["--auth-supernode-private-key", str(base / "stock.key")]
        command += ["--host", "127.0.0.1", "--port", str(free_port())]
        command += ["--node-config", 'institution="stock"']
    environment = {
        "HOME": str(base / name),
        "FLWR_HOME": str(base / name),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "MARK": str(base / f"{name}.mark"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{base / 'watch'}:{ROOT}",
        "WATCHED": str(base / f"{name}.watched"),
    }
    (base / name).mkdir()
    with (base / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    (base / f"{name}.pid").write_text(str(process.pid), "utf-8")
    try:
        until(lambda: link.nodes()[name])
        yield name
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class TestANode:
    """Stock or ours, a node behaves alike towards a coordinator."""

    def test_it_answers_and_names_the_rule_when_it_does_not(
        self, base: Path, link: SuperLink, kind: str
    ) -> None:
        """And no text of an error leaves it."""
        _, heard = conduct(base, link, ["word", "refuse", "fail", "again"], [kind])
        said = [one[kind] for one in heard]
        assert said == ["WORD", "BudgetExceeded", "LocalError", "AGAIN"]

    def test_only_a_stock_node_runs_code_from_the_wire(self, base: Path, kind: str) -> None:
        """And unpacks it."""
        unpacked = list((base / kind).rglob("client_app.py"))
        assert ((base / f"{kind}.mark").exists(), bool(unpacked)) == ((kind == "stock",) * 2)


def test_a_node_at_rest_takes_little_memory(base: Path, link: SuperLink) -> None:
    """With all that an institution's node imports."""
    link.register("small", new_node_key(base / "small.key"))
    root = str(base / "pki" / "root.pem")
    process = subprocess.Popen(
        [sys.executable, "-c", NODE, link.address, root, str(base / "small.key"), "small"],
        env={"PYTHONPATH": str(ROOT), "HOME": str(base)},
    )
    try:
        until(lambda: link.nodes()["small"])
        pages = int(Path(f"/proc/{process.pid}/statm").read_text("utf-8").split()[1])
        assert pages * os.sysconf("SC_PAGE_SIZE") < MOST_MEMORY
    finally:
        process.kill()
        process.wait()


def test_a_node_whose_process_was_killed_is_back_within_half_a_minute(
    base: Path, link: SuperLink
) -> None:
    """Until then the SuperLink takes it for present, and refuses it."""
    root = str(base / "pki" / "root.pem")
    link.register("killed", new_node_key(base / "killed.key"))
    command = [sys.executable, "-c", NODE, link.address, root, str(base / "killed.key"), "killed"]
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(base)}
    first = subprocess.Popen(command, env=environment)
    until(lambda: link.nodes()["killed"])
    first.kill()
    first.wait()
    begun = time.monotonic()
    second = subprocess.Popen(command, env=environment)
    try:
        until(lambda: not link.nodes()["killed"], 30.0)
        until(lambda: link.nodes()["killed"], 30.0)
        assert time.monotonic() - begun < 35.0
    finally:
        second.kill()
        second.wait()


def test_a_key_that_nobody_registered_is_refused(base: Path, link: SuperLink) -> None:
    new_node_key(base / "stranger.key")
    node = FleetNode(line(base, link, "stranger"), echo("stranger"), digest="", patience_s=1.0)
    with pytest.raises(UnreachableError, match="refuses this node: status 412, code 2004"):
        node.run()


def test_a_key_that_is_taken_out_is_refused_from_then_on(base: Path, link: SuperLink) -> None:
    public = new_node_key(base / "leaver.key")
    link.register("leaver", public)
    link.unregister("leaver")
    node = FleetNode(line(base, link, "leaver"), echo("leaver"), digest="", patience_s=0.0)
    with pytest.raises(UnreachableError, match="refuses this node"):
        node.run()
    with pytest.raises(ConfigError, match="cannot come back"):
        link.register("leaver", public)


def test_another_root_than_the_servers_is_refused_at_once(base: Path, link: SuperLink) -> None:
    other = certificates(base / "other").root
    way = HttpsLine(address=link.address, root=other, key=base / "bank.key")
    with pytest.raises(UnreachableError, match="does not trust the other's certificate"):
        FleetNode(way, echo("bank"), digest="").run()


def test_nodes_come_back_after_the_superlink_was_killed(base: Path, link: SuperLink) -> None:
    """Its memory is gone, and with it all keys; both are there again, and the next run works."""
    assert link.pid is not None
    before = link.pid
    os.kill(before, signal.SIGKILL)
    until(lambda: link.ready and link.pid != before)
    until(lambda: all(link.nodes()[name] for name in NAMES))
    _, heard = conduct(base, link, ["a"])
    assert heard == [dict.fromkeys(NAMES, "A")]


def test_no_program_looks_for_anything_outside(base: Path, link: SuperLink) -> None:
    """SuperLink, executor, ServerApps and both kinds of nodes, in all that went before."""
    port = int(link.address.split(":")[1])
    for name in ("watched.txt", "ours.watched", "stock.watched"):
        seen = {literal_eval(one) for one in (base / name).read_text("utf-8").splitlines()}
        assert ("127.0.0.1", port) in seen
        assert {str(one[0]) for one in seen} <= {"127.0.0.1", "None"}
