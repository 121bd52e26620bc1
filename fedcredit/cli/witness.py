"""`fedcredit witness`: sign for others' ledgers that they only ever grew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["witness"]

witness = typer.Typer(no_args_is_help=True, help="Witness the ledgers of others.")

_Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The witness's folder.", file_okay=False)
]


@witness.command()
def key(
    folder: _Folder,
    name: Annotated[
        str | None, typer.Option(help="Make a new key with this name, if there is none.")
    ] = None,
) -> None:
    """Print the witness's verifier key, which institutions write into their policies.

    Exit status: 0 printed; 1 there is no key and no --name, the folder cannot be written, or
    others may read the key; 1 too if --name is given and there is a key already.

    Example: fedcredit witness key /etc/fedcredit/witness --name bank.example/witness
    """
    from fedcredit.adapters.witness_folder import new_key, witness_key

    typer.echo(str(witness_key(folder) if name is None else new_key(folder, name)))


@witness.command()
def add(
    folder: _Folder,
    origin: Annotated[str, typer.Argument(metavar="ORIGIN", help="The ledger's first line.")],
    vkey: Annotated[str, typer.Argument(metavar="VKEY", help="Its writer's verifier key.")],
    *,
    only: Annotated[
        bool, typer.Option("--only", help="Forget the ledger's other keys, such as a stolen one.")
    ] = False,
) -> None:
    """Sign for the ledger ORIGIN, whose checkpoints are signed by VKEY.

    Compare the key with the institution by telephone first. A witness that runs takes it up
    at once.

    Exit status: 0 added; 1 the origin or key is malformed.

    Example: fedcredit witness add /etc/fedcredit/witness shop.example/ledger VKEY
    """
    from fedcredit.adapters.witness_folder import add_ledger, witness_key
    from fedcredit.ledger.signatures import read_key

    witness_key(folder)  # so that a mistyped folder is noticed
    add_ledger(folder, origin, read_key(vkey), only=only)
    typer.echo(f"signs for {origin}")


@witness.command()
def run(
    folder: _Folder,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 for any that is free.", min=0, max=65535)] = 8470,
) -> None:
    """Answer requests for cosignatures over HTTP until it is ended.

    A checkpoint is kept in FOLDER before it is signed. Never restore FOLDER from an old
    backup: institutions would find that the witness has forgotten, and not count on it.

    Exit status: 0 ended by SIGTERM; 1 there is no key, a file is malformed, or the address
    cannot be had; 130 interrupted.

    Example: fedcredit witness run /etc/fedcredit/witness --host 10.0.0.5 --port 8470
    """
    import signal
    from threading import Thread

    from fedcredit.adapters.witness import WitnessServer
    from fedcredit.adapters.witness_folder import open_witness

    with WitnessServer(open_witness(folder), host, port) as server:
        # In a thread: it waits for the loop below, which the signal has interrupted.
        signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
        typer.echo(f"{server.witness.key} listens on http://{host}:{server.server_port}")
        server.serve_forever()
