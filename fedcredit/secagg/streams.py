"""A key stream, in whichever of two ways this processor makes it faster: the bytes are the same.

The stream is AES-256 in counter mode from counter 0. GCM encrypts in counter mode as well:
under a nonce of 96 zero bits from counter 2 on. OpenSSL makes GCM's with the wide
instructions of newer processors, in half the time of plain counter mode, for which it does
not use them. Without them the sum that GCM keeps for its tag makes it slower by a third;
nobody asks for that tag.

Source: NIST SP 800-38A, 6.5 (counter mode), and SP 800-38D, 7.1 (GCM).
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR, GCM

__all__ = ["CHUNK_BYTES", "WIDE", "KeyStream"]

CHUNK_BYTES: Final = 1 << 18  # what is asked for at once: it stays in a core's own cache
_ZEROS: Final = memoryview(bytes(CHUNK_BYTES))
_HEAD_BYTES: Final = 32  # the two blocks before those that GCM makes

# Where numpy no longer tells, plain counter mode is used; processors with this group of
# instructions (Intel since 2019, AMD since 2022) have VAES and VPCLMULQDQ too.
_FEATURES: Final = getattr(import_module("numpy._core._multiarray_umath"), "__cpu_features__", {})
WIDE: Final = bool(_FEATURES.get("AVX512_ICL", False))
"""Whether this processor is faster by way of GCM."""


class KeyStream:
    """The stream of one key, from its beginning, in pieces."""

    __slots__ = ("_head", "_update")

    def __init__(self, key: bytes, *, wide: bool = WIDE) -> None:
        """Begin.

        Args:
            key: 32 bytes, for this one stream.
            wide: by way of GCM, which ends after 2^36 - 32 bytes.
        """
        encryptor = Cipher(AES256(key), CTR(bytes(16))).encryptor()
        self._head = encryptor.update(bytes(_HEAD_BYTES)) if wide else b""
        if wide:
            encryptor = Cipher(AES256(key), GCM(bytes(12))).encryptor()
        self._update = encryptor.update_into

    def fill(self, piece: memoryview) -> None:
        """Write the next bytes of the stream.

        Args:
            piece: what they are written over, at most `CHUNK_BYTES` of it.
        """
        if self._head:
            head, self._head = self._head[: len(piece)], self._head[len(piece) :]
            piece[: len(head)] = head
            piece = piece[len(head) :]
        self._update(_ZEROS[: len(piece)], piece)
