"""A node of our own: what it answers, refuses and outlives, over a Fleet API in memory."""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from flwr.app import ConfigRecord, RecordDict

from fedcredit.adapters.envelopes import Handler, bytes_of
from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.presence import DiskPresence
from fedcredit.errors import BudgetExceeded, UnreachableError
from tests.adapters.made_fleet import DIGEST, FakeFleet, FakeLine, refused, status


def echo(kind: str, data: bytes) -> bytes:
    if data == b"refuse":
        raise BudgetExceeded("a round costs more", remedy="ask the officer")
    if data == b"fail":
        raise ValueError("income of Zebedee")
    return kind.encode() + b" " + data


def until(there: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


@contextmanager
def running(
    fleet: FakeFleet, handler: Handler = echo, patience_s: float = 20.0
) -> Iterator[FleetNode]:
    """A node in a thread, which must end without an error."""
    node = FleetNode(FakeLine(fleet), handler, digest=DIGEST, poll_s=0.01, patience_s=patience_s)
    problems: list[BaseException] = []

    def run() -> None:
        try:
            node.run()
        except BaseException as problem:  # noqa: BLE001 - looked at below
            problems.append(problem)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield node
    finally:
        node.close()
        thread.join(20.0)
    assert not thread.is_alive()
    assert problems == []


def said(fleet: FakeFleet) -> list[object]:
    """Bytes of each reply, or the code and the reason of its error."""
    return [
        (one.error.code, one.error.reason) if one.has_error() else bytes_of(one)
        for one in fleet.replies()
    ]


def answers(fleet: FakeFleet, count: int) -> list[object]:
    """What a node says until it has said so much."""
    with running(fleet):
        until(lambda: len(fleet.pushed) == count and fleet.calls[-1] == "pull")
    return said(fleet)


def test_a_node_answers_one_message_after_the_other() -> None:
    fleet = FakeFleet()
    asked = [fleet.send("query.hello", b""), fleet.send("train.turn", b"\x00\xff")]
    assert answers(fleet, 2) == [b"query.hello ", b"train.turn \x00\xff"]
    replies = [one.metadata.reply_to_message_id for one in fleet.replies()]
    assert replies == [one.metadata.message_id for one in asked]
    assert fleet.calls.count("confirm") == 2
    assert not fleet.active, "it says goodbye"


def test_an_error_leaves_as_the_name_of_a_rule(caplog: pytest.LogCaptureFixture) -> None:
    fleet = FakeFleet()
    fleet.send("train.turn", b"refuse")
    fleet.send("train.turn", b"fail")
    with caplog.at_level(logging.DEBUG):
        assert answers(fleet, 2) == [(2, "BudgetExceeded"), (2, "LocalError")]
    assert "Zebedee" not in caplog.text


def test_a_run_of_another_app_is_refused_before_its_message_is_fetched() -> None:
    """And nothing of the app is asked for."""
    fleet = FakeFleet(digests={1: DIGEST, 2: "cd" * 32})
    fleet.send("train.turn", b"x", run=2)
    fleet.send("train.turn", b"y", run=1)
    assert answers(fleet, 2) == [(7, "IntegrityError"), b"train.turn y"]
    assert fleet.calls.index("object") > fleet.calls.index("push")
    assert fleet.calls.count("run") == 2


def test_a_message_of_many_parts_is_refused() -> None:
    fleet = FakeFleet()
    many = RecordDict({f"r{number}": ConfigRecord({"n": number}) for number in range(20)})
    fleet.send("train.turn", b"", content=many)
    fleet.send("train.turn", b"y")
    assert answers(fleet, 2) == [(2, "PeerError"), b"train.turn y"]


def test_a_part_that_is_not_what_its_name_says_is_refused() -> None:
    fleet = FakeFleet()
    message = fleet.send("train.turn", b"x")
    fleet.objects[message.metadata.message_id] += b" "
    assert answers(fleet, 1) == [(2, "PeerError")]


def test_a_part_that_is_missing_is_refused() -> None:
    fleet = FakeFleet()
    fleet.send("train.turn", b"x")
    fleet.objects.clear()
    with running(fleet):
        until(lambda: len(fleet.pushed) == 1)
    assert said(fleet) == [(2, "PeerError")]


@pytest.mark.parametrize("call", ["activate", "pull", "run", "object", "confirm", "push", "part"])
@pytest.mark.parametrize(
    "fault",
    [httpx.ConnectError("gone"), httpx.ReadTimeout("slow"), status(503), status(429)],
    ids=["gone", "slow", "503", "429"],
)
def test_what_the_network_loses_is_tried_again(call: str, fault: Exception) -> None:
    fleet = FakeFleet(faults=[(call, fault)])
    fleet.send("train.turn", b"x")
    assert answers(fleet, 1) == [b"train.turn x"]
    assert fleet.calls.count("activate") == (2 if call == "activate" else 1)


@pytest.mark.parametrize("call", ["confirm", "push", "part"])
def test_an_answer_that_is_lost_on_its_way_costs_no_reply(call: str) -> None:
    """What was done is done twice then; a part that a SuperLink has is not taken again."""
    fleet = FakeFleet(lost=[call])
    fleet.send("train.turn", b"x")
    assert answers(fleet, 1) == [b"train.turn x"]


@pytest.mark.parametrize("call", ["pull", "run", "object", "confirm", "push", "part"])
def test_a_node_that_is_not_known_any_more_says_again_that_it_is_there(call: str) -> None:
    """A SuperLink that was started again has forgotten it."""
    fleet = FakeFleet(faults=[(call, status(401)), ("activate", refused(2004))])
    fleet.send("train.turn", b"x")
    fleet.send("train.turn", b"y")
    with running(fleet):
        until(lambda: b"train.turn y" in said(fleet))
    assert fleet.calls.count("activate") == 3


@pytest.mark.parametrize("call", ["run", "object", "confirm", "push", "part"])
@pytest.mark.parametrize(
    "fault", [refused(2007), status(500), ValueError("no protobuf")], ids=["over", "500", "text"]
)
def test_a_message_that_comes_to_nothing_stops_no_node(call: str, fault: Exception) -> None:
    """For instance since its run is over."""
    fleet = FakeFleet(faults=[(call, fault)])
    fleet.send("train.turn", b"x")
    fleet.send("train.turn", b"y")
    with running(fleet):
        until(lambda: b"train.turn y" in said(fleet))
    assert fleet.calls.count("activate") == 1


def test_a_node_that_goes_on_being_refused_gives_up() -> None:
    fleet = FakeFleet(faults=[("activate", refused(2004)) for _ in range(99)])
    node = FleetNode(FakeLine(fleet), echo, digest=DIGEST, patience_s=0.5)
    begun = time.monotonic()
    with pytest.raises(UnreachableError, match="refuses this node: status 412, code 2004"):
        node.run()
    assert 0.5 <= time.monotonic() - begun < 10.0
    assert fleet.calls.count("activate") >= 2


def distrust() -> httpx.ConnectError:
    problem = httpx.ConnectError("TLS")
    problem.__cause__ = ssl.SSLCertVerificationError("who is that?")
    return problem


def test_a_certificate_that_is_not_trusted_ends_a_node_at_once_at_first() -> None:
    node = FleetNode(FakeLine(FakeFleet(faults=[("activate", distrust())])), echo, digest=DIGEST)
    with pytest.raises(UnreachableError, match="does not trust the other's certificate"):
        node.run()


def test_a_certificate_that_is_not_trusted_later_is_waited_out() -> None:
    """It was renewed, or somebody stood in between for a while."""
    fleet = FakeFleet(
        faults=[("pull", distrust()), ("pull", status(401)), ("activate", distrust())]
    )
    fleet.send("train.turn", b"x")
    assert answers(fleet, 1) == [b"train.turn x"]


def test_a_node_can_be_closed_while_nobody_answers() -> None:
    fleet = FakeFleet(faults=[("activate", httpx.ConnectError("gone")) for _ in range(99)])
    with running(fleet) as node:
        until(lambda: fleet.calls.count("activate") >= 2)
        assert not node.active
        begun = time.monotonic()
        node.close()
    assert time.monotonic() - begun < 2.0


def test_a_node_that_is_closed_sends_the_answer_in_hand() -> None:
    fleet = FakeFleet()
    working = threading.Event()

    def slow(kind: str, data: bytes) -> bytes:
        working.set()
        time.sleep(0.5)
        return data

    fleet.send("train.turn", b"x")
    fleet.send("train.turn", b"y")
    with running(fleet, slow) as node:
        assert working.wait(20.0)
        node.close()
    assert said(fleet) == [b"x"]
    assert not fleet.active


def test_a_node_beats_while_its_handler_works_and_comes_back_when_it_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fedcredit.adapters.fleet_calls._BEAT_S", 0.02)
    fleet = FakeFleet()
    release = threading.Event()

    def slow(kind: str, data: bytes) -> bytes:
        assert release.wait(20.0)
        return data

    fleet.send("train.turn", b"x")
    with running(fleet, slow) as node:
        until(lambda: fleet.calls.count("beat") >= 5)
        assert node.active
        release.set()
        until(lambda: len(fleet.pushed) == 1)
        fleet.beats = False
        until(lambda: fleet.calls.count("activate") == 2)
        fleet.beats = True
        fleet.send("train.turn", b"y")
        until(lambda: b"y" in said(fleet))


def test_a_node_that_was_killed_puts_its_last_process_out_once(tmp_path: Path) -> None:
    before = DiskPresence(tmp_path)
    before.keep(7)
    before.close()
    fleet, presence = (
        FakeFleet(active=True, faults=[("pull", refused(2004))]),
        DiskPresence(tmp_path),
    )
    node = FleetNode(FakeLine(fleet), echo, digest=DIGEST, poll_s=0.01, presence=presence)
    thread = threading.Thread(target=node.run)
    thread.start()
    until(lambda: fleet.calls.count("activate") == 2 and fleet.calls[-1] == "pull")
    assert fleet.calls[:2] == ["deactivate", "activate"]
    assert fleet.calls.count("deactivate") == 2, "at its start, and when it was forgotten"
    node.close()
    thread.join()
    presence.close()


def test_a_last_process_that_nobody_knows_is_no_hindrance(tmp_path: Path) -> None:
    presence = DiskPresence(tmp_path)
    presence.keep(8)
    fleet = FakeFleet()
    node = FleetNode(FakeLine(fleet), echo, digest=DIGEST, poll_s=0.01, presence=presence)
    thread = threading.Thread(target=node.run)
    thread.start()
    until(lambda: node.active)
    node.close()
    thread.join()
    assert presence.last() == 7
    presence.close()


def test_a_lost_beat_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedcredit.adapters.fleet_calls._BEAT_S", 0.02)
    faults: list[tuple[str, Exception]] = [
        ("beat", httpx.ReadTimeout("slow")),
        ("beat", status(502)),
    ]
    fleet = FakeFleet(faults=faults)
    with running(fleet):
        until(lambda: fleet.calls.count("beat") >= 4)
    assert fleet.calls.count("activate") == 1
