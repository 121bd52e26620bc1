"""A root of one's own, what it signs for 127.0.0.1, and a server that answers over TLS."""

from __future__ import annotations

import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fedcredit.adapters.superlink_programs import Certificates


def certificates(folder: Path) -> Certificates:
    """A new root, and a certificate that is good for a server at 127.0.0.1 and for a client."""
    folder.mkdir(parents=True, exist_ok=True)
    files = Certificates(
        root=folder / "root.pem", certificate=folder / "server.pem", key=folder / "server.key"
    )
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
    now = dt.datetime.now(dt.UTC)

    def signed(
        of: ec.EllipticCurvePrivateKey, subject: x509.Name, extension: x509.ExtensionType
    ) -> bytes:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(root_key, hashes.SHA256())
            .public_bytes(Encoding.PEM)
        )

    ours = x509.BasicConstraints(ca=True, path_length=0)
    files.root.write_bytes(signed(root_key, root_name, ours))
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    files.certificate.write_bytes(signed(key, name, host))
    files.key.touch(mode=0o600)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


@contextmanager
def server(
    files: Certificates, client_root: Path | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that sends whoever asks it elsewhere: its address, and the headers it was sent.

    With ``client_root`` it asks for a client's certificate.
    """
    asked: list[dict[str, str]] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(dict(self.headers))
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(307)
            self.send_header("location", "https://elsewhere.example/")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if client_root is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_root)
    http = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    http.handle_error = lambda *_: None  # type: ignore[method-assign] # who is refused
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{http.server_address[1]}", asked
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
