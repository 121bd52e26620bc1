"""HTTPS to one address and nowhere else: no proxy, no redirect, one root that is trusted."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx

from fedcredit.errors import ConfigError

__all__ = ["error_code", "https_client", "tls_context", "untrusted"]

_CONNECT_S: Final = 10.0
_ANSWER_S: Final = 30.0


def tls_context(
    root: Path, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """What a client trusts, and how it shows who it is.

    Args:
        root: PEM file of the only certificates that are trusted to sign for a server.
        certificate: PEM file of the client's own, for a server that asks for one.
        key: PEM file of its private key.

    Returns:
        TLS 1.3 with the server's name checked.

    Raises:
        ConfigError: a file cannot be read, or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(cafile=root)
    except OSError:  # an SSLError is one
        raise ConfigError(
            f"{root} holds no certificate in PEM", remedy="put the federation's root there"
        ) from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except OSError:
            raise ConfigError(
                f"{certificate} and its key are no pair in PEM",
                remedy="put the client's certificate and its private key there",
            ) from None
    return context


def https_client(
    context: ssl.SSLContext, headers: Mapping[str, str], auth: httpx.Auth | None = None
) -> httpx.Client:
    """A client that follows neither the environment's proxies nor a server's redirects.

    Args:
        context: see `tls_context`.
        headers: go with every request.
        auth: adds what a request needs to be believed.

    Returns:
        The client, for several threads; connections are kept open.
    """
    return httpx.Client(
        verify=context,
        headers=dict(headers),
        auth=auth,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S),
    )


def untrusted(problem: BaseException) -> bool:
    """Whether a connection failed because one side does not trust the other's certificate.

    Args:
        problem: what a request raised; the reason stands in what it was raised from.

    Returns:
        False also if the other side hung up without a reason.
    """
    link: BaseException | None = problem
    while link is not None:
        if isinstance(link, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return False
        if isinstance(link, ssl.SSLError):
            return True
        link = link.__cause__ or link.__context__
    return False


def error_code(response: httpx.Response) -> int | None:
    """Flower's own number of an error.

    Args:
        response: what a server said; it need not be Flower.

    Returns:
        The number; none if there is none.

    >>> error_code(httpx.Response(412, text='{"code": 2004, "detail": "no"}'))
    2004
    >>> error_code(httpx.Response(502, text="<html>")) is None
    True
    """
    try:
        error = json.loads(response.text)
    except (ValueError, RecursionError):
        return None
    code = error.get("code") if isinstance(error, dict) else None
    return code if type(code) is int else None
