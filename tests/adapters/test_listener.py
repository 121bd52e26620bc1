"""The listener: whoever is slow, silent or many holds up nobody else, and is gone in time."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from fedcredit.adapters.asgi import App, Receive, Scope, Send, answer, whole_body
from fedcredit.adapters.listener import CERTIFICATE, Listener, ListenerLimits
from fedcredit.adapters.pki import institution_of, read_certificate
from fedcredit.adapters.tls import server_context
from fedcredit.errors import ConfigError
from tests.adapters.enrolled import HOST, Consortium

LONG = 60.0
QUICK = ListenerLimits(handshake_s=0.5, head_s=0.5, idle_s=1, strangers=32, of_one=4)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("consortium")).found()
    made.member("bank")
    made.member("shop")
    return made


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Say whose certificate it is, and how much has come."""
    data = await whole_body(receive, 1 << 20)
    der = scope[CERTIFICATE]
    assert isinstance(der, bytes)
    name = institution_of(read_certificate(der)) if der else ""
    await answer(send, 200, {"name": name, "bytes": len(data)})


@contextmanager
def listening(consortium: Consortium, limits: ListenerLimits, port: int = 0) -> Iterator[int]:
    @asynccontextmanager
    async def lifetime() -> AsyncIterator[App]:
        yield who

    pki = consortium.folder / "pki"
    context = server_context(pki / "server.pem", pki / "server.key", pki / "authority.pem")
    with Listener(lifetime, context, HOST, port, limits) as there:
        yield there.port


def member(consortium: Consortium, name: str) -> Path | None:
    return consortium.base / name / "keys/member.pem" if name else None


def line(consortium: Consortium, port: int, name: str = "") -> ssl.SSLSocket:
    plain = socket.create_connection((HOST, port), timeout=LONG)
    context = consortium.tls(member(consortium, name))
    return context.wrap_socket(plain, server_hostname=HOST)


def until_closed(there: socket.socket) -> bytes:
    """All that still comes; fails if it does not end."""
    found = b""
    try:
        while piece := there.recv(65536):
            found += piece
    except (ssl.SSLError, ConnectionError):
        pass
    return found


def answered(there: ssl.SSLSocket) -> bytes:
    """One whole answer."""
    found = b""
    while not found.endswith(b"}\n"):
        piece = there.recv(65536)
        assert piece, found
        found += piece
    return found


def drip(there: ssl.SSLSocket) -> None:
    """A byte of a head now and then, as long as the other side takes them."""
    begun = time.monotonic()
    while time.monotonic() - begun < LONG:
        there.sendall(b"P")
        time.sleep(0.1)


def named(consortium: Consortium, port: int, name: str) -> str:
    with consortium.client(port, member(consortium, name)) as client:
        return str(client.post("/", content=b"x").json()["name"])


@pytest.mark.parametrize("name", ["", "bank", "shop"])
def test_a_request_is_told_whose_connection_it_came_on(name: str, consortium: Consortium) -> None:
    """Whatever it says itself, and for every request of the connection."""
    lie = {"fedcredit.certificate": "x", "x-forwarded-client-cert": "Subject=bank"}
    with (
        listening(consortium, ListenerLimits()) as port,
        consortium.client(port, member(consortium, name)) as client,
    ):
        for _ in range(3):
            assert client.post("/", content=b"x", headers=lie).json()["name"] == name


def test_connections_side_by_side_are_not_mixed_up(consortium: Consortium) -> None:
    with listening(consortium, ListenerLimits()) as port, ExitStack() as stack:
        names = ["bank", "", "shop", "bank", "shop", ""] * 3
        lines = [stack.enter_context(line(consortium, port, name)) for name in names]
        for there in lines:
            there.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")
        for there in reversed(lines):
            there.sendall(b"x")
        for there, name in zip(lines, names, strict=True):
            assert f'"name": "{name}"'.encode() in answered(there)


def test_silence_instead_of_a_handshake_is_ended(consortium: Consortium) -> None:
    with (
        listening(consortium, QUICK) as port,
        socket.create_connection((HOST, port), timeout=LONG) as there,
    ):
        assert until_closed(there) == b""


@pytest.mark.parametrize("name", ["", "bank"])
@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_is_ended(sent: bytes, name: str, consortium: Consortium) -> None:
    with listening(consortium, QUICK) as port, line(consortium, port, name) as there:
        there.sendall(sent)
        assert until_closed(there) == b""


def test_a_head_that_drips_is_ended(consortium: Consortium) -> None:
    """A byte now and then does not win time; neither does a first request that was sound."""
    with listening(consortium, QUICK) as port, line(consortium, port, "bank") as there:
        there.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b"200" in answered(there)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            drip(there)


def test_an_idle_connection_is_ended(consortium: Consortium) -> None:
    with listening(consortium, QUICK) as port, line(consortium, port, "bank") as there:
        there.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b"200" in until_closed(there)


def test_a_body_may_take_longer_than_a_head(consortium: Consortium) -> None:
    """Its time is the app's affair."""
    with listening(consortium, QUICK) as port, line(consortium, port, "bank") as there:
        there.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        for _ in range(3):
            time.sleep(0.4)
            there.sendall(b"x")
        assert b'"bytes": 3' in answered(there)


@pytest.mark.parametrize("shaken", [False, True])
def test_many_idle_strangers_hold_up_nobody(*, shaken: bool, consortium: Consortium) -> None:
    """The oldest of them make room, with or without a handshake; a member is not one of them."""
    limits = ListenerLimits(handshake_s=2 * LONG, head_s=2 * LONG, strangers=32)
    with listening(consortium, limits) as port, ExitStack() as stack:
        kept = stack.enter_context(line(consortium, port, "bank"))
        strangers: list[socket.socket] = []
        for _ in range(100 if shaken else 400):
            there = (
                line(consortium, port)
                if shaken
                else socket.create_connection((HOST, port), timeout=LONG)
            )
            strangers.append(stack.enter_context(there))
        assert until_closed(strangers[0]) == b""  # long before its time
        assert named(consortium, port, "shop") == "shop"
        assert named(consortium, port, "") == ""
        kept.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert b'"name": "bank"' in answered(kept)


def test_one_member_has_so_many_connections(consortium: Consortium) -> None:
    """Its own oldest are ended; another's are not."""
    limits = ListenerLimits(head_s=2 * LONG, idle_s=int(2 * LONG), of_one=4)
    with listening(consortium, limits) as port, ExitStack() as stack:
        others = stack.enter_context(line(consortium, port, "shop"))
        lines = [stack.enter_context(line(consortium, port, "bank")) for _ in range(6)]
        request = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        for there in (others, *lines[2:]):
            there.sendall(request)
            assert b"200" in answered(there)
        assert until_closed(lines[0]) == b""


def test_a_head_that_is_too_long_is_refused(consortium: Consortium) -> None:
    with listening(consortium, QUICK) as port, line(consortium, port, "bank") as there:
        there.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * (64 << 10))
        assert b"400" in until_closed(there)


def test_an_address_that_is_taken_is_named(consortium: Consortium) -> None:
    with listening(consortium, QUICK) as port:
        second = listening(consortium, QUICK, port)
        with pytest.raises(ConfigError, match=str(port)):
            second.__enter__()


def test_a_closed_listener_answers_what_has_come_and_takes_no_more(
    consortium: Consortium,
) -> None:
    with listening(consortium, ListenerLimits()) as port:
        assert named(consortium, port, "bank") == "bank"
    with pytest.raises(httpx.ConnectError):
        named(consortium, port, "bank")


def test_an_app_that_cannot_begin_is_no_silence(consortium: Consortium) -> None:
    @asynccontextmanager
    async def lifetime() -> AsyncIterator[App]:
        raise ConfigError("no register", remedy="make one")
        yield who

    pki = consortium.folder / "pki"
    context = server_context(pki / "server.pem", pki / "server.key", pki / "authority.pem")
    there = Listener(lifetime, context, HOST, 0)
    with pytest.raises(ConfigError, match="no register"):
        there.open()
