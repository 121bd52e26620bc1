"""The timeline of a ledger: what was planned, approved, released, refused and changed, in order.

Charges, later steps of a turn and receipts are counted, not listed: each belongs to a release,
a burn or a close that is listed. Of a ledger with more than `MOST` lines, releases and closes are
counted too, and what is beyond `MOST` even then is told as a number: a page is for reading, and
the bundle holds all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fedcredit.report.audit_budget import DASH
from fedcredit.report.reading import Table, number_of, rows, text

__all__ = ["LONG", "MOST", "Group", "Line", "Timeline", "timeline"]

LONG: Final = 60
"""A timeline with more lines than this is collapsed by plan."""

MOST: Final = 5000
"""No ledger has more lines than this on a page."""

_COUNTED: Final = ("agree", "charge", "receipt", "reveal")
_COUNTED_IF_MANY: Final = ("close", "release")
_APART: Final = ("genesis", "policy_change", "key_rotate", "audit", "note")


@dataclass(frozen=True, slots=True)
class Line:
    """One entry."""

    seq: str
    time: str
    kind: str
    what: str
    leaf: str


@dataclass(frozen=True, slots=True)
class Group:
    """Lines that belong together, with a title that says why."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One ledger's timeline.

    Attributes:
        institution: its name.
        size: number of entries, as found.
        shown: number of lines in all groups.
        counted: how many entries of which kind are not listed, as a text.
        groups: one where it is short; one for each plan where it is long.
    """

    institution: str
    size: str
    shown: int
    counted: str
    groups: tuple[Group, ...]


def timeline(ledger: Table) -> Timeline:
    """The timeline of one ledger; without lines where the findings hold no entries."""
    entries = rows(ledger, "entries")
    kinds = Counter(text(one, "kind") for one in entries)
    unlisted: tuple[str, ...] = _COUNTED
    if len(entries) - sum(kinds[kind] for kind in unlisted) > MOST:
        unlisted += _COUNTED_IF_MANY
    listed = [one for one in entries if text(one, "kind") not in unlisted]
    counted = [f"{kinds[kind]} × {kind}" for kind in sorted(unlisted) if kinds[kind]]
    if len(listed) > MOST:
        counted.append(f"the last {len(listed) - MOST}")
        del listed[MOST:]
    if len(listed) > LONG:
        groups = _by_plan(ledger, listed)
    else:
        groups = (Group("", tuple(map(_line, listed))),) if listed else ()
    return Timeline(
        institution=text(ledger, "institution"),
        size=text(ledger, "size") or DASH,
        shown=len(listed),
        counted=", ".join(counted),
        groups=groups,
    )


def _by_plan(ledger: Table, entries: Sequence[Table]) -> tuple[Group, ...]:
    """Groups in the order in which they begin; entries that belong to no plan come first."""
    names = {text(one, "plan"): text(one, "name") for one in rows(ledger, "plans")}
    apart: list[Line] = []
    groups: dict[str, list[Line]] = {}
    titles: dict[str, str] = {}
    begun = ""  # entries without a plan's digest stand with the plan that was written last
    for one in entries:
        line = _line(one)
        plan = text(one, "plan")
        if line.kind in _APART or not (plan or begun or line.kind == "plan"):
            apart.append(line)
            continue
        if not plan:
            if line.kind == "plan":
                begun = line.seq
                titles[begun] = f"From plan at entry {line.seq}: {line.what}"
            plan = begun
        else:
            titles.setdefault(plan, f"Plan {names.get(plan) or plan}")
        groups.setdefault(plan, []).append(line)
    found = [Group(titles[plan], tuple(lines)) for plan, lines in groups.items()]
    first = [Group("Policy, keys and notes", tuple(apart))] if apart else []
    return (*first, *found)


def _line(entry: Table) -> Line:
    """One entry as texts."""
    seq = number_of(entry, "seq")
    return Line(
        seq=DASH if seq is None else str(seq),
        time=text(entry, "time") or DASH,
        kind=text(entry, "kind") or DASH,
        what=text(entry, "what") or DASH,
        leaf=text(entry, "leaf") or DASH,
    )
