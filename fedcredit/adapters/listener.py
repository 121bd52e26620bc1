"""A TLS listener that cannot be filled up: every connection has its time, and strangers few places.

HTTP is uvicorn's. Around it stand the limits that it does not have: a time for the
handshake and for the head of each request; a number of connections of those who have
proven nothing, of whom the oldest makes room for the newest; and another for each
certificate. The certificate that TLS has checked is put into the scope of every request of
its connection, by the object that owns the connection: nothing that is sent can name another.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from asyncio import sslproto
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Self, TypeAlias

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from fedcredit.adapters.asgi import App, Receive, Scope, Send
from fedcredit.adapters.tls import last_words
from fedcredit.errors import ConfigError

__all__ = ["CERTIFICATE", "Listener", "ListenerLimits"]

CERTIFICATE: Final = "fedcredit.certificate"
"""Key of a scope: the client's certificate as DER; empty where it has shown none."""

_BUFFER_BYTES: Final = 32 << 10
"""What asyncio sets aside for each TLS connection before anything has come on it. Its own
256 KiB, times the connections that somebody opens and drops in a row, is a gigabyte: they are
freed in cycles, late."""
_FAREWELLS: Final = 64  # at once
_FAREWELL_S: Final = 1.0

_Lifetime: TypeAlias = Callable[[], AbstractAsyncContextManager[App]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """How long and how many.

    Attributes:
        handshake_s: for TLS.
        head_s: for the head of a request, from its first byte; for the first from the
            handshake.
        idle_s: between two requests.
        drain_s: for answers that are under way when the listener is closed.
        strangers: connections without a certificate, at once.
        of_one: connections with the same certificate, at once.
        head_bytes: of a request.
    """

    handshake_s: float = 5.0
    head_s: float = 10.0
    idle_s: int = 30
    drain_s: float = 5.0
    strangers: int = 256
    of_one: int = 32
    head_bytes: int = 16 << 10


_LIMITS: Final = ListenerLimits()


class Listener:
    """Serves an app in a thread of its own, from `open` to `close`; also a context manager.

    Args:
        lifetime: makes the app, within the loop that it will run in, and ends it.
        context: see `tls.server_context`.
        host: address to listen on.
        port: 0 for any that is free; ``port`` tells which.
        limits: see there.

    Raises:
        ConfigError: the address cannot be had.
    """

    def __init__(
        self,
        lifetime: _Lifetime,
        context: ssl.SSLContext,
        host: str,
        port: int,
        limits: ListenerLimits = _LIMITS,
    ) -> None:
        self._lifetime, self._context, self._limits = lifetime, context, limits
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=1024)
        except OSError as problem:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {problem.strerror}",
                remedy="name another host or port, or end what listens there",
            ) from None
        self._socket.settimeout(0)
        self.port: int = self._socket.getsockname()[1]
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._failed: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Serve; returns when connections are taken.

        Raises:
            Exception: whatever the app's own beginning raised.
        """
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            self.close()
            raise self._failed

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        """The thread."""
        try:
            asyncio.run(self._serve())
        except Exception as problem:  # noqa: BLE001 - it is raised in the thread that waits
            self._failed = problem
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        """Take connections until the listener is closed."""
        self._loop = asyncio.get_running_loop()
        sslproto.SSLProtocol.max_size = _BUFFER_BYTES
        state, places = ServerState(), _Places(self._limits)
        async with self._lifetime() as app:
            config = _config(app, self._limits)
            taking = asyncio.create_task(self._take(config, state, places))
            self._ready.set()
            await self._stop.wait()
            taking.cancel()
            for connection in list(state.connections):
                connection.shutdown()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.drain_s):
                    while state.tasks:
                        await asyncio.wait(state.tasks)
            places.close()

    async def _take(self, config: Config, state: ServerState, places: _Places) -> None:
        """Take connections, each in a task of its own until its handshake is done."""
        loop, opening = asyncio.get_running_loop(), set[asyncio.Task[None]]()
        while True:
            try:
                taken, _ = await loop.sock_accept(self._socket)
            except OSError:  # no file is left to open: some will be closed
                await asyncio.sleep(0.1)
                continue
            # Asyncio sets it only on sockets that name their protocol, and this one does not: an
            # answer in two pieces would wait 40 ms for the other side's acknowledgement.
            with suppress(OSError):  # it has ended already
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            places.enter(taken)
            task = asyncio.create_task(self._shake(taken, config, state, places))
            opening.add(task)
            task.add_done_callback(opening.discard)

    async def _shake(
        self, taken: socket.socket, config: Config, state: ServerState, places: _Places
    ) -> None:
        """One handshake; from then on the connection is its protocol's."""
        last_words.set(partial(places.bid_farewell, taken))
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Peer(config, state, taken, places, self._limits),
                taken,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_s,
                ssl_shutdown_timeout=self._limits.handshake_s,
            )
        except (OSError, asyncio.CancelledError):
            places.leave(taken)


class _Places:
    """Who is connected: strangers together, and everybody with a certificate alone."""

    def __init__(self, limits: ListenerLimits) -> None:
        self._limits = limits
        self._rooms: dict[bytes, OrderedDict[socket.socket, None]] = {b"": OrderedDict()}
        self._room_of: dict[socket.socket, bytes] = {}
        self._farewells: set[socket.socket] = set()

    def enter(self, taken: socket.socket, certificate: bytes = b"") -> None:
        """Give a connection a place; the oldest of its room makes one if there is none."""
        self.leave(taken)
        room = self._rooms.setdefault(certificate, OrderedDict())
        self._room_of[taken] = certificate
        room[taken] = None
        if len(room) > (self._limits.of_one if certificate else self._limits.strangers):
            self._end(next(iter(room)))

    def leave(self, taken: socket.socket) -> None:
        """A connection has ended."""
        certificate = self._room_of.pop(taken, None)
        if certificate is not None:
            room = self._rooms[certificate]
            del room[taken]
            if certificate and not room:
                del self._rooms[certificate]

    def bid_farewell(self, taken: socket.socket, alert: bytes) -> None:
        """Say why a handshake failed, and leave the other side a second to read it.

        A connection that is closed at once, with something still to be read from it, is
        reset, and what was sent last is lost.
        """
        if len(self._farewells) >= _FAREWELLS:
            return
        with suppress(OSError):  # the other side may be gone
            kept = taken.dup()
            self._farewells.add(kept)
            asyncio.get_running_loop().call_later(_FAREWELL_S, self._part, kept)
            kept.send(alert)
            kept.shutdown(socket.SHUT_WR)

    def _part(self, kept: socket.socket) -> None:
        """Close what was kept open for an alert."""
        self._farewells.discard(kept)
        kept.close()

    def close(self) -> None:
        """End all."""
        for taken in list(self._room_of):
            self._end(taken)
        for kept in list(self._farewells):
            self._part(kept)

    def _end(self, taken: socket.socket) -> None:
        """End a connection: whoever owns it sees that the other side is gone."""
        self.leave(taken)
        with suppress(OSError):  # it has ended by itself
            taken.shutdown(socket.SHUT_RDWR)


class _Peer(H11Protocol):
    """A connection that knows whose it is, and what time it has."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        taken: socket.socket,
        places: _Places,
        limits: ListenerLimits,
    ) -> None:
        super().__init__(config, state, {})
        self._taken, self._places, self._head_s = taken, places, limits.head_s
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is done; uvicorn narrows the type of ``transport`` as we do."""
        super().connection_made(transport)
        found = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        certificate: bytes = found or b""
        if certificate:
            self._places.enter(self._taken, certificate)
        inner: App = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            """The app, told who asks."""
            scope[CERTIFICATE] = certificate
            await inner(scope, receive, send)

        self.app = app
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Bytes have come: of a head, whose time runs, or of a body, whose time the app keeps."""
        if self._late is None and self._between():
            self._await_head()
        super().data_received(data)
        if not self._between():
            self._head_is_there()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._head_is_there()
        self._places.leave(self._taken)
        super().connection_lost(exc)

    def _between(self) -> bool:
        """Whether no request is being answered."""
        return bool(getattr(self.cycle, "response_complete", True))  # there is none at first

    def _await_head(self) -> None:
        """Give the next head its time."""
        self._late = self.loop.call_later(self._head_s, self._give_up)

    def _head_is_there(self) -> None:
        """The head has come in time."""
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        """The head has not come in time."""
        self.transport.abort()


def _config(app: App, limits: ListenerLimits) -> Config:
    """Uvicorn, saying and trusting as little as it can."""
    config = Config(
        app,
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=limits.idle_s,
        h11_max_incomplete_event_size=limits.head_bytes,
    )
    config.load()
    return config
