"""The rules: each policy softens or refuses as declared, and errors hold no count and no value."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedcredit.data.cells import Levels
from fedcredit.data.findings import RULES, Finding, absences, check, findings, refuse_broken
from fedcredit.data.schema import Categorical, Label, Numeric, Schema
from fedcredit.data.table import Chunk
from fedcredit.errors import DataError

NUMBER = Numeric("age", "years", 18, 80, outside="refuse", missing="refuse")
CATEGORY = Categorical("town", ("a", "b"), missing="refuse")
LABEL = Label("y", ("0",), ("1",), "late", 12)
SCHEMA = Schema("loans", 1, "", (NUMBER, CATEGORY), LABEL)


def chunk(
    ages: list[float],
    towns: list[int],
    outcomes: list[int],
    unreadable: dict[str, int] | None = None,
) -> Chunk:
    """A chunk; towns are codes of a, b, c; outcomes of 0, 1, ?."""
    levels = {
        "town": Levels(np.array(towns, dtype=np.int64), ("a", "b", "c")),
        "y": Levels(np.array(outcomes, dtype=np.int64), ("0", "1", "?")),
    }
    return Chunk(len(ages), {"age": np.array(ages, dtype=np.float64)}, levels, unreadable or {})


GOOD = chunk([20, 30], [0, 1], [0, 1])


def broken(schema: Schema, *chunks: Chunk) -> list[tuple[str, str, int]]:
    """Rule, column and count of what does not hold."""
    found = check(schema, chunks)
    return [(one.rule, one.column, one.count) for one in found if not one.passed]


def test_a_sound_table_passes_every_rule_once_for_each_column() -> None:
    found = check(SCHEMA, [GOOD])
    assert all(one.passed and not one.count and not one.hint for one in found)
    rules = [one.rule for one in found]
    assert rules == sorted(rules, key=list(RULES).index), "in the order of the rules"
    assert len({(one.rule, one.column) for one in found}) == len(found)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ages": [20, np.inf]}, ("finite", "age", 1)),
        ({"ages": [17.9, 81]}, ("bounds", "age", 2)),
        ({"ages": [20, np.nan]}, ("missing", "age", 1)),
        ({"ages": [20, np.nan], "unreadable": {"age": 1}}, ("type", "age", 1)),
        ({"towns": [0, 2]}, ("category", "town", 1)),
        ({"towns": [0, -1]}, ("missing", "town", 1)),
        ({"outcomes": [0, 0]}, ("classes", "y", 0)),
    ],
)
def test_a_rule_that_is_broken_is_found_with_its_column_and_count(
    change: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    fields: dict[str, Any] = {"ages": [20, 30], "towns": [0, 1], "outcomes": [0, 1]}
    found = check(SCHEMA, [chunk(**fields | change)])
    bad = [one for one in found if not one.passed]
    assert [(one.rule, one.column, one.count) for one in bad] == [expected]
    assert all(one.hint for one in bad)


def test_an_outcome_that_is_neither_or_missing_is_found() -> None:
    three = chunk([20, 30, 40, 50], [0, 1, 0, 1], [0, 1, 2, -1])
    assert broken(SCHEMA, three) == [("label", "y", 1), ("outcome", "y", 1)]


def test_policies_let_pass_and_count() -> None:
    soft = replace(
        SCHEMA,
        columns=(
            replace(NUMBER, outside="clamp", missing="cell"),
            replace(CATEGORY, other=True, missing="cell"),
        ),
        label=replace(LABEL, missing="drop"),
    )
    odd = chunk([17, np.nan, 20, 30], [2, -1, 0, 0], [0, 1, -1, -1])
    found = check(soft, [odd])
    assert all(one.passed for one in found)
    counted = {(one.rule, one.column): (one.count, one.hint) for one in found if one.count}
    assert counted == {
        ("missing", "age"): (1, "in a cell of their own"),
        ("missing", "town"): (1, "in a cell of their own"),
        ("bounds", "age"): (1, "clamped into the outermost cells"),
        ("category", "town"): (1, "in the cell of other categories"),
        ("outcome", "y"): (2, "dropped"),
    }


def test_an_empty_table_is_found_empty() -> None:
    assert broken(SCHEMA) == [("rows", "", 1), ("classes", "y", 0)]


def test_absent_columns_are_named_and_not_judged_further() -> None:
    found = check(SCHEMA, [GOOD], absent=("town", "y"))
    bad = [(one.rule, one.column) for one in found if not one.passed]
    assert bad == [("columns", "town"), ("columns", "y")]
    assert not [one for one in found if one.column == "town" and one.rule != "columns"]


def test_repeated_and_missing_ids_and_persons_are_found_over_chunks() -> None:
    named = replace(SCHEMA, person="who", ids=("loan",))
    ids = {"loan": np.array([1, 2], dtype=np.uint64)}
    one = replace(GOOD, persons=[b"p", b"q"], ids=ids)
    two = replace(GOOD, persons=[b"p", b""], ids=ids, unnamed={"who": 1, "loan": 3})
    assert broken(named, one) == []
    assert broken(named, one, two) == [("person", "who", 2), ("ids", "loan", 5)]
    assert broken(replace(named, rows_per_person=2), one, one) == [("ids", "loan", 2)]


def test_the_error_names_file_column_rule_and_remedy_and_no_count() -> None:
    found = check(SCHEMA, [chunk([1e99, 20], [2, 1], [0, 1])])
    with pytest.raises(DataError) as caught:
        refuse_broken(found, "loans.csv")
    assert caught.value.what == (
        "loans.csv: column 'age' breaks the rule 'bounds', numbers lie within their public bounds"
        " (and also category)"
    )
    assert "public bounds" in caught.value.remedy
    assert caught.value.exit_status == 1
    refuse_broken(check(SCHEMA, [GOOD]), "loans.csv")


def test_rules_about_the_whole_table_name_no_column() -> None:
    with pytest.raises(DataError, match=r"x: the table breaks the rule 'rows'"):
        refuse_broken(findings(SCHEMA, {}), "x")
    assert absences(()) == (Finding("columns", "", passed=True, count=0),)
