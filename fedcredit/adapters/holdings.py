"""Whether an institution's records can be had: files, or a database. No row is looked at."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fedcredit.adapters.finding import Finding, of_error
from fedcredit.adapters.folders import NodeFile, read_agreed, read_node
from fedcredit.adapters.frames import files_of
from fedcredit.adapters.hosting import plan_folders
from fedcredit.adapters.sources import open_database
from fedcredit.adapters.tables import declared_columns
from fedcredit.data.schema import Schema
from fedcredit.errors import FedCreditError

__all__ = ["contract_of", "records"]


def contract_of(folder: Path) -> Schema | None:
    """The contract of the study that was put before a node last; None before the first.

    Args:
        folder: the node's.
    """
    places = sorted(plan_folders(folder), key=lambda one: (one / "plan.json").stat().st_mtime)
    for place in reversed(places):
        with suppress(FedCreditError):  # a study that cannot be read is refused when it is asked
            return read_agreed(place)[0]
    return None


def records(folder: Path, schema: Schema | None) -> Finding:
    """Whether the table's files, or the database, are there as ``node.toml`` names them.

    Args:
        folder: the node's.
        schema: the contract to hold a query against, if there is one yet.

    Returns:
        A finding ``table``, or for a database ``database``; never a value or a password.
    """
    try:
        node = read_node(folder)
    except FedCreditError as problem:
        return of_error("table", problem)
    if node.data.source == "postgres":
        return _database(folder, node, schema)
    try:
        files = files_of(str(folder / node.table))
    except FedCreditError as problem:
        return of_error("table", problem)
    return Finding(check="table", ok=True, what=f"the table has {len(files)} files")


def _database(folder: Path, node: NodeFile, schema: Schema | None) -> Finding:
    """Whether it answers, to a role that may only read, with the columns of the contract."""
    try:
        table = open_database(folder, node)
    except FedCreditError as problem:
        return of_error("database", problem)
    begun = "the database answers, its role may only read, and"
    if schema is None:
        what = (
            f"{begun} {table.label} gives {len(table.columns)} columns; no study has been put "
            "before the node yet to hold them against"
        )
        return Finding(check="database", ok=True, what=what)
    wanted, contract = declared_columns(schema), f"{schema.name!r}, version {schema.version}"
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        what = f"{table.label} does not give {', '.join(absent)}, which the contract {contract} has"
        do = f"add them to the SELECT in {table.label}, under these names"
        return Finding(check="database", ok=False, what=what, do=do)
    what = f"{begun} {table.label} gives the {len(wanted)} columns of the contract {contract}"
    return Finding(check="database", ok=True, what=what)
