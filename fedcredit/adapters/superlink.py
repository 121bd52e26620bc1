"""A SuperLink that is kept running, and the orders that its coordinator gives it.

It listens on the loopback address alone: Flower's Control API asks nobody who they are, so
only what stands in front of it may be reached from outside, and may hand on the Fleet API
alone. ServerApps run by flower-superexec, with the code that is installed here. The private
names of flwr used here are the Control API's client and messages;
tests/adapters/test_superlink.py says what is expected of them.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, TypeVar

# Before flwr: it switches off what flwr does when it is imported.
from fedcredit.adapters.envelopes import NodeConfig

# isort: split
import httpx
from flwr.common.serde import user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.fab_pb2 import Fab
from flwr.proto.run_pb2 import Run
from flwr.supercore.control import ControlHttpClient

from fedcredit.adapters.fab import App, installed_app
from fedcredit.adapters.fleet_calls import version_headers
from fedcredit.adapters.https import error_code, https_client, tls_context
from fedcredit.adapters.node_keys import public_pem
from fedcredit.adapters.superlink_programs import (
    EXECUTOR,
    HOST,
    LINK,
    Certificates,
    link_programs,
    new_secret,
)
from fedcredit.adapters.supervisor import Supervisor
from fedcredit.adapters.system import SystemClock
from fedcredit.errors import ConfigError, UnreachableError

__all__ = ["RunState", "SuperLink"]

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")

_START_S: Final = 60.0
_LONGEST_RUN_LIST: Final = 100
_NO_SUCH_RUN: Final = 16  # Flower's ApiErrorCode.RUN_ID_NOT_FOUND
_KEY_IN_USE: Final = 23  # Flower's ApiErrorCode.PUBLIC_KEY_ALREADY_IN_USE
_LOG: Final = logging.getLogger("fedcredit.coordinator")


@dataclass(frozen=True, slots=True)
class RunState:
    """How far a run has come.

    Attributes:
        number: Flower's.
        digest: of the run's app.
        status: ``pending``, ``starting``, ``running`` or ``finished``.
        outcome: of a finished run: ``completed``, ``failed``, ``stopped``, or ``forgotten``:
            the SuperLink has been started again, and its runs went with its memory; else empty.
        details: why a run failed, as Flower says it.
    """

    number: int
    digest: str
    status: str
    outcome: str
    details: str


class SuperLink:
    """A SuperLink with its executor, from `start` to `close`."""

    def __init__(
        self,
        folder: Path,
        port: int,
        certificates: Certificates,
        *,
        database: Path | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
        programs: Path | None = None,
    ) -> None:
        """Set up, without starting anything.

        Args:
            folder: the SuperLink's own; it is made, for its owner's eyes. Logs, a secret and
                unpacked apps lie there.
            port: where it listens, on 127.0.0.1.
            certificates: of the server.
            database: a file in which runs outlive a restart; by default they do not, and a
                study goes on from its coordinator's own files.
            environment: more that the programs are told; nothing else of this process's
                environment is but the language, the time zone and the folder for passing files.
            programs: the folder of Flower's commands; by default that of this Python.

        Raises:
            ConfigError: a certificate is missing or wrong.
        """
        self._folder, self._port = folder, port
        self._keys: dict[str, bytes] = {}
        self._leaving: set[bytes] = set()
        self._nodes: dict[str, int] = {}
        self._executors: dict[int, int] = {}  # by run, the start of the executor that has it
        self._known_since = 0  # the start of the SuperLink that has the keys
        self._lock = threading.Lock()
        self._clock = SystemClock()
        self._control = _control(port, certificates)
        commands = programs or Path(sys.executable).parent
        # A SuperLink does not end while a connection is open, so ours is closed before.
        self._supervisor = Supervisor(
            link_programs(folder, port, certificates, database, commands, environment),
            self._tend,
            farewell=self._control.close,
        )

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The number of the SuperLink's process; none while it does not run."""
        return self._supervisor.pid(LINK)

    def __enter__(self) -> Self:
        """See `start`."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """See `close`."""
        self.close()

    def start(self) -> None:
        """Start, and wait until orders are taken.

        Raises:
            ConfigError: the folder cannot be made.
            UnreachableError: it took too long; nothing runs then.
        """
        new_secret(self._folder)
        self._supervisor.start()
        end = self._clock.now() + _START_S
        while not self.ready:
            if self._clock.now() > end:
                self.close()
                raise UnreachableError(
                    f"the SuperLink did not answer within {_START_S:.0f} s",
                    remedy=f"read {self._folder / 'superlink.log'}; is the port in use?",
                )
            self._clock.wait(0.1)

    def close(self) -> None:
        """End the SuperLink, its executor and every ServerApp; also where none was started."""
        self._supervisor.close()
        self._control.close()

    @property
    def ready(self) -> bool:
        """Whether the SuperLink that runs now answers and knows every node's key."""
        return self.pid is not None and self._supervisor.starts(LINK) == self._known_since

    def register(self, name: str, public_key: str) -> None:
        """Let a node in, now and after every restart.

        Args:
            name: of its institution.
            public_key: the line that `new_node_key` returned.

        Raises:
            ConfigError: it is no such key, there is another one under that name, or it was
                taken out before.
            UnreachableError: the SuperLink does not answer; the key counts once it does.
        """
        pem = public_pem(public_key)
        with self._lock:
            if self._keys.setdefault(name, pem) != pem:
                raise ConfigError(
                    f"{name!r} has another key", remedy="take the old one out beforehand"
                )
            self._leaving.discard(pem)
            try:
                self._agree()
            except ConfigError:
                del self._keys[name]
                raise

    def unregister(self, name: str) -> None:
        """Let a node in no longer; it is refused from its next call on.

        Args:
            name: as it was registered; one that was not is none to take out.

        Raises:
            UnreachableError: the SuperLink does not answer; the key is gone once it does.
        """
        with self._lock:
            pem = self._keys.pop(name, None)
            if pem is not None:
                self._leaving.add(pem)
                self._agree()

    def nodes(self) -> Mapping[str, bool]:
        """Whether each registered node is there, by its name.

        Raises:
            UnreachableError: the SuperLink does not answer.
        """
        answer = self._ask(self._control.ListNodes, ListNodesRequest())
        online = {one.node_id for one in answer.nodes_info if one.status == "online"}
        return {name: node in online for name, node in sorted(self._nodes.items())}

    def run(self, config: NodeConfig, app: App | None = None) -> int:
        """Start a run.

        Args:
            config: what overrides the app's configuration, such as ``{"folder": ...}``.
            app: by default the installed one, whose runs are all that nodes take part in.

        Returns:
            Flower's number of the run.

        Raises:
            UnreachableError: the SuperLink does not answer, or does not take the run.
            ConfigError: the app is not installed.
        """
        bundle = app or installed_app()
        request = StartRunRequest(
            fab=Fab(hash_str=bundle.digest, content=bundle.fab),
            override_config=user_config_to_proto(dict(config)),
        )
        answer = self._ask(self._control.StartRun, request)
        if not answer.HasField("run_id"):
            raise UnreachableError(
                "the SuperLink did not take the run", remedy="read its log, superlink.log"
            )
        self._executors[answer.run_id] = self._supervisor.starts(EXECUTOR)
        return answer.run_id

    def abandoned(self, number: int) -> bool:
        """Whether a run's ServerApp has ended with its executor; Flower takes a minute to see it.

        Args:
            number: see `run`; of one that was started here.
        """
        now = self._supervisor.starts(EXECUTOR)
        return self._executors.get(number, now) != now

    def runs(self) -> tuple[RunState, ...]:
        """The latest runs, the last one first.

        Raises:
            UnreachableError: the SuperLink does not answer.
        """
        answer = self._ask(self._control.ListRuns, ListRunsRequest(limit=_LONGEST_RUN_LIST))
        latest = sorted(answer.run_dict.values(), key=lambda one: one.pending_at, reverse=True)
        return tuple(_state(one) for one in latest)

    def status(self, number: int) -> RunState:
        """How far a run has come.

        Args:
            number: see `run`.

        Raises:
            UnreachableError: the SuperLink does not answer.
        """
        try:
            answer = self._control.ListRuns(ListRunsRequest(run_id=number))
        except httpx.HTTPStatusError as problem:
            if error_code(problem.response) == _NO_SUCH_RUN:
                return RunState(number, "", "finished", "forgotten", "")
            raise _refusal(problem) from None
        except (httpx.HTTPError, ValueError) as problem:
            raise _silence(problem) from None
        return _state(answer.run_dict[number])

    def stop(self, number: int) -> bool:
        """End a run.

        Args:
            number: see `run`.

        Returns:
            False if Flower could not.

        Raises:
            UnreachableError: the SuperLink does not answer, or the run is over.
        """
        return self._ask(self._control.StopRun, StopRunRequest(run_id=number)).success

    def _tend(self) -> None:
        """Give a SuperLink that has been started the keys of all nodes, once it answers."""
        start = self._supervisor.starts(LINK)
        if start == self._known_since:
            return
        try:
            with self._lock:
                self._agree()
            self._known_since = start
        except (ConfigError, UnreachableError) as problem:
            _LOG.debug("%s", problem.what)

    def _agree(self) -> None:
        """Register each key that the SuperLink lacks, and take out those that are to leave."""
        listed = self._ask(self._control.ListNodes, ListNodesRequest()).nodes_info
        known = {one.public_key: one.node_id for one in listed if one.status != "unregistered"}
        for pem in self._leaving & set(known):
            self._ask(self._control.UnregisterNode, UnregisterNodeRequest(node_id=known.pop(pem)))
        self._leaving.clear()
        for name, pem in self._keys.items():
            if pem not in known:
                request = RegisterNodeRequest(public_key=pem, name=name)
                known[pem] = self._ask(self._control.RegisterNode, request).node_id
        self._nodes = {name: known[pem] for name, pem in self._keys.items()}

    def _ask(self, call: Callable[[_Request], _Response], request: _Request) -> _Response:
        """Give an order once.

        Raises:
            UnreachableError: it did not arrive, or was refused.
            ConfigError: it was refused since the SuperLink has thrown the key out before.
        """
        try:
            return call(request)
        except httpx.HTTPStatusError as problem:
            if error_code(problem.response) == _KEY_IN_USE:
                raise ConfigError(
                    "a key that was taken out cannot come back",
                    remedy="have the institution make a new key",
                ) from None
            raise _refusal(problem) from None
        except (httpx.HTTPError, ValueError) as problem:
            raise _silence(problem) from None


def _refusal(problem: httpx.HTTPStatusError) -> UnreachableError:
    """A SuperLink that says no."""
    return UnreachableError(
        f"the SuperLink refused an order: status {problem.response.status_code}",
        remedy="read its log, superlink.log",
    )


def _silence(problem: Exception) -> UnreachableError:
    """A SuperLink that says nothing, or nothing that makes sense."""
    return UnreachableError(
        f"the SuperLink does not answer: {type(problem).__name__}",
        remedy="wait: it is started again when it ends; else read superlink.log",
    )


def _control(port: int, certificates: Certificates) -> ControlHttpClient:
    """A client of the Control API that uses no proxy and follows no redirect."""
    context = tls_context(certificates.root)
    client = ControlHttpClient(f"https://{HOST}:{port}", verify=context)
    client.close()
    client.__dict__["_client"] = https_client(context, version_headers("flwr CLI"))
    return client


def _state(run: Run) -> RunState:
    """A run as Flower lists it."""
    status = run.status
    return RunState(run.run_id, run.fab_hash, status.status, status.sub_status, status.details)
