"""Ledgers of a simulation, a quorum that comes and goes under a member, and a whole study."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest

from fedcredit.adapters.system import system_random, unix_time, utc_now
from fedcredit.cli.conduct import Conducted, conduct
from fedcredit.data.records import Records
from fedcredit.errors import (
    BudgetExceeded,
    IntegrityError,
    LocalError,
    PeerError,
    PrivacyError,
    UnreachableError,
)
from fedcredit.federation.book import planned
from fedcredit.federation.institution import private_sum
from fedcredit.federation.ledgers import (
    COORDINATOR,
    Kept,
    keep_ledgers,
    policy_of,
    recorder,
    unwitnessed,
)
from fedcredit.federation.member import answer
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import RoundClosed
from fedcredit.federation.terms import terms_of
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import Close, Receipt, Refuse, Release
from fedcredit.ledger.notes import read_checkpoint, read_notes
from fedcredit.ledger.store import InMemoryStore
from fedcredit.models.queries import Query
from fedcredit.privacy.budget import NOTHING_SPENT, Policy
from fedcredit.privacy.sums import BoundedSum
from fedcredit.units import NanoRho
from fedcredit.verifier import main as verify
from tests.federation.books import NOW, WIDE, MemoryBook, now
from tests.federation.made import NAMES, Party, Stream, parties, plan, records
from tests.federation.opened import plain
from tests.federation.table import ME, Table
from tests.federation.test_institution import Counted, asked
from tests.federation.test_institution import answer as ask
from tests.ledger.bank import Copied, Now, SignedAs, Watchers, kinds, shut

# A member whose witnesses come and go.

ORIGIN = "test.example/bank"


@dataclass
class Watched:
    """A member's party, its ledger under witnesses that can be shut."""

    watchers: Watchers = field(
        default_factory=lambda: Watchers(origin=ORIGIN, key=SignedAs(ORIGIN))
    )
    store: InMemoryStore = field(default_factory=InMemoryStore)
    counted: Counted = field(default_factory=Counted)

    def book(self) -> MemoryBook:
        rules = policy_of(WIDE, NOW)
        watched = self.watchers.rules()
        rules = replace(
            rules,
            quorum=watched.quorum,
            beside_coordinator=watched.beside_coordinator,
            witnesses=watched.witnesses,
        )
        return MemoryBook(self.store, rules, self.watchers.quorum())

    def party(self, **changes: object) -> Party:
        made = Party(book=self.book(), measure=self.counted)
        return replace(made, **changes)  # type: ignore[arg-type] # what a test changes


def ledger_of(party: Party) -> MemoryBook:
    assert isinstance(party.book, MemoryBook)
    return party.book


def test_without_a_quorum_nothing_is_measured_and_with_one_the_charge_is_used() -> None:
    watched = Watched()
    party = watched.party()
    party.institution()
    shut(watched.watchers)
    for _ in range(3):
        with pytest.raises(UnreachableError):
            ask(party)
        assert watched.counted.times == 0
    assert kinds(ledger_of(party))[3:] == ["charge"]
    watched.watchers.down = {"w0"}
    reply = ask(party)
    assert ask(party) == reply
    assert watched.counted.times == 1
    assert kinds(ledger_of(party))[3:] == ["charge", "release"]


def test_another_question_does_not_take_over_a_charge_that_waits() -> None:
    watched = Watched()
    party = watched.party()
    party.institution()
    shut(watched.watchers)
    with pytest.raises(UnreachableError):
        ask(party)
    watched.watchers.down = set()
    with pytest.raises(PeerError, match="was asked another question before"):
        private_sum(party.institution(), asked(), b"x" * 32, plain)
    assert watched.counted.times == 0
    assert ask(party)


def test_a_charge_that_waits_over_a_restart_is_burned_and_asked_as_a_new_attempt() -> None:
    watched = Watched()
    party = watched.party()
    party.institution()
    shut(watched.watchers)
    with pytest.raises(UnreachableError):
        ask(party)
    watched.watchers.down = set()
    later = watched.party(run=1)
    with pytest.raises(LocalError, match="its answer was lost"):
        ask(later)
    assert watched.counted.times == 0
    assert ask(later, asked(attempt=1))
    assert kinds(ledger_of(later))[3:] == ["charge", "burn", "charge", "release"]


class ShutAt:
    """A measure after which the witnesses are gone."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.times = watched, 0

    def __call__(self, held: Records, query: Query) -> BoundedSum:
        self.times += 1
        shut(self.watched.watchers)
        return Counted()(held, query)


def test_a_release_without_a_quorum_is_not_sent_and_later_byte_for_byte() -> None:
    """After a restart too; it is neither measured nor charged again."""
    watched = Watched()
    measure = ShutAt(watched)
    for run in (0, 1):
        party = watched.party(run=run, measure=measure)
        for _ in range(2):
            with pytest.raises(UnreachableError):
                ask(party)
    watched.watchers.down = set()
    again = watched.party(run=2, measure=measure)
    found = ask(again)
    assert ask(watched.party(run=3, measure=measure)) == found
    assert measure.times == 1
    (entry,) = [one.entry for one in ledger_of(again).written if isinstance(one.entry, Release)]
    assert ledger_of(again).reply(entry) == found


def test_no_step_of_a_turn_is_sent_before_a_quorum_has_signed_for_it() -> None:
    """Survivors and shares: refused while the witnesses are away, then the same bytes."""
    watched = Watched()
    table = Table(watched.party())
    quiet: list[str] = []

    def say(data: bytes) -> bytes:
        shut(watched.watchers)
        try:
            for _ in range(2):
                try:
                    answer(table.members[ME], data)
                except UnreachableError:
                    quiet.append("unreachable")
                else:
                    quiet.append("said")
        finally:
            watched.watchers.down = set()
        first = answer(table.members[ME], data)
        assert answer(table.members[ME], data) == first
        return first

    said = table.turn(say=say)
    assert said.opened is not None
    assert quiet == ["said"] * 2 + ["unreachable"] * 6  # keys are no step of a ledger
    assert kinds(ledger_of(table.party))[3:] == ["charge", "release", "agree", "reveal"]
    assert watched.counted.times == 1


def test_a_member_whose_ledger_was_set_back_sends_nothing() -> None:
    watched = Watched()
    party = watched.party()
    party.institution()
    ledger_of(party).settle()
    older = Copied.of(watched.store)
    ask(party)
    watched.store = older.store()
    again = watched.party(run=1)
    for _ in range(2):
        with pytest.raises(IntegrityError, match="behind the witness"):
            ask(again)
    assert watched.counted.times == 1


def test_without_witnesses_a_ledger_that_was_set_back_answers_a_second_time() -> None:
    """So the test above can fail: another answer of the same turn leaves, for nothing."""
    store = InMemoryStore()
    party = Party(book=MemoryBook(store))
    party.institution()
    older = Copied.of(store)
    first = ask(party)
    again = MemoryBook(older.store())
    assert again.account.spent == NOTHING_SPENT
    assert ask(Party(book=again, run=1)) != first


def tight(study: StudyPlan) -> MemoryBook:
    """A ledger with room for the plan, and nothing more."""
    return MemoryBook(policy=policy_of(terms_of(study).budget, NOW))


def test_what_the_budget_refuses_is_recorded_once_without_a_value() -> None:
    """A second study over a budget that the first has used."""
    study = plan()
    book = tight(study)
    first = Party(study, book=book)
    for index in range(3):
        ask(first, asked(index, study=study))
    second = plan(name="another", salt="22" * 16)
    other = Party(second, book=book, terms=terms_of(study))
    before = book.account.spent
    for _ in range(2):
        with pytest.raises(BudgetExceeded):
            ask(other, asked(study=second))
    refused = [one.entry for one in book.written if isinstance(one.entry, Refuse)]
    assert [(one.plan, one.turn, one.why) for one in refused] == [
        (second.digest().hex(), (0, 0), "budget")
    ]
    assert book.account.spent == before
    assert set(json.loads(lines_of(book)[-1])) == {
        *("attempt", "kind", "plan", "prev", "request", "round", "seq", "time", "why"),
    }


def lines_of(book: MemoryBook) -> list[bytes]:
    return book.store.lines().splitlines()


def test_a_clock_that_is_wrong_stops_a_charge_and_is_recorded() -> None:
    """A year ahead, a year back, and on the first day after the period."""
    for time in ("2025-11-25T12:00:00Z", "2027-01-01T00:00:00Z", "2027-11-25T12:00:00Z"):
        counted = Counted()
        book = MemoryBook()
        party = Party(book=book, measure=counted)
        party.institution()
        book._now = Now(time)
        with pytest.raises(PrivacyError, match=f"today is {time[:10]}"):
            ask(party)
        assert counted.times == 0
        assert kinds(book) == ["genesis", "plan", "approve", "refuse"]
        book._now = now
        assert ask(party)


# The ledgers of a simulation.


def kept(names: tuple[str, ...] = NAMES, caps: Policy = WIDE) -> Kept:
    return keep_ledgers(NAMES[: len(names)], caps, Stream("ledgers"), now, lambda: 1_700_000_000)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_each_ledger_is_watched_by_others_never_by_itself(count: int) -> None:
    made = kept(NAMES[:count])
    assert set(made.ledgers) == set(made.stores) == set(made.roots) == {*NAMES[:count], COORDINATOR}
    for name, ledger in made.ledgers.items():
        rules = ledger.policy
        watched = {one.key.partition("+")[0] for one in rules.witnesses}
        assert f"fedcredit.example/{name}/witness" not in watched
        assert rules.quorum == min(2, len(rules.witnesses)) >= 1
        roles = {one.key.partition("+")[0].split("/")[1]: one.role for one in rules.witnesses}
        assert all((role == COORDINATOR) == (one == COORDINATOR) for one, role in roles.items())
        assert rules.beside_coordinator == min(
            1, sum(role != COORDINATOR for role in roles.values())
        )
        assert ledger.account.genesis.root == made.roots[name]
        ledger.settle()
    assert made.ledgers[COORDINATOR].policy.allows_nothing


def test_the_policy_of_a_simulation_is_its_year_and_its_caps() -> None:
    rules = policy_of(WIDE, "2026-11-25")
    assert (rules.begins, rules.ends) == ("2026-01-01", "2027-01-01")
    assert rules.caps == WIDE
    assert rules.study_rho == rules.automatic_rho == WIDE.rho_cap


def test_one_that_learns_alone_is_watched_by_nobody() -> None:
    ledger = unwitnessed(NAMES[0], WIDE, Stream("alone"), now)
    assert (ledger.policy.quorum, ledger.policy.witnesses) == (0, ())
    assert ledger.account.genesis.institution == NAMES[0]
    ledger.propose(planned(plan(), 3))
    ledger.settle()


def closed(number: int = 1, attempt: int = 0, *, enough: bool = True) -> RoundClosed:
    replies = (("bank-a", "ee" * 32), ("bank-b", "ff" * 32))
    made = object.__new__(RoundClosed)
    for name, value in {
        "number": number,
        "attempt": attempt,
        "replies": replies,
        "enough": enough,
        "survivors": 2,
        "transcript": bytes(32),
    }.items():
        object.__setattr__(made, name, value)
    return made


def test_a_coordinator_writes_down_what_came_and_how_it_ended() -> None:
    ledger = kept().ledgers[COORDINATOR]
    record = recorder(ledger, plan())
    record(closed())
    record(closed(attempt=1, enough=False))
    record(closed())  # again, as after a crash
    assert kinds(ledger) == ["genesis", "plan", *["receipt", "receipt", "close"] * 2]
    receipts = [one.entry for one in ledger.written if isinstance(one.entry, Receipt)]
    assert [(one.turn, one.institution, one.reply[:2]) for one in receipts] == [
        ((0, 0), "bank-a", "ee"),
        ((0, 0), "bank-b", "ff"),
        ((0, 1), "bank-a", "ee"),
        ((0, 1), "bank-b", "ff"),
    ]
    ends = [one.entry for one in ledger.written if isinstance(one.entry, Close)]
    assert [(one.turn, one.outcome, one.survivors) for one in ends] == [
        ((0, 0), "opened", 2),
        ((0, 1), "aborted", 2),
    ]
    recorder(ledger, plan())
    assert kinds(ledger).count("plan") == 1


# A whole study.


@pytest.fixture(scope="module")
def study() -> tuple[StudyPlan, Conducted]:
    """A scorecard of six institutions, as the demo runs it."""
    made = plan("scorecard")
    tables = {name: records(300, at) for at, name in enumerate(NAMES)}
    return made, conduct(made, tables, lambda event: None)


def chains(conducted: Conducted) -> dict[str, Chain]:
    found: dict[str, Chain] = {}
    with ZipFile(BytesIO(conducted.audit)) as file:
        for name in file.namelist():
            if name.endswith("ledger.jsonl"):
                made = found[name.partition("/")[0]] = Chain()
                for line in file.read(name).splitlines(keepends=True):
                    made.take(line)
    return found


def test_the_audit_bundle_has_a_ledger_of_each_and_the_coordinators(
    study: tuple[StudyPlan, Conducted],
) -> None:
    _, conducted = study
    found = chains(conducted)
    assert set(found) == {*NAMES, COORDINATOR}
    for name, made in found.items():
        assert made.account.genesis.institution == name
        assert made.account.genesis.root == conducted.roots[name]
        assert made.account.open is None
    with ZipFile(BytesIO(conducted.audit)) as file:
        assert len(file.namelist()) == 2 * len(found)
        for name in found:
            notes = read_notes(file.read(f"{name}/checkpoints.note"))
            last = read_checkpoint(notes[-1].body)
            assert (last.size, last.root) == (len(found[name].written), found[name].tree.root())


def test_the_coordinators_receipts_are_the_institutions_releases(
    study: tuple[StudyPlan, Conducted],
) -> None:
    made, conducted = study
    found = chains(conducted)
    receipts = {
        (one.entry.institution, one.entry.turn, one.entry.reply)
        for one in found[COORDINATOR].written
        if isinstance(one.entry, Receipt)
    }
    releases = {
        (name, one.entry.turn, one.entry.reply)
        for name in NAMES
        for one in found[name].written
        if isinstance(one.entry, Release)
    }
    assert receipts == releases
    assert len(releases) == len(NAMES) * len(made.rounds)
    ends = [one.entry for one in found[COORDINATOR].written if isinstance(one.entry, Close)]
    assert [one.outcome for one in ends] == ["opened"] * len(made.rounds)


def test_no_institution_has_paid_more_than_the_plan_says(
    study: tuple[StudyPlan, Conducted],
) -> None:
    made, conducted = study
    entry = planned(made, 3)
    for name in NAMES:
        spent = chains(conducted)[name].account.spent
        assert 0 < spent.rho <= entry.rho
        assert 0 < spent.rho_local <= entry.rho_local
        assert spent.person_rho(3) <= entry.person_rho


def test_the_audit_bundle_holds_for_an_auditor(
    study: tuple[StudyPlan, Conducted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, conducted = study
    path = tmp_path / "audit.zip"
    path.write_bytes(conducted.audit)
    assert verify([str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "holds"
    assert found["coordinator"]["present"]
    assert found["coordinator"]["matched"] == found["coordinator"]["receipts"] > 0


def test_a_study_with_caps_for_nothing_is_refused_before_its_first_round() -> None:
    none = NanoRho(0)
    poor = replace(
        WIDE, rho_cap=none, rho_local_cap=none, person_rho_cap=none, person_rho_local_cap=none
    )
    made = keep_ledgers(NAMES, poor, system_random, utc_now, unix_time)
    with pytest.raises(BudgetExceeded):
        made.ledgers[NAMES[0]].propose(planned(plan(), 3))
    assert kinds(made.ledgers[NAMES[0]]) == ["genesis", "refuse"]
    assert set(parties(plan())) == set(NAMES)
