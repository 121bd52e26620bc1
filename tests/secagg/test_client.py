"""A member deals, admits and masks: what each step refuses, and whom it accuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from fedcredit.codec import digest
from fedcredit.errors import LocalError, PeerError, PrivacyError
from fedcredit.secagg import client
from fedcredit.secagg.dealing import (
    Dealt,
    SharePair,
    deal,
)
from fedcredit.secagg.keys import public_of, unlock
from fedcredit.secagg.messages import (
    Start,
    Upload,
)
from fedcredit.secagg.opening import (
    Opened,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.packages import (
    SEALED_BYTES,
    Package,
    commitment,
    decode_header,
    read_parcel,
)
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.session import Asked, Floor
from fedcredit.secagg.shamir import NO_SHARE, PRIME, combine, read_shares, weights_at_zero
from fedcredit.units import InstitutionId
from tests.secagg.dishonest import Round, dealing, signed, smuggled
from tests.secagg.world import (
    FLOOR,
    ask,
    dealt,
    drawn,
    identity,
    lanes_of,
    plain_sum,
    session_of,
    start_of,
)

FIVE = session_of(5)
A, B, C, D, E = FIVE.members


def test_a_package_names_session_turn_and_dealer_and_commits_to_its_secrets() -> None:
    state = dealt(FIVE, B, (2, 1))
    package = Package.decode(state.package, 1 << 16)
    header, lanes = decode_header(package.header), lanes_of(FIVE, B, 3)
    assert (header.session, header.turn, header.name) == (FIVE.digest(), (2, 1), B)
    assert (header.epoch, header.step) == (lanes.epoch, 3)
    assert header.public == public_of(state.secret)
    shares = []
    for at, holder in enumerate(FIVE.members):
        parcel = read_parcel(package.parcels, at)
        if holder == B:
            assert parcel.sealed == bytes(SEALED_BYTES)
            pair: tuple[int, ...] = state.own
        else:
            bound = package.header, holder.encode(), parcel.blind, parcel.secret
            info = digest("fedcredit/secagg/sealed/1", *bound)
            pair = read_shares(unlock(lanes.key(at), parcel.sealed, info), 2)
        texts = [share.to_bytes(33, "big") for share in pair]
        assert parcel.blind == commitment("blind", package.header, holder, texts[0])
        assert parcel.secret == commitment("secret", package.header, holder, texts[1])
        shares.append(pair)
    weights = weights_at_zero([2, 3, 4, 5])
    assert combine(weights, [pair[0] for pair in shares[1:]]) == state.blind
    assert combine(weights, [pair[1] for pair in shares[1:]]) == state.secret


def test_no_state_prints_a_secret() -> None:
    made = Round(FIVE, {})
    admitted = made.admit(A)
    made.upload(A)
    assert repr(made.keys[A]) == "Dealt((0, 0))"
    assert repr(admitted) == "Admitted((0, 0))"
    assert repr(made.states[A]) == "Masked((0, 0))"


def test_the_same_randomness_and_lanes_deal_the_same_package() -> None:
    lanes = lanes_of(FIVE, A)
    one, two = (deal(identity(A), FIVE, (0, 0), lanes, drawn("same")) for _ in range(2))
    assert one[0].package == two[0].package
    assert one[1].keys == two[1].keys == lanes_of(FIVE, A, 1).keys


# -------------------------------------------------------------------------------------- admit


@pytest.mark.parametrize(
    "floor",
    [
        Floor(members=6),
        Floor(threshold=5),
        Floor(colluders=2),
        Floor(honest=4),
    ],
    ids=repr,
)
def test_a_session_below_the_floor_is_refused(floor: Floor) -> None:
    made = Round(FIVE, {})
    with pytest.raises(PrivacyError, match="our floor is"):
        client.admit(identity(A), FIVE, floor, made.keys[A], made.start(A), made.asked)


def test_a_ring_or_a_turn_that_is_not_ours_is_refused() -> None:
    made = Round(FIVE, {})
    for floor, asked in (
        (Floor(rings=(64,)), made.asked),
        (FLOOR, replace(made.asked, turn=(0, 1))),
    ):
        with pytest.raises(PeerError, match="another turn or ring"):
            client.admit(identity(A), FIVE, floor, made.keys[A], made.start(A), asked)


@pytest.mark.parametrize(
    "asked",
    [
        replace(ask((0, 0)), dim=4),
        replace(ask((0, 0)), ring=Ring(64)),
        replace(ask((0, 0)), question=b"another"),
        replace(ask((0, 0)), parameters={"clip": 8}),
    ],
    ids=["dim", "ring", "question", "parameters"],
)
def test_a_manifest_about_anything_else_than_we_worked_out_is_refused(
    asked: Asked,
) -> None:
    made = Round(FIVE, {})
    with pytest.raises(PeerError, match="the manifest"):
        client.admit(identity(A), FIVE, FLOOR, made.keys[A], made.start(A), asked)


CHANGED: dict[str, Callable[[Start], Start]] = {
    "a header less": lambda one: replace(one, headers=one.headers[:-1]),
    "a header more": lambda one: replace(one, headers=(*one.headers, b"")),
    "a short signature": lambda one: replace(one, signatures=one.signatures[:-1]),
    "a short parcel": lambda one: replace(one, parcels=one.parcels[:-1]),
    "a short card": lambda one: replace(one, cards=one.cards[:-1]),
    "a card more": lambda one: replace(one, cards=one.cards + one.cards[:80]),
    "headers in another order": lambda one: replace(one, headers=one.headers[::-1]),
    "no header": lambda one: replace(one, headers=(b"", *one.headers[1:])),
    "a false signature": lambda one: replace(one, signatures=bytes(64) + one.signatures[64:]),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_start_whose_parts_do_not_belong_together_is_refused(
    change: Callable[[Start], Start],
) -> None:
    made = Round(FIVE, {})
    with pytest.raises(PeerError):
        client.admit(identity(B), FIVE, FLOOR, made.keys[B], change(made.start(B)), made.asked)


def test_a_member_that_is_no_participant_is_not_in_the_turn() -> None:
    keys = {name: dealt(FIVE, name, (0, 0)) for name in (B, C, D, E)}
    _, messages = smuggled(FIVE, keys, ask((0, 0)))
    with pytest.raises(PeerError, match="does not have the form"):
        client.admit(
            identity(A), FIVE, FLOOR, dealt(FIVE, A, (0, 0)), start_of(messages[B]), ask((0, 0))
        )


@pytest.mark.parametrize(
    "changes",
    [
        {"session": session_of(5, study=b"s" * 32).digest()},
        {"turn": (0, 1)},
        {"turn": (1, 0)},
        {"name": A},
    ],
    ids=repr,
)
def test_keys_for_another_session_turn_or_member_are_refused_though_they_are_signed(
    changes: dict[str, object],
) -> None:
    made = Round(FIVE, {B: dealing(identity(B), FIVE, changes=changes)})
    with pytest.raises(PeerError, match="another session or turn"):
        made.admit(C)


def test_keys_that_the_coordinator_put_in_a_members_place_are_refused() -> None:
    stranger = replace(identity(A), name=B)
    made = Round(FIVE, {B: dealing(stranger, FIVE)})
    with pytest.raises(PeerError, match="not signed by the key in the roster"):
        made.admit(C)


def test_a_header_that_the_manifest_does_not_name_is_refused() -> None:
    made, other = Round(FIVE, {}), Round(FIVE, {B: dealing(identity(B), FIVE)})
    start = replace(made.start(C), manifest=other.start(C).manifest)
    with pytest.raises(PeerError, match="is not the manifest's"):
        client.admit(identity(C), FIVE, FLOOR, made.keys[C], start, made.asked)


def test_our_own_keys_of_another_dealing_are_refused_though_we_have_signed_them() -> None:
    made = Round(FIVE, {B: dealing(identity(B), FIVE)})
    made.admit(A)
    with pytest.raises(PeerError, match="our own keys were replaced"):
        client.admit(identity(B), FIVE, FLOOR, dealt(FIVE, B, (0, 0)), made.start(B), made.asked)


def test_two_participants_with_one_key_are_refused() -> None:
    public = public_of(dealt(FIVE, A, (0, 0)).secret)
    made = Round(FIVE, {B: dealing(identity(B), FIVE, changes={"public": public})})
    with pytest.raises(PeerError, match="one key"):
        made.admit(C)


def only_for(
    victim: InstitutionId, change: Callable[[SharePair], SharePair]
) -> Callable[[InstitutionId, SharePair], SharePair]:
    return lambda holder, pair: change(pair) if holder == victim else pair


@pytest.mark.parametrize(
    "false",
    [
        dealing(identity(B), FIVE, sent=only_for(C, lambda pair: (pair[0] ^ 1, pair[1]))),
        dealing(identity(B), FIVE, sent=only_for(C, lambda pair: (pair[0], pair[1] ^ 1))),
        dealing(identity(B), FIVE, promised=only_for(C, lambda pair: (pair[1], pair[0]))),
        dealing(
            identity(B),
            FIVE,
            sent=only_for(C, lambda pair: (pair[0], PRIME)),
            promised=only_for(C, lambda pair: (pair[0], PRIME)),
        ),
    ],
    ids=["share of b", "share of k", "commitments", "beyond the field"],
)
def test_a_dealer_of_false_shares_is_accused_and_others_are_unharmed(false: Dealt) -> None:
    made = Round(FIVE, {B: false})
    for name in FIVE.members:
        accused = (B,) if name == C else ()
        assert made.admit(name).accused == accused
        assert Upload.decode(made.upload(name), 1 << 16).accused == accused
    assert made.states[C].shares[1] == (NO_SHARE, NO_SHARE)
    opening, shares = Round(FIVE, {B: false}).opening()
    for name, data in shares.items():
        opening = receive_shares(opening, name, data)
    found = open_sum(opening)
    assert isinstance(found, Opened)
    assert found.total.tolist() == plain_sum(FIVE.members, made.asked, 5)
    assert not found.liars


@pytest.mark.parametrize("resigned", [False, True])
@pytest.mark.parametrize("at", [0, 65, 66, 81, 82, 113, 114, 145, 146, 209])
def test_a_parcel_altered_anywhere_counts_as_none(at: int, resigned: bool) -> None:
    """By the coordinator, or by its dealer: in each part of it."""
    made = Round(FIVE, {})
    start, size = made.start(C), 210
    assert len(start.parcels) == 5 * size
    parcels = bytearray(start.parcels)
    parcels[size + at] ^= 1  # of the second dealer
    if resigned:
        parcel = read_parcel(bytes(parcels), 1)
        parcels[size : 2 * size] = signed(identity(B), start.headers[1], C, parcel)
    altered = replace(start, parcels=bytes(parcels))
    admitted = client.admit(identity(C), FIVE, FLOOR, made.keys[C], altered, made.asked)
    assert admitted.accused == (() if resigned and at >= 146 else (B,))


# --------------------------------------------------------------------------------------- mask


@pytest.mark.parametrize("dim", [2, 4])
def test_a_vector_of_another_length_than_the_manifests_is_not_masked(dim: int) -> None:
    with pytest.raises(LocalError, match="the manifest says 3"):
        client.mask(identity(A), Round(FIVE, {}).admit(A), np.zeros(dim, np.int64))


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31)])
def test_no_turn_is_admitted_with_a_key_of_small_order(point: bytes) -> None:
    """Before anything is charged: with such a key a pair's mask would be known to all."""
    made = Round(FIVE, {B: dealing(identity(B), FIVE, changes={"public": point})})
    with pytest.raises(PeerError, match="small order"):
        made.admit(A)


def test_the_package_for_the_turn_to_come_travels_with_the_vector() -> None:
    admitted, following = Round(FIVE, {}).admit(A), dealt(FIVE, A, (1, 0)).package
    _, data = client.mask(identity(A), admitted, np.zeros(3, np.int64), following)
    assert Upload.decode(data, 1 << 16).following == following
