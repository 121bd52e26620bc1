"""Summaries of columns that nobody has described: small, and the sum of their parts.

A summary of two chunks is the merge of the two chunks' summaries, so a table of
any length is summarised in bounded memory. Summaries hold values of rows: they
serve the drafting of a schema on the institution's own machine, and no `repr`
shows them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from fedcredit.data.split import Marks
from fedcredit.units import Floats, Ints

__all__ = [
    "VALUES_LIMIT",
    "Numbers",
    "Texts",
    "distinct",
    "merge_numbers",
    "merge_texts",
    "summary_of_numbers",
    "summary_of_texts",
    "typical_size",
    "without",
]

VALUES_LIMIT: Final = 1_000  # distinct values that are counted one by one
_EXTREMES: Final = 8
_SMALLEST: Final = 4_096  # hashes kept; the estimate of distinct values errs by about 1.6 %
_BUCKETS_PER_OCTAVE: Final = 16
_OFFSET: Final = 2_048 * _BUCKETS_PER_OCTAVE  # keeps the buckets of the smallest sizes positive


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """A summary of numbers.

    Attributes:
        rows: number of entries, with missing ones.
        missing: entries that are missing.
        unreadable: entries that are no numbers.
        whole: whether every number is an integer.
        rising: whether each number is above the one before.
        first: the first number; NaN if there is none.
        last: the last one.
        lowest: the smallest distinct numbers and how often each came, rising.
        highest: the largest ones, rising.
        values: how often each number came; empty when there were more than ``VALUES_LIMIT``.
        many: whether there were more.
        buckets: how many numbers lie in each logarithmic bucket.
        hashes: the smallest distinct hashes, rising.
    """

    rows: int = 0
    missing: int = 0
    unreadable: int = 0
    whole: bool = True
    rising: bool = True
    first: float = float("nan")
    last: float = float("nan")
    lowest: Mapping[float, int] = field(default_factory=dict)
    highest: Mapping[float, int] = field(default_factory=dict)
    values: Mapping[float, int] = field(default_factory=dict)
    many: bool = False
    buckets: Mapping[int, int] = field(default_factory=dict)
    hashes: Marks = field(default_factory=lambda: np.empty(0, np.uint64))

    def __repr__(self) -> str:  # holds customers' values
        return "Numbers(...)"


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A summary of texts.

    Attributes:
        rows: number of entries, with missing ones.
        missing: entries that are missing.
        dates: entries that look like dates.
        values: how often each text came; empty when there were more than ``VALUES_LIMIT``.
        many: whether there were more.
        hashes: the smallest distinct hashes, rising.
    """

    rows: int = 0
    missing: int = 0
    dates: int = 0
    values: Mapping[str, int] = field(default_factory=dict)
    many: bool = False
    hashes: Marks = field(default_factory=lambda: np.empty(0, np.uint64))

    def __repr__(self) -> str:  # holds customers' values
        return "Texts(...)"


def summary_of_numbers(values: Floats, unreadable: int = 0) -> Numbers:
    """Summarise a chunk of numbers.

    Args:
        values: shape ``(n,)``; NaN for missing and unreadable ones. Infinite ones are left out.
        unreadable: how many entries were no numbers.

    Returns:
        The summary.
    """
    there = values[np.isfinite(values)] + 0.0  # turns -0.0 into 0.0
    if not len(there):
        return Numbers(len(values), len(values) - unreadable, unreadable)
    numbers, counts = np.unique(there, return_counts=True)
    pairs = list(zip(numbers.tolist(), counts.tolist(), strict=True))
    many = len(pairs) > VALUES_LIMIT
    buckets, sizes = np.unique(_bucket(numbers), return_inverse=True)
    in_buckets = np.bincount(sizes, weights=counts).astype(np.int64)
    return Numbers(
        rows=len(values),
        missing=len(values) - len(there) - unreadable,
        unreadable=unreadable,
        whole=bool((numbers == np.floor(numbers)).all()),
        rising=bool((np.diff(there) > 0).all()),
        first=float(there[0]),
        last=float(there[-1]),
        lowest=dict(pairs[:_EXTREMES]),
        highest=dict(pairs[-_EXTREMES:]),
        values={} if many else dict(pairs),
        many=many,
        buckets=dict(zip(buckets.tolist(), in_buckets.tolist(), strict=True)),
        hashes=np.sort(_mixed(numbers.view(np.uint64)))[:_SMALLEST],
    )


def summary_of_texts(codes: Ints, texts: tuple[str, ...], hashes: Marks, dates: Ints) -> Texts:
    """Summarise a chunk of texts.

    Args:
        codes: the place of each row's text in ``texts``, -1 for missing, shape ``(n,)``.
        texts: texts that the codes point to.
        hashes: a 64-bit hash of each, the same in every chunk.
        dates: places of the texts that look like dates.

    Returns:
        The summary.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    values: Counter[str] = Counter()
    for text, count in zip(texts, counts.tolist(), strict=True):
        values[text] += count
    many = len(values) > VALUES_LIMIT
    return Texts(
        rows=len(codes),
        missing=int((codes < 0).sum()),
        dates=int(counts[dates].sum()),
        values={} if many else {text: count for text, count in values.items() if count},
        many=many,
        hashes=np.unique(_mixed(hashes[counts > 0]))[:_SMALLEST],
    )


def merge_numbers(one: Numbers, other: Numbers) -> Numbers:
    """The summary of two chunks, the first before the second.

    Args:
        one: summary of the first chunk.
        other: summary of the second.

    Returns:
        The summary of both.
    """
    if not one.hashes.size or not other.hashes.size:
        empty, full = (one, other) if not one.hashes.size else (other, one)
        return _with_rows(full, empty)
    values = Counter(one.values) + Counter(other.values)
    many = one.many or other.many or len(values) > VALUES_LIMIT
    lowest = sorted((Counter(one.lowest) + Counter(other.lowest)).items())
    highest = sorted((Counter(one.highest) + Counter(other.highest)).items())
    return Numbers(
        rows=one.rows + other.rows,
        missing=one.missing + other.missing,
        unreadable=one.unreadable + other.unreadable,
        whole=one.whole and other.whole,
        rising=one.rising and other.rising and one.last < other.first,
        first=one.first,
        last=other.last,
        lowest=dict(lowest[:_EXTREMES]),
        highest=dict(highest[-_EXTREMES:]),
        values={} if many else dict(values),
        many=many,
        buckets=dict(Counter(one.buckets) + Counter(other.buckets)),
        hashes=np.union1d(one.hashes, other.hashes)[:_SMALLEST],
    )


def merge_texts(one: Texts, other: Texts) -> Texts:
    """The summary of two chunks.

    Args:
        one: summary of one chunk.
        other: summary of another.

    Returns:
        The summary of both.
    """
    values = Counter(one.values) + Counter(other.values)
    many = one.many or other.many or len(values) > VALUES_LIMIT
    return Texts(
        rows=one.rows + other.rows,
        missing=one.missing + other.missing,
        dates=one.dates + other.dates,
        values={} if many else dict(values),
        many=many,
        hashes=np.union1d(one.hashes, other.hashes)[:_SMALLEST],
    )


def distinct(summary: Numbers | Texts) -> float:
    """About how many distinct values there are.

    Args:
        summary: the summary.

    Returns:
        The exact number below ``VALUES_LIMIT``, else an estimate that errs by about 1.6 %.

    Source: Bar-Yossef et al. (2002), "Counting distinct elements in a data stream",
    algorithm 1: the k-th smallest of d uniform hashes lies near k / d.
    """
    kept = len(summary.hashes)
    if kept < _SMALLEST:
        return float(kept)
    return (kept - 1) * 2.0**64 / float(summary.hashes[-1])


def typical_size(summary: Numbers) -> float:
    """About the median size of the numbers that are not zero.

    Args:
        summary: the summary.

    Returns:
        The size, within 5 %; 0 when every number is zero.
    """
    sizes: Counter[int] = Counter()
    for bucket, count in summary.buckets.items():
        sizes[abs(bucket)] += count if bucket else 0
    rows = sorted(sizes.items())
    half, reached = sum(sizes.values()) / 2, 0
    for bucket, count in rows:
        reached += count
        if bucket and reached >= half:
            return float(2.0 ** ((bucket - _OFFSET + 0.5) / _BUCKETS_PER_OCTAVE))
    return 0.0


def without(summary: Numbers, codes: Sequence[float]) -> Numbers:
    """A summary without some of its extreme values.

    Args:
        summary: the summary.
        codes: values among ``lowest`` and ``highest``.

    Returns:
        The summary of the other numbers; special codes count as missing.
    """
    counts = {code: {**summary.lowest, **summary.highest}[code] for code in codes}
    buckets = Counter(summary.buckets)
    for code, count in counts.items():
        buckets[int(_bucket(np.array([code]))[0])] -= count
    marks = _mixed(np.array(codes, dtype=np.float64).view(np.uint64))
    return replace(
        summary,
        missing=summary.missing + sum(counts.values()),
        lowest={number: count for number, count in summary.lowest.items() if number not in counts},
        highest={
            number: count for number, count in summary.highest.items() if number not in counts
        },
        values={number: count for number, count in summary.values.items() if number not in counts},
        buckets={bucket: count for bucket, count in buckets.items() if count > 0},
        hashes=np.setdiff1d(summary.hashes, marks),
    )


def _bucket(values: Floats) -> Ints:
    """The logarithmic bucket of each value: 0 for 0, negative for negative ones."""
    sizes = np.abs(values)
    logs = np.log2(np.where(sizes > 0, sizes, 1.0))
    buckets = np.floor(logs * _BUCKETS_PER_OCTAVE).astype(np.int64) + _OFFSET
    return np.where(sizes > 0, np.sign(values).astype(np.int64) * buckets, 0)


def _mixed(bits: Marks) -> Marks:
    """Bits spread evenly over 64-bit numbers (the finisher of SplitMix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _with_rows(full: Numbers, empty: Numbers) -> Numbers:
    """A summary with the rows of another that holds no number."""
    return replace(
        full,
        rows=full.rows + empty.rows,
        missing=full.missing + empty.missing,
        unreadable=full.unreadable + empty.unreadable,
    )
