"""The split: which records train and which are held out, decided by each record alone.

A keyed hash of the person's id, read as a fraction, is below .2 for a held-out
record. So one record's side never depends on another's, the two parts are
disjoint in every institution, and a person who is a customer of several
institutions lies on the same side everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedcredit.units import Bytes8, Flags

__all__ = ["HELD_OUT_BELOW", "Marks", "held_out", "held_out_marks", "marks", "row_keys"]

Marks: TypeAlias = NDArray[np.uint64]

HELD_OUT_BELOW = 2**64 // 5  # a fifth of all marks


def held_out(keys: Sequence[bytes], salt: bytes) -> Flags:
    """Say which records are held out.

    Guarantee: a record's side depends on its own key and the salt only.

    Args:
        keys: one key for each record: the person's id as canonical text, or
            ``row_keys`` where the schema names no person.
        salt: the study's public salt.

    Returns:
        True for held-out records, about a fifth, shape ``(n,)``.
    """
    return held_out_marks(marks(keys, salt))


def held_out_marks(of_records: Marks) -> Flags:
    """Say which records are held out, from their marks.

    Args:
        of_records: what ``marks`` gave, shape ``(n,)``.

    Returns:
        True for held-out records, shape ``(n,)``.
    """
    return of_records < np.uint64(HELD_OUT_BELOW)


def marks(keys: Sequence[bytes], salt: bytes) -> Marks:
    """Hash each key to 64 bits.

    Args:
        keys: one key for each record.
        salt: the key of the hash; any length.

    Returns:
        One mark for each record, uint64, shape ``(n,)``; equal keys have equal marks.
    """
    # BLAKE2b takes keys of up to 64 bytes. The keyed state is made once and copied: this loop
    # is the one place that costs Python time for each record.
    keyed = blake2b(key=salt if len(salt) <= 64 else blake2b(salt).digest(), digest_size=8)
    digests = bytearray()
    for key in keys:
        state = keyed.copy()
        state.update(key)
        digests += state.digest()
    return np.frombuffer(bytes(digests), dtype=">u8").astype(np.uint64)


def row_keys(cells: Bytes8) -> list[bytes]:
    """Each record's own cells as its key, where nothing names a person.

    Args:
        cells: uint8, shape ``(features, n)``.

    Returns:
        ``n`` keys; records that fall into the same cells share a key, and so a side.
    """
    features, rows = cells.shape
    data = np.ascontiguousarray(cells.T).tobytes()
    return [data[at * features : (at + 1) * features] for at in range(rows)]
