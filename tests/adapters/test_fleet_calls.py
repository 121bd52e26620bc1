"""The way to a Fleet API, and what of flwr it stands on."""

from __future__ import annotations

import base64
import datetime as dt
import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from flwr.common.constant import HEARTBEAT_MIN_INTERVAL, HEARTBEAT_PATIENCE, ErrorCode
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.supercore.error import ApiErrorCode
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from fedcredit.adapters.fleet_calls import HttpsLine, _meaning, _Signed, version_headers
from fedcredit.adapters.node_keys import new_node_key, read_node_key
from fedcredit.errors import ConfigError
from tests.adapters.made_tls import certificates, server

ROOT = Path(__file__).resolve().parents[2]


def signed(key: ec.EllipticCurvePrivateKey) -> httpx.Request:
    request = httpx.Request("POST", "https://127.0.0.1/", content=b"")
    next(_Signed(key).auth_flow(request))
    return request


def test_the_fleet_api_has_the_calls_that_are_made() -> None:
    """Private: the client, whose methods know the paths."""
    names = ["ActivateNode", "DeactivateNode", "SendNodeHeartbeat", "PullMessages", "GetRun"]
    names += ["PullObject", "ConfirmMessageReceived", "PushMessages", "PushObject"]
    assert all(callable(getattr(FleetHttpClient, name)) for name in names)
    assert "_client" in vars(FleetHttpClient("https://127.0.0.1:1"))


def test_the_numbers_are_those_that_are_counted_on() -> None:
    """Private: how soon a node may be taken for gone, and what errors mean."""
    assert (HEARTBEAT_MIN_INTERVAL, HEARTBEAT_PATIENCE) == (10, 2)
    assert ApiErrorCode(2004).name == "FLEET_NODE_ACTIVATION_FAILED"
    assert ErrorCode.INVALID_FAB == 7


def test_a_program_says_its_version_as_flower_does() -> None:
    """Private: what a SuperLink compares with its own."""
    theirs = RuntimeVersionMetadata.from_local_component("SuperNode").as_metadata()
    assert version_headers("SuperNode") == dict(theirs)


def test_a_request_is_signed_as_flower_signs_it(tmp_path: Path) -> None:
    """Private: the headers, by the interceptor of a stock node."""
    new_node_key(tmp_path / "key")
    key = read_node_key(tmp_path / "key")
    ours = signed(key)
    seen: list[httpx.Request] = []

    class Context:
        request = httpx.Request("POST", "https://127.0.0.1/", content=b"")

    def send(context: Context) -> httpx.Response:
        seen.append(context.request)
        return httpx.Response(200)

    NodeAuthHttpInterceptor(key, key.public_key()).intercept(Context, send)  # type: ignore[arg-type]
    theirs = seen[0]
    assert set(ours.headers) == set(theirs.headers)
    assert ours.headers["flwr-public-key"] == theirs.headers["flwr-public-key"]
    new = set(ours.headers) - set(httpx.Request("POST", "https://127.0.0.1/", content=b"").headers)
    (stamp,) = [name for name in new if "time" in name]
    public = load_pem_public_key(base64.b64decode(ours.headers["flwr-public-key"]))
    assert isinstance(public, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(ours.headers["flwr-signature"])
    public.verify(signature, ours.headers[stamp].encode(), ec.ECDSA(hashes.SHA256()))
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(ours.headers[stamp])
    assert abs(age.total_seconds()) < 60


def test_a_line_says_its_version_and_follows_nobody(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    new_node_key(tmp_path / "node.key")
    with server(files, client_root=files.root) as (address, asked):
        line = HttpsLine(
            address=address,
            root=files.root,
            key=tmp_path / "node.key",
            certificate=files.certificate,
            certificate_key=files.key,
        )
        with line.open() as client, pytest.raises(httpx.HTTPStatusError) as caught:
            client.ActivateNode(ActivateNodeRequest(public_key=line.public_key))
    assert caught.value.response.status_code == 307
    assert version("flwr") in asked[0].values()
    assert "flwr-signature" in {name.lower() for name in asked[0]}


def test_a_line_without_a_key_is_an_error(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    line = HttpsLine(address="127.0.0.1:1", root=files.root, key=tmp_path / "node.key")
    with pytest.raises(ConfigError, match="cannot be read"):
        line.open()


@pytest.mark.parametrize(
    ("status", "text", "name"),
    [
        (401, "", "RefusedError"),
        (403, "<html>", "RefusedError"),
        (412, json.dumps({"code": 2004, "detail": "no"}), "RefusedError"),
        (412, json.dumps({"code": 2007, "detail": "no"}), "DroppedError"),
        (412, "[]", "DroppedError"),
        (500, "", "DroppedError"),
        (307, "", "DroppedError"),
    ],
)
def test_each_error_means_one_thing(status: int, text: str, name: str) -> None:
    assert type(_meaning(httpx.Response(status, text=text))).__name__ == name


def test_a_node_imports_nothing_heavy_that_it_does_not_need() -> None:
    code = """
import json, sys
import fedcredit.adapters.fleet
heavy = ("fastapi", "uvicorn", "sqlalchemy", "ray", "torch", "polars", "scipy", "jinja2")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []
