"""A node's records, wherever its ``node.toml`` says they are: files, or a database."""

from __future__ import annotations

import stat
from pathlib import Path

from fedcredit.adapters.folders import NodeFile
from fedcredit.adapters.postgres import PostgresTable, postgres_table
from fedcredit.adapters.tables import open_parts, open_table
from fedcredit.data.records import Records
from fedcredit.data.schema import Schema
from fedcredit.errors import ConfigError

__all__ = ["open_database", "open_source"]


def open_source(folder: Path, node: NodeFile, schema: Schema, salt: bytes) -> Records:
    """Read a node's records under their contract.

    Args:
        folder: the node's.
        node: its own file.
        schema: the contract.
        salt: the study's public salt, which decides the split.

    Returns:
        The records, see `open_table`.

    Raises:
        ConfigError: a file of the place is missing, empty, or a secret that others may read; or
            the database's role may write.
        DataError: the records cannot be read, or break their contract.
        UnreachableError: the database does not answer.
    """
    if node.data.source == "files":
        return open_table(str(folder / node.table), schema, salt)
    table = open_database(folder, node)
    return open_parts((table,), table.label, schema, salt)


def open_database(folder: Path, node: NodeFile) -> PostgresTable:
    """Look at a node's database: its role, and the columns of the query; no row is read.

    Args:
        folder: the node's.
        node: its own file, of the source ``postgres``.

    Raises:
        ConfigError: see `open_source`.
        DataError: the query is none, or has two columns of one name.
        UnreachableError: the database does not answer, or refuses the role.
    """
    query = folder / node.data.query_file
    return postgres_table(_secret(folder / node.data.dsn_file), _text(query), query.name)


def _secret(path: Path) -> str:
    """The text of a file that nobody else may read."""
    text = _text(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}: others may read it", remedy=f"chmod 0600 {path}"
        )
    return text


def _text(path: Path) -> str:
    """The text of a file, which is not empty."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        raise ConfigError(
            f"{path} cannot be read, or is empty", remedy="write it, as node.toml names it"
        )
    return text
