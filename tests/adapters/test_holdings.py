"""An institution's records as an examination sees them: a fault is named, and never a value."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from adbc_driver_manager.dbapi import Error as DriverError
from adbc_driver_manager.dbapi import OperationalError, ProgrammingError

from fedcredit.adapters.finding import Finding
from fedcredit.adapters.holdings import contract_of, records
from fedcredit.data.schema import Schema, write_schema
from fedcredit.federation.plan_json import plan_to_json
from tests.adapters.made_database import DSN, Database, write_place
from tests.federation.made import SCHEMA, plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_place(tmp_path)


def fault(folder: Path, schema: Schema | None = SCHEMA) -> Finding:
    """The one fault, after a look that it quotes no secret."""
    found = records(folder, schema)
    assert not found.ok
    assert found.check == "database"
    assert found.do
    for secret in (DSN, "s3cret", "@db", "reader:"):
        assert secret not in found.what + found.do
    return found


def propose(folder: Path, name: str, at: int) -> None:
    """Put a study before the node, at some second."""
    study = replace(plan(), name=name)
    place = folder / "studies" / name
    place.mkdir(parents=True)
    (place / "plan.json").write_text(plan_to_json(study), "utf-8")
    (place / "schema.toml").write_text(write_schema(study.schema), "utf-8")
    os.utime(place / "plan.json", (at, at))


def test_a_sound_database_is_well(folder: Path, database: Database) -> None:
    found = records(folder, SCHEMA)
    assert found.ok
    assert found.what == (
        "the database answers, its role may only read, and query.sql gives the 4 columns of the "
        "contract 'made-up', version 1"
    )
    assert database.open == 0
    assert not any("FETCH 6" in one for one in database.statements), "no row is read"


def test_before_the_first_study_there_is_no_contract_to_hold_the_query_against(
    folder: Path, database: Database
) -> None:
    assert contract_of(folder) is None
    found = records(folder, None)
    assert found.ok
    assert "gives 4 columns; no study has been put before the node" in found.what


@pytest.mark.parametrize(
    ("word", "problem", "said"),
    [
        ("connect", OperationalError("s3cret at @db", status_code=10), "does not answer"),
        (
            "loans",
            ProgrammingError("s3cret", status_code=5, sqlstate="42P01"),
            "the query failed: 42P01",
        ),
    ],
)
def test_a_database_that_does_not_answer_or_knows_no_such_table_is_named(
    folder: Path, database: Database, word: str, problem: DriverError, said: str
) -> None:
    database.fails = {word: problem}
    assert said in fault(folder).what


def test_a_role_that_may_write_is_named_with_what_it_may(folder: Path, database: Database) -> None:
    database.rights["be superuser"] = database.rights["change tables"] = True
    found = fault(folder)
    assert "may be superuser; change tables" in found.what
    assert "SELECT" in found.do


def test_columns_that_the_query_does_not_give_are_named(folder: Path, database: Database) -> None:
    database.rows = database.rows.drop("late", "default")
    found = fault(folder)
    assert found.what == (
        "query.sql does not give late, default, which the contract 'made-up', version 1 has"
    )
    assert "SELECT in query.sql" in found.do


def test_a_dsn_that_others_may_read_or_that_is_away_is_named(
    folder: Path, database: Database
) -> None:
    (folder / "dsn").chmod(0o644)
    assert "others may read it" in fault(folder).what
    (folder / "dsn").unlink()
    assert "cannot be read" in fault(folder).what


def test_the_contract_is_that_of_the_study_that_came_last(folder: Path) -> None:
    """One that cannot be read is passed over: the node refuses it when it is asked."""
    propose(folder, "older", 1_000)
    propose(folder, "newer", 2_000)
    (folder / "studies/newer/schema.toml").write_text(
        write_schema(replace(SCHEMA, version=2)), "utf-8"
    )
    propose(folder, "older-still", 500)
    assert contract_of(folder) == SCHEMA
    place = folder / "studies/newest"
    place.mkdir()
    (place / "plan.json").write_text("{}", "utf-8")
    assert contract_of(folder) == SCHEMA


def test_a_node_without_a_file_of_its_own_is_named(tmp_path: Path) -> None:
    found = records(tmp_path, None)
    assert not found.ok
    assert found.check == "table"
