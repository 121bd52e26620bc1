"""The plan: what everybody agrees to before anything is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.schema import RECORDS_OF
from fedcredit.errors import ConfigError, FedCreditError, SchemaError
from fedcredit.federation.plan import (
    MOST_INSTITUTIONS,
    Round,
    StudyPlan,
    alone,
    default_colluders,
    default_threshold,
)
from fedcredit.privacy.accounting import rho, rho_for, rho_local
from fedcredit.privacy.events import Part
from fedcredit.secagg.ring import noise_reach
from fedcredit.units import InstitutionId, NanoRho
from tests.federation.made import NAMES, SCHEMA, plan


@dataclass(frozen=True)
class Question:
    """A question of any size."""

    part: Part
    dim: int
    sensitivity_squared: int


members = st.integers(3, 60).map(lambda n: [InstitutionId(f"bank-{at:03}") for at in range(n)])


def test_thresholds_are_those_of_the_design() -> None:
    """n, c, t, h as in the table that the noise is sized by."""
    rows = []
    for n in (3, 5, 6, 10, 20, 100, 200):
        c = default_colluders(n)
        t = default_threshold(n, c)
        rows.append((n, c, t, t - c))
    assert rows == [
        (3, 1, 3, 2),
        (5, 1, 4, 3),
        (6, 1, 5, 4),
        (10, 1, 8, 7),
        (20, 2, 16, 14),
        (100, 10, 80, 70),
        (200, 20, 160, 140),
    ]


@given(members=members, epsilon=st.floats(0.01, 8), noise=st.sampled_from(["distributed", "local"]))
def test_the_rounds_of_each_part_cost_what_epsilon_allows(
    members: list[InstitutionId], epsilon: float, noise: str
) -> None:
    """No more in any study; and no less than a round's rounding."""
    study = plan(members=members, epsilon=epsilon, noise=noise)
    allowed = rho_for(epsilon, study.delta)
    for part in ("train", "held-out"):
        spent = sum(one.rho for one in study.rounds if one.part == part)
        assert allowed - len(study.rounds) <= spent <= allowed


@given(
    members=members,
    epsilon=st.floats(0.05, 8),
    squared=st.integers(1, 2**40),
    index=st.integers(0, 2),
    noise=st.sampled_from(["distributed", "local"]),
)
def test_no_question_costs_more_than_its_round(
    members: list[InstitutionId], epsilon: float, squared: int, index: int, noise: str
) -> None:
    """Whatever its sensitivity: the institution computes the noise, the question cannot."""
    study = plan(members=members, epsilon=epsilon, noise=noise)
    allowed = study.rounds[index].rho
    try:
        event = study.event(index, Question("train", 5, squared))
    except FedCreditError:  # more noise than can be drawn: refused, not weakened
        return
    assert rho(event) <= allowed
    assert rho_local(event) <= study.honest * allowed
    assert event.honest == study.honest


@given(members=members, epsilon=st.floats(0.01, 8), index=st.integers(0, 3))
def test_the_dearest_event_costs_all_that_the_round_may(
    members: list[InstitutionId], epsilon: float, index: int
) -> None:
    """So what is admitted in advance covers whatever is asked later."""
    study = plan(members=members, epsilon=epsilon)
    event = study.dearest(index)
    assert rho(event) == study.rounds[index].rho
    assert rho_local(event) == study.honest * study.rounds[index].rho


def test_noise_levels_are_those_of_the_events() -> None:
    """What a learner chooses its grids by is what will be drawn."""
    study = plan()
    for index, level in enumerate(study.noise_levels):
        event = study.event(index, Question(study.rounds[index].part, 1, 10**6))
        drawn = math.sqrt(event.variance / event.sensitivity_squared)
        assert level == pytest.approx(drawn, rel=1e-5)


def test_local_noise_stands_alone() -> None:
    """Under local noise the claim rests on nobody else, at a larger variance."""
    masked, local = plan(), plan(noise="local")
    assert (masked.honest, local.honest) == (4, 1)
    question = Question("train", 1, 10**6)
    event = local.event(0, question)
    assert rho(event) == rho_local(event)
    assert event.variance == pytest.approx(4 * masked.event(0, question).variance, rel=1e-5)


def test_an_institution_may_train_alone_at_the_same_price() -> None:
    """The yardstick: the same rounds and epsilon, with nobody's help."""
    study = alone(plan(), NAMES[2])
    assert study.institutions == (NAMES[2],)
    assert study.rounds == plan().rounds
    assert study.honest == 1


@given(
    size=st.sampled_from(sorted(RECORDS_OF)),
    squared=st.integers(1, 2**52),
    variance=st.integers(16, 2**40),
)
def test_the_bound_on_a_number_is_public(size: str, squared: int, variance: int) -> None:
    """It follows from the declared size class and the sensitivity; no table is looked at.

    Four times the declared records fit, each of which moves one number as far as it can;
    and a thousand institutions with all their noise fit a ring of 64 bits.
    """
    study = replace(plan(), schema=replace(SCHEMA, size_class=size))
    event = replace(
        study.event(0, Question("train", 1, 1)), sensitivity_squared=squared, variance=variance
    )
    bound = study.bound(event)
    assert 1 <= bound <= 2**52
    assert bound == min(4 * RECORDS_OF[size] * math.isqrt(squared), 2**52)
    assert MOST_INSTITUTIONS * bound + noise_reach(MOST_INSTITUTIONS, variance) < 2**63


def test_a_larger_size_class_has_a_larger_bound() -> None:
    event = plan().event(0, Question("train", 1, 10**6))
    bounds = [
        replace(plan(), schema=replace(SCHEMA, size_class=size)).bound(event)
        for size in sorted(RECORDS_OF, key=RECORDS_OF.__getitem__)
    ]
    assert bounds == sorted(set(bounds))


OTHER: dict[str, object] = {
    "name": "other",
    "purpose": "another",
    "learner": "scorecard",
    "schema": replace(SCHEMA, version=2),
    "epsilon": 1.5,
    "delta": 1e-4,
    "noise": "local",
    "institutions": (*NAMES[:-1], InstitutionId("zebra")),
    "threshold": 6,
    "colluders": 2,
    "retries": 1,
    "deadline_s": 1.0,
    "salt": "ab" * 8,
    "seed": "ab" * 8,
    "rounds": plan().rounds[:-1],
}


@pytest.mark.parametrize("field", StudyPlan.__dataclass_fields__)
def test_every_field_is_in_the_digest(field: str) -> None:
    """Two parties with one digest have one plan."""
    other = replace(plan(), **{field: OTHER[field]})  # type: ignore[arg-type]
    assert other.digest() != plan().digest()
    assert plan().digest() == plan().digest()


@pytest.mark.parametrize(
    "change",
    [
        {"institutions": NAMES[:2], "threshold": 2},
        {"institutions": tuple(InstitutionId(f"b{at:04}") for at in range(1001))},
        {"institutions": NAMES[::-1]},
        {"institutions": (*NAMES[:-1], NAMES[0])},
        {"institutions": (*NAMES[:-1], InstitutionId("../up"))},
        {"threshold": 3},
        {"threshold": 7},
        {"colluders": 0},
        {"colluders": 4},
        {"noise": "none"},
        {"noise": "alone"},
        {"name": " "},
        {"purpose": "two\nlines"},
        {"salt": "short"},
        {"seed": "ABCDEF0123456789"},
        {"retries": -1},
        {"deadline_s": math.inf},
        {"deadline_s": 0.0},
        {"epsilon": 0.5},
        {"rounds": ()},
        {"rounds": (Round("only", "held-out", NanoRho(1)),)},
        {"rounds": (Round("free", "train", NanoRho(0)),)},
        {"rounds": plan().rounds[::-1]},
    ],
    ids=str,
)
def test_a_plan_that_cannot_keep_its_claim_is_refused(change: dict[str, object]) -> None:
    """With what was found and what to do about it."""
    with pytest.raises(ConfigError) as refusal:
        replace(plan(), **change)  # type: ignore[arg-type]
    assert refusal.value.remedy


def test_a_draft_schema_is_refused() -> None:
    """Bounds that came from data must be confirmed as public by a person first."""
    draft = replace(SCHEMA.columns[0], draft=True)
    with pytest.raises(SchemaError):
        replace(plan(), schema=replace(SCHEMA, columns=(draft, *SCHEMA.columns[1:])))
