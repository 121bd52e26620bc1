"""An entry and its line: the fields of each kind, read back as strictly as they are written.

What follows from an entry (a charge's cost) and from earlier ones (the charge that a release
belongs to) stands in the line too, so that a reader sees it; it is worked out again at every
reading and must be the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Final

from fedcredit.errors import IntegrityError, PrivacyError
from fedcredit.ledger.entries import (
    Approve,
    Audit,
    Burn,
    Charge,
    Close,
    Entry,
    Genesis,
    KeyRotate,
    Note,
    Planned,
    PolicyChange,
    Receipt,
    Refuse,
    Release,
    Sampled,
    Step,
)
from fedcredit.ledger.grammar import INTEGER_LIMIT, Item
from fedcredit.ledger.policy import BudgetPolicy, policy_from_dict
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.costs import WHOSE
from fedcredit.privacy.events import (
    RATE_ONE,
    GaussianSum,
    SampledGaussianSum,
    event_from_dict,
    event_to_dict,
    whole,
)
from fedcredit.privacy.renyi import ORDERS, renyi

__all__ = ["FORMAT", "body_of", "entry_of", "kind_of"]

FORMAT: Final = "fedcredit/ledger/1"
SAMPLER: Final = "discrete-gaussian/1"
_MOST: Final = 1 << 20

_KINDS: Final[Mapping[str, type[Entry]]] = {
    "genesis": Genesis,
    "plan": Planned,
    "approve": Approve,
    "charge": Charge,
    "release": Release,
    "agree": Step,
    "reveal": Step,
    "burn": Burn,
    "refuse": Refuse,
    "policy_change": PolicyChange,
    "key_rotate": KeyRotate,
    "audit": Audit,
    "note": Note,
    "receipt": Receipt,
    "close": Close,
}
_NAMES: Final = {cls: name for name, cls in _KINDS.items() if cls is not Step}


def kind_of(entry: Entry) -> str:
    """What an entry is called in a line."""
    return entry.step if isinstance(entry, Step) else _NAMES[type(entry)]


def body_of(entry: Entry) -> dict[str, Item]:
    """The fields of an entry in a line, with all that follows from the entry alone."""
    body: dict[str, Item] = {"kind": kind_of(entry)}
    for field in fields(entry):
        value = getattr(entry, field.name)
        if isinstance(value, GaussianSum):
            body[field.name] = event_to_dict(value)
        elif isinstance(value, BudgetPolicy):
            body[field.name] = value.to_dict()
        elif isinstance(value, Sampled):
            body[field.name] = {"rates": value.rates, **dict(zip(WHOSE, value.renyi, strict=True))}
        elif field.name not in ("step", "sampled"):
            body[field.name] = value
    if isinstance(entry, Charge):
        body |= {"rho": rho(entry.event), "rho_local": rho_local(entry.event), "sampler": SAMPLER}
        if isinstance(entry.event, SampledGaussianSum):
            costs = {"rho": renyi(entry.event), "rho_local": renyi(entry.event, alone=True)}
            body["renyi"] = dict(costs)
    elif isinstance(entry, Genesis):
        body |= {"format": FORMAT, "unit": "record", "adjacency": "add-remove"}
    return body


def entry_of(line: Mapping[str, object]) -> Entry:
    """The entry of a line; fields that follow from others are not looked at here.

    Raises:
        IntegrityError: it is not the form of an entry.
    """
    try:
        kind = line["kind"]
        cls = _KINDS[str(kind)]
        make: Callable[..., Entry] = cls  # each field is checked by its reader
        own = {
            field.name: kind if field.name == "step" else _reader(cls, field.name)(line[field.name])
            for field in fields(cls)
            if field.name != "sampled" or field.name in line
        }
        return make(**own)
    except (KeyError, TypeError, ValueError, PrivacyError):
        raise IntegrityError(
            "a line of the ledger is not an entry", remedy="restore the ledger from its backup"
        ) from None


def _reader(cls: type[Entry], name: str) -> Callable[[object], object]:
    """Reads a field of a line, by what its name promises, or raises one of several errors."""
    return _SPECIAL.get((cls, name)) or _READERS[name]


def _count(value: object) -> int:
    """A round, an attempt, or a number of institutions."""
    return whole("a count", value, low=0, high=_MOST)


def _cost(value: object) -> int:
    """A cost."""
    return whole("a cost", value, low=0, high=INTEGER_LIMIT)


def _hex(size: int, *, optional: bool = False) -> Callable[[object], object]:
    """A reader of so many bytes of hex."""
    form = f"[0-9a-f]{{{2 * size}}}"
    return _matching(f"({form})?" if optional else form)


def _matching(form: str) -> Callable[[object], object]:
    """A reader of texts of one form."""
    matches = re.compile(form).fullmatch

    def read(value: object) -> object:
        """The text, if it is one."""
        if not isinstance(value, str) or not matches(value):
            raise ValueError
        return value

    return read


def _text(value: object) -> object:
    """A text; its letters are the grammar's business."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _one_of(*words: str) -> Callable[[object], object]:
    """A reader of one of a few words."""

    def read(value: object) -> object:
        """The word."""
        if value not in words:
            raise ValueError
        return value

    return read


def _event(value: object) -> GaussianSum:
    """An event."""
    if not isinstance(value, Mapping):
        raise TypeError
    return event_from_dict(value)


def _sampled(value: object) -> Sampled:
    """Rates and divergences of a plan."""
    if not isinstance(value, Mapping) or value.keys() != {"rates", *WHOSE}:
        raise TypeError
    rates = tuple(whole("a rate", one, low=1, high=RATE_ONE) for one in value["rates"])
    curves = tuple(tuple(map(_cost, value[whose])) for whose in WHOSE)
    if any(len(curve) != len(ORDERS) for curve in curves) or set(rates) <= {RATE_ONE}:
        raise ValueError
    return Sampled(rates, curves)


_READERS: Final[Mapping[str, Callable[[object], object]]] = {
    **dict.fromkeys(("plan", "request", "reply", "transcript", "root", "officer", "key"), _hex(32)),
    **dict.fromkeys(("grant", "proof"), _hex(64)),
    **dict.fromkeys(("old", "second"), _hex(64, optional=True)),
    **dict.fromkeys(
        (
            *("round", "attempt", "institutions", "threshold", "colluders", "rounds", "retries"),
            "survivors",
        ),
        _count,
    ),
    **dict.fromkeys(("rho", "rho_local", "person_rho", "person_rho_local"), _cost),
    **dict.fromkeys(
        ("name", "purpose", "note", "text", "what", "result", "software"),
        _text,
    ),
    "origin": _matching(r"[!-*,-~]{1,200}"),  # the name of a key: no space and no plus
    "institution": _matching(r"[a-z0-9][a-z0-9._-]{0,63}"),  # a folder's name in a bundle
    "noise": _one_of("distributed", "local", "alone"),
    "role": _one_of("institution", "coordinator"),
    "by": _one_of("policy", "officer"),
    "outcome": _one_of("opened", "aborted"),
    "why": _text,
    "event": _event,
    "sampled": _sampled,
    "policy": policy_from_dict,
}

_SPECIAL: Final[Mapping[tuple[type[Entry], str], Callable[[object], object]]] = {
    (PolicyChange, "root"): _hex(64),
    (KeyRotate, "root"): _hex(64, optional=True),
    (Refuse, "why"): _one_of("budget", "policy", "plan"),
}
