"""A witness over HTTP, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from fedcredit.adapters.witness import CONNECTIONS_LIMIT, HttpCourier, WitnessServer
from fedcredit.adapters.witness_folder import add_ledger, new_key, witness_key
from fedcredit.errors import ConfigError, LocalError, PeerError, UnreachableError
from fedcredit.ledger.asking import Courier, ask
from fedcredit.ledger.notes import Note
from fedcredit.ledger.signatures import Signature
from fedcredit.ledger.witness import REQUEST_LIMIT_BYTES, MemoryWitnessStore
from tests.ledger.made import SHOP, Copy, Pair, witness
from tests.ledger.test_witness import BANK, FORK, TRUE

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0  # for a process to start on a busy machine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a witness that knows the bank's ledger."""
    new_key(tmp_path, SHOP.name)
    add_ledger(tmp_path, BANK, Pair(BANK).writer)
    return tmp_path


@contextmanager
def running(folder: Path, code: str = "") -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The witness of a folder in a process of its own, and its address.

    Args:
        folder: the witness's.
        code: what is done in the process first, such as planting a crash.
    """
    start = "import sys\nfrom fedcredit.cli.main import main\n" + code
    start += f"\nsys.exit(main(['witness', 'run', {str(folder)!r}, '--port', '0']))\n"
    with subprocess.Popen(
        [sys.executable, "-c", start],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    ) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().split()[-1], process
        finally:
            process.kill()


def get(where: str, folder: Path, copy: Copy, size: int, seen: int) -> Signature:
    return ask(HttpCourier(), where, witness_key(folder), copy.note(size), copy.tree, seen)


def test_a_ledger_is_witnessed_over_the_network(folder: Path) -> None:
    with running(folder) as (where, _):
        for seen, size in ((0, 1), (1, 4), (4, 8)):
            line = get(where, folder, TRUE, size, seen)
            time_s = witness_key(folder).time_of(TRUE.note(size).body, line)
            assert time_s is not None
            assert abs(time_s - time.time()) < WAIT_S
        with pytest.raises(LocalError, match="behind the witness"):
            get(where, folder, TRUE, 3, 3)
        with pytest.raises(LocalError, match="another ledger"):
            get(where, folder, FORK, 8, 8)
        stranger = Copy("a", pair=Pair(BANK, "another key"))
        with pytest.raises(PeerError, match="does not know"):
            get(where, folder, stranger, 1, 0)


def test_a_restart_keeps_what_was_signed(folder: Path) -> None:
    with running(folder) as (where, _):
        first = get(where, folder, TRUE, 5, 0)
    with pytest.raises(UnreachableError):
        get(where, folder, TRUE, 5, 0)
    with running(folder) as (where, _):
        assert get(where, folder, TRUE, 5, 5) == first
        with pytest.raises(LocalError, match="another ledger"):
            get(where, folder, FORK, 6, 5)


KILLED = """
import os, signal
from fedcredit.adapters.witness_folder import DiskWitnessStore
real = DiskWitnessStore.keep
def keep(self, origin, before, after):
    {first}
    os.kill(os.getpid(), signal.SIGKILL)
DiskWitnessStore.keep = keep
"""


def test_killed_between_keeping_and_answering_it_answers_the_same_request_later(
    folder: Path,
) -> None:
    """And nobody else's: what was never heard may have been signed."""
    code = KILLED.format(first="real(self, origin, before, after)")
    with running(folder, code) as (where, process):
        with pytest.raises(UnreachableError):
            get(where, folder, TRUE, 5, 0)
        assert process.wait(WAIT_S) == -signal.SIGKILL
    with running(folder) as (where, _):
        with pytest.raises(LocalError, match="another ledger"):
            get(where, folder, FORK, 5, 0)
        assert get(where, folder, TRUE, 5, 0).name == SHOP.name
        assert get(where, folder, TRUE, 8, 5).name == SHOP.name


def test_killed_before_keeping_it_has_signed_nothing(folder: Path) -> None:
    with running(folder, KILLED.format(first="pass")) as (where, process):
        with pytest.raises(UnreachableError):
            get(where, folder, TRUE, 5, 0)
        assert process.wait(WAIT_S) == -signal.SIGKILL
    with running(folder) as (where, _):
        assert get(where, folder, FORK, 5, 0).name == SHOP.name


def race(where: str, requests: list[bytes]) -> list[int]:
    """The statuses of requests that are sent at once."""
    gate = threading.Barrier(len(requests))

    def send(request: bytes) -> int:
        gate.wait(timeout=WAIT_S)
        return HttpCourier()(where, request)[0]

    with ThreadPoolExecutor(len(requests)) as pool:
        return sorted(pool.map(send, requests))


def test_of_two_pasts_that_race_one_is_signed(folder: Path) -> None:
    """Twenty times, each at a size that both copies reach at once, by two processes too."""
    words: list[str] = []
    with running(folder) as (where, _):
        for turn in range(20):
            pair = [Copy(*words, f"{turn} {side}") for side in ("one", "other")]
            assert race(where, [copy.request(turn) for copy in pair]) == [200, 409]
            won = [copy.request(turn + 1) for copy in pair]
            statuses = [HttpCourier()(where, request)[0] for request in won]
            assert sorted(statuses) == [200, 409]
            words.append(f"{turn} {('one', 'other')[statuses.index(200)]}")


UNWATCHED = """
import time
from fedcredit.adapters.disk import write_file
from fedcredit.adapters.witness_folder import DiskWitnessStore, _file
def keep(self, origin, before, after):
    time.sleep(0.5)  # so that the other request has read too
    write_file(self._folder / "seen" / f"{_file(origin)}.note", after.data())
    return True
DiskWitnessStore.keep = keep
"""


def test_a_store_that_does_not_compare_lets_both_win(folder: Path) -> None:
    """So the test above can fail."""
    with running(folder, UNWATCHED) as (where, _):
        requests = [Copy(side).request(0) for side in ("one", "other")]
        assert race(where, requests) == [200, 200]


def test_a_witness_restored_from_an_old_backup_does_not_count(folder: Path) -> None:
    with running(folder) as (where, _):
        get(where, folder, TRUE, 3, 0)
        (path,) = (folder / "seen").iterdir()
        backup = path.read_bytes()
        get(where, folder, TRUE, 5, 3)
    path.write_bytes(backup)
    with running(folder) as (where, _):
        with pytest.raises(PeerError, match="has seen 3 entries, and signed for 5 before"):
            get(where, folder, TRUE, 8, 5)
        assert get(where, folder, FORK, 8, 3).name == SHOP.name  # whoever looks away is deceived


@contextmanager
def serving(*, timeout_s: float = 10.0) -> Iterator[WitnessServer]:
    """A witness in a thread of this process."""
    one = witness(MemoryWitnessStore(threading.Lock()))
    with WitnessServer(one, "127.0.0.1", 0, timeout_s=timeout_s) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(WAIT_S)


def url(server: WitnessServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def send(server: WitnessServer, data: bytes) -> bytes:
    """What comes back when these bytes are sent and nothing follows."""
    with socket.create_connection(("127.0.0.1", server.server_port), WAIT_S) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
        return found


def post(body: bytes, *headers: bytes, path: bytes = b"/add-checkpoint") -> bytes:
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: w", *headers, b"", body]
    return b"\r\n".join(lines)


def test_a_connection_serves_many_requests() -> None:
    with serving() as server:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=WAIT_S)
        for old in range(5):
            connection.request("POST", "/add-checkpoint", TRUE.request(old, old + 1))
            response = connection.getresponse()
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
            response.read()
        connection.request("POST", "/add-checkpoint", TRUE.request(3))
        response = connection.getresponse()
        assert (response.status, response.read()) == (409, b"5\n")
        assert response.headers["Content-Type"] == "text/x.tlog.size"
        connection.close()


def test_the_key_is_shown_and_nothing_else() -> None:
    with serving() as server:
        get = b"GET %b HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n"
        answer = send(server, get % b"/")
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"\r\n\r\n" + str(SHOP.witness).encode() + b"\n")
        assert b"Python" not in answer
        for path in (b"/add-checkpoint", b"/../key.json", b"/?a", b"/key.json"):
            assert send(server, get % path).startswith(b"HTTP/1.1 404")
        assert b" 501 " in send(server, b"PUT / HTTP/1.1\r\nHost: w\r\n\r\n")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (post(b"", b"Content-Length: 0"), 400),
        (post(b"rubbish\n", b"Content-Length: 8"), 400),
        (post(TRUE.request(0)), 411),
        (post(TRUE.request(0), b"Content-Length: -1"), 411),
        (post(TRUE.request(0), b"Content-Length: +1"), 411),
        (post(TRUE.request(0), b"Content-Length: 1_0"), 411),
        (post(TRUE.request(0), b"Content-Length: 1e3"), 411),
        (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked"), 411),
        (post(b"0\r\n\r\n", b"Transfer-Encoding: chunked", b"Content-Length: 5"), 411),
        (post(b"x", b"Content-Length: 1", b"Content-Length: 2"), 411),
        (post(b"", b"Content-Length: %d" % (REQUEST_LIMIT_BYTES + 1)), 413),
        (post(b"", b"Content-Length: 999999999"), 413),
        (post(b"", b"Content-Length: 9999999999999999999"), 411),
        (post(b"", b"Content-Length: 0", path=b"/"), 404),
        (b"\x16\x03\x01\x00\x05\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
    ],
)
def test_a_malformed_or_oversized_request_is_refused(data: bytes, status: int) -> None:
    with serving() as server:
        assert f" {status} ".encode() in send(server, data).split(b"\r\n")[0]
        assert HttpCourier()(url(server), TRUE.request(0))[0] == 200


def test_a_body_that_ends_too_soon_is_not_answered() -> None:
    with serving() as server:
        request = TRUE.request(0)
        data = post(request[:-1], b"Content-Length: %d" % len(request))
        assert send(server, data) == b""
        assert HttpCourier()(url(server), request)[0] == 200


@pytest.mark.parametrize("head", [b"POST /add", post(b"old", b"Content-Length: 1000"), b""])
def test_a_slow_request_is_cut_off_however_steadily_it_comes(head: bytes) -> None:
    """A byte every moment holds no place for ever."""
    with serving(timeout_s=0.5) as server:
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", server.server_port), WAIT_S) as connection:
            connection.sendall(head)
            with suppress(OSError):  # which the cut is, seen from here
                while time.monotonic() - start < WAIT_S:
                    connection.sendall(b"x")
                    time.sleep(0.05)
        assert 0.4 < time.monotonic() - start < WAIT_S


def test_more_connections_than_there_are_places_are_closed_and_later_ones_served() -> None:
    with serving() as server:
        address = ("127.0.0.1", server.server_port)
        held = [socket.create_connection(address, WAIT_S) for _ in range(CONNECTIONS_LIMIT)]
        for one in held:  # each has a thread that answers it
            one.sendall(b"GET / HTTP/1.1\r\nHost: w\r\n\r\n")
            assert one.recv(1 << 16)
        with socket.create_connection(address, WAIT_S) as extra:
            assert extra.recv(1) == b""
        for one in held:
            one.close()
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            try:
                assert HttpCourier()(url(server), TRUE.request(0))[0] == 200
            except UnreachableError:
                continue
            break
        else:
            pytest.fail("no place was given back")


def test_a_disk_that_fails_is_an_error_of_the_server() -> None:
    class Full(MemoryWitnessStore):
        def keep(self, origin: str, before: Note | None, after: Note) -> bool:
            raise LocalError("/secret/place is full", remedy="make room")

    with serving() as server:
        server.witness = witness(Full(threading.Lock()))
        assert HttpCourier()(url(server), TRUE.request(0)) == (
            500,
            b"the witness cannot sign now\n",
        )


def test_nothing_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        HttpCourier()(url(server), TRUE.request(0))
        send(server, b"rubbish\r\n\r\n")
        send(server, b"")
    assert capfd.readouterr() == ("", "")


def test_an_address_that_is_taken_is_named() -> None:
    one = witness(MemoryWitnessStore(threading.Lock()))
    with serving() as server, pytest.raises(ConfigError, match="cannot listen"):
        WitnessServer(one, "127.0.0.1", server.server_port)


@contextmanager
def answering(*pieces: bytes, pause_s: float = 0.0) -> Iterator[str]:
    """A server that sends these bytes to whoever comes, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1 << 16)
                try:
                    for piece in pieces:
                        connection.sendall(piece)
                        time.sleep(pause_s)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(WAIT_S)


def test_a_courier_is_one() -> None:
    assert isinstance(HttpCourier(), Courier)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\nshort",
    ],
)
def test_half_an_answer_is_none(answer: bytes) -> None:
    with answering(answer) as where, pytest.raises(UnreachableError):
        HttpCourier()(where, b"request")


def test_an_answer_that_trickles_is_given_up() -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", *[b"x"] * 1000]
    with answering(*pieces, pause_s=0.05) as where:
        start = time.monotonic()
        with pytest.raises(UnreachableError):
            HttpCourier(timeout_s=0.5)(where, b"request")
        assert time.monotonic() - start < 20


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    body = b"x" * (1 << 20)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n"
    with answering(head, body) as where:
        _, found = HttpCourier()(where, b"request")
        assert len(found) == (1 << 16) + 1


def test_a_witness_that_is_not_there_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UnreachableError, match="no answer from the witness"):
        HttpCourier()(f"http://127.0.0.1:{port}", b"request")


@pytest.mark.parametrize(
    "where",
    [
        "",
        "witness",
        "ftp://w",
        "http://",
        "http:///path",
        "http://w:port",
        "http://w?a=b",
        "https://w#a",
        "http://[::1",
        "file:///etc/passwd",
    ],
)
def test_what_is_no_address_is_refused(where: str) -> None:
    with pytest.raises(ConfigError, match="a witness's address"):
        HttpCourier()(where, b"request")
