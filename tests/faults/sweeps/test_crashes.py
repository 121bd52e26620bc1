"""A process that is killed, or whose disk fails, at every point that there is."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from tests.faults.world import WitnessProcess, World, copied

CALLS: Final = ("write", "pwrite64", "fsync", "rename", "ftruncate", "unlink", "openat", "flock")
"""The system calls through which a ledger and a vault change."""


def fresh(tmp_path: Path, name: str, template: Path, witnesses: list[WitnessProcess]) -> World:
    """One more world."""
    base = tmp_path / name
    base.mkdir()
    return copied(template, base, witnesses)


def settled(world: World) -> None:
    """All is well: every charge is released or burned, and the checker finds nothing."""
    kinds = world.kinds()
    assert kinds.count("charge") == kinds.count("release") + kinds.count("burn")
    assert world.verdict() == []


def test_row_13_a_process_is_killed_at_every_named_point(
    tmp_path: Path, template: Path, witnesses: list[WitnessProcess]
) -> None:
    whole = fresh(tmp_path, "whole", template, witnesses)
    passed = whole.base / "points.txt"
    whole.turn(whole.start(points=str(passed)).ask)
    settled(whole)
    names = passed.read_text("ascii").splitlines()
    points = [(name, names[:at].count(name) + 1) for at, name in enumerate(names)]
    assert len(points) >= 80
    burned = Counter[int]()
    for number, (name, times) in enumerate(points):
        world = fresh(tmp_path, str(number), template, witnesses)
        node = world.begin(die=name, times=times)
        world.persist(node)
        assert [one.status for one in world.evidence.ended if one.status] in ([-9], [-9, 5]), name
        settled(world)
        burned[world.kinds().count("burn")] += 1
        shutil.rmtree(world.base)
    print(f"{len(points)} points; charges burned by one kill: {dict(burned)}")
    assert set(burned) == {0, 1}


def test_row_13_a_process_is_killed_again_while_it_sets_right_what_a_kill_left(
    tmp_path: Path, template: Path, witnesses: list[WitnessProcess]
) -> None:
    first = ("half append of charge", "half signed note of charge", "after the measurement")
    again = [
        *(f"{when} cut" for when in ("before", "after")),
        *(f"{when} append of burn" for when in ("half", "before", "after")),
        *(f"{when} signed note of burn" for when in ("half", "before", "after")),
    ]
    struck = Counter[str]()
    for number, (one, two) in enumerate((one, two) for one in first for two in again):
        world = fresh(tmp_path, str(number), template, witnesses)
        world.persist(world.start(die=one))
        killed = world.begin(die=two)  # a round later nothing is left to set right
        assert killed
        killed.end()
        shutil.rmtree(world.base)
        world = fresh(tmp_path, str(number), template, witnesses)
        dying = world.start(die=one)
        with pytest.raises(Exception, match=""):
            world.turn(dying.ask)
        if world.begin(die=two) is None:
            struck[two] += 1
        world.persist(None)
        settled(world)
        shutil.rmtree(world.base)
    assert set(struck) == set(again)


def strace(log: Path, *words: str) -> list[str]:
    """Run a program's main thread under strace; all that is written is written by it."""
    return ["strace", "-q", "-o", str(log), "-e", f"trace={','.join(CALLS)}", *words]


def counted(tmp_path: Path, template: Path, witnesses: list[WitnessProcess]) -> Counter[str]:
    """How often each call is made in a turn, the process's own beginning included."""
    assert shutil.which("strace"), "make faults needs the program strace"
    world = fresh(tmp_path, "counted", template, witnesses)
    log = tmp_path / "calls.txt"
    world.turn(world.start(strace(log)).ask)
    settled(world)
    return Counter(line.partition("(")[0] for line in log.read_text("ascii", "replace").splitlines())


def ready_after(tmp_path: Path, template: Path, witnesses: list[WitnessProcess]) -> Counter[str]:
    """How often each call is made before the ledger is opened: by Python and its libraries."""
    world = fresh(tmp_path, "imports", template, witnesses)
    log = tmp_path / "imports.txt"
    shutil.rmtree(world.bank / "ledger")
    (world.bank / "ledger").write_bytes(b"")  # so that opening it fails at once
    assert world.begin(strace(log)) is None
    return Counter(line.partition("(")[0] for line in log.read_text("ascii", "replace").splitlines())


def test_row_14_a_process_is_killed_at_every_call_that_changes_the_disk(
    tmp_path: Path, template: Path, witnesses: list[WitnessProcess]
) -> None:
    calls = counted(tmp_path, template, witnesses)
    swept = 0
    for call in ("write", "pwrite64", "fsync", "rename"):
        assert calls[call] >= 3, calls
        for at in range(1, calls[call] + 1):
            world = fresh(tmp_path, f"{call}-{at}", template, witnesses)
            inject = f"inject={call}:signal=SIGKILL:when={at}"
            node = world.begin(strace(tmp_path / "log.txt", "-e", inject))
            world.persist(node)
            assert -9 in [one.status for one in world.evidence.ended], inject
            settled(world)
            swept += 1
            shutil.rmtree(world.base)
    print(f"killed at {swept} calls: {dict(calls)}")


@pytest.mark.parametrize(
    ("call", "error"),
    [("fsync", "EIO"), ("write", "ENOSPC"), ("rename", "EIO"), ("pwrite64", "EIO")],
)
def test_row_15_an_error_of_the_disk_ends_the_process_and_nothing_is_tried_twice(
    call: str,
    error: str,
    tmp_path: Path,
    template: Path,
    witnesses: list[WitnessProcess],
) -> None:
    """One error, then a disk that works: who goes on all the same believes what was lost."""
    calls = counted(tmp_path, template, witnesses)
    failed = 0
    for at in range(1, calls[call] + 1):
        world = fresh(tmp_path, f"{call}-{at}", template, witnesses)
        log = tmp_path / "log.txt"
        inject = f"inject={call}:error={error}:when={at}"
        node = world.begin(strace(log, "-e", inject))
        world.persist(node)
        text = log.read_text("ascii", "replace")
        after = text.partition("INJECTED")[2].splitlines()[1:]
        own = harness_wrote(text)
        if not own:
            failed += 1
            statuses = [one.status for one in world.evidence.ended if one.status]
            assert 5 in statuses, (inject, statuses)
            # After it, no byte of ledger or vault is written; a lock and errors are another thing.
            assert not [line for line in after if "fsync" in line and "= 0" in line], inject
            settled(world)
        shutil.rmtree(world.base)
    print(f"{failed} of {calls[call]} {call}: {error}")
    assert failed >= 3


def harness_wrote(text: str) -> bool:
    """Whether the call that failed was one of the tests' own: the answer's, or to a pipe."""
    line = next(one for one in text.splitlines() if "INJECTED" in one)
    return '"{\\"' in line and '\\"kind\\"' not in line


def test_row_16_a_full_disk_refuses_and_work_goes_on_when_there_is_room(
    tmp_path: Path, template: Path, witnesses: list[WitnessProcess]
) -> None:
    refused = 0
    for free in range(9):
        world = fresh(tmp_path, str(free), template, witnesses)
        with mounted(world.bank, template, "size=512k"):
            fill(world.bank / "filler", free)
            node = world.begin()
            with_room = world.base / "room"
            try:
                if node is not None:
                    world.turn(node.ask)
            except Exception as problem:
                assert "could not be read or written" in str(problem) or "failed" in str(problem)
            refused += any(one.status == 5 for one in world.evidence.ended)
            assert not with_room.exists()
            (world.bank / "filler").unlink()
            world.persist(None, first=1)
            settled(world)
    assert refused >= 5


def test_row_16_a_disk_that_may_not_be_written_to_refuses(
    tmp_path: Path, template: Path, witnesses: list[WitnessProcess]
) -> None:
    world = fresh(tmp_path, "one", template, witnesses)
    with mounted(world.bank, template, "size=512k"):
        subprocess.run(["mount", "-o", "remount,ro", str(world.bank)], check=True)
        assert world.begin() is None
        assert world.evidence.ended[-1].status == 5
        assert "cannot hold a ledger: Read-only file system" in world.evidence.ended[-1].said
        subprocess.run(["mount", "-o", "remount,rw", str(world.bank)], check=True)
        world.persist(None)
        settled(world)


@pytest.mark.parametrize("files", [1, 2, 3])
def test_row_16_a_process_without_a_file_to_open_refuses(files: int, world: World) -> None:
    node = world.start(files=files)
    world.persist(node)
    settled(world)


class mounted:
    """A small disk of its own at a folder, with what is in the template."""

    def __init__(self, folder: Path, template: Path, options: str) -> None:
        self.folder = folder
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
        shutil.copytree(template, folder, dirs_exist_ok=True)

    def __enter__(self) -> None:
        """It is there."""

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)


def fill(path: Path, pages: int) -> None:
    """Leave so many pages of a disk free."""
    page = 4096
    free = shutil.disk_usage(path.parent).free
    with path.open("wb") as file:
        file.write(bytes(max(free - pages * page, 0)))
