"""A thousand planted values of customers' rows, looked for in all that comes out.

Real commands run in processes of their own, over CSV and Parquet, with sound tables and
with broken ones; all that they print and every file that they leave is searched, for each
value as text and as numbers are held in memory. Then a study in this process is listened
to, so that every byte of every message and book is searched too. A search that finds
nothing proves nothing, so `test_canary_search.py` plants values where none may be, and finds
them.

Drafting is given persons, ids and numbers only: a draft may list the categories of a
column, marked as a draft, because a person must look at them before a study may use them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from fedcredit.adapters.tables import open_table
from fedcredit.data.records import Records
from fedcredit.data.schema import read_schema
from fedcredit.errors import FedCreditError, StudyStopped
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.institution import Institution
from fedcredit.federation.messages import Answer, Heard
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import finish, plain_calls, run_study
from fedcredit.federation.study import draw_up, read_study
from fedcredit.federation.terms import terms_of
from fedcredit.learners.registry import learner_named
from fedcredit.ledger.entries import Release
from fedcredit.measures.measure import measure
from fedcredit.models.queries import Query
from fedcredit.privacy.sums import BoundedSum
from fedcredit.report.folder import FILES
from fedcredit.units import InstitutionId
from tests.e2e.canaries import ALL, FLOATS, INTS, MARK, TEXTS, clean, found
from tests.e2e.planted_tables import (
    NAMES,
    ROWS,
    SCHEMA,
    STUDY,
    Workplace,
    broken,
    institutions,
    parquet,
    table,
)
from tests.federation.books import MemoryBook
from tests.federation.made import Stream, joined, roster


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """Three institutions' tables: one in CSV, one in Parquet, one in two files."""
    for name in ("work", "home", "scratch"):
        (tmp_path / name).mkdir()
    out = Workplace(tmp_path)
    out.give("schema.toml", SCHEMA.encode())
    frames = [table(part) for part in range(3)]
    out.give("a.csv", frames[0].write_csv().encode())
    out.give("b.parquet", parquet(frames[1]))
    out.give("c1.parquet", parquet(frames[2].head(700)))
    out.give("c2.parquet", parquet(frames[2].tail(ROWS - 700)))
    out.give("study.toml", institutions("a.csv", "b.parquet", "c?.parquet"))
    return out


# ------------------------------------------------------------------------------- the commands


def test_a_thousand_values_are_planted(place: Workplace) -> None:
    """All different, and all in the institutions' tables."""
    assert len(ALL) == len(set(ALL)) == 1000
    tables = [pl.read_csv(place.folder / "work" / "a.csv")]
    tables += [
        pl.read_parquet(place.folder / "work" / name) for name in ("b.parquet", "c?.parquet")
    ]
    for name, values in {**TEXTS, "income": FLOATS, "turnover": INTS}.items():
        held = {value for one in tables for value in one[name].to_list()}
        assert set(values) <= held, name


def test_checking_tells_none(place: Workplace) -> None:
    """Of sound tables and of tables that are wrong in many ways, to people and to programs."""
    schema = ("--schema", "schema.toml")
    assert place.run("data", "check", "a.csv", *schema) == 0
    assert place.run("data", "check", "c?.parquet", *schema, "--json") == 0

    strict = SCHEMA.replace("other = true", "").replace(
        "cells = 16", 'cells = 16\noutside="refuse"'
    )
    place.give("strict.toml", strict.encode())
    wrong = broken(0).write_csv().encode()
    content = parquet(broken(1))
    faults = {
        "wrong.csv": wrong,
        "wrong.parquet": content,
        "cut.parquet": content[: len(content) // 2],
        "headless.csv": wrong.split(b"\n", 1)[1],
        "latin.csv": wrong + f"{MARK}\xe9,".encode("latin-1"),
        "ragged.csv": wrong.replace(b"\n", f",{MARK}\n".encode()).replace(b",", b"", 1),
    }
    for name, data in faults.items():
        place.give(name, data)
        assert place.run("data", "check", name, "--schema", "strict.toml") == 1, name
    told = b"".join(data for _, data in place.said)
    for rule in ("type", "category", "label", "ids", "person", "outcome"):
        assert re.search(rf"FAIL  {rule}".encode(), told), rule
    clean(place.everything())


def test_drafting_tells_none(place: Workplace) -> None:
    """Bounds are rounded; persons, ids and notes name nothing in a draft."""
    for part, name in enumerate(("plain.csv", "plain.parquet")):
        frame = table(part).with_columns(town=pl.Series(["north", "south"] * (ROWS // 2)))
        place.give(name, frame.write_csv().encode() if part == 0 else parquet(frame))
        assert place.run("data", "draft", name, "--label", "bad", "--person", "person") == 0
        assert b'name = "income"' in place.said[-1][1]
        output = ("--label", "bad", "--output", f"{name}.toml")
        assert place.run("data", "draft", name, *output) == 0
    clean(place.everything())


def test_a_study_and_its_scores_tell_none(place: Workplace) -> None:
    """Neither the run folder nor a scores file holds anything of a row but its score."""
    assert place.run("study", "simulate", "study.toml", "--out", "run") == 0
    assert {one.name for one in (place.folder / "work" / "run").iterdir()} == set(FILES)
    for source, out in (("a.csv", "a-scores.csv"), ("c?.parquet", "c-scores.parquet")):
        assert place.run("score", "--model", "run", "--in", source, "--out", out, "--json") == 0
    work = place.folder / "work"
    assert pl.read_csv(work / "a-scores.csv").columns == ["score", "pd", "tier"]
    assert pl.read_parquet(work / "c-scores.parquet").columns == ["score", "pd", "tier"]
    clean(place.everything())
    assert list((place.folder / "scratch").iterdir()) == []

    # The control: an id that is asked for is carried over, and the search finds each one.
    words = ("--in", "a.csv", "--out", "named.csv", "--id", "person")
    assert place.run("score", "--model", "run", *words) == 0
    named = (work / "named.csv").read_bytes()
    assert found(named)
    assert named.count(MARK.encode()) == len(TEXTS["person"][0::3])


def test_a_study_that_fails_tells_none(place: Workplace) -> None:
    """Too few institutions, tables of another contract, a broken table, a broken file."""
    place.give("wrong.csv", broken(0).write_csv().encode())
    place.give("narrow.csv", table(0).drop("income").write_csv().encode())
    place.give("cut.parquet", parquet(table(1))[:5000])
    studies = {
        "few.toml": institutions("a.csv", "b.parquet"),
        "wrong.toml": institutions("wrong.csv", "b.parquet", "c?.parquet"),
        "narrow.toml": institutions("narrow.csv", "b.parquet", "c?.parquet"),
        "cut.toml": institutions("a.csv", "cut.parquet", "c?.parquet"),
        # A column that splits a table names institutions, so what it holds is shown; ids may not.
        "split.toml": (STUDY + '[split]\ntable = "a.csv"\nby = "column"\ncolumn = "loan"').encode(),
    }
    for name, data in studies.items():
        place.give(name, data)
        assert place.run("study", "simulate", name, "--out", "run", "--json") in (1, 4), name
    assert not (place.folder / "work" / "run").exists()
    clean(place.everything())
    assert list((place.folder / "scratch").iterdir()) == []


# ------------------------------------------------------------------------------- the messages


@dataclass(eq=False)
class Overheard:
    """A transport that keeps a copy of all that passes."""

    ask: Transport
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def __call__(
        self, requests: Mapping[InstitutionId, bytes], deadline_s: float
    ) -> Iterator[Heard]:
        self.heard += [(f"question to {name}", request) for name, request in requests.items()]
        for heard in self.ask(requests, deadline_s):
            data = heard.data if isinstance(heard, Answer) else heard.reason.encode()
            self.heard.append((f"answer of {heard.sender}", data))
            yield heard


def study_of(place: Workplace) -> tuple[StudyPlan, dict[InstitutionId, Records]]:
    """The plan of the study file, and the institutions' records, read from their tables."""
    work = place.folder / "work"
    wanted = read_study((work / "study.toml").read_text("utf-8"), "study.toml")
    schema = read_schema(SCHEMA, "schema.toml")
    plan = draw_up(wanted, learner_named(wanted.learner), schema, NAMES)
    sources = {one.name: str(work / one.table) for one in wanted.institutions}
    salt = bytes.fromhex(plan.salt)
    return plan, {name: open_table(path, schema, salt) for name, path in sources.items()}


def test_no_message_and_no_book_holds_one(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    """Each question, answer, charge and stored answer of a whole study, byte by byte."""
    caplog.set_level(logging.DEBUG)
    plan, records = study_of(place)
    books = {name: MemoryBook() for name in plan.institutions}
    terms = terms_of(plan)
    nodes = {
        name: Institution(name, plan, terms, records[name], books[name], Stream(name))
        for name in plan.institutions
    }
    line = Overheard(plain_calls(joined(plan, nodes)))
    result = finish(run_study(plan, learner_named(plan.learner), line, roster(plan)))
    assert len(line.heard) > 6 * len(plan.institutions) * len(result.rounds) - 1
    clean(line.heard)
    clean([("log", caplog.text.encode())])
    for name, book in books.items():
        entries = book.entries()
        assert 2 * len(plan.rounds) < len(entries) <= 4 * len(plan.rounds)
        clean([(name, book.store.lines()), (name, book.store.notes())])
        clean((name, book.reply(one)) for one in entries if isinstance(one, Release))
        clean([(name, repr((nodes[name], entries)).encode())])


def test_an_error_that_quotes_a_row_stays_where_it_arose(
    place: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault below the round's floor may name a value; the coordinator never hears it."""
    caplog.set_level(logging.DEBUG)
    plan, records = study_of(place)

    def faulty(held: Records, query: Query) -> BoundedSum:
        measure(held, query)
        raise ValueError(f"row of {TEXTS['person'][0]} with {FLOATS[0]!r} is odd")

    terms = terms_of(plan)
    nodes = {
        name: Institution(name, plan, terms, records[name], MemoryBook(), Stream(name), faulty)
        for name in plan.institutions
    }
    line = Overheard(plain_calls(joined(plan, nodes)))
    happened: list[object] = []
    with pytest.raises(StudyStopped) as stopped:
        finish(run_study(plan, learner_named(plan.learner), line, roster(plan)), happened.append)
    problem: FedCreditError = stopped.value
    assert happened
    clean(line.heard)
    clean([("what happened", repr(happened).encode()), ("log", caplog.text.encode())])
    clean([("the error", f"{problem} {problem!r} {problem.args} {problem.remedy}".encode())])


# ------------------------------------------------------------------------------- the control


def test_a_file_that_a_command_leaves_is_searched(place: Workplace) -> None:
    """In each of the folders that a process may write to, compressed or not."""
    frame = pl.DataFrame({"x": list(FLOATS)})
    for folder in ("work", "home", "scratch"):
        path = place.folder / folder / "left.parquet"
        frame.write_parquet(path)
        with pytest.raises(AssertionError):
            clean(place.everything())
        path.unlink()
    clean(place.everything())
