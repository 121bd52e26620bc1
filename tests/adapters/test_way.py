"""The way to a coordinator: each classic fault is named for what it is, over real sockets."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fedcredit.adapters.coordinator_folder import revoke_institution
from fedcredit.adapters.finding import Finding, exit_status
from fedcredit.adapters.front import SuperLinkPlace
from fedcredit.adapters.pki import key_pem, new_key, pem_of
from fedcredit.adapters.system import system_random, utc_moment
from fedcredit.adapters.way import CLOCK_S, Resolve, Way, system_resolve, walk
from tests.adapters.enrolled import AUTHORITY, HOST, Consortium, serving, upstream


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("consortium")).found()
    made.member("bank")
    made.member("shop")
    revoke_institution(made.folder, "shop", "left", made.now)
    return made


@pytest.fixture(scope="module")
def place(consortium: Consortium) -> Iterator[SuperLinkPlace]:
    with upstream(consortium) as found:
        yield found


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does the same with every connection, and its port."""
    with socket.create_server((HOST, 0)) as there:

        def serve() -> None:
            while True:
                try:
                    taken, _ = there.accept()
                except OSError:
                    return
                with taken:
                    try:
                        answer(taken)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield there.getsockname()[1]
        there.shutdown(socket.SHUT_RDWR)
    thread.join()


@contextmanager
def speaking_http() -> Iterator[int]:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer((HOST, 0), Hello) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield http.server_port
        http.shutdown()
        thread.join()


def closed_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def walked(
    consortium: Consortium,
    port: int,
    *,
    host: str = HOST,
    name: str = "bank",
    resolve: Resolve = system_resolve,
    ahead: timedelta = timedelta(),
) -> list[Finding]:
    way = Way(
        url=f"https://{host}:{port}",
        authority=(consortium.folder / AUTHORITY).read_text("ascii"),
        member=consortium.kept(name) if name else None,
        wait_s=1.0,
    )
    return walk(way, resolve, lambda: utc_moment() + ahead)


def told(findings: list[Finding]) -> list[tuple[str, bool]]:
    return [(one.check, one.ok) for one in findings]


def test_all_is_well_on_a_good_way(consortium: Consortium, place: SuperLinkPlace) -> None:
    with serving(consortium, place) as port:
        found = walked(consortium, port)
    assert told(found) == [(name, True) for name in ("name", "port", "tls", "membership", "clock")]
    assert exit_status(found) == 0


def test_a_coordinator_looks_at_its_own_front_as_a_stranger(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place) as port:
        found = walked(consortium, port, name="")
    assert [one for one in found if not one.ok] == []


def test_a_name_that_cannot_be_resolved_is_named(consortium: Consortium) -> None:
    def nobody(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    (only,) = walked(consortium, 8443, host="fed.example.org", resolve=nobody)
    assert (only.check, only.ok, only.unreachable) == ("name", False, True)
    assert only.what == "the name fed.example.org cannot be resolved on this machine"
    assert "/etc/hosts" in only.do


def test_a_closed_port_is_named(consortium: Consortium) -> None:
    port = closed_port()
    found = walked(consortium, port)
    assert told(found) == [("name", True), ("port", False)]
    assert found[-1].what == f"nothing listens at {HOST}:{port}: the connection was refused"
    assert exit_status(found) == 3


def test_of_several_addresses_one_that_answers_is_enough(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place) as port:
        found = walked(consortium, port, resolve=lambda *_: ["127.0.0.2", "::ffff:0:1", HOST])
    assert all(one.ok for one in found)


def test_clear_text_on_the_port_of_tls_is_named(consortium: Consortium) -> None:
    with speaking_http() as port:
        found = walked(consortium, port)
    assert told(found) == [("name", True), ("port", True), ("tls", False)]
    assert found[-1].what == f"{HOST}:{port} speaks clear text, and not TLS"
    assert exit_status(found) == 3


@pytest.mark.parametrize(
    "greeting",
    [
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),  # HTTP/2's SETTINGS, as gRPC sends
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_a_server_that_speaks_first_in_clear_text_is_named(
    greeting: bytes, consortium: Consortium
) -> None:
    def greet(taken: socket.socket) -> None:
        taken.recv(4096)
        taken.sendall(greeting)

    with listening(greet) as port:
        assert "speaks clear text" in walked(consortium, port)[-1].what


def test_a_server_that_hangs_up_is_not_taken_for_clear_text(consortium: Consortium) -> None:
    with listening(lambda taken: None) as port:
        last = walked(consortium, port)[-1]
    assert (last.check, last.ok) == ("tls", False)
    assert "does not agree on TLS 1.3" in last.what


def test_an_old_tls_is_not_taken_for_clear_text(consortium: Consortium) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    pki = consortium.folder / "pki"
    context.load_cert_chain(pki / "server.pem", pki / "server.key")
    with listening(lambda taken: context.wrap_socket(taken, server_side=True).close()) as port:
        last = walked(consortium, port)[-1]
    assert (last.check, last.ok) == ("tls", False)
    assert "does not agree on TLS 1.3" in last.what


def test_another_authority_is_named(
    consortium: Consortium, place: SuperLinkPlace, tmp_path: Path
) -> None:
    other = Consortium(tmp_path).found()
    other.member("bank")
    with serving(consortium, place) as port:
        found = walked(other, port)
    assert told(found)[-1] == ("tls", False)
    assert "is not of our consortium's authority" in found[-1].what
    assert exit_status(found) == 3


def test_a_certificate_for_another_name_is_named(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place) as port:
        last = walked(consortium, port, host="localhost.example", resolve=lambda *_: [HOST])[-1]
    assert last.what == f"the certificate of {HOST}:{port} is not for the name localhost.example"


@pytest.mark.parametrize(("days", "said"), [(-400, "has ended"), (40, "does not count yet")])
def test_a_server_certificate_that_does_not_count_today_is_named(
    days: int, said: str, tmp_path: Path
) -> None:
    """A server of another day, with an authority that counts today."""
    made = Consortium(tmp_path).found()
    made.member("bank")
    then = utc_moment() + timedelta(days=days)
    key = tmp_path / "server.key"
    certificate = tmp_path / "server.pem"
    ours = made.authority
    secret = new_key()
    key.write_bytes(key_pem(secret))
    signed = ours.server(secret.public_key(), [HOST], then, system_random)
    certificate.write_bytes(pem_of(signed))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with listening(lambda taken: context.wrap_socket(taken, server_side=True).close()) as port:
        assert walked(made, port)[-1].what == f"the certificate of {HOST}:{port} {said}"


@pytest.mark.parametrize(("ahead", "side"), [(3600, "ahead of"), (-3600, "behind")])
def test_a_clock_that_is_off_is_named(
    ahead: int, side: str, consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place) as port:
        found = walked(consortium, port, ahead=timedelta(seconds=ahead))
    assert told(found)[-1] == ("clock", False)
    assert side in found[-1].what
    assert "by NTP" in found[-1].do
    assert exit_status(found) == 1, "the coordinator was reached"


def test_clocks_that_differ_by_a_little_are_well(
    consortium: Consortium, place: SuperLinkPlace
) -> None:
    with serving(consortium, place) as port:
        found = walked(consortium, port, ahead=timedelta(seconds=CLOCK_S - 5))
    assert told(found)[-1] == ("clock", True)


@pytest.mark.parametrize(
    ("answer", "check", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "membership", "no answer that is HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "clock", "does not say what time it is"),
        (b"HTTP/1.1 503 Busy\r\nDate: soon\r\n\r\n", "membership", "status 503"),
    ],
)
def test_an_answer_that_is_not_a_fronts_is_told(
    answer: bytes, check: str, said: str, consortium: Consortium
) -> None:
    pki = consortium.folder / "pki"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "server.pem", pki / "server.key")

    def speak(taken: socket.socket) -> None:
        with context.wrap_socket(taken, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(answer)

    with listening(speak) as port:
        found = walked(consortium, port)
    (line,) = [one for one in found if one.check == check]
    assert said in line.what


def test_a_member_of_another_authority_is_told_that_its_certificate_is_refused(
    consortium: Consortium, place: SuperLinkPlace, tmp_path: Path
) -> None:
    """TLS 1.3 says so only after the handshake."""
    other = Consortium(tmp_path).found()
    way = Way(
        url="",
        authority=(consortium.folder / AUTHORITY).read_text("ascii"),
        member=other.member("bank"),
        wait_s=1.0,
    )
    with serving(consortium, place) as port:
        found = walk(replace(way, url=f"https://{HOST}:{port}"), system_resolve, utc_moment)
    assert told(found)[-1] == ("membership", False)
    assert "refuses this node's certificate: " in found[-1].what
    assert exit_status(found) == 1


def test_whoever_is_revoked_is_told_so(consortium: Consortium, place: SuperLinkPlace) -> None:
    with serving(consortium, place) as port:
        found = walked(consortium, port, name="shop")
    (fault,) = [one for one in found if not one.ok]
    assert fault.check == "membership"
    assert "403" in fault.what
    assert exit_status(found) == 1


def test_no_key_is_in_any_finding(consortium: Consortium, place: SuperLinkPlace) -> None:
    key = consortium.kept("bank").read_text("ascii").split("-----")[2].split()
    with serving(consortium, place) as port:
        text = json.dumps([one.what + one.do for one in walked(consortium, port)])
    assert not [line for line in key if line in text]
