"""The folder that a coordinator conducts a study in; and the files that agree on one.

coordinator: policy.toml  schema.toml  plan.json  roster.json  keys/ledger.key  ledger/
journal/  run/ (made when the study is done)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fedcredit.adapters.disk import write_folder
from fedcredit.adapters.flower import NodeConfig
from fedcredit.adapters.journal import DiskJournal
from fedcredit.adapters.keyring import read_roster
from fedcredit.adapters.ledgers import open_ledger
from fedcredit.adapters.policies import read_coordinator
from fedcredit.adapters.system import utc_now
from fedcredit.data.schema import Schema, read_schema
from fedcredit.data.strict import build, parse_toml
from fedcredit.errors import ConfigError
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.ledgers import recorder
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_from_json
from fedcredit.federation.simulate import Progress, RoundClosed, finish, run_study
from fedcredit.federation.terms import Limits
from fedcredit.learners.registry import learner_named
from fedcredit.report.folder import findings_of, release_model, run_files
from fedcredit.units import InstitutionId

__all__ = ["NodeFile", "conduct_folder", "config_folder", "read_agreed", "read_node"]

_LIMITS: Final = Limits()
_LOG: Final = logging.getLogger("fedcredit.coordinator")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFile:
    """What ``node.toml`` says.

    Attributes:
        institution: as plans name it.
        table: path, or pattern of paths, of CSV or Parquet files, from the folder.
        floor: what a study must not go below, whoever asks.
    """

    institution: InstitutionId
    table: str
    floor: Limits = _LIMITS


def read_node(folder: Path) -> NodeFile:
    """Read a node's own file.

    Raises:
        ConfigError: it is missing or malformed.
    """
    where = str(folder / "node.toml")
    return build(NodeFile, parse_toml(_text(folder, "node.toml"), where), where)


def conduct_folder(reach: Callable[[bytes], Transport], config: NodeConfig) -> None:
    """Conduct the study in the ``folder`` that a run's configuration names, or go on with it.

    Args:
        reach: makes a transport to institutions from the plan's digest.
        config: the run's configuration.

    Raises:
        ConfigError: the folder is missing, or a file of it, or the study has been run.
        StudyStopped: too few institutions answered.
    """
    folder = config_folder(config)
    _, plan = read_agreed(folder)
    if (folder / "run").exists():
        raise ConfigError(
            f"{folder / 'run'} exists", remedy="draw up a new study; this one has been run"
        )
    roster = read_roster(folder / "roster.json").roster
    written = read_coordinator(folder / "policy.toml")
    ask, journal = reach(plan.digest()), DiskJournal(folder / "journal")
    with open_ledger(folder, written) as ledger:
        record = recorder(ledger, plan)

        def note(event: Progress) -> None:
            """The ledger comes first."""
            record(event)
            _say(event)

        result = finish(run_study(plan, learner_named(plan.learner), ask, roster, journal), note)
    findings = findings_of(
        result,
        release_model(result),
        made_on=utc_now()[:10],
        software=f"fedcredit {version('fedcredit')}",
    )
    write_folder(folder / "run", run_files(findings, b""))


def _say(event: Progress) -> None:
    """One line of log for each attempt at a round; all of it is public."""
    if isinstance(event, RoundClosed):
        _LOG.info(
            "round %d of %d, attempt %d: %d answered; epsilon %.3f; %s",
            event.number,
            event.rounds,
            event.attempt,
            len(event.answered),
            event.epsilon,
            "; ".join(f"{name}: {reason}" for name, reason in event.troubles) or "no trouble",
        )


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


def _text(folder: Path, name: str) -> str:
    """A file's text."""
    try:
        return (folder / name).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigError(
            f"{folder / name} cannot be read", remedy="put it there, as UTF-8 text"
        ) from None
