"""What a person sees of a study before saying yes or no: what it asks, costs and leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` waits for none of these
    from fedcredit.federation.plan import StudyPlan
    from fedcredit.ledger.account import Account
    from fedcredit.ledger.entries import Planned
    from fedcredit.privacy.costs import Whose
    from fedcredit.units import NanoRho

__all__ = ["Seen", "describe", "look"]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A study that was put before an institution, and where that stands.

    Attributes:
        place: the study's folder.
        plan: what is asked.
        asked: what it can cost, as the ledger will have it.
        account: of the ledger.
    """

    place: Path
    plan: StudyPlan
    asked: Planned
    account: Account


def look(folder: Path, study: str) -> Seen:
    """Read a study and the ledger; nothing is locked or written.

    Args:
        folder: the node's.
        study: beginning of the name of a folder in ``studies``; empty for the only one.

    Raises:
        ConfigError: there is no such study, more than one, or no ledger.
    """
    from fedcredit.adapters.folders import read_agreed
    from fedcredit.adapters.hosting import plan_folders
    from fedcredit.adapters.ledgers import read_chain
    from fedcredit.federation.book import planned

    places = plan_folders(folder)
    fits = [one for one in places if one.name.startswith(study)] if study else places
    if len(fits) != 1:
        names = ", ".join(one.name for one in places if one != folder) or "none"
        raise ConfigError(
            f"{len(fits)} studies in {folder} fit; there are: {names}",
            remedy="name one of them; a few letters are enough",
        )
    _, plan = read_agreed(fits[0])
    account = read_chain(folder / "ledger").account
    return Seen(fits[0], plan, planned(plan, account.policy.caps.institutions), account)


def describe(seen: Seen) -> list[str]:
    """Lines for a person: what is asked, what it costs before and after, what leaves."""
    from fedcredit.privacy.accounting import epsilon_of

    plan, asked, account = seen.plan, seen.asked, seen.account
    caps, spent = account.policy.caps, account.spent
    lines = [
        f"{plan.name}: {plan.purpose}",
        (
            f"  asks: {len(plan.schema.features)} features of schema {plan.schema.name!r}, "
            f"{len(plan.rounds)} rounds and {plan.retries} in reserve, {plan.noise} noise, "
            f"{len(plan.institutions)} institutions, sums over {plan.threshold} or more"
        ),
    ]
    figures: tuple[tuple[str, Whose, NanoRho], ...] = (
        ("a record", "rho", caps.rho_cap),
        ("a record, our noise alone", "rho_local", caps.rho_local_cap),
        (f"a person at {caps.institutions}", "person_rho", caps.person_rho_cap),
    )
    for who, whose, cap in figures:
        before, most = spent.cost(whose, caps.institutions), asked.cost(whose)
        now, study, after = (cost.epsilon(caps.delta) for cost in (before, most, before.plus(most)))
        limit = epsilon_of(cap, caps.delta)
        lines.append(
            f"  {who}: spent {now:.3f}, this study at most {study:.3f}, after it at most "
            f"{after:.3f}, cap {limit:.3f} (epsilon at delta {caps.delta:g})"
        )
    return [
        *lines,
        "  leaves your site: sums with noise, under masks; signatures; times of answers",
        "  stays: rows, counts, your own model, keys",
    ]
