"""A member's vault: what was kept is read back to the byte, and damage is noticed."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.codec import Value, encode
from fedcredit.errors import IntegrityError
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    Revealed,
    State,
)
from fedcredit.secagg.dealing import (
    Dealt,
)
from fedcredit.secagg.lanes import MOST_STEPS, Lanes
from fedcredit.secagg.session import Turn
from fedcredit.secagg.shamir import NO_SHARE, PRIME
from fedcredit.secagg.states import (
    MOST_DEALT,
    Holding,
    InMemoryVault,
    Vault,
    decode_holding,
    encode_holding,
)
from fedcredit.units import InstitutionId

SHARES = st.integers(0, PRIME - 1) | st.just(NO_SHARE)
PAIRS = st.tuples(SHARES, SHARES)
NAMES = st.lists(st.text(max_size=5).map(InstitutionId), max_size=4).map(tuple)
BYTES = st.binary(max_size=40)
TURNS = st.tuples(st.integers(0, 2**20 - 1), st.integers(0, 2**20 - 1))


def masked(turn: Turn) -> st.SearchStrategy[Masked]:
    return st.builds(Masked, st.just(turn), BYTES, NAMES, st.lists(PAIRS, max_size=4).map(tuple))


def states_of(turn: Turn) -> st.SearchStrategy[State]:
    return st.one_of(
        st.builds(Dealt, st.just(turn), BYTES, BYTES, PAIRS, BYTES),
        masked(turn),
        st.builds(Agreed, masked(turn), NAMES),
        st.just(Revealed(turn)),
    )


ENTRIES = TURNS.flatmap(lambda turn: st.tuples(st.just(turn), states_of(turn)))
LANES = st.builds(
    Lanes,
    BYTES,
    st.integers(0, MOST_STEPS),
    st.integers(0, 3).flatmap(lambda n: st.binary(min_size=32 * n, max_size=32 * n)),
    BYTES,
)
HOLDINGS = st.builds(
    Holding,
    st.lists(ENTRIES, max_size=4).map(dict),
    st.dictionaries(BYTES, BYTES, max_size=3),
    LANES,
)
NONE = {"lanes": (b"", 0, b"", b"")}
SOME = Lanes(b"e" * 32, 1, b"l" * 96, b"cards")


def dealt(turn: Turn) -> Dealt:
    return Dealt(turn, b"k" * 32, b"b" * 32, (1, 2), b"package")


def waiting(turn: Turn) -> Masked:
    return Masked(turn, b"c" * 32, (InstitutionId("a"), InstitutionId("b")), ((1, 2), (3, 4)))


def kept(*turns: Turn) -> Holding:
    holding = Holding()
    for turn in turns:
        holding = holding.dealt(dealt(turn), SOME)
    return holding


def fields(state: State) -> tuple[object, ...]:
    """All that a state holds, to be compared."""
    match state:
        case Dealt():
            return state.turn, state.secret, state.blind, state.own, state.package
        case Masked():
            return state.turn, state.context, state.participants, state.shares
        case Agreed():
            return *fields(state.masked), state.survivors
        case Revealed():
            return (state.turn,)


@given(holding=HOLDINGS)
def test_what_was_kept_is_read_back(holding: Holding) -> None:
    data = encode_holding(holding)
    again = decode_holding(data)

    assert encode_holding(again) == data
    assert again.replies == holding.replies
    one, other = again.lanes, holding.lanes
    assert (one.epoch, one.step, one.keys) == (other.epoch, other.step, other.keys)
    assert one.cards == other.cards
    assert again.states.keys() == holding.states.keys()
    for turn, state in holding.states.items():
        assert type(again.states[turn]) is type(state)
        assert fields(again.states[turn]) == fields(state)


def test_a_vault_in_which_nothing_was_kept_holds_nothing() -> None:
    holding = decode_holding(b"")

    assert not holding.states
    assert not holding.replies
    assert encode_holding(holding)


def test_the_bytes_do_not_hang_on_the_order_in_which_things_were_kept() -> None:
    turns = [(0, 0), (1, 0), (0, 1)]
    replies = {b"one": b"1", b"two": b"2"}
    forth = Holding(kept(*turns).states, replies, SOME)
    back = Holding(kept(*reversed(turns)).states, dict(reversed(replies.items())), SOME)

    assert encode_holding(forth) == encode_holding(back)


@given(data=st.binary(min_size=1, max_size=60))
def test_any_other_bytes_are_called_damage(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="the vault is damaged"):
        decode_holding(data)


@given(holding=HOLDINGS, where=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_damaged_vault_is_refused_or_another_canonical_one(
    holding: Holding, where: float, byte: int
) -> None:
    data = encode_holding(holding)
    at = int(where * len(data))
    for wrong in (data[:at], data[:at] + bytes([byte]) + data[at + 1 :], data + b"T"):
        try:
            found = decode_holding(wrong)
        except IntegrityError:
            continue
        assert not wrong or encode_holding(found) == wrong


@pytest.mark.parametrize(
    "body",
    [
        (),
        {**NONE, "states": ()},
        {**NONE, "replies": ()},
        {"replies": (), "states": ()},
        {"lanes": (), "replies": (), "states": ()},
        {"lanes": (b"", -1, b"", b""), "replies": (), "states": ()},
        {"lanes": (b"", MOST_STEPS + 1, b"", b""), "replies": (), "states": ()},
        {"lanes": (b"", 0, bytes(33), b""), "replies": (), "states": ()},
        {"lanes": (b"", 0, b"", b"", b""), "replies": (), "states": ()},
        {"lanes": (b"", "0", b"", b""), "replies": (), "states": ()},
        {**NONE, "replies": b"", "states": ()},
        {**NONE, "replies": (), "states": (), "more": ()},
        {**NONE, "replies": ((b"asked",),), "states": ()},
        {**NONE, "replies": (("asked", b"reply"),), "states": ()},
        {**NONE, "replies": ((b"b", b""), (b"a", b"")), "states": ()},
        {**NONE, "replies": ((b"a", b""), (b"a", b"")), "states": ()},
        {**NONE, "replies": (), "states": (b"state",)},
        {**NONE, "replies": (), "states": ((0, 0),)},
        {**NONE, "replies": (), "states": ((0, 0, "lost"),)},
        {**NONE, "replies": (), "states": ((0, 0, "revealed", b""),)},
        {**NONE, "replies": (), "states": ((0, "0", "revealed"),)},
        {**NONE, "replies": (), "states": ((1, 0, "revealed"), (0, 0, "revealed"))},
        {**NONE, "replies": (), "states": ((0, 0, "revealed"), (0, 0, "revealed"))},
        {**NONE, "replies": (), "states": ((0, 0, "dealt", b"k", b"b", (1, 2)),)},
        {**NONE, "replies": (), "states": ((0, 0, "dealt", b"k", b"b", (1,), b"p"),)},
        {**NONE, "replies": (), "states": ((0, 0, "dealt", b"k", b"b", ("1", 2), b"p"),)},
        {**NONE, "replies": (), "states": ((0, 0, "masked", b"c", (), ((1, 2, 3),)),)},
        {**NONE, "replies": (), "states": ((0, 0, "masked", b"c", (1,), ()),)},
        {**NONE, "replies": (), "states": ((0, 0, "masked", b"c", (), (), ()),)},
        {**NONE, "replies": (), "states": ((0, 0, "agreed", b"c", (), ()),)},
        {**NONE, "replies": (), "states": ((0, 0, "agreed", b"c", (), (), b"s"),)},
        {**NONE, "replies": (), "states": ((0, 0, "agreed", b"c", (), (), (b"s",)),)},
        {**NONE, "replies": (), "states": ((0, 0, "agreed", b"c", (), (), (), ()),)},
    ],
    ids=str,
)
def test_canonical_bytes_that_are_no_vault_s_are_called_damage(body: Value) -> None:
    with pytest.raises(IntegrityError, match="the vault is damaged"):
        decode_holding(encode(body))


@given(turns=st.lists(TURNS, max_size=8, unique=True))
def test_keys_are_held_for_the_latest_turns_only(turns: list[Turn]) -> None:
    """And always for the one just added, so that the same package is given when asked again."""
    expected: list[Turn] = []
    for turn in turns:
        others = sorted(one for one in expected if one != turn)
        expected = sorted([*others[-(MOST_DEALT - 1) :], turn])

    assert sorted(kept(*turns).states) == expected


def test_in_a_new_epoch_keys_of_the_old_one_go() -> None:
    """Nobody could be sent the cards for them; what is not keys to come stays."""
    holding = kept((0, 0), (1, 0), (2, 0)).took((0, 0), waiting((0, 0)))
    same = holding.dealt(dealt((3, 0)), replace(SOME, step=2, keys=b"m" * 96))
    assert sorted(same.states) == [(0, 0), (1, 0), (2, 0), (3, 0)]
    fresh = holding.dealt(dealt((3, 0)), replace(SOME, epoch=b"f" * 32))
    assert sorted(fresh.states) == [(0, 0), (3, 0)]
    assert fresh.lanes.epoch == b"f" * 32


def test_what_is_not_keys_to_come_is_never_pushed_out() -> None:
    holding = kept((0, 0)).took((0, 0), waiting((0, 0)))
    for index in range(1, MOST_DEALT + 2):
        holding = holding.dealt(dealt((index, 0)), SOME)

    assert sorted(holding.states) == [(0, 0), *((index, 0) for index in range(2, 6))]


def test_a_step_takes_all_that_was_kept_of_earlier_turns() -> None:
    holding = kept((0, 0), (0, 1), (1, 0), (2, 0)).took((1, 0), waiting((1, 0)))

    assert sorted(holding.states) == [(1, 0), (2, 0)]
    assert isinstance(holding.states[1, 0], Masked)
    assert isinstance(holding.states[2, 0], Dealt)
    assert b"k" * 32 in encode_holding(holding), "of the turn to come"
    assert b"k" * 32 not in encode_holding(holding.took((2, 0), Revealed((2, 0))))


def test_the_answers_to_a_turn_s_steps_are_kept_to_be_repeated() -> None:
    turn = (1, 0)
    holding = Holding().took(turn, waiting(turn), b"start", b"upload")
    agreed = holding.took(turn, Agreed(waiting(turn), ()), b"survive", b"agreed")

    assert agreed.replies == {b"start": b"upload", b"survive": b"agreed"}
    assert decode_holding(encode_holding(agreed)).replies == agreed.replies
    assert not agreed.took(turn, Revealed(turn)).replies


def test_after_the_last_step_nothing_secret_is_left() -> None:
    """C5: neither keys nor shares; its number and the answers stay."""
    turn = (1, 0)
    done = kept(turn).took(turn, waiting(turn)).took(turn, Revealed(turn), b"reveal", b"shares")

    lanes = SOME.epoch, SOME.step, SOME.keys, SOME.cards
    assert encode_holding(done) == encode(
        {"lanes": lanes, "replies": ((b"reveal", b"shares"),), "states": ((1, 0, "revealed"),)}
    )


def test_a_holding_is_not_changed_by_its_next_step() -> None:
    before = kept((0, 0))
    data = encode_holding(before)
    before.dealt(dealt((1, 0)), SOME).took((1, 0), Revealed((1, 0)), b"asked", b"reply")

    assert encode_holding(before) == data


def test_the_repr_of_a_holding_shows_turns_alone() -> None:
    holding = Holding(MappingProxyType({(1, 0): dealt((1, 0))}), {b"asked": b"reply"})

    assert repr(holding) == "Holding([(1, 0)])"
    for state in (dealt((1, 0)), waiting((1, 0)), Agreed(waiting((1, 0)), ())):
        assert "kkk" not in repr(state)
        assert "shares" not in repr(state)


def test_a_vault_gives_back_what_was_kept_last_for_each_session() -> None:
    vault = InMemoryVault()
    vault.keep(b"one", b"first")
    vault.keep(b"one", b"second")
    vault.keep(b"two", b"other")

    assert isinstance(vault, Vault)
    assert (vault.load(b"one"), vault.load(b"two"), vault.load(b"three")) == (
        b"second",
        b"other",
        b"",
    )
