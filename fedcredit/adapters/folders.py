"""Files that both sides read: a node's own, and those that agree on a study."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fedcredit.adapters.flower import NodeConfig
from fedcredit.data.schema import Schema, read_schema
from fedcredit.data.strict import build, parse_toml
from fedcredit.errors import ConfigError
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_from_json
from fedcredit.federation.terms import Limits
from fedcredit.scoring.model import ReleasedModel, read_model
from fedcredit.units import InstitutionId

__all__ = ["DataPlace", "NodeFile", "config_folder", "read_agreed", "read_node", "read_released"]

_LIMITS: Final = Limits()
_LOG: Final = logging.getLogger("fedcredit.coordinator")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlace:
    """Where an institution's records are, if not in files.

    Attributes:
        source: the kind of place.
        dsn_file: of ``postgres``: file with ``postgresql://role:password@host/database``, from
            the folder. It is a secret: mode 0600.
        query_file: of ``postgres``: file with one SELECT, from the folder.
    """

    source: Literal["files", "postgres"]
    dsn_file: str = ""
    query_file: str = ""

    def __post_init__(self) -> None:
        """Refuse what names no place."""
        if (self.source == "postgres") != bool(self.dsn_file and self.query_file):
            raise ConfigError(
                f"[data] has source = {self.source!r}, which does not go with dsn_file = "
                f"{self.dsn_file!r} and query_file = {self.query_file!r}",
                remedy='write source = "postgres" with both files, or table = "..." and no [data]',
            )


_FILES: Final = DataPlace(source="files")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """What ``node.toml`` says.

    Attributes:
        institution: as plans name it.
        table: path, or pattern of paths, of CSV or Parquet files, from the folder.
        data: where the records are, if ``table`` names no files.
        floor: what a study must not go below, whoever asks.
    """

    institution: InstitutionId
    table: str = ""
    data: DataPlace = _FILES
    floor: Limits = _LIMITS

    def __post_init__(self) -> None:
        """Refuse two places of records, or none."""
        if bool(self.table) == (self.data.source == "postgres"):
            raise ConfigError(
                "node.toml names two places of records, or none",
                remedy='write table = "data/*.parquet", or a [data] with source = "postgres"',
            )


def read_node(folder: Path) -> NodeFile:
    """Read a node's own file.

    Raises:
        ConfigError: it is missing or malformed.
    """
    where = str(folder / "node.toml")
    return build(NodeFile, parse_toml(_text(folder, "node.toml"), where), where)


def config_folder(config: NodeConfig) -> Path:
    """The folder that a configuration names.

    Raises:
        ConfigError: there is no such folder.
    """
    folder = Path(str(config.get("folder", "")))
    if not folder.is_absolute() or not folder.is_dir():
        raise ConfigError(
            "the configuration names no folder that is there",
            remedy='start Flower with folder="/an/absolute/path"',
        )
    return folder


def read_agreed(folder: Path) -> tuple[Schema, StudyPlan]:
    """The data contract and the plan in a folder.

    Raises:
        ConfigError: a file is missing or wrong.
    """
    schema = read_schema(_text(folder, "schema.toml"), str(folder / "schema.toml"))
    return schema, plan_from_json(_text(folder, "plan.json"), str(folder / "plan.json"), schema)


def read_released(folder: Path) -> ReleasedModel:
    """The model in a run folder.

    Raises:
        ConfigError: there is none.
        IntegrityError: a file is not what its digest says.
    """
    try:
        weights = (folder / "model.safetensors").read_bytes()
        manifest = (folder / "manifest.json").read_bytes()
    except OSError as problem:
        raise ConfigError(
            f"{folder} holds no model: {problem.strerror}",
            remedy="name a run folder, with model.safetensors and manifest.json",
        ) from problem
    return read_model(weights, manifest)


def _text(folder: Path, name: str) -> str:
    """A file's text."""
    try:
        return (folder / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{folder / name} cannot be read", remedy="put it there, as UTF-8 text"
        ) from None
