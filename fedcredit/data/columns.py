"""The columns of a schema: what a value means, its public range, and the cells it falls into.

Bounds, spacing and categories are public: they come from documentation and
common sense, never from a table (a draft says so of itself). From here on a
value is one of at most 255 public cells, and nothing finer ever leaves a row.

The cells of a numeric column are its ordered cells, then one for missing, then
one for each special code. Those of a categorical column are its categories,
then one for any other, then one for missing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, TypeAlias, cast

import numpy as np

from fedcredit.errors import SchemaError
from fedcredit.units import Floats

__all__ = [
    "CELLS_LIMIT",
    "Categorical",
    "Column",
    "NumberFormat",
    "Numeric",
    "canonical_text",
    "plain_number",
]

CELLS_LIMIT: Final = 255
NumberFormat: TypeAlias = Literal["number", "currency", "percent", "decimal-comma"]

_UNLESS_PROTECTED: Final = cast("bool", None)  # stands for `not protected` until __post_init__


@dataclass(frozen=True, slots=True)
class Numeric:
    """A column of numbers.

    Attributes:
        name: the column's name in the tables.
        unit: what one is, such as "EUR" or "months".
        low: public lower bound of the ordered cells, in ``unit``.
        high: public upper bound of the ordered cells, in ``unit``.
        spacing: "linear"; "log", for amounts from 0 up; "signed-log", for amounts
            that may be negative.
        cells: ordered cells wanted; a column with a step may need fewer.
        special: codes that are not amounts, such as -9 for "no record"; each has its own cell.
        missing: "cell" gives missing values a cell; "refuse" lets a table with one fail.
        outside: "clamp" counts a value out of bounds into the outermost cell; "refuse"
            lets a table with one fail.
        block: family of the feature, such as "credit-history", "payments", "e-commerce",
            "utility", "mobile" or "identity".
        direction: "risk-up" when the risk of bad can only rise with the value, "risk-down"
            when it can only fall, "none" when nothing is known.
        protected: an attribute that law protects, such as age.
        feature: whether models may read it; unless said, they may not read a protected one.
        draft: the bounds were drawn from a table and no person has confirmed them as public.
        step: distance of neighbouring values counted from ``low``, 1 for counts; 0 for a
            continuous column. Edges lie half-way between two such values.
        scale: the size, in ``unit``, below which log spacing becomes linear. 0 chooses: none
            for "log" from a positive bound, 1 otherwise.
        format: how texts are read: "number"; "currency", as in "$1,200.00"; "percent", as in
            "12.5 %"; "decimal-comma", as in "1.200,00".
        description: one sentence for people.
    """

    name: str
    unit: str
    low: float
    high: float
    spacing: Literal["linear", "log", "signed-log"] = "linear"
    cells: int = 128
    special: tuple[float, ...] = ()
    missing: Literal["cell", "refuse"] = "cell"
    outside: Literal["clamp", "refuse"] = "clamp"
    block: str = "credit-history"
    direction: Literal["risk-up", "risk-down", "none"] = "none"
    protected: bool = False
    feature: bool = field(default=_UNLESS_PROTECTED)
    draft: bool = False
    step: float = 0.0
    scale: float = 0.0
    format: NumberFormat = "number"
    description: str = ""

    def __post_init__(self) -> None:
        if self.feature is None:
            object.__setattr__(self, "feature", not self.protected)
        _check_name(self.name, self.block)
        numbers = (self.low, self.high, self.step, self.scale, *self.special)
        problem, remedy = "", ""
        if not all(map(math.isfinite, numbers)):
            problem, remedy = "has a bound or code that is not finite", "write plain numbers"
        elif not self.low < self.high:
            problem, remedy = f"has low={self.low}, high={self.high}", "set low below high"
        elif self.step < 0 or self.scale < 0:
            problem, remedy = "has a negative step or scale", "set it to 0 or more"
        elif self.spacing == "log" and self.low < 0:
            problem, remedy = f"has log spacing from {self.low}", 'use spacing = "signed-log"'
        elif len(set(self.special)) != len(self.special):
            problem, remedy = "names a special code twice", "name each once"
        elif not 2 <= self.cells <= CELLS_LIMIT - 1 - len(self.special):
            problem = f"has cells={self.cells} and {len(self.special)} special codes"
            remedy = f"keep 2 <= cells and cells + codes + 1 <= {CELLS_LIMIT}"
        elif self.high - self.low < self.step * (1 - 1e-9):
            problem, remedy = "has a step wider than its bounds", "set a smaller step"
        if problem:
            raise SchemaError(f"column {self.name!r} {problem}", remedy=remedy)

    @property
    def edges(self) -> Floats:
        """Inner edges of the ordered cells, rising, shape ``(ordered - 1,)``."""
        shape = (self.low, self.high, self.spacing, self.scale, self.step, self.cells)
        return np.array(_edges(*shape), dtype=np.float64)

    @property
    def ordered(self) -> int:
        """Number of ordered cells."""
        return len(self.edges) + 1

    @property
    def cell_count(self) -> int:
        """Number of cells, at most ``CELLS_LIMIT``."""
        return self.ordered + 1 + len(self.special)

    @property
    def missing_cell(self) -> int:
        """The cell of a missing value."""
        return self.ordered

    @property
    def sign(self) -> int:
        """+1 when risk rises with the value, -1 when it falls, 0 when nothing is known."""
        return {"risk-up": 1, "risk-down": -1, "none": 0}[self.direction]

    def cell_labels(self) -> tuple[str, ...]:
        """What each cell holds, for people, such as "[1000, 1200)" or "code -9"."""
        names = (self.run_label(cell, cell) for cell in range(self.ordered))
        codes = (f"code {plain_number(code)}" for code in self.special)
        return (*names, "missing", *codes)

    def run_label(self, first: int, last: int) -> str:
        """What the ordered cells from ``first`` to ``last`` hold together, for people."""
        inner, end = self.edges.tolist(), self.ordered - 1
        low = inner[first - 1] if first else self.low
        high = inner[last] if last < end else self.high
        if self.step:
            low = _grid_above(self, low) if first else low
            high = _grid_above(self, high) - self.step if last < end else high
        below, above = (self.outside == "clamp" and at for at in (first == 0, last == end))
        if below and above:
            return "any value"
        if below:
            return f"{'up to' if self.step else '<'} {plain_number(high)}"
        if above:
            return f"{plain_number(low)} or more" if self.step else f">= {plain_number(low)}"
        if self.step:
            return _range_label(low, high)
        return f"[{plain_number(low)}, {plain_number(high)}{']' if last == end else ')'}"


@dataclass(frozen=True, slots=True)
class Categorical:
    """A column of categories; numbers may be codes, and 1, 1.0 and "1" are one category.

    Attributes:
        name: the column's name in the tables.
        categories: the public list, as text.
        other: True counts any other category into one cell; False lets a table with one fail.
        missing: "cell" gives missing values a cell; "refuse" lets a table with one fail.
        block: family of the feature.
        protected: an attribute that law protects.
        feature: whether models may read it; unless said, they may not read a protected one.
        draft: the list was drawn from a table and no person has confirmed it as public.
        description: one sentence for people.
    """

    name: str
    categories: tuple[str, ...]
    other: bool = False
    missing: Literal["cell", "refuse"] = "cell"
    block: str = "credit-history"
    protected: bool = False
    feature: bool = field(default=_UNLESS_PROTECTED)
    draft: bool = False
    description: str = ""

    def __post_init__(self) -> None:
        if self.feature is None:
            object.__setattr__(self, "feature", not self.protected)
        _check_name(self.name, self.block)
        known = [canonical_text(category) for category in self.categories]
        problem, remedy = "", ""
        if not known:
            problem, remedy = "has no categories", "list them"
        elif len(set(known)) != len(known):
            problem, remedy = "names a category twice", 'name each once (1 and "1.0" are one)'
        elif "" in known:
            problem, remedy = "names an empty category", "empty means missing: leave it out"
        elif len(known) > CELLS_LIMIT - 2:
            problem = f"has {len(known)} categories"
            remedy = f"list the {CELLS_LIMIT - 2} that matter and set other = true"
        if problem:
            raise SchemaError(f"column {self.name!r} {problem}", remedy=remedy)

    @property
    def ordered(self) -> int:
        """Number of ordered cells: none."""
        return 0

    @property
    def cell_count(self) -> int:
        """Number of cells, at most ``CELLS_LIMIT``."""
        return len(self.categories) + 2

    @property
    def other_cell(self) -> int:
        """The cell of a category that is not listed."""
        return len(self.categories)

    @property
    def missing_cell(self) -> int:
        """The cell of a missing value."""
        return len(self.categories) + 1

    @property
    def sign(self) -> int:
        """0: categories have no order."""
        return 0

    def cell_labels(self) -> tuple[str, ...]:
        """What each cell holds, for people."""
        return (*self.categories, "other", "missing")


Column: TypeAlias = Numeric | Categorical

_WHOLE = re.compile(r"([+-]?\d+)\.0*")


def canonical_text(text: str) -> str:
    """The one spelling of a category, a label value or an id.

    Blanks around it go, whole numbers lose their ".0", truth is in small letters.

    >>> [canonical_text(text) for text in (" 1.0", "1", "True", "A 11 ")]
    ['1', '1', 'true', 'A 11']
    """
    text = text.strip()
    whole = _WHOLE.fullmatch(text)
    if whole:
        return whole.group(1)
    return text.lower() if text in ("True", "False", "TRUE", "FALSE") else text


def plain_number(number: float) -> str:
    """A number for people, without exponent where that stays short.

    >>> [plain_number(number) for number in (1e6, 0.25, -9.0, 1e-7)]
    ['1000000', '0.25', '-9', '1e-07']
    """
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    return f"{number:.6g}" if abs(number) < 1e6 else f"{number:.12g}"


def _check_name(name: str, block: str) -> None:
    """Names are printed and sorted: they must be visible, on one line."""
    for what, text in (("name", name), ("block", block)):
        if not text.strip() or not text.isprintable():
            raise SchemaError(
                f"a column has the {what} {text!r}", remedy=f"give it a printable {what}"
            )


def _grid_above(column: Numeric, edge: float) -> float:
    """The first multiple of the step above an edge that lies between two."""
    return column.low + math.ceil((edge - column.low) / column.step) * column.step


def _range_label(first: float, last: float) -> str:
    """The label of a cell that holds the multiples of a step from first to last."""
    one, other = plain_number(first), plain_number(last)
    return one if one == other else f"{one} to {other}"


@lru_cache(maxsize=4096)
def _edges(
    low: float, high: float, spacing: str, scale: float, step: float, cells: int
) -> tuple[float, ...]:
    """Inner edges of at most ``cells`` ordered cells."""
    if not step:
        return _rounded(_spaced(low, high, spacing, scale, cells), low, high)
    count = math.floor((high - low) / step + 1e-9) + 1  # multiples of the step within bounds
    if count <= cells:
        return tuple(low + (at + 0.5) * step for at in range(count - 1))
    # Neighbouring edges fall between the same two multiples where values are dense, and merge:
    # ask for more edges until as many cells as wanted are left.
    fits, over = cells, 64 * cells
    while over - fits > 1:
        middle = (fits + over) // 2
        if len(_snapped(_spaced(low, high, spacing, scale, middle), low, step, count)) < cells:
            fits = middle
        else:
            over = middle
    return _snapped(_spaced(low, high, spacing, scale, fits), low, step, count)


def _spaced(low: float, high: float, spacing: str, scale: float, cells: int) -> Floats:
    """Inner edges of exactly ``cells`` cells, evenly spaced after the transform."""
    even = np.linspace(0.0, 1.0, cells + 1)[1:-1]
    if spacing == "linear":
        return low + (high - low) * even
    if spacing == "log":
        shift = scale or (0.0 if low > 0 else 1.0)
        start, end = math.log(low + shift), math.log(high + shift)
        return np.exp(start + (end - start) * even) - shift
    unit = scale or 1.0
    start, end = (math.copysign(math.log1p(abs(end) / unit), end) for end in (low, high))
    between = start + (end - start) * even
    return np.copysign(np.expm1(np.abs(between)) * unit, between)


def _snapped(edges: Floats, low: float, step: float, count: int) -> tuple[float, ...]:
    """Edges moved half-way between two multiples of the step, each kept once."""
    below = np.clip(np.floor((edges - low) / step), 0.0, count - 2.0)
    return tuple((low + (np.unique(below) + 0.5) * step).tolist())


def _rounded(edges: Floats, low: float, high: float) -> tuple[float, ...]:
    """Edges with as few digits as leave every cell about as wide, the same on every machine."""
    gaps = np.diff(np.concatenate(([low], edges, [high])))
    room = 0.25 * np.minimum(gaps[:-1], gaps[1:])
    for digits in (3, 4, 6, 9, 12):
        short = np.array([float(f"{edge:.{digits}g}") for edge in edges])
        if (np.abs(short - edges) <= room).all():
            return tuple(short.tolist())
    return tuple(edges.tolist())
