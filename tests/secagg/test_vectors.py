"""Known answers: those that the standards print, and those that the reference has recorded.

Product, reference and record are held against each other bit for bit; a whole turn is in
`test_transcript.py`. Where the product fixes what a standard's example leaves open (a zero
counter, no text beside the sealed one) the reference is held against the standard, and the
product against the reference.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.codec import Value, digest, encode
from fedcredit.errors import PeerError
from fedcredit.secagg.keys import (
    Identity,
    agree_on,
    derive,
    identity_of,
    public_of,
    seal,
    signed_by,
    unseal,
)
from fedcredit.secagg.masks import add_masks, pair_mask, pair_seed, self_seed
from fedcredit.secagg.ring import RING_BITS, Ring, Words
from fedcredit.secagg.shamir import (
    PRIME,
    combine,
    read_shares,
    split,
    weights_at_zero,
    write_shares,
)
from fedcredit.secagg.signed import (
    read_tag,
    write_tag,
)
from fedcredit.units import InstitutionId
from tests.vectors import secagg_primitives as plain
from tests.vectors import secagg_reference as reference
from tests.vectors.secagg_records import (
    BLIND,
    COEFFICIENTS,
    CONTEXT,
    DIMS,
    MEMBERS,
    RINGS,
    SECRETS,
    masks,
    shares,
)

RECORDED: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "secagg.json").read_text("utf-8")
)
BYTES32 = st.binary(min_size=32, max_size=32)
CHUNK_BYTES: Final = 1 << 18
unhex = bytes.fromhex


def identity(signing: bytes, sealing: bytes) -> Identity:
    return identity_of(InstitutionId("one"), signing, sealing)


# ------------------------------------------------------------------- V1: what standards print


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            (
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ),
    ],
    ids=["1", "2", "3"],
)
def test_signatures_are_those_of_rfc_8032(
    seed: str, public: str, message: str, signature: str
) -> None:
    """Section 7.1."""
    one = identity(unhex(seed), bytes(32))

    assert one.card.signing == plain.ed25519_public(unhex(seed)) == unhex(public)
    assert one.sign(unhex(message)) == unhex(signature)
    assert plain.ed25519_sign(unhex(seed), unhex(message)) == unhex(signature)
    assert signed_by(one.card, unhex(signature), unhex(message))


@pytest.mark.parametrize(
    ("scalar", "public", "common"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
    ids=["1", "2"],
)
def test_agreement_is_that_of_rfc_7748(scalar: str, public: str, common: str) -> None:
    """Section 5.2; the second public key has its top bit set, which is ignored."""
    assert agree_on(unhex(scalar), unhex(public)) == unhex(common)
    assert plain.x25519(unhex(scalar), unhex(public)) == unhex(common)


def test_agreement_iterated_is_that_of_rfc_7748() -> None:
    """Section 5.2, after 1 and after 1000 times."""
    k = u = (9).to_bytes(32, "little")
    for count in range(1, 1001):
        k, u = agree_on(k, u), k
        if count == 1:
            assert k == public_of((9).to_bytes(32, "little"))
            assert k.hex() == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert k.hex() == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"


@pytest.mark.parametrize(
    ("secret", "salt", "info", "key"),
    [
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(80)),
            bytes(range(0x60, 0xB0)),
            bytes(range(0xB0, 0x100)),
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                "cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["1", "2", "3"],
)
def test_derived_keys_are_those_of_rfc_5869(
    secret: bytes, salt: bytes, info: bytes, key: str
) -> None:
    """Appendix A; ours are as long as the first block."""
    assert derive(secret, salt, info) == unhex(key)[:32]
    assert plain.hkdf(secret, salt, info, len(key) // 2) == unhex(key)


RECIPIENT: Final = unhex("8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb")
EPHEMERAL: Final = unhex("f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600")
HPKE_INFO: Final = b"Ode on a Grecian Urn"
HPKE_TEXT: Final = b"Beauty is truth, truth beauty"


def test_the_reference_seals_as_rfc_9180() -> None:
    """Appendix A.2.1, X25519 with HKDF-SHA256 and ChaCha20-Poly1305, base mode, sequence 0."""
    public = plain.x25519(RECIPIENT)

    assert public.hex() == "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
    assert plain.hpke_seal(EPHEMERAL, public, HPKE_INFO, HPKE_TEXT, b"Count-0").hex() == (
        "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db"
        "21993c62ce81883d2dd1b51a28"
    )


def test_we_open_what_the_reference_seals_with_the_keys_of_rfc_9180() -> None:
    one = identity(bytes(32), RECIPIENT)
    sealed = plain.hpke_seal(EPHEMERAL, one.card.sealing, HPKE_INFO, HPKE_TEXT)

    assert unseal(one, sealed, HPKE_INFO) == HPKE_TEXT
    assert len(seal(one.card, HPKE_TEXT, HPKE_INFO)) == len(sealed)


def test_the_key_stream_is_that_of_sp_800_38a() -> None:
    """F.5.5, CTR-AES256: of the reference, and of the primitive that masks are made with."""
    key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    counter = bytes(range(0xF0, 0x100))
    text = unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    cipher_text = unhex(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
    )
    stream = plain.ctr_stream(key, 0, 64, int.from_bytes(counter, "big"))

    assert bytes(a ^ b for a, b in zip(stream, text, strict=True)) == cipher_text
    assert Cipher(AES256(key), CTR(counter)).encryptor().update(text) == cipher_text


def test_a_checksum_is_the_sum_and_the_sum_by_place() -> None:
    """Worked by hand: 5 + 7 - 1 = 11, and 5 + 2 * 7 - 3 = 16; modulo 2^16, 65 535 is -1."""
    words = [5, 7, 65_535]

    assert plain.fletcher(words, 16) == unhex("000000000000000b 0000000000000010")
    assert Ring(16).checksum(np.array(words, dtype="<u2")) == (11, 16)


# ------------------------------------------------------- product and reference on any input


@given(seed=BYTES32, message=st.binary(max_size=70))
def test_we_sign_as_the_reference(seed: bytes, message: bytes) -> None:
    assert identity(seed, bytes(32)).sign(message) == plain.ed25519_sign(seed, message)


@given(one=BYTES32, two=BYTES32)
def test_we_agree_as_the_reference(one: bytes, two: bytes) -> None:
    assert public_of(two) == plain.x25519(two)
    assert agree_on(one, public_of(two)) == plain.x25519(one, plain.x25519(two))


@given(
    numbers=st.lists(st.integers(0, 2**64 - 1), max_size=20),
    bits=st.sampled_from(RING_BITS),
    names=st.lists(st.text(max_size=5), max_size=3),
)
def test_we_tag_as_the_reference(numbers: list[int], bits: int, names: list[str]) -> None:
    """The vector, and whom its sender accuses."""
    ring, accused = Ring(bits), tuple(map(InstitutionId, names))
    words = np.array(numbers, dtype=np.uint64).astype(ring.word)
    over = reference.secagg("accused", reference.canonical(tuple(names)))
    plain_tag = plain.fletcher(numbers, bits)
    tag = write_tag(ring.checksum(words), accused)

    assert tag == bytes(a ^ b for a, b in zip(plain_tag, over, strict=False))
    assert read_tag(tag, accused) == ring.checksum(words)


@given(ephemeral=BYTES32, text=st.binary(max_size=150), info=st.binary(max_size=40))
def test_we_open_what_the_reference_seals(ephemeral: bytes, text: bytes, info: bytes) -> None:
    """Across the edges of ChaCha20's blocks."""
    one = identity(bytes(32), RECIPIENT)

    assert unseal(one, plain.hpke_seal(ephemeral, one.card.sealing, info, text), info) == text


LEAVES = st.integers() | st.text() | st.binary()
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=TREES)
def test_we_encode_as_the_reference(value: Value) -> None:
    assert encode(value) == reference.canonical(value)  # type: ignore[arg-type]


@given(domain=st.text(st.characters(max_codepoint=127)), parts=st.lists(st.binary()))
def test_we_hash_as_the_reference(domain: str, parts: list[bytes]) -> None:
    assert digest(domain, *parts) == reference.digest(domain, *parts)


# ------------------------------------------------------------------------- V2: masks of a pair


def test_the_recorded_masks_and_shares_are_what_the_reference_says() -> None:
    assert RECORDED["masks"] == masks()
    assert RECORDED["shamir"] == shares()


U, V = (InstitutionId(name) for name in MEMBERS)
SECRET_U, SECRET_V = MEMBERS.values()


def test_the_seeds_are_the_recorded_ones_from_either_side() -> None:
    u, v = (U, public_of(SECRET_U)), (V, public_of(SECRET_V))
    seed = unhex(RECORDED["masks"]["pair"])

    assert pair_mask(SECRET_U, CONTEXT, u, v) == (seed, 1)
    assert pair_mask(SECRET_V, CONTEXT, v, u) == (seed, -1)
    assert pair_seed(SECRET_V, CONTEXT, v, u) == reference.pair_seed(SECRET_V, CONTEXT, v, u)
    assert self_seed(BLIND, CONTEXT, U).hex() == RECORDED["masks"]["self"]


@pytest.mark.parametrize("bits", RINGS)
@pytest.mark.parametrize("dim", DIMS)
def test_the_words_of_a_mask_are_the_recorded_ones(bits: int, dim: int) -> None:
    """First and last 16, and against the reference also around every edge of our chunks."""
    ring, seed = Ring(bits), unhex(RECORDED["masks"]["pair"])
    recorded = RECORDED["masks"]["words"][str(bits)]
    words: Words = np.zeros(dim, dtype=ring.word)
    add_masks(words, [(seed, 1)], ring)
    back = words.copy()
    add_masks(back, [(seed, -1)], ring)
    per_chunk = CHUNK_BYTES // ring.word.itemsize

    assert not back.any()
    assert ring.pack(words[:16]).hex() == recorded["first"][: min(dim, 16) * bits // 4]
    assert ring.pack(words[-16:]).hex() == recorded[str(dim)]
    for edge in range(per_chunk, dim - 1, per_chunk):
        found = ring.pack(words[edge - 2 : edge + 2])
        expected = reference.stream_words(seed, bits, edge - 2, edge + 2)
        assert found == reference.packed(expected[: len(found) * 8 // bits], bits)


# ------------------------------------------------------------------------------- V3: shares


def recorded_shares(name: str) -> tuple[int, ...]:
    data = unhex("".join(RECORDED["shamir"]["shares"][name]))
    return read_shares(data, 5)


def polynomial(count: int, /) -> bytes:
    """The fixed coefficients, as a random source that `split` draws from."""
    drawn = b"".join(one.to_bytes(48, "big") for one in COEFFICIENTS)
    assert len(drawn) == count
    return drawn


@pytest.mark.parametrize("name", SECRETS)
def test_the_shares_of_a_fixed_polynomial_are_the_recorded_ones(name: str) -> None:
    found = split(SECRETS[name], 3, 5, polynomial)

    assert found == recorded_shares(name)
    assert write_shares(found).hex() == "".join(RECORDED["shamir"]["shares"][name])


@pytest.mark.parametrize("name", SECRETS)
def test_every_three_of_the_recorded_shares_give_the_secret_back(name: str) -> None:
    dealt = recorded_shares(name)
    for points in combinations(range(1, 6), 3):
        held = {point: dealt[point - 1] for point in points}
        assert combine(weights_at_zero(points), list(held.values())) == SECRETS[name]
        assert reference.interpolate(held) == SECRETS[name]


def test_a_recorded_share_at_another_point_or_beyond_the_field_is_refused() -> None:
    dealt = recorded_shares("1")
    for points in ((0, 2, 3), (1, 1, 3)):
        with pytest.raises(PeerError, match="point"):
            weights_at_zero(points)
    with pytest.raises(PeerError, match="outside the field"):
        combine(weights_at_zero((1, 2, 3)), [dealt[0] + PRIME, *dealt[1:3]])
