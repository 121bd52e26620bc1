"""Certificates that must not count: either side refuses each, and says why."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from fedcredit.adapters.asgi import App
from fedcredit.adapters.front import SuperLinkPlace
from fedcredit.adapters.listener import Listener
from fedcredit.adapters.pki import key_pem, new_key, pem_of, request_for
from fedcredit.adapters.system import system_random
from fedcredit.adapters.tls import client_context, reason_of, server_context
from fedcredit.errors import ConfigError
from tests.adapters.enrolled import HOST, Consortium, serving, superlink, upstream

YEARS = timedelta(days=3 * 365)


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("consortium")).found()
    made.member("bank")
    return made


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    """Another consortium with the same names."""
    made = Consortium(tmp_path_factory.mktemp("other")).found()
    made.member("bank")
    return made


@pytest.fixture(scope="module")
def place(consortium: Consortium) -> Iterator[SuperLinkPlace]:
    with upstream(consortium) as found:
        yield found


def written(path: Path, key: bytes, certificate: x509.Certificate) -> Path:
    path.write_bytes(key + pem_of(certificate))
    return path


def issued(consortium: Consortium, path: Path, shift: timedelta) -> Path:
    """A certificate of the true authority for the bank, as of another day."""
    key = new_key()
    moment = max(consortium.now + shift, consortium.now - timedelta(days=10 * 365))
    made = consortium.authority.institution("bank", request_for(key, "bank"), moment, system_random)
    return written(path, key_pem(key), made)


def self_signed(consortium: Consortium, path: Path) -> Path:
    """A certificate that says all that a true one says, signed by its own key."""
    key = new_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bank")])
    uri = x509.UniformResourceIdentifier("fedcredit:institution:bank")
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(consortium.now - timedelta(days=1))
        .not_valid_after(consortium.now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .sign(key, SHA256())
    )
    return written(path, key_pem(key), made)


def a_servers(consortium: Consortium, path: Path) -> Path:
    """The front's own certificate, shown by a client."""
    pki = consortium.folder / "pki"
    path.write_bytes((pki / "server.key").read_bytes() + (pki / "server.pem").read_bytes())
    return path


def attempt(port: int, context: ssl.SSLContext) -> httpx.Response:
    with httpx.Client(verify=context, trust_env=False, timeout=20) as line:
        return line.post(f"https://{HOST}:{port}/v1/studies")


def context_of(consortium: Consortium, member: Path) -> ssl.SSLContext:
    return client_context((consortium.folder / "pki/authority.pem").read_text("ascii"), member)


@contextmanager
def shown(consortium: Consortium, base: Path, key: bytes, certificate: bytes) -> Iterator[int]:
    """A server with a certificate of the test's choice."""
    (base / "s.key").write_bytes(key)
    (base / "s.pem").write_bytes(certificate[certificate.find(b"-----BEGIN CERTIFICATE") :])
    authority = consortium.folder / "pki/authority.pem"
    with listening(server_context(base / "s.pem", base / "s.key", authority)) as port:
        yield port


@contextmanager
def listening(context: ssl.SSLContext) -> Iterator[int]:
    @asynccontextmanager
    async def lifetime() -> AsyncIterator[App]:
        yield superlink

    with Listener(lifetime, context, HOST, 0) as there:
        yield there.port


@pytest.mark.parametrize(
    ("make", "at_server", "at_client"),
    [
        (lambda made, _, path: issued(made, path, -YEARS), "has expired", "expired"),
        (lambda made, _, path: issued(made, path, YEARS), "not yet valid", "bad certificate"),
        (lambda made, _, path: self_signed(made, path), "self-signed", "unknown ca"),
        (lambda _, other, path: issued(other, path, timedelta()), "issuer", "unknown ca"),
        (lambda made, _, path: a_servers(made, path), "purpose", "certificate"),
    ],
    ids=["expired", "not-yet-valid", "self-signed", "other-authority", "a-servers"],
)
def test_a_client_with_a_false_certificate_is_refused(
    make: Callable[[Consortium, Consortium, Path], Path],
    at_server: str,
    at_client: str,
    consortium: Consortium,
    other: Consortium,
    place: SuperLinkPlace,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Before it has sent a request; both sides can say why."""
    caplog.set_level(logging.INFO, "fedcredit.front")
    member = make(consortium, other, tmp_path / "member.pem")
    with serving(consortium, place) as port:
        with pytest.raises(httpx.TransportError) as refusal:
            attempt(port, context_of(consortium, member))
        good = context_of(consortium, consortium.base / "bank/keys/member.pem")
        assert attempt(port, good).status_code == 200
    assert at_client in reason_of(refusal.value)
    assert at_server in caplog.text


def test_a_true_certificate_that_is_not_in_the_register_is_refused(
    consortium: Consortium, place: SuperLinkPlace, tmp_path: Path
) -> None:
    """As after a register was restored from a backup: TLS cannot know."""
    member = issued(consortium, tmp_path / "member.pem", timedelta())
    with serving(consortium, place) as port:
        answered = attempt(port, context_of(consortium, member))
    assert (answered.status_code, answered.json()["error"]["kind"]) == (403, "unknown")


@pytest.mark.parametrize(
    ("hosts", "shift", "reason"),
    [
        ((HOST,), -YEARS, "has expired"),
        ((HOST,), YEARS, "not yet valid"),
        (("fed.example.org",), timedelta(), "IP address mismatch"),
        (("127.0.0.2", "localhost"), timedelta(), "IP address mismatch"),
    ],
    ids=["expired", "not-yet-valid", "wrong-name", "wrong-address"],
)
def test_a_server_with_a_false_certificate_is_refused(
    hosts: tuple[str, ...],
    shift: timedelta,
    reason: str,
    consortium: Consortium,
    tmp_path: Path,
) -> None:
    key = new_key()
    made = consortium.authority.server(
        key.public_key(), hosts, consortium.now + shift, system_random
    )
    member = consortium.base / "bank/keys/member.pem"
    with (
        shown(consortium, tmp_path, key_pem(key), pem_of(made)) as port,
        pytest.raises(httpx.TransportError) as refusal,
    ):
        attempt(port, context_of(consortium, member))
    assert reason in reason_of(refusal.value)


def test_a_server_of_another_authority_and_one_of_none_are_refused(
    consortium: Consortium, other: Consortium, tmp_path: Path
) -> None:
    """And a member's certificate is none of a server, so no member can stand for it."""
    pki = other.folder / "pki"
    member = consortium.base / "bank/keys/member.pem"
    alone = self_signed(consortium, tmp_path / "alone.pem").read_bytes()
    parts = member.read_bytes()
    for secret, certificate, reason in (
        ((pki / "server.key").read_bytes(), (pki / "server.pem").read_bytes(), "issuer"),
        (alone, alone, "self-signed"),
        (parts, parts, "purpose"),
    ):
        with (
            shown(consortium, tmp_path, secret, certificate) as port,
            pytest.raises(httpx.TransportError) as refusal,
        ):
            attempt(port, context_of(consortium, member))
        assert reason in reason_of(refusal.value)


def test_tls_1_2_is_refused_by_both_sides(
    consortium: Consortium, place: SuperLinkPlace, tmp_path: Path
) -> None:
    member = consortium.base / "bank/keys/member.pem"
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(consortium.folder / "pki/authority.pem")
    old.load_cert_chain(member)
    with serving(consortium, place) as port:
        assert attempt(port, old).status_code == 200  # with 1.3 it would be let in
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(httpx.TransportError) as refusal:
            attempt(port, old)
        assert "protocol version" in reason_of(refusal.value)
    pki = consortium.folder / "pki"
    server = server_context(pki / "server.pem", pki / "server.key", pki / "authority.pem")
    server.minimum_version = ssl.TLSVersion.TLSv1_2
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    with listening(server) as port:
        with pytest.raises(httpx.TransportError) as refusal:
            attempt(port, context_of(consortium, member))
        assert "version" in reason_of(refusal.value) or "protocol" in reason_of(refusal.value)


def test_a_key_that_is_not_the_certificates_is_named(consortium: Consortium) -> None:
    pki = consortium.folder / "pki"
    with pytest.raises(ConfigError, match=r"server\.pem"):
        server_context(pki / "server.pem", pki / "superlink.key", pki / "authority.pem")
    with pytest.raises(ConfigError, match="missing or malformed"):
        client_context((pki / "authority.pem").read_text(), pki / "server.pem")
    with pytest.raises(ConfigError, match="missing or malformed"):
        client_context("none")


def test_what_is_no_failed_handshake_has_no_reason() -> None:
    assert not reason_of(ConnectionRefusedError("refused"))
