"""No byte of a ledger or of its checkpoints can be altered, taken away or added unnoticed."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final, cast

import pytest

from fedcredit.verifier import Book, Source, Trust, read_ledger
from tests.ledger.written import Writer, canonical, story
from tests.verifier.judged import broken, judge, problems

STORY: Final = story()
LEDGER: Final = b"".join(STORY.lines)
NOTES: Final = "".join(STORY.notes).encode()


def read(ledger: bytes, notes: bytes = NOTES, trust: Trust | None = None) -> Book:
    """Read a ledger from memory."""
    files = {"ledger.jsonl": ledger, "checkpoints.note": notes}

    def opened(name: str) -> BinaryIO:
        return io.BytesIO(files[name])

    source = Source("memory", "", len(ledger), opened)
    book = Book("memory", trust or Trust(), keep=False, listing=False, signatures=True)
    read_ledger(source, book)
    return book


def evidence(book: Book) -> list[int]:
    """Where evidence is broken."""
    return [cast(int, row["seq"]) for row in book.problems if row["kind"] == "evidence"]


def test_the_story_itself_holds() -> None:
    book = read(LEDGER)
    assert (book.problems, book.exceptions, book.tree.size) == ([], [], 20)


@pytest.mark.parametrize("part", range(4))
def test_a_bit_turned_over_at_any_byte_of_a_ledger_is_found_and_its_line_is_named(
    part: int,
) -> None:
    unnoticed = []
    for at in range(part, len(LEDGER), 4):
        spoiled = bytearray(LEDGER)
        spoiled[at] ^= 1 << at % 7
        book = read(bytes(spoiled))
        line = LEDGER.count(b"\n", 0, at)
        if evidence(book) != [line] or book.problems[0]["seq"] != line:
            unnoticed.append((at, book.problems))
    assert unnoticed == []


def test_a_bit_turned_over_at_any_byte_of_the_checkpoints_is_found() -> None:
    unnoticed = []
    for at in range(len(NOTES)):
        spoiled = bytearray(NOTES)
        spoiled[at] ^= 1 << at % 8
        if len(evidence(read(LEDGER, bytes(spoiled)))) != 1:
            unnoticed.append(at)
    assert unnoticed == []


def test_a_ledger_cut_off_at_any_byte_is_found_and_its_line_is_named() -> None:
    unnoticed = []
    for at in range(len(LEDGER)):
        book = read(LEDGER[:at])
        if evidence(book) != [LEDGER.count(b"\n", 0, at)]:
            unnoticed.append((at, book.problems))
    assert unnoticed == []


def test_checkpoints_cut_off_at_any_byte_before_the_last_signature_are_found() -> None:
    last = len("".join(STORY.notes[:-1]).encode())
    found = [evidence(read(LEDGER, NOTES[:at])) for at in range(last)]
    assert [] not in found


def delete(lines: list[bytes], at: int) -> None:
    del lines[at]


def duplicate(lines: list[bytes], at: int) -> None:
    lines.insert(at, lines[at])


def swap(lines: list[bytes], at: int) -> None:
    lines[at], lines[at - 1] = lines[at - 1], lines[at]


def insert(lines: list[bytes], at: int) -> None:
    """A line that would be right if there were another before it."""
    prev = "0" * 64
    note = {"kind": "note", "prev": prev, "seq": at, "text": "", "time": "2026-03-01T00:00:00Z"}
    lines.insert(at, canonical(note) + b"\n")


@pytest.mark.parametrize("harm", [delete, duplicate, swap, insert])
@pytest.mark.parametrize("at", range(20))
def test_a_record_taken_away_doubled_moved_or_added_is_found(
    harm: Callable[[list[bytes], int], None], at: int
) -> None:
    lines = list(STORY.lines)
    harm(lines, at)
    first = at + 1 if harm is duplicate else max(at - 1, 0) if harm is swap else at
    assert evidence(read(b"".join(lines))) == [first]


def test_a_torn_tail_that_nobody_signed_for_is_named_an_incomplete_tail() -> None:
    book = read(LEDGER + STORY.lines[-1][:40])
    assert evidence(book) == [20]
    assert "incomplete tail: cut off, and not signed for" in cast(str, book.problems[0]["what"])


def test_whole_lines_that_no_checkpoint_covers_are_an_incomplete_tail() -> None:
    writer = story()
    writer.add("note", text="late")
    writer.add("note", text="later")
    del writer.notes[-2:]
    broken(writer, 20, 5, "incomplete tail: 2 entries")


def test_checkpoints_for_entries_that_are_gone_are_found() -> None:
    writer = story()
    del writer.lines[-1]
    broken(writer, 19, 5, "covers 20 entries, there are only 19")


def rewritten(change: Callable[[list[bytes]], None]) -> Writer:
    """The story with lines changed, linked and signed again by the true key."""
    writer, lines = story(), list(STORY.lines)
    change(lines)
    writer.lines, writer.notes, writer.leaves = [], [], []
    for line in lines:
        table = json.loads(line)
        kind = table.pop("kind")
        for key in ("seq", "prev", "time"):
            del table[key]
        writer.add(kind, **table)
    return writer


def test_a_ledger_rewritten_with_the_true_key_is_caught_by_a_saved_checkpoint() -> None:
    def other_reason(lines: list[bytes]) -> None:
        lines[16] = lines[16].replace(b'"why":"plan"', b'"why":"budget"')

    forged = rewritten(other_reason)
    trust = f'[[saved]]\nnote = """\n{STORY.notes[-4]}"""\n'

    assert judge(forged)["exit"] == 0, "by itself it holds: that is what saving is for"
    findings = judge(forged, trust=trust)
    assert findings["exit"] == 5
    assert "saved earlier" in problems(findings)[0].what
    assert judge(story(), trust=trust)["exit"] == 0


@pytest.mark.parametrize("size", [1, 5, 19])
def test_a_ledger_set_back_is_caught_by_a_saved_checkpoint(size: int) -> None:
    writer = story()
    trust = f'[[saved]]\nnote = """\n{writer.notes[-1]}"""\n'
    kept = sum(int(note.split("\n")[1]) <= size for note in writer.notes)
    del writer.lines[size:], writer.notes[kept:]
    findings = judge(writer, trust=trust)
    assert (findings["exit"], problems(findings)[0].seq) == (5, size)
    assert "set back: a checkpoint of size 20 was saved earlier" in problems(findings)[0].what


SPELLINGS: Final[Sequence[tuple[str, bytes, bytes]]] = [
    ("white space", b'{"by"', b'{ "by"'),
    ("keys out of order", b'"note":"","plan"', b'"plan":"","note"'),
    ("a key twice", b'"note":""', b'"note":"","note":""'),
    ("a fraction", b'"seq":2', b'"seq":2.0'),
    ("an exponent", b'"seq":2', b'"seq":2e0'),
    ("a sign", b'"seq":2', b'"seq":-2'),
    ("minus nothing", b'"seq":2', b'"seq":-0'),
    ("a leading zero", b'"seq":2', b'"seq":02'),
    ("a number too large", b'"seq":2', b'"seq":9007199254740992'),
    ("a number of 5,000 digits", b'"seq":2', b'"seq":' + b"9" * 5000),
    ("not a number", b'"seq":2', b'"seq":NaN'),
    ("infinity", b'"seq":2', b'"seq":Infinity'),
    ("truth", b'"seq":2', b'"seq":true'),
    ("nothing", b'"note":""', b'"note":null'),
    ("a text for a number", b'"seq":2', b'"seq":"2"'),
    ("an escape that is not needed", b'"note":""', rb'"note":"\/"'),
    ("an escaped letter", b'"note":""', rb'"note":"\u0061"'),
    ("an escaped newline", b'"note":""', rb'"note":"\n"'),
    ("an escaped surrogate", b'"note":""', rb'"note":"\ud800"'),
    ("a letter beyond ASCII", b'"note":""', '"note":"ü"'.encode()),
    ("DEL", b'"note":""', b'"note":"\x7f"'),
    ("a byte order mark", b'{"by"', b'\xef\xbb\xbf{"by"'),
    ("a carriage return", b'"}\n', b'"}\r\n'),
    ("an unknown key", b'"note":""', b'"note":"","off":""'),
    ("a table for a text", b'"note":""', b'"note":{}'),
    ("deep nesting", b'"note":""', b'"note":' + b"[" * 8000 + b"]" * 8000),
    ("deep nesting that never ends", b'"note":""', b'"note":' + b"[" * 16_000),
    ("an unknown kind", b'"approve"', b'"refund"'),
    ("an unknown approver", b'"policy"', b'"nobody"'),
    ("a day that is none", b"2026-03-01T", b"2026-02-30T"),
    ("a time zone", b'0Z"', b'0+01:00"'),
    ("upper case in hex", b'"plan":"a', b'"plan":"A'),
]


@pytest.mark.parametrize(
    ("before", "after"), [row[1:] for row in SPELLINGS], ids=[row[0] for row in SPELLINGS]
)
def test_only_one_spelling_of_an_entry_is_read(before: bytes, after: bytes) -> None:
    """Signed for as it stands, and refused all the same."""
    writer, line = story(), STORY.lines[2].replace(before, after)
    assert line != STORY.lines[2]
    del writer.lines[2:], writer.leaves[2:], writer.notes[2:]
    writer.put(line)
    writer.note(cosigned=False)
    broken(writer, 2, 5, "line 3: ")


@pytest.mark.parametrize("change", [{"prev": "0" * 64}, {"seq": 19}, {"seq": 21}])
def test_an_entry_that_links_to_another_is_refused_though_it_is_signed_for(
    change: dict[str, object],
) -> None:
    writer = story()
    writer.add("note", **{"text": "", **change})
    broken(writer, 20, 5, "line 21: ")


@pytest.mark.parametrize(
    "line", ["— a b AAAAAAAA\n", "— AAAAAAAA\n", "— a AAAA\n", "— a A=\n", "—\n"]
)
def test_a_line_that_is_no_signature_is_refused(line: str) -> None:
    writer = story()
    writer.notes[-1] += line
    broken(writer, 19, 5, "checkpoints.note: ")


def test_quotes_and_backslashes_are_read() -> None:
    writer = story()
    writer.add("note", text='\\ " \\\\ \\" \\n')
    assert judge(writer)["exit"] == 0


class Endless(io.BytesIO):
    """A gigabyte of one line, which nobody holds in memory."""

    def readline(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 < size < 10**6, "it would be read whole"
        return b"x" * size


def test_a_line_of_a_gigabyte_is_given_up_after_a_few_bytes() -> None:
    files = {"ledger.jsonl": Endless(), "checkpoints.note": io.BytesIO(NOTES)}
    source = Source("memory", "", 10**9, files.__getitem__)
    book = Book("memory", Trust(), keep=False, listing=False, signatures=True)
    read_ledger(source, book)
    assert "longer than 16384 bytes" in cast(str, book.problems[0]["what"])
