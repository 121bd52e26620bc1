"""How long to wait before the next try: longer each time, up to a limit."""

from __future__ import annotations

__all__ = ["Pauses"]


class Pauses:
    """Pauses that double until they are as long as they may be.

    >>> pauses = Pauses(0.5, 3.0)
    >>> [pauses.next() for _ in range(5)]
    [0.5, 1.0, 2.0, 3.0, 3.0]
    >>> pauses.restart()
    >>> pauses.next()
    0.5
    """

    def __init__(self, first_s: float, most_s: float) -> None:
        """Set up pauses.

        Args:
            first_s: seconds of the first one.
            most_s: seconds of the longest.
        """
        self._first_s, self._most_s = first_s, most_s
        self._next_s = first_s

    def next(self) -> float:
        """Seconds of the next pause."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._most_s)
        return pause_s

    def restart(self) -> None:
        """Begin again, since something has worked."""
        self._next_s = self._first_s
