"""The coordinator's round, as pure steps over frozen states.

    open_round --> Collecting
    Collecting --an answer-----> Collecting
    Collecting --time is up----> Summed      (threshold or more answers)
    Collecting --time is up----> Short       (fewer: nothing is added up)
    Short      --retries left--> Collecting  (all are asked again, for fresh noise)
    Short      --none left-----> StudyStopped

A wrong answer is a PeerError and leaves the state as it was, so a round goes on without
whoever answers late, wrongly or not at all. Nobody here reads a clock or sends anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from fedcredit.codec import digest
from fedcredit.errors import LocalError, PeerError, StudyStopped
from fedcredit.federation.messages import (
    MOST_ENTRY,
    Request,
    decode_reply,
    encode_request,
    request_digest,
)
from fedcredit.federation.plan import StudyPlan
from fedcredit.learners.program import NoisyTotal
from fedcredit.models.queries import Query
from fedcredit.privacy.events import GaussianSum
from fedcredit.units import InstitutionId, Ints

__all__ = ["Collecting", "Short", "Summed", "close", "open_round", "receive", "retry"]


@dataclass(frozen=True, slots=True, eq=False)
class _Accepted:
    """An answer that was taken, with the bytes that it came in."""

    data: bytes
    value: Ints


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Collecting:
    """A round that waits for answers.

    Attributes:
        plan: of the study.
        round: index of the round.
        attempt: 0, or the number of the retry.
        retries_left: for the rest of the study.
        query: what is asked.
        event: what every institution that is asked is charged.
        request: the bytes to send, the same to all.
        accepted: answers so far.
    """

    plan: StudyPlan
    round: int
    attempt: int
    retries_left: int
    query: Query
    event: GaussianSum
    request: bytes
    accepted: Mapping[InstitutionId, _Accepted] = field(
        default_factory=lambda: MappingProxyType({})
    )

    @property
    def answered(self) -> tuple[InstitutionId, ...]:
        """Who has answered, in ascending order."""
        return tuple(sorted(self.accepted))

    @property
    def silent(self) -> tuple[InstitutionId, ...]:
        """Who has not, in ascending order."""
        return tuple(one for one in self.plan.institutions if one not in self.accepted)

    @property
    def transcript(self) -> bytes:
        """32 bytes that name the question and every answer taken, as they were sent."""
        replies = (self.accepted[one].data for one in self.answered)
        return digest("fedcredit/round/1", self.request, *replies)


@dataclass(frozen=True, slots=True, eq=False)
class Summed:
    """A round with enough answers.

    Attributes:
        total: the sum of the answers, with the variance of all their noise.
        retries_left: for the rest of the study.
        collected: the round that was closed.
    """

    total: NoisyTotal
    retries_left: int
    collected: Collecting


@dataclass(frozen=True, slots=True, eq=False)
class Short:
    """A round with too few answers: they are not added up, and stay paid for."""

    collected: Collecting


def open_round(plan: StudyPlan, index: int, query: Query, retries_left: int) -> Collecting:
    """Begin a round.

    Args:
        plan: of the study.
        index: of the round, from 0.
        query: about the round's part of the records.
        retries_left: for the rest of the study.

    Raises:
        LocalError: the query is about other records than the round.
        PrivacyError: no noise that can be drawn is enough for it.
    """
    if query.part != plan.rounds[index].part:
        raise LocalError(
            f"round {index + 1} of {plan.learner!r} asks about {query.part} records, the plan "
            f"says {plan.rounds[index].part}",
            remedy="draw up the plan with this learner",
        )
    return _ask(plan, index, 0, query, retries_left)


def receive(state: Collecting, sender: InstitutionId, data: bytes) -> Collecting:
    """Take one answer.

    Args:
        state: the round.
        sender: who sent it, as the transport knows.
        data: what was sent.

    Returns:
        The round with the answer in it.

    Raises:
        PeerError: it is no answer of this sender to this question, or not the first one.
            The state is unchanged: drop the message.
    """
    if sender not in state.plan.institutions:
        raise PeerError(f"{sender!r} is not in the plan", remedy="drop the message")
    reply = decode_reply(data, state.event.dim)
    if reply.institution != sender:
        raise PeerError(
            f"{sender!r} sent an answer in the name of another", remedy="drop the message"
        )
    if (reply.plan, reply.round, reply.attempt, reply.request) != (
        state.plan.digest(),
        state.round,
        state.attempt,
        request_digest(state.request),
    ):
        raise PeerError(
            f"{sender!r} answered another question than that of round {state.round + 1}, "
            f"attempt {state.attempt}",
            remedy="drop the message; it may be late",
        )
    if sender in state.accepted:
        raise PeerError(f"{sender!r} has already answered", remedy="keep the first answer")
    # Not by abs(), which leaves the lowest of all integers negative.
    if bool(((reply.value > MOST_ENTRY) | (reply.value < -MOST_ENTRY)).any()):
        raise PeerError(
            f"{sender!r} sent a number beyond {MOST_ENTRY}, which no table has",
            remedy="have the institution check its installation",
        )
    taken = {**state.accepted, sender: _Accepted(data, reply.value)}
    return replace(state, accepted=MappingProxyType(taken))


def close(state: Collecting) -> Summed | Short:
    """End a round: add up, or say that too few have answered."""
    count = len(state.accepted)
    if count < state.plan.threshold:
        return Short(state)
    value = np.zeros(state.event.dim, dtype=np.int64)
    for one in state.answered:  # integers: every order gives the same sum
        value += state.accepted[one].value
    value.flags.writeable = False
    total = NoisyTotal(value, count * state.event.variance)
    return Summed(total, state.retries_left, state)


def retry(short: Short) -> Collecting:
    """Ask everybody again, as a new attempt with a fresh charge and fresh noise.

    Raises:
        StudyStopped: no retry is left; nothing more is released.
    """
    state = short.collected
    if state.retries_left == 0:
        plan = state.plan
        raise StudyStopped(
            f"study {plan.name!r} stopped in round {state.round + 1} of {len(plan.rounds)}: "
            f"{len(state.accepted)} of {len(plan.institutions)} institutions answered, the "
            f"plan needs {plan.threshold}, and no retry is left",
            remedy="find out from the institutions that did not answer; then start a new "
            "study, for which what was charged stays charged",
        )
    return _ask(state.plan, state.round, state.attempt + 1, state.query, state.retries_left - 1)


def _ask(plan: StudyPlan, index: int, attempt: int, query: Query, retries_left: int) -> Collecting:
    """A round with no answer yet."""
    return Collecting(
        plan=plan,
        round=index,
        attempt=attempt,
        retries_left=retries_left,
        query=query,
        event=plan.event(index, query),
        request=encode_request(Request(plan.digest(), index, attempt, query)),
    )
