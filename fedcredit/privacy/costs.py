"""What sums cost together: zCDP in 1e-9 rho, and divergences once one of them is sampled.

The rho of a cost counts a sampled sum as if it were over all records, so whoever reads it
alone overstates. Caps are held against the divergences where there are any, and against
rho where there are none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from fedcredit.errors import PrivacyError
from fedcredit.privacy.accounting import epsilon_of
from fedcredit.privacy.curves import MAX_RHO, epsilon_of_curve, rho_under
from fedcredit.privacy.events import Part, SampledGaussianSum
from fedcredit.privacy.renyi import ORDERS, exact_rho, renyi_of
from fedcredit.units import Epsilon, NanoRho

__all__ = ["WHOSE", "Cost", "Kind", "Whose", "cap_for", "kind_of"]

Whose: TypeAlias = Literal["rho", "rho_local", "person_rho", "person_rho_local"]
WHOSE: Final[tuple[Whose, ...]] = ("rho", "rho_local", "person_rho", "person_rho_local")
"""The figures that are capped: a record's and a person's, each distributed and local."""

_NANO: Final = 10**9


@dataclass(frozen=True, slots=True)
class Cost:
    """What some sums cost together.

    Attributes:
        rho: in 1e-9 zCDP, each sampled sum counted as if it were over all records.
        renyi: divergences at `ORDERS`, in 1e-9; empty where no sum is sampled.
    """

    rho: NanoRho
    renyi: tuple[int, ...] = ()

    @property
    def curve(self) -> tuple[int, ...]:
        """Divergences at `ORDERS`, in 1e-9, sampled or not."""
        return self.renyi or tuple(order * self.rho for order in ORDERS)

    def under(self, cap: NanoRho, delta: float) -> NanoRho:
        """What of a cap it takes up; above the cap if and only if it does not fit."""
        return rho_under(cap, delta, self.renyi) if self.renyi else self.rho

    def epsilon(self, delta: float) -> Epsilon:
        """The least epsilon that it implies at ``delta``, rounded up."""
        return epsilon_of_curve(self.renyi, delta) if self.renyi else epsilon_of(self.rho, delta)

    def within(self, most: Cost) -> bool:
        """Whether it is no more than another cost, at any order."""
        pairs = zip(self.curve, most.curve, strict=True)
        return self.rho <= most.rho and all(one <= other for one, other in pairs)

    def plus(self, other: Cost) -> Cost:
        """Both."""
        total = NanoRho(self.rho + other.rho)
        if not (self.renyi or other.renyi):
            return Cost(total)
        pairs = zip(self.curve, other.curve, strict=True)
        return Cost(total, tuple(one + more for one, more in pairs))

    def times(self, count: int) -> Cost:
        """So many times as much."""
        return Cost(NanoRho(count * self.rho), tuple(count * one for one in self.renyi))

    def dearer(self, other: Cost) -> Cost:
        """What is at least both, at every order."""
        largest = max(self.rho, other.rho)
        if not (self.renyi or other.renyi):
            return Cost(largest)
        return Cost(largest, tuple(map(max, self.curve, other.curve)))


class Kind(NamedTuple):
    """What the cost of a sampled sum follows from; see `SampledGaussianSum`."""

    part: Part
    rate: int
    sensitivity_squared: int
    variance: int
    honest: int

    def cost(self, *, alone: bool, persons: int = 1) -> Cost:
        """What one such sum costs a person with a record in it at ``persons`` institutions.

        Where every institution's noise stands alone, each of them is seen apart, and the
        costs at all of them add up.
        """
        honest = 1 if alone else self.honest
        rho = math.ceil(_NANO * exact_rho(self.sensitivity_squared, self.variance, honest))
        if alone:
            curve = renyi_of(self.rate, self.sensitivity_squared, self.variance, 1)
            return Cost(NanoRho(rho), curve).times(persons)
        step = persons**2 * self.sensitivity_squared
        curve = renyi_of(self.rate, step, self.variance, honest, persons)
        return Cost(NanoRho(persons**2 * rho), curve)


def kind_of(event: SampledGaussianSum) -> Kind:
    """The kind of an event."""
    return Kind(event.part, event.rate, event.sensitivity_squared, event.variance, event.honest)


def cap_for(cost: Cost, delta: float) -> NanoRho:
    """Return a cap that a cost fits under: without a sampled sum, the cost itself.

    With one, a cap that is smaller by a sixty-fourth of it has been found too small.

    Raises:
        PrivacyError: no cap is large enough.
    """
    if not cost.renyi:
        return cost.rho
    # At every order a cap allows at most the order times its rho, so no smaller one can do.
    least = min(-(-one // order) for order, one in zip(ORDERS, cost.renyi, strict=True))
    low, high = least - 1, least
    while high <= MAX_RHO and cost.under(NanoRho(high), delta) > high:
        low, high = high, 2 * high + 1
    if high > MAX_RHO:
        raise PrivacyError(
            "no cap is large enough for this study",
            remedy="take a smaller epsilon or fewer rounds",
        )
    while high - low > high // 64 + 1:
        middle = (low + high) // 2
        fits = cost.under(NanoRho(middle), delta) <= middle
        low, high = (low, middle) if fits else (middle, high)
    return NanoRho(high)
