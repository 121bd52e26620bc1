"""What a member refuses, and that a refusal costs nothing and changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import BudgetExceeded, IntegrityError, PeerError, PrivacyError
from fedcredit.federation.consortium import found
from fedcredit.federation.member import Member, answer
from fedcredit.federation.plan import alone
from fedcredit.federation.terms import terms_of
from fedcredit.models.queries import Histograms
from fedcredit.secagg.messages import (
    Prepare,
    Reveal,
    Start,
    Survive,
    decode_request,
    encode_request,
)
from fedcredit.secagg.states import InMemoryVault
from tests.federation.driven import Driven, each, prepare, session
from tests.federation.made import NAMES, QUERY, Party, Stream, keys, parties, plan, roster
from tests.federation.table import ME, WHOLE, Table
from tests.federation.test_institution import Counted

FINER = Histograms(QUERY.ordered, QUERY.extra, ((1, 2), (1,), (1,)))


@pytest.mark.parametrize(
    "change",
    [
        {"fewest_institutions": 7},
        {"fewest_honest": 5},
        {"fewest_colluders": 2},
        {"fewest_colluders": 2, "fewest_honest": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("noise", ["distributed", "local"])
def test_a_study_below_the_members_floor_is_refused_before_its_first_round(
    change: dict[str, int], noise: str
) -> None:
    """The floor is the member's own: neither plan nor coordinator moves it."""
    study = plan(noise=noise)
    party = Party(study, terms=replace(terms_of(study), **change))  # type: ignore[arg-type]
    with pytest.raises(PrivacyError):
        party()
    assert party.book.entries() == ()


def test_a_member_with_other_keys_than_the_rosters_is_refused() -> None:
    """Somebody's roster, in which somebody else has its name."""
    institution, study = Party().institution(), plan()
    strangers, other = found(NAMES, Stream("strangers"), "x25519")
    own = keys(study.institutions)[0][ME]
    for identity, signed in ((strangers[ME], roster(study)), (own, other)):
        with pytest.raises(PeerError, match="other keys than its own"):
            Member(institution, identity, signed, InMemoryVault(), Stream("keys"))


def test_a_roster_that_lacks_a_member_of_the_plan_is_refused() -> None:
    identities, fewer = keys(NAMES[:-1])
    with pytest.raises(PeerError, match="not in the roster"):
        Member(Party().institution(), identities[ME], fewer, InMemoryVault(), Stream("keys"))


def test_an_institution_alone_is_no_member() -> None:
    study = alone(plan(), ME)
    with pytest.raises(PrivacyError):
        Party(study)()


def test_what_is_not_public_is_not_printed() -> None:
    table = Table()
    table.say(prepare(table.study))
    assert repr(table.members[ME]) == "Member('bank-a')"
    assert repr(table.holding) == "Holding([(0, 0)])"


@given(data=st.binary(max_size=200))
def test_bytes_of_any_kind_are_refused_and_change_nothing(data: bytes) -> None:
    party = Party()
    with pytest.raises(PeerError):
        answer(party(), data)
    assert party.book.entries() == ()
    assert party.vault.load(session(party.study).digest()) == b""


@pytest.mark.parametrize("turn", [(4, 0), (0, 3), (9, 9)])
def test_keys_are_dealt_for_turns_of_the_plan_only(turn: tuple[int, int]) -> None:
    table = Table()
    with pytest.raises(PeerError, match="never planned"):
        table.say(prepare(table.study, turn))
    assert table.kept == b""


def test_keys_are_dealt_for_our_session_only() -> None:
    table = Table()
    other = encode_request(Prepare(session(plan(name="another")).digest(), (0, 0)))
    with pytest.raises(PeerError, match="another session"):
        table.say(other)
    assert table.kept == b""


def test_keys_are_not_dealt_for_a_turn_that_is_over() -> None:
    table = Table()
    table.say(table.driven((1, 0)).starts[ME])
    for turn in ((0, 0), (0, 1), (1, 0)):
        with pytest.raises(PeerError, match="is over"):
            table.say(prepare(table.study, turn))


def test_a_coordinator_cannot_have_keys_dealt_without_end() -> None:
    """Those of the earliest turns go, and what is held stays small."""
    study = plan(retries=100)
    table = Table(Party(study))
    for attempt in range(101):
        table.say(prepare(study, (0, attempt)))
    assert sorted(table.holding.states) == [(0, attempt) for attempt in range(97, 101)]


def test_the_package_for_a_turn_is_the_same_however_many_others_were_asked_for() -> None:
    table = Table()
    for turn in ((0, 1), (1, 0), (2, 0), (3, 0)):
        table.say(prepare(table.study, turn))
    assert table.say(prepare(table.study)) == table.say(prepare(table.study))


def test_a_start_without_keys_is_refused_free_of_charge() -> None:
    table = Table()
    driven = table.driven()
    table.kept = b""
    with pytest.raises(PeerError, match="we hold no keys"):
        table.say(driven.starts[ME])
    assert table.entries == ()


def changed(start: bytes, **change: object) -> bytes:
    request = decode_request(start)
    assert isinstance(request, Start)
    return encode_request(replace(request, **change))  # type: ignore[arg-type]


def test_a_start_with_anything_changed_is_refused_free_of_charge() -> None:
    """Whatever stands in it is compared with what the member works out for itself."""
    counted = Counted()
    table = Table(Party(measure=counted))
    driven = table.driven()
    good, other = driven.starts[ME], table.driven(query=FINER).starts[ME]
    request, another = decode_request(good), decode_request(other)
    assert isinstance(request, Start)
    assert isinstance(another, Start)
    before = table.kept
    for bad in (
        changed(good, manifest=another.manifest),
        changed(good, question=another.question),
        changed(good, question=b""),
        changed(good, headers=request.headers[::-1]),
        changed(good, headers=request.headers[1:]),
        changed(good, signatures=bytes(len(request.signatures))),
        changed(good, parcels=request.parcels[1:]),
        changed(good, cards=request.cards[1:]),
        changed(good, cards=b""),
    ):
        with pytest.raises(PeerError):
            table.say(bad)
    assert (table.entries, table.kept, counted.times) == ((), before, 0)
    assert table.say(good), "and the right one is answered"


def test_a_start_beyond_the_budget_is_refused_free_of_charge() -> None:
    """The keys stay, and open nothing."""
    study = plan(evaluate=False, retries=0)
    table = Table(Party(study))
    for index in range(3):
        table.turn((index, 0))
    other = replace(study, name="another")
    again = Party(other, book=table.party.book)
    members = parties(other) | {ME: again()}
    driven = Driven(other, each(members, dict.fromkeys(NAMES, prepare(other))))
    with pytest.raises(BudgetExceeded):
        answer(members[ME], driven.starts[ME])
    assert table.written == WHOLE * 3


def test_a_damaged_vault_is_named_and_nothing_is_charged() -> None:
    table = Table()
    driven = table.driven()
    table.kept = table.kept[:-1]
    for data in (prepare(table.study), driven.starts[ME]):
        with pytest.raises(IntegrityError):
            table.say(data)
    assert table.entries == ()


def test_a_later_step_of_no_turn_of_ours_is_refused() -> None:
    table = Table()
    for data in (Survive(bytes(32), NAMES, ()), Reveal(bytes(32), NAMES, (), ())):
        with pytest.raises(PeerError, match="no turn of ours waits"):
            table.say(encode_request(data))
