"""A coordinator that crashes at each stage, or has lost all that it knew."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from fedcredit.errors import FedCreditError
from fedcredit.federation.plan_json import plan_to_json
from fedcredit.secagg.session import Turn
from tests.faults.world import NodeProcess, Refused, World, study

STAGES = ("prepare", "start", "survive", "reveal")


class Gone(Exception):
    """The coordinator has crashed."""


def crashing(node: NodeProcess, stage: str, *, heard: bool) -> Callable[[str, Turn, bytes], bytes]:
    """A coordinator that crashes before, or after, it has heard the answer of a stage."""

    def say(kind: str, turn: Turn, data: bytes) -> bytes:
        if kind == stage and not heard:
            raise Gone
        reply = node.ask(kind, turn, data)
        if kind == stage:
            raise Gone
        return reply

    return say


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("stage", STAGES)
def test_row_53_a_coordinator_that_starts_again_gets_no_second_answer_to_a_turn(
    stage: str, heard: bool, world: World
) -> None:
    """It remembers nothing of the turn; the next attempt is charged anew, and completes."""
    node = world.start(go_on=True)
    with pytest.raises(Gone):
        world.turn(crashing(node, stage, heard=heard))
    opened, attempt = world.persist(node)
    assert len(opened.survivors) == 3
    asked = heard or stage in ("survive", "reveal")  # a crash before start costs nothing here
    before = stage != "prepare" and asked
    kinds = world.kinds()
    assert kinds.count("charge") == kinds.count("release") == 1 + before
    assert attempt == (stage != "prepare")
    assert world.verdict() == []


def test_row_54_a_coordinator_without_its_past_gets_nothing_of_an_old_study(world: World) -> None:
    node = world.start(go_on=True)
    for index in range(2):
        world.turn(node.ask, (index, 0))
    before, kinds = world.sent(), world.kinds()
    world.forget_others()
    for index in range(2):
        with pytest.raises((Refused, FedCreditError)):
            world.turn(node.ask, (index, 0))
    assert world.sent() == before
    assert world.kinds() == kinds
    node.end()
    # A new study is a new plan, paid for on top of the old one.
    world.plan = study("begun anew")
    world.forget_others()
    (world.bank / "plan.json").write_text(plan_to_json(world.plan), "utf-8")
    world.turn(world.start().ask)
    entries = [json.loads(line) for line in world.lines().splitlines()]
    assert len({one["plan"] for one in entries if one["kind"] == "charge"}) == 2
    assert world.kinds().count("charge") == 3
    assert world.verdict() == []
