"""The two messages of a round: a question to every institution, and its answer.

Both are one canonical byte string each (see `codec`), so what is sent is what is hashed
and logged. An answer holds the noisy sum and what it answers, and nothing else: no
count, no metric, no time. A refusal holds the name of a rule and no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from fedcredit.codec import decode, digest, encode
from fedcredit.errors import FedCreditError, LocalError, PeerError
from fedcredit.models.queries import Query, decode_query, encode_query
from fedcredit.units import InstitutionId, Ints

__all__ = [
    "MOST_ENTRY",
    "Answer",
    "Heard",
    "Refusal",
    "Reply",
    "Request",
    "decode_reply",
    "decode_request",
    "encode_reply",
    "encode_request",
    "refusal_of",
    "request_digest",
]

MOST_ENTRY: Final = 1 << 53  # no honest sum comes near it, and a thousand of it fit int64
_LONGEST_REQUEST_BYTES: Final = 1 << 26
_ENVELOPE_BYTES: Final = 4096  # all of a reply but its numbers
_MOST_ROUNDS: Final = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A question to an institution.

    Attributes:
        plan: digest of the plan, 32 bytes.
        round: index of the round, from 0.
        attempt: 0, and 1 more each time the round is asked again with fresh noise.
        query: the question.
    """

    plan: bytes
    round: int
    attempt: int
    query: Query


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """An institution's answer.

    Attributes:
        plan: digest of the plan, 32 bytes.
        round: of the request.
        attempt: of the request.
        request: `request_digest` of the request's bytes.
        institution: who answers.
        value: the noisy sum in grid steps, shape ``(dim,)``.
    """

    plan: bytes
    round: int
    attempt: int
    request: bytes
    institution: InstitutionId
    value: Ints


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes that came from an institution, not yet looked at."""

    sender: InstitutionId
    data: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An institution that says no, and the name of the error that it met."""

    sender: InstitutionId
    reason: str


Heard: TypeAlias = Answer | Refusal


def encode_request(request: Request) -> bytes:
    """The one byte form of a question."""
    return encode(
        {
            "plan": request.plan,
            "round": request.round,
            "attempt": request.attempt,
            "query": encode_query(request.query),
        }
    )


def decode_request(data: bytes) -> Request:
    """Read a question; the inverse of `encode_request`.

    Raises:
        PeerError: the bytes are no question.
    """
    body = _body(decode(data, size_limit_bytes=_LONGEST_REQUEST_BYTES), "question", _REQUEST)
    plan, index, attempt, query = (body[key] for key in _REQUEST)
    if not isinstance(plan, bytes) or len(plan) != 32 or not isinstance(query, bytes):
        raise _malformed("question")
    return Request(plan, _count(index), _count(attempt), decode_query(query))


def request_digest(data: bytes) -> bytes:
    """32 bytes that name a question exactly as it was sent."""
    return digest("fedcredit/request/1", data)


def encode_reply(reply: Reply) -> bytes:
    """The one byte form of an answer."""
    return encode({key: getattr(reply, key) for key in _REPLY})


def decode_reply(data: bytes, dim: int) -> Reply:
    """Read an answer of ``dim`` numbers; the inverse of `encode_reply`.

    Raises:
        PeerError: the bytes are no answer, or one of another length.
    """
    limit = 8 * dim + _ENVELOPE_BYTES
    body = _body(decode(data, size_limit_bytes=limit), "answer", _REPLY)
    plan, index, attempt, request, institution, value = (body[key] for key in _REPLY)
    if (
        not isinstance(plan, bytes)
        or not isinstance(request, bytes)
        or not isinstance(institution, str)
        or not isinstance(value, np.ndarray)
        or value.dtype != np.int64
        or value.ndim != 1
    ):
        raise _malformed("answer")
    if value.size != dim:
        raise PeerError(
            f"an answer holds {value.size} numbers, expected {dim}",
            remedy="have the institution run the release of fedcredit that the plan names",
        )
    sender = InstitutionId(institution)
    return Reply(plan, _count(index), _count(attempt), request, sender, value)


def refusal_of(problem: Exception) -> str:
    """The name under which an error leaves an institution: never its text.

    An error of ours is named by its class, which depends on public parameters alone. Any
    other could have been brought about by a row, so all others have one name.
    """
    return type(problem).__name__ if isinstance(problem, FedCreditError) else LocalError.__name__


_REQUEST: Final = ("plan", "round", "attempt", "query")
_REPLY: Final = ("plan", "round", "attempt", "request", "institution", "value")


def _body(message: object, what: str, keys: tuple[str, ...]) -> Mapping[str, object]:
    """The fields of a message: all of them and no other."""
    if not isinstance(message, Mapping) or set(message) != set(keys):
        raise _malformed(what)
    return message


def _count(value: object) -> int:
    """A number of rounds or attempts."""
    if type(value) is not int or not 0 <= value < _MOST_ROUNDS:
        raise _malformed("message")
    return value


def _malformed(what: str) -> PeerError:
    """The same error for whatever is wrong with the form."""
    return PeerError(
        f"{what} does not have the form of one",
        remedy="drop it; check that both sides run the same version",
    )
