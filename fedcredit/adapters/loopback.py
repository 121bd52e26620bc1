"""Small services for people and machines on this computer alone: HTTP on 127.0.0.1.

A request that names another host than this machine is refused, or a site of the outside could
have its own name point here and have a browser read along.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from uvicorn import Config, Server

from fedcredit.adapters.asgi import (
    App,
    Headers,
    Message,
    Receive,
    Refused,
    Scope,
    Send,
    headers_of,
    refuse,
)
from fedcredit.errors import ConfigError

__all__ = ["HOST", "guarded", "serving"]

HOST: Final = "127.0.0.1"
_OURS: Final = (HOST, "localhost", "[::1]")


@contextmanager
def serving(app: App, port: int) -> Iterator[int]:
    """Serve in a thread of its own while the block runs.

    Args:
        app: answers HTTP.
        port: on `HOST`; 0 for any that is free.

    Yields:
        The port.

    Raises:
        ConfigError: the port is taken.
    """
    with _listening(port) as taken:
        server = _server(app)
        thread = threading.Thread(target=server.run, args=([taken],), name="loopback", daemon=True)
        thread.start()
        try:
            yield int(taken.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


def guarded(app: App, extra: Headers) -> App:
    """An app that answers under this machine's own name alone.

    Args:
        app: answers HTTP.
        extra: headers that every answer gets, refusals too.
    """

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def sending(message: Message) -> None:
            """Put our headers beside those of the answer."""
            if message["type"] == "http.response.start":
                headers = cast("Headers", message.get("headers", []))
                message = {**message, "headers": [*headers, *extra]}
            await send(message)

        if scope["type"] == "http" and not _is_for_us(scope):
            what = "this answers under the name of this machine alone"
            await refuse(sending, Refused(421, "host", what, f"ask http://{HOST}"))
        else:
            await app(scope, receive, sending)

    return inner


def _is_for_us(scope: Scope) -> bool:
    """Whether a request was meant for this machine by name."""
    hosts = [value.decode("latin-1") for name, value in headers_of(scope) if name == b"host"]
    return len(hosts) == 1 and _without_port(hosts[0]) in _OURS


def _without_port(host: str) -> str:
    """A host as a request names it, without its port.

    >>> _without_port("[::1]:8480"), _without_port("localhost:8480"), _without_port("127.0.0.1")
    ('[::1]', 'localhost', '127.0.0.1')
    """
    name, colon, port = host.rpartition(":")
    return name.lower() if colon and port.isdigit() else host.lower()


def _listening(port: int) -> socket.socket:
    """The socket: connections wait in it from here on."""
    try:
        return socket.create_server((HOST, port))
    except OSError as problem:
        raise ConfigError(
            f"cannot listen on {HOST}:{port}: {problem.strerror}",
            remedy="name another port, or end what listens there",
        ) from None


def _server(app: App) -> Server:
    """Uvicorn, saying as little as it can."""
    return Server(
        Config(
            app,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
