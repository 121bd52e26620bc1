"""What an epsilon and a zCDP cost mean for one person, as shares to hold against a coin.

Two games. In the first, somebody who knows a record guesses by a fair coin whether it took
part. In the second, somebody points at members and lets at most a given share of those who
took no part be pointed at falsely.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal
from typing import Final

__all__ = ["FALSE_ALARMS", "exact", "found_by_epsilon", "found_by_rho", "recognised", "share_up"]

FALSE_ALARMS: Final = 0.01
"""The share of false alarms that is printed."""

_NANO: Final = -9


def recognised(epsilon: float, delta: float) -> float:
    """How often a guess about one record is right at most: ``(e^eps + delta) / (1 + e^eps)``.

    Args:
        epsilon: 0 or above.
        delta: 0 to 1.

    Returns:
        A share, at most 1.

    Source: Kairouz, Oh and Viswanath (2015), arXiv 1311.0776, on differential privacy as a test
    of hypotheses: the errors alpha and beta of every test obey ``alpha + e^eps beta >= 1 - delta``
    and the same with the two changed about; the sum of both gives the share.

    >>> round(recognised(1.0, 0.0), 3)
    0.731
    """
    small = math.exp(-epsilon)
    return min((1 + delta * small) / (1 + small), 1.0)


def found_by_epsilon(epsilon: float, delta: float, false_alarms: float = FALSE_ALARMS) -> float:
    """Share of members found at most, by the definition: ``e^eps * false alarms + delta``.

    >>> round(found_by_epsilon(1.0, 1e-5), 4)
    0.0272
    """
    if epsilon > -math.log(false_alarms):
        return 1.0
    return min(math.exp(epsilon) * false_alarms + delta, 1.0)


def found_by_rho(nano_rho: int, false_alarms: float = FALSE_ALARMS) -> float:
    """Share of members found at most, from the zCDP cost itself, without delta.

    With L = ln(1 / false alarms) it is ``exp(-(sqrt(L) - sqrt(rho))^2)`` where rho < L, else 1.

    By data processing, an event of probability q in one world and p in the other obeys
    ``p <= (q exp(alpha rho))^((alpha - 1) / alpha)`` for every order alpha > 1; the best order
    is sqrt(L / rho).

    Args:
        nano_rho: in 1e-9 zCDP, 0 or above.
        false_alarms: above 0 and below 1.

    Returns:
        A share, at most 1.

    Source: Bun and Steinke (2016), arXiv 1605.02065, for the definition of zCDP; van Erven and
    Harremoes (2014), arXiv 1206.2459, for data processing of the Renyi divergence.

    >>> round(found_by_rho(30_560_000), 4)
    0.0205
    """
    log, rho = -math.log(false_alarms), nano_rho / 10**9
    if rho >= log:
        return 1.0
    return math.exp(-((math.sqrt(log) - math.sqrt(rho)) ** 2))


def share_up(share: float, digits: int = 1) -> str:
    r"""A share as a percentage, rounded up, so that "at most" stays true.

    >>> share_up(0.73105), share_up(0.999999), share_up(0.5)
    ('73.2\xa0%', '100.0\xa0%', '50.0\xa0%')
    """
    step = Decimal(1).scaleb(-digits)
    # What float64 can have added above the true figure is not worth a step.
    value = (Decimal(share) * 100 - Decimal("1e-9")).quantize(step, rounding=ROUND_CEILING)
    return f"{value}\u00a0%"


def exact(nano_rho: int) -> str:
    """A zCDP cost in full: no digit is dropped.

    >>> exact(30_560_000), exact(0), exact(2_000_000_000)
    ('0.03056', '0', '2')
    """
    digits = f"{Decimal(nano_rho).scaleb(_NANO):f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
