"""Asking for a quorum: how many, of whom, and what is no cosignature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from fedcredit.errors import ConfigError, IntegrityError, PrivacyError, UnreachableError
from fedcredit.ledger.asking import Courier
from fedcredit.ledger.notes import Note, cosign, verify
from fedcredit.ledger.policy import BudgetPolicy
from fedcredit.ledger.quorum import Quorum, _nowhere, no_witnesses
from fedcredit.ledger.signatures import read_key
from fedcredit.ledger.tree import Tree
from fedcredit.ledger.witness import read_request
from tests.ledger.bank import Watchers, policy, shut
from tests.ledger.made import Copy, Pair

BANK = Pair("bank.example/ledger")
WORDS = ("a", "b", "c", "d", "e", "f")
TRUE = Copy(*WORDS)
FORK = Copy("a", "b", "forged", "d", "e", "f", "g")


def watchers(count: int = 3) -> Watchers:
    return Watchers(count, origin=BANK.name, key=BANK)


def ask(quorum: Quorum, rules: BudgetPolicy, copy: Copy = TRUE, size: int | None = None) -> Note:
    """A quorum's signatures for the first so many lines."""
    size = len(copy.tree) if size is None else size
    leaves = Copy(*WORDS[:size]).tree if copy is TRUE else copy.tree
    return quorum(rules, leaves, copy.note(size))


def signers(note: Note, watched: Watchers) -> list[str]:
    keys = {read_key(key): name for key, name in watched.places.items()}
    return sorted(keys[one] for one in verify(note, list(keys)))


def test_as_many_are_asked_as_are_needed_in_the_policys_order() -> None:
    watched = watchers()
    note = ask(watched.quorum(), watched.rules())
    assert signers(note, watched) == watched.asked == ["w0", "w1"]
    assert note.body == TRUE.note().body
    assert note.signatures[:1] == TRUE.note().signatures


def test_one_that_does_not_answer_is_stood_in_for() -> None:
    watched = watchers()
    watched.down = {"w0"}
    note = ask(watched.quorum(), watched.rules())
    assert signers(note, watched) == ["w1", "w2"]


@pytest.mark.parametrize("down", [{"w0", "w1"}, {"w0", "w2"}, {"w0", "w1", "w2"}])
def test_fewer_than_a_quorum_are_none(down: set[str]) -> None:
    watched = watchers()
    watched.down = down
    with pytest.raises(UnreachableError, match=f"{3 - len(down)} of 2 witnesses"):
        ask(watched.quorum(), watched.rules())


def test_coordinators_alone_are_no_quorum_where_others_are_asked_for() -> None:
    watched = watchers()
    first, second, last = watched.keys()
    both = (replace(first, role="coordinator"), last, second)
    rules = policy(quorum=2, beside_coordinator=1, witnesses=both)
    assert signers(ask(watched.quorum(), rules), watched) == ["w0", "w1", "w2"]
    watched.down = {"w1"}
    with pytest.raises(UnreachableError, match="2 of 2 witnesses"):
        ask(watched.quorum(), rules)
    free = replace(rules, beside_coordinator=0)
    assert signers(ask(watched.quorum(), free), watched) == ["w0", "w2"]


def test_a_regulator_is_no_coordinator() -> None:
    watched = watchers()
    first, _, last = watched.keys()
    rules = policy(
        quorum=2, beside_coordinator=1, witnesses=(replace(first, role="regulator"), last)
    )
    assert signers(ask(watched.quorum(), rules), watched) == ["w0", "w2"]


def test_a_quorum_of_nobody_asks_nobody() -> None:
    watched = shut(watchers())
    assert ask(watched.quorum(), watched.rules(0, 0)) == TRUE.note()
    assert ask(watched.quorum(), policy()) == TRUE.note()
    assert watched.asked == []


def test_one_that_has_no_address_is_as_one_that_does_not_answer() -> None:
    watched = watchers()
    places = {key: name for key, name in watched.places.items() if name == "w2"}
    with pytest.raises(UnreachableError, match="no address is known"):
        ask(Quorum(watched, places), watched.rules())


def test_a_quorum_is_had_again_when_one_comes_back() -> None:
    watched = watchers()
    quorum, rules = watched.quorum(), watched.rules()
    for size in (1, 3, 6):
        shut(watched)
        with pytest.raises(UnreachableError):
            ask(quorum, rules, size=size)
        watched.down = {f"w{size % 2}"}
        assert len(signers(ask(quorum, rules, size=size), watched)) == 2


def test_a_ledger_that_was_set_back_finds_no_quorum() -> None:
    """Also one that asks afresh, and one that has become longer again."""
    watched = watchers()
    rules = watched.rules()
    ask(watched.quorum(), rules)
    for size in (1, 3, 5):
        with pytest.raises(IntegrityError, match="behind the witness"):
            ask(watched.quorum(), rules, size=size)
    with pytest.raises(IntegrityError, match="seen another ledger"):
        ask(watched.quorum(), rules, FORK)


def test_of_an_honest_and_a_forgetful_witness_the_honest_one_decides() -> None:
    """A quorum of two needs both; where one of them was set back with the ledger, there is none."""
    watched = watchers(2)
    rules = policy(quorum=2, witnesses=watched.keys())
    ask(watched.quorum(), rules)
    watched.stores["w0"]._notes.clear()
    with pytest.raises(IntegrityError):
        ask(watched.quorum(), rules, FORK)
    with pytest.raises(PrivacyError, match="cannot be had"):
        replace(rules, quorum=1)
    alone = policy(quorum=1, witnesses=watched.keys()[:1])
    assert signers(ask(watched.quorum(), alone, FORK), watched) == ["w0"]  # one alone is deceived


def test_a_witness_that_has_forgotten_what_it_signed_does_not_count() -> None:
    watched = watchers()
    quorum, rules = watched.quorum(), watched.rules()
    ask(quorum, rules, size=4)
    watched.stores["w0"]._notes.clear()
    note = ask(quorum, rules, size=6)
    assert signers(note, watched) == ["w1", "w2"]
    watched.down = {"w2"}
    with pytest.raises(UnreachableError, match="and signed for 4 before"):
        ask(quorum, rules, size=6)


def test_a_forgetful_witness_is_noticed_after_a_restart_too() -> None:
    """By the cosignatures that stand in the ledger's own checkpoints."""
    watched = watchers()
    rules = watched.rules()
    before = [TRUE.note(2), ask(watched.quorum(), rules, size=4), TRUE.note(5)]
    watched.stores["w0"]._notes.clear()
    watched.down = {"w2"}
    with pytest.raises(UnreachableError, match="and signed for 4 before"):
        ask(Quorum(watched, watched.places, before), rules, size=6)
    assert signers(ask(watched.quorum(), rules, size=6), watched) == ["w0", "w1"]


def test_a_false_cosignature_in_the_ledgers_own_checkpoints_is_damage() -> None:
    watched = watchers()
    good = ask(watched.quorum(), watched.rules(), size=4)
    with pytest.raises(IntegrityError):
        Quorum(watched, watched.places, [Note(TRUE.note(5).body, good.signatures)])
    with pytest.raises(ConfigError):
        Quorum(watched, {"no key": "w0"}, [good])


Answers = Callable[[Watchers, str, bytes], tuple[int, bytes]]


def lying_size(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 409, b"1000\n"


def ever_other_size(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 409, b"%d\n" % (read_request(request).old + 1)


def wrong_key(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    pair = Pair(watched.pairs[where].name, "another key")
    body = read_request(request).note.body
    return 200, cosign(body, 5, pair.name, pair.secret.sign, pair.public).line()


def other_text(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 200, watched.pairs[where].cosign(Copy("a").note().body, 5).line()


def of_another(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 200, watched.pairs["w1"].cosign(read_request(request).note.body, 5).line()


def nothing(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 200, b""


def unknown(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 404, b""


def fault(watched: Watchers, where: str, request: bytes) -> tuple[int, bytes]:
    return 500, b""


LIES: tuple[Answers, ...] = (
    lying_size, ever_other_size, wrong_key, other_text, of_another, nothing, unknown, fault,
)  # fmt: skip


def through(watched: Watchers, liar: str, lie: Answers) -> Courier:
    def carry(where: str, request: bytes) -> tuple[int, bytes]:
        return lie(watched, where, request) if where == liar else watched(where, request)

    return carry


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_cosignature_does_not_count_and_two_others_do(lie: Answers) -> None:
    watched = watchers()
    quorum = Quorum(through(watched, "w0", lie), watched.places)
    assert signers(ask(quorum, watched.rules()), watched) == ["w1", "w2"]


@pytest.mark.parametrize("lie", LIES)
def test_with_one_liar_too_many_there_is_no_quorum(lie: Answers) -> None:
    """A lie about a size stops the writer, as it cannot know which of the two is true."""
    watched = watchers()
    watched.down = {"w2"}
    quorum = Quorum(through(watched, "w0", lie), watched.places)
    error = IntegrityError if lie in (lying_size, ever_other_size) else UnreachableError
    with pytest.raises((error, UnreachableError), match="w0"):
        ask(quorum, watched.rules())


def test_one_line_is_not_counted_for_two_witnesses() -> None:
    watched = watchers()
    watched.down = {"w2"}
    quorum = Quorum(through(watched, "w0", of_another), watched.places)
    with pytest.raises(UnreachableError, match="1 of 2 witnesses"):
        ask(quorum, watched.rules())


def test_without_a_network_only_a_policy_without_a_quorum_is_kept() -> None:
    empty = Tree()
    assert no_witnesses(policy(), empty, TRUE.note()) == TRUE.note()
    with pytest.raises(UnreachableError):
        no_witnesses(watchers().rules(), empty, TRUE.note())
    placed = Quorum(_nowhere, watchers().places)
    with pytest.raises(UnreachableError, match="there is no network"):
        placed(watchers().rules(), TRUE.tree, TRUE.note())
