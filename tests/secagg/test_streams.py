"""A key stream is AES-256 in counter mode from 0, whichever way and in whatever pieces."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.secagg.streams import CHUNK_BYTES, WIDE, KeyStream

KEYS = st.binary(min_size=32, max_size=32)
KEY: Final = bytes(range(32))
EITHER_WAY = pytest.mark.parametrize("wide", [False, True])


def filled(key: bytes, sizes: list[int], *, wide: bool) -> bytes:
    """The stream in pieces of these sizes."""
    stream, pieces = KeyStream(key, wide=wide), [bytearray(b"\xff" * size) for size in sizes]
    for piece in pieces:
        stream.fill(memoryview(piece))
    return b"".join(pieces)


@EITHER_WAY
@given(key=KEYS, blocks=st.integers(1, 9))
def test_a_stream_is_the_encrypted_numbers_from_zero(key: bytes, blocks: int, wide: bool) -> None:
    ciphers = [Cipher(AES256(key), CTR(at.to_bytes(16, "big"))) for at in range(blocks)]
    numbers = b"".join(one.encryptor().update(bytes(16)) for one in ciphers)

    assert filled(key, [16 * blocks], wide=wide) == numbers


@EITHER_WAY
@given(sizes=st.lists(st.integers(0, 70), max_size=8))
def test_its_pieces_are_those_of_one_stream_wherever_it_is_cut(
    sizes: list[int], wide: bool
) -> None:
    whole = Cipher(AES256(KEY), CTR(bytes(16))).encryptor().update(bytes(sum(sizes)))

    assert filled(KEY, sizes, wide=wide) == whole


@EITHER_WAY
def test_long_streams_are_the_same_to_the_last_byte(wide: bool) -> None:
    sizes = [CHUNK_BYTES] * 20 + [77_777]
    whole = Cipher(AES256(KEY), CTR(bytes(16))).encryptor().update(bytes(sum(sizes)))

    assert filled(KEY, sizes, wide=wide) == whole


def test_numpy_still_tells_what_the_processor_can() -> None:
    """Where it does not, every stream is made the slower way, and nothing else would notice."""
    features = import_module("numpy._core._multiarray_umath").__cpu_features__

    assert features.get("AVX512_ICL") is WIDE
