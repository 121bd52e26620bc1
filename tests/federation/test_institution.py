"""An institution's private sum: what must hold whatever is asked and whatever breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from fedcredit.codec import encode
from fedcredit.data.records import Records
from fedcredit.errors import (
    BudgetExceeded,
    ConfigError,
    FedCreditError,
    LocalError,
    PeerError,
    PrivacyError,
)
from fedcredit.federation.institution import private_sum
from fedcredit.federation.messages import Question
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.terms import terms_of
from fedcredit.learners.program import NoisyTotal
from fedcredit.ledger.entries import Charge, Entry, Release
from fedcredit.measures import measure as measuring
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Gradient, Histograms, Query, ScoreHistogram
from fedcredit.privacy.events import GaussianSum
from fedcredit.privacy.noise import discrete_gaussian
from fedcredit.privacy.sums import BoundedSum
from fedcredit.units import InstitutionId, Ints, NanoRho
from tests.federation.books import MemoryBook
from tests.federation.failing import Crash, Disk, FailingBook
from tests.federation.made import (
    QUERY,
    SCHEMA,
    Counting,
    Party,
    Stream,
    plan,
    records,
)
from tests.federation.opened import ask, plain, value


def asked(
    index: int = 0, attempt: int = 0, query: Query = QUERY, study: StudyPlan | None = None
) -> Question:
    return Question((study or plan()).digest(), index, attempt, query)


def answer(party: Party, question: Question | None = None) -> bytes:
    """The answer of a process that was just started."""
    return ask(party.institution(), question or asked())


def kinds(party: Party) -> list[type[Entry]]:
    return [type(one) for one in party.book.entries()]


class Counted:
    """A measure that says how often a table was read."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, records: Records, query: Query) -> BoundedSum:
        self.times += 1
        return measure(records, query)


def test_an_answer_is_the_sum_and_the_noise_of_its_event() -> None:
    """Number for number: nothing is lost, nothing is added."""
    party = Party(records=records(300))
    exact = measure(party.records, QUERY).value
    event = plan().event(0, QUERY)
    noise = discrete_gaussian(event.variance, event.dim, Stream(party.name))
    assert value(answer(party)).tolist() == (exact + noise).tolist()


def test_a_sum_beyond_the_public_bound_is_clamped_before_noise() -> None:
    """So that no honest sum wraps in the ring; whatever the table holds."""
    study = plan()
    event = study.event(0, QUERY)
    bound = study.bound(event)

    def vast(held: Records, query: Query) -> BoundedSum:
        far = np.resize(np.array([2**62, -(2**62), 5], dtype=np.int64), query.dim)
        return BoundedSum(far, query.sensitivity_squared)

    party = Party(study, measure=vast)
    noise = discrete_gaussian(event.variance, event.dim, Stream(party.name))
    clamped = np.resize(np.array([bound, -bound, 5]), event.dim)
    assert value(answer(party)).tolist() == (clamped + noise).tolist()


def test_the_charge_is_durable_before_a_record_is_read() -> None:
    """Check, record, act."""
    book = MemoryBook()
    seen: list[tuple[Entry, ...]] = []

    def spy(held: Records, query: Query) -> BoundedSum:
        seen.append(book.entries())
        return measure(held, query)

    party = Party(book=book, measure=spy)
    answer(party)
    ((charge,),) = seen
    assert isinstance(charge, Charge)
    assert charge.event == plan().event(0, QUERY)
    assert kinds(party) == [Charge, Release]


def test_whoever_masks_is_asked_before_the_charge_and_sees_the_sum_after_it() -> None:
    """A turn that cannot be masked costs nothing; the sum has no other way out."""
    party = Party()
    seen: list[tuple[str, int]] = []

    def wrap(event: GaussianSum) -> Callable[[Ints], bytes]:
        assert event == plan().event(0, QUERY)
        seen.append(("checks", len(party.book.entries())))

        def mask(value: Ints) -> bytes:
            seen.append(("masks", len(party.book.entries())))
            return encode(value)

        return mask

    first = private_sum(party.institution(), asked(), b"n" * 32, wrap)
    assert seen == [("checks", 0), ("masks", 1)]
    assert private_sum(party.institution(), asked(), b"n" * 32, wrap) == first
    assert len(seen) == 2, "a repeated answer is not masked again"


def test_a_turn_that_may_not_be_masked_costs_nothing_and_reads_nothing() -> None:
    counted = Counted()
    party = Party(measure=counted)

    def refuse(event: GaussianSum) -> Callable[[Ints], bytes]:
        raise PeerError("no keys", remedy="deal some")

    with pytest.raises(PeerError, match="no keys"):
        private_sum(party.institution(), asked(), b"n" * 32, refuse)
    assert (counted.times, party.book.entries()) == (0, ())
    assert answer(party), "and can be asked again"


def test_a_mask_that_fails_burns_the_turn_and_sends_nothing() -> None:
    """What could not be kept for the turn's later steps does not leave."""
    party = Party()

    def wrap(event: GaussianSum) -> Callable[[Ints], bytes]:
        def mask(value: Ints) -> bytes:
            raise LocalError("the vault is full", remedy="make room")

        return mask

    with pytest.raises(LocalError, match="vault"):
        private_sum(party.institution(), asked(), b"n" * 32, wrap)
    assert kinds(party) == [Charge]
    with pytest.raises(LocalError, match="charged and its answer was lost"):
        private_sum(party.institution(), asked(), b"n" * 32, plain)


def test_the_same_question_has_one_answer_at_one_charge() -> None:
    """Byte for byte, after a restart too."""
    counted = Counted()
    party = Party(measure=counted)
    institution = party.institution()
    first = ask(institution, asked())
    assert ask(institution, asked()) == first
    party.run += 1
    assert answer(party) == first
    assert counted.times == 1
    assert kinds(party) == [Charge, Release]


def test_the_same_question_in_other_company_is_another_one() -> None:
    """What was sent with a question is in its name: two manifests never share a turn."""
    party = Party()
    private_sum(party.institution(), asked(), b"n" * 32, plain)
    with pytest.raises(PeerError, match="asked another question before"):
        private_sum(party.institution(), asked(), b"m" * 32, plain)


def test_a_new_attempt_is_charged_and_noised_afresh() -> None:
    """The old noise never meets another set of survivors."""
    party = Party()
    institution = party.institution()
    first, second = ask(institution, asked(0, 0)), ask(institution, asked(0, 1))
    assert value(first).tolist() != value(second).tolist()
    assert kinds(party) == [Charge, Release] * 2


@pytest.mark.parametrize("written", [False, True])
def test_a_failure_to_charge_reads_and_sends_nothing(written: bool) -> None:
    """Whether or not the line reached the disk, the answer is as lost as the process."""
    counted, inner = Counted(), MemoryBook()
    party = Party(book=FailingBook(inner, Disk(1, written)), measure=counted)
    with pytest.raises(Crash):
        answer(party)
    assert counted.times == 0
    assert len(inner.entries()) == written

    party.book, party.run = inner, 1  # restart
    if not written:
        assert answer(party)
        return
    with pytest.raises(LocalError, match="charged and its answer was lost"):
        answer(party)
    assert answer(party, asked(0, 1))


def test_a_crash_between_charge_and_release_is_a_burn() -> None:
    """The cost stays, the turn is never answered, and the next attempt is a new charge."""
    inner = MemoryBook()
    party = Party(book=FailingBook(inner, Disk(2, written=False)))
    with pytest.raises(Crash):
        answer(party)
    assert kinds(party) == [Charge]

    party.book, party.run = inner, 1
    with pytest.raises(LocalError):
        answer(party)
    assert answer(party, asked(0, 1))
    assert kinds(party) == [Charge, Charge, Release]


def test_a_crash_after_the_release_loses_nothing() -> None:
    """What was about to be sent is sent after the restart, byte for byte."""
    inner = MemoryBook()
    party = Party(book=FailingBook(inner, Disk(2, written=True)))
    with pytest.raises(Crash):
        answer(party)
    (_, release) = inner.entries()
    assert isinstance(release, Release)
    party.book, party.run = inner, 1
    assert answer(party) == inner.reply(release)


def test_a_table_that_cannot_be_read_burns_the_turn_and_sends_nothing() -> None:
    def broken(held: Records, query: Query) -> BoundedSum:
        raise OSError

    party = Party(measure=broken)
    with pytest.raises(OSError):  # noqa: PT011 - the adapter scrubs it
        answer(party)
    assert kinds(party) == [Charge]


def test_rounds_are_answered_in_their_order() -> None:
    """A round may be missed, and is then over."""
    party = Party()
    answer(party, asked(0))
    answer(party, asked(2))
    for turn in ((1, 0), (0, 1), (1, 1)):
        with pytest.raises(PeerError, match="comes after round 3"):
            answer(party, asked(*turn))
    assert len(party.book.entries()) == 4


def test_another_question_for_an_answered_turn_is_refused() -> None:
    """One turn has one answer, so its noise cannot be averaged away."""
    party = Party()
    answer(party)
    finer = Histograms(QUERY.ordered, QUERY.extra, ((1, 2), (1,), (1,)))
    with pytest.raises(PeerError, match="asked another question before"):
        answer(party, asked(query=finer))


def test_retries_beyond_the_plan_are_refused() -> None:
    """Over the whole study, not for each round."""
    study = plan(retries=2)
    party = Party(study)
    for turn in ((0, 0), (0, 1), (1, 0), (1, 1), (2, 0)):
        answer(party, asked(*turn, study=study))
    with pytest.raises(PeerError, match="would be retry 3 of 2"):
        answer(party, asked(2, 1, study=study))
    with pytest.raises(PeerError, match="would be retry 9 of 2"):
        answer(Party(study), asked(0, 9, study=study))


def test_the_narrowest_terms_pay_for_every_round_and_retry_and_no_more() -> None:
    """The caps are used up to the last step by the dearest course that a study can take."""
    study = plan(retries=1)
    party = Party(study)
    turns = ((0, 0), (0, 1), (1, 0), (2, 0))
    for turn in turns:
        answer(party, asked(*turn, study=study))
    other = replace(study, name="another")
    with pytest.raises(BudgetExceeded):
        ask(replace(party.institution(), plan=other), asked(study=other))
    assert len(party.book.entries()) == 2 * len(turns)


def test_every_study_is_charged_to_one_book() -> None:
    """Two studies side by side share the caps of the institution."""
    first = plan(evaluate=False, retries=0)
    second = replace(first, name="another")
    caps = terms_of(first).budget
    names = ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap")
    more = {name: NanoRho(getattr(caps, name) * 4 // 3) for name in names}
    party = Party(first, terms=replace(terms_of(first), budget=replace(caps, **more)))
    for index in (0, 1):
        answer(party, asked(index, study=first))
    with pytest.raises(BudgetExceeded):
        ask(replace(party.institution(), plan=second), asked(study=second))
    answer(party, asked(2, study=first))


def test_questions_that_are_not_the_plans_are_refused_free_of_charge() -> None:
    """Each by its own rule, before a record is read."""
    card = Counting((NoisyTotal(np.zeros(QUERY.dim, dtype=np.int64), 1),)).model()
    held_out = ScoreHistogram(card, np.linspace(-1, 1, 5))
    counted = Counted()
    party = Party(measure=counted)
    narrow = replace(terms_of(plan()), most_numbers=QUERY.dim - 1)
    for institution, question in (
        (party.institution(), asked(study=plan(retries=1))),
        (party.institution(), asked(4)),
        (party.institution(), asked(query=held_out)),
        (party.institution(), asked(3)),
        (replace(party.institution(), terms=narrow), asked()),
    ):
        with pytest.raises(PeerError):
            ask(institution, question)
    assert counted.times == 0
    assert party.book.entries() == ()


def test_noise_that_cannot_be_drawn_is_refused_free_of_charge() -> None:
    """A question with a sensitivity beyond all noise is no release at less noise."""
    study = plan(epsilon=1e-3)
    model = Counting((NoisyTotal(np.zeros(QUERY.dim, dtype=np.int64), 1),)).model()
    party = Party(study)
    with pytest.raises(PrivacyError):
        answer(party, asked(query=Gradient(model, 1.0, 1 << 20), study=study))  # type: ignore[arg-type]
    assert party.book.entries() == ()


def test_a_measure_that_moves_further_than_charged_releases_nothing() -> None:
    """The exit checks once more what the event was charged for."""

    def bolder(held: Records, query: Query) -> BoundedSum:
        return BoundedSum(measure(held, query).value, query.sensitivity_squared + 1)

    party = Party(measure=bolder)
    with pytest.raises(PrivacyError):
        answer(party)
    assert kinds(party) == [Charge]


def test_an_institution_does_not_begin_what_it_would_not_finish() -> None:
    """Wrong plan, wrong terms, wrong schema: refused before the first round."""
    with pytest.raises(PrivacyError):
        Party(name=InstitutionId("stranger")).institution()
    with pytest.raises(PrivacyError):
        Party(plan(retries=3), terms=terms_of(plan(retries=2))).institution()
    other = replace(plan(), schema=replace(SCHEMA, version=2))
    with pytest.raises(LocalError):
        Party(other).institution()


def test_what_is_not_public_is_not_printed() -> None:
    assert repr(Party().institution()) == "Institution('bank-a', plan='made-up')"


def test_the_charge_is_for_the_guaranteed_honest_whoever_answers() -> None:
    """h = t - c, fixed by the plan: a round that all answer costs no less."""
    party = Party()
    answer(party)
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
        for question in (asked(9), asked(3), asked(study=plan(retries=1))):
            with pytest.raises(FedCreditError) as refusal:
                answer(Party(records=table), question)
            found.add(str(refusal.value))
        texts.append(found)
    assert texts[0] == texts[1] == texts[2]


def test_a_study_of_networks_is_refused_where_torch_is_not_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither the plan nor a charge stands in the book, and no record was read."""
    monkeypatch.setattr(measuring, "find_spec", lambda name: None)
    counted = Counted()
    party = Party(plan("neural"), measure=counted)

    with pytest.raises(ConfigError, match="torch and Opacus"):
        party.institution()

    assert party.book.entries() == ()
    assert counted.times == 0
