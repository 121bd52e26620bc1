"""An entry in a few words, for people."""

from __future__ import annotations

from fedcredit.ledger.entries import (
    Approve,
    Burn,
    Charge,
    Close,
    Entry,
    Planned,
    Receipt,
    Refuse,
    Release,
    Step,
)
from fedcredit.ledger.lines import kind_of
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.events import SampledGaussianSum

__all__ = ["what_of"]


def what_of(entry: Entry) -> str:
    """An entry in a few words, for people."""
    kind = kind_of(entry)
    match entry:
        case Planned():
            return f"{kind}: {entry.name!r}, at most {entry.rho}e-9 rho; {entry.plan[:16]}"
        case Approve():
            return f"{kind}: {entry.plan[:16]} by the {entry.by}" + (
                entry.note and f": {entry.note}"
            )
        case Charge():
            cost = f"{rho(entry.event)}e-9 rho, alone {rho_local(entry.event)}e-9"
            if isinstance(entry.event, SampledGaussianSum):
                cost = f"a sample of {entry.event.rate} in 2^20, of all records {cost}"
            return f"{kind}: {_turn(entry)}, {cost}: {entry.event.name}"
        case Release() | Step():
            return f"{kind}: {_turn(entry)}, reply {entry.reply[:16]}"
        case Burn() | Refuse():
            return f"{kind}: {_turn(entry)}: {entry.why}"
        case Receipt():
            return f"{kind}: {_turn(entry)} of {entry.institution}, reply {entry.reply[:16]}"
        case Close():
            return f"{kind}: {_turn(entry)}, {entry.outcome} with {entry.survivors}"
        case _:
            return kind


def _turn(entry: Charge | Release | Step | Burn | Refuse | Receipt | Close) -> str:
    """Plan, round and attempt, as people count them."""
    return f"{entry.plan[:16]} round {entry.round + 1}, attempt {entry.attempt}"
