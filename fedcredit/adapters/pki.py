"""The consortium's certificates: one authority, servers, institutions, and a list of the revoked.

All keys are ECDSA P-256, which every TLS 1.3 stack takes. An institution's key never leaves
it: it sends a request that the key has signed. Its certificate says who it is in one URI,
``fedcredit:institution:NAME``; a server's says where it answers, and neither can stand for
the other (extended key usage).

Source: RFC 5280 for certificates and the list, RFC 2986 for requests.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedcredit.errors import ConfigError, PeerError
from fedcredit.secagg.shamir import RandomBytes

__all__ = [
    "AUTHORITY_DAYS",
    "CERTIFICATE_DAYS",
    "WARN_DAYS",
    "Authority",
    "days_left",
    "institution_of",
    "key_pem",
    "new_authority",
    "new_key",
    "pem_of",
    "public_bytes",
    "read_certificate",
    "read_request",
    "request_for",
    "revoked_serials",
    "serial_of",
]

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 365
WARN_DAYS: Final = 30  # a certificate that ends sooner is worth a warning

_SCHEME: Final = "fedcredit:institution:"
_SKEW: Final = timedelta(minutes=5)  # clocks of two institutions may differ by so much
_REQUEST_LIMIT_BYTES: Final = 8192
_SERIAL_BYTES: Final = 20


@dataclass(frozen=True, slots=True)
class Authority:
    """A consortium's authority; its key signs certificates and the list of the revoked.

    Attributes:
        certificate: which everybody pins.
    """

    certificate: x509.Certificate
    _key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> Authority:
        """Read an authority back, from PEM.

        Raises:
            ConfigError: one is malformed, or the key is not the certificate's.
        """
        found = read_certificate(certificate)
        try:
            secret = load_pem_private_key(key, None)
        except (TypeError, ValueError):
            secret = None
        if not isinstance(secret, EllipticCurvePrivateKey) or public_bytes(
            secret.public_key()
        ) != public_bytes(found.public_key()):
            raise ConfigError(
                "the authority's key is not that of its certificate",
                remedy="restore both from one backup",
            )
        return cls(found, secret)

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return pem_of(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The key: secret."""
        return key_pem(self._key)

    def server(
        self,
        key: EllipticCurvePublicKey,
        hosts: Sequence[str],
        now: datetime,
        random: RandomBytes,
    ) -> x509.Certificate:
        """A server's certificate, for a year.

        Args:
            key: the server's.
            hosts: names and addresses that it answers at; at least one.
            now: with a time zone.
            random: for the serial number.

        Raises:
            ConfigError: a host is no name and no address.
        """
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        usage = ExtendedKeyUsageOID.SERVER_AUTH
        return self._issue(key, hosts[0], names, usage, now, random)

    def institution(
        self, name: str, request: bytes, now: datetime, random: RandomBytes
    ) -> x509.Certificate:
        """An institution's certificate, for a year.

        The request gives the key and nothing else: whose it is, the authority says.

        Args:
            name: the institution's.
            request: PEM, see `request_for`.
            now: with a time zone.
            random: for the serial number.

        Raises:
            PeerError: it is no request, or not signed by its key.
        """
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_SCHEME + name)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self._issue(read_request(request), name, names, usage, now, random)

    def revocations(self, serials: Iterable[int], number: int, now: datetime) -> bytes:
        """The signed list of revoked certificates, as PEM.

        It is read from the disk that it was written to and never fetched, so it does not
        run out before the authority does: there is nobody who could withhold a newer one.

        Args:
            serials: of all certificates that were ever revoked.
            number: greater than that of every list before.
            now: with a time zone.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(self.certificate.not_valid_after_utc)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        for serial in sorted(set(serials)):
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        """How what is signed names the key that signed it."""
        public = cast("EllipticCurvePublicKey", self.certificate.public_key())
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(public)

    def _issue(
        self,
        key: EllipticCurvePublicKey,
        common_name: str,
        names: x509.SubjectAlternativeName,
        usage: x509.ObjectIdentifier,
        now: datetime,
        random: RandomBytes,
    ) -> x509.Certificate:
        """One certificate."""
        ends = min(now + timedelta(days=CERTIFICATE_DAYS), self.certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(_serial(random))
            .not_valid_before(now - _SKEW)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(names, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        return builder.sign(self._key, SHA256())


def new_authority(consortium: str, now: datetime, random: RandomBytes) -> Authority:
    """Found a consortium's authority, for ten years.

    Args:
        consortium: its name, 1 to 64 characters.
        now: with a time zone.
        random: for the serial number; the key is drawn by `cryptography`.

    Raises:
        ConfigError: the name is empty or too long.
    """
    key = new_key()
    name = _name(consortium)
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(_serial(random))
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return Authority(builder.sign(key, SHA256()), key)


def new_key() -> EllipticCurvePrivateKey:
    """Draw a key; by `cryptography`, from the operating system."""
    return generate_private_key(SECP256R1())


def key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """A key as it is written: secret, PKCS 8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem_of(certificate: x509.Certificate) -> bytes:
    """A certificate as it is written."""
    return certificate.public_bytes(Encoding.PEM)


def public_bytes(key: object) -> bytes:
    """A public key as DER, SubjectPublicKeyInfo."""
    public = cast("EllipticCurvePublicKey", key)
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def request_for(key: EllipticCurvePrivateKey, name: str) -> bytes:
    """A certificate request, PEM, signed by the key that it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def read_request(pem: bytes) -> EllipticCurvePublicKey:
    """The key that a certificate is asked for.

    Raises:
        PeerError: it is no request, too long, not for a P-256 key, or not signed by its key.
    """
    try:
        found = x509.load_pem_x509_csr(pem) if len(pem) <= _REQUEST_LIMIT_BYTES else None
        if found is not None and found.is_signature_valid:
            key = found.public_key()
            if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
                return key
    except (ValueError, TypeError, InvalidSignature, x509.UnsupportedGeneralNameType):
        pass
    raise PeerError(
        "a certificate request is malformed, or not signed by its own P-256 key",
        remedy="join anew: fedcredit node join FOLDER INVITE",
    )


def read_certificate(data: bytes) -> x509.Certificate:
    """Read a certificate, PEM or DER.

    Raises:
        ConfigError: it is none.
    """
    try:
        if data.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError:
        raise ConfigError(
            "a certificate is malformed", remedy="fetch it anew, or restore it from its backup"
        ) from None


def institution_of(certificate: x509.Certificate) -> str:
    """The institution that a certificate is of; empty where it is of none."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ""
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(names) != 1 or len(uris) != 1 or not uris[0].startswith(_SCHEME):
        return ""
    return uris[0].removeprefix(_SCHEME)


def serial_of(certificate: x509.Certificate) -> str:
    """A certificate's number in hex, as registers have it."""
    return f"{certificate.serial_number:x}"


def days_left(certificate: x509.Certificate, now: datetime) -> int:
    """Whole days until a certificate ends; negative when it has."""
    return (certificate.not_valid_after_utc - now) // timedelta(days=1)


def revoked_serials(pem: bytes, authority: x509.Certificate) -> frozenset[int]:
    """The numbers on a list of revoked certificates.

    Raises:
        ConfigError: it is no list, or not signed by the authority.
    """
    try:
        found = x509.load_pem_x509_crl(pem)
        if found.is_signature_valid(cast("EllipticCurvePublicKey", authority.public_key())):
            return frozenset(one.serial_number for one in found)
    except (ValueError, TypeError):
        pass
    raise ConfigError(
        "the list of revoked certificates is malformed, or not signed by the authority",
        remedy="restore it from its backup; nobody is let in meanwhile",
    )


def _name(common_name: str) -> x509.Name:
    """A subject that is one name."""
    try:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    except ValueError:
        raise ConfigError(
            "a name for a certificate is empty or longer than 64 characters",
            remedy="choose a shorter one",
        ) from None


def _general_name(host: str) -> x509.GeneralName:
    """A host as certificates have it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not host or not host.isascii() or not all(sign.isalnum() or sign in ".-" for sign in host):
        raise ConfigError(
            f"{host!r} is neither a host's name nor an address",
            remedy="write it as fed.example.org or 192.0.2.7",
        )
    return x509.DNSName(host)


def _serial(random: RandomBytes) -> int:
    """159 bits, never zero (RFC 5280, section 4.1.2.2: positive, at most 20 bytes)."""
    return (int.from_bytes(random(_SERIAL_BYTES)) >> 1) | 1


def _usage(*, certificates: bool) -> x509.KeyUsage:
    """What a key may do: sign certificates and lists, or sign handshakes."""
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
