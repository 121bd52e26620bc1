"""The folders that Flower's apps work in: an institution's own, and a coordinator's.

    institution: node.toml  policy.toml  schema.toml  plan.json  roster.json  identity.json
                 keys/ledger.key  ledger/  vault/
    coordinator: policy.toml  schema.toml  plan.json  roster.json  keys/ledger.key  ledger/
                 journal/  run/ (made when the study is done)

A node's configuration names its folder and nothing else, since Flower shows it to whoever
looks at the machine. The plan was put there by a person who agreed to it: an institution
takes part in no other study.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fedcredit.adapters.disk import write_folder
from fedcredit.adapters.flower import NodeConfig
from fedcredit.adapters.journal import DiskJournal
from fedcredit.adapters.keyring import read_identity, read_roster
from fedcredit.adapters.ledgers import open_ledger
from fedcredit.adapters.policies import read_coordinator, read_policy
from fedcredit.adapters.system import system_random, utc_now
from fedcredit.adapters.tables import open_table
from fedcredit.adapters.vault import DiskVault
from fedcredit.data.schema import Schema, read_schema
from fedcredit.data.strict import build, parse_toml
from fedcredit.errors import ConfigError, PeerError
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.institution import Institution
from fedcredit.federation.ledgers import recorder
from fedcredit.federation.member import Member
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_from_json
from fedcredit.federation.simulate import Progress, RoundClosed, finish, run_study
from fedcredit.federation.terms import Limits, Terms
from fedcredit.learners.registry import learner_named
from fedcredit.report.folder import findings_of, release_model, run_files
from fedcredit.secagg.roster import check_roster
from fedcredit.units import InstitutionId

__all__ = ["NodeFile", "OpenFolders", "conduct_folder", "read_agreed", "read_node"]

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


class OpenFolders:
    """Members by their folders, each opened once for as long as the process lives."""

    def __init__(self) -> None:
        self._open: dict[Path, Member] = {}
        self._held = ExitStack()  # the ledgers' locks

    def __call__(self, config: NodeConfig, plan: bytes) -> Member:
        """The member whose ``folder`` a node's configuration names.

        Args:
            config: of the node.
            plan: digest of the plan that the coordinator speaks of.

        Raises:
            ConfigError: there is no such folder, or a file of it is missing or wrong.
            PrivacyError: the plan asks for more than the policy allows, or waits for approval.
            LocalError: another process has the ledger open.
            IntegrityError: the ledger is damaged.
            DataError: the table breaks its contract.
            PeerError: the roster does not count for the institution.
        """
        folder = _folder(config)
        if folder not in self._open:
            self._open[folder] = self._member(folder)
        member = self._open[folder]
        if member.institution.plan.digest() != plan:
            raise PeerError(
                "a message of another plan than ours",
                remedy="have both sides load the same plan",
            )
        return member

    def close(self) -> None:
        """Give every ledger back."""
        self._open.clear()
        self._held.close()

    def _member(self, folder: Path) -> Member:
        """Read a folder; its ledger is locked last, when all else is well."""
        node = read_node(folder)
        schema, plan = read_agreed(folder)
        records = open_table(str(folder / node.table), schema, bytes.fromhex(plan.salt))
        identity = read_identity(folder / "identity.json")
        if identity.name != node.institution:
            raise ConfigError(
                f"{folder / 'identity.json'} holds keys of {identity.name!r}, node.toml says "
                f"{node.institution!r}",
                remedy="put the institution's own keys there",
            )
        roster = check_roster(read_roster(folder / "roster.json"), identity.card)
        with ExitStack() as mine:  # a study that is refused gives the ledger back
            ledger = mine.enter_context(open_ledger(folder, read_policy(folder / "policy.toml")))
            institution = Institution(
                node.institution,
                plan,
                Terms(budget=ledger.policy.caps, **asdict(node.floor)),
                records,
                ledger,
                system_random,
                software=f"fedcredit {version('fedcredit')}",
            )
            vault = DiskVault(folder / "vault")
            member = Member(institution, identity, roster, vault, system_random)
            self._held.push(mine.pop_all())
        return member


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
    folder = _folder(config)
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


def _folder(config: NodeConfig) -> Path:
    """The folder that a configuration names."""
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
