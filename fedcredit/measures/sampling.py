"""Poisson sampling: each record is in a round by a secret coin of its own.

The rate is public and the coins are not: amplification is claimed only for a sample that
nobody sees. What a sum is divided by is the rate times the records that the institution's
size class declares, never the number that was drawn.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import whole
from fedcredit.privacy.noise import RandomBytes
from fedcredit.units import Flags

__all__ = ["RATE_PARTS", "expected_batch", "sampled"]

RATE_PARTS: Final = 1 << 20
"""A rate is an integer number of these parts."""

_COIN: Final = 4  # bytes of a coin; its last 20 bits are compared with the rate


def sampled(count: int, rate: int, source: RandomBytes) -> Flags:
    """Throw one coin a record.

    Guarantee: records are in independently, each with probability exactly
    ``rate / 2**20``, if the bytes are uniform and independent.

    Args:
        count: records; private, so it is used for nothing but the length.
        rate: public, in parts of 2^-20; 2^20 is the full batch.
        source: secret random bytes, four a record, asked for in one call.

    Returns:
        Shape ``(count,)``.

    Raises:
        PrivacyError: the rate is out of range, or the source returned another number of bytes.

    >>> sampled(3, RATE_PARTS // 2, lambda size: bytes(size)).tolist()
    [True, True, True]
    """
    whole("rate", rate, low=0, high=RATE_PARTS)
    drawn = source(_COIN * count)
    if len(drawn) != _COIN * count:
        raise PrivacyError(
            "the random source returned another number of bytes than was asked for",
            remedy="check the system's random generator; nothing was released",
        )
    coins = np.frombuffer(drawn, dtype="<u4") & np.uint32(RATE_PARTS - 1)
    return np.asarray(coins < np.uint32(rate), dtype=np.bool_)


def expected_batch(declared: int, rate: int) -> float:
    """What a sampled sum is divided by: the rate times the declared records.

    Args:
        declared: records that an institution's size class declares, public.
        rate: in parts of 2^-20.

    Raises:
        PrivacyError: an argument is out of range.

    >>> expected_batch(120_000, RATE_PARTS // 4)
    30000.0
    """
    whole("declared", declared, low=1, high=2**40)
    whole("rate", rate, low=0, high=RATE_PARTS)
    return declared * rate / RATE_PARTS
