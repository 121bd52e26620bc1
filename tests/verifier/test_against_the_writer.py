"""Writer and verifier share no code, and judge every sequence of entries alike."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings

from fedcredit.errors import FedCreditError
from fedcredit.ledger.bundle import bundle
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import Burn, Entry, Release
from fedcredit.ledger.grammar import Item, read_line, write_line
from fedcredit.ledger.lines import body_of
from fedcredit.ledger.notes import Checkpoint, sign_checkpoint
from fedcredit.ledger.signing import SigningKey
from fedcredit.ledger.store import InMemoryStore
from fedcredit.ledger.tree import leaf_hash
from fedcredit.verifier import verify
from tests.federation.books import ROLES, key
from tests.ledger.bank import ORIGIN, add, genesis
from tests.ledger.test_account import START, WISHES, Wish

KEYS = {one.public.hex(): one for one in (ROLES.key, *(key(f"key {at}") for at in range(6)))}


def sign(store: InMemoryStore, made: Chain, by: SigningKey) -> None:
    """A checkpoint of all entries."""
    head = Checkpoint(ORIGIN, len(made.tree), made.tree.root())
    store.note(sign_checkpoint(head, ORIGIN, by, by.public).data())


def written(wishes: list[Wish]) -> tuple[InMemoryStore, Chain, list[tuple[Entry, str]]]:
    """What the writer lets pass, and what it refuses after the last of that."""
    store, made = InMemoryStore(), Chain()
    store.append(add(made, genesis()))
    sign(store, made, ROLES.key)
    refused: list[tuple[Entry, str]] = []
    for wish in START + wishes:
        entry, time = wish.entry(made), f"{made.account.policy.begins}T00:00:00Z"
        try:
            line = made.line_of(entry, time)
        except FedCreditError:
            refused.append((entry, time))
            continue
        made.add(line, entry, time)
        store.append(line)
        sign(store, made, KEYS[made.account.keys[-1]])
        refused.clear()
    return store, made, refused


def forced(store: InMemoryStore, made: Chain, entry: Entry, time: str) -> InMemoryStore:
    """The ledger with one entry more that the writer has refused, signed all the same."""
    before = store.lines().splitlines(keepends=True)
    made_again = Chain()
    for line in before:
        made_again.take(line)
    own: dict[str, Item] = {"seq": len(before), "prev": made_again._prev, "time": time}
    own |= made.account.derived(entry)
    if isinstance(entry, Release | Burn):
        own.setdefault("charge", 3)
    line = write_line({**body_of(entry), **own})
    assert read_line(line)["seq"] == len(before)
    copy = InMemoryStore()
    copy.append(store.lines() + line)
    copy.note(store.notes())
    made_again.tree.append(leaf_hash(line))
    sign(copy, made_again, KEYS[made.account.keys[-1]])
    return copy


def verdict(store: InMemoryStore) -> object:
    """What the verifier says."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "audit.zip"
        path.write_bytes(bundle({"bank": store}))
        return verify([path], entries=False)["verdict"]


@settings(max_examples=100)
@given(WISHES)
def test_what_the_writer_lets_pass_holds(wishes: list[Wish]) -> None:
    store, _, _ = written(wishes)
    assert verdict(store) == "holds"


@settings(max_examples=100)
@given(WISHES)
def test_what_the_writer_refuses_does_not_hold(wishes: list[Wish]) -> None:
    store, made, refused = written(wishes)
    for entry, time in refused[:3]:
        assert verdict(forced(store, made, entry, time)) != "holds", entry


def test_the_sequences_above_hold_refusals_of_many_kinds() -> None:
    """So the law is about more than a few."""
    seen: set[str] = set()

    @settings(max_examples=100)
    @given(WISHES)
    def look(wishes: list[Wish]) -> None:
        seen.update(type(entry).__name__ for entry, _ in written(wishes)[2][:3])

    look()
    assert seen >= {"Charge", "Release", "Burn", "Planned", "Approve", "Step"}
