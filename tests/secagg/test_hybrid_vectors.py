"""V1, V6: a hybrid sealing against an independent reference, in both directions.

The reference is held against the vectors of the X-Wing draft and against ML-KEM-768 as
`cryptography` has it; then what we seal is opened by it, and what it seals by us.
"""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha3_256
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcredit.errors import PeerError
from fedcredit.secagg.keys import Identity, identity_of, seal, unseal
from fedcredit.units import InstitutionId
from tests.vectors.hybrid_records import by_the_reference
from tests.vectors.mlkem_reference import (
    CIPHER_BYTES,
    Q,
    hybrid_open,
    hybrid_seal,
    mlkem_decapsulate,
    mlkem_encapsulate,
    mlkem_keys,
    x_wing_decapsulate,
    x_wing_encapsulate,
    x_wing_keys,
    x_wing_public,
)
from tests.vectors.secagg_reference import Stream

RECORDED: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "hybrid.json").read_text("utf-8")
)
BYTES32 = st.binary(min_size=32, max_size=32)
BYTES64 = st.binary(min_size=64, max_size=64)
FEW = settings(max_examples=15)  # the reference takes a fiftieth of a second a key
unhex = bytes.fromhex


def identity(sealing: bytes) -> Identity:
    return identity_of(InstitutionId("one"), bytes(32), sealing)


ONE: Final = identity(Stream("one hybrid identity")(96))
OTHER: Final = identity(Stream("another hybrid identity")(96))


# ------------------------------------------------------------- the reference against the draft


@pytest.mark.parametrize(
    ("seed", "random", "shared", "public", "cipher"),
    [
        (
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
            (
                "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2"
                "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2"
            ),
            "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384",
            "5121745904643ad9dfacca7869292c19a8a69533b53e60666b7db910b4ad6367",
            "c0abd149f83f45324ac3a7ddc7606c71f257e5ea86113522834a0ee1bcb34e3e",
        ),
        (
            "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
            (
                "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdef"
                "aee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d"
            ),
            "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150",
            "799b6016e5daa56ffa1b5e79f7caf73413ceecd6df428642404cac41ddee4853",
            "7680b7ba47ae09bac4b43001edcef9d98e50df20026e70ba6a424447e1f2b961",
        ),
    ],
    ids=["1", "2"],
)
def test_the_reference_encapsulates_as_the_draft_of_x_wing(
    seed: str, random: str, shared: str, public: str, cipher: str
) -> None:
    """Its first two test vectors, the two longest values by their SHA3-256."""
    keys = x_wing_keys(unhex(seed))
    found, encapsulated = x_wing_encapsulate(x_wing_public(keys), unhex(random))

    assert found == x_wing_decapsulate(keys, encapsulated) == unhex(shared)
    assert sha3_256(x_wing_public(keys)).hexdigest() == public
    assert sha3_256(encapsulated).hexdigest() == cipher


# ------------------------------------------------------------ the reference against cryptography


@FEW
@given(seed=BYTES64, random=BYTES32)
def test_the_reference_and_cryptography_open_what_the_other_encapsulates(
    seed: bytes, random: bytes
) -> None:
    public, secret = mlkem_keys(seed)
    theirs = MLKEM768PrivateKey.from_seed_bytes(seed)
    assert theirs.public_key().public_bytes_raw() == public

    shared, cipher = theirs.public_key().encapsulate()
    assert mlkem_decapsulate(secret, cipher) == shared
    shared, cipher = mlkem_encapsulate(public, random)
    assert theirs.decapsulate(cipher) == shared


@FEW
@given(seed=BYTES64, at=st.integers(0, 8 * CIPHER_BYTES - 1))
def test_both_make_the_same_other_secret_of_an_altered_encapsulation(seed: bytes, at: int) -> None:
    """FIPS 203, algorithm 18: no error says that it was altered."""
    public, secret = mlkem_keys(seed)
    shared, cipher = mlkem_encapsulate(public, bytes(32))
    altered = bytearray(cipher)
    altered[at // 8] ^= 1 << at % 8
    found = MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(bytes(altered))

    assert found == mlkem_decapsulate(secret, bytes(altered)) != shared


def test_numbers_from_the_modulus_on_are_no_public_key() -> None:
    """FIPS 203, section 7.2; the largest number that is one stands beside it."""
    rest = ONE.card.sealing[2:]
    largest = replace(ONE.card, sealing=(Q - 1).to_bytes(2, "little") + rest)

    assert largest.kind == "mlkem768-x25519"
    with pytest.raises(PeerError, match="is not one"):
        replace(ONE.card, sealing=Q.to_bytes(2, "little") + rest)


# ---------------------------------------------------------------- our wrapper against the reference


@FEW
@given(keys=st.binary(min_size=96, max_size=96), text=st.binary(max_size=150), info=BYTES32)
def test_the_reference_opens_what_we_seal(keys: bytes, text: bytes, info: bytes) -> None:
    one = identity(keys)
    assert one.card.sealing == x_wing_public(keys)
    assert hybrid_open(keys, info, seal(one.card, text, info)) == text


@FEW
@given(random=BYTES64, text=st.binary(max_size=150), info=st.binary(max_size=40))
def test_we_open_what_the_reference_seals(random: bytes, text: bytes, info: bytes) -> None:
    sealed = hybrid_seal(ONE.card.sealing, info, text, random)

    assert unseal(ONE, sealed, info) == text
    assert len(sealed) == len(seal(ONE.card, text, info))


@pytest.mark.parametrize("half", [slice(64), slice(64, 96)], ids=["lattice", "curve"])
def test_neither_half_of_the_keys_opens_alone(half: slice) -> None:
    """Of two keys that differ in one half, for the reference as for us."""
    keys = bytearray(ONE.sealing)
    keys[half] = OTHER.sealing[half]
    mixed = identity(bytes(keys))
    for sealed in (
        seal(ONE.card, b"two shares", b"info"),
        hybrid_seal(ONE.card.sealing, b"info", b"two shares", bytes(range(64))),
    ):
        assert unseal(ONE, sealed, b"info") == b"two shares"
        with pytest.raises(PeerError, match="does not open"):
            unseal(mixed, sealed, b"info")
        with pytest.raises(ValueError, match="does not open"):
            hybrid_open(mixed.sealing, b"info", sealed)


# ------------------------------------------------------------------------------ what was recorded


def test_the_recorded_sealing_is_what_the_reference_says() -> None:
    assert RECORDED["reference"] == by_the_reference()


@pytest.mark.parametrize("by", ["reference", "cryptography"])
def test_a_recorded_sealing_opens_by_both_and_by_neither_in_another_context(by: str) -> None:
    parts = {name: unhex(value) for name, value in RECORDED["reference"].items()}
    sealed = parts["sealed"] if by == "reference" else unhex(RECORDED["cryptography"])
    one = replace(ONE, sealing=parts["keys"])

    assert one.card.sealing == parts["public"]
    assert unseal(one, sealed, parts["info"]) == parts["text"]
    assert hybrid_open(parts["keys"], parts["info"], sealed) == parts["text"]
    with pytest.raises(PeerError, match="does not open"):
        unseal(one, sealed, b"another")
    with pytest.raises(ValueError, match="does not open"):
        hybrid_open(parts["keys"], b"another", sealed)
