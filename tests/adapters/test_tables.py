"""Tables from disk: the same records from every kind of file, and a clear refusal of each fault."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.adapters.frames import files_of
from fedcredit.adapters.spool import Spool
from fedcredit.adapters.tables import check_table, open_table, scoring_batches
from fedcredit.data.records import Batch, Records
from fedcredit.data.schema import Categorical, Label, Numeric, Schema
from fedcredit.errors import DataError

SCHEMA = Schema(
    "loans",
    1,
    "",
    (
        Numeric("amount", "EUR", 0, 1000, special=(-9.0,), step=1, cells=20),
        Categorical("town", ("é", "b", "1"), other=True),
    ),
    Label("y", ("0",), ("1",), "late", 12),
    person="who",
    ids=("loan",),
)
HEAD = "who,loan,amount,town,y\n"
ROWS = "p1,1,10,é,0\np2,2,-9,b,1\np3,3,,1.0,1\np4,4, 990.5 ,zzz,0\n"
CELLS = [[0, 21, 20, 19], [0, 1, 2, 3]]
BAD = [0, 1, 1, 0]

Write = Callable[[str, bytes | str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return to


def whole(records: Records) -> Batch:
    """All batches as one."""
    batches = list(records.batches())
    return Batch(
        np.concatenate([batch.cells for batch in batches], axis=1),
        np.concatenate([batch.bad for batch in batches]),
        np.concatenate([batch.held_out for batch in batches]),
    )


def frame() -> pl.DataFrame:
    """The table with types."""
    return pl.DataFrame(
        {
            "who": ["p1", "p2", "p3", "p4"],
            "loan": [1, 2, 3, 4],
            "amount": [10.0, -9.0, None, 990.5],
            "town": ["é", "b", "1", "zzz"],
            "y": [0, 1, 1, 0],
        }
    )


TYPED: dict[str, list[pl.Expr]] = {
    "plain": [],
    "float label": [pl.col("y").cast(pl.Float64)],
    "text label": [pl.col("y").cast(pl.String)],
    "text amount": [pl.col("amount").cast(pl.String)],
    "categorical town": [pl.col("town").cast(pl.Categorical)],
    "binary town": [pl.col("town").cast(pl.Binary)],
    "decimal amount": [pl.col("amount").cast(pl.Decimal(10, 2))],
    "nan amount": [pl.col("amount").fill_null(float("nan"))],
    "float ids": [pl.col("loan").cast(pl.Float64)],
}


@pytest.mark.parametrize("case", TYPED)
def test_a_parquet_table_has_the_same_records_whatever_its_types(case: str, tmp_path: Path) -> None:
    path = tmp_path / "loans.parquet"
    frame().with_columns(TYPED[case]).write_parquet(path)
    read = whole(open_table(str(path), SCHEMA, b"salt"))
    assert read.cells.tolist() == CELLS
    assert read.bad.tolist() == BAD


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", HEAD + ROWS),
        ("semicolons", (HEAD + ROWS).replace(",", ";")),
        ("tabs", (HEAD + ROWS).replace(",", "\t")),
        ("windows line ends", (HEAD + ROWS).replace("\n", "\r\n")),
        ("byte order mark", "\ufeff" + HEAD + ROWS),
        ("no last line end", (HEAD + ROWS).rstrip("\n")),
        ("quotes", HEAD + ROWS.replace("p1,1,10,é", '"p1","1","10","é"')),
        ("NA for missing", HEAD + ROWS.replace("3,,", "3,NA,")),
        (
            "another column",
            HEAD.replace("y", "x,y")
            + ROWS.replace("é,", "é,#,")
            .replace("b,", "b,#,")
            .replace("1.0,", "1.0,#,")
            .replace("zzz,", "zzz,#,"),
        ),
    ],
)
def test_a_csv_table_has_the_same_records_however_it_is_written(
    name: str, text: str, write: Write
) -> None:
    read = whole(open_table(str(write("loans.csv", text)), SCHEMA, b"salt"))
    assert read.cells.tolist() == CELLS
    assert read.bad.tolist() == BAD


def test_csv_and_parquet_have_the_same_split(write: Write, tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "loans.parquet")
    one = whole(open_table(str(write("loans.csv", HEAD + ROWS)), SCHEMA, b"salt"))
    other = whole(open_table(str(tmp_path / "loans.parquet"), SCHEMA, b"salt"))
    assert one.held_out.tolist() == other.held_out.tolist()


def test_files_of_a_glob_are_read_in_the_order_of_their_names(write: Write, tmp_path: Path) -> None:
    lines = ROWS.splitlines(keepends=True)
    for at in (3, 1, 0, 2):
        write(f"part-{at}.csv", HEAD + lines[at])
    read = whole(open_table(str(tmp_path / "part-*.csv"), SCHEMA, b"salt"))
    assert read.cells.tolist() == CELLS
    assert len(files_of(str(tmp_path / "**" / "*.csv"))) == 4
    assert len(files_of(f"csv:{tmp_path / 'part-0.csv'}")) == 1


def test_a_name_without_ending_is_read_as_said(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "loans")
    assert whole(open_table(f"parquet:{tmp_path / 'loans'}", SCHEMA, b"")).bad.tolist() == BAD


def test_long_tables_come_in_batches_that_can_be_read_again(tmp_path: Path) -> None:
    rows = 150_000
    line = np.arange(rows)
    table = pl.DataFrame(
        {"who": line, "loan": line, "amount": line % 1000, "town": ["b"] * rows, "y": line % 2}
    )
    path = tmp_path / "loans.parquet"
    table.write_parquet(path, row_group_size=rows)
    records = open_table(str(path), SCHEMA, b"salt")
    sizes = [len(batch.bad) for batch in records.batches()]
    assert sum(sizes) == rows
    assert max(sizes) <= 65_536
    once, again = whole(records), whole(records)
    assert (once.cells == again.cells).all()
    assert (once.held_out == again.held_out).all()
    assert abs(once.held_out.mean() - 0.2) < 0.01
    assert (once.bad == line % 2).all()
    scored = np.concatenate(list(scoring_batches(str(path), SCHEMA)), axis=1)
    assert (scored == once.cells).all()


def test_scoring_needs_neither_label_nor_ids(tmp_path: Path) -> None:
    path = tmp_path / "applicants.parquet"
    frame().select("town", "amount").write_parquet(path)
    assert np.concatenate(list(scoring_batches(str(path), SCHEMA)), axis=1).tolist() == CELLS


def test_scoring_keeps_to_the_rules_of_the_features(tmp_path: Path, write: Write) -> None:
    path = tmp_path / "applicants.parquet"
    frame().with_columns(amount=pl.lit(float("inf"))).write_parquet(path)
    with pytest.raises(DataError, match=r"'amount' breaks the rule 'finite'"):
        list(scoring_batches(str(path), SCHEMA))
    with pytest.raises(DataError, match="breaks the rule 'columns'"):
        list(scoring_batches(str(write("a.csv", "amount\n1\n")), SCHEMA))
    with pytest.raises(DataError, match="breaks the rule 'rows'"):
        list(scoring_batches(str(write("b.csv", "amount,town\n")), SCHEMA))


FAULTS = [
    ("wrong type", HEAD + ROWS + "p5,5,ten,b,0\n", "'amount' breaks the rule 'type'"),
    ("infinite", HEAD + ROWS + "p5,5,inf,b,0\n", "'amount' breaks the rule 'finite'"),
    ("unknown outcome", HEAD + ROWS + "p5,5,1,b,7\n", "'y' breaks the rule 'label'"),
    ("no outcome", HEAD + ROWS + "p5,5,1,b,\n", "'y' breaks the rule 'outcome'"),
    ("a short row", HEAD + ROWS + "p5,5,1,b\n", "'y' breaks the rule 'outcome'"),
    ("one class", HEAD + "p1,1,10,b,0\n", "'y' breaks the rule 'classes'"),
    ("repeated id", HEAD + ROWS + "p5,1,1,b,0\n", "'loan' breaks the rule 'ids'"),
    ("missing id", HEAD + ROWS + "p5,,1,b,0\n", "'loan' breaks the rule 'ids'"),
    ("repeated person", HEAD + ROWS + "p1,5,1,b,0\n", "'who' breaks the rule 'person'"),
    ("missing person", HEAD + ROWS + "NA,5,1,b,0\n", "'who' breaks the rule 'person'"),
    ("no rows", HEAD, "the table breaks the rule 'rows'"),
    ("no label", "who,loan,amount,town\np1,1,1,b\n", "'y' breaks the rule 'columns'"),
    ("no header", ROWS, "breaks the rule 'columns'"),
    ("empty file", "", "no header line"),
    ("two columns of one name", "y,y\n1,2\n", "two columns of one name"),
    ("another encoding", (HEAD + ROWS).encode("latin-1"), "is not UTF-8 text"),
    ("UTF-16", (HEAD + ROWS).encode("utf-16"), "is not UTF-8 text"),
    ("a long row", HEAD + ROWS + "p5,5,1,b,0,0\n", "more fields than its header"),
    ("an open quote", HEAD + ROWS + 'p5,5,1,"b,0\n', "a quote that is not closed"),
]


@pytest.mark.parametrize(("name", "content", "what"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_csv_with_a_fault_is_refused(
    name: str, content: bytes | str, what: str, write: Write
) -> None:
    """The error names file, column, rule and remedy; nothing of the reader's own error is kept."""
    path = write("loans.csv", content)
    with pytest.raises(DataError, match=what) as caught:
        open_table(str(path), SCHEMA, b"salt")
    assert caught.value.what.startswith(str(path))
    assert caught.value.remedy
    assert caught.value.exit_status == 1
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_out_of_bounds_and_unknown_categories_are_refused_where_the_policy_says(
    write: Write,
) -> None:
    amount, town = SCHEMA.columns
    assert isinstance(amount, Numeric)
    assert isinstance(town, Categorical)
    path = str(write("loans.csv", HEAD + ROWS + "p5,5,1001,b,0\n"))
    open_table(path, SCHEMA, b"")
    strict = replace(SCHEMA, columns=(replace(amount, outside="refuse"), town))
    with pytest.raises(DataError, match="'amount' breaks the rule 'bounds'"):
        open_table(path, strict, b"")
    strict = replace(SCHEMA, columns=(amount, replace(town, other=False)))
    with pytest.raises(DataError, match="'town' breaks the rule 'category'"):
        open_table(path, strict, b"")


def test_the_file_of_a_glob_that_has_the_fault_is_named(write: Write, tmp_path: Path) -> None:
    write("a.csv", HEAD + ROWS)
    bad = write("b.csv", HEAD + ROWS.replace("10", "ten"))
    with pytest.raises(DataError, match=r"b\.csv: column 'amount'") as caught:
        open_table(str(tmp_path / "*.csv"), SCHEMA, b"")
    assert str(bad) in caught.value.what


def test_an_id_that_comes_again_in_another_file_is_found(write: Write, tmp_path: Path) -> None:
    frame().with_columns(pl.col("who") + "x").write_parquet(tmp_path / "a.parquet")
    frame().with_columns(pl.col("who") + "y", pl.col("loan") + 3).write_parquet(
        tmp_path / "b.parquet"
    )
    with pytest.raises(DataError, match="'loan' breaks the rule 'ids'"):
        open_table(str(tmp_path / "*.parquet"), SCHEMA, b"")
    open_table(str(tmp_path / "*.parquet"), replace(SCHEMA, ids=()), b"")


def test_a_file_that_cannot_be_opened_is_refused(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("loans.csv", HEAD + ROWS)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match="cannot be opened"):
        open_table(str(path), SCHEMA, b"")


def test_a_parquet_file_that_is_cut_short_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loans.parquet"
    frame().write_parquet(path)
    sound = path.read_bytes()
    damaged = sound[:12] + b"\xff" * 40 + sound[52:]
    for content in (sound[:-20], sound[: len(sound) // 2], b"", b"PAR1", b"hello", damaged):
        path.write_bytes(content)
        with pytest.raises(DataError, match="is no whole Parquet file"):
            open_table(str(path), SCHEMA, b"")
        with pytest.raises(DataError, match="is no whole Parquet file"):
            check_table(str(path), SCHEMA)


def test_entries_of_a_type_that_has_no_numbers_or_texts_break_the_type_rule(tmp_path: Path) -> None:
    path = tmp_path / "loans.parquet"
    lists = pl.Series([[1], [2], [3], [4]])
    not_text = pl.Series([b"b", b"\xff\xfe", b"b", None])
    frame().with_columns(amount=lists, town=not_text).write_parquet(path)
    found = {(one.rule, one.column): one.count for one in check_table(str(path), SCHEMA)}
    assert found["type", "amount"] == 4
    assert found["type", "town"] == 1
    assert found["missing", "town"] == 1
    frame().with_columns(amount=pl.lit(None), y=pl.lit(None)).write_parquet(path)
    found = {(one.rule, one.column): one.count for one in check_table(str(path), SCHEMA)}
    assert found["missing", "amount"] == 4
    assert found["outcome", "y"] == 4


def test_amounts_and_percentages_are_read_as_declared(write: Write) -> None:
    columns = (
        Numeric("price", "USD", 0, 1000, step=1, cells=200, format="currency"),
        Numeric("rate", "percent", 0, 100, step=1, format="percent"),
        Numeric("sum", "EUR", 0, 2000, cells=20, format="decimal-comma"),
    )
    schema = replace(SCHEMA, columns=columns, person="", ids=())
    text = "price;rate;sum;y\n$1,000.00 ;12 %;1.200,5 €;0\n-$5;0.4%;1.200;1\n7;NA;99,9;1\n"
    read = whole(open_table(str(write("a.csv", text)), schema, b""))
    prices, rates, sums = read.cells.tolist()
    assert prices == [columns[0].ordered - 1, 0, 1]
    assert rates == [12, 0, columns[1].ordered]
    assert sums == [12, 12, 0], "here 1.200 is twelve hundred"
    with pytest.raises(DataError, match="'type'"):
        open_table(str(write("a.csv", text.replace("7;", "7 or so;"))), schema, b"")


def test_a_source_that_is_no_table_is_refused(write: Write, tmp_path: Path) -> None:
    for source in (str(tmp_path / "none.csv"), str(tmp_path / "*.csv"), str(tmp_path)):
        with pytest.raises(DataError, match="no file matches"):
            files_of(source)
    with pytest.raises(DataError, match="neither CSV nor Parquet"):
        files_of(str(write("loans.xlsx", b"x")))


def test_check_counts_what_open_refuses(write: Write) -> None:
    path = str(write("loans.csv", HEAD + ROWS + "p1,1,ten,b,7\np1,1,-1,b,\n"))
    found = {(one.rule, one.column): one.count for one in check_table(path, SCHEMA) if one.count}
    assert found == {
        ("type", "amount"): 1,
        ("missing", "amount"): 1,
        ("bounds", "amount"): 1,
        ("category", "town"): 1,
        ("label", "y"): 1,
        ("outcome", "y"): 1,
        ("ids", "loan"): 2,
    }


def test_the_spool_leaves_no_file_and_closes_itself(tmp_path: Path) -> None:
    """Cells of a large table lie in a file without a name, which ends with the records."""
    before = set(os.listdir(tmp_path))  # noqa: PTH208 - names are enough
    spool = Spool(SCHEMA, in_memory_bytes=10)
    batch = Batch(
        np.array([[1, 2, 3], [0, 1, 2]], dtype=np.uint8),
        np.array([0, 1, 0], dtype=np.uint8),
        np.array([True, False, True]),
    )
    for _ in range(3):
        spool.append(batch)
    read = [(b.cells.tolist(), b.bad.tolist(), b.held_out.tolist()) for b in spool.batches()]
    expected = (batch.cells.tolist(), batch.bad.tolist(), batch.held_out.tolist())
    assert read == [expected] * 3
    assert set(os.listdir(tmp_path)) == before  # noqa: PTH208
    file = spool._file
    del spool
    gc.collect()
    assert file.closed


def test_two_passes_at_a_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    frame().write_parquet(tmp_path / "a.parquet")
    frame().with_columns(pl.col("who") + "x", pl.col("loan") + 9).write_parquet(
        tmp_path / "b.parquet"
    )
    records = open_table(str(tmp_path / "*.parquet"), SCHEMA, b"")
    for one, other in zip(records.batches(), records.batches(), strict=True):
        assert (one.cells == other.cells).all()


entries = st.text(st.characters(codec="utf-8", exclude_characters='\r\n"\0'), max_size=12)


@given(drawn=st.lists(st.tuples(entries, entries), min_size=1, max_size=8))
def test_any_text_is_read_or_refused_in_our_own_words(
    drawn: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "loans.csv"
    lines = [f'p{at},{at},"{amount}","{town}",{at % 2}' for at, (amount, town) in enumerate(drawn)]
    path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    found = check_table(str(path), SCHEMA)
    assert {one.rule for one in found} >= {"rows", "type", "category"}
