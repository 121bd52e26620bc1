"""Other people's test vectors, and other ways of reckoning the same."""

from __future__ import annotations

import base64
import hashlib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.verifier import Broken, Tree, key_id, notes_of, read_entry, signed
from tests.ledger.written import canonical, story, tree_root

# Leaves and roots of certificate-transparency's own tests of RFC 6962.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657",
          "606162636465666768696a6b6c6d6e6f"]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def test_roots_are_those_of_rfc_6962() -> None:
    tree, found = Tree(), []
    for leaf in LEAVES:
        tree.add(hashlib.sha256(b"\0" + bytes.fromhex(leaf)).digest())
        found.append(tree.root().hex())
    assert found == ROOTS


def test_roots_of_all_sizes_up_to_64_are_those_of_the_definition_by_halves() -> None:
    leaves = [hashlib.sha256(bytes([at])).digest() for at in range(64)]
    tree = Tree()
    for at, leaf in enumerate(leaves):
        tree.add(leaf)
        assert tree.root() == tree_root(leaves[: at + 1])


def test_the_note_of_go_s_documentation_is_read_and_its_signature_is_good() -> None:
    """golang.org/x/mod/sumdb/note: key id, signature line and text as printed there."""
    coded = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    public = base64.b64decode(coded)[1:]
    assert key_id("PeterNeumann", 1, public).hex() == "c74f20a3"
    text = (
        b"If you think cryptography is the answer to your problem,\n"
        b"then you don't know what your problem is.\n"
    )
    data = base64.b64decode(
        "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ"
        "SNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    )
    assert data[:4].hex() == "c74f20a3"
    assert signed(public, data[4:], text)
    assert not signed(public, data[4:], text[:-1])


def test_the_checkpoint_of_c2sp_s_text_is_read() -> None:
    """c2sp.org/tlog-cosignature: a log's signature and a witness's, dated 2023-03-20."""
    text = (
        "example.com/behind-the-sofa\n20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/"
        "Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs"
        "X3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    (note,) = notes_of(io.BytesIO(text.encode()))
    assert (note.origin, note.size) == ("example.com/behind-the-sofa", 20_852_163)
    (_, log), ((name, _), witness) = note.signatures
    assert (len(log), name, len(witness)) == (64, "witness.example.com/w1", 72)
    assert int.from_bytes(witness[:8], "big") == 1_679_315_147


TEXTS = st.text(st.characters(min_codepoint=0, max_codepoint=0x2FFF), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from(["by", "note", "plan", "seq", "kind", "time", "other"]), value=VALUES)
def test_no_value_in_any_place_does_more_than_break_an_entry(key: str, value: object) -> None:
    """Nothing but `Broken` comes of what a stranger may have written."""
    table = json.loads(story().lines[2])
    true = dict(table)
    table[key] = value
    try:
        entry = read_entry(canonical(table), 2, table["prev"])
    except Broken:
        return
    assert key in ("note", "plan", "time") or table == true
    assert entry.kind == "approve"


@given(line=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_bytes_do_more_than_break_an_entry(line: bytes) -> None:
    with pytest.raises(Broken):
        read_entry(line, 0, "0" * 64)


@given(data=st.binary(max_size=300), at=st.integers(0, 2000))
def test_no_bytes_do_more_than_break_a_note(data: bytes, at: int) -> None:
    notes = "".join(story().notes).encode()
    spoiled = notes[:at] + data + notes[at:]
    try:
        assert len(list(notes_of(io.BytesIO(spoiled)))) >= 1
    except Broken:
        assert data
