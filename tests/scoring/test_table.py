"""The points table adds up to the score, and says what it leaves out."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import IntegrityError
from fedcredit.models.network import Network
from fedcredit.models.released import scorecard_of
from fedcredit.models.trees import Boosted
from fedcredit.scoring.points import STANDARD_SCALE
from fedcredit.scoring.table import points_table, points_to_csv
from tests.scoring.made import KINDS, SCHEMA, cells, model


@pytest.mark.parametrize("kind", ["scorecard", "additive"])
@given(seed=st.integers(0, 1000))
def test_points_add_up_to_the_score(kind: str, seed: int) -> None:
    """Base points plus one row a variable are the score before rounding, for every applicant."""
    made, applicants = model(kind, seed), cells(40)
    table = points_table(made, SCHEMA, STANDARD_SCALE)
    points = {(row.variable, row.bin): row.points for row in table.rows}
    for applicant in applicants.T:
        total = table.base_points + sum(
            points[feature.name, feature.labels[feature.of_cell[cell]]]
            for feature, cell in zip(scorecard_of(made).bins, applicant, strict=True)
        )
        exact = STANDARD_SCALE.exact(made.log_odds(applicant[:, None]))
        assert total == pytest.approx(float(exact[0]), abs=1e-9)


def test_what_trees_add_lies_within_the_stated_range() -> None:
    """The note of a boosted model bounds the part that no row shows."""
    made = model("boosting")
    assert isinstance(made, Boosted)
    table = points_table(made, SCHEMA, STANDARD_SCALE)
    added = STANDARD_SCALE.factor * (made.log_odds(cells(500)) - made.additive.log_odds(cells(500)))
    assert table.joint_lowest - 1e-9 <= added.min() < added.max() <= table.joint_highest + 1e-9
    assert "2 trees" in table.note
    assert points_table(made.additive, SCHEMA, STANDARD_SCALE).rows == table.rows


def test_what_a_network_adds_lies_within_the_stated_range() -> None:
    """Its rows are the scorecard's own, and the note says what it does not promise."""
    made = model("neural")
    assert isinstance(made, Network)
    table = points_table(made, SCHEMA, STANDARD_SCALE)
    card = made.scorecard
    added = STANDARD_SCALE.factor * (made.log_odds(cells(500)) - card.log_odds(cells(500)))
    assert table.joint_lowest - 1e-9 <= added.min() < added.max() <= table.joint_highest + 1e-9
    assert "4 units" in table.note
    assert "no declared direction" in table.note
    assert (
        "every declared direction"
        in points_table(replace(made, monotone=True), SCHEMA, STANDARD_SCALE).note
    )
    assert points_table(card, SCHEMA, STANDARD_SCALE).rows == table.rows


@pytest.mark.parametrize("kind", KINDS)
def test_rows_follow_from_the_released_counts(kind: str) -> None:
    """Shares and information values add up over a variable; rates are of the row's own count."""
    table = points_table(model(kind), SCHEMA, STANDARD_SCALE)
    for name in ("income", "late", "home"):
        rows = [row for row in table.rows if row.variable == name]
        assert sum(row.share for row in rows) == pytest.approx(1)
        assert sum(row.iv for row in rows) == pytest.approx(rows[0].variable_iv)
        assert all(0 < row.bad_rate < 1 for row in rows)
    assert set(table.by_iv()) == {"income", "late", "home"}
    assert "age" not in table.by_iv(), "a protected column is never a feature"


def test_missing_and_codes_stand_apart_and_last() -> None:
    """A reader finds them where he looks for them."""
    rows = points_table(model("scorecard"), SCHEMA, STANDARD_SCALE).rows
    kinds = [(row.bin, row.kind) for row in rows if row.variable == "income"]
    assert kinds == [
        ("< 3000", "range"),
        ("[3000, 5000)", "range"),
        (">= 5000", "range"),
        ("code -9", "special"),
        ("missing", "missing"),
    ]
    assert {row.kind for row in rows if row.variable == "late"} == {"range"}
    assert {row.kind for row in rows if row.variable == "home"} == {"category"}


@pytest.mark.parametrize("kind", KINDS)
def test_csv_holds_every_number_in_full(kind: str) -> None:
    """A spreadsheet can recompute the score from the file alone."""
    table = points_table(model(kind), SCHEMA, STANDARD_SCALE)
    lines = list(csv.DictReader(io.StringIO(points_to_csv(table))))
    assert lines[0]["variable"] == "(base points)"
    assert float(lines[0]["points"]) == table.base_points
    read = [float(line["points"]) for line in lines[1 : 1 + len(table.rows)]]
    assert read == [row.points for row in table.rows]
    joint = {"boosting": "(trees)", "neural": "(network)"}
    assert lines[-1]["variable"] == joint.get(kind, table.rows[-1].variable)
    for line, row in zip(lines[1:], table.rows, strict=False):
        recomputed = float(line["coefficient"]) * float(line["woe"]) + float(line["adjustment"])
        assert STANDARD_SCALE.factor * recomputed == pytest.approx(row.points, abs=1e-9)


def test_another_contract_is_refused() -> None:
    """A model is never laid out with the labels of another schema."""
    with pytest.raises(IntegrityError, match="another data contract"):
        points_table(model("scorecard"), replace(SCHEMA, version=4), STANDARD_SCALE)


@pytest.mark.parametrize("kind", KINDS)
def test_noisy_counts_say_that_they_are_noisy(kind: str) -> None:
    assert "noise" in points_table(model(kind), SCHEMA, STANDARD_SCALE).note
