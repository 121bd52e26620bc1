"""How much memory there is for a study, and how much one of a declared size class takes.

What Linux says of the machine and of the control groups that this process is in: a container
with a limit of its own is ended by the kernel at that limit, however much the machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcredit.adapters.finding import Finding
from fedcredit.data.schema import RECORDS_OF, Schema
from fedcredit.data.table import id_columns

__all__ = ["Memory", "memory", "needed_bytes", "read_memory"]

_PROGRAM_BYTES: Final = 256 << 20
_COLUMN_BYTES: Final = 3 << 20
_MARK_BYTES: Final = 24  # a hash of 8 bytes, and two copies while it is sorted
_COUNTED: Final = 10**7  # records; the largest class has no upper end
_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process may still take.

    Attributes:
        free_bytes: the least of what the machine and each control group have left.
        limit_bytes: of the tightest control group, all of it; 0 where none has one.
        files_in_memory: whether files for passing are in memory too: then cells are.
    """

    free_bytes: int
    limit_bytes: int
    files_in_memory: bool


def needed_bytes(schema: Schema, *, files_in_memory: bool) -> int:
    """The most that a node takes for a study, by its contract alone.

    An upper figure that stands above every peak in docs/benchmarks.md ("Scale").

    Args:
        schema: the contract; of its size class the largest number of records counts, and of the
            class without an upper end its lower one.
        files_in_memory: see `Memory`.

    >>> from fedcredit.data.columns import Numeric
    >>> from fedcredit.data.schema import Label
    >>> column = Numeric(name="income", unit="EUR", low=0.0, high=1.0)
    >>> schema = Schema("s", 1, "s", (column,), Label("bad", ("0",), ("1",), "event", 12))
    >>> needed_bytes(schema, files_in_memory=False) >> 20
    259
    """
    records = min(RECORDS_OF[schema.size_class], _COUNTED)
    marked = len(id_columns(schema)) + bool(schema.person)
    need = _PROGRAM_BYTES + _COLUMN_BYTES * len(schema.columns) + _MARK_BYTES * records * marked
    cells = records * (len(schema.features) + 2)
    return need + (cells if files_in_memory else 0)


def read_memory(root: Path, temporary: str) -> Memory | None:
    """What the kernel says; None where it says nothing, as on other systems than Linux.

    Args:
        root: where ``proc`` and ``sys`` are.
        temporary: the folder for passing files.
    """
    table = _table(root / "proc/meminfo")
    if "MemAvailable:" not in table:
        return None
    rooms, limits = [table["MemAvailable:"] * _KIB], list[int]()
    for limit, used in _groups(root):
        if limit < table.get("MemTotal:", 0) * _KIB:  # a higher one is none
            limits.append(limit)
            rooms.append(max(limit - used, 0))
    return Memory(min(rooms), min(limits, default=0), _in_memory(root, temporary))


def memory(found: Memory | None, schema: Schema | None) -> Finding:
    """Whether a study has the memory that it needs.

    Args:
        found: what `read_memory` gave.
        schema: contract of the study that was put before the node last; None before the first.
    """
    if found is None:
        what = "this system does not say how much memory there is"
        return Finding(check="memory", ok=True, what=what)
    limit = f"; the container's limit is {_gib(found.limit_bytes)}" if found.limit_bytes else ""
    if schema is None:
        what = f"{_gib(found.free_bytes)} of memory are free{limit}; no study asks for any yet"
        return Finding(check="memory", ok=True, what=what)
    need = needed_bytes(schema, files_in_memory=found.files_in_memory)
    least = "at least " if RECORDS_OF[schema.size_class] > _COUNTED else ""
    where = ", its passing files included, which are in memory" if found.files_in_memory else ""
    what = (
        f"{_gib(found.free_bytes)} of memory are free, and a study of the size class "
        f"{schema.size_class!r} takes up to {least}{_gib(need)}{where}{limit}"
    )
    ok = found.free_bytes >= need
    do = "give the machine or the container more memory"
    if found.files_in_memory:
        do += ", or let TMPDIR name a folder on a disk"
    return Finding(check="memory", ok=ok, what=what, do="" if ok else do)


def _groups(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use, in bytes, of each control group that this process is in and that has one."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        kinds, _, path = rest.partition(":")
        top = root / "sys/fs/cgroup"
        if not kinds:
            names = "memory.max", "memory.current", "inactive_file"
        elif "memory" in kinds.split(","):
            top, names = (
                top / "memory",
                ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
            )
        else:
            continue
        # In a container the path may be the host's, and what is seen of it begins at the top.
        inside = [one for one in Path(path.lstrip("/")).parts if one != ".."]
        for depth in range(len(inside) + 1):
            place = top.joinpath(*inside[:depth])
            limit, used = (_text(place / name).strip() for name in names[:2])
            if limit.isdigit() and used.isdigit():
                # Pages of files that nobody has used lately are given back when they are wanted.
                spare = _table(place / "memory.stat").get(names[2], 0)
                yield int(limit), int(used) - spare


def _in_memory(root: Path, folder: str) -> bool:
    """Whether a folder is on a file system that is kept in memory."""
    kind, longest = "", -1
    for line in _text(root / "proc/mounts").splitlines():
        words = line.split(" ")
        if len(words) > 2 and Path(folder).is_relative_to(words[1]) and len(words[1]) >= longest:
            kind, longest = words[2], len(words[1])
    return kind in ("tmpfs", "ramfs")


def _table(path: Path) -> dict[str, int]:
    """Lines that begin with a name and a number."""
    lines = (line.split() for line in _text(path).splitlines())
    return {one[0]: int(one[1]) for one in lines if len(one) > 1 and one[1].isdigit()}


def _text(path: Path) -> str:
    """A file's text; empty where there is none."""
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _gib(count: int) -> str:
    """Bytes, for people."""
    return f"{count / 2**30:.1f} GiB"
