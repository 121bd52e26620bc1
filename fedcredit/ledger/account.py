"""What follows from a ledger's entries: what was spent, what is open, and what may come next.

One account reads a ledger from its first entry on and says of each whether it may stand
there; a writer asks before it writes, a reader after. Costs are integers that only grow:
there is no entry that gives anything back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fedcredit.errors import BudgetExceeded, LocalError, PrivacyError
from fedcredit.ledger.entries import (
    Approve,
    Audit,
    Burn,
    Charge,
    Close,
    Entry,
    Genesis,
    KeyRotate,
    Note,
    Planned,
    PolicyChange,
    Receipt,
    Refuse,
    Release,
    Step,
    StepName,
    Turn,
)
from fedcredit.ledger.grammar import Item
from fedcredit.ledger.lines import kind_of
from fedcredit.ledger.policy import BudgetPolicy, gives_more
from fedcredit.privacy.budget import NOTHING_SPENT, Spent, admit
from fedcredit.privacy.costs import Cost
from fedcredit.privacy.events import RATE_ONE, SampledGaussianSum
from fedcredit.units import NanoRho

__all__ = ["Account", "PlanAccount", "Standing"]

_OF_COORDINATOR: Final = (Genesis, Planned, Receipt, Close, KeyRotate, Note)
_OF_INSTITUTION: Final = (
    *(Genesis, Planned, Approve, Charge, Release, Step, Burn, Refuse),
    *(PolicyChange, KeyRotate, Audit, Note),
)
_BEFORE: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "release": (("charge",),),
    "burn": (("charge",),),
    "agree": (("charge", "release"),),
    "reveal": (("charge", "release"), ("charge", "release", "agree")),
}


@dataclass(slots=True, eq=False)
class PlanAccount:
    """One plan in a ledger.

    Attributes:
        planned: its entry.
        approved: whether it may be charged for.
        spent: by it.
        charges: by turn.
        releases: by turn.
        steps: by turn and name.
        kinds: what stands in the ledger of each turn, in order.
        receipts: by turn and institution, in a coordinator's ledger.
        closed: turns that the coordinator has ended.
    """

    planned: Planned
    approved: bool = False
    spent: Spent = NOTHING_SPENT
    charges: dict[Turn, Charge] = field(default_factory=dict)
    releases: dict[Turn, Release] = field(default_factory=dict)
    steps: dict[tuple[Turn, StepName], Step] = field(default_factory=dict)
    kinds: dict[Turn, tuple[str, ...]] = field(default_factory=dict)
    receipts: set[tuple[Turn, str]] = field(default_factory=set)
    closed: set[Turn] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an institution stands with one plan, by its ledger.

    Attributes:
        spent: by all studies, in the period.
        charges: of the plan, by turn.
        releases: of the plan, by turn.
        steps: of the plan, by turn and name.
    """

    spent: Spent
    charges: Mapping[Turn, Charge]
    releases: Mapping[Turn, Release]
    steps: Mapping[tuple[Turn, StepName], Step]

    @property
    def last(self) -> Turn:
        """The latest turn that was charged; before the first one, a turn before all."""
        return max(self.charges, default=(-1, 0))

    def retries_used(self, turn: Turn) -> int:
        """Retries that the coordinator has used if it asks for ``turn`` now."""
        return _retries_used((*self.charges, turn))


class Account:
    """The state of a ledger; `apply` is its only change."""

    def __init__(self, genesis: Genesis) -> None:
        """Begin with a ledger's first entry."""
        self.genesis = genesis
        self.policy: BudgetPolicy = genesis.policy
        self.spent: Spent = NOTHING_SPENT
        self.lifetime: Spent = NOTHING_SPENT
        self.plans: dict[str, PlanAccount] = {}
        self.refusals: dict[str, set[str]] = {}  # of each plan, known or not: what was asked
        self.keys: list[str] = [genesis.key]
        self.open: tuple[int, Charge] | None = None

    def standing(self, plan: str) -> Standing:
        """Where the institution stands with one plan, known or not."""
        known = self.plans.get(plan)
        if known is None:
            return Standing(self.spent, {}, {}, {})
        return Standing(self.spent, known.charges, known.releases, known.steps)

    def derived(self, entry: Entry) -> dict[str, Item]:
        """Fields of an entry's line that follow from earlier entries."""
        if isinstance(entry, Release | Burn) and self.open is not None:
            return {"charge": self.open[0]}
        return {}

    def check(self, entry: Entry, day: str) -> None:
        """Refuse an entry that may not stand here; nothing changes.

        Args:
            entry: the next one.
            day: of its time, ``2026-11-25``.

        Raises:
            BudgetExceeded: a cap would not hold after it.
            PrivacyError: the policy in force does not allow it.
            LocalError: it does not follow from the entries before it.
        """
        coordinator = self.genesis.role == "coordinator"
        if not isinstance(entry, _OF_COORDINATOR if coordinator else _OF_INSTITUTION):
            raise _stray(entry, f"of a {self.genesis.role}")
        match entry:
            case Genesis():
                raise _stray(entry, "after the first")
            case Planned():
                self._check_plan(entry)
            case Approve():
                self._check_approval(entry)
            case Charge():
                if self.open is not None:
                    raise _stray(entry, "while another is open")
                self.check_charge(entry, day)
            case Release() | Burn() | Step():
                self._check_follows(entry)
            case PolicyChange():
                self._check_policy(entry)
            case KeyRotate():
                self._check_rotation(entry)
            case Receipt() | Close():
                self._check_receipt(entry)
            case Refuse() | Audit() | Note():
                pass  # what is refused may be of a plan that was never seen

    def apply(self, seq: int, entry: Entry) -> None:
        """Take the next entry, which `check` has let pass."""
        match entry:
            case Planned():
                self.plans[entry.plan] = PlanAccount(entry)
            case Approve():
                self.plans[entry.plan].approved = True
            case Charge() | Release() | Burn() | Step():
                self._apply_turn(seq, entry)
            case Refuse():
                self.refusals.setdefault(entry.plan, set()).add(entry.request)
            case PolicyChange():
                if entry.policy.begins != self.policy.begins:
                    self.spent = NOTHING_SPENT
                self.policy = entry.policy
            case KeyRotate():
                self.keys.append(entry.key)
            case Receipt():
                self.plans[entry.plan].receipts.add((entry.turn, entry.institution))
            case Close():
                self.plans[entry.plan].closed.add(entry.turn)
            case Genesis() | Audit() | Note():
                pass

    def _apply_turn(self, seq: int, entry: Charge | Release | Burn | Step) -> None:
        """Take an entry of a turn."""
        plan = self.plans[entry.plan]
        plan.kinds[entry.turn] = (*plan.kinds.get(entry.turn, ()), kind_of(entry))
        match entry:
            case Charge():
                plan.charges[entry.turn] = entry
                plan.spent = plan.spent.charged(entry.event)
                self.spent = self.spent.charged(entry.event)
                self.lifetime = self.lifetime.charged(entry.event)
                self.open = seq, entry
            case Release():
                plan.releases[entry.turn] = entry
                self.open = None
            case Burn():
                self.open = None
            case Step():
                plan.steps[entry.turn, entry.step] = entry

    def _known(self, entry: Entry, plan: str) -> PlanAccount:
        """The plan that an entry is about."""
        if plan not in self.plans:
            raise _stray(entry, "of a plan that does not stand in it")
        return self.plans[plan]

    def _check_plan(self, entry: Planned) -> None:
        """A plan is written once, for an allowed purpose and within the cap for one study."""
        if entry.plan in self.plans:
            raise _stray(entry, "that stands in it already")
        policy = self.policy
        if self.genesis.role == "coordinator":
            return
        if policy.purposes and entry.purpose not in policy.purposes:
            raise PrivacyError(
                f"plan {entry.name!r} has a purpose that the policy does not name",
                remedy="have the coordinator change the plan, or the privacy officer the policy",
            )
        rates = entry.sampled.rates if entry.sampled else ()
        if rates and len(rates) != entry.rounds:
            raise _stray(entry, f"of {entry.rounds} rounds with {len(rates)} rates")
        cost = self._under(entry.cost("rho"), policy.study_rho)
        if cost > policy.study_rho:
            raise BudgetExceeded(
                f"plan {entry.name!r} can cost a record {cost}e-9 rho with all retries, "
                f"the policy's cap for one study is {policy.study_rho}e-9",
                remedy="have the coordinator ask for less, or the privacy officer change the cap",
            )

    def _check_approval(self, entry: Approve) -> None:
        """A plan is approved once, and by the policy itself only where it is cheap."""
        known = self._known(entry, entry.plan)
        if known.approved:
            raise _stray(entry, "of a plan that is approved already")
        cost = self._under(known.planned.cost("rho"), self.policy.automatic_rho)
        if entry.by == "policy" and cost > self.policy.automatic_rho:
            raise PrivacyError(
                f"plan {known.planned.name!r} can cost a record {cost}e-9 rho, and "
                f"is approved without a person up to {self.policy.automatic_rho}e-9",
                remedy="have the privacy officer look at it and approve it",
            )

    def check_charge(self, entry: Charge, day: str) -> None:
        """Refuse a charge that does not follow its plan's approval, in its turn, under every cap.

        Whether another one is still open is for `check` to say: a writer burns that one only
        for a charge that can follow.

        Raises:
            BudgetExceeded: a cap would not hold after it.
            PrivacyError: the policy in force does not allow it.
            LocalError: it does not follow from the entries before it.
        """
        known = self._known(entry, entry.plan)
        planned = known.planned
        if not known.approved:
            raise PrivacyError(
                f"plan {planned.name!r} has not been approved",
                remedy="have the privacy officer look at it and approve it",
            )
        if (
            entry.turn in known.charges
            or entry.round >= planned.rounds
            or entry.turn < max(known.charges, default=(0, 0))
            or _retries_used((*known.charges, entry.turn)) > planned.retries
        ):
            raise _stray(entry, f"of round {entry.round + 1}, attempt {entry.attempt}")
        policy = self.policy
        if not policy.covers(day):
            raise PrivacyError(
                f"today is {day}, the policy's period is from {policy.begins} to {policy.ends}",
                remedy="set the clock right, or have the privacy officer begin a new period",
            )
        admit(policy.caps, self.spent, (entry.event,))
        self._check_study(known, entry)

    def _check_study(self, known: PlanAccount, entry: Charge) -> None:
        """A study costs no more than it was approved for, and no more than any study may."""
        planned, after = known.planned, known.spent.charged(entry.event)
        honest = planned.threshold - planned.colluders if planned.noise == "distributed" else 1
        if entry.event.honest != honest:
            raise _stray(entry, f"with the noise of {entry.event.honest}, the plan has {honest},")
        rate = entry.event.rate if isinstance(entry.event, SampledGaussianSum) else RATE_ONE
        if rate != planned.rate(entry.round):
            raise _stray(entry, f"at rate {rate}, the plan has {planned.rate(entry.round)},")
        cost, alone = after.cost("rho", 1), after.cost("rho_local", 1)
        if not (cost.within(planned.cost("rho")) and alone.within(planned.cost("rho_local"))):
            raise BudgetExceeded(
                f"plan {planned.name!r} would cost a record {cost.rho}e-9 rho (alone "
                f"{alone.rho}e-9), and was put before us with at most {planned.rho}e-9 "
                f"(alone {planned.rho_local}e-9)",
                remedy="stop the study, and report this as a bug",
            )
        paid = self._under(cost, self.policy.study_rho)
        if paid > self.policy.study_rho:
            raise BudgetExceeded(
                f"plan {planned.name!r} would cost a record {paid}e-9 rho, the policy's cap "
                f"for one study is {self.policy.study_rho}e-9",
                remedy="stop the study, or have the privacy officer change the cap",
            )

    def _under(self, cost: Cost, cap: NanoRho) -> NanoRho:
        """What a cost takes up of a cap of the policy."""
        return cost.under(cap, self.policy.caps.delta)

    def _check_follows(self, entry: Release | Burn | Step) -> None:
        """A later entry of a turn follows what it must follow."""
        known = self._known(entry, entry.plan)
        if known.kinds.get(entry.turn, ()) not in _BEFORE[kind_of(entry)]:
            raise _stray(entry, f"of round {entry.round + 1}, attempt {entry.attempt}")

    def _check_receipt(self, entry: Receipt | Close) -> None:
        """A turn's receipts come before its end, one an institution."""
        known = self._known(entry, entry.plan)
        twice = isinstance(entry, Receipt) and (entry.turn, entry.institution) in known.receipts
        if twice or entry.turn in known.closed:
            raise _stray(entry, f"of round {entry.round + 1}, attempt {entry.attempt}")

    @property
    def _own_keys(self) -> set[str]:
        """Every key of the ledger's own so far, hex."""
        return {*self.keys, self.genesis.root, self.genesis.officer}

    def _check_rotation(self, entry: KeyRotate) -> None:
        """A key is never taken up again, and somebody hands over to it."""
        if entry.key in self._own_keys or entry.key in self.policy.watched_by:
            raise _stray(entry, "to a key that was in use before")
        if not (entry.old or entry.root):
            raise _stray(entry, "that neither the old key nor the root has signed")

    def _check_policy(self, entry: PolicyChange) -> None:
        """A policy gives more only with the officer's signature, and a period is never redone."""
        old, new = self.policy, entry.policy
        if self.open is not None:
            raise _stray(entry, "while a charge is open")
        if new.begins != old.begins and new.begins < old.ends:
            raise PrivacyError(
                f"a period that begins on {new.begins}, the one in force ends on {old.ends}",
                remedy="begin the new period where the old one ends",
            )
        if new.begins == old.begins and new.ends > old.ends:
            raise PrivacyError(
                f"a period that goes on to {new.ends}, the one in force ends on {old.ends}",
                remedy="begin a new period where the old one ends",
            )
        if new.watched_by & self._own_keys:
            raise PrivacyError(
                "a policy with a witness that has a key of the ledger itself",
                remedy="name witnesses of others",
            )
        if gives_more(old, new) and not entry.second:
            raise PrivacyError(
                "a policy under which more may be spent, without the officer's signature",
                remedy="have the privacy officer sign it too",
            )


def _retries_used(turns: Iterable[Turn]) -> int:
    """Attempts beyond the first, over all rounds, as if none had been left out."""
    attempts: dict[int, int] = {}
    for index, attempt in turns:
        attempts[index] = max(attempt, attempts.get(index, 0))
    return sum(attempts.values())


def _stray(entry: Entry, what: str) -> LocalError:
    """The error for an entry that does not follow from those before it."""
    return LocalError(
        f"a {kind_of(entry)} {what} does not follow from the ledger",
        remedy="charge a turn once, release it once, and answer one request at a time",
    )
