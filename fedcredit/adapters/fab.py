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
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

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
_SOURCES: Final[Mapping[str, str]] = {
    "coordinator/__init__.py": '''\
"""What a coordinator runs: the name under which Flower finds its app."""
''',
    "coordinator/server_app.py": '''\
"""The app of the coordinator: it conducts the study in the folder that the run names."""

from __future__ import annotations

from fedcredit.adapters.conducting import conduct_folder
from fedcredit.adapters.flower import server_app

__all__ = ["app"]

app = server_app(conduct_folder)
''',
    "nodes/__init__.py": '''\
"""What an institution runs: the name under which Flower finds its app."""
''',
    "nodes/client_app.py": '''\
"""The app of an institution's node: it answers the rounds of the studies in the node's folder."""

from __future__ import annotations

from fedcredit.adapters.flower import client_app
from fedcredit.adapters.hosting import Hosts

__all__ = ["app"]

app = client_app(Hosts())
''',
}
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
    """The app of this release: the few lines by which Flower finds what is installed here.

    They are the files of ``nodes/`` and ``coordinator/`` in the checkout, and stand here too,
    since a wheel holds `fedcredit` alone.
    """
    return App.of({path: text.encode() for path, text in _SOURCES.items()})


def app_digest() -> str:
    """The digest of the installed app: what a node expects a run to name."""
    return installed_app().digest
