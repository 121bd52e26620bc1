"""A witness: it signs that it has never seen another past of a ledger than this one.

C2SP tlog-witness. For each ledger it remembers the longest checkpoint that it signed, and it
signs the next one only with a proof that this is a continuation, and only once the next one
is kept for good. So two ledgers of one origin that differ anywhere never both get its
signature, whichever way they came about: set back, copied, or rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.notes import (
    Checkpoint,
    Note,
    cosign,
    read_checkpoint,
    read_note,
    verify,
)
from fedcredit.ledger.signatures import COSIGNATURE, Signer, VerifierKey, from_base64, malformed
from fedcredit.ledger.tree import EMPTY_ROOT, HASH_BYTES, PROOF_LIMIT, verify_consistency

__all__ = [
    "REQUEST_LIMIT_BYTES",
    "SIZE_TYPE",
    "Answer",
    "MemoryWitnessStore",
    "Request",
    "Witness",
    "WitnessStore",
    "read_request",
]

REQUEST_LIMIT_BYTES: Final = 65_536
SIZE_TYPE: Final = "text/x.tlog.size"
_TEXT_TYPE: Final = "text/plain; charset=utf-8"
_ATTEMPTS: Final = 16  # each failed one means that the store has moved on meanwhile
_OLD: Final = re.compile(rb"old (0|[1-9][0-9]{0,15})").fullmatch


@dataclass(frozen=True, slots=True)
class Request:
    """What a ledger's writer asks a witness.

    Attributes:
        old: size of the checkpoint that the witness is thought to have signed last.
        proof: from there to the new checkpoint (`consistency_proof`).
        note: the new checkpoint, signed.
        checkpoint: what the note says.
    """

    old: int
    proof: tuple[bytes, ...]
    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness says, as HTTP has it.

    Attributes:
        status: 200 signed; 400 malformed; 403 not signed by a key of this ledger; 404 not a
            ledger that it witnesses; 409 it has signed for another size, or another root of
            this size; 422 the proof shows no continuation.
        content_type: of the body.
        body: for 200 the cosignature line; for 409 the size that it has seen, and a newline.
    """

    status: int
    content_type: str
    body: bytes


@runtime_checkable
class WitnessStore(Protocol):
    """What a witness remembers: for each origin the last checkpoint it signed, as a note."""

    def load(self, origin: str) -> Note | None:
        """The note that was kept last; None if there was never one."""
        ...

    def keep(self, origin: str, before: Note | None, after: Note) -> bool:
        """Put a note in the place of the one before, in one step that no other can divide.

        Returns:
            True once ``after`` is kept for good, whatever happens to the machine; False if
            what is kept is not ``before``, and then nothing has changed.

        Raises:
            LocalError: it may not be kept; nothing may be signed.
        """
        ...

    def accuse(self, origin: str, offered: Note) -> None:
        """Set aside a signed checkpoint that no proof came with: it may be evidence of a fork.

        A store may leave it undone; this raises nothing.
        """
        ...


class MemoryWitnessStore:
    """A store that forgets when the process ends: for simulations and tests.

    Args:
        lock: held while a note is compared and replaced, such as a ``threading.Lock``.
    """

    def __init__(self, lock: AbstractContextManager[object]) -> None:
        self._lock = lock
        self._notes: dict[str, Note] = {}
        self.accused: list[tuple[str, Note]] = []

    def load(self, origin: str) -> Note | None:
        """See `WitnessStore`."""
        return self._notes.get(origin)

    def keep(self, origin: str, before: Note | None, after: Note) -> bool:
        """See `WitnessStore`."""
        with self._lock:
            if self._notes.get(origin) != before:
                return False
            self._notes[origin] = after
            return True

    def accuse(self, origin: str, offered: Note) -> None:
        """See `WitnessStore`."""
        self.accused.append((origin, offered))


class Witness:
    """Answers requests for cosignatures.

    Guarantee: of all checkpoints of one origin that it signs, each is a continuation of
    every smaller one, as long as its store keeps what it says it keeps; its times never fall.

    Args:
        name: of its key.
        signer: signs with its secret key.
        public: of the same key, 32 bytes.
        store: what it remembers.
        keys_of: the keys that may sign the checkpoints of an origin; none if it is not
            witnessed. Asked at every request, so keys can be added at any time.
        time_s: whole seconds since 1970, UTC.

    Raises:
        LocalError: the name or key is none.
    """

    def __init__(
        self,
        *,
        name: str,
        signer: Signer,
        public: bytes,
        store: WitnessStore,
        keys_of: Callable[[str], Collection[VerifierKey]],
        time_s: Callable[[], int],
    ) -> None:
        self.key = VerifierKey(name, COSIGNATURE, public)
        self._signer = signer
        self._store = store
        self._keys_of = keys_of
        self._time_s = time_s

    def add_checkpoint(self, request: bytes) -> Answer:
        """Answer one request; any number may be answered side by side.

        A checkpoint that it signed last gets the same line again, byte for byte: its writer
        may have crashed before it had the answer.

        Args:
            request: the body of ``POST /add-checkpoint``.

        Returns:
            The answer. Whatever is not 200 has changed nothing.

        Raises:
            LocalError: the store failed; nothing was signed.
            IntegrityError: what the store gave back is damaged; nothing was signed.
        """
        try:
            asked = read_request(request)
        except IntegrityError as problem:
            return _no(400, problem.what)
        keys = self._keys_of(asked.checkpoint.origin)
        if not keys:
            return _no(404, "this ledger is not witnessed here")
        signed = _signed_by(asked.note, keys)
        if signed is None:
            return _no(403, "no key of this ledger has signed this")
        if asked.old > asked.checkpoint.size:
            return _no(400, "the old size is above the new one")
        for _ in range(_ATTEMPTS):
            answer = self._attempt(asked, signed)
            if answer is not None:
                return answer
        raise LocalError(
            "a witness's store keeps nothing", remedy="look at its disk; nothing was signed"
        )

    def _attempt(self, asked: Request, signed: Note) -> Answer | None:
        """The answer by what is kept now; None if that has changed before it could be given."""
        new, kept = asked.checkpoint, self._store.load(asked.checkpoint.origin)
        last = read_checkpoint(kept.body) if kept else Checkpoint(new.origin, 0, EMPTY_ROOT)
        before = verify(kept, [self.key]).get(self.key) if kept else None
        if last.origin != new.origin:
            raise IntegrityError(
                "a witness's store gave back another ledger's checkpoint",
                remedy="restore its folder; nothing was signed",
            )
        if asked.old != last.size:
            return _seen(last.size)
        if new.size == last.size and new.root != last.root:
            self._store.accuse(new.origin, signed)
            return _seen(last.size)
        if not verify_consistency(last.size, new.size, last.root, new.root, asked.proof):
            self._store.accuse(new.origin, signed)
            return _no(422, "the proof shows no continuation")
        time_s = max(self._time_s(), before or 0)  # the clock may have been set back
        if before is not None and new == last:
            time_s = before  # Ed25519 is deterministic, so the line will be the same
        cosignature = cosign(new.body(), time_s, self.key.name, self._signer, self.key.public)
        # Kept again even where it is kept already: an earlier attempt to do so may have
        # ended before it was on the disk.
        if not self._store.keep(new.origin, kept, signed.signed_too(cosignature)):
            return None
        return Answer(200, _TEXT_TYPE, cosignature.line())


def read_request(data: bytes) -> Request:
    """Read the body of a request.

    Args:
        data: at most ``REQUEST_LIMIT_BYTES``.

    Returns:
        What is asked; no signature or proof has been verified.

    Raises:
        IntegrityError: it is malformed.
    """
    if len(data) > REQUEST_LIMIT_BYTES:
        raise malformed(f"{len(data)} bytes, expected at most {REQUEST_LIMIT_BYTES}")
    head, _, rest = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    match = _OLD(first)
    if not match:
        raise malformed("a request begins with the old size")
    if len(lines) > PROOF_LIMIT:
        raise malformed(f"a proof of {len(lines)} hashes, expected at most {PROOF_LIMIT}")
    proof = tuple(from_base64(line.decode("latin-1")) or b"" for line in lines)
    if any(len(one) != HASH_BYTES for one in proof):
        raise malformed("a line of the proof is no hash in base64")
    note = read_note(rest)
    return Request(int(match[1]), proof, note, read_checkpoint(note.body))


def _signed_by(note: Note, keys: Collection[VerifierKey]) -> Note | None:
    """The note with one line of each of these keys; None if none of them signed it."""
    try:
        found = verify(note, keys)
    except IntegrityError:  # a line claims to be of a known key and is not
        return None
    lines = {(one.name, one.id): one for one in reversed(note.signatures)}
    first = [lines[key.name, key.id] for key in found]  # a repeated line would only fill the disk
    return Note(note.body, tuple(dict.fromkeys(first))) if first else None


def _seen(size: int) -> Answer:
    """The answer to a ledger that the witness has seen at another size."""
    return Answer(409, SIZE_TYPE, b"%d\n" % size)


def _no(status: int, why: str) -> Answer:
    """An answer that signs nothing."""
    return Answer(status, _TEXT_TYPE, f"{why}\n".encode())
