"""Exact discrete Gaussian noise from random bytes that are handed in.

Integers only, from the bytes to the draw: there is no floating-point number in
this file, so the law is the one that is stated and not one near it. Every
product below is exact in 64 bits for a variance up to 2^40; only a proposal
beyond 2^31 could break that, and it needs 2,047 successes in a row of a trial
that succeeds with probability 1/e. The number of bytes used depends on the
draws, as in every rejection sampler: a caller who fears a clock draws all of a
release's noise in one call.

Source: Canonne, Kamath and Steinke (2020), "The Discrete Gaussian for
Differential Privacy", https://arxiv.org/abs/2004.00010, Algorithms 1 to 3.
"""

from __future__ import annotations

from math import isqrt
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import MAX_VARIANCE, MIN_VARIANCE, whole
from fedcredit.units import Flags, Ints

__all__ = ["RandomBytes", "discrete_gaussian"]

_Words: TypeAlias = NDArray[np.uint64]

_WORD: Final = 2**64  # values that one word of eight random bytes can take
_BLOCK: Final = 2**15  # proposals at a time: their arrays stay in a core's own cache
_MOST: Final = 2**32  # numbers in one call


@runtime_checkable
class RandomBytes(Protocol):
    """A source of uniform, independent random bytes; secret and never repeated."""

    def __call__(self, count: int, /) -> bytes:
        """Return ``count`` fresh random bytes."""
        ...


def discrete_gaussian(variance: int, size: int, source: RandomBytes) -> Ints:
    """Draw ``size`` independent integers x with probability proportional to exp(-x^2 / 2V).

    Guarantee: the law is exactly N_Z(0, V) if the bytes are uniform and independent. The
    same bytes give the same draws on every machine.

    Args:
        variance: V in grid steps squared, 16 to 2^40. (The variance of the draws is V too,
            to within 1e-130 at V = 16.)
        size: how many, 0 to 2^32.
        source: where the random bytes come from; about 110 a draw.

    Returns:
        int64, shape ``(size,)``.

    Raises:
        PrivacyError: ``variance`` or ``size`` is no integer in its range, or the source
            returned another number of bytes than was asked.

    Source: arXiv 2004.00010, Algorithm 3.
    """
    whole("variance", variance, low=MIN_VARIANCE, high=MAX_VARIANCE)
    whole("size", size, low=0, high=_MOST)
    draws = np.empty(size, dtype=np.int64)
    filled = 0
    while filled < size:
        # About 2.1 proposals a draw; what is accepted too many is dropped, in an
        # order that does not depend on its value.
        proposals = min(_BLOCK, 2 * (size - filled) + 16)
        proposed = _discrete_laplace(isqrt(variance) + 1, proposals, source)
        accepted = proposed[_gaussian_accepts(np.abs(proposed), variance, source)]
        taken = accepted[: size - filled]
        draws[filled : filled + taken.size] = taken
        filled += taken.size
    return draws


def _uniform_below(limit: int, size: int, source: RandomBytes) -> _Words:
    """Independent integers, uniform from 0 to ``limit - 1``, ``limit`` from 2 to 2^63.

    Unbiased: a word past the largest multiple of ``limit`` in 2^64 is drawn again.
    """
    return _even_words(limit, size, source) // np.uint64(_WORD // limit)


def _even_words(limit: int, size: int, source: RandomBytes) -> _Words:
    """Uniform words below the largest multiple of ``limit`` that 64 bits can hold."""
    words = _words(size, source)
    last = _WORD - _WORD % limit - 1
    if last == _WORD - 1:
        return words  # limit is a power of two: no word is left over
    while (late := np.flatnonzero(words > np.uint64(last))).size:
        words[late] = _words(late.size, source)
    return words


def _words(size: int, source: RandomBytes) -> _Words:
    """Fresh random words, read as little-endian integers on every machine."""
    drawn = source(8 * size)
    if len(drawn) != 8 * size:
        raise PrivacyError(
            f"the random source returned {len(drawn)} bytes, expected {8 * size}",
            remedy="check the system's random generator; nothing was released",
        )
    return np.frombuffer(drawn, dtype="<u8").astype(np.uint64)


def _bernoulli(numerators: _Words, denominator: int, source: RandomBytes) -> Flags:
    """Trials that succeed with probability ``numerators / denominator``, at most 1 each."""
    words = _even_words(denominator, numerators.size, source)
    # A draw below the denominator is words // share; comparing products avoids dividing.
    # A product of 2^64 (numerator = denominator = a power of two) is never asked for.
    share = np.uint64(_WORD // denominator)
    return words < numerators * share


def _one_in(limit: int, size: int, source: RandomBytes) -> Flags:
    """Trials that succeed with probability ``1 / limit``, ``limit`` from 2 up."""
    return _even_words(limit, size, source) < np.uint64(_WORD // limit)


def _bernoulli_exp(numerators: _Words, denominator: int, source: RandomBytes) -> Flags:
    """Trials that succeed with probability exp(-gamma), gamma = numerators / denominator < 1.

    Algorithm 1: count trials K = 1, 2, ... of Bernoulli(gamma / K) up to the first
    failure; succeed if that K is odd. Bernoulli(gamma / K) is drawn as a trial of
    gamma and one of 1/K, so that no product outgrows a word.
    """
    success = np.ones(numerators.size, dtype=np.bool_)
    going = np.flatnonzero(_bernoulli(numerators, denominator, source))
    tried = 1
    while going.size:
        success[going] = tried % 2 == 0  # they fail at the next K or go on past it
        tried += 1
        going = going[_one_in(tried, going.size, source)]
        going = going[_bernoulli(numerators[going], denominator, source)]
    return success


def _bernoulli_exp_minus_one(size: int, source: RandomBytes) -> Flags:
    """Trials that succeed with probability exp(-1): Algorithm 1 where every gamma is 1."""
    success = np.zeros(size, dtype=np.bool_)  # K = 1 never fails
    going = np.arange(size)
    tried = 1
    while going.size:
        success[going] = tried % 2 == 0
        tried += 1
        going = going[_one_in(tried, going.size, source)]
    return success


def _discrete_laplace(scale: int, proposals: int, source: RandomBytes) -> Ints:
    """Integers x with probability proportional to exp(-|x| / scale), from so many proposals.

    Algorithm 2 with s = 1: those of the proposals that are not rejected.
    """
    offset = _uniform_below(scale, proposals, source)
    offset = offset[_bernoulli_exp(offset, scale, source)]
    magnitude = offset.astype(np.int64)
    going = np.arange(magnitude.size)
    while going.size:
        going = going[_bernoulli_exp_minus_one(going.size, source)]
        magnitude[going] += scale
    negative = _one_in(2, magnitude.size, source)
    kept = np.flatnonzero(~negative | (magnitude > 0))  # or zero would come twice as often
    magnitude[negative] *= -1
    return magnitude[kept]


def _gaussian_accepts(magnitude: Ints, variance: int, source: RandomBytes) -> Flags:
    """Trials that turn discrete Laplace magnitudes into discrete Gaussian ones.

    Algorithm 3's trial of exp(-gamma): one trial of exp(-1) for each whole unit of
    gamma, and one of Algorithm 1 for the rest.
    """
    trials, remainder, denominator = _exponent(magnitude, variance)
    accepted = _bernoulli_exp(remainder, denominator, source)
    going = np.flatnonzero(accepted & (trials > 0))
    while going.size:
        success = _bernoulli_exp_minus_one(going.size, source)
        accepted[going] = success
        going = going[success]
        trials[going] -= 1
        going = going[trials[going] > 0]
    return accepted


def _exponent(magnitude: Ints, variance: int) -> tuple[Ints, _Words, int]:
    """Return gamma of Algorithm 3 as whole + remainder / denominator, exactly.

    The paper accepts y with probability exp(-(y - V/t)^2 / 2V). The same law comes
    from dividing by that probability's largest value over the integers, at
    y0 = V/t rounded. With e = y - y0 and s = 2 (t y0 - V), at most t in size, the
    exponent becomes (t e^2 + e s) / (2 V t): an integer over an integer.
    """
    scale = isqrt(variance) + 1
    peak = (2 * variance + scale) // (2 * scale)
    slope = 2 * (scale * peak - variance)
    denominator = 2 * variance * scale  # at most 2^61 + 2^41
    away = magnitude - peak
    squares = away * away
    whole_part = squares // (2 * variance)
    rest = (squares - whole_part * (2 * variance)) * scale + away * slope
    carried = rest // denominator  # rounds down, so the remainder is never negative
    remainder = (rest - carried * denominator).astype(np.uint64)
    return whole_part + carried, remainder, denominator
