"""A question to an institution, and what a coordinator hears.

A question is one canonical byte string (see `codec`), so what is sent is what is hashed,
masked for and logged. What an institution says is bytes of secure aggregation, or the name
of a rule and no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from fedcredit.codec import decode, digest, encode
from fedcredit.errors import FedCreditError, LocalError, PeerError
from fedcredit.models.queries import Query, decode_query, encode_query
from fedcredit.units import InstitutionId

__all__ = [
    "Answer",
    "Heard",
    "Question",
    "Refusal",
    "decode_question",
    "encode_question",
    "refusal_of",
    "request_digest",
]

_LONGEST_QUESTION_BYTES: Final = 1 << 26
_MOST_ROUNDS: Final = 1 << 20
_QUESTION: Final = ("plan", "round", "attempt", "query")


@dataclass(frozen=True, slots=True, eq=False)
class Question:
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


def encode_question(question: Question) -> bytes:
    """The one byte form of a question."""
    return encode(
        {
            "plan": question.plan,
            "round": question.round,
            "attempt": question.attempt,
            "query": encode_query(question.query),
        }
    )


def decode_question(data: bytes) -> Question:
    """Read a question; the inverse of `encode_question`.

    Raises:
        PeerError: the bytes are no question.
    """
    body = decode(data, size_limit_bytes=_LONGEST_QUESTION_BYTES)
    if not isinstance(body, Mapping) or set(body) != set(_QUESTION):
        raise _malformed()
    plan, index, attempt, query = (body[key] for key in _QUESTION)
    if not isinstance(plan, bytes) or len(plan) != 32 or not isinstance(query, bytes):
        raise _malformed()
    return Question(plan, _count(index), _count(attempt), decode_query(query))


def request_digest(data: bytes) -> bytes:
    """32 bytes that name what was asked exactly as it was sent."""
    return digest("fedcredit/request/1", data)


def refusal_of(problem: Exception) -> str:
    """The name under which an error leaves an institution: never its text.

    An error of ours is named by its class, which depends on public parameters alone. Any
    other could have been brought about by a row, so all others have one name.
    """
    return type(problem).__name__ if isinstance(problem, FedCreditError) else LocalError.__name__


def _count(value: object) -> int:
    """A number of rounds or attempts."""
    if type(value) is not int or not 0 <= value < _MOST_ROUNDS:
        raise _malformed()
    return value


def _malformed() -> PeerError:
    """The same error for whatever is wrong with the form."""
    return PeerError(
        "a question does not have the form of one",
        remedy="drop it; check that both sides run the same version",
    )
