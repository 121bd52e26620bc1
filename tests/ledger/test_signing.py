"""What a ledger's keys sign: plain texts, one purpose each."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedcredit.errors import IntegrityError
from fedcredit.ledger.entries import Approve
from fedcredit.ledger.signing import (
    SigningKey,
    approval_text,
    check_approval,
    check_genesis,
    check_policy_change,
    check_rotation,
    grant_text,
    policy_text,
    rotation_text,
)
from tests.federation.books import ROLES, key
from tests.ledger.bank import (
    NEXT,
    ORIGIN,
    PLAN,
    approve,
    changed,
    genesis,
    officers,
    policy,
    rotated,
)
from tests.ledger.written import canonical

FIRST = genesis()
KEY, NEW = ROLES.key.public.hex(), NEXT.public.hex()


def test_the_texts_are_those_of_the_document() -> None:
    """Each line ended, so that an Ed25519 tool and a text editor are enough."""
    officer = ROLES.officer.public.hex()
    name = hashlib.sha256(canonical(policy().to_dict())).hexdigest()
    assert grant_text(ORIGIN, KEY, officer) == (
        f"fedcredit/ledger/grant/1\n{ORIGIN}\n{KEY}\n{officer}\n".encode()
    )
    assert policy_text(ORIGIN, 7, policy()) == (
        f"fedcredit/ledger/policy/1\n{ORIGIN}\n7\n{name}\n".encode()
    )
    assert approval_text(ORIGIN, PLAN) == (
        f"fedcredit/ledger/approve/1\n{ORIGIN}\n{PLAN}\n".encode()
    )
    assert rotation_text(ORIGIN, 7, NEW) == (
        f"fedcredit/ledger/rotate/1\n{ORIGIN}\n7\n{NEW}\n".encode()
    )


def test_a_key_signs_and_is_never_printed() -> None:
    seed = bytes(range(32))
    made = SigningKey(seed)
    Ed25519PublicKey.from_public_bytes(made.public).verify(made(b"text"), b"text")
    assert made(b"text") == made(b"text")
    for shown in (repr(made), str(made), f"{made}"):
        assert shown == f"SigningKey({made.public.hex()[:8]})"
        assert seed.hex() not in shown


def test_a_grant_is_the_roots_over_this_ledgers_keys() -> None:
    check_genesis(FIRST)
    stranger = key("stranger").public.hex()
    by_officer = ROLES.officer(grant_text(ORIGIN, FIRST.key, FIRST.officer)).hex()
    for wrong in (
        replace(FIRST, grant="00" * 64),
        replace(FIRST, grant=by_officer),
        replace(FIRST, origin=f"{ORIGIN}2"),
        replace(FIRST, key=stranger),
        replace(FIRST, officer=stranger),
        replace(FIRST, root=stranger),
        replace(FIRST, root="ff" * 32),
    ):
        with pytest.raises(IntegrityError, match="genesis of the ledger is not signed by its root"):
            check_genesis(wrong)


@pytest.mark.parametrize("same", ["root", "officer"])
def test_no_two_roles_have_one_key(same: str) -> None:
    """Also where the root has granted it: one person must not be two."""
    public = getattr(FIRST, same)
    officer = public if same == "root" else FIRST.officer
    grant = ROLES.root(grant_text(ORIGIN, public, officer)).hex()
    with pytest.raises(IntegrityError):
        check_genesis(replace(FIRST, key=public, officer=officer, grant=grant))
    grant = ROLES.root(grant_text(ORIGIN, FIRST.key, FIRST.root)).hex()
    with pytest.raises(IntegrityError):
        check_genesis(replace(FIRST, officer=FIRST.root, grant=grant))


def test_an_approval_is_the_officers_for_this_plan_in_this_ledger() -> None:
    check_approval(approve(), FIRST)
    good = officers()
    check_approval(good, FIRST)
    for wrong in (
        replace(good, plan="bb" * 32),
        replace(good, second=""),
        replace(good, second="00" * 64),
        officers(by=ROLES.root),
        officers(by=ROLES.key),
        Approve(plan=PLAN, by="policy", second="00" * 64),
    ):
        with pytest.raises(IntegrityError, match="not signed by the officer"):
            check_approval(wrong, FIRST)
    with pytest.raises(IntegrityError):
        check_approval(good, replace(FIRST, origin="other.example/ledger"))


def test_a_change_of_policy_is_the_roots_and_the_officers_where_named() -> None:
    check_policy_change(changed(policy(), 7), FIRST, 7)
    good = changed(policy(), 7, ROLES.officer)
    check_policy_change(good, FIRST, 7)
    for wrong, seq, who in (
        (good, 8, "the root"),
        (replace(good, policy=policy(11)), 7, "the root"),
        (replace(good, root="00" * 64), 7, "the root"),
        (changed(policy(), 7, root=ROLES.officer), 7, "the root"),
        (replace(good, second="00" * 64), 7, "the officer"),
        (changed(policy(), 7, ROLES.root), 7, "the officer"),
        (replace(good, second=changed(policy(), 8, ROLES.officer).second), 7, "the officer"),
    ):
        with pytest.raises(IntegrityError, match=f"not signed by {who}"):
            check_policy_change(wrong, FIRST, seq)


def test_a_rotation_is_proved_by_the_new_key_and_handed_over() -> None:
    by_root = rotated(NEXT, 7, old=None, root=ROLES.root)
    both = rotated(NEXT, 7, root=ROLES.root)
    for good in (rotated(NEXT, 7), by_root, both):
        check_rotation(good, FIRST, KEY, 7)
    for wrong, seq, in_force, who in (
        (rotated(NEXT, 7), 8, KEY, "the new key"),
        (rotated(NEXT, 7), 7, NEW, "the key in force"),
        (replace(rotated(NEXT, 7), proof="00" * 64), 7, KEY, "the new key"),
        (replace(rotated(NEXT, 7), key=KEY), 7, KEY, "the new key"),
        (replace(both, old="00" * 64), 7, KEY, "the key in force"),
        (replace(both, root="00" * 64), 7, KEY, "the root"),
        (rotated(NEXT, 7, old=ROLES.root), 7, KEY, "the key in force"),
        (rotated(NEXT, 7, old=None, root=ROLES.officer), 7, KEY, "the root"),
    ):
        with pytest.raises(IntegrityError, match=f"not signed by {who}"):
            check_rotation(wrong, FIRST, in_force, seq)


def test_no_signature_is_good_for_another_purpose() -> None:
    """Each text begins with its own name, so all of one ledger differ at one place."""
    texts = {
        grant_text(ORIGIN, "7", PLAN),
        approval_text(ORIGIN, PLAN),
        rotation_text(ORIGIN, 7, PLAN),
        policy_text(ORIGIN, 7, policy()),
    }
    assert len({text.split(b"\n")[0] for text in texts}) == 4
