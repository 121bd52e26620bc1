"""A coordinator's study, conducted in its folder: begun, gone on with, and ended.

studies/<id>/plan.json  schema.toml  roster.json
journal/        what it must know to go on after a crash
progress.jsonl  a line for each attempt at a round, for whoever watches
trouble.txt     why a run of it came to nothing, until the next
run/            made when the study is done
policy.toml  keys/ledger.key  ledger/   the coordinator's, two folders above; or beside
the plan, where there is one study a folder
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fedcredit.adapters.centre import ENDED, TROUBLE
from fedcredit.adapters.disk import append_to, write_file, write_folder, write_through
from fedcredit.adapters.flower import NodeConfig
from fedcredit.adapters.folders import config_folder, read_agreed
from fedcredit.adapters.journal import DiskJournal
from fedcredit.adapters.keyring import read_roster
from fedcredit.adapters.ledgers import open_ledger
from fedcredit.adapters.notebook import put_notes
from fedcredit.adapters.policies import read_coordinator
from fedcredit.adapters.studies import PROGRESS
from fedcredit.adapters.system import no_sync, utc_now
from fedcredit.errors import ConfigError, FedCreditError, StudyStopped
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.ledgers import recorder
from fedcredit.federation.simulate import Progress, RoundClosed, finish, run_study
from fedcredit.learners.registry import learner_named
from fedcredit.report.folder import findings_of, release_model, run_files

__all__ = ["conduct_folder"]

_LOG: Final = logging.getLogger("fedcredit.coordinator")


def conduct_folder(reach: Callable[[bytes], Transport], config: NodeConfig) -> None:
    """Conduct the study in the ``folder`` that a run's configuration names, or go on with it.

    Args:
        reach: makes a transport to institutions from the plan's digest.
        config: the run's configuration.

    Raises:
        ConfigError: the folder is missing, or a file of it, or the study has been run.
        StudyStopped: too few institutions answered.
        UnreachableError: the ledger's witnesses are away; the study can be gone on with.
    """
    folder = config_folder(config)
    try:
        (folder / TROUBLE).unlink(missing_ok=True)
        _conduct(folder, reach)
    except FedCreditError as problem:
        with suppress(OSError):  # it is told in the log as well
            write_file(folder / TROUBLE, problem.what.encode())
        raise


def _conduct(folder: Path, reach: Callable[[bytes], Transport]) -> None:
    """See `conduct_folder`."""
    _, plan = read_agreed(folder)
    if (folder / "run").exists():
        raise ConfigError(
            f"{folder / 'run'} exists", remedy="draw up a new study; this one has been run"
        )
    centre = folder if (folder / "policy.toml").exists() else folder.parent.parent
    roster = read_roster(folder / "roster.json").roster
    written = read_coordinator(centre / "policy.toml")
    ask, journal = reach(plan.digest()), DiskJournal(folder / "journal")
    with open_ledger(centre, written) as ledger:
        put_notes(centre, ledger)
        record, tell = recorder(ledger, plan), _Lines(folder / PROGRESS)

        def note(event: Progress) -> None:
            """The ledger comes first."""
            record(event)
            tell(event)

        study = run_study(plan, learner_named(plan.learner), ask, roster, journal)
        try:
            result = finish(study, note)
        except StudyStopped as problem:
            write_file(folder / ENDED, problem.what.encode())
            raise
    findings = findings_of(
        result,
        release_model(result),
        made_on=utc_now()[:10],
        software=f"fedcredit {version('fedcredit')}",
    )
    write_folder(folder / "run", run_files(findings, b""))


class _Lines:
    """Writes a line for each attempt at a round, once, whatever was written before a crash."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            write_through(path, b"", no_sync)
        lines = path.read_text("ascii").splitlines()
        self._there = {(one["round"], one["attempt"]) for one in map(json.loads, lines)}

    def __call__(self, event: Progress) -> None:
        """One event; all of it is public."""
        if not isinstance(event, RoundClosed) or (event.number, event.attempt) in self._there:
            return
        line = {
            "answered": event.answered,
            "at": utc_now(),
            "attempt": event.attempt,
            "epsilon": event.epsilon,
            "name": event.name,
            "opened": event.enough,
            "round": event.number,
            "rounds": event.rounds,
            "troubles": dict(event.troubles),
        }
        append_to(self._path, (json.dumps(line) + "\n").encode(), no_sync)
        _LOG.info(
            "round %d of %d, attempt %d: %d answered; epsilon %.3f; %s",
            event.number,
            event.rounds,
            event.attempt,
            len(event.answered),
            event.epsilon,
            "; ".join(f"{name}: {reason}" for name, reason in event.troubles) or "no trouble",
        )
