"""A bank's ledger for tests: its entries, its keys, a clock, and witnesses that can go away."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from fedcredit.errors import UnreachableError
from fedcredit.ledger.account import Account
from fedcredit.ledger.asking import Direct
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import (
    Approve,
    Burn,
    Charge,
    Entry,
    Genesis,
    KeyRotate,
    Planned,
    PolicyChange,
    Refuse,
    Release,
    Sampled,
    Step,
    StepName,
    reply_digest,
)
from fedcredit.ledger.founding import found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.lines import kind_of
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.quorum import Cosign, Quorum, no_witnesses
from fedcredit.ledger.signing import (
    SigningKey,
    approval_text,
    grant_text,
    policy_text,
    rotation_text,
)
from fedcredit.ledger.store import InMemoryStore, Store
from fedcredit.ledger.tree import Tree, leaf_hash
from fedcredit.ledger.witness import MemoryWitnessStore, Witness
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.budget import Policy
from fedcredit.privacy.costs import WHOSE
from fedcredit.privacy.costs import kind_of as kind_of_sum
from fedcredit.privacy.events import GaussianSum, Part, SampledGaussianSum
from fedcredit.units import NanoRho
from tests.federation.books import NOW, ROLES, key
from tests.ledger.made import Clock, Pair

ORIGIN = "bank.example/ledger"
DAY = NOW[:10]
PLAN, OTHER = "aa" * 32, "bb" * 32


class Now:
    """A clock that shows what it is set to."""

    def __init__(self, time: str = NOW) -> None:
        self.time = time

    def __call__(self) -> str:
        return self.time


def event(part: Part = "train", /, **changes: object) -> GaussianSum:
    usual: dict[str, object] = {
        "name": "counting/1 first",
        "part": part,
        "dim": 3,
        "sensitivity_squared": 5,
        "variance": 900,
        "honest": 4,
    }
    return GaussianSum(**usual | changes)  # type: ignore[arg-type] # what a test changes


COST, ALONE = rho(event()), rho_local(event())

RATE = 2**18
"""A quarter of the records."""


def sampled(part: Part = "train", /, **changes: object) -> SampledGaussianSum:
    """A sum over a sample; over all records it would cost three times the usual event."""
    usual: dict[str, object] = {
        "name": "counting/1 first",
        "part": part,
        "dim": 3,
        "sensitivity_squared": 15,
        "variance": 900,
        "honest": 4,
        "rate": RATE,
    }
    return SampledGaussianSum(**usual | changes)  # type: ignore[arg-type] # what a test changes


def caps(charges: int = 10, /, **changes: int) -> Policy:
    """Caps that exactly so many charges of the usual event meet, in each figure."""
    usual = {
        "rho_cap": charges * COST,
        "rho_local_cap": charges * ALONE,
        "person_rho_cap": 9 * charges * COST,
        "person_rho_local_cap": 3 * charges * ALONE,
    }
    return Policy(delta=1e-5, **{name: NanoRho(one) for name, one in (usual | changes).items()})


def policy(charges: int = 10, /, **changes: object) -> BudgetPolicy:
    usual: dict[str, object] = {
        "caps": caps(charges),
        "study_rho": NanoRho(charges * COST),
        "automatic_rho": NanoRho(charges * COST),
        "begins": "2026-01-01",
        "ends": "2027-01-01",
    }
    return BudgetPolicy(**usual | changes)  # type: ignore[arg-type] # what a test changes


NOTHING = policy(0)
"""The policy of a coordinator."""


def genesis(rules: BudgetPolicy | None = None, /, **changes: str) -> Genesis:
    officer, writer = ROLES.officer.public.hex(), ROLES.key.public.hex()
    usual = {
        "origin": ORIGIN,
        "institution": "bank",
        "role": "institution",
        "root": ROLES.root.public.hex(),
        "officer": officer,
        "key": writer,
        "grant": ROLES.root(grant_text(ORIGIN, writer, officer)).hex(),
    }
    return Genesis(policy=rules or policy(), **usual | changes)


def planned(plan: str = PLAN, /, **changes: object) -> Planned:
    usual: dict[str, object] = {
        "plan": plan,
        "name": "a study",
        "purpose": "credit scoring",
        "noise": "distributed",
        "institutions": 6,
        "threshold": 5,
        "colluders": 1,
        "rounds": 3,
        "retries": 2,
        "rho": 5 * COST,
        "rho_local": 5 * ALONE,
        "person_rho": 45 * COST,
        "person_rho_local": 15 * ALONE,
    }
    return Planned(**usual | changes)  # type: ignore[arg-type] # what a test changes


def samples(plan: str = PLAN, /, sums: int = 5, rates: int = 3, **changes: object) -> Planned:
    """A plan whose rounds are all sampled, and that may cost so many such sums."""
    costs = [
        kind_of_sum(sampled()).cost(
            alone=whose.endswith("local"), persons=3 if whose.startswith("person") else 1
        )
        for whose in WHOSE
    ]
    figures: dict[str, object] = {
        whose: sums * cost.rho for whose, cost in zip(WHOSE, costs, strict=True)
    }
    curves = tuple(cost.times(sums).renyi for cost in costs)
    usual: dict[str, object] = {"rounds": rates, "sampled": Sampled((RATE,) * rates, curves)}
    return planned(plan, **(usual | figures | changes))


def approve(plan: str = PLAN) -> Approve:
    return Approve(plan=plan, by="policy")


def officers(plan: str = PLAN, by: SigningKey = ROLES.officer) -> Approve:
    second = by(approval_text(ORIGIN, plan)).hex()
    return Approve(plan=plan, by="officer", note="looked at", second=second)


def charge(
    index: int = 0, attempt: int = 0, plan: str = PLAN, part: Part = "train", **changes: object
) -> Charge:
    request = sha256(f"{plan} {index} {attempt}".encode()).hexdigest()
    asked = Charge(plan=plan, round=index, attempt=attempt, request=request, event=event(part))
    return replace(asked, **changes)  # type: ignore[arg-type] # what a test changes


def reply(index: int = 0, attempt: int = 0, plan: str = PLAN) -> bytes:
    return f"reply {plan} {index} {attempt}".encode()


def release(index: int = 0, attempt: int = 0, plan: str = PLAN) -> Release:
    data = reply(index, attempt, plan)
    return Release(plan=plan, round=index, attempt=attempt, reply=reply_digest(data))


def step(name: StepName, index: int = 0, attempt: int = 0, plan: str = PLAN) -> Step:
    return Step(
        plan=plan, round=index, attempt=attempt, step=name, request="dd" * 32, reply="ee" * 32
    )


def burn(index: int = 0, attempt: int = 0, plan: str = PLAN) -> Burn:
    return Burn(plan=plan, round=index, attempt=attempt, why="lost")


def refuse(number: int = 0, plan: str = PLAN) -> Refuse:
    return Refuse(plan=plan, round=0, attempt=0, request=f"{number:064x}", why="budget")


def changed(
    rules: BudgetPolicy,
    seq: int,
    officer: SigningKey | None = None,
    root: SigningKey = ROLES.root,
) -> PolicyChange:
    text = policy_text(ORIGIN, seq, rules)
    second = "" if officer is None else officer(text).hex()
    return PolicyChange(policy=rules, root=root(text).hex(), second=second)


def rotated(
    new: SigningKey,
    seq: int,
    old: SigningKey | None = ROLES.key,
    root: SigningKey | None = None,
) -> KeyRotate:
    text = rotation_text(ORIGIN, seq, new.public.hex())
    return KeyRotate(
        key=new.public.hex(),
        proof=new(text).hex(),
        old=old(text).hex() if old else "",
        root=root(text).hex() if root else "",
    )


def chain(*entries: Entry, first: Genesis | None = None, time: str = NOW) -> Chain:
    """A chain with these entries after its genesis."""
    made = Chain()
    for entry in (first or genesis(), *entries):
        add(made, entry, time)
    return made


def add(made: Chain, entry: Entry, time: str = NOW) -> bytes:
    line = made.line_of(entry, time)
    made.add(line, entry, time)
    return line


OPENED: tuple[Entry, ...] = (planned(), approve())
"""What comes before the first charge."""


def state(account: Account) -> tuple[object, ...]:
    """All that an account says, to be compared."""
    plans = {
        name: (
            one.planned,
            one.approved,
            one.spent,
            dict(one.charges),
            dict(one.releases),
            dict(one.steps),
            dict(one.kinds),
            set(one.receipts),
            set(one.closed),
        )
        for name, one in account.plans.items()
    }
    refusals = {name: set(of) for name, of in account.refusals.items()}
    own = (account.genesis, account.policy, account.spent, account.lifetime, account.open)
    return (*own, plans, refusals, tuple(account.keys))


def said(made: Chain) -> tuple[object, ...]:
    """All that a chain says."""
    return (len(made.written), made.tree.root(), state(made.account))


def new(
    rules: BudgetPolicy | None = None,
    cosign: Cosign = no_witnesses,
    store: Store | None = None,
    now: Now | None = None,
) -> Ledger:
    """A ledger that has just been founded."""
    store, now = store or InMemoryStore(), now or Now()
    found_ledger(store, ROLES, rules or policy(), now, origin=ORIGIN, institution="bank")
    return Ledger(store, ROLES.key, cosign, now)


def turn(ledger: Ledger, index: int = 0, attempt: int = 0, plan: str = PLAN) -> None:
    """A turn up to its release."""
    ledger.charge(charge(index, attempt, plan))
    ledger.release(release(index, attempt, plan), reply(index, attempt, plan))


@dataclass
class Copied:
    """What stands in a store at a moment."""

    lines: bytes
    notes: bytes
    replies: Mapping[str, bytes]

    @classmethod
    def of(cls, store: InMemoryStore) -> Copied:
        return cls(store.lines(), store.notes(), dict(store._replies))

    def store(self) -> InMemoryStore:
        made = InMemoryStore()
        made.append(self.lines)
        made.note(self.notes)
        for name, data in self.replies.items():
            made.keep(name, data)
        return made


class Watchers:
    """Witnesses of one ledger, each with a switch; the last one is a coordinator's.

    Attributes:
        down: names of those that do not answer.
        asked: names of those that were asked, in order.
    """

    def __init__(self, count: int = 3, *, origin: str = ORIGIN, key: Pair | None = None) -> None:
        self.names = [f"w{at}" for at in range(count)]
        self.pairs = {name: Pair(f"{name}.example/witness") for name in self.names}
        self.stores = {name: MemoryWitnessStore(threading.Lock()) for name in self.names}
        writer = key or SignedAs(origin)
        self.known = {origin: [writer.writer]}
        self.witnesses = {
            name: Witness(
                name=pair.name,
                signer=pair.secret.sign,
                public=pair.public,
                store=self.stores[name],
                keys_of=lambda one: self.known.get(one, ()),
                time_s=Clock(),
            )
            for name, pair in self.pairs.items()
        }
        self.down: set[str] = set()
        self.asked: list[str] = []

    def __call__(self, where: str, request: bytes) -> tuple[int, bytes]:
        self.asked.append(where)
        if where in self.down:
            raise UnreachableError(f"{where} does not answer", remedy="wait")
        return Direct(self.witnesses)(where, request)

    @property
    def places(self) -> dict[str, str]:
        return {str(self.pairs[name].witness): name for name in self.names}

    def keys(self) -> tuple[WitnessKey, ...]:
        """All but the last are institutions'."""
        *others, last = self.names
        found = [WitnessKey(str(self.pairs[name].witness), "institution") for name in others]
        return (*found, WitnessKey(str(self.pairs[last].witness), "coordinator"))

    def rules(self, quorum: int = 2, beside: int = 1, **changes: object) -> BudgetPolicy:
        usual: dict[str, object] = {
            "quorum": quorum,
            "beside_coordinator": beside,
            "witnesses": self.keys(),
        }
        return policy(**usual | changes)

    def quorum(self) -> Quorum:
        return Quorum(self, self.places)


class SignedAs(Pair):
    """The bank's own ledger key, as a witness knows it."""

    @property
    def public(self) -> bytes:
        return ROLES.key.public


def shut(watchers: Watchers) -> Watchers:
    """None of them answers any more."""
    watchers.down = set(watchers.names)
    return watchers


def tree_of(data: bytes) -> Tree:
    """The tree over lines."""
    return Tree(leaf_hash(line) for line in data.splitlines(keepends=True))


def kinds(ledger: Ledger) -> Sequence[str]:
    """What stands in a ledger, in order."""
    return [kind_of(one.entry) for one in ledger.written]


NEXT = key("next ledger key")
