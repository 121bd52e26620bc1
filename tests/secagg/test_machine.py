"""Whatever network and coordinator do, sums are exact and members keep to the protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from fedcredit.secagg import client, opening, server
from fedcredit.secagg.client import Agreed, Masked
from fedcredit.secagg.keys import SIGNATURE_BYTES, Identity, Member, signed_by
from fedcredit.secagg.messages import Survive, Upload
from fedcredit.secagg.opening import (
    Opened,
    Opening,
)
from fedcredit.secagg.ring import Ring, Words
from fedcredit.secagg.session import Session
from tests.secagg.seen import Step
from tests.secagg.trouble import Story, tell, tell_file

REGRESSIONS: Final = Path(__file__).parent / "regressions"
EXAMPLES: Final = 1_000

small = st.integers(0, 31)
any_bit = st.integers(0, 1 << 14)


class Troubles(RuleBasedStateMachine):
    """Every rule is a step of a story, which is kept if it ends badly."""

    story: Story
    latest: Story  # of the class: the one that was told last

    @initialize(members=st.sampled_from((4, 3)), stages=small, half=small)
    def begin(self, members: int, stages: int, half: int) -> None:
        self.story = Troubles.latest = Story(members)
        self.story.step("proceed", stages, half)

    @rule(stages=small, half=small)
    def proceed(self, stages: int, half: int) -> None:
        self.story.step("proceed", stages, half)

    @rule(order=small, wait=small)
    def flow(self, order: int, wait: int) -> None:
        self.story.step("flow", order, wait)

    @rule(at=small)
    def deliver(self, at: int) -> None:
        self.story.step("deliver", at)

    @rule(at=small)
    def drop(self, at: int) -> None:
        self.story.step("drop", at)

    @rule(member=small)
    def vanish(self, member: int) -> None:
        self.story.step("vanish", member)

    @rule(at=small)
    def duplicate(self, at: int) -> None:
        self.story.step("duplicate", at)

    @rule(at=small)
    def replay(self, at: int) -> None:
        self.story.step("replay", at)

    @rule(at=small, other=small)
    def misdirect(self, at: int, other: int) -> None:
        self.story.step("misdirect", at, other)

    @rule(at=small, bit=any_bit)
    def alter(self, at: int, bit: int) -> None:
        self.story.step("alter", at, bit)

    @rule(turn=small, mask=small)
    def fork(self, turn: int, mask: int) -> None:
        self.story.step("fork", turn, mask)

    @rule(context=small, mask=small)
    def split(self, context: int, mask: int) -> None:
        self.story.step("split", context, mask)

    @rule(context=small, how=small)
    def pry(self, context: int, how: int) -> None:
        self.story.step("pry", context, how)

    @rule(member=small, turn=small)
    def hurry(self, member: int, turn: int) -> None:
        self.story.step("hurry", member, turn)

    @rule()
    def advance(self) -> None:
        self.story.step("advance")

    @rule()
    def forget(self) -> None:
        self.story.step("forget")

    @rule(member=small)
    def crash(self, member: int) -> None:
        self.story.step("crash", member)

    def teardown(self) -> None:
        self.story.finish()


@pytest.fixture(autouse=True, scope="module")
def verified_once() -> Iterator[None]:
    """Keys are the same in all stories, so a signature that was seen need not be looked at."""
    seen = lru_cache(maxsize=1 << 16)(signed_by)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "signed_by", seen)
        patch.setattr(server, "signed_by", seen)
        yield


def ends_badly(members: int, steps: Sequence[Step]) -> bool:
    try:
        tell(members, steps)
    except Exception:  # noqa: BLE001 - whatever it is, it is no good end
        return True
    return False


def shortened(story: Story) -> Story:
    """The same trouble without the steps that it does not need."""
    members, steps = len(story.names), list(story.steps)
    for at in reversed(range(len(steps))):
        fewer = steps[:at] + steps[at + 1 :]
        if ends_badly(members, fewer):
            steps = fewer
    short = Story(members)
    short.steps = steps
    return short


def search(folder: Path, examples: int) -> None:
    """Look for a story that ends badly; a short form of it is written to a folder."""
    rules = settings(
        max_examples=examples,
        stateful_step_count=16,
        phases=(Phase.generate,),  # a story is shortened faster than draws are shrunk
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(Troubles, settings=rules)
    except Exception as error:
        text = shortened(Troubles.latest).to_json()
        path = folder / f"{sha256(text.encode()).hexdigest()[:12]}.json"
        path.write_text(text, "utf-8")
        error.add_note(f"kept as {path.name}: {text}")
        raise


@pytest.mark.parametrize(
    "path", sorted(REGRESSIONS.glob("*.json")), ids=lambda path: str(path.stem)
)
def test_a_story_that_once_ended_badly_ends_well(path: Path) -> None:
    tell_file(path)


def test_no_story_ends_badly() -> None:
    search(REGRESSIONS, EXAMPLES)


def forgetful(
    _: Identity, session: Session, state: Masked, message: Survive
) -> tuple[Agreed, bytes]:
    """Signs, and does not remember that it did."""
    _agreed, reply = AGREE(_, session, state, message)
    return cast("Agreed", state), reply


def gullible(member: Member, signature: bytes, message: bytes) -> bool:
    """Takes every signature for a true one."""
    return len(signature) == SIGNATURE_BYTES and bool(member) and bool(message)


def unchecked(words: Words, uploads: Collection[Upload], ring: Ring) -> bool:
    """Takes vectors as they come."""
    return bool(uploads) and words.dtype == ring.word


def careless(state: Opening) -> Opened | Opening | server.Aborted:
    """Opens, and is one off where somebody was lost."""
    found = OPEN_SUM(state)
    members = state.agreeing.collecting.gathering.session.members
    if isinstance(found, Opened) and found.survivors != members:
        return replace(found, total=found.total + np.int64(1))
    return found


AGREE = client.agree
OPEN_SUM = opening.open_sum


@pytest.mark.parametrize(
    ("module", "name", "planted"),
    [
        (client, "agree", forgetful),
        (client, "signed_by", gullible),
        (server, "_as_signed", unchecked),
        (opening, "open_sum", careless),
    ],
    ids=["signs twice", "believes signatures", "believes vectors", "is one off"],
)
def test_a_planted_fault_is_found_kept_and_found_again(
    module: object,
    name: str,
    planted: Callable[..., object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is kept fails while the fault is there, and passes when it has been repaired."""
    with monkeypatch.context() as fault:
        fault.setattr(module, name, planted)
        with pytest.raises(AssertionError):
            search(tmp_path, EXAMPLES)
        (kept,) = tmp_path.glob("*.json")
        with pytest.raises(AssertionError):
            tell_file(kept)
    tell_file(kept)


@pytest.mark.parametrize(
    ("story", "module", "name", "planted"),
    [
        ("signed-twice", client, "agree", forgetful),
        ("believed-signatures", client, "signed_by", gullible),
        ("believed-vectors", server, "_as_signed", unchecked),
    ],
)
def test_a_stored_story_still_meets_its_fault(
    story: str,
    module: object,
    name: str,
    planted: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A change of the messages could leave it green and blind: then record it again."""
    monkeypatch.setattr(module, name, planted)
    with pytest.raises(AssertionError):
        tell_file(REGRESSIONS / f"{story}.json")
