"""What leaves is the sum with the noise that was charged for, or nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import GaussianSum
from fedcredit.privacy.noise import discrete_gaussian
from fedcredit.privacy.release import NoisySum, release
from fedcredit.privacy.sums import BoundedSum

EVENT = GaussianSum(
    name="bins", part="train", dim=3, sensitivity_squared=23, variance=900, honest=7
)
TOTAL = BoundedSum(np.array([10, -20, 30]), sensitivity_squared=23)


def fixed(count: int) -> bytes:
    return hashlib.shake_256(count.to_bytes(8, "little")).digest(count)


def test_a_release_is_the_sum_plus_one_institution_s_noise() -> None:
    released = release(TOTAL, EVENT, fixed)

    assert isinstance(released, NoisySum)
    assert released.event == EVENT
    noise = discrete_gaussian(900, 3, fixed)
    assert released.value.tolist() == (TOTAL.value + noise).tolist()
    assert TOTAL.value.tolist() == [10, -20, 30], "a sum is never written to"


def test_a_charge_for_more_than_the_sum_needs_is_allowed() -> None:
    release(TOTAL, replace(EVENT, sensitivity_squared=24), fixed)


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (replace(EVENT, sensitivity_squared=22), "one record can move the sum by 23"),
        (replace(EVENT, dim=4), "the sum has 3 numbers"),
        (replace(EVENT, dim=2), "the sum has 3 numbers"),
    ],
)
def test_a_sum_that_the_event_does_not_cover_is_refused_before_any_draw(
    event: GaussianSum, what: str
) -> None:
    def never(_count: int) -> bytes:
        pytest.fail("noise was drawn for a release that was refused")

    with pytest.raises(PrivacyError, match=what):
        release(TOTAL, event, never)


def test_a_failing_source_releases_nothing() -> None:
    with pytest.raises(PrivacyError, match="random source"):
        release(TOTAL, EVENT, lambda count: bytes(count - 1))


def test_a_sum_at_the_edge_of_64_bits_wraps_and_does_not_fail() -> None:
    """An overflow error would tell that the sum is large."""
    edge = BoundedSum(np.full(3, 2**63 - 1), sensitivity_squared=1)

    released = release(edge, EVENT, fixed)

    noise = discrete_gaussian(900, 3, fixed)
    wrapped = [(2**63 - 1 + int(k) + 2**63) % 2**64 - 2**63 for k in noise]
    assert released.value.tolist() == wrapped
