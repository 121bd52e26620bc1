"""Passing requests on to Flower's SuperLink, byte for byte and piece by piece.

What belongs to one connection stays on it (RFC 9110, section 7.6.1): those headers are
dropped on both ways, and each side frames its own messages. Everything else is neither
read nor changed.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from collections.abc import Iterable
from typing import Final, Self

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key, load_ssh_public_key

from fedcredit.adapters.asgi import (
    Headers,
    Receive,
    Refused,
    Scope,
    Send,
    body_of,
    declared_bytes,
    headers_of,
    too_large,
)
from fedcredit.adapters.pki import public_bytes

__all__ = ["Fleet", "shows_key"]

_OF_ONE_CONNECTION: Final = frozenset(
    (
        b"connection",
        b"expect",
        b"host",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_KEY: Final = b"flwr-public-key"
_KEY_LIMIT: Final = 1024
_CONNECTIONS: Final = 128
_EXPIRY_S: Final = 2.0  # less than the other side's, which would close it under a request
_TIMES: Final = httpx.Timeout(connect=5.0, read=60.0, write=60.0, pool=10.0)


class Fleet:
    """The SuperLink's Fleet API; an asynchronous context manager.

    Args:
        url: of the SuperLink, ``https://127.0.0.1:9092``.
        tls: what it must show.
        limit: bytes of one request.
    """

    def __init__(self, url: str, tls: ssl.SSLContext, limit: int) -> None:
        self._url, self._limit = url.rstrip("/"), limit
        self._client = httpx.AsyncClient(
            verify=tls,
            trust_env=False,
            timeout=_TIMES,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=_EXPIRY_S,
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def __call__(self, scope: Scope, path: bytes, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back.

        Args:
            scope: the request's.
            path: checked by the caller.
            receive: its body.
            send: takes the answer.

        Raises:
            Refused: it is too long, or the SuperLink does not answer.
            Gone: the client broke off.
        """
        if scope["method"] != "POST" or scope["query_string"]:
            raise Refused(404, "not-found", "there is no such path", "use the Fleet API")
        if declared_bytes(scope) > self._limit:
            raise too_large(self._limit)
        request = httpx.Request(
            "POST",
            self._url + path.decode("ascii"),
            headers=_passed(headers_of(scope)),
            content=body_of(receive, self._limit),
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError:
            raise Refused(
                502, "no-superlink", "Flower does not answer", "try again in a minute"
            ) from None
        try:
            headers = _passed((name.lower(), value) for name, value in answer.headers.raw)
            start = {"type": "http.response.start", "status": answer.status_code}
            await send(start | {"headers": headers})
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except httpx.HTTPError:
            return  # the answer has begun: what is not complete ends its connection
        finally:
            await answer.aclose()


def shows_key(scope: Scope, key: str) -> bool:
    """Whether a request to Flower names the node key that its member has shown to us.

    Without this a member could answer in another's name with a node key that it has found
    or was given. Flower checks the signature by that key.

    Args:
        scope: the request's.
        key: OpenSSH.
    """
    shown = [value for name, value in headers_of(scope) if name == _KEY]
    if len(shown) != 1 or len(shown[0]) > _KEY_LIMIT:
        return False
    try:
        found = load_pem_public_key(base64.b64decode(shown[0], validate=True))
        return public_bytes(found) == public_bytes(load_ssh_public_key(key.encode()))
    except (ValueError, UnsupportedAlgorithm, binascii.Error):
        return False


def _passed(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The headers that are not of one connection."""
    listed = list(headers)
    named = {
        word.strip().lower()
        for name, value in listed
        if name == b"connection"
        for word in value.split(b",")
    }
    dropped = _OF_ONE_CONNECTION | (named - {b"content-length"})
    return [
        (name, value)
        for name, value in listed
        # Flower's server believes what a neighbour on its machine says of where a request is from.
        if name not in dropped and not name.startswith((b"forwarded", b"x-forwarded-"))
    ]
