"""A message to a node: the plan that it belongs to, and what is asked of its member.

query.hello   digest of a plan                who takes part in it here
train.turn    digest of a plan, and a request  see `member.answer`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fedcredit.errors import PeerError
from fedcredit.federation.member import Member, answer

__all__ = ["HELLO", "TURN", "answer_message"]

HELLO: Final = "query.hello"
TURN: Final = "train.turn"
_DIGEST_BYTES: Final = 32


def answer_message(kind: str, data: bytes, member_of: Callable[[bytes], Member]) -> bytes:
    """What a node says to one message.

    Args:
        kind: `HELLO` or `TURN`.
        data: of the message: a plan's digest, 32 bytes, and for a turn the request after it.
        member_of: finds the member of a plan, by its digest.

    Raises:
        PeerError: it is no message, or the plan is not one that we take part in; and
            whatever `member.answer` raises.
    """
    plan, request = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if kind not in (HELLO, TURN) or len(plan) != _DIGEST_BYTES:
        raise PeerError("a message does not have the form of one", remedy="drop it")
    member = member_of(plan)
    return member.identity.name.encode() if kind == HELLO else answer(member, request)
