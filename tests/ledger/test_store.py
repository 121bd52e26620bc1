"""The store in memory keeps what every store keeps."""

from __future__ import annotations

import pytest

from fedcredit.ledger.store import InMemoryStore, Store
from tests.ledger.stores import StoreContract


class TestInMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return InMemoryStore()


def test_what_is_read_does_not_change_with_what_is_written_later() -> None:
    store = InMemoryStore()
    store.append(b"one\n")
    before = store.lines()
    store.append(b"two\n")
    assert before == b"one\n"
