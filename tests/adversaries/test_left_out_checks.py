"""Checks of a line or two: each attack is led on the product and on a build without the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from fedcredit.errors import LocalError
from fedcredit.secagg import client, server
from fedcredit.secagg.messages import Shares, Survive, Upload, decode_request, encode_request
from fedcredit.secagg.opening import Opened, Opening, open_sum
from fedcredit.secagg.server import Aborted, Gathering
from fedcredit.secagg.shamir import SHARE_BYTES
from fedcredit.secagg.signed import shares_digest
from fedcredit.units import InstitutionId
from tests.adversaries.coordinator_attacks import Attack, first, uploaded
from tests.adversaries.laid_open import survive
from tests.adversaries.planted import leave_out
from tests.adversaries.secagg_made import (
    MOST_BYTES,
    TURN,
    Agreeable,
    Bank,
    World,
    answered,
    everything_is_signed,
    plant,
    publics_of,
    world,
)

FALSE: Final = (1).to_bytes(SHARE_BYTES, "big")


def whatever(*_: object) -> Agreeable:
    """The planted fault of a hash or key that is held against nothing."""
    return Agreeable()


# --------------------------------------------------------------------------------- A4: a receipt


def receipts_left_out(*kept: int) -> Attack:
    """A4: all members are survivors, but only some of the receipts are shown."""

    def attack(w: World) -> bool:
        context, uploads = uploaded(w)
        message = decode_request(survive(context, uploads))
        assert isinstance(message, Survive)
        fewer = replace(message, receipts=tuple(message.receipts[at] for at in kept))
        return answered(lambda: first(w).agree(encode_request(fewer)), first(w))

    return attack


@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (0,), ()], ids=["one", "all but one", "all"])
def test_a_list_without_a_receipt_for_each_survivor_is_not_signed(
    kept: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A4; where receipts are not counted, who has none passes for a survivor."""
    attack = receipts_left_out(*kept)

    assert not attack(world())
    assert receipts_left_out(0, 1, 2, 3, 4)(world())
    uncounted = ("len(message.receipts) != len(message.survivors)", "False")
    leave_out(monkeypatch, client, uncounted, ("strict=True", "strict=False"))
    assert attack(world())


# ------------------------------------------------------------------------------ B2: false shares


def honest_holder_is_named(w: World) -> bool:
    """B2: on its way the first share of an honest member is put in another's place."""

    def spoil(name: InstitutionId, reply: bytes) -> bytes:
        if name != first(w).name:
            return reply
        shares = Shares.decode(reply)
        return replace(shares, blinds=FALSE + shares.blinds[SHARE_BYTES:]).encode()

    collecting = w.collected(w.packages(), w.names)
    named: list[InstitutionId] = []

    def open_it() -> None:
        result = w.finish(collecting, spoil)
        assert isinstance(result, Opened)
        named.extend(result.liars)

    return answered(open_it) and named == [first(w).name]


def test_nobody_is_made_a_liar_by_shares_that_it_did_not_sign(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B2; where signatures are not checked, an honest member is."""
    assert not honest_holder_is_named(world(6))
    plant(monkeypatch, "signed_by", everything_is_signed)
    assert honest_holder_is_named(world(6))


def lying(bank: Bank) -> Callable[[InstitutionId, bytes], bytes]:
    """One member reveals a share of b that it was not dealt, and signs it."""

    def spoil(name: InstitutionId, reply: bytes) -> bytes:
        if name != bank.name:
            return reply
        shares = Shares.decode(reply)
        blinds = FALSE + shares.blinds[SHARE_BYTES:]
        context = Upload.decode(bank.sent[-3], MOST_BYTES).context
        signature = bank.identity.sign(shares_digest(context, name, blinds, shares.secrets))
        return replace(shares, blinds=blinds, signature=signature).encode()

    return spoil


def turn_with_a_liar(w: World) -> Opened | Opening | Aborted:
    """B2: the second member's share of the first one's b is false."""
    return w.finish(w.collected(w.packages(), w.names), lying(w.banks[w.names[1]]))


def false_sum_comes_out(w: World) -> bool:
    result = turn_with_a_liar(w)
    return isinstance(result, Opened) and result.total.tolist() != w.total(result.survivors)


def honest_dealer_is_blamed(w: World) -> bool:
    result = turn_with_a_liar(w)
    return isinstance(result, Aborted) and result.blamed == (first(w).name,)


@pytest.mark.parametrize(
    ("attack", "check", "fault"),
    [
        (false_sum_comes_out, "blind_digest", whatever),
        (honest_dealer_is_blamed, "_true_share", everything_is_signed),
    ],
)
def test_a_holder_that_lied_leaves_a_turn_open_until_enough_others_have_come(
    attack: Attack, check: str, fault: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2: with t shares of which one is false there is no sum, and no blame for a dealer.

    There is a sum, and a false one, where seeds are not held against headers; and blame where
    shares are not held against commitments.
    """
    everybody_needed = 5, 5
    result = turn_with_a_liar(world(*everybody_needed))
    assert isinstance(result, Opening)
    assert result.liars == ("bank-2",)
    assert open_sum(result) is result

    assert not attack(world(*everybody_needed))
    plant(monkeypatch, check, fault, lacking="deal")
    assert attack(world(*everybody_needed))


# ------------------------------------------------------------------------- B4: two packages


def second_package_counts(w: World) -> bool:
    """B4: after its package a member sends another; whether the honest coordinator changes to it.

    The first may be what others were started with, so a turn would fall apart.
    """
    bank, state = w.banks[w.names[1]], Gathering(w.session, TURN)
    one, other = bank.package(), bank.package()
    keys = [publics_of({bank.name: data})[bank.name] for data in (one, other)]
    assert keys[0] != keys[1]

    def send(data: bytes) -> None:
        nonlocal state
        state = server.receive_package(state, bank.name, data)

    assert answered(lambda: send(one))
    taken = [answered(lambda data=data: send(data)) for data in (one, other)]  # type: ignore[misc]
    assert state.packages[bank.name].header.public == keys[any(taken)]
    return any(taken)


def test_an_honest_coordinator_keeps_the_first_of_two_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B4; where it does not look whether it has one, the second counts."""
    assert not second_package_counts(world())
    leave_out(monkeypatch, server, ("if sender in state.packages:", "if False:"))
    assert second_package_counts(world())


# ------------------------------------------------------------------- B5: vectors of other lengths


def vector_of_another_length_leaves(w: World, size: int) -> bool:
    """B5: the member's own mistake; whether anything is sent or kept."""
    bank = w.banks[w.names[1]]
    bank.value = np.zeros(size, np.int64)
    _, starts = w.hand_out(w.packages(), w.asked)
    before = bank.kept, list(bank.sent)
    try:
        bank.upload(starts[bank.name], w.asked)
    except LocalError:
        assert (bank.kept, bank.sent) == before
        return False
    return True


@pytest.mark.parametrize("size", [0, 1, 5, 7])
def test_a_member_does_not_mask_a_vector_of_another_length(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B5; where the shape is not looked at, it does."""
    assert not vector_of_another_length_leaves(world(), size)
    assert vector_of_another_length_leaves(world(), 6)
    leave_out(monkeypatch, client, ("value.shape != (asked.dim,)", "False"))
    assert vector_of_another_length_leaves(world(), size)
