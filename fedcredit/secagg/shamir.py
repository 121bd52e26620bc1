"""Shamir's sharing of a 32-byte secret: any t shares give it back, t - 1 say nothing.

The field is that of the smallest prime above 2^256, so every 32-byte string is an element.
Python's integers take a time that depends on their values: a share is computed on its
owner's own machine, and nobody else is given the means to time it.

Source: Shamir (1979), "How to share a secret", https://doi.org/10.1145/359168.359176.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Final, Protocol, runtime_checkable

from fedcredit.errors import LocalError, PeerError

__all__ = [
    "NO_SHARE",
    "PRIME",
    "SHARE_BYTES",
    "RandomBytes",
    "combine",
    "read_shares",
    "split",
    "weights_at_zero",
    "write_shares",
]

PRIME: Final = (1 << 256) + 297
SHARE_BYTES: Final = 33
NO_SHARE: Final = (1 << 8 * SHARE_BYTES) - 1  # beyond the field: stands where there is none
_COEFFICIENT_BYTES: Final = 48  # reduced modulo the prime: off uniform by less than 2^-126


@runtime_checkable
class RandomBytes(Protocol):
    """A source of uniform, independent random bytes; secret and never repeated."""

    def __call__(self, count: int, /) -> bytes:
        """Return ``count`` fresh random bytes."""
        ...


def split(secret: bytes, threshold: int, count: int, random: RandomBytes) -> tuple[int, ...]:
    """Share a secret among ``count`` holders, at the points 1 to ``count``.

    Guarantee: any ``threshold`` shares determine the secret; fewer are uniform and
    independent of it.

    Args:
        secret: 32 bytes.
        threshold: t, shares that are enough, 1 to ``count``.
        count: n, shares to make.
        random: 48 bytes are drawn for each of t - 1 coefficients.

    Returns:
        The shares in order of their points, each below `PRIME`.

    Raises:
        LocalError: the secret is of another length, or the threshold out of range.
    """
    if len(secret) != 32 or not 1 <= threshold <= count:
        raise LocalError(
            f"a secret of {len(secret)} bytes to be shared {threshold} of {count}",
            remedy="share 32 bytes, with a threshold from 1 to the number of holders",
        )
    drawn = random(_COEFFICIENT_BYTES * (threshold - 1))
    coefficients = [
        int.from_bytes(drawn[at : at + _COEFFICIENT_BYTES], "big") % PRIME
        for at in range(0, len(drawn), _COEFFICIENT_BYTES)
    ]
    constant = int.from_bytes(secret, "big")
    shares = []
    for point in range(1, count + 1):
        value = 0
        for coefficient in coefficients:  # Horner's rule
            value = (value + coefficient) * point % PRIME
        shares.append((value + constant) % PRIME)
    return tuple(shares)


def weights_at_zero(points: Sequence[int]) -> tuple[int, ...]:
    """Lagrange's coefficients at 0: computed once for a set of holders, used for every secret.

    Args:
        points: of the holders, each from 1 up and once.

    Raises:
        PeerError: a point is zero or comes twice.
    """
    if len(set(points)) != len(points) or any(not 0 < point < PRIME for point in points):
        raise PeerError("a share has the point 0, or two have one point", remedy="drop the shares")
    if not points:
        return ()
    whole = prod(points) % PRIME
    below = [prod([other - mine for other in points if other != mine]) for mine in points]
    below = [mine * rest % PRIME for mine, rest in zip(points, below, strict=True)]
    # One inversion for all: of their product, and then by taking one factor off after another.
    before = list(accumulate(below, lambda one, other: one * other % PRIME, initial=1))
    inverse = pow(before.pop(), -1, PRIME)
    weights = [0] * len(points)
    for at in reversed(range(len(points))):
        weights[at] = whole * inverse * before[at] % PRIME
        inverse = inverse * below[at] % PRIME
    return tuple(weights)


def combine(weights: Sequence[int], shares: Sequence[int]) -> bytes:
    """Give a secret back.

    Args:
        weights: of the holders' points, from `weights_at_zero`.
        shares: one from each of them.

    Returns:
        32 bytes. They are the secret only if at least t shares are true: the caller
        checks them against the dealer's commitment.

    Raises:
        PeerError: a share is outside the field, or what comes out is no 32-byte string.
    """
    if any(not 0 <= share < PRIME for share in shares):
        raise PeerError("a share is outside the field", remedy="drop the sender's shares")
    value = sum(w * s for w, s in zip(weights, shares, strict=True)) % PRIME
    if value >> 256:
        raise PeerError("shares do not belong together", remedy="find out whose share is false")
    return value.to_bytes(32, "big")


def write_shares(shares: Sequence[int]) -> bytes:
    """Shares one after the other, 33 bytes each, big-endian."""
    return b"".join(share.to_bytes(SHARE_BYTES, "big") for share in shares)


def read_shares(data: bytes, count: int) -> tuple[int, ...]:
    """Read ``count`` shares; the inverse of `write_shares`.

    Raises:
        PeerError: the bytes hold another number of them.
    """
    if len(data) != count * SHARE_BYTES:
        raise PeerError(
            f"shares of {len(data)} bytes, expected {count * SHARE_BYTES}",
            remedy="drop the message",
        )
    return tuple(
        int.from_bytes(data[at : at + SHARE_BYTES], "big")
        for at in range(0, len(data), SHARE_BYTES)
    )
