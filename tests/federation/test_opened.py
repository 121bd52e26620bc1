"""Exact sums: masks change no digit of what is learned, and nothing goes without them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from fedcredit.codec import encode
from fedcredit.data.records import Records
from fedcredit.federation.institution import Institution
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import finish, plain_calls, run_study
from fedcredit.learners.evaluation import Evaluation
from fedcredit.models.released import to_wire
from fedcredit.secagg.messages import Upload
from fedcredit.units import InstitutionId
from tests.federation.driven import Driven, asked, each, prepare
from tests.federation.made import (
    NAMES,
    QUERY,
    Party,
    learner,
    parties,
    plan,
    records,
    roster,
    shared_out,
)
from tests.federation.opened import ask, opened_study, value
from tests.federation.test_institution import asked as question_of

PACKAGE = Path(__file__).parents[2] / "fedcredit"


def tables(rows: int) -> list[Records]:
    return shared_out(records(rows, 5), np.arange(rows) % len(NAMES), len(NAMES))


def institutions(study: StudyPlan, held: list[Records]) -> Mapping[InstitutionId, Institution]:
    return {
        name: Party(study, name, table).institution()
        for name, table in zip(NAMES, held, strict=True)
    }


@pytest.mark.parametrize("noise", ["distributed", "local"])
@pytest.mark.parametrize("kind", ["scorecard", "additive", "boosting"])
def test_auc_with_masks_is_auc_without_to_the_last_digit(kind: str, noise: str) -> None:
    """And so is every other figure, and the model: a mask leaves nothing behind."""
    study = plan(kind, noise=noise)
    held = tables(4000)
    members = parties(study, held)
    masked = finish(run_study(study, learner(kind), plain_calls(members), roster(study)))
    model, evaluation = opened_study(study, learner(kind), institutions(study, held))
    assert isinstance(masked.evaluation, Evaluation)
    assert masked.evaluation.auc.hex() == evaluation.auc.hex()
    assert repr(astuple(masked.evaluation)) == repr(astuple(evaluation))
    assert encode(to_wire(masked.model)) == encode(to_wire(model))


def test_what_leaves_a_member_is_not_its_noisy_sum() -> None:
    """Not one number of it, beyond those that meet by chance."""
    study = plan()
    members = parties(study)
    driven = Driven(study, each(members, dict.fromkeys(NAMES, prepare(study))))
    ring = asked(study).ring
    for name, data in each(members, driven.starts).items():
        upload = Upload.decode(data, len(data))
        masked = ring.centre(ring.unpack(upload.vector, QUERY.dim))
        twin = Party(study, name, members[name].institution.records).institution()
        noisy = value(ask(twin, question_of(study=study)))
        assert (masked == noisy).sum() <= 1
        assert abs(masked.astype(np.float64)).mean() > ring.largest / 8


def test_one_module_masks_and_one_learns_alone_and_no_other_sums() -> None:
    """Nothing under ``fedcredit/`` can take the road of the test double.

    `learn_alone` refuses a plan for several (see test_alone), and all that a member says
    to a start goes through `secagg.client.mask`.
    """
    users = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if "private_sum" in names:
            users.add(path.relative_to(PACKAGE).as_posix())
    assert users == {"federation/member.py", "federation/alone.py"}
