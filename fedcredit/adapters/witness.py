"""A witness over HTTP: the service (C2SP tlog-witness), and the courier that asks it.

Neither waits for the other side longer than a request may take as a whole, nor reads more
than one may hold. What is exchanged is signed, so HTTP alone keeps it genuine; it hides
nothing, so use HTTPS in front of it where sizes and times of a ledger are nobody's business.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

from fedcredit.errors import ConfigError, FedCreditError, UnreachableError
from fedcredit.ledger.asking import ANSWER_LIMIT_BYTES
from fedcredit.ledger.witness import REQUEST_LIMIT_BYTES, Answer, Witness

__all__ = ["CONNECTIONS_LIMIT", "TIMEOUT_S", "HttpCourier", "WitnessServer"]

TIMEOUT_S: Final = 10.0  # for one request and its answer together
CONNECTIONS_LIMIT: Final = 64  # at once; one more is closed unheard

_PATH: Final = "/add-checkpoint"
_LENGTH: Final = re.compile(r"[0-9]{1,9}").fullmatch
_TEXT: Final = "text/plain; charset=utf-8"


class WitnessServer(ThreadingHTTPServer):
    """Serves one witness until it is shut down.

    ``POST /add-checkpoint`` asks for a cosignature; ``GET /`` gives the witness's verifier
    key and shows that it is up. Nothing that is sent is logged.

    Args:
        witness: answers.
        host: address to listen on.
        port: 0 for any that is free; ``server_port`` tells which.
        timeout_s: for one request as a whole, however slowly it comes.

    Raises:
        ConfigError: the address cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = CONNECTIONS_LIMIT  # the standard 5 makes a burst wait for a second

    def __init__(
        self, witness: Witness, host: str, port: int, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.witness = witness
        self.timeout_s = timeout_s
        self._places = threading.BoundedSemaphore(CONNECTIONS_LIMIT)
        try:
            super().__init__((host, port), _Handler)
        except OSError as problem:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {problem.strerror}",
                remedy="name another --host or --port, or end what listens there",
            ) from None

    def process_request(self, request: object, client_address: object) -> None:
        """Answer in a thread of its own, unless there are too many already."""
        connection = _as_socket(request)
        if self._places.acquire(blocking=False):
            super().process_request(connection, client_address)
        else:
            self.shutdown_request(connection)

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Give the place back when the connection ends."""
        try:
            super().process_request_thread(_as_socket(request), client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is its sender's affair; the standard way prints a traceback."""


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"  # so that a connection may be used again
    server: WitnessServer

    def handle_one_request(self) -> None:
        """One request, within its time; the connection ends with that."""
        with _cut_after(self.server.timeout_s, self.connection):
            super().handle_one_request()

    def do_GET(self) -> None:
        """Show the key."""
        if self.path != "/":
            return self._answer(Answer(404, _TEXT, b"only / and /add-checkpoint\n"))
        return self._answer(Answer(200, _TEXT, f"{self.server.witness.key}\n".encode()))

    def do_POST(self) -> None:
        """Ask the witness."""
        text = ",".join(self.headers.get_all("Content-Length", []))  # two are no number
        if self.path != _PATH:
            return self._refuse(404, "only /add-checkpoint")
        if "Transfer-Encoding" in self.headers or not _LENGTH(text):
            return self._refuse(411, "a request needs its length")
        if int(text) > REQUEST_LIMIT_BYTES:
            return self._refuse(413, f"at most {REQUEST_LIMIT_BYTES} bytes")
        data = self.rfile.read(int(text))
        if len(data) != int(text):
            self.close_connection = True
            return None
        try:
            answer = self.server.witness.add_checkpoint(data)
        except FedCreditError:  # its text names files of ours
            answer = Answer(500, _TEXT, b"the witness cannot sign now\n")
        return self._answer(answer)

    def version_string(self) -> str:
        """Say what is served, and not which version of what serves it."""
        return "fedcredit-witness"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _refuse(self, status: int, why: str) -> None:
        """Answer without having read the body, so the connection is of no more use."""
        self.close_connection = True
        self._answer(Answer(status, _TEXT, f"{why}\n".encode()))

    def _answer(self, answer: Answer) -> None:
        """Send an answer."""
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)


class HttpCourier:
    """A `Courier` over HTTP or HTTPS; ``where`` is the URL before ``/add-checkpoint``.

    Args:
        timeout_s: for a request and its answer together.
    """

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    def __call__(self, where: str, request: bytes) -> tuple[int, bytes]:
        """See `Courier`.

        Raises:
            ConfigError: ``where`` is no such URL.
            UnreachableError: there was no whole answer in time.
        """
        connection, path = _connection(where, self._timeout_s)
        try:
            connection.connect()
            with _cut_after(self._timeout_s, connection.sock):
                connection.request("POST", path, request, {"Content-Type": _TEXT})
                response = connection.getresponse()
                # One byte more than may come, so that a longer answer is seen as such.
                body = response.read(ANSWER_LIMIT_BYTES + 1)
                if response.length and len(body) <= ANSWER_LIMIT_BYTES:
                    raise IncompleteRead(body, response.length)
                return response.status, body
        except (OSError, HTTPException):
            raise UnreachableError(
                f"no answer from the witness at {where}",
                remedy="ask its operator whether it is up; another witness may stand in for it",
            ) from None
        finally:
            connection.close()


def _connection(where: str, timeout_s: float) -> tuple[HTTPConnection, str]:
    """A connection to be opened, and the path to ask for."""
    try:
        url = urlsplit(where)
        host, port = url.hostname, url.port
    except ValueError:
        url, host, port = urlsplit(""), None, None
    if url.scheme not in ("http", "https") or not host or url.query or url.fragment:
        raise ConfigError(
            "a witness's address is not http://host or https://host",
            remedy="write it as http://127.0.0.1:8470",
        )
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=timeout_s), url.path.rstrip("/") + _PATH


def _as_socket(request: object) -> socket.socket:
    """The connection that a server was handed."""
    if not isinstance(request, socket.socket):
        raise TypeError
    return request


@contextmanager
def _cut_after(seconds: float, connection: socket.socket) -> Iterator[None]:
    """End a connection that takes longer as a whole: a time limit for each read does not."""

    def cut() -> None:
        with suppress(OSError):  # it has ended by itself
            connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
