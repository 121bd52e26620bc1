"""A coordinator that shows members different survivors, or the same turn twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import combinations
from typing import Final

import numpy as np
import pytest

from fedcredit.errors import PrivacyError
from fedcredit.secagg.keys import derive
from fedcredit.secagg.messages import (
    Agreement,
    Receipt,
    Reveal,
    Survive,
    Upload,
    encode_request,
)
from fedcredit.secagg.session import Floor, Session
from fedcredit.secagg.signed import (
    receipt_digest,
)
from fedcredit.units import InstitutionId
from tests.adversaries.coalitions import Turn, somebody_is_read, turn_of, two_lists_are_signed
from tests.adversaries.coordinator_attacks import Attack, first, uploaded
from tests.adversaries.laid_open import forged_reveal, recovered, shares_of, survive, unmasked
from tests.adversaries.secagg_made import (
    MOST_BYTES,
    Names,
    World,
    answered,
    asked_of,
    everything_is_signed,
    nothing,
    plant,
    publics_of,
    world,
)


def allowed(most: int) -> list[tuple[int, int, int]]:
    """Every n, t and c that a session may have, up to so many members."""
    found = []
    for n in range(3, most + 1):
        for c in range(1, n):
            for t in range(1, n + 1):
                try:
                    world(n, t, c)
                except PrivacyError:
                    continue
                found.append((n, t, c))
    return found


@cache
def lists_put(n: int, t: int, c: int) -> Turn:
    """The turn of such a session, in which every list was put to every member."""
    return turn_of(world(n, t, c))


def coalitions(n: int, size: int) -> list[int]:
    return [sum(1 << at for at in places) for places in combinations(range(n), size)]


@pytest.mark.parametrize(("n", "t", "c"), allowed(7))
def test_no_division_of_the_members_signs_two_lists(n: int, t: int, c: int) -> None:
    """A5: every pair of lists, every coalition of c, every way to divide the others."""
    turn = lists_put(n, t, c)

    assert not any(two_lists_are_signed(turn, coalition) for coalition in coalitions(n, c))


@pytest.mark.parametrize(("n", "c"), [(n, c) for n, t, c in allowed(6) if t == (n + c) // 2 + 1])
def test_one_less_than_the_threshold_signs_two_lists(
    n: int, c: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A5, where the bound on t is not kept: some division wins, with any coalition of c."""
    monkeypatch.setattr(Session, "__post_init__", unbounded)
    w = world(n, (n + c) // 2, c)
    for bank in w.banks.values():
        bank.floor = Floor(members=0, threshold=0, colluders=0, honest=0)
    turn = turn_of(w)

    assert any(two_lists_are_signed(turn, coalition) for coalition in coalitions(n, c))


@pytest.mark.parametrize(("n", "t", "c"), allowed(6))
def test_a_coordinator_with_c_members_reads_nobody(n: int, t: int, c: int) -> None:
    """C6: every coalition of c, every victim, every pair of lists, every division."""
    turn = lists_put(n, t, c)

    assert not any(somebody_is_read(turn, coalition) for coalition in coalitions(n, c))


@pytest.mark.parametrize(("n", "t", "c"), [one for one in allowed(6) if one[1] < one[0]])
def test_a_coordinator_with_2t_minus_n_members_reads_somebody(n: int, t: int, c: int) -> None:
    """C6: the edge of the guarantee; with one member less it holds."""
    turn = lists_put(n, t, c)

    assert all(somebody_is_read(turn, coalition) for coalition in coalitions(n, 2 * t - n))
    assert not any(somebody_is_read(turn, one) for one in coalitions(n, 2 * t - n - 1))


def unbounded(self: Session) -> None:
    """The planted fault: n, t and c are held against nothing."""
    object.__setattr__(self, "_name", bytes(32))


# ------------------------------------------------------------------------- lists not to be signed


def outsider_listed(w: World) -> bool:
    """A7: the last member conspires; it dealt no keys, and yet signs a receipt."""
    packages = w.packages()
    last = w.names[-1]
    del packages[last]
    manifest, starts = w.hand_out(packages, w.asked)
    context = manifest.context()
    uploads = {name: w.banks[name].upload(starts[name], w.asked) for name in packages}
    own = w.banks[last].identity.sign(receipt_digest(context, last, bytes(32), bytes(16)))
    receipts = [Upload.decode(data, MOST_BYTES).receipt for data in uploads.values()]
    receipts.append(Receipt(bytes(32), bytes(16), own))
    message = encode_request(Survive(context, w.names, tuple(receipts)))
    return answered(lambda: first(w).agree(message), first(w))


def listed(choose: Callable[[World], Names]) -> Attack:
    """A7: a list of members who have all uploaded, and the first member is to sign it."""

    def attack(w: World) -> bool:
        context, uploads = uploaded(w)
        message = survive(context, {name: uploads[name] for name in choose(w)})
        return answered(lambda: first(w).agree(message), first(w))

    return attack


def shares_without_signatures(w: World) -> bool:
    """A7: shares are asked for, and fewer than t members have signed the list."""
    context, _ = uploaded(w)
    message = forged_reveal(context, w.names, w.session.threshold)
    return answered(lambda: first(w).reveal(message), first(w))


NOT_TO_BE_SIGNED: Final[Mapping[str, tuple[Attack, str, object]]] = {
    "with one that takes no part": (outsider_listed, "_check_survivors", nothing),
    "shorter than the threshold": (
        listed(lambda w: w.names[: w.session.threshold - 1]),
        "_check_survivors",
        nothing,
    ),
    "without the member itself": (listed(lambda w: w.names[1:]), "_check_survivors", nothing),
    "that nobody has signed": (shares_without_signatures, "signed_by", everything_is_signed),
}


@pytest.mark.parametrize("what", NOT_TO_BE_SIGNED)
def test_a_list_of_survivors_that_is_none_is_neither_signed_nor_opened(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A7; where the check is missing, it is."""
    attack, name, fault = NOT_TO_BE_SIGNED[what]
    assert not attack(world())
    plant(monkeypatch, name, fault)
    assert attack(world())


# --------------------------------------------------------------------------------- twice in a turn


def dead_and_alive(w: World, rolled_back: int = 0) -> bool:
    """A6, A8: once everybody has revealed, the first member is declared lost after all.

    Every member is started again before every step; the last ``rolled_back`` of them from
    the vault as it was before the first list.
    """
    packages = w.packages()
    manifest, starts = w.hand_out(packages, w.asked)
    context, victim = manifest.context(), w.names[0]
    uploads = {name: bank.upload(starts[name], w.asked) for name, bank in w.banks.items()}
    vaults = {name: w.banks[name].kept for name in w.names[len(w.names) - rolled_back :]}
    found: dict[int, dict[InstitutionId, int]] = {0: {}, 1: {}}
    for survivors in (w.names, w.names[1:]):
        message = survive(context, {name: uploads[name] for name in survivors})
        signed = {}
        for name, bank in w.banks.items():
            if answered(lambda b=bank, m=message: b.agree(m), bank):  # type: ignore[misc]
                signed[name] = Agreement.decode(bank.sent[-1]).signature
        signers = tuple(signed)[: w.session.threshold]
        ask = encode_request(Reveal(context, survivors, signers, tuple(signed[n] for n in signers)))
        for name, bank in w.banks.items():
            if answered(lambda b=bank, m=ask: b.reveal(m), bank):  # type: ignore[misc]
                kind, share = shares_of(bank.sent[-1], survivors, w.names)[victim]
                found[kind][name] = share
        for name, vault in vaults.items():
            w.banks[name].kept = vault
    upload = Upload.decode(uploads[victim], MOST_BYTES)
    return any(
        unmasked(upload, w.asked, victim, publics_of(packages), (blind, secret))
        == first(w).value.tolist()
        for blind in recovered(w.session, found[0])
        for secret in recovered(w.session, found[1])
    )


def forgetful(w: World) -> World:
    """The planted fault of members that keep neither what they signed nor what they revealed."""
    for bank in w.banks.values():
        bank.forgets = True
    return w


def test_nobody_is_opened_as_both_dead_and_alive() -> None:
    """A6, A8: a member that has revealed reveals no more; where it forgets, the attack wins."""
    assert not dead_and_alive(world())
    assert dead_and_alive(forgetful(world()))


@pytest.mark.parametrize(("n", "t", "c"), [(5, 4, 1), (6, 5, 2), (7, 6, 3)])
def test_c_vaults_that_were_rolled_back_open_nobody(n: int, t: int, c: int) -> None:
    """A8: such a member is no worse than one that conspires; with 2t - n of them it is over."""
    assert not dead_and_alive(world(n, t, c), rolled_back=c)
    assert dead_and_alive(world(n, t, c), rolled_back=n - 1)


@pytest.mark.parametrize("survivors", [slice(0, 5), slice(0, 4), slice(1, 5)])
def test_of_each_participant_one_kind_of_share_is_revealed(survivors: slice) -> None:
    """A6: who is lost follows from who survives, so no list can name one as both."""
    w = world()
    turn = turn_of(w)
    listed = w.names[survivors]
    for shares in turn.revealed[turn.set_of(listed)].values():
        assert {name: kind for name, (kind, _) in shares.items()} == {
            name: int(name not in listed) for name in w.names
        }


def second_step(w: World, step: str, *, rolled_back: bool = False) -> bool:
    """A8: a start, a list or a request for shares comes again, and is another one."""
    packages = w.packages()
    bank, before = first(w), first(w).kept
    manifest, starts = w.hand_out(packages, w.asked)
    other = asked_of(w.asked.dim, b"another model")
    _, again = w.hand_out(packages, other)
    uploads = {name: one.upload(starts[name], w.asked) for name, one in w.banks.items()}
    uploading = bank.kept
    context = manifest.context()
    if step == "start":
        bank.kept = before if rolled_back else bank.kept
        return answered(lambda: bank.upload(again[bank.name], other), bank)
    one = survive(context, uploads)
    two = survive(context, {name: uploads[name] for name in w.names[:-1]})
    bank.agree(one)
    agreeing = bank.kept
    if step == "survive":
        bank.kept = uploading if rolled_back else bank.kept
        return answered(lambda: bank.agree(two), bank)
    signed = [Agreement.decode(w.banks[name].agree(one)).signature for name in w.names[1:]]
    ask = encode_request(Reveal(context, w.names, w.names[1:], tuple(signed)))
    bank.reveal(ask)
    bank.kept = agreeing if rolled_back else bank.kept
    return answered(lambda: bank.reveal(ask), bank)


@pytest.mark.parametrize("step", ["start", "survive", "reveal"])
def test_a_step_is_taken_once_also_after_a_crash(step: str) -> None:
    """A8: from the bytes of the vault; with the bytes of the step before, it is taken again."""
    assert not second_step(world(), step)
    assert second_step(world(), step, rolled_back=True)


def difference_is_seen(w: World) -> bool:
    """A8: a vault rolled back answers two starts; the masks of the two answers are alike."""
    packages = w.packages()
    bank, before = first(w), first(w).kept
    vectors, values = [], []
    for asked in (w.asked, asked_of(w.asked.dim, b"another model")):
        bank.kept = before
        _, starts = w.hand_out(packages, asked)
        upload = Upload.decode(bank.upload(starts[bank.name], asked), MOST_BYTES)
        vectors.append(asked.ring.unpack(upload.vector, asked.dim))
        values.append(bank.value)
        bank.value = bank.value + 17
    found = w.asked.ring.centre(vectors[1] - vectors[0])
    return np.array_equal(found, values[1] - values[0])


def test_a_vault_rolled_back_masks_another_question_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A8; where the context is not bound into the seeds, the two answers are comparable."""
    assert not difference_is_seen(world())
    plant(monkeypatch, "derive", lambda secret, salt, info: derive(secret, b"", info))
    assert difference_is_seen(world())
