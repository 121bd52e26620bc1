"""What the driver shows of a database that is not there, and a node's folder that names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import polars as pl
from adbc_driver_manager.dbapi import Error as DriverError

DSN = "postgresql://reader:s3cret@db/bank"
NODE = """
institution = "bank"

[data]
source = "postgres"
dsn_file = "dsn"
query_file = "query.sql"
"""
ROWS = pl.DataFrame(
    {
        "income": [100.0, 2000.0] * 50,
        "late": [0, 3] * 50,
        "housing": ["own", "rent"] * 50,
        "default": [0, 1] * 50,
    }
)


class Database:
    """What the driver shows of a database that has one table, and a role with some rights."""

    def __init__(self) -> None:
        self.rights = {"be superuser": False, "change tables": False}
        self.rows = ROWS
        self.statements: list[str] = []
        self.fails: Mapping[str, DriverError] = {}
        self.open = 0
        self.asked = ""

    def connect(self, dsn: str) -> Database:
        if "connect" in self.fails:
            raise self.fails["connect"]
        self.asked = dsn
        self.open += 1
        return self

    def close(self) -> None:
        self.open -= 1

    def cursor(self, *, adbc_stmt_kwargs: Mapping[str, str]) -> Database:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        for word, problem in self.fails.items():
            if word in statement:
                raise problem

    def fetch_arrow(self) -> pl.DataFrame:
        asked = self.statements[-1]
        if "pg_roles" in asked:
            return pl.DataFrame([self.rights])
        if not asked.startswith("FETCH"):
            return pl.DataFrame()
        if asked.startswith("FETCH 0"):
            return self.rows.clear()
        given, self.rows = self.rows, self.rows.clear()
        return given


def write_place(folder: Path) -> Path:
    """A folder that names the database."""
    (folder / "node.toml").write_text(NODE, "utf-8")
    (folder / "dsn").write_text(DSN + "\n", "utf-8")
    (folder / "dsn").chmod(0o600)
    (folder / "query.sql").write_text("select * from loans;\n", "utf-8")
    return folder
