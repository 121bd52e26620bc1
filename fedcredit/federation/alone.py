"""An institution that trains for itself: the same private sums, with all the noise its own.

There is no coordinator, no message and no mask: the sum does not leave the institution
but as part of a model, and is private by itself. A plan for several is refused, so this
is no way to open what should have been masked.
"""

from __future__ import annotations

import numpy as np

from fedcredit.codec import decode, encode
from fedcredit.errors import IntegrityError, PrivacyError
from fedcredit.federation.institution import Institution, private_sum
from fedcredit.federation.messages import Question, encode_question, request_digest
from fedcredit.federation.plan import StudyPlan
from fedcredit.learners.program import Learner, NoisyTotal
from fedcredit.models.queries import Query
from fedcredit.models.released import Model

__all__ = ["learn_alone"]


def learn_alone(institution: Institution, learner: Learner) -> Model:
    """What an institution learns from its own records.

    Args:
        institution: its plan's noise is ``alone``; the rounds on held-out records are
            left out.
        learner: the plan's.

    Returns:
        The model, at the plan's epsilon against everyone.

    Raises:
        PrivacyError: the plan is for several institutions, whose sums must be masked.
        BudgetExceeded: a round would cost more than the terms allow.
    """
    plan = institution.plan
    if plan.noise != "alone":
        raise PrivacyError(
            f"plan {plan.name!r} is for {len(plan.institutions)} institutions",
            remedy="let a coordinator conduct it, under masks",
        )
    rounds = len(learner.steps)
    program = learner.start(plan.schema, bytes.fromhex(plan.seed), plan.noise_levels[:rounds])
    for index in range(rounds):
        program = program.fold(_own_sum(institution, plan, index, program.query()))
    return program.model()


def _own_sum(institution: Institution, plan: StudyPlan, index: int, query: Query) -> NoisyTotal:
    """One private sum for the institution's own eyes."""
    question = Question(plan.digest(), index, 0, query)
    name = request_digest(encode_question(question))
    # Read back from the bytes: a round that the book holds already is not summed again.
    value = decode(private_sum(institution, question, name, lambda _: encode))
    if not isinstance(value, np.ndarray) or value.dtype != np.int64 or value.shape != (query.dim,):
        raise IntegrityError(
            f"round {index + 1} was answered with something else than a sum",
            remedy="restore the book from its backup",
        )
    return NoisyTotal(value.astype(np.int64), plan.event(index, query).variance)
