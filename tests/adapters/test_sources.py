"""Where a node's records are: files or a database, never both, and secrets for its eyes alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from adbc_driver_manager.dbapi import DataError as DriverDataError
from adbc_driver_manager.dbapi import Error as DriverError
from adbc_driver_manager.dbapi import OperationalError

from fedcredit.adapters.folders import read_node
from fedcredit.adapters.postgres import postgres_table
from fedcredit.adapters.sources import open_source
from fedcredit.data.schema import Schema
from fedcredit.errors import ConfigError, DataError, FedCreditError, UnreachableError
from tests.adapters.made_database import DSN, ROWS, Database, write_place
from tests.federation.made import SCHEMA

SALT = bytes(16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_place(tmp_path)


def opened(folder: Path, schema: Schema = SCHEMA) -> int:
    records = open_source(folder, read_node(folder), schema, SALT)
    return sum(one.cells.shape[1] for one in records.batches())


def test_a_query_gives_the_rows_of_a_table(folder: Path, database: Database) -> None:
    assert opened(folder) == len(ROWS)
    assert database.open == 0


def test_every_transaction_is_read_only_and_the_role_is_looked_at_before_the_query(
    folder: Path, database: Database
) -> None:
    opened(folder)
    begins = [at for at, one in enumerate(database.statements) if "READ ONLY" in one]
    assert len(begins) == 2
    for at in begins:
        assert "pg_roles" in database.statements[at + 1]
        assert database.statements[at + 2].startswith("DECLARE")


def test_a_role_that_may_write_is_refused_before_the_query_is_sent(
    folder: Path, database: Database
) -> None:
    database.rights["change tables"] = True
    with pytest.raises(ConfigError, match="may change tables"):
        opened(folder)
    assert not any("loans" in one for one in database.statements)
    assert database.open == 0


@pytest.mark.parametrize(
    ("word", "problem", "kind", "said"),
    [
        ("connect", OperationalError("s3cret", status_code=10), UnreachableError, "not answer"),
        ("loans", DriverDataError("a value", status_code=5, sqlstate="22012"), DataError, "22012"),
        ("FETCH 6", OperationalError("gone", status_code=10), UnreachableError, "gone away"),
    ],
)
def test_no_message_of_the_driver_is_passed_on(
    folder: Path,
    database: Database,
    word: str,
    problem: DriverError,
    kind: type[FedCreditError],
    said: str,
) -> None:
    database.fails = {word: problem}
    with pytest.raises(kind, match=said) as found:
        opened(folder)
    assert found.value.__cause__ is None
    assert found.value.__context__ is None
    assert "s3cret" not in str(found.value)
    assert database.open == 0


@pytest.mark.parametrize(
    ("dsn", "sent"),
    [
        (DSN, f"{DSN}?connect_timeout=10"),
        (f"{DSN}?sslmode=require", f"{DSN}?sslmode=require&connect_timeout=10"),
        ("host=db dbname=bank", "host=db dbname=bank connect_timeout=10"),
        (f"{DSN}?connect_timeout=3", f"{DSN}?connect_timeout=3"),
    ],
)
def test_a_database_behind_a_wall_is_not_waited_for_for_ever(
    database: Database, dsn: str, sent: str
) -> None:
    postgres_table(dsn, "select * from loans", "query.sql")
    assert database.asked == sent


def test_a_secret_is_never_shown(database: Database) -> None:
    assert "s3cret" not in repr(postgres_table(DSN, "select * from loans", "query.sql"))


def test_what_is_no_number_and_no_text_is_asked_for_as_text(database: Database) -> None:
    database.rows = pl.DataFrame({"a": [1.0], "day": [date(2026, 1, 31)]})
    table = postgres_table(DSN, "select a, day from loans -- all of them", "query.sql")
    list(table.frames(["day"]))
    declared = [one for one in database.statements if one.startswith("DECLARE")][-1]
    assert 'SELECT "day" FROM (SELECT "a", "day"::text FROM (select' in declared
    assert "-- all of them\n)" in declared, "a comment ends with its line"


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_dsn_that_others_may_read_is_refused(folder: Path, database: Database, mode: int) -> None:
    (folder / "dsn").chmod(mode)
    with pytest.raises(ConfigError, match="others may read it"):
        opened(folder)


@pytest.mark.parametrize("name", ["dsn", "query.sql"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_file_that_is_missing_or_empty_is_named(
    folder: Path, database: Database, name: str, empty: bool
) -> None:
    (folder / name).unlink()
    if empty:
        (folder / name).touch(0o600)
    with pytest.raises(ConfigError, match=name):
        opened(folder)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('table = "t.csv"\n[data]\nsource = "postgres"\ndsn_file = "a"\nquery_file = "b"', "two"),
        ("", "or none"),
        ('[data]\nsource = "postgres"\ndsn_file = "a"', "does not go with"),
        ('table = "t.csv"\n[data]\nsource = "files"\ndsn_file = "a"\nquery_file = "b"', "go with"),
        ('[data]\nsource = "postgres"\ndsn = "postgresql://a"', "dsn"),
    ],
)
def test_a_node_has_one_place_of_records(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "node.toml").write_text(f'institution = "bank"\n{text}\n', "utf-8")
    with pytest.raises(ConfigError, match=said):
        read_node(tmp_path)
