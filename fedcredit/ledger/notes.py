"""Signed checkpoints: what a ledger's writer and its witnesses put their names to.

A note is a text, an empty line and signature lines (C2SP signed-note). A checkpoint is a note
whose text is three lines: origin, number of leaves, root in base64 (C2SP tlog-checkpoint,
without extension lines). A key of type 0x01 signs the text; one of type 0x04, a witness's,
signs a time and the text (C2SP tlog-cosignature, cosignature/v1).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.signatures import (
    COSIGNATURE,
    PLAIN,
    Signature,
    Signer,
    VerifierKey,
    from_base64,
    is_name,
    malformed,
    read_signatures,
    sign,
    text_of,
    to_base64,
)
from fedcredit.ledger.tree import HASH_BYTES

__all__ = [
    "NOTE_LIMIT_BYTES",
    "SIZE_LIMIT",
    "Checkpoint",
    "Note",
    "cosign",
    "read_checkpoint",
    "read_note",
    "read_notes",
    "sign_checkpoint",
    "verify",
]

NOTE_LIMIT_BYTES: Final = 65_536
SIZE_LIMIT: Final = 2**53 - 1  # leaves of a tree: a line numbers itself by such integers

_DASH: Final = "\N{EM DASH} ".encode()
_BODY: Final = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n").fullmatch


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger was at one size.

    Attributes:
        origin: which ledger; the name of the key that its writer signs with.
        size: lines in it, at most ``SIZE_LIMIT``.
        root: of the tree over them, 32 bytes.

    Raises:
        LocalError: one of them is not so.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if (
            not is_name(self.origin)
            or not 0 <= self.size <= SIZE_LIMIT
            or len(self.root) != HASH_BYTES
        ):
            raise LocalError(
                "this is no checkpoint: an origin without spaces and plus signs, a size and "
                f"{HASH_BYTES} bytes were expected",
                remedy="give it the ledger's own origin, size and root",
            )

    def body(self) -> bytes:
        r"""Its three lines, which are signed.

        >>> Checkpoint("bank.example/ledger", 1, bytes(32)).body()
        b'bank.example/ledger\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n'
        """
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n".encode()


@dataclass(frozen=True, slots=True)
class Note:
    """A text with signature lines.

    Attributes:
        body: the text, which ends with a newline.
        signatures: in their order; none is verified yet (`verify`).
    """

    body: bytes
    signatures: tuple[Signature, ...]

    def data(self) -> bytes:
        """The note as it is written; `read_note` gives back an equal one."""
        return self.body + b"\n" + b"".join(one.line() for one in self.signatures)

    def signed_too(self, *more: Signature) -> Note:
        """The note with more signature lines after its own."""
        return replace(self, signatures=(*self.signatures, *more))


def read_checkpoint(body: bytes) -> Checkpoint:
    """Read the text of a checkpoint.

    Returns:
        The checkpoint; its ``body()`` is these very bytes.

    Raises:
        IntegrityError: it is not three lines of origin, size and root.
    """
    match = _BODY(text_of(body))
    root = from_base64(match[3]) if match else None
    if not match or not root or not is_name(match[1]) or int(match[2]) > SIZE_LIMIT:
        raise malformed("its text is not three lines of origin, size and root")
    return Checkpoint(match[1], int(match[2]), root)


def read_note(data: bytes) -> Note:
    """Read one note.

    Args:
        data: all of it, and nothing else.

    Returns:
        The note; its ``data()`` is these very bytes.

    Raises:
        IntegrityError: the bytes are no note.
    """
    if len(data) > NOTE_LIMIT_BYTES:
        raise malformed(f"{len(data)} bytes, expected at most {NOTE_LIMIT_BYTES}")
    text, found, lines = data.rpartition(b"\n\n")  # the last empty line ends the text
    if not found:
        raise malformed("no empty line before its signatures")
    text_of(text)
    return Note(text + b"\n", read_signatures(lines))


def read_notes(data: bytes) -> tuple[Note, ...]:
    """Read a file of checkpoints: one note after another, and nothing between them.

    Args:
        data: the whole file; texts have no empty line.

    Returns:
        The notes in their order; joined again, they are these very bytes.

    Raises:
        IntegrityError: the bytes are not notes one after another.
    """
    notes: list[Note] = []
    start = 0
    while start < len(data):
        end = data.find(b"\n\n", start) + 2
        if end < 2 or data.startswith(b"\n", start):
            raise malformed("not one empty line, before its signatures")
        while data.startswith(_DASH, end):
            end = data.find(b"\n", end) + 1 or len(data)
        notes.append(read_note(data[start:end]))
        start = end
    return tuple(notes)


def sign_checkpoint(checkpoint: Checkpoint, name: str, signer: Signer, public: bytes) -> Note:
    """Sign a checkpoint as its ledger's writer.

    Args:
        checkpoint: what to sign.
        name: of the key; a ledger's writer uses the origin.
        signer: signs with the secret key.
        public: of the same key, 32 bytes.

    Returns:
        The note, with this one signature.

    Raises:
        LocalError: a name or length is wrong.
    """
    body = checkpoint.body()
    return Note(body, (sign(body, 0, name, PLAIN, signer, public),))


def cosign(body: bytes, time_s: int, name: str, signer: Signer, public: bytes) -> Signature:
    """Sign a checkpoint as a witness: at this time, this is the longest it has seen.

    Args:
        body: the checkpoint's text.
        time_s: whole seconds since 1970, UTC.
        name: of the witness's key.
        signer: signs with the secret key.
        public: of the same key, 32 bytes.

    Returns:
        The signature, to stand below the writer's.

    Raises:
        LocalError: a name, time or length is wrong.
    """
    return sign(body, time_s, name, COSIGNATURE, signer, public)


def verify(note: Note, keys: Collection[VerifierKey]) -> dict[VerifierKey, int]:
    """Which of the keys signed a note, and when.

    A line of a key that is not among ``keys`` is passed over, as the specification has it:
    it may be anybody's. So an empty answer means that the note shows nothing.

    Args:
        note: as it was read.
        keys: those that are trusted, of either kind.

    Returns:
        The time of a ``COSIGNATURE`` in seconds since 1970, and 0 for ``PLAIN``, by key. If
        one key signed more than once, its first line counts; all are verified.

    Raises:
        IntegrityError: a line names a trusted key and is not its signature.
    """
    named: dict[tuple[str, bytes], list[VerifierKey]] = {}
    for key in keys:
        named.setdefault((key.name, key.id), []).append(key)
    found: dict[VerifierKey, int] = {}
    for signature in note.signatures:
        meant = named.get((signature.name, signature.id))
        if not meant:
            continue
        times = {key: key.time_of(note.body, signature) for key in meant}
        signed = {key: time_s for key, time_s in times.items() if time_s is not None}
        if not signed:
            raise IntegrityError(
                f"a note bears a line of {signature.name} that is not its signature",
                remedy="keep the note as evidence, and ask its sender for the true one",
            )
        found = signed | found
    return found
