"""A thousand planted values of customers' rows, looked for in all that comes out.

Real commands run in processes of their own, over CSV and Parquet, with sound tables and
with broken ones; all that they print and every file that they leave is searched, for each
value as text and as numbers are held in memory. Then a study in this process is listened
to, so that every byte of every message and book is searched too. A search that finds
nothing proves nothing, so the last tests plant values where none may be, and find them.

Drafting is given persons, ids and numbers only: a draft may list the categories of a
column, marked as a draft, because a person must look at them before a study may use them.
"""

from __future__ import annotations

import base64
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

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
from tests.federation.books import MemoryBook
from tests.federation.made import Stream, joined, roster

ROOT = Path(__file__).resolve().parents[2]
ROWS: Final = 1500  # of each of three institutions
NAMES: Final = tuple(InstitutionId(f"bank-{letter}") for letter in "abc")

# ------------------------------------------------------------------------------- the values

MARK: Final = "zq7canary"
COUNTS: Final = {"person": 250, "loan": 250, "town": 150, "note": 100}
PLANTED_FLOATS: Final = 150
PLANTED_INTS: Final = 100

_draw = np.random.default_rng(20_261_123)
TEXTS: Final = {
    column: tuple(f"{MARK}{column}{at:03}" for at in range(count))
    for column, count in COUNTS.items()
}
# Seven digits, the last of them not 0: 1000.001 to 9999.999.
FLOATS: Final = tuple(
    float(f"{whole}.{part:02}{last}")
    for whole, part, last in zip(
        _draw.choice(np.arange(1_000, 10_000), PLANTED_FLOATS, replace=False),
        _draw.integers(0, 100, PLANTED_FLOATS),
        _draw.integers(1, 10, PLANTED_FLOATS),
        strict=True,
    )
)
# Ten digits, so that no count, cost or sum of the program's own is like them; int32 holds them.
INTS: Final = tuple(
    int(one) for one in 1_200_000_001 + 2 * _draw.choice(400_000_000, PLANTED_INTS, replace=False)
)
ALL: Final = (*(text for texts in TEXTS.values() for text in texts), *FLOATS, *INTS)

# ------------------------------------------------------------------------------- the search

# Plain numbers; with thousands apart; with a decimal comma. Never a part of a longer number.
_TOKENS: Final = tuple(
    re.compile(rb"(?<!\d)(?<!\d\.)" + form + rb"(?!\d)")
    for form in (
        rb"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?",
        rb"(?<!\d,)\d{1,3}(?:[.,]\d{3})+",
        rb"(?<!\d,)\d{4},\d{3}(?![.,]\d)",
    )
)
_WIDE: Final = ("<f8", ">f8", "<i8", ">i8")
_NARROW: Final = ("<f4", ">f4", "<i4", ">i4")


def text_forms(number: float) -> set[bytes]:
    """A number as people and programs write it."""
    forms = {repr(number), f"{number:,}", f"{number:.6e}", f"{number:.3f}", f"{number:.6f}"}
    forms |= {f"{number:,}".translate(str.maketrans(",.", ".,")), repr(number).replace(".", ",")}
    return {form.encode() for form in forms}


def byte_forms(kinds: Sequence[str]) -> Mapping[int, str]:
    """Each number as it lies in memory, read as a little-endian integer."""
    forms = {}
    for number in (*FLOATS, *INTS):
        for kind in kinds:
            if kind[1] == "f" or isinstance(number, int):
                data = np.array([number]).astype(kind).tobytes()
                forms[int.from_bytes(data, "little")] = f"{number} as {kind}"
    return forms


NUMBERS: Final = {form: str(number) for number in (*FLOATS, *INTS) for form in text_forms(number)}
WIDE: Final = byte_forms(_WIDE)
NARROW: Final = byte_forms(_NARROW)
KNOWN: Final[Mapping[int, NDArray[Any]]] = {
    4: np.array(sorted(NARROW), dtype=np.uint32),
    8: np.array(sorted(WIDE), dtype=np.uint64),
}


def mark_forms(mark: str) -> Iterator[bytes]:
    """What every planted text begins with, in the encodings that hide it."""
    plain = mark.encode()
    yield from (plain, plain.upper(), mark.encode("utf-16-le"), mark.encode("utf-16-be"))
    yield from (plain.hex().encode(), plain.hex().upper().encode())
    for before in range(3):  # base64 of the middle, wherever the text begins
        encoded = base64.b64encode(b"\0" * before + plain)
        yield encoded[4 if before else 0 : len(encoded) - 4]


MARKS: Final = tuple(mark_forms(MARK))


def aligned(data: bytes, width: int) -> Iterator[NDArray[Any]]:
    """All runs of ``width`` bytes as integers, from each offset."""
    for offset in range(width):
        size = (len(data) - offset) // width
        if size > 0:
            yield np.frombuffer(data, np.dtype(f"<u{width}"), size, offset)


def hits(data: bytes, forms: Mapping[int, str], width: int) -> list[str]:
    """Numbers in memory's form."""
    out: list[str] = []
    for run in aligned(data, width):
        out += [forms[int(value)] for value in run[np.isin(run, KNOWN[width])]]
    return out


def found(data: bytes) -> list[str]:
    """Planted values in ``data``: texts, numbers as text, numbers in eight bytes."""
    out = [f"text {form!r}" for form in MARKS if form in data]
    tokens = {token for form in _TOKENS for token in form.findall(data)}
    out += [f"{NUMBERS[token]} as text" for token in tokens & NUMBERS.keys()]
    return out + hits(data, WIDE, 8)


def clean(streams: Iterable[tuple[str, bytes]]) -> None:
    """Assert that nothing is found.

    Four bytes are few: in a megabyte of fresh noise one of the 700 forms turns up by chance
    one time in six. A column that leaks shows all of its values, so five are too many.
    """
    narrow: list[str] = []
    for name, data in streams:
        assert found(data) == [], name
        narrow += [f"{name}: {hit}" for hit in hits(data, NARROW, 4)]
    assert len(narrow) < 5, narrow


# ------------------------------------------------------------------------------- the tables

SCHEMA = """
name = "small"
version = 1
description = "made up"
person = "person"
ids = ["loan"]

[label]
column = "bad"
good = ["0"]
bad = ["1"]
definition = "a made-up outcome"
outcome_months = 12

[[column]]
kind = "numeric"
name = "income"
unit = "EUR"
low = 0
high = 10000
cells = 16
direction = "risk-down"

[[column]]
kind = "numeric"
name = "turnover"
unit = "EUR"
low = 1
high = 2000000000
spacing = "log"
cells = 16

[[column]]
kind = "categorical"
name = "town"
categories = ["north", "south"]
other = true
"""
STUDY = """
name = "A small study"
purpose = "a test"
learner = "boosting"
salt = "00112233445566778899aabbccddeeff"
seed = "ffeeddccbbaa99887766554433221100"
schema = "schema.toml"
"""


def table(part: int) -> pl.DataFrame:
    """One institution's rows: each third planted value stands in it, and in one row only."""
    draw = np.random.default_rng(part)
    income = draw.uniform(0, 10_000, ROWS)
    columns: dict[str, list[object]] = {
        "loan": [f"loan-{part}-{at}" for at in range(ROWS)],
        "person": [f"person-{part}-{at}" for at in range(ROWS)],
        "bad": (draw.random(ROWS) < 0.4 - income / 30_000).astype(int).tolist(),
        "income": income.round(1).tolist(),
        "turnover": draw.integers(1, 1000, ROWS).tolist(),
        "town": [("north", "south")[at % 2] for at in range(ROWS)],
        "note": ["" for _ in range(ROWS)],
    }
    kinds: dict[str, Sequence[object]] = {**TEXTS, "income": FLOATS, "turnover": INTS}
    for start, (name, values) in enumerate(kinds.items()):
        for at, value in enumerate(values[part::3]):
            columns[name][7 * start + at] = value
    return pl.DataFrame(columns)


def broken(part: int) -> pl.DataFrame:
    """The same rows with texts among numbers, undeclared outcomes, gaps and repeated ids."""
    whole = table(part)
    persons = whole["person"].to_list()
    return whole.with_columns(
        person=pl.Series([persons[0] if at % 3 else None for at in range(ROWS)]),
        loan=pl.Series([persons[at // 2 % 80] for at in range(ROWS)]),
        income=pl.Series(
            [str(FLOATS[at % PLANTED_FLOATS]) for at in range(ROWS - 2)] + persons[:2]
        ),
        bad=pl.Series([("0", "1", "", persons[at % 80])[at % 4] for at in range(ROWS)]),
    )


@dataclass
class Workplace:
    """A folder in which commands run, with all that they have said."""

    folder: Path
    given: set[Path] = field(default_factory=set)
    said: list[tuple[str, bytes]] = field(default_factory=list)

    def give(self, name: str, data: bytes) -> None:
        """Put a file there that is ours, and is not searched."""
        path = self.folder / "work" / name
        path.write_bytes(data)
        self.given.add(path)

    def run(self, *words: str) -> int:
        """Run the program, and keep what it prints."""
        environment = {
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "scratch"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "fedcredit.cli.main", *words],
            env=environment,
            cwd=self.folder / "work",
            capture_output=True,
            check=False,
        )
        self.said.append((" ".join(words), done.stdout + b"\n" + done.stderr))
        return done.returncode

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file that is not ours; a table in Parquet also as text, as it is compressed."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path not in self.given:
                yield str(path), path.read_bytes()
                if path.suffix == ".parquet":
                    yield f"{path} as text", pl.read_parquet(path).write_csv().encode()

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """All that was said and written."""
        yield from self.said
        yield from self.files()


def institutions(*sources: str) -> bytes:
    """A study file with tables of these names."""
    lines = "".join(
        f'\n[[institutions]]\nname = "{name}"\ntable = "{source}"\n'
        for name, source in zip(NAMES, sources, strict=False)
    )
    return (STUDY + lines).encode()


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


def parquet(frame: pl.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file, not compressed."""
    data = BytesIO()
    frame.write_parquet(data, compression="uncompressed")
    return data.getvalue()


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


# ------------------------------------------------------------------------------- the controls


def test_every_value_is_found_in_a_log_line() -> None:
    """As it is, and within a sentence or a JSON object."""
    for value in ALL:
        text = value if isinstance(value, str) else repr(value)
        for line in (f'row {{"value": {text}, "n": 3}}', f"x={text}."):
            assert found(line.encode()), line


@pytest.mark.parametrize("kind", [*_WIDE, *_NARROW])
def test_every_number_is_found_in_a_message(kind: str) -> None:
    """Of eight bytes one is enough, wherever it stands; of four bytes a column is."""
    numbers = [one for one in (*FLOATS, *INTS) if kind[1] == "f" or isinstance(one, int)]
    pieces = [np.array([number]).astype(kind).tobytes() for number in numbers]
    for at, piece in enumerate(pieces):
        data = b"\x07" * (at % 9) + piece + b"\x07" * 5
        assert found(data) if kind in _WIDE else hits(data, NARROW, 4)
    with pytest.raises(AssertionError):
        clean([("message", b"\x07" * 3 + b"".join(pieces))])


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_text_is_found_in_its_encodings(before: str) -> None:
    text = before + TEXTS["person"][7] + " left"
    for data in (
        text.encode(),
        text.upper().encode(),
        text.encode("utf-16-le"),
        text.encode("utf-16-be"),
        text.encode().hex().encode(),
        base64.b64encode(text.encode()),
    ):
        assert found(data)


@pytest.mark.parametrize(
    "form", ["{:,.3f}", "{:.6e}", "{:.6f}", "EUR {:.3f};", "[{:.3f}, 2)", '"{:.3f}"']
)
def test_a_number_is_found_however_it_is_written(form: str) -> None:
    for number in FLOATS:
        assert found(form.format(number).encode())


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
