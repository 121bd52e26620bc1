"""Plots take whatever noise did to the counts, and show nothing that is not in them."""

from __future__ import annotations

import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from fedcredit.report.plots import calibration_plot, gain_plot, roc_plot, score_plot, woe_plot

counts = st.lists(st.floats(-50, 500), min_size=3, max_size=30)


def numbers_of(plot: Markup) -> list[float]:
    """Every coordinate of a plot, which must be well-formed and hold no NaN."""
    tree = ET.fromstring(str(plot))  # noqa: S314 - our own
    assert "nan" not in str(plot).lower()
    return [
        float(number)
        for element in tree.iter()
        for name, value in element.attrib.items()
        if name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "points", "width", "height")
        for number in re.findall(r"-?[\d.]+", value)
    ]


@given(goods=counts, bads=counts)
def test_a_roc_curve_never_runs_backwards(goods: list[float], bads: list[float]) -> None:
    """Negative noisy counts and all."""
    length = min(len(goods), len(bads))
    plot = str(roc_plot(goods[:length], bads[:length]))
    (path,) = re.findall(r'class="curve accent" points="([^"]*)"', plot)
    points = [tuple(map(float, pair.split(","))) for pair in path.split()]
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(points))
    assert points[0] != points[-1]


@given(
    shares=st.lists(st.tuples(st.floats(-0.1, 0.5), st.floats(-0.1, 0.5)), min_size=1, max_size=20)
)
def test_a_score_plot_takes_negative_shares(shares: list[tuple[float, float]]) -> None:
    columns = [
        {"low": 350.0 + 25 * k, "high": 375.0 + 25 * k, "goods": goods, "bads": bads}
        for k, (goods, bads) in enumerate(shares)
    ]
    assert min(numbers_of(score_plot(columns, [{"low": 350.0}, {"low": 400.0}]))) >= 0


@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "expected": st.floats(0, 1),
                "observed": st.floats(0, 1),
                "observed_se": st.floats(0, 3),
            }
        ),
        min_size=1,
        max_size=10,
    )
)
def test_a_calibration_plot_takes_any_spread(rows: list[dict[str, float]]) -> None:
    assert min(numbers_of(calibration_plot(rows))) >= 0


@given(pairs=st.lists(st.tuples(st.floats(0.3, 1), st.floats(0.3, 1)), min_size=1, max_size=12))
def test_a_gain_plot_has_two_dots_for_each(pairs: list[tuple[float, float]]) -> None:
    """Even where all figures are the same."""
    rows = [
        {"institution": f"<b>{k}</b>", "alone": alone, "together": together}
        for k, (alone, together) in enumerate(pairs)
    ]
    plot = gain_plot(rows)
    assert numbers_of(plot)
    assert str(plot).count("<circle") == 2 * len(pairs)
    assert "<b>" not in plot


@given(rows=st.lists(st.tuples(st.floats(-4, 4), st.floats(0, 2)), min_size=1, max_size=30))
def test_woe_bars_stay_in_the_picture(rows: list[tuple[float, float]]) -> None:
    bars = [{"bin": "<i>a bin with a long name</i>", "woe": woe, "woe_se": se} for woe, se in rows]
    plot = woe_plot(bars)
    assert all(-0.01 <= number <= 700 for number in numbers_of(plot))
    assert "<i>" not in plot


def test_a_plot_of_text_is_refused() -> None:
    with pytest.raises(TypeError, match="numbers"):
        woe_plot([{"bin": "a", "woe": "high", "woe_se": 0.1}])
