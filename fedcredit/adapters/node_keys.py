"""The key by which a SuperLink knows a node: ECDSA on P-384, as OpenSSH writes it.

It says which node is calling and nothing more: what an institution says in a study is
signed by its own identity (fedcredit/secagg/keys.py).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from fedcredit.adapters.disk import write_file
from fedcredit.errors import ConfigError

__all__ = ["new_node_key", "public_pem", "read_node_key"]


def new_node_key(path: Path) -> str:
    """Make a node's key, for its owner's eyes; an existing file is never replaced.

    Args:
        path: of the private key; the public one is written beside it, its ending ``.pub``.

    Returns:
        The public key: the line that whoever runs the SuperLink registers.

    Raises:
        ConfigError: there is a file already, or none can be made.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
            opened.flush()
            os.fsync(file)
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be written: {problem.strerror}",
            remedy="keep a key that is there; name another file for a new one",
        ) from None
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    write_file(path.with_suffix(".pub"), line + b"\n")
    return line.decode("ascii")


def read_node_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a node's key.

    Raises:
        ConfigError: the file is missing or no such key, or others may read it.
    """
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        raise ConfigError(f"{path} cannot be read", remedy="make a node's key") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise ConfigError(
            f"{path} holds no ECDSA key on P-384 in OpenSSH's form", remedy="make a node's key"
        )
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}: others may read it", remedy=f"chmod 0600 {path}"
        )
    return key


def public_pem(line: str) -> bytes:
    """A node's public key as Flower carries it.

    Args:
        line: as `new_node_key` returned it; what follows the key is a remark.

    Returns:
        The key in PEM.

    Raises:
        ConfigError: it is no such key.
    """
    try:
        key = load_ssh_public_key(line.strip().encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):  # UnicodeEncodeError is a ValueError
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        raise ConfigError(
            "a public key is not ECDSA on P-384 in OpenSSH's form",
            remedy="register the line that ends in the .pub file of the node's key",
        )
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
