"""A thousand values to plant in customers' rows, and the search for them in any bytes."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

# ------------------------------------------------------------------------------- the values

MARK: Final = "zq7canary"
COUNTS: Final = {"person": 250, "loan": 250, "town": 150, "note": 100}
PLANTED_FLOATS: Final = 150
PLANTED_INTS: Final = 100

_draw = np.random.default_rng(20_261_123)
TEXTS: Final = {
    column: tuple(f"{MARK}{column}{at:03}" for at in range(count))
    for column, count in COUNTS.items()
}
# Seven digits, the last of them not 0: 1000.001 to 9999.999.
FLOATS: Final = tuple(
    float(f"{whole}.{part:02}{last}")
    for whole, part, last in zip(
        _draw.choice(np.arange(1_000, 10_000), PLANTED_FLOATS, replace=False),
        _draw.integers(0, 100, PLANTED_FLOATS),
        _draw.integers(1, 10, PLANTED_FLOATS),
        strict=True,
    )
)
# Ten digits, so that no count, cost or sum of the program's own is like them; int32 holds them.
INTS: Final = tuple(
    int(one) for one in 1_200_000_001 + 2 * _draw.choice(400_000_000, PLANTED_INTS, replace=False)
)
ALL: Final = (*(text for texts in TEXTS.values() for text in texts), *FLOATS, *INTS)

# ------------------------------------------------------------------------------- the search

# Plain numbers; with thousands apart; with a decimal comma. Never a part of a longer number.
_TOKENS: Final = tuple(
    re.compile(rb"(?<!\d)(?<!\d\.)" + form + rb"(?!\d)")
    for form in (
        rb"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?",
        rb"(?<!\d,)\d{1,3}(?:[.,]\d{3})+",
        rb"(?<!\d,)\d{4},\d{3}(?![.,]\d)",
    )
)
WIDE_KINDS: Final = ("<f8", ">f8", "<i8", ">i8")
NARROW_KINDS: Final = ("<f4", ">f4", "<i4", ">i4")


def text_forms(number: float) -> set[bytes]:
    """A number as people and programs write it."""
    forms = {repr(number), f"{number:,}", f"{number:.6e}", f"{number:.3f}", f"{number:.6f}"}
    forms |= {f"{number:,}".translate(str.maketrans(",.", ".,")), repr(number).replace(".", ",")}
    return {form.encode() for form in forms}


def byte_forms(kinds: Sequence[str]) -> Mapping[int, str]:
    """Each number as it lies in memory, read as a little-endian integer."""
    forms = {}
    for number in (*FLOATS, *INTS):
        for kind in kinds:
            if kind[1] == "f" or isinstance(number, int):
                data = np.array([number]).astype(kind).tobytes()
                forms[int.from_bytes(data, "little")] = f"{number} as {kind}"
    return forms


NUMBERS: Final = {form: str(number) for number in (*FLOATS, *INTS) for form in text_forms(number)}
WIDE: Final = byte_forms(WIDE_KINDS)
NARROW: Final = byte_forms(NARROW_KINDS)
KNOWN: Final[Mapping[int, NDArray[Any]]] = {
    4: np.array(sorted(NARROW), dtype=np.uint32),
    8: np.array(sorted(WIDE), dtype=np.uint64),
}


def mark_forms(mark: str) -> Iterator[bytes]:
    """What every planted text begins with, in the encodings that hide it."""
    plain = mark.encode()
    yield from (plain, plain.upper(), mark.encode("utf-16-le"), mark.encode("utf-16-be"))
    yield from (plain.hex().encode(), plain.hex().upper().encode())
    for before in range(3):  # base64 of the middle, wherever the text begins
        encoded = base64.b64encode(b"\0" * before + plain)
        yield encoded[4 if before else 0 : len(encoded) - 4]


MARKS: Final = tuple(mark_forms(MARK))


def aligned(data: bytes, width: int) -> Iterator[NDArray[Any]]:
    """All runs of ``width`` bytes as integers, from each offset."""
    for offset in range(width):
        size = (len(data) - offset) // width
        if size > 0:
            yield np.frombuffer(data, np.dtype(f"<u{width}"), size, offset)


def hits(data: bytes, forms: Mapping[int, str], width: int) -> list[str]:
    """Numbers in memory's form."""
    out: list[str] = []
    for run in aligned(data, width):
        out += [forms[int(value)] for value in run[np.isin(run, KNOWN[width])]]
    return out


def found(data: bytes) -> list[str]:
    """Planted values in ``data``: texts, numbers as text, numbers in eight bytes."""
    out = [f"text {form!r}" for form in MARKS if form in data]
    tokens = {token for form in _TOKENS for token in form.findall(data)}
    out += [f"{NUMBERS[token]} as text" for token in tokens & NUMBERS.keys()]
    return out + hits(data, WIDE, 8)


def clean(streams: Iterable[tuple[str, bytes]]) -> None:
    """Assert that nothing is found.

    Four bytes are few: in a megabyte of fresh noise one of the 700 forms turns up by chance
    one time in six. A column that leaks shows all of its values, so five are too many.
    """
    narrow: list[str] = []
    for name, data in streams:
        assert found(data) == [], name
        narrow += [f"{name}: {hit}" for hit in hits(data, NARROW, 4)]
    assert len(narrow) < 5, narrow
