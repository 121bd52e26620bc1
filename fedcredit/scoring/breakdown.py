"""How one applicant's score adds up: base points, a row for each variable, and the rest."""

from __future__ import annotations

from dataclasses import dataclass

from fedcredit.errors import LocalError
from fedcredit.models.released import scorecard_of
from fedcredit.scoring.model import ReleasedModel
from fedcredit.scoring.points import tier_of
from fedcredit.scoring.table import additive_of, joint_of
from fedcredit.units import Bytes8

__all__ = ["Breakdown", "BreakdownRow", "breakdown"]


@dataclass(frozen=True, slots=True)
class BreakdownRow:
    """What one variable adds.

    Attributes:
        variable: the column.
        bin: the bin that the applicant falls into.
        points: what the bin adds, not rounded.
    """

    variable: str
    bin: str
    points: float


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A score and its parts; an applicant's own, so for him and his institution only.

    Attributes:
        score: as given: rounded and clipped.
        tier: its name.
        pd: probability of default.
        base_points: what everybody starts from.
        rows: one a variable, in the order of the data contract.
        joint: what reads several variables at once: "trees", "network", or "" for nothing.
        joint_points: points from it; else 0.
    """

    score: int
    tier: str
    pd: float
    base_points: float
    rows: tuple[BreakdownRow, ...]
    joint: str
    joint_points: float


def breakdown(released: ReleasedModel, cells: Bytes8) -> Breakdown:
    """Take one applicant's score apart.

    Guarantee: base points, rows and joint points add up to the score before rounding.

    Args:
        released: the model.
        cells: the applicant's cell of each feature, shape ``(F, 1)``.

    Returns:
        The score and its parts.

    Raises:
        LocalError: there is not exactly one applicant.
    """
    if cells.shape[1:] != (1,):
        raise LocalError(f"cells have shape {cells.shape}", remedy="give one applicant")
    model, scale = released.model, released.scale
    additive = additive_of(model)
    card = scorecard_of(model)
    places = [int(one.of_cell[cell]) for one, (cell,) in zip(card.bins, cells, strict=True)]
    parts = zip(card.bins, additive.contributions(), places, strict=True)
    scores = released.scores(cells)
    log_odds = float(model.log_odds(cells)[0])
    return Breakdown(
        score=int(scores.score[0]),
        tier=tier_of(int(scores.score[0])).name,
        pd=float(scores.pd[0]),
        base_points=scale.offset + scale.factor * card.intercept,
        rows=tuple(
            BreakdownRow(one.name, one.labels[at], scale.factor * float(part[at]))
            for one, part, at in parts
        ),
        joint=joint_of(model),
        joint_points=scale.factor * (log_odds - float(additive.log_odds(cells)[0])),
    )
