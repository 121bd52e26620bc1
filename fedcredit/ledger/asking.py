"""Asking a witness: the side of the ledger's writer.

What a witness answers is held to what was asked: a cosignature counts only if it is of this
witness's key and over this very checkpoint. A witness that has seen more than the ledger
holds, or another past, stops the writer; one that has forgotten what it signed is not
counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from fedcredit.errors import (
    FedCreditError,
    IntegrityError,
    LocalError,
    PeerError,
    UnreachableError,
)
from fedcredit.ledger.notes import SIZE_LIMIT, Note, read_checkpoint, verify
from fedcredit.ledger.signatures import Signature, VerifierKey, read_signatures, to_base64
from fedcredit.ledger.tree import Tree, consistency_proof
from fedcredit.ledger.witness import Witness

__all__ = ["ANSWER_LIMIT_BYTES", "Courier", "Direct", "ask", "read_answer", "write_request"]

ANSWER_LIMIT_BYTES: Final = 65_536
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,15})\n").fullmatch


@runtime_checkable
class Courier(Protocol):
    """Carries a request to a witness and its answer back."""

    def __call__(self, where: str, request: bytes, /) -> tuple[int, bytes]:
        """Carry one request.

        Args:
            where: the witness: a URL, or a name where there is no network.
            request: what `write_request` made.

        Returns:
            HTTP status and body.

        Raises:
            UnreachableError: there was no answer in time.
        """
        ...


class Direct:
    """A courier within one process.

    Args:
        witnesses: by the name that requests give as ``where``.
    """

    def __init__(self, witnesses: Mapping[str, Witness]) -> None:
        self._witnesses = witnesses

    def __call__(self, where: str, request: bytes) -> tuple[int, bytes]:
        """See `Courier`."""
        if where not in self._witnesses:
            raise UnreachableError(f"no witness is called {where}", remedy="correct the name")
        try:
            answer = self._witnesses[where].add_checkpoint(request)
        except FedCreditError:  # its trouble, not the writer's
            return 500, b""
        return answer.status, answer.body


def ask(
    courier: Courier, where: str, key: VerifierKey, note: Note, leaves: Tree, seen: int
) -> Signature:
    """Get a witness's cosignature for a checkpoint.

    Args:
        courier: carries the request; at most two.
        where: the witness, as the courier knows it.
        key: the witness's, kind ``COSIGNATURE``.
        note: the checkpoint, signed by the ledger's writer.
        leaves: the ledger's tree, of the checkpoint's size at least.
        seen: size of the largest checkpoint of this ledger for which the writer holds a
            cosignature of this key; 0 if it holds none.

    Returns:
        A line by this key over this checkpoint; ``key.time_of`` says its time.

    Raises:
        LocalError: the witness has seen a longer ledger or another past of it, so this one
            was set back, copied or changed: nothing may be spent or released.
        PeerError: the witness refuses, has forgotten what it signed, or its answer is no
            cosignature of this checkpoint: it does not count.
        UnreachableError: there was no answer, or the witness cannot give one now.
    """
    size = read_checkpoint(note.body).size
    old = min(seen, size)
    found = _once(courier, where, key, note, leaves, old)
    if isinstance(found, int) and found != old and seen <= found <= size:
        old = found  # its last answer never reached us
        found = _once(courier, where, key, note, leaves, old)
    if not isinstance(found, int):
        return found
    if found < seen:
        raise PeerError(
            f"the witness {key.name} has seen {found} entries, and signed for {seen} before",
            remedy="do not count on it: ask its operator whether an old backup was restored",
        )
    if found > size:
        raise LocalError(
            f"the ledger is behind the witness {key.name} ({size} < {found}): refusing to spend",
            remedy="restore the newest copy of the ledger, and end every other process with it",
        )
    if found == old == size:  # it has seen this size too, with another root
        raise _fork(key, size)
    raise PeerError(
        f"the witness {key.name} names another size at every request",
        remedy="ask its operator who else sends it checkpoints of this ledger",
    )


def write_request(old: int, proof: Sequence[bytes], note: Note) -> bytes:
    r"""Write the body of ``POST /add-checkpoint``.

    Args:
        old: size of the checkpoint that the witness signed last.
        proof: `consistency_proof` from there.
        note: the new checkpoint, signed.

    >>> write_request(0, (), Note(b"a\n", ())).decode()
    'old 0\n\na\n\n'
    """
    lines = [f"old {old}", *map(to_base64, proof), "", ""]
    return "\n".join(lines).encode("ascii") + note.data()


def read_answer(status: int, body: bytes, asked: Note, key: VerifierKey) -> Signature | int:
    """Read a witness's answer.

    Args:
        status: of HTTP.
        body: of the answer.
        asked: the checkpoint that a cosignature was asked for.
        key: the witness's.

    Returns:
        The cosignature, verified over the very text of ``asked``; or the size that the
        witness has seen, where it has signed for another (409).

    Raises:
        LocalError: the witness finds that this is no continuation of what it signed (422).
        PeerError: it refuses, or the answer is neither.
        UnreachableError: it cannot answer now (a status from 500 up).
    """
    if len(body) > ANSWER_LIMIT_BYTES:
        raise _no_answer(key, f"{len(body)} bytes")
    if status == 200:
        return _cosignature(body, asked, key)
    if status == 409:
        match = _SIZE(body)
        if not match or int(match[1]) > SIZE_LIMIT:
            raise _no_answer(key, "a conflict without a size")
        return int(match[1])
    if status == 422:
        raise _fork(key, read_checkpoint(asked.body).size)
    if status >= 500:
        raise UnreachableError(
            f"the witness {key.name} cannot answer now (status {status})",
            remedy="ask its operator; another witness may stand in for it",
        )
    if status in (403, 404):
        raise PeerError(
            f"the witness {key.name} does not know this ledger or its key (status {status})",
            remedy="give its operator the ledger's origin and verifier key: fedcredit witness add",
        )
    raise _no_answer(key, f"status {status}")


def _once(
    courier: Courier, where: str, key: VerifierKey, note: Note, leaves: Tree, old: int
) -> Signature | int:
    """One request and its answer."""
    size = read_checkpoint(note.body).size
    request = write_request(old, consistency_proof(leaves, old, size), note)
    return read_answer(*courier(where, request), note, key)


def _cosignature(body: bytes, asked: Note, key: VerifierKey) -> Signature:
    """The first line of an answer that is this key's over what was asked."""
    try:
        lines = read_signatures(body)
        signed = verify(Note(asked.body, lines), [key])
    except IntegrityError:
        raise _no_answer(key, "no cosignature of this checkpoint") from None
    if key not in signed:
        raise _no_answer(key, "no line of its key")
    return next(one for one in lines if (one.name, one.id) == (key.name, key.id))


def _fork(key: VerifierKey, size: int) -> LocalError:
    """The error for a ledger with another past than the witness has seen."""
    return LocalError(
        f"the witness {key.name} has seen another ledger than this one of {size} entries: "
        "refusing to spend",
        remedy="find the other copy that was written to; keep both, and the witness's, as evidence",
    )


def _no_answer(key: VerifierKey, found: str) -> PeerError:
    """The error for an answer that is none."""
    return PeerError(
        f"the witness {key.name} answered with {found}",
        remedy="do not count on it; check its address and its verifier key",
    )
