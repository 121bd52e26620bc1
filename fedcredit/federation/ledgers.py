"""Ledgers of a simulation: in memory, with keys drawn for the occasion, witnessing each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Final

from fedcredit.federation.book import planned
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import Progress, RoundClosed
from fedcredit.ledger.asking import Direct
from fedcredit.ledger.entries import Close, Receipt
from fedcredit.ledger.founding import Roles, draw_roles, found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.quorum import Quorum, no_witnesses
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.ledger.signing import SigningKey
from fedcredit.ledger.store import InMemoryStore, Store
from fedcredit.ledger.witness import MemoryWitnessStore, Witness
from fedcredit.privacy.budget import Policy
from fedcredit.privacy.noise import RandomBytes
from fedcredit.units import InstitutionId, NanoRho

__all__ = ["COORDINATOR", "Kept", "keep_ledgers", "policy_of", "recorder", "unwitnessed"]

COORDINATOR: Final = "coordinator"
_ORIGIN: Final = "fedcredit.example"
_WITNESSES: Final = 2  # institutions that watch each ledger, and the coordinator
_QUORUM: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The ledgers of one simulation.

    Attributes:
        ledgers: by institution; the coordinator's by `COORDINATOR`.
        stores: theirs, by the same names.
        roots: public root keys, hex, by the same names: what an auditor would be told.
    """

    ledgers: Mapping[str, Ledger]
    stores: Mapping[str, Store]
    roots: Mapping[str, str]


def policy_of(caps: Policy, day: str) -> BudgetPolicy:
    """The policy of a simulation: the caps for this calendar year, any purpose, no approval.

    Args:
        caps: on all that is spent; one study may spend all of it.
        day: of the year, ``2026-11-25``.
    """
    year = int(day[:4])
    return BudgetPolicy(
        caps=caps,
        study_rho=caps.rho_cap,
        automatic_rho=caps.rho_cap,
        begins=f"{year}-01-01",
        ends=f"{year + 1}-01-01",
    )


def unwitnessed(
    name: InstitutionId, caps: Policy, random: RandomBytes, now: Callable[[], str]
) -> Ledger:
    """A ledger of an institution that nobody watches: for one that learns alone.

    Args:
        name: whose.
        caps: see `policy_of`.
        random: secret bytes.
        now: time of day.
    """
    roles, store = draw_roles(random), InMemoryStore()
    policy = policy_of(caps, now())
    found_ledger(store, roles, policy, now, origin=_origin(name), institution=name)
    return Ledger(store, roles.key, no_witnesses, now)


def keep_ledgers(
    names: Iterable[InstitutionId],
    caps: Policy,
    random: RandomBytes,
    now: Callable[[], str],
    time_s: Callable[[], int],
) -> Kept:
    """A ledger for every institution and for the coordinator, each watched by some others.

    Args:
        names: of the institutions.
        caps: of each of them, see `policy_of`.
        random: secret bytes.
        now: time of day.
        time_s: seconds since 1970, for the witnesses.
    """
    ring = [*sorted(names), COORDINATOR]
    roles = {name: draw_roles(random) for name in ring}
    keys = {_origin(name): [_key(name, roles[name])] for name in ring}
    witnesses = {
        name: _witness(name, SigningKey(random(32)), lambda origin: keys.get(origin, ()), time_s)
        for name in ring
    }
    courier, places = Direct(witnesses), {str(one.key): name for name, one in witnesses.items()}
    ledgers: dict[str, Ledger] = {}
    stores: dict[str, Store] = {}
    for at, name in enumerate(ring):
        # The next ones by name, and the coordinator.
        others = [ring[(at + step) % len(ring)] for step in range(1, len(ring))]
        chosen = [one for one in others if one != COORDINATOR][:_WITNESSES]
        chosen += [COORDINATOR] if name != COORDINATOR else []
        policy = _watched(
            policy_of(caps if name != COORDINATOR else _nothing(caps.delta), now()),
            [(str(witnesses[one].key), one == COORDINATOR) for one in chosen],
        )
        stores[name] = InMemoryStore()
        found_ledger(
            stores[name],
            roles[name],
            policy,
            now,
            origin=_origin(name),
            institution=name,
            role=COORDINATOR if name == COORDINATOR else "institution",
        )
        ledgers[name] = Ledger(stores[name], roles[name].key, Quorum(courier, places), now)
    return Kept(ledgers, stores, {name: one.root.public.hex() for name, one in roles.items()})


def recorder(ledger: Ledger, plan: StudyPlan) -> Callable[[Progress], None]:
    """Writes down in a coordinator's ledger what came in each turn, and how it ended.

    Args:
        ledger: the coordinator's.
        plan: of the study; written first.

    Returns:
        What to call with every progress of the study, see `simulate.finish`.
    """
    entry = planned(plan, 1)
    if entry.plan not in ledger.account.plans:
        ledger.write(entry)

    def record(event: Progress) -> None:
        """One turn."""
        if not isinstance(event, RoundClosed):
            return
        index = event.number - 1
        known = ledger.account.plans[entry.plan]
        if (index, event.attempt) in known.closed:
            return  # the study goes on after a crash
        for name, reply in event.replies:
            if ((index, event.attempt), name) in known.receipts:
                continue
            ledger.write(
                Receipt(
                    plan=entry.plan,
                    round=index,
                    attempt=event.attempt,
                    institution=name,
                    reply=reply,
                )
            )
        ledger.write(
            Close(
                plan=entry.plan,
                round=index,
                attempt=event.attempt,
                outcome="opened" if event.enough else "aborted",
                survivors=event.survivors,
                transcript=event.transcript.hex(),
            )
        )
        ledger.settle()

    return record


def _origin(name: str) -> str:
    """Name of a log."""
    return f"{_ORIGIN}/{name}"


def _key(name: str, roles: Roles) -> VerifierKey:
    """The key that signs a ledger's checkpoints."""
    return VerifierKey(_origin(name), PLAIN, roles.key.public)


def _witness(
    name: str,
    sign: SigningKey,
    keys_of: Callable[[str], Iterable[VerifierKey]],
    time_s: Callable[[], int],
) -> Witness:
    """A witness that lives as long as the simulation."""
    return Witness(
        name=f"{_origin(name)}/witness",
        signer=sign,
        public=sign.public,
        store=MemoryWitnessStore(nullcontext()),  # each ledger has one writer, and asks in turn
        keys_of=lambda origin: tuple(keys_of(origin)),
        time_s=time_s,
    )


def _watched(policy: BudgetPolicy, witnesses: list[tuple[str, bool]]) -> BudgetPolicy:
    """A policy with witnesses: two are a quorum, one of them no coordinator."""
    others = sum(not coordinator for _, coordinator in witnesses)
    return replace(
        policy,
        quorum=min(_QUORUM, len(witnesses)),
        beside_coordinator=min(1, others),
        witnesses=tuple(
            WitnessKey(key, COORDINATOR if coordinator else "institution")
            for key, coordinator in witnesses
        ),
    )


def _nothing(delta: float) -> Policy:
    """The caps of a coordinator, which has no records."""
    none = NanoRho(0)
    return Policy(
        delta=delta,
        rho_cap=none,
        rho_local_cap=none,
        person_rho_cap=none,
        person_rho_local_cap=none,
    )
