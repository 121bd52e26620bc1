"""left.json in a node's folder: its people have taken it out of the consortium.

While it is there, the node answers nothing and does not run. Keys and ledger stay where they
are: the ledger is evidence, and its witnesses know its key.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fedcredit.adapters.disk import write_file
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError

__all__ = ["LEFT", "Left", "read_left", "refuse_left", "write_left"]

LEFT: Final = "left.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What ``left.json`` says.

    Attributes:
        at: when, ``2026-01-31T12:00:00Z``.
        reason: as the coordinator is told it.
        told: whether the coordinator knows.
    """

    at: str
    reason: str
    told: bool


def read_left(folder: Path) -> Left | None:
    """When and why a node has left; None if it has not.

    Args:
        folder: the node's.

    Raises:
        ConfigError: the file is malformed.
    """
    path = folder / LEFT
    try:
        table = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ConfigError(
            f"{path} is not a JSON object", remedy="leave again: fedcredit node leave FOLDER"
        )
    return build(Left, table, str(path))


def write_left(folder: Path, left: Left) -> None:
    """Write it down, whatever stood there."""
    write_file(folder / LEFT, (json.dumps(asdict(left), indent=2) + "\n").encode())


def refuse_left(folder: Path) -> None:
    """Refuse to run a node that has left.

    Raises:
        ConfigError: it has.
    """
    if (folder / LEFT).exists():
        raise ConfigError(
            f"the node in {folder} has left the consortium",
            remedy="to come back, be invited anew: fedcredit node join FOLDER INVITE",
        )
