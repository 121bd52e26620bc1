"""Masks: one key stream for a member itself and one for each pair, which cancel in the sum.

A key is used for one stream, ever: it is bound to the whole context of its turn by HKDF,
so the counter may start at zero. Two members with different contexts (another model,
another cohort) derive different keys, and their masks do not cancel.

Source: Bonawitz et al. (2017), https://eprint.iacr.org/2017/281, Figure 4, with AES-256-CTR
(NIST SP 800-38A, 6.5) as the generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np

from fedcredit.codec import digest
from fedcredit.secagg.keys import OneTime, agree_on, derive
from fedcredit.secagg.ring import Ring, Words
from fedcredit.secagg.streams import CHUNK_BYTES, KeyStream
from fedcredit.units import InstitutionId

__all__ = ["Mask", "add_masks", "add_vectors", "pair_mask", "pair_seed", "self_seed"]

Mask: TypeAlias = tuple[bytes, Literal[1, -1]]
"""The key of a stream, and whether it is added or taken away."""


def self_seed(blind: bytes, context: bytes, name: InstitutionId) -> bytes:
    """The key of a member's own mask.

    Args:
        blind: b, its one-time secret, 32 bytes.
        context: of the turn, 32 bytes.
        name: of the member.
    """
    return derive(blind, context, digest("fedcredit/secagg/self/1", name.encode()))


def pair_seed(
    secret: OneTime,
    context: bytes,
    mine: tuple[InstitutionId, bytes],
    other: tuple[InstitutionId, bytes],
) -> bytes:
    """The key of a pair's mask: the same, whichever of the two derives it.

    Args:
        secret: the one-time secret of ``mine``.
        context: of the turn, 32 bytes.
        mine: name and one-time public key of the member that derives it.
        other: name and one-time public key of the other.

    Raises:
        PeerError: the other's public key is of small order.
    """
    (first, one), (second, two) = sorted([mine, other])
    info = digest("fedcredit/secagg/pair/1", first.encode(), one, second.encode(), two)
    return derive(agree_on(secret, other[1]), context, info)


def pair_mask(
    secret: OneTime,
    context: bytes,
    mine: tuple[InstitutionId, bytes],
    other: tuple[InstitutionId, bytes],
) -> Mask:
    """What ``mine`` does for the pair: the first by name adds, the second takes away."""
    return pair_seed(secret, context, mine, other), 1 if mine[0] < other[0] else -1


def add_vectors(words: Words, packed: Sequence[bytes | memoryview], ring: Ring) -> None:
    """Add packed vectors to a vector in place, in one pass over it, modulo 2^bits.

    Args:
        words: shape ``(dim,)``, of the ring's word type.
        packed: each ``dim`` packed numbers.
        ring: of the words.

    Raises:
        PeerError: a vector is too short.
    """
    width, step = ring.bits // 8, CHUNK_BYTES // ring.word.itemsize
    pair = np.empty(step, dtype=ring.word)
    for start in range(0, words.size, step):
        part = words[start : start + step]
        cut = slice(start * width, (start + part.size) * width)
        pieces = [ring.unpack(vector[cut], part.size) for vector in packed]
        if len(pieces) % 2:
            np.add(part, pieces.pop(), out=part)
        both = pair[: part.size]
        for one, other in zip(pieces[::2], pieces[1::2], strict=True):
            np.add(one, other, out=both)  # memory is read faster from two places at once
            np.add(part, both, out=part)


def add_masks(words: Words, masks: Sequence[Mask], ring: Ring) -> None:
    """Add key streams to a vector in place, modulo 2^bits (in whole words).

    Args:
        words: shape ``(dim,)``, of the ring's word type.
        masks: keys of 32 bytes with their signs.
        ring: of the words.
    """
    size = ring.word.itemsize
    step = CHUNK_BYTES // size
    stream = memoryview(bytearray(CHUNK_BYTES))
    view = np.frombuffer(stream, dtype=ring.word)
    streams = [(KeyStream(key), sign) for key, sign in masks]
    for start in range(0, words.size, step):
        part = words[start : start + step]
        piece, numbers = stream[: part.size * size], view[: part.size]
        for one, sign in streams:
            one.fill(piece)
            (np.add if sign > 0 else np.subtract)(part, numbers, out=part)
