"""One turn of a coordinator, over a transport that loses what it carries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.federation.coordinator import Transport, conduct_turn
from fedcredit.federation.journal import TurnResult
from fedcredit.federation.member import Member
from fedcredit.federation.messages import Answer, Heard, Refusal
from fedcredit.federation.simulate import plain_calls
from fedcredit.secagg.lanes import Cards
from fedcredit.secagg.messages import Start, Upload, decode_request
from fedcredit.secagg.opening import (
    Opened,
)
from fedcredit.secagg.server import (
    Aborted,
)
from fedcredit.secagg.session import Turn
from fedcredit.units import InstitutionId, Ints
from tests.federation.driven import Trip, Watched, asked, session
from tests.federation.made import NAMES, QUERY, Party, parties, plan
from tests.federation.opened import opened_total

PLAN = plan()
TRIPS = ("prepare", "start", "survive", "reveal")


def conduct(
    ask: Transport,
    packages: Mapping[InstitutionId, bytes] | None = None,
    turn: Turn = (0, 0),
    cards: Mapping[InstitutionId, Cards] | None = None,
) -> TurnResult:
    what = session(PLAN), asked(PLAN, turn)
    return conduct_turn(*what, packages or {}, NAMES, ask, 1.0, cards or {})


def exact(
    members: Mapping[InstitutionId, Member], names: Iterable[InstitutionId], turn: Turn = (0, 0)
) -> list[int]:
    """The sum of the noisy numbers of some members, as if nothing had been masked."""
    twins = {
        name: Party(PLAN, name, members[name].institution.records).institution() for name in names
    }
    value: Ints = opened_total(PLAN, twins, turn[0], QUERY, turn[1]).value
    return [int(one) for one in value]


def opened(result: TurnResult) -> Opened:
    assert isinstance(result.outcome, Opened), result
    return result.outcome


def losing(trips: Iterable[str], names: Iterable[InstitutionId], tries: int = 2) -> Watched:
    """Members in whose place there is silence, in the first tries of some trips."""
    lost, kinds = set(names), set(trips)

    def gone(trip: Trip, name: InstitutionId) -> bool:
        return trip.kind in kinds and trip.resent < tries and name in lost

    return Watched(plain_calls(parties(PLAN)), gone)


def test_a_turn_is_four_trips_and_tells_the_exact_sum() -> None:
    members = parties(PLAN)
    watched = Watched(plain_calls(members))
    result = conduct(watched)
    assert watched.kinds() == list(TRIPS)
    assert opened(result).total.tolist() == exact(members, NAMES)
    assert opened(result).total.dtype == np.int64
    assert (result.answered, result.troubles) == (NAMES, {})


def test_with_the_packages_of_the_last_turn_it_is_three() -> None:
    """They ride along with the uploads, so nobody is asked for keys again."""
    members = parties(PLAN)
    first = conduct(plain_calls(members))
    assert tuple(first.following) == NAMES
    watched = Watched(plain_calls(members))
    second = conduct(watched, first.following, (1, 0), first.cards)
    assert watched.kinds() == ["start", "survive", "reveal"]
    assert opened(second).survivors == NAMES


def test_a_member_that_was_absent_is_asked_for_keys_and_no_other_is() -> None:
    members = parties(PLAN)
    watched = Watched(plain_calls(members), lambda trip, name: name == NAMES[2])
    first = conduct(watched)
    assert opened(first).survivors == tuple(name for name in NAMES if name != NAMES[2])
    again = Watched(plain_calls(members))
    second = conduct(again, first.following, (1, 0), first.cards)
    assert list(again.trips[0].requests) == [NAMES[2]]
    assert opened(second).survivors == NAMES


def test_a_member_that_was_away_for_turns_opens_the_lanes_of_the_others() -> None:
    """The cards come with its start: it was there for none of the turns that they have taken."""
    members = parties(PLAN)
    away = Watched(plain_calls(members), lambda trip, name: name == NAMES[2])
    first = conduct(away)
    second = conduct(away, first.following, (1, 0), first.cards)
    assert NAMES[2] not in second.cards
    direct, accused = plain_calls(members), []

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        for heard in direct(requests, deadline_s):
            assert isinstance(heard, Answer)
            if isinstance(decode_request(requests[heard.sender]), Start):
                accused.append(Upload.decode(heard.data, len(heard.data)).accused)
            yield heard

    back = conduct(ask, second.following, (2, 0), second.cards)
    assert (opened(back).survivors, back.troubles) == (NAMES, {})
    assert accused == [()] * len(NAMES)


def test_a_member_that_lost_its_vault_begins_a_new_epoch() -> None:
    """It misses the turn that its keys were lost for, and its old cards are of no use."""
    members = parties(PLAN)
    first = conduct(plain_calls(members))
    members[NAMES[2]].vault.keep(session(PLAN).digest(), b"")
    second = conduct(plain_calls(members), first.following, (1, 0), first.cards)
    assert NAMES[2] not in opened(second).survivors
    third = conduct(plain_calls(members), second.following, (2, 0), second.cards)
    assert (opened(third).survivors, third.troubles) == (NAMES, {})
    changed = [name for name in NAMES if first.cards[name].epoch != third.cards[name].epoch]
    assert changed == [NAMES[2]]


def test_without_the_cards_that_a_package_needs_its_dealer_is_asked_for_both() -> None:
    """As after a coordinator's restart; a package of an epoch that is over is one of them."""
    members = parties(PLAN)
    first = conduct(plain_calls(members))
    fewer = {name: cards for name, cards in first.cards.items() if name != NAMES[1]}
    fewer[NAMES[3]] = replace(fewer[NAMES[3]], epoch=bytes(32))
    again = Watched(plain_calls(members))
    second = conduct(again, first.following, (1, 0), fewer)
    assert list(again.trips[0].requests) == [NAMES[1], NAMES[3]]
    assert (opened(second).survivors, second.troubles) == (NAMES, {})
    assert second.cards == first.cards


def test_a_package_that_is_of_no_use_is_asked_for_once_more() -> None:
    members = parties(PLAN)
    first = conduct(plain_calls(members))
    wrong = {**first.following, NAMES[1]: b"wrong", NAMES[4]: first.following[NAMES[3]]}
    again = Watched(plain_calls(members))
    second = conduct(again, wrong, (1, 0), first.cards)
    assert list(again.trips[0].requests) == [NAMES[1], NAMES[4]]
    assert (opened(second).survivors, second.troubles) == (NAMES, {})


def test_a_member_whose_package_was_of_no_use_and_that_is_gone_has_not_answered() -> None:
    """What is wrong with it in the end is that it is silent."""
    members = parties(PLAN)
    first = conduct(plain_calls(members))
    gone = Watched(plain_calls(members), lambda trip, name: name == NAMES[1])
    second = conduct(gone, {**first.following, NAMES[1]: b"wrong"}, (1, 0), first.cards)
    assert second.troubles == {NAMES[1]: "no answer"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("trip", TRIPS)
def test_one_may_be_lost_in_any_trip(trip: str, name: InstitutionId) -> None:
    """Before its numbers came they are not in the sum; after that they are."""
    members = parties(PLAN)
    result = conduct(losing([trip], [name]))
    counted = trip in ("survive", "reveal")
    left = tuple(one for one in NAMES if counted or one != name)
    assert opened(result).survivors == result.answered == left
    assert opened(result).total.tolist() == exact(members, left)
    assert result.troubles == ({} if counted else {name: "no answer"})


@pytest.mark.parametrize("trip", TRIPS)
def test_below_the_threshold_the_very_same_bytes_are_sent_once_more(trip: str) -> None:
    """To those who have said nothing; a resend costs nobody anything."""
    watched = losing([trip], NAMES[:2], tries=1)
    result = conduct(watched)
    assert opened(result).survivors == NAMES
    (first, second) = [one for one in watched.trips if one.kind == trip]
    missing = [name for name in NAMES if name not in NAMES[2:]]
    assert list(second.requests) == missing
    assert all(second.requests[name] == first.requests[name] for name in missing)
    assert result.troubles == {}


@pytest.mark.parametrize("trip", TRIPS)
def test_a_turn_with_too_few_in_any_trip_ends_and_nothing_is_opened(trip: str) -> None:
    """Shares are asked for only when enough have signed."""
    watched = losing([trip], NAMES[:2])
    result = conduct(watched)
    assert isinstance(result.outcome, Aborted)
    assert result.outcome.blamed == ()
    if trip == "reveal":
        assert watched.kinds()[-1] == "reveal"
    else:
        assert "reveal" not in watched.kinds()
        assert watched.kinds()[-2:] == [trip, trip], "after a resend"


@settings(max_examples=40)
@given(lost=st.dictionaries(st.sampled_from(TRIPS), st.sets(st.sampled_from(NAMES), max_size=3)))
def test_whoever_is_lost_wherever_the_sum_is_exact_or_there_is_none(
    lost: dict[str, set[InstitutionId]],
) -> None:
    """Never a sum of others than the survivors, and none of fewer than the threshold."""
    members = parties(PLAN)
    ask = Watched(plain_calls(members), lambda trip, name: name in lost.get(trip.kind, ()))
    result = conduct(ask)
    present = [name for name in NAMES if name not in lost.get("prepare", ())]
    uploaded = tuple(name for name in present if name not in lost.get("start", ()))
    counts = [len(present), len(uploaded)]
    counts += [
        len([one for one in uploaded if one not in lost.get(trip, ())]) for trip in TRIPS[2:]
    ]
    if min(counts) >= PLAN.threshold:
        assert opened(result).survivors == uploaded
        assert opened(result).total.tolist() == exact(members, uploaded)
    else:
        assert isinstance(result.outcome, Aborted)


def test_a_refusal_is_trouble_until_an_answer_follows() -> None:
    """A node that was busy at first is no trouble in the end."""
    direct = plain_calls(parties(PLAN))
    busy: list[InstitutionId] = list(NAMES[:2])

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        if isinstance(decode_request(requests[NAMES[0]]), Start) and busy:
            yield Refusal(busy.pop(), "UnreachableError")
            yield Refusal(busy.pop(), "UnreachableError")
            requests = {name: requests[name] for name in NAMES[2:]}
        yield from direct(requests, deadline_s)

    result = conduct(ask)
    assert opened(result).survivors == NAMES
    assert result.troubles == {}


def test_a_refusal_that_stays_is_noted_by_its_rule() -> None:
    direct = plain_calls(parties(PLAN))

    def ask(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        for name, request in requests.items():
            if name == NAMES[4] and isinstance(decode_request(request), Start):
                yield Refusal(name, "BudgetExceeded")
            else:
                yield from direct({name: request}, deadline_s)

    result = conduct(ask)
    assert opened(result).survivors == tuple(name for name in NAMES if name != NAMES[4])
    assert result.troubles == {NAMES[4]: "refused: BudgetExceeded"}


def test_the_transcript_names_the_manifest_and_every_upload() -> None:
    """The same for the same turn, whatever order its answers come in."""
    direct = plain_calls(parties(PLAN))

    def backwards(requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        yield from direct(dict(reversed([*requests.items()])), deadline_s)

    same = {conduct(plain_calls(parties(PLAN))).transcript, conduct(backwards).transcript}
    others = {
        conduct(losing(["start"], NAMES[:1])).transcript,
        conduct(losing(["start"], NAMES[1:2])).transcript,
        conduct(losing(["prepare"], NAMES[:1])).transcript,
        conduct(losing(["start"], NAMES[:2])).transcript,
        conduct(losing(["prepare"], NAMES[:2])).transcript,
        conduct(plain_calls(parties(PLAN)), turn=(0, 1)).transcript,
    }
    assert {len(one) for one in same | others} == {32}
    assert (len(same), len(same | others)) == (1, 7)


def test_nothing_that_is_sent_names_the_noise_but_the_manifest_that_all_compare() -> None:
    """A member draws what its own plan says; the coordinator has no say in it."""
    watched = Watched(plain_calls(parties(PLAN)))
    conduct(watched)
    for trip in watched.trips:
        for data in trip.requests.values():
            request = decode_request(data)
            text = data.replace(request.manifest, b"") if isinstance(request, Start) else data
            assert b"variance" not in text
