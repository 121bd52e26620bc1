"""A hostile member: what it sends is noticed, it is named, and the others' sum is exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import pytest

from fedcredit.secagg.keys import Member, lock, seal
from fedcredit.secagg.messages import (
    Shares,
    Upload,
)
from fedcredit.secagg.opening import (
    Opened,
    Opening,
)
from fedcredit.secagg.packages import (
    decode_header,
)
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.server import (
    Aborted,
    Collecting,
    Gathering,
    receive_package,
    receive_upload,
)
from fedcredit.secagg.shamir import PRIME, SHARE_BYTES, RandomBytes, split
from fedcredit.secagg.signed import (
    shares_digest,
)
from fedcredit.units import InstitutionId
from tests.adversaries.coordinator_attacks import OTHER_TURN, Attack, package_of, signed_upload
from tests.adversaries.laid_open import survive
from tests.adversaries.secagg_made import (
    IN_CLEAR,
    MOST_BYTES,
    TURN,
    Agreeable,
    Bank,
    World,
    answered,
    plant,
    world,
)

Result = Opened | Opening | Aborted
SECOND: Final = 1  # the place of the member that breaks the protocol


def whatever(*_: object) -> Agreeable:
    """A check that everything passes."""
    return Agreeable()


def bound_to_nothing(*_: object) -> bytes:
    """A hash of nothing."""
    return bytes(32)


def second(w: World) -> Bank:
    return w.banks[w.names[SECOND]]


def dealt_with(w: World, **faults: object) -> dict[InstitutionId, bytes]:
    """Everybody's package; the second member has made its own with an altered program."""
    others = {name: bank.package() for name, bank in w.banks.items() if bank is not second(w)}
    with pytest.MonkeyPatch.context() as patch:
        for name, fault in faults.items():
            plant(patch, name, fault)
        return {**others, second(w).name: second(w).package()}


def is_exact(w: World, result: Result) -> bool:
    """Whether there is a sum, and it is that of the survivors."""
    return isinstance(result, Opened) and result.total.tolist() == w.total(result.survivors)


def accusations(collecting: Collecting) -> dict[InstitutionId, tuple[InstitutionId, ...]]:
    return {name: upload.accused for name, upload in collecting.uploads.items() if upload.accused}


def altered(text: bytes) -> bytes:
    return text[:-1] + bytes([text[-1] ^ 1])


def altered_for(holders: int) -> Callable[[bytes, bytes, bytes], bytes]:
    """Seals other shares than were committed to, for the last so many of four holders."""
    sealed: list[bytes] = []

    def false_lock(secret: bytes, text: bytes, info: bytes) -> bytes:
        sealed.append(text)
        return lock(secret, altered(text) if len(sealed) > 4 - holders else text, info)

    return false_lock


def other_lane(member: Member, text: bytes, info: bytes) -> bytes:
    """Gives the last of five members another lane key than the dealer goes on to use."""
    return seal(member, altered(text) if member.name == "bank-5" else text, info)


# ------------------------------------------------------------------------------------ B1, B3: dealt


def wrong_share_for_one(w: World) -> bool:
    """B1: one holder is sealed a false share; it is to be noticed, and to do no harm."""
    collecting = w.collected(dealt_with(w, lock=altered_for(1)), w.names)
    noticed = accusations(collecting) == {w.names[-1]: (second(w).name,)}
    return not (noticed and is_exact(w, w.finish(collecting)))


def wrong_share_for_two(w: World) -> bool:
    """B1: so many that the rest are too few; the dealer alone is to be blamed."""
    result = w.finish(w.collected(dealt_with(w, lock=altered_for(2)), w.names))
    return not (isinstance(result, Aborted) and result.blamed == (second(w).name,))


def wrong_lane_for_one(w: World) -> bool:
    """B1: one holder's card is of no use; it is to be noticed, and to do no harm."""
    second(w).sealer = other_lane
    collecting = w.collected(w.packages(), w.names)
    noticed = accusations(collecting) == {w.names[-1]: (second(w).name,)}
    return not (noticed and is_exact(w, w.finish(collecting)))


def share_outside_the_field(w: World) -> bool:
    """B1: committed to, signed and sealed, and yet no share."""

    def outside(secret: bytes, t: int, n: int, random: RandomBytes) -> tuple[int, ...]:
        return (*split(secret, t, n, random)[:-1], PRIME + 5)

    collecting = w.collected(dealt_with(w, split=outside), w.names)
    noticed = accusations(collecting) == {w.names[-1]: (second(w).name,)}
    return not (noticed and is_exact(w, w.finish(collecting)))


def shares_of_something_else(w: World, *, lost: bool = False) -> bool:
    """B1: true to their commitments, and yet they do not give back what the header names."""

    def other(secret: bytes, t: int, n: int, random: RandomBytes) -> tuple[int, ...]:
        return split(bytes(range(32)), t, n, random)

    return _dealer_escapes(w, lost=lost, split=other)


def shares_of_no_polynomial(w: World) -> bool:
    """B1: the same, with shares that belong to no one secret."""

    def scattered(secret: bytes, t: int, n: int, random: RandomBytes) -> tuple[int, ...]:
        return tuple(int.from_bytes(random(32), "big") for _ in range(n))

    return _dealer_escapes(w, split=scattered)


def commitment_to_another_seed(w: World) -> bool:
    """B3: the header commits to another b than was shared and masked with."""
    return _dealer_escapes(w, blind_digest=lambda blind: bytes(range(32)))


def _dealer_escapes(w: World, *, lost: bool = False, **faults: object) -> bool:
    """Whether the turn ends in anything but the blame of the one who dealt."""
    packages = dealt_with(w, **faults)
    uploading = [name for name in w.names if not (lost and name == second(w).name)]
    result = w.finish(w.collected(packages, uploading))
    return not (isinstance(result, Aborted) and result.blamed == (second(w).name,))


@pytest.mark.parametrize("attack", [wrong_share_for_one, wrong_share_for_two])
def test_a_false_share_is_noticed_by_its_holder_and_its_dealer_named(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B1; where a commitment binds nothing, nobody notices."""
    assert not attack(world())
    plant(monkeypatch, "commitment", bound_to_nothing)
    assert attack(world())


def test_a_false_card_is_noticed_by_its_holder_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B1; where shares are not sealed by the lanes, nobody notices."""
    assert not wrong_lane_for_one(world())
    for name, fault in IN_CLEAR.items():
        plant(monkeypatch, name, fault)
    assert wrong_lane_for_one(world())


def test_a_share_outside_the_field_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """B1; where the field is thought to be larger, it is taken."""
    assert not share_outside_the_field(world())
    plant(monkeypatch, "PRIME", PRIME + 6, having="open_parcel")
    assert share_outside_the_field(world())


@pytest.mark.parametrize(
    "attack", [shares_of_something_else, shares_of_no_polynomial, commitment_to_another_seed]
)
def test_a_dealer_whose_shares_do_not_give_back_its_seed_is_blamed(
    attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B1, B3; where the seed is not held against the header, a false sum comes out."""
    assert not attack(world())
    plant(monkeypatch, "blind_digest", whatever, lacking="deal")
    assert attack(world())


def test_a_dealer_that_is_lost_is_blamed_for_shares_that_are_not_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """B1; where the key is not held against the header, a false sum comes out."""
    assert not shares_of_something_else(world(), lost=True)
    plant(monkeypatch, "public_of", whatever, lacking="deal")
    assert shares_of_something_else(world(), lost=True)


# ------------------------------------------------------------------------------------- B2: revealed


def lying(bank: Bank, *, lost: bool = False) -> Callable[[InstitutionId, bytes], bytes]:
    """One member's first share, of b or of k, is another than it was dealt; signed all the same."""

    def spoil(name: InstitutionId, reply: bytes) -> bytes:
        if name != bank.name:
            return reply
        shares, false = Shares.decode(reply), (1).to_bytes(SHARE_BYTES, "big")
        if lost:
            shares = replace(shares, secrets=false)
        else:
            shares = replace(shares, blinds=false + shares.blinds[SHARE_BYTES:])
        context = Upload.decode(bank.sent[-3], MOST_BYTES).context
        signed = shares_digest(context, name, shares.blinds, shares.secrets)
        return replace(shares, signature=bank.identity.sign(signed)).encode()

    return spoil


def false_share_revealed(w: World, *, lost: bool = False) -> bool:
    """B2: it is to be named, and once more shares have come the sum is to be exact."""
    uploading = w.names[:-1] if lost else w.names
    result = w.finish(w.collected(w.packages(), uploading), lying(second(w), lost=lost))
    named = isinstance(result, Opened) and result.liars == (second(w).name,)
    return not (named and is_exact(w, result))


@pytest.mark.parametrize("lost", [False, True])
def test_a_false_share_is_named_and_the_sum_is_exact_with_those_that_come_later(
    lost: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2, of b and of k; where the secrets are not checked, a false sum comes out."""
    assert not false_share_revealed(world(6), lost=lost)
    for check in ("blind_digest", "public_of"):
        plant(monkeypatch, check, whatever, lacking="deal")
    assert false_share_revealed(world(6), lost=lost)


# ----------------------------------------------------------------------------- B4, B6: two packages


def two_packages(w: World) -> bool:
    """B4: two true packages; a coordinator that conspires shows each half another."""
    packages = w.packages()
    other = replace(second(w)).package()
    halves = {}
    for half, shown in (
        (w.names[:2], packages),
        (w.names[2:], {**packages, second(w).name: other}),
    ):
        manifest, starts = w.hand_out(shown, w.asked)
        for name in half:
            halves[name] = manifest.context(), w.banks[name].upload(starts[name], w.asked)
    context = halves[w.names[-1]][0]
    message = survive(context, {name: data for name, (_, data) in halves.items()})
    last = w.banks[w.names[-1]]
    return answered(lambda: last.agree(message), last)


def test_members_who_were_shown_two_packages_sign_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """B4; where the manifest does not bind the packages, they do."""
    assert not two_packages(world())
    plant(monkeypatch, "header_digest", bound_to_nothing)
    assert two_packages(world())


def own_old_package(w: World) -> bool:
    """B6: the package of the turn before, once more."""
    old = second(w).package()
    state = Gathering(w.session, OTHER_TURN)
    return answered(lambda: receive_package(state, second(w).name, old))


def test_a_member_cannot_use_its_package_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """B6: neither side takes it; where the turn in the header is not looked at, both do."""
    replayed = package_of(world(), OTHER_TURN)
    assert not own_old_package(world())
    assert not replayed(world())
    turns = iter([OTHER_TURN])
    session = world().session.digest()
    plant(
        monkeypatch,
        "decode_header",
        lambda data: replace(decode_header(data), turn=next(turns, TURN), session=session),
    )
    assert own_old_package(world())
    assert replayed(world())


# ----------------------------------------------------------------------------------- B5: the vector


def vector_of_another_length(w: World, bytes_expected: int = 24) -> bool:
    """B5: shorter than the manifest says, and signed."""
    bank, packages = second(w), w.packages()
    collecting = w.collected(packages, [name for name in w.names if name != bank.name])
    _, starts = w.hand_out(packages, w.asked)
    upload = Upload.decode(bank.upload(starts[bank.name], w.asked), MOST_BYTES)
    shorter = replace(upload, vector=bytes(20))
    data = signed_upload(bank, shorter, replace(w.asked, dim=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ring, "packed_bytes", lambda self, dim: bytes_expected)
        return answered(lambda: receive_upload(collecting, bank.name, data))


def test_a_vector_of_another_length_is_refused() -> None:
    """B5; where the length is worked out otherwise, it is taken."""
    assert Ring(32).packed_bytes(world().asked.dim) == 24
    assert not vector_of_another_length(world())
    assert vector_of_another_length(world(), bytes_expected=20)


def test_a_vector_out_of_range_is_added_as_it_is_and_nobody_notices() -> None:
    """B5: a limit of the protocol, and documented: no proof of range goes with a vector."""
    w = world()
    honest = np.array(w.total(w.names))
    second(w).value = second(w).value + 10**6
    result = w.finish(w.collected(w.packages(), w.names))

    assert isinstance(result, Opened)
    assert result.total.tolist() == (honest + 10**6).tolist()
    assert result.liars == ()
