"""What a column seems to be, from its name and its summary.

These are guesses for a person to confirm, made in the open: by names that
columns usually bear, by values that usually are codes, by how numbers spread.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from fedcredit.data.columns import (
    Categorical,
    Column,
    NumberFormat,
    Numeric,
    canonical_text,
    plain_number,
)
from fedcredit.data.summary import Numbers, Texts, distinct, typical_size, without

__all__ = ["Described", "LeftOut", "Named", "draft_column", "frequent"]

_MAYBE_CODES: Final = frozenset(
    [
        float(sign * int(digit * length))
        for digit in "789"
        for length in range(1, 9)
        for sign in (1, -1)
    ]
    + [float(10**length - less) for length in (2, 3, 4, 5) for less in (2, 3, 4)]
    + [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]
)
_WRITTEN: Final = ("currency", "percent", "decimal-comma")
_CATEGORIES: Final = 40
_CODES: Final = 60
_WORDS: Final[Mapping[str, str]] = {
    "person": r"customer|client|person|borrower|member|applicant|cust|ssn|passport|sk",
    "id": r"id|ids|uuid|guid|nr|no|num|number|key|ref|reference|loannr|chkdgt|unnamed|index",
    "name": r"id|ids|uuid|guid|key|ref|reference|zip|zipcode|postcode|naics|sic|code",
    "code": r"code|type|status|region|state|sex|gender|marital|marriage|education|job|occupation"
    r"|industry|sector|branch|channel|product|purpose|grade|category|class|flag|group|kind"
    r"|housing|mode|band|month|weekday|cluster|segment",
    "count": r"n|no|num|number|count|amt|amount|total|sum|avg|mean|max|min|rate|ratio|create\w*"
    r"|retain\w*|months|days|years",
    "date": r"date|dt|datum|timestamp|dob|birthdate",
    "protected": r"sex|gender|age|race|ethnicity|ethnic|marital|marriage|nationality|religion"
    r"|foreign|birth|birthdate|disability|pregnant|citizenship|native|dob",
}
_BLOCKS: Final[Mapping[str, str]] = {
    "payments": r"pay|paid|payment|due|late|delq|delinq|delinquent|arrears|balance|bill|overdue"
    r"|dpd|instalment|installment|income|salary",
    "e-commerce": r"order|orders|basket|shop|purchase|return|returns|voucher|delivery",
    "utility": r"utility|electricity|water|gas|energy|meter",
    "mobile": r"mobile|phone|call|calls|sms|topup|data|roaming|telephone|email|device",
    "identity": r"age|sex|gender|job|occupation|education|marital|married|marriage|address|region"
    r"|state|housing|employment|dependents|children|family|industry|birth|race|country|city",
}


@dataclass(frozen=True, slots=True)
class Described:
    """A column and its summary.

    Attributes:
        name: the column's name.
        nature: what its entries are.
        summary: ``Texts`` for "text", "date" and "other", else ``Numbers``.
    """

    name: str
    nature: NumberFormat | Literal["text", "date", "other"]
    summary: Numbers | Texts


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that no model should read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Named:
    """A column that names its record."""


def draft_column(column: Described) -> Column | LeftOut | Named:
    """Draft one column.

    Args:
        column: the column and its summary.

    Returns:
        The drafted column, or that it is left out, or that it is an id.
    """
    summary = column.summary
    there = summary.rows - summary.missing
    if not column.name.strip() or not column.name.isprintable():
        return LeftOut("it has no printable name")
    if column.nature == "other":
        return LeftOut("its entries are neither numbers nor texts")
    if not there:
        return LeftOut("every entry is missing")
    if column.nature == "date" or (isinstance(summary, Texts) and summary.dates > 0.9 * there):
        return LeftOut("a date: derive an age or a duration from it")
    if distinct(summary) < 2:
        return LeftOut("it has one value only")
    if isinstance(summary, Texts):
        return _of_texts(column, summary)
    return _of_numbers(column, summary)


def frequent(column: Described) -> dict[str, int]:
    """A column's distinct values as canonical text, the most frequent first.

    Args:
        column: the column and its summary.

    Returns:
        Each value's number of rows; empty when there are too many to count.
    """
    counts: Counter[str] = Counter()
    for value, count in column.summary.values.items():
        text = value if isinstance(value, str) else plain_number(value)
        counts[canonical_text(text)] += count
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _of_texts(column: Described, summary: Texts) -> Column | LeftOut | Named:
    """Draft a column of texts."""
    there = summary.rows - summary.missing
    if distinct(summary) > 0.95 * there and there >= 50:
        if _says(column.name, "id") or _says(column.name, "person"):
            return Named()
        return LeftOut("nearly every row has its own text: a name or an id")
    if summary.many:
        return LeftOut("more than a thousand texts: group them first")
    if sum(map(len, summary.values)) > 60 * len(summary.values):
        return LeftOut("long texts")
    return _categorical(column)


def _categorical(column: Described) -> Column | LeftOut:
    """Draft a categorical column from its frequent values."""
    there = column.summary.rows - column.summary.missing
    counts = frequent(column)
    # A rare text may be about one person: it is never written into a file.
    enough = max(5, math.ceil(0.0005 * there))
    usual = [text for text, count in counts.items() if count >= enough and text.isprintable()]
    kept = usual if len(counts) <= _CODES else usual[:_CATEGORIES]
    if not kept or sum(counts[text] for text in kept) < 0.5 * there:
        return LeftOut(f"{len(counts)} texts, few of them frequent: group them first")
    protected = _says(column.name, "protected")
    return Categorical(
        name=column.name,
        categories=tuple(sorted(kept)),
        other=True,
        block=_block(column.name),
        protected=protected,
        draft=True,
    )


def _of_numbers(column: Described, summary: Numbers) -> Column | LeftOut | Named:
    """Draft a column of numbers."""
    there = summary.rows - summary.missing - summary.unreadable
    if summary.unreadable > 0.02 * summary.rows:
        return LeftOut("numbers and texts are mixed: separate them first")
    if summary.whole and distinct(summary) > 0.95 * there and there >= 50:
        if _says(column.name, "id") or _says(column.name, "person"):
            return Named()
        if summary.rising:
            return LeftOut("it rises from row to row: a row number or a time")
    if summary.whole and _says(column.name, "name") and distinct(summary) > _CODES:
        return LeftOut("many codes or ids: group them into categories first")
    ends = (*summary.lowest, *summary.highest)
    as_date = all(map(_is_date, ends)) or (summary.many and _says(column.name, "date"))
    if summary.whole and as_date:
        return LeftOut("a date written as a number: derive an age or a duration from it")
    few = not summary.many and len(summary.values) <= _CODES
    named_code = _says(column.name, "code") and not _says(column.name, "count")
    if few and (len(summary.values) <= 2 or (summary.whole and named_code)):
        return _categorical(column)
    codes = _special(summary)
    bulk = without(summary, codes)
    if distinct(bulk) < 2:
        return _categorical(column) if few else LeftOut("it has one value and codes only")
    return _numeric(column, bulk, codes)


def _numeric(column: Described, bulk: Numbers, codes: tuple[float, ...]) -> Numeric:
    """Draft a numeric column from its numbers without the special codes."""
    least, most = next(iter(bulk.lowest)), next(reversed(bulk.highest))
    typical = typical_size(bulk)
    spacing: Literal["linear", "log", "signed-log"] = "linear"
    scale = 0.0
    if max(-least, most) > 20 * typical:
        spacing = "signed-log" if least < 0 else "log"
        scale = max(_nice(typical / 10, up=False), 1.0 if bulk.whole else 0.0)
        low, high = _nice(least, up=False), _nice(most, up=True)
    else:
        grid = max(_nice((most - least) / 5, up=False), 1.0 if bulk.whole else 0.0)
        low, high = (math.floor(least / grid) * grid, math.ceil(most / grid) * grid)
        low, high = (float(f"{number:.12g}") for number in (low, high))
    if 0 <= least < 0.2 * most:
        low = 0.0
    protected = _says(column.name, "protected")
    return Numeric(
        name=column.name,
        unit={"currency": "currency", "percent": "percent"}.get(column.nature, ""),
        low=low,
        high=high,
        spacing=spacing,
        special=codes,
        block=_block(column.name),
        protected=protected,
        draft=True,
        step=1.0 if bulk.whole else 0.0,
        scale=scale,
        format=column.nature if column.nature in _WRITTEN else "number",
    )


def _special(summary: Numbers) -> tuple[float, ...]:
    """Numbers at either end that seem to be codes: of the usual kind, and apart from the rest."""
    there = summary.rows - summary.missing - summary.unreadable
    low, high = list(summary.lowest), list(summary.highest)
    codes: list[float] = []
    above = _apart(high[::-1])
    if above:  # 96 and 98 above counts
        codes += above
    elif (
        len(high) > 1
        and summary.highest[high[-1]] > 0.01 * there
        and high[-1] - high[-2] > 2 * (high[-2] - low[0])
    ):
        codes.append(high[-1])  # 365243 above days that are negative
    below = [number for number in low if number < 0 and number in _MAYBE_CODES]
    rest = next((number for number in low if number not in below), None)
    if below and rest is not None and max(below) < rest:
        never_negative = rest >= 0  # -9 below counts
        far_below = max(below) < 2 * rest and max(below) <= -90  # -9999 below amounts
        codes += below if never_negative or far_below else []
    return tuple(sorted(codes))


def _apart(falling: Sequence[float]) -> list[float]:
    """The most numbers in front that may be codes and lie far above the next one."""
    found: list[float] = []
    for at, (number, below) in enumerate(pairwise(falling)):
        if number not in _MAYBE_CODES:
            break
        if number > 2 * max(below, 1.0):
            found = list(falling[: at + 1])
    return found


def _is_date(number: float) -> bool:
    """Whether a number reads as year, month and day."""
    year, month, day = int(number) // 10_000, int(number) // 100 % 100, int(number) % 100
    return 1900 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31


def _nice(number: float, *, up: bool) -> float:
    """A round number beyond a number: 1, 2 or 5 times a power of ten."""
    if number == 0:
        return 0.0
    away = up == (number > 0)  # from zero, or towards it
    size = abs(number)
    power = 10.0 ** math.floor(math.log10(size))
    steps = [power * factor for factor in (1, 2, 5, 10)]
    fits = [step for step in steps if (step >= size if away else step <= size)]
    return math.copysign(min(fits) if away else max(fits, default=power), number)


def _says(name: str, kind: str) -> bool:
    """Whether one of a name's words is of a kind."""
    return any(re.fullmatch(_WORDS[kind], word) for word in _words(name))


def _block(name: str) -> str:
    """The block that a name seems to belong to."""
    for block, pattern in _BLOCKS.items():
        if any(re.fullmatch(pattern, word) for word in _words(name)):
            return block
    return "credit-history"


def _words(name: str) -> list[str]:
    """The words of a name, in small letters: ``NumberOfTime30Days`` has five."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[a-z]+", apart.lower())
