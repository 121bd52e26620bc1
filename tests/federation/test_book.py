"""A plan as it stands in a ledger: the most that it can cost, retries and all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.federation.book import Book, planned
from fedcredit.federation.institution import Institution
from fedcredit.federation.plan import Round, StudyPlan, alone
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.lines import body_of, entry_of
from fedcredit.privacy.budget import NOTHING_SPENT, Spent
from fedcredit.privacy.costs import WHOSE
from fedcredit.privacy.events import RATE_ONE, GaussianSum, Part
from fedcredit.units import NanoRho
from tests.federation.books import MemoryBook, entries
from tests.federation.failing import Disk, FailingBook
from tests.federation.made import NAMES, Party, plan


def test_a_ledger_is_a_book() -> None:
    assert isinstance(MemoryBook(), Book)
    assert isinstance(MemoryBook(), Ledger)
    assert isinstance(FailingBook(MemoryBook(), Disk(0, written=False)), Book)


def test_a_plan_is_named_by_its_digest_and_said_in_public_words() -> None:
    study = plan()
    entry = planned(study, 3)
    assert entry.plan == study.digest().hex()
    assert (entry.name, entry.purpose, entry.noise) == ("made-up", "to test", "distributed")
    assert (entry.institutions, entry.threshold, entry.colluders) == (
        len(NAMES),
        study.threshold,
        study.colluders,
    )
    assert (entry.rounds, entry.retries) == (len(study.rounds), study.retries)
    assert entry_of(body_of(entry)) == entry


@pytest.mark.parametrize(
    ("text", "written"),
    [("Süd", "S\\xfcd"), ("10 €", "10 \\u20ac"), ('q"\\', 'q"\\'), ("plain", "plain")],
)
def test_letters_beyond_ascii_are_written_in_ascii(text: str, written: str) -> None:
    """A study with an umlaut in its name is one that a ledger can hold."""
    study = plan(name=text, purpose=text)
    entry = planned(study, 3)
    assert (entry.name, entry.purpose) == (written, written)
    party = Party(study)
    assert isinstance(party.institution(), Institution)
    assert entries(party.book) == ()


def rounds(*parts: tuple[Part, int]) -> tuple[Round, ...]:
    return tuple(Round(f"round {at}", part, NanoRho(cost)) for at, (part, cost) in enumerate(parts))


def study_of(*parts: tuple[Part, int], retries: int = 0) -> StudyPlan:
    return replace(plan(), rounds=rounds(*parts), retries=retries)


COSTS = st.integers(10**4, 10**7)
PARTS = st.builds(
    lambda train, held_out: (
        [("train", one) for one in train] + [("held-out", held_out)] * (held_out > 0)
    ),
    st.lists(COSTS, min_size=1, max_size=4),
    st.one_of(st.just(0), COSTS),
)
"""Rounds on training records, and one on held-out records or none."""


def spent_at_most(study: StudyPlan) -> list[Spent]:
    """The balances after all rounds, with every retry spent on one of them, each in turn."""
    found: list[Spent] = []
    every = [study.dearest(index) for index in range(len(study.rounds))]
    for again in every:
        spent = NOTHING_SPENT
        for event in every:
            spent = spent.charged(event)
        found.append(spent.charged(again, study.retries) if study.retries else spent)
    return found


@given(PARTS, st.integers(0, 3), st.integers(1, 4))
def test_a_plan_never_costs_more_than_it_says(
    parts: list[tuple[Part, int]], retries: int, persons: int
) -> None:
    """Whichever rounds are repeated, in each of the four figures."""
    study = study_of(*parts, retries=retries)
    entry = planned(study, persons)
    for spent in spent_at_most(study):
        assert spent.rho <= entry.rho
        assert spent.rho_local <= entry.rho_local
        assert spent.person_rho(persons) <= entry.person_rho
        assert spent.person_rho_local(persons) <= entry.person_rho_local


@given(PARTS, st.integers(0, 3))
def test_a_plan_can_cost_as_much_as_it_says(parts: list[tuple[Part, int]], retries: int) -> None:
    """Nothing is asked for that could not be used, but for the rounding of noise."""
    study = study_of(*parts, retries=retries)
    entry = planned(study, 3)
    worst = spent_at_most(study)
    steps = (len(parts) + retries) * 2
    assert max(one.rho for one in worst) >= entry.rho - steps
    assert max(one.person_rho(3) for one in worst) >= entry.person_rho - 9 * steps


def test_a_record_is_in_one_part_and_a_person_in_both() -> None:
    entry = planned(study_of(("train", 100), ("train", 300), ("held-out", 250), retries=2), 3)
    honest = plan().honest
    assert entry.rho == 100 + 300 + 2 * 300
    assert entry.rho_local == honest * entry.rho
    assert entry.person_rho == 9 * (100 + 300 + 250 + 2 * 300)
    assert entry.person_rho_local == honest * 3 * (100 + 300 + 250 + 2 * 300)
    dearer = planned(study_of(("train", 100), ("held-out", 350), retries=1), 1)
    assert (dearer.rho, dearer.person_rho) == (700, 100 + 350 + 350)


def test_alone_both_figures_are_the_same() -> None:
    entry = planned(alone(plan(), NAMES[0]), 1)
    assert entry.noise == "alone"
    assert entry.rho == entry.rho_local
    assert entry.person_rho == entry.person_rho_local


def test_what_is_charged_round_by_round_keeps_to_what_was_said() -> None:
    study = plan(retries=1)
    entry = planned(study, 3)
    ledger = MemoryBook()
    ledger.propose(entry)
    spent = NOTHING_SPENT
    for index in range(len(study.rounds)):
        event: GaussianSum = study.dearest(index)
        spent = spent.charged(event)
    assert spent.rho <= entry.rho


@settings(max_examples=15, deadline=None)
@given(
    rates=st.lists(st.sampled_from([None, 2**10, 2**17]), min_size=1, max_size=4),
    retries=st.integers(0, 3),
    noise=st.sampled_from(["distributed", "local"]),
)
def test_a_sampled_plans_figures_cover_whatever_it_can_be_charged(
    rates: list[int | None], retries: int, noise: str
) -> None:
    """At every order, with every retry spent on one round, each in turn."""
    cost = NanoRho(10**6)
    of_train = (Round(f"step {at}", "train", cost, rate) for at, rate in enumerate(rates))
    every = (*of_train, Round("score", "held-out", cost))
    study = replace(plan(noise=noise), rounds=every, retries=retries)
    entry = planned(study, 3)

    assert entry_of(body_of(entry)) == entry
    assert (entry.sampled is not None) == any(rates) == study.samples
    if entry.sampled is not None:
        assert entry.sampled.rates == tuple(rate or RATE_ONE for rate in (*rates, None))
    for spent in spent_at_most(study):
        for whose in WHOSE:
            assert spent.cost(whose, 3).within(entry.cost(whose))
