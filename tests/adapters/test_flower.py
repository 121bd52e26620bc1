"""Flower's apps and messages, and the grid that runs them in one process."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from importlib.metadata import version

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, Metadata, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from fedcredit.adapters.envelopes import bytes_of
from fedcredit.adapters.flower import (
    LocalGrid,
    Network,
    Node,
    NodeConfig,
    calm,
    client_app,
    run_in_process,
    server_app,
)
from fedcredit.adapters.system import StandingClock
from fedcredit.codec import encode
from fedcredit.data.records import Records
from fedcredit.errors import PrivacyError, StudyStopped, UnreachableError
from fedcredit.federation.coordinator import Transport
from fedcredit.federation.member import Member
from fedcredit.federation.messages import Answer, Heard, Refusal
from fedcredit.federation.plan import StudyPlan
from fedcredit.federation.simulate import (
    Progress,
    RoundClosed,
    StudyResult,
    finish,
    plain_calls,
    run_study,
)
from fedcredit.ledger.entries import Charge
from fedcredit.models.queries import Query
from fedcredit.models.released import to_wire
from fedcredit.privacy.sums import BoundedSum
from fedcredit.secagg.messages import Start, decode_request
from fedcredit.units import InstitutionId
from tests.federation.books import entries
from tests.federation.made import NAMES, Party, learner, parties, plan, roster


def conduct(
    held: dict[InstitutionId, Member],
    network: Network = calm,
    study: StudyPlan | None = None,
    watch: list[Progress] | None = None,
    workers: int = 1,
) -> StudyResult:
    return run_in_process(
        study or plan(),
        learner(),
        held,
        roster(study or plan()),
        network=network,
        watch=(watch if watch is not None else []).append,
        workers=workers,
    )


def is_round(message: Message) -> bool:
    return message.metadata.message_type == "train.turn"


def starts(message: Message) -> bool:
    """It asks for a sum, and not for keys, a signature or shares."""
    record = message.content["fedcredit"]
    assert isinstance(record, ConfigRecord)
    data = record["bytes"]
    assert isinstance(data, bytes)
    data = data[32:]  # after the digest of the plan
    assert isinstance(data, bytes)
    return isinstance(decode_request(data), Start)


def to(message: Message) -> InstitutionId:
    return NAMES[message.metadata.dst_node_id - 1]


# ------------------------------------------------------------- what flwr must be like


def test_flower_is_of_a_release_that_the_private_names_were_checked_with() -> None:
    major, minor = map(int, version("flwr").split(".")[:2])
    assert (1, 41) <= (major, minor) < (1, 43)


def test_a_message_can_be_made_once_the_task_is_named() -> None:
    """Private: `TaskIdentity`, and what a message takes from it."""
    TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 5, 6, 7
    message = Message(RecordDict(), 3, "query.round", ttl=9.0)
    assert (message.metadata.run_id, message.metadata.src_node_id) == (5, 7)
    assert (message.metadata.dst_node_id, message.metadata.ttl) == (3, 9.0)


def test_a_message_takes_its_run_and_its_name_from_two_private_entries() -> None:
    """Private: what a SuperLink sets before it sends a message on."""
    message = Message(RecordDict(), 3, "query.round")
    message.metadata.__dict__["_run_id"] = 11
    message.metadata.__dict__["_message_id"] = "here"
    assert (message.metadata.run_id, message.metadata.message_id) == (11, "here")
    reply = Message(RecordDict(), reply_to=message)
    assert reply.metadata.reply_to_message_id == "here"
    assert set(inspect.signature(Metadata).parameters) >= {"run_id", "message_id", "ttl"}


def test_an_empty_run_can_be_made() -> None:
    """Private: `Run`, which a grid must have."""
    assert Run.create_empty(run_id=4).run_id == 4


def test_the_grid_is_what_flower_calls_one() -> None:
    """Every abstract method is there; the rest is Flower's own."""
    grid = LocalGrid(ClientApp(), [{}, {}], clock=StandingClock())
    assert isinstance(grid, Grid)
    assert list(grid.get_node_ids()) == [1, 2]
    grid.set_run(Run.create_empty(run_id=9))
    assert grid.run.run_id == 9
    message = grid.create_message(RecordDict(), "query.round", 1, "group", 5.0)
    assert (message.metadata.group_id, message.metadata.ttl) == ("group", 5.0)


def test_the_error_code_is_that_of_an_app_that_raised() -> None:
    assert ErrorCode.CLIENT_APP_RAISED_EXCEPTION == 2


# ------------------------------------------------------------------------ a whole study


def test_flower_and_plain_calls_give_the_same_study() -> None:
    """The transport carries bytes and changes nothing: model, evaluation and transcript."""
    plain = finish(run_study(plan(), learner(), plain_calls(parties(plan())), roster(plan())))
    seen: list[Progress] = []
    carried = conduct(parties(plan()), watch=seen)
    assert encode(to_wire(carried.model)) == encode(to_wire(plain.model))
    assert carried.rounds == plain.rounds
    assert [one for one in seen if isinstance(one, RoundClosed)] == list(plain.rounds)


def test_institutions_may_answer_side_by_side() -> None:
    """In any order of threads the study is the same."""
    assert conduct(parties(plan()), workers=3).rounds == conduct(parties(plan())).rounds


def test_the_apps_are_flowers_own() -> None:
    assert isinstance(client_app(lambda *_: Party()()), ClientApp)
    assert isinstance(server_app(lambda reach, config: None), ServerApp)


def test_the_coordinator_is_given_the_runs_configuration() -> None:
    seen: list[object] = []
    app = server_app(lambda _, config: seen.append(dict(config)))
    grid = LocalGrid(ClientApp(), [], clock=StandingClock())
    app(grid, Context(1, 0, {}, RecordDict(), {"folder": "here"}))
    assert seen == [{"folder": "here"}]


# ------------------------------------------------------------------------------- faults


def lose(names: Iterable[InstitutionId], *, before: bool) -> Network:
    """Lose every round's message to some institutions, or their replies."""
    lost = set(names)

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        if is_round(message) and to(message) in lost and (before or starts(message)):
            if not before:
                node(message)
            return []
        return [(0.0, node(message))]

    return network


@pytest.mark.parametrize("before", [True, False])
def test_above_the_threshold_lost_messages_do_not_stop_a_study(before: bool) -> None:
    """Neither the question's loss nor the answer's."""
    held = parties(plan())
    result = conduct(held, lose(NAMES[:1], before=before))
    assert all(one.answered == NAMES[1:] for one in result.rounds)
    assert all(one.troubles == ((NAMES[0], "no answer"),) for one in result.rounds)
    charges = [one for one in entries(held[NAMES[0]].institution.book) if isinstance(one, Charge)]
    assert len(charges) == (0 if before else len(result.rounds))


def test_below_the_threshold_a_study_stops_after_its_retries() -> None:
    """And nobody waits for real: the clock stands in a simulation."""
    with pytest.raises(StudyStopped):
        conduct(parties(plan()), lose(NAMES[:2], before=True))


def test_a_reply_lost_once_comes_back_byte_for_byte() -> None:
    """Two replies lost, both sent again: one charge each, and the same study."""
    lost = set(NAMES[:2])
    held = parties(plan())

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        reply = node(message)
        if is_round(message) and to(message) in lost:
            lost.discard(to(message))
            return []
        return [(0.0, reply)]

    result = conduct(held, network)
    assert result.rounds == conduct(parties(plan())).rounds
    assert len(result.events) == len(result.rounds) == 4


@pytest.mark.parametrize("before", [False, True])
def test_what_is_lost_on_its_way_is_asked_again_before_the_deadline(before: bool) -> None:
    """Every first message to a node, or its reply: all are in every round, and none is retried."""
    seen: set[tuple[InstitutionId, bytes]] = set()

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        key = to(message), bytes_of(message)
        first = is_round(message) and key not in seen
        seen.add(key)
        if first and before:
            return []
        reply = node(message)
        return [] if first else [(0.0, reply)]

    held = parties(plan())
    result = conduct(held, network)
    assert all(one.answered == NAMES for one in result.rounds)
    for one in held.values():
        charged = [two for two in entries(one.institution.book) if isinstance(two, Charge)]
        assert len(charged) == len(result.rounds)


def test_an_answer_after_the_deadline_is_not_waited_for() -> None:
    """Late by a second, in every round; and it does not pass for the next round's."""

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        late = is_round(message) and to(message) == NAMES[2]
        return [(message.metadata.ttl + 1.0 if late else 0.0, node(message))]

    result = conduct(parties(plan()), network)
    assert all(NAMES[2] not in one.answered for one in result.rounds)


def test_an_answer_before_the_deadline_is_waited_for() -> None:
    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        return [(message.metadata.ttl - 1.0, node(message))]

    assert all(one.answered == NAMES for one in conduct(parties(plan()), network).rounds)


def test_wrong_doubled_and_foreign_replies_are_named_and_left_out() -> None:
    """Other bytes, other records, an error of the network, the same thing twice."""

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        reply = node(message)
        if not is_round(message):
            return [(0.0, reply)]
        match to(message):
            case "bank-a":
                record = RecordDict({"fedcredit": ConfigRecord({"bytes": b"wrong"})})
                return [(0.0, Message(record, reply_to=message))]
            case "bank-b":
                return [(0.0, reply), (0.0, reply)]
            case _:
                return [(0.0, reply)]

    result = conduct(parties(plan()), network)
    for one in result.rounds:
        assert one.answered == NAMES[1:]
        assert [name for name, _ in one.troubles] == [NAMES[0], NAMES[1]]
        assert "already answered" in dict(one.troubles)[NAMES[1]]


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"other": ConfigRecord({"bytes": b"x"})}),
        RecordDict({"fedcredit": ConfigRecord({"bytes": "text"})}),
        RecordDict({"fedcredit": ConfigRecord({"bytes": b"x"}), "count": ConfigRecord()}),
    ],
    ids=["empty", "other", "text", "more"],
)
def test_a_message_of_another_form_is_no_answer(content: RecordDict) -> None:
    """One record with one byte string, and nothing beside it."""

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        if is_round(message) and to(message) == NAMES[0]:
            return [(0.0, Message(content, reply_to=message))]
        return [(0.0, node(message))]

    result = conduct(parties(plan()), network)
    assert all("not canonical" in dict(one.troubles)[NAMES[0]] for one in result.rounds)


def test_a_nodes_error_leaves_as_the_name_of_a_rule(caplog: pytest.LogCaptureFixture) -> None:
    """Neither message nor log holds the text, which could hold a row."""

    def broken(held: Records, query: Query) -> BoundedSum:
        raise ValueError("income of Zebedee")

    seen: list[Message] = []

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        reply = node(message)
        seen.append(reply)
        return [(0.0, reply)]

    held = parties(plan())
    held[NAMES[1]] = Party(plan(), NAMES[1], measure=broken)()
    with caplog.at_level(logging.DEBUG):
        result = conduct(held, network)
    assert all(one.troubles == ((NAMES[1], "refused: LocalError"),) for one in result.rounds)
    errors = [one.error for one in seen if one.has_error()]
    assert {(one.code, one.reason) for one in errors} == {(2, "LocalError")}
    assert "Zebedee" not in caplog.text + "".join(map(repr, seen))
    assert "an unexpected error at" in caplog.text


def test_a_node_that_breaks_down_outside_our_code_is_a_refusal() -> None:
    """As a SuperNode reports it, but without the text."""
    app = ClientApp()

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        raise KeyError("income of Zebedee")

    grid = LocalGrid(app, [{}], clock=StandingClock())
    message = Message(RecordDict(), 1, "query.hello")
    (reply,) = grid.send_and_receive([message], timeout=1.0)
    assert reply.error == Error(2, "LocalError")


def test_an_error_of_the_superlink_is_a_refusal_of_the_node_it_was_for() -> None:
    """Such an error does not say which node it is about: the message it replies to does."""

    def network(message: Message, node: Node) -> Iterable[tuple[float, Message]]:
        reply = node(message)
        if is_round(message) and to(message) == NAMES[4]:
            reply = Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=message)
            reply.metadata.__dict__["_src_node_id"] = 1
        return [(0.0, reply)]

    result = conduct(parties(plan()), network)
    expected = ((NAMES[4], "refused: node unavailable"),)
    assert all(one.troubles == expected for one in result.rounds)


def asked(app: ClientApp, names: list[str], members: tuple[InstitutionId, ...]) -> list[Heard]:
    """What a transport over some nodes hears."""
    heard: list[Heard] = []
    clock = StandingClock()
    grid = LocalGrid(app, [{"institution": name} for name in names], clock=clock)

    def conduct(reach: Callable[[bytes], Transport], _: NodeConfig) -> None:
        heard.extend(reach(bytes(32))(dict.fromkeys(members, b"question"), 60.0))

    server_app(conduct, clock)(grid, grid.context)
    return heard


def test_a_node_that_is_not_there_is_not_heard() -> None:
    """Nor does one answer that was not asked."""
    study = plan()
    app = client_app(lambda config, _: Party(study, InstitutionId(str(config["institution"])))())
    heard = asked(app, [*NAMES[:2], "stranger"], NAMES[1:3])
    assert heard == [Refusal(NAMES[1], "PeerError")]


def test_nodes_that_take_no_part_are_not_waited_for_long() -> None:
    """They have said so; one that starts late still has a while."""
    clock = StandingClock()

    def member_of(config: NodeConfig, plan_: bytes) -> Member:
        if config["institution"] != NAMES[0]:
            raise PrivacyError("waits for approval", remedy="approve it")
        return Party()()

    grid = LocalGrid(client_app(member_of), [{"institution": n} for n in NAMES], clock=clock)

    def conduct(reach: Callable[[bytes], Transport], _: NodeConfig) -> None:
        list(reach(bytes(32))(dict.fromkeys(NAMES, b"question"), 600.0))

    server_app(conduct, clock)(grid, grid.context)
    assert 15 < clock.now() < 20


def test_two_nodes_may_not_be_one_institution() -> None:
    app = client_app(lambda *_: Party()())
    with pytest.raises(UnreachableError, match="two nodes say that they are 'bank-a'"):
        asked(app, ["one", "two"], NAMES[:1])


def test_bytes_go_through_as_they_are() -> None:
    """One byte string in one record, there and back."""
    app = ClientApp()

    @app.query("hello")
    def hello(message: Message, context: Context) -> Message:
        name = str(context.node_config["institution"]).encode()
        return Message(RecordDict({"fedcredit": ConfigRecord({"bytes": name})}), reply_to=message)

    @app.train("turn")
    def echo(message: Message, context: Context) -> Message:
        assert list(message.content) == ["fedcredit"]
        return Message(message.content, reply_to=message)

    assert asked(app, list(NAMES), NAMES) == [
        Answer(name, bytes(32) + b"question") for name in NAMES
    ]
