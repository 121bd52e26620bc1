"""A whole federation as one loop over any transport: read this file first.

A study asks one question after the other. Every institution answers with a sum over its
records that already holds noise; the coordinator adds the answers up and folds the total
into what is public; the next question follows from that. Whether the institutions are
in this process or a thousand miles away is the business of the transport.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from fedcredit.codec import digest
from fedcredit.errors import LocalError, PeerError
from fedcredit.federation.coordinator import (
    Collecting,
    Short,
    Summed,
    close,
    open_round,
    receive,
    retry,
)
from fedcredit.federation.institution import Institution, answer
from fedcredit.federation.messages import Answer, Heard, Refusal, refusal_of
from fedcredit.federation.plan import StudyPlan
from fedcredit.learners.evaluation import Evaluation, evaluate, evaluation_query
from fedcredit.learners.program import Learner, NoisyTotal
from fedcredit.models.queries import Query
from fedcredit.models.released import Model
from fedcredit.privacy.accounting import Claim, claims
from fedcredit.privacy.events import GaussianSum
from fedcredit.units import Epsilon, InstitutionId

__all__ = [
    "NotEvaluated",
    "Progress",
    "RoundClosed",
    "RoundOpened",
    "StudyResult",
    "Transport",
    "finish",
    "plain_calls",
    "run_study",
]


@runtime_checkable
class Transport(Protocol):
    """A way to ask institutions."""

    def __call__(
        self, members: tuple[InstitutionId, ...], request: bytes, deadline_s: float
    ) -> Iterable[Heard]:
        """Send ``request`` to each of ``members``.

        Returns:
            What they say, as it comes. Whoever has said nothing after ``deadline_s``
            seconds is left out; one that says something twice may be in it twice.
        """
        ...


@dataclass(frozen=True, slots=True)
class RoundOpened:
    """A round, or a retry of one, is about to be asked.

    Attributes:
        number: of the round, from 1.
        rounds: of the study.
        name: what is asked.
        attempt: 0, or the number of the retry.
    """

    number: int
    rounds: int
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RoundClosed:
    """An attempt at a round is over.

    Attributes:
        number: of the round, from 1.
        rounds: of the study.
        name: what was asked.
        attempt: 0, or the number of the retry.
        enough: whether the answers were added up.
        answered: whose answers were taken.
        troubles: who did not answer, or answered wrongly or too often, each with the reason.
        epsilon: spent by a record so far, every institution's noise standing alone: the
            claim in force while sums reach the coordinator one by one.
        epsilon_with_masks: the same against whoever sees sums only.
        transcript: 32 bytes over all questions and answers so far.
    """

    number: int
    rounds: int
    name: str
    attempt: int
    enough: bool
    answered: tuple[InstitutionId, ...]
    troubles: tuple[tuple[InstitutionId, str], ...]
    epsilon: Epsilon
    epsilon_with_masks: Epsilon
    transcript: bytes


Progress: TypeAlias = RoundOpened | RoundClosed


@dataclass(frozen=True, slots=True)
class NotEvaluated:
    """The plan asks nothing about held-out records."""


@dataclass(frozen=True, slots=True, eq=False)
class StudyResult:
    """What a study leaves behind; all of it is public.

    Attributes:
        plan: what was agreed.
        model: what was learned.
        evaluation: what the held-out records say of it.
        events: what an institution that was asked in every attempt has been charged.
        claim: what the events reveal. ``epsilon_local`` and ``rho_local`` are in force, as
            no masks hide the single sums; the others say what would hold with masks.
        rounds: every attempt, in order; the last one's transcript names them all.
    """

    plan: StudyPlan
    model: Model
    evaluation: Evaluation | NotEvaluated
    events: tuple[GaussianSum, ...]
    claim: Claim
    rounds: tuple[RoundClosed, ...]


Study: TypeAlias = Generator[Progress, None, StudyResult]
_Asking: TypeAlias = Generator[Progress, None, NoisyTotal]


def run_study(plan: StudyPlan, learner: Learner, ask: Transport) -> Study:
    """Conduct a study.

    Args:
        plan: what every institution has agreed to.
        learner: the plan's.
        ask: how institutions are reached.

    Yields:
        What happens, before and after every attempt at a round.

    Returns:
        The result; `finish` takes it out of the generator.

    Raises:
        StudyStopped: too few institutions answered and no retry was left.
        LocalError: the learner is not the plan's.
    """
    _check_learner(plan, learner)
    diary = _Diary(plan, ask)
    training = [one for one in plan.rounds if one.part == "train"]
    program = learner.start(
        plan.schema, bytes.fromhex(plan.seed), plan.noise_levels[: len(training)]
    )
    for index in range(len(training)):
        total = yield from diary.ask_round(index, program.query())
        program = program.fold(total)
    model = program.model()

    evaluation: Evaluation | NotEvaluated = NotEvaluated()
    if plan.evaluates:
        query = evaluation_query(model)
        total = yield from diary.ask_round(len(training), query)
        evaluation = evaluate(query, total)
    return StudyResult(
        plan=plan,
        model=model,
        evaluation=evaluation,
        events=tuple(diary.events),
        claim=claims(diary.events, plan.delta),
        rounds=tuple(diary.closed),
    )


def finish(study: Study, watch: Callable[[Progress], None] = lambda _: None) -> StudyResult:
    """Run a study to its end.

    Args:
        study: from `run_study`.
        watch: is told what happens, for a progress bar.

    Returns:
        The result.
    """
    while True:
        try:
            watch(next(study))
        except StopIteration as end:
            result: StudyResult = end.value
            return result


def plain_calls(institutions: Mapping[InstitutionId, Institution]) -> Transport:
    """The plainest transport: institutions in this process, asked one after the other."""

    def ask(
        members: tuple[InstitutionId, ...], request: bytes, deadline_s: float
    ) -> Iterable[Heard]:
        del deadline_s  # a call returns when it returns
        for member in members:
            try:
                yield Answer(member, answer(institutions[member], request))
            except Exception as problem:  # noqa: BLE001 - a coordinator outlives every node
                yield Refusal(member, refusal_of(problem))

    return ask


class _Diary:
    """What has happened so far; the one thing in a study that changes."""

    def __init__(self, plan: StudyPlan, ask: Transport) -> None:
        self.plan = plan
        self.ask = ask
        self.retries_left = plan.retries
        self.events: list[GaussianSum] = []
        self.closed: list[RoundClosed] = []

    def ask_round(self, index: int, query: Query) -> _Asking:
        """Ask one question, again if need be, until enough have answered."""
        state = open_round(self.plan, index, query, self.retries_left)
        while True:
            yield RoundOpened(
                index + 1, len(self.plan.rounds), self.plan.rounds[index].name, state.attempt
            )
            # An answer may have left even where none arrived: what is asked is paid for.
            self.events.append(state.event)
            state, troubles = self._hear(state)
            outcome = close(state)
            yield self._note(outcome, troubles)
            if isinstance(outcome, Summed):
                self.retries_left = outcome.retries_left
                return outcome.total
            state = retry(outcome)

    def _hear(self, state: Collecting) -> tuple[Collecting, dict[InstitutionId, str]]:
        """Take what comes; below the threshold, send the very same bytes once more.

        A resend costs nothing, since an institution has one answer for one question; a
        retry costs a charge. So lost messages are made good before a round is retried.
        """
        troubles: dict[InstitutionId, str] = {}
        for _ in range(2):
            for heard in self.ask(state.silent, state.request, self.plan.deadline_s):
                try:
                    if isinstance(heard, Refusal):
                        troubles[heard.sender] = f"refused: {heard.reason}"
                    else:
                        state = receive(state, heard.sender, heard.data)
                        troubles.pop(heard.sender, None)
                except PeerError as problem:
                    troubles[heard.sender] = problem.what
            if len(state.accepted) >= self.plan.threshold:
                break
        silent = dict.fromkeys(state.silent, "no answer")
        return state, silent | troubles

    def _note(self, outcome: Summed | Short, troubles: Mapping[InstitutionId, str]) -> RoundClosed:
        """Write down how an attempt ended."""
        state = outcome.collected
        before = self.closed[-1].transcript if self.closed else self.plan.digest()
        spent = claims(self.events, self.plan.delta, persons=())
        note = RoundClosed(
            number=state.round + 1,
            rounds=len(self.plan.rounds),
            name=self.plan.rounds[state.round].name,
            attempt=state.attempt,
            enough=isinstance(outcome, Summed),
            answered=state.answered,
            troubles=tuple(sorted(troubles.items())),
            epsilon=spent.epsilon_local,
            epsilon_with_masks=spent.epsilon,
            transcript=digest("fedcredit/transcript/1", before, state.transcript),
        )
        self.closed.append(note)
        return note


def _check_learner(plan: StudyPlan, learner: Learner) -> None:
    """The learner asks what the plan says, round by round."""
    planned = [one.name for one in plan.rounds if one.part == "train"]
    if learner.name != plan.learner or [step.name for step in learner.steps] != planned:
        raise LocalError(
            f"the learner is {learner.name!r} with {len(learner.steps)} steps, the plan says "
            f"{plan.learner!r} with {len(planned)}",
            remedy="run the release of fedcredit that the plan was drawn up with",
        )
