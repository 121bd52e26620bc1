"""A reference population gives back what a model of it must find."""

from __future__ import annotations

import numpy as np
import pytest

from fedcredit.data.columns import Categorical, Numeric
from fedcredit.data.planted.effects import Cohort, Levels, Outcome
from fedcredit.data.planted.reference import Reference, to_cells
from fedcredit.data.schema import Label, Schema
from fedcredit.units import Floats

SCHEMA = Schema(
    name="tiny",
    version=1,
    description="Two columns.",
    columns=(
        Numeric("late", "count", 0, 3, step=1, special=(-7,)),
        Categorical("kind", ("a", "b")),
        Categorical("sex", ("F", "M"), protected=True),
    ),
    label=Label("bad", ("0",), ("1",), "bad", 12),
)
NO_EFFECT = Levels("kind", ("a", "b"), (0.0, 0.0), low=("a",), high=("b",))
OUTCOME = Outcome((NO_EFFECT,), 0.0, 1.0, (), (), 99, 0.0, ())
LATE = np.tile([0.0, 1.0, 2.0, 3.0, np.nan, -7.0], 2)
KIND = np.repeat(["a", "b"], 6)


def population(bad_probability: Floats) -> Reference:
    """One record for each pair of values."""
    columns = {"late": LATE, "kind": KIND, "sex": np.repeat(["M"], 12)}
    nothing = np.zeros(12)
    return Reference(
        schema=SCHEMA,
        outcome=OUTCOME,
        cohort=Cohort(columns, nothing > 0, nothing.astype(np.int64), nothing),
        cells=to_cells(SCHEMA, columns),
        bad_probability=bad_probability,
        institutions=("one",),
        institution=nothing.astype(np.int64),
    )


def test_a_table_falls_into_the_cells_of_its_schema() -> None:
    """Ordered cells, missing, special codes; a protected column is no feature."""
    cells = population(np.full(12, 0.1)).cells
    assert cells.tolist() == [[0, 1, 2, 3, 4, 5] * 2, [0] * 6 + [1] * 6]
    assert cells.flags.c_contiguous


def test_masses_are_expected_counts() -> None:
    probability = np.linspace(0.1, 0.65, 12)
    known = population(probability)
    masses = known.masses("kind")
    assert masses[0] == pytest.approx([6 - probability[:6].sum(), probability[:6].sum()])
    assert masses[2:].tolist() == [[0, 0], [0, 0]]  # other, missing
    some = known.masses("late", among=np.arange(12) < 6)
    assert some[3] == pytest.approx([1 - probability[3], probability[3]])


def test_woe_is_of_the_bins_that_are_asked_for() -> None:
    """A bin that nobody falls into says nothing."""
    probability = np.where(KIND == "a", 0.5, 0.2)
    known = population(probability)
    woe = known.woe("kind", np.array([0, 1, 2, 2], dtype=np.uint8))
    base = np.log((12 - probability.sum()) / probability.sum())
    assert woe == pytest.approx([0 - base, np.log(4) - base, 0.0])
    assert known.woe("kind", np.zeros(4, dtype=np.uint8)).tolist() == [0.0]


def test_a_logistic_population_gives_back_its_coefficients() -> None:
    """Where the model is true, the limit of its fit is the truth itself."""
    of_cell = [np.array([0.3, 0.1, -0.4, -1.0, 0.2, 0.5]), np.array([0.7, -0.2, 0.0, 0.0])]
    planted = np.array([1.5, -0.5, 2.0])
    late, kind = (of_cell[at][cells] for at, cells in enumerate(population(np.zeros(12)).cells))
    good = 1 / (1 + np.exp(-(planted[0] * late + planted[1] * kind + planted[2])))
    assert population(1 - good).coefficients(of_cell) == pytest.approx(planted, abs=1e-6)
