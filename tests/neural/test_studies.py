"""Whole studies of networks: over secure aggregation, alone, and with a table cut in any way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest

from fedcredit.codec import encode
from fedcredit.data.records import Records
from fedcredit.federation.alone import learn_alone
from fedcredit.federation.plan import alone
from fedcredit.federation.simulate import StudyResult, finish, plain_calls, run_study
from fedcredit.learners.evaluation import Evaluation
from fedcredit.learners.program import Learner
from fedcredit.learners.registry import learner_named
from fedcredit.models.network import Network
from fedcredit.models.released import to_wire
from tests.e2e import test_study as laws
from tests.federation.made import NAMES, Party, learner, parties, plan, records, roster, shared_out
from tests.federation.opened import opened_study

KINDS = ("neural", "monotone")


def tables(rows: int, owner: np.ndarray | None = None) -> list[Records]:
    owners = np.arange(rows) % len(NAMES) if owner is None else owner
    return shared_out(records(rows, 5), owners, len(NAMES))


def conduct(kind: str, held: list[Records]) -> StudyResult:
    study = plan(kind)
    ask = plain_calls(parties(study, held))
    return finish(run_study(study, learner(kind), ask, roster(study)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learned_over_masks_is_the_one_learned_without_to_the_last_bit(
    kind: str,
) -> None:
    study, held = plan(kind), tables(2000)
    masked = conduct(kind, held)
    open_parties = {
        name: Party(study, name, one).institution() for name, one in zip(NAMES, held, strict=True)
    }
    model, evaluation = opened_study(study, learner(kind), open_parties)

    assert isinstance(masked.evaluation, Evaluation)
    assert repr(astuple(masked.evaluation)) == repr(astuple(evaluation))
    assert encode(to_wire(masked.model)) == encode(to_wire(model))
    assert isinstance(masked.model, Network)
    assert masked.model.kind == kind
    assert np.abs(masked.model.head).max() > 0


def test_a_table_cut_in_another_way_gives_nearly_the_same_network() -> None:
    """Each institution rounds its own sum once, so the cut shows by half a grid step each."""
    even = conduct("neural", tables(3000)).model
    uneven = conduct("neural", tables(3000, np.full(3000, 4))).model

    assert isinstance(even, Network)
    assert isinstance(uneven, Network)
    moved = np.linalg.norm(even.head - uneven.head)
    assert moved <= 1e-2 * np.linalg.norm(even.head)


def test_an_institution_alone_can_learn_a_network() -> None:
    study = alone(plan("neural"), NAMES[0])

    model = learn_alone(Party(study, NAMES[0], records(2000, 5)).institution(), learner("neural"))

    assert isinstance(model, Network)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "law",
    [
        laws.test_the_order_of_records_does_not_matter,
        laws.test_held_out_records_have_no_part_in_the_model,
        laws.test_a_study_spends_what_its_plan_says,
    ],
    ids=lambda law: law.__name__[5:],
)
def test_what_holds_for_every_study_holds_for_networks(
    law: Callable[[Learner], None], kind: str
) -> None:
    law(learner_named(kind))
