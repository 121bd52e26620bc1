"""The way to a coordinator, walked step by step: its name, its port, TLS, its answer, its clock.

Each step is looked at only if the one before is well, so that one fault is named once. All
connections are opened here and closed again; nothing is sent but one request for the list of
studies.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from fedcredit.adapters.finding import Finding, of_error
from fedcredit.adapters.tls import client_context, reason_of
from fedcredit.errors import ConfigError

__all__ = ["CLOCK_S", "Resolve", "Way", "system_resolve", "walk"]

CLOCK_S: Final = 60
"""Seconds that two clocks may differ by. Certificates count from five minutes before their
making, and people read the times in two ledgers side by side."""

_PATH: Final = "/v1/studies"
_PROBE: Final = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_HTTP_2: Final = b"\x04\x00\x00\x00\x00\x00"  # type, flags and stream of the first frame: SETTINGS
_CLEAR: Final = ("wrong version number", "http request", "record layer failure", "")
"""Words of OpenSSL's for an answer that is none of TLS; empty where the other side hung up."""

Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
"""Addresses of a name and port; raises ``OSError`` where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where a coordinator is, and how it is told from others.

    Attributes:
        url: ``https://fed.example.org:8443``.
        authority: certificate of the consortium's authority, PEM.
        member: file with the institution's key and certificate; none for a coordinator that
            looks at its own front.
        wait_s: for each step.
    """

    url: str
    authority: str
    member: Path | None = None
    wait_s: float = 5.0

    @property
    def host(self) -> str:
        """The name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port."""
        return urlsplit(self.url).port or 443


def system_resolve(host: str, port: int) -> list[str]:
    """Addresses as this machine finds them: ``/etc/hosts``, then DNS.

    >>> system_resolve("127.0.0.1", 443)
    ['127.0.0.1']
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def walk(way: Way, resolve: Resolve, now: Callable[[], datetime]) -> list[Finding]:
    """Walk to a coordinator, as far as it goes.

    Args:
        way: where it is.
        resolve: finds addresses.
        now: this machine's time of day, with a time zone.

    Returns:
        A finding for each step; the last one may be a fault, the others are well.
    """
    try:
        addresses = resolve(way.host, way.port)
    except OSError:
        addresses = []
    if not addresses:
        what = f"the name {way.host} cannot be resolved on this machine"
        do = "have it put into DNS, or into /etc/hosts; or is it misspelt in coordinator.json?"
        return [_lost("name", what, do)]
    steps = [Finding(check="name", ok=True, what=f"{way.host} is at {', '.join(addresses)}")]
    address, why = _open(addresses, way)
    if not address:
        do = "have the coordinator started, and the port opened in every firewall between"
        return [*steps, _lost("port", why, do)]
    there = f"{address}:{way.port}"
    steps.append(Finding(check="port", ok=True, what=f"{there} takes connections"))
    try:
        context = client_context(way.authority, way.member, way.member)
    except ConfigError as problem:
        return [*steps, of_error("tls", problem)]
    try:
        with (
            closing(socket.create_connection((address, way.port), way.wait_s)) as plain,
            context.wrap_socket(plain, server_hostname=way.host) as tls,
        ):
            trusted = f"{there} speaks {tls.version()} and shows a certificate of the consortium"
            steps.append(Finding(check="tls", ok=True, what=trusted))
            return [*steps, *_ask(tls, way, now)]
    except OSError as problem:  # an SSLError is one
        return [*steps, _handshake(problem, address, way)]


def _open(addresses: Sequence[str], way: Way) -> tuple[str, str]:
    """The first address that takes a connection; or none, and why."""
    why = ""
    for address in addresses:
        there = f"{address}:{way.port}"
        try:
            socket.create_connection((address, way.port), way.wait_s).close()
        except ConnectionRefusedError:
            why = f"nothing listens at {there}: the connection was refused"
        except TimeoutError:
            why = f"{there} does not answer within {way.wait_s:g} s: a firewall, or nobody there"
        except OSError as problem:
            why = f"there is no way to {there}: {problem.strerror}"
        else:
            return address, ""
    return "", why


def _handshake(problem: OSError, address: str, way: Way) -> Finding:
    """Why TLS was not agreed on."""
    there, why = f"{address}:{way.port}", reason_of(problem)
    if isinstance(problem, ssl.SSLCertVerificationError):
        return _lost("tls", *_distrust(problem, there, way.host))
    if why in _CLEAR and _is_clear(address, way):
        return _lost(
            "tls",
            f"{there} speaks clear text, and not TLS",
            "name the port of the coordinator's front; nothing in between may take TLS off",
        )
    return _lost(
        "tls",
        f"{there} does not agree on TLS 1.3: {why or 'it broke the connection off'}",
        "have whatever stands in front of the coordinator pass TLS through unopened",
    )


def _distrust(problem: ssl.SSLCertVerificationError, there: str, host: str) -> tuple[str, str]:
    """What is wrong with a server's certificate, and what to do."""
    why = reason_of(problem).lower()
    if "expired" in why:
        return (
            f"the certificate of {there} has ended",
            "have its operator renew it: fedcredit coordinator renew FOLDER; or mend the clock",
        )
    if "not yet valid" in why:
        return f"the certificate of {there} does not count yet", "mend this machine's clock"
    if "mismatch" in why or "not valid for" in why:
        return (
            f"the certificate of {there} is not for the name {host}",
            "have its operator put the name into coordinator.toml, and renew",
        )
    return (
        f"the certificate of {there} is not of our consortium's authority: {why}",
        "exempt it from TLS inspection; where there is none, telephone the coordinator",
    )


def _is_clear(address: str, way: Way) -> bool:
    """Whether an answer comes in clear text, of HTTP/1 or HTTP/2."""
    with (
        suppress(OSError),
        closing(socket.create_connection((address, way.port), way.wait_s)) as plain,
    ):
        plain.settimeout(way.wait_s)
        plain.sendall(_PROBE)
        head = plain.recv(16)
        return head.startswith(b"HTTP/") or head[3:9] == _HTTP_2
    return False


def _ask(tls: ssl.SSLSocket, way: Way, now: Callable[[], datetime]) -> list[Finding]:
    """Ask for the studies, as a node does: whether we are let in, and whose clock is wrong."""
    host = f"[{way.host}]" if ":" in way.host else way.host
    request = f"GET {_PATH} HTTP/1.1\r\nHost: {host}:{way.port}\r\nConnection: close\r\n\r\n"
    try:
        tls.sendall(request.encode("ascii"))
        response = HTTPResponse(tls)
        response.begin()
        status, date = response.status, response.headers.get("date", "")
        response.close()
    except ssl.SSLError as problem:  # TLS 1.3 judges a client after the server's handshake
        return [
            Finding(
                check="membership",
                ok=False,
                what=f"the coordinator refuses this node's certificate: {reason_of(problem)}",
                do="telephone the coordinator; a new one is got by fedcredit node renew",
            )
        ]
    except (OSError, HTTPException, UnicodeError):
        what = f"{way.host}:{way.port} gives no answer that is HTTP"
        return [_lost("membership", what, "is it the coordinator's front that listens there?")]
    return [_membership(status, way.member is not None), *_clock(date, now())]


def _membership(status: int, shown: bool) -> Finding:  # noqa: FBT001 - one of two cases
    """What the front thinks of us."""
    if not shown:
        ok = status == 401
        what = "the front asks strangers for a certificate" if ok else f"the front says {status}"
        return Finding(check="membership", ok=ok, what=what, do="" if ok else "look at its log")
    if status == 200:
        return Finding(check="membership", ok=True, what="the coordinator lets this node in")
    return Finding(
        check="membership",
        ok=False,
        what=f"the coordinator does not let this node in: status {status}",
        do="telephone it: the certificate may be revoked, or it is of nobody in its register",
    )


def _clock(date: str, now: datetime) -> list[Finding]:
    """Our clock against the coordinator's, whose seconds are whole."""
    try:
        theirs = parsedate_to_datetime(date).astimezone(UTC)
    except (TypeError, ValueError):
        what = "the coordinator does not say what time it is"
        return [Finding(check="clock", ok=True, what=what, do="compare the clocks by hand")]
    ahead = round((now - theirs).total_seconds())
    if abs(ahead) <= CLOCK_S:
        what = f"this machine's clock is within {CLOCK_S} s of the coordinator's"
        return [Finding(check="clock", ok=True, what=what)]
    what = f"this machine's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'}"
    do = "set both clocks by NTP: certificates and witnesses go by the time of day"
    return [Finding(check="clock", ok=False, what=f"{what} the coordinator's", do=do)]


def _lost(check: str, what: str, do: str) -> Finding:
    """A fault that keeps us from the coordinator."""
    return Finding(check=check, ok=False, what=what, do=do, unreachable=True)
