"""A process that is killed, or whose disk fails, at every point that there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from tests.faults.world import Died, Refused, World

Fresh = Callable[[], World]

CALLS: Final = ("write", "pwrite64", "fsync", "rename")
"""The system calls by which a ledger and a vault change."""

OURS: Final = re.compile(r"(\w+\(\d+<|rename\(\")[^>\"]*/bank/(ledger|vault)")
"""A call, as strace writes it, on a file of ledger or vault."""

SHARES: Final = 4


def settled(world: World) -> None:
    """All is well: every charge is released or burned, and the checker finds nothing."""
    kinds = world.kinds()
    assert kinds.count("charge") == kinds.count("release") + kinds.count("burn")
    assert world.verdict() == []


def statuses(world: World) -> list[int]:
    """Of all processes that did not end well."""
    return [one.status for one in world.evidence.ended if one.status]


@pytest.mark.parametrize("share", range(SHARES))
def test_row_13_a_process_is_killed_at_every_named_point(
    share: int, fresh: Fresh, tmp_path: Path
) -> None:
    world, passed = fresh(), tmp_path / "points.txt"
    world.turn(world.start(points=str(passed)).ask)
    settled(world)
    names = passed.read_text("ascii").splitlines()
    points = [(name, names[: at + 1].count(name)) for at, name in enumerate(names)]
    assert len(set(names)) >= 70
    burned = Counter[int]()
    for name, times in points[share::SHARES]:
        world = fresh()
        world.persist(world.begin(die=name, times=times))
        assert statuses(world) in ([-9], [-9, 5]), name  # 5: its charge was lost, and it says so
        settled(world)
        burned[world.kinds().count("burn")] += 1
    done = f"{len(points[share::SHARES])} of {len(points)} points"
    print(f"\n{done}; worlds by charges burned: {dict(burned)}")
    assert set(burned) == {0, 1}


@pytest.mark.parametrize(
    ("first", "again"),
    [
        *(("half append of charge", f"{when} cut") for when in ("before", "after")),
        *(("half signed note of charge", f"{when} cut") for when in ("before", "after")),
        *(
            ("after the measurement", f"{when} {what} of burn")
            for what in ("append", "signed note")
            for when in ("half", "before", "after")
        ),
    ],
)
def test_row_13_a_process_is_killed_again_while_it_sets_right_what_a_kill_left(
    first: str, again: str, world: World
) -> None:
    dying = world.start(die=first)
    with pytest.raises(Died):
        world.turn(dying.ask)
    with pytest.raises(Died):
        world.start(die=again)
    world.persist(None, first=1)
    assert statuses(world) == [-9, -9]
    settled(world)


def strace(log: Path, *words: str) -> list[str]:
    """Run a program's main thread under strace: it is the one that writes."""
    return [
        "strace",
        "-q",
        "-y",
        "-s",
        "100",
        "-o",
        str(log),
        "-e",
        f"trace={','.join(CALLS)}",
        *words,
    ]


def lines_of(log: Path) -> list[str]:
    """The calls that were made."""
    return log.read_text("utf-8", "replace").splitlines()


@pytest.fixture
def calls(fresh: Fresh, tmp_path: Path) -> Counter[str]:
    """How often each call is made in a turn, the answers and the process's beginning included."""
    assert shutil.which("strace"), "make faults needs the program strace"
    world, log = fresh(), tmp_path / "calls.txt"
    world.turn(world.start(strace(log)).ask)
    settled(world)
    found = Counter(line.partition("(")[0] for line in lines_of(log))
    assert all(found[call] >= 3 for call in CALLS), found
    return found


@pytest.mark.parametrize("call", CALLS)
def test_row_14_a_process_is_killed_at_every_call_that_changes_the_disk(
    call: str, fresh: Fresh, tmp_path: Path, calls: Counter[str]
) -> None:
    for at in count(1):
        world = fresh()
        inject = f"inject={call}:signal=SIGKILL:when={at}"
        world.persist(world.begin(strace(tmp_path / "log.txt", "-e", inject)))
        settled(world)
        if not statuses(world):
            break  # a turn has no such call any more
        assert statuses(world) in ([-9], [-9, 5]), inject
    print(f"\n{call}: killed at each of {at - 1}")
    assert at - 1 >= calls[call] - 1  # libraries may write once more or less


@pytest.mark.parametrize(
    ("call", "error"),
    [("fsync", "EIO"), ("write", "ENOSPC"), ("write", "EROFS"), ("rename", "EIO")],
)
def test_row_15_an_error_of_the_disk_ends_the_process_and_nothing_is_tried_twice(
    call: str, error: str, fresh: Fresh, tmp_path: Path, calls: Counter[str]
) -> None:
    """One error, then a disk that works: who goes on all the same believes what was lost."""
    failed = 0
    for at in range(1, calls[call] + 1):
        world, log = fresh(), tmp_path / "log.txt"
        inject = f"inject={call}:error={error}:when={at}"
        world.persist(world.begin(strace(log, "-e", inject)))
        made = lines_of(log)
        (where,) = [at for at, line in enumerate(made) if "INJECTED" in line]
        if not OURS.match(made[where]):
            continue  # the tests' own wire and pipe
        failed += 1
        assert statuses(world)[0] == 5, inject
        # Nothing is written to ledger or vault after it.
        assert [line for line in made[where + 1 :] if OURS.match(line)] == [], inject
        settled(world)
    print(f"\n{error} from each of {failed} {call} of ledger and vault")
    assert failed >= 3


def test_row_16_a_full_disk_refuses_and_work_goes_on_when_there_is_room(fresh: Fresh) -> None:
    refused = Counter[int]()
    for free in range(10):
        world = fresh()
        with mounted(world.bank):
            fill(world.bank / "filler", free)
            node = world.begin()
            if node is not None:
                with suppress(Refused):  # unless there is room enough
                    world.turn(node.ask)
                node.end()
            refused[free] += 5 in statuses(world)
            assert set(statuses(world)) <= {5}
            (world.bank / "filler").unlink()
            world.persist(None, first=1)
            settled(world)
    print(f"\npages free, and whether it was refused: {dict(refused)}")
    assert refused[0] == refused[1] == refused[2] == 1
    assert refused[9] == 0


def test_row_16_a_disk_that_may_not_be_written_to_refuses(world: World) -> None:
    with mounted(world.bank):
        remount(world.bank, "ro")
        with pytest.raises(Refused) as refused:
            world.start()
        assert refused.value.status == 5
        assert "cannot hold a ledger: Read-only file system" in refused.value.said
        remount(world.bank, "rw")
        world.persist(None)
        settled(world)


@pytest.mark.parametrize("files", [1, 2, 3])
def test_row_16_a_process_that_may_open_no_more_files_refuses(files: int, world: World) -> None:
    world.persist(world.start(files=files))
    print(f"\n{files} more files: {statuses(world)}")
    assert set(statuses(world)) <= {3, 5}
    settled(world)


def remount(folder: Path, how: str) -> None:
    """Allow or forbid writing."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A small disk of its own in a folder's place, with the same in it."""
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=False
    )
    assert done.returncode == 0, "make faults needs the right to mount a small disk"
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path, pages: int) -> None:
    """Leave so many pages of a disk free."""
    free = shutil.disk_usage(path.parent).free
    with path.open("wb") as file:
        file.write(bytes(max(free - 4096 * pages, 0)))
