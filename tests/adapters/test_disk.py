"""The disk: a book that outlives a crash, and files that are whole or not there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.federation.test_book import BookContract, charge, release

from fedcredit.adapters.disk import DiskBook, open_book, write_file, write_folder
from fedcredit.errors import ConfigError, IntegrityError, LocalError
from fedcredit.federation.book import Book
from fedcredit.federation.institution import private_sum
from fedcredit.federation.messages import Question, encode_question, request_digest
from tests.federation.made import QUERY, Party


class FailingDisk:
    """fsync that fails at one call."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def __call__(self, file: int) -> None:
        self.calls += 1
        if self.calls == self.at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(file)


def lines(folder: Path) -> list[bytes]:
    return (folder / "book.jsonl").read_bytes().splitlines(keepends=True)


def fill(folder: Path) -> None:
    with open_book(folder) as book:
        book.charge(charge(0))
        book.release(release(b"one"), b"one")
        book.charge(charge(1))


class TestDiskBook(BookContract):
    @pytest.fixture
    def book(self, tmp_path: Path) -> Iterator[Book]:
        with open_book(tmp_path / "book") as book:
            yield book


def test_a_book_is_the_same_after_a_restart(tmp_path: Path) -> None:
    fill(tmp_path)
    with open_book(tmp_path) as book:
        assert book.entries() == (charge(0), release(b"one"), charge(1))
        assert book.reply(release(b"one")) == b"one"


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


def test_an_answer_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """Byte for byte, from the disk alone."""
    with open_book(tmp_path) as book:
        first = answer(Party(book=book))
    with open_book(tmp_path) as book:
        assert answer(Party(book=book)) == first
        assert len(book.entries()) == 2


def test_a_line_is_forced_to_the_disk_before_it_counts(tmp_path: Path) -> None:
    """One write and one fsync for each entry, the reply's own before it."""
    synced: list[str] = []

    def spy(file: int) -> None:
        synced.append(Path(f"/proc/self/fd/{file}").readlink().name)
        os.fsync(file)

    with open_book(tmp_path, sync=spy) as book:
        synced.clear()
        book.charge(charge(0))
        assert synced == ["book.jsonl"]
        synced.clear()
        book.release(release(b"one"), b"one")
        assert synced == [f"{release(b'one').reply}.bin", "replies", "book.jsonl"]


def test_a_book_has_one_writer(tmp_path: Path) -> None:
    """A second process could spend the same budget again."""
    code = f"""
from pathlib import Path
from fedcredit.adapters.disk import open_book
with open_book(Path({str(tmp_path)!r})):
    pass
"""
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with open_book(tmp_path):
        with pytest.raises(LocalError, match="open in another"), open_book(tmp_path):
            pass
        second = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert second.returncode
    assert b"is open in another process" in second.stderr
    third = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert third.returncode == 0


def test_a_line_that_a_crash_cut_off_is_set_aside(tmp_path: Path) -> None:
    """It was never acted upon: the charge comes before the table is read."""
    fill(tmp_path)
    path = tmp_path / "book.jsonl"
    whole = path.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for cut in range(start + 1, len(whole)):
        path.write_bytes(whole[:cut])
        with open_book(tmp_path) as book:
            assert book.entries() == (charge(0), release(b"one"))
        assert path.read_bytes() == whole[:start]
        assert (tmp_path / "tail.quarantine").read_bytes().endswith(whole[start:cut] + b"\n")


def test_lines_may_not_be_left_out_doubled_or_turned_round(tmp_path: Path) -> None:
    """But at the end, which only a checkpoint elsewhere can show."""
    fill(tmp_path)
    path = tmp_path / "book.jsonl"
    first, second, third = lines(tmp_path)
    for wrong in (second + third, first + first, second + first, first + second * 2, b"\n"):
        path.write_bytes(wrong)
        with pytest.raises(IntegrityError, match=r"line [123] is damaged"), open_book(tmp_path):
            pass


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b'"attempt":0,', b'"attempt":0,"attempt":0,'),
        lambda line: line.replace(b'"attempt":0,', b'"attempt":0.0,'),
        lambda line: line.replace(b"{", b'{"x":' + b"[" * 9000 + b"]" * 9000 + b",", 1),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: b"[]\n",
    ],
    ids=["space", "twice", "float", "deep", "carriage return", "byte order mark", "list"],
)
def test_a_line_has_one_spelling(change: object, tmp_path: Path) -> None:
    fill(tmp_path)
    first, *rest = lines(tmp_path)
    assert callable(change)
    (tmp_path / "book.jsonl").write_bytes(change(first) + b"".join(rest))
    with pytest.raises(IntegrityError, match="line 1 is damaged"), open_book(tmp_path):
        pass


def test_after_an_error_of_the_disk_nothing_more_is_written(tmp_path: Path) -> None:
    """Nobody knows what the disk holds: the book must be read afresh."""
    fill(tmp_path)
    with open_book(tmp_path, sync=FailingDisk(1)) as book:
        with pytest.raises(LocalError, match="could not be written"):
            book.charge(charge(2))
        for act in (
            lambda: book.charge(charge(3)),
            lambda: book.release(release(b"one", 1), b"one"),
            book.entries,
        ):
            with pytest.raises(LocalError, match="met an error of the disk before"):
                act()
    with open_book(tmp_path) as book:
        assert book.entries()[-1] == charge(2), "what may be on the disk is paid for"


@pytest.mark.parametrize("at", range(1, 6))
def test_whatever_fsync_fails_nothing_is_sent_that_is_not_paid_for(at: int, tmp_path: Path) -> None:
    """At most one charge more than answers, never one answer more than charges."""
    with open_book(tmp_path):
        pass
    sent: list[bytes] = []
    with open_book(tmp_path, sync=FailingDisk(at)) as book:
        for attempt in range(2):
            try:
                sent.append(answer(Party(book=book), attempt))
            except LocalError:
                break
    assert len(sent) == (at - 1) // 4
    with open_book(tmp_path) as book:
        charges = [one for one in book.entries() if type(one) is type(charge())]
        assert len(charges) >= len(sent)
        again = answer(Party(book=book), 2)
        assert again not in sent


def test_a_full_disk_stops_before_the_charge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip  # noqa: E501
    """With the reason that the system gives, and nothing measured."""
    with open_book(tmp_path) as book:
        party = Party(book=book)

        def full(file: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "write", full)
        with pytest.raises(LocalError, match="No space left on device"):
            answer(party)
    assert lines(tmp_path) == []


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it is given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:7]))
    fill(tmp_path)
    monkeypatch.undo()
    with open_book(tmp_path) as book:
        assert len(book.entries()) == 3


def test_a_damaged_reply_is_never_sent(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / "replies" / f"{release(b'one').reply}.bin"
    with open_book(tmp_path) as book:
        path.write_bytes(b"two")
        with pytest.raises(IntegrityError):
            book.reply(release(b"one"))
        path.unlink()
        with pytest.raises(IntegrityError):
            book.reply(release(b"one"))


def test_a_release_must_name_its_own_reply(tmp_path: Path) -> None:
    with open_book(tmp_path) as book:
        book.charge(charge(0))
        with pytest.raises(LocalError):
            book.release(release(b"one"), b"two")


def test_a_folder_that_cannot_hold_a_book_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalError, match="cannot hold a book"), open_book(tmp_path / "file"):
        pass


def test_a_book_is_for_its_owner_only(tmp_path: Path) -> None:
    fill(tmp_path / "own")
    for path in (tmp_path / "own").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0 or path.name == "replies"


def test_a_folder_is_there_with_all_its_files(tmp_path: Path) -> None:
    write_folder(tmp_path / "run" / "one", {"plan.json": b"{}", "books/a.txt": b"a"})
    found = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"plan.json": b"{}", "a.txt": b"a"}
    write_folder(tmp_path / "empty", {})
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_that_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError):
        write_folder(tmp_path / "run", {"plan.json": b"{}"})
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("name", ["../up.json", "a/../../up.json", "/tmp/up.json"])  # noqa: S108
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        write_folder(tmp_path / "run", {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_could_not_be_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "run", {"plan.json": b"{}"})
    with pytest.raises(OSError, match="No space left"):
        write_file(tmp_path / "report.html", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_file(path, b"old")
    write_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]


def test_only_an_open_book_can_be_written(tmp_path: Path) -> None:
    """A `DiskBook` takes its folder as it finds it: the lock is `open_book`'s."""
    fill(tmp_path)
    assert len(DiskBook(tmp_path, os.fsync).entries()) == 3
