"""A node in one process: Flower's Fleet API on one side, the institution's own code on the other.

It does what flower-supernode does with an app in a process of its own, but no code that
came over the wire is unpacked or imported: a run must name the app that is installed here,
and what answers is a function of this process. The calls are fleet_calls.py's.
"""

from __future__ import annotations

import logging
import threading
from typing import Final, Protocol

# Before flwr: it switches off what flwr does when it is imported.
from fedcredit.adapters.envelopes import Handler, error_reply, reply_to

# isort: split
from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree

from fedcredit.adapters.fleet_calls import (
    DroppedError,
    Line,
    RefusedError,
    Session,
    StoppedError,
)
from fedcredit.adapters.pauses import Pauses
from fedcredit.adapters.system import SystemClock
from fedcredit.errors import PeerError, UnreachableError

__all__ = ["FleetNode", "Presence"]

_POLL_S: Final = 0.3
_FIRST_POLL_S: Final = 0.05
_PATIENCE_S: Final = 90.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_LOG: Final = logging.getLogger("fedcredit.node")


class Presence(Protocol):
    """What a node knows of its last process; see `presence`."""

    def last(self) -> int | None:
        """The number under which it was there; none if that is not known."""
        ...

    def keep(self, node: int) -> None:
        """Keep the number under which this one is there."""
        ...


class FleetNode:
    """A node of a federation: it asks for messages, has them answered, and says so."""

    def __init__(
        self,
        line: Line,
        handler: Handler,
        *,
        digest: str,
        poll_s: float = _POLL_S,
        patience_s: float = _PATIENCE_S,
        presence: Presence | None = None,
    ) -> None:
        """Set up a node; `run` makes it one.

        Args:
            line: the way to the SuperLink.
            handler: answers messages, one at a time, on the thread that runs the node.
            digest: of the one app whose runs are answered (fedcredit/adapters/fab.py).
            poll_s: seconds between questions for a message; shorter right after one.
            patience_s: seconds for which the node may be refused before it gives up. More
                than the time for which a SuperLink takes a node that crashed for present.
            presence: what is known of the node's last process, which is put out if it was
                killed; without it, a SuperLink's patience is waited out.
        """
        self._line, self._handler, self._digest = line, handler, digest
        self._poll_s, self._patience_s = poll_s, patience_s
        self._presence = presence
        self._stop = threading.Event()
        self._active = threading.Event()
        self._clock = SystemClock()

    @property
    def active(self) -> bool:
        """Whether the SuperLink knows that the node is there."""
        return self._active.is_set()

    def close(self) -> None:
        """Stop once the message in hand is answered; `run` then returns."""
        self._stop.set()

    def run(self) -> None:
        """Answer messages until `close`, whatever becomes of the network or the SuperLink.

        Raises:
            UnreachableError: the SuperLink went on refusing the node, or, on the first
                try, one side does not trust the other's certificate.
            ConfigError: a file of the line is missing or wrong.
        """
        pauses = Pauses(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        refused_at: float | None = None
        known = False
        while not self._stop.is_set():
            try:
                with self._line.open() as client:
                    session = Session(client, self._stop, heed_trust=not known)
                    self._come_in(session, anew=not known)
                    known, refused_at = True, None
                    pauses.restart()
                    self._answer_all(session)
            except StoppedError:
                return
            except (RefusedError, DroppedError) as problem:
                refused_at = self._clock.now() if refused_at is None else refused_at
                if self._clock.now() - refused_at >= self._patience_s:
                    raise UnreachableError(
                        f"the SuperLink refuses this node: {problem}",
                        remedy="have the node's public key registered, and run no second node "
                        "with the same key",
                    ) from None
                _LOG.warning("refused by the SuperLink: %s", problem)
                self._stop.wait(pauses.next())

    def _come_in(self, session: Session, *, anew: bool) -> None:
        """Say that the node is there; at its start, first that its last process is not."""
        last = self._presence.last() if self._presence and anew else None
        if last is not None:
            session.put_out(last)
        session.activate(self._line.public_key)
        if self._presence:
            self._presence.keep(session.node)

    def _answer_all(self, session: Session) -> None:
        """Answer messages for as long as the SuperLink knows the node."""
        beats = threading.Thread(target=session.beat, name="heartbeat", daemon=True)
        beats.start()
        self._active.set()
        _LOG.info("connected")
        try:
            # The next step of a turn follows soon, if there is one.
            polls = Pauses(min(_FIRST_POLL_S, self._poll_s), self._poll_s)
            while not self._stop.is_set():
                if self._answer_one(session):
                    polls.restart()
                else:
                    self._stop.wait(polls.next())
        finally:
            self._active.clear()
            session.leave()
            beats.join()

    def _answer_one(self, session: Session) -> bool:
        """Answer the next message; False if there is none, or it came to nothing."""
        try:
            got = session.pull()
            if got is None:
                return False
            message, tree = got
            started = self._clock.now()
            reply = self._reply(session, message, tree)
            session.push(reply, self._clock.now() - started)
        except DroppedError as problem:
            _LOG.warning("a message came to nothing: %s", problem)
            return False
        except (StoppedError, RefusedError):
            raise
        except Exception as problem:  # noqa: BLE001 - no message of a SuperLink stops a node
            _LOG.warning("a message came to nothing: %s", type(problem).__name__)
            return False
        return True

    def _reply(self, session: Session, message: Message, tree: ObjectTree) -> Message:
        """What the handler says, or the name of the rule that a message breaks."""
        if session.digest(message.metadata.run_id) != self._digest:
            _LOG.warning("refused: a run of another app than the one installed here")
            session.confirm(message)
            return error_reply(message, "IntegrityError", ErrorCode.INVALID_FAB)
        try:
            whole = session.fetch(message, tree)
        except PeerError as problem:
            _LOG.warning("refused: %s", problem.what)
            session.confirm(message)
            return error_reply(message, "PeerError")
        session.confirm(message)
        return reply_to(whole, self._handler)
