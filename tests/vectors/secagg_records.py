"""What is recorded of the reference: `python -m tests.vectors.secagg_records > .../secagg.json`."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Final

from tests.vectors.secagg_primitives import x25519
from tests.vectors.secagg_reference import (
    CASES,
    PRIME,
    Stream,
    Turn,
    packed,
    pair_seed,
    self_seed,
    split,
    stream_words,
    written,
)

RINGS: Final = (16, 24, 32, 64)
DIMS: Final = (1, 65_535, 65_536, 65_537, 1_000_003)  # around the edges of the product's chunks
MEMBERS: Final = {name: Stream(f"mask {name}")(32) for name in ("bank-u", "bank-v")}
CONTEXT: Final = Stream("context")(32)
BLIND: Final = Stream("blind")(32)

COEFFICIENTS: Final = tuple(
    int.from_bytes(Stream(f"coefficient {at}")(48), "big") % PRIME for at in range(2)
)
SECRETS: Final = {"0": bytes(32), "1": bytes(31) + b"\1", "2^256-1": b"\xff" * 32}

ALTERED: Final = (
    ("package/bank-1", "header"),
    ("package/bank-1", "header signature"),
    ("start/bank-1", "manifest"),
    ("start/bank-1", "header"),
    ("start/bank-1", "header signature"),
    ("upload/bank-1", "context"),
    ("upload/bank-1", "vector"),
    ("upload/bank-1", "content"),
    ("upload/bank-1", "tag"),
    ("upload/bank-1", "receipt signature"),
    ("survive", "context"),
    ("survive", "tag"),
    ("survive", "receipt signature"),
    ("agreed/bank-1", "agreement"),
    ("reveal", "context"),
    ("reveal", "agreement"),
    ("shares/bank-1", "blinds"),
    ("shares/bank-1", "shares signature"),
)
"""Messages of the turn of three in which one bit of one part is turned over; none may pass."""


def masks() -> dict[str, object]:
    """Seeds, and the first and last words of the pair's mask."""
    (one, first), (two, second) = MEMBERS.items()
    seed = pair_seed(first, CONTEXT, (one, x25519(first)), (two, x25519(second)))
    words: dict[str, object] = {}
    for bits in RINGS:
        ends = {
            str(dim): packed(stream_words(seed, bits, max(0, dim - 16), dim), bits).hex()
            for dim in DIMS
        }
        words[str(bits)] = {"first": packed(stream_words(seed, bits, 0, 16), bits).hex()} | ends
    return {
        "context": CONTEXT.hex(),
        "secrets": {name: secret.hex() for name, secret in MEMBERS.items()},
        "blind": BLIND.hex(),
        "pair": seed.hex(),
        "self": self_seed(BLIND, CONTEXT, one).hex(),
        "words": words,
    }


def shares() -> dict[str, object]:
    """Three of five, for the smallest and the largest secrets, by one fixed polynomial each."""
    return {
        "coefficients": [written(one).hex() for one in COEFFICIENTS],
        "shares": {
            name: [written(share).hex() for share in split(secret, COEFFICIENTS, 5)]
            for name, secret in SECRETS.items()
        },
    }


def parts(turn: Turn) -> dict[str, bytes]:
    """The parts of a turn's messages that a bit is turned over in, as they concern bank-1."""
    blinds = b"".join(written(turn.shares[one][0][0]) for one in turn.survivors)
    receipt = turn.receipts["bank-1"]
    return {
        "context": turn.context,
        "manifest": turn.manifest,
        "header": turn.headers["bank-1"],
        "header signature": turn.header_signatures["bank-1"],
        "vector": packed(turn.vectors["bank-1"], turn.case.bits),
        "content": receipt[:32],
        "tag": receipt[32:48],
        "receipt signature": receipt[48:],
        "agreement": turn.people["bank-1"].sign(turn.signed["agreement"]),
        "blinds": blinds,
        "shares signature": turn.people["bank-1"].sign(turn.signed["shares/bank-1"]),
    }


def altered(turn: Turn) -> list[dict[str, object]]:
    """Where each bit lies: the lowest of the last byte of its part."""
    found = parts(turn)
    records: list[dict[str, object]] = []
    for message, part in ALTERED:
        at = turn.messages[message].index(found[part]) + len(found[part]) - 1
        records.append({"message": message, "part": part, "byte": at, "xor": 1, "success": False})
    return records


def transcript(turn: Turn) -> dict[str, object]:
    """Every message by its digest; what is signed, and the manifest, in full."""
    return {
        "roster": turn.roster.hex(),
        "session": turn.session.hex(),
        "context": turn.context.hex(),
        "manifest": turn.manifest.hex(),
        "header": turn.headers["bank-1"].hex(),
        "signed": {
            name: text.hex()
            for name, text in turn.signed.items()
            if "bank-1" in name or "/" not in name
        },
        "messages": {
            name: hashlib.sha256(text).hexdigest() for name, text in turn.messages.items()
        },
        "sum": turn.opened(),
    }


def records() -> dict[str, object]:
    """All of it; takes a few seconds."""
    turns = {name: Turn(case) for name, case in CASES.items()}
    return {
        "masks": masks(),
        "shamir": shares(),
        "turns": {name: transcript(turn) for name, turn in turns.items()},
        "altered": altered(turns["3"]),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(records(), indent=1, sort_keys=True) + "\n")
