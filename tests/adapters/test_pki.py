"""The consortium's certificates: what they say, how long, and that they read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedcredit.adapters.pki import (
    AUTHORITY_DAYS,
    CERTIFICATE_DAYS,
    Authority,
    days_left,
    institution_of,
    key_pem,
    new_authority,
    new_key,
    pem_of,
    public_bytes,
    read_certificate,
    read_request,
    request_for,
    revoked_serials,
    serial_of,
)
from fedcredit.errors import ConfigError, PeerError
from tests.federation.made import Stream

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority("Delta", NOW, Stream("authority"))


def usage(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def test_an_authority_lasts_ten_years_and_signs_for_nobody_below_it(authority: Authority) -> None:
    found = authority.certificate
    found.verify_directly_issued_by(found)
    assert days_left(found, NOW) == AUTHORITY_DAYS
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    allowed = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (allowed.key_cert_sign, allowed.crl_sign, allowed.digital_signature) == (1, 1, 0)


def test_an_authority_reads_back_and_only_with_its_own_key(authority: Authority) -> None:
    again = Authority.read(authority.pem, authority.key_pem)
    assert again.certificate == authority.certificate
    for key in (key_pem(new_key()), b"", b"-----BEGIN PRIVATE KEY-----\n"):
        with pytest.raises(ConfigError, match="not that of its certificate"):
            Authority.read(authority.pem, key)
    with pytest.raises(ConfigError, match="malformed"):
        Authority.read(b"", authority.key_pem)


def test_no_key_is_printed(authority: Authority) -> None:
    assert "PrivateKey" not in repr(authority)


def test_an_institutions_certificate_says_who_it_is_and_no_more(authority: Authority) -> None:
    """For a year, to show to servers, signed by the authority."""
    key = new_key()
    found = authority.institution("bank", request_for(key, "another"), NOW, Stream("serial"))
    found.verify_directly_issued_by(authority.certificate)
    assert institution_of(found) == "bank"
    assert found.subject.rfc4514_string() == "CN=bank"  # and not what the request says
    assert public_bytes(found.public_key()) == public_bytes(key.public_key())
    assert days_left(found, NOW) == CERTIFICATE_DAYS
    assert usage(found) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert read_certificate(pem_of(found)) == read_certificate(found.public_bytes(Encoding.DER))


def test_a_request_gets_nothing_that_it_asks_for_beside_its_key(authority: Authority) -> None:
    """Neither a name nor the right to sign for others."""
    key = new_key()
    names = x509.SubjectAlternativeName(
        [x509.UniformResourceIdentifier("fedcredit:institution:shop"), x509.DNSName("fed.example")]
    )
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop")]))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
        .public_bytes(Encoding.PEM)
    )
    found = authority.institution("bank", request, NOW, Stream("serial"))
    assert institution_of(found) == "bank"
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_servers_certificate_is_of_its_hosts_and_of_no_institution(authority: Authority) -> None:
    hosts = ("fed.example.org", "192.0.2.7", "::1")
    found = authority.server(new_key().public_key(), hosts, NOW, Stream("serial"))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["fed.example.org"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "::1"]
    assert usage(found) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert institution_of(found) == ""


@pytest.mark.parametrize("host", ["", "a b", "*.example.org", "fed.exämple", "a/b", "https://a"])
def test_a_host_must_be_a_name_or_an_address(host: str, authority: Authority) -> None:
    with pytest.raises(ConfigError, match="neither a host's name nor an address"):
        authority.server(new_key().public_key(), (host,), NOW, Stream("serial"))


@pytest.mark.parametrize("name", ["", "x" * 65])
def test_a_consortium_needs_a_name_that_certificates_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match="empty or longer than 64"):
        new_authority(name, NOW, Stream("authority"))


def test_nothing_outlives_its_authority(authority: Authority) -> None:
    late = NOW + timedelta(days=AUTHORITY_DAYS - 10)
    found = authority.institution("bank", request_for(new_key(), "bank"), late, Stream("s"))
    assert found.not_valid_after_utc == authority.certificate.not_valid_after_utc


def test_numbers_are_random_positive_and_short_enough(authority: Authority) -> None:
    """RFC 5280: at most 20 bytes, of which the first bit is the sign."""
    for start in (b"\x00", b"\xff"):
        found = authority.institution(
            "bank", request_for(new_key(), "bank"), NOW, lambda count, byte=start: byte * count
        )
        assert 0 < found.serial_number < 1 << 159
        assert int(serial_of(found), 16) == found.serial_number


def broken(request: bytes) -> bytes:
    """The request with another name, under the old signature."""
    der = x509.load_pem_x509_csr(request).public_bytes(Encoding.DER).replace(b"bank", b"tank")
    return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


def test_a_request_that_its_key_has_not_signed_is_refused(authority: Authority) -> None:
    request = request_for(new_key(), "bank")
    read_request(request)
    other = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    for bad in (
        broken(request),
        b"",
        b"-----BEGIN CERTIFICATE REQUEST-----\n",
        request + b" " * 9000,
        authority.pem,
        other.sign(generate_private_key(SECP384R1()), SHA256()).public_bytes(Encoding.PEM),
        other.sign(Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM),
    ):
        with pytest.raises(PeerError, match="malformed, or not signed by its own P-256 key"):
            read_request(bad)


def test_the_list_of_the_revoked_is_the_authoritys(authority: Authority) -> None:
    pem = authority.revocations([5, 7, 5], 1, NOW)
    assert revoked_serials(pem, authority.certificate) == {5, 7}
    assert revoked_serials(authority.revocations([], 1, NOW), authority.certificate) == frozenset()
    other = new_authority("Delta", NOW, Stream("other"))
    for bad in (other.revocations([5], 1, NOW), b"", pem[:-60], pem[: len(pem) // 2]):
        with pytest.raises(ConfigError, match="not signed by the authority"):
            revoked_serials(bad, authority.certificate)


def test_a_certificate_of_something_else_is_of_no_institution(authority: Authority) -> None:
    assert institution_of(authority.certificate) == ""
    key = new_key()
    uri = x509.UniformResourceIdentifier("fedcredit:institution:bank")
    for names in ([x509.DNSName("bank")], [uri, x509.DNSName("bank")], [uri, uri]):
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([]))
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(NOW)
            .not_valid_after(NOW + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(key, SHA256())
        )
        assert institution_of(made) == ""


def test_days_are_counted_down_past_the_end(authority: Authority) -> None:
    found = authority.institution("bank", request_for(new_key(), "bank"), NOW, Stream("s"))
    assert days_left(found, NOW + timedelta(days=336)) == 29
    assert days_left(found, NOW + timedelta(days=366)) == -1
