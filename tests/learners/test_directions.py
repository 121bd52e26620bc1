"""Declared directions hold for every pair of records, whatever the trees would rather do."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from fedcredit.data.schema import Schema
from fedcredit.data.synthetic import consortium, records_of
from fedcredit.learners.directions import isotonic, keep_directions
from fedcredit.learners.program import Learner
from fedcredit.learners.registry import LEARNERS, learner_named
from fedcredit.models.bins import Additive, FeatureBins, Scorecard
from fedcredit.models.released import Model
from fedcredit.models.trees import Boosted, Forest
from fedcredit.units import Bytes8, Floats, Ints
from tests.learners.studies import DIRECTED, cells_of, declaring, table, trained

SEEDS = st.integers(0, 2**32)
ROUNDING = 1e-9


@given(
    points=st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 100)), min_size=1, max_size=30),
    sign=st.sampled_from((1, -1)),
)
def test_isotonic_is_scikit_learns(points: list[tuple[float, float]], sign: int) -> None:
    values, weights = (np.array(column) for column in zip(*points, strict=True))
    oracle = IsotonicRegression(increasing=sign > 0)

    found = isotonic(values, weights, sign)

    expected = oracle.fit_transform(np.arange(values.size), values, sample_weight=weights)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@given(values=st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_isotonic_leaves_a_sequence_in_order_as_it_is(values: list[float]) -> None:
    rising = np.sort(values)
    ones = np.ones(rising.size)

    assert isotonic(rising, ones, +1).tolist() == rising.tolist()
    assert isotonic(rising[::-1], ones, -1).tolist() == rising[::-1].tolist()


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A model of any values, with declared directions."""

    model: Boosted
    ordered: tuple[Ints, ...]
    signs: tuple[int, ...]

    @property
    def kept(self) -> Boosted:
        return keep_directions(self.model, self.ordered, self.signs)

    def cells(self, rows: int) -> Bytes8:
        """Records: every cell is a bin of its own."""
        rng = np.random.default_rng(rows)
        sizes = [one.woe.size for one in self.model.scorecard.bins]
        return np.stack([rng.integers(0, size, rows) for size in sizes]).astype(np.uint8)


@st.composite
def drawn(draw: st.DrawFn, trees: int = 6) -> Drawn:
    """Features of 1 to 7 bins, some of them without order, and trees of any depth above 1."""
    rng = np.random.default_rng(draw(SEEDS))
    features = draw(st.integers(2, 5))
    sizes = [draw(st.integers(1, 7)) for _ in range(features)]
    signs = tuple(draw(st.sampled_from((-1, 0, 1))) for _ in range(features))
    bins = tuple(
        FeatureBins(
            f"f{at}",
            np.arange(size, dtype=np.uint8),
            ("",) * size,
            rng.uniform(1, 100, size),
            rng.uniform(1, 100, size),
            rng.normal(size=size),
            np.ones(size),
        )
        for at, size in enumerate(sizes)
    )
    ordered = tuple(
        np.sort(rng.choice(size, int(rng.integers(1 if sign else 0, size + 1)), replace=False))
        for size, sign in zip(sizes, signs, strict=True)
    )
    depth = draw(st.integers(2, features))
    count = draw(st.integers(0, trees))
    splits = [rng.choice(features, depth, replace=False) for _ in range(count)]
    forest = Forest(
        np.array(splits, dtype=np.int64).reshape(count, depth),
        rng.integers(-1, 8, (count, depth)),
    )
    card = Scorecard("", bins, rng.normal(size=features), 0.3, np.eye(features + 1))
    shifts = tuple(rng.normal(size=size) * rng.choice([0.0, 1.0, 5.0]) for size in sizes)
    leaves = rng.normal(size=(count, forest.leaves)) * rng.choice([0.1, 1.0, 10.0])
    return Drawn(Boosted(Additive(card, shifts), forest, leaves), ordered, signs)


def steps_of(model: Model, cells: Bytes8, feature: int, run: Ints) -> Floats:
    """How the log-odds of each record move from value to value of one feature."""
    odds = []
    for cell in run:
        moved = cells.copy()
        moved[feature] = cell
        odds.append(model.log_odds(moved))
    return np.diff(odds, axis=0)


@settings(max_examples=150)
@given(drawn())
def test_of_two_records_that_differ_in_a_directed_feature_the_better_is_no_worse(
    case: Drawn,
) -> None:
    """For each record, moved through all of the feature's ordered bins."""
    kept, cells = case.kept, case.cells(25)

    for feature, (run, sign) in enumerate(zip(case.ordered, case.signs, strict=True)):
        if sign:
            assert (sign * steps_of(kept, cells, feature, run) >= -ROUNDING).all()


@settings(max_examples=60)
@given(drawn())
def test_without_a_declared_direction_a_model_is_left_alone(case: Drawn) -> None:
    free = replace(case, signs=(0,) * len(case.signs))

    assert free.kept is case.model


@settings(max_examples=60)
@given(drawn())
def test_the_model_that_was_handed_in_is_not_written_to(case: Drawn) -> None:
    arrays = [*case.model.additive.shifts, case.model.leaf_values]
    before = [array.copy() for array in arrays]

    keep_directions(case.model, case.ordered, case.signs)

    assert all(map(np.array_equal, arrays, before))


@settings(max_examples=60)
@given(drawn())
def test_keeping_directions_twice_changes_nothing_more(case: Drawn) -> None:
    kept = case.kept
    again = keep_directions(kept, case.ordered, case.signs)
    cells = case.cells(25)

    np.testing.assert_allclose(again.log_odds(cells), kept.log_odds(cells), atol=1e-9)


@settings(max_examples=60)
@given(drawn())
def test_trees_that_rise_as_declared_lose_nothing(case: Drawn) -> None:
    """A main effect moves from a tree to the bins: the log-odds of every record stay."""
    leaves = np.zeros_like(case.model.leaf_values)
    shifts = [np.zeros(one.woe.size) for one in case.model.scorecard.bins]
    flat = replace(case.model.scorecard, coefficients=np.zeros(len(shifts)))
    for tree, splits in enumerate(case.model.forest.feature):
        for depth, feature in enumerate(splits):
            right = (np.arange(leaves.shape[1]) >> depth & 1).astype(bool)
            leaves[tree, right] += 0.5 * (case.signs[feature] or 1)
    # Where bins without order lie between the others, ranks are no longer a direction.
    ordered = tuple(np.arange(shift.size) for shift in shifts)
    model = Boosted(Additive(flat, tuple(shifts)), case.model.forest, leaves)
    cells = case.cells(40)

    kept = keep_directions(model, ordered, case.signs)

    np.testing.assert_allclose(kept.log_odds(cells), model.log_odds(cells), atol=1e-9)


def every_step_holds(model: Model, schema: Schema, records: Bytes8) -> float:
    """The worst step against a declared direction, over all ordered cells of all features."""
    worst = 0.0
    for feature, column in enumerate(schema.features):
        if column.sign:
            steps = steps_of(model, records, feature, np.arange(column.ordered))
            worst = min(worst, float((-column.sign * steps).min()))
    return worst


KEEPING = [learner for learner in LEARNERS if learner.name != "neural"]


def test_a_network_that_is_not_asked_to_keeps_no_direction() -> None:
    """The plain network bends as it likes: so the two tests below can fail."""
    records = table(3, 3000)
    model = trained(learner_named("neural"), records, 8.0)

    assert every_step_holds(model, DIRECTED, cells_of(records)[:, :200]) < -0.01


@pytest.mark.parametrize("learner", KEEPING, ids=lambda learner: learner.name)
@pytest.mark.parametrize("epsilon", [8.0, 1.0])
def test_a_released_model_keeps_every_direction_in_every_cell(
    learner: Learner, epsilon: float
) -> None:
    """From the study's own records, each moved through all cells of each directed feature."""
    records = table(3, 3000)
    model = trained(learner, records, epsilon)

    assert every_step_holds(model, DIRECTED, cells_of(records)[:, :200]) >= -ROUNDING


@pytest.mark.parametrize("learner", KEEPING, ids=lambda learner: learner.name)
def test_models_of_the_made_up_consortium_keep_every_direction_in_every_cell(
    learner: Learner,
) -> None:
    """Its contract declares most of its two dozen features; its tables have rare values."""
    drawn_up = consortium(11, scale=0.02)
    bank = drawn_up.institutions[0]
    records = records_of(bank, drawn_up.schema, b"public salt")
    model = trained(learner, records, 8.0)

    directed = [column for column in drawn_up.schema.features if column.sign]
    assert len(directed) > 10
    assert every_step_holds(model, drawn_up.schema, cells_of(records)[:, :40]) >= -ROUNDING


def test_a_model_without_its_directions_would_break_them() -> None:
    """Else the tests above would show nothing: labels here go against what is declared."""
    records = table(3, 3000)
    wrong = declaring(income="risk-up", late="risk-down")
    free = trained(LEARNERS[2], records, 8.0)

    assert every_step_holds(free, wrong, cells_of(records)[:, :50]) < -0.1


@pytest.mark.parametrize(("leaves", "expected"), [([-0.5, 0.5], 1.0), ([0.5, -0.5], 0.0)])
def test_a_tree_of_one_split_rises_as_it_did_and_falls_no_more(
    leaves: list[float], expected: float
) -> None:
    """The smallest tree there is: its table has one axis."""
    two = np.ones(2)
    bins = tuple(
        FeatureBins(name, np.arange(2, dtype=np.uint8), ("", ""), two, two, two, two)
        for name in "ab"
    )
    card = Scorecard("", bins, np.zeros(2), 0.0, np.eye(3))
    forest = Forest(np.array([[0]]), np.array([[0]]))
    model = Boosted(Additive(card, (np.zeros(2), np.zeros(2))), forest, np.array([leaves]))

    kept = keep_directions(model, (np.arange(2), np.arange(2)), (1, 0))

    low, high = kept.log_odds(np.array([[0, 1], [0, 0]], dtype=np.uint8))
    assert high - low == pytest.approx(expected)
