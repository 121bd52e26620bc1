"""A ledger in memory with wide caps, and what stands in it of turns."""

from __future__ import annotations

from hashlib import sha256

from fedcredit.federation.ledgers import policy_of
from fedcredit.ledger.entries import Charge, Release, Step
from fedcredit.ledger.founding import Roles, found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.ledger.quorum import Cosign, no_witnesses
from fedcredit.ledger.signing import SigningKey
from fedcredit.ledger.store import InMemoryStore, Store
from fedcredit.privacy.budget import Policy
from fedcredit.units import NanoRho

NOW = "2026-11-25T12:00:00Z"

WIDE = Policy(
    delta=1e-5,
    rho_cap=NanoRho(10**15),
    rho_local_cap=NanoRho(10**15),
    person_rho_cap=NanoRho(10**15),
    person_rho_local_cap=NanoRho(10**15),
)


def now() -> str:
    return NOW


def key(name: str) -> SigningKey:
    return SigningKey(sha256(name.encode()).digest())


ROLES = Roles(key("root"), key("officer"), key("ledger"))


class MemoryBook(Ledger):
    """A ledger for tests; ``entries`` are those of turns, without plan and approval."""

    def __init__(
        self,
        store: Store | None = None,
        policy: BudgetPolicy | None = None,
        cosign: Cosign = no_witnesses,
        role: str = "institution",
    ) -> None:
        self.store = InMemoryStore() if store is None else store
        if not self.store.lines():
            found_ledger(
                self.store,
                ROLES,
                policy or policy_of(WIDE, NOW),
                now,
                origin="test.example/bank",
                institution="bank",
                role=role,
            )
        super().__init__(self.store, ROLES.key, cosign, now)

    def entries(self) -> tuple[Charge | Release | Step, ...]:
        return tuple(
            one.entry for one in self.written if isinstance(one.entry, Charge | Release | Step)
        )


def entries(book: object) -> tuple[Charge | Release | Step, ...]:
    assert isinstance(book, MemoryBook)
    return book.entries()
