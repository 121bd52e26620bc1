"""What writing costs: an entry, and a charge that two witnesses on loopback have signed for."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from fedcredit.adapters.ledgers import open_store
from fedcredit.adapters.system import system_random, utc_now
from fedcredit.adapters.witness import HttpCourier
from fedcredit.adapters.witness_folder import add_ledger, new_key
from fedcredit.federation.ledgers import policy_of
from fedcredit.ledger.entries import Charge, Note, Planned, Release, reply_digest
from fedcredit.ledger.founding import draw_roles, found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.policy import WitnessKey
from fedcredit.ledger.quorum import Quorum
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.privacy.budget import Policy
from fedcredit.privacy.events import GaussianSum
from fedcredit.units import NanoRho

__all__ = ["writing"]

ORIGIN = "fedcredit.example/benchmark/bank-a/writing"
PLAN = "cd" * 32
EVENT = GaussianSum(
    name="boosting/1 histograms",
    part="train",
    dim=4096,
    sensitivity_squared=23,
    variance=2**38,
    honest=4,
)


def writing(times: int) -> dict[str, float]:
    """Milliseconds, wall clock: a note, a charge, and a charge with its release.

    Args:
        times: how often each is measured.
    """
    with tempfile.TemporaryDirectory() as name, ExitStack() as held:
        base, roles = Path(name), draw_roles(system_random)
        key = VerifierKey(ORIGIN, PLAIN, roles.key.public)
        places = dict(held.enter_context(witness(base / f"w{at}", key)) for at in range(2))
        caps = Policy(
            delta=1e-5,
            rho_cap=NanoRho(10**15),
            rho_local_cap=NanoRho(10**15),
            person_rho_cap=NanoRho(10**15),
            person_rho_local_cap=NanoRho(10**15),
        )
        policy = replace(
            policy_of(caps, utc_now()),
            quorum=2,
            beside_coordinator=2,
            witnesses=tuple(WitnessKey(one, "institution") for one in places),
        )
        store = held.enter_context(open_store(base / "ledger"))
        found_ledger(store, roles, policy, utc_now, origin=ORIGIN, institution="bank-a")
        ledger = Ledger(store, roles.key, Quorum(HttpCourier(), places), utc_now)
        ledger.propose(
            Planned(
                plan=PLAN,
                name="n",
                purpose="p",
                noise="distributed",
                institutions=6,
                threshold=5,
                colluders=1,
                rounds=2 * times,
                retries=0,
                rho=10**12,
                rho_local=10**12,
                person_rho=10**13,
                person_rho_local=10**13,
            )
        )

        def charge(index: int) -> None:
            ledger.charge(Charge(plan=PLAN, round=index, attempt=0, request=PLAN, event=EVENT))

        def release(index: int) -> None:
            reply = b"%d" % index
            entry = Release(plan=PLAN, round=index, attempt=0, reply=reply_digest(reply))
            ledger.release(entry, reply)

        notes = timed(range(times), lambda at: ledger.write(Note(text=f"note {at}")))
        charges, releases = [], []
        for at in range(times):
            charges += timed([at], charge)
            releases += timed([at], release)
    return {
        "append_ms": statistics.median(notes),
        "append_p95_ms": sorted(notes)[int(0.95 * times)],
        "charge_ms": statistics.median(charges),
        "charge_p95_ms": sorted(charges)[int(0.95 * times)],
        "release_ms": statistics.median(releases),
        "release_p95_ms": sorted(releases)[int(0.95 * times)],
        "times": times,
    }


def timed(turns: Iterable[int], act: Callable[[int], None]) -> list[float]:
    """Milliseconds of each of several calls."""
    found = []
    for at in turns:
        start = time.perf_counter()
        act(at)
        found.append(1e3 * (time.perf_counter() - start))
    return found


@contextmanager
def witness(folder: Path, key: VerifierKey) -> Iterator[tuple[str, str]]:
    """A witness in a process of its own: its key and its address."""
    own = new_key(folder, f"{folder.name}.example/witness")
    add_ledger(folder, ORIGIN, key)
    program = [sys.executable, "-m", "fedcredit.cli.main", "witness", "run", str(folder)]
    with subprocess.Popen([*program, "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        address = next(iter(process.stdout or ())).split()[-1]
        try:
            yield str(own), address
        finally:
            process.terminate()
