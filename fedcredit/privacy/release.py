"""The one exit: a bounded sum leaves this file with its noise, or it does not leave.

Only `fedcredit.federation.institution` may import this module, and it does so
after the charge for the event has been made durable.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcredit.errors import PrivacyError
from fedcredit.privacy.events import GaussianSum
from fedcredit.privacy.noise import RandomBytes, discrete_gaussian
from fedcredit.privacy.sums import BoundedSum
from fedcredit.units import Ints

__all__ = ["NoisySum", "release"]


@dataclass(frozen=True, slots=True, eq=False)
class NoisySum:
    """One institution's sum with its noise: public from here on.

    Attributes:
        value: int64, shape ``(event.dim,)``, in grid steps.
        event: what was done, and so what it cost.
    """

    value: Ints
    event: GaussianSum


def release(total: BoundedSum, event: GaussianSum, source: RandomBytes) -> NoisySum:
    """Add the event's noise to a sum.

    Guarantee: the result is ``total.value`` plus independent draws of N_Z(0, event.variance),
    modulo 2^64; no record can move ``total.value`` by more than the event says.

    Args:
        total: the exact sum, shape ``(event.dim,)``.
        event: the charged event.
        source: secret random bytes, never used before and never to be used again.

    Returns:
        The noisy sum with its event.

    Raises:
        PrivacyError: the sum is of another length than the event says, or one record could
            move it further; nothing was drawn.
    """
    if total.value.size != event.dim:
        raise PrivacyError(
            f"the sum has {total.value.size} numbers, the event charges for {event.dim}",
            remedy="charge for the query that is measured",
        )
    if total.sensitivity_squared > event.sensitivity_squared:
        raise PrivacyError(
            f"one record can move the sum by {total.sensitivity_squared} (squared), "
            f"the event charges for {event.sensitivity_squared}",
            remedy="charge for the sensitivity of the query that is measured",
        )
    return NoisySum(total.value + discrete_gaussian(event.variance, event.dim, source), event)
