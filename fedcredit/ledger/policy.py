"""The budget policy that a ledger is held to: caps, a period, purposes, and witnesses.

A policy is the institution's own. It stands in the ledger's first entry, and changes only
by an entry that the institution's root has signed, and its officer too where more may be
spent than before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from fedcredit.errors import ConfigError, IntegrityError, PrivacyError
from fedcredit.ledger.grammar import INTEGER_LIMIT, Item
from fedcredit.ledger.signatures import COSIGNATURE, read_key
from fedcredit.privacy.budget import Policy
from fedcredit.privacy.events import whole
from fedcredit.units import NanoRho

__all__ = ["BudgetPolicy", "WitnessKey", "gives_more", "policy_from_dict"]

ROLES: Final = ("institution", "coordinator", "regulator")
_MOST_WITNESSES: Final = 64
_PLAIN: Final = re.compile(r"[ -~]{1,256}")


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """Who may cosign.

    Attributes:
        key: verifier key, see `notes`.
        role: ``institution``, ``coordinator`` or ``regulator``.
    """

    key: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPolicy:
    """What may be spent within a period, for what, and before whose eyes.

    Attributes:
        caps: on a record and on a person, distributed and local, over all studies.
        study_rho: most that a record may pay for one study, in 1e-9 rho.
        automatic_rho: a study that can cost at most this needs nobody's approval.
        begins: first day of the period, ``2026-01-01``.
        ends: first day after it.
        purposes: that a study may have; none: any.
        quorum: cosignatures without which nothing is measured and nothing leaves; more than
            half of the witnesses, or none.
        beside_coordinator: how many of them must be by others than a coordinator.
        witnesses: whose cosignatures count.

    Raises:
        PrivacyError: a field is outside its range, or no quorum could ever be had.
    """

    caps: Policy
    study_rho: NanoRho
    automatic_rho: NanoRho
    begins: str
    ends: str
    purposes: tuple[str, ...] = ()
    quorum: int = 0
    beside_coordinator: int = 0
    witnesses: tuple[WitnessKey, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a policy that could not be kept to the letter."""
        for name in ("study_rho", "automatic_rho"):
            whole(name, getattr(self, name), low=0, high=INTEGER_LIMIT)
        for name in ("quorum", "beside_coordinator"):
            whole(name, getattr(self, name), low=0, high=_MOST_WITNESSES)
        for name in ("rho", "rho_local", "person_rho", "person_rho_local"):
            whole(name, getattr(self.caps, f"{name}_cap"), low=0, high=INTEGER_LIMIT)
        if not _is_day(self.begins) or not _is_day(self.ends) or self.begins >= self.ends:
            raise PrivacyError(
                "the period of the policy is not one",
                remedy='write begins and ends as days, such as "2026-01-01" and "2027-01-01"',
            )
        if not all(_PLAIN.fullmatch(one) for one in self.purposes):
            raise PrivacyError(
                "a purpose is not a text of 1 to 256 plain characters",
                remedy="write purposes with plain letters, digits and signs",
            )
        keys = [_public_of(one) for one in self.witnesses]
        others = sum(one.role != "coordinator" for one in self.witnesses)
        if (
            len(keys) > _MOST_WITNESSES
            or len(set(keys)) != len(keys)
            or any(one.role not in ROLES for one in self.witnesses)
            or not 0 <= self.beside_coordinator <= min(self.quorum, others)
            or self.quorum > len(keys)
            # Two quorums have a witness in common, or one ledger could go on in two ways.
            or (self.quorum and 2 * self.quorum <= len(keys))
        ):
            raise PrivacyError(
                f"a quorum of {self.quorum}, {self.beside_coordinator} of them beside "
                f"coordinators, cannot be had from {len(keys)} witnesses",
                remedy="name each witness once, with its role, and more than half as the quorum",
            )

    @property
    def allows_nothing(self) -> bool:
        """Whether nothing at all may be spent, as in a coordinator's ledger."""
        caps = self.caps
        return not any(
            (
                *(caps.rho_cap, caps.rho_local_cap),
                *(caps.person_rho_cap, caps.person_rho_local_cap),
                *(self.study_rho, self.automatic_rho),
            )
        )

    @property
    def watched_by(self) -> frozenset[str]:
        """Public keys of the witnesses, hex."""
        return frozenset(_public_of(one).hex() for one in self.witnesses)

    def covers(self, day: str) -> bool:
        """Whether a day (``2026-11-25``, or a time that begins so) lies in the period."""
        return self.begins <= day[:10] < self.ends

    def to_dict(self) -> dict[str, Item]:
        """The form for a ledger's line."""
        caps = self.caps
        return {
            "automatic_rho": int(self.automatic_rho),
            "begins": self.begins,
            "beside_coordinator": self.beside_coordinator,
            "delta": repr(caps.delta),
            "ends": self.ends,
            "person_rho": int(caps.person_rho_cap),
            "person_rho_local": int(caps.person_rho_local_cap),
            "persons": caps.institutions,
            "purposes": self.purposes,
            "quorum": self.quorum,
            "rho": int(caps.rho_cap),
            "rho_local": int(caps.rho_local_cap),
            "study_rho": int(self.study_rho),
            "witnesses": tuple({"key": one.key, "role": one.role} for one in self.witnesses),
        }


def policy_from_dict(table: object) -> BudgetPolicy:
    """Read a policy back; the inverse of `BudgetPolicy.to_dict`.

    Raises:
        IntegrityError: it is not the form of one.
    """
    try:
        policy = _read(table)
    except (KeyError, TypeError, ValueError, OverflowError, PrivacyError):
        policy = None
    if policy is None or policy.to_dict() != table:
        raise IntegrityError("a policy is not one", remedy="restore the ledger from its backup")
    return policy


def gives_more(old: BudgetPolicy, new: BudgetPolicy) -> bool:
    """Whether more could be spent, or with fewer eyes on it, under the new policy."""
    caps = ("rho_cap", "rho_local_cap", "person_rho_cap", "person_rho_local_cap")
    return (
        any(getattr(new.caps, name) > getattr(old.caps, name) for name in caps)
        or new.caps.delta != old.caps.delta
        or new.caps.institutions < old.caps.institutions
        or new.study_rho > old.study_rho
        or new.automatic_rho > old.automatic_rho
        or new.begins != old.begins
        or (bool(old.purposes) and not set(new.purposes) <= set(old.purposes))
        or (bool(old.purposes) and not new.purposes)
        or new.quorum < old.quorum
        or new.beside_coordinator < old.beside_coordinator
        or new.witnesses != old.witnesses
    )


def _read(table: object) -> BudgetPolicy:
    """The policy of a table, or one of several errors."""
    if not isinstance(table, Mapping):
        raise TypeError
    witnesses, purposes = table["witnesses"], table["purposes"]
    return BudgetPolicy(
        caps=Policy(
            delta=float(table["delta"]),
            rho_cap=table["rho"],
            rho_local_cap=table["rho_local"],
            person_rho_cap=table["person_rho"],
            person_rho_local_cap=table["person_rho_local"],
            institutions=table["persons"],
        ),
        study_rho=table["study_rho"],
        automatic_rho=table["automatic_rho"],
        begins=table["begins"],
        ends=table["ends"],
        purposes=tuple(purposes),
        quorum=table["quorum"],
        beside_coordinator=table["beside_coordinator"],
        witnesses=tuple(WitnessKey(one["key"], one["role"]) for one in witnesses),
    )


def _public_of(witness: WitnessKey) -> bytes:
    """The public key of a witness: one key under two names would count twice."""
    try:
        key = read_key(witness.key)
    except (ConfigError, AttributeError):  # AttributeError: it is no text at all
        key = None
    if key is None or key.kind != COSIGNATURE:
        raise PrivacyError(
            "a witness of the policy has no verifier key of a witness",
            remedy="copy the whole line that the witness publishes: fedcredit witness key",
        )
    return key.public


def _is_day(text: object) -> bool:
    """Whether a text is a day of the calendar."""
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
