"""An institution's book: what it writes down before it acts, and what follows from that.

A charge is durable before anything is measured, a release before anything is sent. So
whatever crashes, the book never holds less than what may have left the institution: a
charge without a release is a burn, and its cost stays. Nothing is ever given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from fedcredit.codec import digest
from fedcredit.errors import IntegrityError, LocalError, PrivacyError
from fedcredit.privacy.budget import NOTHING_SPENT, Spent
from fedcredit.privacy.events import GaussianSum, event_from_dict, event_to_dict, whole

__all__ = [
    "Book",
    "Charge",
    "Entry",
    "InMemoryBook",
    "Release",
    "Standing",
    "Turn",
    "check_entry",
    "entry_from_dict",
    "entry_to_dict",
    "reply_digest",
    "standing_of",
]

Turn: TypeAlias = tuple[int, int]  # round and attempt, each from 0

_MOST: int = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """The budget was charged for one turn of one plan.

    Attributes:
        plan: digest of the plan, hex.
        round: index of the round.
        attempt: of that round.
        request: `messages.request_digest` of the question, hex.
        event: what is done to the records, and so what it costs.
    """

    plan: str
    round: int
    attempt: int
    request: str
    event: GaussianSum

    @property
    def turn(self) -> Turn:
        """Round and attempt."""
        return self.round, self.attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The answer of one turn of one plan is fixed, and may leave.

    Attributes:
        plan: digest of the plan, hex.
        round: index of the round.
        attempt: of that round.
        reply: `reply_digest` of the exact bytes, hex.
    """

    plan: str
    round: int
    attempt: int
    reply: str

    @property
    def turn(self) -> Turn:
        """Round and attempt."""
        return self.round, self.attempt


Entry: TypeAlias = Charge | Release


@runtime_checkable
class Book(Protocol):
    """Where an institution writes; one writer, one request at a time."""

    def entries(self) -> tuple[Entry, ...]:
        """All that is written, in order."""
        ...

    def charge(self, entry: Charge) -> None:
        """Write a charge; durable on return.

        Raises:
            LocalError: it could not be made durable, or the turn has been charged before.
        """
        ...

    def release(self, entry: Release, reply: bytes) -> None:
        """Write a release and keep its bytes; both durable on return.

        Raises:
            LocalError: they could not be made durable, or the turn is not open.
        """
        ...

    def reply(self, entry: Release) -> bytes:
        """The very bytes of a release.

        Raises:
            IntegrityError: they are not what was released.
        """
        ...


class InMemoryBook:
    """A book for a simulation, in which nothing outlives the process.

    >>> InMemoryBook().entries()
    ()
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._replies: dict[str, bytes] = {}

    def entries(self) -> tuple[Entry, ...]:
        """See `Book`."""
        return tuple(self._entries)

    def charge(self, entry: Charge) -> None:
        """See `Book`."""
        check_entry(self._entries, entry)
        self._entries.append(entry)

    def release(self, entry: Release, reply: bytes) -> None:
        """See `Book`."""
        check_entry(self._entries, entry)
        self._replies[entry.reply] = reply
        self._entries.append(entry)

    def reply(self, entry: Release) -> bytes:
        """See `Book`."""
        return self._replies[entry.reply]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an institution stands, by its book.

    Attributes:
        spent: by all studies.
        charges: of one plan, by turn.
        releases: of that plan, by turn.
    """

    spent: Spent
    charges: Mapping[Turn, Charge]
    releases: Mapping[Turn, Release]

    @property
    def last(self) -> Turn:
        """The latest turn that was charged; before the first one, a turn before all."""
        return max(self.charges, default=(-1, 0))

    def retries_used(self, turn: Turn) -> int:
        """Retries that the coordinator has used if it asks for ``turn`` now."""
        attempts: dict[int, int] = {}
        for index, attempt in (*self.charges, turn):
            attempts[index] = max(attempt, attempts.get(index, 0))
        return sum(attempts.values())


def standing_of(entries: Iterable[Entry], plan: str) -> Standing:
    """Add up a book.

    Args:
        entries: all of it.
        plan: digest of the plan whose turns are wanted, hex.

    Returns:
        The standing; what is spent is what all plans have been charged.
    """
    spent = NOTHING_SPENT
    charges: dict[Turn, Charge] = {}
    releases: dict[Turn, Release] = {}
    for entry in entries:
        if isinstance(entry, Charge):
            spent = spent.charged(entry.event)
            if entry.plan == plan:
                charges[entry.turn] = entry
        elif entry.plan == plan:
            releases[entry.turn] = entry
    return Standing(spent, charges, releases)


def reply_digest(data: bytes) -> str:
    """Name the exact bytes of an answer, hex."""
    return digest("fedcredit/reply/1", data).hex()


def check_entry(entries: Iterable[Entry], entry: Entry) -> None:
    """Refuse what no book may hold: a turn charged twice, or a release that is not open.

    Raises:
        LocalError: the entry does not follow from those before it.
    """
    kinds = [type(one) for one in entries if (one.plan, one.turn) == (entry.plan, entry.turn)]
    expected: list[type[Entry]] = [] if isinstance(entry, Charge) else [Charge]
    if kinds != expected:
        raise LocalError(
            f"a {type(entry).__name__.lower()} of round {entry.round + 1}, attempt "
            f"{entry.attempt} does not follow from the book",
            remedy="charge a turn once, release it once, and answer one request at a time",
        )


def entry_to_dict(entry: Entry) -> dict[str, object]:
    """The form of an entry for a line of JSON: text, integers and one level below."""
    line: dict[str, object] = {
        "attempt": entry.attempt,
        "entry": type(entry).__name__.lower(),
        "plan": entry.plan,
        "round": entry.round,
    }
    if isinstance(entry, Charge):
        return line | {"event": event_to_dict(entry.event), "request": entry.request}
    return line | {"reply": entry.reply}


def entry_from_dict(line: Mapping[str, object]) -> Entry:
    """Read an entry back; the inverse of `entry_to_dict`.

    Raises:
        IntegrityError: it is not the form of an entry.
    """
    try:
        return _read(line)
    except (KeyError, TypeError, ValueError, PrivacyError):
        raise IntegrityError(
            "a line of the book is not an entry", remedy="restore the book from its backup"
        ) from None


def _read(line: Mapping[str, object]) -> Entry:
    """The entry of a line, or one of several errors."""
    plan, attempt = _hex(line["plan"]), whole("attempt", line["attempt"], low=0, high=_MOST)
    index = whole("round", line["round"], low=0, high=_MOST)
    if line["entry"] == "charge":
        event = line["event"]
        if not isinstance(event, Mapping):
            raise TypeError
        entry: Entry = Charge(
            plan=plan,
            round=index,
            attempt=attempt,
            request=_hex(line["request"]),
            event=event_from_dict(event),
        )
    else:
        entry = Release(plan=plan, round=index, attempt=attempt, reply=_hex(line["reply"]))
    if entry_to_dict(entry) != line:
        raise ValueError
    return entry


def _hex(value: object) -> str:
    """A digest."""
    if not isinstance(value, str) or bytes.fromhex(value).hex() != value or len(value) != 64:
        raise ValueError
    return value
