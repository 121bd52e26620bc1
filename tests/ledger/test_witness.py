"""A witness: one past for each ledger, whatever is asked and in whatever order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import IntegrityError, LocalError
from fedcredit.ledger.asking import write_request
from fedcredit.ledger.notes import Checkpoint, Note, read_checkpoint, verify
from fedcredit.ledger.signatures import Signature, read_signatures
from fedcredit.ledger.tree import EMPTY_ROOT, consistency_proof
from fedcredit.ledger.witness import (
    REQUEST_LIMIT_BYTES,
    SIZE_TYPE,
    Answer,
    MemoryWitnessStore,
    WitnessStore,
    read_request,
)
from tests.ledger.made import SHOP, Clock, Copy, Pair, witness

BANK = "bank.example/ledger"
WORDS = ("a", "b", "c", "d", "e", "f", "g", "h")
TRUE = Copy(*WORDS)
FORK = Copy("a", "b", "c", "d", "forged", "f", "g", "h")
"""The same first four lines, and then another past."""


def new_store() -> MemoryWitnessStore:
    return MemoryWitnessStore(threading.Lock())


def signed(answer: Answer, note: Note) -> int:
    """The time of the witness's signature over a note, by an answer of 200."""
    assert (answer.status, answer.content_type) == (200, "text/plain; charset=utf-8")
    return verify(Note(note.body, read_signatures(answer.body)), [SHOP.witness])[SHOP.witness]


class WitnessStoreContract:
    """What every store does."""

    @pytest.fixture
    def store(self) -> WitnessStore:
        raise AssertionError

    def test_it_is_a_store(self, store: WitnessStore) -> None:
        assert isinstance(store, WitnessStore)

    def test_nothing_is_there_at_first(self, store: WitnessStore) -> None:
        assert store.load(BANK) is None

    def test_what_was_kept_last_is_given_back(self, store: WitnessStore) -> None:
        assert store.keep(BANK, None, TRUE.note(1))
        assert store.keep(BANK, TRUE.note(1), TRUE.note(2))
        assert store.load(BANK) == TRUE.note(2)
        assert store.load("shop.example/ledger") is None

    def test_the_same_may_be_kept_again(self, store: WitnessStore) -> None:
        assert store.keep(BANK, None, TRUE.note(1))
        assert store.keep(BANK, TRUE.note(1), TRUE.note(1))

    def test_nothing_changes_unless_the_one_before_is_there(self, store: WitnessStore) -> None:
        assert not store.keep(BANK, TRUE.note(1), TRUE.note(2))
        assert store.load(BANK) is None
        assert store.keep(BANK, None, TRUE.note(2))
        for before in (None, TRUE.note(1), FORK.note(5)):
            assert not store.keep(BANK, before, TRUE.note(3))
        assert store.load(BANK) == TRUE.note(2)

    def test_an_origin_may_hold_any_characters(self, store: WitnessStore) -> None:
        for origin in ("../../up", "a/b", ".", "é", "x" * 1000):
            assert store.keep(origin, None, TRUE.note(1))
            assert store.load(origin) == TRUE.note(1)

    def test_of_many_that_race_one_wins(self, store: WitnessStore) -> None:
        notes = [Copy(str(number)).note(1) for number in range(16)]
        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(lambda note: store.keep(BANK, None, note), notes))
        assert sum(won) == 1
        assert store.load(BANK) == notes[won.index(True)]

    def test_an_accusation_changes_nothing(self, store: WitnessStore) -> None:
        assert store.keep(BANK, None, TRUE.note(5))
        store.accuse(BANK, FORK.note(5))
        assert store.load(BANK) == TRUE.note(5)


class TestMemoryWitnessStore(WitnessStoreContract):
    @pytest.fixture
    def store(self) -> WitnessStore:
        return new_store()


def test_a_ledger_that_grows_is_signed_at_every_step() -> None:
    clock = Clock()
    one = witness(new_store(), clock=clock)
    old = 0
    for size in (1, 2, 5, 8):
        clock.now += 60
        assert signed(one.add_checkpoint(TRUE.request(old, size)), TRUE.note(size)) == clock.now
        old = size


def test_what_is_kept_is_the_checkpoint_with_both_signatures() -> None:
    store = new_store()
    witness(store).add_checkpoint(TRUE.request(0))
    kept = store.load(BANK)
    assert kept is not None
    assert set(verify(kept, [TRUE.pair.writer, SHOP.witness])) == {TRUE.pair.writer, SHOP.witness}


def test_the_same_checkpoint_again_gets_the_same_answer() -> None:
    """Byte for byte, also after the clock has moved and after a restart."""
    store, clock = new_store(), Clock()
    first = witness(store, clock=clock).add_checkpoint(TRUE.request(0, 5))
    clock.now += 1000
    for one in (witness(store, clock=clock), witness(store, clock=clock)):
        assert one.add_checkpoint(TRUE.request(5, 5)) == first


def test_an_older_ledger_is_told_what_was_seen() -> None:
    """Whoever was set back to 3 entries asks with what it knows, or for something new."""
    store = new_store()
    one = witness(store)
    one.add_checkpoint(TRUE.request(0, 7))
    for request in (TRUE.request(3), TRUE.request(0, 3), TRUE.request(3, 4), TRUE.request(8)):
        assert one.add_checkpoint(request) == Answer(409, SIZE_TYPE, b"7\n")
    kept = store.load(BANK)
    assert kept
    assert read_checkpoint(kept.body).size == 7
    assert not store.accused


def test_a_ledger_never_seen_is_at_size_nothing() -> None:
    one = witness(new_store())
    assert one.add_checkpoint(TRUE.request(3)) == Answer(409, SIZE_TYPE, b"0\n")


def test_an_empty_ledger_is_signed_and_has_the_empty_root() -> None:
    one = witness(new_store())
    note = Copy().note(0)
    assert signed(one.add_checkpoint(write_request(0, (), note)), note)
    forged = TRUE.pair.sign(Checkpoint(BANK, 0, bytes(32)))
    assert one.add_checkpoint(write_request(0, (), forged)).status == 409
    assert witness(new_store()).add_checkpoint(write_request(0, (), forged)).status == 409
    assert read_checkpoint(note.body).root == EMPTY_ROOT


def test_another_root_of_the_same_size_is_refused_and_set_aside() -> None:
    store = new_store()
    one = witness(store)
    one.add_checkpoint(TRUE.request(0, 5))
    assert one.add_checkpoint(FORK.request(5, 5)) == Answer(409, SIZE_TYPE, b"5\n")
    assert store.accused == [(BANK, FORK.note(5))]


def test_a_fork_has_no_proof_and_is_set_aside() -> None:
    store = new_store()
    one = witness(store)
    one.add_checkpoint(TRUE.request(0, 5))
    for proof in (consistency_proof(FORK.tree, 5, 8), consistency_proof(TRUE.tree, 5, 8), ()):
        assert one.add_checkpoint(write_request(5, proof, FORK.note(8))).status == 422
    assert store.accused == [(BANK, FORK.note(8))] * 3
    assert signed(one.add_checkpoint(TRUE.request(5, 8)), TRUE.note(8))


def test_a_wrong_proof_is_refused() -> None:
    one = witness(new_store())
    one.add_checkpoint(TRUE.request(0, 3))
    good = consistency_proof(TRUE.tree, 3, 7)
    for bad in ((), good[:-1], (*good, bytes(32)), good[::-1], (bytes(32), *good[1:])):
        assert one.add_checkpoint(write_request(3, bad, TRUE.note(7))).status == 422
    assert one.add_checkpoint(write_request(0, good, TRUE.note(7))).status == 409
    assert one.add_checkpoint(write_request(3, good, TRUE.note(3))).status == 422
    assert one.add_checkpoint(write_request(3, good, TRUE.note(7))).status == 200
    first = write_request(0, (bytes(32),), TRUE.note(7))
    assert witness(new_store()).add_checkpoint(first).status == 422


def test_a_ledger_that_is_not_known_is_not_found() -> None:
    stranger = Pair("stranger.example/ledger")
    note = stranger.sign(Checkpoint("stranger.example/ledger", 1, bytes(32)))
    assert witness(new_store()).add_checkpoint(write_request(0, (), note)).status == 404


def test_only_a_known_key_of_the_ledger_may_sign_for_it() -> None:
    """A stranger's, the witness's own, none at all, and a known key's name over a bad signature."""
    store = new_store()
    one = witness(store)
    note = TRUE.note(1)
    stolen_name = Copy("a", pair=Pair(BANK, "another key")).note(1)
    forged = Signature(BANK, note.signatures[0].id, stolen_name.signatures[0].data)
    own = SHOP.cosign(note.body, 5)
    other_text = Note(TRUE.note(2).body, note.signatures)
    for bad in (
        stolen_name,
        Note(note.body, (own,)),
        Note(note.body, (forged,)),
        note.signed_too(forged),
        other_text,
    ):
        assert one.add_checkpoint(write_request(0, (), bad)).status == 403
    assert store.load(BANK) is None
    assert one.add_checkpoint(write_request(0, (), note.signed_too(own))).status == 200


def test_a_key_can_be_added_at_any_time() -> None:
    """As a ledger's writer changes its key: the old one is good until it is taken away."""
    first, second = Pair(BANK), Pair(BANK, "second")
    store = new_store()
    assert witness(store, first.writer).add_checkpoint(TRUE.request(0, 1)).status == 200
    new = Copy(*WORDS, pair=second)
    assert witness(store, first.writer).add_checkpoint(new.request(1, 2)).status == 403
    both = witness(store, first.writer, second.writer)
    assert both.add_checkpoint(new.request(1, 2)).status == 200
    assert both.add_checkpoint(TRUE.request(2, 3)).status == 200
    assert witness(store, second.writer).add_checkpoint(TRUE.request(3, 4)).status == 403


def test_a_time_never_falls() -> None:
    clock = Clock(1000)
    one = witness(new_store(), clock=clock)
    assert signed(one.add_checkpoint(TRUE.request(0, 1)), TRUE.note(1)) == 1000
    clock.now = 500
    assert signed(one.add_checkpoint(TRUE.request(1, 2)), TRUE.note(2)) == 1000
    clock.now = 1001
    assert signed(one.add_checkpoint(TRUE.request(2, 3)), TRUE.note(3)) == 1001


GOOD = TRUE.request(3, 7)
HASH = write_request(0, (bytes(32),), TRUE.note(1)).split(b"\n")[1]


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\n",
        GOOD[1:],
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.replace(b"old 3", b"old 03"),
        GOOD.replace(b"old 3", b"old  3"),
        GOOD.replace(b"old 3", b"old -3"),
        GOOD.replace(b"old 3", b"old"),
        GOOD.replace(b"old 3", b"new 3"),
        GOOD.replace(b"old 3", b"old 3 "),
        GOOD.replace(b"old 3", b"old 9007199254740992"),
        GOOD.replace(b"old 3", b"old 99999999999999999999999"),
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n\n", b"\n", 1),
        GOOD.replace(b"old 3\n", b"old 3\n\n"),
        GOOD.replace(b"old 3\n", b"old 3\nAAAA\n"),
        GOOD.replace(b"old 3\n", b"old 3\n" + HASH[:-1] + b"\n"),
        GOOD.replace(b"old 3\n", b"old 3\n" + HASH[:-2] + b"B=\n"),
        GOOD.replace(b"old 3\n", b"old 3\n\xff\n"),
        GOOD.replace(b"old 3\n", b"old 3\n" + (HASH + b"\n") * 64),
        GOOD.replace(b"\n7\n", b"\n7\nextension\n"),
        GOOD + b"x" * REQUEST_LIMIT_BYTES,
    ],
)
def test_a_malformed_request_is_refused(request_: bytes) -> None:
    store = new_store()
    one = witness(store)
    one.add_checkpoint(TRUE.request(0, 3))
    kept = store.load(BANK)
    assert one.add_checkpoint(request_).status == 400
    assert store.load(BANK) == kept
    assert one.add_checkpoint(GOOD).status == 200


def test_an_old_size_above_the_new_one_is_malformed() -> None:
    one = witness(new_store())
    assert one.add_checkpoint(TRUE.request(0, 7)).status == 200
    assert one.add_checkpoint(TRUE.request(7, 3)).status == 400


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(data: bytes) -> None:
    assert witness(new_store()).add_checkpoint(data).status == 400


@given(st.integers(0, 8), st.integers(0, 8))
def test_a_request_reads_back(one: int, other: int) -> None:
    old, size = sorted((one, other))
    asked = read_request(TRUE.request(old, size))
    assert (asked.old, asked.note) == (old, TRUE.note(size))
    assert asked.proof == consistency_proof(TRUE.tree, old, size)
    assert asked.checkpoint == read_checkpoint(TRUE.note(size).body)


def test_a_note_is_kept_with_one_line_of_each_known_key() -> None:
    """Else its writer could make it too long to be read again."""
    store = new_store()
    note = TRUE.note(1)
    long = note.signed_too(*note.signatures * 99)
    assert witness(store).add_checkpoint(write_request(0, (), long)).status == 200
    kept = store.load(BANK)
    assert kept is not None
    assert len(kept.signatures) == 2


STEPS = st.lists(
    st.tuples(st.sampled_from([TRUE, FORK]), st.integers(0, 8), st.integers(0, 8)), max_size=12
)


def both_pasts(store: WitnessStore, steps: list[tuple[Copy, int, int]]) -> bool:
    """Whether a witness with this store signs for two pasts of one ledger in these steps."""
    one = witness(store)
    got: set[str] = set()
    for copy, old, size in steps:
        if one.add_checkpoint(copy.request(old, size)).status == 200 and size > 4:
            got.add("true" if copy is TRUE else "fork")
    return len(got) == 2


@given(STEPS)
def test_no_order_of_requests_gets_signatures_for_two_pasts(
    steps: list[tuple[Copy, int, int]],
) -> None:
    assert not both_pasts(new_store(), steps)


class Forgetful(MemoryWitnessStore):
    """A planted fault: it says that it keeps, and does not."""

    def keep(self, origin: str, before: Note | None, after: Note) -> bool:
        return True


def test_a_store_that_forgets_lets_two_pasts_be_signed() -> None:
    """So the test above can fail."""
    assert both_pasts(Forgetful(threading.Lock()), [(TRUE, 0, 8), (FORK, 0, 8)])


class Meeting(MemoryWitnessStore):
    """A store at which two requests have both read before either writes."""

    def __init__(self, count: int) -> None:
        super().__init__(threading.Lock())
        self._barrier = threading.Barrier(count)
        self._first = threading.local()

    def load(self, origin: str) -> Note | None:
        note = super().load(origin)
        if not hasattr(self._first, "done"):
            self._first.done = True
            self._barrier.wait(timeout=30)
        return note


class Unwatched(Meeting):
    """A planted fault: it does not look whether the note before is still there."""

    def keep(self, origin: str, before: Note | None, after: Note) -> bool:
        self._notes[origin] = after
        return True


def race(store: Callable[[int], Meeting], copies: list[Copy]) -> list[int]:
    """The statuses of first requests that all read before any writes."""
    one = witness(store(len(copies)))
    with ThreadPoolExecutor(len(copies)) as pool:
        answers = pool.map(lambda copy: one.add_checkpoint(copy.request(0, 5)), copies)
        return sorted(answer.status for answer in answers)


def test_of_two_pasts_that_race_one_is_signed() -> None:
    assert race(Meeting, [TRUE, FORK]) == [200, 409]
    assert race(Meeting, [TRUE, TRUE]) == [200, 409]  # the second asks from 0, and 5 is kept


def test_a_store_that_does_not_compare_lets_two_pasts_win_a_race() -> None:
    """So the test above can fail."""
    assert race(Unwatched, [TRUE, FORK]) == [200, 200]


def test_a_store_that_fails_gives_no_signature() -> None:
    class Full(MemoryWitnessStore):
        def keep(self, origin: str, before: Note | None, after: Note) -> bool:
            raise LocalError("the disk is full", remedy="make room")

    class Stuck(MemoryWitnessStore):
        def keep(self, origin: str, before: Note | None, after: Note) -> bool:
            return False

    for store in (Full, Stuck):
        with pytest.raises(LocalError):
            witness(store(threading.Lock())).add_checkpoint(TRUE.request(0))


def test_a_store_that_gives_back_something_else_is_noticed() -> None:
    """A note of another ledger, and one whose own signature is spoilt."""
    store = new_store()
    other = Pair("other.example/ledger").sign(Checkpoint("other.example/ledger", 1, bytes(32)))
    store.keep(BANK, None, other)
    with pytest.raises(IntegrityError, match="another ledger's"):
        witness(store).add_checkpoint(TRUE.request(1))
    spoilt = TRUE.note(1).signed_too(
        Signature(SHOP.name, SHOP.witness.id, SHOP.cosign(b"other\n", 5).data)
    )
    store.keep(BANK, other, spoilt)
    with pytest.raises(IntegrityError):
        witness(store).add_checkpoint(TRUE.request(1))
