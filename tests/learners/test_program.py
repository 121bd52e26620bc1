"""What every learner promises: a frozen program that knows its price and its order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.codec import decode
from fedcredit.errors import LocalError
from fedcredit.learners.program import (
    FINEST,
    MOST_NOISE,
    Learner,
    NoisyTotal,
    Program,
    grid_steps,
    unfinished,
)
from fedcredit.learners.registry import LEARNERS
from fedcredit.models.queries import encode_query
from fedcredit.models.released import from_wire, to_wire
from tests.learners.studies import (
    DIRECTED,
    SEED,
    Told,
    bytes_of,
    fingerprint,
    noise_of,
    replay,
    table,
    told,
)

RECORDS = table(1, 1500)
NAMES = [learner.name for learner in LEARNERS]
EPSILON = 8.0


@pytest.fixture(scope="module")
def studies() -> dict[str, Told]:
    """A study of every learner."""
    return {learner.name: told(learner, RECORDS, EPSILON) for learner in LEARNERS}


@pytest.mark.parametrize("learner", LEARNERS, ids=NAMES)
def test_the_shares_of_a_program_are_exactly_all_of_the_budget(learner: Learner) -> None:
    """In fractions, so that no rounding hides a share too many."""
    assert sum((step.share for step in learner.steps), Fraction(0)) == 1
    assert all(step.share > 0 for step in learner.steps)


@pytest.mark.parametrize(
    ("name", "rounds"),
    [("scorecard", 4), ("additive", 8), ("boosting", 9), ("neural", 9), ("monotone", 9)],
)
def test_a_learner_has_its_number_of_rounds(name: str, rounds: int) -> None:
    (learner,) = (one for one in LEARNERS if one.name == name)

    assert len(learner.steps) == rounds


@pytest.mark.parametrize("name", NAMES)
def test_each_step_names_the_question_that_it_asks(name: str, studies: dict[str, Told]) -> None:
    """A plan is drawn up from the names before anything runs."""
    (learner,) = (one for one in LEARNERS if one.name == name)
    *asking, last = studies[name].programs

    assert [program.query().kind for program in asking] == [step.name for step in learner.steps]
    assert all(program.query().part == "train" for program in asking)
    with pytest.raises(LocalError, match="out of order"):
        last.query()


@pytest.mark.parametrize("name", NAMES)
def test_there_is_no_model_before_the_last_answer(name: str, studies: dict[str, Told]) -> None:
    *asking, last = studies[name].programs

    for program in asking:
        with pytest.raises(LocalError, match="out of order"):
            program.model()
    assert last.model().kind == name


@pytest.mark.parametrize("name", NAMES)
def test_nothing_more_can_be_folded_in_after_the_last_answer(
    name: str, studies: dict[str, Told]
) -> None:
    study = studies[name]

    with pytest.raises(LocalError, match="out of order"):
        study.programs[-1].fold(study.totals[-1])


@pytest.mark.parametrize("name", NAMES)
def test_folding_leaves_a_program_as_it_was(name: str, studies: dict[str, Told]) -> None:
    """Every array that it holds, to the bit; so a round may be folded once more after a crash."""
    study = studies[name]

    for program, total in zip(study.programs, study.totals, strict=False):
        before, asked = fingerprint(program), encode_query(program.query())
        one, other = program.fold(total), program.fold(total)
        assert fingerprint(one) == fingerprint(other)
        assert fingerprint(program) == before
        assert encode_query(program.query()) == asked
        assert fingerprint(one) != before


@pytest.mark.parametrize("name", NAMES)
def test_a_model_follows_from_the_noisy_totals_alone(name: str, studies: dict[str, Told]) -> None:
    """So records that give the same noisy totals give the same model, and no true number of
    records, or anything else of theirs, is in it."""
    (learner,) = (one for one in LEARNERS if one.name == name)
    study = studies[name]
    copied = tuple(NoisyTotal(one.value.copy(), one.variance) for one in study.totals)

    found = replay(learner, DIRECTED, noise_of(learner, EPSILON), copied)

    assert bytes_of(found) == bytes_of(study.model)


@pytest.mark.parametrize("name", NAMES)
def test_the_public_seed_decides_all_that_is_drawn(name: str, studies: dict[str, Told]) -> None:
    (learner,) = (one for one in LEARNERS if one.name == name)
    again = told(learner, RECORDS, EPSILON)
    other = told(learner, RECORDS, EPSILON, public=SEED[::-1])

    assert bytes_of(again.model) == bytes_of(studies[name].model)
    assert bytes_of(other.model) != bytes_of(studies[name].model)
    # The first question follows from the schema alone, and so does all of its answer.
    assert other.totals[0].value.tolist() == again.totals[0].value.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_a_learned_model_survives_the_wire(name: str, studies: dict[str, Told]) -> None:
    model = studies[name].model

    assert bytes_of(from_wire(decode(bytes_of(model)))) == bytes_of(model)
    assert model.schema_digest == DIRECTED.digest()
    assert to_wire(model)["kind"] == name


@pytest.mark.parametrize("name", NAMES)
def test_learners_and_programs_are_what_the_port_says(name: str, studies: dict[str, Told]) -> None:
    (learner,) = (one for one in LEARNERS if one.name == name)

    assert isinstance(learner, Learner)
    assert all(isinstance(program, Program) for program in studies[name].programs)


@given(noise=st.floats(1e-3, 1e9), degree=st.integers(1, 2))
def test_a_grid_is_as_fine_as_its_noise_can_be_drawn(noise: float, degree: int) -> None:
    """The noise in grid steps stays below the most that is drawn, and a finer grid would not."""
    steps = grid_steps(noise, degree)

    assert 1 <= steps <= FINEST
    assert steps == 1 or noise * steps**degree <= MOST_NOISE * (1 + 1e-9)
    assert steps == FINEST or noise * (steps + 1) ** degree > MOST_NOISE * (1 - 1e-9)


def test_a_totals_noise_has_an_sd() -> None:
    assert NoisyTotal(np.zeros(3, dtype=np.int64), 49).sd == 7.0


def test_the_error_for_a_wrong_order_says_what_to_do() -> None:
    assert "ask for one query a step" in unfinished("a query").remedy
