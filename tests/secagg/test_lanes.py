"""Lanes: a holder's walk is the dealer's ratchet, and nothing else opens what was sealed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import PeerError
from fedcredit.secagg.dealing import NO_PAIR, deal, open_parcel
from fedcredit.secagg.keys import KINDS, Identity, Kind, Member, expand, seal
from fedcredit.secagg.lanes import (
    LANE_BYTES,
    MOST_STEPS,
    NO_LANES,
    Lanes,
    card_bytes,
    lane_at,
    new_lanes,
    open_card,
    read_card,
    stepped,
)
from fedcredit.secagg.packages import (
    SEALED_BYTES,
    Header,
    Package,
    Parcel,
    decode_header,
    read_parcel,
)
from fedcredit.secagg.session import Session
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.units import InstitutionId
from tests.secagg.world import Node, World, drawn, identity, lanes_of, session_of

THREE = session_of(3)
A, B, C = THREE.members
PLACES = {A: 0, B: 1, C: 2}
STEPS = st.integers(0, 40)
KEYS = st.binary(min_size=32, max_size=32)


def at_step(lanes: Lanes, step: int) -> Lanes:
    for _ in range(step):
        lanes = stepped(lanes)
    return lanes


def card_of(lanes: Lanes, holder: InstitutionId, kind: Kind = "x25519") -> bytes:
    return read_card(lanes.cards, PLACES[holder], kind)


def dealing(lanes: Lanes, dealer: InstitutionId = A, seed: str = "deal") -> tuple[Package, Header]:
    state, _ = deal(identity(dealer), THREE, (0, 0), lanes, drawn(seed))
    package = Package.decode(state.package, 1 << 16)
    return package, decode_header(package.header)


def opens(package: Package, header: Header, card: bytes, holder: InstitutionId = B) -> bool:
    """Whether a holder takes its parcel of the package by this card."""
    parcel = read_parcel(package.parcels, PLACES[holder])
    return opened(package, header, parcel, card, holder) != NO_PAIR


def opened(
    package: Package, header: Header, parcel: Parcel, card: bytes, holder: InstitutionId = B
) -> tuple[int, int]:
    return open_parcel(identity(holder), THREE, (header, package.header), parcel, card)


# ------------------------------------------------------------------------------- cards and keys


@pytest.mark.parametrize("kind", KINDS)
def test_every_holder_opens_its_card_to_the_key_that_the_dealer_starts_with(kind: Kind) -> None:
    """And the dealer's own card and key are zeros."""
    session = session_of(3, kind=kind)
    lanes = new_lanes(identity(A, kind), session, drawn("cards"))
    assert len(lanes.cards) == 3 * card_bytes(kind)
    assert (lanes.step, lanes.spent) == (0, False)
    for name in (B, C):
        card = card_of(lanes, name, kind)
        key = open_card(identity(name, kind), session, A, lanes.epoch, card)
        assert key == lanes.key(PLACES[name])
    assert card_of(lanes, A, kind) == bytes(card_bytes(kind))
    assert lanes.key(0) == bytes(LANE_BYTES)
    assert len({lanes.epoch, lanes.key(0), lanes.key(1), lanes.key(2)}) == 4


@pytest.mark.parametrize(("kind", "size"), [("x25519", 80), ("mlkem768-x25519", 1168)])
def test_a_card_has_one_length_whatever_is_in_it(kind: Kind, size: int) -> None:
    assert card_bytes(kind) == size
    with pytest.raises(PeerError):
        read_card(bytes(3 * size), 3, kind)
    with pytest.raises(PeerError):
        read_card(bytes(3 * size - 1), 2, kind)


OTHERS: dict[str, tuple[Identity, Session, InstitutionId, bytes]] = {
    "holder": (identity(C), THREE, A, lanes_of(THREE, A).epoch),
    "session": (identity(B), session_of(3, study=b"s" * 32), A, lanes_of(THREE, A).epoch),
    "dealer": (identity(B), THREE, C, lanes_of(THREE, A).epoch),
    "epoch": (identity(B), THREE, A, bytes(32)),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_card_opens_for_its_holder_session_dealer_and_epoch_alone(other: str) -> None:
    lanes = lanes_of(THREE, A)
    card = card_of(lanes, B)
    assert open_card(identity(B), THREE, A, lanes.epoch, card) == lanes.key(1)
    with pytest.raises(PeerError):
        open_card(*OTHERS[other], card)


@pytest.mark.parametrize("text", [b"", bytes(31), bytes(33), bytes(66)])
def test_a_card_with_no_key_in_it_is_none(text: bytes) -> None:
    """Its dealer has signed nothing of it, so its length is looked at where it is opened."""

    def other(member: Member, _text: bytes, info: bytes) -> bytes:
        return seal(member, text, info)

    lanes = new_lanes(identity(A), THREE, drawn("odd"), other)
    size = len(lanes.cards) - card_bytes("x25519")
    card = lanes.cards[card_bytes("x25519") :][: size // 2]
    with pytest.raises(PeerError):
        open_card(identity(B), THREE, A, lanes.epoch, card)


# ------------------------------------------------------------------------------------ the ratchet


@given(step=STEPS)
def test_a_holder_s_walk_from_its_card_is_the_dealer_s_ratchet(step: int) -> None:
    first = lanes_of(THREE, A)
    now = at_step(first, step)
    assert (now.step, now.epoch, now.cards) == (step, first.epoch, first.cards)
    assert lane_at(first.key(1), step) == now.key(1)
    assert lane_at(first.key(2), step) == now.key(2)


@given(one=KEYS, steps=st.lists(STEPS, min_size=2, max_size=2, unique=True))
def test_no_two_steps_of_a_lane_have_one_key(one: bytes, steps: list[int]) -> None:
    first, second = steps
    assert lane_at(one, first) != lane_at(one, second)


@given(one=KEYS, first=st.integers(0, 20), more=st.integers(0, 20))
def test_a_walk_may_be_taken_in_parts(one: bytes, first: int, more: int) -> None:
    assert lane_at(lane_at(one, first), more) == lane_at(one, first + more)


@pytest.mark.parametrize("step", [-1, MOST_STEPS, 1 << 60])
def test_nobody_is_made_to_walk_for_ever(step: int) -> None:
    with pytest.raises(PeerError, match="step"):
        lane_at(bytes(32), step)
    lane_at(bytes(32), MOST_STEPS - 1)


@given(step=st.integers(1, 20))
def test_the_lanes_after_a_package_hold_no_key_of_before(step: int) -> None:
    """Nor is one of them what a hash of what they hold comes to: the ratchet goes one way."""
    first = lanes_of(THREE, A)
    old = [at_step(first, at).key(place) for at in range(step) for place in (1, 2)]
    now = at_step(first, step)
    kept = now.keys + now.epoch + now.cards
    assert not [key for key in old if key in kept]
    walked = {lane_at(now.key(place), more) for more in range(40) for place in (1, 2)}
    assert not walked & set(old)


def test_after_the_last_step_a_new_epoch_is_needed() -> None:
    lanes = lanes_of(THREE, A)
    assert not replace(lanes, step=MOST_STEPS - 1).spent
    assert replace(lanes, step=MOST_STEPS).spent
    assert NO_LANES.spent


def test_no_lane_key_is_printed() -> None:
    lanes = lanes_of(THREE, A, 2)
    assert repr(lanes) == "Lanes(step 2)"


# -------------------------------------------------------------------------------------- packages


@settings(max_examples=25)
@given(step=STEPS)
def test_a_parcel_opens_by_its_own_card_whatever_the_step(step: int) -> None:
    """So a holder that was away for any number of turns needs nothing but the card."""
    lanes = at_step(lanes_of(THREE, A), step)
    package, header = dealing(lanes)
    assert (header.epoch, header.step) == (lanes.epoch, step)
    assert opens(package, header, card_of(lanes, B))
    assert opens(package, header, card_of(lanes, C), C)
    assert len(read_parcel(package.parcels, 1).sealed) == SEALED_BYTES == 82


def test_another_card_opens_no_parcel() -> None:
    """Of another holder, dealer, epoch or session, or of nobody: the dealer is accused."""
    lanes = lanes_of(THREE, A)
    package, header = dealing(lanes)
    other = new_lanes(identity(A), THREE, drawn("after a loss"))
    elsewhere = new_lanes(identity(A), session_of(3, study=b"s" * 32), drawn("lanes"))
    assert opens(package, header, card_of(lanes, B))
    for card in (
        card_of(lanes, C),
        card_of(lanes_of(THREE, C), B),
        card_of(other, B),
        card_of(elsewhere, B),
        bytes(80),
    ):
        assert not opens(package, header, card)


@given(at=st.integers(0, 79), bit=st.integers(0, 7))
def test_a_card_with_a_bit_turned_over_opens_no_parcel(at: int, bit: int) -> None:
    lanes = lanes_of(THREE, A)
    card = bytearray(card_of(lanes, B))
    card[at] ^= 1 << bit
    assert not opens(*dealing(lanes), bytes(card))


def test_a_parcel_of_another_step_does_not_open() -> None:
    lanes = lanes_of(THREE, A)
    package, header = dealing(at_step(lanes, 2))
    assert opens(package, header, card_of(lanes, B))
    for step in (0, 1, 3):
        assert not opens(package, replace(header, step=step), card_of(lanes, B))


def test_shares_are_what_was_promised_whoever_sealed_the_card() -> None:
    """A holder with another lane key holds other bytes, and not other shares."""
    lanes = lanes_of(THREE, A)
    package, header = dealing(lanes)
    parcel = read_parcel(package.parcels, 1)
    true = opened(package, header, parcel, card_of(lanes, B))
    theirs = replace(new_lanes(identity(A), THREE, drawn("theirs")), epoch=lanes.epoch)
    false = read_parcel(dealing(theirs, seed="false")[0].parcels, 1)
    for mixed in (false, replace(parcel, sealed=false.sealed)):
        assert opened(package, header, mixed, card_of(theirs, B)) == NO_PAIR
        assert opened(package, header, mixed, card_of(lanes, B)) == NO_PAIR
    assert true != NO_PAIR


# --------------------------------------------------------------------------- one key for one text


def test_an_old_vault_put_back_uses_no_key_for_two_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lanes again, for another turn, other secrets, or the very same: never two texts."""
    used: dict[bytes, set[bytes]] = {}

    def noting(secret: bytes, text: bytes, info: bytes) -> bytes:
        used.setdefault(expand(secret, info), set()).add(text)
        return text.ljust(SEALED_BYTES, b"\0")

    monkeypatch.setattr("fedcredit.secagg.dealing.lock", noting)
    lanes = lanes_of(THREE, A)
    for turn, seed in (((0, 0), "one"), ((0, 1), "one"), ((0, 0), "two"), ((0, 0), "one")):
        deal(identity(A), THREE, turn, lanes, drawn(seed))
    assert len(used) == 6, "three dealings for two holders; the fourth is the first once more"
    assert all(len(texts) == 1 for texts in used.values())


def test_not_even_with_the_secrets_of_before_and_other_polynomials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A host that was put back as a whole: one header twice, and other shares under it."""
    used: dict[bytes, set[bytes]] = {}

    def noting(secret: bytes, text: bytes, info: bytes) -> bytes:
        used.setdefault(expand(secret, info), set()).add(text)
        return text.ljust(SEALED_BYTES, b"\0")

    def half_drawn(seed: str) -> RandomBytes:
        first, rest = drawn("same"), drawn(seed)
        return lambda count, /: first(count) if count == 32 else rest(count)

    monkeypatch.setattr("fedcredit.secagg.dealing.lock", noting)
    headers = set()
    for seed in ("one", "two"):
        state, _ = deal(identity(A), THREE, (0, 0), lanes_of(THREE, A), half_drawn(seed))
        headers.add(Package.decode(state.package, 1 << 16).header)
    assert len(headers) == 1, "as it was meant"
    assert len(used) == 4
    assert all(len(texts) == 1 for texts in used.values())


# ------------------------------------------------------------------------------------ whole turns


@settings(max_examples=10)
@given(away=st.integers(1, 6))
def test_a_member_that_was_away_for_turns_comes_back_and_opens_all(away: int) -> None:
    """It has kept nothing of the others; the cards come with the start."""
    world = World(session_of(5))
    world.sum_up((0, 0))
    late = world.session.members[2]
    fresh = Node(world.session, late)
    world.nodes = {**world.nodes, late: fresh}
    found = world.sum_up((away, 0))
    assert found.survivors == world.session.members
    assert found.liars == ()
