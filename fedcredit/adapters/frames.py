"""CSV and Parquet files as data frames, some rows at a time.

Whatever is wrong with a file becomes a DataError that names the file and the
remedy. The reader's own messages quote values, so none of them is passed on,
not even as the cause of our error.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

import polars as pl

from fedcredit.errors import DataError

__all__ = ["TableFile", "files_of", "frames", "guarded"]

T = TypeVar("T")

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
    "csv": "save it again as CSV in UTF-8, with one header line and quotes that close",
    "parquet": "copy it again from its source",
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

    @property
    def label(self) -> str:
        """What errors call it."""
        return str(self.path)

    def frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """See `frames`."""
        return frames(self, columns)

    def guarded(self, step: Callable[[], T]) -> T:
        """See `guarded`."""
        return guarded(self.path, self.kind, step)


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
    source = (_csv_frames if file.kind == "csv" else _parquet_frames)(file, list(columns))
    while True:
        frame = guarded(file.path, file.kind, partial(next, source, None))
        if frame is None:
            return
        yield from frame.iter_slices(FRAME_ROWS)


def guarded(path: Path, kind: Literal["csv", "parquet"], step: Callable[[], T]) -> T:
    """Do one step of reading; if it fails, say so in our own words only.

    Args:
        path: the file that is read.
        kind: how it is read.
        step: the step.

    Returns:
        What the step returns.

    Raises:
        DataError: the step failed; no message of the reader goes with it.
    """
    try:
        return step()
    except _FAILURES:
        pass
    # Outside the handler, so that our error carries no cause that could quote a value.
    raise DataError(f"{path} {_fault(path, kind)}", remedy=_REMEDIES[kind])


def _matches(pattern: str) -> list[Path]:
    """The files that a glob finds, by name."""
    parts = Path(pattern).parts
    fixed = next((at for at, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    if fixed == len(parts):
        return []
    found = Path(*parts[:fixed]).glob(str(Path(*parts[fixed:])))
    return sorted(path for path in found if path.is_file())


def _opened(path: Path, forced: str) -> TableFile:
    """A file with its header read."""
    suffix = path.suffix.lower()
    if forced == "parquet" or (not forced and suffix in _PARQUET):
        found = guarded(path, "parquet", pl.scan_parquet(path, glob=False).collect_schema)
        return TableFile(path, "parquet", tuple(found))
    if forced == "csv" or suffix in _CSV:
        separator, columns = _csv_header(path)
        return TableFile(path, "csv", columns, separator)
    raise DataError(
        f"{path} is neither CSV nor Parquet by its name",
        remedy="name it .csv or .parquet, or write csv: or parquet: in front of the path",
    )


def _csv_header(path: Path) -> tuple[str, tuple[str, ...]]:
    """A CSV file's separator and column names."""
    line = guarded(path, "csv", partial(_first_line, path))
    if not line.strip():
        raise DataError(f"{path} has no header line", remedy="give a CSV with one header line")
    text = guarded(path, "csv", partial(line.decode, "utf-8-sig"))
    outside_quotes = "".join(text.split('"')[::2])
    separator = max(",;\t|", key=outside_quotes.count)
    names = tuple(next(csv.reader([text.rstrip("\r\n")], delimiter=separator)))
    if len(set(names)) < len(names):
        raise DataError(
            f"{path} has two columns of one name", remedy="give each column a name of its own"
        )
    return separator, names


def _first_line(path: Path) -> bytes:
    """The first line of a file, or what of it fits into a megabyte."""
    with path.open("rb") as file:
        return file.readline(1 << 20)


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


def _fault(path: Path, kind: Literal["csv", "parquet"]) -> str:
    """What is wrong with a file that cannot be read."""
    if kind == "parquet":
        return "is no whole Parquet file"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    except OSError:
        return "cannot be opened"
    return "has a row with more fields than its header, or a quote that is not closed"
