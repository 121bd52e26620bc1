"""The gate: what a client's certificate is worth at this moment.

TLS has checked that the authority signed it, its dates, and that the client holds its key.
Here the rest is checked, for every request anew, so that a connection that is open does not
outlive what it was let in for: that the certificate has not ended since, is not on the list
of the revoked, and is one that the register gives to a member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

from cryptography import x509

from fedcredit.adapters.coordinator_folder import AUTHORITY, REGISTER, REVOKED
from fedcredit.adapters.institutions import Institution, Register
from fedcredit.adapters.pki import institution_of, read_certificate, revoked_serials, serial_of
from fedcredit.errors import ConfigError

__all__ = ["Gate", "Standing", "Worth"]

Worth: TypeAlias = Literal["member", "stranger", "revoked", "ended", "unknown"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a client is.

    Attributes:
        worth: ``member``, or why it is none; ``stranger`` has shown no certificate.
        institution: its entry, or none.
        name: that its certificate has, whatever it is worth; it is for logs alone.
    """

    worth: Worth
    institution: tuple[Institution, ...] = ()
    name: str = ""


class Gate:
    """Looks certificates up in a coordinator's folder, as it is at this moment.

    Args:
        folder: the coordinator's.
        now: time of day, with a time zone.

    Raises:
        ConfigError: a file is missing or malformed.
    """

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder, self._now = folder, now
        self._authority = read_certificate((folder / AUTHORITY).read_bytes())
        self._state: tuple[object, ...] = ()
        self._register, self._revoked = Register(), frozenset[int]()
        self._refresh()

    def standing(self, der: bytes) -> Standing:
        """What a client is, by the certificate that TLS has checked.

        Args:
            der: empty where it has shown none.

        Raises:
            ConfigError: a file is missing or malformed; then nobody is let in.
        """
        if not der:
            return Standing("stranger")
        self._refresh()
        certificate = _read(der)
        name = institution_of(certificate)
        found = self._register.find(name)
        if certificate.serial_number in self._revoked:
            return Standing("revoked", name=name)
        if not certificate.not_valid_before_utc <= self._now() < certificate.not_valid_after_utc:
            return Standing("ended", name=name)
        if not found or serial_of(certificate) not in found[0].serials:
            return Standing("unknown", name=name)
        if found[0].state != "member":
            return Standing("revoked", name=name)
        return Standing("member", found, name)

    def _refresh(self) -> None:
        """Read again what has been replaced on the disk."""
        register, revoked = self._folder / REGISTER, self._folder / REVOKED
        try:
            state = tuple(
                (found.st_ino, found.st_mtime_ns, found.st_size)
                for found in (register.stat(), revoked.stat())
            )
            if state != self._state:
                self._register = Register.read(register.read_bytes(), str(register))
                self._revoked = revoked_serials(revoked.read_bytes(), self._authority)
                self._state = state
        except OSError as problem:
            raise ConfigError(
                f"{problem.filename} cannot be read: {problem.strerror}",
                remedy="restore it from its backup; nobody is let in meanwhile",
            ) from None


@lru_cache(maxsize=1024)
def _read(der: bytes) -> x509.Certificate:
    """A certificate, read once for many requests."""
    return read_certificate(der)
