"""A member that dies at any write, or whose vault or book is put back as it once was."""

from __future__ import annotations

import pytest

from fedcredit.errors import LocalError, PeerError
from fedcredit.federation.book import planned
from fedcredit.ledger.entries import Charge
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    Revealed,
)
from fedcredit.secagg.dealing import (
    Dealt,
)
from fedcredit.secagg.packages import Package, Prepared, decode_header
from fedcredit.secagg.states import InMemoryVault
from tests.federation.books import MemoryBook
from tests.federation.driven import Driven, each, prepare
from tests.federation.failing import Crash, Disk, FailingBook, FailingVault
from tests.federation.made import NAMES, QUERY, Party
from tests.federation.opened import opened_total
from tests.federation.table import ME, WHOLE, Table
from tests.federation.test_institution import Counted

WRITES = (
    "keys into the vault",
    "charge into the book",
    "masked state into the vault",
    "release into the book",
    "signature into the vault",
    "agree into the book",
    "shares into the vault",
    "reveal into the book",
)


def failing(at: int, *, written: bool) -> Table:
    """A table whose disk fails at one write, counted from 1."""
    disk = Disk(at, written)
    book = FailingBook(MemoryBook(), disk)
    return Table(Party(book=book, vault=FailingVault(InMemoryVault(), disk), measure=Counted()))


def test_a_turn_has_eight_writes() -> None:
    """Each is a place to die at."""
    table = failing(0, written=False)
    table.turn()
    assert isinstance(table.party.book, FailingBook)
    assert table.party.book.disk.writes == len(WRITES)


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", range(1, 1 + len(WRITES)), ids=lambda at: WRITES[at - 1])
def test_a_crash_at_any_write_costs_at_most_the_charge_of_one_turn(at: int, written: bool) -> None:
    """Before it is durable or after, nothing has been sent: all that is sent was written.

    Between charge and release the turn is lost and paid for. Anywhere else the turn goes
    on where it stood, and the member that is lost in no trip is in the sum.
    """
    table = failing(at, written=written)
    crashes = []

    def say(data: bytes) -> bytes:
        try:
            return table.say(data)
        except Crash:
            crashes.append(data)
            table.restart()
            return table.say(data)

    lost = (at, written) in ((2, True), (3, False), (3, True), (4, False))
    if lost:
        with pytest.raises(LocalError, match="charged and its answer was lost"):
            table.turn((0, 0), say)
        assert table.written == ["charge"]
    said = table.turn((0, 1) if lost else (0, 0), say)
    assert len(crashes) == 1
    assert said.opened is not None
    assert said.opened.survivors == NAMES
    assert table.written == ["charge"] * lost + WHOLE

    del said.pairs["prepare"]
    table.restart()
    for asked, reply in said.pairs.values():
        assert table.say(asked) == reply
    assert table.written == ["charge"] * lost + WHOLE
    assert isinstance(table.party.measure, Counted)
    assert table.party.measure.times <= 1 + lost
    assert [type(one) for one in table.holding.states.values()] == [Revealed, Dealt]


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("at", range(1, 1 + len(WRITES)), ids=lambda at: WRITES[at - 1])
def test_a_crash_leaves_no_more_in_the_sum_than_was_charged(at: int, written: bool) -> None:
    """The sum holds each member's exact numbers and one noise of the charged event."""
    table = failing(at, written=written)

    def say(data: bytes) -> bytes:
        try:
            return table.say(data)
        except Crash:
            table.restart()
            return table.say(data)

    try:
        said = table.turn((0, 0), say)
    except LocalError:
        return
    charges = [one for one in table.entries if isinstance(one, Charge)]
    assert [one.event for one in charges] == [table.study.event(0, QUERY)]
    # Noise is drawn after the charge: by the second process if the first died before it.
    runs = dict.fromkeys(NAMES, 0) | {ME: int(at == 1 or (at, written) == (2, False))}
    twins = {
        name: Party(table.study, name, one.institution.records, run=runs[name]).institution()
        for name, one in table.members.items()
    }
    assert said.opened is not None
    assert said.opened.total.tolist() == opened_total(table.study, twins, 0, QUERY).value.tolist()


@pytest.mark.parametrize("at", [5, 6], ids=lambda at: WRITES[at - 1])
def test_a_signature_that_was_kept_binds_whether_or_not_it_was_sent(at: int) -> None:
    """After the crash another list is refused, and the first one gets what was kept."""
    table = failing(at, written=at == 5)
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    survive = driven.survive(uploads)
    with pytest.raises(Crash):
        table.say(survive)
    table.restart()
    assert isinstance(table.state(), Agreed)
    del uploads[NAMES[5]]
    with pytest.raises(PeerError, match="already signed other survivors"):
        table.say(driven.survive(uploads))
    assert table.say(survive) == table.holding.replies[next(iter(table.holding.replies))]
    assert table.written == ["charge", "release", "agree"]


def test_a_signature_that_was_not_kept_was_never_given() -> None:
    """So the member is free to sign another list."""
    table = failing(5, written=False)
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    with pytest.raises(Crash):
        table.say(driven.survive(uploads))
    table.restart()
    assert isinstance(table.state(), Masked)
    del uploads[NAMES[5]]
    left = dict.fromkeys(NAMES[:5], driven.survive(uploads))
    reveal = driven.reveal(table.each(left, table.say))
    opened = driven.open(table.each(dict.fromkeys(NAMES[:5], reveal), table.say))
    assert opened.survivors == NAMES[:5]


def test_a_vault_put_back_to_before_the_signature_does_not_sign_again() -> None:
    """Neither another list nor the same one: the book has the last word."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    old = table.kept
    survive = driven.survive(uploads)
    table.say(survive)
    table.kept = old
    table.restart()
    del uploads[NAMES[5]]
    for data in (driven.survive(uploads), survive):
        with pytest.raises(PeerError, match="already signed other survivors"):
            table.say(data)
    assert table.kept == old
    assert table.written == ["charge", "release", "agree"]


@pytest.mark.parametrize("kind", ["start", "survive"])
def test_a_vault_put_back_to_before_the_reveal_reveals_nothing_more(kind: str) -> None:
    """Other shares of the same turn would open more than one sum."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    before_signing = table.kept
    survive = driven.survive(uploads)
    signed = table.each(dict.fromkeys(NAMES, survive), table.say)
    before_revealing = table.kept
    reveal = driven.reveal(signed)
    table.say(reveal)
    table.kept = before_signing if kind == "start" else before_revealing
    table.restart()
    other = driven.reveal({name: data for name, data in signed.items() if name != NAMES[1]})
    for data in (other, reveal):
        with pytest.raises(PeerError, match="already revealed shares"):
            table.say(data)
    del uploads[NAMES[5]]
    with pytest.raises(PeerError):
        table.say(driven.survive(uploads))
    assert table.written == WHOLE


def test_a_vault_put_back_to_before_the_start_masks_nothing_again() -> None:
    """The same keys for another vector would show the difference of the two."""
    table = Table()
    driven = table.driven()
    old = table.kept
    first = table.say(driven.starts[ME])
    table.kept = old
    table.restart()
    assert table.say(driven.starts[ME]) == first
    fewer = {name: driven.packages[name] for name in NAMES[:5]}
    again = Driven(table.study, fewer)
    with pytest.raises(PeerError, match="asked another question before"):
        table.say(again.starts[ME])
    uploads = each(table.members, {name: driven.starts[name] for name in NAMES[1:]}) | {ME: first}
    with pytest.raises(PeerError, match="no turn of ours waits"):
        table.say(driven.survive(uploads))
    assert table.written == ["charge", "release"]


def test_a_vault_put_back_to_before_a_package_deals_another_at_the_same_step() -> None:
    """The lanes go back with it; the shares of either package are sealed under keys of its own."""
    table = Table()
    table.say(prepare(table.study))
    old, headers = table.kept, []
    for _ in range(2):
        table.kept = old
        table.restart()
        said = table.say(prepare(table.study, (0, 1)))
        assert table.say(prepare(table.study, (0, 1))) == said
        package = Package.decode(Prepared.decode(said, len(said)).package, len(said))
        headers.append(decode_header(package.header))
    one, other = headers
    assert (one.epoch, one.step) == (other.epoch, other.step)
    assert one.public != other.public
    said_all = table.turn((0, 1))
    assert said_all.opened is not None
    assert said_all.opened.survivors == NAMES


def test_a_lost_vault_costs_the_turn_and_not_the_study() -> None:
    """The next turn goes on with fresh keys."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    table.kept = b""
    table.restart()
    with pytest.raises(PeerError, match="no turn of ours waits"):
        table.say(driven.survive(uploads))
    said = table.turn((0, 1))
    assert said.opened is not None
    assert table.written == ["charge", "release", *WHOLE]


@pytest.mark.parametrize("entries", [0, 1])
def test_a_book_put_back_signs_and_reveals_nothing(entries: int) -> None:
    """A vault that knows of a sum that the book does not: something is not as it was."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    signed = each(table.members, dict.fromkeys(NAMES[1:], driven.survive(uploads)))
    survive, reveal = driven.survive(uploads), driven.reveal(signed)
    older = MemoryBook()
    older.propose(planned(table.party.study, 3))
    for entry in table.entries[:entries]:
        assert isinstance(entry, Charge)
        older.charge(entry)
    table.party.book = older
    table.restart()
    kept = table.kept
    for data in (survive, reveal):
        with pytest.raises(LocalError, match="never answered, says the book"):
            table.say(data)
    assert table.kept == kept
