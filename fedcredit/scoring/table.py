"""The points table: every bin of every variable, with the columns that credit people know.

Base points stand apart, so that base plus one row a variable is the applicant's score
before rounding. Counts are noisy, because they were released that way, and so is all
that follows from them. Missing values and special codes have rows of their own wherever
there were enough of them to tell; otherwise the label says which bin took them in.

Source: Siddiqi (2006), Credit Risk Scorecards, chapters 5 and 6.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

import numpy as np

from fedcredit.data.columns import Column, Numeric
from fedcredit.data.schema import Schema
from fedcredit.errors import IntegrityError
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.network import Network
from fedcredit.models.released import Model, scorecard_of
from fedcredit.models.trees import Boosted
from fedcredit.scoring.points import ScoreScale
from fedcredit.units import Floats

__all__ = [
    "BinKind",
    "PointsRow",
    "PointsTable",
    "additive_of",
    "check_layout",
    "joint_of",
    "points_table",
    "points_to_csv",
]

BinKind: TypeAlias = Literal["range", "category", "special", "missing"]
_LAST: Final[dict[BinKind, int]] = {"range": 0, "category": 0, "special": 1, "missing": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsRow:
    """One bin of one variable.

    Attributes:
        variable: the column.
        bin: what the bin holds, for people.
        kind: a range, some categories, special codes alone, or missing alone.
        count: noisy number of records.
        share: noisy share of all records.
        bad_rate: noisy share of bads among the bin's records.
        woe: weight of evidence, ln(share of goods / share of bads), smoothed.
        woe_se: its standard error, sampling and noise.
        iv: this bin's part of the variable's information value.
        variable_iv: the information value of the whole variable.
        coefficient: what the scorecard multiplies the variable's WoE by.
        coefficient_se: its standard error, sampling and noise.
        adjustment: log-odds that the additive model adds beside coefficient times WoE.
        points: factor * (coefficient * woe + adjustment), not rounded.
    """

    variable: str
    bin: str
    kind: BinKind
    count: float
    share: float
    bad_rate: float
    woe: float
    woe_se: float
    iv: float
    variable_iv: float
    coefficient: float
    coefficient_se: float
    adjustment: float
    points: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsTable:
    """All rows, the base points, and what the table leaves out.

    Attributes:
        base_points: the score, before rounding, of an applicant whose rows all add 0.
        rows: variables in the order of the data contract.
        joint: what reads several variables at once: "trees", "network", or "" for nothing.
        joint_lowest: fewest points that it could add; else 0.
        joint_highest: most points that it could add; else 0.
        note: what a reader must know about the table.
    """

    base_points: float
    rows: tuple[PointsRow, ...]
    joint: str
    joint_lowest: float
    joint_highest: float
    note: str

    def by_iv(self) -> tuple[str, ...]:
        """Variables from the most to the least informative."""
        values = {row.variable: row.variable_iv for row in self.rows}
        return tuple(sorted(values, key=lambda name: (-values[name], name)))


def points_table(model: Model, schema: Schema, scale: ScoreScale) -> PointsTable:
    """Lay a model out as points.

    Guarantee: for a scorecard or an additive model, base points plus the points of one
    row a variable are the applicant's score before rounding and clipping. For a boosted
    model or a network they are its additive part, and the note bounds what the rest adds.

    Args:
        model: a released model.
        schema: the data contract whose cells the model reads.
        scale: how log-odds become points.

    Returns:
        The table.

    Raises:
        IntegrityError: the model was made for another schema.
    """
    card = scorecard_of(model)
    check_layout(model, schema)
    additive = additive_of(model)
    shifts = (
        additive.shifts
        if isinstance(additive, Additive)
        else tuple(np.zeros_like(feature.woe) for feature in card.bins)
    )
    rows: list[PointsRow] = []
    errors = np.sqrt(np.diag(card.covariance))[:-1]  # the last is the intercept's
    for column, feature, beta, contribution, shift in zip(
        schema.features,
        card.bins,
        zip(card.coefficients.tolist(), errors.tolist(), strict=True),
        additive.contributions(),
        shifts,
        strict=True,
    ):
        rows += _rows(column, feature, beta, scale.factor * contribution, shift)
    lowest, highest = _joint_range(model, scale)
    return PointsTable(
        base_points=scale.offset + scale.factor * card.intercept,
        rows=tuple(rows),
        joint=joint_of(model),
        joint_lowest=lowest,
        joint_highest=highest,
        note=_note(model, lowest, highest),
    )


def additive_of(model: Model) -> Scorecard | Additive:
    """The part of a model that reads one variable at a time."""
    match model:
        case Boosted():
            return model.additive
        case Network():
            return model.scorecard
        case Scorecard() | Additive():
            return model


def check_layout(model: Model, schema: Schema) -> None:
    """Refuse a model whose features or cells are not those of ``schema``.

    Raises:
        IntegrityError: digest, names or numbers of cells differ.
    """
    card = scorecard_of(model)
    found = [(feature.name, feature.of_cell.size) for feature in card.bins]
    expected = [(column.name, column.cell_count) for column in schema.features]
    if card.schema_digest != schema.digest() or found != expected:
        raise IntegrityError(
            f"the model was made for another data contract than {schema.name!r} "
            f"version {schema.version}",
            remedy="use the model together with the schema it was trained on",
        )


def points_to_csv(table: PointsTable) -> str:
    """The table as CSV: base points first, then one line a bin; numbers in full.

    What trees or a network may add stands in a last line.
    """
    out = io.StringIO()
    names = [field.name for field in fields(PointsRow)]
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerow({"variable": "(base points)", "points": repr(table.base_points)})
    for row in table.rows:
        cells = {name: getattr(row, name) for name in names}
        writer.writerow({k: repr(v) if isinstance(v, float) else v for k, v in cells.items()})
    if table.joint:
        between = f"from {table.joint_lowest:.1f} to {table.joint_highest:.1f} points"
        writer.writerow({"variable": f"({table.joint})", "bin": between})
    return out.getvalue()


def _rows(
    column: Column,
    feature: FeatureBins,
    beta: tuple[float, float],
    points: Floats,
    shift: Floats,
) -> Iterator[PointsRow]:
    """One variable's rows: ranges or categories in rank order, then codes, then missing.

    ``beta`` is the coefficient with its standard error.
    """
    kinds = [_kind(column, feature, index) for index in range(len(feature.labels))]
    goods, bads = feature.class_shares()
    values = (goods - bads) * feature.woe
    share = feature.share
    for index in sorted(range(len(kinds)), key=lambda one: (_LAST[kinds[one]], one)):
        count = float(feature.goods[index] + feature.bads[index])
        yield PointsRow(
            variable=feature.name,
            bin=feature.labels[index],
            kind=kinds[index],
            count=count,
            share=float(share[index]),
            bad_rate=float(feature.bads[index]) / count if count else 0.0,
            woe=float(feature.woe[index]),
            woe_se=float(feature.woe_se[index]),
            iv=float(values[index]),
            variable_iv=feature.iv,
            coefficient=beta[0],
            coefficient_se=beta[1],
            adjustment=float(shift[index]),
            points=float(points[index]),
        )


def _kind(column: Column, feature: FeatureBins, index: int) -> BinKind:
    """What a bin holds, by its cells: codes or missing only when nothing else is in it."""
    cells = np.flatnonzero(feature.of_cell == index)
    if isinstance(column, Numeric):
        if bool((cells < column.ordered).any()):
            return "range"
    elif bool((cells != column.missing_cell).any()):
        return "category"
    return "special" if bool((cells != column.missing_cell).any()) else "missing"


def joint_of(model: Model) -> str:
    """What of a model reads several variables at once: "trees", "network", or ""."""
    if isinstance(model, Network):
        return "network"
    return "trees" if isinstance(model, Boosted) and model.leaf_values.size else ""


def _joint_range(model: Model, scale: ScoreScale) -> tuple[float, float]:
    """Fewest and most points that this could add, were every leaf and every bin reachable."""
    if isinstance(model, Network):
        lowest, highest = model.range()
    elif isinstance(model, Boosted) and model.leaf_values.size:
        lowest = float(model.leaf_values.min(axis=1).sum())
        highest = float(model.leaf_values.max(axis=1).sum())
    else:
        return 0.0, 0.0
    return scale.factor * lowest, scale.factor * highest


def _note(model: Model, lowest: float, highest: float) -> str:
    """What a reader must know about the table."""
    noisy = "Counts, shares and bad rates carry the noise of the private release."
    between = f"between {lowest:.0f} and {highest:.0f} points more, which no row shows."
    if isinstance(model, Network):
        return (
            f"{noisy} The rows are the scorecard that the model started from; its network of "
            f"{model.head.size} units reads several variables at once and adds {between} It keeps "
            + ("every declared direction." if model.monotone else "no declared direction.")
        )
    if isinstance(model, Boosted) and model.leaf_values.size:
        return (
            f"{noisy} The rows are the additive part of the model; its "
            f"{len(model.leaf_values)} trees read several variables at once and add {between}"
        )
    return (
        f"{noisy} Base points plus one row a variable give the score before it is rounded and "
        "clipped."
    )
