"""What an examination found: one thing that was looked at, whether it is well, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fedcredit.errors import FedCreditError

__all__ = ["Finding", "exit_status", "of_error"]

_WELL, _FINDING, _UNREACHABLE = 0, 1, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: one word for programs, such as ``port``.
        ok: whether it is well.
        what: was found, in one sentence; never a secret, never a record's value.
        do: what is to be done; where all is well, advice or nothing.
        unreachable: the coordinator cannot be reached because of it.
    """

    check: str
    ok: bool
    what: str
    do: str = ""
    unreachable: bool = False


def of_error(check: str, problem: FedCreditError) -> Finding:
    """A finding that says what an error says."""
    return Finding(check=check, ok=False, what=problem.what, do=problem.remedy)


def exit_status(findings: Iterable[Finding]) -> int:
    """What a program that has found this ends with.

    Returns:
        0 all well; 3 the coordinator cannot be reached; 1 anything else.

    >>> exit_status([Finding(check="disk", ok=True, what="there is room")])
    0
    """
    status = _WELL
    for one in findings:
        if one.unreachable:
            return _UNREACHABLE
        if not one.ok:
            status = _FINDING
    return status
