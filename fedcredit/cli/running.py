"""`fedcredit coordinator run|roster` and `fedcredit node run|status|pause|resume`."""

from __future__ import annotations

import json
import logging
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.cli.page import operating
from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` waits for none of these
    from collections.abc import Callable

__all__ = [
    "coordinator_roster",
    "coordinator_run",
    "node_pause",
    "node_resume",
    "node_run",
    "node_status",
]

_Centre = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder.", file_okay=False)
]
_Node = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
]
_MetricsPort = Annotated[
    int, typer.Option(help="Figures for Prometheus, on 127.0.0.1 alone; 0: none.", min=0, max=65535)
]
_LogJson = Annotated[bool, typer.Option("--log-json", help="Write logs as JSON lines.")]


def coordinator_run(
    folder: _Centre,
    *,
    listen: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",  # noqa: S104 - the one port that is for the outside
    superlink_port: Annotated[
        int, typer.Option(help="Of Flower's SuperLink, on this machine alone.")
    ] = 9092,
    metrics_port: _MetricsPort = 0,
    log_json: _LogJson = False,
) -> None:
    """Run the coordinator in FOLDER until it is ended: its front, Flower, started studies.

    Exit status: 0 ended by a signal; 1 a file is missing or wrong, or a port is taken; 3
    Flower does not start.

    Example: fedcredit coordinator run /srv/coordinator
    """
    from fedcredit.adapters.running import RunningCoordinator

    _log(as_json=log_json)
    running = RunningCoordinator(folder, listen, superlink_port)
    _on_signal(running.close)
    with ExitStack() as last:
        if metrics_port:
            from fedcredit.adapters.system import utc_moment

            with operating():
                from fedcredit.adapters.loopback import serving
                from fedcredit.adapters.metrics import CentreFigures, metrics_app

            figures = CentreFigures(folder, utc_moment)
            last.enter_context(serving(metrics_app(figures), metrics_port))
        running.run()


def coordinator_roster(folder: _Centre) -> None:
    """Draw up the roster of all members in FOLDER, for them to look at and sign.

    Exit status: 0 done; 1 there are too few members, or a roster that would be lost.

    Example: fedcredit coordinator roster /srv/coordinator
    """
    from fedcredit.adapters.coordinator_folder import read_register
    from fedcredit.adapters.keyring import read_roster, write_roster
    from fedcredit.secagg.keys import Member
    from fedcredit.secagg.roster import Roster, SignedRoster

    path = folder / "roster.json"
    members = tuple(
        Member(one.name, bytes.fromhex(one.card.signing), bytes.fromhex(one.card.sealing))
        for one in read_register(folder).institutions
        if one.state == "member" and one.role == "institution"
    )
    before = read_roster(path).roster if path.exists() else None
    if before is not None and before.members == members:
        raise ConfigError("the roster has not changed", remedy="have the members sign it")
    epoch, previous = (before.epoch + 1, before.digest()) if before else (0, b"")
    write_roster(path, SignedRoster(Roster(epoch, previous, members)))
    typer.echo(f"epoch {epoch}: {', '.join(one.name for one in members)}")
    typer.echo("each member looks at it and signs: fedcredit node roster sign FOLDER", err=True)


def node_run(folder: _Node, *, metrics_port: _MetricsPort = 0, log_json: _LogJson = False) -> None:
    """Run the node in FOLDER until it is ended: it answers its coordinator, and visits it.

    Exit status: 0 ended by a signal; 1 a file is missing or wrong; 3 the coordinator does not
    let this node in; 5 the ledger is damaged, or open elsewhere.

    Example: fedcredit node run /etc/fedcredit
    """
    from fedcredit.adapters.running import STATUS, RunningNode

    _log(as_json=log_json)
    if not metrics_port:
        running = RunningNode(folder)
        _on_signal(running.close)
        running.run()
        return
    with operating():
        from fedcredit.adapters.loopback import serving
        from fedcredit.adapters.metrics import NodeFigures, Tally, metrics_app
    tally = Tally()
    running = RunningNode(folder, tally)
    _on_signal(running.close)
    with serving(metrics_app(NodeFigures(folder, tally, STATUS)), metrics_port):
        running.run()


def node_status(
    folder: _Node,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say whether the node in FOLDER is connected, until when it is let in, what troubles it.

    Exit status: 0 connected; 1 it has never run; 3 not connected.

    Example: fedcredit node status /etc/fedcredit
    """
    from fedcredit.adapters.institutions import stamp
    from fedcredit.adapters.joining import member_until, member_warning
    from fedcredit.adapters.left import read_left
    from fedcredit.adapters.running import PAUSED, STATUS
    from fedcredit.adapters.system import utc_moment

    path = folder / STATUS
    if not path.exists():
        raise ConfigError("the node has never run", remedy="fedcredit node run FOLDER")
    status = json.loads(path.read_text("ascii")) | {"paused": (folder / PAUSED).exists()}
    if left := read_left(folder):
        status |= {"connected": False, "left": left.at}
    status["certificate"] = f"until {stamp(member_until(folder))}"
    if warning := member_warning(folder, utc_moment()):
        status["warning"] = warning
    if as_json:
        typer.echo(json.dumps(status))
    else:
        typer.echo("\n".join(f"{name:<11} {value}" for name, value in status.items()))
    if not status["connected"]:
        raise typer.Exit(3)


def node_pause(
    folder: _Node, reason: Annotated[str, typer.Option(help="Why, for your own people.")]
) -> None:
    """Answer nothing until `fedcredit node resume`: studies count the node as absent.

    Exit status: 0 done; 1 FOLDER cannot be written.

    Example: fedcredit node pause /etc/fedcredit --reason "incident"
    """
    from fedcredit.adapters.disk import write_file
    from fedcredit.adapters.running import PAUSED

    write_file(folder / PAUSED, (json.dumps({"reason": reason}) + "\n").encode())
    typer.echo("paused")


def node_resume(folder: _Node) -> None:
    """Answer again.

    Exit status: 0 done.

    Example: fedcredit node resume /etc/fedcredit
    """
    from fedcredit.adapters.running import PAUSED

    (folder / PAUSED).unlink(missing_ok=True)
    typer.echo("answers again")


def _log(*, as_json: bool) -> None:
    """Our own lines to standard error, and nothing of other people's but warnings."""
    if as_json:
        with operating():
            from fedcredit.adapters.logs import log_json
        log_json()
        return
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s"
    )
    logging.getLogger("fedcredit").setLevel(logging.INFO)


def _on_signal(close: Callable[[], None]) -> None:
    """End in good order when we are told to."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: close())
