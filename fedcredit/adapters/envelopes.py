"""Flower's messages as the federation uses them: one byte string in one record.

What a node does with a message is said here once, for Flower's own nodes (flower.py) and
for ours (fleet.py). An error leaves a node as the name of a rule, without text. Whoever
imports flwr imports this file first.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

# Read by flwr when it is imported: no report of use, no look for updates, no installing.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
os.environ["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] = "1"

from flwr.app import ConfigRecord, Error, Message, RecordDict, UserConfigValue
from flwr.common.constant import ErrorCode

from fedcredit.errors import FedCreditError
from fedcredit.federation.messages import refusal_of

__all__ = [
    "Handler",
    "NodeConfig",
    "bytes_of",
    "error_reply",
    "record_of",
    "reply_to",
]

NodeConfig: TypeAlias = Mapping[str, UserConfigValue]
Handler: TypeAlias = Callable[[str, bytes], bytes]

_RECORD: Final = "fedcredit"
_LOG: Final = logging.getLogger("fedcredit.node")


def reply_to(message: Message, handler: Handler) -> Message:
    """Reply with what a handler makes of a message, or with the name of what went wrong.

    Args:
        message: as Flower hands it over.
        handler: see `addressed.answer_message`.

    Returns:
        The reply; it holds no text of an error, whatever the handler raised.
    """
    try:
        data = handler(message.metadata.message_type, bytes_of(message))
        return Message(record_of(data), reply_to=message)
    except FedCreditError as problem:  # its text depends on public parameters only
        _LOG.warning("refused: %s", problem.what)
        return error_reply(message, refusal_of(problem))
    except Exception as problem:  # noqa: BLE001 - its text could hold a row: neither sent nor kept
        where = traceback.extract_tb(problem.__traceback__)[-1]
        _LOG.error("failed: an unexpected error at %s:%s", where.filename, where.lineno)
        return error_reply(message, refusal_of(problem))


def record_of(data: bytes) -> RecordDict:
    """Bytes as the one record of a message.

    >>> list(record_of(b"abc"))
    ['fedcredit']
    """
    return RecordDict({_RECORD: ConfigRecord({"bytes": data})})


def bytes_of(message: Message) -> bytes:
    """The bytes of a message; none if it holds anything else."""
    if not message.has_content() or set(message.content) != {_RECORD}:
        return b""
    record = message.content[_RECORD]
    data = record.get("bytes") if isinstance(record, ConfigRecord) else None
    return data if isinstance(data, bytes) else b""


def error_reply(
    message: Message, reason: str, code: int = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
) -> Message:
    """A reply that is an error.

    Args:
        message: what it replies to.
        reason: the name of a rule, which is all that it says.
        code: Flower's number of it.

    Returns:
        The reply.
    """
    return Message(Error(code, reason), reply_to=message)
