"""A bundle: the same bytes every time, evidence only."""

from __future__ import annotations

from io import BytesIO
from zipfile import ZipFile

from fedcredit.ledger.bundle import bundle
from fedcredit.ledger.store import InMemoryStore, Readable
from tests.ledger.bank import new, planned, reply, turn


def stores() -> dict[str, Readable]:
    found: dict[str, Readable] = {}
    for name in ("shop", "bank"):
        store = InMemoryStore()
        ledger = new(store=store)
        ledger.propose(planned())
        turn(ledger)
        found[name] = store
    return found


def test_a_bundle_holds_entries_and_checkpoints_and_nothing_else() -> None:
    made = stores()
    with ZipFile(BytesIO(bundle(made))) as file:
        assert file.namelist() == [
            "bank/checkpoints.note",
            "bank/ledger.jsonl",
            "shop/checkpoints.note",
            "shop/ledger.jsonl",
        ]
        for name, store in made.items():
            assert file.read(f"{name}/ledger.jsonl") == store.lines()
            assert file.read(f"{name}/checkpoints.note") == store.notes()
        assert all(reply() not in file.read(one) for one in file.namelist())
        assert {one.date_time for one in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_bundle_is_the_same_every_time() -> None:
    made = stores()
    assert bundle(made) == bundle(dict(reversed(made.items()))) == bundle(stores())
    assert bundle({}) == bundle({})
