"""What a study has left in its coordinator's journal, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedcredit.adapters.folders import read_agreed
from fedcredit.adapters.journal import DiskJournal
from fedcredit.federation.journal import TurnJournal
from fedcredit.secagg.opening import Opened


def opened_of(place: Path, index: int, retries: int) -> Opened | None:
    """The total of a round, from the coordinator's journal; none if there was none."""
    journal = DiskJournal(place / "journal")
    for attempt in range(retries + 1):
        result = TurnJournal(journal, (index, attempt)).result()
        if result is not None and isinstance(result.outcome, Opened):
            return result.outcome
    return None


def survivors(place: Path) -> list[Sequence[str]]:
    """Whose numbers are in the totals of a study, round by round."""
    _, plan = read_agreed(place)
    found = [opened_of(place, index, plan.retries) for index in range(len(plan.rounds))]
    return [one.survivors for one in found if one is not None]


def taken(place: Path, name: str) -> dict[tuple[int, int], str]:
    """Digests of the answers of an institution that the coordinator has taken."""
    journal, found = DiskJournal(place / "journal"), {}
    for path in (place / "journal").glob("*.result"):
        turn = int(path.name[:4]), int(path.name[5:7])
        result = TurnJournal(journal, turn).result()
        for sender, reply in (result.replies if result else {}).items():
            if sender == name:
                found[turn] = reply
    return found


def aborted(place: Path) -> set[tuple[int, int]]:
    """Turns of a study that ended without a total."""
    turns = {
        (int(one.name[:4]), int(one.name[5:7])) for one in (place / "journal").glob("*.result")
    }
    results = {turn: TurnJournal(DiskJournal(place / "journal"), turn).result() for turn in turns}
    return {turn for turn, one in results.items() if one and not isinstance(one.outcome, Opened)}


def answered(place: Path, turn: tuple[int, int]) -> set[str]:
    """Whose answers came in a turn."""
    result = TurnJournal(DiskJournal(place / "journal"), turn).result()
    return set(result.replies) if result else set()
