"""A data frame's columns as the arrays that the data contract is checked on.

Nothing here fails because of a value: what cannot be read is counted, and
becomes missing. All work is vectorised; only distinct texts are looked at one
by one.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from fedcredit.data.cells import MISSING_TEXTS, Levels
from fedcredit.data.columns import Numeric
from fedcredit.data.split import Marks
from fedcredit.units import Floats

__all__ = ["id_texts", "levels", "marks_of_ids", "numbers"]

_SYMBOLS: Final = {
    "currency": r"[$€£¥,_\s]",
    "percent": r"[%\s]",
    "decimal-comma": r"[$€£¥.\s]",
}


def numbers(column: Numeric, series: pl.Series) -> tuple[Floats, int]:
    """Read a numeric column.

    Args:
        column: what the schema says of it.
        series: the column's entries, of any type.

    Returns:
        The values, NaN for missing and unreadable ones, shape ``(n,)``; and how many entries
        were unreadable.
    """
    if series.dtype.is_numeric() or series.dtype == pl.Boolean:
        return _floats(series.cast(pl.Float64)), 0
    texts, unreadable = _texts(series)
    if texts is None:
        return np.full(len(series), np.nan), unreadable
    comma = column.format == "decimal-comma"  # here 1.200 is twelve hundred
    plain = texts.clear(len(texts)) if comma else texts
    plain = plain.cast(pl.Float64, strict=False)
    # Most columns are plain numbers: only what did not parse is looked at again.
    odd = (plain.is_null() & texts.is_not_null()).arg_true()
    if len(odd):
        again = texts.gather(odd).str.strip_chars()
        missing = again.is_in(list(MISSING_TEXTS))
        if column.format != "number":
            again = again.str.replace_all(_SYMBOLS[column.format], "")
        again = again.str.replace(",", ".", literal=True) if comma else again
        parsed = again.cast(pl.Float64, strict=False)
        unreadable += int((parsed.is_null() & ~missing).sum())
        plain = plain.scatter(odd, parsed)
    return _floats(plain), unreadable


def levels(series: pl.Series) -> tuple[Levels, int]:
    """Read a column of texts.

    Args:
        series: the column's entries; numbers and truth values become texts.

    Returns:
        The texts, and how many entries were unreadable (and became missing).
    """
    texts, unreadable = _texts(series)
    if texts is None:
        return Levels(np.full(len(series), -1), ()), unreadable
    distinct = texts.drop_nulls().unique()
    codes = texts.cast(pl.Enum(distinct)).to_physical().cast(pl.Int64).fill_null(-1)
    return Levels(codes.to_numpy(), tuple(distinct.to_list())), unreadable


def id_texts(series: pl.Series) -> pl.Series:
    """Read a column of ids as canonical text.

    Args:
        series: the column's entries.

    Returns:
        Texts, null where the id is missing; 7, 7.0 and " 7" are one id.
    """
    texts, _ = _texts(series)
    if texts is None:
        return pl.Series(values=[None] * len(series), dtype=pl.String)
    texts = texts.str.strip_chars().str.replace(r"^([+-]?\d+)\.0*$", "$1")
    return texts.set(texts.is_in(list(MISSING_TEXTS)), None)


def marks_of_ids(ids: pl.Series) -> Marks:
    """A 64-bit hash of each id that is there, for finding repeated ones in this process only.

    Args:
        ids: canonical texts.

    Returns:
        Hashes, uint64, of the ids that are not null.
    """
    return ids.drop_nulls().hash(seed=0).to_numpy()


def _texts(series: pl.Series) -> tuple[pl.Series | None, int]:
    """A column as texts, or None where it holds none, and how many entries were unreadable."""
    kind = series.dtype
    if kind == pl.Null:
        return None, 0
    if kind.is_nested() or kind == pl.Object:
        return None, len(series) - series.null_count()
    if kind == pl.Binary:
        texts = pl.Series(values=map(_decoded, series), dtype=pl.String)
        return texts, texts.null_count() - series.null_count()
    if kind.is_float():
        series = series.fill_nan(None)
    texts = series.cast(pl.String, strict=False)
    return texts, texts.null_count() - series.null_count()


def _decoded(entry: bytes | None) -> str | None:
    """Bytes as text, if they are UTF-8."""
    try:
        return None if entry is None else entry.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _floats(series: pl.Series) -> Floats:
    """Float64 values with NaN for null."""
    return series.to_numpy()
