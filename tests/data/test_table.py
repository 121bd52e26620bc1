"""Reading a chunk: cells, outcomes, the split and an exact tally, with no value shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.data.cells import Levels
from fedcredit.data.schema import Categorical, Label, Numeric, Schema
from fedcredit.data.split import held_out, row_keys
from fedcredit.data.table import Chunk, encode_chunk, id_columns, read_chunk, repeats

SCHEMA = Schema(
    "loans",
    1,
    "",
    (
        Numeric("age", "years", 18, 80, step=1, special=(-9.0,), protected=True),
        Categorical("town", ("a", "b")),
        Numeric("income", "EUR", 0, 1000),
    ),
    Label("y", ("good",), ("bad",), "late", 12),
)


def chunk(**change: object) -> Chunk:
    """Five rows: one plain, and others that stand out."""
    plain = Chunk(
        rows=5,
        numbers={
            "age": np.array([20, -9, 17, np.nan, np.inf]),
            "income": np.array([1, 2000, -1, np.nan, np.nan]),
        },
        levels={
            "town": Levels(np.array([0, 1, 2, -1, 0]), ("a", "b", "c")),
            "y": Levels(np.array([0, 1, 2, -1, 1]), ("good", "bad", "maybe")),
        },
        unreadable={"income": 1, "age": 0, "town": 0, "y": 0},
    )
    return replace(plain, **change)  # type: ignore[arg-type]


def test_every_row_that_stands_out_is_counted_once_under_its_rule() -> None:
    reading = read_chunk(SCHEMA, chunk(), b"salt")
    tally = {key: count for key, count in reading.tally.items() if count}
    assert tally == {
        ("rows", ""): 5,
        ("finite", "age"): 1,
        ("bounds", "age"): 1,
        ("missing", "age"): 1,
        ("category", "town"): 1,
        ("missing", "town"): 1,
        ("type", "income"): 1,
        ("missing", "income"): 1,
        ("bounds", "income"): 2,
        ("good", "y"): 1,
        ("bad", "y"): 2,
        ("no outcome", "y"): 1,
        ("unknown outcome", "y"): 1,
    }


def test_rows_without_an_outcome_are_left_out_of_the_batch() -> None:
    batch = read_chunk(SCHEMA, chunk(), b"salt").batch
    assert batch.bad.tolist() == [0, 1, 1]
    assert batch.cells.shape == (2, 3)
    assert batch.cells.flags.c_contiguous
    assert batch.cells[0].tolist() == [0, 1, 0]
    assert batch.held_out.tolist() == held_out(row_keys(batch.cells), b"salt").tolist()


def test_a_protected_column_is_checked_and_not_encoded() -> None:
    cells, tally = encode_chunk(SCHEMA, chunk())
    assert len(cells) == len(SCHEMA.features) == 2
    assert tally["bounds", "age"] == 1


def test_the_person_decides_the_side_where_the_schema_names_one() -> None:
    people = [b"p1", b"p2", b"", b"p4", b"p5"]
    named = replace(SCHEMA, person="who", ids=("who", "loan"))
    assert id_columns(named) == ("loan",)
    ids = {"loan": np.array([1, 2, 3, 4], dtype=np.uint64)}
    read = read_chunk(named, chunk(persons=people, ids=ids, unnamed={"who": 1, "loan": 1}), b"s")
    kept = [people[0], people[1], people[4]]
    assert read.batch.held_out.tolist() == held_out(kept, b"s").tolist()
    assert (read.tally["unnamed", "who"], read.tally["unnamed", "loan"]) == (1, 1)
    assert len(read.persons) == 3


def test_columns_that_a_table_does_not_have_are_missing_in_every_row() -> None:
    reading = read_chunk(SCHEMA, Chunk(rows=3), b"")
    assert reading.tally["missing", "age"] == 3
    assert reading.tally["missing", "town"] == 3
    assert reading.tally["no outcome", "y"] == 3
    assert reading.batch.cells.shape == (2, 0)


def test_an_unreadable_label_is_not_also_counted_as_missing() -> None:
    tally = read_chunk(SCHEMA, chunk(unreadable={"y": 1, "income": 1}), b"").tally
    assert (tally["type", "y"], tally["no outcome", "y"]) == (1, 0)


def test_rows_are_not_shown() -> None:
    assert repr(chunk()) == "Chunk(...)"
    assert repr(read_chunk(SCHEMA, chunk(), b"")) == "Reading(...)"


marks_of_rows = st.lists(st.integers(0, 5), max_size=12)


@given(parts=st.lists(marks_of_rows, max_size=4), allowed=st.integers(1, 3))
def test_every_row_beyond_the_allowed_ones_is_a_repeat(
    parts: list[list[int]], allowed: int
) -> None:
    named = replace(SCHEMA, person="who", ids=("loan",), rows_per_person=allowed)
    arrays = [np.array(part, dtype=np.uint64) for part in parts]
    counts = Counter(mark for part in parts for mark in part)
    tally = repeats(named, arrays, {"loan": arrays})
    assert tally["repeated", "who"] == sum(max(n - allowed, 0) for n in counts.values())
    assert tally["repeated", "loan"] == sum(n - 1 for n in counts.values())
    assert ("repeated", "") not in repeats(SCHEMA, [], {})


@given(cut=st.integers(0, 5))
def test_tallies_of_parts_add_up_to_the_tally_of_the_whole(cut: int) -> None:
    whole = chunk(unreadable={})

    def part(rows: slice) -> Chunk:
        numbers = {name: values[rows] for name, values in whole.numbers.items()}
        levels = {name: Levels(one.codes[rows], one.texts) for name, one in whole.levels.items()}
        return Chunk(len(numbers["age"]), numbers, levels)

    total: Counter[tuple[str, str]] = Counter()
    for rows in (slice(0, cut), slice(cut, None)):
        total.update(read_chunk(SCHEMA, part(rows), b"").tally)
    assert total == Counter(read_chunk(SCHEMA, whole, b"").tally)
