"""A coordinator that is killed at any moment goes on where it stood, and nobody pays twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from fedcredit.codec import decode, encode
from fedcredit.errors import IntegrityError, StudyStopped
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.journal import InMemoryJournal, Journal, TurnJournal
from fedcredit.federation.ledgers import policy_of, recorder
from fedcredit.federation.member import Member
from fedcredit.federation.messages import Heard
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import StudyResult, finish, plain_calls, run_study
from fedcredit.ledger.entries import Charge, Close, Receipt
from fedcredit.models.released import to_wire
from fedcredit.units import InstitutionId, NanoRho
from tests.federation.books import NOW, WIDE, MemoryBook, entries
from tests.federation.failing import Crash
from tests.federation.made import NAMES, learner, parties, plan, roster


@dataclass
class Killed:
    """A transport under which the coordinator dies after so many answers."""

    inner: Transport
    left: int

    def __call__(
        self, requests: Mapping[InstitutionId, bytes], deadline_s: float
    ) -> Iterable[Heard]:
        for heard in self.inner(requests, deadline_s):
            self.left -= 1
            if self.left < 0:
                raise Crash
            yield heard


@dataclass
class FailingJournal:
    """A journal at one of whose pages the coordinator dies, before or after it is kept."""

    inner: Journal
    at: int
    written: bool
    pages: list[str] = field(default_factory=list)

    def kept(self, name: str) -> bytes:
        return self.inner.kept(name)

    def keep(self, name: str, data: bytes) -> None:
        self.pages.append(name)
        if len(self.pages) == self.at and not self.written:
            raise Crash
        self.inner.keep(name, data)
        if len(self.pages) == self.at:
            raise Crash


def conduct(study: StudyPlan, ask: Transport, journal: Journal | None = None) -> StudyResult:
    return finish(run_study(study, learner(study.learner), ask, roster(study), journal))


def model(result: StudyResult) -> bytes:
    return encode(to_wire(result.model))


def charges(held: Mapping[InstitutionId, Member]) -> int:
    return sum(
        isinstance(one, Charge)
        for member in held.values()
        for one in entries(member.institution.book)
    )


def coordinators() -> MemoryBook:
    """A coordinator's ledger, which has no budget."""
    none = NanoRho(0)
    caps = replace(
        WIDE,
        rho_cap=none,
        rho_local_cap=none,
        person_rho_cap=none,
        person_rho_local_cap=none,
    )
    return MemoryBook(role="coordinator", policy=policy_of(caps, NOW))


def study() -> StudyPlan:
    return plan(members=NAMES[:4], retries=0)


def whole() -> tuple[StudyResult, int]:
    held = parties(study())
    return conduct(study(), plain_calls(held)), charges(held)


@pytest.mark.parametrize("after", range(0, 52, 3))
def test_killed_between_any_two_answers_the_study_ends_the_same(after: int) -> None:
    """To the last digit, with no retry to spare and no charge more."""
    expected, paid = whole()
    held, journal = parties(study()), InMemoryJournal()
    with pytest.raises(Crash):
        conduct(study(), Killed(plain_calls(held), after), journal)
    result = conduct(study(), plain_calls(held), journal)
    assert model(result) == model(expected)
    assert [one.answered for one in result.rounds] == [one.answered for one in expected.rounds]
    assert charges(held) == paid


def pages_of_a_study() -> list[str]:
    spy = FailingJournal(InMemoryJournal(), 0, written=True)
    conduct(study(), plain_calls(parties(study())), spy)
    return spy.pages


def test_a_turn_has_four_pages_and_the_cards_one() -> None:
    assert len(pages_of_a_study()) == 4 * len(study().rounds) + 1 == 17


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", range(1, 18))
def test_killed_at_any_page_the_study_ends_the_same(at: int, written: bool) -> None:
    expected, paid = whole()
    held, journal = parties(study()), InMemoryJournal()
    with pytest.raises(Crash):
        conduct(study(), plain_calls(held), FailingJournal(journal, at, written))
    result = conduct(study(), plain_calls(held), journal)
    assert model(result) == model(expected)
    assert charges(held) == paid


def test_without_the_journal_a_killed_study_must_charge_again() -> None:
    """What the journal is for: members answer a turn once."""
    held = parties(study())
    with pytest.raises(Crash):
        conduct(study(), Killed(plain_calls(held), 9))
    with pytest.raises(StudyStopped):
        conduct(study(), plain_calls(held), InMemoryJournal())


def test_a_study_that_is_over_is_read_back_without_asking_anybody() -> None:
    held, journal = parties(study()), InMemoryJournal()
    first = conduct(study(), plain_calls(held), journal)

    def nobody(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        raise Crash

    assert model(conduct(study(), nobody, journal)) == model(first)


def test_the_coordinators_ledger_has_each_turn_once_after_a_crash() -> None:
    held, journal, book = parties(study()), InMemoryJournal(), coordinators()
    for ask in (Killed(plain_calls(held), 20), plain_calls(held)):
        watch = recorder(book, study())
        running = run_study(study(), learner(), ask, roster(study()), journal)
        try:
            finish(running, watch)
        except Crash:
            continue
    written = [one.entry for one in book.written]
    assert sum(isinstance(one, Close) for one in written) == len(study().rounds)
    assert sum(isinstance(one, Receipt) for one in written) == 4 * len(study().rounds)


def test_a_survivor_that_is_gone_for_good_costs_a_retry_and_reveals_nothing() -> None:
    """Others may have signed a list with its name, and sign no other."""
    plan_of = plan(members=NAMES[:5], retries=1)
    held, journal = parties(plan_of), InMemoryJournal()
    with pytest.raises(Crash):  # in the middle of the second trip of the first turn
        conduct(plan_of, Killed(plain_calls(held), 12), journal)
    assert TurnJournal(journal, (0, 0)).survivors() == NAMES[:5]
    left = {name: one for name, one in held.items() if name != NAMES[0]}
    result = conduct(plan_of, plain_calls(left), journal)
    assert [(one.number, one.attempt, one.enough) for one in result.rounds[:2]] == [
        (1, 0, False),
        (1, 1, True),
    ]


def test_a_damaged_page_is_refused() -> None:
    journal = InMemoryJournal()
    conduct(study(), plain_calls(parties(study())), journal)
    name = "0000.00.result"
    for data in (b"x", encode({"a": 1}), journal.kept(name)[:-1], encode((1, 2))):
        journal.keep(name, data)
        with pytest.raises(IntegrityError, match="journal"):
            TurnJournal(journal, (0, 0)).result()


def test_nothing_secret_stands_in_a_journal() -> None:
    """Only what went over the wire, and opened sums."""
    journal = InMemoryJournal()
    conduct(study(), plain_calls(parties(study())), journal)
    body = decode(journal.kept("0000.00.packages"))
    assert isinstance(body, Mapping)
    assert set(body) == set(NAMES[:4])
