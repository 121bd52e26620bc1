"""Curves: Renyi divergences at the listed orders, read as an epsilon or judged at one order.

Rounds that are fixed in advance may be read at whichever order gives the least epsilon.
Rounds that are chosen one after the other may not: had each course of a study an order of
its own, delta would be spent once for every order that some course ends at. So a cap is
judged at one order alone, and that follows from the cap and from delta, before any record
was looked at: the order at which the cap's own zCDP gives its least epsilon. At a fixed
order the sum of the divergences is a filter, for rounds chosen one after the other and for
studies side by side.

What a cap leaves room for at its order is a little less than the order times its rho: only
whole orders are listed, and the epsilon that a cap stands for may lie between two of them.

A cost up to an order omega is the least rho with a divergence of at most ``alpha rho`` at
every listed order alpha up to omega (truncated concentrated privacy); costs add. A full
sum's is its zCDP, so an account without sampled sums is judged as it always was.

Sources: Feldman and Zrnic (2020), arXiv 2008.11193, the filter at one fixed order; Haney et
al. (2023), https://arxiv.org/abs/2309.05901, for studies side by side; Bun, Dwork, Rothblum
and Steinke (2018), "Composable and versatile privacy via truncated CDP"; Canonne, Kamath and
Steinke (2020), arXiv 2004.00010, Proposition 12, for epsilon.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import lru_cache
from typing import Final

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import MAX_VARIANCE, MIN_VARIANCE, whole
from fedcredit.privacy.renyi import ORDERS, renyi_of
from fedcredit.units import Epsilon, NanoRho

__all__ = [
    "FINE",
    "MAX_RHO",
    "check_delta",
    "epsilon_of_curve",
    "order_for",
    "rho_under",
    "rho_up_to",
    "room_for",
    "sampled_variance_for",
    "whole_rho",
]

FINE: Final = 2**20
"""The squared sensitivity that `sampled_variance_for` answers for, in grid steps squared."""

MAX_RHO: Final = NanoRho(10**18)  # a billion rho: no privacy at all, and far from any cap

_NANO: Final = 10**9
_UP: Final = 1 + 1e-11  # above what float64 can lose in an epsilon
_EXACT: Final = Context(prec=40)
_HALVINGS: Final = 140  # as many as change a number of 40 digits


def check_delta(delta: object) -> None:
    """Refuse a delta that is no float above 0 and below 1, or too small for float64."""
    if type(delta) is not float or not 1e-300 <= delta < 1:
        raise PrivacyError(
            "delta is not a float from 1e-300 to 1",
            remedy="set delta below 1 / number of persons, e.g. 1e-5",
        )


def epsilon_of_curve(curve: Sequence[int], delta: float) -> Epsilon:
    """Return the least epsilon over `ORDERS` that divergences imply at ``delta``, rounded up.

    Args:
        curve: a divergence for each of `ORDERS`, in 1e-9.
        delta: above 0 and below 1.

    Returns:
        Epsilon, at least 0.

    Raises:
        PrivacyError: ``delta`` is of another type or out of range.

    Source: arXiv 2004.00010, Proposition 12.
    """
    check_delta(delta)
    found = min(
        cost / _NANO - (math.log(order) + math.log(delta)) / (order - 1) + math.log1p(-1 / order)
        for order, cost in zip(ORDERS, curve, strict=True)
    )
    return Epsilon(max(found, 0.0) * _UP + 1e-14)


@lru_cache(maxsize=1024)
def order_for(cap: NanoRho, delta: float) -> int:
    """Return the order at which a cap is judged once sums are sampled.

    It is that of `ORDERS` at which a zCDP of ``cap`` gives its least epsilon at ``delta``,
    the smaller one of two alike; worked out in decimals, so that no two machines differ.

    Args:
        cap: in 1e-9 rho.
        delta: above 0 and below 1.
    """
    check_delta(delta)
    log_delta = _EXACT.ln(Decimal(delta))

    def epsilon(order: int) -> Decimal:
        """Proposition 12 at one order."""
        return _EXACT.add(_line(cap, Decimal(order)), _constant(Decimal(order), log_delta))

    best: int = min(ORDERS, key=epsilon)
    return best


@lru_cache(maxsize=1024)
def room_for(cap: NanoRho, delta: float) -> tuple[int, int]:
    """Return a cap's order, and the divergence at it that implies the cap's own epsilon.

    Args:
        cap: in 1e-9 rho.
        delta: above 0 and below 1.

    Returns:
        `order_for`, and a divergence in 1e-9, rounded down, at most the order times the cap;
        0 where the listed orders cannot tell so small a cap from nothing.

    Source: arXiv 2004.00010, Proposition 12. Its derivative by the order alpha is
    rho - ln(1 / (alpha delta)) / (alpha - 1)^2, so its least value over all real orders is
    where that is zero, and a bisection finds it.
    """
    order = order_for(cap, delta)
    if cap == 0:
        return order, 0
    log_delta, one = _EXACT.ln(Decimal(delta)), Decimal(1)
    cost = _EXACT.divide(Decimal(cap), Decimal(_NANO))
    low, high = Decimal(0), _EXACT.sqrt(_EXACT.divide(_EXACT.minus(log_delta), cost))
    for _ in range(_HALVINGS):
        middle = _EXACT.divide(_EXACT.add(low, high), Decimal(2))
        left = _EXACT.multiply(cost, _EXACT.multiply(middle, middle))
        right = _EXACT.minus(_EXACT.add(_EXACT.ln(_EXACT.add(one, middle)), log_delta))
        low, high = (middle, high) if left < right else (low, middle)
    best = _EXACT.add(one, high)
    least = _EXACT.add(_line(cap, best), _constant(best, log_delta))
    room = _EXACT.subtract(least, _constant(Decimal(order), log_delta))
    return order, max(math.floor(_EXACT.multiply(room, Decimal(_NANO))), 0)


def _line(cap: NanoRho, order: Decimal) -> Decimal:
    """What a zCDP diverges by at an order."""
    return _EXACT.divide(_EXACT.multiply(Decimal(cap), order), Decimal(_NANO))


def _constant(order: Decimal, log_delta: Decimal) -> Decimal:
    """What an epsilon is above the divergence at an order."""
    less_one = _EXACT.subtract(order, Decimal(1))
    known = _EXACT.divide(_EXACT.add(_EXACT.ln(order), log_delta), less_one)
    return _EXACT.subtract(_EXACT.ln(_EXACT.divide(less_one, order)), known)


def rho_under(cap: NanoRho, delta: float, curve: Sequence[int]) -> NanoRho:
    """Return the share of a cap that divergences take up, as rho of the cap.

    Guarantee: it is at most ``cap`` if and only if the divergence at the cap's order is at
    most its room, and then the epsilon at ``delta`` is at most that of the cap.

    Args:
        cap: in 1e-9 rho.
        delta: above 0 and below 1.
        curve: a divergence for each of `ORDERS`, in 1e-9.

    Returns:
        In 1e-9 rho, rounded up; `MAX_RHO` where the cap has no room for anything.
    """
    order, room = room_for(cap, delta)
    taken = curve[ORDERS.index(order)]
    if room == 0:
        return MAX_RHO if taken else NanoRho(0)
    return NanoRho(min(-(-cap * taken // room), MAX_RHO))


def whole_rho(total: NanoRho, delta: float) -> NanoRho:
    """Return the rho that a study of sampled rounds may share out for a zCDP of ``total``.

    Rounds that cost so much up to the order of ``total`` (`rho_up_to`) imply no larger an
    epsilon than ``total`` does.
    """
    order, room = room_for(total, delta)
    return NanoRho(room // order)


def rho_up_to(order: int, curve: Sequence[int]) -> NanoRho:
    """Return the least rho whose ``alpha rho`` is at least the curve at all orders to ``order``.

    Args:
        order: one of `ORDERS`.
        curve: a divergence for each of `ORDERS`, in 1e-9.

    >>> rho_up_to(3, [5 * order for order in ORDERS])
    5
    """
    pairs = zip(ORDERS, curve, strict=True)
    return NanoRho(max(-(-cost // alpha) for alpha, cost in pairs if alpha <= order))


@lru_cache(maxsize=1024, typed=True)
def sampled_variance_for(budget: NanoRho, rate: int, honest: int, order: int) -> int:
    """Return the least variance at which a sampled sum costs at most ``budget`` up to an order.

    It is one institution's, for a squared sensitivity of `FINE`. A sum of another one needs
    as much in proportion, rounded up, and then costs no more at any order, to nobody.

    Args:
        budget: what the event may cost under the distributed claim, in 1e-9 rho, above 0.
        rate: at which each record is sampled, in parts of 2^-20.
        honest: institutions whose noise the claim rests on; 1 for `local` noise.
        order: one of `ORDERS`, from `order_for`.

    Returns:
        Variance for a squared sensitivity of `FINE`, 16 to 2^40.

    Raises:
        PrivacyError: ``budget`` is out of range, or even 2^40 is too little.
    """
    whole("rho", budget, low=1, high=MAX_RHO)

    def dear(variance: int) -> bool:
        """Whether it costs more than the budget."""
        return rho_up_to(order, renyi_of(rate, FINE, variance, honest)) > budget

    if dear(MAX_VARIANCE):
        raise PrivacyError(
            f"a sampled round of rho {budget}e-9 needs a variance above {MAX_VARIANCE}",
            remedy="take a larger epsilon, a smaller rate or fewer rounds",
        )
    short, enough = MIN_VARIANCE - 1, MAX_VARIANCE
    while enough - short > 1:
        middle = (short + enough) // 2
        short, enough = (middle, enough) if dear(middle) else (short, middle)
    return enough
