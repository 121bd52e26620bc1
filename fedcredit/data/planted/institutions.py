"""The six made-up institutions: how large they are, whom they attract, and what they can see.

They are unlike each other on purpose. A model that one of them trains alone
knows its own kind of customer; most customers without a credit history are with
the telco, the utility and the shop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fedcredit.data.planted.consumers import ALTERNATIVE_BLOCKS

__all__ = ["PROFILES", "Book", "Profile", "Taste"]


@dataclass(frozen=True, slots=True)
class Taste:
    """Whom an institution attracts: log-odds for one unit of a trait, about two deviations of it.

    Attributes:
        ability: to earn.
        stability: to stay.
        discipline: to pay in time.
        age: 15 years of it; of people only.
    """

    ability: float
    stability: float
    discipline: float
    age: float


@dataclass(frozen=True, slots=True)
class Book:
    """What an institution has lent to one kind of client.

    Attributes:
        records: how many at scale 1.
        thin_share: share of them without a credit history.
        intercept: the institution's own log-odds of good, where no column adds anything.
    """

    records: int
    thin_share: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Profile:
    """An institution before anything is drawn.

    Attributes:
        name: the institution.
        kind: "bank", "telco", "utility" or "shop".
        taste: whom it attracts.
        coverage: share of its clients of whom it has an alternative block, by block: all of them
            in its own business, elsewhere those who consented.
        books: what it has lent, by table: "consumer" and "sme".
    """

    name: str
    kind: str
    taste: Taste
    coverage: Mapping[str, float]
    books: Mapping[str, Book]


def _profile(
    name: str, kind: str, taste: Taste, coverage: tuple[float, ...], consumer: Book, sme: Book
) -> Profile:
    """A profile, with coverage in the order of ``ALTERNATIVE_BLOCKS``."""
    shares = dict(zip(ALTERNATIVE_BLOCKS, coverage, strict=True))
    books = {"consumer": consumer, "sme": sme}
    return Profile(name, kind, taste, MappingProxyType(shares), MappingProxyType(books))


PROFILES: Final = (
    _profile(
        "north-bank", "bank", Taste(0.9, 0.8, 0.3, 0.3), (0.55, 0.6, 0.6),
        Book(42_000, 0.08, 2.1), Book(4_200, 0.15, 2.9),
    ),
    _profile(
        "south-bank", "bank", Taste(0.0, 0.4, 0.0, 0.0), (0.5, 0.65, 0.55),
        Book(26_000, 0.12, 2.15), Book(2_600, 0.2, 2.8),
    ),
    _profile(
        "direct-bank", "bank", Taste(0.9, -0.5, 0.0, -0.6), (0.85, 0.5, 0.75),
        Book(14_000, 0.15, 2.15), Book(1_400, 0.2, 2.6),
    ),
    _profile(
        "telco", "telco", Taste(0.0, -0.5, 0.0, -0.4), (0.6, 0.55, 1.0),
        Book(18_000, 0.55, 2.25), Book(1_500, 0.4, 2.7),
    ),
    _profile(
        "utility", "utility", Taste(-0.2, 0.5, 0.0, 0.3), (0.45, 1.0, 0.65),
        Book(12_000, 0.45, 2.2), Book(1_300, 0.4, 2.8),
    ),
    _profile(
        "shop", "shop", Taste(-0.8, -0.4, -0.6, -0.3), (1.0, 0.45, 0.7),
        Book(8_000, 0.6, 2.35), Book(1_000, 0.5, 2.7),
    ),
)  # fmt: skip
