"""The plan: what everybody agrees to before anything is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.data.schema import RECORDS_OF
from fedcredit.errors import ConfigError, FedCreditError, PrivacyError, SchemaError
from fedcredit.federation.plan import (
    MOST_INSTITUTIONS,
    Round,
    StudyPlan,
    alone,
    default_colluders,
    default_threshold,
    shared_rho,
)
from fedcredit.federation.plan_json import plan_from_json, plan_to_json
from fedcredit.federation.study import Study, draw_up
from fedcredit.learners.program import Step
from fedcredit.privacy.accounting import claims, rho, rho_for, rho_local
from fedcredit.privacy.events import RATE_ONE, Part, SampledGaussianSum
from fedcredit.privacy.renyi import renyi
from fedcredit.secagg.ring import noise_reach
from fedcredit.units import InstitutionId, NanoRho
from tests.federation.made import NAMES, SCHEMA, CountingLearner, plan


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


# Rounds over samples.

Q = RATE_ONE // 10


def sampled(epsilon: float = 1.0, rate: int = Q, noise: str = "distributed") -> StudyPlan:
    """Three rounds, the second and third of them over samples."""
    base = plan(epsilon=epsilon, noise=noise)
    total = shared_rho(epsilon, base.delta, sampled=True)
    first, second, third, last = base.rounds
    share = NanoRho(total // 3)
    rounds = (
        replace(first, rho=share),
        *(replace(one, rho=share, rate=rate) for one in (second, third)),
        replace(last, rho=total),
    )
    return replace(base, rounds=rounds)


def test_a_plan_without_rates_is_named_as_before_there_were_any() -> None:
    """Signed plans keep their bytes: these two were written by a version that knew no rates."""
    digest = "f3f5867c560020d32a655e9595423de2ce32a72799912e79a9057a8a85aad7ba"
    assert plan().digest().hex() == digest
    text = "83bf28a4e0272dbc6d3ec73641e2c35c7513a7adaa247f84f5469cb9f1edc2d8"
    assert sha256(plan_to_json(plan()).encode()).hexdigest() == text
    assert all("rate" not in one.table() for one in plan().rounds)


def test_a_rate_is_in_the_digest_and_in_the_text() -> None:
    study = sampled()
    other = replace(study, rounds=sampled(rate=Q - 1).rounds)
    assert study.digest() != other.digest()
    assert plan_from_json(plan_to_json(study), "plan.json", SCHEMA) == study


@pytest.mark.parametrize(
    "rate", [0, -1, RATE_ONE, RATE_ONE + 1, 2**30, 0.5, 1.5, math.nan, math.inf, True, "1/2"]
)
def test_a_rate_of_none_of_all_or_of_no_exact_number_is_refused(rate: int) -> None:
    """Above all records there is no probability; all records are a round without a rate."""
    with pytest.raises(PrivacyError, match="rate"):
        Round("step", "train", NanoRho(1000), rate)


@settings(max_examples=25, deadline=None)
@given(
    epsilon=st.sampled_from([0.1, 0.5, 1.0, 3.0, 8.0]),
    rate=st.sampled_from([RATE_ONE // 1000, Q, RATE_ONE // 2, RATE_ONE - 1]),
    squared=st.integers(2**4, 2**40),
    noise=st.sampled_from(["distributed", "local"]),
)
def test_no_question_of_a_sampled_plan_costs_more_than_is_admitted_for_it(
    epsilon: float, rate: int, squared: int, noise: str
) -> None:
    """At any order, to a record or a person, whoever looks; and epsilon is the plan's."""
    study = sampled(epsilon, rate, noise)
    dearest = [study.dearest(index) for index in range(3)]
    claim = claims(dearest, study.delta, persons=())
    assert claim.epsilon <= epsilon
    assert claim.epsilon_local <= epsilon or study.honest > 1
    try:
        event = study.event(1, Question("train", 5, squared))
    except FedCreditError:  # more noise than can be drawn: refused, not weakened
        return
    assert isinstance(event, SampledGaussianSum)
    assert (event.rate, event.honest) == (rate, study.honest)
    for alone_ in (False, True):
        for m in (1, 3):
            ours = renyi(event, alone=alone_, persons=m)
            most = renyi(dearest[1], alone=alone_, persons=m)
            assert all(one <= other for one, other in zip(ours, most, strict=True))


def test_noise_levels_of_sampled_rounds_are_those_of_the_events() -> None:
    study = sampled()
    for index, level in enumerate(study.noise_levels):
        event = study.event(index, Question(study.rounds[index].part, 1, 10**6))
        drawn = math.sqrt(event.variance / event.sensitivity_squared)
        assert level == pytest.approx(drawn, rel=1e-5)
    assert study.noise_levels[1] < study.noise_levels[0] / 2


def test_a_sampled_plan_shares_out_a_little_less_than_its_epsilon_allows() -> None:
    total = rho_for(1.0, 1e-5)
    allowed = shared_rho(1.0, 1e-5, sampled=True)
    assert 0.999 * total < allowed < total == shared_rho(1.0, 1e-5, sampled=False)
    study = sampled()
    more = replace(study.rounds[0], rho=NanoRho(study.rounds[0].rho + 3))
    with pytest.raises(ConfigError, match="cost rho"):
        replace(study, rounds=(more, *study.rounds[1:]))


def test_a_study_is_drawn_up_with_the_rates_of_its_learner() -> None:
    steps = (Step("all", Fraction(1, 2)), Step("some", Fraction(1, 2), Q))
    learner = CountingLearner(steps=steps)
    made = Study(name="a", purpose="b", learner="counting", salt="00" * 16, seed="11" * 16)
    study = draw_up(made, learner, SCHEMA, NAMES)
    assert [one.rate for one in study.rounds] == [None, Q, None]
    assert study.samples
    assert not plan().samples
