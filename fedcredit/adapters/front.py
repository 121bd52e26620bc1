"""The front: the one port of a coordinator that the outside reaches.

    /v1/fleet/...     byte for byte to Flower's SuperLink, for a member with its own node key
    /enrol/...        the enrolment desk, for strangers too, within limits
    other prefixes    an app that the caller gives, told which member asks
    anything else     404, whoever asks: Flower's control, runtime and documentation above all

A path is taken as it stands or not at all: one with a dot segment, an escape or an empty
segment is nobody's, so no two readers can differ about it. The same holds for a request whose
length two readers could see differently. No body is kept in memory as a whole, but for
requests to the desk; none is ever logged.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Final, cast

from fedcredit.adapters.asgi import (
    App,
    Gone,
    Headers,
    Message,
    Receive,
    Refused,
    Scope,
    Send,
    answer,
    declared_bytes,
    is_ambiguous,
    refuse,
    too_large,
    whole_body,
)
from fedcredit.adapters.coordinator_folder import AUTHORITY
from fedcredit.adapters.desk import REQUEST_LIMIT_BYTES, Desk
from fedcredit.adapters.gate import Gate, Worth
from fedcredit.adapters.institutions import Institution
from fedcredit.adapters.listener import CERTIFICATE, Listener, ListenerLimits
from fedcredit.adapters.passing import Fleet, shows_key
from fedcredit.adapters.pki import pem_of, read_certificate
from fedcredit.adapters.system import Clock, SystemClock, utc_moment
from fedcredit.adapters.tls import client_context, server_context
from fedcredit.errors import ConfigError, EnrolmentRefused

__all__ = [
    "INSTITUTION",
    "ROLE",
    "FrontLimits",
    "SuperLinkPlace",
    "front",
    "open_front",
    "superlink_in",
]

INSTITUTION: Final = "fedcredit.institution"
"""Key of a scope: the name of the member that asks."""
ROLE: Final = "fedcredit.role"
"""Key of a scope: its role, ``institution`` or ``auditor``."""

_LOG: Final = logging.getLogger("fedcredit.front")
_PLAIN: Final = re.compile(rb"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+").fullmatch
_FLEET: Final = b"/v1/fleet/"
_ENROL: Final = b"/enrol/"
_NO_MEMBER: Final[Mapping[Worth, tuple[int, str, str, str]]] = {
    "stranger": (
        401,
        "no-certificate",
        "there is no certificate of an institution",
        "join first: fedcredit node join FOLDER INVITE",
    ),
    "revoked": (403, "revoked", "the certificate has been revoked", "telephone the coordinator"),
    "ended": (
        403,
        "ended",
        "the certificate has ended, or does not count yet",
        "check the clock; telephone the coordinator for a new invitation",
    ),
    "unknown": (
        403,
        "unknown",
        "the certificate is of nobody in the register",
        "telephone the coordinator",
    ),
}
_STATUS: Final = {"malformed": 400, "unknown": 403, "expired": 403, "used": 409, "taken": 409}
_ADDRESSES: Final = 4096  # whose requests are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class SuperLinkPlace:
    """Where Flower's SuperLink answers.

    Attributes:
        url: on this machine, ``https://127.0.0.1:9092``.
        tls: what it must show, see `tls.client_context`.
    """

    url: str
    tls: ssl.SSLContext


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontLimits:
    """How much and how long.

    Attributes:
        fleet_bytes: of one request to Flower: it sends objects one by one.
        app_bytes: of one request to another app.
        exchange_s: for a request and its answer together.
        enrol_s: the same at the desk.
        enrol_a_minute: requests to the desk from one address.
        enrol_at_once: from all; those beyond wait.
    """

    fleet_bytes: int = 64 << 20
    app_bytes: int = 16 << 20
    exchange_s: float = 120.0
    enrol_s: float = 10.0
    enrol_a_minute: int = 120
    enrol_at_once: int = 4


_LIMITS: Final = FrontLimits()
_TIMES: Final = ListenerLimits()
_NO_APPS: Final[Mapping[str, App]] = {}


@asynccontextmanager
async def front(
    folder: Path,
    superlink: SuperLinkPlace,
    now: Callable[[], datetime],
    clock: Clock,
    apps: Mapping[str, App] = _NO_APPS,
    limits: FrontLimits = _LIMITS,
) -> AsyncIterator[App]:
    """The front of the coordinator in a folder, for `Listener`.

    Args:
        folder: see `coordinator_folder`.
        superlink: where requests to Flower go.
        now: time of day, with a time zone.
        clock: to count requests by.
        apps: by prefix, ``/v1/studies``; each is told `INSTITUTION` and `ROLE`.
        limits: see there.

    Raises:
        ConfigError: a file is missing or malformed.
    """
    gate, desk = Gate(folder, now), Desk(folder, now)
    async with Fleet(superlink.url, superlink.tls, limits.fleet_bytes) as fleet:
        yield _dated(_Front(gate, desk, fleet, apps, clock, limits), now)


def open_front(
    folder: Path,
    superlink: SuperLinkPlace,
    host: str,
    port: int,
    *,
    now: Callable[[], datetime] = utc_moment,
    apps: Mapping[str, App] = _NO_APPS,
    limits: FrontLimits = _LIMITS,
    times: ListenerLimits = _TIMES,
) -> Listener:
    """The front of the coordinator in a folder, behind its TLS listener; to be opened and closed.

    Args:
        folder: see `coordinator_folder`.
        superlink: see `superlink_in`.
        host: address to listen on, ``0.0.0.0`` for all.
        port: 0 for any that is free.
        now: time of day, with a time zone.
        apps: see `front`.
        limits: see there.
        times: see there.

    Raises:
        ConfigError: a file is missing or malformed, or the address cannot be had.
    """
    context = server_context(
        folder / "pki/server.pem", folder / "pki/server.key", folder / AUTHORITY
    )

    def lifetime() -> AbstractAsyncContextManager[App]:
        """A fresh app, in the listener's own loop."""
        return front(folder, superlink, now, SystemClock(), apps, limits)

    return Listener(lifetime, context, host, port, times)


def superlink_in(folder: Path, url: str) -> SuperLinkPlace:
    """Flower's SuperLink on this machine, which shows the certificate of a coordinator's folder.

    Args:
        folder: see `coordinator_folder`.
        url: ``https://127.0.0.1:9092``.

    Raises:
        ConfigError: a file is missing or malformed.
    """
    authority = pem_of(read_certificate((folder / AUTHORITY).read_bytes())).decode()
    return SuperLinkPlace(url=url, tls=client_context(authority))


class _Front:
    """The app; see the module."""

    def __init__(
        self,
        gate: Gate,
        desk: Desk,
        fleet: Fleet,
        apps: Mapping[str, App],
        clock: Clock,
        limits: FrontLimits,
    ) -> None:
        self._gate, self._desk, self._fleet, self._limits = gate, desk, fleet, limits
        self._apps = {prefix.encode("ascii"): app for prefix, app in apps.items()}
        self._at_desk = asyncio.Semaphore(limits.enrol_at_once)
        self._turnstile = _Turnstile(clock, limits.enrol_a_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, within its time."""
        started = False

        async def sending(message: Message) -> None:
            """Note that an answer has begun: from then on it can only be broken off."""
            nonlocal started
            started = True
            await send(message)

        path = cast("bytes", scope.get("raw_path", b""))
        time_s = self._limits.enrol_s if path.startswith(_ENROL) else self._limits.exchange_s
        try:
            async with asyncio.timeout(time_s):
                return await self._route(scope, path, receive, sending)
        except Gone:
            return None
        except TimeoutError:
            refused = Refused(408, "late", f"a request has {time_s:g} seconds", "try again")
        except Refused as problem:
            refused = problem
        except EnrolmentRefused as problem:
            status = _STATUS.get(problem.kind, 403)
            refused = Refused(status, problem.kind, problem.what, problem.remedy)
        except Exception as fault:  # noqa: BLE001 - its text could hold a body
            _LOG.error("a request failed with %s", type(fault).__name__)
            refused = Refused(500, "fault", "the coordinator cannot answer", "telephone it")
        if not started:
            await refuse(send, refused)
        return None  # an answer that has begun and is not complete ends its connection

    async def _route(self, scope: Scope, path: bytes, receive: Receive, send: Send) -> None:
        """Whose request it is."""
        if is_ambiguous(scope):
            raise Refused(400, "ambiguous", "the length is ambiguous", "send one Content-Length")
        if not _PLAIN(path):
            raise _not_found()
        if path.startswith(_ENROL):
            return await self._enrol(scope, path.removeprefix(_ENROL), receive, send)
        if path.startswith(_FLEET):
            member = self._member(scope)
            if member.role != "institution" or not shows_key(scope, member.card.node):
                _LOG.info("a request was refused: %r shows another's node key", member.name)
                raise Refused(
                    403,
                    "key",
                    "this is not the node key of an institution with this certificate",
                    "start the node with keys/node.key of its own folder",
                )
            return await self._fleet(scope, path, receive, send)
        for prefix, app in self._apps.items():
            if path == prefix or path.startswith(prefix + b"/"):
                return await self._to_app(app, scope, receive, send)
        raise _not_found()

    async def _to_app(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """To another app, for a member, which is named."""
        member, limit, taken = self._member(scope), self._limits.app_bytes, 0
        if declared_bytes(scope) > limit:
            raise too_large(limit)

        async def counted() -> Message:
            """The next piece of a body that is not too long."""
            nonlocal taken
            message = await receive()
            taken += len(cast("bytes", message.get("body", b"")))
            if taken > limit:
                raise too_large(limit)
            return message

        await app({**scope, INSTITUTION: member.name, ROLE: member.role}, counted, send)

    async def _enrol(self, scope: Scope, step: bytes, receive: Receive, send: Send) -> None:
        """At the desk: who is there, and what it wants."""
        client = cast("tuple[str, int] | None", scope.get("client"))
        if not self._turnstile.lets(client[0] if client else ""):
            raise Refused(429, "too-many", "too many requests from one address", "wait a minute")
        call: Callable[[bytes], dict[str, object]]
        match scope["method"], step:
            case "POST", b"request":
                call = self._desk.join
            case "POST", b"poll":
                call = self._desk.collect
            case "POST", b"renew":
                call = partial(self._desk.renew, self._member(scope).name)
            case "POST", b"leave":
                call = partial(self._desk.leave, self._member(scope).name)
            case "POST", b"certificate":
                call = partial(self._desk.certificate, self._member(scope).name)
            case _:
                raise _not_found()
        if declared_bytes(scope) > REQUEST_LIMIT_BYTES:
            raise too_large(REQUEST_LIMIT_BYTES)
        data = await whole_body(receive, REQUEST_LIMIT_BYTES)
        async with self._at_desk:
            table = await asyncio.to_thread(call, data)
        await answer(send, 200, table)

    def _member(self, scope: Scope) -> Institution:
        """The member that asks."""
        try:
            standing = self._gate.standing(cast("bytes", scope.get(CERTIFICATE, b"")))
        except ConfigError as problem:
            _LOG.error("%s", problem.what)
            raise Refused(
                503, "closed", "the coordinator lets nobody in now", "telephone it"
            ) from None
        if standing.worth != "member":
            _LOG.info("a request was refused: %r is %s", standing.name, standing.worth)
            raise Refused(*_NO_MEMBER[standing.worth])
        return standing.institution[0]


def _dated(app: App, now: Callable[[], datetime]) -> App:
    """The same app, saying what time it is here, so that members can tell whose clock is wrong.

    An answer of Flower's has a date already (RFC 9110, section 6.6.1).
    """

    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def sending(message: Message) -> None:
            """Add the date to the head of an answer."""
            if message["type"] == "http.response.start":
                headers = cast("Headers", message.get("headers", []))
                if all(name.lower() != b"date" for name, _ in headers):
                    stamped = format_datetime(now().astimezone(UTC), usegmt=True)
                    message = {**message, "headers": [*headers, (b"date", stamped.encode())]}
            await send(message)

        await app(scope, receive, sending)

    return dated


class _Turnstile:
    """Counts requests by address, a minute at a time."""

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock, self._most = clock, most
        self._minute, self._counts = -1, dict[str, int]()

    def lets(self, address: str) -> bool:
        """Count one more, and say whether it is not too many."""
        minute = int(self._clock.now() // 60)
        if minute != self._minute:
            self._minute, self._counts = minute, {}
        if address not in self._counts and len(self._counts) >= _ADDRESSES:
            address = ""  # the rest share one count
        self._counts[address] = self._counts.get(address, 0) + 1
        return self._counts[address] <= self._most


def _not_found() -> Refused:
    """There is nothing here, for anybody."""
    return Refused(404, "not-found", "there is no such path", "look at the documentation")
