"""The app that a run names."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from flwr.cli.build import build_fab_from_files
from flwr.cli.config_utils import get_fab_metadata
from flwr.cli.install import install_from_fab

from fedcredit.adapters.fab import App, app_digest, installed_app

ROOT = Path(__file__).resolve().parents[2]
SOURCES = {
    "coordinator/__init__.py": b"",
    "coordinator/server_app.py": b"app = 1\n",
    "nodes/__init__.py": b"",
    "nodes/client_app.py": b"app = 2\n",
}


def test_equal_sources_make_equal_bytes_whatever_their_order() -> None:
    assert App.of(SOURCES) == App.of(dict(reversed(SOURCES.items())))


def test_one_byte_more_makes_another_app() -> None:
    other = SOURCES | {"nodes/client_app.py": b"app = 2\n\n"}
    assert App.of(SOURCES).digest != App.of(other).digest


def test_no_compressor_has_a_say_in_the_bytes() -> None:
    """Two releases of zlib may make different bytes of one file."""
    with ZipFile(BytesIO(App.of(SOURCES).fab)) as opened:
        assert {one.compress_type for one in opened.infolist()} == {ZIP_STORED}
        assert {one.date_time for one in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_installed_app_is_what_stands_in_the_checkout() -> None:
    with ZipFile(BytesIO(installed_app().fab)) as opened:
        for name in SOURCES:
            assert opened.read(name) == (ROOT / name).read_bytes()
    assert app_digest() == hashlib.sha256(installed_app().fab).hexdigest()


def test_flower_installs_it(tmp_path: Path) -> None:
    """Private: the form of a FAB, with the digests that Flower checks."""
    app = installed_app()
    assert get_fab_metadata(app.fab)[0] == "fedcredit/fedcredit-app"
    folder = install_from_fab(app.fab, tmp_path, skip_prompt=True)
    assert (folder / "coordinator" / "server_app.py").exists()
    assert app.digest.startswith(folder.name.rsplit(".", 1)[1])


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # flwr's own use
def test_flower_would_pack_the_same_files() -> None:
    """Private: the project file is one that Flower's own command accepts, licence and all."""
    with ZipFile(BytesIO(App.of(SOURCES).fab)) as opened:
        files = {name: opened.read(name) for name in opened.namelist() if name[0] != "."}
        names = set(opened.namelist())
    theirs, metadata = build_fab_from_files(files)
    assert metadata.fab_format_version == 1
    with ZipFile(BytesIO(theirs)) as opened:
        assert set(opened.namelist()) == names
