"""A round of a plan as a turn of secure aggregation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.schema import RECORDS_OF
from fedcredit.errors import FedCreditError, PeerError, PrivacyError
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.turns import asked_of, session_of
from fedcredit.privacy.events import GaussianSum, Part, event_to_dict
from fedcredit.secagg.packages import (
    blind_digest,
)
from fedcredit.secagg.ring import RING_BITS, Ring, noise_reach
from fedcredit.secagg.session import Manifest, Session
from fedcredit.units import InstitutionId
from tests.federation.driven import asked
from tests.federation.made import NAMES, QUERY, SCHEMA, keys, plan, roster

PLAN = plan()


@dataclass(frozen=True)
class Question:
    """A question of any size."""

    part: Part
    dim: int
    sensitivity_squared: int


def test_a_session_is_the_plan_under_a_roster() -> None:
    found = session_of(PLAN, roster(PLAN))
    assert found.study == PLAN.digest()
    assert found.members == PLAN.institutions
    assert (found.threshold, found.colluders) == (PLAN.threshold, PLAN.colluders)
    assert found.roster == roster(PLAN)


def test_another_plan_or_another_roster_is_another_session() -> None:
    """Keys of one are of no use in the other."""
    larger = keys((*NAMES, InstitutionId("zebra")))[1]
    named = {
        session_of(PLAN, roster(PLAN)).digest(),
        session_of(PLAN, larger).digest(),
        session_of(plan(name="another"), roster(PLAN)).digest(),
        session_of(replace(PLAN, threshold=6), roster(PLAN)).digest(),
    }
    assert len(named) == 4


def test_a_plan_for_one_institution_has_no_session() -> None:
    """There is nobody to hide among."""
    study = alone(PLAN, NAMES[0])
    with pytest.raises(PrivacyError, match="alone"):
        session_of(study, roster(PLAN))


def test_an_institution_that_is_not_in_the_roster_has_no_session() -> None:
    with pytest.raises(PeerError, match="not in the roster"):
        session_of(PLAN, keys(NAMES[:-1])[1])


def test_both_sides_work_out_the_same_turn() -> None:
    """From the plan and the question alone."""
    assert asked(PLAN) == asked(PLAN)
    found = asked(PLAN, (1, 2))
    assert found.turn == (1, 2)
    assert found.dim == QUERY.dim
    assert found.parameters == {
        "bound": PLAN.bound(PLAN.event(1, QUERY)),
        **event_to_dict(PLAN.event(1, QUERY)),
    }


@given(
    members=st.integers(3, 60),
    size=st.sampled_from(sorted(RECORDS_OF)),
    squared=st.integers(1, 2**52),
    epsilon=st.floats(0.05, 8),
)
def test_no_honest_sum_wraps(members: int, size: str, squared: int, epsilon: float) -> None:
    """Every number at its bound, and all the noise at twelve standard deviations."""
    names = [InstitutionId(f"bank-{at:03}") for at in range(members)]
    study = plan(members=names, epsilon=epsilon)
    study = replace(study, schema=replace(SCHEMA, size_class=size))
    try:
        event = study.event(0, Question("train", 3, squared))
    except FedCreditError:  # more noise than can be drawn
        return
    ring = asked_of(study, (0, 0), b"", event).ring
    most = members * study.bound(event) + noise_reach(members, event.variance)
    assert most <= ring.largest
    smaller = [bits for bits in RING_BITS if bits < ring.bits]
    assert not smaller or most > Ring(smaller[-1]).largest, "the smallest that is enough"


EVENT = PLAN.event(0, QUERY)
CHANGED: dict[str, tuple[StudyPlan, GaussianSum, bytes]] = {
    "round": (PLAN, replace(EVENT, name="counting/2 second"), b"question"),
    "variance": (PLAN, replace(EVENT, variance=EVENT.variance + 1), b"question"),
    "sensitivity": (PLAN, replace(EVENT, sensitivity_squared=4), b"question"),
    "honest": (PLAN, replace(EVENT, honest=3), b"question"),
    "dim": (PLAN, replace(EVENT, dim=EVENT.dim + 1), b"question"),
    "part": (PLAN, replace(EVENT, part="held-out"), b"question"),
    "question": (PLAN, EVENT, b"another"),
}


@pytest.mark.parametrize("change", CHANGED)
def test_every_number_is_in_the_context_of_the_masks(change: str) -> None:
    """Whoever holds another number derives other masks, and nothing can be opened."""

    def context(study: StudyPlan, event: GaussianSum, question: bytes) -> bytes:
        session: Session = session_of(study, roster(study))
        packages = tuple(blind_digest(name.encode()) for name in NAMES)
        turn = asked_of(study, (0, 0), question, event)
        manifest = Manifest(
            session=session.digest(), asked=turn, participants=NAMES, packages=packages
        )
        return manifest.context()

    assert context(*CHANGED[change]) != context(PLAN, EVENT, b"question")
