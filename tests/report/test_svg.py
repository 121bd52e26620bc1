"""Axes have round ticks, and marks stay inside the frame."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fedcredit.report.svg import Axis, Frame, ticks_between

numbers = st.floats(-1e6, 1e6)


@given(low=numbers, span=st.floats(1e-3, 1e6), wanted=st.integers(2, 10))
def test_ticks_are_round_and_inside(low: float, span: float, wanted: int) -> None:
    """Not many more than wanted, evenly spaced."""
    ticks = ticks_between(low, low + span, wanted)
    assert len(ticks) <= wanted + 2
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
    steps = {round(b - a, 6) for a, b in pairwise(ticks)}
    assert len(steps) <= 1 or max(steps) - min(steps) < 1e-5 * span


@given(points=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20), root=st.booleans())
def test_marks_stay_inside_the_frame(points: list[tuple[float, float]], root: bool) -> None:
    """A value beyond an axis is drawn at its end, so nothing runs over the text beside it."""
    frame = Frame("t", Axis("x", 0, 1, (0, 1), root=root), Axis("y", 0, 1, (0, 1), root=root))
    for mark in (frame.line(points, "a"), frame.area(points, "a")):
        (path,) = re.findall(r'points="([^"]*)"', mark)
        for pair in path.split():
            x, y = map(float, pair.split(","))
            assert frame.left <= x <= frame.width - frame.right
            assert frame.top <= y <= frame.height - frame.bottom


@pytest.mark.parametrize("root", [False, True])
@given(one=st.floats(0, 1), other=st.floats(0, 1))
def test_larger_values_lie_further_along(root: bool, one: float, other: float) -> None:
    assume(other - one > 1e-9)
    axis = Axis("x", 0, 1, (), root=root)
    assert axis.share(one) < axis.share(other)
