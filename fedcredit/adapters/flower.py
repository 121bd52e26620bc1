"""Flower: the apps of a study, and a grid that runs both in one process.

The one file that knows Flower's messages; how they travel is known to fleet.py and
superlink.py. Flower carries bytes, and is trusted with nothing else: a message is one byte
string in one record, and its meaning is the federation's. An error leaves a node as the
name of a rule, without text. The private names used here are `TaskIdentity` and two entries
of a message's metadata; tests/adapters/test_flower.py says what is expected of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeAlias

# Before flwr: it switches off what flwr does when it is imported.
from fedcredit.adapters.envelopes import (
    NodeConfig,
    bytes_of,
    error_reply,
    record_of,
    reply_to,
)

# isort: split
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fedcredit.adapters.pauses import Pauses
from fedcredit.adapters.pulling import Pull, Pulls, pull_in_turn
from fedcredit.adapters.system import Clock, StandingClock, SystemClock
from fedcredit.errors import UnreachableError
from fedcredit.federation.addressed import HELLO, TURN, answer_message
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.member import Member
from fedcredit.federation.messages import Answer, Heard, Refusal, refusal_of
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import Progress, StudyResult, finish, run_study
from fedcredit.learners.program import Learner
from fedcredit.secagg.roster import Roster
from fedcredit.units import InstitutionId

__all__ = [
    "Conduct",
    "LocalGrid",
    "MemberOf",
    "Network",
    "NodeConfig",
    "calm",
    "client_app",
    "run_in_process",
    "server_app",
]

Conduct: TypeAlias = Callable[[Callable[[bytes], Transport], NodeConfig], None]
"""Conducts a study: is given what makes a transport from a plan's digest, and a run's
configuration."""

MemberOf: TypeAlias = Callable[[NodeConfig, bytes], Member]
"""Finds a node's member from the node's own configuration and the digest of a plan."""

Node: TypeAlias = Callable[[Message], Message]
Network: TypeAlias = Callable[[Message, Node], Iterable[tuple[float, Message]]]

_PATIENT_S: Final = 120.0  # nodes of a machine that is busy starting them
_LATE_S: Final = 15.0  # for a node that starts after the others
_AGAIN_S: Final = 20.0  # longer than most steps take; doubled each time
_FIRST_POLL_S: Final = 0.05  # most steps of a turn take a node little longer
_POLL_S: Final = 0.3  # a SuperLink with a database takes about that long for a poll


def client_app(member_of: MemberOf) -> ClientApp:
    """The app of an institution's node.

    Args:
        member_of: finds the node's member.

    Returns:
        An app that says who it is and answers every step of secure aggregation. Whatever
        goes wrong becomes an Error that holds the name of a rule; texts and tracebacks
        stay at the node.
    """
    app = ClientApp()

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        return reply(message, context)

    @app.train("turn")
    def ask(message: Message, context: Context) -> Message:
        return reply(message, context)

    def reply(message: Message, context: Context) -> Message:
        config = context.node_config
        return reply_to(
            message,
            lambda kind, data: answer_message(kind, data, lambda plan: member_of(config, plan)),
        )

    return app


def server_app(conduct: Conduct, clock: Clock | None = None) -> ServerApp:
    """The app of the coordinator.

    Args:
        conduct: does all there is to do.
        clock: to wait for answers by; the machine's own unless said otherwise.

    Returns:
        The app.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        if not isinstance(grid, LocalGrid):
            # Not above: a library of flwr's grid opens a socket as soon as it is imported.
            from fedcredit.adapters.quick_pulls import hasten_pulls  # noqa: PLC0415

            hasten_pulls()
        waiting = clock or SystemClock()
        conduct(lambda plan: _Courier(grid, waiting, plan).ask, context.run_config)

    return app


def run_in_process(
    plan: StudyPlan,
    learner: Learner,
    members: Mapping[InstitutionId, Member],
    roster: Roster,
    *,
    watch: Callable[[Progress], None] = lambda _: None,
    network: Network | None = None,
    workers: int = 1,
) -> StudyResult:
    """Run a study by Flower's apps and messages, all in this process.

    Args:
        plan: what the institutions have agreed to.
        learner: the plan's.
        members: those of the plan.
        roster: whose keys count.
        watch: is told what happens.
        network: what becomes of each message; by default it arrives.
        workers: institutions that answer side by side.

    Returns:
        The result.

    Raises:
        StudyStopped: too few institutions answered.
    """
    results: list[StudyResult] = []

    def conduct(reach: Callable[[bytes], Transport], _: NodeConfig) -> None:
        results.append(finish(run_study(plan, learner, reach(plan.digest()), roster), watch))

    clock = StandingClock()
    nodes: list[NodeConfig] = [{"institution": name} for name in plan.institutions]
    app = client_app(lambda config, _: members[InstitutionId(str(config["institution"]))])
    grid = LocalGrid(app, nodes, clock=clock, network=network or calm, workers=workers)
    server_app(conduct, clock)(grid, grid.context)
    (result,) = results
    return result


def calm(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
    """A network in which every message arrives at once.

    Args:
        message: on its way to a node.
        node: the node; calling it with a message gives its reply.

    Returns:
        Replies, each with the seconds until it is there: none for one that is lost.
    """
    return [(0.0, node(message))]


class LocalGrid(Grid):
    """Flower's grid without processes, sockets or ray: a node is a call of the ClientApp."""

    def __init__(
        self,
        app: ClientApp,
        nodes: Sequence[NodeConfig],
        *,
        clock: Clock,
        network: Network = calm,
        workers: int = 1,
    ) -> None:
        """Set up a grid.

        Args:
            app: what every node runs.
            nodes: the configuration of each; their numbers count from 1.
            clock: says when a reply is there.
            network: what becomes of each message.
            workers: nodes that work side by side.
        """
        super().__init__()
        self._run = Run.create_empty(run_id=1)
        # A Message cannot be made outside a Flower process unless this is set.
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 1
        self._app, self._clock, self._network, self._workers = app, clock, network, workers
        self._contexts = {
            number: _context(number, config) for number, config in enumerate(nodes, start=1)
        }
        self._pending: list[tuple[float, Message]] = []
        self._sent = 0

    @property
    def context(self) -> Context:
        """The coordinator's own."""
        return _context(0, {})

    @property
    def run(self) -> Run:
        """See `Grid`."""
        return self._run

    def set_run(self, run: Run) -> None:
        """See `Grid`."""
        self._run = run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """See `Grid`."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> Iterable[int]:
        """See `Grid`."""
        return list(self._contexts)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """See `Grid`."""
        batch = list(messages)
        for message in batch:  # what a SuperLink sets
            self._sent += 1
            message.metadata.__dict__["_run_id"] = self._run.run_id
            message.metadata.__dict__["_message_id"] = f"message-{self._sent}"
        with ThreadPoolExecutor(self._workers) as pool:
            arrivals = [one for replies in pool.map(self._deliver, batch) for one in replies]
        now = self._clock.now()
        self._pending += [(now + delay_s, reply) for delay_s, reply in arrivals]
        return [message.metadata.message_id for message in batch]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """See `Grid`."""
        wanted, now = set(message_ids), self._clock.now()
        ready = [
            due <= now and reply.metadata.reply_to_message_id in wanted
            for due, reply in self._pending
        ]
        there = [reply for (_, reply), taken in zip(self._pending, ready, strict=True) if taken]
        self._pending = [one for one, taken in zip(self._pending, ready, strict=True) if not taken]
        return there

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """See `Grid`."""
        sent = self.push_messages(messages)
        self._clock.wait(timeout or 0.0)
        return self.pull_messages(sent)

    def _deliver(self, message: Message) -> list[tuple[float, Message]]:
        """Hand one message to the network."""
        return list(self._network(message, self._node))

    def _node(self, message: Message) -> Message:
        """One node's reply; an app that breaks down is reported as a SuperNode would."""
        context = self._contexts[message.metadata.dst_node_id]
        try:
            return self._app(message, context)
        except Exception as problem:  # noqa: BLE001 - as in a SuperNode
            return error_reply(message, refusal_of(problem))


class _Courier:
    """Carries questions over a grid to institutions, whose nodes it has found by asking."""

    def __init__(self, grid: Grid, clock: Clock, plan: bytes) -> None:
        self._plan = plan
        self._grid = grid
        self._clock = clock
        self._nodes: dict[InstitutionId, int] = {}
        self._asked: dict[str, int] = {}  # nodes that have not said yet who they are
        self._patience_s = _PATIENT_S
        way = pull_in_turn if isinstance(grid, LocalGrid) else Pulls
        self._pull: Pull[Message] = way(grid.pull_messages)

    def ask(self, requests: Mapping[InstitutionId, bytes], deadline_s: float) -> Iterable[Heard]:
        """See `Transport`."""
        self._find(requests, deadline_s)
        names = {node: name for name, node in self._nodes.items() if name in requests}
        sent = {node: self._plan + requests[names[node]] for node in sorted(names)}
        for node, reply in self._exchange(TURN, sent, deadline_s):
            if reply.has_error():
                yield Refusal(names[node], str(reply.error.reason or "node unavailable"))
            else:
                yield Answer(names[node], bytes_of(reply))

    def _find(self, members: Iterable[InstitutionId], deadline_s: float) -> None:
        """Ask nodes that are not known yet who they are, and wait for those that start late.

        The first search is a patient one; whoever is still missing then is looked for
        again before each trip, but not waited for.

        Raises:
            UnreachableError: two nodes say that they are the same institution.
        """
        wanted, greeted = set(members), set(self._nodes.values())
        end = self._clock.now() + min(deadline_s, self._patience_s)
        polls, news = Pauses(_FIRST_POLL_S, _POLL_S), self._clock.now()
        while not wanted <= set(self._nodes):
            new = sorted(set(self._grid.get_node_ids()) - greeted)
            greeted |= set(new)
            hellos = [Message(record_of(self._plan), node, HELLO, ttl=_PATIENT_S) for node in new]
            sent = zip(self._grid.push_messages(hellos), new, strict=False)
            self._asked |= {name: node for name, node in sent if name}
            pulled = self._pull(self._asked)
            for reply in pulled.answers:
                node = self._asked.pop(reply.metadata.reply_to_message_id, None)
                if node is not None:
                    self._learn(InstitutionId(bytes_of(reply).decode("utf-8", "replace")), node)
                    news = self._clock.now()
            if pulled.hangs:
                greeted -= set(self._asked.values())
            if new:
                news = self._clock.now()
            # Whoever is there has said who it is, or that it takes no part.
            if self._nodes and not self._asked and self._clock.now() - news > _LATE_S:
                break
            left_s = end - self._clock.now()
            if left_s <= 0:
                break
            self._clock.wait(min(polls.next(), left_s))
        self._patience_s = 0.0

    def _learn(self, name: InstitutionId, node: int) -> None:
        """Remember whose node it is."""
        if name and self._nodes.setdefault(name, node) != node:
            raise UnreachableError(
                f"two nodes say that they are {name!r}",
                remedy="find out whose the second one is, and take it off the SuperLink",
            )

    def _exchange(
        self, kind: str, sent_to: Mapping[int, bytes], deadline_s: float
    ) -> Iterator[tuple[int, Message]]:
        """Send each node its own bytes and yield what they say until the deadline."""
        end = self._clock.now() + deadline_s
        polls, sent, heard = Pauses(_FIRST_POLL_S, _POLL_S), dict[str, int](), dict[int, str]()
        waiting, pause_s, again = set(sent_to), _AGAIN_S, self._clock.now()
        while waiting:
            now = self._clock.now()
            if now >= again:
                # A SuperLink hands a message out once, and what is lost on its way is lost. A
                # member has one answer for one message, so it may be asked again.
                messages = [
                    Message(record_of(sent_to[node]), node, kind, ttl=max(end - now, 1.0))
                    for node in sorted(waiting)
                ]
                # A SuperLink's own error names no node, so a reply is known by its message.
                sent |= dict(zip(self._grid.push_messages(messages), sorted(waiting), strict=False))
                again, pause_s = now + pause_s, 2 * pause_s
            asked = {name: node for name, node in sent.items() if name and node in waiting}
            pulled = self._pull(asked)
            for reply in pulled.answers:
                name = reply.metadata.reply_to_message_id
                node = sent.get(name)  # one that comes late may have been asked for again
                if node is not None and heard.setdefault(node, name) == name:
                    yield node, reply
                    waiting.discard(node)
            if pulled.hangs:
                again = self._clock.now()
            left_s = end - self._clock.now()
            if not waiting or left_s <= 0:
                return
            self._clock.wait(min(polls.next(), left_s))


def _context(number: int, config: NodeConfig) -> Context:
    """What an app is told of the node it runs on."""
    return Context(
        run_id=1, node_id=number, node_config=dict(config), state=RecordDict(), run_config={}
    )
