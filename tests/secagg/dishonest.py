"""What a member can send that does not keep to the protocol, and signs all the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedcredit.codec import digest
from fedcredit.secagg import client, server
from fedcredit.secagg.client import (
    Admitted,
    Masked,
)
from fedcredit.secagg.dealing import (
    Dealt,
    SharePair,
)
from fedcredit.secagg.keys import Identity, lock, public_of
from fedcredit.secagg.lanes import Cards
from fedcredit.secagg.messages import (
    Receipt,
    Start,
    Upload,
)
from fedcredit.secagg.opening import (
    Opening,
    ask_shares,
)
from fedcredit.secagg.packages import (
    Header,
    Package,
    Parcel,
    blind_digest,
    commitment,
    decode_header,
    header_digest,
)
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.server import (
    Aborted,
    Agreeing,
    Collecting,
    Gathering,
)
from fedcredit.secagg.session import Asked, Session, Turn
from fedcredit.secagg.shamir import split, write_shares
from fedcredit.secagg.signed import (
    content_digest,
    receipt_digest,
    write_tag,
)
from fedcredit.units import InstitutionId
from tests.secagg.world import (
    FLOOR,
    ask,
    dealt,
    drawn,
    identity,
    lanes_of,
    numbers,
    reveal_of,
    start_of,
    survive_of,
)


def honestly(_: InstitutionId, pair: SharePair) -> SharePair:
    return pair


def signed(dealer: Identity, header: bytes, holder: InstitutionId, parcel: Parcel) -> bytes:
    return replace(parcel, signature=dealer.sign(parcel.digest(header, holder))).encode()


def dealing(
    dealer: Identity,
    session: Session,
    turn: Turn = (0, 0),
    *,
    changes: Mapping[str, object] | None = None,
    sent: Callable[[InstitutionId, SharePair], SharePair] = honestly,
    promised: Callable[[InstitutionId, SharePair], SharePair] = honestly,
) -> Dealt:
    """Deal as `deal` does, but for what is said otherwise.

    Args:
        dealer: who deals.
        session: for whom.
        turn: for which turn.
        changes: fields of the header that are not what they should be.
        sent: from a holder and its true shares to what is sealed for it.
        promised: the same, to what is committed to.
    """
    random = drawn(f"dealing/{dealer.name}/{turn}")
    secret, blind = random(32), random(32)
    lanes = lanes_of(session, dealer.name)
    true = Header(
        session=session.digest(),
        turn=turn,
        name=dealer.name,
        public=public_of(secret),
        blind=blind_digest(blind),
        epoch=lanes.epoch,
        step=0,
    )
    header = replace(true, **(changes or {})).encode()  # type: ignore[arg-type]
    n, t = len(session.members), session.threshold
    pairs = list(zip(split(blind, t, n, random), split(secret, t, n, random), strict=True))
    parcels = []
    for at, (holder, pair) in enumerate(zip(session.members, pairs, strict=True)):
        text = write_shares(sent(holder, pair))
        kept = [write_shares([share]) for share in promised(holder, pair)]
        both = (
            commitment("blind", header, holder, kept[0]),
            commitment("secret", header, holder, kept[1]),
        )
        info = digest("fedcredit/secagg/sealed/1", header, holder.encode(), *both)
        parcel = Parcel(lock(lanes.key(at), text, info), *both, b"")
        parcels.append(signed(dealer, header, holder, parcel))
    package = Package(header, dealer.sign(header_digest(header)), b"".join(parcels)).encode()
    return Dealt(turn, secret, blind, pairs[session.point(dealer.name) - 1], package)


def smuggled(
    session: Session, keys: Mapping[InstitutionId, Dealt], asked: Asked
) -> tuple[Collecting, Mapping[InstitutionId, bytes]]:
    """A turn begun by a coordinator that looks at no package."""
    packages, cards = {}, {}
    for name, state in keys.items():
        package = Package.decode(state.package, 1 << 20)
        packages[name] = server._Dealing(package, decode_header(package.header))
        lanes = lanes_of(session, name)
        cards[name] = Cards(lanes.epoch, lanes.cards)
    begun = server.start(Gathering(session, asked.turn, packages, cards), asked)
    assert not isinstance(begun, Aborted)
    return begun


@dataclass
class Round:
    """A turn, step by step, in which some members have dealt otherwise than they should."""

    session: Session
    others: Mapping[InstitutionId, Dealt]
    lost: tuple[InstitutionId, ...] = ()

    def __post_init__(self) -> None:
        turn = (0, 0)
        self.asked: Asked = ask(turn)
        self.keys = {
            name: self.others.get(name, dealt(self.session, name, turn))
            for name in self.session.members
        }
        self.collecting, self.messages = smuggled(self.session, self.keys, self.asked)
        self.states: dict[InstitutionId, Masked] = {}
        self.uploads: dict[InstitutionId, bytes] = {}

    def start(self, name: InstitutionId) -> Start:
        return start_of(self.messages[name])

    def admit(self, name: InstitutionId) -> Admitted:
        return client.admit(
            identity(name), self.session, FLOOR, self.keys[name], self.start(name), self.asked
        )

    def upload(self, name: InstitutionId) -> bytes:
        """Admit and mask."""
        vector = numbers(name, self.asked.turn, self.asked.dim, 32, len(self.session.members))
        self.states[name], self.uploads[name] = client.mask(
            identity(name), self.admit(name), vector
        )
        return self.uploads[name]

    def collected(self) -> Collecting:
        """All that are not lost have uploaded."""
        state = self.collecting
        for name in self.session.members:
            if name not in self.lost:
                state = server.receive_upload(state, name, self.upload(name))
        return state

    def agreeing(self) -> tuple[Agreeing, bytes]:
        closed = server.close(self.collected())
        assert not isinstance(closed, Aborted)
        return closed

    def opening(self) -> tuple[Opening, Mapping[InstitutionId, bytes]]:
        """Enough have signed; and the shares that each survivor would reveal."""
        agreeing, message = self.agreeing()
        survive = survive_of(message)
        agreed = {}
        for name, state in self.states.items():
            agreed[name], data = client.agree(identity(name), self.session, state, survive)
            agreeing = server.receive_agreement(agreeing, name, data)
        asked = ask_shares(agreeing)
        assert not isinstance(asked, Aborted)
        opening, message = asked
        reveal = reveal_of(message)
        return opening, {
            name: client.reveal(identity(name), self.session, state, reveal)[1]
            for name, state in agreed.items()
        }


def upload_of(
    sender: Identity, context: bytes, vector: bytes, accused: tuple[InstitutionId, ...] = ()
) -> bytes:
    """A vector of any length in a ring of 32 bits, signed as it should be."""
    content = content_digest(vector, accused)
    whole = np.frombuffer(vector[: len(vector) // 4 * 4], dtype="<u4")
    tag = write_tag(Ring(32).checksum(whole), accused)
    signature = sender.sign(receipt_digest(context, sender.name, content, tag))
    return Upload(context, vector, accused, Receipt(content, tag, signature), b"").encode()
