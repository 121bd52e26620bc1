"""Renyi divergences of one release, by integers and decimals rounded up.

For a fixed public list of integer orders alpha, how far a record can move a release in the
Renyi divergence of order alpha, as a vector of integers of 1e-9. Every number is an
upper limit, and the same on every machine: the decimals of the standard library round as
they are told to, and their exp and ln are correctly rounded.

A full sum with zCDP rho costs ``alpha rho``. A sampled one costs
``ln(A) / (alpha - 1)`` with

    A = sum_{k=0}^{alpha} C(alpha, k) (1 - q)^{alpha - k} q^k exp(k (k - 1) rho),

where rho is the zCDP of the sum that is not sampled, everything of it: the tau of several
institutions' noise enters each power at full strength, as if all records were in. Why this
holds for our noise, and not only for the continuous one of the paper:

* given the sample of all other records, the release is Q (the record is not there) or
  (1 - q) Q + q P (it is, and is sampled or not), with P = Q moved by a vector of integers;
  a mixture over the others' sample is no further apart than its furthest pair;
* the moments of P/Q under Q are ``exp((k - 1) D_k(P || Q))``, and D_k is at most ``k rho``,
  so A limits the divergence of the mixture from Q;
* the other direction is smaller. Noise is symmetric, so x -> v - x swaps P and Q, and with
  r = P/Q, a = 1 - q + q r, b = 1 - q + q / r it is enough that f(a) + r f(b) >= 0 for
  r >= 1, where f(x) = x^alpha - x^{1 - alpha}. With u = r b this is
  f(a) / (a - 1) >= f(r/u) / (r/u - 1), because f(1/c) = -f(c) / c and a - 1 = r - u; and
  that holds, because f is convex above 1 with f(1) = 0, and a >= r/u.

A person with m records of which each is sampled by itself: some record is in the sample
with probability 1 - (1 - q)^m, and then moves the sum by m steps at most, so the person
costs what one record costs at that rate and m times the step.

Sources: Mironov, Talwar and Zhang (2019), https://arxiv.org/abs/1908.10530, Theorems 4 and
5 and section 3.3 (integer orders); Kairouz, Liu and Steinke (2021), arXiv 2102.06387, for
the sum of several institutions' noise.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from decimal import ROUND_CEILING, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from functools import lru_cache
from typing import Final

from fedcredit.privacy.events import MAX_DIM, RATE_ONE, GaussianSum, SampledGaussianSum

__all__ = ["ORDERS", "exact_rho", "renyi", "renyi_of", "renyi_sum", "sum_of_noise_tau"]

ORDERS: Final = (*range(2, 65), 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512)
"""The orders, public and fixed: every whole one up to 64, then steps of a quarter at most."""

_NANO: Final = 10**9
_HOPELESS: Final = 1000  # a rho above which a sample is no help that anybody would want
# Every operation rounds up, and every number is positive: so is the result. 50 digits leave
# a unit of 1e-9 right by forty.
_UP: Final = Context(
    prec=50,
    rounding=ROUND_CEILING,
    Emax=4 * 10**8,  # exp(512 * 511 * _HOPELESS) is below 10^(1.2e8)
    Emin=-4 * 10**8,
    traps=[DivisionByZero, InvalidOperation, Overflow],
)


def sum_of_noise_tau(honest: int) -> Fraction:
    """Return an upper limit of tau: how far h noises' sum is from one discrete Gaussian.

    The paper's tau = 10 sum_{k=1}^{h-1} exp(-2 pi^2 V k / (k+1)) is the max-divergence per
    number. Each k/(k+1) is at least 1/2 and V at least 16, so each term is at most
    exp(-16 pi^2) < 2^-227.

    Args:
        honest: h, institutions whose noise is added up.

    Returns:
        ``10 (h - 1) / 2^227``; exactly 0 for one institution.

    Source: arXiv 2102.06387, the definition of tau in its theorem on multivariate sums.
    """
    return Fraction(10 * (honest - 1), 2**227)


def exact_rho(sensitivity_squared: int, variance: int, honest: int) -> Fraction:
    """Return the zCDP of h noises of variance V on a sum of squared sensitivity R^2.

    Rounded up from (R / sqrt(hV) + tau sqrt(d))^2 / 2, the form of the paper's theorem
    that holds for every tau; d enters as the largest dim allowed, because even so the terms with
    tau come to less than 2^-120. Roots are taken of integers and rounded up.
    """
    ratio = Fraction(sensitivity_squared, honest * variance)
    tau = sum_of_noise_tau(honest)
    cross = tau * (math.isqrt(math.floor(ratio * MAX_DIM)) + 1)
    return ratio / 2 + cross + tau * tau * MAX_DIM / 2


def renyi(event: GaussianSum, *, alone: bool = False, persons: int = 1) -> tuple[int, ...]:
    """Return what an event costs at each of `ORDERS`, in 1e-9, rounded up.

    Args:
        event: what was done, sampled or not.
        alone: whether one institution's noise stands alone. The sample stays secret then
            too: an institution keeps it to itself whoever else colludes.
        persons: m, the institutions at which one person has a record in this very sum.

    Returns:
        A divergence for each order; a sampled event costs at most what the same sum over
        all records would.
    """
    return renyi_of(
        event.rate if isinstance(event, SampledGaussianSum) else RATE_ONE,
        persons**2 * event.sensitivity_squared,
        event.variance,
        1 if alone else event.honest,
        persons,
    )


def renyi_sum(
    events: Iterable[GaussianSum], *, alone: bool = False, persons: int = 1
) -> tuple[int, ...]:
    """Return what many events cost together at each of `ORDERS`; see `renyi`."""
    kinds: Counter[tuple[int, ...]] = Counter()
    for event in events:
        rate = event.rate if isinstance(event, SampledGaussianSum) else RATE_ONE
        honest = 1 if alone else event.honest
        kinds[rate, persons**2 * event.sensitivity_squared, event.variance, honest, persons] += 1
    total = [0] * len(ORDERS)
    for kind, count in kinds.items():
        total = [of + count * cost for of, cost in zip(total, renyi_of(*kind), strict=True)]
    return tuple(total)


@lru_cache(maxsize=1 << 14)  # a study's rounds differ in their names, and seldom in this
def renyi_of(
    rate: int, sensitivity_squared: int, variance: int, honest: int, persons: int = 1
) -> tuple[int, ...]:
    """Return the costs of a sum by its numbers alone; see `renyi`.

    Args:
        rate: at which each record is sampled, in parts of 2^-20; 2^20 for all records.
        sensitivity_squared: largest squared change by all of a person's records at once.
        variance: of one institution's noise.
        honest: institutions whose noise is added up.
        persons: m, records of a person in this sum, each sampled by itself.
    """
    rho = exact_rho(sensitivity_squared, variance, honest)
    full = tuple(math.ceil(_NANO * order * rho) for order in ORDERS)
    # 1 - (1 - q)^m, rounded up to a part.
    missed = (RATE_ONE - rate) ** persons // RATE_ONE ** (persons - 1)
    if missed == 0 or rho > _HOPELESS:
        return full
    sampled = _sampled(RATE_ONE - missed, rho)
    return tuple(map(min, sampled, full))


def _sampled(rate: int, rho: Fraction) -> tuple[int, ...]:
    """The sampled Gaussian's divergences, each in 1e-9, rounded up."""
    add, times, divide = _UP.add, _UP.multiply, _UP.divide
    left_out = divide(Decimal(RATE_ONE - rate), Decimal(RATE_ONE))  # exact: 20 binary places
    odds = divide(Decimal(rate), Decimal(RATE_ONE - rate))
    base = _UP.next_plus(_UP.exp(divide(Decimal(2 * rho.numerator), Decimal(rho.denominator))))
    # terms[k] = (q / (1 - q))^k exp(k (k - 1) rho), each from the one before.
    terms, step = [Decimal(1)], odds
    for _ in range(ORDERS[-1]):
        terms.append(times(terms[-1], step))
        step = times(step, base)
    found = []
    for order in ORDERS:
        total = Decimal(0)
        for binomial, term in zip(_binomials(order), terms, strict=False):
            total = add(total, times(binomial, term))
        moment = times(total, _power(left_out, order))
        log = _UP.next_plus(_UP.ln(max(moment, Decimal(1))))
        found.append(math.ceil(divide(times(log, Decimal(_NANO)), Decimal(order - 1))))
    return tuple(found)


def _power(number: Decimal, exponent: int) -> Decimal:
    """A power by multiplications, each rounded up: ``Context.power`` is not rounded so."""
    found = Decimal(1)
    for bit in f"{exponent:b}":
        found = _UP.multiply(found, found)
        if bit == "1":
            found = _UP.multiply(found, number)
    return found


@lru_cache(maxsize=len(ORDERS))
def _binomials(order: int) -> tuple[Decimal, ...]:
    """C(order, k) for k from 0 to the order, each rounded up."""
    return tuple(_UP.create_decimal(math.comb(order, k)) for k in range(order + 1))
