"""Founding a ledger: the first entry, granted and signed for."""

from __future__ import annotations

import pytest

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.entries import Genesis
from fedcredit.ledger.founding import Roles, draw_roles, found_ledger
from fedcredit.ledger.ledger import Ledger
from fedcredit.ledger.notes import read_checkpoint, read_notes, verify
from fedcredit.ledger.quorum import no_witnesses
from fedcredit.ledger.signatures import PLAIN, VerifierKey
from fedcredit.ledger.store import InMemoryStore
from tests.federation.books import ROLES, now
from tests.federation.made import Stream
from tests.ledger.bank import NOTHING, ORIGIN, policy


def found(store: InMemoryStore, roles: Roles = ROLES, role: str = "institution") -> None:
    rules = policy() if role == "institution" else NOTHING
    found_ledger(store, roles, rules, now, origin=ORIGIN, institution="bank", role=role)


@pytest.mark.parametrize("role", ["institution", "coordinator"])
def test_a_ledger_begins_with_what_it_will_be_held_to(role: str) -> None:
    store = InMemoryStore()
    found(store, role=role)
    ledger = Ledger(store, ROLES.key, no_witnesses, now)
    (first,) = (one.entry for one in ledger.written)
    assert isinstance(first, Genesis)
    assert (first.origin, first.institution, first.role) == (ORIGIN, "bank", role)
    assert ledger.policy == (policy() if role == "institution" else NOTHING)
    assert [first.root, first.officer, first.key] == [
        one.public.hex() for one in (ROLES.root, ROLES.officer, ROLES.key)
    ]
    (note,) = read_notes(store.notes())
    key = VerifierKey(ORIGIN, PLAIN, ROLES.key.public)
    assert key in verify(note, [key])
    assert read_checkpoint(note.body) == ledger.head


def test_a_ledger_is_founded_once() -> None:
    store = InMemoryStore()
    found(store)
    before = store.lines(), store.notes()
    with pytest.raises(LocalError, match="a ledger already"):
        found(store)
    assert (store.lines(), store.notes()) == before
    signed = InMemoryStore()
    signed.note(before[1])
    with pytest.raises(LocalError, match="a ledger already"):
        found(signed)


@pytest.mark.parametrize(
    "roles",
    [
        Roles(ROLES.root, ROLES.root, ROLES.key),
        Roles(ROLES.root, ROLES.officer, ROLES.root),
        Roles(ROLES.root, ROLES.key, ROLES.key),
    ],
    ids=["root is officer", "root is key", "officer is key"],
)
def test_one_person_is_not_two(roles: Roles) -> None:
    store = InMemoryStore()
    with pytest.raises(IntegrityError):
        found(store, roles)
    assert (store.lines(), store.notes()) == (b"", b"")


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "Süd"])
def test_an_origin_is_a_name_that_a_key_can_have(origin: str) -> None:
    store = InMemoryStore()
    with pytest.raises(LocalError):
        found_ledger(store, ROLES, policy(), now, origin=origin, institution="bank")
    assert store.lines() == b""


def test_a_coordinator_with_a_budget_is_not_founded() -> None:
    store = InMemoryStore()
    with pytest.raises(IntegrityError, match="no budget"):
        found_ledger(
            store, ROLES, policy(), now, origin=ORIGIN, institution="centre", role="coordinator"
        )
    assert store.lines() == b""


def test_the_keys_of_roles_are_drawn_apart() -> None:
    roles = draw_roles(Stream("roles"))
    assert len({roles.root.public, roles.officer.public, roles.key.public}) == 3
    assert draw_roles(Stream("roles")).key.public == roles.key.public
    drawn: list[int] = []

    def count(size: int) -> bytes:
        drawn.append(size)
        return bytes([len(drawn)]) * size

    draw_roles(count)
    assert drawn == [32, 32, 32]
