"""The test double of secure aggregation: the same private sums, added up in the open.

It lives here and nowhere else. What a federation with masks learns must be, to the last
digit, what this one learns; see `test_opened.py`, which also holds that nothing under
``fedcredit/`` can take this road.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from fedcredit.codec import decode, encode
from fedcredit.federation.institution import Institution, private_sum
from fedcredit.federation.messages import Question, encode_question, request_digest
from fedcredit.federation.plan import StudyPlan
from fedcredit.learners.evaluation import Evaluation, evaluate, evaluation_query
from fedcredit.learners.program import Learner, NoisyTotal
from fedcredit.models.queries import Query
from fedcredit.models.released import Model
from fedcredit.privacy.events import GaussianSum
from fedcredit.units import InstitutionId, Ints


def plain(event: GaussianSum) -> Callable[[Ints], bytes]:
    """No mask at all."""
    return encode


def ask(institution: Institution, question: Question) -> bytes:
    """The noisy sum of one institution, as bytes that anybody can read."""
    name = request_digest(encode_question(question))
    return private_sum(institution, question, name, plain)


def value(reply: bytes) -> Ints:
    """What the bytes say."""
    found = decode(reply)
    assert isinstance(found, np.ndarray)
    assert found.dtype == np.int64
    return found.astype(np.int64)


def opened_total(
    plan: StudyPlan,
    institutions: Mapping[InstitutionId, Institution],
    index: int,
    query: Query,
    attempt: int = 0,
) -> NoisyTotal:
    """What masks would have hidden, added up."""
    question = Question(plan.digest(), index, attempt, query)
    values = [value(ask(one, question)) for one in institutions.values()]
    variance = plan.event(index, query).variance
    return NoisyTotal(np.sum(values, axis=0, dtype=np.int64), len(values) * variance)


def opened_study(
    plan: StudyPlan, learner: Learner, institutions: Mapping[InstitutionId, Institution]
) -> tuple[Model, Evaluation]:
    """A study without masks."""
    training = len(plan.rounds) - plan.evaluates
    program = learner.start(plan.schema, bytes.fromhex(plan.seed), plan.noise_levels[:training])
    for index in range(training):
        program = program.fold(opened_total(plan, institutions, index, program.query()))
    model = program.model()
    query = evaluation_query(model)
    return model, evaluate(query, opened_total(plan, institutions, training, query))
