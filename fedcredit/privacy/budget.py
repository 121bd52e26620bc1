"""Budget: what an institution has spent, what its policy allows, and the one way to spend more.

A privacy filter: each round is charged before it is measured, costs are added as
integers, a charge that would pass any cap is refused, and nothing is ever given
back, because a process that crashed cannot prove that it did not send. Valid for
rounds that are chosen after seeing earlier ones, and for studies side by side.

Sampled sums are kept by kind, and so are their divergences at every order; once there is
one, each cap is judged at the one order that follows from the cap (`curves`). Where there
is none, zCDP is all that is looked at.

Source: Feldman and Zrnic (2020), arXiv 2008.11193; Whitehouse et al. (2023),
https://arxiv.org/abs/2203.05481.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import reduce
from typing import Final

from fedcredit.errors import BudgetExceeded, PrivacyError
from fedcredit.privacy.accounting import MAX_RHO, check_delta, epsilon_of, rho, rho_local
from fedcredit.privacy.costs import Cost, Kind, Whose, kind_of
from fedcredit.privacy.events import PARTS, GaussianSum, Part, SampledGaussianSum, whole
from fedcredit.units import NanoRho

__all__ = ["NOTHING_SPENT", "Policy", "Spent", "admit"]

_MOST_EVENTS: Final = 10_000  # more rounds than any study has; a slip, not a plan
_MOST_PERSONS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an institution allows to be learned from its records, over all studies together.

    Attributes:
        delta: the delta at which a refusal states its epsilons.
        rho_cap: most that a record may pay under the distributed claim, in 1e-9 rho.
        rho_local_cap: most that a record may pay if this institution's noise stands alone.
        person_rho_cap: the same as ``rho_cap`` for a person at ``institutions`` institutions.
        person_rho_local_cap: the same as ``rho_local_cap`` for such a person.
        institutions: m, the institutions a person is reckoned to be a customer of.

    Raises:
        PrivacyError: a field is of another type or outside its range.
    """

    delta: float
    rho_cap: NanoRho
    rho_local_cap: NanoRho
    person_rho_cap: NanoRho
    person_rho_local_cap: NanoRho
    institutions: int = 3

    def __post_init__(self) -> None:
        """Refuse a policy that could not be kept to the letter."""
        check_delta(self.delta)
        for name in ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap"):
            whole(name, getattr(self, name), low=0, high=MAX_RHO)
        whole("institutions", self.institutions, low=1, high=_MOST_PERSONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What has been charged so far: two costs for each part of the records, in 1e-9 rho.

    Every cost counts a sampled sum as if it were over all records; `cost` does not.

    Attributes:
        train: on the training part, under the distributed claim.
        train_local: the same if this institution's noise stands alone.
        held_out: on the held-out part, under the distributed claim.
        held_out_local: the same if this institution's noise stands alone.
        sampled: each kind of sampled sum among these, with how many there are.

    Raises:
        PrivacyError: a field is no integer from 0 to 10^18.
    """

    train: NanoRho
    train_local: NanoRho
    held_out: NanoRho
    held_out_local: NanoRho
    sampled: tuple[tuple[Kind, int], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a balance that no sequence of charges can reach."""
        for name in ("train", "train_local", "held_out", "held_out_local"):
            whole(name, getattr(self, name), low=0, high=MAX_RHO)

    @property
    def rho(self) -> NanoRho:
        """What a record has paid under the distributed claim: its part's charges."""
        return max(self.train, self.held_out)

    @property
    def rho_local(self) -> NanoRho:
        """What a record has paid if this institution's noise stands alone."""
        return max(self.train_local, self.held_out_local)

    def person_rho(self, institutions: int) -> NanoRho:
        """What a person at so many institutions has paid under the distributed claim."""
        return NanoRho(institutions**2 * (self.train + self.held_out))

    def person_rho_local(self, institutions: int) -> NanoRho:
        """The same where every institution's release is seen apart."""
        return NanoRho(institutions * (self.train_local + self.held_out_local))

    def cost(self, whose: Whose, institutions: int) -> Cost:
        """One of the figures that are capped, with its divergences where a sum was sampled.

        Args:
            whose: which one.
            institutions: m, for a person's.
        """
        alone = whose.endswith("local")
        if not self.sampled:
            return Cost(self._full(whose, institutions))
        if whose.startswith("person"):
            train, held_out = (self._of_part(part, institutions, alone=alone) for part in PARTS)
            return train.plus(held_out)
        train, held_out = (self._of_part(part, 1, alone=alone) for part in PARTS)
        return train.dearer(held_out)

    def _full(self, whose: Whose, institutions: int) -> NanoRho:
        """A figure in zCDP."""
        match whose:
            case "rho":
                return self.rho
            case "rho_local":
                return self.rho_local
            case "person_rho":
                return self.person_rho(institutions)
            case _:
                return self.person_rho_local(institutions)

    def _of_part(self, part: Part, m: int, *, alone: bool) -> Cost:
        """What somebody with m records in every sum on one part has paid for that part."""
        kinds = [(kind, count) for kind, count in self.sampled if kind.part == part]
        name = part.replace("-", "_") + "_local" * alone
        counted = sum(count * kind.cost(alone=alone).rho for kind, count in kinds)
        rest = Cost(NanoRho(getattr(self, name) - counted)).times(m if alone else m * m)
        costs = [kind.cost(alone=alone, persons=m).times(count) for kind, count in kinds]
        return reduce(Cost.plus, costs, rest)

    def charged(self, event: GaussianSum, times: int = 1) -> Spent:
        """Return the balance after an event; there is no way back."""
        cost, alone = times * rho(event), times * rho_local(event)
        sampled = self.sampled
        if isinstance(event, SampledGaussianSum) and times:
            kinds = Counter(dict(self.sampled))
            kinds[kind_of(event)] += times
            sampled = tuple(sorted(kinds.items()))
        if event.part == "train":
            return replace(
                self,
                sampled=sampled,
                train=NanoRho(self.train + cost),
                train_local=NanoRho(self.train_local + alone),
            )
        return replace(
            self,
            sampled=sampled,
            held_out=NanoRho(self.held_out + cost),
            held_out_local=NanoRho(self.held_out_local + alone),
        )


NOTHING_SPENT: Final = Spent(
    train=NanoRho(0), train_local=NanoRho(0), held_out=NanoRho(0), held_out_local=NanoRho(0)
)


def admit(
    policy: Policy, spent: Spent, asked: tuple[GaussianSum, ...], *, reserve: int = 0
) -> Spent:
    """Charge events, or refuse them all.

    A plan is admitted with all its rounds and ``reserve`` = its retries, and the
    result is thrown away; each round is then charged alone as it comes.

    Guarantee: if this returns, every cap holds after the events and after any
    ``reserve`` of them a second time; if it raises, nothing has changed.

    Args:
        policy: the caps.
        spent: the balance before.
        asked: the events to charge, 1 to 10,000.
        reserve: rounds that may have to be repeated, 0 to 10,000: room must be left
            for the dearest, but it is not charged.

    Returns:
        The balance after the events, reserve not included.

    Raises:
        BudgetExceeded: a cap would be passed.
        PrivacyError: an argument is of another type or out of range.
    """
    whole("reserve", reserve, low=0, high=_MOST_EVENTS)
    if type(asked) is not tuple or not all(
        type(event) in (GaussianSum, SampledGaussianSum) for event in asked
    ):
        raise PrivacyError(
            "what is asked is not a tuple of events", remedy="ask for GaussianSum events"
        )
    whole("events asked", len(asked), low=1, high=_MOST_EVENTS)
    after = spent
    for event in asked:
        after = after.charged(event)
    # Each figure is largest when one and the same event takes the whole reserve.
    for worst in dict.fromkeys(after.charged(event, reserve) for event in asked):
        _check_caps(policy, worst, reserve)
    return after


def _check_caps(policy: Policy, after: Spent, reserve: int) -> None:
    """Refuse a balance that passes a cap, in the order that a reader thinks of them."""
    m = policy.institutions
    figures: tuple[tuple[str, Whose, NanoRho], ...] = (
        ("a record", "rho", policy.rho_cap),
        ("a record, noise of one institution,", "rho_local", policy.rho_local_cap),
        (f"a person at {m} institutions", "person_rho", policy.person_rho_cap),
        (
            f"a person at {m} institutions, noise of one institution,",
            "person_rho_local",
            policy.person_rho_local_cap,
        ),
    )
    for who, whose, cap in figures:
        figure = after.cost(whose, m).under(cap, policy.delta)
        if figure > cap:
            raise BudgetExceeded(
                f"budget exceeded: {who} would come to rho {figure}e-9 "
                f"(epsilon {_shown(figure, policy.delta)} at delta {policy.delta}, "
                f"{reserve} retries included), the policy allows {cap}e-9 "
                f"(epsilon {_shown(cap, policy.delta)})",
                remedy="ask for a smaller epsilon or fewer rounds, or have the privacy officer "
                "sign a larger allowance",
            )


def _shown(cost: NanoRho, delta: float) -> str:
    """An epsilon for people."""
    return f"{epsilon_of(min(cost, MAX_RHO), delta):.3f}"
