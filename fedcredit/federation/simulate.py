"""A whole federation as one loop over any transport: read this file first.

A study asks one question after the other. Every institution answers with a sum over its
records that already holds noise and is masked; the coordinator opens the total of them all
and nothing less, and folds it into what is public; the next question follows from that.
Whether the institutions are in this process or a thousand miles away is the business of
the transport.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fedcredit.codec import digest
from fedcredit.errors import LocalError, StudyStopped
from fedcredit.federation.coordinator import Transport, conduct_turn
from fedcredit.federation.journal import InMemoryJournal, Journal, TurnResult
from fedcredit.federation.member import Member, answer
from fedcredit.federation.messages import (
    Answer,
    Heard,
    Question,
    Refusal,
    encode_question,
    refusal_of,
)
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.turns import asked_of, session_of
from fedcredit.learners.evaluation import Evaluation, evaluate, evaluation_query
from fedcredit.learners.program import Learner, NoisyTotal
from fedcredit.models.queries import Query
from fedcredit.models.released import Model
from fedcredit.privacy.accounting import Claim, claims
from fedcredit.privacy.events import GaussianSum
from fedcredit.secagg.lanes import Cards
from fedcredit.secagg.opening import (
    Opened,
)
from fedcredit.secagg.roster import Roster
from fedcredit.units import Epsilon, InstitutionId

__all__ = [
    "NotEvaluated",
    "Progress",
    "RoundClosed",
    "RoundOpened",
    "StudyResult",
    "finish",
    "plain_calls",
    "run_study",
]


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
        epsilon: spent by a record so far, against whoever sees the totals, the coordinator
            and ``colluders`` institutions among them.
        epsilon_unmasked: the same if all masks were broken: one institution's noise alone.
        transcript: 32 bytes over all questions and answers so far.
        survivors: whose numbers are in the sum.
        replies: digests of the exact bytes of every answer that was taken, hex, by sender.
    """

    number: int
    rounds: int
    name: str
    attempt: int
    enough: bool
    answered: tuple[InstitutionId, ...]
    troubles: tuple[tuple[InstitutionId, str], ...]
    epsilon: Epsilon
    epsilon_unmasked: Epsilon
    transcript: bytes
    survivors: int = 0
    replies: tuple[tuple[InstitutionId, str], ...] = ()


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
        claim: what the events reveal. ``epsilon`` and ``rho`` are in force, as only totals
            were opened; ``epsilon_local`` and ``rho_local`` would hold with all masks broken.
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


def run_study(
    plan: StudyPlan,
    learner: Learner,
    ask: Transport,
    roster: Roster,
    journal: Journal | None = None,
) -> Study:
    """Conduct a study, or go on with it.

    Args:
        plan: what every institution has agreed to.
        learner: the plan's.
        ask: how institutions are reached.
        roster: whose keys count; the institutions' own copies decide, not this one.
        journal: where the study stands; without one it begins, and a crash ends it.

    Yields:
        What happens, before and after every attempt at a round.

    Returns:
        The result; `finish` takes it out of the generator.

    Raises:
        StudyStopped: too few institutions answered and no retry was left.
        LocalError: the learner is not the plan's.
    """
    _check_learner(plan, learner)
    diary = _Diary(plan, ask, roster, journal or InMemoryJournal())
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


def plain_calls(members: Mapping[InstitutionId, Member]) -> Transport:
    """The plainest transport: members in this process, asked one after the other."""

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        del deadline_s  # a call returns when it returns
        for name, request in requests.items():
            try:
                yield Answer(name, answer(members[name], request))
            except Exception as problem:  # noqa: BLE001 - a coordinator outlives every node
                yield Refusal(name, refusal_of(problem))

    return ask


class _Diary:
    """What has happened so far; the one thing in a study that changes."""

    def __init__(self, plan: StudyPlan, ask: Transport, roster: Roster, journal: Journal) -> None:
        self.plan = plan
        self.journal = journal
        self.ask = ask
        self.session = session_of(plan, roster)
        self.invited = plan.institutions
        self.packages: Mapping[InstitutionId, bytes] = {}
        self.cards: Mapping[InstitutionId, Cards] = {}
        self.retries_left = plan.retries
        self.events: list[GaussianSum] = []
        self.closed: list[RoundClosed] = []

    def ask_round(self, index: int, query: Query) -> _Asking:
        """Ask one question, again if need be, until a total has been opened."""
        plan, attempt = self.plan, 0
        planned = plan.rounds[index]
        if query.part != planned.part:
            raise LocalError(
                f"round {index + 1} of {plan.learner!r} asks about {query.part} records, the "
                f"plan says {planned.part}",
                remedy="draw up the plan with this learner",
            )
        event = plan.event(index, query)
        while True:
            yield RoundOpened(index + 1, len(plan.rounds), planned.name, attempt)
            # An answer may have left even where none arrived: what is asked is paid for.
            self.events.append(event)
            question = encode_question(Question(plan.digest(), index, attempt, query))
            asked = asked_of(plan, (index, attempt), question, event)
            turn = conduct_turn(
                self.session,
                asked,
                self.packages,
                self.invited,
                self.ask,
                plan.deadline_s,
                self.cards,
                self.journal,
            )
            self.cards = turn.cards
            yield self._note(turn, index, attempt)
            outcome = turn.outcome
            if isinstance(outcome, Opened):
                self.packages = turn.following
                return NoisyTotal(outcome.total, len(outcome.survivors) * event.variance)
            # Keys are for one turn only: all are asked for fresh ones, but whoever dealt
            # shares that opened nothing.
            self.packages = {}
            self.invited = tuple(one for one in self.invited if one not in outcome.blamed)
            if self.retries_left == 0:
                raise self._stopped(turn, outcome.why, index)
            self.retries_left -= 1
            attempt += 1

    def _note(self, turn: TurnResult, index: int, attempt: int) -> RoundClosed:
        """Write down how an attempt ended."""
        before = self.closed[-1].transcript if self.closed else self.plan.digest()
        spent = claims(self.events, self.plan.delta, persons=())
        note = RoundClosed(
            number=index + 1,
            rounds=len(self.plan.rounds),
            name=self.plan.rounds[index].name,
            attempt=attempt,
            enough=isinstance(turn.outcome, Opened),
            answered=turn.answered,
            troubles=tuple(turn.troubles.items()),
            epsilon=spent.epsilon,
            epsilon_unmasked=spent.epsilon_local,
            transcript=digest("fedcredit/transcript/1", before, turn.transcript),
            survivors=len(turn.outcome.survivors) if isinstance(turn.outcome, Opened) else 0,
            replies=tuple(turn.replies.items()),
        )
        self.closed.append(note)
        return note

    def _stopped(self, turn: TurnResult, why: str, index: int) -> StudyStopped:
        """The error for a round that no retry is left for."""
        plan = self.plan
        return StudyStopped(
            f"study {plan.name!r} stopped in round {index + 1} of {len(plan.rounds)}: "
            f"{len(turn.answered)} of {len(plan.institutions)} institutions answered, the "
            f"plan needs {plan.threshold}, and no retry is left ({why})",
            remedy="find out from the institutions that are in trouble; then start a new "
            "study, for which what was charged stays charged",
        )


def _check_learner(plan: StudyPlan, learner: Learner) -> None:
    """The learner asks what the plan says, round by round."""
    planned = [one.name for one in plan.rounds if one.part == "train"]
    if learner.name != plan.learner or [step.name for step in learner.steps] != planned:
        raise LocalError(
            f"the learner is {learner.name!r} with {len(learner.steps)} steps, the plan says "
            f"{plan.learner!r} with {len(planned)}",
            remedy="run the release of fedcredit that the plan was drawn up with",
        )
