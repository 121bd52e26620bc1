"""Accounting: from events to a claim, and from a wanted claim to the noise it needs.

What is enforced is zero-concentrated differential privacy (zCDP) in integers of
1e-9 rho, each event's cost rounded up: sums of integers, valid for rounds chosen
one after the other and for studies side by side (Feldman and Zrnic 2020, arXiv
2008.11193). What is shown is epsilon at the policy's delta, rounded up.

A sampled sum has no such single figure: it is counted by its Renyi divergences at a list
of orders (`renyi`), beside which a full sum of cost rho counts alpha rho. The epsilon of
events among which one is sampled is the least over these orders; where none is, nothing
has changed.

Who pays what:

* a record is in one part, so it pays the dearer of `train` and `held-out`;
* a person with m records at m institutions moves each joint sum by up to m
  steps of one record, and may be in both parts: m^2 times all of it where only
  the sum is seen (`distributed`), m times all of it where every institution's
  release is seen apart (`local`); of sampled records see `renyi`.

Sources: Canonne, Kamath and Steinke (2020), arXiv 2004.00010, Theorem 4 and
Proposition 12; Kairouz, Liu and Steinke (2021), arXiv 2102.06387, for the sum of
several institutions' noise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final, Protocol

import numpy as np

from fedcredit.errors import PrivacyError
from fedcredit.privacy.curves import MAX_RHO, check_delta, epsilon_of_curve
from fedcredit.privacy.events import (
    MAX_HONEST,
    MAX_SENSITIVITY_SQUARED,
    MAX_VARIANCE,
    MIN_VARIANCE,
    PARTS,
    RATE_ONE,
    GaussianSum,
    Part,
    SampledGaussianSum,
    whole,
)
from fedcredit.privacy.renyi import ORDERS, exact_rho, renyi_sum, sum_of_noise_tau
from fedcredit.units import Epsilon, NanoRho

__all__ = [
    "MAX_RHO",
    "Claim",
    "PersonClaim",
    "check_delta",
    "claims",
    "epsilon_of",
    "record_rho",
    "reference_pld",
    "reference_rdp",
    "rho",
    "rho_for",
    "rho_local",
    "share_of",
    "sum_of_noise_tau",
    "variance_for",
]

_NANO: Final = 10**9
# Orders of the Renyi curve, as alpha - 1: a step of .3 % costs 2e-6 of epsilon at most.
_ORDERS_LESS_ONE: Final = np.geomspace(1e-4, 1e7, 8192)
_UP: Final = 1 + 1e-11  # above what float64 can lose in an epsilon


@dataclass(frozen=True, slots=True)
class PersonClaim:
    """What the events reveal of one person with a record at each of several institutions.

    Attributes:
        institutions: m, how many hold a record of this person.
        epsilon: against whoever sees sums only and at most c institutions' own noise.
        epsilon_local: against everyone else at once, masks broken.
    """

    institutions: int
    epsilon: Epsilon
    epsilon_local: Epsilon


@dataclass(frozen=True, slots=True)
class Claim:
    """What the events reveal of one record (added or removed), and of one person.

    Attributes:
        delta: the delta of every epsilon here.
        rho: cost of a record under the distributed claim, in 1e-9 zCDP; if an event is
            sampled, the zCDP that would imply the same epsilon.
        rho_local: the same for one institution's noise alone.
        epsilon: of one record, against whoever sees sums only and at most c
            institutions' own noise.
        epsilon_local: of one record, against everyone else at once, masks broken.
        persons: the same per person, one entry for each m asked.
    """

    delta: float
    rho: NanoRho
    rho_local: NanoRho
    epsilon: Epsilon
    epsilon_local: Epsilon
    persons: tuple[PersonClaim, ...]


def rho(event: GaussianSum) -> NanoRho:
    """Return an event's cost under the distributed claim, in 1e-9 zCDP, rounded up.

    Of a sampled sum: what the same sum over all records would cost, an upper limit.
    """
    return _cost(event.sensitivity_squared, event.variance, event.honest)


def rho_local(event: GaussianSum) -> NanoRho:
    """Return the same if one institution's noise stands alone."""
    return _cost(event.sensitivity_squared, event.variance, 1)


def epsilon_of(cost: NanoRho, delta: float) -> Epsilon:
    """Return the epsilon that a zCDP cost implies at ``delta``, rounded up.

    Guarantee: never less than the optimum over all real orders alpha, at most 1e-5
    (relative) above it, and never falls when the cost rises.

    Args:
        cost: in 1e-9 rho, 0 to 10^18.
        delta: above 0 and below 1.

    Returns:
        Epsilon; exactly 0 for a cost of 0.

    Raises:
        PrivacyError: an argument is of another type or out of range.

    Source: arXiv 2004.00010, Proposition 12: min over alpha > 1 of
    rho alpha + ln(1 / (alpha delta)) / (alpha - 1) + ln(1 - 1/alpha).

    >>> round(epsilon_of(NanoRho(30_560_000), 1e-5), 3)
    1.0
    """
    whole("rho", cost, low=0, high=MAX_RHO)
    check_delta(delta)
    if cost == 0:
        return Epsilon(0.0)
    less_one = _ORDERS_LESS_ONE
    # Every order gives a valid epsilon, so a grid of orders is safe; and each of
    # these is a rising function of the cost, so their minimum is one too.
    at_zero = -(np.log1p(less_one) + math.log(delta)) / less_one - np.log1p(1 / less_one)
    found = float(np.min(cost / _NANO * (1 + less_one) + at_zero))
    return Epsilon(max(found, 0.0) * _UP + 1e-14)


def rho_for(epsilon: float, delta: float) -> NanoRho:
    """Return the largest cost whose epsilon is at most ``epsilon``: the inverse, rounded down.

    Args:
        epsilon: the wanted epsilon, above 0 and at most 1000.
        delta: above 0 and below 1.

    Returns:
        The cost in 1e-9 rho; 0 if even one step is too dear.

    Raises:
        PrivacyError: an argument is of another type or out of range.
    """
    if isinstance(epsilon, bool) or not isinstance(epsilon, (int, float)):
        raise PrivacyError(
            f"epsilon is a {type(epsilon).__name__}", remedy="set epsilon to a number above 0"
        )
    if not 0 < epsilon <= 1000:
        raise PrivacyError(
            f"epsilon is {epsilon}, expected above 0 and at most 1000",
            remedy="set epsilon to a number such as 1.0",
        )
    affordable, dear = 0, int(MAX_RHO)
    while dear - affordable > 1:
        middle = (affordable + dear) // 2
        if epsilon_of(NanoRho(middle), delta) <= epsilon:
            affordable = middle
        else:
            dear = middle
    return NanoRho(affordable)


def share_of(total: NanoRho, share: Fraction) -> NanoRho:
    """Return a share of a cost, rounded down, so that shares never add up to more."""
    if not 0 <= share <= 1:
        raise PrivacyError(f"share is {share}", remedy="give a fraction from 0 to 1")
    return NanoRho(total * share.numerator // share.denominator)


@lru_cache(maxsize=1024, typed=True)  # an institution admits every later round at each round
def variance_for(budget: NanoRho, sensitivity_squared: int, honest: int) -> int:
    """Return the least variance of one institution's noise that costs at most ``budget``.

    Guarantee: the event's `rho` is at most ``budget``, and one step less of variance
    would cost more, unless the result is the least variance allowed, 16.

    Args:
        budget: what the event may cost under the distributed claim, in 1e-9 rho, above 0.
        sensitivity_squared: in grid steps squared.
        honest: institutions whose noise the claim rests on; 1 for `local` noise.

    Returns:
        Variance in grid steps squared, 16 to 2^40.

    Raises:
        PrivacyError: an argument is out of range, or even 2^40 is too little.
    """
    whole("rho", budget, low=1, high=MAX_RHO)
    whole("sensitivity_squared", sensitivity_squared, low=1, high=MAX_SENSITIVITY_SQUARED)
    whole("honest", honest, low=1, high=MAX_HONEST)
    if _cost(sensitivity_squared, MAX_VARIANCE, honest) > budget:
        raise PrivacyError(
            f"a rho of {budget}e-9 for a squared sensitivity of {sensitivity_squared} "
            f"needs a variance above {MAX_VARIANCE}",
            remedy="take a coarser grid, a larger epsilon or fewer rounds",
        )
    short, enough = MIN_VARIANCE - 1, MAX_VARIANCE
    while enough - short > 1:
        middle = (short + enough) // 2
        if _cost(sensitivity_squared, middle, honest) <= budget:
            enough = middle
        else:
            short = middle
    return enough


def record_rho(events: Iterable[GaussianSum]) -> tuple[NanoRho, NanoRho]:
    """Return what a record pays for the events, distributed and local: its dearer part's."""
    spent = list(events)
    parts = [_in_part(spent, part) for part in PARTS]
    return (
        NanoRho(max(sum(map(rho, part)) for part in parts)),
        NanoRho(max(sum(map(rho_local, part)) for part in parts)),
    )


def claims(
    events: Iterable[GaussianSum], delta: float, persons: tuple[int, ...] = (1, 2, 3)
) -> Claim:
    """Return what a list of events reveals: of a record, and of a person at m institutions.

    Args:
        events: every release of the study, retries included, in any order.
        delta: above 0 and below 1.
        persons: the numbers m of institutions that hold the same person, 1 to 1000 each.

    Returns:
        The claim, distributed and local.

    Raises:
        PrivacyError: ``delta`` or an m is out of range, or the costs exceed 10^18.
    """
    spent = list(events)
    parts = [_in_part(spent, part) for part in PARTS]
    epsilon, alone = (
        Epsilon(max(_epsilon(part, delta, alone=alone) for part in parts))
        for alone in (False, True)
    )
    record, record_alone = record_rho(spent)
    if any(isinstance(event, SampledGaussianSum) for event in spent):
        record, record_alone = _rho_like(epsilon, delta), _rho_like(alone, delta)
    return Claim(
        delta=delta,
        rho=record,
        rho_local=record_alone,
        epsilon=epsilon,
        epsilon_local=alone,
        persons=tuple(
            PersonClaim(
                institutions=m,
                epsilon=_epsilon(spent, delta, m=m),
                epsilon_local=_epsilon(spent, delta, m=m, alone=True),
            )
            for m in (whole("institutions", m, low=1, high=1000) for m in persons)
        ),
    )


def _epsilon(
    events: Sequence[GaussianSum], delta: float, *, m: int = 1, alone: bool = False
) -> Epsilon:
    """What a person with m records in each of these events has paid."""
    if not any(isinstance(event, SampledGaussianSum) for event in events):
        cost = m * sum(map(rho_local, events)) if alone else m * m * sum(map(rho, events))
        return epsilon_of(NanoRho(cost), delta)
    curve = renyi_sum(events, alone=alone, persons=1 if alone else m)
    return epsilon_of_curve([m * cost for cost in curve] if alone else curve, delta)


def _rho_like(epsilon: float, delta: float) -> NanoRho:
    """The least zCDP that implies more than an epsilon."""
    return NanoRho(rho_for(epsilon, delta) + 1)


def reference_rdp(events: Iterable[GaussianSum], delta: float) -> Epsilon:
    """Return a record's distributed epsilon by dp-accounting's Renyi accountant, at fine orders.

    A second opinion by other people's code: it must agree with ours to 1e-3 (relative).
    Needs the extra ``federation``.
    """
    from dp_accounting.rdp import RdpAccountant  # noqa: PLC0415 (an extra)

    spent = list(events)
    orders = [1 + float(order) for order in np.geomspace(2e-2, 1e6, 2048)]
    if any(isinstance(event, SampledGaussianSum) for event in spent):
        orders = list(map(float, ORDERS))
    return _by_dp_accounting(spent, delta, lambda: RdpAccountant(orders))


def reference_pld(events: Iterable[GaussianSum], delta: float) -> Epsilon:
    """Return a record's distributed epsilon by privacy loss distributions.

    The exact figure for continuous Gaussian noise and rounds that are fixed in advance:
    shown as `reference` beside the headline, never enforced. Needs the extra ``federation``.
    """
    from dp_accounting.pld import PLDAccountant  # noqa: PLC0415 (an extra)

    return _by_dp_accounting(events, delta, PLDAccountant)


def _by_dp_accounting(
    events: Iterable[GaussianSum], delta: float, accountant: Callable[[], _Accountant]
) -> Epsilon:
    """The dearer part's epsilon, each event a Gaussian with its own noise multiplier."""
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent  # noqa: PLC0415 (an extra)

    check_delta(delta)
    spent = list(events)
    found = 0.0
    for part in PARTS:
        opinion, kinds = accountant(), Counter[tuple[Fraction, int]]()
        for event in _in_part(spent, part):
            rate = event.rate if isinstance(event, SampledGaussianSum) else RATE_ONE
            squared = Fraction(event.honest * event.variance, event.sensitivity_squared)
            kinds[squared, rate] += 1
        for (squared, rate), count in kinds.items():
            one = GaussianDpEvent(math.sqrt(squared))
            sampled = one if rate == RATE_ONE else PoissonSampledDpEvent(rate / RATE_ONE, one)
            opinion.compose(sampled, count)
        found = max(found, opinion.get_epsilon(delta))
    return Epsilon(found)


class _Accountant(Protocol):
    """What is used of an accountant of dp-accounting."""

    def compose(self, event: object, count: int) -> object:
        """Add an event, so many times."""
        ...

    def get_epsilon(self, target_delta: float) -> float:
        """Return the epsilon of all events so far."""
        ...


def _in_part(events: Iterable[GaussianSum], part: Part) -> list[GaussianSum]:
    """The events over one part of the records."""
    return [event for event in events if event.part == part]


def _cost(sensitivity_squared: int, variance: int, honest: int) -> NanoRho:
    """`renyi.exact_rho` in 1e-9, rounded up."""
    return NanoRho(math.ceil(_NANO * exact_rho(sensitivity_squared, variance, honest)))
