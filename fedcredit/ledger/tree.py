"""The tree over a ledger's lines, and proofs that a line is in it and that it only ever grew.

RFC 6962, section 2.1, with SHA-256: a leaf is SHA-256(0x00 || line), a node is
SHA-256(0x01 || left || right), and a tree of n leaves has the largest power of two below n
on its left. The checks are those of RFC 9162, sections 2.1.3.2 and 2.1.4.2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from fedcredit.errors import LocalError

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "PROOF_LIMIT",
    "Tree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "verify_consistency",
    "verify_inclusion",
]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
PROOF_LIMIT: Final = 63
"""Hashes in a proof, at most: enough for any tree of fewer than 2^62 leaves."""


def leaf_hash(line: bytes) -> bytes:
    """The leaf of a line, 32 bytes.

    Args:
        line: with its newline.
    """
    return hashlib.sha256(b"\x00" + line).digest()


class Tree:
    """A tree that only grows, and that answers for every size it ever had.

    It keeps the hash of every complete subtree by its level, so a leaf more costs O(1) on
    average, and a root or a proof of any size O(log n). Memory: two hashes a leaf.

    Args:
        leaves: the first leaf hashes, 32 bytes each.

    >>> tree = Tree([leaf_hash(b"a"), leaf_hash(b"b")])
    >>> tree.append(leaf_hash(b"c"))
    >>> len(tree), tree.root(0) == EMPTY_ROOT, tree.root(1) == leaf_hash(b"a")
    (3, True, True)
    """

    __slots__ = ("_levels",)

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        for leaf in leaves:
            self.append(leaf)

    def __len__(self) -> int:
        """How many leaves there are."""
        return len(self._levels[0])

    def append(self, leaf: bytes) -> None:
        """Add one leaf.

        Args:
            leaf: its hash, 32 bytes (`leaf_hash`).

        Raises:
            LocalError: it is of another length.
        """
        if len(leaf) != HASH_BYTES:
            raise LocalError(
                f"a leaf has {len(leaf)} bytes, expected {HASH_BYTES}",
                remedy="hash the line first: leaf_hash(line)",
            )
        self._levels[0].append(leaf)
        level = 0
        while len(self._levels[level]) % 2 == 0:  # the last pair of a level is complete
            if level + 1 == len(self._levels):
                self._levels.append([])
            left, right = self._levels[level][-2:]
            self._levels[level + 1].append(_node(left, right))
            level += 1

    def root(self, size: int | None = None) -> bytes:
        """The root, 32 bytes.

        Args:
            size: of the tree's first so many leaves; of all if not given.

        Raises:
            LocalError: there are fewer leaves.
        """
        size = len(self) if size is None else size
        if not 0 <= size <= len(self):
            raise _outside(f"no tree of {size} leaves among {len(self)}")
        return self.subtree(0, size) if size else EMPTY_ROOT

    def subtree(self, first: int, end: int) -> bytes:
        """The hash over the leaves from ``first`` to before ``end``.

        Args:
            first: a multiple of the smallest power of two that is at least ``end - first``.
            end: above ``first``, at most the number of leaves.
        """
        split = _split(end - first)
        if 2 * split == end - first or end - first == 1:  # complete, so it is kept
            level = (end - first).bit_length() - 1
            return self._levels[level][first >> level]
        return _node(self.subtree(first, first + split), self.subtree(first + split, end))


def inclusion_proof(leaves: Tree, index: int, size: int) -> tuple[bytes, ...]:
    """The proof that a leaf is in the tree of the first ``size`` leaves.

    Args:
        leaves: at least ``size`` of them.
        index: the leaf's, from 0.
        size: of the tree whose root the proof leads to.

    Returns:
        PATH(index, D[0:size]) of RFC 6962, section 2.1.1: hashes from the leaf upwards.

    Raises:
        LocalError: not 0 <= index < size <= the number of leaves.
    """
    if not 0 <= index < size <= len(leaves):
        raise _outside(f"no proof for leaf {index} of {size} among {len(leaves)} leaves")
    proof: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            proof.append(leaves.subtree(middle, end))
            end = middle
        else:
            proof.append(leaves.subtree(first, middle))
            first = middle
    return tuple(reversed(proof))


def consistency_proof(leaves: Tree, old: int, new: int) -> tuple[bytes, ...]:
    """The proof that the tree of ``new`` leaves begins with the tree of ``old`` leaves.

    Args:
        leaves: at least ``new`` of them.
        old: size of the older tree.
        new: size of the newer tree.

    Returns:
        PROOF(old, D[0:new]) of RFC 6962, section 2.1.2; empty where ``old`` is 0 or ``new``.

    Raises:
        LocalError: not 0 <= old <= new <= the number of leaves.
    """
    if not 0 <= old <= new <= len(leaves):
        raise _outside(f"no proof from {old} to {new} among {len(leaves)} leaves")
    if old in (0, new):
        return ()
    proof: list[bytes] = []
    first, end = 0, new
    while end != old:  # until the rest is a subtree of both trees
        middle = first + _split(end - first)
        if old <= middle:
            proof.append(leaves.subtree(middle, end))
            end = middle
        else:
            proof.append(leaves.subtree(first, middle))
            first = middle
    if first:  # where it is all of the old tree, the verifier has its root
        proof.append(leaves.subtree(first, end))
    return tuple(reversed(proof))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether a proof shows a leaf at its place in the tree with this size and root.

    Args:
        leaf: its hash, 32 bytes.
        index: its place, from 0.
        size: of the tree.
        proof: what the other side says is `inclusion_proof`.
        root: of the tree, 32 bytes.

    Returns:
        True only if it does; False for whatever else the other side may send.
    """
    if not 0 <= index < size or not _hashes(leaf, root, *proof):
        return False
    place, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = _node(one, found)
            if not place & 1:
                place, last = _past_zeros(place, last)
        else:
            found = _node(found, one)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether a proof shows that the new tree begins with the old one.

    Of an empty tree every tree is a continuation: its root must be ``EMPTY_ROOT`` and the
    proof empty. Trees of one size must have one root, and the proof be empty.

    Args:
        old: size of the older tree.
        new: size of the newer tree.
        old_root: 32 bytes.
        new_root: 32 bytes.
        proof: what the other side says is `consistency_proof`.

    Returns:
        True only if it does; False for whatever else the other side may send.
    """
    if not 0 <= old <= new or not _hashes(old_root, new_root, *proof):
        return False
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    path = [*proof] if old & (old - 1) else [old_root, *proof]  # a power of two is in no proof
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = path[0]
    for one in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            before, after = _node(one, before), _node(one, after)
            if not place & 1:
                place, last = _past_zeros(place, last)
        else:
            after = _node(after, one)
        place, last = place >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _node(left: bytes, right: bytes) -> bytes:
    """The hash of a node over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(count: int) -> int:
    """The largest power of two below ``count``; 1 for 1, which has no split."""
    return 1 << max(0, (count - 1).bit_length() - 1)


def _past_zeros(place: int, last: int) -> tuple[int, int]:
    """Skip the levels on which the last node has no sibling, so that it is only handed up."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def _hashes(*found: bytes) -> bool:
    """Whether all are of a hash's length and there are no more than any proof has."""
    return len(found) <= PROOF_LIMIT + 2 and all(len(one) == HASH_BYTES for one in found)


def _outside(what: str) -> LocalError:
    """The error for numbers that fit no tree."""
    return LocalError(what, remedy="ask for sizes that the ledger has reached")
