"""HTTPS to one address and nowhere else."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from fedcredit.adapters.https import https_client, tls_context, untrusted
from fedcredit.errors import ConfigError
from tests.adapters.made_tls import certificates, server


def post(address: str, context: ssl.SSLContext) -> httpx.Response:
    with https_client(context, {"flower": "here"}) as client:
        return client.post(f"https://{address}/", content=b"x")


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """The positive control is httpx itself, which would look the other name up."""
    files = certificates(tmp_path)
    context = tls_context(files.root)
    with server(files) as (address, asked):
        assert post(address, context).status_code == 307
        assert asked[0]["flower"] == "here"
        with (
            httpx.Client(verify=context, follow_redirects=True, trust_env=False) as other,
            pytest.raises(httpx.ConnectError),
        ):
            other.post(f"https://{address}/", content=b"x")


def test_the_environments_proxy_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The positive control is httpx itself, which would."""
    files = certificates(tmp_path)
    context = tls_context(files.root)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with server(files) as (address, _):
        assert post(address, context).status_code == 307
        with httpx.Client(verify=context) as other, pytest.raises(httpx.ConnectError):
            other.post(f"https://{address}/", content=b"x")


def test_another_root_is_not_trusted(tmp_path: Path) -> None:
    files, other = certificates(tmp_path / "a"), certificates(tmp_path / "b")
    with server(files) as (address, asked):
        with pytest.raises(httpx.TransportError) as caught:
            post(address, tls_context(other.root))
        assert asked == []
    assert untrusted(caught.value)


def test_a_server_may_ask_for_a_clients_certificate(tmp_path: Path) -> None:
    """And a client that has none, or one of another root, hears that it is not trusted."""
    files, other = certificates(tmp_path / "a"), certificates(tmp_path / "b")
    with server(files, client_root=files.root) as (address, asked):
        mutual = tls_context(files.root, files.certificate, files.key)
        assert post(address, mutual).status_code == 307
        for context in (
            tls_context(files.root),
            tls_context(files.root, other.certificate, other.key),
        ):
            with pytest.raises(httpx.TransportError) as caught:
                post(address, context)
            assert untrusted(caught.value)
        assert len(asked) == 1


def test_a_connection_that_is_refused_is_no_matter_of_trust(tmp_path: Path) -> None:
    with pytest.raises(httpx.ConnectError) as caught:
        post("127.0.0.1:9", tls_context(certificates(tmp_path).root))
    assert not untrusted(caught.value)


def test_a_connection_that_is_cut_is_no_matter_of_trust() -> None:
    problem = httpx.ReadError("cut")
    problem.__cause__ = ssl.SSLEOFError("cut")
    assert not untrusted(problem)


def test_what_is_no_certificate_is_an_error(tmp_path: Path) -> None:
    files, other = certificates(tmp_path / "a"), certificates(tmp_path / "b")
    (tmp_path / "text.pem").write_text("none", "utf-8")
    for root in (tmp_path / "text.pem", tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match="holds no certificate"):
            tls_context(root)
    for key in (tmp_path / "none.key", other.key):
        with pytest.raises(ConfigError, match="are no pair"):
            tls_context(files.root, files.certificate, key)


def test_nothing_older_than_tls_1_3_is_spoken(tmp_path: Path) -> None:
    context = tls_context(certificates(tmp_path).root)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_3
    assert context.check_hostname
