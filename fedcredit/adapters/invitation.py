"""An invitation to a consortium: a file for one institution's eyes, good for one request.

It carries the authority's certificate, so whoever holds it can talk to the true coordinator
and to nobody else; and a token, so the coordinator knows whom it has invited.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fedcredit.adapters.institutions import Role
from fedcredit.adapters.keyring import read_secret, write_secret
from fedcredit.adapters.pki import read_certificate
from fedcredit.data.strict import build
from fedcredit.errors import ConfigError
from fedcredit.federation.plan import check_name
from fedcredit.units import InstitutionId

__all__ = ["Invitation", "read_invitation", "write_invitation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """What ``invite.json`` holds.

    Attributes:
        consortium: its name.
        url: of the coordinator, ``https://host:port``.
        authority: certificate of the consortium's authority, PEM.
        name: whom it is for.
        role: of it.
        expires: until when it can be used, ``2026-01-31T12:00:00Z``.
        token: 32 bytes, hex: secret.
    """

    consortium: str
    url: str
    authority: str
    name: InstitutionId
    role: Role
    expires: str
    token: str

    def __post_init__(self) -> None:
        """Refuse what was altered by accident."""
        check_name(self.name)
        read_certificate(self.authority.encode())
        try:
            url = urlsplit(self.url)
            sound = url.scheme == "https" and bool(url.hostname) and url.port != 0
        except ValueError:
            sound = False
        if not sound or len(self.token) != 64 or not set(self.token) <= set("0123456789abcdef"):
            raise ConfigError(
                "an invitation's address or token is malformed",
                remedy="use the file as it came, or ask for a new one",
            )

    def __repr__(self) -> str:
        """Never print the token."""
        return f"Invitation({self.name!r}, {self.url!r})"


def write_invitation(path: Path, invitation: Invitation) -> None:
    """Write an invitation, for its owner's eyes; an existing file is never replaced.

    Raises:
        ConfigError: there is a file already, or none can be made.
    """
    write_secret(path, asdict(invitation))


def read_invitation(path: Path) -> Invitation:
    """Read an invitation.

    Raises:
        ConfigError: it is missing, malformed, or others may read it.
    """
    return build(Invitation, read_secret(path), str(path))
