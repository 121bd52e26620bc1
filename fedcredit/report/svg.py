"""Plots as inline SVG: a frame with axes, and the marks that go into it.

Colours are classes, which the page's style sheet fills for light, dark and paper. No
script, no font file, no reference to anything outside the page.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Axis", "Frame", "number", "percent", "ticks_between"]


def number(value: float) -> str:
    """A coordinate or tick, with as few digits as it needs.

    >>> [number(value) for value in (3.0, 2.50, -0.0, 1234.5678)]
    ['3', '2.5', '0', '1234.57']
    """
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(value: float) -> str:
    """A share as a tick.

    >>> percent(0.125)
    '12.5%'
    """
    return f"{number(100 * value)}%"


def ticks_between(low: float, high: float, wanted: int = 5) -> tuple[float, ...]:
    """Round numbers from ``low`` to ``high``, about ``wanted`` of them.

    >>> ticks_between(0.0, 0.37)
    (0.0, 0.1, 0.2, 0.3)
    """
    rough = max(high - low, 1e-9) / wanted
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return tuple(round(k * step, 10) for k in range(first, last + 1))


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a plot.

    Attributes:
        label: what it shows, with the unit.
        low: value at its beginning.
        high: value at its end, above ``low``.
        ticks: values that are written.
        write: how a tick is written.
        root: whether distances are of square roots, which gives small shares room.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    write: Callable[[float], str] = number
    root: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, kept between 0 and 1."""
        place = min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)
        return math.sqrt(place) if self.root else place


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot's axes in pixels; marks are made in the axes' own values.

    Attributes:
        title: what the plot shows, for those who do not see it.
        x: the axis to the right.
        y: the axis upwards.
        width: of the whole plot.
        height: of the whole plot.
    """

    title: str
    x: Axis
    y: Axis
    width: float = 480
    height: float = 400

    left = 52.0
    right = 18.0
    top = 12.0
    bottom = 44.0

    def across(self, value: float) -> float:
        """Pixel of a value of the x axis, kept inside the frame."""
        return self.left + self.x.share(value) * (self.width - self.left - self.right)

    def up(self, value: float) -> float:
        """Pixel of a value of the y axis, kept inside the frame."""
        bottom = self.height - self.bottom
        return bottom - self.y.share(value) * (bottom - self.top)

    def line(self, points: Iterable[tuple[float, float]], kind: str) -> str:
        """A line through points."""
        path = " ".join(f"{number(self.across(x))},{number(self.up(y))}" for x, y in points)
        return f'<polyline class="{kind}" points="{path}"/>'

    def area(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        """The area under a line, down to the lowest value."""
        base = self.y.low
        outline = [(points[0][0], base), *points, (points[-1][0], base)]
        path = " ".join(f"{number(self.across(x))},{number(self.up(y))}" for x, y in outline)
        return f'<polygon class="{kind}" points="{path}"/>'

    def dot(self, x: float, y: float, kind: str, note: str) -> str:
        """A point with a note that shows under the mouse."""
        return (
            f'<circle class="{kind}" cx="{number(self.across(x))}" cy="{number(self.up(y))}" '
            f'r="4.5"><title>{escape(note)}</title></circle>'
        )

    def whisker(self, x: float, low: float, high: float, kind: str) -> str:
        """A vertical range."""
        across = number(self.across(x))
        return (
            f'<line class="{kind}" x1="{across}" x2="{across}" '
            f'y1="{number(self.up(low))}" y2="{number(self.up(high))}"/>'
        )

    def draw(self, marks: Iterable[str]) -> Markup:
        """The whole plot."""
        bottom, end = self.height - self.bottom, self.width - self.right
        parts = []
        for tick in self.y.ticks:
            at = number(self.up(tick))
            parts.append(f'<line class="grid" x1="{self.left}" x2="{end}" y1="{at}" y2="{at}"/>')
            parts.append(
                f'<text class="tick" x="{self.left - 7}" y="{at}" dy=".32em" text-anchor="end">'
                f"{escape(self.y.write(tick))}</text>"
            )
        for tick in self.x.ticks:
            at = number(self.across(tick))
            parts.append(
                f'<line class="tickmark" x1="{at}" x2="{at}" y1="{bottom}" y2="{bottom + 4}"/>'
                f'<text class="tick" x="{at}" y="{bottom + 17}" text-anchor="middle">'
                f"{escape(self.x.write(tick))}</text>"
            )
        parts.append(
            f'<line class="base" x1="{self.left}" x2="{end}" y1="{bottom}" y2="{bottom}"/>'
        )
        parts += marks
        parts.append(
            f'<text class="axis" x="{(self.left + end) / 2}" y="{self.height - 6}" '
            f'text-anchor="middle">{escape(self.x.label)}</text>'
            f'<text class="axis" transform="translate(13 {(self.top + bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )
        return Markup(  # noqa: S704 - every text above went through escape, the rest are numbers
            f'<svg viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(self.title)}">{"".join(parts)}</svg>'
        )
