"""Strict reading of TOML: a mapping becomes a frozen dataclass, or an error that names the key.

Nothing is guessed: an unknown key is an error that names the nearest known one,
a missing key and a value of the wrong type are errors that name the key and
what was expected. Defaults are the dataclass's own.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import Literal, NewType, TypeVar, cast, get_args, get_origin, get_type_hints

from fedcredit.errors import ConfigError

__all__ = ["build", "parse_toml", "refuse_unknown"]

T = TypeVar("T")


def parse_toml(text: str, where: str, error: type[ConfigError] = ConfigError) -> dict[str, object]:
    """Parse TOML.

    Args:
        text: the file's text.
        where: the file's name, for the error.
        error: the class to raise.

    Returns:
        The top-level table.

    Raises:
        ConfigError: (or ``error``) the text is not TOML; the message gives the line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise error(f"{where} is not TOML: {problem}", remedy="mend that line") from None


def refuse_unknown(
    given: Sequence[str], known: Sequence[str], where: str, error: type[ConfigError] = ConfigError
) -> None:
    """Refuse keys that nobody reads.

    Args:
        given: the keys that were written.
        known: the keys that are read.
        where: file and table, for the error.
        error: the class to raise.

    Raises:
        ConfigError: (or ``error``) a key is unknown; the nearest known one is named.

    >>> refuse_unknown(["epsilom"], ["epsilon", "delta"], "study.toml")
    Traceback (most recent call last):
    fedcredit.errors.ConfigError: study.toml: unknown key 'epsilom'
      fix: did you mean 'epsilon'? known keys: delta, epsilon
    """
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            guess = f"did you mean {near[0]!r}? " if near else "remove it; "
            raise error(
                f"{where}: unknown key {key!r}",
                remedy=f"{guess}known keys: {', '.join(sorted(known))}",
            )


def build(
    kind: type[T],
    table: Mapping[str, object],
    where: str,
    error: type[ConfigError] = ConfigError,
) -> T:
    """Build a dataclass from a table, strictly.

    Fields may be text, integers, floats (an integer is taken), booleans,
    ``Literal`` texts, other dataclasses (a table each), and tuples of one of
    these of any length (an array each).

    Args:
        kind: a dataclass whose fields are of these types.
        table: what TOML gave.
        where: file and table, for the errors.
        error: the class to raise.

    Returns:
        The dataclass; its own ``__post_init__`` has checked the rest.

    Raises:
        ConfigError: (or ``error``) a key is unknown or missing, or a value has the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cast("type", kind)) if field.init}
    refuse_unknown(tuple(table), tuple(fields), where, error)
    hints = get_type_hints(kind)
    for name, field in fields.items():
        no_default = field.default is dataclasses.MISSING
        if name not in table and no_default and field.default_factory is dataclasses.MISSING:
            raise error(
                f"{where}: the key {name!r} is missing",
                remedy=f"add {name} = {_wanted(hints[name])}",
            )
    values = {
        name: _value(hints[name], given, f"{where}: {name}", error) for name, given in table.items()
    }
    return kind(**values)


def _value(hint: object, given: object, where: str, error: type[ConfigError]) -> object:
    """One value, checked against its type."""
    if isinstance(hint, NewType):
        return _value(hint.__supertype__, given, where, error)
    origin = get_origin(hint)
    if origin is tuple and isinstance(given, list):
        item = get_args(hint)[0]
        return tuple(_value(item, one, f"{where}[{at}]", error) for at, one in enumerate(given))
    if origin is Literal:
        if given in get_args(hint):
            return given
        near = difflib.get_close_matches(str(given), get_args(hint), n=1)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        raise error(f"{where} is {given!r}", remedy=f"set it to {_wanted(hint)}{guess}")
    if dataclasses.is_dataclass(hint) and isinstance(given, dict):
        return build(cast("type", hint), given, where, error)
    if hint is float and type(given) in (int, float) and math.isfinite(cast("float", given)):
        return float(cast("float", given))
    if hint in (int, str, bool) and type(given) is hint:
        return given
    raise error(f"{where} is {_found(given)}", remedy=f"set it to {_wanted(hint)}")


def _found(given: object) -> str:
    """What was written, by kind."""
    names = {str: "text", int: "an integer", bool: "true or false", list: "an array"}
    if isinstance(given, float):
        return "a number with a fraction" if math.isfinite(given) else "not a finite number"
    return names.get(type(given), "a table" if isinstance(given, dict) else "a date or time")


def _wanted(hint: object) -> str:
    """What would have been right."""
    if isinstance(hint, NewType):
        return _wanted(hint.__supertype__)
    if get_origin(hint) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"an array, each item {_wanted(get_args(hint)[0])}"
    if dataclasses.is_dataclass(hint):
        return "a table"
    names = {str: 'text in quotes, as in "1"', int: "an integer", bool: "true or false"}
    return names.get(cast("type", hint), "a finite number")
