"""A ledger's entries one after the other: chain, tree and account, always in step."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fedcredit.errors import FedCreditError, IntegrityError, LocalError
from fedcredit.ledger.account import Account
from fedcredit.ledger.entries import (
    Approve,
    Entry,
    Genesis,
    KeyRotate,
    PolicyChange,
)
from fedcredit.ledger.grammar import Item, read_line, write_line
from fedcredit.ledger.lines import body_of, entry_of
from fedcredit.ledger.signing import (
    check_approval,
    check_genesis,
    check_policy_change,
    check_rotation,
)
from fedcredit.ledger.tree import Tree, leaf_hash

__all__ = ["Chain", "Written", "damaged"]

_NO_LINE: Final = "0" * 64
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z").fullmatch


@dataclass(frozen=True, slots=True)
class Written:
    """An entry as it stands in a ledger.

    Attributes:
        seq: its number, from 0.
        time: when its writer says it was written.
        entry: what it says.
    """

    seq: int
    time: str
    entry: Entry


class Chain:
    """All entries so far; `take` and `add` are its only changes.

    Attributes:
        written: the entries, in order.
        tree: over their lines.
        account: what follows from them; there is none before the first entry.
    """

    account: Account

    def __init__(self) -> None:
        self.written: list[Written] = []
        self.tree = Tree()
        self._prev = _NO_LINE

    def line_of(self, entry: Entry, time: str) -> bytes:
        """The line of the entry that is to come next; nothing changes.

        Args:
            entry: the next one.
            time: of the writer, ``2026-11-25T14:11:40Z``.

        Raises:
            BudgetExceeded: a cap would not hold after it.
            PrivacyError: the policy in force does not allow it.
            LocalError: it does not follow from the entries before it, fits no line, or could
                not be read again: a ledger must never be one that its own reader refuses.
            IntegrityError: a signature in it is not what it should be.
        """
        table = self._checked(entry, time)
        line = write_line(table)
        if not _reads_back(entry, table):
            raise LocalError(
                f"a field of a {table['kind']} is of no form that a ledger has",
                remedy="use the forms of docs/ledger.md; nothing was written",
            )
        return line

    def add(self, line: bytes, entry: Entry, time: str) -> None:
        """Take an entry that `line_of` has written, once its line is durable."""
        seq = len(self.written)
        if isinstance(entry, Genesis):
            self.account = Account(entry)
        else:
            self.account.apply(seq, entry)
        self.written.append(Written(seq, time, entry))
        self._prev = hashlib.sha256(line).hexdigest()
        self.tree.append(leaf_hash(line))

    def take(self, line: bytes) -> None:
        """Take a line that was written before.

        Raises:
            IntegrityError: it is not what could have been written here.
        """
        try:
            table = read_line(line)
            entry, time = entry_of(table), str(table.get("time", ""))
            if self._checked(entry, time) != table:
                raise damaged(len(self.written), "it is not what follows from those before it")
        except FedCreditError as problem:
            raise damaged(len(self.written), problem.what) from None
        self.add(line, entry, time)

    def _checked(self, entry: Entry, time: str) -> dict[str, Item]:
        """All that stands in the next entry's line, if it may be the next one."""
        seq = len(self.written)
        own: dict[str, Item] = {"seq": seq, "prev": self._prev, "time": time}
        if not _is_time(time):
            raise LocalError(
                "the time of an entry is none such as 2026-11-25T14:11:40Z",
                remedy="set the clock right",
            )
        if seq == 0:
            if not isinstance(entry, Genesis):
                raise damaged(0, "it is no genesis")
            if entry.role == "coordinator" and not entry.policy.allows_nothing:
                raise damaged(0, "a coordinator has no records, and so no budget")
            if entry.policy.watched_by & {entry.root, entry.officer, entry.key}:
                raise damaged(0, "a ledger does not witness itself")
            check_genesis(entry)
            return {**body_of(entry), **own}
        self.account.check(entry, time[:10])
        self._check_signed(entry, seq)
        return {**body_of(entry), **self.account.derived(entry), **own}

    def _check_signed(self, entry: Entry, seq: int) -> None:
        """Signatures that stand in an entry."""
        genesis = self.account.genesis
        if isinstance(entry, Approve):
            check_approval(entry, genesis)
        elif isinstance(entry, PolicyChange):
            check_policy_change(entry, genesis, seq)
        elif isinstance(entry, KeyRotate):
            check_rotation(entry, genesis, self.account.keys[-1], seq)


def _reads_back(entry: Entry, table: dict[str, Item]) -> bool:
    """Whether a reader finds the very same entry in a line."""
    try:
        return entry_of(table) == entry
    except IntegrityError:
        return False


def _is_time(text: str) -> bool:
    """Whether a text is a moment in UTC, to the second."""
    try:
        return bool(_TIME(text) and datetime.fromisoformat(text))
    except ValueError:
        return False


def damaged(seq: int, how: str) -> IntegrityError:
    """The error for a ledger that cannot be gone on with."""
    return IntegrityError(
        f"entry {seq} of the ledger (line {seq + 1}) is damaged: {how}",
        remedy="restore the ledger from its backup; nothing is released meanwhile",
    )
