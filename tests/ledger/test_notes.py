"""Signed checkpoints, with the test data of Go's sumdb/note."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.notes import (
    NOTE_LIMIT_BYTES,
    SIZE_LIMIT,
    Checkpoint,
    Note,
    read_checkpoint,
    read_note,
    read_notes,
    sign_checkpoint,
    verify,
)
from fedcredit.ledger.signatures import Signature, read_key
from tests.ledger.made import Pair

PETER_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # noqa: S105 - published test data
PETER = read_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
ENOCH = read_key("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
TEXT = (
    b"If you think cryptography is the answer to your problem,\n"
    b"then you don't know what your problem is.\n"
)
PETER_LINE = (
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
ENOCH_LINE = (
    "\N{EM DASH} EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTG"
    "wnWLox33WWd1RvMc+QQ=\n"
).encode()
EXAMPLE = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "\N{EM DASH} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7"
    "u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "\N{EM DASH} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9d"
    "lrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
"""The example of the specification."""

BANK, SHOP = Pair("bank.example/ledger"), Pair("shop.example/witness")
CHECKPOINT = Checkpoint("bank.example/ledger", 7, bytes(range(32)))
SIGNED = BANK.sign(CHECKPOINT)


def test_a_note_of_another_program_is_read_and_its_signers_found() -> None:
    data = TEXT + b"\n" + PETER_LINE + ENOCH_LINE
    note = read_note(data)
    assert note.body == TEXT
    assert note.data() == data
    assert verify(note, [PETER]) == {PETER: 0}
    assert verify(note, [PETER, ENOCH]) == {PETER: 0, ENOCH: 0}
    assert verify(note, []) == {}


def test_our_signature_is_the_one_that_another_program_makes() -> None:
    """Ed25519 is deterministic: Go's test has this very line."""
    secret = Ed25519PrivateKey.from_private_bytes(base64.b64decode(PETER_SECRET)[1:])
    line = Signature("PeterNeumann", PETER.id, secret.sign(TEXT)).line()
    assert line == PETER_LINE
    assert secret.public_key().public_bytes_raw() == PETER.public


def test_the_example_of_the_specification_is_a_checkpoint() -> None:
    note = read_note(EXAMPLE)
    checkpoint = read_checkpoint(note.body)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert int.from_bytes(note.signatures[1].data[:8], "big") == 1679315147
    assert note.data() == EXAMPLE


@pytest.mark.parametrize(
    "data",
    [
        b"",
        TEXT,
        TEXT + b"\n",
        TEXT + b"\n" + PETER_LINE[:-1],
        b"\x01" + TEXT + b"\n" + PETER_LINE,
        b"\xff" + TEXT + b"\n" + PETER_LINE,
        TEXT.replace(b"\n", b"\r\n") + b"\n" + PETER_LINE,
        TEXT + PETER_LINE,
        TEXT + b"\n" + PETER_LINE.replace(b"PeterNeumann", b"Bad Name"),
        TEXT + b"\n" + PETER_LINE + b"Unexpected line.\n",
        TEXT + b"\n" + PETER_LINE + b"\n",
        TEXT + b"\n" + PETER_LINE * 101,
        b"x" * NOTE_LIMIT_BYTES + TEXT + b"\n" + PETER_LINE,
    ],
)
def test_a_malformed_note_is_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="a note is malformed"):
        read_note(data)


def test_the_last_empty_line_ends_the_text() -> None:
    note = read_note(b"a\n\nb\n\n" + PETER_LINE)
    assert note.body == b"a\n\nb\n"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"a\n1\n",
        CHECKPOINT.body()[:-1],
        CHECKPOINT.body() + b"\n",
        CHECKPOINT.body() + b"extension\n",
        b"\n" + CHECKPOINT.body(),
        CHECKPOINT.body().replace(b"\n7\n", b"\n07\n"),
        CHECKPOINT.body().replace(b"\n7\n", b"\n+7\n"),
        CHECKPOINT.body().replace(b"\n7\n", b"\n-7\n"),
        CHECKPOINT.body().replace(b"\n7\n", b"\n7 \n"),
        CHECKPOINT.body().replace(b"\n7\n", b"\n\n"),
        CHECKPOINT.body().replace(b"\n7\n", b"\n9007199254740992\n"),
        CHECKPOINT.body().replace(b"\n7\n", b"\n99999999999999999999\n"),
        CHECKPOINT.body().replace(b"\n7\n", "\n\N{SUPERSCRIPT SEVEN}\n".encode()),
        CHECKPOINT.body().replace(b"\n7\n", "\n\N{ARABIC-INDIC DIGIT SEVEN}\n".encode()),
        CHECKPOINT.body().replace(b"/ledger", b" ledger"),
        CHECKPOINT.body().replace(b"/ledger", b"+ledger"),
        CHECKPOINT.body().replace(b"/ledger", b"\xff"),
        CHECKPOINT.body().replace(b"/ledger", b"\r"),
        CHECKPOINT.body().replace(b"8=\n", b"9=\n"),  # bits beyond the last byte
        CHECKPOINT.body().replace(b"8=\n", b"8==\n"),
        CHECKPOINT.body().replace(b"8=\n", b"8\n"),
        CHECKPOINT.body().replace(b"AAEC", b"A_EC"),
        b"a\n1\n" + base64.b64encode(bytes(31)) + b"\n",
        b"a\n1\n" + base64.b64encode(bytes(33)) + b"\n",
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused(body: bytes) -> None:
    with pytest.raises(IntegrityError, match="malformed"):
        read_checkpoint(body)


@given(st.integers(0, SIZE_LIMIT), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint("bank.example/ledger", size, root)
    assert read_checkpoint(checkpoint.body()) == checkpoint


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, bytes(32)),
        ("a b", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("a+b", 1, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 2**53, bytes(32)),
        ("a", 1, bytes(31)),
    ],
)
def test_what_is_no_checkpoint_is_not_made(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(LocalError, match="no checkpoint"):
        Checkpoint(origin, size, root)


def test_a_checkpoint_is_signed_and_witnessed() -> None:
    note = SIGNED.signed_too(SHOP.cosign(SIGNED.body, 1_700_000_000))
    again = read_note(note.data())
    assert again == note
    assert verify(again, [BANK.writer, SHOP.witness]) == {
        BANK.writer: 0,
        SHOP.witness: 1_700_000_000,
    }


def test_what_a_witness_signs_is_written_in_the_specification() -> None:
    cosignature = SHOP.cosign(SIGNED.body, 1679315147)
    signed = b"cosignature/v1\ntime 1679315147\n" + SIGNED.body
    SHOP.secret.public_key().verify(cosignature.data[8:], signed)


def test_a_key_of_one_kind_does_not_answer_for_the_other() -> None:
    """The id has the kind in it, and what is signed differs."""
    note = SIGNED.signed_too(SHOP.cosign(SIGNED.body, 5))
    assert verify(note, [BANK.witness, SHOP.writer]) == {}


def test_an_unknown_signature_is_passed_over_and_a_known_bad_one_is_not() -> None:
    stranger = Pair("bank.example/ledger", "another key")
    forged = stranger.sign(CHECKPOINT).signatures[0]
    note = SIGNED.signed_too(forged)
    assert verify(note, [BANK.writer]) == {BANK.writer: 0}
    claimed = Signature(forged.name, BANK.writer.id, forged.data)
    for signatures in ((claimed,), (*SIGNED.signatures, claimed), (claimed, *SIGNED.signatures)):
        with pytest.raises(IntegrityError, match="is not its signature"):
            verify(Note(SIGNED.body, signatures), [BANK.writer])
        assert verify(Note(SIGNED.body, signatures), [SHOP.witness]) == {}


@given(st.data())
def test_one_changed_bit_of_a_note_is_noticed(data: st.DataObject) -> None:
    """Either the note is malformed, or it is refused, or the key is not found to have signed."""
    whole = bytearray(SIGNED.data())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = verify(read_note(bytes(whole)), [BANK.writer])
    except IntegrityError:
        return
    assert found == {}


def test_two_keys_with_one_id_are_told_apart() -> None:
    """An id has 32 bits: whoever makes a second key with it spoils no signature of the first."""

    class Twin(type(BANK.writer)):  # type: ignore[misc]
        id = BANK.writer.id

    twin = Twin("bank.example/ledger", 1, SHOP.public)
    assert twin.id == BANK.writer.id
    assert verify(SIGNED, [twin, BANK.writer]) == {BANK.writer: 0}
    with pytest.raises(IntegrityError):
        verify(SIGNED, [twin])


def test_the_first_of_two_signatures_by_one_key_counts() -> None:
    note = SIGNED.signed_too(SHOP.cosign(SIGNED.body, 5), SHOP.cosign(SIGNED.body, 9))
    assert verify(note, [SHOP.witness]) == {SHOP.witness: 5}


def test_notes_one_after_another_read_back() -> None:
    notes = [BANK.sign(Checkpoint("bank.example/ledger", size, bytes(32))) for size in range(5)]
    notes[2] = notes[2].signed_too(SHOP.cosign(notes[2].body, 5))
    data = b"".join(note.data() for note in notes)
    assert read_notes(data) == tuple(notes)
    assert read_notes(b"") == ()


def test_a_file_of_notes_has_nothing_between_them() -> None:
    one = SIGNED.data()
    for data in (
        one + b"\n" + one,
        b"\n" + one,
        one + b"\n",
        one + one[:-1],
        one + b"x",
        one + b"x\n",
        one + one[: one.index(b"\n\n") + 2],
        one[: one.index(b"\n\n") + 2] + one,
    ):
        with pytest.raises(IntegrityError, match="a note is malformed"):
            read_notes(data)


def test_a_note_cut_off_anywhere_is_refused() -> None:
    data = SIGNED.data()
    for end in range(1, len(data)):
        with pytest.raises(IntegrityError):
            read_notes(data + data[:end])


def test_a_writer_signs_under_any_name_it_is_given() -> None:
    note = sign_checkpoint(CHECKPOINT, "other", BANK.secret.sign, BANK.public)
    assert verify(note, [Pair("other", BANK.name).writer]) == {Pair("other", BANK.name).writer: 0}
