"""A line of the ledger: one JSON object that can be written in exactly one way.

Keys rise, no white space, printable ASCII only, integers only, at most 4 levels deep
(docs/ledger.md, "A line"). Because a value has one form, the hash of a line is the hash of
what it says. The grammar is a subset of RFC 8785, without its rules for floating point.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from fedcredit.errors import IntegrityError, LocalError

__all__ = [
    "DEPTH_LIMIT",
    "INTEGER_LIMIT",
    "LINE_LIMIT_BYTES",
    "Item",
    "Line",
    "read_line",
    "write_line",
]

Item: TypeAlias = "str | int | tuple[Item, ...] | Mapping[str, Item]"
Line: TypeAlias = Mapping[str, Item]
"""What a line says: texts, integers, tuples and mappings of them."""

LINE_LIMIT_BYTES: Final = 16_384  # with the newline
INTEGER_LIMIT: Final = 2**53 - 1  # the largest that every reader of JSON keeps exactly
DEPTH_LIMIT: Final = 4  # the object that is the line is the first level

_KEY: Final = re.compile(r"[a-z][a-z0-9_]*").fullmatch
_DECODER: Final = json.JSONDecoder()


class _Outside(Exception):
    """A value lies outside the grammar; the text says how, and quotes nothing of it."""


def write_line(table: Line) -> bytes:
    r"""Write what a line says in its one form.

    Args:
        table: keys ``[a-z][a-z0-9_]*``; printable ASCII texts, integers from 0 to
            ``INTEGER_LIMIT``, tuples and mappings of these, ``DEPTH_LIMIT`` levels at most.

    Returns:
        The line with its newline, at most ``LINE_LIMIT_BYTES``; `read_line` gives back an
        equal table, and no other table has the same bytes.

    Raises:
        LocalError: the table lies outside the grammar.

    >>> write_line({"kind": "note", "seq": 7, "of": ("a", {})})
    b'{"kind":"note","of":["a",{}],"seq":7}\n'
    """
    try:
        return _line(table)
    except _Outside as problem:
        raise LocalError(
            f"an entry cannot be written as a line: {problem}",
            remedy="use short ASCII texts and whole numbers; write other numbers as text",
        ) from None


def read_line(data: bytes) -> dict[str, Item]:
    r"""Read a line, and refuse whatever is not the one way to write what it says.

    Guarantee: for any bytes at all, returns the table for which `write_line` gives these
    very bytes, or raises IntegrityError; nothing longer than ``LINE_LIMIT_BYTES`` is parsed.

    Args:
        data: one line with its newline.

    Returns:
        What it says; tuples for arrays.

    Raises:
        IntegrityError: the bytes are no line.

    >>> read_line(b'{"of":["a"],"seq":7}\n')
    {'of': ('a',), 'seq': 7}
    """
    if len(data) > LINE_LIMIT_BYTES:
        raise _refusal(f"{len(data)} bytes, expected at most {LINE_LIMIT_BYTES}")
    try:
        value = _DECODER.decode(data.decode("ascii"))
        table = {key: _item(item) for key, item in value.items()} if type(value) is dict else {}
        written = _line(table)
    except _Outside as problem:
        raise _refusal(str(problem)) from None
    except (ValueError, RecursionError):  # the text of either could quote the line
        raise _refusal("it is no JSON in ASCII, or too deep") from None
    if written != data:
        raise _refusal("it is no object in the one form")
    return table


def _refusal(found: str) -> IntegrityError:
    """The error for bytes that are no line."""
    return IntegrityError(
        f"a line is not one of a ledger: {found}",
        remedy="ask the institution for the bytes that it wrote",
    )


def _line(table: Line) -> bytes:
    """A table as its one line."""
    if not isinstance(table, Mapping):
        raise _Outside("it is no object")
    data = f"{_object(table, 1)}\n".encode("ascii")
    if len(data) > LINE_LIMIT_BYTES:
        raise _Outside(f"{len(data)} bytes, expected at most {LINE_LIMIT_BYTES}")
    return data


def _item(item: object) -> Item:
    """A value as read: tuples for lists; what the grammar lacks is for the writer to refuse."""
    if type(item) is list:
        return tuple(_item(one) for one in item)
    if type(item) is dict:
        return {key: _item(one) for key, one in item.items()}
    return item  # type: ignore[return-value] # a float or null stays until it is written


def _object(table: Mapping[str, Item], level: int) -> str:
    """A mapping, by rising key."""
    if level > DEPTH_LIMIT:
        raise _Outside(f"more than {DEPTH_LIMIT} levels")
    for key in table:
        if type(key) is not str or not _KEY(key):
            raise _Outside("a key is not of the form [a-z][a-z0-9_]*")
    return "{" + ",".join([f'"{key}":{_text(table[key], level)}' for key in sorted(table)]) + "}"


def _text(item: Item, level: int) -> str:
    """A value in its one form."""
    if type(item) is str:
        if not (item.isascii() and item.isprintable()):  # together: 0x20 to 0x7e
            raise _Outside("a text has a character that is not printable ASCII")
        if "\\" in item or '"' in item:
            item = item.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{item}"'
    if type(item) is int:  # not bool, which is an int in Python
        if not 0 <= item <= INTEGER_LIMIT:
            raise _Outside(f"an integer is not within 0 and {INTEGER_LIMIT}")
        return str(item)
    if type(item) is tuple:
        if level >= DEPTH_LIMIT:
            raise _Outside(f"more than {DEPTH_LIMIT} levels")
        return "[" + ",".join([_text(one, level + 1) for one in item]) + "]"
    if isinstance(item, Mapping):
        return _object(item, level + 1)
    raise _Outside("a value is no text, integer, array or object")
