"""What the two sides of a study ask of a ledger, and what they write into it.

An institution charges before it measures and records before it sends; the coordinator
writes down what came and what it opened. How a ledger keeps its word is `fedcredit.ledger`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from fedcredit.federation.plan import StudyPlan
from fedcredit.ledger.account import Standing
from fedcredit.ledger.entries import Charge, Planned, Refuse, Release, Step
from fedcredit.privacy.events import PARTS

__all__ = ["Book", "planned"]


@runtime_checkable
class Book(Protocol):
    """An institution's ledger; one writer, one request at a time. See `ledger.Ledger`."""

    def standing(self, plan: str) -> Standing:
        """Where the institution stands with one plan, by its digest, hex."""
        ...

    def propose(self, entry: Planned) -> None:
        """Write a plan, once, and approve it where the policy does so by itself.

        Raises:
            PrivacyError: the policy refuses it, or it waits for a person.
        """
        ...

    def charge(self, entry: Charge) -> None:
        """Charge; durable and cosigned on return.

        Raises:
            PrivacyError: a cap or the policy is against it.
            LocalError: the turn has been charged before, or the disk failed.
            UnreachableError: there is no quorum of witnesses; nothing may be measured.
        """
        ...

    def waits(self, entry: Charge) -> bool:
        """Whether just this charge is written, and waits for its quorum unmeasured."""
        ...

    def release(self, entry: Release, reply: bytes) -> None:
        """Write a release and keep its bytes; durable and cosigned on return.

        Raises:
            LocalError: the turn is not open, or the disk failed.
            UnreachableError: there is no quorum of witnesses; the bytes may not leave yet.
        """
        ...

    def step(self, entry: Step) -> None:
        """Write a step; durable and cosigned on return.

        Raises:
            LocalError: the turn is not open for it, or the disk failed.
            UnreachableError: there is no quorum of witnesses; its answer may not leave yet.
        """
        ...

    def settle(self) -> None:
        """Return when all that is written is cosigned.

        Raises:
            UnreachableError: there is no quorum of witnesses.
        """
        ...

    def reply(self, entry: Release) -> bytes:
        """The very bytes of a release, once they are cosigned.

        Raises:
            IntegrityError: they are not what was released.
            UnreachableError: there is no quorum of witnesses.
        """
        ...

    def refuse(self, entry: Refuse) -> None:
        """Write a refusal; nothing is charged."""
        ...


def planned(plan: StudyPlan, persons: int) -> Planned:
    """A plan as it stands in a ledger: what it can cost at most, with every retry.

    Args:
        plan: the study.
        persons: m, the institutions that a person is reckoned to be a customer of.
    """
    costs = {part: [one.rho for one in plan.rounds if one.part == part] for part in PARTS}
    record = max(sum(of) + plan.retries * max(of, default=0) for of in costs.values())
    every = [cost for of in costs.values() for cost in of]
    person = sum(every) + plan.retries * max(every)
    return Planned(
        plan=plan.digest().hex(),
        name=_plain(plan.name),
        purpose=_plain(plan.purpose),
        noise=plan.noise,
        institutions=len(plan.institutions),
        threshold=plan.threshold,
        colluders=plan.colluders,
        rounds=len(plan.rounds),
        retries=plan.retries,
        rho=record,
        # Noise that is one of h costs at most h times as much where it stands alone.
        rho_local=plan.honest * record,
        person_rho=persons**2 * person,
        person_rho_local=plan.honest * persons * person,
    )


def _plain(text: str) -> str:
    r"""A text as a ledger can hold it: letters beyond ASCII as ``\xfc`` or ``\u20ac``."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
