"""What a running node counts while it answers; nothing is counted unless somebody asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from fedcredit.adapters.system import Clock
from fedcredit.errors import FedCreditError
from fedcredit.federation.addressed import HELLO
from fedcredit.secagg.messages import decode_request

__all__ = ["SILENT", "STAGES", "Meter", "metered"]

STAGES: Final = ("hello", "prepare", "start", "survive", "reveal", "other")
"""What a message asks for: who is there, or a step of `secagg.messages`."""

_DIGEST_BYTES: Final = 32  # of the plan, which stands before the request


@runtime_checkable
class Meter(Protocol):
    """Is told of each message that came."""

    def answered(self, stage: str, seconds: float) -> None:
        """It was answered.

        Args:
            stage: one of `STAGES`.
            seconds: that it took.
        """
        ...

    def refused(self, kind: str) -> None:
        """It was refused.

        Args:
            kind: name of the error's class, never its text.
        """
        ...


class _Silent:
    """Counts nothing."""

    def answered(self, stage: str, seconds: float) -> None:
        """See `Meter`."""

    def refused(self, kind: str) -> None:
        """See `Meter`."""


SILENT: Final[Meter] = _Silent()


def metered(
    answer: Callable[[str, bytes], bytes], meter: Meter, clock: Clock
) -> Callable[[str, bytes], bytes]:
    """The same answers, counted.

    Args:
        answer: see `hosting.Host.answer`.
        meter: is told.
        clock: to measure by.
    """
    if meter is SILENT:
        return answer

    def counted(kind: str, data: bytes) -> bytes:
        """One message."""
        begun = clock.now()
        try:
            reply = answer(kind, data)
        except Exception as problem:
            meter.refused(type(problem).__name__)
            raise
        meter.answered(_stage(kind, data), clock.now() - begun)
        return reply

    return counted


def _stage(kind: str, data: bytes) -> str:
    """What a message asked for."""
    if kind == HELLO:
        return "hello"
    try:
        stage = type(decode_request(data[_DIGEST_BYTES:])).__name__.lower()
    except FedCreditError:
        return "other"
    return stage if stage in STAGES else "other"
