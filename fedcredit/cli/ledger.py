"""`fedcredit ledger`: what an institution has written down, for its own people and auditors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedcredit.cli.audit import export, page
from fedcredit.cli.ledgers import bundle, init, rotate, show

__all__ = ["ledger"]

ledger = typer.Typer(no_args_is_help=True, help="Keep ledgers, and check those of others.")
for _own in (init, show, rotate, bundle):
    ledger.command()(_own)


@ledger.command()
def verify(
    *,
    bundles: Annotated[
        list[Path],
        typer.Argument(help="Zips, or folders of ledgers.", show_default=False),
    ],
    trust: Annotated[
        Path | None, typer.Option(help="Roots, witnesses and checkpoints saved earlier, TOML.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Write the heads found to this new file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check BUNDLES: every entry, signature, cost and cap, and say what was not checked.

    Exit status: 0 all holds; 1 the evidence is sound and a rule is broken; 2 wrong usage;
    5 the evidence is broken.

    Example: fedcredit ledger verify audit.zip --trust trust.toml
    """
    from fedcredit.verifier import main

    words = [str(path) for path in bundles]
    words += ["--trust", str(trust)] if trust else []
    words += ["--save", str(save)] if save else []
    raise typer.Exit(main([*words, "--json"] if as_json else words))


for _audit in (page, export):
    ledger.command()(_audit)
