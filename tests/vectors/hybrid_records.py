"""A hybrid sealing as it is recorded: `python -m tests.vectors.hybrid_records > .../hybrid.json`.

One text is sealed by the reference, whose random bytes are given, and comes out the same again.
The other was sealed by `cryptography`, which draws its own: it is another with every record,
and is there to be opened by whatever version comes later.
"""

from __future__ import annotations

import json
import sys
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from tests.vectors.mlkem_reference import hybrid_seal, x_wing_public
from tests.vectors.secagg_reference import Stream

KEYS: Final = Stream("hybrid keys")(96)
RANDOM: Final = Stream("hybrid random")(64)
INFO: Final = Stream("hybrid info")(32)
TEXT: Final = Stream("hybrid text")(66)


def by_the_reference() -> dict[str, str]:
    """All of the record that is the same on every run."""
    public = x_wing_public(KEYS)
    return {
        "keys": KEYS.hex(),
        "public": public.hex(),
        "info": INFO.hex(),
        "text": TEXT.hex(),
        "random": RANDOM.hex(),
        "sealed": hybrid_seal(public, INFO, TEXT, RANDOM).hex(),
    }


def by_cryptography() -> str:
    """The same text under the same key."""
    public = x_wing_public(KEYS)
    key = MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:-32]),
        X25519PublicKey.from_public_bytes(public[-32:]),
    )
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    return suite.encrypt(TEXT, key, info=INFO).hex()


if __name__ == "__main__":
    record = {"reference": by_the_reference(), "cryptography": by_cryptography()}
    sys.stdout.write(json.dumps(record, indent=1, sort_keys=True) + "\n")
