"""A chain: lines that follow from each other, and nothing that was changed in one of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from fedcredit.errors import FedCreditError, IntegrityError, LocalError
from fedcredit.ledger.chain import Chain, Written
from fedcredit.ledger.entries import Approve, Audit, Entry, Note
from fedcredit.ledger.grammar import LINE_LIMIT_BYTES, Item, read_line, write_line
from fedcredit.ledger.signing import grant_text
from fedcredit.ledger.tree import Tree, leaf_hash
from fedcredit.units import NanoRho
from tests.federation.books import NOW, ROLES, key
from tests.ledger.bank import (
    COST,
    NEXT,
    NOTHING,
    OPENED,
    add,
    approve,
    burn,
    chain,
    changed,
    charge,
    genesis,
    officers,
    planned,
    policy,
    refuse,
    release,
    rotated,
    said,
    step,
)

ENTRIES: tuple[Entry, ...] = (
    planned(),
    officers(),
    charge(),
    release(),
    step("agree"),
    step("reveal"),
    charge(0, 1),
    burn(0, 1),
    refuse(),
    changed(policy(11), 10, ROLES.officer),
    rotated(NEXT, 11),
    Audit(what="canaries", result="none found"),
    Note(text='a "note" with a \\'),
)


def lines() -> list[bytes]:
    """Of one entry of every kind that an institution writes."""
    made = Chain()
    return [add(made, entry) for entry in (genesis(), *ENTRIES)]


LINES = lines()


def taken(data: list[bytes]) -> Chain:
    made = Chain()
    for line in data:
        made.take(line)
    return made


def test_what_was_written_is_read_back() -> None:
    made = taken(LINES)
    assert made.written[0] == Written(0, NOW, genesis())
    assert tuple(one.entry for one in made.written[1:]) == ENTRIES
    assert [one.seq for one in made.written] == list(range(len(LINES)))
    assert made.tree.root() == Tree(map(leaf_hash, LINES)).root()
    assert said(made) == said(chain(*ENTRIES))


def test_each_line_names_the_digest_of_the_one_before() -> None:
    tables = [json.loads(line) for line in LINES]
    assert tables[0]["prev"] == "0" * 64
    for before, table in zip(LINES, tables[1:], strict=False):
        assert table["prev"] == hashlib.sha256(before).hexdigest()
    assert [table["seq"] for table in tables] == list(range(len(LINES)))


def test_lines_may_not_be_left_out_doubled_or_turned_round() -> None:
    """But at the end, which only a checkpoint can show."""
    for at in range(len(LINES) - 1):
        left_out = LINES[:at] + LINES[at + 1 :]
        doubled = LINES[: at + 1] + LINES[at:]
        turned = [*LINES[:at], LINES[at + 1], LINES[at], *LINES[at + 2 :]]
        for wrong, seq in ((left_out, at), (doubled, at + 1), (turned, at)):
            with pytest.raises(IntegrityError, match=rf"entry {seq} of the ledger"):
                taken(wrong)
    taken(LINES[:-1])


def altered(line: bytes) -> list[tuple[str, bytes]]:
    """Every field of a line changed by itself, left out, and one more added."""
    table = read_line(line)
    changes: list[tuple[str, Mapping[str, Item]]] = [("one more", {**table, "refund": 1})]
    for name, value in table.items():
        changes.append((f"no {name}", {one: table[one] for one in table if one != name}))
        changes.extend((name, {**table, name: other}) for other in others(value))
    return [(name, write_line(one)) for name, one in changes]


def others(value: Item) -> list[Item]:
    """Other values than this one."""
    if isinstance(value, int):
        return [value + 1, max(value - 1, 0) if value else 2, str(value)]
    if isinstance(value, str):
        swapped = value[:-1] + ("0" if value[-1:] != "0" else "1")
        return [swapped, value + "0", value[1:] if value else "x", 0, (value,)]
    if isinstance(value, tuple):
        return [(*value, "x"), "x", {}]
    return [
        *({**value, name: other} for name, one in value.items() for other in others(one)),
        {},
        "x",
    ]


CHAIN_ONLY = {"note", "name", "purpose", "software", "why", "text", "what", "result", "time"}
"""Fields that an entry may well have otherwise; the next line's ``prev`` shows the change."""


@pytest.mark.parametrize("at", range(len(LINES)))
def test_a_line_that_was_altered_in_any_field_is_found(at: int) -> None:
    """At once, or where the next line names it; derived fields and signatures at once."""
    for name, wrong in altered(LINES[at]):
        made = taken(LINES[:at])
        before = said(made) if at else None
        try:
            made.take(wrong)
        except IntegrityError:
            assert before is None or said(made) == before
            continue
        free = name in CHAIN_ONLY or name in FREE[at]
        assert free, f"entry {at} was taken with another {name}"
        if at + 1 < len(LINES):
            with pytest.raises(IntegrityError, match=f"entry {at + 1} of the ledger"):
                made.take(LINES[at + 1])
        assert made.tree.root() != taken(LINES[: at + 1]).tree.root()


FREE: dict[int, set[str]] = {at: set() for at in range(len(LINES))}
"""What else a writer decides, by entry: so a reader cannot know it from earlier lines."""
FREE |= {
    0: {"institution", "policy"},
    1: {
        *("plan", "institutions", "threshold", "colluders", "rounds", "retries"),
        *("rho", "rho_local", "person_rho", "person_rho_local"),
    },
    3: {"round", "attempt", "request", "event"},
    4: {"reply"},
    5: {"request", "reply"},
    6: {"request", "reply"},
    7: {"round", "attempt", "request", "event"},
    9: {"round", "attempt", "request", "plan"},
}


@pytest.mark.parametrize(
    ("at", "change"),
    [
        (3, {"rho": COST + 1}),
        (3, {"rho": COST - 1}),
        (3, {"rho": 0}),
        (3, {"rho_local": 0}),
        (3, {"sampler": "discrete-gaussian/2"}),
        (4, {"charge": 2}),
        (8, {"charge": 3}),
        (3, {"seq": 4}),
        (3, {"prev": "0" * 64}),
        (0, {"format": "fedcredit/ledger/2"}),
        (0, {"unit": "person"}),
        (0, {"adjacency": "replace"}),
    ],
    ids=str,
)
def test_what_follows_from_the_rest_cannot_be_said_otherwise(
    at: int, change: dict[str, Item]
) -> None:
    made = taken(LINES[:at])
    with pytest.raises(IntegrityError, match=rf"entry {at} .* it is not what follows"):
        made.take(write_line({**read_line(LINES[at]), **change}))


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b'"attempt":0,', b'"attempt":0,"attempt":0,'),
        lambda line: line.replace(b'"attempt":0,', b'"attempt":0.0,'),
        lambda line: line.replace(b"{", b'{"x":' + b"[" * 9000 + b"]" * 9000 + b",", 1),
        lambda line: line.replace(b"\n", b"\r\n"),
        lambda line: b"\xef\xbb\xbf" + line,
        lambda line: b"[]\n",
        lambda line: b"{}\n",
        lambda line: b"\n",
        lambda line: line[:-1],
    ],
    ids=["space", "twice", "float", "deep", "return", "mark", "list", "empty", "blank", "torn"],
)
def test_a_line_has_one_spelling(change: Callable[[bytes], bytes]) -> None:
    made = taken(LINES[:3])
    with pytest.raises(IntegrityError, match="entry 3"):
        made.take(change(LINES[3]))
    made.take(LINES[3])


def test_a_ledger_begins_with_a_genesis_that_its_root_has_granted() -> None:
    with pytest.raises(IntegrityError, match="no genesis"):
        Chain().line_of(planned(), NOW)
    with pytest.raises(IntegrityError, match="no genesis"):
        Chain().take(LINES[1].replace(b'"seq":1', b'"seq":0'))
    for wrong in (
        genesis(origin="other.example/ledger"),
        genesis(grant="00" * 64),
        genesis(key=ROLES.officer.public.hex()),
        genesis(key=key("stranger").public.hex()),
        genesis(root=key("stranger").public.hex()),
    ):
        with pytest.raises(FedCreditError):
            Chain().line_of(wrong, NOW)


def test_a_coordinator_has_no_budget() -> None:
    """It has no records: a policy of its own that allows anything is a slip or a lie."""
    add(Chain(), genesis(NOTHING, role="coordinator"))
    for rules in (
        policy(1),
        replace(NOTHING, study_rho=NanoRho(1)),
        replace(NOTHING, automatic_rho=NanoRho(1)),
        replace(NOTHING, caps=replace(NOTHING.caps, person_rho_local_cap=NanoRho(1))),
    ):
        with pytest.raises(IntegrityError, match="no budget"):
            Chain().line_of(genesis(rules, role="coordinator"), NOW)


@pytest.mark.parametrize(
    "time",
    [
        *("", "now", "2026-11-25", "2026-11-25T12:00:00", "2026-11-25T12:00:00+00:00"),
        *("2026-11-25T12:00:00.0Z", "2026-11-25 12:00:00Z", "2026-13-25T12:00:00Z"),
        *("2026-02-30T12:00:00Z", "2026-11-25T24:00:00Z", "2026-11-25T12:60:00Z"),
        *("2026-99-99T12:00:00Z", "2026-11-25T12:00:00Z ", "2026-11-25T12:00:00Z\n"),
        *("2026-1-25T12:00:00Z", "20261125T120000Z", "2026-11-25T12:00:00z"),
    ],
)
def test_a_time_has_one_form(time: str) -> None:
    """Neither written nor read: a charge on the 99th would lie within the period by its letters."""
    made = chain(*OPENED)
    before = said(made)
    with pytest.raises(LocalError, match="time of an entry"):
        made.line_of(charge(), time)
    with pytest.raises(LocalError):
        Chain().line_of(genesis(), time)
    if time.isprintable():
        table = read_line(chain(*OPENED).line_of(charge(), NOW))
        with pytest.raises(IntegrityError, match="entry 3"):
            made.take(write_line({**table, "time": time}))
    assert said(made) == before


UNREADABLE: dict[str, Entry] = {
    "an approver that there is not": Approve(plan="aa" * 32, by="nobody"),
    "a reason that there is not": replace(refuse(), why="because"),
    "a digest of a few letters": replace(refuse(), request="cc"),
    "a digest in capitals": replace(refuse(), request="CC" * 32),
    "a round below nothing": replace(refuse(), round=-1),
    "a round beyond all": replace(refuse(), round=1 << 21),
    "a round that is a flag": replace(refuse(), round=True),
    "a round that is a fraction": replace(refuse(), round=0.0),  # type: ignore[arg-type]
    "noise that there is not": planned("cc" * 32, noise="none"),
    "a cost below nothing": planned("cc" * 32, rho=-1),
    "a person's cost beyond all": planned("cc" * 32, person_rho=2**53),
    "letters beyond ASCII": Note(text="Süd"),
    "a line's end in a text": Note(text="a\nb"),
    "a text longer than a line": Note(text="x" * LINE_LIMIT_BYTES),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_nothing_is_written_that_could_not_be_read(name: str) -> None:
    """A ledger that its own reader refuses would stop its institution for good."""
    made = chain(planned(), first=genesis(policy(automatic_rho=NanoRho(5 * COST))))
    before = said(made)
    with pytest.raises(LocalError):
        made.line_of(UNREADABLE[name], NOW)
    assert said(made) == before


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "with space/ledger"},
        {"origin": "a+b"},
        {"origin": ""},
        {"institution": "../up"},
        {"institution": ""},
        {"institution": "Bank"},
        {"role": "auditor"},
    ],
    ids=str,
)
def test_a_first_entry_has_names_that_can_be_a_keys_and_a_folders(change: dict[str, str]) -> None:
    origin = change.get("origin", genesis().origin)
    grant = ROLES.root(grant_text(origin, genesis().key, genesis().officer)).hex()
    with pytest.raises(LocalError):
        Chain().line_of(genesis(None, **change, grant=grant), NOW)


def test_asking_for_a_line_changes_nothing() -> None:
    made = chain(planned())
    before = said(made)
    assert made.line_of(approve(), NOW) == made.line_of(approve(), NOW)
    assert said(made) == before
