"""The operator's page over HTTP: read only, for this machine, with nothing of the outside."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fedcredit.adapters import operator_page
from fedcredit.adapters.loopback import serving
from fedcredit.adapters.operator_page import POLICY, operator_app
from fedcredit.adapters.system import utc_moment
from fedcredit.errors import ConfigError, IntegrityError
from tests.adapters.made_centre import NASTY, centre

PATHS = ("/", "/live", "/htmx.js", "/page.css")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with (
        serving(operator_app(folder, utc_moment), 0) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as made,
    ):
        yield made


@pytest.mark.parametrize("path", [*PATHS, "/nothing"])
def test_every_answer_has_the_policy(path: str, client: httpx.Client) -> None:
    headers = client.get(path).headers
    assert headers.get_list("content-security-policy") == [POLICY]
    assert headers["cache-control"] == "no-store"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_but_reading_is_answered(method: str, path: str, client: httpx.Client) -> None:
    assert client.request(method, path).status_code == 405


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/pki/authority.key"])
def test_nothing_else_is_there(path: str, client: httpx.Client) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil", ""])
def test_a_request_under_another_name_is_refused(host: str, client: httpx.Client) -> None:
    """A site of the outside whose name was made to point here."""
    answer = client.get("/", headers={"host": host})
    assert answer.status_code in (400, 421)
    assert "Delta" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8480", "localhost", "LOCALHOST:1", "[::1]:8480"])
def test_a_request_under_our_name_is_answered(host: str, client: httpx.Client) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


def test_texts_of_others_are_shown_as_text(client: httpx.Client) -> None:
    for path in ("/", "/live"):
        page = client.get(path).text
        assert NASTY not in page
        assert "&lt;script&gt;document.title" in page
    assert "<img" not in client.get("/").text
    assert client.get("/").text.count("<script") == 1


def test_the_page_names_nothing_of_the_outside(client: httpx.Client) -> None:
    page = client.get("/").text
    assert set(re.findall(r'(?:src|href|hx-get)="([^"]+)"', page)) == {
        "/htmx.js", "/page.css", "/live", "data:,",
    }  # fmt: skip


def test_no_secret_of_the_folder_is_shown(folder: Path, client: httpx.Client) -> None:
    """No line of any key; the same search finds what is public."""
    shown = "".join(client.get(path).text for path in PATHS)
    keys = [*folder.glob("pki/*.key"), *folder.glob("keys/*.key")]
    lines = [
        word
        for path in keys
        for word in re.findall(r"[A-Za-z0-9+/=]{20,}", path.read_text("ascii"))
    ]
    assert len(keys) >= 6
    assert len(lines) > 6
    assert not [line for line in lines if line in shown]
    notes = (folder / "ledger/checkpoints.note").read_text("utf-8")
    assert notes.splitlines()[0] in shown, "the ledger's name is"


def test_a_folder_that_is_damaged_is_said_to_be(folder: Path, tmp_path: Path) -> None:
    """With 503 for programs; the part that is put in place by script comes with 200."""
    copy = tmp_path / "centre"
    shutil.copytree(folder, copy)
    (copy / "institutions.json").write_text("[]", "ascii")
    with (
        serving(operator_app(copy, utc_moment), 0) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        answers = [client.get(path) for path in ("/", "/live")]
    assert [one.status_code for one in answers] == [503, 200]
    assert all("institutions.json is not a JSON object" in one.text for one in answers)


def test_a_script_that_was_changed_is_not_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_page, "HTMX_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match=r"not the file of htmx\.org"):
        operator_app(folder, utc_moment)


def test_a_port_that_is_taken_is_said_to_be(folder: Path) -> None:
    app = operator_app(folder, utc_moment)
    with (
        serving(app, 0) as port,
        pytest.raises(ConfigError, match="cannot listen"),
        serving(app, port),
    ):
        pass
