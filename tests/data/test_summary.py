"""A summary of parts is the summary of the whole, and shows nothing of it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.summary import (
    VALUES_LIMIT,
    Numbers,
    Texts,
    distinct,
    merge_numbers,
    merge_texts,
    summary_of_numbers,
    summary_of_texts,
    typical_size,
    without,
)
from fedcredit.units import Floats

entries = st.floats(-1e9, 1e9) | st.integers(-5, 5).map(float) | st.just(float("nan"))
numbers = st.lists(entries, max_size=30).map(lambda drawn: np.array(drawn, dtype=np.float64))


@given(one=numbers, other=numbers)
def test_the_merge_of_two_chunks_is_the_summary_of_both(one: Floats, other: Floats) -> None:
    merged = merge_numbers(summary_of_numbers(one), summary_of_numbers(other))
    whole = summary_of_numbers(np.concatenate([one, other]))
    for name in ("rows", "missing", "unreadable", "whole", "rising", "values", "many", "buckets"):
        assert getattr(merged, name) == getattr(whole, name), name
    assert list(merged.lowest.items()) == list(whole.lowest.items())
    assert list(merged.highest.items()) == list(whole.highest.items())
    assert (merged.hashes == whole.hashes).all()


def test_the_extremes_are_counted_exactly_over_many_chunks() -> None:
    drawn = np.random.default_rng(1).integers(0, 500, 20_000).astype(np.float64)
    total = Numbers()
    for part in np.array_split(drawn, 37):
        total = merge_numbers(total, summary_of_numbers(part))
    counts = sorted(Counter(drawn.tolist()).items())
    assert list(total.lowest.items()) == counts[:8]
    assert list(total.highest.items()) == counts[-8:]
    assert total.values == dict(counts)
    assert distinct(total) == 500


@pytest.mark.parametrize("count", [3_000, 100_000])
def test_the_number_of_distinct_values_is_estimated_within_five_percent(count: int) -> None:
    drawn = np.tile(np.arange(count, dtype=np.float64), 2)
    summary = summary_of_numbers(drawn)
    assert summary.many
    assert not summary.values
    assert abs(distinct(summary) / count - 1) < 0.08


def test_unreadable_and_infinite_entries_are_no_numbers() -> None:
    summary = summary_of_numbers(np.array([1.0, np.nan, np.nan, np.inf]), unreadable=1)
    assert (summary.rows, summary.unreadable, summary.missing) == (4, 1, 2)
    assert summary.values == {1.0: 1}


def test_texts_are_counted_until_there_are_too_many() -> None:
    hashes = np.arange(3, dtype=np.uint64)
    one = summary_of_texts(np.array([0, 0, 1, -1]), ("a", "b", "c"), hashes, np.array([1]))
    assert (one.values, one.missing, one.dates, distinct(one)) == ({"a": 2, "b": 1}, 1, 1, 2)
    both = merge_texts(one, one)
    assert (both.values, both.rows, distinct(both)) == ({"a": 4, "b": 2}, 8, 2)
    many = VALUES_LIMIT + 1
    codes, texts = np.arange(many), tuple(map(str, range(many)))
    wide = summary_of_texts(codes, texts, codes.astype(np.uint64), np.array([], np.int64))
    assert wide.many
    assert not wide.values
    assert merge_texts(wide, one).many


def test_typical_size_and_removal_of_codes() -> None:
    drawn = np.array([0.0] * 50 + [100.0] * 10 + [1000.0] * 5 + [-9.0] * 3)
    summary = summary_of_numbers(drawn)
    assert typical_size(summary) == pytest.approx(100, rel=0.05)
    rest = without(summary, (-9.0,))
    assert list(rest.lowest) == [0.0, 100.0, 1000.0]
    assert rest.missing == 3
    assert distinct(rest) == 3
    assert sum(rest.buckets.values()) == 65
    assert typical_size(summary_of_numbers(np.zeros(3))) == 0


def test_summaries_are_not_shown() -> None:
    assert repr(summary_of_numbers(np.array([4711.0]))) == "Numbers(...)"
    assert repr(Texts(values={"secret": 1})) == "Texts(...)"
