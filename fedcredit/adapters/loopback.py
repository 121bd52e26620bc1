"""Small services for people and machines on this computer alone: HTTP on 127.0.0.1."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from uvicorn import Config, Server

from fedcredit.adapters.asgi import App
from fedcredit.errors import ConfigError

__all__ = ["HOST", "serve", "serving"]

HOST: Final = "127.0.0.1"


def serve(app: App, port: int) -> None:
    """Serve until a signal ends the process.

    Args:
        app: answers HTTP.
        port: on `HOST`.

    Raises:
        ConfigError: the port is taken.
    """
    with _listening(port) as taken:
        _server(app).run([taken])


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
