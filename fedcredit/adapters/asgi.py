"""ASGI, as much of it as the front speaks: short JSON answers, and bodies that are counted.

Source: the ASGI specification, version 3, HTTP protocol.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Final, TypeAlias, cast

__all__ = [
    "App",
    "Gone",
    "Headers",
    "Message",
    "Receive",
    "Refused",
    "Scope",
    "Send",
    "answer",
    "body_of",
    "declared_bytes",
    "headers_of",
    "is_ambiguous",
    "refuse",
    "too_large",
    "whole_body",
]

Scope: TypeAlias = MutableMapping[str, object]
Message: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

_JSON: Final = (b"content-type", b"application/json")


class Refused(Exception):
    """A request gets no answer but this one.

    Args:
        status: HTTP's.
        kind: one word for programs.
        what: what was found.
        remedy: what to do.
    """

    def __init__(self, status: int, kind: str, what: str, remedy: str) -> None:
        super().__init__(kind)
        self.status, self.kind, self.what, self.remedy = status, kind, what, remedy


class Gone(Exception):
    """The client has gone, in the middle of its body."""


def headers_of(scope: Scope) -> Headers:
    """A request's headers; names are in lower case."""
    return cast("Headers", scope["headers"])


def is_ambiguous(scope: Scope) -> bool:
    """Whether two readers could disagree about where a request ends (RFC 9112, section 6.3)."""
    lengths = [value for name, value in headers_of(scope) if name == b"content-length"]
    codings = [value for name, value in headers_of(scope) if name == b"transfer-encoding"]
    hosts = [value for name, value in headers_of(scope) if name == b"host"]
    if len(lengths) + len(codings) > 1 or len(hosts) != 1:
        return True
    plain = all(value.isdigit() and len(value) < 16 for value in lengths)
    return not plain or any(value.lower() != b"chunked" for value in codings)


def declared_bytes(scope: Scope) -> int:
    """The length that a request declares; 0 where it declares none."""
    lengths = [value for name, value in headers_of(scope) if name == b"content-length"]
    return int(lengths[0]) if lengths else 0


async def body_of(receive: Receive, limit: int) -> AsyncIterator[bytes]:
    """A request's body, piece by piece as it comes.

    Raises:
        Refused: it is longer than ``limit`` bytes.
        Gone: it broke off.
    """
    taken, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        piece = cast("bytes", message.get("body", b""))
        taken, more = taken + len(piece), bool(message.get("more_body", False))
        if taken > limit:
            raise too_large(limit)
        if piece:
            yield piece


def too_large(limit: int) -> Refused:
    """The refusal of a body that is too long."""
    return Refused(413, "too-large", f"a request has at most {limit} bytes", "send less at once")


async def whole_body(receive: Receive, limit: int) -> bytes:
    """A short body.

    Raises:
        Refused: it is longer than ``limit`` bytes.
        Gone: it broke off.
    """
    return b"".join([piece async for piece in body_of(receive, limit)])


async def answer(
    send: Send, status: int, table: Mapping[str, object], *, close: bool = False
) -> None:
    """Answer with a JSON object.

    Args:
        send: as ASGI gives it.
        status: HTTP's.
        table: the object.
        close: end the connection, since what is left of the body is not read.
    """
    data = (json.dumps(table) + "\n").encode()
    headers = [_JSON, (b"content-length", str(len(data)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


async def refuse(send: Send, refused: Refused) -> None:
    """Answer with what was wrong and what to do, and end the connection."""
    error = {"kind": refused.kind, "what": refused.what, "fix": refused.remedy}
    await answer(send, refused.status, {"error": error}, close=True)
