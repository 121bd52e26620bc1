"""What a table holds, column by column, for drafting a schema.

The table is read once, in bounded memory. What a column of a CSV holds is
decided by its first entries: numbers, amounts with a currency sign, percentages
or texts.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal, TypeAlias, cast

import numpy as np
import polars as pl

from fedcredit.adapters.frames import TableFile, files_of, frames, guarded
from fedcredit.adapters.series import levels, numbers
from fedcredit.data.cells import MISSING_TEXTS
from fedcredit.data.columns import NumberFormat, Numeric
from fedcredit.data.draft_columns import Described
from fedcredit.data.summary import (
    Numbers,
    Texts,
    merge_numbers,
    merge_texts,
    summary_of_numbers,
    summary_of_texts,
)
from fedcredit.errors import DataError

__all__ = ["describe_table"]

_Nature: TypeAlias = NumberFormat | Literal["text", "date", "other"]

_SHARE: Final = 0.98  # of the entries that are there must read as a number for a column to be one
_PATTERNS: Final[tuple[tuple[_Nature, str], ...]] = (
    ("currency", r"^[-+]?\s*[$€£¥]?\s*[-+]?\d{1,3}([, ]?\d{3})*(\.\d*)?$"),
    ("percent", r"^[-+]?\d+(\.\d*)?\s*%$"),
    ("decimal-comma", r"^[-+]?\d{1,3}(\.?\d{3})*(,\d*)?\s*€?$"),
)
_DATE: Final = (
    r"^(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d{1,2}:.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( .*)?"
    r"|(\d{1,2}[-\s])?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*[-\s]\d{2,4})$"
)


def describe_table(source: str) -> tuple[Described, ...]:
    """Summarise every column of a table.

    Args:
        source: a path or glob of CSV or Parquet files with the same columns.

    Returns:
        The columns in the order of the first file.

    Raises:
        DataError: a file cannot be read, has no rows or no header, or the files differ in columns.
    """
    files = files_of(source)
    first = files[0]
    for file in files:
        _check_header(file, first)
    found: dict[str, Described] = {}
    for file in files:
        for frame in frames(file, first.columns):
            for name in first.columns:
                step = partial(_describe, frame[name], found.get(name))
                found[name] = guarded(file.path, file.kind, step)
    if not found:
        raise DataError(f"{source}: the table has no rows", remedy="give a table with rows")
    return tuple(found[name] for name in first.columns)


def _check_header(file: TableFile, first: TableFile) -> None:
    """Refuse a header that is a row, or that differs from the first file's."""
    numeric = sum(name.strip().lstrip("-").replace(".", "", 1).isdigit() for name in file.columns)
    if 2 * numeric > len(file.columns):
        raise DataError(
            f"{file.path}: the header holds numbers, so it is a row",
            remedy="put a line with the columns' names on top",
        )
    if file.columns != first.columns:
        raise DataError(
            f"{file.path} has other columns than {first.path}",
            remedy="give files with the same columns in the same order",
        )


def _describe(series: pl.Series, before: Described | None) -> Described:
    """A column with one more chunk summarised."""
    seen = before is not None and before.summary.rows > before.summary.missing
    nature = before.nature if before is not None and seen else _nature(series)
    if nature in ("text", "date", "other"):
        texts = _texts(series, nature)
        if before is not None:
            texts = merge_texts(_as_texts(before.summary), texts)
        return Described(series.name, nature, texts)
    column = Numeric("any", "", 0, 1, format=cast("NumberFormat", nature))
    summary = summary_of_numbers(*numbers(column, series))
    if before is not None:
        summary = merge_numbers(_as_numbers(before.summary), summary)
    return Described(series.name, nature, summary)


def _as_texts(summary: Numbers | Texts) -> Texts:
    """The summary of a column that held nothing so far, as one of texts."""
    return summary if isinstance(summary, Texts) else Texts(summary.rows, summary.missing)


def _as_numbers(summary: Numbers | Texts) -> Numbers:
    """The summary of a column that held nothing so far, as one of numbers."""
    return summary if isinstance(summary, Numbers) else Numbers(summary.rows, summary.missing)


def _nature(series: pl.Series) -> _Nature:
    """What a column's entries are, by their type or by how they read."""
    kind = series.dtype
    if kind == pl.Boolean:
        return "text"
    if kind.is_numeric():
        return "number"
    if kind.is_temporal():
        return "date"
    if kind.is_nested() or kind == pl.Object:
        return "other"
    texts = series.cast(pl.String, strict=False).str.strip_chars().drop_nulls()
    texts = texts.filter(~texts.is_in(list(MISSING_TEXTS)))
    enough = _SHARE * len(texts)
    if not len(texts):
        return "text"
    if texts.cast(pl.Float64, strict=False).is_not_null().sum() >= enough:
        return "number"
    for nature, pattern in _PATTERNS:
        if texts.str.contains(pattern).sum() >= enough:
            return nature
    return "text"


def _texts(series: pl.Series, nature: _Nature) -> Texts:
    """The summary of a chunk of texts."""
    if nature == "other" or series.dtype == pl.Null:
        return Texts(len(series), series.null_count())
    found, _ = levels(series)
    distinct = pl.Series(values=found.texts, dtype=pl.String).str.strip_chars()
    absent = distinct.is_in(list(MISSING_TEXTS)).to_numpy()
    codes = np.where(np.append(absent, True)[found.codes], -1, found.codes)
    dates = distinct.str.to_lowercase().str.contains(_DATE)
    return summary_of_texts(
        codes,
        tuple(distinct.to_list()),
        distinct.hash(seed=0).to_numpy(),
        dates.arg_true().to_numpy(),
    )
