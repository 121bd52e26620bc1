"""What is on its way in a story, what its coordinator has seen, and what its members have done."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from fedcredit.secagg.messages import Receipt
from fedcredit.secagg.session import Turn
from fedcredit.units import InstitutionId

Step: TypeAlias = tuple[str, int, int]
RINGS: Final = (16, 24, 32, 64)
COORDINATOR: Final = InstitutionId("")


@dataclass(frozen=True)
class Letter:
    """A message on its way: to a member, or from one (as the receiver is told) to the desk."""

    to: InstitutionId
    sender: InstitutionId
    data: bytes


@dataclass
class Seen:
    """What a coordinator that reads everything has seen."""

    packages: dict[Turn, dict[InstitutionId, bytes]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    receipts: dict[bytes, dict[InstitutionId, Receipt]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    agreed: dict[tuple[bytes, tuple[InstitutionId, ...]], dict[InstitutionId, bytes]] = field(
        default_factory=lambda: defaultdict(dict)
    )


@dataclass
class Broken:
    """What a member has done in a turn: each of these sets may hold so much and no more."""

    masked: set[bytes] = field(default_factory=set)
    signed: set[tuple[InstitutionId, ...]] = field(default_factory=set)
    revealed: set[tuple[InstitutionId, int]] = field(default_factory=set)
