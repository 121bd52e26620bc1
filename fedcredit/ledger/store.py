"""Where a ledger's bytes are kept: the port, and a store in memory."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["InMemoryStore", "Readable", "Store"]


@runtime_checkable
class Readable(Protocol):
    """The evidence of a ledger, as bytes."""

    def lines(self) -> bytes:
        """All lines, and whatever stands after the last newline."""
        ...

    def notes(self) -> bytes:
        """All checkpoints."""
        ...


@runtime_checkable
class Store(Readable, Protocol):
    """Where a ledger's bytes are; one writer. Everything is durable on return.

    Raises:
        LocalError: something could not be made durable; the store is of no use from then on.
    """

    def append(self, line: bytes) -> None:
        """Add a line."""
        ...

    def note(self, note: bytes) -> None:
        """Add a checkpoint."""
        ...

    def cut(self, lines: int, notes: int) -> None:
        """Set aside what a crash left behind so many bytes of lines, and of checkpoints."""
        ...

    def keep(self, name: str, reply: bytes) -> None:
        """Keep an answer's bytes."""
        ...

    def kept(self, name: str) -> bytes:
        """An answer's bytes; empty if there are none."""
        ...


class InMemoryStore:
    """A store for a simulation, in which nothing outlives the process."""

    def __init__(self) -> None:
        self._lines, self._notes = bytearray(), bytearray()
        self._replies: dict[str, bytes] = {}

    def lines(self) -> bytes:
        """See `Store`."""
        return bytes(self._lines)

    def notes(self) -> bytes:
        """See `Store`."""
        return bytes(self._notes)

    def append(self, line: bytes) -> None:
        """See `Store`."""
        self._lines += line

    def note(self, note: bytes) -> None:
        """See `Store`."""
        self._notes += note

    def cut(self, lines: int, notes: int) -> None:
        """See `Store`."""
        del self._lines[lines:], self._notes[notes:]

    def keep(self, name: str, reply: bytes) -> None:
        """See `Store`."""
        self._replies[name] = reply

    def kept(self, name: str) -> bytes:
        """See `Store`."""
        return self._replies.get(name, b"")
