"""The coordinator's journal: what it must know to go on with a study after it was killed.

Of each turn it keeps, before it acts on them: the packages that the turn begins with, the
list of survivors that members are to sign, and the signatures that shares are asked with.
Told the same again, a member answers the same again and charges nothing more. So a turn that
was under way ends as it would have ended, and one that had ended is not asked again.

Nothing here is secret: packages and cards are sealed for others, totals were opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np

from fedcredit.codec import Value, decode, encode
from fedcredit.errors import IntegrityError, PeerError
from fedcredit.secagg.lanes import Cards
from fedcredit.secagg.opening import Opened
from fedcredit.secagg.server import Aborted
from fedcredit.secagg.session import Turn
from fedcredit.units import InstitutionId

__all__ = ["ByName", "InMemoryJournal", "Journal", "TurnJournal", "TurnResult"]

ByName: TypeAlias = Mapping[InstitutionId, bytes]
_Read = TypeVar("_Read")


@runtime_checkable
class Journal(Protocol):
    """Where a coordinator keeps what it knows of one study; one writer."""

    def keep(self, name: str, data: bytes) -> None:
        """Keep bytes under a name, in place of what was there; durable on return.

        Raises:
            LocalError: they could not be made durable.
        """
        ...

    def kept(self, name: str) -> bytes:
        """What was kept under a name; empty if nothing ever was."""
        ...


class InMemoryJournal:
    """A journal for a study whose coordinator is not expected to come back."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def keep(self, name: str, data: bytes) -> None:
        """See `Journal`."""
        self._kept[name] = data

    def kept(self, name: str) -> bytes:
        """See `Journal`."""
        return self._kept.get(name, b"")


@dataclass(frozen=True, slots=True, eq=False)
class TurnResult:
    """How a turn ended; all of it is public.

    Attributes:
        outcome: the sum, or why there is none.
        answered: whose masked vectors came.
        troubles: who did not answer, or answered wrongly, each with the reason.
        following: packages for the next round that rode along, by dealer.
        cards: that dealers have sent so far in the session; see `secagg.lanes`.
        transcript: 32 bytes that name the manifest and every upload, as they were signed.
        replies: by sender, `reply_digest` of the exact bytes of each upload that was taken.
    """

    outcome: Opened | Aborted
    answered: tuple[InstitutionId, ...]
    troubles: Mapping[InstitutionId, str]
    following: ByName
    cards: Mapping[InstitutionId, Cards]
    transcript: bytes
    replies: Mapping[InstitutionId, str]


class TurnJournal:
    """The pages of one turn."""

    def __init__(self, journal: Journal, turn: Turn) -> None:
        self._journal = journal
        self._page = f"{turn[0]:04}.{turn[1]:02}"

    def keep_packages(self, packages: ByName, cards: Mapping[InstitutionId, Cards]) -> None:
        """Before the turn's manifest is sent."""
        self._keep_cards(cards)
        self._keep("packages", _plain(packages))

    def packages(self) -> tuple[ByName, Mapping[InstitutionId, Cards]]:
        """The packages that the turn has begun with, and all cards; none if it has not."""
        return self._by_name("packages"), self._cards()

    def keep_survivors(self, survivors: tuple[InstitutionId, ...]) -> None:
        """Before the list is sent."""
        self._keep("survivors", dict.fromkeys(survivors, b""))

    def survivors(self) -> tuple[InstitutionId, ...]:
        """The list that members were asked to sign; empty if they were not."""
        return tuple(sorted(self._by_name("survivors")))

    def keep_signed(self, signed: ByName) -> None:
        """Before shares are asked for."""
        self._keep("signed", _plain(signed))

    def signed(self) -> ByName:
        """What survivors had sent, in answer to the list, when shares were asked for."""
        return self._by_name("signed")

    def keep_result(self, result: TurnResult) -> None:
        """When the turn is over."""
        self._keep_cards(result.cards)
        outcome: Mapping[str, Value]
        if isinstance(result.outcome, Opened):
            outcome = {
                "liars": result.outcome.liars,
                "survivors": result.outcome.survivors,
                "total": result.outcome.total,
            }
        else:
            outcome = {"blamed": result.outcome.blamed, "why": result.outcome.why}
        self._keep(
            "result",
            {
                "answered": result.answered,
                "following": _plain(result.following),
                "outcome": outcome,
                "replies": _plain(result.replies),
                "transcript": result.transcript,
                "troubles": _plain(result.troubles),
            },
        )

    def result(self) -> TurnResult | None:
        """How the turn ended, if it has ended.

        Raises:
            IntegrityError: the page is damaged.
        """
        body = self._read(f"{self._page}.result")
        return None if body is None else _whole(lambda: _result(body, self._cards()))

    def _keep(self, name: str, body: Value) -> None:
        """Write a page."""
        self._journal.keep(f"{self._page}.{name}", encode(body))

    def _keep_cards(self, cards: Mapping[InstitutionId, Cards]) -> None:
        """Write all cards, unless they are there already: they change once in a session."""
        data = encode({name: (one.epoch, one.sealed) for name, one in cards.items()})
        if cards and self._journal.kept("cards") != data:
            self._journal.keep("cards", data)

    def _cards(self) -> Mapping[InstitutionId, Cards]:
        """All cards."""
        body = self._read("cards")
        return {} if body is None else _whole(lambda: _cards(body))

    def _by_name(self, name: str) -> ByName:
        """A page of bytes by name."""
        body = self._read(f"{self._page}.{name}")
        return {} if body is None else _whole(lambda: _bytes_by_name(body))

    def _read(self, name: str) -> Value | None:
        """A page, if it is there."""
        data = self._journal.kept(name)
        return _whole(lambda: decode(data)) if data else None


def _plain(table: Mapping[InstitutionId, bytes] | Mapping[InstitutionId, str]) -> dict[str, Value]:
    """A table by name, as the codec writes it."""
    return {str(name): one for name, one in table.items()}


def _whole(read: Callable[[], _Read]) -> _Read:
    """What a page says, or the error for one that is damaged."""
    try:
        return read()
    except (PeerError, TypeError, ValueError):
        raise IntegrityError(
            "a page of the coordinator's journal is damaged",
            remedy="restore the study's folder from its backup, or start a new study",
        ) from None


def _result(body: Value, cards: Mapping[InstitutionId, Cards]) -> TurnResult:
    """A turn's end as it was written, or one of several errors."""
    match body:
        case {
            "answered": tuple(answered),
            "following": following,
            "outcome": outcome,
            "replies": dict(replies),
            "transcript": bytes(transcript),
            "troubles": dict(troubles),
        }:
            return TurnResult(
                _outcome(outcome),
                _names(answered),
                {InstitutionId(name): str(why) for name, why in troubles.items()},
                _bytes_by_name(following),
                cards,
                transcript,
                {InstitutionId(name): str(reply) for name, reply in replies.items()},
            )
    raise TypeError


def _outcome(body: Value) -> Opened | Aborted:
    """A sum, or why there is none."""
    match body:
        case {"liars": tuple(liars), "survivors": tuple(survivors), "total": total}:
            if not isinstance(total, np.ndarray) or total.dtype != np.int64:
                raise TypeError
            return Opened(total.astype(np.int64), _names(survivors), _names(liars))
        case {"blamed": tuple(blamed), "why": str(why)}:
            return Aborted(why, _names(blamed))
    raise TypeError


def _cards(body: Value) -> Mapping[InstitutionId, Cards]:
    """Cards by dealer."""
    found: dict[InstitutionId, Cards] = {}
    if not isinstance(body, Mapping):
        raise TypeError
    for name, one in body.items():
        match one:
            case (bytes(epoch), bytes(sealed)):
                found[InstitutionId(name)] = Cards(epoch, sealed)
            case _:
                raise TypeError
    return found


def _bytes_by_name(body: Value) -> ByName:
    """Bytes by name."""
    if not isinstance(body, Mapping):
        raise TypeError
    found = {InstitutionId(name): one for name, one in body.items() if isinstance(one, bytes)}
    if len(found) != len(body):
        raise TypeError
    return found


def _names(body: tuple[Value, ...]) -> tuple[InstitutionId, ...]:
    """Names."""
    return tuple(InstitutionId(str(name)) for name in body)
