"""The coordinator's studies on the disk: what was proposed, what each institution says, how far.

    studies/<id>/plan.json  schema.toml  roster.json   what is proposed, for everybody
                 state.json                            where it stands, and the answers
                 journal/  progress.jsonl  run/        the study itself

A study's id is the beginning of its plan's digest. Whoever changes a state holds the lock of
all of them, for a moment: a person's command and the coordinator's own process take turns.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

from fedcredit.adapters.disk import write_file, write_folder
from fedcredit.adapters.system import utc_now
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError, LocalError
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.plan_json import plan_to_json

__all__ = ["PROGRESS", "WORDS", "Answered", "State", "Studies", "StudyState", "Word", "study_id"]

State: TypeAlias = Literal["proposed", "started", "done", "stopped"]
Word: TypeAlias = Literal["approved", "refused", "waiting"]
WORDS: Final[tuple[Word, ...]] = ("approved", "refused", "waiting")
PROGRESS: Final = "progress.jsonl"
_ID_LETTERS: Final = 12
_MOST_NOTE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What an institution says to a study.

    Attributes:
        word: ``approved``, ``refused`` or ``waiting`` for its people.
        note: for people.
        at: when it said so.
    """

    word: Word
    note: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyState:
    """Where a study stands.

    Attributes:
        plan: digest of its plan, hex.
        name: of the study.
        institutions: that it names.
        threshold: fewest of them that a sum needs.
        proposed_at: when.
        state: ``proposed``, ``started``, ``done`` or ``stopped``.
        why: it was stopped.
        answers: so far, by institution.
    """

    plan: str
    name: str
    institutions: tuple[str, ...]
    threshold: int
    proposed_at: str
    state: State = "proposed"
    why: str = ""
    answers: Mapping[str, Answered] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Short name for people and folders."""
        return self.plan[:_ID_LETTERS]

    @property
    def approved(self) -> int:
        """How many have approved."""
        return sum(one.word == "approved" for one in self.answers.values())


def study_id(plan: StudyPlan) -> str:
    """The id of a plan's study."""
    return plan.digest().hex()[:_ID_LETTERS]


class Studies:
    """All studies of a coordinator."""

    def __init__(self, folder: Path) -> None:
        """Name the place.

        Args:
            folder: the coordinator's; ``studies/`` is made in it.
        """
        self.folder = folder / "studies"

    def propose(self, plan: StudyPlan, schema: str, roster: bytes) -> StudyState:
        """Put a study before its institutions.

        Args:
            plan: of the study.
            schema: text of its data contract.
            roster: the signed roster, as its file has it.

        Raises:
            ConfigError: it was proposed before.
        """
        state = StudyState(
            plan=plan.digest().hex(),
            name=plan.name,
            institutions=plan.institutions,
            threshold=plan.threshold,
            proposed_at=utc_now(),
        )
        files = {
            "plan.json": plan_to_json(plan).encode(),
            "schema.toml": schema.encode(),
            "roster.json": roster,
            "state.json": _written(state),
        }
        write_folder(self.folder / state.id, files)
        return state

    def all(self) -> list[StudyState]:
        """Every study, the oldest first."""
        places = sorted(self.folder.glob("*/state.json"))
        found = [self._read(path) for path in places]
        return sorted(found, key=lambda one: (one.proposed_at, one.id))

    def find(self, name: str) -> StudyState:
        """One study, by the beginning of its id.

        Raises:
            ConfigError: there is none, or more than one.
        """
        fits = [one for one in self.all() if name and one.id.startswith(name)]
        if len(fits) != 1:
            ids = ", ".join(one.id for one in self.all()) or "none"
            raise ConfigError(
                f"{len(fits)} studies begin with {name!r}; there are: {ids}",
                remedy="name one of them; a few letters are enough",
            )
        return fits[0]

    def place(self, study: StudyState) -> Path:
        """The folder of a study."""
        return self.folder / study.id

    def answer(self, study: StudyState, institution: str, word: Word, note: str) -> StudyState:
        """Keep what an institution says.

        Raises:
            ConfigError: the study does not name it.
        """
        if institution not in study.institutions:
            raise ConfigError(f"the study does not name {institution!r}", remedy="ask its owner")
        with self._changing(study) as now:
            said = Answered(word=word, note=note[:_MOST_NOTE], at=utc_now())
            before = now.answers.get(institution)
            if before is not None and (before.word, before.note) == (said.word, said.note):
                return now
            return self._keep(replace(now, answers={**now.answers, institution: said}))

    def move(self, study: StudyState, state: State, why: str = "") -> StudyState:
        """Start a study, end it or stop it.

        Raises:
            ConfigError: too few have approved, or it is over.
        """
        with self._changing(study) as now:
            if now.state in ("done", "stopped") and state != now.state:
                raise ConfigError(f"study {now.id} is {now.state}", remedy="propose a new one")
            if state == "started" and now.approved < now.threshold:
                raise ConfigError(
                    f"{now.approved} institutions have approved study {now.id}, it needs "
                    f"{now.threshold}",
                    remedy="wait for them, or ask them",
                )
            return self._keep(replace(now, state=state, why=why))

    @contextmanager
    def _changing(self, study: StudyState) -> Iterator[StudyState]:
        """The state as it is now, for whoever is about to change it."""
        try:
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as problem:
            raise LocalError(
                f"{self.folder} cannot be written: {problem.strerror}", remedy="mend the disk"
            ) from problem
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read(self.place(study) / "state.json")
        finally:
            os.close(lock)

    def _keep(self, state: StudyState) -> StudyState:
        """Write a state."""
        write_file(self.place(state) / "state.json", _written(state))
        return state

    @staticmethod
    def _read(path: Path) -> StudyState:
        """Read a state."""
        try:
            table = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            table = None
        if not isinstance(table, dict) or not isinstance(table.get("answers"), dict):
            raise ConfigError(f"{path} is no study's state", remedy="restore it from its backup")
        answers = {
            str(name): build(Answered, one, str(path)) for name, one in table["answers"].items()
        }
        rest = {key: one for key, one in table.items() if key != "answers"}
        return replace(build(StudyState, rest, str(path)), answers=answers)


def _written(state: StudyState) -> bytes:
    """A state as its file."""
    return (json.dumps(asdict(state), indent=2) + "\n").encode()
