"""The disk: files that are whole or not there, and bytes that are on it when we say so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

from fedcredit.errors import ConfigError

__all__ = ["Sync", "append_to", "sync_folder", "write_file", "write_folder", "write_through"]

Sync: TypeAlias = Callable[[int], None]
"""Forces a file's bytes to the disk, by its number: ``os.fsync``, but in tests."""


def write_file(path: Path, data: bytes) -> None:
    """Write a file so that it is either as it was or wholly new, whatever happens.

    Args:
        path: in a folder that exists.
        data: the whole content.
    """
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        write_through(part, data, os.fsync)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent, os.fsync)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a new folder so that it is either there with all its files or not at all.

    Args:
        path: must not exist; its parents are made.
        files: content by name; a slash in a name makes a folder within.

    Raises:
        ConfigError: ``path`` exists, or a name leads out of it.
    """
    if path.exists():
        raise ConfigError(f"{path} exists", remedy="name a new folder, or remove that one")
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ConfigError(f"the name {name!r} leads out of the folder", remedy="rename it")
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    part.mkdir(parents=True)
    try:
        for name, data in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            write_through(part / name, data, os.fsync)
        for folder in (part, *(one for one in part.rglob("*") if one.is_dir())):
            sync_folder(folder, os.fsync)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already if all went well
    sync_folder(path.parent, os.fsync)


def append_to(path: Path, data: bytes, sync: Sync) -> None:
    """Write bytes at the end of a file that is there; on the disk on return.

    Raises:
        OSError: nobody knows what the disk holds now.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        _write_all(file, data)
        sync(file)
    finally:
        os.close(file)


def write_through(path: Path, data: bytes, sync: Sync) -> None:
    """Write a whole file, for its owner's eyes, and its name to the disk.

    Raises:
        OSError: nobody knows what the disk holds now.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write_all(file, data)
        sync(file)
    finally:
        os.close(file)
    sync_folder(path.parent, sync)


def _write_all(file: int, data: bytes) -> None:
    """Write every byte: the system may take fewer at a time."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_folder(folder: Path, sync: Sync) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        sync(handle)
    finally:
        os.close(handle)
