"""The coordinator's process: members are let in, and each started study is seen to its end.

One study runs at a time; the others wait their turn. A study is Flower's run, but only as
long as that lasts: if its ServerApp or the SuperLink dies, the same study goes on in another
run from where its journal stands; it is given up only after some minutes of runs that
came to nothing. What a person decides (start, stop) is read from the
studies' states, so a command needs no connection to this process.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from fedcredit.adapters.pauses import Pauses
from fedcredit.adapters.studies import Studies, StudyState
from fedcredit.adapters.system import Clock, SystemClock
from fedcredit.errors import FedCreditError, UnreachableError

__all__ = ["ENDED", "TROUBLE", "Centre", "Runs"]

ENDED: Final = "ended.txt"
"""A file in a study's folder: why the study stopped, by its own rules."""

TROUBLE: Final = "trouble.txt"
"""A file there: why its last run came to nothing; the next may not."""

_MOST_FAILURES: Final = 10  # runs in a row that ended with nothing, before a study is given up
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 180.0  # 1 + 2 + ... + 128 + 180 s: an outage may last so long
_LOG: Final = logging.getLogger("fedcredit.coordinator")


@runtime_checkable
class Runs(Protocol):
    """Flower's runs and nodes; see `superlink.SuperLink`."""

    def register(self, name: str, public_key: str) -> None:
        """Let a node in."""
        ...

    def unregister(self, name: str) -> None:
        """Let a node in no longer."""
        ...

    def run(self, config: Mapping[str, str]) -> int:
        """Start a run."""
        ...

    def over(self, number: int) -> bool:
        """Whether a run is over; one that nobody knows any more is."""
        ...

    def stop(self, number: int) -> bool:
        """End a run."""
        ...


class Centre:
    """What the coordinator does all day, one look after the other."""

    def __init__(self, studies: Studies, runs: Runs, clock: Clock | None = None) -> None:
        """Set up.

        Args:
            studies: the coordinator's.
            runs: Flower's.
            clock: to wait by after a run that came to nothing; by default the machine's.
        """
        self._clock = clock or SystemClock()
        self._studies, self._runs = studies, runs
        self._keys: dict[str, str] = {}
        self._under_way: tuple[str, int] | None = None
        self._failures: dict[str, int] = {}
        self._pauses: dict[str, Pauses] = {}
        self._due: dict[str, float] = {}

    @property
    def busy(self) -> bool:
        """Whether a run is under way; its program has the ledger."""
        return self._under_way is not None

    def admit(self, keys: Mapping[str, str]) -> None:
        """Let in the nodes of all members, and no others.

        Args:
            keys: public node keys by institution, of members that are not revoked.

        Raises:
            UnreachableError: the SuperLink does not answer; tried again at the next look.
        """
        for name in sorted(set(self._keys) - set(keys)):
            self._runs.unregister(name)
            del self._keys[name]
        for name, key in keys.items():
            if self._keys.get(name) != key:
                if name in self._keys:
                    self._runs.unregister(name)
                self._runs.register(name, key)
                self._keys[name] = key

    def look(self) -> None:
        """One look: end what is over, go on with what was begun, begin what waits."""
        states = self._studies.all()
        if self._under_way is not None:
            self._tend(*self._under_way, states)
        if self._under_way is None:
            for study in states:
                if study.state == "started" and self._clock.now() >= self._due.get(study.id, 0.0):
                    self._begin(study)
                    return

    def _begin(self, study: StudyState) -> None:
        """Start a run for a study, or see that it is over."""
        place = self._studies.place(study)
        if (place / "run").is_dir():
            self._studies.move(study, "done")
            return
        if (place / ENDED).exists():
            self._studies.move(study, "stopped", (place / ENDED).read_text("utf-8").strip())
            return
        if self._failures.get(study.id, 0) >= _MOST_FAILURES:
            self._studies.move(study, "stopped", f"its runs came to nothing: {_trouble(place)}")
            return
        try:
            number = self._runs.run({"folder": str(place.resolve())})
        except UnreachableError as problem:
            _LOG.warning("study %s waits: %s", study.id, problem.what)
            return
        _LOG.info("study %s runs as Flower's run %d", study.id, number)
        self._under_way = study.id, number

    def _tend(self, name: str, number: int, states: Iterable[StudyState]) -> None:
        """See whether the run under way is over, or should be."""
        study = next((one for one in states if one.id == name), None)
        if study is None or study.state != "started":
            self._end(number)
            return
        if not self._runs.over(number):
            return
        self._under_way = None
        place = self._studies.place(study)
        if (place / "run").is_dir() or (place / ENDED).exists():
            self._failures.pop(name, None)
            self._begin(study)
            return
        self._failures[name] = self._failures.get(name, 0) + 1
        pauses = self._pauses.setdefault(name, Pauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S))
        self._due[name] = self._clock.now() + pauses.next()
        _LOG.warning("study %s lost its run (%s); it goes on soon", name, _trouble(place))

    def _end(self, number: int) -> None:
        """A person has stopped the study."""
        try:
            self._runs.stop(number)
        except FedCreditError as problem:
            _LOG.info("the run of a stopped study: %s", problem.what)
        self._under_way = None


def _trouble(place: Path) -> str:
    """Why the last run came to nothing, as far as it has said."""
    try:
        return (place / TROUBLE).read_text("utf-8").strip()
    except OSError:
        return "its program ended without a word"
