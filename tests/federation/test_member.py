"""A member of a consortium: what must hold whatever a coordinator sends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedcredit.errors import PeerError
from fedcredit.models.queries import Histograms
from fedcredit.secagg.client import (
    Agreed,
    Masked,
    Revealed,
)
from fedcredit.secagg.dealing import (
    Dealt,
)
from fedcredit.secagg.lanes import NO_LANES
from fedcredit.secagg.messages import (
    Agreement,
    Reveal,
    Upload,
    decode_request,
    encode_request,
)
from fedcredit.secagg.packages import Package, Prepared, decode_header
from fedcredit.secagg.signed import (
    agreement_digest,
)
from tests.federation.driven import Driven, each, prepare
from tests.federation.made import NAMES, QUERY, Party, keys, plan
from tests.federation.opened import opened_total
from tests.federation.table import ME, WHOLE, Table
from tests.federation.test_institution import Counted

FINER = Histograms(QUERY.ordered, QUERY.extra, ((1, 2), (1,), (1,)))


def test_a_turn_is_one_charge_one_release_one_signature_and_one_reveal() -> None:
    """And its sum is exactly that of everybody's noisy numbers."""
    table = Table()
    said = table.turn()
    assert table.written == WHOLE
    assert said.opened is not None
    twins = {
        name: Party(table.study, name, one.institution.records).institution()
        for name, one in table.members.items()
    }
    expected = opened_total(table.study, twins, 0, QUERY)
    assert said.opened.total.tolist() == expected.value.tolist()
    assert said.opened.survivors == NAMES


def test_every_message_has_one_answer_at_one_charge() -> None:
    """Byte for byte: at once, after a restart, and when the turn is long over."""
    counted = Counted()
    table = Table(Party(measure=counted))

    def twice(data: bytes) -> bytes:
        first = table.say(data)
        assert table.say(data) == first
        table.restart()
        assert table.say(data) == first
        return first

    said = table.turn(say=twice)
    del said.pairs["prepare"]  # its turn is over
    for asked, first in reversed(said.pairs.values()):
        assert table.say(asked) == first
    assert counted.times == 1
    assert table.written == WHOLE


def test_states_go_one_way() -> None:
    table = Table()
    seen: list[type] = []
    table.turn(after=lambda kind: seen.append(type(table.state())))
    assert seen == [Dealt, Masked, Agreed, Revealed]


def test_keys_of_the_round_to_come_ride_along() -> None:
    """The very package that asking for it would have given; none in the last round."""
    study = plan(evaluate=False)
    table = Table(Party(study))
    for index in range(3):
        (_, data) = table.turn((index, 0)).pairs["start"]
        following = Upload.decode(data, len(data)).following
        if index == 2:
            assert following == b""
        else:
            said = table.say(prepare(study, (index + 1, 0)))
            assert following == Prepared.decode(said, len(said)).package


def test_lanes_go_one_step_with_every_package_and_begin_anew_after_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Keys that were dealt in the old epoch go, as nobody would hand out its cards again."""
    monkeypatch.setattr("fedcredit.secagg.lanes.MOST_STEPS", 3)
    table = Table()
    epochs = []
    turns = [(0, 0), (0, 1), (0, 2), (1, 0)]
    before = NO_LANES
    for at, turn in enumerate(turns):
        said = table.say(prepare(table.study, turn))
        prepared = Prepared.decode(said, len(said))
        header = decode_header(Package.decode(prepared.package, len(said)).header)
        lanes = table.holding.lanes
        assert header.step == at % 3
        assert (lanes.epoch, lanes.step) == (header.epoch, header.step + 1)
        assert lanes.cards == prepared.cards
        epochs.append(header.epoch)
        old = [before.key(place) for place in range(1, len(NAMES)) if before.keys]
        assert not [key for key in old if key in table.kept], "what sealed is forgotten"
        assert all(lanes.key(place) in table.kept for place in range(1, len(NAMES)))
        before = lanes
    assert set(table.holding.states) == {(1, 0)}
    assert epochs[0] == epochs[1] == epochs[2] != epochs[3]
    assert table.turn((1, 0)).opened is not None


def test_another_start_for_the_same_turn_is_refused() -> None:
    """With another question, or the same one in other company: one turn, one answer."""
    table = Table()
    driven = table.driven()
    table.say(driven.starts[ME])
    before = table.entries, table.kept
    packages = driven.packages
    fewer = {name: packages[name] for name in NAMES[:5]}
    for other in (
        Driven(table.study, packages, query=FINER),
        Driven(table.study, fewer),
    ):
        with pytest.raises(PeerError, match="asked another question before"):
            table.say(other.starts[ME])
    assert (table.entries, table.kept) == before


def test_other_survivors_are_not_signed() -> None:
    """Whoever signed two lists could be made to open two sums."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    table.say(driven.survive(uploads))
    before = table.entries, table.kept
    del uploads[NAMES[5]]
    with pytest.raises(PeerError, match="already signed other survivors"):
        table.say(driven.survive(uploads))
    assert (table.entries, table.kept) == before


def test_shares_are_not_revealed_for_other_survivors_than_were_signed() -> None:
    """Even if all the others had signed the other list."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    table.say(driven.survive(uploads))
    before = table.entries, table.kept
    del uploads[NAMES[5]]
    shorter = driven.survive(uploads)
    signed = each(table.members, dict.fromkeys(NAMES[1:5], shorter))
    mine = agreement_digest(driven.collecting.context, NAMES[:5])
    signed[ME] = Agreement(keys(NAMES)[0][ME].sign(mine)).encode()  # a key that was stolen
    with pytest.raises(PeerError, match="other survivors than we signed"):
        table.say(driven.reveal(signed))
    assert (table.entries, table.kept) == before


def test_shares_are_not_revealed_below_the_threshold_or_for_a_forged_signature() -> None:
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    signed = table.each(dict.fromkeys(NAMES, driven.survive(uploads)), table.say)
    request = decode_request(driven.reveal(signed))
    assert isinstance(request, Reveal)
    before = table.entries, table.kept
    few = replace(request, signers=request.signers[1:], signatures=request.signatures[1:])
    forged = replace(request, signatures=(*request.signatures[1:], bytes(64)))
    for bad in (few, forged, replace(request, context=bytes(32))):
        with pytest.raises(PeerError):
            table.say(encode_request(bad))
    assert (table.entries, table.kept) == before
    assert table.say(encode_request(request)), "and the right one is answered"


def test_shares_are_revealed_once() -> None:
    """The same list with other signers is another message, and comes too late."""
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    signed = table.each(dict.fromkeys(NAMES, driven.survive(uploads)), table.say)
    one = driven.reveal(signed)
    other = driven.reveal({name: data for name, data in signed.items() if name != NAMES[1]})
    assert one != other
    table.say(one)
    before = table.entries, table.kept
    with pytest.raises(PeerError, match="no turn of ours waits"):
        table.say(other)
    assert (table.entries, table.kept) == before


def test_a_member_that_missed_the_list_of_survivors_may_still_reveal_and_then_never_signs() -> None:
    table = Table()
    driven = table.driven()
    uploads = table.each(dict(driven.starts), table.say)
    survive = driven.survive(uploads)
    signed = each(table.members, dict.fromkeys(NAMES[1:], survive))
    reveal = driven.reveal(signed)
    opened = driven.open(table.each(dict.fromkeys(NAMES, reveal), table.say))
    assert opened.survivors == NAMES
    with pytest.raises(PeerError):
        table.say(survive)
    assert table.written == ["charge", "release", "reveal"]


def test_after_the_reveal_the_vault_holds_nothing_secret_of_the_turn() -> None:
    """Neither its own secrets nor a share, but those that it has revealed as it was asked to."""
    table = Table()
    secrets: list[bytes] = []

    def look(kind: str) -> None:
        state = table.state()
        if isinstance(state, Dealt):
            secrets.extend((state.secret, state.blind))
        if isinstance(state, Masked) and kind == "start":
            for name, (blind, secret) in zip(state.participants, state.shares, strict=True):
                hidden = blind if name == NAMES[5] else secret
                secrets.append((hidden).to_bytes(33, "big")[1:])
            assert all(one in table.kept for one in secrets[2:]), "what is searched can be found"

    (request, reply) = table.turn(absent=NAMES[5:], after=look).pairs["reveal"]
    assert len(secrets) == 2 + len(NAMES)
    assert not [one for one in secrets if one in table.kept]
    assert not [one for one in secrets if one in reply + request]
    assert table.state() == Revealed((0, 0))


def test_what_is_left_of_a_turn_goes_with_the_next_one() -> None:
    """A turn that was never opened leaves its shares to nobody."""
    table = Table()
    table.say(table.driven().starts[ME])
    assert isinstance(table.state(), Masked)
    said = table.turn((0, 1))
    assert set(table.holding.states) == {(0, 1), (1, 0)}
    table.say(table.driven((1, 0)).starts[ME])
    assert not table.holding.replies
    for kind in ("survive", "reveal"):
        with pytest.raises(PeerError, match="no turn of ours waits"):
            table.say(said.asked(kind))


def test_two_turns_have_nothing_secret_in_common() -> None:
    """One-time keys are for one time."""
    table = Table()
    seen: set[bytes] = set()
    for attempt in range(3):
        table.say(prepare(table.study, (0, attempt)))
        state = table.state((0, attempt))
        assert isinstance(state, Dealt)
        seen |= {state.secret, state.blind}
    assert len(seen) == 6
    masked = []
    for attempt in range(2):
        (_, data) = table.turn((0, attempt)).pairs["start"]
        masked.append(np.frombuffer(Upload.decode(data, len(data)).vector, dtype=np.uint8))
    assert (masked[0] == masked[1]).mean() < 0.1
