"""Positive controls: attacks that fail here succeed against Flower's own secure aggregation.

Led against the `secaggplus_mod` that is installed. If one of these fails, Flower has closed
the hole: then the attack proves nothing here any more, and wants another control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
import pytest
from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.app.typing import ConfigRecordValues
from flwr.client.mod.secure_aggregation.secaggplus_mod import SecAggPlusState, secaggplus_mod
from flwr.common import (
    Code,
    FitRes,
    Status,
    bytes_to_ndarray,
    ndarrays_to_parameters,
)
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import (
    decrypt,
    encrypt,
    generate_shared_key,
)
from flwr.common.secure_aggregation.secaggplus_constants import (
    RECORD_KEY_CONFIGS,
    RECORD_KEY_STATE,
    Key,
    Stage,
)
from flwr.common.secure_aggregation.secaggplus_utils import (
    pseudo_rand_gen,
    share_keys_plaintext_concat,
    share_keys_plaintext_separate,
)
from flwr.compat.common import recorddict_compat as compat
from flwr.supercore.primitives.asymmetric import (
    bytes_to_private_key,
    bytes_to_public_key,
    generate_key_pairs,
    private_key_to_bytes,
    public_key_to_bytes,
)
from flwr.supercore.task_identity import TaskIdentity

from fedcredit.units import Floats
from tests.adversaries.distinguishers import Vector, flower_mask, folded, seed_of

MODULUS: Final = 1 << 32
TARGET: Final = 1 << 22
CLIP: Final = 8.0
WEIGHT: Final = 1000.0
SEARCHED_BITS: Final = 20  # of 32: the rest takes 4096 times as long, and no more
IDS: Final = (1, 2, 3)
Configs = Mapping[str, ConfigRecordValues]


@dataclass
class Node:
    """A node that runs Flower's own mod; its training adds its secret to the model."""

    nid: int
    secret: Floats
    examples: int = 400
    context: Context = field(init=False)
    reply: RecordDict = field(default_factory=RecordDict)

    def __post_init__(self) -> None:
        self.context = Context(1, self.nid, {}, RecordDict(), {})

    @property
    def state(self) -> SecAggPlusState:
        return SecAggPlusState(**self.context.state.config_records[RECORD_KEY_STATE])

    def ask(self, stage: str, configs: Configs, model: float = 0.0) -> ConfigRecord:
        """Send one stage's request, and return what comes back beside the model."""

        def train(message: Message, context: Context) -> Message:
            parameters = ndarrays_to_parameters([self.secret + model])
            metrics = {"auc": 0.75}
            result = FitRes(Status(Code.OK, ""), parameters, self.examples, metrics)  # type: ignore[arg-type]
            return Message(compat.fitres_to_recorddict(result, keep_input=True), reply_to=message)

        record = ConfigRecord({Key.STAGE: stage, **configs})
        content = RecordDict({RECORD_KEY_CONFIGS: record})
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 0
        message = Message(content, self.nid, MessageType.TRAIN)
        self.reply = secaggplus_mod(message, self.context, train).content
        return self.reply.config_records[RECORD_KEY_CONFIGS]

    def keys(self, threshold: int = 2) -> list[bytes]:
        """The first stage: its two public keys."""
        setup: Configs = {
            Key.SAMPLE_NUMBER: len(IDS),
            Key.SHARE_NUMBER: len(IDS),
            Key.THRESHOLD: threshold,
            Key.CLIPPING_RANGE: CLIP,
            Key.TARGET_RANGE: TARGET,
            Key.MOD_RANGE: MODULUS,
            Key.MAX_WEIGHT: WEIGHT,
        }
        keys = self.ask(Stage.SETUP, setup)
        return [cast("bytes", keys[Key.PUBLIC_KEY_1]), cast("bytes", keys[Key.PUBLIC_KEY_2])]

    def shares(self, keys: Mapping[int, list[bytes]]) -> dict[int, bytes]:
        """The second stage: sealed shares by the node they are for."""
        sealed = self.ask(Stage.SHARE_KEYS, {str(nid): pair for nid, pair in keys.items()})
        to = cast("list[int]", sealed[Key.DESTINATION_LIST])
        return dict(zip(to, cast("list[bytes]", sealed[Key.CIPHERTEXT_LIST]), strict=True))

    def masked(self, sealed: Mapping[int, bytes], model: float = 0.0) -> list[Vector]:
        """The third stage: the weight and the vector, masked."""
        lists: Configs = {Key.CIPHERTEXT_LIST: list(sealed.values()), Key.SOURCE_LIST: list(sealed)}
        found = self.ask(Stage.COLLECT_MASKED_VECTORS, lists, model)
        parts = cast("list[bytes]", found[Key.MASKED_PARAMETERS])
        return [bytes_to_ndarray(one) for one in parts]

    def unmask(self, alive: Sequence[int], dead: Sequence[int]) -> list[tuple[int, bytes]]:
        """The last stage: shares by the node that they are of, of the living first."""
        lists: Configs = {Key.ACTIVE_NODE_ID_LIST: list(alive), Key.DEAD_NODE_ID_LIST: list(dead)}
        found = self.ask(Stage.UNMASK, lists)
        of, shares = cast("list[int]", found[Key.NODE_ID_LIST]), found[Key.SHARE_LIST]
        return list(zip(of, cast("list[bytes]", shares), strict=True))


def three_nodes() -> dict[int, Node]:
    draw = np.random.default_rng(3)
    return {nid: Node(nid, draw.uniform(-1, 1, 50)) for nid in IDS}


def until_the_upload(
    nodes: Mapping[int, Node], threshold: int = 2, models: Sequence[float] = (0.0, 0.0, 0.0)
) -> tuple[dict[int, list[bytes]], dict[int, list[Vector]]]:
    """Three honest stages: the public keys, and the masked vectors."""
    keys = {nid: node.keys(threshold) for nid, node in nodes.items()}
    sealed = {nid: node.shares(keys) for nid, node in nodes.items()}
    masked = {}
    for (nid, node), model in zip(nodes.items(), models, strict=True):
        mine = {other: sealed[other][nid] for other in nodes if other != nid}
        masked[nid] = node.masked(mine, model)
    return keys, masked


def pair_key(secret: bytes, public: bytes) -> bytes:
    return generate_shared_key(bytes_to_private_key(secret), bytes_to_public_key(public))


def without(masked: list[Vector], nid: int, pairs: Mapping[int, bytes]) -> list[Vector]:
    """A node's vector without its pairs' masks."""
    shapes = [part.shape for part in masked]
    for other, key in pairs.items():
        sign = -1 if nid > other else 1
        mask = pseudo_rand_gen(key, MODULUS, shapes)
        masked = [(part + sign * one) % MODULUS for part, one in zip(masked, mask, strict=True)]
    return masked


def read(masked: list[Vector], seed: bytes) -> Floats:
    """A node's numbers, once only its own mask is on them."""
    mask = pseudo_rand_gen(seed, MODULUS, [part.shape for part in masked])
    weight, numbers = [(part - one) % MODULUS for part, one in zip(masked, mask, strict=True)]
    return numbers_of(numbers, int(weight[0]))


def numbers_of(numbers: Vector, weight: int, nodes: int = 1) -> Floats:
    """From Flower's integers, and the sum of its weights, back to a mean."""
    scaled = numbers * (2 * CLIP / TARGET) - nodes * CLIP
    return np.asarray(scaled * TARGET / weight)


def is_read(found: Floats, node: Node) -> bool:
    return bool(np.abs(found - node.secret).max() < 1e-4)


# ------------------------------------------------------------------------------------ the attacks


def keys_of_the_coordinator() -> bool:
    """A1: own keys in the place of both others'; reads the first node."""
    victim = three_nodes()[1]
    fakes = {nid: (generate_key_pairs(), generate_key_pairs()) for nid in (2, 3)}
    keys = {1: victim.keys()} | {
        nid: [public_key_to_bytes(one[1]), public_key_to_bytes(two[1])]
        for nid, (one, two) in fakes.items()
    }
    sealed = victim.shares(keys)
    held, back = [], {}
    for nid, (_, two) in fakes.items():
        key = generate_shared_key(two[0], bytes_to_public_key(keys[1][1]))
        held.append(share_keys_plaintext_separate(decrypt(key, sealed[nid]))[2])
        back[nid] = encrypt(key, share_keys_plaintext_concat(nid, 1, b"none", b"none"))
    pairs = {
        nid: pair_key(private_key_to_bytes(one[0]), keys[1][0]) for nid, (one, _) in fakes.items()
    }
    return is_read(read(without(victim.masked(back), 1, pairs), combine_shares(held)), victim)


def dead_and_alive() -> bool:
    """A6: in one request the first node is named as both; the two others give both shares."""
    nodes = three_nodes()
    keys, masked = until_the_upload(nodes)
    seeds, secrets = [], []
    for nid in (2, 3):
        shares = nodes[nid].unmask(alive=IDS, dead=[1])
        seeds.append(shares[0][1])
        secrets.append(shares[-1][1])
    secret = combine_shares(secrets)
    pairs = {nid: pair_key(secret, keys[nid][0]) for nid in (2, 3)}
    return is_read(read(without(masked[1], 1, pairs), combine_shares(seeds)), nodes[1])


def threshold_of_one() -> bool:
    """A9: the coordinator asks for a threshold of one; any one node then opens another."""
    nodes = three_nodes()
    keys, masked = until_the_upload(nodes, threshold=1)
    conspirator = nodes[2].state
    secret = combine_shares([conspirator.sk1_share_dict[1]])
    pairs = {nid: pair_key(secret, keys[nid][0]) for nid in (2, 3)}
    seed = combine_shares([conspirator.rd_seed_share_dict[1]])
    return is_read(read(without(masked[1], 1, pairs), seed), nodes[1])


def different_models_add_up() -> bool:
    """A10: each node is sent another model, and the sum comes out all the same."""
    nodes, models = three_nodes(), (0.0, 0.5, -0.25)
    _, masked = until_the_upload(nodes, models=models)
    total = [sum(parts) % MODULUS for parts in zip(*masked.values(), strict=True)]
    shares = [dict(nodes[nid].unmask(alive=IDS, dead=[])) for nid in (1, 2)]
    for nid in IDS:
        seed = combine_shares([one[nid] for one in shares])
        mask = pseudo_rand_gen(seed, MODULUS, [part.shape for part in total])
        total = [(part - one) % MODULUS for part, one in zip(total, mask, strict=True)]
    found = numbers_of(total[1], int(total[0][0]), len(IDS))
    true = np.mean([nodes[nid].secret + model for nid, model in zip(IDS, models, strict=True)], 0)
    return bool(np.abs(found - true).max() < 1e-4)


def seed_is_found() -> bool:
    """C1: both others conspire, and give no share: the seed of the own mask is searched for.

    The first number is known, for it is the weight, and that is sent in clear.
    """
    nodes = three_nodes()
    keys, masked = until_the_upload(nodes)
    pairs = {nid: pair_key(nodes[nid].state.sk1, keys[1][0]) for nid in (2, 3)}
    weight, numbers = without(masked[1], 1, pairs)
    examples = compat.recorddict_to_fitres(nodes[1].reply, keep_input=True).num_examples
    known = round(examples / WEIGHT * TARGET)

    def fits(mask: Vector) -> bool:
        return bool(((numbers - mask) % MODULUS <= TARGET).all())

    near = folded(nodes[1].state.rd_seed)
    first = int(weight[0] - known) % MODULUS
    seed = seed_of(first, numbers.shape, fits, near, SEARCHED_BITS)
    if seed is None:
        return False
    _, mask = flower_mask(seed, MODULUS, [(1,), numbers.shape])
    return is_read(numbers_of((numbers - mask) % MODULUS, known), nodes[1])


def counts_and_metrics_are_sent() -> bool:
    """C4: how many customers a node has, and what it measured on them, leave beside the mask."""
    nodes = three_nodes()
    until_the_upload(nodes)
    sent = compat.recorddict_to_fitres(nodes[1].reply, keep_input=True)
    return sent.num_examples == nodes[1].examples and sent.metrics == {"auc": 0.75}


def seeds_of_pairs_have_28_bits() -> bool:
    """C1: a pair's key is text of six bits a byte, and a fold never sets a byte's highest."""
    nodes = three_nodes()
    keys, _ = until_the_upload(nodes)
    folds = [
        folded(pair_key(nodes[one].state.sk1, keys[other][0]))
        for one in IDS
        for other in IDS
        if one != other
    ]
    return not any(fold & 0x80808080 for fold in folds)


@pytest.mark.parametrize(
    "attack",
    [
        keys_of_the_coordinator,
        dead_and_alive,
        threshold_of_one,
        different_models_add_up,
        seed_is_found,
        seeds_of_pairs_have_28_bits,
        counts_and_metrics_are_sent,
    ],
)
def test_the_attack_succeeds_against_flower(attack: Callable[[], bool]) -> None:
    """The same attack fails in this product: see the tests beside this one."""
    assert attack()
