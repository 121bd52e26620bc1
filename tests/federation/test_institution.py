"""An institution's round: what must hold whatever is asked and whatever breaks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fedcredit.data.records import Records
from fedcredit.errors import (
    BudgetExceeded,
    FedCreditError,
    LocalError,
    PeerError,
    PrivacyError,
)
from fedcredit.federation.book import Book, Charge, Entry, InMemoryBook, Release
from fedcredit.federation.institution import Institution, answer
from fedcredit.federation.messages import Request, decode_reply, encode_request
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.terms import terms_of
from fedcredit.learners.program import NoisyTotal
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Gradient, Histograms, Query, ScoreHistogram
from fedcredit.privacy.noise import discrete_gaussian
from fedcredit.privacy.sums import BoundedSum
from fedcredit.units import InstitutionId, NanoRho
from tests.federation.made import (
    QUERY,
    SCHEMA,
    Counting,
    Party,
    Stream,
    plan,
    records,
)


def asked(
    index: int = 0, attempt: int = 0, query: Query = QUERY, study: StudyPlan | None = None
) -> bytes:
    return encode_request(Request((study or plan()).digest(), index, attempt, query))


def value(reply: bytes) -> list[int]:
    return [int(one) for one in decode_reply(reply, QUERY.dim).value]


class Counted:
    """A measure that says how often a table was read."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, records: Records, query: Query) -> BoundedSum:
        self.times += 1
        return measure(records, query)


class Crash(Exception):
    """The process dies here."""


class FailingBook:
    """A book whose disk fails at one write, before or after the line is there."""

    def __init__(self, inner: Book, at: int, *, written: bool) -> None:
        self.inner, self.at, self.written, self.writes = inner, at, written, 0

    def entries(self) -> tuple[Entry, ...]:
        return self.inner.entries()

    def reply(self, entry: Release) -> bytes:
        return self.inner.reply(entry)

    def charge(self, entry: Charge) -> None:
        self._fail(before=True)
        self.inner.charge(entry)
        self._fail(before=False)

    def release(self, entry: Release, reply: bytes) -> None:
        self._fail(before=True)
        self.inner.release(entry, reply)
        self._fail(before=False)

    def _fail(self, *, before: bool) -> None:
        self.writes += before
        if self.writes == self.at and before != self.written:
            raise Crash


def test_an_answer_is_the_sum_and_the_noise_of_its_event() -> None:
    """Number for number: nothing is lost, nothing is added."""
    party = Party(records=records(300))
    exact = measure(party.records, QUERY).value
    event = plan().event(0, QUERY)
    noise = discrete_gaussian(event.variance, event.dim, Stream(party.name))
    assert value(answer(party(), asked())) == (exact + noise).tolist()


def test_the_charge_is_durable_before_a_record_is_read() -> None:
    """Check, record, act."""
    book = InMemoryBook()
    seen: list[tuple[Entry, ...]] = []

    def spy(held: Records, query: Query) -> BoundedSum:
        seen.append(book.entries())
        return measure(held, query)

    answer(Party(book=book, measure=spy)(), asked())
    (entries,) = seen
    (charge,) = entries
    assert isinstance(charge, Charge)
    assert charge.event == plan().event(0, QUERY)
    assert [type(one) for one in book.entries()] == [Charge, Release]


def test_the_same_question_has_one_answer_at_one_charge() -> None:
    """Byte for byte, after a restart too."""
    party = Party(measure=Counted())
    node = party()
    first = answer(node, asked())
    assert answer(node, asked()) == first
    assert answer(party(), asked()) == first
    assert isinstance(party.measure, Counted)
    assert party.measure.times == 1
    assert len(party.book.entries()) == 2


def test_a_new_attempt_is_charged_and_noised_afresh() -> None:
    """The old noise never meets another set of survivors."""
    party = Party()
    node = party()
    first, second = answer(node, asked(0, 0)), answer(node, asked(0, 1))
    assert value(first) != value(second)
    assert [type(one) for one in party.book.entries()] == [Charge, Release] * 2


@pytest.mark.parametrize("written", [False, True])
def test_a_failure_to_charge_reads_and_sends_nothing(written: bool) -> None:
    """Whether or not the line reached the disk, the answer is as lost as the process."""
    counted = Counted()
    inner = InMemoryBook()
    party = Party(book=FailingBook(inner, 1, written=written), measure=counted)
    with pytest.raises(Crash):
        answer(party(), asked())
    assert counted.times == 0
    assert len(inner.entries()) == written

    party.book = inner  # restart
    if not written:
        assert value(answer(party(), asked()))
        return
    with pytest.raises(LocalError, match="charged and its answer was lost"):
        answer(party(), asked())
    assert value(answer(party(), asked(0, 1)))


def test_a_crash_between_charge_and_release_is_a_burn() -> None:
    """The cost stays, the turn is never answered, and the next attempt is a new charge."""
    inner = InMemoryBook()
    party = Party(book=FailingBook(inner, 2, written=False))
    with pytest.raises(Crash):
        answer(party(), asked())
    assert [type(one) for one in inner.entries()] == [Charge]

    party.book = inner
    with pytest.raises(LocalError):
        answer(party(), asked())
    assert value(answer(party(), asked(0, 1)))
    assert [type(one) for one in inner.entries()] == [Charge, Charge, Release]


def test_a_crash_after_the_release_loses_nothing() -> None:
    """What was about to be sent is sent after the restart, byte for byte."""
    inner = InMemoryBook()
    party = Party(book=FailingBook(inner, 2, written=True))
    with pytest.raises(Crash):
        answer(party(), asked())
    (_, release) = inner.entries()
    assert isinstance(release, Release)
    party.book = inner
    assert answer(party(), asked()) == inner.reply(release)


def test_a_table_that_cannot_be_read_burns_the_turn_and_sends_nothing() -> None:
    def broken(held: Records, query: Query) -> BoundedSum:
        raise OSError

    party = Party(measure=broken)
    with pytest.raises(OSError):  # noqa: PT011 - the adapter scrubs it
        answer(party(), asked())
    assert [type(one) for one in party.book.entries()] == [Charge]


def test_rounds_are_answered_in_their_order() -> None:
    """A round may be missed, and is then over."""
    party = Party()
    answer(party(), asked(0))
    answer(party(), asked(2))
    for turn in ((1, 0), (0, 1), (1, 1)):
        with pytest.raises(PeerError, match="comes after round 3"):
            answer(party(), asked(*turn))
    assert len(party.book.entries()) == 4


def test_another_question_for_an_answered_turn_is_refused() -> None:
    """One turn has one answer, so its noise cannot be averaged away."""
    party = Party()
    answer(party(), asked())
    finer = Histograms(QUERY.ordered, QUERY.extra, ((1, 2), (1,), (1,)))
    with pytest.raises(PeerError, match="asked another question before"):
        answer(party(), asked(query=finer))


def test_retries_beyond_the_plan_are_refused() -> None:
    """Over the whole study, not for each round."""
    party = Party(plan(retries=2))
    for turn in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0)):
        answer(party(), asked(*turn, study=party.study))
    with pytest.raises(PeerError, match="would be retry 3 of 2"):
        answer(party(), asked(2, 1, study=party.study))
    with pytest.raises(PeerError, match="would be retry 9 of 2"):
        answer(Party(plan(retries=2))(), asked(0, 9, study=plan(retries=2)))


def test_the_narrowest_terms_pay_for_every_round_and_retry_and_no_more() -> None:
    """The caps are used up to the last step by the dearest course that a study can take."""
    party = Party(plan(retries=1))
    turns = ((0, 0), (0, 1), (1, 0), (2, 0))
    for turn in turns:
        answer(party(), asked(*turn, study=party.study))
    other = replace(party.study, name="another")
    with pytest.raises(BudgetExceeded):
        answer(replace(party(), plan=other), asked(study=other))
    assert len(party.book.entries()) == 2 * len(turns)


def test_every_study_is_charged_to_one_book() -> None:
    """Two studies side by side share the caps of the institution."""
    first = plan(evaluate=False, retries=0)
    second = replace(first, name="another")
    terms = terms_of(first)
    wider = replace(
        terms,
        budget=replace(
            terms.budget,
            rho_cap=NanoRho(terms.budget.rho_cap * 4 // 3),
            rho_local_cap=NanoRho(terms.budget.rho_local_cap * 4 // 3),
            person_rho_cap=NanoRho(terms.budget.person_rho_cap * 4 // 3),
            person_rho_local_cap=NanoRho(terms.budget.person_rho_local_cap * 4 // 3),
        ),
    )
    party = Party(first, terms=wider)
    for index in (0, 1):
        answer(party(), asked(index, study=first))
    with pytest.raises(BudgetExceeded):
        answer(replace(party(), plan=second), asked(study=second))
    answer(party(), asked(2, study=first))


def test_questions_that_are_not_the_plans_are_refused_free_of_charge() -> None:
    """Each by its own rule, before a record is read."""
    card = Counting((NoisyTotal(np.zeros(QUERY.dim, dtype=np.int64), 1),)).model()
    held_out = ScoreHistogram(card, np.linspace(-1, 1, 5))
    other = plan(retries=1)
    counted = Counted()
    party = Party(measure=counted)
    narrow = replace(terms_of(plan()), most_numbers=QUERY.dim - 1)
    for node, data in (
        (party(), b""),
        (party(), b"no question"),
        (party(), asked(study=other)),
        (party(), asked(4)),
        (party(), asked(query=held_out)),
        (party(), asked(3)),
        (replace(party(), terms=narrow), asked()),
    ):
        with pytest.raises(PeerError):
            answer(node, data)
    assert counted.times == 0
    assert party.book.entries() == ()


def test_noise_that_cannot_be_drawn_is_refused_free_of_charge() -> None:
    """A question with a sensitivity beyond all noise is no release at less noise."""
    study = plan(epsilon=1e-3)
    model = Counting((NoisyTotal(np.zeros(QUERY.dim, dtype=np.int64), 1),)).model()
    party = Party(study)
    with pytest.raises(PrivacyError):
        answer(party(), asked(query=Gradient(model, 1.0, 1 << 20), study=study))  # type: ignore[arg-type]
    assert party.book.entries() == ()


def test_a_measure_that_moves_further_than_charged_releases_nothing() -> None:
    """The exit checks once more what the event was charged for."""

    def bolder(held: Records, query: Query) -> BoundedSum:
        return BoundedSum(measure(held, query).value, query.sensitivity_squared + 1)

    party = Party(measure=bolder)
    with pytest.raises(PrivacyError):
        answer(party(), asked())
    assert [type(one) for one in party.book.entries()] == [Charge]


def test_an_institution_does_not_begin_what_it_would_not_finish() -> None:
    """Wrong plan, wrong terms, wrong schema: refused before the first round."""
    with pytest.raises(PrivacyError):
        Party(name=InstitutionId("stranger"))()
    with pytest.raises(PrivacyError):
        Party(plan(retries=3), terms=terms_of(plan(retries=2)))()
    other = replace(plan(), schema=replace(SCHEMA, version=2))
    with pytest.raises(LocalError):
        Party(other)()


def test_what_is_not_public_is_not_printed() -> None:
    assert repr(Party()()) == "Institution('bank-a', plan='made-up')"


def test_the_charge_is_for_the_guaranteed_honest_whoever_answers() -> None:
    """h = t - c, fixed by the plan: a round that all answer costs no less."""
    party = Party()
    answer(party(), asked())
    (charge, _) = party.book.entries()
    assert isinstance(charge, Charge)
    study = party.study
    assert charge.event.honest == study.threshold - study.colluders == 4
    assert Fraction(len(study.institutions), charge.event.honest) == Fraction(6, 4)


def test_errors_do_not_depend_on_the_records() -> None:
    """Whatever the table holds, the same question meets the same words."""
    texts: list[set[str]] = []
    for table in (records(0), records(1), records(500, 3)):
        found: set[str] = set()
        node: Institution = Party(records=table)()
        for data in (b"", asked(9), asked(3), asked(study=plan(retries=1))):
            with pytest.raises(FedCreditError) as refusal:
                answer(node, data)
            found.add(str(refusal.value))
        texts.append(found)
    assert texts[0] == texts[1] == texts[2]
