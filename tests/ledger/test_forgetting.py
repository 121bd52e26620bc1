"""A witness that has forgotten what it signed is not counted, also by a writer that starts anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedcredit.errors import UnreachableError
from fedcredit.federation.ledgers import policy_of
from fedcredit.ledger.asking import Direct
from fedcredit.ledger.notes import read_notes
from fedcredit.ledger.policy import BudgetPolicy, WitnessKey
from fedcredit.ledger.quorum import Quorum
from fedcredit.ledger.witness import MemoryWitnessStore
from tests.federation.books import NOW, WIDE
from tests.ledger.made import SHOP, Copy, witness
from tests.ledger.test_witness import BANK

PLACES = {str(SHOP.witness): "shop"}
WORDS = ("a", "b", "c", "d")


class Unlocked:
    def __enter__(self) -> None:
        """Nobody else is here."""

    def __exit__(self, *_: object) -> None:
        """Nobody waits."""


def policy() -> BudgetPolicy:
    keys = (WitnessKey(str(SHOP.witness), "institution"),)
    return replace(policy_of(WIDE, NOW), quorum=1, beside_coordinator=1, witnesses=keys)


def courier() -> Direct:
    """To a witness that has never signed."""
    return Direct({"shop": witness(MemoryWitnessStore(Unlocked()))})


@pytest.mark.parametrize("starts_anew", [False, True])
def test_a_witness_restored_from_an_old_backup_is_no_quorum(starts_anew: bool) -> None:
    copy = Copy(*WORDS)
    three = Copy(*WORDS[:3])
    quorum = Quorum(courier(), PLACES)
    signed = quorum(policy(), three.tree, three.note())
    assert len(signed.signatures) == 2
    lost = courier()
    if starts_anew:
        quorum = Quorum(lost, PLACES, read_notes(three.note().data() + signed.data()))
    else:
        quorum._courier = lost
    with pytest.raises(UnreachableError, match="has seen 0 entries, and signed for 3 before"):
        quorum(policy(), copy.tree, copy.note())


def test_a_writer_that_starts_anew_counts_a_witness_that_remembers() -> None:
    copy, three, road = Copy(*WORDS), Copy(*WORDS[:3]), courier()
    signed = Quorum(road, PLACES)(policy(), three.tree, three.note())
    quorum = Quorum(road, PLACES, read_notes(signed.data()))
    assert len(quorum(policy(), copy.tree, copy.note()).signatures) == 2
    assert signed.body.startswith(BANK.encode())
