"""Witnesses that are down, lie, have forgotten, or are not who they say; clocks that are wrong."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest

from tests.faults.checker import heads_of
from tests.faults.world import Refused, WitnessProcess, World, places, write_policy

DAY_S: Final = 86_400
NOWHERE: Final = "http://127.0.0.1:9"  # the port for what is thrown away: nobody listens

Lie = Callable[[bytes], tuple[int, bytes]]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def move(world: World, *urls: str) -> None:
    """Give the first few witnesses other addresses."""
    known = places(world.bank)
    write_policy(world.bank, known | dict(zip(known, urls, strict=False)))


@contextmanager
def liar(lie: Lie) -> Iterator[str]:
    """A witness's address at which somebody else answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, body = lie(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def false_line(request: bytes, name: str) -> bytes:
    """A line that looks like a cosignature, of the right name and key id, by nobody."""
    (head,) = heads_of(request.partition(b"\n\n")[2])
    del head
    return f"\N{EM DASH} {name} {base64.b64encode(bytes(76)).decode()}\n".encode()


LIES: Final[dict[str, Lie]] = {
    "a size that is too large": lambda _: (409, b"9007199254740991\n"),
    "a size of nothing": lambda _: (409, b"0\n"),
    "another size each time": lambda request: (409, b"%d\n" % (request[4] % 2 + 1)),
    "no size": lambda _: (409, b"many\n"),
    "that the proof is bad": lambda _: (422, b"the proof shows no continuation\n"),
    "nothing": lambda _: (200, b""),
    "a signature of nobody": lambda request: (200, false_line(request, "one.example/witness")),
    "bytes that are none": lambda _: (200, b"\xff" * 100),
    "a long story": lambda _: (200, b"x" * 100_000),
    "a redirection": lambda _: (302, b""),
    "that it is ill": lambda _: (500, b"Traceback (most recent call last): 1000.50327\n"),
    "that it knows nobody": lambda _: (404, b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_row_56_two_witnesses_that_lie_let_nothing_leave_and_one_does_no_harm(
    lie: str, world: World
) -> None:
    with liar(LIES[lie]) as url:
        move(world, url, url)
        with pytest.raises(Refused) as refused:
            world.turn(world.start().ask)
        assert refused.value.status in (3, 5)
        assert world.sent() == []
        assert world.kinds().count("charge") == 1
        move(world, world.witnesses[0].url, url)
        world.persist(None)
    assert world.verdict() == []


def test_row_56_one_witness_that_is_down_does_no_harm(world: World) -> None:
    move(world, NOWHERE)
    world.turn(world.start().ask)
    assert world.verdict() == []


def test_row_56_without_a_quorum_a_charge_waits_and_is_not_written_twice(world: World) -> None:
    """The process lives on, and so does its charge, unmeasured; then the witnesses come back."""
    down = [WitnessProcess(one.folder, free_port()) for one in world.witnesses[:2]]
    move(world, *(one.url for one in down))
    ports = [one.port for one in down]
    for one in down:
        one.end()
    node = world.start(go_on=True)
    back: list[WitnessProcess] = []

    def say(kind: str, turn: tuple[int, int], data: bytes) -> bytes:
        """Each step but the first is refused once, while nobody answers."""
        if kind != "prepare":
            for _ in range(2):
                with pytest.raises(Refused, match="UnreachableError: 1 of 2 witnesses"):
                    node.ask(kind, turn, data)
            before = len(world.sent())
            back[:] = [
                WitnessProcess(one.folder, port)
                for one, port in zip(world.witnesses, ports, strict=False)
            ]
            reply = node.ask(kind, turn, data)
            assert len(world.sent()) == before + 1
            for one in back:
                one.end()
            return reply
        return node.ask(kind, turn, data)

    world.turn(say)
    assert world.kinds().count("charge") == 1
    assert "burn" not in world.kinds()
    assert world.verdict() == []


@pytest.mark.parametrize("call", ["fsync:when=1", "fsync:when=2", "rename:when=1", "sendto:when=1"])
def test_row_56_a_witness_that_is_killed_as_it_signs_goes_on_where_it_was(
    call: str, world: World
) -> None:
    """At its first request: before it keeps what it signs, between, and before it answers."""
    own = WitnessProcess(world.witnesses[1].folder, free_port())
    port = own.port
    own.end()
    name = call.partition(":")[0]
    wrap = ["strace", "-f", "-q", "-o", "/dev/null", "-e", f"trace={name}"]
    folder, times = world.witnesses[1].folder, call.partition(":")[2]
    own = WitnessProcess(folder, port, [*wrap, "-e", f"inject={name}:signal=SIGKILL:{times}"])
    move(world, world.witnesses[0].url, own.url, NOWHERE)
    node = world.start(go_on=True)
    killed: list[tuple[str, bool]] = []

    def say(kind: str, turn: tuple[int, int], data: bytes) -> bytes:
        nonlocal own
        try:
            return node.ask(kind, turn, data)
        except Refused as problem:
            killed.append((kind, "no answer from the witness" in problem.said))
            own.end()
            own = WitnessProcess(folder, port)
            return node.ask(kind, turn, data)

    world.turn(say)
    own.end()
    assert killed == [("start", True)]
    assert world.kinds().count("charge") == 1
    assert world.verdict() == []


def test_row_56_a_charge_without_a_quorum_is_burned_by_a_restart(world: World) -> None:
    move(world, NOWHERE, NOWHERE)
    with pytest.raises(Refused) as refused:
        world.turn(world.start().ask)
    assert refused.value.status == 3
    assert "1 of 2 witnesses have signed" in refused.value.said
    assert world.sent() == []
    move(world, *(one.url for one in world.witnesses))
    _, attempt = world.persist(None)
    assert attempt == 1
    assert world.kinds().count("burn") == 1
    assert world.verdict() == []


def test_row_56_the_coordinators_witness_alone_is_no_quorum(world: World) -> None:
    """Nor is it together with an institution's, where that one is down."""
    move(world, NOWHERE, world.witnesses[2].url)  # the second is the third under another name
    with pytest.raises(Refused) as refused:
        world.turn(world.start().ask)
    assert refused.value.status in (3, 5)
    assert world.sent() == []


@pytest.mark.parametrize("restart", [False, True])
def test_row_56_witnesses_restored_from_an_old_backup_do_not_count(
    restart: bool, world: World
) -> None:
    """They have signed for more than they know of now, and the ledger's file says so."""
    node = world.start()
    world.turn(node.ask)
    older = [shutil.copytree(one.folder, world.base / one.folder.name) for one in world.witnesses]
    world.turn(node.ask, (1, 0))
    for one, backup in zip(world.witnesses[:2], older, strict=False):
        one.forget()
        shutil.copytree(backup / "seen", one.folder / "seen", dirs_exist_ok=True)
    if restart:
        node.end()
        node = world.start()
    before = world.sent()
    with pytest.raises(Refused) as refused:
        world.turn(node.ask, (2, 0))
    assert refused.value.status == 3
    assert "and signed for" in refused.value.said
    assert world.sent() == before
    assert world.verdict() == []


def test_row_56_a_witness_with_another_key_does_not_count(world: World) -> None:
    move(world, world.witnesses[1].url, world.witnesses[2].url)
    with pytest.raises(Refused) as refused:
        world.turn(world.start().ask)
    assert "no line of its key" in refused.value.said
    assert world.sent() == []
    move(world, *(one.url for one in world.witnesses))
    world.persist(None)
    assert world.verdict() == []


@pytest.mark.parametrize("days", [-365, 365])
def test_row_55_a_clock_that_is_a_year_off_refuses_and_costs_nothing(
    days: int, world: World
) -> None:
    with pytest.raises(Refused) as refused:
        world.turn(world.start(ahead_s=days * DAY_S).ask)
    assert refused.value.status == 4
    assert "the policy's period is from" in refused.value.said
    assert world.sent() == []
    assert {"charge", "burn"}.isdisjoint(world.kinds())
    assert world.kinds().count("refuse") == 1
    world.forget_others()
    world.turn(world.start().ask)  # the very same turn: it was not charged
    assert world.verdict() == []


def test_row_55_a_clock_that_is_set_back_changes_no_order_and_no_budget(world: World) -> None:
    for turn, ahead_s in (((0, 0), 600), ((1, 0), -7200), ((2, 0), 0)):
        node = world.start(ahead_s=ahead_s)
        world.turn(node.ask, turn)
        node.end()
    assert world.kinds().count("charge") == 3
    assert "burn" not in world.kinds()
    assert world.verdict() == []
