"""The controls of `test_canary.py`: values that are planted where none may be are found."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from tests.e2e.canaries import (
    ALL,
    FLOATS,
    INTS,
    NARROW,
    NARROW_KINDS,
    TEXTS,
    WIDE_KINDS,
    clean,
    found,
    hits,
)


def test_every_value_is_found_in_a_log_line() -> None:
    """As it is, and within a sentence or a JSON object."""
    for value in ALL:
        text = value if isinstance(value, str) else repr(value)
        for line in (f'row {{"value": {text}, "n": 3}}', f"x={text}."):
            assert found(line.encode()), line


@pytest.mark.parametrize("kind", [*WIDE_KINDS, *NARROW_KINDS])
def test_every_number_is_found_in_a_message(kind: str) -> None:
    """Of eight bytes one is enough, wherever it stands; of four bytes a column is."""
    numbers = [one for one in (*FLOATS, *INTS) if kind[1] == "f" or isinstance(one, int)]
    pieces = [np.array([number]).astype(kind).tobytes() for number in numbers]
    for at, piece in enumerate(pieces):
        data = b"\x07" * (at % 9) + piece + b"\x07" * 5
        assert found(data) if kind in WIDE_KINDS else hits(data, NARROW, 4)
    with pytest.raises(AssertionError):
        clean([("message", b"\x07" * 3 + b"".join(pieces))])


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_text_is_found_in_its_encodings(before: str) -> None:
    text = before + TEXTS["person"][7] + " left"
    for data in (
        text.encode(),
        text.upper().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        text.encode().hex().encode(),
        base64.b64encode(text.encode()),
    ):
        assert found(data)


@pytest.mark.parametrize(
    "form", ["{:,.3f}", "{:.6e}", "{:.6f}", "EUR {:.3f};", "[{:.3f}, 2)", '"{:.3f}"']
)
def test_a_number_is_found_however_it_is_written(form: str) -> None:
    for number in FLOATS:
        assert found(form.format(number).encode())
