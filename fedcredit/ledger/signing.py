"""What a ledger's keys sign, as plain texts that any Ed25519 tool can check.

    root      grants the ledger key, agrees to a change of policy; kept offline
    officer   a second person, who approves plans, and agrees where more may be spent
    ledger    signs checkpoints, and hands over to the next ledger key

Each text begins with its own name, so that no signature is good for another purpose.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedcredit.errors import IntegrityError
from fedcredit.ledger.entries import Approve, Genesis, KeyRotate, PolicyChange
from fedcredit.ledger.grammar import write_line
from fedcredit.ledger.policy import BudgetPolicy

__all__ = [
    "SigningKey",
    "approval_text",
    "check_approval",
    "check_genesis",
    "check_policy_change",
    "check_rotation",
    "grant_text",
    "policy_text",
    "rotation_text",
]


class SigningKey:
    """An Ed25519 key that signs for a ledger; it is never printed."""

    def __init__(self, seed: bytes) -> None:
        """Read a key.

        Args:
            seed: 32 secret bytes.
        """
        self.seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        """Never print a key."""
        return f"SigningKey({self.public.hex()[:8]})"

    def __call__(self, message: bytes) -> bytes:
        """Sign; 64 bytes, deterministic (RFC 8032)."""
        return self._key.sign(message)


def grant_text(origin: str, key: str, officer: str) -> bytes:
    """What the root signs in a ledger's first entry."""
    return _text("fedcredit/ledger/grant/1", origin, key, officer)


def policy_text(origin: str, seq: int, policy: BudgetPolicy) -> bytes:
    """What root and officer sign in a change of policy."""
    name = hashlib.sha256(write_line(policy.to_dict()).rstrip()).hexdigest()
    return _text("fedcredit/ledger/policy/1", origin, str(seq), name)


def approval_text(origin: str, plan: str) -> bytes:
    """What the officer signs to approve a plan, by its digest, hex; in a ledger once."""
    return _text("fedcredit/ledger/approve/1", origin, plan)


def rotation_text(origin: str, seq: int, key: str) -> bytes:
    """What old key, new key and root sign when the key changes."""
    return _text("fedcredit/ledger/rotate/1", origin, str(seq), key)


def check_genesis(entry: Genesis) -> None:
    """Refuse a first entry that its root has not granted.

    Raises:
        IntegrityError: the grant is not the root's, or two roles have one key.
    """
    text = grant_text(entry.origin, entry.key, entry.officer)
    if len({entry.root, entry.officer, entry.key}) != 3 or not _signed(
        entry.root, entry.grant, text
    ):
        raise _unsigned("genesis", "its root")


def check_approval(entry: Approve, genesis: Genesis) -> None:
    """Refuse an approval in the officer's name that the officer has not signed.

    Raises:
        IntegrityError: the signature is not what it should be.
    """
    text = approval_text(genesis.origin, entry.plan)
    if (entry.by == "officer" or entry.second) and not _signed(genesis.officer, entry.second, text):
        raise _unsigned("approve", "the officer")


def check_policy_change(entry: PolicyChange, genesis: Genesis, seq: int) -> None:
    """Refuse a change of policy that root, or officer where it is named, has not signed.

    Raises:
        IntegrityError: a signature is not what it should be.
    """
    text = policy_text(genesis.origin, seq, entry.policy)
    if not _signed(genesis.root, entry.root, text):
        raise _unsigned("policy_change", "the root")
    if entry.second and not _signed(genesis.officer, entry.second, text):
        raise _unsigned("policy_change", "the officer")


def check_rotation(entry: KeyRotate, genesis: Genesis, key: str, seq: int) -> None:
    """Refuse a new key that has not proved itself, or that nobody hands over to.

    Args:
        entry: the rotation.
        genesis: of the ledger.
        key: in force, hex.
        seq: of the entry.

    Raises:
        IntegrityError: a signature is not what it should be.
    """
    text = rotation_text(genesis.origin, seq, entry.key)
    if not _signed(entry.key, entry.proof, text):
        raise _unsigned("key_rotate", "the new key")
    if entry.old and not _signed(key, entry.old, text):
        raise _unsigned("key_rotate", "the key in force")
    if entry.root and not _signed(genesis.root, entry.root, text):
        raise _unsigned("key_rotate", "the root")


def _text(*lines: str) -> bytes:
    """Lines, each with its end."""
    return "".join(f"{line}\n" for line in lines).encode()


def _signed(key: str, signature: str, text: bytes) -> bool:
    """Whether a key, hex, has signed a text."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signature), text
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _unsigned(kind: str, who: str) -> IntegrityError:
    """The error for a signature that is missing or false."""
    return IntegrityError(
        f"a {kind} of the ledger is not signed by {who}",
        remedy="restore the ledger from its backup; nothing is released meanwhile",
    )
