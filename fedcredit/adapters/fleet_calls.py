"""The calls that a node makes to a SuperLink, each until the network lets it through.

The private names of flwr used here are the Fleet API's client and messages, the form of
objects, and names of headers; tests/adapters/test_fleet_calls.py says what is expected of
them.
"""

from __future__ import annotations

import logging
import threading
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Protocol, TypeVar

# Before flwr: it switches off what flwr does when it is imported.
import fedcredit.adapters.envelopes  # noqa: F401

# isort: split
import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import TIMESTAMP_HEADER
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.constant import (
    FLEET_HTTP_PUBLIC_KEY_HEADER,
    FLEET_HTTP_SIGNATURE_HEADER,
    FLWR_COMPONENT_NAME_METADATA_KEY,
    FLWR_PACKAGE_NAME_METADATA_KEY,
    FLWR_PACKAGE_VERSION_METADATA_KEY,
)
from flwr.supercore.date import now
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_id,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supernode.fleet_http_client import FleetHttpClient

from fedcredit.adapters.https import error_code, https_client, tls_context, untrusted
from fedcredit.adapters.node_keys import read_node_key
from fedcredit.adapters.pauses import Pauses
from fedcredit.errors import PeerError, UnreachableError

__all__ = [
    "DroppedError",
    "HttpsLine",
    "Line",
    "RefusedError",
    "Session",
    "StoppedError",
    "version_headers",
]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

_LEASE_S: Final = 10.0  # Flower takes a node for gone after twice as long; 10 is its least
_BEAT_S: Final = 4.0  # so two beats may be lost
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_OBJECTS: Final = 8  # a message of ours has three: itself, its records, and the one record
_NOT_ACTIVATED: Final = 2004  # Flower's ApiErrorCode.FLEET_NODE_ACTIVATION_FAILED
_BUSY: Final = (429, 502, 503, 504)  # said by whatever stands in front of a SuperLink
_LOG: Final = logging.getLogger("fedcredit.node")


class Line(Protocol):
    """A way to the Fleet API of a SuperLink."""

    @property
    def public_key(self) -> bytes:
        """The node's, in PEM."""
        ...

    def open(self) -> FleetHttpClient:
        """Get ready to call; nothing is sent yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsLine:
    """HTTPS to a SuperLink, or to what stands in front of it.

    Attributes:
        address: host and port, such as ``coordinator.example:8443``.
        root: PEM file of the root that is trusted to sign for it; no other is.
        key: the node's key (fedcredit/adapters/node_keys.py).
        certificate: PEM file of a client certificate, for a front that asks for one.
        certificate_key: PEM file of its private key.
    """

    address: str
    root: Path
    key: Path
    certificate: Path | None = None
    certificate_key: Path | None = None

    @property
    def public_key(self) -> bytes:
        """See `Line`.

        Raises:
            ConfigError: see `read_node_key`.
        """
        return _pem(read_node_key(self.key))

    def open(self) -> FleetHttpClient:
        """See `Line`.

        Raises:
            ConfigError: a file is missing or not what it should be.
        """
        context = tls_context(self.root, self.certificate, self.certificate_key)
        client = FleetHttpClient(f"https://{self.address}", verify=context)
        # Flower's own would use the environment's proxies and follow redirects.
        client.close()
        auth = _Signed(read_node_key(self.key))
        client.__dict__["_client"] = https_client(context, version_headers("SuperNode"), auth)
        return client


def version_headers(component: str) -> Mapping[str, str]:
    """What a program says of its Flower, which must be of the SuperLink's release.

    Args:
        component: which of Flower's programs it stands for.

    Returns:
        Headers of each request.
    """
    return {
        FLWR_PACKAGE_NAME_METADATA_KEY: "flwr",
        FLWR_PACKAGE_VERSION_METADATA_KEY: version("flwr"),
        FLWR_COMPONENT_NAME_METADATA_KEY: component,
    }


class StoppedError(Exception):
    """The node was closed."""


class RefusedError(Exception):
    """The SuperLink does not know the node, or takes it for one that is there already."""


class DroppedError(Exception):
    """The SuperLink wants no more of a message; others may follow."""


class Session:
    """The calls of one node from the time it says that it is there."""

    def __init__(self, client: FleetHttpClient, stop: threading.Event, *, heed_trust: bool) -> None:
        self._client, self._stop, self._heed_trust = client, stop, heed_trust
        self._node = Node()
        self._digests: dict[int, str] = {}
        self._over = threading.Event()
        self._forgotten = threading.Event()

    def activate(self, public_key: bytes) -> None:
        """Say that the node is there."""
        request = ActivateNodeRequest(public_key=public_key, heartbeat_interval=_LEASE_S)
        answer = self._call(self._client.ActivateNode, request)
        self._node = Node(node_id=answer.node_id)
        self._heed_trust = False

    @property
    def node(self) -> int:
        """The number under which the node is there."""
        return self._node.node_id

    def put_out(self, node: int) -> None:
        """Say that an earlier process of this node is gone, if anybody hears it."""
        try:
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=node))
        except (httpx.HTTPError, ValueError):
            _LOG.debug("nobody knows an earlier process of this node")

    def beat(self) -> None:
        """Say that the node is still there, until it leaves; meant for a thread of its own."""
        while not self._over.wait(_BEAT_S):
            try:
                answer = self._client.SendNodeHeartbeat(
                    SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=_LEASE_S)
                )
                known = answer.success
            except httpx.HTTPStatusError as problem:
                known = problem.response.status_code not in {401, 403}
            except (httpx.HTTPError, ValueError):  # the network's loss; the next may arrive
                known = True
            if not known:
                self._forgotten.set()

    def leave(self) -> None:
        """Say that the node goes, if anybody hears it."""
        self._over.set()
        try:
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
        except (httpx.HTTPError, ValueError):
            _LOG.debug("left without a farewell")

    def pull(self) -> tuple[Message, ObjectTree] | None:
        """The next message without its content, and what the content consists of."""
        if self._forgotten.is_set():
            raise RefusedError("it takes this node for gone")
        answer = self._call(self._client.PullMessages, PullMessagesRequest(node=self._node))
        if not answer.messages_list:
            return None
        return message_from_proto(answer.messages_list[0]), answer.message_object_trees[0]

    def digest(self, run_id: int) -> str:
        """The digest of the app that a run names."""
        if run_id not in self._digests:
            request = GetRunRequest(node=self._node, run_id=run_id)
            self._digests[run_id] = self._call(self._client.GetRun, request).run.fab_hash
        return self._digests[run_id]

    def fetch(self, message: Message, tree: ObjectTree) -> Message:
        """A message with its content.

        Raises:
            PeerError: the content is too much, missing, or not what its name says.
        """
        names = [one.object_id for one in iterate_object_tree(tree)]
        if len(names) > _OBJECTS or tree.object_id != message.metadata.message_id:
            raise PeerError(
                "a message has another form than ours", remedy="the coordinator must run our app"
            )
        run_id = message.metadata.run_id
        contents = {name: self._object(run_id, name) for name in names}
        whole = inflate_object_from_contents(tree.object_id, contents)
        if not isinstance(whole, Message):
            raise PeerError("a message is none", remedy="the coordinator must run our app")
        whole.metadata.__dict__["_message_id"] = tree.object_id
        return whole

    def confirm(self, message: Message) -> None:
        """Say that a message has arrived, so that the SuperLink can forget it."""
        request = ConfirmMessageReceivedRequest(
            node=self._node,
            run_id=message.metadata.run_id,
            message_object_id=message.metadata.message_id,
        )
        self._call(self._client.ConfirmMessageReceived, request)

    def push(self, reply: Message, seconds: float) -> None:
        """Send a reply: first what it consists of, then its parts."""
        run_id = reply.metadata.run_id
        reply.metadata.__dict__["_message_id"] = reply.object_id
        with no_object_id_recompute():
            objects = get_all_nested_objects(reply)
            head = remove_content_from_message(reply) if reply.has_content() else reply
            request = PushMessagesRequest(
                node=self._node,
                messages_list=[message_to_proto(head)],
                message_object_trees=[get_object_tree(reply)],
                clientapp_runtime_list=[seconds],
            )
            answer = self._call(self._client.PushMessages, request)
            # A SuperLink that had the head before wants no part, and waits for all of them in a
            # session whose name was lost; it finds that by itself if none is given.
            session, wanted = answer.session_id, set(answer.objects_to_push) & set(objects)
            if not wanted:
                session, wanted = "", set(objects)
            taken = True
            for name in sorted(wanted):
                part = PushObjectRequest(
                    node=self._node,
                    run_id=run_id,
                    object_id=name,
                    object_content=objects[name].deflate(),
                    session_id=session,
                )
                # A part whose receipt was lost is not taken twice, and others must follow it.
                taken &= self._call(self._client.PushObject, part).stored
            if not taken:
                _LOG.info("a part of a reply was not taken, or taken before")

    def _object(self, run_id: int, name: str) -> bytes:
        """One part of a message; a coordinator may still be sending it.

        Raises:
            PeerError: it is missing, or not what its name says.
        """
        request = PullObjectRequest(node=self._node, run_id=run_id, object_id=name)
        pauses = Pauses(0.05, 1.0)
        for _ in range(30):
            answer = self._call(self._client.PullObject, request)
            if not answer.object_found:
                break
            if answer.object_available:
                if get_object_id(answer.object_content) != name:
                    break
                return answer.object_content
            self._wait(pauses.next())
        raise PeerError("a part of a message is missing", remedy="the coordinator asks again")

    def _call(self, call: Callable[[_Request], _Response], request: _Request) -> _Response:
        """Call until the network lets it through.

        Raises:
            StoppedError: the node was closed, and the network did not let it through at once.
            RefusedError: the SuperLink does not know the node, or has one with its key.
            DroppedError: it does not want this call, for instance since the run is over.
            UnreachableError: one side does not trust the other's certificate, on the first call.
        """
        pauses, tried = Pauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S), False
        while True:
            try:
                return call(request)
            except httpx.HTTPStatusError as problem:
                if problem.response.status_code not in _BUSY:
                    raise _meaning(problem.response) from None
                why = f"status {problem.response.status_code}"
            except httpx.TransportError as problem:
                if self._heed_trust and untrusted(problem):
                    raise UnreachableError(
                        "one side of the connection does not trust the other's certificate",
                        remedy="check the root, the certificates and their dates on both sides",
                    ) from None
                why = type(problem).__name__
            except ValueError:  # what came back is no answer of a SuperLink
                raise DroppedError("an answer in another form") from None
            if not tried:  # once: a night without a network fills no disk
                _LOG.warning("the SuperLink is not there (%s); trying again", why)
            tried = True
            self._wait(pauses.next())

    def _wait(self, seconds: float) -> None:
        """Wait, unless the node is closed."""
        if self._stop.wait(seconds):
            raise StoppedError


class _Signed(httpx.Auth):
    """Signs the time of each request, by which a SuperLink knows a node."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._public = b64encode(_pem(key)).decode("ascii")

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See `httpx.Auth`."""
        moment = now().isoformat()
        signature = self._key.sign(moment.encode("ascii"), ec.ECDSA(hashes.SHA256()))
        request.headers[FLEET_HTTP_PUBLIC_KEY_HEADER] = self._public
        request.headers[TIMESTAMP_HEADER] = moment
        request.headers[FLEET_HTTP_SIGNATURE_HEADER] = b64encode(signature).decode("ascii")
        yield request


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half of a key."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _meaning(response: httpx.Response) -> Exception:
    """What an error of the SuperLink means for a node."""
    code = error_code(response)
    if response.status_code in {401, 403} or code == _NOT_ACTIVATED:
        return RefusedError(f"status {response.status_code}, code {code}")
    return DroppedError(f"status {response.status_code}, code {code}")
