"""`fedcredit budget`: what was spent, what is left, and the policy that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:  # `--help` waits for none of these
    from collections.abc import Iterator

    from fedcredit.ledger.account import Account, PlanAccount
    from fedcredit.privacy.costs import Whose
    from fedcredit.units import NanoRho

__all__ = ["budget"]

budget = typer.Typer(no_args_is_help=True, help="What was spent, and what may be.")

_Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
]


@budget.command()
def show(
    folder: _Folder,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a record and a person have paid in the period, each cap, and what is left.

    Exit status: 0 done; 1 there is no ledger; 5 it is damaged.

    Example: fedcredit budget show /etc/fedcredit
    """
    from fedcredit.adapters.ledgers import read_chain

    account = read_chain(folder / "ledger").account
    rows = _rows(account)
    policy = account.policy
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "institution": account.genesis.institution,
                    "begins": policy.begins,
                    "ends": policy.ends,
                    "delta": policy.caps.delta,
                    "persons": policy.caps.institutions,
                    "figures": [row._asdict() for row in rows],
                    "studies": [
                        {
                            "plan": plan,
                            "name": one.planned.name,
                            "approved": one.approved,
                            "rho": paid,
                            "rho_at_most": most,
                        }
                        for plan, one, paid, most in _studies(account)
                    ],
                }
            )
        )
        return
    typer.echo(
        f"{account.genesis.institution}, from {policy.begins} to {policy.ends}, "
        f"delta {policy.caps.delta:g}"
    )
    typer.echo(f"{'':<44}{'spent':>9}{'cap':>9}  of rho")
    for row in rows:
        bar = "#" * round(20 * row.rho / row.rho_cap if row.rho_cap else 20)
        typer.echo(f"{row.who:<44}{row.epsilon:>9.3f}{row.epsilon_cap:>9.3f}  [{bar:<20}]")
    for _, one, paid, most in _studies(account):
        state = "approved" if one.approved else "waits for the officer"
        typer.echo(f"  {one.planned.name}: {paid}e-9 rho of at most {most}e-9, {state}")


@budget.command(name="set")
def change(
    folder: _Folder,
    root: Annotated[Path, typer.Option(help="The root's key file.")],
    officer: Annotated[
        Path | None, typer.Option(help="The officer's key file; where more may be spent.")
    ] = None,
) -> None:
    """Put the policy in FOLDER/policy.toml in force, from the next entry on.

    Lower caps need the root alone. Higher ones, a new period, fewer or other witnesses need
    the privacy officer too. What was spent stays spent within its period.

    Exit status: 0 done; 1 a file is missing or wrong; 3 too few witnesses answer; 4 the
    officer is needed, or the period is none that may follow; 5 a key is not the right one.

    Example: fedcredit budget set /etc/fedcredit --root root.key --officer officer.key
    """
    from fedcredit.adapters.ledgers import open_ledger
    from fedcredit.adapters.policies import read_key_file, read_policy

    written = read_policy(folder / "policy.toml")
    wanted = written.policy
    with open_ledger(folder, written) as ledger:
        if wanted == ledger.policy:
            typer.echo("nothing to change: this policy is in force", err=True)
            return
        ledger.change_policy(
            wanted, read_key_file(root), read_key_file(officer) if officer else None
        )
        ledger.settle()
        typer.echo(f"in force from entry {len(ledger.written) - 1} on")


class _Row(NamedTuple):
    """A figure that is capped."""

    who: str
    rho: int
    rho_cap: int
    epsilon: float
    epsilon_cap: float


def _rows(account: Account) -> list[_Row]:
    """Each figure that is capped: what was paid and what may be, as rho and as epsilon."""
    from fedcredit.privacy.accounting import epsilon_of

    spent, caps = account.spent, account.policy.caps
    persons, delta = caps.institutions, caps.delta
    figures: tuple[tuple[str, Whose, NanoRho], ...] = (
        ("a record, where only sums are seen", "rho", caps.rho_cap),
        ("a record, with our noise alone", "rho_local", caps.rho_local_cap),
        (f"a person at {persons}, where only sums are seen", "person_rho", caps.person_rho_cap),
        (f"a person at {persons}, each noise alone", "person_rho_local", caps.person_rho_local_cap),
    )
    costs = [(who, spent.cost(whose, persons), cap) for who, whose, cap in figures]
    return [
        _Row(who, cost.under(cap, delta), cap, cost.epsilon(delta), epsilon_of(cap, delta))
        for who, cost, cap in costs
    ]


def _studies(account: Account) -> Iterator[tuple[str, PlanAccount, int, int]]:
    """Each plan, with what it has cost and can cost a record, as rho of the cap on a study."""
    policy = account.policy
    for plan, one in account.plans.items():
        paid, most = (
            cost.under(policy.study_rho, policy.caps.delta)
            for cost in (one.spent.cost("rho", 1), one.planned.cost("rho"))
        )
        yield plan, one, paid, most
