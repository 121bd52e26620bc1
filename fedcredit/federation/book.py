"""An institution's book: what it writes down before it acts, and what follows from that.

A charge is durable before anything is measured, a release before anything is sent. So
whatever crashes, the book never holds less than what may have left the institution: a
charge without a release is a burn, and its cost stays. Nothing is ever given back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

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
    "Step",
    "StepName",
    "Turn",
    "check_entry",
    "entry_from_dict",
    "entry_to_dict",
    "reply_digest",
    "standing_of",
]

Turn: TypeAlias = tuple[int, int]  # round and attempt, each from 0
StepName: TypeAlias = Literal["agree", "reveal"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A later step of a turn was taken, and will not be taken again.

    The secrets that it took are elsewhere, in the vault. Should an older vault be put back,
    this entry is still here: what was signed or revealed once is not signed or revealed
    another way.

    Attributes:
        plan: digest of the plan, hex.
        round: index of the round.
        attempt: of that round.
        step: ``agree``: survivors were signed; ``reveal``: shares were revealed.
        request: `messages.request_digest` of what was asked, hex.
        reply: `reply_digest` of the exact bytes, hex.
    """

    plan: str
    round: int
    attempt: int
    step: StepName
    request: str
    reply: str

    @property
    def turn(self) -> Turn:
        """Round and attempt."""
        return self.round, self.attempt


Entry: TypeAlias = Charge | Release | Step


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

    def step(self, entry: Step) -> None:
        """Write a step; durable on return.

        Raises:
            LocalError: it could not be made durable, or the turn is not open for it.
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

    def step(self, entry: Step) -> None:
        """See `Book`."""
        check_entry(self._entries, entry)
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
        steps: of that plan, by turn and name.
    """

    spent: Spent
    charges: Mapping[Turn, Charge]
    releases: Mapping[Turn, Release]
    steps: Mapping[tuple[Turn, StepName], Step]

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
    steps: dict[tuple[Turn, StepName], Step] = {}
    for entry in entries:
        if isinstance(entry, Charge):
            spent = spent.charged(entry.event)
            if entry.plan == plan:
                charges[entry.turn] = entry
        elif entry.plan == plan and isinstance(entry, Release):
            releases[entry.turn] = entry
        elif entry.plan == plan and isinstance(entry, Step):
            steps[entry.turn, entry.step] = entry
    return Standing(spent, charges, releases, steps)


def reply_digest(data: bytes) -> str:
    """Name the exact bytes of an answer, hex."""
    return digest("fedcredit/reply/1", data).hex()


def check_entry(entries: Iterable[Entry], entry: Entry) -> None:
    """Refuse what no book may hold: a turn charged twice, or a step out of order.

    Raises:
        LocalError: the entry does not follow from those before it.
    """
    before = [_kind(one) for one in entries if (one.plan, one.turn) == (entry.plan, entry.turn)]
    if before not in _FOLLOWS[_kind(entry)]:
        raise LocalError(
            f"a {_kind(entry)} of round {entry.round + 1}, attempt "
            f"{entry.attempt} does not follow from the book",
            remedy="charge a turn once, release it once, and answer one request at a time",
        )


def entry_to_dict(entry: Entry) -> dict[str, object]:
    """The form of an entry for a line of JSON: text, integers and one level below."""
    line: dict[str, object] = {
        "attempt": entry.attempt,
        "entry": _kind(entry),
        "plan": entry.plan,
        "round": entry.round,
    }
    if isinstance(entry, Charge):
        return line | {"event": event_to_dict(entry.event), "request": entry.request}
    if isinstance(entry, Step):
        return line | {"reply": entry.reply, "request": entry.request}
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


_FOLLOWS: Mapping[str, list[list[str]]] = {
    "charge": [[]],
    "release": [["charge"]],
    "agree": [["charge", "release"]],
    "reveal": [["charge", "release"], ["charge", "release", "agree"]],
}


def _kind(entry: Entry) -> str:
    """What an entry is, in a line."""
    return entry.step if isinstance(entry, Step) else type(entry).__name__.lower()


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
    elif line["entry"] in ("agree", "reveal"):
        entry = Step(
            plan=plan,
            round=index,
            attempt=attempt,
            step=line["entry"],
            request=_hex(line["request"]),
            reply=_hex(line["reply"]),
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
