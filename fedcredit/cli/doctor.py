"""`fedcredit doctor`: what is wrong with a node or a coordinator, and what to do about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["doctor"]


def doctor(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A node's or a coordinator's.", file_okay=False)
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Examine FOLDER and the way to its coordinator: a line for each thing looked at.

    The way is walked step by step: the coordinator's name, its port, TLS, whether it lets us
    in, its clock against ours. Then certificates, versions, disk, rights of files, ledger,
    witnesses, and what the process connects to. Nothing is changed.

    Exit status: 0 all well; 1 something is not; 3 the coordinator cannot be reached.

    Example: fedcredit doctor /etc/fedcredit
    """
    import os
    from dataclasses import asdict

    from fedcredit.adapters.doctor import Surroundings, examine
    from fedcredit.adapters.finding import exit_status
    from fedcredit.adapters.system import SystemClock, utc_moment
    from fedcredit.adapters.way import system_resolve

    around = Surroundings(
        resolve=system_resolve, now=utc_moment, clock=SystemClock(), environment=os.environ
    )
    found = examine(folder, around)
    status = exit_status(found)
    if as_json:
        rows = [asdict(one) for one in found]
        typer.echo(json.dumps({"exit_status": status, "findings": rows}, ensure_ascii=False))
    else:
        for one in found:
            typer.echo(f"{'ok   ' if one.ok else 'FAULT'}  {one.check:<11}  {one.what}")
            if one.do:
                typer.echo(f"{'':20}fix: {one.do}" if not one.ok else f"{'':20}{one.do}")
    if status:
        raise typer.Exit(status)
