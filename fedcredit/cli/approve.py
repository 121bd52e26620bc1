"""`fedcredit study approve`: a person agrees to what a study may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["approve"]


def approve(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
    ],
    officer: Annotated[Path, typer.Option(help="The privacy officer's key file.")],
    note: Annotated[str, typer.Option(help="Why, for the ledger; plain letters.")] = "",
) -> None:
    """Approve the study whose plan.json is in FOLDER, as its privacy officer.

    Says what is asked and what it can cost at most, retries included; the ledger's policy
    stays the limit. A study that the policy approves by itself needs none of this.

    Exit status: 0 approved; 1 a file is missing or wrong; 3 too few witnesses answer; 4 the
    policy is against it; 5 approved already, or the key is not the officer's.

    Example: fedcredit study approve /etc/fedcredit --officer officer.key --note "credit risk"
    """
    from fedcredit.adapters.folders import read_agreed
    from fedcredit.adapters.ledgers import open_ledger
    from fedcredit.adapters.policies import read_key_file, read_policy
    from fedcredit.errors import PrivacyError
    from fedcredit.federation.book import planned
    from fedcredit.ledger.signing import approval_text
    from fedcredit.privacy.accounting import epsilon_of
    from fedcredit.units import NanoRho

    key, (_, plan) = read_key_file(officer), read_agreed(folder)
    written = read_policy(folder / "policy.toml")
    with open_ledger(folder, written) as ledger:
        caps = ledger.policy.caps
        asked = planned(plan, caps.institutions)
        try:
            ledger.propose(asked)
        except PrivacyError:
            if asked.plan not in ledger.account.plans:
                raise  # refused outright, not merely waiting for a person
            ledger.approve(asked.plan, key(approval_text(ledger.origin, asked.plan)), note)
        ledger.settle()
        spent = ledger.account.spent.rho
        before, most, after, cap = (
            epsilon_of(NanoRho(one), caps.delta)
            for one in (spent, asked.rho, spent + asked.rho, caps.rho_cap)
        )
    typer.echo(f"{plan.name}: {plan.purpose}")
    typer.echo(f"  {len(plan.rounds)} rounds and {plan.retries} in reserve, {plan.noise} noise")
    typer.echo(
        f"  a record: spent {before:.3f}, this study at most {most:.3f}, after it at most "
        f"{after:.3f}, cap {cap:.3f} (epsilon at delta {caps.delta:g})"
    )
    typer.echo("approved")
