"""What several files stand on: a consortium that is founded and served, and a database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcredit.adapters.front import SuperLinkPlace
from tests.adapters.enrolled import Consortium, serving, upstream
from tests.adapters.made_database import Database


@pytest.fixture
def consortium(tmp_path: Path) -> Consortium:
    return Consortium(tmp_path).found()


@pytest.fixture
def place(consortium: Consortium) -> Iterator[SuperLinkPlace]:
    with upstream(consortium) as found:
        yield found


@pytest.fixture
def port(consortium: Consortium, place: SuperLinkPlace) -> Iterator[int]:
    with serving(consortium, place) as found:
        yield found


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr("adbc_driver_postgresql.dbapi.connect", made.connect)
    return made
