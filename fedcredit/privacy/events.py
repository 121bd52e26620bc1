"""Privacy events: what was done to the data, as frozen facts that an auditor can add up later.

The constitution of this file, because ledgers outlive the code that wrote them:

* a kind of event is never removed and never re-defined;
* a parameter is never removed, renamed or given another meaning;
* a parameter may be added, and what older lines did is then its stated default;
* an event holds integers and short ASCII names only, so that its canonical form
  has one spelling on every machine and no cost is ever derived from a float.

An event is public: nothing in it depends on a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fedcredit.errors import PrivacyError

__all__ = [
    "MAX_DIM",
    "MAX_HONEST",
    "MAX_SENSITIVITY_SQUARED",
    "MAX_VARIANCE",
    "MIN_VARIANCE",
    "PARTS",
    "RATE_ONE",
    "GaussianSum",
    "Part",
    "SampledGaussianSum",
    "event_from_dict",
    "event_to_dict",
    "whole",
]

Part: TypeAlias = Literal["train", "held-out"]
PARTS: Final[tuple[Part, ...]] = ("train", "held-out")

MIN_VARIANCE: Final = 16  # sd 4: below it a sum of discrete Gaussians is not close to one
MAX_VARIANCE: Final = 2**40  # the sampler's products are exact in 64 bits up to here
MAX_SENSITIVITY_SQUARED: Final = 2**52  # every integer of an event is exact in JSON (2^53)
MAX_DIM: Final = 2**32
MAX_HONEST: Final = 2**20
RATE_ONE: Final = 2**20  # parts of a sampling rate: a rate is drawn exactly from random bits

_LONGEST_NAME: Final = 64


def whole(name: str, value: object, *, low: int, high: int) -> int:
    """Return ``value`` if it is an integer from ``low`` to ``high``, and refuse all else.

    Floats, bools and numpy scalars are refused: a cost must not depend on how a
    number was rounded, and ``True`` is not a variance. The message shows a value
    only when it is an integer, since every integer handed in here is public.

    Args:
        name: the public name of the number, as a reader knows it.
        value: the number to check.
        low: smallest integer allowed.
        high: largest integer allowed.

    Returns:
        The same integer.

    Raises:
        PrivacyError: ``value`` is no plain integer, or lies outside the range.

    >>> whole("variance", 16, low=16, high=2**40)
    16
    """
    remedy = f"give {name} as an integer from {low} to {high}"
    if type(value) is not int:
        raise PrivacyError(f"{name} is a {type(value).__name__}, expected int", remedy=remedy)
    if not low <= value <= high:
        size = value if value.bit_length() < 128 else f"{value.bit_length()} bits long"
        raise PrivacyError(f"{name} is {size}, expected {low} to {high}", remedy=remedy)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianSum:
    """One sum of bounded integer rows, released with discrete Gaussian noise.

    Attributes:
        name: what was summed, e.g. ``"scorecard/1 histograms"``; printable ASCII.
        part: ``"train"`` or ``"held-out"``: which records the sum is over. The two
            parts share no record.
        dim: numbers in the sum.
        sensitivity_squared: largest squared l2 change of the sum when one record is
            added or removed, in grid steps squared.
        variance: variance of one institution's own noise per number, in grid steps squared.
        honest: institutions whose noise the distributed claim rests on (t - c);
            1 when each institution's noise stands alone.

    Raises:
        PrivacyError: a field is of another type or outside its range.
    """

    name: str
    part: Part
    dim: int
    sensitivity_squared: int
    variance: int
    honest: int

    def __post_init__(self) -> None:
        """Refuse what no ledger could hold or no sampler could draw."""
        _check_name(self.name)
        if self.part not in PARTS:
            raise PrivacyError(
                "part is neither 'train' nor 'held-out'",
                remedy="name the part of the records that the sum is over",
            )
        whole("dim", self.dim, low=1, high=MAX_DIM)
        whole("sensitivity_squared", self.sensitivity_squared, low=1, high=MAX_SENSITIVITY_SQUARED)
        whole("variance", self.variance, low=MIN_VARIANCE, high=MAX_VARIANCE)
        whole("honest", self.honest, low=1, high=MAX_HONEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampledGaussianSum(GaussianSum):
    """A `GaussianSum` over a secret sample of the part's records, drawn anew for this event.

    Every record of the part is in the sample with the same public probability,
    independently of all others and of every earlier sample (Poisson sampling), so the
    size of the sample is random. Its privacy rests on the sample as on the noise: nobody
    but the institution may know who is in it, nor how many, neither the coordinator nor
    another institution, and it is never drawn from a public seed.

    Whoever takes it for the `GaussianSum` that it extends overstates what it costs.

    Attributes:
        rate: the probability in parts of 2^-20, 1 to 2^20 - 1.

    Raises:
        PrivacyError: a field is of another type or outside its range.
    """

    rate: int

    def __post_init__(self) -> None:
        """Refuse what `GaussianSum` refuses, and a sample of none or all."""
        GaussianSum.__post_init__(self)
        whole("rate", self.rate, low=1, high=RATE_ONE - 1)


_KINDS: Final[Mapping[str, type[GaussianSum]]] = {
    "gaussian-sum": GaussianSum,
    "sampled-gaussian-sum": SampledGaussianSum,
}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


def event_to_dict(event: GaussianSum) -> dict[str, int | str]:
    """Return the canonical form of an event for a ledger line: integers and strings only.

    >>> event = GaussianSum(
    ...     name="bins", part="train", dim=8, sensitivity_squared=23, variance=900, honest=7
    ... )
    >>> event_from_dict(event_to_dict(event)) == event
    True
    """
    found: dict[str, int | str] = {
        "dim": event.dim,
        "event": _NAMES[type(event)],
        "honest": event.honest,
        "name": event.name,
        "part": event.part,
    }
    if isinstance(event, SampledGaussianSum):
        found["rate"] = event.rate
    return found | {
        "sensitivity_squared": event.sensitivity_squared,
        "variance": event.variance,
    }


def event_from_dict(record: Mapping[str, object]) -> GaussianSum:
    """Read an event back, strictly: every key known, none missing, every value in range.

    Args:
        record: the canonical form, as `event_to_dict` writes it.

    Returns:
        The event.

    Raises:
        PrivacyError: another kind of event, another set of keys, or a value of
            another type or outside its range.
    """
    name = record.get("event")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise PrivacyError(
            f"the event is of none of the kinds {', '.join(_KINDS)}",
            remedy="read it with the version of fedcredit that knows this kind",
        )
    fields = {key: value for key, value in record.items() if key != "event"}
    known = set(kind.__dataclass_fields__)
    if set(fields) != known:
        raise PrivacyError(
            f"the event has {len(set(fields) - known)} unknown keys "
            f"and lacks {len(known - set(fields))}",
            remedy=f"write exactly the keys {', '.join(sorted(known))} and event",
        )
    make: Callable[..., GaussianSum] = kind
    return make(**fields)  # each is checked by the event itself


def _check_name(name: object) -> None:
    """Refuse a name that a ledger line could not hold as it stands."""
    if type(name) is not str or not 1 <= len(name) <= _LONGEST_NAME:
        raise PrivacyError(
            f"an event's name is not a text of 1 to {_LONGEST_NAME} characters",
            remedy="name the query, e.g. 'scorecard/1 histograms'",
        )
    if not (name.isascii() and name.isprintable()):
        raise PrivacyError(
            "an event's name holds characters beyond printable ASCII",
            remedy="spell the name with plain letters, digits and signs",
        )
