"""A member signs one list and reveals for it: what it refuses, and that nothing leaves then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedcredit.errors import PeerError
from fedcredit.secagg import client
from fedcredit.secagg.client import Masked, Revealed
from fedcredit.secagg.messages import (
    Receipt,
    Reveal,
    Shares,
    Survive,
)
from fedcredit.secagg.shamir import read_shares
from fedcredit.secagg.signed import (
    agreement_digest,
    receipt_digest,
)
from fedcredit.units import InstitutionId
from tests.secagg.dishonest import Round
from tests.secagg.world import identity, session_of, survive_of

FIVE = session_of(5)
A, B, C, D, E = FIVE.members


@pytest.fixture(scope="module")
def played() -> tuple[Masked, Survive, Reveal]:
    """A's state when it has uploaded, and what it is honestly asked then."""
    made = Round(FIVE, {})
    agreeing, message = made.agreeing()
    survive = survive_of(message)
    signed_it = agreement_digest(survive.context, survive.survivors)
    signatures = tuple(identity(name).sign(signed_it) for name in FIVE.members)
    assert agreeing.survivors == FIVE.members
    state = made.states[A]
    return state, survive, Reveal(survive.context, FIVE.members, FIVE.members, signatures)


ALTERED: dict[str, Callable[[Survive], Survive]] = {
    "of another context": lambda one: replace(one, context=bytes(32)),
    "without ourselves": lambda one: replace(
        one, survivors=one.survivors[1:], receipts=one.receipts[1:]
    ),
    "below the threshold": lambda one: replace(
        one, survivors=one.survivors[:3], receipts=one.receipts[:3]
    ),
    "with a stranger": lambda one: replace(
        one,
        survivors=(*one.survivors, InstitutionId("bank-999")),
        receipts=(*one.receipts, one.receipts[0]),
    ),
    "with a receipt less": lambda one: replace(one, receipts=one.receipts[:-1]),
    "with a receipt more": lambda one: replace(one, receipts=(*one.receipts, one.receipts[0])),
    "with another's receipt": lambda one: replace(
        one, receipts=(*one.receipts[:-1], one.receipts[0])
    ),
    "with a receipt for another turn": lambda one: replace(
        one, receipts=(*one.receipts[:-1], receipt_of(E, bytes(32)))
    ),
}


def receipt_of(name: InstitutionId, context: bytes) -> Receipt:
    message = receipt_digest(context, name, bytes(32), bytes(16))
    return Receipt(bytes(32), bytes(16), identity(name).sign(message))


@pytest.mark.parametrize("change", ALTERED.values(), ids=ALTERED)
def test_a_list_of_survivors_is_not_signed(
    change: Callable[[Survive], Survive], played: tuple[Masked, Survive, Reveal]
) -> None:
    state, survive, _ = played
    with pytest.raises(PeerError):
        client.agree(identity(A), FIVE, state, change(survive))
    client.agree(identity(A), FIVE, state, survive)


# ------------------------------------------------------------------------------------- reveal


PRIED: dict[str, Callable[[Reveal], Reveal]] = {
    "of another context": lambda one: replace(one, context=bytes(32)),
    "without ourselves": lambda one: replace(
        one, survivors=one.survivors[1:], signers=one.signers[1:], signatures=one.signatures[1:]
    ),
    "signed by too few": lambda one: replace(
        one, signers=one.signers[:3], signatures=one.signatures[:3]
    ),
    "with a signature less": lambda one: replace(one, signatures=one.signatures[:-1]),
    "signed by one who did not survive": lambda one: replace(one, survivors=one.survivors[:-1]),
    "signed with another's signature": lambda one: replace(
        one, signatures=(*one.signatures[:-1], one.signatures[0])
    ),
    "signed for another list": lambda one: replace(
        one, survivors=one.survivors[:4], signers=one.signers[:4], signatures=one.signatures[:4]
    ),
}


@pytest.mark.parametrize("agreed", [False, True])
@pytest.mark.parametrize("change", PRIED.values(), ids=PRIED)
def test_no_share_is_revealed(
    change: Callable[[Reveal], Reveal], agreed: bool, played: tuple[Masked, Survive, Reveal]
) -> None:
    """Whether the member has itself signed the true list or not."""
    masked, survive, reveal = played
    state = client.agree(identity(A), FIVE, masked, survive)[0] if agreed else masked
    with pytest.raises(PeerError):
        client.reveal(identity(A), FIVE, state, change(reveal))


def test_a_list_that_others_signed_is_not_opened_by_one_who_signed_another(
    played: tuple[Masked, Survive, Reveal],
) -> None:
    masked, survive, _ = played
    agreed, _ = client.agree(identity(A), FIVE, masked, survive)
    four = FIVE.members[:4]
    message = agreement_digest(survive.context, four)
    other = Reveal(
        survive.context, four, four, tuple(identity(name).sign(message) for name in four)
    )
    with pytest.raises(PeerError, match="other survivors than we signed"):
        client.reveal(identity(A), FIVE, agreed, other)
    _, reply = client.reveal(identity(A), FIVE, masked, other)  # it has signed nothing
    shares = Shares.decode(reply)
    assert len(shares.blinds) == 4 * 33
    assert len(shares.secrets) == 33


def test_when_shares_were_revealed_nothing_secret_is_left(
    played: tuple[Masked, Survive, Reveal],
) -> None:
    state, _, reveal = played
    after, reply = client.reveal(identity(A), FIVE, state, reveal)
    assert after == Revealed((0, 0))
    shares = Shares.decode(reply)
    assert read_shares(shares.blinds, 5) == tuple(pair[0] for pair in state.shares)
    assert shares.secrets == b""
