"""Disks that fail at one write, before or after what was written is there."""

from __future__ import annotations

from dataclasses import dataclass

from fedcredit.ledger.account import Standing
from fedcredit.ledger.entries import Charge, Planned, Refuse, Release, Step
from fedcredit.secagg.states import Vault
from tests.federation.books import MemoryBook


class Crash(Exception):
    """The process dies here."""


@dataclass
class Disk:
    """Counts the writes of everything that is on it, and fails at one of them."""

    at: int
    written: bool
    writes: int = 0

    def before(self) -> None:
        self.writes += 1
        if self.writes == self.at and not self.written:
            raise Crash

    def after(self) -> None:
        if self.writes == self.at and self.written:
            raise Crash


@dataclass
class FailingBook:
    inner: MemoryBook
    disk: Disk

    def entries(self) -> tuple[Charge | Release | Step, ...]:
        return self.inner.entries()

    def standing(self, plan: str) -> Standing:
        return self.inner.standing(plan)

    def propose(self, entry: Planned) -> None:
        self.inner.propose(entry)

    def waits(self, entry: Charge) -> bool:
        return self.inner.waits(entry)

    def settle(self) -> None:
        self.inner.settle()

    def refuse(self, entry: Refuse) -> None:
        self.inner.refuse(entry)

    def reply(self, entry: Release) -> bytes:
        return self.inner.reply(entry)

    def charge(self, entry: Charge) -> None:
        self.disk.before()
        self.inner.charge(entry)
        self.disk.after()

    def release(self, entry: Release, reply: bytes) -> None:
        self.disk.before()
        self.inner.release(entry, reply)
        self.disk.after()

    def step(self, entry: Step) -> None:
        self.disk.before()
        self.inner.step(entry)
        self.disk.after()


@dataclass
class FailingVault:
    inner: Vault
    disk: Disk

    def load(self, session: bytes) -> bytes:
        return self.inner.load(session)

    def keep(self, session: bytes, data: bytes) -> None:
        self.disk.before()
        self.inner.keep(session, data)
        self.disk.after()
