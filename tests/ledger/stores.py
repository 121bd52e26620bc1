"""What every store of a ledger keeps, wherever its bytes are."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.entries import Charge, Entry, Release, Step
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.quorum import no_witnesses
from fedcredit.ledger.store import Readable, Store
from tests.federation.books import ROLES, now
from tests.ledger.bank import (
    OTHER,
    PLAN,
    charge,
    kinds,
    new,
    planned,
    release,
    reply,
    state,
    step,
    turn,
)

ORDERS: tuple[tuple[Entry, ...], ...] = (
    (charge(), release(), step("agree"), step("reveal")),
    (charge(), release(), step("reveal")),
    (charge(), release(), step("agree"), charge(1)),
    (charge(), release(), charge(1), step("reveal")),
)
OUT_OF_ORDER: tuple[tuple[Entry, ...], ...] = (
    (step("agree"),),
    (step("reveal"),),
    (release(),),
    (charge(), step("agree")),
    (charge(), step("reveal")),
    (charge(), release(), release()),
    (charge(), release(), step("agree"), step("agree")),
    (charge(), release(), step("reveal"), step("reveal")),
    (charge(), release(), step("reveal"), step("agree")),
    (charge(), release(), step("agree"), release()),
    (charge(), release(), step("agree"), step("reveal"), charge()),
    (charge(), release(), step("agree", plan=OTHER)),
    (charge(), release(), step("reveal", attempt=1)),
)


def write(ledger: Ledger, entry: Entry) -> None:
    match entry:
        case Charge():
            ledger.charge(entry)
        case Release():
            ledger.release(entry, reply(*entry.turn, entry.plan))
        case Step():
            ledger.step(entry)
        case _:
            raise AssertionError


def opened(store: Store) -> Ledger:
    ledger = new(store=store)
    for plan in (PLAN, OTHER):
        ledger.propose(planned(plan))
    return ledger


class StoreContract:
    """A test of a store inherits this and has a fixture ``store``, an empty one."""

    def test_it_is_a_store(self, store: Store) -> None:
        assert isinstance(store, Store)
        assert isinstance(store, Readable)

    def test_it_is_empty_at_first(self, store: Store) -> None:
        assert (store.lines(), store.notes(), store.kept("aa" * 32)) == (b"", b"", b"")

    def test_what_is_written_is_read_in_order(self, store: Store) -> None:
        store.append(b"one\n")
        store.note(b"a\n")
        store.append(b"two\n")
        store.note(b"b\n")
        assert (store.lines(), store.notes()) == (b"one\ntwo\n", b"a\nb\n")

    def test_a_reply_comes_back_byte_for_byte(self, store: Store) -> None:
        store.keep("aa" * 32, b"one")
        store.keep("bb" * 32, b"")
        store.keep("aa" * 32, b"two")
        assert (store.kept("aa" * 32), store.kept("bb" * 32)) == (b"two", b"")

    def test_what_a_crash_left_behind_is_cut_off(self, store: Store) -> None:
        store.append(b"one\ntorn")
        store.note(b"a\ntorn too")
        store.cut(4, 2)
        assert (store.lines(), store.notes()) == (b"one\n", b"a\n")
        store.append(b"two\n")
        assert store.lines() == b"one\ntwo\n"

    def test_a_ledger_is_kept_and_opened_again(self, store: Store) -> None:
        ledger = opened(store)
        turn(ledger)
        before = state(ledger.account), store.lines(), store.notes()
        later = Ledger(store, ROLES.key, no_witnesses, now)
        assert (state(later.account), store.lines(), store.notes()) == before
        assert later.reply(release()) == reply()

    def test_a_turn_is_charged_once(self, store: Store) -> None:
        ledger = opened(store)
        turn(ledger)
        with pytest.raises(LocalError):
            ledger.charge(charge())
        turn(ledger, 0, 1)
        turn(ledger, plan=OTHER)
        assert kinds(ledger).count("charge") == 3

    @pytest.mark.parametrize("order", ORDERS)
    def test_steps_follow_the_release_of_their_turn(
        self, store: Store, order: Sequence[Entry]
    ) -> None:
        """Survivors are signed, or not, and then shares are revealed."""
        ledger = opened(store)
        for entry in order:
            write(ledger, entry)
        assert [one.entry for one in ledger.written[5:]] == list(order)

    @pytest.mark.parametrize("order", OUT_OF_ORDER)
    def test_no_step_is_taken_twice_or_out_of_order(
        self, store: Store, order: Sequence[Entry]
    ) -> None:
        """With another answer neither; the ledger is as it was before."""
        ledger = opened(store)
        for entry in order[:-1]:
            write(ledger, entry)
        before = store.lines(), store.notes()
        with pytest.raises(LocalError, match="does not follow from the ledger"):
            write(ledger, order[-1])
        assert (store.lines(), store.notes()) == before

    def test_a_lost_or_damaged_reply_is_never_sent(self, store: Store) -> None:
        ledger = opened(store)
        turn(ledger)
        for wrong in (b"two", b""):
            store.keep(release().reply, wrong)
            with pytest.raises(IntegrityError):
                ledger.reply(release())
