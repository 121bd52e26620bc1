"""An institution that trains for itself."""

from __future__ import annotations

import pytest

from fedcredit.codec import encode
from fedcredit.errors import BudgetExceeded, PrivacyError
from fedcredit.federation.alone import learn_alone
from fedcredit.federation.plan import alone
from fedcredit.federation.terms import terms_of
from fedcredit.learners.program import NoisyTotal
from fedcredit.ledger.entries import Charge, Release
from fedcredit.measures.measure import measure
from fedcredit.models.released import Model, to_wire
from fedcredit.privacy.accounting import claims
from fedcredit.privacy.noise import discrete_gaussian
from tests.federation.books import MemoryBook
from tests.federation.made import NAMES, SCHEMA, Party, Stream, learner, plan, records
from tests.federation.test_institution import Counted

ME = NAMES[1]


def written(model: Model) -> bytes:
    return encode(to_wire(model))


@pytest.mark.parametrize("kind", ["counting", "scorecard", "additive", "boosting"])
def test_what_it_learns_is_its_sums_with_all_the_noise_its_own(kind: str) -> None:
    """Bit for bit: no mask, no other's noise, nothing in between."""
    study = alone(plan(kind), ME)
    table = records(2000, 3)
    training = len(study.rounds) - study.evaluates
    noise = Stream(ME)
    program = learner(kind).start(SCHEMA, bytes.fromhex(study.seed), study.noise_levels[:training])
    for index in range(training):
        query = program.query()
        event = study.event(index, query)
        drawn = discrete_gaussian(event.variance, event.dim, noise)
        program = program.fold(NoisyTotal(measure(table, query).value + drawn, event.variance))
    model = learn_alone(Party(study, ME, table).institution(), learner(kind))
    assert written(model) == written(program.model())


def test_every_round_is_charged_at_the_plans_price_against_everyone() -> None:
    """Its own noise is all there is, so the two claims are one."""
    study = alone(plan(), ME)
    book = MemoryBook()
    learn_alone(Party(study, ME, book=book).institution(), learner())
    assert [type(one) for one in book.entries()] == [Charge, Release] * 3
    events = [one.event for one in book.entries() if isinstance(one, Charge)]
    claim = claims(events, study.delta)
    assert claim.epsilon == claim.epsilon_local <= study.epsilon
    assert claim.epsilon == pytest.approx(study.epsilon, abs=0.08)


def test_learning_again_from_the_same_book_learns_the_same_at_no_charge() -> None:
    """What was released is released again; nothing is summed twice."""
    study, counted = alone(plan("scorecard"), ME), Counted()
    party = Party(study, ME, records(500), measure=counted)
    first = learn_alone(party.institution(), learner("scorecard"))
    entries, times = party.book.entries(), counted.times
    party.run += 1
    assert written(learn_alone(party.institution(), learner("scorecard"))) == written(first)
    assert (party.book.entries(), counted.times) == (entries, times)


def test_held_out_records_are_not_asked() -> None:
    study = alone(plan(), ME)
    book = MemoryBook()
    learn_alone(Party(study, ME, book=book).institution(), learner())
    assert study.evaluates
    assert {one.event.part for one in book.entries() if isinstance(one, Charge)} == {"train"}


@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_a_plan_for_several_is_refused_before_a_record_is_read(noise: str) -> None:
    """Training alone is no way to open a sum that should have been masked."""
    counted = Counted()
    party = Party(plan(noise=noise), ME, measure=counted)
    with pytest.raises(PrivacyError, match="is for 6 institutions"):
        learn_alone(party.institution(), learner())
    assert counted.times == 0
    assert party.book.entries() == ()


def test_a_second_study_meets_the_same_caps() -> None:
    study = alone(plan(evaluate=False, retries=0), ME)
    party = Party(study, ME, terms=terms_of(study))
    learn_alone(party.institution(), learner())
    other = alone(plan(evaluate=False, retries=0, name="another"), ME)
    again = Party(other, ME, book=party.book, terms=party.terms)
    with pytest.raises(BudgetExceeded):
        learn_alone(again.institution(), learner())
    assert len(party.book.entries()) == 6
