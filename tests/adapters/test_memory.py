"""Memory: the machine's, a container's limit, and what a study of a size class takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedcredit.adapters.memory import Memory, memory, needed_bytes, read_memory
from tests.federation.made import SCHEMA

GIB = 1 << 30
MEMINFO = f"MemTotal: {64 << 20} kB\nMemAvailable: {32 << 20} kB\n"
MOUNTS = "/dev/a / ext4 rw 0 0\ntmpfs /mem tmpfs rw 0 0\n"


def machine(root: Path, *, groups: str = "0::/\n", mounts: str = MOUNTS) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    (root / "proc/meminfo").write_text(MEMINFO)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/mounts").write_text(mounts)
    return root


def group(place: Path, limit: str, used: int, *, spare: int = 0) -> None:
    place.mkdir(parents=True, exist_ok=True)
    (place / "memory.max").write_text(f"{limit}\n")
    (place / "memory.current").write_text(f"{used}\n")
    (place / "memory.stat").write_text(f"anon {used - spare}\ninactive_file {spare}\n")


def test_a_machine_without_limits_has_what_its_kernel_says(tmp_path: Path) -> None:
    assert read_memory(machine(tmp_path), "/srv") == Memory(32 * GIB, 0, files_in_memory=False)


def test_a_containers_own_limit_counts_less_what_it_has_taken(tmp_path: Path) -> None:
    """Pages of files that nobody uses are not taken: the kernel gives them back."""
    root = machine(tmp_path)
    group(root / "sys/fs/cgroup", str(4 * GIB), 3 * GIB, spare=2 * GIB)
    assert read_memory(root, "/mem") == Memory(3 * GIB, 4 * GIB, files_in_memory=True)


def test_the_tightest_of_the_groups_above_counts(tmp_path: Path) -> None:
    root = machine(tmp_path, groups="0::/banks/north\n")
    group(root / "sys/fs/cgroup/banks", str(2 * GIB), GIB)
    group(root / "sys/fs/cgroup/banks/north", "max", GIB)
    assert read_memory(root, "/var") == Memory(GIB, 2 * GIB, files_in_memory=False)


def test_the_older_control_groups_are_read_too_and_no_limit_is_none(tmp_path: Path) -> None:
    """There, no limit is a number beyond every machine; in a container the path may not be ours."""
    root = machine(tmp_path, groups="5:cpu:/x\n4:memory:/host/path/of/it\n0::/\n")
    place = root / "sys/fs/cgroup/memory"
    place.mkdir()
    (place / "memory.usage_in_bytes").write_text(str(GIB))
    (place / "memory.limit_in_bytes").write_text("9223372036854771712")
    assert read_memory(root, "/var") == Memory(32 * GIB, 0, files_in_memory=False)
    (place / "memory.limit_in_bytes").write_text(str(2 * GIB))
    (place / "memory.stat").write_text(f"inactive_file 7\ntotal_inactive_file {GIB // 2}\n")
    assert read_memory(root, "/var") == Memory(3 * GIB // 2, 2 * GIB, files_in_memory=False)


def test_a_container_that_has_taken_more_than_it_may_has_nothing_left(tmp_path: Path) -> None:
    root = machine(tmp_path)
    group(root / "sys/fs/cgroup", str(GIB), 2 * GIB)
    assert read_memory(root, "/var") == Memory(0, GIB, files_in_memory=False)


def test_a_system_that_says_nothing_is_no_fault(tmp_path: Path) -> None:
    assert read_memory(tmp_path, "/mem") is None
    assert memory(None, SCHEMA).ok


@pytest.mark.parametrize(
    ("size", "columns", "peak_mib"),
    [("10k-100k", 50, 253), ("100k-1M", 50, 326), ("1M-10M", 50, 429), ("100k-1M", 200, 715)],
)
def test_what_is_asked_for_stands_above_every_peak_that_was_measured(
    size: str, columns: int, peak_mib: int
) -> None:
    """By benchmarks/scale.py: docs/benchmarks.md, and for 200 columns docs/operating.md."""
    many = tuple(replace(SCHEMA.columns[0], name=f"x{k}") for k in range(columns))
    schema = replace(SCHEMA, columns=many, person="person", size_class=size)
    assert peak_mib < needed_bytes(schema, files_in_memory=False) >> 20 < 2 * peak_mib


def test_cells_count_where_passing_files_are_in_memory() -> None:
    schema = replace(SCHEMA, size_class="1M-10M")
    more, less = (needed_bytes(schema, files_in_memory=one) for one in (True, False))
    assert more - less == 10**7 * 5


def test_too_little_is_a_fault_that_names_both_figures_and_the_limit() -> None:
    schema = replace(SCHEMA, person="person", size_class="1M-10M")
    found = memory(Memory(GIB // 4, GIB // 2, files_in_memory=True), schema)
    assert not found.ok
    for said in ("0.2 GiB of memory are free", "'1M-10M' takes up to 0.5 GiB", "limit is 0.5 GiB"):
        assert said in found.what
    assert "TMPDIR" in found.do
    assert memory(Memory(GIB, 0, files_in_memory=True), schema).ok


def test_the_class_without_an_end_has_a_least_figure_only() -> None:
    schema = replace(SCHEMA, size_class="over 10M")
    assert "up to at least" in memory(Memory(GIB, 0, files_in_memory=False), schema).what


def test_before_the_first_study_the_figures_alone_are_told() -> None:
    found = memory(Memory(GIB, 2 * GIB, files_in_memory=False), None)
    assert found.ok
    assert found.what == (
        "1.0 GiB of memory are free; the container's limit is 2.0 GiB; no study asks for any yet"
    )
