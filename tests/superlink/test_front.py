"""Flower's own SuperLink behind our front: members reach its Fleet API, and nothing else of it."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from flwr.proto.control_pb2 import ListRunsRequest, RegisterNodeRequest
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedcredit.adapters.coordinator_folder import revoke_institution
from fedcredit.adapters.front import SuperLinkPlace
from tests.adapters.enrolled import HOST, Consortium, serving

BIN: Final = Path(sys.executable).parent
PATIENCE_S: Final = 120


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Consortium:
    made = Consortium(tmp_path_factory.mktemp("consortium")).found()
    for name in ("bank", "shop"):
        made.member(name)
    return made


@pytest.fixture(scope="module")
def flower(consortium: Consortium) -> Iterator[str]:
    """A SuperLink with the certificate that the coordinator has made for it."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    pki = consortium.folder / "pki"
    words = ["--host", HOST, "--port", str(port), "--enable-supernode-auth"]
    words += ["--ssl-ca-certfile", str(pki / "authority.pem")]
    words += ["--ssl-certfile", str(pki / "superlink.pem"), "--ssl-keyfile"]
    words += [str(pki / "superlink.key"), "--disable-runtime-dependency-installation"]
    quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}
    home = {"FLWR_HOME": str(consortium.base / "flower")}
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}  # it starts a program of its own
    with subprocess.Popen(
        [BIN / "flower-superlink", *words],
        env={**os.environ, **quiet, **home, **path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        url = f"https://{HOST}:{port}"
        try:
            begun = time.monotonic()
            while True:
                try:
                    httpx.get(f"{url}/health", verify=consortium.tls(), trust_env=False)
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() - begun < PATIENCE_S
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def port(consortium: Consortium, flower: str) -> Iterator[int]:
    with serving(consortium, SuperLinkPlace(url=flower, tls=consortium.tls())) as found:
        yield found


def key_of(consortium: Consortium, name: str) -> EllipticCurvePrivateKey:
    found = load_ssh_private_key((consortium.base / name / "keys/node.key").read_bytes(), None)
    assert isinstance(found, EllipticCurvePrivateKey)
    return found


def fleet(
    consortium: Consortium, port: int, name: str, *, key: str, tls: ssl.SSLContext | None = None
) -> FleetHttpClient:
    """Flower's client, with the certificate of one and the node key of one."""
    secret = key_of(consortium, key)
    return FleetHttpClient(
        f"https://{HOST}:{port}",
        interceptors=[
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(secret, secret.public_key()),
        ],
        verify=tls or consortium.tls(consortium.base / name / "keys/member.pem"),
    )


def public(consortium: Consortium, name: str) -> bytes:
    return public_key_to_bytes(key_of(consortium, name).public_key())


def test_a_members_node_is_at_home_behind_the_front(
    consortium: Consortium, flower: str, port: int
) -> None:
    """It is activated, gives signs of life and asks for messages; a stranger to Flower is not."""
    key = public(consortium, "bank")
    with ControlHttpClient(flower, verify=consortium.tls()) as control:
        control.RegisterNode(RegisterNodeRequest(public_key=key, name="bank"))
    with fleet(consortium, port, "bank", key="bank") as client:
        asked = ActivateNodeRequest(public_key=key, heartbeat_interval=30)
        node = Node(node_id=client.ActivateNode(asked).node_id)
        beat = SendNodeHeartbeatRequest(node=node, heartbeat_interval=30)
        assert client.SendNodeHeartbeat(beat).success
        for _ in range(3):
            assert not client.PullMessages(PullMessagesRequest(node=node)).messages_list
    asked = ActivateNodeRequest(public_key=public(consortium, "shop"), heartbeat_interval=30)
    with (
        fleet(consortium, port, "shop", key="shop") as client,
        pytest.raises(httpx.HTTPStatusError) as refusal,
    ):
        client.ActivateNode(asked)
    assert refusal.value.response.status_code >= 400
    assert '"fix"' not in refusal.value.response.text  # it is Flower's refusal, not ours


def test_a_node_key_works_with_its_own_certificate_alone(consortium: Consortium, port: int) -> None:
    asked = ActivateNodeRequest(public_key=public(consortium, "bank"), heartbeat_interval=30)
    for client, status in (
        (fleet(consortium, port, "shop", key="bank"), 403),
        (fleet(consortium, port, "", key="bank", tls=consortium.tls()), 401),
    ):
        with client, pytest.raises(httpx.HTTPStatusError) as refusal:
            client.ActivateNode(asked)
        assert refusal.value.response.status_code == status


def test_flowers_control_is_there_and_is_not_to_be_had_through_the_front(
    consortium: Consortium, flower: str, port: int
) -> None:
    """Anybody who reaches the SuperLink itself can start runs: it listens on loopback alone."""
    with ControlHttpClient(flower, verify=consortium.tls()) as control:
        control.ListRuns(ListRunsRequest())
    tls = consortium.tls(consortium.base / "bank/keys/member.pem")
    with (
        ControlHttpClient(f"https://{HOST}:{port}", verify=tls) as control,
        pytest.raises(httpx.HTTPStatusError) as refusal,
    ):
        control.ListRuns(ListRunsRequest())
    assert refusal.value.response.status_code == 404
    with httpx.Client(verify=tls, trust_env=False) as line:
        for path in ("/docs", "/openapi.json", "/health"):
            assert line.get(f"{flower}{path}").status_code == 200, path
            assert line.get(f"https://{HOST}:{port}{path}").status_code == 404, path


def test_a_node_that_is_revoked_is_out_at_its_next_poll(consortium: Consortium, port: int) -> None:
    revoke_institution(consortium.folder, "bank", "left", consortium.now)
    with (
        fleet(consortium, port, "bank", key="bank") as client,
        pytest.raises(httpx.HTTPStatusError) as refusal,
    ):
        client.PullMessages(PullMessagesRequest(node=Node(node_id=1)))
    assert refusal.value.response.status_code == 403
    assert "revoked" in refusal.value.response.text
