"""Writer and verifier share no code, and judge every sequence of entries alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import FedCreditError
from fedcredit.ledger.bundle import bundle
from fedcredit.ledger.chain import Chain
from fedcredit.ledger.entries import Burn, Entry, Release
from fedcredit.ledger.grammar import Item, read_line, write_line
from fedcredit.ledger.lines import body_of
from fedcredit.ledger.notes import Checkpoint, sign_checkpoint
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.ledger.signing import SigningKey
from fedcredit.ledger.store import InMemoryStore
from fedcredit.ledger.tree import leaf_hash
from fedcredit.units import NanoRho
from fedcredit.verifier import verify
from tests.federation.books import ROLES, key
from tests.ledger.bank import (
    COST,
    ORIGIN,
    OTHER,
    PLAN,
    RATE,
    add,
    caps,
    charge,
    genesis,
    policy,
    sampled,
    samples,
)
from tests.ledger.test_account import START, WISHES, Wish

KEYS = {one.public.hex(): one for one in (ROLES.key, *(key(f"key {at}") for at in range(6)))}


def sign(store: InMemoryStore, made: Chain, by: SigningKey) -> None:
    """A checkpoint of all entries."""
    head = Checkpoint(ORIGIN, len(made.tree), made.tree.root())
    store.note(sign_checkpoint(head, ORIGIN, by, by.public).data())


def written(
    wishes: Sequence[Wish], start: Sequence[Wish] = START
) -> tuple[InMemoryStore, Chain, list[tuple[Entry, str]]]:
    """What the writer lets pass, and what it refuses after the last of that."""
    store, made = InMemoryStore(), Chain()
    store.append(add(made, genesis()))
    sign(store, made, ROLES.key)
    refused: list[tuple[Entry, str]] = []
    for wish in (*start, *wishes):
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


@dataclass(frozen=True)
class Sample(Wish):
    """The same entries, where a plan's rounds are over samples and two policies are narrow."""

    def entry(self, before: Chain) -> Entry:
        made = super().entry(before)
        if self.kind == "plan":
            return samples(self.plan, sums=self.number, rates=3 - (self.index == 2))
        if self.kind == "charge":
            rate = RATE + (self.number == 5)
            event = sampled(self.part, rate=rate, variance=900 + 100 * self.index)
            return charge(self.index, self.attempt, self.plan, event=event)
        return made

    @property
    def rules(self) -> BudgetPolicy:
        begins = 2026 + self.attempt
        return policy(
            1 + self.number // 3, begins=f"{begins}-01-01", ends=f"{begins + 1}-01-01",
            automatic_rho=NanoRho(2 * COST), study_rho=NanoRho(self.number * COST // 4),
        )  # fmt: skip


KINDS_OF_SAMPLES = (
    *("plan", "approve", "officers", "burn", "policy"),
    *["charge", "release"] * 6,
)
SAMPLES = st.lists(
    st.builds(
        Sample,
        st.sampled_from(KINDS_OF_SAMPLES),
        st.integers(0, 2),
        st.integers(0, 2),
        st.sampled_from([PLAN, PLAN, OTHER]),
        st.sampled_from(["train", "held-out"]),
        st.integers(0, 5),
    ),
    max_size=30,
)
BEGUN = [Sample("plan", number=2), Sample("officers"), Wish("plan", plan=OTHER, number=2)]


@settings(max_examples=60)
@given(SAMPLES)
def test_sampled_rounds_that_the_writer_lets_pass_hold(wishes: list[Sample]) -> None:
    store, _, _ = written(wishes, BEGUN)
    assert verdict(store) == "holds"


@settings(max_examples=60)
@given(SAMPLES)
def test_sampled_rounds_that_the_writer_refuses_do_not_hold(wishes: list[Sample]) -> None:
    store, made, refused = written(wishes, BEGUN)
    for entry, time in refused[:3]:
        assert verdict(forced(store, made, entry, time)) != "holds", entry


@dataclass(frozen=True)
class Narrow(Sample):
    """A policy whose caps leave no room for a second sampled sum."""

    @property
    def rules(self) -> BudgetPolicy:
        return policy(1, caps=caps(1, rho_cap=COST // 8))


@dataclass(frozen=True)
class Modest(Sample):
    """A policy that allows no study to ask for a second sampled sum."""

    @property
    def rules(self) -> BudgetPolicy:
        return policy(10, study_rho=NanoRho(COST // 8))


TURN = [Sample("charge", number=1), Sample("release", number=1)]
STOPPED = {
    "at rate": [Sample("charge", number=5)],
    "put before us with": [*TURN, Sample("charge", 1), Sample("release", 1), Sample("charge", 2)],
    "the policy's cap": [*TURN, Modest("policy", number=1), Sample("charge", 1)],
    "budget exceeded": [*TURN, Narrow("policy", number=1), Sample("charge", 1)],
}


@pytest.mark.parametrize("words", STOPPED)
def test_each_reason_to_stop_a_sampled_round_is_found_by_both(words: str) -> None:
    """The last wish of each sequence is refused for just this, and is the one that is named."""
    *before, last = STOPPED[words]
    store, made, refused = written(before, BEGUN)
    assert not refused
    entry, time = last.entry(made), f"{made.account.policy.begins}T00:00:00Z"
    with pytest.raises(FedCreditError, match=words):
        made.line_of(entry, time)
    assert verdict(store) == "holds"
    assert verdict(forced(store, made, entry, time)) == "rule broken"
