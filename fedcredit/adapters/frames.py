"""CSV and Parquet files as data frames, some rows at a time.

Whatever is wrong with a file becomes a DataError that names the file and the
remedy. The reader's own messages quote values, so none of them is passed on,
not even as the cause of our error.
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import polars as pl

from fedcredit.errors import DataError

__all__ = ["TableFile", "files_of", "frames"]

FRAME_ROWS: Final = 65_536
_SLICE_VALUES: Final = 1 << 24  # numbers that one read of a Parquet file may hold: 128 MiB
_CSV: Final = (".csv", ".tsv", ".txt")
_PARQUET: Final = (".parquet", ".pq")
_FAILURES: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    OverflowError,
)
_REMEDIES: Final = {
    "csv": "save it as UTF-8 text with one header line and the same number of fields in each row",
    "parquet": "copy it again from its source; it may be cut short or be no Parquet file",
}


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table.

    Attributes:
        path: where it lies.
        kind: how it is read.
        columns: the names of its columns. Of a CSV without header this is a row: do not print it.
        separator: what stands between two fields of a CSV.
    """

    path: Path
    kind: Literal["csv", "parquet"]
    columns: tuple[str, ...]
    separator: str = ","

    def __repr__(self) -> str:
        return f"TableFile({self.path.name})"


def files_of(source: str) -> tuple[TableFile, ...]:
    """Find the files of a table and read their headers.

    Args:
        source: a path or glob, such as ``loans/*.parquet``; ``csv:`` or ``parquet:`` in front
            says how to read files whose names do not end in it.

    Returns:
        The files, by name.

    Raises:
        DataError: there is no such file, or a header cannot be read.
    """
    scheme, _, rest = source.partition(":")
    forced = scheme if rest and scheme in ("csv", "parquet") else ""
    pattern = rest if forced else source
    paths = [Path(pattern)] if Path(pattern).is_file() else _matches(pattern)
    if not paths:
        raise DataError(
            f"no file matches {source}",
            remedy="give a CSV or Parquet file, or a glob in quotes such as 'loans/*.parquet'",
        )
    return tuple(_opened(path, forced) for path in paths)


def frames(file: TableFile, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Read some columns of a file, at most ``FRAME_ROWS`` rows at a time, in order.

    Args:
        file: the file.
        columns: names of columns that it has.

    Yields:
        Frames of these columns; texts only where the file is a CSV.

    Raises:
        DataError: the file is cut short, wrongly encoded or otherwise unreadable.
    """
    read = _csv_frames if file.kind == "csv" else _parquet_frames
    source = read(file, list(columns))
    while True:
        try:
            frame = next(source, None)
        except _FAILURES:
            failed = True
        else:
            failed = False
        if failed:  # outside the handler: our error has no cause that could quote a value
            raise _unreadable(file.path, file.kind)
        if frame is None:
            return
        yield from frame.iter_slices(FRAME_ROWS)


def _matches(pattern: str) -> list[Path]:
    """The files that a glob finds, by name."""
    return [
        path for path in map(Path, sorted(glob.glob(pattern, recursive=True))) if path.is_file()
    ]


def _opened(path: Path, forced: str) -> TableFile:
    """A file with its header read."""
    suffix = path.suffix.lower()
    if forced == "parquet" or (not forced and suffix in _PARQUET):
        columns = _parquet_columns(path)
        return TableFile(path, "parquet", columns)
    if forced == "csv" or suffix in _CSV:
        separator, columns = _csv_header(path)
        return TableFile(path, "csv", columns, separator)
    raise DataError(
        f"{path} is neither CSV nor Parquet by its name",
        remedy="name it .csv or .parquet, or write csv: or parquet: in front of the path",
    )


def _parquet_columns(path: Path) -> tuple[str, ...]:
    """The names of a Parquet file's columns."""
    columns: tuple[str, ...] | None
    try:
        columns = tuple(pl.scan_parquet(path, glob=False).collect_schema().names())
    except _FAILURES:
        columns = None
    if columns is None:
        raise _unreadable(path, "parquet")
    return columns


def _csv_header(path: Path) -> tuple[str, tuple[str, ...]]:
    """A CSV file's separator and column names."""
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    if not line.strip():
        raise DataError(f"{path} has no header line", remedy="give a CSV with one header line")
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text:
        raise _unreadable(path, "csv")
    outside_quotes = "".join(text.split('"')[::2])
    separator = max(",;\t|", key=outside_quotes.count)
    names = tuple(next(csv.reader([text.rstrip("\r\n")], delimiter=separator)))
    if len(set(names)) < len(names):
        raise DataError(
            f"{path} has two columns of one name", remedy="give each column a name of its own"
        )
    return separator, names


def _csv_frames(file: TableFile, columns: list[str]) -> Iterator[pl.DataFrame]:
    """A CSV's rows, every entry as text: what it means is the schema's to say."""
    scan = pl.scan_csv(file.path, separator=file.separator, infer_schema=False, glob=False)
    yield from scan.select(columns).collect_batches(chunk_size=FRAME_ROWS)


def _parquet_frames(file: TableFile, columns: list[str]) -> Iterator[pl.DataFrame]:
    """A Parquet file's rows, slice by slice.

    A streaming read holds whole row groups, and a file may be a single one; slices are as
    large as memory allows instead, however the file was written.
    """
    scan = pl.scan_parquet(file.path, glob=False, low_memory=True)
    rows = scan.select(pl.len()).collect().item()
    step = max(FRAME_ROWS, _SLICE_VALUES // max(len(columns), 1) // FRAME_ROWS * FRAME_ROWS)
    for start in range(0, rows, step):
        yield scan.select(columns).slice(start, step).collect(engine="in-memory")


def _unreadable(path: Path, kind: str) -> DataError:
    """The error for a file that cannot be read as what it says it is."""
    return DataError(f"{path} cannot be read as {kind}", remedy=_REMEDIES[kind])
