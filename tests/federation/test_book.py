"""The book: what must hold wherever it is kept."""

from __future__ import annotations

import json

import pytest

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.federation.book import (
    Book,
    Charge,
    Entry,
    InMemoryBook,
    Release,
    Step,
    StepName,
    entry_from_dict,
    entry_to_dict,
    reply_digest,
    standing_of,
)
from fedcredit.privacy.accounting import rho, rho_local
from fedcredit.privacy.events import GaussianSum

PLAN, OTHER = "aa" * 32, "bb" * 32


def event(part: str = "train") -> GaussianSum:
    return GaussianSum(
        name="counting/1 first",
        part="train" if part == "train" else "held-out",
        dim=3,
        sensitivity_squared=5,
        variance=900,
        honest=4,
    )


def charge(index: int = 0, attempt: int = 0, plan: str = PLAN, part: str = "train") -> Charge:
    return Charge(plan=plan, round=index, attempt=attempt, request="cc" * 32, event=event(part))


def release(reply: bytes, index: int = 0, attempt: int = 0, plan: str = PLAN) -> Release:
    return Release(plan=plan, round=index, attempt=attempt, reply=reply_digest(reply))


def step(name: StepName, index: int = 0, attempt: int = 0, plan: str = PLAN) -> Step:
    return Step(
        plan=plan, round=index, attempt=attempt, step=name, request="dd" * 32, reply="ee" * 32
    )


def write(book: Book, entry: Entry) -> None:
    match entry:
        case Charge():
            book.charge(entry)
        case Release():
            book.release(entry, b"one")
        case Step():
            book.step(entry)


ONE = release(b"one")
ORDERS: tuple[tuple[Entry, ...], ...] = (
    (charge(), ONE, step("agree"), step("reveal")),
    (charge(), ONE, step("reveal")),
    (charge(), ONE, step("agree"), charge(1)),
    (charge(), ONE, charge(1), step("reveal")),
)
OUT_OF_ORDER: tuple[tuple[Entry, ...], ...] = (
    (step("agree"),),
    (step("reveal"),),
    (charge(), step("agree")),
    (charge(), step("reveal")),
    (charge(), ONE, step("agree"), step("agree")),
    (charge(), ONE, step("reveal"), step("reveal")),
    (charge(), ONE, step("reveal"), step("agree")),
    (charge(), ONE, step("agree"), ONE),
    (charge(), ONE, step("agree"), step("reveal"), charge()),
    (charge(), ONE, step("agree", plan=OTHER)),
    (charge(), ONE, step("reveal", attempt=1)),
)


class BookContract:
    """What every book keeps; a test of a book inherits it and has a fixture ``book``."""

    def test_what_is_written_is_read_in_order(self, book: Book) -> None:
        book.charge(charge(0))
        book.release(release(b"one"), b"one")
        book.charge(charge(1))
        assert book.entries() == (charge(0), release(b"one"), charge(1))

    def test_a_reply_comes_back_byte_for_byte(self, book: Book) -> None:
        book.charge(charge(0))
        book.release(release(b"one"), b"one")
        assert book.reply(release(b"one")) == b"one"

    def test_a_turn_is_charged_once(self, book: Book) -> None:
        book.charge(charge(0))
        with pytest.raises(LocalError):
            book.charge(charge(0))
        book.charge(charge(0, attempt=1))
        book.charge(charge(0, plan=OTHER))
        assert len(book.entries()) == 3

    def test_nothing_is_released_that_was_not_charged(self, book: Book) -> None:
        with pytest.raises(LocalError):
            book.release(release(b"one"), b"one")
        book.charge(charge(0))
        book.release(release(b"one"), b"one")
        with pytest.raises(LocalError):
            book.release(release(b"two"), b"two")
        assert book.entries() == (charge(0), release(b"one"))

    @pytest.mark.parametrize("order", ORDERS)
    def test_steps_follow_the_release_of_their_turn(
        self, book: Book, order: tuple[Entry, ...]
    ) -> None:
        """Survivors are signed, or not, and then shares are revealed."""
        for entry in order:
            write(book, entry)
        assert book.entries() == order

    @pytest.mark.parametrize("order", OUT_OF_ORDER)
    def test_no_step_is_taken_twice_or_out_of_order(
        self, book: Book, order: tuple[Entry, ...]
    ) -> None:
        """With another answer neither; the book is as it was before."""
        for entry in order[:-1]:
            write(book, entry)
        with pytest.raises(LocalError, match="does not follow from the book"):
            write(book, order[-1])
        assert book.entries() == order[:-1]


class TestInMemoryBook(BookContract):
    @pytest.fixture
    def book(self) -> Book:
        return InMemoryBook()


def test_a_standing_adds_up_all_plans_and_shows_one() -> None:
    """The caps are over all studies; turns are a plan's own."""
    entries = (charge(0), release(b"one"), charge(1, part="held-out"), charge(0, plan=OTHER))
    standing = standing_of(entries, PLAN)
    assert standing.spent.train == 2 * rho(event())
    assert standing.spent.train_local == 2 * rho_local(event())
    assert standing.spent.held_out == rho(event())
    assert set(standing.charges) == {(0, 0), (1, 0)}
    assert set(standing.releases) == {(0, 0)}
    assert standing.last == (1, 0)


def test_a_standing_shows_the_steps_of_one_plan_and_they_cost_nothing() -> None:
    """What was charged pays for all that follows in a turn."""
    before = (charge(0), release(b"one"))
    steps = (step("agree"), step("reveal", plan=OTHER), step("reveal"))
    standing = standing_of(before + steps, PLAN)
    assert standing.steps == {((0, 0), "agree"): steps[0], ((0, 0), "reveal"): steps[2]}
    assert standing.spent == standing_of(before, PLAN).spent


def test_retries_are_counted_by_the_latest_attempt_of_each_round() -> None:
    """An institution that missed the first attempt knows of it all the same."""
    standing = standing_of((charge(0), charge(1, attempt=2)), PLAN)
    assert standing.retries_used((1, 2)) == 2
    assert standing.retries_used((2, 0)) == 2
    assert standing.retries_used((2, 1)) == 3
    assert standing_of((), PLAN).retries_used((0, 0)) == 0


ENTRIES: tuple[Entry, ...] = (
    charge(3, 1),
    release(b"x", 3, 1),
    step("agree", 3, 1),
    step("reveal", 3, 1),
)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_read_as_it_was_written(entry: Entry) -> None:
    line = json.loads(json.dumps(entry_to_dict(entry)))
    assert entry_from_dict(line) == entry


@pytest.mark.parametrize(
    "change",
    [
        {"round": -1},
        {"round": "0"},
        {"attempt": 1.0},
        {"plan": "AA" * 32},
        {"plan": "aa"},
        {"plan": 7},
        {"plan": "zz" * 32},
        {"entry": "refund"},
        {"event": {}},
        {"event": "free"},
        {"refund": 1},
    ],
    ids=str,
)
def test_a_line_that_is_no_entry_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        entry_from_dict(entry_to_dict(charge()) | change)


@pytest.mark.parametrize(
    "change",
    [
        {"entry": "charge"},
        {"entry": "release"},
        {"entry": "sign"},
        {"reply": "EE" * 32},
        {"reply": None},
        {"request": "dd"},
        {"event": {}},
    ],
    ids=str,
)
def test_a_line_that_is_no_step_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        entry_from_dict(entry_to_dict(step("agree")) | change)


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_line_that_lacks_a_key_is_refused(entry: Entry) -> None:
    for key in entry_to_dict(entry):
        line = {name: value for name, value in entry_to_dict(entry).items() if name != key}
        with pytest.raises(IntegrityError):
            entry_from_dict(line)
