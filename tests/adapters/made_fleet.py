"""A Fleet API in memory, with the faults of a network."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
from flwr.app import Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    ActivateNodeResponse,
    DeactivateNodeRequest,
    DeactivateNodeResponse,
    PullMessagesRequest,
    PullMessagesResponse,
    PushMessagesRequest,
    PushMessagesResponse,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest, SendNodeHeartbeatResponse
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ConfirmMessageReceivedResponse,
    PullObjectRequest,
    PullObjectResponse,
    PushObjectRequest,
    PushObjectResponse,
)
from flwr.proto.run_pb2 import GetRunRequest, GetRunResponse, Run
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity
from flwr.supernode.fleet_http_client import FleetHttpClient

from fedcredit.adapters.envelopes import record_of

DIGEST = "ab" * 32
KEY = b"the node's key"


def status(code: int, text: str = "") -> httpx.HTTPStatusError:
    """An answer of a server that is an error."""
    request = httpx.Request("POST", "https://127.0.0.1/")
    return httpx.HTTPStatusError("no", request=request, response=httpx.Response(code, text=text))


def refused(code: int) -> httpx.HTTPStatusError:
    """An error as Flower writes it."""
    return status(412, f'{{"code": {code}, "detail": "no"}}')


@dataclass
class FakeFleet(FleetHttpClient):
    """What a SuperLink knows of one node and one run.

    ``faults`` are raised one after the other, before the call of that name does anything;
    of the calls in ``lost`` the answers are lost on their way, one after the other.
    """

    lost: list[str] = field(default_factory=list)

    faults: list[tuple[str, Exception]] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=lambda: {1: DIGEST})
    waiting: list[Message] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    pushed: list[Message] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    active: bool = False
    beats: bool = True
    trees: dict[str, set[str]] = field(default_factory=dict)

    def send(
        self, kind: str, data: bytes, run: int = 1, content: RecordDict | None = None
    ) -> Message:
        """Put a message there for the node."""
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = run, 1, 1
        message = Message(content or record_of(data), 7, kind, ttl=60.0)
        message.metadata.__dict__["_message_id"] = message.object_id
        parts = get_all_nested_objects(message)
        self.objects |= {name: one.deflate() for name, one in parts.items()}
        self.waiting.append(message)
        return message

    def replies(self) -> list[Message]:
        """What the node has said, but for what never came whole."""
        whole: list[Message] = []
        for name, parts in list(self.trees.items()):
            if not parts <= set(self.objects):
                continue
            found = inflate_object_from_contents(name, self.objects, keep_object_contents=True)
            assert isinstance(found, Message)
            whole.append(found)
        return whole

    def _begin(self, name: str) -> None:
        self.calls.append(name)
        if self.faults and self.faults[0][0] == name:
            raise self.faults.pop(0)[1]
        if name not in {"activate", "beat"} and not self.active:
            raise status(401)

    def _end(self, name: str) -> None:
        if self.lost and self.lost[0] == name:
            self.lost.pop(0)
            raise httpx.ReadError("cut")

    def ActivateNode(self, request: ActivateNodeRequest) -> ActivateNodeResponse:  # noqa: N802
        self._begin("activate")
        assert request.public_key == KEY
        self.active = True
        return ActivateNodeResponse(node_id=7)

    def DeactivateNode(  # noqa: N802
        self, request: DeactivateNodeRequest
    ) -> DeactivateNodeResponse:
        self._begin("deactivate")
        self.active = False
        return DeactivateNodeResponse()

    def SendNodeHeartbeat(  # noqa: N802
        self, request: SendNodeHeartbeatRequest
    ) -> SendNodeHeartbeatResponse:
        self._begin("beat")
        return SendNodeHeartbeatResponse(success=self.beats)

    def PullMessages(self, request: PullMessagesRequest) -> PullMessagesResponse:  # noqa: N802
        self._begin("pull")
        assert request.node.node_id == 7
        if not self.waiting:
            return PullMessagesResponse()
        message = self.waiting.pop(0)
        return PullMessagesResponse(
            messages_list=[message_to_proto(remove_content_from_message(message))],
            message_object_trees=[get_object_tree(message)],
        )

    def GetRun(self, request: GetRunRequest) -> GetRunResponse:  # noqa: N802
        self._begin("run")
        return GetRunResponse(run=Run(run_id=request.run_id, fab_hash=self.digests[request.run_id]))

    def PullObject(self, request: PullObjectRequest) -> PullObjectResponse:  # noqa: N802
        self._begin("object")
        content = self.objects.get(request.object_id)
        return PullObjectResponse(
            object_found=content is not None,
            object_available=content is not None,
            object_content=content or b"",
        )

    def ConfirmMessageReceived(  # noqa: N802
        self, request: ConfirmMessageReceivedRequest
    ) -> ConfirmMessageReceivedResponse:
        self._begin("confirm")
        self._end("confirm")
        return ConfirmMessageReceivedResponse()

    def PushMessages(self, request: PushMessagesRequest) -> PushMessagesResponse:  # noqa: N802
        self._begin("push")
        tree = request.message_object_trees[0]
        if tree.object_id in self.trees:
            return PushMessagesResponse(session_id="of nothing")
        self.pushed.append(message_from_proto(request.messages_list[0]))
        names = {one.object_id for one in iterate_object_tree(tree)}
        self.trees[tree.object_id] = names
        self._end("push")
        missing = sorted(names - set(self.objects))
        return PushMessagesResponse(objects_to_push=missing, session_id="s")

    def PushObject(self, request: PushObjectRequest) -> PushObjectResponse:  # noqa: N802
        self._begin("part")
        assert request.session_id in {"s", ""}, "another one is of nothing"
        stored = request.object_id not in self.objects
        self.objects[request.object_id] = request.object_content
        self._end("part")
        return PushObjectResponse(stored=stored)

    def close(self) -> None:
        self.calls.append("close")


@dataclass(frozen=True)
class FakeLine:
    """A way to a Fleet API in memory."""

    fleet: FakeFleet
    public_key: bytes = KEY

    def open(self) -> FleetHttpClient:
        return self.fleet
