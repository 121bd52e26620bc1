"""The roster: it counts only when its members, and a quorum of those before, have signed it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import PeerError
from fedcredit.secagg.keys import Identity, Kind, Member, new_identity
from fedcredit.secagg.roster import Roster, SignedRoster, check_roster, quorum_of, sign_roster
from fedcredit.units import InstitutionId
from tests.vectors.secagg_reference import Stream, roster_digest

MOST = 1000


@cache
def bank(at: int, kind: Kind = "x25519", label: str = "roster") -> Identity:
    """The same member whenever it is asked for; another label is another pair of keys."""
    return new_identity(InstitutionId(f"bank-{at:04}"), Stream(f"{label} {at} {kind}"), kind)


def roster(*members: int, epoch: int = 0, previous: bytes = b"") -> Roster:
    return Roster(epoch, previous, tuple(bank(at).card for at in members))


def signed(one: Roster, *signers: int) -> SignedRoster:
    whole = SignedRoster(one)
    for at in signers:
        whole = sign_roster(whole, bank(at))
    return whole


def after(before: Roster, *members: int) -> Roster:
    """The roster that follows."""
    return roster(*members, epoch=before.epoch + 1, previous=before.digest())


@given(count=st.integers(1, MOST))
def test_a_quorum_is_the_fewest_that_are_more_than_two_thirds(count: int) -> None:
    quorum = quorum_of(count)

    assert 3 * quorum > 2 * count >= 3 * (quorum - 1)
    assert quorum <= count, "all of them are always enough"
    assert 3 * (2 * quorum - count) > count, "two quorums share more than a third"


def test_a_roster_counts_when_a_quorum_and_oneself_have_signed() -> None:
    whole = signed(roster(1, 2, 3, 4), 1, 2, 4)

    for at in (1, 2, 4):
        assert check_roster(whole, bank(at).card) == whole.roster
    with pytest.raises(PeerError, match="no signature of 'bank-0003'"):
        check_roster(whole, bank(3).card)


def test_a_roster_with_a_signature_too_few_does_not_count() -> None:
    with pytest.raises(PeerError, match="fewer than 3 true signatures"):
        check_roster(signed(roster(1, 2, 3, 4), 1, 4), bank(1).card)


def test_a_stranger_s_signature_adds_nothing() -> None:
    whole = signed(roster(1, 2, 3, 4), 1, 2, 9)

    assert set(whole.approvals) == {"bank-0009"}
    with pytest.raises(PeerError, match="fewer than 3"):
        check_roster(whole, bank(1).card)


def test_signing_twice_is_signing_once() -> None:
    once = signed(roster(1, 2, 3), 1)
    assert sign_roster(once, bank(1)) == once


def test_a_roster_that_gives_us_other_keys_does_not_count() -> None:
    """A1: the coordinator cannot put a key of its own in our place."""
    false = new_identity(InstitutionId("bank-0001"), Stream("a false one"), "x25519")
    members = (false.card, bank(2).card, bank(3).card)
    whole = sign_roster(signed(Roster(0, b"", members), 2, 3), false)

    check_roster(whole, false.card)
    with pytest.raises(PeerError, match="gives 'bank-0001' other keys than its own"):
        check_roster(whole, bank(1).card)


def test_a_roster_without_us_does_not_count() -> None:
    with pytest.raises(PeerError, match="'bank-0004' is not in the roster"):
        check_roster(signed(roster(1, 2, 3), 1, 2, 3), bank(4).card)


def test_one_false_signature_is_refused_with_all_the_others() -> None:
    whole = signed(roster(1, 2, 3, 4), 1, 2, 3, 4)
    other = signed(roster(1, 2, 3), 3)
    false = replace(whole, signatures={**whole.signatures, **other.signatures})

    with pytest.raises(PeerError, match="signature of 'bank-0003' under the roster is false"):
        check_roster(false, bank(1).card)


def test_a_later_roster_needs_a_quorum_of_those_before() -> None:
    before = roster(1, 2, 3, 4)
    now = after(before, 1, 2, 5, 6)
    whole = signed(now, 1, 2, 5, 6)

    assert check_roster(whole, bank(5).card) == now, "a newcomer has nothing to compare with"
    with pytest.raises(PeerError, match="too few signatures of the members before"):
        check_roster(whole, bank(1).card, before)


def test_those_who_leave_may_approve_of_the_roster_without_them() -> None:
    before = roster(1, 2, 3, 4)
    now = after(before, 1, 2, 5)
    whole = signed(now, 1, 2, 5, 4)

    assert set(whole.approvals) == {"bank-0004"}
    assert check_roster(whole, bank(1).card, before) == now


def test_a_false_approval_is_refused() -> None:
    before = roster(1, 2, 3, 4)
    whole = signed(after(before, 1, 2, 5), 1, 2, 5)
    false = replace(whole, approvals={InstitutionId("bank-0004"): bytes(64)})

    with pytest.raises(PeerError, match="signature of 'bank-0004' under the roster is false"):
        check_roster(false, bank(1).card, before)


def test_a_member_may_seal_with_a_new_key_in_every_epoch() -> None:
    """The signing key stays, so those before know it again."""
    before = roster(1, 2, 3)
    kept = bank(1)
    renewed = Identity(kept.name, kept.signing, bank(1, label="renewed").sealing)
    now = Roster(1, before.digest(), (renewed.card, bank(2).card, bank(3).card))
    whole = sign_roster(signed(now, 2, 3), renewed)

    assert check_roster(whole, renewed.card, before) == now
    with pytest.raises(PeerError, match="other keys than its own"):
        check_roster(whole, kept.card, before)


@pytest.mark.parametrize(
    ("epoch", "previous"), [(2, b""), (1, b"\1" * 32), (2, b"\1" * 32)], ids=str
)
def test_a_roster_that_follows_another_does_not_count(epoch: int, previous: bytes) -> None:
    before = roster(1, 2, 3)
    now = roster(1, 2, 3, epoch=epoch, previous=previous or before.digest())

    with pytest.raises(PeerError, match="does not follow the roster that counted until now"):
        check_roster(signed(now, 1, 2, 3), bank(1).card, before)


def test_the_roster_that_counts_does_not_follow_itself() -> None:
    first = roster(1, 2, 3)
    with pytest.raises(PeerError, match="does not follow"):
        check_roster(signed(first, 1, 2, 3), bank(1).card, first)


def card(name: str, signing: int, sealing: int, kind: Kind = "x25519") -> Member:
    """Keys of two members under one name."""
    return Member(InstitutionId(name), bank(signing).card.signing, bank(sealing, kind).card.sealing)


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ((), "1 to 1000 members"),
        ((card("b", 1, 1), card("a", 2, 2)), "rising name"),
        ((card("a", 1, 1), card("a", 2, 2)), "rising name"),
        ((card("a", 1, 1), card("b", 1, 2)), "two members one signing key"),
        ((card("a", 1, 1), card("b", 2, 1)), "two members one sealing key"),
        ((card("a", 1, 1), card("b", 2, 2, "mlkem768-x25519")), "mixes kinds"),
    ],
)
def test_members_who_make_no_roster_are_refused(members: tuple[Member, ...], problem: str) -> None:
    with pytest.raises(PeerError, match=problem):
        Roster(0, b"", members)


def test_a_hybrid_key_with_another_s_curve_key_is_refused() -> None:
    """A key of both kinds would stay closed only as long as its other half does."""
    one, two = bank(1, "mlkem768-x25519").card, bank(2, "mlkem768-x25519").card
    mixed = replace(two, sealing=two.sealing[:-32] + one.sealing[-32:])

    with pytest.raises(PeerError, match="two members one sealing key"):
        Roster(0, b"", (one, mixed))
    assert Roster(0, b"", (one, two)).kind == "mlkem768-x25519"


def test_a_thousand_members_are_the_most() -> None:
    members = tuple(
        Member(
            InstitutionId(f"bank-{at:04}"),
            at.to_bytes(32, "big"),
            (at + 2).to_bytes(32, "little"),
        )
        for at in range(MOST + 1)
    )
    assert len(Roster(0, b"", members[:MOST]).members) == MOST
    with pytest.raises(PeerError, match="1 to 1000 members"):
        Roster(0, b"", members)


@pytest.mark.parametrize(
    ("epoch", "previous"), [(-1, 0), (-1, 32), (0, 32), (0, 1), (1, 0), (1, 31), (7, 33)]
)
def test_a_roster_names_the_one_before_it_unless_it_is_the_first(epoch: int, previous: int) -> None:
    with pytest.raises(PeerError, match="does not name the roster before it"):
        roster(1, 2, 3, epoch=epoch, previous=bytes(previous))


def test_a_member_is_found_by_name() -> None:
    one = roster(1, 2)

    assert one.member(InstitutionId("bank-0002")) == bank(2).card
    assert one.kind == "x25519"
    with pytest.raises(PeerError, match="'bank-0003' is not in the roster"):
        one.member(InstitutionId("bank-0003"))


def test_every_part_of_a_roster_is_in_its_digest() -> None:
    first = roster(1, 2)
    others = [
        first,
        roster(1, 3),
        roster(1, 2, 3),
        after(first, 1, 2),
        roster(1, 2, epoch=2, previous=first.digest()),
        roster(1, 2, epoch=1, previous=bytes(32)),
        Roster(0, b"", (card("bank-0001", 1, 4), bank(2).card)),
        Roster(0, b"", (card("bank-0001", 4, 1), bank(2).card)),
        Roster(0, b"", (card("bank-0000", 1, 1), bank(2).card)),
    ]
    assert len({one.digest() for one in others}) == len(others)


@pytest.mark.parametrize("epoch", [0, 1, 127, 128, 40_000])
def test_what_members_sign_is_the_reference_s_bytes(epoch: int) -> None:
    previous = bytes(range(32)) if epoch else b""
    one = roster(1, 2, 3, epoch=epoch, previous=previous)
    cards = [(str(each.name), each.signing, each.sealing) for each in one.members]

    assert one.digest() == roster_digest(cards, epoch, previous)


def test_a_member_may_change_its_signing_key() -> None:
    """The new key signs the roster, the old one approves of it as a member before."""
    before = roster(1, 2, 3)
    renewed = new_identity(bank(3).name, Stream("renewed"), "x25519")
    now = Roster(1, before.digest(), (bank(1).card, bank(2).card, renewed.card))
    signed = SignedRoster(now)
    for identity in (bank(1), bank(2), renewed):
        signed = sign_roster(signed, identity)
    with pytest.raises(PeerError, match="of the members before"):
        check_roster(signed, bank(1).card, before)
    signed = sign_roster(signed, bank(3))
    assert check_roster(signed, bank(1).card, before) == now
