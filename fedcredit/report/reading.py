"""Reads findings of the verifier: what is missing or of another kind is never filled in.

The findings come from `fedcredit.verifier`, or from a file that it wrote; their form is
``fedcredit/findings/1``. A ledger whose evidence broke is not read to its end, so any of its
figures can be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from fedcredit.errors import ConfigError

__all__ = [
    "FORMAT",
    "Table",
    "check_format",
    "figure",
    "number_of",
    "rows",
    "table",
    "text",
    "texts",
]

FORMAT: Final = "fedcredit/findings/1"

Table: TypeAlias = Mapping[str, object]


def check_format(findings: Table) -> None:
    """Refuse what is not findings of this form.

    Raises:
        ConfigError: another form, or none.
    """
    if findings.get("format") != FORMAT:
        raise ConfigError(
            f"these are not findings of the form {FORMAT}",
            remedy="take what `fedcredit ledger verify --json` of this version prints",
        )


def table(whole: Table, key: str) -> Table:
    """The object under a key; an empty one if there is none."""
    value = whole.get(key)
    return value if isinstance(value, Mapping) else {}


def rows(whole: Table, key: str) -> list[Table]:
    """The objects of the array under a key; what is no object is left out."""
    value = whole.get(key)
    if not isinstance(value, list | tuple):
        return []
    return [one for one in value if isinstance(one, Mapping)]


def texts(whole: Table, key: str) -> list[str]:
    """The texts of the array under a key; an object is shown as its values."""
    value = whole.get(key)
    return [_shown(one) for one in value] if isinstance(value, list | tuple) else []


def text(whole: Table, key: str) -> str:
    """The text or number under a key, as text; empty if there is none."""
    value = whole.get(key)
    return "" if value is None or isinstance(value, Mapping | list | tuple) else _shown(value)


def figure(whole: Table, key: str) -> float | None:
    """The finite number under a key.

    >>> figure({"epsilon": 0.5, "delta": "1e-05", "rho": None}, "epsilon")
    0.5
    >>> figure({"epsilon": 0.5, "delta": "1e-05", "rho": None}, "rho")

    A text counts where it reads as a number, because ledgers write fractions as texts.

    >>> figure({"epsilon": 0.5, "delta": "1e-05", "rho": None}, "delta")
    1e-05
    """
    value = whole.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def number_of(whole: Table, key: str) -> int | None:
    """The integer from 0 on under a key."""
    value = whole.get(key)
    return value if type(value) is int and value >= 0 else None


def _shown(value: object) -> str:
    """A value as text, the parts of an object or array side by side."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(value[key])}" for key in value)
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return str(value)
