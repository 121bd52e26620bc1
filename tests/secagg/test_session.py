"""What all sides agree on: a safe session, our floor, and a manifest that is the same for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.codec import Value, decode, encode
from fedcredit.errors import PeerError, PrivacyError
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.session import (
    Asked,
    Floor,
    Manifest,
    Session,
    check_floor,
    decode_manifest,
    encode_manifest,
    turn_of,
)
from fedcredit.units import InstitutionId
from tests.secagg.world import ask, identity, names_of, session_of

FIVE: Final = session_of(5)
ASKED: Final = ask((3, 1))
STRANGER: Final = InstitutionId("bank-999")


def roster_of(count: int, epoch: int = 0) -> Roster:
    previous = bytes(32) if epoch else b""
    return Roster(epoch, previous, tuple(identity(name).card for name in names_of(count)))


def manifest(participants: tuple[InstitutionId, ...] = FIVE.members) -> Manifest:
    packages = tuple(bytes([at]) * 32 for at in range(len(participants)))
    return Manifest(
        session=FIVE.digest(), asked=ASKED, participants=participants, packages=packages
    )


@pytest.mark.parametrize("n", range(1, 13))
def test_a_session_stands_only_where_no_coordinator_could_open_one_member(n: int) -> None:
    """With c members it must not gather t shares of both kinds, nor t signatures on two lists.

    Each of the n - c honest ones gives one kind, or signs once; the c others do both.
    """
    roster, names = roster_of(n), names_of(n)
    for t in range(n + 2):
        for c in range(n + 1):
            both = (n - c) + 2 * c >= 2 * t  # enough for two lists, or for both kinds
            safe = c >= 1 and not both and t - c >= 2 and t <= n
            try:
                Session(bytes(32), roster, names, t, c)
            except PrivacyError:
                assert not safe
            else:
                assert safe


@pytest.mark.parametrize(
    ("study", "members"),
    [
        (bytes(31), names_of(5)),
        (bytes(33), names_of(5)),
        (bytes(32), names_of(5)[::-1]),
        (bytes(32), (*names_of(4), names_of(4)[-1])),
        (bytes(32), (*names_of(4), STRANGER)),
    ],
)
def test_a_session_names_members_of_its_roster_each_once(
    study: bytes, members: tuple[InstitutionId, ...]
) -> None:
    with pytest.raises(PeerError):
        Session(study, roster_of(5), members, 4, 1)


def test_whatever_differs_between_two_sessions_differs_in_their_digests() -> None:
    six = roster_of(6)
    sessions = [
        Session(bytes(32), six, names_of(6), 5, 1),
        Session(b"s" * 32, six, names_of(6), 5, 1),
        Session(bytes(32), roster_of(6, epoch=1), names_of(6), 5, 1),
        Session(bytes(32), six, names_of(5), 5, 1),
        Session(bytes(32), six, names_of(6)[1:], 5, 1),
        Session(bytes(32), six, names_of(6), 6, 1),
        Session(bytes(32), six, names_of(6), 5, 2),
    ]
    assert len({session.digest() for session in sessions}) == len(sessions)
    assert sessions[0].digest() == Session(bytes(32), six, names_of(6), 5, 1).digest()


def test_the_shares_of_members_lie_at_one_and_onwards() -> None:
    assert [FIVE.point(name) for name in FIVE.members] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("floor", "found"),
    [
        (Floor(members=6), "5 members"),
        (Floor(threshold=5), "4 threshold"),
        (Floor(colluders=2), "1 colluders"),
        (Floor(honest=4), "3 honest members"),
    ],
)
def test_what_is_below_our_floor_is_refused_with_both_numbers(floor: Floor, found: str) -> None:
    with pytest.raises(PrivacyError, match=found):
        check_floor(floor, FIVE)


def test_what_is_just_on_our_floor_is_not_refused() -> None:
    check_floor(Floor(members=5, threshold=4, colluders=1, honest=3), FIVE)


@pytest.mark.parametrize("size", [4, 5])
def test_a_manifest_is_read_back(size: int) -> None:
    written = manifest(FIVE.members[-size:])
    assert decode_manifest(encode_manifest(written), FIVE, ASKED) == written


OTHERS: Final[dict[str, Asked]] = {
    "round": replace(ASKED, turn=(4, 1)),
    "attempt": replace(ASKED, turn=(3, 2)),
    "dim": replace(ASKED, dim=4),
    "ring": replace(ASKED, ring=Ring(24)),
    "question": replace(ASKED, question=b"another model"),
    "parameter": replace(ASKED, parameters={"clip": 8}),
    "type of a parameter": replace(ASKED, parameters={"clip": "7"}),
    "a parameter more": replace(ASKED, parameters={"clip": 7, "noise": 0}),
    "a parameter less": replace(ASKED, parameters={}),
}


@pytest.mark.parametrize("asked", OTHERS.values(), ids=OTHERS)
def test_a_manifest_about_anything_else_is_refused_and_has_another_context(asked: Asked) -> None:
    other = replace(manifest(), asked=asked)
    assert other.context() != manifest().context()
    with pytest.raises(PeerError, match="changes a parameter"):
        decode_manifest(encode_manifest(other), FIVE, ASKED)
    with pytest.raises(PeerError, match="changes a parameter"):
        decode_manifest(encode_manifest(manifest()), FIVE, asked)


def test_a_manifest_of_another_session_is_refused() -> None:
    for other in (session_of(5, 5), session_of(5, study=b"s" * 32), session_of(4)):
        with pytest.raises(PeerError):
            decode_manifest(encode_manifest(manifest()), other, ASKED)


@pytest.mark.parametrize(
    "participants",
    [
        FIVE.members[:3],
        (),
        (*FIVE.members[:4], STRANGER),
        FIVE.members[::-1],
        (FIVE.members[0], *FIVE.members[:4]),
    ],
    ids=["too few", "none", "a stranger", "falling", "one twice"],
)
def test_a_manifest_about_participants_that_may_not_be_is_refused(
    participants: tuple[InstitutionId, ...],
) -> None:
    with pytest.raises(PeerError):
        decode_manifest(encode_manifest(manifest(participants)), FIVE, ASKED)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: one[:-1],
        lambda one: (*one, bytes(32)),
        lambda one: (*one[:-1], bytes(31)),
        lambda one: (*one[:-1], "text"),
        b"".join,
    ],
    ids=["one less", "one more", "a short one", "a text", "in one piece"],
)
def test_a_manifest_with_other_packages_than_one_of_each_is_refused(
    change: Callable[[tuple[bytes, ...]], Value],
) -> None:
    body = decode(encode_manifest(manifest()))
    assert isinstance(body, dict)
    changed = encode({**body, "packages": change(manifest().packages)})
    with pytest.raises(PeerError):
        decode_manifest(changed, FIVE, ASKED)


@pytest.mark.parametrize("value", [(), {}, "manifest", 7, {"participants": (), "packages": 7}])
def test_what_is_no_manifest_is_refused(value: Value) -> None:
    with pytest.raises(PeerError):
        decode_manifest(encode(value), FIVE, ASKED)


@given(index=st.integers(0, (1 << 20) - 1), attempt=st.integers(0, (1 << 20) - 1))
def test_a_turn_is_read_from_two_small_counts(index: int, attempt: int) -> None:
    assert turn_of(index, attempt) == (index, attempt)


@pytest.mark.parametrize(
    "value", [-1, 1 << 20, True, False, 1.0, "1", b"1", (1,), 1 << 99], ids=repr
)
def test_a_turn_is_read_from_nothing_else(value: Value) -> None:
    for one, two in ((value, 0), (0, value)):
        with pytest.raises(PeerError):
            turn_of(one, two)
