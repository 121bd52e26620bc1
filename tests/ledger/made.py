"""Keys, ledgers and a witness for tests: the same on every run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedcredit.ledger.asking import write_request
from fedcredit.ledger.notes import Checkpoint, Note, cosign, sign_checkpoint
from fedcredit.ledger.signatures import COSIGNATURE, PLAIN, Signature, VerifierKey
from fedcredit.ledger.tree import Tree, consistency_proof, leaf_hash
from fedcredit.ledger.witness import Witness, WitnessStore


@dataclass(frozen=True)
class Pair:
    """A secret key with the name it signs under."""

    name: str
    seed: str = ""

    @property
    def secret(self) -> Ed25519PrivateKey:
        seed = hashlib.sha256((self.seed or self.name).encode()).digest()
        return Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> bytes:
        return self.secret.public_key().public_bytes_raw()

    @property
    def writer(self) -> VerifierKey:
        """As whoever writes a ledger."""
        return VerifierKey(self.name, PLAIN, self.public)

    @property
    def witness(self) -> VerifierKey:
        """As whoever witnesses one."""
        return VerifierKey(self.name, COSIGNATURE, self.public)

    def sign(self, checkpoint: Checkpoint) -> Note:
        return sign_checkpoint(checkpoint, self.name, self.secret.sign, self.public)

    def cosign(self, body: bytes, time_s: int) -> Signature:
        return cosign(body, time_s, self.name, self.secret.sign, self.public)


class Copy:
    """A ledger's writer, as a witness sees it: a tree, and a key that signs for it.

    Args:
        words: one a line; two copies with the same first words have the same past.
    """

    def __init__(self, *words: str, pair: Pair | None = None) -> None:
        self.pair = pair or Pair("bank.example/ledger")
        self.tree = Tree(leaf_hash(f"{word}\n".encode()) for word in words)

    def note(self, size: int | None = None) -> Note:
        """The checkpoint of the first so many lines, signed."""
        size = len(self.tree) if size is None else size
        return self.pair.sign(Checkpoint("bank.example/ledger", size, self.tree.root(size)))

    def request(self, old: int, size: int | None = None) -> bytes:
        """An honest request."""
        size = len(self.tree) if size is None else size
        proof = consistency_proof(self.tree, old, size) if old <= size else ()
        return write_request(old, proof, self.note(size))


SHOP = Pair("shop.example/witness")
"""The key of the witness."""


class Clock:
    """A clock that shows what it is set to."""

    def __init__(self, now: int = 1_700_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def witness(
    store: WitnessStore, *keys: VerifierKey, clock: Callable[[], int] | None = None
) -> Witness:
    """The shop's witness; it knows the bank's key unless others are given."""
    known = {"bank.example/ledger": keys or (Pair("bank.example/ledger").writer,)}
    return Witness(
        name=SHOP.name,
        signer=SHOP.secret.sign,
        public=SHOP.public,
        store=store,
        keys_of=lambda origin: known.get(origin, ()),
        time_s=clock or Clock(),
    )
