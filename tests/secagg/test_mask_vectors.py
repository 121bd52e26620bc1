"""V1, V2: the key stream of a mask is AES-256-CTR as NIST prints it, through our own wrapper.

Our counter starts at zero, where no example of SP 800-38A does. What AESAVS prints for a block
of zeros is therefore our first block, as it is. The example of SP 800-38A stands 2^127 blocks
further on: there the wrapper is given its first counter, and all else of it is as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.modes import CTR

from fedcredit.secagg import masks
from fedcredit.secagg.ring import RING_BITS, Ring
from tests.adversaries.secagg_made import modules
from tests.vectors.secagg_primitives import ctr_stream

KEY: Final = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
COUNTER: Final = int.from_bytes(range(0xF0, 0x100), "big")
TEXT: Final = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
CIPHER_TEXT: Final = bytes.fromhex(
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
)
STREAM: Final = bytes(one ^ other for one, other in zip(TEXT, CIPHER_TEXT, strict=True))
CHUNK_BLOCKS: Final = (1 << 18) // 16
EVERY_RING = pytest.mark.parametrize("bits", RING_BITS)


def stream_of(key: bytes, bits: int, size: int) -> bytes:
    """The first bytes of a mask, as `add_masks` adds it to zeros."""
    ring = Ring(bits)
    words = np.zeros(size // ring.word.itemsize, dtype=ring.word)
    masks.add_masks(words, [(key, 1)], ring)
    return words.tobytes()


def count_from(counter: int, patch: pytest.MonkeyPatch) -> list[bytes]:
    """Let streams begin at another counter, by whichever mode they are made; what was asked for.

    GCM encrypts in counter mode too, under a nonce of zeros from 2 on (SP 800-38D, 7.1).
    """
    asked: list[bytes] = []

    def instead(ahead: int) -> Callable[[bytes], CTR]:
        def mode(nonce: bytes) -> CTR:
            asked.append(nonce)
            return CTR((counter + ahead).to_bytes(16, "big"))

        return mode

    for module in modules():
        for name, ahead in (("CTR", 0), ("GCM", 2)):
            if hasattr(module, name):
                patch.setattr(module, name, instead(ahead))
    return asked


@EVERY_RING
@pytest.mark.parametrize(
    ("key", "block"),
    [
        (
            "c47b0294dbbbee0fec4757f22ffeee3587ca4730c3d33b691df38bab076bc558",
            "46f2fb342d6f0ab477476fc501242c5f",
        ),
        (
            "28d46cffa158533194214a91e712fc2b45b518076675affd910edeca5f41ac64",
            "4bf3b0a69aeb6657794f2901b1440ad4",
        ),
        (
            "c1cc358b449909a19436cfbb3f852ef8bcb5ed12ac7058325f56e6099aab1a1c",
            "352065272169abf9856843927d0674fd",
        ),
        ("80" + "00" * 31, "e35a6dcb19b201a01ebcfa8aa22b5759"),
        ("ff" * 32, "4bf85f1b5d54adbc307b0a048389adcb"),
    ],
    ids=["KeySbox 1", "KeySbox 2", "KeySbox 3", "VarKey 1", "VarKey 256"],
)
def test_a_mask_begins_with_what_nist_prints_for_a_block_of_zeros(
    key: str, block: str, bits: int
) -> None:
    """AESAVS, appendices C.3 and E.3."""
    assert stream_of(bytes.fromhex(key), bits, 16).hex() == block


@EVERY_RING
@pytest.mark.parametrize("before", [0, 1, CHUNK_BLOCKS - 2, CHUNK_BLOCKS, 2 * CHUNK_BLOCKS - 1])
def test_a_mask_goes_on_as_the_example_of_sp_800_38a(
    before: int, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F.5.5, so many blocks from its beginning: inside a chunk, and across the edges of chunks."""
    asked = count_from(COUNTER - before, monkeypatch)
    found = stream_of(KEY, bits, 16 * before + len(STREAM))

    assert found[16 * before :] == STREAM
    assert asked
    assert not any(b"".join(asked)), "the product's own counter starts at zero"


@EVERY_RING
def test_a_mask_is_the_stream_of_counters_from_zero(bits: int) -> None:
    """The same wrapper left alone; the reference is held against F.5.5 in `test_vectors.py`."""
    size = 16 * (CHUNK_BLOCKS + 2)
    found = stream_of(KEY, bits, size)

    for start, stop in ((0, 64), (size - 64, size)):
        assert found[start:stop] == ctr_stream(KEY, start, stop)
