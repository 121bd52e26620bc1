"""The plots of a report, each from the numbers that stand in the JSON record.

Noisy counts may be negative; only for drawing are they cut off at 0, and curves are kept
from running backwards. Every figure that is printed comes from the counts as released.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from markupsafe import Markup, escape

from fedcredit.report.svg import Axis, Frame, number, percent, ticks_between

__all__ = ["budget_bar", "calibration_plot", "gain_plot", "roc_plot", "score_plot", "woe_plot"]

_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_RATES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


def roc_plot(goods: Sequence[float], bads: Sequence[float]) -> Markup:
    """Share of bads found against share of goods turned away, over all cut-offs.

    Args:
        goods: noisy counts from the riskiest bin on.
        bads: the same of bads.
    """
    frame = Frame(
        "ROC curve from the noisy score histograms",
        Axis("goods below the cut-off", 0, 1, _SHARES, percent),
        Axis("bads below the cut-off", 0, 1, _SHARES, percent),
    )
    points = [(0.0, 0.0), *zip(_rising(goods), _rising(bads), strict=True), (1.0, 1.0)]
    return frame.draw(
        [
            frame.area(points, "fill accent"),
            frame.line([(0, 0), (1, 1)], "guide"),
            frame.line(points, "curve accent"),
        ]
    )


def score_plot(
    columns: Sequence[Mapping[str, float]], tiers: Iterable[Mapping[str, float]]
) -> Markup:
    """How goods and bads are spread over the scores.

    Args:
        columns: ``low`` and ``high`` score, ``goods`` and ``bads`` as shares of their class.
        tiers: ``low`` of each tier, for the dividing lines.
    """
    first, last = columns[0]["low"], columns[-1]["high"]
    top = max(max(one["goods"], one["bads"], 0.0) for one in columns) * 1.08 or 1.0
    frame = Frame(
        "Scores of goods and of bads",
        Axis("score", first, last, ticks_between(first, last, 7)),
        Axis("share of the class", 0, top, ticks_between(0, top, 4), percent),
        width=980,
        height=340,
    )
    marks = [
        frame.whisker(tier["low"], 0, top, "guide") for tier in tiers if first < tier["low"] < last
    ]
    for name in ("goods", "bads"):
        steps = [(x, max(one[name], 0.0)) for one in columns for x in (one["low"], one["high"])]
        marks += [frame.area(steps, f"fill {name}"), frame.line(steps, f"curve {name}")]
    return frame.draw(marks)


def calibration_plot(rows: Sequence[Mapping[str, float]]) -> Markup:
    """Expected against observed share of bads, by tenth of the records.

    Args:
        rows: ``expected``, ``observed`` and ``observed_se``; whiskers are two of the latter.
    """
    top = max(max(r["expected"], r["observed"] + 2 * r["observed_se"]) for r in rows)
    top = min(max(1.06 * top, 0.01), 1.0)
    ticks = tuple(tick for tick in _RATES if tick <= top)
    frame = Frame(
        "Calibration: expected and observed share of bads",
        Axis("expected by the model", 0, top, ticks, percent, root=True),
        Axis("observed", 0, top, ticks, percent, root=True),
    )
    marks = [frame.line([(0, 0), (top, top)], "guide")]
    for row in rows:
        low, high = (row["observed"] + k * row["observed_se"] for k in (-2, 2))
        note = f"expected {row['expected']:.1%}, observed {row['observed']:.1%}"
        marks.append(frame.whisker(row["expected"], max(low, 0.0), high, "whisker"))
        marks.append(frame.dot(row["expected"], row["observed"], "dot accent", note))
    return frame.draw(marks)


def gain_plot(rows: Sequence[Mapping[str, object]]) -> Markup:
    """Each institution's AUC alone and together, as two dots on a line.

    Args:
        rows: ``institution``, ``alone`` and ``together``.
    """
    pairs = [(str(r["institution"]), _float(r["alone"]), _float(r["together"])) for r in rows]
    values = [value for _, *both in pairs for value in both]
    low, high = min(values), max(values)
    low, high = low - 0.05 * (high - low) - 0.005, high + 0.05 * (high - low) + 0.005
    left, width, row_height = 150.0, 760.0, 34.0
    height = row_height * len(pairs) + 44

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - 24)

    parts = []
    for tick in ticks_between(low, high, 6):
        at = number(across(tick))
        parts.append(
            f'<line class="grid" x1="{at}" x2="{at}" y1="6" y2="{height - 38}"/>'
            f'<text class="tick" x="{at}" y="{height - 22}" text-anchor="middle">{tick:.3g}</text>'
        )
    for index, (name, alone, together) in enumerate(pairs):
        y = row_height * index + 24
        kind = "gain" if together >= alone else "loss"
        parts.append(
            f'<text class="name" x="{left - 14}" y="{y}" dy=".32em" text-anchor="end">'
            f"{escape(name)}</text>"
            f'<line class="{kind}" x1="{number(across(alone))}" x2="{number(across(together))}" '
            f'y1="{y}" y2="{y}"/>'
            f'<circle class="dot muted" cx="{number(across(alone))}" cy="{y}" r="5">'
            f"<title>alone {alone:.3f}</title></circle>"
            f'<circle class="dot accent" cx="{number(across(together))}" cy="{y}" r="6">'
            f"<title>together {together:.3f}</title></circle>"
        )
    parts.append(
        f'<text class="axis" x="{(left + width) / 2}" y="{height - 4}" text-anchor="middle">'
        "AUC on the institution's own held-out records</text>"
    )
    return _svg("AUC alone and together", width, height, parts)


def woe_plot(rows: Sequence[Mapping[str, object]]) -> Markup:
    """One variable's WoE by bin, as bars to both sides of 0 with two standard errors.

    Args:
        rows: ``bin``, ``woe`` and ``woe_se``.
    """
    bars = [(str(row["bin"]), _float(row["woe"]), _float(row["woe_se"])) for row in rows]
    reach = max(0.1, *(abs(woe) + 2 * se for _, woe, se in bars))
    left, width, bar = 150.0, 420.0, 19.0
    height = bar * len(bars) + 22
    middle, half = (left + width) / 2, (width - left) / 2 - 6

    def across(value: float) -> float:
        return middle + value / reach * half

    parts = [
        f'<line class="base" x1="{middle}" x2="{middle}" y1="2" y2="{height - 18}"/>',
        *(
            f'<text class="tick" x="{number(across(at))}" y="{height - 4}" text-anchor="middle">'
            f"{number(at)}</text>"
            for at in ticks_between(-reach, reach, 4)
        ),
    ]
    for index, (label, woe, se) in enumerate(bars):
        y = bar * index + 3
        start, length = min(middle, across(woe)), abs(across(woe) - middle)
        kind = "goods" if woe >= 0 else "bads"
        parts.append(
            f'<text class="bin" x="{left - 8}" y="{y + bar / 2 - 1}" dy=".32em" '
            f'text-anchor="end">{escape(_short(label))}<title>{escape(label)}</title></text>'
            f'<rect class="bar {kind}" x="{number(start)}" y="{y}" width="{number(length)}" '
            f'height="{bar - 5}" rx="2"><title>{escape(label)}: {woe:+.2f}</title></rect>'
            f'<line class="whisker" x1="{number(across(woe - 2 * se))}" '
            f'x2="{number(across(woe + 2 * se))}" y1="{y + bar / 2 - 2.5}" '
            f'y2="{y + bar / 2 - 2.5}"/>'
        )
    return _svg("Weight of evidence by bin", width, height, parts)


def budget_bar(share: float, label: str) -> Markup:
    """How much of a cap is spent, as a bar that is full at the cap.

    Args:
        share: spent part of the cap, 0 or above; above 1 the bar is full and of another colour.
        label: the same in words, for those who do not see it.
    """
    kind = "bads" if share > 1 else "accent"
    width = number(100 * min(max(share, 0.0), 1.0))
    parts = (
        '<rect class="rail" x="0" y="1" width="100" height="8" rx="2"/>',
        f'<rect class="bar {kind}" x="0" y="1" width="{width}" height="8" rx="2"/>',
    )
    return _svg(label, 100, 10, parts)


def _rising(counts: Sequence[float]) -> list[float]:
    """Cumulative shares that never fall and end at 1, for drawing."""
    sums = list(accumulate(accumulate(counts), max, initial=0.0))[1:]
    total = sums[-1] or 1.0
    return [value / total for value in sums]


def _svg(title: str, width: float, height: float, parts: Iterable[str]) -> Markup:
    """A drawing of finished parts."""
    return Markup(  # noqa: S704 - every text in the parts went through escape
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _short(label: str) -> str:
    """A bin's label, cut where it would leave its place."""
    return label if len(label) <= 22 else f"{label[:20]}…"


def _float(value: object) -> float:
    """A number of the record."""
    if not isinstance(value, int | float):
        raise TypeError("a plot needs numbers")
    return float(value)
