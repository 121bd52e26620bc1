"""Shamir's sharing: enough shares give the secret back, fewer fit every secret there is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import LocalError, PeerError
from fedcredit.secagg.shamir import (
    NO_SHARE,
    PRIME,
    SHARE_BYTES,
    RandomBytes,
    combine,
    read_shares,
    split,
    weights_at_zero,
    write_shares,
)
from tests.vectors.secagg_reference import Stream

SECRETS = st.binary(min_size=32, max_size=32)
SHARES = st.integers(0, PRIME - 1)
EDGES = (bytes(32), bytes(31) + b"\1", b"\xff" * 32)


def giving(data: bytes) -> Callable[[int], bytes]:
    """A random source that has just these bytes to give."""

    def random(count: int, /) -> bytes:
        assert count == len(data), "draws all that it draws at once"
        return data

    return random


def probably_prime(number: int) -> bool:
    """Fermat's test by ten bases: a composite of this size passes by no accident."""
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29))


def test_the_field_is_that_of_the_smallest_prime_above_the_secrets() -> None:
    assert probably_prime(PRIME)
    assert not any(probably_prime(number) for number in range(2**256, PRIME))


@given(secret=SECRETS, sizes=st.tuples(st.integers(1, 7), st.integers(1, 7)), data=st.data())
def test_any_threshold_of_shares_give_the_secret_back(
    secret: bytes, sizes: tuple[int, int], data: st.DataObject
) -> None:
    threshold, count = min(sizes), max(sizes)
    drawn = data.draw(st.binary(min_size=48 * (threshold - 1), max_size=48 * (threshold - 1)))
    shares = split(secret, threshold, count, giving(drawn))

    assert len(shares) == count
    assert all(0 <= share < PRIME for share in shares)
    for points in combinations(range(1, count + 1), threshold):
        weights = weights_at_zero(points)
        assert combine(weights, [shares[point - 1] for point in points]) == secret


@pytest.mark.parametrize("secret", EDGES, ids=["0", "1", "2^256-1"])
def test_more_than_enough_shares_in_any_order_give_it_back_too(secret: bytes) -> None:
    shares = split(secret, 3, 5, Stream("more than enough"))
    points = (4, 1, 5, 2)

    assert combine(weights_at_zero(points), [shares[point - 1] for point in points]) == secret


@given(
    secret=SECRETS, other=SECRETS, at=st.integers(1, 3), drawn=st.binary(min_size=48, max_size=48)
)
def test_one_share_too_few_fits_every_other_secret(
    secret: bytes, other: bytes, at: int, drawn: bytes
) -> None:
    """For the share that was seen there is, for any secret, just one line that goes through it."""
    share = split(secret, 2, 3, giving(drawn))[at - 1]
    slope = (share - int.from_bytes(other, "big")) * pow(at, -1, PRIME) % PRIME

    assert split(other, 2, 3, giving(slope.to_bytes(48, "big")))[at - 1] == share


def test_shares_of_two_thresholds_or_points_do_not_give_it_back() -> None:
    shares = split(EDGES[1], 3, 5, Stream("not enough"))

    assert combine_or_none((1, 2), shares[:2]) != EDGES[1]
    assert combine_or_none((1, 2, 4), shares[:3]) != EDGES[1]


def combine_or_none(points: tuple[int, ...], shares: tuple[int, ...]) -> bytes | None:
    try:
        return combine(weights_at_zero(points), shares)
    except PeerError:
        return None


@pytest.mark.parametrize(
    ("secret", "threshold", "count"),
    [
        (bytes(31), 2, 3),
        (bytes(33), 2, 3),
        (b"", 2, 3),
        (bytes(32), 0, 3),
        (bytes(32), -1, 3),
        (bytes(32), 4, 3),
    ],
)
def test_what_cannot_be_shared_is_refused_before_a_byte_is_drawn(
    secret: bytes, threshold: int, count: int
) -> None:
    random = Stream("never drawn from")
    with pytest.raises(LocalError, match=f"{len(secret)} bytes to be shared {threshold} of"):
        split(secret, threshold, count, random)
    assert random.drawn == 0


@pytest.mark.parametrize(
    "points", [(0,), (1, 0), (1, 1), (2, 3, 2), (-1,), (1, PRIME), (PRIME + 1,)]
)
def test_a_point_that_is_zero_or_comes_twice_is_refused(points: tuple[int, ...]) -> None:
    with pytest.raises(PeerError, match="point"):
        weights_at_zero(points)


@pytest.mark.parametrize("share", [PRIME, PRIME + 1, NO_SHARE, -1])
def test_a_share_outside_the_field_is_refused(share: int) -> None:
    with pytest.raises(PeerError, match="outside the field"):
        combine(weights_at_zero((1, 2)), [5, share])


def test_shares_that_give_no_secret_are_refused() -> None:
    """297 elements of the field are no 32 bytes; no dealer makes shares of them."""
    with pytest.raises(PeerError, match="do not belong together"):
        combine(weights_at_zero((1,)), [2**256])
    assert combine(weights_at_zero((1,)), [2**256 - 1]) == b"\xff" * 32


@given(points=st.sets(st.integers(1, 1000), min_size=1, max_size=9))
def test_the_weights_of_a_constant_add_up_to_one(points: set[int]) -> None:
    assert sum(weights_at_zero(sorted(points))) % PRIME == 1


@given(points=st.lists(st.integers(1, PRIME - 1), min_size=1, max_size=6, unique=True))
def test_the_weights_are_lagranges_wherever_the_points_are(points: list[int]) -> None:
    """Each is the value at 0 of the polynomial that is 1 at its point and 0 at the others."""
    for weight, mine in zip(weights_at_zero(points), points, strict=True):
        above = prod(other for other in points if other != mine)
        below = prod(other - mine for other in points if other != mine)
        assert (weight * below - above) % PRIME == 0


@given(shares=st.lists(SHARES | st.just(NO_SHARE), max_size=5))
def test_shares_that_were_written_are_read(shares: list[int]) -> None:
    data = write_shares(shares)

    assert len(data) == SHARE_BYTES * len(shares)
    assert read_shares(data, len(shares)) == tuple(shares)


@given(data=st.binary(max_size=120), count=st.integers(0, 4))
def test_bytes_hold_as_many_shares_as_expected_or_are_refused(data: bytes, count: int) -> None:
    if len(data) == count * SHARE_BYTES:
        assert write_shares(read_shares(data, count)) == data
        return
    with pytest.raises(PeerError, match=f"expected {count * SHARE_BYTES}"):
        read_shares(data, count)


def test_what_stands_for_no_share_is_none() -> None:
    assert NO_SHARE >= PRIME
    assert write_shares([NO_SHARE]) == b"\xff" * SHARE_BYTES


def test_a_source_of_bytes_is_known_by_being_called() -> None:
    assert isinstance(Stream("any"), RandomBytes)
