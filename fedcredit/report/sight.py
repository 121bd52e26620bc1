"""What the coordinator of a study could see, in sentences, from public numbers alone."""

from __future__ import annotations

from collections.abc import Sequence

from fedcredit.federation.plan import StudyPlan
from fedcredit.privacy.events import GaussianSum

__all__ = ["view_of"]


def view_of(plan: StudyPlan, events: Sequence[GaussianSum]) -> tuple[str, ...]:
    """Say what reached the coordinator of a study, and what did not.

    Args:
        plan: of the study.
        events: one for every attempt at a round.

    Returns:
        A sentence each.
    """
    numbers = sum(event.dim for event in events)
    t, c = plan.threshold, plan.colluders
    others = "one institution" if c == 1 else f"{c} institutions"
    return (
        f"{len(events)} totals of {numbers:,} numbers in all, each over {t} or more, with noise",
        f"from each institution a masked vector a total: random to holders of under {t} shares",
        "who took part, and when",
        f"not seen: a row, a count, a metric; nor, with {others}, a sum of under {t - c} others",
    )
