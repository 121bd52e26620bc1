"""The operating system's randomness and clocks."""

from __future__ import annotations

import re

from fedcredit.adapters.system import Clock, SystemClock, system_random, utc_now
from fedcredit.privacy.noise import RandomBytes


def test_random_bytes_are_as_many_as_asked_and_never_the_same() -> None:
    assert isinstance(system_random, RandomBytes)
    assert [len(system_random(count)) for count in (0, 1, 1000)] == [0, 1, 1000]
    assert len({system_random(16) for _ in range(1000)}) == 1000


def test_a_clock_goes_forward_by_what_was_waited() -> None:
    clock = SystemClock()
    assert isinstance(clock, Clock)
    before = clock.now()
    clock.wait(0.01)
    assert clock.now() >= before + 0.01


def test_the_time_of_day_is_in_utc() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", utc_now())
