"""What the two sides of a study ask of a ledger, and what they write into it.

An institution charges before it measures and records before it sends; the coordinator
writes down what came and what it opened. How a ledger keeps its word is `fedcredit.ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Protocol, runtime_checkable

from fedcredit.federation.plan import StudyPlan
from fedcredit.ledger.account import Standing
from fedcredit.ledger.entries import Charge, Planned, Refuse, Release, Sampled, Step
from fedcredit.privacy.costs import WHOSE, Cost, Whose, kind_of
from fedcredit.privacy.events import PARTS, RATE_ONE, SampledGaussianSum
from fedcredit.units import NanoRho

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
    most = [_with_retries(plan, whose, persons) for whose in WHOSE]
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
        rho=most[0].rho,
        rho_local=most[1].rho,
        person_rho=most[2].rho,
        person_rho_local=most[3].rho,
        sampled=_sampled(plan, most),
    )


def _most(plan: StudyPlan, index: int, whose: Whose, persons: int) -> Cost:
    """The most that one attempt at a round can add to a figure."""
    alone, m = whose.endswith("local"), persons if whose.startswith("person") else 1
    event = plan.dearest(index)
    if isinstance(event, SampledGaussianSum):
        return kind_of(event).cost(alone=alone, persons=m)
    # Noise that is one of h costs at most h times as much where it stands alone.
    return Cost(plan.rounds[index].rho).times(plan.honest * m if alone else m * m)


def _with_retries(plan: StudyPlan, whose: Whose, persons: int) -> Cost:
    """The most that all rounds can cost, with the dearest of them again in every retry."""
    nothing = Cost(NanoRho(0))
    costs = [
        (one.part, _most(plan, index, whose, persons)) for index, one in enumerate(plan.rounds)
    ]

    def total(of: Sequence[Cost]) -> Cost:
        """One part's rounds, or all."""
        return reduce(Cost.plus, of, reduce(Cost.dearer, of, nothing).times(plan.retries))

    if whose.startswith("person"):
        return total([cost for _, cost in costs])
    parts = (total([cost for part, cost in costs if part == one]) for one in PARTS)
    return reduce(Cost.dearer, parts, nothing)


def _sampled(plan: StudyPlan, most: Sequence[Cost]) -> Sampled | None:
    """The rates and divergences of a plan with sampled rounds."""
    if not plan.samples:
        return None
    rates = tuple(RATE_ONE if one.rate is None else one.rate for one in plan.rounds)
    return Sampled(rates, tuple(cost.curve for cost in most))


def _plain(text: str) -> str:
    r"""A text as a ledger can hold it: letters beyond ASCII as ``\xfc`` or ``\u20ac``."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
