"""A whole turn of three, and of five with one lost: every byte as the reference writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pytest

from fedcredit.errors import PeerError
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    admit,
    agree,
    mask,
    reveal,
)
from fedcredit.secagg.dealing import (
    Dealt,
    deal,
)
from fedcredit.secagg.keys import Identity, Member, new_identity
from fedcredit.secagg.lanes import new_lanes, stepped
from fedcredit.secagg.messages import (
    Receipt,
    Reveal,
    Start,
    Survive,
    decode_request,
)
from fedcredit.secagg.opening import (
    Opened,
    Opening,
    ask_shares,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.packages import (
    Prepared,
    decode_header,
    header_digest,
    read_parcel,
)
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.server import (
    Aborted,
    Agreeing,
    Collecting,
    Gathering,
    close,
    receive_agreement,
    receive_package,
    receive_upload,
    start,
)
from fedcredit.secagg.session import Asked, Floor, Session, encode_manifest
from fedcredit.secagg.signed import (
    agreement_digest,
    content_digest,
    receipt_digest,
    shares_digest,
)
from fedcredit.units import InstitutionId
from tests.vectors.secagg_records import ALTERED, altered, transcript
from tests.vectors.secagg_reference import CASES, Case, Stream, Turn, sealed

RECORDED: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "secagg.json").read_text("utf-8")
)
FIRST: Final = InstitutionId("bank-1")


@dataclass
class Played:
    """The product's own turn: its messages, and the states that each was received in."""

    case: Case
    messages: dict[str, bytes] = field(default_factory=dict)
    dealt: dict[InstitutionId, Dealt] = field(default_factory=dict)
    masked: dict[InstitutionId, Masked] = field(default_factory=dict)
    agreed: dict[InstitutionId, Agreed] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the members, whose keys are the reference's."""
        names = [InstitutionId(name) for name in self.case.names]
        self.members: dict[InstitutionId, Identity] = {
            name: new_identity(name, Stream(f"identity {name}"), "x25519") for name in names
        }
        roster = Roster(0, b"", tuple(one.card for one in self.members.values()))
        self.session = Session(
            self.case.study, roster, tuple(names), self.case.threshold, self.case.colluders
        )
        self.asked = Asked(
            turn=self.case.turn,
            dim=len(self.case.value(names[0])),
            ring=Ring(self.case.bits),
            question=self.case.question,
            parameters=self.case.parameters,
        )
        self.survivors = [name for name in names if name not in self.case.lost]
        self.gathering = Gathering(self.session, self.case.turn)

    def play(self) -> Played:
        """All steps in order."""
        self.begin()
        self.collecting = self.collect()
        closed = close(self.collecting)
        assert isinstance(closed, tuple)
        self.agreeing, self.messages["survive"] = closed
        for name in self.survivors:
            survive = cast("Survive", decode_request(self.messages["survive"]))
            state, text = agree(self.members[name], self.session, self.masked[name], survive)
            self.agreed[name], self.messages[f"agreed/{name}"] = state, text
        asking = ask_shares(self.all_signed())
        assert isinstance(asking, tuple)
        self.opening, self.messages["reveal"] = asking
        opening = self.opening
        for name in self.survivors:
            asked = cast("Reveal", decode_request(self.messages["reveal"]))
            _, text = reveal(self.members[name], self.session, self.agreed[name], asked)
            self.messages[f"shares/{name}"] = text
            opening = receive_shares(opening, name, text)
        opened = open_sum(opening)
        assert isinstance(opened, Opened)
        self.opened = opened
        return self

    def begin(self) -> None:
        """Packages and starts."""
        gathering = self.gathering
        for name, one in self.members.items():
            lanes = new_lanes(one, self.session, Stream(f"lanes {name}"), known_sealer)
            for _ in range(self.case.step):
                lanes = stepped(lanes)
            random = Stream(f"deal {name}")
            state, _ = deal(one, self.session, self.case.turn, lanes, random)
            text = Prepared(lanes.cards, state.package).encode()
            self.dealt[name], self.messages[f"package/{name}"] = state, text
            gathering = receive_package(gathering, name, text)
        started = start(gathering, self.asked)
        assert isinstance(started, tuple)
        self.started, starts = started
        self.messages |= {f"start/{name}": text for name, text in starts.items()}

    def collect(self) -> Collecting:
        """Uploads of the survivors."""
        collecting = self.started
        for name in self.survivors:
            begun = cast("Start", decode_request(self.messages[f"start/{name}"]))
            one = self.members[name]
            admitted = admit(one, self.session, Floor(), self.dealt[name], begun, self.asked)
            numbers = np.array(self.case.value(name), dtype=np.int64)
            state, text = mask(one, admitted, numbers, self.case.following)
            self.masked[name], self.messages[f"upload/{name}"] = state, text
            collecting = receive_upload(collecting, name, text)
        return collecting

    def all_signed(self) -> Agreeing:
        """The state after every agreement."""
        agreeing = self.agreeing
        for name in self.survivors:
            agreeing = receive_agreement(agreeing, name, self.messages[f"agreed/{name}"])
        return agreeing


def known_sealer(member: Member, text: bytes, info: bytes, /) -> bytes:
    """Seals as the reference does, with a key made from the context."""
    return sealed(member.sealing, text, info)


@cache
def played(name: str) -> Played:
    return Played(CASES[name]).play()


@cache
def reference(name: str) -> Turn:
    return Turn(CASES[name])


TURNS: Final = pytest.mark.parametrize("name", sorted(CASES))


@TURNS
def test_the_record_is_what_the_reference_says(name: str) -> None:
    assert RECORDED["turns"][name] == transcript(reference(name))


@TURNS
def test_every_message_is_the_reference_s_byte_for_byte(name: str) -> None:
    ours, theirs = played(name).messages, reference(name).messages

    assert ours.keys() == theirs.keys()
    assert [label for label in ours if ours[label] != theirs[label]] == []


@TURNS
def test_every_message_is_the_recorded_one(name: str) -> None:
    digests = {
        label: hashlib.sha256(text).hexdigest() for label, text in played(name).messages.items()
    }
    assert digests == RECORDED["turns"][name]["messages"]


@TURNS
def test_the_opened_sum_is_the_reference_s_and_the_survivors_own(name: str) -> None:
    turn = played(name)
    survivors = [turn.case.value(one) for one in turn.survivors]

    assert turn.opened.total.tolist() == [sum(column) for column in zip(*survivors, strict=True)]
    assert turn.opened.total.tolist() == reference(name).opened() == RECORDED["turns"][name]["sum"]


@TURNS
def test_whatever_is_signed_or_names_something_is_the_recorded_bytes(name: str) -> None:
    """Roster, session, manifest, context, header, parcel, receipt, agreement and shares."""
    turn, recorded = played(name), RECORDED["turns"][name]
    manifest, context = turn.started.manifest, turn.started.context
    package = turn.started.gathering.packages[FIRST].package
    receipt = turn.collecting.uploads[FIRST].receipt
    shares = receive_shares(turn.opening, FIRST, turn.messages["shares/bank-1"]).shares[FIRST]
    blinds, secrets = (b"".join(one.to_bytes(33, "big") for one in kind) for kind in shares)
    signed = {
        "header/bank-1": header_digest(package.header),
        "receipt/bank-1": receipt_digest(context, FIRST, receipt.content, receipt.tag),
        "agreement": agreement_digest(context, tuple(turn.survivors)),
        "shares/bank-1": shares_digest(context, FIRST, blinds, secrets),
    }
    for at, holder in enumerate(turn.session.members):
        parcel = read_parcel(package.parcels, at)
        signed[f"parcel/bank-1/{holder}"] = parcel.digest(package.header, holder)
    for dealer in turn.session.members[1:]:
        other = turn.started.gathering.packages[dealer].package
        parcel = read_parcel(other.parcels, 0)
        signed[f"parcel/{dealer}/bank-1"] = parcel.digest(other.header, FIRST)

    assert {label: text.hex() for label, text in signed.items()} == recorded["signed"]
    assert encode_manifest(manifest).hex() == recorded["manifest"]
    assert context.hex() == manifest.context().hex() == recorded["context"]
    assert turn.session.roster.digest().hex() == recorded["roster"]
    assert turn.session.digest().hex() == recorded["session"]
    assert package.header.hex() == recorded["header"]
    assert decode_header(package.header).encode() == package.header
    assert receipt == Receipt.decode(receipt.encode())
    vector = turn.collecting.uploads[FIRST].vector
    assert content_digest(vector, ()) == receipt.content


def counted(turn: Played, data: bytes) -> None:
    """Take an upload of bank-1 with those of all others; all three are needed."""
    state = receive_upload(turn.started, FIRST, data)
    for name in turn.session.members[1:]:
        state = receive_upload(state, name, turn.messages[f"upload/{name}"])
    closed = close(state)
    if isinstance(closed, Aborted):
        raise PeerError(closed.why, remedy="start again")


def receivers(turn: Played) -> dict[str, Callable[[bytes], object]]:
    """Who takes each message of bank-1, in the state that it is taken in."""
    session, one = turn.session, turn.members[FIRST]
    opening: Opening = turn.opening
    return {
        "package/bank-1": lambda data: receive_package(turn.gathering, FIRST, data),
        "start/bank-1": lambda data: admit(
            one,
            session,
            Floor(),
            turn.dealt[FIRST],
            cast("Start", decode_request(data)),
            turn.asked,
        ),
        "upload/bank-1": lambda data: counted(turn, data),
        "survive": lambda data: agree(
            one, session, turn.masked[FIRST], cast("Survive", decode_request(data))
        ),
        "agreed/bank-1": lambda data: receive_agreement(turn.agreeing, FIRST, data),
        "reveal": lambda data: reveal(
            one, session, turn.agreed[FIRST], cast("Reveal", decode_request(data))
        ),
        "shares/bank-1": lambda data: receive_shares(opening, FIRST, data),
    }


def test_the_altered_messages_are_recorded_where_the_reference_has_their_parts() -> None:
    assert RECORDED["altered"] == altered(reference("3"))


@pytest.mark.parametrize(
    "record", RECORDED["altered"], ids=lambda one: f"{one['message']}: {one['part']}"
)
def test_a_message_with_one_bit_turned_over_is_refused(record: dict[str, Any]) -> None:
    """It is taken as it is, and refused as soon as one bit of it is another."""
    turn = played("3")
    take, sound = receivers(turn)[record["message"]], turn.messages[record["message"]]
    wrong = bytearray(sound)
    wrong[record["byte"]] ^= record["xor"]

    take(sound)
    assert record["success"] is False
    with pytest.raises(PeerError):
        take(bytes(wrong))


def test_every_kind_of_message_is_altered_in_a_record() -> None:
    assert {message for message, _ in ALTERED} == set(receivers(played("3")))


def test_a_parcel_with_one_bit_turned_over_accuses_its_dealer() -> None:
    """One false dealer must not end the turn of the others: its shares count as not dealt."""
    turn = played("3")
    begun = cast("Start", decode_request(turn.messages["start/bank-1"]))
    size = len(begun.parcels) // 3
    for byte in (size, 2 * size - 1):  # of bank-2's parcel: its sealed text, its signature
        wrong = bytearray(begun.parcels)
        wrong[byte] ^= 1
        other = replace(begun, parcels=bytes(wrong))
        admitted = admit(
            turn.members[FIRST], turn.session, Floor(), turn.dealt[FIRST], other, turn.asked
        )
        assert admitted.accused == ("bank-2",)


def test_a_card_with_one_bit_turned_over_accuses_its_dealer() -> None:
    """Nobody has signed it, and nobody needs to: the shares are not what was promised."""
    turn = played("3")
    begun = cast("Start", decode_request(turn.messages["start/bank-1"]))
    size = len(begun.cards) // 3
    for byte in (size, 2 * size - 1):  # of bank-2's card: its encapsulated key, its tag
        wrong = bytearray(begun.cards)
        wrong[byte] ^= 1
        other = replace(begun, cards=bytes(wrong))
        admitted = admit(
            turn.members[FIRST], turn.session, Floor(), turn.dealt[FIRST], other, turn.asked
        )
        assert admitted.accused == ("bank-2",)
