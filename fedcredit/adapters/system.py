"""The operating system's randomness and clocks: the one file that asks for either."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

__all__ = [
    "Clock",
    "StandingClock",
    "SystemClock",
    "no_sync",
    "system_random",
    "unix_time",
    "utc_moment",
    "utc_now",
]


@runtime_checkable
class Clock(Protocol):
    """A clock to wait by."""

    def now(self) -> float:
        """Seconds since some fixed moment; never runs backwards."""
        ...

    def wait(self, seconds: float) -> None:
        """Return after so many seconds."""
        ...


class SystemClock:
    """The machine's own monotonic clock."""

    def now(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """See `Clock`."""
        time.sleep(seconds)


class StandingClock:
    """Time that passes only when somebody waits: a lost message costs nobody a minute."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """See `Clock`."""
        return self._now

    def wait(self, seconds: float) -> None:
        """See `Clock`."""
        self._now += seconds


def system_random(count: int) -> bytes:
    """Random bytes of the operating system's cryptographic generator.

    >>> len(system_random(8))
    8
    """
    return os.urandom(count)


def utc_now() -> str:
    """The time of day for people, such as ``2026-01-31T12:00:00Z``; nothing is ordered by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_moment() -> datetime:
    """The time of day in UTC, for certificates."""
    return datetime.now(UTC)


def unix_time() -> int:
    """Whole seconds since 1970, UTC, for what a witness signs.

    >>> unix_time() > 1_700_000_000
    True
    """
    return int(time.time())


def no_sync(file: int) -> None:
    """Force nothing to the disk: for what may be lost with the machine."""
    del file
