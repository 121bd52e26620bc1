"""Schema files: read from disk, and the drafts written there."""

from __future__ import annotations

from pathlib import Path

from fedcredit.data.schema import Schema, read_schema
from fedcredit.errors import SchemaError

__all__ = ["load_schema", "save_draft"]


def load_schema(path: Path) -> Schema:
    """Read a schema file.

    Args:
        path: a TOML file.

    Returns:
        The schema.

    Raises:
        SchemaError: the file cannot be read, or is no schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SchemaError(f"{path} is not UTF-8 text", remedy="save it as UTF-8") from None
    except OSError as problem:
        raise SchemaError(
            f"{path} cannot be read: {problem.strerror}", remedy="give the path of a schema file"
        ) from None
    return read_schema(text, str(path))


def save_draft(text: str, path: Path) -> None:
    """Write a drafted schema; a file that exists is kept.

    Args:
        text: the draft.
        path: a file that does not exist.

    Raises:
        SchemaError: the file exists or cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise SchemaError(
            f"{path} cannot be written: {problem.strerror}",
            remedy="name a new file in a folder that exists",
        ) from None
