"""An institution's private sum: from a question to the bytes of its answer.

    admit     the question belongs to this turn of this plan and fits under every cap;
              and whoever will mask the sum has nothing against the turn
    charge    its cost is durable in the book; from here on there is no refund
    measure   one exact sum of integer rows, one row a record, clamped to the public bound;
              in a sampled round over a fresh secret sample, which nothing outside sees
    noise     exact discrete Gaussian noise of the charged variance
    mask      so that only the total of many institutions can be opened
    record    the answer's exact bytes are durable in the book
    send      the bytes are returned

The order is the safety argument: whatever fails, nothing leaves that was not charged
before, and one turn never has two answers. This is the only file that may release.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from fedcredit.data.records import Records
from fedcredit.errors import BudgetExceeded, LocalError, PeerError, PrivacyError
from fedcredit.federation.book import Book, planned
from fedcredit.federation.messages import Question
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.terms import Terms, accept
from fedcredit.ledger.account import Standing
from fedcredit.ledger.entries import Charge, Refuse, Release, Turn, reply_digest
from fedcredit.measures.drawn import drawn
from fedcredit.measures.measure import check_able, check_fit, measure
from fedcredit.models.queries import Query
from fedcredit.privacy.budget import admit
from fedcredit.privacy.events import GaussianSum, SampledGaussianSum
from fedcredit.privacy.noise import RandomBytes
from fedcredit.privacy.release import release
from fedcredit.privacy.sums import BoundedSum, clamp
from fedcredit.units import InstitutionId, Ints

__all__ = ["Institution", "Measure", "Wrap", "private_sum"]

Wrap: TypeAlias = Callable[[GaussianSum], Callable[[Ints], bytes]]
"""How a noisy sum becomes bytes that may leave: called with the event before it is charged,
when it may refuse, and what it returns is called with the noisy sum."""


@runtime_checkable
class Measure(Protocol):
    """A way to ask a table; see `measures.measure`."""

    def __call__(self, records: Records, query: Query, /) -> BoundedSum:
        """The exact sum over the records of the query's part."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Institution:
    """One institution in one study.

    Attributes:
        name: as the plan names it.
        plan: the plan that it has agreed to.
        terms: its own, never sent.
        records: its table; read only after a charge.
        book: its ledger, into which the plan is written at once; one writer.
        random: secret bytes for the noise and for samples, never used twice.
        measure: how a table is asked.
        software: name and version, for the ledger.

    Raises:
        PrivacyError: the plan does not meet the terms.
        LocalError: the records are of another schema than the plan's.
        ConfigError: a round asks what this installation cannot answer.
    """

    name: InstitutionId
    plan: StudyPlan
    terms: Terms
    records: Records
    book: Book
    random: RandomBytes
    measure: Measure = measure
    software: str = "fedcredit"

    def __post_init__(self) -> None:
        """Refuse the whole study before its first round rather than in the middle."""
        accept(self.terms, self.plan, self.name)
        if self.records.schema.digest() != self.plan.schema.digest():
            raise LocalError(
                f"the records of {self.name!r} are of another schema than plan "
                f"{self.plan.name!r} names",
                remedy="open the table with the plan's schema",
            )
        for one in self.plan.rounds:
            check_able(one.name)
        self.book.propose(planned(self.plan, self.terms.budget.institutions))

    def __repr__(self) -> str:
        """Never print what is not public."""
        return f"Institution({self.name!r}, plan={self.plan.name!r})"


def private_sum(institution: Institution, question: Question, name: bytes, wrap: Wrap) -> bytes:
    """Answer one question.

    Guarantee: the cost is durable before a record is read; the same question gives the
    same bytes for ever, at one charge; another question for the same turn is refused.
    If this raises before the charge, nothing has changed; if later, the charge stays, and
    the turn can only be asked again as a new attempt.

    Args:
        institution: who answers; one call at a time.
        question: what is asked.
        name: 32 bytes that name all that was sent with it.
        wrap: masks the noisy sum; the one thing that sees it.

    Returns:
        The bytes of the answer.

    Raises:
        PeerError: the question may not be asked now.
        PrivacyError: it would cost more than the terms allow.
        LocalError: the turn was charged and its answer lost; or the book could not be
            written.
        IntegrityError: the book is damaged.
    """
    plan = institution.plan
    if question.plan != plan.digest():
        raise PeerError(
            f"the question is of another plan than {plan.name!r}",
            remedy="have both sides load the same plan",
        )
    book, standing = institution.book, institution.book.standing(plan.digest().hex())
    turn: Turn = question.round, question.attempt
    charged = standing.charges.get(turn)
    if charged is not None and not (charged.request == name.hex() and book.waits(charged)):
        return _sent_before(book, standing, turn, name.hex())

    try:
        event = charged.event if charged else _admit(institution, standing, question)
        mask = wrap(event)
        charge = Charge(
            plan=plan.digest().hex(),
            round=question.round,
            attempt=question.attempt,
            request=name.hex(),
            event=event,
            software=institution.software,
        )
        book.charge(charge)
    except PrivacyError as problem:
        book.refuse(_refusal(plan, question, name, problem))
        raise
    records = institution.records
    if isinstance(event, SampledGaussianSum):
        records = drawn(records, event.rate, institution.random)
    exact = institution.measure(records, question.query)
    reply = mask(release(clamp(exact, plan.bound(event)), event, institution.random).value)
    book.release(
        Release(
            plan=charge.plan,
            round=charge.round,
            attempt=charge.attempt,
            reply=reply_digest(reply),
        ),
        reply,
    )
    return reply


def _refusal(plan: StudyPlan, question: Question, name: bytes, problem: PrivacyError) -> Refuse:
    """What is written down of a question that may not be asked."""
    return Refuse(
        plan=plan.digest().hex(),
        round=question.round,
        attempt=question.attempt,
        request=name.hex(),
        why="budget" if isinstance(problem, BudgetExceeded) else "policy",
    )


def _sent_before(book: Book, standing: Standing, turn: Turn, name: str) -> bytes:
    """The stored answer of a turn, if it is the same question and there is one."""
    if standing.charges[turn].request != name:
        raise PeerError(
            f"round {turn[0] + 1}, attempt {turn[1]} was asked another question before",
            remedy="ask a new question in a round, or an attempt, of its own",
        )
    if turn not in standing.releases:
        raise LocalError(
            f"round {turn[0] + 1}, attempt {turn[1]} was charged and its answer was lost",
            remedy="ask again as the next attempt; the lost one stays paid for",
        )
    return book.reply(standing.releases[turn])


def _admit(institution: Institution, standing: Standing, request: Question) -> GaussianSum:
    """The event to charge, if the question may be asked now; checks public things only."""
    plan, terms = institution.plan, institution.terms
    turn = request.round, request.attempt
    used = standing.retries_used(turn)
    problem = ""
    if request.round >= len(plan.rounds):
        problem = f"is beyond the plan's {len(plan.rounds)} rounds"
    elif turn < standing.last:
        problem = f"comes after round {standing.last[0] + 1}, attempt {standing.last[1]}"
    elif used > plan.retries:
        problem = f"would be retry {used} of {plan.retries}"
    elif request.query.part != plan.rounds[request.round].part:
        problem = f"is about {request.query.part} records"
    elif request.query.dim > terms.most_numbers:
        problem = f"asks for {request.query.dim} numbers, our terms allow {terms.most_numbers}"
    if problem:
        raise PeerError(
            f"the question of round {request.round + 1}, attempt {request.attempt} {problem}",
            remedy="ask the plan's rounds in their order, and no round more often than it says",
        )
    check_fit(plan.schema, request.query)
    event = plan.event(request.round, request.query)
    later = range(request.round + 1, len(plan.rounds))
    admit(
        terms.budget,
        standing.spent,
        (event, *map(plan.dearest, later)),
        reserve=plan.retries - used,
    )
    return event
