"""Declared directions, kept in the released model: for every record, not on average.

The bins' part of a directed feature is made monotone. Trees may bend the other way in
some corner, but never by more than the bins' part rises there: a tree's dependence on
directed features beyond their own main effect is shrunk until that holds.

Source: isotonic regression by pooling neighbours, Barlow et al. (1972).
"""

from __future__ import annotations

import numpy as np

from fedcredit.models.bins import Additive
from fedcredit.models.trees import Boosted, Forest
from fedcredit.units import Floats, Ints

__all__ = ["isotonic", "keep_directions"]


def isotonic(values: Floats, weights: Floats, sign: int) -> Floats:
    """Nearest weighted least-squares sequence that never falls (+1) or never rises (-1).

    >>> isotonic(np.array([1.0, 3.0, 2.0]), np.ones(3), +1).tolist()
    [1.0, 2.5, 2.5]
    """
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(sign * values, weights, strict=True):
        pool = (float(value), float(weight), 1)
        while pools and pools[-1][0] > pool[0]:
            v, w, k = pools.pop()
            heavy = w + pool[1]
            pool = ((v * w + pool[0] * pool[1]) / heavy, heavy, k + pool[2])
        pools.append(pool)
    return sign * np.repeat([v for v, _, _ in pools], [k for _, _, k in pools])


def keep_directions(model: Boosted, ordered: tuple[Ints, ...], signs: tuple[int, ...]) -> Boosted:
    """The model with every declared direction kept.

    Guarantee: of two records that differ in one directed feature alone, both with a value
    in its ordered bins, the one whose log-odds should be higher has log-odds no lower
    (up to the rounding of floating-point sums).

    Args:
        model: any model.
        ordered: ranks of each feature's bins that have a natural order, rising.
        signs: of good's log-odds along them, +1, -1 or 0.
    """
    if not any(signs):
        return model
    card, forest = model.scorecard, model.forest
    shifts = [shift.copy() for shift in model.additive.shifts]
    tables = [_table(values) for values in model.leaf_values]
    for tree, table in enumerate(tables):  # main effects of directed features go to their bins
        for level, (feature, cut) in enumerate(
            zip(forest.feature[tree], forest.threshold[tree], strict=True)
        ):
            if signs[feature]:
                right, left = _sides(table, level)
                rise = float((right - left).mean())
                right -= rise
                shifts[feature][cut + 1 :] += rise
    contributions = card.contributions()
    for feature, (run, sign) in enumerate(zip(ordered, signs, strict=True)):
        if sign:
            weights = (card.bins[feature].goods + card.bins[feature].bads)[run]
            part = contributions[feature][run]
            shifts[feature][run] = isotonic(part + shifts[feature][run], weights, sign) - part
    additive = Additive(card, tuple(shifts))
    for (feature, step), cuts in _cuts_by_step(forest, ordered, signs).items():
        run, sign = ordered[feature], signs[feature]
        part = additive.contributions()[feature]
        room = max(sign * float(part[run[step]] - part[run[step - 1]]), 0.0)
        falls = [float(np.min(sign * _rise(tables[tree], level))) for tree, level in cuts]
        need = -sum(min(fall, 0.0) for fall in falls)
        if need > room:
            for tree, level in cuts:
                _shrink(tables[tree], level, room / need)
    leaf_values = np.array([table.ravel() for table in tables]).reshape(model.leaf_values.shape)
    return Boosted(additive, forest, leaf_values)


def _cuts_by_step(
    forest: Forest, ordered: tuple[Ints, ...], signs: tuple[int, ...]
) -> dict[tuple[int, int], list[tuple[int, int]]]:
    """(tree, depth) of every cut, by the step of a directed feature's ordered bins it lies in."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for (tree, level), feature in np.ndenumerate(forest.feature):
        if signs[feature]:
            run, cut = ordered[feature], int(forest.threshold[tree, level])
            step = int(np.searchsorted(run, cut, side="right"))
            if 0 < step < len(run):  # else there is no ordered bin on one side
                found.setdefault((int(feature), step), []).append((tree, level))
    return found


def _shrink(table: Floats, level: int, part: float) -> None:
    """Shrink the differences along one depth; those along another never grow by it."""
    right, left = _sides(table, level)
    middle, half = (right + left) / 2, part * (right - left) / 2
    right[...], left[...] = middle + half, middle - half


def _rise(table: Floats, level: int) -> Floats:
    """How far the values rise across one depth's cut, in every corner of the others."""
    right, left = _sides(table, level)
    return np.asarray(right - left, dtype=np.float64)


def _table(values: Floats) -> Floats:
    """A tree's leaves as a table with one axis a depth; the last axis is depth 0."""
    depth = values.size.bit_length() - 1
    return values.copy().reshape((2,) * depth)


def _sides(table: Floats, level: int) -> tuple[Floats, Floats]:
    """Views of the leaves to the right and to the left of one depth's cut."""
    turned = np.moveaxis(table, table.ndim - 1 - level, 0)
    return turned[1:], turned[:1]  # slices, as a table of one axis has no smaller view
