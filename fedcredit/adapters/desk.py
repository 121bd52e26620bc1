"""The enrolment desk: takes requests for certificates, and hands out what was approved.

It only ever writes that somebody waits, or that a member has left. The key that signs
certificates is used by the operator's own commands (`coordinator_folder`), so the process
that strangers reach cannot let anybody in, whatever they send.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from fedcredit.adapters.coordinator_folder import change_register, read_register
from fedcredit.adapters.institutions import (
    Institution,
    PublicCard,
    ask,
    ask_renewal,
    check_reason,
    of_token,
    revoke,
    stamp,
)
from fedcredit.adapters.notebook import Refusals, note
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError, EnrolmentRefused, PeerError

__all__ = ["REQUEST_LIMIT_BYTES", "Desk"]

REQUEST_LIMIT_BYTES = 32 << 10  # a card is about 4 kB

T = TypeVar("T")

_LOG: Final = logging.getLogger("fedcredit.front")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Joining:
    """A request to be let in."""

    name: str
    token: str
    card: PublicCard


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asking:
    """A question whether one has been let in."""

    name: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renewing:
    """A request for the next certificate."""

    request: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaving:
    """A member's word that it leaves."""

    reason: str


class Desk:
    """Answers one request after the other; its methods wait for the disk.

    Args:
        folder: the coordinator's.
        now: time of day, with a time zone.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder, self._now = folder, now
        self._refusals = Refusals(folder, now)

    def join(self, data: bytes) -> dict[str, object]:
        """Take a request to be let in.

        Args:
            data: a JSON object: name, token, card.

        Raises:
            EnrolmentRefused: see `institutions.ask`.
        """
        with self._noted():
            asked = _read(_Joining, data)
        when = stamp(self._now())
        with self._noted(asked.name):
            register = change_register(
                self._folder, lambda one: ask(one, asked.name, asked.token, asked.card, when)
            )
        return _standing(register.named(asked.name))

    def collect(self, data: bytes) -> dict[str, object]:
        """Say whether one has been let in, and hand the certificate out.

        Args:
            data: a JSON object: name, token.

        Raises:
            EnrolmentRefused: kind ``unknown``.
        """
        with self._noted():
            asked = _read(_Asking, data)
        with self._noted(asked.name):
            return _standing(of_token(read_register(self._folder), asked.name, asked.token))

    def renew(self, name: str, data: bytes) -> dict[str, object]:
        """Take a member's request for the next certificate.

        Args:
            name: as its present certificate has it.
            data: a JSON object: request.

        Raises:
            EnrolmentRefused: it is no member, or the request is malformed.
        """
        with self._noted(name):
            asked = _read(_Renewing, data)
            try:
                register = change_register(
                    self._folder, lambda one: ask_renewal(one, name, asked.request)
                )
            except EnrolmentRefused:
                raise
            except PeerError as problem:
                what, remedy = problem.what, problem.remedy
                raise EnrolmentRefused(what, remedy=remedy, kind="malformed") from None
            return _standing(register.named(name))

    def certificate(self, name: str, _: bytes = b"") -> dict[str, object]:
        """Hand a member's present certificate out.

        Raises:
            ConfigError: nobody has the name.
        """
        return _standing(read_register(self._folder).named(name))

    def leave(self, name: str, data: bytes) -> dict[str, object]:
        """Take a member at its word that it leaves: it is let in no more.

        Args:
            name: as its certificate has it.
            data: a JSON object: reason.

        Raises:
            EnrolmentRefused: it is no member any more, or the request is malformed.
        """
        asked = _read(_Leaving, data)
        try:
            check_reason(asked.reason)
        except ConfigError as problem:
            raise EnrolmentRefused(problem.what, remedy=problem.remedy, kind="malformed") from None
        reason = f": {asked.reason}" if asked.reason else ""
        note(self._folder, f"{stamp(self._now())} {name} leaves the consortium{reason}")
        register = change_register(self._folder, lambda one: revoke(one, name, f"it left{reason}"))
        return _standing(register.named(name))

    @contextmanager
    def _noted(self, name: str = "") -> Iterator[None]:
        """Have it noted if somebody is refused in the block."""
        try:
            yield
        except EnrolmentRefused as problem:
            try:
                self._refusals.add(problem.kind, name)
            except OSError as trouble:
                _LOG.warning("a refusal cannot be noted: %s", trouble.strerror)
            raise


def _standing(found: Institution) -> dict[str, object]:
    """What the asker may know: its own state."""
    return {"state": found.state, "certificate": found.certificate}


def _read(kind: type[T], data: bytes) -> T:
    """A request, strictly."""
    try:
        table = json.loads(data)
        json.dumps(table, ensure_ascii=False).encode()  # an escape can name half a character
        if isinstance(table, dict):
            return build(kind, table, "request")
    except (UnicodeDecodeError, ValueError, RecursionError, ConfigError):
        pass
    raise EnrolmentRefused(
        "the request is malformed",
        remedy="check that both sides run the same version",
        kind="malformed",
    )
