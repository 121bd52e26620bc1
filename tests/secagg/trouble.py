"""A network and a coordinator that do their worst, as a story of steps that can be told again.

A step is a name and small numbers, and means something whatever came before: numbers are
taken modulo what there is to choose from. So a story is a list that fits in a JSON file,
and one that once ended badly is told again for ever (see regressions/README.md).

What must hold is checked against a model that knows no cryptography: a sum is the plain sum
of its survivors' numbers; a member masks once, signs one list and reveals one kind of share
of a participant in a turn; a refusal is a PeerError and changes nothing; and when the trouble
is over the next turn completes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

from fedcredit.errors import PeerError
from fedcredit.secagg import server
from fedcredit.secagg.keys import signed_by
from fedcredit.secagg.messages import (
    Agreement,
    Prepare,
    Reveal,
    Shares,
    Start,
    Survive,
    Upload,
    decode_request,
    encode_request,
)
from fedcredit.secagg.opening import (
    Opened,
)
from fedcredit.secagg.packages import (
    Package,
    Prepared,
    commitment,
    decode_header,
    read_parcel,
)
from fedcredit.secagg.server import (
    Aborted,
    Gathering,
)
from fedcredit.secagg.session import Session, Turn
from fedcredit.secagg.shamir import NO_SHARE, SHARE_BYTES
from fedcredit.secagg.signed import (
    agreement_digest,
)
from fedcredit.secagg.states import encode_holding
from fedcredit.units import InstitutionId
from tests.secagg.seen import COORDINATOR, RINGS, Broken, Letter, Seen, Step
from tests.secagg.world import World, ask, plain_sum, session_of


class Story:
    """A study in which every step may be a lie."""

    def __init__(self, members: int) -> None:
        self.session: Session = session_of(members, 3 if members == 4 else None)
        self.world = World(self.session)
        self.names = self.session.members
        self.steps: list[Step] = []
        self.pool: list[Letter] = []
        self.sent: list[Letter] = []
        self.seen = Seen()
        self.done: dict[tuple[InstitutionId, Turn], Broken] = defaultdict(Broken)
        self.turns: dict[bytes, Turn] = {}
        self.away: set[InstitutionId] = set()
        self.sums = 0
        self._open_turn((0, 0))

    def step(self, name: str, one: int = 0, two: int = 0) -> None:
        """Tell one step more."""
        self.steps.append((name, one, two))
        getattr(self, f"_{name}")(one, two)

    def finish(self) -> None:
        """The trouble is over: a fresh turn, of which everything arrives, gives the exact sum."""
        turns = [turn for node in self.world.nodes.values() for turn in node.holding.states]
        last = max([*turns, self.world.desk.turn])
        self.away.clear()
        self._open_turn((last[0] + 1, 0))
        before = self.sums
        for _ in range(4):
            self._flow(0, 0)
        assert self.sums == before + 1, "a turn without trouble did not complete"

    def to_json(self) -> str:
        """The story so far."""
        return json.dumps({"members": len(self.names), "steps": self.steps}) + "\n"

    # ------------------------------------------------------------------- an honest coordinator

    def _open_turn(self, turn: Turn) -> None:
        desk = self.world.desk
        desk.turn, desk.dim, desk.bits = turn, 1 + turn[0] % 4, RINGS[sum(turn) % 4]
        desk.state = Gathering(self.session, turn)
        for name in self.names:
            self._post(Letter(name, COORDINATOR, desk.prepare()))

    def _advance(self, _one: int, _two: int) -> None:
        """The coordinator waits no longer."""
        desk = self.world.desk
        for name, data in desk.advance().items():
            self._post(Letter(name, COORDINATOR, data))
        if isinstance(desk.state, Opened):
            self._check_sum(desk.state)
            self._open_turn((desk.turn[0] + 1, 0))
        elif isinstance(desk.state, Aborted):
            self._open_turn((desk.turn[0], desk.turn[1] + 1))

    def _forget(self, _one: int, _two: int) -> None:
        """The coordinator's process dies."""
        self.world.desk.restart()
        self._open_turn(self.world.desk.turn)

    def _crash(self, one: int, _two: int) -> None:
        """A member's process dies."""
        self.world.nodes[self._member(one)].restart()

    # ------------------------------------------------------------------------------ a network

    def _flow(self, one: int, two: int) -> None:
        """All that is on its way arrives, in some order; so do the answers; then onwards.

        The answers may be left lying, and the coordinator may wait.
        """
        for _ in range(2 if two % 4 in (0, 3) else 1):
            letters, self.pool = self.pool, []
            orders = list(permutations(range(min(len(letters), 4))))
            order = [*orders[one % len(orders)], *range(4, len(letters))]
            for at in order:
                self._arrive(letters[at])
        if two % 4 in (0, 1):
            self._advance(0, 0)

    def _proceed(self, one: int, two: int) -> None:
        """Nothing happens for a while but what should; the last answers may be left lying."""
        for _ in range(one % 5):
            self._flow(0, 0)
        if two % 2:
            self._flow(0, 2)

    def _deliver(self, one: int, _two: int) -> None:
        """One message arrives; all others are delayed."""
        if self.pool:
            self._arrive(self.pool.pop(one % len(self.pool)))

    def _drop(self, one: int, _two: int) -> None:
        if self.pool:
            self.pool.pop(one % len(self.pool))

    def _vanish(self, one: int, _two: int) -> None:
        """A member cannot be reached from now on; or it can again."""
        self.away ^= {self._member(one)}

    def _duplicate(self, one: int, _two: int) -> None:
        if self.pool:
            self.pool.append(self.pool[one % len(self.pool)])

    def _replay(self, one: int, _two: int) -> None:
        """Any message of the past arrives once more."""
        self._arrive(self.sent[-1 - one % len(self.sent)])

    def _misdirect(self, one: int, two: int) -> None:
        """A message arrives at another's, or as another's: one on its way, or of the past."""
        if self.pool and two % 2:
            letter = self.pool[one % len(self.pool)]
        else:
            letter = self.sent[-1 - one % len(self.sent)]
        other = self._member(two // 2)
        if letter.to == COORDINATOR:
            self._arrive(replace(letter, sender=other))
        else:
            self._arrive(replace(letter, to=other))

    def _alter(self, one: int, two: int) -> None:
        """A message arrives with one bit turned, often near an end; the true one comes later."""
        if self.pool:
            letter = self.pool[one % len(self.pool)]
            data = bytearray(letter.data)
            place, bit = divmod(two, 8)
            near = place // 4 % 16
            data[(near, place % len(data), -1 - near, place % len(data))[place % 4]] ^= 1 << bit
            self._arrive(replace(letter, data=bytes(data)))

    # ------------------------------------------------------------------- a coordinator that lies

    def _fork(self, one: int, two: int) -> None:
        """A member is shown a turn of its own: other participants, or another question."""
        if not self.seen.packages:
            return
        turn = sorted(self.seen.packages)[-1 - one % len(self.seen.packages)]
        known = self.seen.packages[turn]
        chosen = self._chosen(tuple(sorted(known)), two)
        state = Gathering(self.session, turn)
        for name in chosen:
            state = server.receive_package(state, name, known[name])
        begun = server.start(state, ask(turn, 1 + one % 5, 32))
        if not isinstance(begun, Aborted):
            to = chosen[two % len(chosen)]
            self._arrive(Letter(to, COORDINATOR, begun[1][to]))

    def _split(self, one: int, two: int) -> None:
        """A member is shown other survivors: any of those whose receipts there are."""
        contexts = list(self.seen.receipts)
        if not contexts:
            return
        context = contexts[-1 if one < 24 else one % len(contexts)]
        known = self.seen.receipts[context]
        chosen = self._chosen(tuple(sorted(known)), two)
        if two % 4:  # often a list that could be signed
            likely = list(combinations(sorted(known), min(len(known), self.session.threshold)))
            chosen = likely[two // 4 % len(likely)]
        forged = Survive(context, chosen, tuple(known[name] for name in chosen))
        to = chosen[one % len(chosen)] if two % 8 else self._member(one)
        self._arrive(Letter(to, COORDINATOR, encode_request(forged)))

    def _pry(self, one: int, two: int) -> None:
        """A member is asked for shares: of any list, with signatures that are true or not."""
        contexts = list(self.seen.receipts)
        if not contexts:
            return
        context = contexts[-1 if one < 24 else one % len(contexts)]
        lists = [survivors for known, survivors in self.seen.agreed if known == context]
        survivors = lists[two % len(lists)] if lists else tuple(sorted(self.seen.receipts[context]))
        true = self.seen.agreed.get((context, survivors), {})
        if two % 3 == 1:
            survivors = self._chosen(self.names, two // 3)
        signers = survivors if two % 3 else tuple(sorted(true))
        signatures = tuple(true.get(name, bytes(64)) for name in signers)
        forged = Reveal(context, survivors, signers, signatures)
        self._arrive(Letter(self._member(one + two), COORDINATOR, encode_request(forged)))

    def _hurry(self, one: int, two: int) -> None:
        """A member is asked for keys of a turn far off, or of one long ago."""
        turn = self.world.desk.turn
        other = (max(0, turn[0] + two % 5 - 2), one % 3)
        forged = Prepare(self.session.digest(), other)
        self._arrive(Letter(self._member(one), COORDINATOR, encode_request(forged)))

    def _member(self, at: int) -> InstitutionId:
        return self.names[at % len(self.names)]

    def _chosen(self, names: tuple[InstitutionId, ...], mask: int) -> tuple[InstitutionId, ...]:
        """Some of them; all, if the mask names none."""
        return tuple(name for at, name in enumerate(names) if mask >> at & 1) or names

    def _post(self, letter: Letter) -> None:
        self.pool.append(letter)
        self.sent.append(letter)

    def _arrive(self, letter: Letter) -> None:
        """A message arrives: it is answered, or refused with everything as it was."""
        if self.away & {letter.to, letter.sender}:
            return
        if letter.to == COORDINATOR:
            before = self.world.desk.state
            try:
                self.world.desk.receive(letter.sender, letter.data)
            except PeerError:
                assert self.world.desk.state is before, "a refusal changed the server"
            return
        node = self.world.nodes[letter.to]
        held = encode_holding(node.holding)
        try:
            reply = node.receive(letter.data)
        except PeerError:
            assert encode_holding(node.holding) == held, "a refusal changed a member"
            return
        self._check_reply(letter.to, letter.data, reply)
        self._post(Letter(COORDINATOR, letter.to, reply))

    def _check_sum(self, found: Opened) -> None:
        desk = self.world.desk
        asked = ask(desk.turn, desk.dim, desk.bits)
        expected = plain_sum(found.survivors, asked, len(self.names))
        assert found.total.tolist() == expected, "a sum is not that of its survivors"
        assert len(found.survivors) >= self.session.threshold
        for name in found.survivors:
            assert self.done[name, desk.turn].masked, "a survivor never uploaded"
        self.sums += 1

    def _check_reply(self, name: InstitutionId, data: bytes, reply: bytes) -> None:
        """Hold what a member says against what it has said before."""
        match decode_request(data):
            case Prepare() as request:
                self.seen.packages[request.turn].setdefault(name, reply)
                assert self.seen.packages[request.turn][name] == reply, "dealt twice in a turn"
            case Start() as request:
                self._check_upload(name, request, reply)
            case Survive() as request:
                signature = Agreement.decode(reply).signature
                signed = agreement_digest(request.context, request.survivors)
                assert signed_by(self.session.roster.member(name), signature, signed)
                self.seen.agreed[request.context, request.survivors][name] = signature
                done = self.done[name, self.turns[request.context]]
                done.signed.add(request.survivors)
                assert len(done.signed) == 1, "two lists of survivors were signed in a turn"
            case Reveal() as request:
                signers = self.seen.agreed[request.context, request.survivors]
                assert len(signers) >= self.session.threshold, "revealed for what few had signed"
                self._check_shares(name, request, Shares.decode(reply))

    def _check_upload(self, name: InstitutionId, request: Start, reply: bytes) -> None:
        upload = Upload.decode(reply, 1 << 20)
        turn = decode_header(request.headers[0]).turn
        self.turns[upload.context] = turn
        self.seen.receipts[upload.context][name] = upload.receipt
        self.done[name, turn].masked.add(reply)
        assert len(self.done[name, turn].masked) == 1, "two vectors were masked in a turn"

    def _check_shares(self, name: InstitutionId, request: Reveal, shares: Shares) -> None:
        """Every share that leaves is looked up in what its dealer had committed to."""
        turn = self.turns[request.context]
        revealed = self.done[name, turn].revealed
        promised = self._promised(name, turn)
        text = shares.blinds + shares.secrets
        for at in range(0, len(text), SHARE_BYTES):
            share = text[at : at + SHARE_BYTES]
            if int.from_bytes(share, "big") != NO_SHARE:
                found = [dealer for dealer in promised if self._fits(dealer, promised, share)]
                revealed |= set(found)
                assert found, "something was revealed that nobody had dealt"
        dealers = [dealer for dealer, _ in revealed]
        assert len(dealers) == len(set(dealers)), "both kinds of one participant's shares"
        alive = {dealer for dealer, kind in revealed if kind == 0}
        assert alive <= set(request.survivors), "a seed of one who is not in the sum"

    def _promised(
        self, holder: InstitutionId, turn: Turn
    ) -> Mapping[tuple[InstitutionId, int], tuple[bytes, InstitutionId, bytes]]:
        """Commitments to the shares that a holder has, by dealer and kind of share."""
        promised = {}
        for dealer, data in self.seen.packages[turn].items():
            package = Package.decode(Prepared.decode(data, 1 << 20).package, 1 << 20)
            at = self.session.point(holder) - 1
            parcel = read_parcel(package.parcels, at)
            promised[dealer, 0] = package.header, holder, parcel.blind
            promised[dealer, 1] = package.header, holder, parcel.secret
        return promised

    def _fits(
        self,
        key: tuple[InstitutionId, int],
        promised: Mapping[tuple[InstitutionId, int], tuple[bytes, InstitutionId, bytes]],
        share: bytes,
    ) -> bool:
        header, holder, committed = promised[key]
        return commitment(("blind", "secret")[key[1]], header, holder, share) == committed


def tell(members: int, steps: Sequence[Step]) -> Story:
    """Tell a story again from its beginning, to its good end."""
    story = Story(members)
    for name, one, two in steps:
        story.step(name, one, two)
    story.finish()
    return story


def tell_file(path: Path) -> Story:
    """Tell one that was written down."""
    body = json.loads(path.read_text("utf-8"))
    return tell(body["members"], [(str(name), int(a), int(b)) for name, a, b in body["steps"]])
