"""Two processes of two studies race for one budget, over and over.

    python -m tests.faults.race FOLDER TRIALS

Each of the two opens the ledger for one turn at a time, as stock nodes do, charges, releases,
and lets the bytes go into ``wire``; it ends when the budget is spent. One line of JSON a trial:
what each of them got, and how it ended.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from fedcredit.adapters.ledgers import open_store
from fedcredit.adapters.system import utc_now
from fedcredit.errors import BudgetExceeded, FedCreditError, LocalError
from fedcredit.federation.ledgers import policy_of
from fedcredit.ledger.entries import Charge, Planned, Release, reply_digest
from fedcredit.ledger.founding import found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.quorum import no_witnesses
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.budget import Policy
from fedcredit.privacy.events import GaussianSum
from fedcredit.units import NanoRho
from tests.federation.books import ROLES

EVENT: Final = GaussianSum(
    name="sum", part="train", dim=1, sensitivity_squared=1, variance=500, honest=2
)
GRANTED: Final = 7  # of the turns that both want together: 20
WANTED: Final = 10
WIDE: Final = NanoRho(10**15)


def begin(folder: Path) -> None:
    """A ledger whose cap is half a charge above what may be granted."""
    cost = rho(EVENT)
    caps = Policy(
        delta=1e-5,
        rho_cap=NanoRho(GRANTED * cost + cost // 2),
        rho_local_cap=WIDE,
        person_rho_cap=WIDE,
        person_rho_local_cap=WIDE,
    )
    with open_store(folder) as store:
        found_ledger(
            store,
            ROLES,
            replace(policy_of(caps, utc_now()), study_rho=WIDE, automatic_rho=WIDE),
            utc_now,
            origin="test.example/bank",
            institution="bank",
        )


def plan_of(name: str) -> Planned:
    """A study of as many rounds as are wanted."""
    return Planned(
        plan=reply_digest(name.encode()),
        name=name,
        purpose="to race",
        noise="distributed",
        institutions=3,
        threshold=3,
        colluders=1,
        rounds=WANTED,
        retries=0,
        rho=WANTED * rho(EVENT),
        rho_local=WANTED * rho_local(EVENT),
        person_rho=9 * WANTED * rho(EVENT),
        person_rho_local=3 * WANTED * rho_local(EVENT),
    )


def study(folder: Path, name: str, wire: Path) -> int:
    """One study, to its end."""
    plan = plan_of(name)
    for index in range(WANTED):
        for patience in range(20_000):
            try:
                with open_store(folder) as store:
                    ledger = Ledger(store, ROLES.key, no_witnesses, utc_now)
                    ledger.propose(plan)
                    charge = Charge(
                        plan=plan.plan, round=index, attempt=0, request=plan.plan, event=EVENT
                    )
                    ledger.charge(charge)
                    reply = f"{name}, round {index}".encode()
                    digest = reply_digest(reply)
                    release = Release(plan=plan.plan, round=index, attempt=0, reply=digest)
                    ledger.release(release, reply)
                    (wire / f"{name}-{index}").write_bytes(reply)
                time.sleep(0.0005 * ((index * int(folder.parent.name) + ord(name[0])) % 5))
                break
            except BudgetExceeded:
                return BudgetExceeded.exit_status
            except LocalError as problem:
                if "open in another process" not in problem.what:
                    return problem.exit_status
                time.sleep(0.0001 * (patience % 7))
            except FedCreditError as problem:
                return problem.exit_status
    return 0


def trial(folder: Path) -> dict[str, object]:
    """Both at once; what is left of it."""
    wire = folder / "wire"
    wire.mkdir(parents=True)
    begin(folder / "ledger")
    children = {}
    for name in ("one", "two"):
        number = os.fork()
        if not number:
            os._exit(study(folder / "ledger", name, wire))
        children[number] = name
    ended = {}
    for number, name in children.items():
        ended[name] = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    return {"ended": ended, "left": sorted(path.name for path in wire.iterdir())}


def main() -> None:
    """All trials."""
    folder, trials = Path(sys.argv[1]), int(sys.argv[2])
    for number in range(trials):
        print(json.dumps(trial(folder / str(number))), flush=True)


if __name__ == "__main__":
    main()
