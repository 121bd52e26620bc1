"""The auditor's page: one self-contained HTML page made from the verifier's findings alone.

No script, no reference to anything outside the page, every text of the findings escaped. A
figure that the findings do not hold is a dash with the reason; none is computed from others,
but for what an epsilon and a cost mean as chances (see `bounds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fedcredit.report.audit_budget import (
    DASH,
    Shown,
    budgets,
    is_institution,
    person_rows,
    recomputed,
    why_missing,
)
from fedcredit.report.audit_timeline import timeline
from fedcredit.report.bounds import FALSE_ALARMS
from fedcredit.report.claim_sheet import claim_sheet, many
from fedcredit.report.plots import budget_bar
from fedcredit.report.reading import Table, check_format, rows, table, text, texts
from fedcredit.report.recipe import GLOSSARY, RECIPE, RECIPE_NEEDS
from fedcredit.report.render import render

__all__ = ["audit_page"]

_VERDICTS: Final = {
    "holds": ("Holds", "All evidence is sound and no rule was broken, in all that was verified."),
    "rule broken": ("Rule broken", "The evidence is sound, and it shows that a rule was broken."),
    "evidence broken": (
        "Evidence broken",
        "A ledger is not what was signed, so nothing after its first bad entry counts.",
    ),
}


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The first line: a word, what it means, and the first bad entry if there is one."""

    word: str
    meaning: str
    holds: bool
    first: str


@dataclass(frozen=True, slots=True)
class _Problem:
    """Something that is broken."""

    ledger: str
    entry: str
    kind: str
    what: str


def audit_page(findings: Mapping[str, object]) -> str:
    """Show the verifier's findings to an auditor.

    Guarantee: the page asks for no other file, runs nothing, and is the same bytes for the same
    findings.

    Args:
        findings: of the form ``fedcredit/findings/1``, from `fedcredit.verifier.verify` or read
            back from its JSON.

    Returns:
        The page.

    Raises:
        ConfigError: the findings are of another form.
    """
    check_format(findings)
    ledgers = rows(findings, "ledgers")
    return render(
        "audit.html",
        {
            "dash": DASH,
            "verdict": _verdict(findings),
            "problems": _problems(findings),
            "facts": _facts(findings),
            "ledgers": [_ledger(findings, one) for one in ledgers],
            "budgets": budgets(findings),
            "persons": person_rows(findings),
            "others": many(text(one, "institution") for one in ledgers if not is_institution(one)),
            "false_alarms": f"{100 * FALSE_ALARMS:g}\u00a0%",
            "timelines": [timeline(one) for one in ledgers],
            "recomputed": recomputed(findings),
            "claims": claim_sheet(findings),
            "exceptions": [
                (text(one, "institution"), exception)
                for one in ledgers
                for exception in texts(one, "exceptions")
            ],
            "coordinator": _coordinator(findings),
            "verified": texts(findings, "verified"),
            "not_verified": texts(findings, "not_verified"),
            "versions": _versions(findings),
            "recipe": RECIPE,
            "recipe_needs": RECIPE_NEEDS,
            "glossary": GLOSSARY,
            "budget_bar": budget_bar,
        },
    )


def _verdict(findings: Table) -> _Verdict:
    """The verdict as found; whatever is not plainly `holds` is not shown as if it held."""
    told, problems = text(findings, "verdict"), _problems(findings)
    word, meaning = _VERDICTS.get(
        told, ("No verdict", "The findings hold no verdict that this page knows.")
    )
    if told == "holds" and problems:
        word, meaning = "No verdict", "The findings say that all holds, and list problems."
    first = problems[0] if problems else None
    return _Verdict(
        word=word,
        meaning=meaning,
        holds=word == "Holds",
        first=f"{first.ledger}, entry {first.entry}: {first.what}" if first else "",
    )


def _problems(findings: Table) -> tuple[_Problem, ...]:
    """Every problem; those of the evidence first, as they decide what can be read at all."""
    found = [
        _Problem(
            text(one, "ledger") or DASH,
            text(one, "seq") or DASH,
            text(one, "kind") or DASH,
            text(one, "what") or DASH,
        )
        for one in rows(findings, "problems")
    ]
    return tuple(sorted(found, key=lambda one: one.kind != "evidence"))


def _facts(findings: Table) -> str:
    """How much was looked at."""
    ledgers = rows(findings, "ledgers")
    sizes = [text(one, "size") for one in ledgers]
    entries = sum(int(size) for size in sizes if size.isascii() and size.isdigit())
    last = max((text(one, "time") for one in ledgers), default="")
    return f"{_counted(len(ledgers), 'ledger')}, {entries:,} entries, the last of {last or DASH}"


def _counted(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _ledger(findings: Table, ledger: Table) -> dict[str, object]:
    """Who stands behind a ledger, and how far it reaches."""
    why = why_missing(findings, ledger)
    policy = table(ledger, "policy")

    def shown(key: str) -> Shown:
        value = text(ledger, key)
        return Shown(value) if value else Shown(DASH, why)

    return {
        "institution": shown("institution"),
        "origin": shown("origin"),
        "role": shown("role"),
        "size": shown("size"),
        "root": shown("root"),
        "time": shown("time"),
        "cosigned_size": text(ledger, "cosigned_size"),
        "cosigned": [
            (text(one, "name") or DASH, text(one, "role") or DASH, text(one, "time") or DASH)
            for one in rows(ledger, "cosigned")
        ],
        "keys": [
            (
                text(one, "key") or DASH,
                text(one, "from") or DASH,
                text(one, "to"),
            )
            for one in rows(ledger, "keys")
        ],
        "software": many(texts(ledger, "software")),
        "policy": [(name.replace("_", " "), _value(policy, name)) for name in sorted(policy)],
        "plans": [_plan(one) for one in rows(ledger, "plans")],
    }


def _value(policy: Table, name: str) -> str:
    """One line of a policy."""
    return text(policy, name) or "; ".join(texts(policy, name)) or "none"


def _plan(plan: Table) -> dict[str, str]:
    """What a plan asked for and who approved it."""
    names = ("name", "purpose", "approved_by", "approved_at", "charges", "releases", "burns")
    return {name: text(plan, name) or DASH for name in names}


def _coordinator(findings: Table) -> dict[str, object]:
    """How the coordinator's receipts and the institutions' releases meet."""
    told = table(findings, "coordinator")
    return {
        "present": told.get("present") is True,
        "receipts": text(told, "receipts") or DASH,
        "matched": text(told, "matched") or DASH,
        "unmatched": texts(told, "unmatched"),
        "alone": texts(told, "releases_without_receipt"),
    }


def _versions(findings: Table) -> str:
    """What the check was made with."""
    told = table(findings, "versions")
    return ", ".join(
        f"{name.replace('_', '-')} {text(told, name) or 'not installed'}"
        for name in ("python", "cryptography", "dp_accounting")
    )
