"""The page of faults names every row once, and every test that says it is of a row."""

from __future__ import annotations

import re
from itertools import chain

import pytest

from tests.rows import FILES, PAGE, ROOT, files_of, rows_of

ABSENT = {31, 45, 46, 47, 48}


def test_every_row_is_on_the_page_or_said_not_to_be() -> None:
    assert set(chain.from_iterable(FILES.values())) == set(range(1, 59)) - ABSENT
    assert all(str(row) in PAGE.read_text("utf-8").split("Not there")[1] for row in (31, 45))


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_file_holds_tests_of_every_row_that_it_is_named_for(file: str) -> None:
    text = (ROOT / file).read_text("utf-8")
    numbered = {int(row) for row in re.findall(r"def test_row_(\d+)_", text)}
    assert "def test_" in text
    assert not numbered or set(FILES[file]) == numbered


def test_a_test_that_names_its_row_is_on_the_page() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        rows = {
            int(row) for row in re.findall(r"(?m)^def test_row_(\d+)_", path.read_text("utf-8"))
        }
        assert rows <= set(FILES.get(str(path.relative_to(ROOT)), [])), path


def test_a_test_is_of_its_number_or_of_its_files_rows() -> None:
    assert files_of("| 3, 4 | a | b | [x](../tests/x.py), [y](../tests/y.py) |\n") == {
        "tests/x.py": [3, 4],
        "tests/y.py": [3, 4],
    }
    assert rows_of("tests/faults/test_rows.py::test_row_6_a_ledger") == [6]
    assert rows_of("tests/adapters/test_tls.py::test_tls_1_2_is_refused_by_both_sides") == [17]
    assert rows_of("tests/models/test_bins.py::test_any") == []
