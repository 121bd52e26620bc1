"""The two long-lived processes: a coordinator with its front, and an institution's node."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fedcredit.adapters.asgi import Receive, Scope, Send, whole_body
from fedcredit.adapters.centre import Centre
from fedcredit.adapters.coordinator_folder import (
    AUTHORITY,
    read_register,
    read_settings,
    server_warning,
)
from fedcredit.adapters.disk import write_file
from fedcredit.adapters.fab import app_digest
from fedcredit.adapters.fleet import FleetNode
from fedcredit.adapters.front import INSTITUTION, open_front, superlink_in
from fedcredit.adapters.hosting import Host
from fedcredit.adapters.left import LEFT, refuse_left
from fedcredit.adapters.link import FrontDesk, fleet_line
from fedcredit.adapters.meter import SILENT, Meter, metered
from fedcredit.adapters.notebook import write_notes
from fedcredit.adapters.pauses import Pauses
from fedcredit.adapters.presence import DiskPresence
from fedcredit.adapters.studies import Studies
from fedcredit.adapters.studies_api import ANSWER_LIMIT_BYTES, respond
from fedcredit.adapters.superlink import SuperLink
from fedcredit.adapters.superlink_programs import Certificates
from fedcredit.adapters.system import SystemClock, utc_moment, utc_now
from fedcredit.adapters.visiting import Visitor
from fedcredit.errors import FedCreditError, PrivacyError, UnreachableError

__all__ = ["PAUSED", "STATUS", "RunningCoordinator", "RunningNode", "studies_app"]

PAUSED: Final = "paused.json"
STATUS: Final = "status.json"
_LOOK_S: Final = 0.5
_VISIT_S: Final = 2.0
_NOTES_S: Final = (1.0, 600.0)  # between two tries to write notes into the ledger
_LOG: Final = logging.getLogger("fedcredit")


class _Link:
    """Flower's runs as the coordinator's day needs them, see `centre.Runs`."""

    def __init__(self, link: SuperLink) -> None:
        self._link = link
        self.register, self.unregister = link.register, link.unregister
        self.stop = link.stop

    def run(self, config: Mapping[str, str]) -> int:
        """See `Runs`."""
        return self._link.run(dict(config))

    def over(self, number: int) -> bool:
        """See `Runs`."""
        if self._link.abandoned(number):
            with suppress(UnreachableError):  # then it has ended by itself
                self._link.stop(number)
            return True
        return self._link.status(number).status == "finished"


class RunningCoordinator:
    """A coordinator from its folder, until it is told to stop."""

    def __init__(self, folder: Path, listen: str, superlink_port: int) -> None:
        """Set up.

        Args:
            folder: see `coordinator_folder`, `studies` and `ledgers`.
            listen: address that the front listens on.
            superlink_port: of Flower's, on this machine alone.

        Raises:
            ConfigError: a file is missing or wrong.
        """
        self._folder, self._settings = folder, read_settings(folder)
        pki = folder / "pki"
        self._link = SuperLink(
            folder / "superlink",
            superlink_port,
            Certificates(
                root=folder / AUTHORITY,
                certificate=pki / "superlink.pem",
                key=pki / "superlink.key",
            ),
        )
        self._centre = Centre(Studies(folder), _Link(self._link))
        self._pauses, self._notes_due, self._clock = Pauses(*_NOTES_S), 0.0, SystemClock()
        app = partial(studies_app, folder)
        self._listener = open_front(
            folder,
            superlink_in(folder, f"https://{self._link.address}"),
            listen,
            self._settings.port,
            apps={"/v1/studies": app, "/v1/roster": app},
        )
        self._stop = threading.Event()

    def run(self) -> None:
        """Run until `close`; whatever goes wrong meanwhile is tried again."""
        with self._link, self._listener:
            _LOG.info("the coordinator answers at %s", self._settings.url)
            warning = server_warning(self._folder, utc_moment())
            if warning:
                _LOG.warning("%s", warning)
            while not self._stop.wait(_LOOK_S):
                try:
                    self._centre.admit(_keys(self._folder))
                    self._write_notes()
                    self._centre.look()
                except FedCreditError as problem:
                    _LOG.warning("%s", problem.what)
                except OSError as problem:  # a disk that is full may have room at the next look
                    _LOG.warning("the coordinator's folder: %s", problem.strerror)

    def _write_notes(self) -> None:
        """Take over into the ledger what happened at the desk, while no study has it."""
        if self._centre.busy or self._clock.now() < self._notes_due:
            return
        self._notes_due = self._clock.now() + self._pauses.next()
        try:
            write_notes(self._folder)
        except FedCreditError as problem:
            _LOG.warning("notes wait for the ledger: %s", problem.what)
        else:
            self._pauses.restart()

    def close(self) -> None:
        """Stop; studies go on when the coordinator is started again."""
        self._stop.set()


def _keys(folder: Path) -> dict[str, str]:
    """The node keys of all members that take part in studies."""
    members = read_register(folder).institutions
    return {
        str(one.name): one.card.node
        for one in members
        if one.state == "member" and one.role == "institution" and one.card.node
    }


async def studies_app(folder: Path, scope: Scope, receive: Receive, send: Send) -> None:
    """What members may ask about studies, as an ASGI app; the front has seen to who asks.

    Args:
        folder: the coordinator's.
        scope: of ASGI; it holds the member's name, see `front.INSTITUTION`.
        receive: of ASGI.
        send: of ASGI.
    """
    body = await whole_body(receive, ANSWER_LIMIT_BYTES)
    reply = respond(folder, str(scope[INSTITUTION]), str(scope["method"]), str(scope["path"]), body)
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Now:
    """What ``status.json`` says of a node that runs."""

    at: str
    connected: bool
    visited: str
    trouble: str


class RunningNode:
    """An institution's node from its folder, until it is told to stop."""

    def __init__(self, folder: Path, meter: Meter = SILENT) -> None:
        """Set up.

        Args:
            folder: of a node that has joined, see `hosting` and `joining`.
            meter: is told of every message.

        Raises:
            ConfigError: a file is missing or wrong, or the node has left.
            LocalError: a node runs in the folder already.
        """
        refuse_left(folder)
        self._folder = folder
        self._host = Host(folder)
        self._desk = FrontDesk(folder)
        self._visitor = Visitor(self._host, self._desk)
        self._presence = DiskPresence(folder)
        self._node = FleetNode(
            fleet_line(folder),
            metered(self._answer, meter, SystemClock()),
            digest=app_digest(),
            presence=self._presence,
        )
        self._stop = threading.Event()
        self._visited = ""

    def run(self) -> None:
        """Run until `close`.

        Raises:
            UnreachableError: the coordinator does not let this node in.
        """
        visits = threading.Thread(target=self._visits, name="visits", daemon=True)
        with ExitStack() as last:
            last.callback(self._presence.close)
            last.callback(self._host.close)
            last.callback(self._desk.close)
            visits.start()
            try:
                self._node.run()
            except UnreachableError:
                if not (self._folder / LEFT).exists():  # then nobody is to let us in
                    raise
            finally:
                self._stop.set()
                visits.join()

    def close(self) -> None:
        """Stop once the message in hand is answered."""
        self._stop.set()
        self._node.close()

    def _answer(self, kind: str, data: bytes) -> bytes:
        """Answer, unless people have paused the node, or taken it away."""
        if (self._folder / LEFT).exists():
            raise PrivacyError("the institution has left", remedy="ask it no more")
        if (self._folder / PAUSED).exists():
            raise PrivacyError(
                "the node is paused by its people", remedy="fedcredit node resume FOLDER"
            )
        return self._host.answer(kind, data)

    def _visits(self) -> None:
        """Visit the coordinator now and then, until the institution has left."""
        while not self._stop.is_set():
            if (self._folder / LEFT).exists():
                _LOG.info("the institution has left the consortium; the node ends")
                self.close()
                return
            trouble = ""
            try:
                self._visitor.visit()
                self._visited = utc_now()
            except FedCreditError as problem:
                trouble = problem.what
            except OSError as problem:  # a disk that is full may have room at the next visit
                trouble = f"{self._folder} cannot be used: {problem.strerror}"
            if trouble:
                _LOG.warning("%s", trouble)
            self._write_status(trouble)
            self._stop.wait(_VISIT_S)

    def _write_status(self, trouble: str) -> None:
        """Say for `fedcredit node status` how the last visit went, if there is room for it."""
        now = _Now(
            at=utc_now(), connected=self._node.active, visited=self._visited, trouble=trouble
        )
        table = {name: getattr(now, name) for name in _Now.__dataclass_fields__}
        try:
            write_file(self._folder / STATUS, (json.dumps(table, indent=2) + "\n").encode())
        except OSError as problem:
            _LOG.warning("%s cannot be written: %s", self._folder / STATUS, problem.strerror)
