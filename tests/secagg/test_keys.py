"""The keys: what was signed or sealed is known again, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import LocalError, PeerError
from fedcredit.secagg.keys import (
    KINDS,
    SIGNATURE_BYTES,
    TAG_BYTES,
    Identity,
    Kind,
    Member,
    Sealer,
    agree_on,
    check_point,
    derive,
    expand,
    identity_of,
    lock,
    new_identity,
    public_of,
    seal,
    sealed_bytes,
    signed_by,
    unlock,
    unseal,
)
from fedcredit.units import InstitutionId
from tests.vectors.secagg_primitives import chacha20_poly1305_seal, hkdf_expand
from tests.vectors.secagg_reference import Stream

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
KINDS_DRAWN = st.sampled_from(KINDS)
SMALL_ORDER = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    2**255 - 20,
    2**255 - 19,
    2**255 - 18,
]  # the u of every point of order 1, 2, 4 or 8 on curve and twist (RFC 7748, section 6.1)


@cache
def member(name: str, kind: Kind) -> Identity:
    return new_identity(InstitutionId(name), Stream(f"keys {name} {kind}"), kind)


def test_the_kinds_are_those_that_the_type_names() -> None:
    assert set(KINDS) == set(get_args(Kind))


@given(kind=KINDS_DRAWN, text=st.binary(max_size=80), info=st.binary(max_size=40))
def test_the_one_it_is_sealed_for_opens_it(kind: Kind, text: bytes, info: bytes) -> None:
    one = member("one", kind)
    sealed = seal(one.card, text, info)

    assert unseal(one, sealed, info) == text
    assert len(sealed) == sealed_bytes(kind, len(text))


@given(
    kind=KINDS_DRAWN,
    where=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
)
def test_a_sealed_text_with_a_bit_turned_over_does_not_open(
    kind: Kind, where: float, bit: int
) -> None:
    one = member("one", kind)
    sealed = bytearray(seal(one.card, b"two shares", b"info"))
    at = int(where * len(sealed))
    sealed[at] ^= 1 << bit
    with pytest.raises(PeerError, match="does not open"):
        unseal(one, bytes(sealed), b"info")


@EVERY_KIND
def test_it_opens_for_no_other_and_in_no_other_context(kind: Kind) -> None:
    sealed = seal(member("one", kind).card, b"two shares", b"info")
    for who, info in (("two", b"info"), ("one", b"inf"), ("one", b"")):
        with pytest.raises(PeerError, match="does not open"):
            unseal(member(who, kind), sealed, info)


@given(kind=KINDS_DRAWN, data=st.binary(max_size=120) | st.sampled_from([bytes(1200), bytes(48)]))
def test_any_bytes_that_were_not_sealed_are_refused(kind: Kind, data: bytes) -> None:
    with pytest.raises(PeerError, match="does not open"):
        unseal(member("one", kind), data, b"info")


@EVERY_KIND
def test_no_two_sealed_texts_are_alike(kind: Kind) -> None:
    card = member("one", kind).card
    assert seal(card, b"text", b"info") != seal(card, b"text", b"info")


@EVERY_KIND
@given(message=st.binary(max_size=64))
def test_a_signature_holds_for_its_message_and_signer_alone(kind: Kind, message: bytes) -> None:
    one, two = member("one", kind), member("two", kind)
    signature = one.sign(message)

    assert len(signature) == SIGNATURE_BYTES
    assert one.sign(message) == signature, "drawn from no random source"
    assert signed_by(one.card, signature, message)
    assert not signed_by(two.card, signature, message)
    assert not signed_by(one.card, signature, message + b"\0")


@given(at=st.integers(0, 8 * SIGNATURE_BYTES - 1))
def test_a_signature_with_a_bit_turned_over_is_false(at: int) -> None:
    one = member("one", "x25519")
    wrong = bytearray(one.sign(b"message"))
    wrong[at // 8] ^= 1 << at % 8

    assert not signed_by(one.card, bytes(wrong), b"message")


@pytest.mark.parametrize("size", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_false(size: int) -> None:
    assert not signed_by(member("one", "x25519").card, bytes(size), b"message")


@EVERY_KIND
def test_an_identity_is_read_back_from_its_keys(kind: Kind) -> None:
    one = member("one", kind)
    again = identity_of(one.name, one.signing, one.sealing)

    assert again.card == one.card
    assert again.card.kind == kind
    assert unseal(again, seal(one.card, b"text", b"info"), b"info") == b"text"


@pytest.mark.parametrize(
    ("signing", "sealing"), [(31, 32), (33, 32), (32, 0), (32, 31), (32, 64), (32, 95), (32, 97)]
)
def test_keys_of_another_length_are_refused(signing: int, sealing: int) -> None:
    with pytest.raises(LocalError, match="not of the length"):
        identity_of(InstitutionId("one"), bytes(signing), bytes(sealing))


@pytest.mark.parametrize(("kind", "drawn"), [("mlkem768-x25519", 128), ("x25519", 64)])
def test_keys_are_as_many_bytes_as_are_drawn(kind: Kind, drawn: int) -> None:
    counts: list[int] = []

    def random(count: int, /) -> bytes:
        counts.append(count)
        return bytes([len(counts)]) * count

    one = new_identity(InstitutionId("one"), random, kind)

    assert sum(counts) == drawn == len(one.signing) + len(one.sealing)
    assert one.signing not in one.sealing


def test_without_being_told_keys_are_hybrid() -> None:
    assert new_identity(InstitutionId("one"), Stream("hybrid")).card.kind == "mlkem768-x25519"


@EVERY_KIND
def test_the_repr_of_an_identity_shows_no_key(kind: Kind) -> None:
    assert repr(member("one", kind)) == "Identity('one')"


@pytest.mark.parametrize(
    ("signing", "sealing"),
    [
        (bytes(31), bytes(range(32))),
        (bytes(33), bytes(range(32))),
        (bytes(32), b""),
        (bytes(32), bytes(range(31))),
        (bytes(32), bytes(1184)),
        (bytes(32), bytes(range(33))),
        (bytes(32), b"\xff" * 1184 + bytes(range(32))),
    ],
)
def test_a_member_whose_keys_are_none_is_refused(signing: bytes, sealing: bytes) -> None:
    """The last is of a hybrid key's length, and its numbers are beyond ML-KEM's modulus."""
    with pytest.raises(PeerError, match="a key of 'one' is not one"):
        Member(InstitutionId("one"), signing, sealing)


def test_a_member_is_its_name_and_both_keys() -> None:
    card = member("one", "x25519").card
    assert replace(card) == card
    for other in (
        replace(card, name=InstitutionId("two")),
        replace(card, signing=bytes(32)),
        replace(card, sealing=bytes(range(32))),
    ):
        assert other != card


@given(one=st.binary(min_size=32, max_size=32), two=st.binary(min_size=32, max_size=32))
def test_two_agree_on_the_same_bytes(one: bytes, two: bytes) -> None:
    assert agree_on(one, public_of(two)) == agree_on(two, public_of(one))


@pytest.mark.parametrize("u", SMALL_ORDER)
@pytest.mark.parametrize("top", [0, 1 << 255])
def test_a_public_key_of_small_order_is_refused(u: int, top: int) -> None:
    """A12: what it is agreed on with would be known to everybody, whatever the secret."""
    public = ((u | top) % (1 << 256)).to_bytes(32, "little")
    with pytest.raises(PeerError, match="small order"):
        agree_on(Stream("small order")(32), public)
    with pytest.raises(PeerError, match="small order"):
        check_point(public)


@given(
    public=st.one_of(
        st.binary(max_size=33),
        st.binary(min_size=32, max_size=32),
        st.integers(-40, 40).map(lambda at: (at % 2**256).to_bytes(32, "little")),
        st.integers(-40, 40).map(lambda at: (2**255 + at).to_bytes(32, "little")),
    )
)
def test_a_key_is_refused_by_its_bytes_just_where_nothing_could_be_agreed_on(
    public: bytes,
) -> None:
    """Numbers around 0, p and 2^255 too, where one key has several encodings."""

    def refused(check: Callable[[], object]) -> bool:
        try:
            check()
        except PeerError:
            return True
        return False

    assert refused(lambda: check_point(public)) == refused(
        lambda: agree_on(Stream("by its bytes")(32), public)
    )


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_public_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(PeerError, match="small order, or none at all"):
        agree_on(Stream("length")(32), bytes(range(size)))


@given(secret=st.binary(min_size=32, max_size=32), info=st.binary(max_size=40))
def test_an_expanded_key_is_the_reference_s(secret: bytes, info: bytes) -> None:
    assert expand(secret, info) == hkdf_expand(secret, info, 32)


@given(
    secret=st.binary(min_size=32, max_size=32),
    info=st.binary(min_size=32, max_size=32),
    text=st.binary(max_size=80),
)
def test_what_was_locked_opens_and_is_the_reference_s_bytes(
    secret: bytes, info: bytes, text: bytes
) -> None:
    """ChaCha20-Poly1305 under a key of its own, with a nonce of zeros."""
    locked = lock(secret, text, info)
    expected = chacha20_poly1305_seal(hkdf_expand(secret, info, 32), bytes(12), text, b"")

    assert locked == expected
    assert len(locked) == len(text) + TAG_BYTES
    assert unlock(secret, locked, info) == text


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_what_was_locked_opens_under_its_own_secret_and_info_alone(where: float, bit: int) -> None:
    secret, info = bytes(range(32)), bytes(range(32, 64))
    locked = lock(secret, b"two shares", info)

    def turned(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[int(where * len(data))] ^= 1 << bit
        return bytes(changed)

    for wrong in (
        (turned(secret), locked, info),
        (secret, turned(locked), info),
        (secret, locked, turned(info)),
        (secret, locked[: int(where * len(locked))], info),
    ):
        with pytest.raises(PeerError, match="does not open"):
            unlock(*wrong)


@given(secret=st.binary(min_size=32, max_size=32), salt=st.binary(), info=st.binary())
def test_a_derived_key_hangs_on_all_that_it_is_derived_from(
    secret: bytes, salt: bytes, info: bytes
) -> None:
    key = derive(secret, salt, info)

    assert len(key) == 32
    assert derive(secret, salt, info) == key
    assert derive(secret[:31] + bytes([secret[31] ^ 1]), salt, info) != key
    assert derive(secret, salt + b"\1", info) != key
    assert derive(secret, salt, info + b"\0") != key


def test_sealing_is_known_by_being_called() -> None:
    assert isinstance(seal, Sealer)


@pytest.mark.parametrize("u", SMALL_ORDER)
@pytest.mark.parametrize("lattice", [b"", bytes(1184)])
def test_a_card_whose_sealing_key_is_of_small_order_is_none(u: int, lattice: bytes) -> None:
    """Whoever sealed shares for it would be stopped."""
    with pytest.raises(PeerError, match="is not one"):
        Member(InstitutionId("bank"), bytes(32), lattice + u.to_bytes(32, "little"))
