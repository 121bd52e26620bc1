"""Writes the ledgers of `golden/`: every kind of entry, by fixed keys and clocks.

    python -m tests.faults.written FOLDER

What stands in `golden/` was written once and is never written again: it is what later
versions must read.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from fedcredit.adapters.ledgers import open_store
from fedcredit.errors import PrivacyError
from fedcredit.federation.ledgers import policy_of
from fedcredit.ledger.asking import Direct
from fedcredit.ledger.entries import (
    Audit,
    Charge,
    Close,
    Note,
    Planned,
    Receipt,
    Refuse,
    Release,
    Step,
    StepName,
    reply_digest,
)
from fedcredit.ledger.founding import Roles, found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.quorum import Quorum
from fedcredit.ledger.signing import SigningKey, approval_text
from fedcredit.ledger.store import Store
from fedcredit.ledger.witness import MemoryWitnessStore
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.budget import Policy
from fedcredit.privacy.events import GaussianSum
from fedcredit.units import NanoRho
from tests.faults.race import EVENT
from tests.ledger.made import SHOP, Clock, Pair, witness

ORIGIN: Final = "bank.example/ledger"
CENTRE: Final = "centre.example/ledger"
PLAN: Final = reply_digest(b"a golden plan")
CAP: Final = NanoRho(10**9)


def key(name: str) -> SigningKey:
    """The same for the same name."""
    return SigningKey(sha256(f"golden {name}".encode()).digest())


ROLES: Final = Roles(key("root"), key("officer"), SigningKey(sha256(ORIGIN.encode()).digest()))


class Minutes:
    """A clock that shows a minute later each time."""

    def __init__(self) -> None:
        self.shown = 0

    def __call__(self) -> str:
        self.shown += 1
        return f"2026-11-25T14:{self.shown:02}:40Z"


def policy(cap: NanoRho) -> BudgetPolicy:
    """Of both."""
    caps = Policy(
        delta=1e-5,
        rho_cap=cap,
        rho_local_cap=cap,
        person_rho_cap=NanoRho(9 * cap),
        person_rho_local_cap=NanoRho(9 * cap),
    )
    return replace(
        policy_of(caps, "2026-11-25"),
        automatic_rho=cap,
        quorum=1,
        beside_coordinator=1,
        witnesses=(WitnessKey(str(SHOP.witness), "institution"),),
    )


def quorum() -> Quorum:
    """One witness, that lives as long as this program."""
    store = MemoryWitnessStore(_Open())
    keys = (Pair(ORIGIN).writer, Pair(ORIGIN, "next").writer)
    shop = witness(store, *keys, clock=Clock(1_795_000_000))
    return Quorum(Direct({"shop": shop}), {str(SHOP.witness): "shop"})


class _Open:
    """A lock for one."""

    def __enter__(self) -> None:
        """Let it in."""

    def __exit__(self, *_: object) -> None:
        """Let it out."""


def planned() -> Planned:
    """A study, at most of what its four turns cost."""
    return Planned(
        plan=PLAN,
        name="golden",
        purpose="to be read for ever",
        noise="distributed",
        institutions=3,
        threshold=3,
        colluders=1,
        rounds=2,
        retries=2,
        rho=4 * rho(EVENT),
        rho_local=4 * rho_local(EVENT),
        person_rho=36 * rho(EVENT),
        person_rho_local=12 * rho_local(EVENT),
    )


def charge(index: int, attempt: int, event: GaussianSum = EVENT) -> Charge:
    """Of a turn."""
    request = reply_digest(f"{index}, {attempt}".encode())
    return Charge(plan=PLAN, round=index, attempt=attempt, request=request, event=event)


def step(name: StepName) -> Step:
    """Of the first turn that was released."""
    return Step(
        plan=PLAN,
        round=0,
        attempt=1,
        step=name,
        request=reply_digest(name.encode()),
        reply=reply_digest(name.upper().encode()),
    )


def institution(store: Store) -> None:
    """Every kind of entry of an institution."""
    now, watched = Minutes(), quorum()
    found_ledger(store, ROLES, policy(CAP), now, origin=ORIGIN, institution="bank")
    ledger = Ledger(store, ROLES.key, watched, now)
    ledger.propose(planned())
    ledger.charge(charge(0, 0))
    ledger = Ledger(store, ROLES.key, watched, now)  # which burns what was open
    ledger.charge(charge(0, 1))
    reply = b"an answer"
    ledger.release(Release(plan=PLAN, round=0, attempt=1, reply=reply_digest(reply)), reply)
    ledger.step(step("agree"))
    ledger.step(step("reveal"))
    asked = reply_digest(b"too much")
    ledger.refuse(Refuse(plan=PLAN, round=1, attempt=0, request=asked, why="budget"))
    ledger.change_policy(policy(NanoRho(2 * CAP)), ROLES.root, ROLES.officer)
    ledger.rotate(SigningKey(sha256(b"next").digest()))
    ledger.write(Audit(what="canaries", result="none was found"))
    ledger.write(Note(text='the end, "as it is" \\'))
    ledger.settle()


def coordinator(store: Store) -> None:
    """Every kind of entry of a coordinator but notes."""
    ledger = centre(store)
    ledger.write(planned())
    for name in ("bank", "shop", "telco"):
        reply = reply_digest(name.encode())
        ledger.write(Receipt(plan=PLAN, round=0, attempt=1, institution=name, reply=reply))
    ledger.write(
        Close(plan=PLAN, round=0, attempt=1, outcome="opened", survivors=3, transcript=PLAN)
    )
    ledger.settle()


def centre(store: Store) -> Ledger:
    """A coordinator's new ledger."""
    now, roles = Minutes(), Roles(ROLES.root, ROLES.officer, key("centre"))
    nobody = replace(policy(NanoRho(0)), quorum=0, beside_coordinator=0, witnesses=())
    found_ledger(store, roles, nobody, now, origin=CENTRE, institution="centre", role="coordinator")
    return Ledger(store, roles.key, quorum(), now)


def approved(store: Store) -> None:
    """An institution whose officer has approved the study by hand."""
    now = Minutes()
    by_hand = replace(policy(CAP), automatic_rho=NanoRho(0))
    found_ledger(store, ROLES, by_hand, now, origin=ORIGIN, institution="bank")
    ledger = Ledger(store, ROLES.key, quorum(), now)
    with suppress(PrivacyError):  # it waits for a person
        ledger.propose(planned())
    ledger.approve(PLAN, ROLES.officer(approval_text(ORIGIN, PLAN)), "credit committee")
    ledger.charge(charge(0, 0))
    reply = b"an answer"
    ledger.release(Release(plan=PLAN, round=0, attempt=0, reply=reply_digest(reply)), reply)
    ledger.settle()


def left(store: Store) -> None:
    """A coordinator at whose desk something happened: a refusal, and an institution that left."""
    ledger = centre(store)
    ledger.write(Note(text="2026-11-25T14:00:00Z an enrolment was refused: unknown"))
    ledger.write(Note(text="2026-11-25T14:00:00Z within an hour 995 more enrolments were refused"))
    ledger.write(planned())
    ledger.write(Note(text="2026-11-25T14:01:00Z shop leaves the consortium: merger"))
    ledger.settle()


def main() -> None:
    """Write them."""
    base = Path(sys.argv[1])
    written = {"bank": institution, "centre": coordinator, "approved": approved, "left": left}
    for name, write in written.items():
        with open_store(base / name) as store:
            write(store)


if __name__ == "__main__":
    main()
