"""What a coordinator's operator wants to see: studies, who is in, certificates, the ledger's head.

It is read from the folder's public files at one moment; nothing here is secret, and nothing
is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

from fedcredit.adapters.coordinator_folder import read_register, read_settings
from fedcredit.adapters.institutions import Institution, stamp
from fedcredit.adapters.ledgers import CHECKPOINTS
from fedcredit.adapters.pki import WARN_DAYS, days_left, read_certificate
from fedcredit.adapters.studies import PROGRESS, Studies, StudyState
from fedcredit.ledger.ledger import whole_notes
from fedcredit.ledger.notes import read_checkpoint, read_notes

__all__ = [
    "Attendance",
    "Auc",
    "LedgerHead",
    "MemberView",
    "Overview",
    "Standing",
    "StudyView",
    "auc_of",
    "overview",
    "progress_of",
    "seconds_left",
]

Standing: TypeAlias = Literal["in", "late", "out", ""]
_SILENT: Final = "no answer"  # the coordinator's word for whoever did not answer in time
_LINES: Final = 10  # attempts that are shown, the last ones
_ROUGHLY: Final = 1.96  # standard errors on either side of an estimate: 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Auc:
    """A model's AUC and its 95 % range, noise included.

    Attributes:
        value: the estimate.
        low: end of the range, at least 0.
        high: the other end, at most 1.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attendance:
    """One institution in one study.

    Attributes:
        name: of it.
        word: its answer to the study; empty before there is one.
        note: that came with the answer.
        standing: in the last attempt at a round; empty before the first.
        why: it was late or out.
        last_seen: when it last answered a round, or the study; empty if never.
    """

    name: str
    word: str
    note: str
    standing: Standing
    why: str
    last_seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """One study.

    Attributes:
        state: as it stands, with the answers.
        attendance: of each institution that it names.
        lines: attempts at rounds, the last ones, the newest first; see `studies.PROGRESS`.
        round: the last that was opened; 0 before.
        rounds: in all; 0 before the first line.
        epsilon: spent so far, by a record.
        left_s: seconds that the rest will take at this pace; none if nobody can say.
        auc: at the end, if there was an evaluation.
    """

    state: StudyState
    attendance: tuple[Attendance, ...]
    lines: tuple[Mapping[str, object], ...]
    round: int
    rounds: int
    epsilon: float
    left_s: int | None
    auc: Auc | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """One of the consortium.

    Attributes:
        name: as plans name it.
        role: institution or auditor.
        state: see `institutions`.
        days_left: of its certificate; none where there is none.
        ends_soon: it must renew.
        renewal: its next certificate waits for approval.
    """

    name: str
    role: str
    state: str
    days_left: int | None
    ends_soon: bool
    renewal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """The last checkpoint of the coordinator's ledger.

    Attributes:
        origin: name of the ledger.
        size: entries that it stands for.
        root: of the tree over them, hex.
        signatures: under it, the ledger's own included; none is checked here.
    """

    origin: str
    size: int
    root: str
    signatures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything, at one moment.

    Attributes:
        consortium: its name.
        at: the moment.
        studies: the newest first.
        members: by name.
        ledger: its head; none before there is one.
    """

    consortium: str
    at: str
    studies: tuple[StudyView, ...]
    members: tuple[MemberView, ...]
    ledger: LedgerHead | None


def overview(folder: Path, now: datetime, *, lines: int | None = _LINES) -> Overview:
    """Look at a coordinator's folder.

    Args:
        folder: the coordinator's.
        now: with a time zone.
        lines: how many attempts of each study are wanted, the last ones; none: all.

    Raises:
        ConfigError: a file is missing or malformed.
        IntegrityError: the ledger's checkpoints are damaged.
    """
    studies = Studies(folder)
    views = [_study(studies, one, lines) for one in reversed(studies.all())]
    return Overview(
        consortium=read_settings(folder).consortium,
        at=stamp(now),
        studies=tuple(views),
        members=tuple(_member(one, now) for one in read_register(folder).institutions),
        ledger=_head(folder / "ledger" / CHECKPOINTS),
    )


def progress_of(place: Path) -> list[Mapping[str, object]]:
    """The lines of a study's progress that are whole; one may be being written.

    Args:
        place: the study's folder.
    """
    try:
        text = (place / PROGRESS).read_text("ascii")
    except FileNotFoundError:
        return []
    found = [json.loads(line) for line in text.split("\n")[:-1] if line]
    return [line for line in found if isinstance(line, dict)]


def auc_of(place: Path) -> Auc | None:
    """What a study that is done has measured; none if it measured nothing, or is not done.

    Args:
        place: the study's folder.
    """
    try:
        found = json.loads((place / "run" / "metrics.json").read_text("utf-8"))["metrics"]
        value, error = float(found["auc"]), float(found["auc_se"])
    except (FileNotFoundError, KeyError):
        return None
    return Auc(
        value=value,
        low=max(value - _ROUGHLY * error, 0.0),
        high=min(value + _ROUGHLY * error, 1.0),
    )


def seconds_left(lines: Sequence[Mapping[str, object]]) -> int | None:
    """How long the rounds to come will take at the pace of those that were opened.

    Args:
        lines: of a study's progress.

    Returns:
        Whole seconds; none before two rounds were opened.
    """
    opened = [line for line in lines if line["opened"]]
    if len(opened) < 2:  # a pace needs two moments
        return None
    taken_s = (_moment(opened[-1]) - _moment(opened[0])).total_seconds()
    last, first = _number(opened[-1], "round"), _number(opened[0], "round")
    if last <= first:
        return None
    return round(taken_s / (last - first) * (_number(opened[-1], "rounds") - last))


def _study(studies: Studies, state: StudyState, shown: int | None) -> StudyView:
    """One study."""
    place = studies.place(state)
    lines = progress_of(place)
    opened = [line for line in lines if line["opened"]]
    return StudyView(
        state=state,
        attendance=tuple(_attendance(name, state, lines) for name in state.institutions),
        lines=tuple(reversed(lines))[:shown],
        round=_number(opened[-1], "round") if opened else 0,
        rounds=_number(lines[-1], "rounds") if lines else 0,
        epsilon=float(str(lines[-1]["epsilon"])) if lines else 0.0,
        left_s=seconds_left(lines) if state.state == "started" else None,
        auc=auc_of(place),
    )


def _attendance(name: str, state: StudyState, lines: Sequence[Mapping[str, object]]) -> Attendance:
    """One institution in a study."""
    said = state.answers.get(name)
    seen = [str(line["at"]) for line in lines if name in _names(line)]
    standing: Standing = ""
    why = ""
    if lines:
        troubles = lines[-1]["troubles"]
        why = str(troubles.get(name, "")) if isinstance(troubles, dict) else ""
        standing = "in" if name in _names(lines[-1]) else "out"
        if standing == "out" and why in ("", _SILENT):
            standing = "late"
    return Attendance(
        name=name,
        word=said.word if said else "",
        note=said.note if said else "",
        standing=standing,
        why=why,
        last_seen=seen[-1] if seen else said.at if said else "",
    )


def _names(line: Mapping[str, object]) -> list[str]:
    """Who answered an attempt."""
    answered = line["answered"]
    return [str(name) for name in answered] if isinstance(answered, list) else []


def _number(line: Mapping[str, object], name: str) -> int:
    """A whole number of a line; 0 where there is none."""
    found = line[name]
    return found if isinstance(found, int) else 0


def _moment(line: Mapping[str, object]) -> datetime:
    """When a line was written."""
    return datetime.strptime(str(line["at"]), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _member(one: Institution, now: datetime) -> MemberView:
    """One of the consortium."""
    left = None
    if one.state == "member" and one.certificate:
        left = days_left(read_certificate(one.certificate.encode()), now)
    return MemberView(
        name=one.name,
        role=one.role,
        state=one.state,
        days_left=left,
        ends_soon=left is not None and left < WARN_DAYS,
        renewal=bool(one.renewal),
    )


def _head(path: Path) -> LedgerHead | None:
    """The last whole checkpoint of a ledger."""
    try:
        notes = path.read_bytes()
    except FileNotFoundError:
        return None
    whole = read_notes(notes[: whole_notes(notes)])
    if not whole:
        return None
    head = read_checkpoint(whole[-1].body)
    return LedgerHead(
        origin=head.origin,
        size=head.size,
        root=head.root.hex(),
        signatures=len(whole[-1].signatures),
    )
