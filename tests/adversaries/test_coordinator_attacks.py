"""A hostile coordinator: each attack is refused, and wins where a check is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from scipy.stats import chisquare

from fedcredit.codec import decode
from fedcredit.secagg.keys import agree_on, derive
from fedcredit.secagg.messages import (
    Start,
)
from fedcredit.secagg.packages import (
    Header,
    decode_header,
)
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.server import Gathering, receive_package
from fedcredit.secagg.session import Asked, Manifest, Session
from fedcredit.units import InstitutionId
from tests.adversaries.coordinator_attacks import (
    OTHER_TURN,
    Attack,
    below_the_floor,
    blinds_of,
    cards_astray,
    cards_of_an_epoch_before,
    cards_of_another_dealer,
    cards_of_another_holder,
    different_models_add_up,
    different_models_are_agreed_on,
    key_that_was_revoked,
    keys_of_the_coordinator,
    lane_of_the_coordinator,
    member_that_never_enrolled,
    no_cards,
    of_another_dealer,
    of_another_holder,
    other_numbers,
    package_of,
    parcels_astray,
    point_of_small_order,
    receipt_that_nobody_signed,
    reflected,
    request_of_the_turn_before,
    roster_of_other_keys,
    roster_with_one_more,
    sealing_key_of_the_coordinator,
    sum_of_two_models,
    with_key,
)
from tests.adversaries.secagg_made import (
    IN_CLEAR,
    TURN,
    World,
    answered,
    asked_of,
    everything_is_signed,
    nothing,
    plant,
    world,
)

Faults = Mapping[str, object]

UNSIGNED: Final[Faults] = {"signed_by": everything_is_signed}
SESSION: Final = world().session.digest()

LOW: Final = tuple(  # X25519: all points of small order, as curve25519 and its twist have them
    bytes.fromhex(one)
    for one in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
SMALL_ORDER: Final = LOW + tuple(one[:31] + bytes([one[31] | 128]) for one in LOW)


# ------------------------------------------------------------------------------ the planted faults


def any_manifest(data: bytes, session: Session, asked: Asked) -> Manifest:
    """A manifest is held against nothing."""
    body = decode(data)
    assert isinstance(body, Mapping)
    names, packages = body["participants"], body["packages"]
    assert isinstance(names, tuple)
    assert isinstance(packages, tuple)
    return Manifest(
        session=session.digest(),
        asked=asked,
        participants=tuple(InstitutionId(str(one)) for one in names),
        packages=packages,
    )


def header_of_anything(data: bytes) -> Header:
    """A header is taken to be for the session and turn that we are in."""
    return replace(decode_header(data), session=SESSION, turn=TURN)


def any_header(session: Session, manifest: Manifest, at: int, request: Start) -> Header:
    """A participant is whoever the manifest says."""
    return decode_header(request.headers[at])


def any_share(*_: object) -> tuple[int, int]:
    """A dealer is not looked up in the roster."""
    return 1, 1


def any_point(secret: bytes, public: bytes) -> bytes:
    """X25519 without the check of RFC 7748, section 6.1."""
    return bytes(32) if public in SMALL_ORDER else agree_on(secret, public)


def seed_of_no_turn(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """The context is not bound into the seeds."""
    return derive(secret, b"", info)


def bound_to_nothing(*_: object) -> bytes:
    """A hash of nothing stands where header, holder or share should be hashed."""
    return bytes(32)


ANY_LANE: Final[Faults] = {**IN_CLEAR, "open_card": bound_to_nothing}
UNBOUND: Final[Faults] = {
    **UNSIGNED,
    **IN_CLEAR,
    "commitment": bound_to_nothing,
}
OTHER_EPOCH: Final = world()
OTHER_EPOCH.session = replace(
    OTHER_EPOCH.session, roster=replace(OTHER_EPOCH.session.roster, epoch=1, previous=bytes(32))
)
for bank in OTHER_EPOCH.banks.values():
    bank.session = OTHER_EPOCH.session

ANY_FLOOR: Final[Faults] = {"check_floor": nothing}
ANY_MANIFEST: Final[Faults] = {"decode_manifest": any_manifest}
ANY_TURN: Final[Faults] = {"decode_header": header_of_anything}
ASKED: Final = world().asked

REFUSED: Final[Mapping[str, tuple[Attack, Faults]]] = {
    "A1 own one-time keys for the others": (keys_of_the_coordinator, UNSIGNED),
    "A1 an own sealing key in the roster": (sealing_key_of_the_coordinator, UNSIGNED),
    "A2 a package of another study": (package_of(world(study=bytes([1]) * 32)), ANY_TURN),
    "A2 a package of another turn": (package_of(world(), OTHER_TURN), ANY_TURN),
    "A2 a package of another roster": (package_of(OTHER_EPOCH), ANY_TURN),
    "A2 a package of another threshold": (package_of(world(t=5)), ANY_TURN),
    "A3 parcels of another holder": (parcels_astray(of_another_holder), UNBOUND),
    "A3 parcels of another dealer": (parcels_astray(of_another_dealer), UNBOUND),
    "A3 a parcel reflected": (parcels_astray(reflected), UNBOUND),
    "A3 cards of another holder": (cards_astray(cards_of_another_holder), ANY_LANE),
    "A3 cards of another dealer": (cards_astray(cards_of_another_dealer), ANY_LANE),
    "A3 cards of an epoch before": (cards_astray(cards_of_an_epoch_before), ANY_LANE),
    "A3 no cards": (cards_astray(no_cards), ANY_LANE),
    "A3 a lane of the coordinator's": (
        lane_of_the_coordinator,
        {**UNSIGNED, "commitment": bound_to_nothing},
    ),
    "A4 a receipt that nobody signed": (receipt_that_nobody_signed, UNSIGNED),
    "A9 fewer members": (below_the_floor(members=6), ANY_FLOOR),
    "A9 a lower threshold": (below_the_floor(threshold=5), ANY_FLOOR),
    "A9 fewer colluders": (below_the_floor(colluders=2), ANY_FLOOR),
    "A9 fewer honest members": (below_the_floor(honest=4), ANY_FLOOR),
    "A9 another ring": (other_numbers(replace(ASKED, ring=Ring(16))), ANY_MANIFEST),
    "A9 another length": (other_numbers(replace(ASKED, dim=7)), ANY_MANIFEST),
    "A9 another clip": (other_numbers(asked_of(6, clip=5)), ANY_MANIFEST),
    "A9 less noise": (other_numbers(asked_of(6, noise=99)), ANY_MANIFEST),
    "A9 a weight": (other_numbers(asked_of(6, weight=2)), ANY_MANIFEST),
    "A9 another model": (other_numbers(asked_of(6, b"another")), ANY_MANIFEST),
    "A10 different models add up": (different_models_add_up, {"derive": seed_of_no_turn}),
    "A10 different models are agreed on": (different_models_are_agreed_on, UNSIGNED),
    "A11 a key that was revoked": (key_that_was_revoked, UNSIGNED),
    "A11 a member that never enrolled": (
        member_that_never_enrolled,
        {**ANY_MANIFEST, "_checked_header": any_header, "open_parcel": any_share},
    ),
    "A11 a roster with one more": (roster_with_one_more, {"quorum_of": lambda members: 1}),
    "A11 a roster of other keys": (roster_of_other_keys, {"quorum_of": lambda members: 1}),
    "A14 the request of the turn before": (
        request_of_the_turn_before,
        {**UNSIGNED, "_check_survivors": nothing},
    ),
    **{
        f"A12 small order {at}": (point_of_small_order(one), {"agree_on": any_point})
        for at, one in enumerate(SMALL_ORDER)
    },
}


@pytest.mark.parametrize("attack", REFUSED)
def test_an_attack_is_refused_and_the_vault_is_as_it_was(attack: str) -> None:
    assert not REFUSED[attack][0](world())


@pytest.mark.parametrize("attack", REFUSED)
def test_the_attack_wins_where_the_check_is_missing(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, faults = REFUSED[attack]
    for name, fault in faults.items():
        plant(monkeypatch, name, fault)

    assert attempt(world())


def test_a_ring_below_the_floor_is_refused_and_one_on_it_is_not() -> None:
    """A9: the member's own list of rings, which no coordinator can lengthen."""
    assert not below_the_floor(rings=(64,))(world())  # type: ignore[arg-type]
    assert below_the_floor(rings=(32, 64))(world())  # type: ignore[arg-type]


def test_the_sum_over_different_models_looks_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """A10: even to whoever knows every b; where the context is not bound it is the sum."""

    def looks_uniform() -> bool:
        w = world(dim=8192)
        total = np.array(sum_of_two_models(w, blinds_of(w)), np.int64).astype("<u4")
        counts = np.bincount(total.view(np.uint8), minlength=256)
        return bool(chisquare(counts).pvalue > 1e-6)

    assert looks_uniform()
    plant(monkeypatch, "derive", seed_of_no_turn)
    assert not looks_uniform()


@pytest.mark.parametrize("point", SMALL_ORDER, ids=[one.hex() for one in SMALL_ORDER])
def test_an_honest_coordinator_takes_no_key_of_small_order(
    point: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A12: signed by its dealer, and dropped before anybody masks with it."""

    def taken() -> bool:
        w = world()
        name = w.names[1]
        package = with_key(w, name, w.banks[name].package(), point)
        state = Gathering(w.session, TURN)
        return answered(lambda: receive_package(state, name, package))

    assert not taken()
    plant(monkeypatch, "check_point", nothing)
    assert taken()


@pytest.mark.parametrize("point", SMALL_ORDER, ids=[one.hex() for one in SMALL_ORDER])
def test_a_card_sealed_with_a_point_of_small_order_does_not_open(point: bytes) -> None:
    """A12: the encapsulated key of HPKE; the dealer is accused, and no share is taken."""

    def pointed(w: World, cards: list[bytes]) -> list[bytes]:
        own, second, *rest = cards
        return [own, point + second[32:], *rest]

    attack = cards_astray(pointed)
    with pytest.MonkeyPatch.context() as patch:
        assert not attack(world())
        plant(patch, "open_parcel", any_share)
        assert attack(world())


@pytest.mark.parametrize("point", SMALL_ORDER, ids=[one.hex() for one in SMALL_ORDER])
def test_no_member_has_a_sealing_key_of_small_order(
    point: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A12: it would stop whoever deals; it is refused where cards are read."""
    card = world().session.roster.members[0]

    def taken() -> bool:
        return answered(lambda: replace(card, sealing=point))

    assert not taken()
    plant(monkeypatch, "agree_on", any_point)
    assert taken()
