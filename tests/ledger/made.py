"""Keys for tests: made from their names, so that they are the same on every run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedcredit.ledger.notes import Checkpoint, Note, cosign, sign_checkpoint
from fedcredit.ledger.signatures import COSIGNATURE, PLAIN, Signature, VerifierKey


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
