"""TLS 1.3 between members and their coordinator; they trust their own authority alone.

Neither side takes an older version, a certificate of another authority, or one for another
use. Sessions are not resumed, so every connection shows its certificate anew. Why a
handshake failed is said in OpenSSL's words for it, on both sides.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeAlias

from fedcredit.errors import ConfigError

__all__ = ["LastWords", "client_context", "last_words", "reason_of", "server_context"]

_LOG: Final = logging.getLogger("fedcredit.front")
_PROTOCOLS: Final = ["http/1.1"]


LastWords: TypeAlias = Callable[[bytes], None]
"""Sends bytes to the other side of a connection that is about to be closed."""

last_words: Final[ContextVar[LastWords]] = ContextVar("last_words")
"""Of the connection whose handshake is done in this context. Asyncio closes a connection whose
handshake failed without sending the alert that says why."""


class _Noted(ssl.SSLObject):
    """A server's side of a connection: why a handshake failed is noted here, and said there."""

    outgoing: ssl.MemoryBIO
    words: LastWords | None

    def do_handshake(self) -> None:
        """See the class."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError):
            raise
        except ssl.SSLError as problem:
            _LOG.info("a connection was refused: %s", reason_of(problem))
            if self.words is not None:
                self.words(self.outgoing.read())
            raise


class _ServerContext(ssl.SSLContext):
    """A context whose connections know where their last words go."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - the standard library's signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See `ssl.SSLContext.wrap_bio`."""
        made = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(made, _Noted):
            made.outgoing, made.words = outgoing, last_words.get(None)
        return made


def server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """A server's side: a client may show a certificate, and if it does it must be sound.

    Args:
        certificate: the server's, PEM.
        key: the server's, PEM.
        authority: certificate of the consortium's authority, PEM.

    Raises:
        ConfigError: a file is missing or malformed, or the key is not the certificate's.
    """
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _Noted
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0
    _harden(context)
    try:
        context.load_verify_locations(cafile=authority)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError):
        raise ConfigError(
            f"{certificate}, its key or {authority} is missing or malformed",
            remedy="make new ones: fedcredit coordinator renew FOLDER",
        ) from None
    return context


def client_context(
    authority: str, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """A member's side; the server must be the one of the name or address that was called.

    Args:
        authority: certificate of the consortium's authority, PEM.
        certificate: the member's, PEM, if it has one.
        key: to it, PEM.

    Raises:
        ConfigError: one is missing or malformed, or the key is not the certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks the host's name
    _harden(context)
    try:
        context.load_verify_locations(cadata=authority)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError, ValueError):
        raise ConfigError(
            f"{certificate or 'a certificate'} or its key is missing or malformed",
            remedy="join anew: fedcredit node join FOLDER INVITE",
        ) from None
    return context


def reason_of(problem: BaseException) -> str:
    """Why a handshake failed, such as ``certificate has expired``; empty if none did.

    Args:
        problem: an error, whose causes are looked through.
    """
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return seen.verify_message.rstrip(".")
        if isinstance(seen, ssl.SSLError):
            return (seen.reason or "connection ended").lower().replace("_", " ")
        seen = seen.__cause__ or seen.__context__
    return ""


def _harden(context: ssl.SSLContext) -> None:
    """What both sides insist on."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(_PROTOCOLS)
