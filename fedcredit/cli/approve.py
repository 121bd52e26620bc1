"""`fedcredit study approve`: a person agrees to what a study may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from fedcredit.cli.considering import describe, look

__all__ = ["approve"]

_LONGEST_NOTE: Final = 400


def approve(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
    ],
    study: Annotated[str, typer.Argument(metavar="[STUDY]", help="The study.")] = "",
    *,
    officer: Annotated[Path, typer.Option(help="The privacy officer's key file.")],
    note: Annotated[str, typer.Option(help="Why, for the ledger; plain letters.")] = "",
) -> None:
    """Approve a study, as the privacy officer of the institution in FOLDER.

    STUDY is the name of its folder in FOLDER/studies; none for a plan.json in FOLDER itself.
    Says what is asked and what it can cost at most, retries included; the ledger's policy
    stays the limit. A study that the policy approves by itself needs none of this. The node
    takes the approval up at its next look.

    Exit status: 0 approved; 1 a file is missing or wrong; 5 the key is not the officer's.

    Example: fedcredit study approve /etc/fedcredit 4f1c --officer officer.key
    """
    from fedcredit.adapters.hosting import Approval, write_approval
    from fedcredit.adapters.policies import read_key_file
    from fedcredit.errors import ConfigError, IntegrityError
    from fedcredit.ledger.signing import approval_text

    if not (note.isascii() and note.isprintable() and len(note) <= _LONGEST_NOTE):
        raise ConfigError(
            f"the note is not a line of at most {_LONGEST_NOTE} plain letters",
            remedy="write it shorter, without line breaks and with the letters of ASCII",
        )
    key, seen = read_key_file(officer), look(folder, study)
    if key.public.hex() != seen.account.genesis.officer:
        raise IntegrityError(
            f"{officer} is not the key of this ledger's officer", remedy="give the right one"
        )
    digest = seen.asked.plan
    signature = key(approval_text(seen.account.genesis.origin, digest)).hex()
    write_approval(seen.place, Approval(plan=digest, signature=signature, note=note))
    typer.echo("\n".join(describe(seen)))
    typer.echo("approved")
