"""The key by which a SuperLink knows a node."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)
from flwr.cli.supernode.register import try_load_public_key

from fedcredit.adapters.node_keys import new_node_key, public_pem, read_node_key
from fedcredit.errors import ConfigError


def test_a_new_key_is_for_its_owner_and_its_public_half_for_all(tmp_path: Path) -> None:
    line = new_node_key(tmp_path / "node.key")
    assert stat.S_IMODE((tmp_path / "node.key").stat().st_mode) == 0o600
    assert (tmp_path / "node.pub").read_text("utf-8") == line + "\n"
    public = read_node_key(tmp_path / "node.key").public_key()
    read = load_pem_public_key(public_pem(line))
    assert isinstance(read, ec.EllipticCurvePublicKey)
    assert read == public


def test_flower_reads_the_public_half_as_we_do(tmp_path: Path) -> None:
    """Private: what `flwr supernode register` sends."""
    line = new_node_key(tmp_path / "node.key")
    assert try_load_public_key(tmp_path / "node.pub") == public_pem(line + " a remark")


def test_a_key_that_is_there_is_never_replaced(tmp_path: Path) -> None:
    new_node_key(tmp_path / "node.key")
    before = (tmp_path / "node.key").read_bytes()
    with pytest.raises(ConfigError, match="cannot be written"):
        new_node_key(tmp_path / "node.key")
    assert (tmp_path / "node.key").read_bytes() == before


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    new_node_key(tmp_path / "node.key")
    (tmp_path / "node.key").chmod(0o640)
    with pytest.raises(ConfigError, match="mode 0640"):
        read_node_key(tmp_path / "node.key")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no key",
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        ),
        ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    ],
    ids=["empty", "text", "P-256", "PKCS8"],
)
def test_what_is_no_such_key_is_refused(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    path.touch(0o600)
    path.write_bytes(text)
    with pytest.raises(ConfigError, match="no ECDSA key on P-384"):
        read_node_key(path)


def test_a_key_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_node_key(tmp_path / "node.key")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no key",
        "ecdsa-sha2-nistp384 ä",
        ed25519.Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        .decode(),
    ],
    ids=["empty", "text", "letters", "Ed25519"],
)
def test_a_public_key_of_another_kind_is_refused(line: str) -> None:
    with pytest.raises(ConfigError, match="not ECDSA on P-384"):
        public_pem(line)
