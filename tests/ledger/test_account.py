"""What follows what: every rule of the ledger, each broken alone, and laws over all sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import (
    BudgetExceeded,
    FedCreditError,
    IntegrityError,
    LocalError,
    PrivacyError,
)
from fedcredit.ledger.account import Account
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import (
    Approve,
    Audit,
    Charge,
    Close,
    Entry,
    Note,
    Receipt,
    Step,
)
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.signatures import COSIGNATURE, VerifierKey
from fedcredit.ledger.signing import SigningKey
from fedcredit.privacy.budget import NOTHING_SPENT, Spent
from fedcredit.privacy.costs import cap_for
from fedcredit.privacy.events import Part
from fedcredit.units import NanoRho
from tests.federation.books import NOW, ROLES, key
from tests.ledger.bank import (
    ALONE,
    COST,
    NEXT,
    NOTHING,
    OPENED,
    OTHER,
    PLAN,
    RATE,
    add,
    approve,
    burn,
    caps,
    chain,
    changed,
    charge,
    event,
    genesis,
    officers,
    planned,
    policy,
    refuse,
    release,
    rotated,
    said,
    sampled,
    samples,
    step,
)

TURN: tuple[Entry, ...] = (charge(), release())
YEAR_2027 = {"begins": "2027-01-01", "ends": "2028-01-01"}


def receipt(institution: str = "bank", index: int = 0, plan: str = PLAN) -> Receipt:
    return Receipt(plan=plan, round=index, attempt=0, institution=institution, reply="ee" * 32)


def close(index: int = 0, plan: str = PLAN) -> Close:
    return Close(
        plan=plan, round=index, attempt=0, outcome="opened", survivors=5, transcript="ff" * 32
    )


def coordinators(*entries: Entry) -> Chain:
    return chain(*entries, first=genesis(NOTHING, role="coordinator"))


def refused(made: Chain, entry: Entry, error: type[FedCreditError], time: str = NOW) -> None:
    """The entry is refused with just this error, and nothing changes."""
    before = said(made)
    with pytest.raises(FedCreditError) as raised:
        made.line_of(entry, time)
    assert type(raised.value) is error
    assert said(made) == before


ORDERS: tuple[tuple[Entry, ...], ...] = (
    (*TURN, step("agree"), step("reveal")),
    (*TURN, step("reveal")),
    (*TURN, step("agree"), charge(1)),
    (*TURN, charge(1), step("reveal")),
    (charge(), burn(), charge(0, 1), release(0, 1)),
    (charge(2),),
    (charge(0, 2), release(0, 2), charge(1)),
    (*TURN, planned(OTHER), approve(OTHER), charge(plan=OTHER), step("agree")),
)


@pytest.mark.parametrize("order", ORDERS)
def test_what_may_follow_follows(order: Sequence[Entry]) -> None:
    made = chain(*OPENED, *order)
    assert [one.entry for one in made.written[3:]] == list(order)


STRAY: dict[str, tuple[tuple[Entry, ...], Entry]] = {
    "a second genesis": ((), genesis()),
    "a plan twice": ((planned(),), planned()),
    "an approval without its plan": ((), approve()),
    "an approval of another plan": ((planned(),), approve(OTHER)),
    "an approval twice": (OPENED, approve()),
    "an approval by the officer after the policy's": (OPENED, officers()),
    "a charge of a plan never seen": (OPENED, charge(plan=OTHER)),
    "a turn charged twice": ((*OPENED, *TURN), charge()),
    "a turn charged again after it was burned": ((*OPENED, charge(), burn()), charge()),
    "a round beyond the plan's": (OPENED, charge(3)),
    "an attempt beyond the retries": (OPENED, charge(0, 3)),
    "retries that come to too many over all rounds": (
        (*OPENED, charge(0, 2), release(0, 2)),
        charge(1, 1),
    ),
    "a turn before the last one": ((*OPENED, charge(1), release(1)), charge(0, 1)),
    "an attempt before the last one": ((*OPENED, charge(0, 1), release(0, 1)), charge()),
    "a charge while one is open": ((*OPENED, charge()), charge(1)),
    "a charge of another plan while one is open": (
        (*OPENED, planned(OTHER), approve(OTHER), charge()),
        charge(plan=OTHER),
    ),
    "a release without its charge": (OPENED, release()),
    "a release twice": ((*OPENED, *TURN), release()),
    "a release of another turn than the open one": ((*OPENED, charge()), release(0, 1)),
    "a release of another plan": ((*OPENED, planned(OTHER), charge()), release(plan=OTHER)),
    "a release of a plan never seen": ((*OPENED, charge()), release(plan=OTHER)),
    "a release after a burn": ((*OPENED, charge(), burn()), release()),
    "a burn without its charge": (OPENED, burn()),
    "a burn after a release": ((*OPENED, *TURN), burn()),
    "a burn twice": ((*OPENED, charge(), burn()), burn()),
    "agree before all": (OPENED, step("agree")),
    "reveal before all": (OPENED, step("reveal")),
    "agree without a release": ((*OPENED, charge()), step("agree")),
    "reveal without a release": ((*OPENED, charge()), step("reveal")),
    "agree after a burn": ((*OPENED, charge(), burn()), step("agree")),
    "agree twice": ((*OPENED, *TURN, step("agree")), step("agree")),
    "reveal twice": ((*OPENED, *TURN, step("reveal")), step("reveal")),
    "agree after reveal": ((*OPENED, *TURN, step("reveal")), step("agree")),
    "agree of another plan": ((*OPENED, *TURN), step("agree", plan=OTHER)),
    "reveal of another attempt": ((*OPENED, *TURN, step("agree")), step("reveal", attempt=1)),
    "a release after agree": ((*OPENED, *TURN, step("agree")), release()),
    "a change of policy while a charge is open": ((*OPENED, charge()), changed(policy(5), 4)),
    "the key in force again": ((), rotated(ROLES.key, 1)),
    "a key of before again": ((rotated(NEXT, 1),), rotated(ROLES.key, 2, old=NEXT)),
    "the root as the ledger's key": ((), rotated(ROLES.root, 1)),
    "the officer as the ledger's key": ((), rotated(ROLES.officer, 1)),
    "a key that nobody hands over to": ((), rotated(NEXT, 1, old=None)),
    "a coordinator's receipt": (OPENED, receipt()),
    "a coordinator's close": (OPENED, close()),
}


@pytest.mark.parametrize("name", STRAY)
def test_what_does_not_follow_is_refused_and_changes_nothing(name: str) -> None:
    before, entry = STRAY[name]
    refused(chain(*before), entry, LocalError)


COORDINATORS_ORDERS: tuple[tuple[Entry, ...], ...] = (
    (planned(), receipt(), receipt("shop"), close(), receipt(index=1), close(1)),
    (planned(), close()),
    (planned(), receipt(), receipt("bank", 1), close(1), close()),
    (planned(), planned(OTHER), close(), receipt(plan=OTHER)),
    (planned(rho=10**15), Note(text="dear"), rotated(NEXT, 3)),
)


@pytest.mark.parametrize("order", COORDINATORS_ORDERS)
def test_a_coordinators_entries_follow(order: Sequence[Entry]) -> None:
    made = coordinators(*order)
    assert [one.entry for one in made.written[1:]] == list(order)


COORDINATORS_STRAY: dict[str, tuple[tuple[Entry, ...], Entry]] = {
    "an approval": ((planned(),), approve()),
    "a charge": ((planned(),), charge()),
    "a release": ((planned(),), release()),
    "a burn": ((planned(),), burn()),
    "a step": ((planned(),), step("agree")),
    "a refusal": ((planned(),), refuse()),
    "an audit": ((), Audit(what="canaries", result="none found")),
    "another policy": ((), changed(replace(NOTHING, quorum=0), 1)),
    "a second genesis": ((), genesis(NOTHING, role="coordinator")),
    "a plan twice": ((planned(),), planned()),
    "a receipt of no plan": ((), receipt()),
    "a receipt twice": ((planned(), receipt()), receipt()),
    "a receipt after its turn was closed": ((planned(), close()), receipt()),
    "a close of no plan": ((), close()),
    "a close twice": ((planned(), receipt(), close()), close()),
}


@pytest.mark.parametrize("name", COORDINATORS_STRAY)
def test_what_is_not_a_coordinators_is_refused(name: str) -> None:
    before, entry = COORDINATORS_STRAY[name]
    refused(coordinators(*before), entry, LocalError)


def test_a_purpose_must_be_one_that_the_policy_names() -> None:
    narrow = chain(first=genesis(policy(purposes=("credit scoring", "audit"))))
    refused(narrow, planned(purpose="marketing"), PrivacyError)
    refused(narrow, planned(purpose="credit"), PrivacyError)
    add(narrow, planned(purpose="audit"))
    add(chain(), planned(purpose="anything"))


def test_a_plan_may_cost_as_much_as_a_study_may_and_no_more() -> None:
    made = chain(first=genesis(policy(study_rho=NanoRho(5 * COST))))
    refused(made, planned(rho=5 * COST + 1), BudgetExceeded)
    add(made, planned(rho=5 * COST))


def test_a_plan_is_approved_by_the_policy_up_to_its_limit_and_by_the_officer_beyond() -> None:
    rules = policy(automatic_rho=NanoRho(5 * COST - 1))
    made = chain(planned(), first=genesis(rules))
    refused(made, approve(), PrivacyError)
    refused(made, charge(), PrivacyError)
    refused(made, officers(by=ROLES.root), IntegrityError)
    refused(made, officers(OTHER), LocalError)
    refused(made, replace(officers(), second=""), IntegrityError)
    add(made, officers())
    add(made, charge())
    at_limit = chain(planned(), first=genesis(policy(automatic_rho=NanoRho(5 * COST))))
    add(at_limit, approve())


def test_nobody_else_approves() -> None:
    """Neither the policy with a signature that is not the officer's, nor a third party."""
    made = chain(planned(), first=genesis(policy(automatic_rho=NanoRho(0))))
    refused(made, Approve(plan=PLAN, by="nobody"), LocalError)
    cheap = chain(planned())
    refused(cheap, replace(approve(), second="00" * 64), IntegrityError)


CAPS = ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap")


@pytest.mark.parametrize("name", CAPS)
@pytest.mark.parametrize("part", ["train", "held-out"])
def test_each_cap_alone_stops_a_charge(name: str, part: Part) -> None:
    """Exactly at the cap it is still charged, one step of 1e-9 rho less and it is not."""
    wide = caps(100)
    exact = getattr(caps(2), name)
    for cap, allowed in ((exact, 2), (exact - 1, 1)):
        made = chain(*OPENED, first=genesis(policy(100, caps=replace(wide, **{name: cap}))))
        for index in range(allowed):
            add(made, charge(index, part=part))
            add(made, release(index))
        refused(made, charge(2, part=part), BudgetExceeded)


def test_a_record_pays_for_its_part_and_a_person_for_both() -> None:
    wide = caps(100)
    record = chain(*OPENED, first=genesis(policy(100, caps=replace(wide, rho_cap=NanoRho(COST)))))
    add(record, charge(0))
    add(record, release(0))
    add(record, charge(1, part="held-out"))
    add(record, release(1))
    refused(record, charge(2), BudgetExceeded)
    narrow = replace(wide, person_rho_cap=NanoRho(9 * COST))
    person = chain(*OPENED, first=genesis(policy(100, caps=narrow)))
    add(person, charge(0))
    add(person, release(0))
    refused(person, charge(1, part="held-out"), BudgetExceeded)


def two_charged(**most: int) -> Chain:
    """Two turns of a plan that was put forward with this at most, under wide caps."""
    made = chain(planned(**most), approve(), first=genesis(policy(100)))
    for index in range(2):
        add(made, charge(index))
        add(made, release(index))
    return made


@pytest.mark.parametrize("name", ["rho", "rho_local"])
def test_a_plan_costs_no_more_than_it_was_put_forward_with(name: str) -> None:
    """Whoever approved it looked at that figure; exactly that much is charged."""
    one = COST if name == "rho" else ALONE
    refused(two_charged(**{name: 3 * one - 1}), charge(2), BudgetExceeded)
    add(two_charged(**{name: 3 * one}), charge(2))


def test_what_one_plan_has_cost_is_within_the_cap_for_one_study() -> None:
    """Also where that was lowered after the plan; another plan has a cap of its own."""
    made = two_charged()
    lower = policy(100, study_rho=NanoRho(3 * COST - 1))
    add(made, changed(lower, len(made.written)))
    refused(made, charge(2), BudgetExceeded)
    add(made, planned(OTHER, rho=2 * COST))
    add(made, approve(OTHER))
    add(made, charge(plan=OTHER))


@pytest.mark.parametrize(("noise", "honest"), [("distributed", 4), ("local", 1), ("alone", 1)])
def test_a_charge_counts_on_no_more_honest_institutions_than_its_plan(
    noise: str, honest: int
) -> None:
    """Else its cost would be as much lower as it counts on others' noise."""
    made = chain(planned(noise=noise, rho=10 * ALONE), approve(), first=genesis(policy(100)))
    for other in (1, 2, 3, 4, 5, 6, 1000):
        if other != honest:
            refused(made, charge(event=event(honest=other)), LocalError)
    add(made, charge(event=event(honest=honest)))


@pytest.mark.parametrize(
    ("day", "allowed"),
    [
        ("2025-12-31T23:59:59Z", False),
        ("2025-11-25T12:00:00Z", False),
        ("2026-01-01T00:00:00Z", True),
        ("2026-12-31T23:59:59Z", True),
        ("2027-01-01T00:00:00Z", False),
        ("2027-11-25T12:00:00Z", False),
    ],
)
def test_a_charge_is_within_its_period_by_the_clock_of_the_writer(day: str, allowed: bool) -> None:
    """Also with a clock that is a year ahead or behind; other entries are written all the same."""
    made = chain(*OPENED)
    if allowed:
        add(made, charge(), day)
    else:
        refused(made, charge(), PrivacyError, day)
        add(made, refuse(), day)
        add(made, Note(text="the clock is wrong"), day)


def test_a_new_period_begins_at_nothing_and_the_lifetime_goes_on() -> None:
    made = chain(*OPENED, *TURN)
    one = NOTHING_SPENT.charged(event())
    assert (made.account.spent, made.account.lifetime) == (one, one)
    add(made, changed(policy(**YEAR_2027), 5, ROLES.officer))
    assert (made.account.spent, made.account.lifetime) == (NOTHING_SPENT, one)
    refused(made, charge(1), PrivacyError)  # this year is over, by the policy
    later = "2027-03-01T00:00:00Z"
    add(made, charge(1), later)
    assert made.account.spent == one
    assert made.account.lifetime == one.charged(event())
    assert made.account.plans[PLAN].spent == made.account.lifetime


def test_a_period_is_never_redone_or_stretched() -> None:
    made = chain()
    for begins, ends in (
        ("2025-01-01", "2026-01-01"),
        ("2026-06-01", "2027-01-01"),
        ("2026-12-31", "2027-12-31"),
        ("2026-01-01", "2027-01-02"),
    ):
        wanted = policy(begins=begins, ends=ends)
        refused(made, changed(wanted, 1, ROLES.officer), PrivacyError)


def test_an_end_is_brought_forward_by_the_root_alone_and_not_put_back() -> None:
    made = chain(changed(policy(ends="2026-06-01"), 1))
    refused(made, changed(policy(), 2, ROLES.officer), PrivacyError)
    refused(made, changed(policy(begins="2026-06-01", ends="2027-01-01"), 2), PrivacyError)
    add(made, changed(policy(begins="2026-06-01", ends="2027-01-01"), 2, ROLES.officer))
    assert made.account.policy.begins == "2026-06-01"


def test_nobody_can_give_anything_back() -> None:
    """A burn keeps its cost, and a lower cap does not lower what was spent."""
    made = chain(*OPENED, charge(), burn())
    one = NOTHING_SPENT.charged(event())
    assert made.account.spent == made.account.plans[PLAN].spent == one
    add(made, changed(policy(0), 5))
    assert made.account.spent == one
    refused(made, charge(1), BudgetExceeded)


def test_more_is_given_only_with_the_officers_signature() -> None:
    made = chain()
    more = policy(11)
    refused(made, changed(more, 1), PrivacyError)
    refused(made, changed(more, 1, ROLES.root), IntegrityError)
    refused(made, changed(more, 1, key("stranger")), IntegrityError)
    refused(made, changed(more, 1, ROLES.officer, root=ROLES.officer), IntegrityError)
    refused(made, changed(more, 2, ROLES.officer), IntegrityError)
    refused(made, replace(changed(more, 1, ROLES.officer), policy=policy(12)), IntegrityError)
    refused(made, changed(policy(9), 1, root=ROLES.key), IntegrityError)
    add(made, changed(policy(9), 1))
    add(made, changed(more, 2, ROLES.officer))
    assert made.account.policy == more


def test_a_key_is_handed_over_by_the_old_one_or_the_root() -> None:
    made = chain()
    refused(made, rotated(NEXT, 1, old=ROLES.officer), IntegrityError)
    refused(made, rotated(NEXT, 1, old=None, root=ROLES.officer), IntegrityError)
    refused(made, rotated(NEXT, 2), IntegrityError)
    proof = rotated(key("stranger"), 1).proof
    refused(made, replace(rotated(NEXT, 1), proof=proof), IntegrityError)
    add(made, rotated(NEXT, 1))
    third = key("third")
    refused(made, rotated(third, 2, old=ROLES.key), IntegrityError)
    add(made, rotated(third, 2, old=None, root=ROLES.root))
    assert made.account.keys == [one.public.hex() for one in (ROLES.key, NEXT, third)]


def watched_by(one: SigningKey) -> BudgetPolicy:
    """A policy whose witness has this key, under a name of its own."""
    key_ = str(VerifierKey("shop.example/witness", COSIGNATURE, one.public))
    return policy(quorum=1, witnesses=(WitnessKey(key_, "institution"),))


def test_a_ledger_does_not_witness_itself() -> None:
    """Neither from the start nor later, with any key of its own."""
    for own in (ROLES.root, ROLES.officer, ROLES.key):
        with pytest.raises(IntegrityError, match="does not witness itself"):
            chain(first=genesis(watched_by(own)))
        refused(chain(), changed(watched_by(own), 1, ROLES.officer), PrivacyError)
    before = chain(rotated(NEXT, 1))
    for own in (ROLES.key, NEXT):
        refused(before, changed(watched_by(own), 2, ROLES.officer), PrivacyError)
    stranger = key("stranger")
    made = chain(changed(watched_by(stranger), 1, ROLES.officer))
    refused(made, rotated(stranger, 2), LocalError)


def test_a_standing_adds_up_all_plans_and_shows_one() -> None:
    """The caps are over all studies; turns are a plan's own."""
    made = chain(
        *OPENED, planned(OTHER), approve(OTHER), *TURN, charge(1, part="held-out"), release(1),
        charge(plan=OTHER), release(plan=OTHER), step("agree"), step("reveal", plan=OTHER),
        step("reveal"),
    )  # fmt: skip
    standing = made.account.standing(PLAN)
    assert standing.spent == Spent(
        train=NanoRho(2 * COST),
        train_local=NanoRho(2 * ALONE),
        held_out=NanoRho(COST),
        held_out_local=NanoRho(ALONE),
    )
    assert set(standing.charges) == set(standing.releases) == {(0, 0), (1, 0)}
    assert set(standing.steps) == {((0, 0), "agree"), ((0, 0), "reveal")}
    assert standing.last == (1, 0)
    unknown = made.account.standing("cc" * 32)
    assert (unknown.spent, unknown.charges, unknown.last) == (standing.spent, {}, (-1, 0))


def test_retries_are_counted_by_the_latest_attempt_of_each_round() -> None:
    """An institution that missed the first attempt knows of it all the same."""
    made = chain(*OPENED, charge(0), release(0), charge(1, 2), release(1, 2))
    standing = made.account.standing(PLAN)
    assert standing.retries_used((1, 2)) == 2
    assert standing.retries_used((2, 0)) == 2
    assert standing.retries_used((2, 1)) == 3
    assert made.account.standing(OTHER).retries_used((0, 0)) == 0


# Sampled rounds.

WIDE = policy(100)


def sampling(*entries: Entry, rules: BudgetPolicy = WIDE, sums: int = 5) -> Chain:
    """A ledger with a plan of sampled rounds, approved."""
    return chain(samples(sums=sums), officers(), *entries, first=genesis(rules))


def test_sampled_rounds_are_charged_at_the_plans_rate_alone() -> None:
    made = sampling()
    refused(made, charge(event=event()), LocalError)
    for rate in (RATE - 1, RATE + 1):
        refused(made, charge(event=sampled(rate=rate)), LocalError)
    add(made, charge(event=sampled()))
    refused(chain(*OPENED, first=genesis(WIDE)), charge(event=sampled()), LocalError)


def test_a_plan_has_a_rate_for_each_round() -> None:
    made = chain(first=genesis(WIDE))
    refused(made, samples(rounds=2), LocalError)
    refused(made, samples(rounds=4), LocalError)
    add(made, samples())


def test_a_sampled_plan_costs_no_more_than_it_was_put_forward_with() -> None:
    """At every order, with this institution's noise alone too."""
    made = sampling(charge(event=sampled()), release(), sums=1)
    refused(made, charge(1, event=sampled()), BudgetExceeded)
    dear = samples(sums=2)
    assert dear.sampled is not None
    for at in (0, 1):
        for order in (0, 30, 74):
            curves = [list(curve) for curve in dear.sampled.renyi]
            curves[at][order] -= 1
            less = replace(dear.sampled, renyi=tuple(map(tuple, curves)))
            made = chain(
                replace(dear, sampled=less), officers(), charge(event=sampled()), release(),
                first=genesis(WIDE),
            )  # fmt: skip
            refused(made, charge(1, event=sampled()), BudgetExceeded)
    add(sampling(charge(event=sampled()), release(), sums=2), charge(1, event=sampled()))


@pytest.mark.parametrize("name", ["study_rho", "automatic_rho"])
def test_a_sampled_plan_is_held_to_a_cap_at_the_caps_own_order(name: str) -> None:
    """It may cost far more than the cap if its sums were over all records."""
    plan = samples()
    cost = plan.cost("rho")
    cap = cap_for(cost, 1e-5)
    assert cap < plan.rho / 2
    enough = policy(100, **{name: cap})
    little = policy(100, **{name: NanoRho(cap * 31 // 32)})
    add(chain(plan, first=genesis(enough)), approve())
    if name == "study_rho":
        refused(chain(first=genesis(little)), plan, BudgetExceeded)
    else:
        refused(chain(plan, first=genesis(little)), approve(), PrivacyError)


def test_a_study_cap_that_is_lowered_stops_sampled_rounds() -> None:
    made = sampling(charge(event=sampled()), release())
    tiny = replace(WIDE, study_rho=NanoRho(1000), automatic_rho=NanoRho(1000))
    add(made, changed(tiny, len(made.written)))
    refused(made, charge(1, event=sampled()), BudgetExceeded)


@pytest.mark.parametrize("name", CAPS)
def test_each_cap_alone_stops_a_sampled_charge(name: str) -> None:
    whose = name.removesuffix("_cap")
    cost = NOTHING_SPENT.charged(sampled(), 2).cost(whose, 3)  # type: ignore[arg-type] # one of four
    cap = cap_for(cost, 1e-5)
    rules = policy(100, caps=replace(caps(1000), **{name: cap}))
    made = sampling(charge(event=sampled()), release(), rules=rules)
    add(made, charge(1, event=sampled()))
    add(made, release(1))
    refused(made, charge(2, event=sampled()), BudgetExceeded)


# What follows is about any sequence of entries at all.


@dataclass(frozen=True)
class Wish:
    """An entry that a test wants written next; what depends on its place is made there."""

    kind: str
    index: int = 0
    attempt: int = 0
    plan: str = PLAN
    part: Part = "train"
    number: int = 0

    def entry(self, before: Chain) -> Entry:
        """One that fits the last charge four times out of five; else any."""
        seq = len(before.written)
        turn = self.index, self.attempt, self.plan
        charges = [one.entry for one in before.written if isinstance(one.entry, Charge)]
        if self.kind in ("release", "burn", "agree", "reveal") and charges and self.number:
            turn = (*charges[-1].turn, charges[-1].plan)
        signed = ROLES.officer if self.number % 2 else None
        made: dict[str, Entry] = {
            "plan": planned(self.plan, rounds=1 + self.number, rho=self.number * COST),
            "approve": approve(self.plan),
            "officers": officers(self.plan),
            "charge": charge(*turn, part=self.part),
            "release": release(*turn),
            "burn": burn(*turn),
            "agree": step("agree", *turn),
            "reveal": step("reveal", *turn),
            "refuse": refuse(self.number, self.plan),
            "policy": changed(self.rules, seq, signed),
            "rotate": rotated(key(f"key {self.number}"), seq, old=None, root=ROLES.root),
            "note": Note(text="a note"),
            "audit": Audit(what="canaries", result="none found"),
        }
        return made[self.kind]

    @property
    def rules(self) -> BudgetPolicy:
        begins = 2026 + self.attempt
        return policy(
            self.number + 1, begins=f"{begins}-01-01", ends=f"{begins + 1}-01-01",
            automatic_rho=NanoRho(2 * COST),
        )  # fmt: skip


KINDS = (
    *("plan", "approve", "officers", "burn", "refuse", "policy", "rotate", "note", "audit"),
    *["charge", "release"] * 5,
    *["agree", "reveal"] * 2,
)
WISHES = st.lists(
    st.builds(
        Wish,
        st.sampled_from(KINDS),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from([PLAN, PLAN, OTHER]),
        st.sampled_from(["train", "held-out"]),
        st.integers(0, 5),
    ),
    max_size=40,
)
START = [Wish("plan", number=4), Wish("officers"), Wish("plan", plan=OTHER, number=2)]


def figures(spent: Spent) -> tuple[int, ...]:
    return spent.train, spent.train_local, spent.held_out, spent.held_out_local


def within(account: Account) -> bool:
    spent, policy_ = account.spent, account.policy
    m = policy_.caps.institutions
    return (
        spent.rho <= policy_.caps.rho_cap
        and spent.rho_local <= policy_.caps.rho_local_cap
        and spent.person_rho(m) <= policy_.caps.person_rho_cap
        and spent.person_rho_local(m) <= policy_.caps.person_rho_local_cap
    )


@settings(max_examples=200)
@given(WISHES)
def test_of_any_sequence_what_is_accepted_replays_to_the_same(wishes: list[Wish]) -> None:
    """Same lines, same account; sums never fall, and no charge goes above a cap."""
    made = Chain()
    lines = [add(made, genesis())]
    charged = 0
    for wish in START + wishes:
        entry = wish.entry(made)
        account = made.account
        before, sums = said(made), (figures(account.spent), figures(account.lifetime))
        time = f"{account.policy.begins}T00:00:00Z"
        try:
            line = made.line_of(entry, time)
        except FedCreditError:
            assert said(made) == before
            continue
        assert said(made) == before, "asking changes nothing"
        made.add(line, entry, time)
        lines.append(line)
        assert all(new >= old for new, old in zip(figures(account.lifetime), sums[1], strict=True))
        if isinstance(entry, Charge):
            charged += 1
            assert within(account)
            assert figures(account.lifetime) > sums[1]
        elif before[2][1].begins == account.policy.begins:  # type: ignore[index] # its policy
            assert figures(account.spent) == sums[0]
        else:
            assert account.spent == NOTHING_SPENT
    again = Chain()
    for line in lines:
        again.take(line)
    assert said(again) == said(made)
    assert [one.entry for one in again.written] == [one.entry for one in made.written]
    by_hand = sum(isinstance(one.entry, Charge) for one in again.written)
    assert charged == by_hand
    total = made.account.lifetime
    assert total.train + total.held_out == charged * COST


def test_the_sequences_above_reach_charges_releases_and_steps() -> None:
    """So the law is about more than refusals."""
    seen: set[str] = set()

    @settings(max_examples=200)
    @given(WISHES)
    def look(wishes: list[Wish]) -> None:
        made = chain()
        for wish in START + wishes:
            entry = wish.entry(made)
            try:
                add(made, entry, f"{made.account.policy.begins}T00:00:00Z")
            except FedCreditError:
                continue
            seen.add(entry.step if isinstance(entry, Step) else type(entry).__name__)

    look()
    assert seen >= {"Charge", "Release", "Burn", "Approve", "PolicyChange", "agree", "reveal"}
