"""The tree and its proofs, against the recursive definitions of RFC 6962."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from math import ceil, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import LocalError
from fedcredit.ledger.tree import (
    EMPTY_ROOT,
    PROOF_LIMIT,
    Tree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    verify_consistency,
    verify_inclusion,
)

LARGEST = 64
LINES = [f'{{"seq":{index}}}\n'.encode() for index in range(LARGEST)]
LEAVES = [leaf_hash(line) for line in LINES]
TREE = Tree(LEAVES)

RFC_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
"""The leaves that implementations of RFC 6962 share as test data, and their roots by size."""
RFC_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(count: int) -> int:
    """The largest power of two below count."""
    power = 1
    while 2 * power < count:
        power *= 2
    return power


def mth(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node(mth(leaves[:k]), mth(leaves[k:]))


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962, section 2.1.2."""
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def damaged(proof: Sequence[bytes], root: bytes) -> Iterator[tuple[bytes, ...]]:
    """Every way to spoil a proof that the tests of Certificate Transparency know, and some more."""
    whole = tuple(proof)
    extra = hashlib.sha256(b"extra").digest()
    yield (*whole, b"")
    yield (*whole, extra)
    yield (*whole, root)
    yield (extra, *whole)
    yield (root, *whole)
    yield (*whole, *whole, extra)
    for at in range(len(whole)):
        yield whole[:at]
        yield whole[:at] + whole[at + 1 :]
        yield (*whole[:at], whole[at], *whole[at:])
        yield (*whole[:at], root, *whole[at:])
        yield (*whole[:at], bytes(32), *whole[at + 1 :])
        yield (*whole[:at], whole[at][:31], *whole[at + 1 :])
        yield (*whole[:at], whole[at] + b"\0", *whole[at + 1 :])
        yield (*whole[:at], bytes([whole[at][0] ^ 1]) + whole[at][1:], *whole[at + 1 :])
        for other in range(at):
            swapped = list(whole)
            swapped[at], swapped[other] = swapped[other], swapped[at]
            yield tuple(swapped)
    if len(whole) > 1:
        yield tuple(reversed(whole))
        yield whole[0] + whole[1], *whole[2:]


def test_the_shared_test_data_of_the_standard_has_its_roots() -> None:
    tree = Tree(map(leaf_hash, RFC_LEAVES))
    assert [tree.root(size).hex() for size in range(9)] == RFC_ROOTS


@pytest.mark.parametrize("size", range(LARGEST + 1))
def test_roots_and_proofs_are_those_of_the_recursive_definition(size: int) -> None:
    leaves = LEAVES[:size]
    root = mth(leaves)
    assert TREE.root(size) == Tree(leaves).root() == root
    for index in range(size):
        proof = inclusion_proof(TREE, index, size)
        assert list(proof) == path(index, leaves)
        assert len(proof) <= ceil(log2(size))
        assert verify_inclusion(LEAVES[index], index, size, proof, root)
    for old in range(1, size + 1):
        proof = consistency_proof(TREE, old, size)
        assert list(proof) == subproof(old, leaves, True)
        assert verify_consistency(old, size, mth(LEAVES[:old]), root, proof)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 21, 33])
def test_a_spoilt_inclusion_proof_shows_nothing(size: int) -> None:
    root = TREE.root(size)
    for index in range(size):
        leaf, proof = LEAVES[index], inclusion_proof(TREE, index, size)
        assert verify_inclusion(leaf, index, size, proof, root)
        for bad in damaged(proof, root):
            assert bad == proof or not verify_inclusion(leaf, index, size, bad, root)
        for wrong in range(-1, size + 3):
            assert wrong == index or not verify_inclusion(leaf, wrong, size, proof, root)
        for wrong_leaf in (root, EMPTY_ROOT, bytes(32), leaf[:31], leaf + b"\0", b"", LINES[index]):
            same = wrong_leaf == leaf
            assert same or not verify_inclusion(wrong_leaf, index, size, proof, root)
        for wrong_root in (TREE.root(size - 1), TREE.root(size + 1), EMPTY_ROOT, b"", root[:31]):
            assert not verify_inclusion(leaf, index, size, proof, wrong_root)
        for wrong_size in (-1, 0, index, 2 * size + 1, 4 * size, 2**64):
            assert wrong_size == size or not verify_inclusion(leaf, index, wrong_size, proof, root)


@pytest.mark.parametrize("new", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 16, 21, 33])
def test_a_spoilt_consistency_proof_shows_nothing(new: int) -> None:
    after = TREE.root(new)
    for old in range(1, new + 1):
        before, proof = TREE.root(old), consistency_proof(TREE, old, new)
        assert verify_consistency(old, new, before, after, proof)
        for root in (before, after):
            for bad in damaged(proof, root):
                assert bad == proof or not verify_consistency(old, new, before, after, bad)
        for wrong in (TREE.root(old - 1), TREE.root(old + 1), b"", before[:31], bytes(32)):
            assert not verify_consistency(old, new, wrong, after, proof)
        for wrong in (TREE.root(new - 1), TREE.root(new + 1), b"", after + b"\0", bytes(32)):
            assert not verify_consistency(old, new, before, wrong, proof)
        for wrong_old in range(-1, new + 2):
            held = verify_consistency(wrong_old, new, before, after, proof)
            assert held == (wrong_old == old)
        assert not verify_consistency(new, old, after, before, proof) or old == new
        assert not verify_consistency(old, new, after, before, proof) or old == new


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_a_tree_of_one_size_has_one_root_and_an_empty_proof(size: int) -> None:
    root = TREE.root(size)
    assert verify_consistency(size, size, root, root, ())
    assert not verify_consistency(size, size, root, root, (root,))
    assert not verify_consistency(size, size, root, bytes(32), ())
    assert not verify_consistency(size, size, bytes(31), bytes(31), ())


def test_every_tree_continues_the_empty_one_and_needs_no_proof() -> None:
    root = TREE.root(5)
    assert consistency_proof(TREE, 0, 5) == ()
    assert verify_consistency(0, 5, EMPTY_ROOT, root, ())
    assert not verify_consistency(0, 5, EMPTY_ROOT, root, (root,))
    assert not verify_consistency(0, 5, root, root, ())
    assert not verify_consistency(0, 0, root, root, ())


def test_a_fork_has_no_proof() -> None:
    """A tree whose line 4 is another is no continuation of one that has the true line 4."""
    forked = Tree([*LEAVES[:4], leaf_hash(b"forged"), *LEAVES[5:20]])
    for new in range(5, 21):
        for proof in (consistency_proof(TREE, 5, new), consistency_proof(forked, 5, new)):
            assert not verify_consistency(5, new, TREE.root(5), forked.root(new), proof)
        honest = consistency_proof(forked, 4, new)
        assert verify_consistency(4, new, TREE.root(4), forked.root(new), honest)


def test_a_node_is_no_leaf() -> None:
    """A leaf cannot be the two children of a node: the first byte of what is hashed differs."""
    children = LEAVES[0] + LEAVES[1]
    assert leaf_hash(children) != TREE.root(2)
    assert not verify_inclusion(leaf_hash(children), 0, 1, (), TREE.root(2))


@pytest.mark.parametrize(("length", "shown"), [(PROOF_LIMIT, True), (PROOF_LIMIT + 1, False)])
def test_a_proof_longer_than_any_tree_is_refused(length: int, shown: bool) -> None:
    proof = tuple(bytes([number]) * 32 for number in range(length))
    root = LEAVES[0]
    for one in proof:
        root = node(root, one)
    assert verify_inclusion(LEAVES[0], 0, 2**length, proof, root) == shown
    assert verify_consistency(1, 2**length, LEAVES[0], root, proof) == shown


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, 70),
    st.integers(0, 70),
    st.lists(st.sampled_from(LEAVES), max_size=7),
    st.integers(1, LARGEST),
)
def test_what_is_made_up_shows_nothing(
    root: bytes, one: int, other: int, proof: list[bytes], size: int
) -> None:
    assert not verify_inclusion(LEAVES[0], one, other, proof, root)
    if size != one and proof:
        assert not verify_consistency(size, size + other, TREE.root(size), root, proof)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=200), st.data())
def test_a_tree_answers_for_every_size_it_ever_had(
    leaves: list[bytes], data: st.DataObject
) -> None:
    tree = Tree()
    roots = [tree.root()]
    for leaf in leaves:
        tree.append(leaf)
        roots.append(tree.root())
    old = data.draw(st.integers(0, len(leaves)))
    new = data.draw(st.integers(old, len(leaves)))
    assert roots[old] == tree.root(old) == mth(leaves[:old])
    proof = consistency_proof(tree, old, new)
    assert verify_consistency(old, new, roots[old], roots[new], proof)
    assert len(tree) == len(leaves)


def test_a_proof_that_no_tree_can_give_is_not_asked_for() -> None:
    tree = Tree(LEAVES[:5])
    for size in (-1, 6):
        with pytest.raises(LocalError, match="no tree of"):
            tree.root(size)
    for index, size in ((-1, 5), (5, 5), (0, 0), (0, 6), (3, 2)):
        with pytest.raises(LocalError, match="no proof for leaf"):
            inclusion_proof(tree, index, size)
    for old, new in ((-1, 5), (4, 3), (0, 6), (6, 6)):
        with pytest.raises(LocalError, match="no proof from"):
            consistency_proof(tree, old, new)
    with pytest.raises(LocalError, match="31 bytes"):
        tree.append(bytes(31))
