"""What a secure sum costs: ours, Flower's SecAgg+, and the limit that the key streams set.

The limit is, for each of K - 1 neighbours, a key stream of 4 bytes a number (AES-256-CTR,
as OpenSSL makes it when asked for it) and one addition, in pieces that stay in the cache.
Where the processor has wide instructions the same stream is made faster by way of GCM (see
`fedcredit.secagg.streams`), and what we make ends below the limit. `unmasking` is the limit
of the coordinator alone, in the faster of the two ways: a stream and an addition for each
of n survivors and for each pair of a survivor and one of the l lost, n (1 + l) of them.

All is processor time of one run on one core, every step in this process and nothing sent;
the best of three, with the slowest over the fastest beside it. Members use hybrid keys
where it does not say otherwise. Drawing noise is no part of any ratio.

Flower is driven through its own functions with its own default parameters and all K members
as neighbours. Of its members one is real, and its shares stand for those of all the others;
its setup stage on the coordinator, which only sends parameters, is left out. Recovering
secrets takes it minutes at K = 100: there some are recovered, and the rest extrapolated.

    python benchmarks/secure_aggregation.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from logging import WARNING, getLogger
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # before Opacus, which brings a package `benchmarks` of its own

from benchmarks.flower_secagg import Clock, Flower, seconds  # noqa: E402
from fedcredit.privacy.noise import discrete_gaussian  # noqa: E402
from fedcredit.secagg.client import (  # noqa: E402
    Agreed,
    Masked,
    admit,
    agree,
    mask,
    reveal,
)
from fedcredit.secagg.dealing import (  # noqa: E402
    deal,
)
from fedcredit.secagg.keys import Kind, new_identity, public_of  # noqa: E402
from fedcredit.secagg.lanes import Cards, new_lanes, stepped  # noqa: E402
from fedcredit.secagg.masks import Mask, add_masks, pair_mask, self_seed  # noqa: E402
from fedcredit.secagg.messages import Reveal, Start, Survive, decode_request  # noqa: E402
from fedcredit.secagg.opening import (  # noqa: E402
    Opened,
    ask_shares,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.ring import Ring  # noqa: E402
from fedcredit.secagg.roster import Roster  # noqa: E402
from fedcredit.secagg.server import (  # noqa: E402
    Aborted,
    Gathering,
    close,
    receive_agreement,
    receive_following,
    receive_upload,
    start,
)
from fedcredit.secagg.session import Asked, Floor, Session  # noqa: E402
from fedcredit.secagg.streams import WIDE, KeyStream  # noqa: E402
from fedcredit.units import InstitutionId  # noqa: E402

TURN: Final = (0, 0)
RING: Final = Ring(32)
CHUNK_WORDS: Final = 1 << 16  # 256 KiB
RUNS: Final = 3
FLOWER_MOST: Final = 100  # members; with more of them it takes too long even for one
STEP: Final = 9  # of the lanes: the package for a study's tenth round
NOISE_VARIANCE: Final = 1 << 20

Figures = dict[str, float]
_T = TypeVar("_T")


def main() -> None:
    """Measure, and print tables or one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--quick", action="store_true", help="fewer sizes; under a minute")
    arguments = parser.parse_args()
    counts = (20, 100) if arguments.quick else (5, 20, 100, 200)
    dims = (10**6,) if arguments.quick else (10**4, 10**6)

    getLogger("flwr").setLevel(WARNING)
    figures: Figures = {}
    for dim in dims:
        draw = partial(discrete_gaussian, NOISE_VARIANCE, dim, os.urandom)
        figures[f"noise_ms/{size(dim)}"] = min(seconds(draw) for _ in range(RUNS)) * 1e3
    for count in counts:
        measure(count, dims, figures)

    if arguments.json:
        print(json.dumps({name: float(f"{value:.4g}") for name, value in figures.items()}))
        return
    report(figures, counts, dims)


def measure(count: int, dims: Iterable[int], figures: Figures) -> None:
    """Add the figures of one cohort."""
    sampled = Members(count, "x25519")
    figures[f"upload_overhead_kb/K{count}_x25519"] = sampled.overhead() / 1e3
    members = Members(count, "mlkem768-x25519")
    figures[f"upload_overhead_kb/K{count}_mlkem768"] = members.overhead() / 1e3
    for kind, cohort in (("x25519", sampled), ("mlkem768", members)):
        cards = len(cohort.lanes[cohort.identities[0].name].cards)
        figures[f"cards_kb/K{count}_{kind}"] = cards / 1e3
    figures[f"lanes_ms/K{count}"] = min(members.spent["lanes", 0]) * 1e3
    figures[f"deal_ms/K{count}"] = min(members.spent["deal", 0]) * 1e3
    for dim in dims:
        at = f"K{count}_{size(dim)}"
        before, stream = limit(dim), limit(dim, wide=WIDE)
        turns = {
            lost: [members.turn(dim, lost) for _ in range(RUNS)] for lost in (0, -(-count // 10))
        }
        least = (count - 1) * min(before, limit(dim))
        stream = min(stream, limit(dim, wide=WIDE))
        figures[f"limit_ms/{at}"] = least * 1e3
        figures[f"mask_over_limit/{at}"] = members.masking(dim) / least
        figures[f"mask_step_over_limit/{at}"] = min(members.spent["mask", dim]) / least
        figures[f"node_ms/{at}"] = members.node(dim, min) * 1e3
        figures[f"admit_ms/{at}"] = min(members.spent["admit", dim]) * 1e3
        figures[f"node_over_limit/{at}"] = members.node(dim, min) / least
        figures[f"node_spread/{at}"] = members.node(dim, max) / members.node(dim, min)
        flower = Flower(count, dim) if count <= FLOWER_MOST else None
        if flower is not None:
            figures[f"flower_node_ms/{at}"] = flower.node * 1e3
            figures[f"flower_node_over_ours/{at}"] = flower.node / members.node(dim, min)
        for lost, runs in turns.items():
            case = at + ("_drop10" if lost else "")
            ours = min(turn for turn, _ in runs)
            figures[f"coordinator_ms/{case}"] = ours * 1e3
            figures[f"coordinator_over_limit/{case}"] = ours / least
            figures[f"coordinator_spread/{case}"] = max(turn for turn, _ in runs) / ours
            figures[f"trips/{case}"] = runs[0][1]
            unmasking = (count - lost) * (1 + lost) * stream
            figures[f"unmasking_ms/{case}"] = unmasking * 1e3
            figures[f"coordinator_over_unmasking/{case}"] = ours / unmasking
            if flower is not None:
                theirs, masks = flower.coordinator(lost)
                figures[f"flower_coordinator_ms/{case}"] = theirs * 1e3
                figures[f"flower_coordinator_over_ours/{case}"] = theirs / ours
                figures[f"flower_coordinator_over_unmasking/{case}"] = theirs / unmasking
                if masks:
                    figures[f"flower_extrapolated_from_masks/{case}"] = masks
        members.forget(dim)
        gc.collect()


def limit(dim: int, *, wide: bool = False) -> float:
    """Seconds that one neighbour's key stream and addition take at the least."""
    stream, words = bytearray(4 * CHUNK_WORDS), np.zeros(CHUNK_WORDS, dtype=RING.word)
    view, zeros = np.frombuffer(stream, dtype=RING.word), bytes(4 * CHUNK_WORDS)
    update = Cipher(AES256(os.urandom(32)), CTR(bytes(16))).encryptor().update_into
    fill, piece = KeyStream(os.urandom(32), wide=True).fill, memoryview(stream)
    neighbours = max(1, 10**7 // dim)

    def pass_() -> None:
        for _ in range(neighbours):
            for at in range(0, dim, CHUNK_WORDS):
                part = min(CHUNK_WORDS, dim - at)
                if wide:
                    fill(piece[: 4 * part])
                else:
                    update(memoryview(zeros)[: 4 * part], stream)
                np.add(words[:part], view[:part], out=words[:part])

    return min(seconds(pass_) for _ in range(RUNS)) / neighbours


class Members:
    """A cohort of ours in one process, and what each step has cost the first three."""

    def __init__(self, count: int, kind: Kind) -> None:
        """Draw keys, and deal for a turn."""
        names = [InstitutionId(f"bank-{at:03}") for at in range(count)]
        self.identities = [new_identity(name, os.urandom, kind) for name in names]
        colluders = max(1, count // 10)
        threshold = max((count + colluders) // 2 + 1, -(-4 * count // 5))
        roster = Roster(0, b"", tuple(one.card for one in self.identities))
        self.session = Session(bytes(32), roster, tuple(names), threshold, colluders)
        self.spent: dict[tuple[str, int], list[float]] = defaultdict(list)
        self.dealt, self.lanes = {}, {}
        for one in self.identities:
            with self.spending("lanes", 0, one.name):
                lanes = new_lanes(one, self.session, os.urandom)
            for _ in range(STEP):
                lanes = stepped(lanes)
            self.lanes[one.name] = lanes
            with self.spending("deal", 0, one.name):
                dealt, _ = deal(one, self.session, TURN, self.lanes[one.name], os.urandom)
            self.dealt[one.name] = dealt
        self.values: dict[int, dict[InstitutionId, NDArray[np.int16]]] = {}
        self.uploads: dict[int, dict[InstitutionId, bytes]] = {}
        self.states: dict[int, dict[InstitutionId, Masked]] = {}
        self.agreed: dict[tuple[int, int], dict[InstitutionId, Agreed]] = {}
        self.replies: dict[tuple[int, int, str], dict[InstitutionId, bytes]] = {}
        self.contexts: dict[int, bytes] = {}

    @contextmanager
    def spending(self, step: str, dim: int, name: InstitutionId) -> Iterator[None]:
        """Note the processor time of a step, if one of the first three members takes it."""
        begun = time.process_time()
        yield
        if name in self.session.members[:RUNS]:
            self.spent[step, dim].append(time.process_time() - begun)

    def node(self, dim: int, of_three: Callable[[Iterable[float]], float]) -> float:
        """Seconds of a whole round."""
        steps = [("deal", 0), *((step, dim) for step in ("admit", "mask", "agree", "reveal"))]
        return sum(of_three(self.spent[step]) for step in steps)

    def overhead(self) -> int:
        """Bytes of an upload beside the packed numbers, the next package among them."""
        dim, gathering, one = 8, self.waiting(), self.identities[0]
        for name, dealt in self.dealt.items():
            gathering = receive_following(gathering, name, dealt.package)
        _, starts = going(start(gathering, self.asked(dim)))
        dealt, begun = self.dealt[one.name], read(starts[one.name], Start)
        admitted = admit(one, self.session, Floor(), dealt, begun, self.asked(dim))
        _, upload = mask(one, admitted, np.zeros(dim, dtype=np.int64), following=dealt.package)
        return len(upload) - RING.packed_bytes(dim)

    def waiting(self) -> Gathering:
        """A turn in the middle of a session: all cards are there, and no package."""
        cards = {name: Cards(one.epoch, one.cards) for name, one in self.lanes.items()}
        return Gathering(self.session, TURN, cards=cards)

    def forget(self, dim: int) -> None:
        """Free what a turn of this size has left."""
        for kept in (self.values, self.uploads, self.states):
            kept.pop(dim)
        self.replies = {key: replies for key, replies in self.replies.items() if key[0] != dim}

    def asked(self, dim: int) -> Asked:
        """A sum of so many numbers."""
        return Asked(turn=TURN, dim=dim, ring=RING, question=b"benchmark", parameters={"bound": 9})

    def turn(self, dim: int, lost: int) -> tuple[float, int]:
        """One turn in which the last ``lost`` uploads never come: coordinator's seconds, trips.

        Members answer outside that time, and once: later runs are given the same answers.
        """
        clock, trips = Clock(), 0
        gathering = self.waiting()
        for name, dealt in self.dealt.items():
            with clock:
                gathering = receive_following(gathering, name, dealt.package)
        with clock:
            collecting, starts = going(start(gathering, self.asked(dim)))
        trips += 1
        alive = self.session.members[: len(self.session.members) - lost]
        uploads = self._mask(dim, starts)
        for name in alive:
            arrived = bytes(bytearray(uploads[name]))  # fresh from the network
            with clock:
                collecting = receive_upload(collecting, name, arrived)
        with clock:
            agreeing, message = going(close(collecting))
        trips += 1
        for name, data in self._answers(dim, alive, "agree", message).items():
            if not agreeing.enough:  # the coordinator goes on as soon as it can
                with clock:
                    agreeing = receive_agreement(agreeing, name, data)
        with clock:
            opening, message = going(ask_shares(agreeing))
        trips += 1
        for name, data in self._answers(dim, alive, "reveal", message).items():
            if not opening.enough:
                with clock:
                    opening = receive_shares(opening, name, data)
        with clock:
            opened = open_sum(opening)
        total = sum(self.values[dim][name] for name in alive)
        if not isinstance(opened, Opened) or not np.array_equal(opened.total, total):
            raise SystemExit("the sum is wrong, so its cost says nothing")
        return clock.seconds, trips

    def _mask(self, dim: int, starts: Mapping[InstitutionId, bytes]) -> dict[InstitutionId, bytes]:
        """Everybody's upload; the own package stands for the next turn's, of the same length."""
        if dim in self.uploads:
            return self.uploads[dim]
        self.uploads[dim], self.states[dim], self.values[dim] = {}, {}, {}
        random = np.random.default_rng(dim)
        for one in self.identities:
            value, dealt = random.integers(-9, 10, dim), self.dealt[one.name]
            with self.spending("admit", dim, one.name):
                begun = read(starts[one.name], Start)
                admitted = admit(one, self.session, Floor(), dealt, begun, self.asked(dim))
            with self.spending("mask", dim, one.name):
                state, upload = mask(one, admitted, value, following=dealt.package)
            self.values[dim][one.name] = value.astype(np.int16)
            self.uploads[dim][one.name], self.states[dim][one.name] = upload, state
            self.contexts[dim] = admitted.context
        return self.uploads[dim]

    def _answers(
        self, dim: int, alive: tuple[InstitutionId, ...], step: str, message: bytes
    ) -> dict[InstitutionId, bytes]:
        """The survivors' answers to the second or the third message."""
        turn = dim, len(alive)
        if (*turn, step) in self.replies:
            return self.replies[*turn, step]
        replies = self.replies[*turn, step] = {}
        states = self.agreed.setdefault(turn, {})
        for one in self.identities[: len(alive)]:
            name = one.name
            with self.spending(step, dim, name):
                if step == "agree":
                    states[name], replies[name] = agree(
                        one, self.session, self.states[dim][name], read(message, Survive)
                    )
                else:
                    _, replies[name] = reveal(
                        one, self.session, states[name], read(message, Reveal)
                    )
        return replies

    def masking(self, dim: int) -> float:
        """Seconds that the last member's masks alone take: their keys, streams and sums."""
        context, words = self.contexts[dim], np.zeros(dim, dtype=RING.word)
        cards = [(name, public_of(dealt.secret)) for name, dealt in self.dealt.items()]
        me, dealt = cards[-1], self.dealt[cards[-1][0]]

        def masks() -> None:
            keys: list[Mask] = [(self_seed(dealt.blind, context, me[0]), 1)]
            keys += [pair_mask(dealt.secret, context, me, other) for other in cards if other != me]
            add_masks(words, keys, RING)

        return min(seconds(masks) for _ in range(RUNS))


def going(result: _T | Aborted) -> _T:
    """A turn that is not over."""
    if isinstance(result, Aborted):
        raise SystemExit(result.why)
    return result


def read(data: bytes, kind: type[_T]) -> _T:
    """A request of that kind."""
    request = decode_request(data)
    if not isinstance(request, kind):
        raise SystemExit(f"no {kind.__name__}")
    return request


def size(dim: int) -> str:
    """A power of ten in figures' names."""
    return f"d1e{len(str(dim)) - 1}"


def report(figures: Figures, counts: Iterable[int], dims: Iterable[int]) -> None:
    """Print the tables; a bar stands in its column's head."""
    print("processor time over the limit, and in ms; 'lost' uploads never come")
    print(f"our key streams by way of {'GCM, as its instructions are wide' if WIDE else 'CTR'}")
    heads: tuple[str, ...] = ("", "lost", "limit ms", "masks", "node", "node ms", "spread")
    heads += ("coordinator", "ms", "spread", "trips", "Flower ms", "Flower/ours", "its node/ours")
    heads += ("unmasking ms", "ours/it", "Flower/it")
    print("".join(f"{head:>14}" if at else f"{head:<12}" for at, head in enumerate(heads)))
    for at in (f"K{count}_{size(dim)}" for count in counts for dim in dims):
        for lost in ("", "_drop10"):
            names = [f"{name}/{at}" for name in ("limit_ms", "mask_over_limit", "node_over_limit")]
            names += [f"{name}/{at}" for name in ("node_ms", "node_spread")]
            names += [f"coordinator_{name}/{at}{lost}" for name in ("over_limit", "ms", "spread")]
            names += [f"trips/{at}{lost}", f"flower_coordinator_ms/{at}{lost}"]
            names += [f"flower_coordinator_over_ours/{at}{lost}", f"flower_node_over_ours/{at}"]
            names += [
                f"{name}/{at}{lost}" for name in ("unmasking_ms", "coordinator_over_unmasking")
            ]
            names += [f"flower_coordinator_over_unmasking/{at}{lost}"]
            cells = [f"{figures[n]:14,.2f}" if n in figures else f"{'-':>14}" for n in names]
            masks = figures.get(f"flower_extrapolated_from_masks/{at}{lost}")
            note = f"  extrapolated from {masks:.0f} masks" if masks else ""
            print(f"{at:<12}{'10 %' if lost else '0':>14}" + "".join(cells) + note)
    print("bars: masks 1.5 at K20 and K100, node 3 at K100, d1e6; coordinator 3 at K100, d1e6")
    print("without loss, with it Flower/ours 50 or more; 3 trips")
    print(
        "\nKB of an upload beside the numbers, with the package for the next turn; bar 100 at K100"
    )
    for count in counts:
        curve, hybrid = (
            figures[f"upload_overhead_kb/K{count}_{kind}"] for kind in ("x25519", "mlkem768")
        )
        print(f"K{count:<11}{curve:14.1f} x25519{hybrid:14.1f} mlkem768-x25519")
    print("\nonce a session: KB of cards with the first package, and ms to make them")
    for count in counts:
        curve, hybrid = (figures[f"cards_kb/K{count}_{kind}"] for kind in ("x25519", "mlkem768"))
        spent = figures[f"lanes_ms/K{count}"]
        print(f"K{count:<11}{curve:14.1f} x25519{hybrid:14.1f} mlkem768-x25519{spent:10.1f} ms")
    for dim in dims:
        drawn = figures[f"noise_ms/{size(dim)}"]
        print(f"\nnoise, beside all this: {drawn:.1f} ms a member at {size(dim)}")


if __name__ == "__main__":
    main()
