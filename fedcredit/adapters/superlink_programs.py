"""What a SuperLink and the executor of its ServerApps are started with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fedcredit.adapters.supervisor import Program
from fedcredit.adapters.system import system_random
from fedcredit.errors import ConfigError

__all__ = ["EXECUTOR", "HOST", "LINK", "Certificates", "link_programs", "new_secret"]

HOST: Final = "127.0.0.1"
LINK: Final = "superlink"
EXECUTOR: Final = "superexec"
_TIED_BY: Final = "superexec.secret"
_HANDED_ON: Final = ("LANG", "LC_ALL", "TZ", "TMPDIR")
_SWITCHES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_LOG_LEVEL": "WARNING",
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5",
        "OMP_NUM_THREADS": "1",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files of the server, whose certificate must name 127.0.0.1.

    Attributes:
        root: what clients trust.
        certificate: the server's.
        key: its private key.
    """

    root: Path
    certificate: Path
    key: Path


def new_secret(folder: Path) -> None:
    """Make a SuperLink's folder, and in it a new secret that ties its executor to it.

    Args:
        folder: is made for its owner's eyes.

    Raises:
        ConfigError: it cannot be.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        secret = folder / _TIED_BY
        secret.unlink(missing_ok=True)
        file = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(system_random(32))
    except OSError as problem:
        raise ConfigError(
            f"{folder} cannot be used: {problem.strerror}", remedy="name another folder"
        ) from None


def link_programs(
    folder: Path,
    port: int,
    certificates: Certificates,
    database: Path | None,
    commands: Path,
    environment: Mapping[str, str],
) -> tuple[Program, Program]:
    """The SuperLink and the executor of its ServerApps.

    Args:
        folder: see `new_secret`.
        port: where the SuperLink listens, on 127.0.0.1.
        certificates: of the server.
        database: the file of what it knows; without one, that is gone when it ends.
        commands: the folder of Flower's commands.
        environment: what the programs are told besides `_SWITCHES`, the language, the time
            zone and the folder for passing files.

    Returns:
        The programs, in the order in which they are started.
    """
    secret = ("--superexec-auth-secret-file", str(folder / _TIED_BY))
    root = str(certificates.root)
    link = [str(commands / "flower-superlink"), "--host", HOST, "--port", str(port)]
    link += ["--ssl-ca-certfile", root, "--ssl-certfile", str(certificates.certificate)]
    link += ["--ssl-keyfile", str(certificates.key), "--enable-supernode-auth"]
    # With `subprocess`, whoever reaches the port could take a ServerApp's task.
    link += ["--isolation", "process", *secret, "--disable-runtime-dependency-installation"]
    link += [] if database is None else ["--database", str(database)]
    executor = [str(commands / "flower-superexec"), "--runtime-api-address", f"{HOST}:{port}"]
    executor += ["--root-certificates", root, *secret, "--parent-pid", str(os.getpid())]
    told = _environment(folder, commands) | dict(environment)
    return (
        Program(name=LINK, command=tuple(link), environment=told, folder=folder),
        Program(
            name=EXECUTOR,
            command=tuple(executor),
            environment=told,
            folder=folder,
            # A ServerApp whose run is forgotten must not hold its ledger any longer.
            stands_on=LINK if database is None else None,
        ),
    )


def _environment(folder: Path, programs: Path) -> dict[str, str]:
    """All that the programs are told of the environment."""
    kept = {name: os.environ[name] for name in _HANDED_ON if name in os.environ}
    own = {"HOME": str(folder), "FLWR_HOME": str(folder / "flower")}
    return {**kept, **_SWITCHES, **own, "PATH": f"{programs}{os.pathsep}{os.defpath}"}
