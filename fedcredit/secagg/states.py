"""A member's states as bytes, for the vault that keeps them: what a crash must not lose.

One vault holds all turns of one session. It never holds what has been revealed: after the
last step of a turn nothing of it is left but its number and the answers to repeat. Lanes
stay as long as the session, without the keys of packages that were dealt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from fedcredit.codec import Value, decode, encode
from fedcredit.errors import IntegrityError, PeerError
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    Revealed,
    State,
)
from fedcredit.secagg.dealing import (
    Dealt,
    SharePair,
)
from fedcredit.secagg.lanes import LANE_BYTES, MOST_STEPS, NO_LANES, Lanes
from fedcredit.secagg.session import Turn, turn_of
from fedcredit.units import InstitutionId

__all__ = ["Holding", "InMemoryVault", "Vault", "decode_holding", "encode_holding"]

MOST_DEALT: Final = 4  # turns that keys are held for: this one, its retry, the next, one more


@runtime_checkable
class Vault(Protocol):
    """Where a member keeps the secrets of one session; one writer."""

    def load(self, session: bytes) -> bytes:
        """What was kept last; empty if nothing ever was."""
        ...

    def keep(self, session: bytes, data: bytes) -> None:
        """Keep this instead; durable on return, and what was there before destroyed.

        Raises:
            LocalError: it could not be made durable.
        """
        ...


class InMemoryVault:
    """A vault for a simulation, in which nothing outlives the process."""

    def __init__(self) -> None:
        self._kept: dict[bytes, bytes] = {}

    def load(self, session: bytes) -> bytes:
        """See `Vault`."""
        return self._kept.get(session, b"")

    def keep(self, session: bytes, data: bytes) -> None:
        """See `Vault`."""
        self._kept[session] = data


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """All that a member holds in one session.

    Attributes:
        states: by turn; keys of turns to come, and the state of the latest one.
        replies: to the steps of the latest turn, by the digest of what was asked.
        lanes: for the next package; all keys of turns to come were dealt by them.
    """

    states: Mapping[Turn, State] = field(default_factory=lambda: MappingProxyType({}))
    replies: Mapping[bytes, bytes] = field(default_factory=lambda: MappingProxyType({}))
    lanes: Lanes = NO_LANES

    def __repr__(self) -> str:
        """Never print a secret."""
        return f"Holding({sorted(self.states)})"

    def dealt(self, state: Dealt, lanes: Lanes) -> Holding:
        """With keys for one turn more, and the lanes as they are after it.

        Beyond the limit the earliest others go; in a new epoch all of them, since their
        cards are gone.
        """
        states = {**self.states, state.turn: state}
        others = sorted(
            turn
            for turn, one in self.states.items()
            if isinstance(one, Dealt) and turn != state.turn
        )
        most = MOST_DEALT - 1 if lanes.epoch == self.lanes.epoch else 0
        for turn in others[: max(0, len(others) - most)]:
            del states[turn]
        return replace(self, states=MappingProxyType(states), lanes=lanes)

    def took(self, turn: Turn, state: State, asked: bytes = b"", reply: bytes = b"") -> Holding:
        """After a step of a turn: whatever was kept of earlier turns is gone."""
        states = {key: one for key, one in self.states.items() if key > turn} | {turn: state}
        same = isinstance(self.states.get(turn), Masked | Agreed | Revealed)
        replies = {**(self.replies if same else {}), asked: reply} if asked else {}
        return Holding(MappingProxyType(states), MappingProxyType(replies), self.lanes)


def encode_holding(holding: Holding) -> bytes:
    """The one byte form; secret."""
    states = tuple(
        (turn[0], turn[1], *_written(state)) for turn, state in sorted(holding.states.items())
    )
    kept = holding.lanes
    lanes = kept.epoch, kept.step, kept.keys, kept.cards
    replies = tuple(sorted(holding.replies.items()))
    return encode({"lanes": lanes, "replies": replies, "states": states})


def decode_holding(data: bytes) -> Holding:
    """Read it back; the inverse of `encode_holding`. Empty bytes hold nothing.

    Raises:
        IntegrityError: the bytes are not what `encode_holding` writes.
    """
    if not data:
        return Holding()
    try:
        holding = _holding(decode(data))
    except (PeerError, TypeError, ValueError):
        holding = Holding()
    if encode_holding(holding) == data:
        return holding
    raise IntegrityError(
        "the vault is damaged",
        remedy="remove it: the turns it holds keys for are lost and stay paid for; the study "
        "goes on with fresh keys",
    )


def _written(state: State) -> tuple[Value, ...]:
    """A state's kind and fields; shares as text of the codec's integers."""
    match state:
        case Dealt():
            return ("dealt", state.secret, state.blind, state.own, state.package)
        case Masked():
            return ("masked", state.context, state.participants, state.shares)
        case Agreed():
            return ("agreed", *_written(state.masked)[1:], state.survivors)
        case Revealed():
            return ("revealed",)


def _holding(body: Value) -> Holding:
    """What a vault's bytes stand for, or one of several errors."""
    match body:
        case {
            "lanes": (bytes(epoch), int(step), bytes(keys), bytes(cards)),
            "replies": tuple(replies),
            "states": tuple(states),
        } if 0 <= step <= MOST_STEPS and len(keys) % LANE_BYTES == 0:
            read = [_read(one) for one in states]
            kept: dict[bytes, bytes] = {}
            for pair in replies:
                match pair:
                    case (bytes(asked), bytes(reply)):
                        kept[asked] = reply
            lanes = Lanes(epoch, step, keys, cards)
            return Holding(MappingProxyType(dict(read)), MappingProxyType(kept), lanes)
    raise TypeError


def _read(one: Value) -> tuple[Turn, State]:
    """A turn and its state from what `_written` wrote, or a TypeError."""
    match one:
        case (index, attempt, "dealt", bytes(secret), bytes(blind), own, bytes(package)):
            turn = turn_of(index, attempt)
            return turn, Dealt(turn, secret, blind, _pair(own), package)
        case (index, attempt, "revealed"):
            turn = turn_of(index, attempt)
            return turn, Revealed(turn)
        case (
            index,
            attempt,
            "masked" | "agreed",
            bytes(context),
            tuple(names),
            tuple(shares),
            *more,
        ):
            turn = turn_of(index, attempt)
            masked = Masked(turn, context, _names(names), tuple(map(_pair, shares)))
            match more:
                case [tuple(survivors)]:
                    return turn, Agreed(masked, _names(survivors))
            return turn, masked
    raise TypeError


def _pair(value: Value) -> SharePair:
    """Two shares."""
    match value:
        case (int(blind), int(secret)):
            return blind, secret
    raise TypeError


def _names(value: tuple[Value, ...]) -> tuple[InstitutionId, ...]:
    """Names of members."""
    return tuple(InstitutionId(name) for name in value if isinstance(name, str))
