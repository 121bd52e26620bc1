"""Disks that fail at one write, before or after what was written is there."""

from __future__ import annotations

from dataclasses import dataclass

from fedcredit.federation.book import Book, Charge, Entry, Release, Step
from fedcredit.secagg.states import Vault


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
    inner: Book
    disk: Disk

    def entries(self) -> tuple[Entry, ...]:
        return self.inner.entries()

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
