"""Asking a witness: what counts as its word, and what stops the writer."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from fedcredit.errors import LocalError, PeerError, UnreachableError
from fedcredit.ledger.asking import (
    ANSWER_LIMIT_BYTES,
    Courier,
    Direct,
    ask,
    read_answer,
    write_request,
)
from fedcredit.ledger.notes import Note, cosign
from fedcredit.ledger.signatures import Signature, VerifierKey
from fedcredit.ledger.tree import consistency_proof
from fedcredit.ledger.witness import Answer, MemoryWitnessStore, Witness, read_request
from tests.ledger.made import SHOP, Clock, Copy, Pair, witness

TRUE = Copy("a", "b", "c", "d", "e", "f", "g", "h")
FORK = Copy("a", "b", "c", "d", "forged", "f", "g", "h")
BANK = "bank.example/ledger"


class Recorded:
    """A courier that remembers the old sizes it was asked with."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self.olds: list[int] = []

    def __call__(self, where: str, request: bytes) -> tuple[int, bytes]:
        self.olds.append(read_request(request).old)
        return self._courier(where, request)


@pytest.fixture
def store() -> MemoryWitnessStore:
    return MemoryWitnessStore(threading.Lock())


@pytest.fixture
def courier(store: MemoryWitnessStore) -> Recorded:
    return Recorded(Direct({"shop": witness(store)}))


def get(courier: Courier, copy: Copy, size: int, seen: int) -> Signature:
    return ask(courier, "shop", SHOP.witness, copy.note(size), copy.tree, seen)


def test_a_cosignature_is_had_for_one_request(courier: Recorded) -> None:
    for seen, size in ((0, 1), (1, 4), (4, 8), (8, 8)):
        line = get(courier, TRUE, size, seen)
        assert SHOP.witness.time_of(TRUE.note(size).body, line) == Clock().now
    assert courier.olds == [0, 1, 4, 8]
    assert isinstance(courier, Courier)
    assert isinstance(Direct({}), Courier)


def test_an_answer_that_was_lost_is_made_good(courier: Recorded) -> None:
    """The witness has seen more than the writer knows of, and it is the writer's own past."""
    get(courier, TRUE, 5, 0)
    assert get(courier, TRUE, 8, 0).name == SHOP.name
    assert courier.olds == [0, 0, 5]
    again = get(courier, TRUE, 8, 5)
    assert again == get(courier, TRUE, 8, 8)
    assert courier.olds[3:] == [5, 8, 8]


def test_a_ledger_that_was_set_back_stops(courier: Recorded) -> None:
    get(courier, TRUE, 7, 0)
    for size, seen in ((3, 3), (3, 2), (4, 0)):
        with pytest.raises(LocalError, match=rf"behind the witness .*\({size} < 7\)"):
            get(courier, TRUE, size, seen)


def test_a_ledger_that_was_copied_and_continued_twice_stops(courier: Recorded) -> None:
    """At the same size, beyond it, and with any idea of what the witness has seen."""
    get(courier, TRUE, 5, 0)
    for size in (5, 6, 8):
        for seen in (0, 4, 5):
            with pytest.raises(LocalError, match="has seen another ledger"):
                get(courier, FORK, size, seen)


def test_a_witness_that_was_restored_from_an_old_backup_does_not_count(
    courier: Recorded, store: MemoryWitnessStore
) -> None:
    """It would sign for another past from there on."""
    get(courier, TRUE, 3, 0)
    backup = store.load(BANK)
    assert backup is not None
    get(courier, TRUE, 5, 3)
    now = store.load(BANK)
    assert store.keep(BANK, now, backup)
    with pytest.raises(PeerError, match="has seen 3 entries, and signed for 5 before"):
        get(courier, TRUE, 8, 5)
    assert get(courier, FORK, 8, 3).name == SHOP.name  # so whoever does not look is deceived


def test_a_witness_that_lost_everything_does_not_count(store: MemoryWitnessStore) -> None:
    empty = Direct({"shop": witness(store)})
    with pytest.raises(PeerError, match="has seen 0 entries, and signed for 5 before"):
        get(empty, TRUE, 8, 5)


def test_a_witness_without_our_key_says_so(courier: Recorded) -> None:
    for pair in (Pair(BANK, "another key"), Pair("stranger.example/ledger")):
        copy = Copy("a", pair=pair)
        with pytest.raises(PeerError, match="does not know this ledger or its key"):
            get(courier, copy, 1, 0)


def test_a_witness_that_fails_is_as_one_that_is_not_there() -> None:
    class Full(MemoryWitnessStore):
        def keep(self, origin: str, before: Note | None, after: Note) -> bool:
            raise LocalError("the disk is full", remedy="make room")

    for where in (Direct({}), Direct({"shop": witness(Full(threading.Lock()))})):
        with pytest.raises(UnreachableError):
            get(where, TRUE, 1, 0)


def answers(*made: tuple[int, bytes]) -> Callable[[str, bytes], tuple[int, bytes]]:
    """A courier with these answers, one after another."""
    rest = list(made)
    return lambda where, request: rest.pop(0)


def test_a_witness_that_names_ever_other_sizes_is_not_asked_for_ever() -> None:
    with pytest.raises(PeerError, match="another size at every request"):
        get(answers((409, b"3\n"), (409, b"4\n")), TRUE, 8, 0)
    with pytest.raises(PeerError, match="another size at every request"):
        get(answers((409, b"5\n")), TRUE, 8, 5)
    with pytest.raises(PeerError, match="signed for 5 before"):
        get(answers((409, b"6\n"), (409, b"2\n")), TRUE, 8, 5)
    with pytest.raises(LocalError, match="behind the witness"):
        get(answers((409, b"6\n"), (409, b"9\n")), TRUE, 8, 5)


ASKED = TRUE.note(8)
LINE = SHOP.cosign(ASKED.body, 5)
STRANGER = Pair("stranger.example/witness")


def test_the_line_of_the_witness_is_found_among_others() -> None:
    body = STRANGER.cosign(ASKED.body, 5).line() + LINE.line()
    assert read_answer(200, body, ASKED, SHOP.witness) == LINE
    assert read_answer(409, b"12\n", ASKED, SHOP.witness) == 12


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"ok\n",
        LINE.line()[:-1],
        LINE.line() + b"\n",
        STRANGER.cosign(ASKED.body, 5).line(),
        Pair(SHOP.name, "another key").cosign(ASKED.body, 5).line(),
        SHOP.cosign(TRUE.note(7).body, 5).line(),  # of a smaller ledger: it covers less
        SHOP.cosign(FORK.note(8).body, 5).line(),
        SHOP.sign(read_request(TRUE.request(0)).checkpoint).signatures[0].line(),
        Signature(SHOP.name, SHOP.witness.id, bytes(72)).line(),
        Signature(SHOP.name, SHOP.witness.id, bytes(8) + LINE.data[8:]).line(),
        LINE.line() + Signature(SHOP.name, SHOP.witness.id, bytes(72)).line(),
        LINE.line() * 1000,
        b"x" * (ANSWER_LIMIT_BYTES + 1),
    ],
)
def test_what_is_no_cosignature_of_this_checkpoint_does_not_count(body: bytes) -> None:
    with pytest.raises(PeerError, match="answered with"):
        read_answer(200, body, ASKED, SHOP.witness)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, b""),
        (409, b"7"),
        (409, b"07\n"),
        (409, b"-7\n"),
        (409, b"7\n\n"),
        (409, b"seven\n"),
        (409, b"9" * 16 + b"\n"),
        (409, b"9" * 5000 + b"\n"),
        (100, LINE.line()),
        (201, LINE.line()),
        (204, b""),
        (301, b""),
        (400, b"7\n"),
        (413, b""),
    ],
)
def test_another_answer_does_not_count(status: int, body: bytes) -> None:
    with pytest.raises(PeerError, match="answered with"):
        read_answer(status, body, ASKED, SHOP.witness)


def test_a_status_says_who_has_the_trouble() -> None:
    for status in (500, 503, 599):
        with pytest.raises(UnreachableError):
            read_answer(status, LINE.line(), ASKED, SHOP.witness)
    for status in (403, 404):
        with pytest.raises(PeerError):
            read_answer(status, LINE.line(), ASKED, SHOP.witness)
    with pytest.raises(LocalError):
        read_answer(422, LINE.line(), ASKED, SHOP.witness)


class Lazy(Witness):
    """A dishonest witness: it signs whatever it is asked to, and looks at nothing."""

    def add_checkpoint(self, request: bytes) -> Answer:
        body = read_request(request).note.body
        return Answer(200, "", cosign(body, 5, SHOP.name, SHOP.secret.sign, SHOP.public).line())


def test_what_a_dishonest_witness_signs_is_over_this_checkpoint_all_the_same() -> None:
    """One alone proves no single past: that is what a quorum is for."""
    lazy = Lazy(
        name=SHOP.name,
        signer=SHOP.secret.sign,
        public=SHOP.public,
        store=MemoryWitnessStore(threading.Lock()),
        keys_of=lambda _: (),
        time_s=Clock(),
    )
    for copy in (TRUE, FORK):
        line = get(Direct({"shop": lazy}), copy, 8, 0)
        key: VerifierKey = SHOP.witness
        assert key.time_of(copy.note(8).body, line) == 5


def test_a_request_is_written_as_the_specification_has_it() -> None:
    data = write_request(5, consistency_proof(TRUE.tree, 5, 8), TRUE.note(8))
    first, *proof = data.split(b"\n\n", 1)[0].split(b"\n")
    assert first == b"old 5"
    assert [len(line) for line in proof] == [44] * len(proof)
    assert data.endswith(b"\n\n" + TRUE.note(8).data())
