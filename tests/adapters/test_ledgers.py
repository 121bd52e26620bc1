"""A ledger on the disk: one writer, whatever the disk does, and nothing lost that counted."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from fedcredit.adapters.ledgers import CHECKPOINTS, LINES, Copy, DiskStore, open_ledger, open_store
from fedcredit.adapters.policies import read_policy
from fedcredit.adapters.system import system_random
from fedcredit.errors import ConfigError, IntegrityError, LocalError
from fedcredit.federation.institution import private_sum
from fedcredit.federation.ledgers import policy_of
from fedcredit.federation.messages import Question, encode_question, request_digest
from fedcredit.ledger.entries import Charge
from fedcredit.ledger.founding import found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.notes import read_notes
from fedcredit.ledger.quorum import no_witnesses
from fedcredit.ledger.signing import SigningKey
from fedcredit.ledger.store import InMemoryStore, Store
from tests.adapters.founded import found
from tests.federation.books import NOW, ROLES, WIDE, now
from tests.federation.made import QUERY, Party
from tests.ledger.bank import (
    ORIGIN,
    OTHER,
    PLAN,
    charge,
    kinds,
    new,
    planned,
    policy,
    release,
    reply,
    state,
    turn,
)
from tests.ledger.stores import StoreContract

ROOT = Path(__file__).resolve().parents[2]


class FailingDisk:
    """fsync that fails at one call."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, file: int) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(file)


class Spy:
    """fsync that says which file it was for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, file: int) -> None:
        self.names.append(Path(f"/proc/self/fd/{file}").readlink().name)
        os.fsync(file)


def full(file: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def opened(store: Store) -> Ledger:
    return Ledger(store, ROLES.key, no_witnesses, now)


def fill(folder: Path) -> None:
    """Two turns, the second one open."""
    with open_store(folder) as store:
        ledger = new(store=store)
        ledger.propose(planned())
        turn(ledger)
        ledger.charge(charge(1))


def lines(folder: Path) -> list[bytes]:
    return (folder / LINES).read_bytes().splitlines(keepends=True)


class TestDiskStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with open_store(tmp_path / "ledger") as store:
            yield store


def test_a_ledger_is_the_same_after_a_restart(tmp_path: Path) -> None:
    fill(tmp_path)
    with open_store(tmp_path) as store:
        ledger = opened(store)
        assert kinds(ledger)[3:] == ["charge", "release", "charge", "burn"]
        before = state(ledger.account)
        assert ledger.reply(release()) == reply()
    with open_store(tmp_path) as store:
        assert state(opened(store).account) == before


def founded(folder: Path) -> None:
    """A ledger with wide caps."""
    with open_store(folder) as store:
        found_ledger(store, ROLES, policy_of(WIDE, NOW), now, origin=ORIGIN, institution="bank")


def answer(party: Party, attempt: int = 0) -> bytes:
    """One private sum, wrapped in nothing but its attempt."""
    question = Question(party.study.digest(), 0, attempt, QUERY)
    name = request_digest(encode_question(question))
    return private_sum(
        party.institution(),
        question,
        name,
        lambda _: lambda sent: bytes([attempt]) + sent.tobytes(),
    )


def asked(store: Store, attempt: int = 0) -> bytes:
    """The answer of a process that was just started."""
    return answer(Party(book=opened(store)), attempt)  # type: ignore[arg-type] # a Book it is


def test_an_answer_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """Byte for byte, from the disk alone."""
    founded(tmp_path)
    with open_store(tmp_path) as store:
        first = asked(store)
    with open_store(tmp_path) as store:
        assert asked(store) == first
        assert kinds(opened(store)) == ["genesis", "plan", "approve", "charge", "release"]


def test_line_and_checkpoint_are_forced_to_the_disk_before_they_count(tmp_path: Path) -> None:
    """The answer's own bytes before the line that says that it may leave."""
    spy = Spy()
    with open_store(tmp_path, sync=spy) as store:
        assert spy.names == [LINES, tmp_path.name, CHECKPOINTS, tmp_path.name]
        ledger = new(store=store)
        ledger.propose(planned())
        spy.names.clear()
        ledger.charge(charge())
        assert spy.names == [LINES, CHECKPOINTS]
        spy.names.clear()
        ledger.release(release(), reply())
        assert spy.names == [f"{release().reply}.bin", "replies", LINES, CHECKPOINTS]


HOLDS = """
import sys
from pathlib import Path
from fedcredit.adapters.ledgers import open_store
with open_store(Path(sys.argv[1])):
    print("open", flush=True)
    if len(sys.argv) > 2:
        sys.stdin.read()
"""


def holder(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Another process that opens the ledger."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(folder), *words],
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_ledger_has_one_writer(tmp_path: Path) -> None:
    """A second process could spend the same budget again."""
    with open_store(tmp_path):
        here = rf"open in another process \(pid {os.getpid()}\)"
        with pytest.raises(LocalError, match=here), open_store(tmp_path):
            pass
        second = holder(tmp_path)
        _, errors = second.communicate(timeout=60)
    assert second.returncode
    assert "is open in another process" in errors
    third = holder(tmp_path)
    assert third.communicate(timeout=60)[0] == "open\n"
    assert third.returncode == 0


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    """Also where it was killed and could not give it back."""
    other = holder(tmp_path, "wait")
    try:
        assert other.stdout
        assert other.stdout.readline() == "open\n"
        with pytest.raises(LocalError, match=f"pid {other.pid}"), open_store(tmp_path):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait(60)
        with open_store(tmp_path) as store:
            assert store.lines() == b""
    finally:
        other.kill()
        other.communicate(timeout=60)


def test_a_lock_file_of_nonsense_is_no_hindrance_and_names_nobody(tmp_path: Path) -> None:
    with open_store(tmp_path):
        (tmp_path / "lock").write_bytes(b"\xff nobody")
        with pytest.raises(LocalError, match="pid unknown"), open_store(tmp_path):
            pass


def test_a_line_that_a_crash_cut_off_is_set_aside(tmp_path: Path) -> None:
    """At every byte; it was never acted upon, as nobody had signed for it."""
    fill(tmp_path)
    whole, notes = ((tmp_path / name).read_bytes() for name in (LINES, CHECKPOINTS))
    start = whole[:-1].rindex(b"\n") + 1
    unsigned = b"".join(one.data() for one in read_notes(notes)[:-1])
    for cut in range(start + 1, len(whole)):
        (tmp_path / LINES).write_bytes(whole[:cut])
        (tmp_path / CHECKPOINTS).write_bytes(unsigned)
        with open_store(tmp_path) as store:
            assert kinds(opened(store))[3:] == ["charge", "release"]
        assert (tmp_path / LINES).read_bytes() == whole[:start]
        assert (tmp_path / CHECKPOINTS).read_bytes() == unsigned
        assert (tmp_path / "tail.quarantine").read_bytes().endswith(whole[start:cut] + b"\n")


def test_a_line_that_is_signed_for_is_never_cut_off(tmp_path: Path) -> None:
    fill(tmp_path)
    whole = (tmp_path / LINES).read_bytes()
    for cut in range(0, len(whole), 97):
        (tmp_path / LINES).write_bytes(whole[:cut])
        with open_store(tmp_path) as store, pytest.raises(IntegrityError):
            opened(store)
        assert (tmp_path / LINES).read_bytes() == whole[:cut]
    assert not (tmp_path / "tail.quarantine").exists()


def test_a_checkpoint_that_a_crash_cut_off_is_set_aside_and_made_again(tmp_path: Path) -> None:
    """At every byte of the last one."""
    fill(tmp_path)
    with open_store(tmp_path) as store:
        opened(store)
    whole, notes = ((tmp_path / name).read_bytes() for name in (LINES, CHECKPOINTS))
    start = len(notes) - len(read_notes(notes)[-1].data())
    for cut in range(start + 1, len(notes)):
        (tmp_path / CHECKPOINTS).write_bytes(notes[:cut])
        with open_store(tmp_path) as store:
            opened(store)
        assert (tmp_path / LINES).read_bytes() == whole
        assert (tmp_path / CHECKPOINTS).read_bytes() == notes
        assert (tmp_path / "tail.quarantine").read_bytes().endswith(notes[start:cut] + b"\n")


def test_lines_may_not_be_left_out_doubled_or_turned_round(tmp_path: Path) -> None:
    fill(tmp_path)
    first, second, *rest = lines(tmp_path)
    for wrong in (second, first + first, second + first, first + second * 2, b"\n", b"\r\n"):
        (tmp_path / LINES).write_bytes(wrong + b"".join(rest))
        with open_store(tmp_path) as store, pytest.raises(IntegrityError, match="is damaged"):
            opened(store)


def test_after_an_error_of_the_disk_nothing_more_is_done(tmp_path: Path) -> None:
    """Nobody knows what the disk holds: the ledger must be read afresh."""
    with open_store(tmp_path) as store:
        ledger = new(store=store)
        ledger.propose(planned())
        turn(ledger)
    with open_store(tmp_path, sync=FailingDisk(1)) as store:
        ledger = opened(store)
        with pytest.raises(LocalError, match="could not be read or written: Input/output error"):
            ledger.charge(charge(1))
        acts: tuple[Callable[[], object], ...] = (
            partial(ledger.charge, charge(2)),
            partial(ledger.reply, release()),
            store.lines,
            store.notes,
            partial(store.kept, release().reply),
            partial(store.keep, "aa" * 32, b""),
            partial(store.cut, 0, 0),
        )
        for act in acts:
            with pytest.raises(LocalError, match="met an error of the disk before"):
                act()
    with open_store(tmp_path) as store:
        ledger = opened(store)
        assert kinds(ledger)[5:] == ["charge", "burn"], "what may be on the disk is paid for"


def test_no_answer_is_handed_out_whose_checkpoint_did_not_reach_the_disk(tmp_path: Path) -> None:
    """Also without witnesses, where nobody else would have signed."""
    with open_store(tmp_path) as store:
        ledger = new(store=store)
        ledger.propose(planned())
        ledger.charge(charge())
        ledger._store = DiskStore(tmp_path, FailingDisk(4))  # reply, its folder, line, checkpoint
        for act in (partial(ledger.release, release(), reply()), partial(ledger.reply, release())):
            with pytest.raises(LocalError):
                act()
    with open_store(tmp_path) as store:
        assert opened(store).reply(release()) == reply()


@pytest.mark.parametrize("at", range(1, 22))
def test_whatever_fsync_fails_nothing_is_sent_that_is_not_paid_for(at: int, tmp_path: Path) -> None:
    """At most one charge more than answers, never one answer more than charges."""
    founded(tmp_path)
    sent: list[bytes] = []
    with open_store(tmp_path, sync=FailingDisk(at)) as store:
        for attempt in range(2):
            try:
                sent.append(asked(store, attempt))
            except LocalError:
                break
    # Plan and approval take four, a charge two, and its answer four.
    assert len(sent) == min(max(at - 5, 0) // 6, 2)
    with open_store(tmp_path) as store:
        again = asked(store, 2)
        ledger = opened(store)
        charges = [one.entry for one in ledger.written if isinstance(one.entry, Charge)]
        assert len(charges) >= len(sent) + 1
        assert again not in sent


def test_a_full_disk_stops_before_the_charge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason that the system gives, and nothing measured."""
    founded(tmp_path)
    before = lines(tmp_path)
    with open_store(tmp_path) as store:
        ledger = opened(store)
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(LocalError, match="No space left on device"):
            answer(Party(book=ledger))  # type: ignore[arg-type] # a Book it is
    assert lines(tmp_path) == before


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it is given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:7]))
    fill(tmp_path)
    monkeypatch.undo()
    with open_store(tmp_path) as store:
        assert len(opened(store).written) == 7


def test_a_damaged_reply_is_never_sent(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "replies" / f"{release().reply}.bin"
    with open_store(tmp_path) as store:
        ledger = opened(store)
        path.write_bytes(b"two")
        with pytest.raises(IntegrityError):
            ledger.reply(release())
        path.unlink()
        with pytest.raises(IntegrityError):
            ledger.reply(release())


def test_a_folder_that_cannot_hold_a_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="cannot hold a ledger"), open_store(tmp_path / "file"):
        pass
    with pytest.raises(LocalError), open_store(tmp_path / "file" / "below"):
        pass


def test_a_ledger_is_for_its_owner_only(tmp_path: Path) -> None:
    """Files and folders, under the usual mask too."""
    mask = os.umask(0o022)
    try:
        fill(tmp_path / "own")
        with open_store(tmp_path / "own") as store:
            opened(store)
            store.cut(1, 1)
    finally:
        os.umask(mask)
    found = [tmp_path / "own", *(tmp_path / "own").rglob("*")]
    assert {path.name for path in found} >= {"own", "replies", LINES, CHECKPOINTS, "lock"}
    assert "tail.quarantine" in {path.name for path in found}
    for path in found:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


# A folder as `fedcredit ledger init` leaves it.


def test_a_ledger_is_opened_by_its_policy_and_key(tmp_path: Path) -> None:
    found(tmp_path, "bank")
    written = read_policy(tmp_path / "policy.toml")
    with open_ledger(tmp_path, written) as ledger:
        assert ledger.policy == written.policy
        assert ledger.origin == "test.example/bank"
        ledger.propose(planned(rho=1))
        with pytest.raises(LocalError, match="open in another"), open_ledger(tmp_path, written):
            pass
    with open_ledger(tmp_path, written) as ledger:
        assert kinds(ledger) == ["genesis", "plan", "approve"]


def test_a_folder_without_a_ledger_or_key_is_refused(tmp_path: Path) -> None:
    found(tmp_path, "bank")
    written = read_policy(tmp_path / "policy.toml")
    (tmp_path / "ledger" / LINES).rename(tmp_path / "aside")
    with pytest.raises(ConfigError, match="there is no ledger"), open_ledger(tmp_path, written):
        pass
    (tmp_path / "aside").rename(tmp_path / "ledger" / LINES)
    (tmp_path / "keys" / "ledger.key").unlink()
    with pytest.raises(ConfigError, match=r"ledger\.key"), open_ledger(tmp_path, written):
        pass


def test_a_successor_writes_only_if_it_has_taken_over_or_the_root_says_so(tmp_path: Path) -> None:
    roles = found(tmp_path, "bank")
    written = read_policy(tmp_path / "policy.toml")
    new_key, third = (SigningKey(system_random(32)) for _ in range(2))
    with open_ledger(tmp_path, written, successor=new_key) as ledger:
        assert ledger.account.keys == [roles.key.public.hex()]
        ledger.rotate(new_key)
    with pytest.raises(IntegrityError, match="another key"), open_ledger(tmp_path, written):
        pass
    with open_ledger(tmp_path, written, successor=new_key) as ledger:
        assert ledger.account.keys[-1] == new_key.public.hex()
    stranger = open_ledger(tmp_path, written, root=roles.officer, successor=third)
    with pytest.raises(IntegrityError), stranger:
        pass
    with open_ledger(tmp_path, written, root=roles.root, successor=third) as ledger:
        assert ledger.account.keys[-1] == third.public.hex()


def test_an_empty_ledger_is_damaged_whoever_opens_it(tmp_path: Path) -> None:
    """As a crash in the middle of its founding leaves it."""
    found(tmp_path, "bank")
    written = read_policy(tmp_path / "policy.toml")
    for name in (LINES, CHECKPOINTS):
        (tmp_path / "ledger" / name).write_bytes(b"")
    for successor in (None, SigningKey(system_random(32))):
        empty = open_ledger(tmp_path, written, successor=successor)
        with pytest.raises((ConfigError, IntegrityError), match=r"no first entry|is empty"), empty:
            pass


# A copy to be read.


def test_a_copy_holds_what_is_signed_for_while_its_writer_goes_on(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        ledger = new(store=store)
        before = Copy(tmp_path)
        ledger.propose(planned())
        assert (before.lines(), before.notes()) != (store.lines(), store.notes())
        copy = Copy(tmp_path)
        assert (copy.lines(), copy.notes()) == (store.lines(), store.notes())
        (tmp_path / LINES).write_bytes(store.lines() + b'{"torn')
        (tmp_path / CHECKPOINTS).write_bytes(store.notes() + b"torn")
        again = Copy(tmp_path)
        assert (again.lines(), again.notes()) == (copy.lines(), copy.notes())


def test_a_copy_of_lines_that_are_not_signed_for_is_none(tmp_path: Path) -> None:
    """Set back, changed, or of another ledger: figures of it would be lies."""
    fill(tmp_path)
    whole = lines(tmp_path)
    other = InMemoryStore()
    made = new(policy(3), store=other)
    for plan in (PLAN, OTHER):
        made.propose(planned(plan, rho=1))
    for wrong in (
        *(b"".join(whole[:count]) for count in range(len(whole))),
        b"".join(whole).replace(b'"round":0', b'"round":1'),
        b"".join(whole[::-1]),
        other.lines(),
    ):
        (tmp_path / LINES).write_bytes(wrong)
        with pytest.raises(IntegrityError, match="not what was signed for"):
            Copy(tmp_path)


def test_where_there_is_no_ledger_there_is_no_copy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no ledger"):
        Copy(tmp_path)
    with open_store(tmp_path):
        pass
    with pytest.raises(ConfigError, match="no checkpoint yet"):
        Copy(tmp_path)
    fill(tmp_path)
    (tmp_path / CHECKPOINTS).write_bytes(b"\n\n" + (tmp_path / CHECKPOINTS).read_bytes())
    with pytest.raises(IntegrityError):
        Copy(tmp_path)
