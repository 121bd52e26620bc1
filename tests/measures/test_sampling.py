"""Poisson sampling: a coin a record at a public rate, and divisors that know no record."""

from __future__ import annotations

import inspect
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import PrivacyError
from fedcredit.measures.sampling import RATE_PARTS, expected_batch, sampled


@given(
    coins=st.lists(st.integers(0, 2**32 - 1), max_size=50),
    rate=st.integers(0, RATE_PARTS),
)
def test_a_record_is_in_where_its_own_coin_is_below_the_rate(coins: list[int], rate: int) -> None:
    """Record by record in Python's integers, out of one call for four bytes a record."""
    asked: list[int] = []

    def source(size: int) -> bytes:
        asked.append(size)
        return struct.pack(f"<{len(coins)}I", *coins)

    found = sampled(len(coins), rate, source)

    assert asked == [4 * len(coins)]
    assert found.dtype == np.bool_
    assert found.tolist() == [coin % RATE_PARTS < rate for coin in coins]


@given(count=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_the_full_rate_takes_everybody_and_rate_zero_nobody(count: int, seed: int) -> None:
    source = np.random.default_rng(seed).bytes

    assert sampled(count, RATE_PARTS, source).all()
    assert not sampled(count, 0, source).any()


@pytest.mark.parametrize("rate", [1 << 6, RATE_PARTS // 10, RATE_PARTS // 2, RATE_PARTS - 5])
def test_the_share_that_is_in_is_the_rate(rate: int) -> None:
    """A million coins: within five standard deviations, one by one and in pairs."""
    count, share = 1 << 20, rate / RATE_PARTS
    found = sampled(count, rate, np.random.default_rng(7).bytes)

    spread = math.sqrt(count * share * (1 - share))
    assert abs(int(found.sum()) - count * share) <= 5 * spread

    pairs, both = found[::2] & found[1::2], share**2
    spread = math.sqrt(len(pairs) * both * (1 - both))
    assert abs(int(pairs.sum()) - len(pairs) * both) <= 5 * spread + 1


@given(
    declared=st.integers(1, 2**40),
    rate=st.integers(0, RATE_PARTS),
)
def test_a_sum_is_divided_by_the_rate_times_the_declared_records(declared: int, rate: int) -> None:
    assert expected_batch(declared, rate) == pytest.approx(declared * (rate / RATE_PARTS))


def test_the_divisor_cannot_know_how_many_records_there_are() -> None:
    """It takes two public numbers, and neither the records nor the mask."""
    assert list(inspect.signature(expected_batch).parameters) == ["declared", "rate"]


@pytest.mark.parametrize("rate", [-1, RATE_PARTS + 1])
def test_a_rate_out_of_range_is_refused(rate: int) -> None:
    with pytest.raises(PrivacyError, match="rate"):
        sampled(3, rate, bytes)
    with pytest.raises(PrivacyError, match="rate"):
        expected_batch(3, rate)


@pytest.mark.parametrize("declared", [0, 2**40 + 1])
def test_a_declared_size_out_of_range_is_refused(declared: int) -> None:
    with pytest.raises(PrivacyError, match="declared"):
        expected_batch(declared, 1)


@pytest.mark.parametrize("count", [0, 3])
def test_a_source_that_returns_another_number_of_bytes_is_refused(count: int) -> None:
    with pytest.raises(PrivacyError, match="random source"):
        sampled(count, RATE_PARTS, lambda size: bytes(size + 1))
