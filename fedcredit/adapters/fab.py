"""The app that a run names: the few files of `coordinator` and `nodes`, and their digest.

Flower packs an app as a zip archive, a FAB, and names a run's app by the SHA-256 of it. The
archive is written here, and uncompressed: every machine gets the same bytes of the same
files, whichever compressor it has. The form is that of flwr/cli/build.py, Flower 1.41.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import fedcredit
from fedcredit.errors import ConfigError

__all__ = ["App", "app_digest", "installed_app"]

_PROJECT: Final = """\
[project]
name = "fedcredit-app"
version = "{version}"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>=1.41"]

[tool.flwr.app]
publisher = "fedcredit"
fab-format-version = 1
flwr-version-target = "1.41.0"

[tool.flwr.app.components]
serverapp = "coordinator.server_app:app"
clientapp = "nodes.client_app:app"

[tool.flwr.app.config]
folder = ""
"""
_LICENSE: Final = b"SPDX-License-Identifier: Apache-2.0\n"
_FILES: Final = (
    "coordinator/__init__.py",
    "coordinator/server_app.py",
    "nodes/__init__.py",
    "nodes/client_app.py",
)
_MANIFEST: Final = ".info/CONTENT"
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3


@dataclass(frozen=True, slots=True)
class App:
    """An app as Flower carries it.

    Attributes:
        fab: the archive.
    """

    fab: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the archive, in hex: the name of the app."""
        return hashlib.sha256(self.fab).hexdigest()

    @classmethod
    def of(cls, sources: Mapping[str, bytes]) -> App:
        """Pack an app.

        Args:
            sources: the text of each module by its path; they must hold what
                ``coordinator/server_app.py`` and ``nodes/client_app.py`` define: ``app``.

        Returns:
            The app; equal sources make equal bytes.
        """
        project = _PROJECT.format(version=version("fedcredit")).encode()
        files = {"pyproject.toml": project}
        files |= dict(sorted({"LICENSE": _LICENSE, **sources}.items()))
        lines = [
            f"{path},{hashlib.sha256(data).hexdigest()},{8 * len(data)}"
            for path, data in files.items()
        ]
        archive = BytesIO()
        with ZipFile(archive, "w", ZIP_STORED) as opened:
            for path, data in {**files, _MANIFEST: "\n".join(lines).encode()}.items():
                entry = ZipInfo(path, _DATE)
                entry.create_system = _UNIX  # as on every other machine
                opened.writestr(entry, data)
        return cls(archive.getvalue())


def installed_app() -> App:
    """The app that is installed beside `fedcredit`.

    Raises:
        ConfigError: its packages are not there.
    """
    beside = Path(fedcredit.__file__).resolve().parents[1]
    try:
        return App.of({path: (beside / path).read_bytes() for path in _FILES})
    except OSError:
        raise ConfigError(
            "the packages nodes and coordinator do not stand beside fedcredit",
            remedy="install fedcredit from its checkout, with `make setup`",
        ) from None


def app_digest() -> str:
    """The digest of the installed app: what a node expects a run to name.

    Raises:
        ConfigError: its packages are not there.
    """
    return installed_app().digest
