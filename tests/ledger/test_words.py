"""An entry in a few words, which are all public."""

from __future__ import annotations

import pytest

from fedcredit.ledger.entries import Approve, Audit, Close, Entry, Note, Receipt
from fedcredit.ledger.words import what_of
from fedcredit.privacy.accounting import rho, rho_local
from tests.federation.books import ROLES
from tests.ledger.bank import (
    ALONE,
    COST,
    NEXT,
    PLAN,
    RATE,
    approve,
    burn,
    changed,
    charge,
    genesis,
    planned,
    policy,
    refuse,
    release,
    rotated,
    sampled,
    step,
)

SHORT = PLAN[:16]
WORDS: tuple[tuple[Entry, str], ...] = (
    (genesis(), "genesis"),
    (planned(), f"plan: 'a study', at most {5 * COST}e-9 rho; {SHORT}"),
    (approve(), f"approve: {SHORT} by the policy"),
    (
        Approve(plan=PLAN, by="officer", note="credit risk"),
        f"approve: {SHORT} by the officer: credit risk",
    ),
    (
        charge(1, 2),
        f"charge: {SHORT} round 2, attempt 2, {COST}e-9 rho, alone {ALONE}e-9: counting/1 first",
    ),
    (
        charge(event=sampled()),
        (
            f"charge: {SHORT} round 1, attempt 0, a sample of {RATE} in 2^20, of all records "
            f"{rho(sampled())}e-9 rho, alone {rho_local(sampled())}e-9: counting/1 first"
        ),
    ),
    (release(), f"release: {SHORT} round 1, attempt 0, reply {release().reply[:16]}"),
    (step("agree"), f"agree: {SHORT} round 1, attempt 0, reply {'ee' * 8}"),
    (step("reveal", 2), f"reveal: {SHORT} round 3, attempt 0, reply {'ee' * 8}"),
    (burn(0, 1), f"burn: {SHORT} round 1, attempt 1: lost"),
    (refuse(), f"refuse: {SHORT} round 1, attempt 0: budget"),
    (changed(policy(), 1), "policy_change"),
    (rotated(NEXT, 1, root=ROLES.root), "key_rotate"),
    (Audit(what="canaries", result="none found"), "audit"),
    (Note(text="a note"), "note"),
    (
        Receipt(plan=PLAN, round=0, attempt=0, institution="shop", reply="ee" * 32),
        f"receipt: {SHORT} round 1, attempt 0 of shop, reply {'ee' * 8}",
    ),
    (
        Close(plan=PLAN, round=0, attempt=0, outcome="opened", survivors=5, transcript="ff" * 32),
        f"close: {SHORT} round 1, attempt 0, opened with 5",
    ),
)


@pytest.mark.parametrize(("entry", "words"), WORDS)
def test_an_entry_is_told_in_a_line(entry: Entry, words: str) -> None:
    assert what_of(entry) == words
