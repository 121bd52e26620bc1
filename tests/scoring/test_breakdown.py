"""An applicant can add up his own score."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import LocalError
from fedcredit.scoring.breakdown import breakdown
from fedcredit.scoring.points import TIERS
from tests.scoring.made import KINDS, cells, released


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 500))
def test_the_parts_add_up_to_the_score(kind: str, seed: int) -> None:
    """Base points, one row a variable and the rest: rounded, they are the score that is given."""
    model, applicant = released(kind, seed), cells(20, seed)[:, -1:]
    parts = breakdown(model, applicant)
    total = parts.base_points + sum(row.points for row in parts.rows) + parts.joint_points
    exact = float(model.scale.exact(model.model.log_odds(applicant))[0])
    assert total == pytest.approx(exact, abs=1e-9)
    given_score = model.scores(applicant)
    assert parts.score == given_score.score[0]
    assert parts.pd == given_score.pd[0]
    assert parts.tier == TIERS[given_score.tier[0]].name
    joint = {"boosting": "trees", "neural": "network"}
    assert parts.joint == joint.get(kind, "")
    assert (parts.joint_points == 0) == (kind not in joint)


def test_one_applicant_at_a_time() -> None:
    with pytest.raises(LocalError, match="shape"):
        breakdown(released("scorecard"), cells(2))
