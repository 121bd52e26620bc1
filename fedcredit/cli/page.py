"""`fedcredit coordinator page`: the operator's page, for a browser on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fedcredit.errors import ConfigError

__all__ = ["coordinator_page", "operating"]


def coordinator_page(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder.", file_okay=False)
    ],
    *,
    port: Annotated[int, typer.Option(help="On 127.0.0.1 alone.", min=1, max=65535)] = 8480,
) -> None:
    """Show studies, institutions and the ledger's head in a browser, live and read only.

    It answers on this machine alone; from another, go through ssh -L. It needs no connection
    to the process of fedcredit coordinator run, only the right to read its folder.

    Exit status: 0 ended by a signal; 1 there is no coordinator in FOLDER, or the port is taken.

    Example: fedcredit coordinator page /srv/coordinator --port 8480
    """
    import signal
    import threading

    from fedcredit.adapters.coordinator_folder import read_settings
    from fedcredit.adapters.system import utc_moment

    read_settings(folder)
    with operating():
        from fedcredit.adapters.loopback import serving
        from fedcredit.adapters.operator_page import operator_app
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with serving(operator_app(folder, utc_moment), port):
        typer.echo(f"http://127.0.0.1:{port}/")
        ended.wait()


@contextmanager
def operating() -> Iterator[None]:
    """Import what only the extra ``operate`` brings.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        yield
    except ImportError:
        raise ConfigError(
            "this needs packages that are not installed",
            remedy='pip install "fedcredit[operate]"',
        ) from None
