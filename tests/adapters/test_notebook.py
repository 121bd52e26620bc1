"""What waits for the coordinator's ledger, and how little of it strangers can cause."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from fedcredit.adapters.coordinator_folder import invite_institution
from fedcredit.adapters.desk import Desk
from fedcredit.adapters.ledgers import Copy, open_ledger, read_chain
from fedcredit.adapters.notebook import (
    AN_HOUR,
    MOST_BYTES,
    NOTES,
    Refusals,
    later,
    note,
    put_notes,
    write_notes,
)
from fedcredit.adapters.policies import read_coordinator
from fedcredit.adapters.system import system_random
from fedcredit.errors import ConfigError, EnrolmentRefused, LocalError, UnreachableError
from fedcredit.ledger.entries import Note
from tests.adapters.enrolled import Consortium
from tests.adapters.founded import found_centre

NOW = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)


@dataclass
class Hours:
    """A time of day that stands, and what is to be done later."""

    now: datetime = NOW
    due: list[Callable[[], None]] = field(default_factory=list)

    def moment(self) -> datetime:
        return self.now

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        assert seconds == 3600
        self.due.append(act)

    def pass_one(self) -> None:
        self.now += timedelta(hours=1)
        due, self.due = self.due, []
        for act in due:
            act()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = Consortium(tmp_path).found().folder
    found_centre(found)
    return found


def waiting(folder: Path) -> list[str]:
    path = folder / NOTES
    return path.read_text("ascii").splitlines() if path.exists() else []


def written(folder: Path) -> list[str]:
    entries = [one.entry for one in read_chain(folder / "ledger").written]
    return [one.text for one in entries if isinstance(one, Note)]


def test_notes_are_taken_over_in_their_order_and_struck_out(folder: Path) -> None:
    assert not write_notes(folder)
    for text in ("first", "second"):
        note(folder, text)
    assert write_notes(folder)
    assert written(folder) == ["first", "second"]
    assert waiting(folder) == []
    note(folder, "third")
    assert write_notes(folder)
    assert written(folder) == ["first", "second", "third"]
    assert Copy(folder / "ledger").lines().count(b"\n") == 4, "and they are signed for"


def test_what_a_crash_left_waiting_is_not_written_twice(folder: Path) -> None:
    """The ledger had it, and the line was not struck out; another was cut short."""
    note(folder, "first")
    write_notes(folder)
    with (folder / NOTES).open("ab") as file:
        file.write(b"first\nsecond\nhal")
    write_notes(folder)
    assert written(folder) == ["first", "second"]
    assert waiting(folder) == ["hal"]


def test_what_is_noted_meanwhile_waits_for_the_next_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(folder, "first")
    with open_ledger(folder, read_coordinator(folder / "policy.toml")) as ledger:
        monkeypatch.setattr(ledger, "settle", lambda: note(folder, "second"))
        put_notes(folder, ledger)
    assert waiting(folder) == ["second"]


def test_notes_wait_while_a_study_has_the_ledger_or_witnesses_are_away(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note(folder, "first")
    with open_ledger(folder, read_coordinator(folder / "policy.toml")) as ledger:
        with pytest.raises(LocalError, match="open in another process"):
            write_notes(folder)

        def away() -> None:
            raise UnreachableError("no witness", remedy="wait")

        monkeypatch.setattr(ledger, "settle", away)
        with pytest.raises(UnreachableError):
            put_notes(folder, ledger)
    assert waiting(folder) == ["first"]
    write_notes(folder)
    assert (waiting(folder), written(folder)) == ([], ["first"])


def test_a_coordinator_without_a_ledger_says_so(tmp_path: Path) -> None:
    folder = Consortium(tmp_path).found().folder
    note(folder, "first")
    with pytest.raises(ConfigError):
        write_notes(folder)
    assert waiting(folder) == ["first"]


def test_of_many_refusals_a_few_are_noted_and_then_how_many_more(folder: Path) -> None:
    hours = Hours()
    refusals = Refusals(folder, hours.moment, hours.later)
    for _ in range(1000):
        refusals.add("unknown")
    assert waiting(folder) == ["2026-11-25T18:00:00Z an enrolment was refused: unknown"] * AN_HOUR
    hours.pass_one()
    assert waiting(folder)[AN_HOUR:] == [
        "2026-11-25T18:00:00Z within an hour 995 more enrolments were refused"
    ]
    hours.pass_one()
    refusals.add("used")
    hours.pass_one()
    assert waiting(folder)[AN_HOUR + 1 :] == [
        "2026-11-25T20:00:00Z an enrolment was refused: used"
    ], "and nothing of an hour with few"


def test_a_stranger_cannot_fill_the_disk(folder: Path) -> None:
    """A year of it, and nobody takes the notes over."""
    hours = Hours()
    refusals = Refusals(folder, hours.moment, hours.later)
    for _ in range(24 * 365):
        for _ in range(AN_HOUR):
            refusals.add("unknown", "x" * 30_000)
        hours.pass_one()
        if (folder / NOTES).stat().st_size >= MOST_BYTES:
            break
    assert (folder / NOTES).stat().st_size < MOST_BYTES + 200
    for _ in range(100):
        refusals.add("unknown")
    assert (folder / NOTES).stat().st_size < MOST_BYTES + 200
    note(folder, "a member leaves")
    assert waiting(folder)[-1] == "a member leaves"


def test_the_desk_notes_whom_it_refuses_by_names_that_it_knows(folder: Path) -> None:
    invite_institution(folder, "bank", "institution", timedelta(days=1), NOW, system_random)
    desk = Desk(folder, lambda: NOW)
    asked = [b'{"name": "bank", "token": "x"}', b'{"name": "a stranger\\n", "token": "x"}', b"{"]
    for data in asked:
        with pytest.raises(EnrolmentRefused):
            desk.collect(data)
    with pytest.raises(EnrolmentRefused):
        desk.join(b"{}")
    with pytest.raises(EnrolmentRefused):
        desk.renew("bank", b'{"request": "none"}')
    assert [one.partition("refused: ")[2] for one in waiting(folder)] == [
        "unknown, in the name of bank",
        "unknown",
        "malformed",
        "malformed",
        "state, in the name of bank",
    ]


def test_a_refusal_that_cannot_be_noted_is_still_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fedcredit.adapters.notebook.note", full)
    with pytest.raises(EnrolmentRefused):
        Desk(folder, lambda: NOW).join(b"{}")
    hours = Hours()
    refusals = Refusals(folder, hours.moment, hours.later)
    for _ in range(AN_HOUR + 1):
        with suppress(OSError):
            refusals.add("unknown")
    hours.pass_one()
    assert caplog.text.count("No space left on device") == 2


def test_later_is_on_another_thread() -> None:
    done = Event()
    later(0.0, done.set)
    assert done.wait(10)
