"""Lines of the ledger: one form, and nothing else is read."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.grammar import (
    INTEGER_LIMIT,
    LINE_LIMIT_BYTES,
    Item,
    Line,
    read_line,
    write_line,
)

KEYS = st.from_regex(r"[a-z][a-z0-9_]*", fullmatch=True).filter(lambda key: len(key) < 20)
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
LEAVES: st.SearchStrategy[Item] = st.one_of(st.integers(0, INTEGER_LIMIT), TEXTS)


def levels(count: int) -> st.SearchStrategy[Item]:
    """Values with at most so many levels of arrays and objects."""
    if not count:
        return LEAVES
    below = levels(count - 1)
    return st.one_of(
        LEAVES,
        st.lists(below, max_size=3).map(tuple),
        st.dictionaries(KEYS, below, max_size=3),
    )


LINES: st.SearchStrategy[Line] = st.dictionaries(KEYS, levels(3), max_size=5)
TYPICAL: Line = {
    "kind": "charge",
    "seq": 123,
    "prev": "0f" * 32,
    "time": "2026-11-25T14:11:40Z",
    "plan": "ab" * 32,
    "round": 3,
    "attempt": 0,
    "request": "cd" * 32,
    "event": {
        "dim": 400,
        "event": "discrete-gaussian-sum",
        "honest": 3,
        "name": "bin-counts",
        "part": "train",
        "sensitivity_squared": 40000,
        "variance": 987654321,
    },
    "rho": 12345678,
    "rho_local": 37037034,
    "software": "fedcredit 0.1.0",
    "sampler": "discrete-gaussian/1",
}


@given(LINES)
def test_a_line_reads_back(table: Line) -> None:
    data = write_line(table)
    assert read_line(data) == table
    assert write_line(read_line(data)) == data


@given(LINES, LINES)
def test_two_tables_never_share_a_line(one: Line, other: Line) -> None:
    assert (write_line(one) == write_line(other)) == (one == other)


@given(LINES)
def test_a_line_is_what_json_itself_writes(table: Line) -> None:
    """Python's own writer, with sorted keys and no white space, is the oracle."""
    text = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert write_line(table) == text.encode() + b"\n"


@given(LINES, st.data())
def test_a_changed_byte_is_refused_or_says_something_else(table: Line, data: st.DataObject) -> None:
    line = bytearray(write_line(table))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    try:
        found = read_line(bytes(line))
    except IntegrityError:
        return
    assert found != table
    assert write_line(found) == bytes(line)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_line_or_refused(data: bytes) -> None:
    try:
        found = read_line(data)
    except IntegrityError:
        return
    assert write_line(found) == data


@given(st.text(st.sampled_from('{}[]",:\\0129-+.eEa_ntrufl \n'), max_size=30))
def test_what_looks_like_json_is_a_line_or_refused(text: str) -> None:
    try:
        found = read_line(text.encode())
    except IntegrityError:
        return
    assert write_line(found) == text.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"{}",  # no newline
        b"{}\r\n",
        b"{}\n\n",
        b" {}\n",
        b"{} \n",
        b"{ }\n",
        b"\xef\xbb\xbf{}\n",
        b"{}\n{}\n",
        b"[]\n",
        b'"a"\n',
        b"7\n",
        b"null\n",
        b'{"a":1,"a":1}\n',
        b'{"a":1,"a":2}\n',
        b'{"b":1,"a":1}\n',
        b'{"a": 1}\n',
        b'{"a":1,}\n',
        b'{"a":1 }\n',
        b'{"a":\t1}\n',
        b'{"a":1.0}\n',
        b'{"a":1.5}\n',
        b'{"a":1e3}\n',
        b'{"a":1E400}\n',
        b'{"a":-1}\n',
        b'{"a":-0}\n',
        b'{"a":+1}\n',
        b'{"a":01}\n',
        b'{"a":00}\n',
        b'{"a":0x1}\n',
        b'{"a":9007199254740992}\n',
        b'{"a":' + b"9" * 400 + b"}\n",
        b'{"a":' + b"9" * 10_000 + b"}\n",
        b'{"a":NaN}\n',
        b'{"a":Infinity}\n',
        b'{"a":-Infinity}\n',
        b'{"a":null}\n',
        b'{"a":true}\n',
        b'{"a":false}\n',
        b'{"a":[null]}\n',
        b'{"a":{"b":true}}\n',
        b'{"A":1}\n',
        b'{"":1}\n',
        b'{"_a":1}\n',
        b'{"1a":1}\n',
        b'{"a-b":1}\n',
        b'{"a\\u0062":1}\n',
        b'{"a":{"B":1}}\n',
        b'{"a":"\\u0041"}\n',
        b'{"a":"\\/"}\n',
        b'{"a":"\\n"}\n',
        b'{"a":"\\u0022"}\n',
        b'{"a":"\t"}\n',
        b'{"a":"\x00"}\n',
        b'{"a":"\x7f"}\n',
        b'{"a":"\\u007f"}\n',
        b'{"a":"\xc3\xa9"}\n',
        b'{"a":"\\u00e9"}\n',
        b'{"a":"\xff"}\n',
        b'{"a":"\\ud800"}\n',
        b"{'a':1}\n",
        b'{"a":"b}\n',
        b'{"a":1}/**/\n',
        b'{"a":1}x\n',
        b'\x00{"a":1}\n',
        b'{"a":1}\x00\n',
        '{"a":1}\n'.encode("utf-16"),
        b'{"a":[[[[]]]]}\n',
        b'{"a":{"b":{"c":{"d":{}}}}}\n',
        b'{"a":[{"b":[[]]}]}\n',
        b'{"a":' + b"[" * 8_000 + b"]" * 8_000 + b"}\n",
        b"[" * 16_000 + b"\n",
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000 + b"\n",
    ],
)
def test_another_way_to_write_it_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="a line is not one of a ledger"):
        read_line(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{}\n",
        b'{"a":""}\n',
        b'{"a":0}\n',
        b'{"a":9007199254740991}\n',
        b'{"a":"\\\\\\""}\n',
        b'{"a":" ~"}\n',
        b'{"a":[],"a_":{},"a0":[0,[1,[2]]]}\n'.replace(b'"a_":{},"a0"', b'"a0"'),
        b'{"a":[[[]]],"b":{"c":{"d":{}}}}\n',
    ],
)
def test_the_one_way_is_read(data: bytes) -> None:
    assert write_line(read_line(data)) == data


@pytest.mark.parametrize(
    "table",
    [
        {"a": 1.0},
        {"a": float("nan")},
        {"a": True},
        {"a": None},
        {"a": -1},
        {"a": INTEGER_LIMIT + 1},
        {"a": 10**400},
        {"a": b"x"},
        {"a": ["list"]},
        {"a": {1: 2}},
        {"a": {"B": 2}},
        {"a": "\n"},
        {"a": "\x7f"},
        {"a": "é"},
        {"a": "\ud800"},
        {"A": 1},
        {"": 1},
        {"a b": 1},
        {"a\n": 1},
        {1: 1},
        {None: 1},
        {"a": (((((),),),),)},
        {"a": "x" * LINE_LIMIT_BYTES},
        [],
        "a",
        None,
    ],
)
def test_what_the_grammar_lacks_is_not_written(table: Line) -> None:
    with pytest.raises(LocalError, match="cannot be written as a line"):
        write_line(table)


def test_a_line_may_fill_its_limit_and_no_more() -> None:
    room = LINE_LIMIT_BYTES - len(write_line({"a": ""}))
    full = write_line({"a": "x" * room})
    assert len(full) == LINE_LIMIT_BYTES
    assert read_line(full) == {"a": "x" * room}
    with pytest.raises(LocalError, match="16385 bytes"):
        write_line({"a": "x" * (room + 1)})
    with pytest.raises(IntegrityError, match="16385 bytes"):
        read_line(full.replace(b"x", b"xx", 1))


def test_a_line_of_a_gigabyte_costs_no_memory() -> None:
    data = bytes(1 << 26)
    tracemalloc.start()
    with pytest.raises(IntegrityError):
        read_line(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 16


def test_an_error_quotes_nothing_of_the_line() -> None:
    for data in (b'{"a":"secret\x01"}\n', b'{"secret":1.5}\n', b"secret", b'{"SECRET":1}\n'):
        with pytest.raises(IntegrityError) as problem:
            read_line(data)
        assert "secret" not in str(problem.value).lower()
        assert problem.value.__cause__ is None


def test_a_typical_entry_reads_back() -> None:
    assert read_line(write_line(TYPICAL)) == TYPICAL
