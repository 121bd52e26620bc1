"""A study in one process: institutions are set up, the study is run, its folder is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from fedcredit.adapters.disk import write_file, write_folder
from fedcredit.adapters.flower import run_in_process
from fedcredit.adapters.system import system_random, unix_time, utc_now
from fedcredit.data.records import Records
from fedcredit.errors import ConfigError
from fedcredit.federation.alone import learn_alone
from fedcredit.federation.book import Book
from fedcredit.federation.consortium import found
from fedcredit.federation.institution import Institution
from fedcredit.federation.ledgers import COORDINATOR, keep_ledgers, recorder, unwitnessed
from fedcredit.federation.member import Member
from fedcredit.federation.plan import StudyPlan, alone
from fedcredit.federation.simulate import Progress, StudyResult
from fedcredit.federation.terms import terms_of
from fedcredit.learners.registry import learner_named
from fedcredit.ledger.bundle import bundle
from fedcredit.models.released import Model
from fedcredit.report.folder import FILES
from fedcredit.secagg.states import InMemoryVault
from fedcredit.units import InstitutionId

__all__ = [
    "Conducted",
    "check_folder",
    "conduct",
    "models_alone",
    "renew_folder",
    "today",
    "write_run",
]


@dataclass(frozen=True, slots=True, eq=False)
class Conducted:
    """A study that has been run.

    Attributes:
        result: of the study.
        audit: the bundle of all ledgers.
        roots: public root keys of the ledgers, hex, by institution.
    """

    result: StudyResult
    audit: bytes
    roots: Mapping[str, str]


def conduct(
    plan: StudyPlan,
    records: Mapping[InstitutionId, Records],
    watch: Callable[[Progress], None],
    workers: int = 2,
) -> Conducted:
    """Run a study through Flower's own apps, under secure aggregation, all in this process.

    Args:
        plan: what is agreed; it names the institutions of ``records``.
        records: each institution's table.
        watch: is told what happens.
        workers: institutions that answer side by side.

    Raises:
        StudyStopped: too few institutions answered.
    """
    kept = keep_ledgers(plan.institutions, terms_of(plan).budget, system_random, utc_now, unix_time)
    institutions = _institutions(plan, records, kept.ledgers)
    identities, roster = found(plan.institutions, system_random)
    members = {
        name: Member(one, identities[name], roster, InMemoryVault(), system_random)
        for name, one in institutions.items()
    }
    learner = learner_named(plan.learner)
    record = recorder(kept.ledgers[COORDINATOR], plan)

    def noted(event: Progress) -> None:
        """The coordinator's ledger comes first."""
        record(event)
        watch(event)

    result = run_in_process(plan, learner, members, roster, watch=noted, workers=workers)
    return Conducted(result, bundle(kept.stores), kept.roots)


def models_alone(
    plan: StudyPlan,
    records: Mapping[InstitutionId, Records],
    told: Callable[[str], None],
    workers: int = 2,
) -> dict[InstitutionId, Model]:
    """What each institution learns alone, at the same epsilon, with all the noise its own.

    Args:
        plan: of the common study; its rounds on held-out records are left out.
        records: each institution's table.
        told: is told the name of each that is done.
        workers: institutions that train side by side.
    """
    training = tuple(one for one in plan.rounds if one.part == "train")
    learner = learner_named(plan.learner)

    def train(name: InstitutionId) -> Model:
        by_itself = alone(replace(plan, rounds=training), name)
        book = unwitnessed(name, terms_of(by_itself).budget, system_random, utc_now)
        institutions = _institutions(by_itself, {name: records[name]}, {name: book})
        return learn_alone(institutions[name], learner)

    models = {}
    with ThreadPoolExecutor(workers) as pool:
        for name, model in zip(plan.institutions, pool.map(train, plan.institutions), strict=True):
            models[name] = model
            told(name)
    return models


def today() -> str:
    """The day, as ``2026-11-23``."""
    return utc_now()[:10]


def write_run(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a new run folder; an existing one is never touched.

    Raises:
        ConfigError: there is something at ``folder``, or it cannot be written.
    """
    try:
        write_folder(folder, files)
    except OSError as problem:
        raise _unwritable(folder, problem) from problem


def check_folder(folder: Path, *, renew: bool) -> None:
    """Refuse, before any work is done, a folder that could not be written afterwards.

    Args:
        folder: where a run shall go.
        renew: whether an earlier run may be there.

    Raises:
        ConfigError: it exists, or holds other things than an earlier run; or there is no
            place for it.
    """
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if folder.exists() and not renew:
        raise ConfigError(
            f"{folder} exists", remedy="name a new folder with --out, or remove that one"
        )
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise ConfigError(
            f"{folder} cannot be written", remedy="name a folder that this user may write to"
        )
    if place == folder and any(one.name not in FILES for one in folder.iterdir()):
        raise ConfigError(
            f"{folder} holds other things than an earlier run", remedy="name another folder"
        )


def renew_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a run folder, over an earlier one if there is one.

    Raises:
        ConfigError: ``folder`` holds other things than a run, or cannot be written.
    """
    check_folder(folder, renew=True)
    if not folder.exists():
        write_run(folder, files)
        return
    try:
        for name, data in files.items():
            write_file(folder / name, data)
    except OSError as problem:
        raise _unwritable(folder, problem) from problem


def _institutions(
    plan: StudyPlan, records: Mapping[InstitutionId, Records], books: Mapping[str, Book]
) -> dict[InstitutionId, Institution]:
    """The institutions of a simulation: terms as the plan needs them."""
    terms = terms_of(plan)
    return {
        name: Institution(
            name,
            plan,
            terms,
            records[name],
            books[name],
            system_random,
            software=f"fedcredit {version('fedcredit')}",
        )
        for name in plan.institutions
    }


def _unwritable(folder: Path, problem: OSError) -> ConfigError:
    """The error for a folder that cannot be written."""
    return ConfigError(
        f"{folder} cannot be written: {problem.strerror}",
        remedy="name a folder that this user may write to",
    )
