"""Flower's SecAgg+ driven in this process, to see what its members and its coordinator spend.

Its own functions do the work, with its own default parameters and all members as
neighbours; nothing is sent. One member is real, and its shares stand for those of all the
others: a coordinator's work does not depend on whose they are. Its setup stage, which only
sends parameters, is left out, as is the form that state takes between a member's stages.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Final, cast

import numpy as np
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.app.typing import ConfigRecordValues
from flwr.client.mod.secure_aggregation.secaggplus_mod import (
    SecAggPlusState,
    _collect_masked_vectors,
    _setup,
    _share_keys,
    _unmask,
)
from flwr.common import Code, FitRes, Parameters, Status, ndarrays_to_parameters
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, encrypt
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key
from flwr.common.secure_aggregation.secaggplus_utils import (
    share_keys_plaintext_concat,
    share_keys_plaintext_separate,
)
from flwr.compat.common.recorddict_compat import fitres_to_recorddict
from flwr.server.client_proxy import ClientProxy
from flwr.server.compat.legacy_context import LegacyContext
from flwr.server.workflow.secure_aggregation.secaggplus_workflow import (
    SecAggPlusWorkflow,
    WorkflowState,
)
from flwr.serverapp.grid import Grid
from flwr.supercore.task_identity import TaskIdentity

__all__ = ["Clock", "Flower", "seconds"]

WHOLE: Final = 20  # up to so many members every secret is recovered
SEEDS: Final = 5  # that are recovered where there are more


class Flower:
    """A cohort of Flower's SecAgg+: one real member, whose shares stand for those of all."""

    def __init__(self, count: int, dim: int) -> None:
        """Let the first member go through its stages; the fewest that may survive is 80 %."""
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = (
            1  # no message is made without
        )
        self.ids = tuple(range(1, count + 1))
        self.threshold = -(-4 * count // 5)
        self.dim = dim
        states = [SecAggPlusState() for _ in self.ids]
        self.clock = Clock()
        for nid, state in zip(self.ids, states, strict=True):
            state.nid = nid
            with self.clock if nid == 1 else nullcontext():
                _setup(state, self.settings())
        me = states[0]
        self.keys: dict[int, list[bytes]] = {one.nid: [one.pk1, one.pk2] for one in states}
        with self.clock:
            self.dealt = _share_keys(me, record({str(nid): self.keys[nid] for nid in self.ids}))
        self.shares = {1: (me.rd_seed_share_dict[1], me.sk1_share_dict[1])}
        received = []
        sealed = cast("list[bytes]", self.dealt[Key.CIPHERTEXT_LIST])
        for nid, text in zip(self.ids[1:], sealed, strict=True):
            *_, blind, secret = share_keys_plaintext_separate(decrypt(me.ss2_dict[nid], text))
            self.shares[nid] = blind, secret
            plain = share_keys_plaintext_concat(nid, 1, blind, secret)
            received.append(encrypt(me.ss2_dict[nid], plain))
        value = ndarrays_to_parameters([np.zeros(dim)])
        asked = record({Key.CIPHERTEXT_LIST: received, Key.SOURCE_LIST: list(self.ids[1:])})
        with self.clock:
            masked = _collect_masked_vectors(me, asked, 100, value)
        self.upload = masked
        asked = record({Key.ACTIVE_NODE_ID_LIST: list(self.ids), Key.DEAD_NODE_ID_LIST: []})
        with self.clock:
            _unmask(me, asked)
        self.node = self.clock.seconds

    def settings(self) -> ConfigRecord:
        """What the first stage tells a member: Flower's defaults."""
        flow = SecAggPlusWorkflow(1.0, 0.8)
        return record(
            {
                Key.SAMPLE_NUMBER: len(self.ids),
                Key.SHARE_NUMBER: len(self.ids),
                Key.THRESHOLD: self.threshold,
                Key.CLIPPING_RANGE: flow.clipping_range,
                Key.TARGET_RANGE: flow.quantization_range,
                Key.MOD_RANGE: flow.modulus_range,
                Key.MAX_WEIGHT: flow.max_weight,
            }
        )

    def coordinator(self, lost: int) -> tuple[float, int]:
        """The coordinator's seconds, and masks taken off if more of them are extrapolated."""
        count, alive = len(self.ids), len(self.ids) - lost
        if count <= WHOLE:
            return sum(self._stages(alive, self.ids)), 0
        seeds, keys = SEEDS, min(lost, 1)
        fixed, opening = self._stages(alive, self.ids[:0])
        of_seeds = self._stages(alive, self.ids[:seeds])[1] - opening
        of_keys = self._stages(alive, self.ids[count - keys :])[1] - opening if keys else 0.0
        estimate = fixed + opening + alive * of_seeds / seeds + lost * of_keys
        return estimate, seeds + keys * (count - 1)

    def _stages(self, alive: int, opened: tuple[int, ...]) -> tuple[float, float]:
        """Seconds of the stages before the last, and of the last for the masks of some."""
        flow = SecAggPlusWorkflow(1.0, 0.8)
        state = WorkflowState(
            sampled_node_ids=set(self.ids),
            active_node_ids=set(self.ids),
            threshold=self.threshold,
            clipping_range=flow.clipping_range,
            quantization_range=flow.quantization_range,
            mod_range=flow.modulus_range,
            max_weight=flow.max_weight,
            num_shares=len(self.ids),
            nid_to_neighbours={nid: set(self.ids) for nid in self.ids},
            nid_to_publickeys=self.keys,
            nid_to_proxies=cast("dict[int, ClientProxy]", dict.fromkeys(self.ids)),
            nid_to_fitins={nid: RecordDict() for nid in self.ids},
        )
        strategy = SimpleNamespace(aggregate_fit=lambda *_: (None, {}))
        config = SimpleNamespace(config_records={"config": {"current_round": 1}})
        context = cast("LegacyContext", SimpleNamespace(state=config, strategy=strategy))
        grid = Replies()
        masked = dict.fromkeys(self.ids[:alive], self.upload)
        early, last = Clock(), Clock()
        for stage, replies in (
            (flow.share_keys_stage, dict.fromkeys(self.ids, self.dealt)),
            (flow.collect_masked_vectors_stage, masked),
        ):
            grid.prepare(replies)
            with early:
                went = stage(cast("Grid", grid), context, state)
            if not went:
                raise SystemExit("Flower has given up, so its cost says nothing")
        state.sampled_node_ids = set(opened)
        owners = [nid for nid in opened if nid <= alive], [nid for nid in opened if nid > alive]
        grid.prepare(
            {
                nid: {
                    Key.NODE_ID_LIST: [*owners[0], *owners[1]],
                    Key.SHARE_LIST: [self.shares[nid][0]] * len(owners[0])
                    + [self.shares[nid][1]] * len(owners[1]),
                }
                for nid in masked
            }
        )
        with last:
            went = flow.unmask_stage(cast("Grid", grid), context, state)
        if not went:
            raise SystemExit("Flower has given up, so its cost says nothing")
        return early.seconds, last.seconds


class Replies:
    """A grid on which everybody's answer is already there."""

    def __init__(self) -> None:
        """Begin with none."""
        self.ready: list[Message] = []

    def prepare(self, replies: Mapping[int, Mapping[str, ConfigRecordValues]]) -> None:
        """Put the members' answers there."""
        fitted = FitRes(Status(Code.OK, ""), Parameters([], "numpy.ndarray"), 100, {})
        self.ready = []
        for nid, reply in replies.items():
            content = fitres_to_recorddict(fitted, keep_input=True)
            content.config_records[RECORD_KEY_CONFIGS] = record(reply)
            asked = Message(RecordDict(), dst_node_id=nid, message_type="train", group_id="1")
            self.ready.append(Message(content, reply_to=asked))

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None
    ) -> list[Message]:
        """Hand the answers over."""
        del messages, timeout
        return self.ready


def record(values: Mapping[str, ConfigRecordValues]) -> ConfigRecord:
    """What Flower's stages are handed."""
    return ConfigRecord(dict(values))


class Clock:
    """The processor time that has passed inside it."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.seconds = 0.0

    def __enter__(self) -> None:
        """Go on."""
        self.seconds -= time.process_time()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.seconds += time.process_time()


def seconds(work: Callable[[], object]) -> float:
    """Processor time of a call."""
    with (clock := Clock()):
        work()
    return clock.seconds
