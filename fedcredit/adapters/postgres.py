"""A query of a PostgreSQL database as data frames, some rows at a time, by ADBC.

The node only ever reads: a role that may do more is refused before the query is sent, and
every transaction is read-only besides. The driver's own messages can quote values and the
password, so none of them is passed on; PostgreSQL's five-letter codes are public.

The driver comes with the extra ``postgres``: a node on files does without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl

from fedcredit.errors import ConfigError, DataError, UnreachableError

if TYPE_CHECKING:
    from adbc_driver_manager.dbapi import Connection

__all__ = ["PostgresTable", "postgres_table"]

T = TypeVar("T")

_FRAME_ROWS: Final = 65_536
_CONNECT_S: Final = 10
_READ_ONLY: Final = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_FAILURES: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    ValueError,
    OverflowError,
)
_PLAIN: Final = (pl.String, pl.Boolean)  # and numbers: what data contracts are checked on
_ROLES: Final = """\
WITH own AS (SELECT * FROM pg_roles WHERE pg_has_role(current_user, oid, 'member')),
     kept AS (SELECT oid FROM pg_namespace
              WHERE nspname <> 'information_schema' AND left(nspname, 3) <> 'pg_')
SELECT
  EXISTS (SELECT FROM own WHERE rolsuper) AS "be superuser",
  EXISTS (SELECT FROM own WHERE rolcreaterole OR rolcreatedb OR rolreplication)
    AS "make roles or databases, or replicate",
  EXISTS (SELECT FROM own WHERE rolname IN
          ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program'))
    AS "write all data or the server's files, or run programs",
  EXISTS (SELECT FROM own, pg_class AS c WHERE relnamespace IN (SELECT oid FROM kept)
          AND relkind IN ('r', 'p', 'v', 'm', 'f')
          AND (has_table_privilege(own.oid, c.oid, 'insert, update, delete, truncate')
               OR has_any_column_privilege(own.oid, c.oid, 'insert, update')))
    AS "change tables",
  EXISTS (SELECT FROM own, kept WHERE has_schema_privilege(own.oid, kept.oid, 'create'))
    OR EXISTS (SELECT FROM own
               WHERE has_database_privilege(own.oid, current_database(), 'create'))
    AS "make tables or schemas"
"""


@dataclass(frozen=True, slots=True)
class PostgresTable:
    """What a query gives; made by `postgres_table`. It is a `tables.Part`.

    Attributes:
        label: for errors.
        columns: the names of its columns.
        dsn: secret: where the database is, and as whom it is read.
        query: with the columns in their order, and as text what is neither number, text nor
            truth value.
    """

    label: str
    columns: tuple[str, ...]
    dsn: str = field(repr=False)
    query: str = field(repr=False)

    def frames(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Read some columns, some rows at a time; all rows are of one moment.

        Args:
            columns: names of columns that it has.

        Yields:
            Frames of these columns.

        Raises:
            ConfigError: the role may write.
            DataError: the query failed.
            UnreachableError: the database does not answer.
        """
        with _reading(self.dsn, self.label) as connection:
            wanted = ", ".join(map(_quoted, columns))
            told = f"SELECT {wanted} FROM ({self.query}) AS told"  # noqa: S608 - the bank's own query
            _ask(connection, f"DECLARE told NO SCROLL CURSOR FOR {told}", self.label)
            while True:
                frame = _ask(connection, f"FETCH {_FRAME_ROWS} FROM told", self.label)
                if not frame.height:
                    return
                yield frame

    def guarded(self, step: Callable[[], T]) -> T:
        """Do one step with a frame; if it fails, say so without its message.

        Raises:
            DataError: the step failed.
        """
        try:
            return step()
        except _FAILURES:
            pass
        raise DataError(f"{self.label} has a column that cannot be read", remedy="cast it in SQL")


def postgres_table(dsn: str, query: str, label: str) -> PostgresTable:
    """Look at the role, and at the columns of a query.

    Args:
        dsn: ``postgresql://role:password@host/database``; a secret.
        query: one SELECT.
        label: for errors.

    Returns:
        The table, of which no row has been read.

    Raises:
        ConfigError: the driver is not installed, or the role may write.
        DataError: the query is none, or has two columns of one name.
        UnreachableError: the database does not answer, or refuses the role.
    """
    query = query.strip().removesuffix(";") + "\n"  # which ends a comment
    with _reading(dsn, label) as connection:
        # Its own cursor, so that nothing but one SELECT is taken; the driver takes one statement.
        _ask(connection, f"DECLARE told NO SCROLL CURSOR FOR {query}", label)
        head = _ask(connection, "FETCH 0 FROM told", label)
    names = tuple(head.columns)
    told = ", ".join(
        _quoted(name) if kind.is_numeric() or kind in _PLAIN else f"{_quoted(name)}::text"
        for name, kind in head.schema.items()
    )
    whole = f"SELECT {told} FROM ({query}) AS asked"  # noqa: S608 - the bank's own query
    return PostgresTable(label, names, dsn, whole)


@contextmanager
def _reading(dsn: str, label: str) -> Iterator[Connection]:
    """A connection in a read-only transaction, of a role that may only read."""
    connection = _connected(dsn, label)
    try:
        _ask(connection, _READ_ONLY, label)
        (rights,) = _ask(connection, _ROLES, label).iter_rows(named=True)
        may = [name for name, has in rights.items() if has]
        if may:
            raise ConfigError(
                f"{label}: the role that reads it may {'; '.join(may)}",
                remedy="give the node a role of its own, with SELECT on what the query reads alone",
            )
        yield connection
    finally:
        connection.close()


def _connected(dsn: str, label: str) -> Connection:
    """A connection; the transaction begins with the first statement."""
    try:
        from adbc_driver_postgresql import dbapi
    except ImportError:
        raise ConfigError(
            "the driver of PostgreSQL is not installed",
            remedy="pip install 'fedcredit[federation,postgres]'",
        ) from None
    try:
        connection: Connection = dbapi.connect(_patient(dsn))
    except dbapi.Error:
        pass
    else:
        return connection
    # Outside the handler: the driver's message could hold the password.
    raise UnreachableError(
        f"{label}: the database does not answer, or refuses the role",
        remedy="is its host reached from here, and are role and password those of dsn_file?",
    )


def _patient(dsn: str) -> str:
    """The same place, with an end to the wait for it: a firewall may drop what is sent.

    >>> _patient("postgresql://reader@db/bank")
    'postgresql://reader@db/bank?connect_timeout=10'
    """
    if "connect_timeout" in dsn:
        return dsn
    if "://" in dsn:
        return f"{dsn}{'&' if '?' in dsn else '?'}connect_timeout={_CONNECT_S}"
    return f"{dsn} connect_timeout={_CONNECT_S}"


def _ask(connection: Connection, statement: str, label: str) -> pl.DataFrame:
    """What a statement gives."""
    from adbc_driver_manager.dbapi import Error

    try:
        # Without COPY, which only takes what begins with SELECT.
        with connection.cursor(adbc_stmt_kwargs={"adbc.postgresql.use_copy": "false"}) as cursor:
            cursor.execute(statement)
            return pl.DataFrame(cursor.fetch_arrow())
    except Error as problem:
        code = problem.sqlstate
    except _FAILURES:
        code = "two columns of one name, or a type that is not known"
    if code is None or code[:2] in ("08", "57"):  # connection exception, operator intervention
        raise UnreachableError(
            f"{label}: the database has gone away", remedy="look at the database, and try again"
        )
    raise DataError(
        f"{label}: the query failed: {code}",
        remedy="run it in psql as the node's role, and read what it says",
    )


def _quoted(name: str) -> str:
    """A column's name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'
