"""The coordinator's steps: what each refuses, and who is found out when members lie."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedcredit.errors import PeerError
from fedcredit.secagg import server
from fedcredit.secagg.dealing import (
    SharePair,
)
from fedcredit.secagg.keys import public_of
from fedcredit.secagg.lanes import Cards
from fedcredit.secagg.messages import (
    Agreement,
    Shares,
    Upload,
)
from fedcredit.secagg.opening import (
    Opened,
    Opening,
    open_sum,
    receive_shares,
)
from fedcredit.secagg.packages import (
    Package,
    Prepared,
    blind_digest,
)
from fedcredit.secagg.server import (
    Aborted,
    Gathering,
)
from fedcredit.secagg.shamir import NO_SHARE, read_shares, write_shares
from fedcredit.secagg.signed import (
    agreement_digest,
    shares_digest,
)
from fedcredit.units import InstitutionId
from tests.secagg.dishonest import Round, dealing, upload_of
from tests.secagg.world import (
    dealt,
    identity,
    lanes_of,
    plain_sum,
    prepared,
    session_of,
    with_cards,
)

FIVE = session_of(5)
SIX = session_of(6, 4)
A, B, C, D, E = FIVE.members
STRANGER = InstitutionId("bank-999")


# ---------------------------------------------------------------------------------- packages


def test_a_package_is_taken_once_and_only_from_a_member() -> None:
    state, package = Gathering(FIVE, (0, 0)), prepared(FIVE, A, (0, 0))
    taken = server.receive_package(state, A, package)
    assert not state.packages
    assert list(taken.packages) == [A]
    for where, sender in ((taken, A), (state, B), (state, STRANGER)):
        with pytest.raises(PeerError):
            server.receive_package(where, sender, package)


@pytest.mark.parametrize(
    "package",
    [
        prepared(FIVE, A, (0, 1)),
        prepared(session_of(5, 5), A, (0, 0)),
        prepared(session_of(5, study=b"s" * 32), A, (0, 0)),
        *(
            with_cards(FIVE, A, one.package)
            for one in (
                dealing(identity(A), FIVE, changes={"public": bytes(32)}),
                dealing(identity(A), FIVE, changes={"public": b"\1" + bytes(31)}),
                dealing(replace(identity(B), name=A), FIVE),
            )
        ),
    ],
    ids=["turn", "threshold", "study", "zero key", "key of order 1", "another's signature"],
)
def test_a_package_that_is_not_this_members_for_this_turn_is_refused(package: bytes) -> None:
    with pytest.raises(PeerError):
        server.receive_package(Gathering(FIVE, (0, 0)), A, package)


def test_a_package_with_a_parcel_too_few_or_too_many_is_refused() -> None:
    true = Package.decode(dealt(FIVE, A, (0, 0)).package, 1 << 16)
    for parcels in (true.parcels[:-210], true.parcels + true.parcels[:210], b""):
        package = with_cards(FIVE, A, replace(true, parcels=parcels).encode())
        with pytest.raises(PeerError):
            server.receive_package(Gathering(FIVE, (0, 0)), A, package)


@pytest.mark.parametrize("size", [0, 80, 399, 401, 480])
def test_cards_too_few_or_too_many_are_refused(size: int) -> None:
    """One of 80 bytes a member."""
    true = Prepared.decode(prepared(FIVE, A, (0, 0)), 1 << 16)
    wrong = replace(true, cards=(2 * true.cards)[:size])
    with pytest.raises(PeerError, match="cards"):
        server.receive_package(Gathering(FIVE, (0, 0)), A, wrong.encode())


def test_a_package_that_rode_along_is_taken_if_its_cards_are_here() -> None:
    """Those of this dealer and this epoch; else the state is as it was, for it to be asked."""
    before = server.receive_package(Gathering(FIVE, (0, 0)), A, prepared(FIVE, A, (0, 0)))
    package = dealt(FIVE, A, (1, 0)).package
    known = Gathering(FIVE, (1, 0), cards=before.cards)
    taken = server.receive_following(known, A, package)
    assert (tuple(taken.packages), taken.cards) == ((A,), before.cards)
    mine = before.cards[A]
    for cards in ({}, {B: mine}, {A: replace(mine, epoch=bytes(32))}):
        with pytest.raises(PeerError, match="cards that it has not sent"):
            server.receive_following(replace(known, cards=cards), A, package)


def test_cards_of_a_new_epoch_take_the_place_of_the_old_ones() -> None:
    """And cards that come with a package that is refused take nobody's."""
    old = replace(lanes_of(FIVE, A), epoch=bytes(32))
    state = Gathering(FIVE, (0, 0), cards={A: Cards(old.epoch, old.cards)})
    taken = server.receive_package(state, A, prepared(FIVE, A, (0, 0)))
    assert taken.cards[A].epoch == lanes_of(FIVE, A).epoch
    with pytest.raises(PeerError):
        server.receive_package(state, A, prepared(FIVE, A, (0, 1)))
    assert state.cards[A].epoch == bytes(32)


# ----------------------------------------------------------------------------------- uploads


def test_a_vector_is_taken_once_and_only_from_a_participant() -> None:
    made = Round(FIVE, {})
    data = made.upload(A)
    taken = server.receive_upload(made.collecting, A, data)
    for state, sender in ((taken, A), (made.collecting, B), (made.collecting, STRANGER)):
        with pytest.raises(PeerError):
            server.receive_upload(state, sender, data)


@pytest.mark.parametrize("size", [0, 8, 11, 13, 16])
def test_a_vector_of_another_length_is_refused_though_it_is_signed(size: int) -> None:
    made = Round(FIVE, {})
    data = upload_of(identity(A), made.collecting.context, bytes(size))
    with pytest.raises(PeerError, match="another length"):
        server.receive_upload(made.collecting, A, data)


def test_a_vector_for_another_context_is_refused_though_it_is_signed() -> None:
    made = Round(FIVE, {})
    data = upload_of(identity(A), bytes(32), bytes(12))
    with pytest.raises(PeerError, match="another question"):
        server.receive_upload(made.collecting, A, data)


def drop(made: Round, upload: Upload) -> None:
    """An upload of the first member is taken, and left out of the sum as not what it signed."""
    state = server.receive_upload(made.collecting, A, upload.encode())
    for name in (B, C, D, E):
        state = server.receive_upload(state, name, made.upload(name))
    closed = server.close(state)
    assert not isinstance(closed, Aborted)
    assert tuple(sorted(server.unaltered(state).uploads)) == (B, C, D, E)
    assert closed[0].survivors == (B, C, D, E)
    assert A not in closed[0].collecting.uploads


@pytest.mark.parametrize("at", range(12))
def test_a_vector_altered_on_its_way_is_not_summed(at: int) -> None:
    made = Round(FIVE, {})
    upload = Upload.decode(made.upload(A), 1 << 16)
    vector = bytearray(upload.vector)
    vector[at] ^= 0x80
    drop(made, replace(upload, vector=bytes(vector)))


def test_a_dealer_whose_shares_reached_too_few_is_left_out_and_nothing_is_revealed() -> None:
    """One accuser of five is borne, since four are enough; two end the turn."""
    made = Round(FIVE, {})
    for accusers, ended in ((1, False), (2, True)):
        state = made.collecting
        for at, name in enumerate(FIVE.members):
            accused = (C,) if at < accusers else ()
            data = upload_of(identity(name), state.context, bytes(12), accused)
            state = server.receive_upload(state, name, data)
        closed = server.close(state)
        assert isinstance(closed, Aborted) == ended
        if isinstance(closed, Aborted):
            assert closed.blamed == (C,)


def test_a_single_accuser_can_end_a_turn_but_not_have_another_left_out() -> None:
    """With one lost, one false accusation leaves too few; nobody can say who of the two lies."""
    state = Round(FIVE, {}).collecting
    for name in (A, B, C, D):
        accused = (C,) if name == A else ()
        data = upload_of(identity(name), state.context, bytes(12), accused)
        state = server.receive_upload(state, name, data)
    closed = server.close(state)
    assert isinstance(closed, Aborted)
    assert closed.blamed == ()
    assert "'bank-002' is accused by bank-000" in closed.why


def test_accusations_altered_on_their_way_are_noticed() -> None:
    made = Round(FIVE, {})
    upload = Upload.decode(made.upload(A), 1 << 16)
    drop(made, replace(upload, accused=(C,)))


def test_altered_uploads_leave_too_few_and_altered_accusations_blame_nobody() -> None:
    """Two of five say what they did not sign: the turn ends, and it is no dealer's fault."""
    made = Round(FIVE, {})
    state = made.collecting
    for at, name in enumerate(FIVE.members):
        upload = Upload.decode(made.upload(name), 1 << 16)
        data = replace(upload, accused=(C,) if at < 2 else ()).encode()
        state = server.receive_upload(state, name, data)
    closed = server.close(state)

    assert tuple(sorted(server.unaltered(state).uploads)) == (C, D, E)
    assert isinstance(closed, Aborted)
    assert closed.blamed == ()
    assert "3 of 5 uploads" in closed.why


def test_no_state_prints_what_it_holds() -> None:
    """What a log of the coordinator may show are counts and names."""
    made = Round(FIVE, {})
    opening, shares = made.opening()
    state = opening
    for name, data in shares.items():
        state = receive_shares(state, name, data)
    found = open_sum(state)
    assert repr(made.collecting) == "Collecting((0, 0), 0 uploads)"
    assert repr(state) == "Opening(5 holders)"
    assert repr(found) == "Opened(5 survivors)"
    dealing_of_a = made.collecting.gathering.packages[A]
    assert repr(dealing_of_a) == "_Dealing('bank-000')"


# -------------------------------------------------------------------------------- signatures


def test_a_signature_is_taken_once_from_a_survivor_under_our_list() -> None:
    made = Round(FIVE, {}, lost=(E,))
    state, _ = made.agreeing()
    context, four = state.collecting.context, state.survivors
    true = {
        name: Agreement(identity(name).sign(agreement_digest(context, four))).encode()
        for name in FIVE.members
    }
    other = Agreement(identity(A).sign(agreement_digest(context, FIVE.members))).encode()
    taken = server.receive_agreement(state, A, true[A])
    for where, sender, data in ((taken, A, true[A]), (state, B, true[A]), (state, E, true[E])):
        with pytest.raises(PeerError):
            server.receive_agreement(where, sender, data)
    with pytest.raises(PeerError, match="signed other survivors"):
        server.receive_agreement(state, A, other)


# ------------------------------------------------------------------------------------ shares


def reshared(name: InstitutionId, opening: Opening, data: bytes, kind: int, value: int) -> bytes:
    """A holder's shares with the first of a kind changed, and signed as they should be."""
    shares = Shares.decode(data)
    both = []
    for at, text in enumerate((shares.blinds, shares.secrets)):
        read = list(read_shares(text, len(text) // 33))
        if at == kind:
            read[0] = value
        both.append(write_shares(read))
    context = opening.agreeing.collecting.context
    signature = identity(name).sign(shares_digest(context, name, both[0], both[1]))
    return Shares(both[0], both[1], signature).encode()


@pytest.mark.parametrize("value", [0, 1, NO_SHARE, NO_SHARE - 1])
@pytest.mark.parametrize("kind", [0, 1])
def test_a_holder_of_false_shares_is_found_out_and_the_sum_is_exact_all_the_same(
    kind: int, value: int
) -> None:
    """The first holder lies of a survivor's b, or of a lost one's k; four others are enough."""
    made = Round(SIX, {}, lost=(SIX.members[5],))
    state, shares = made.opening()
    for name, data in shares.items():
        said = reshared(name, state, data, kind, value) if name == A else data
        state = receive_shares(state, name, said)
    found = open_sum(state)
    assert isinstance(found, Opening)
    assert found.liars == (A,)
    assert found.enough
    with pytest.raises(PeerError):
        receive_shares(found, A, shares[A])
    opened = open_sum(found)
    assert isinstance(opened, Opened)
    assert opened.liars == (A,)
    assert opened.total.tolist() == plain_sum(SIX.members[:5], made.asked, 6)


def test_a_sum_stays_closed_while_liars_leave_too_few_shares_and_opens_when_more_come() -> None:
    made = Round(FIVE, {})
    state, shares = made.opening()
    for name in (A, B, C, D):
        said = reshared(name, state, shares[name], 0, 7) if name == B else shares[name]
        state = receive_shares(state, name, said)
    found = open_sum(state)
    assert isinstance(found, Opening)
    assert found.liars == (B,)
    assert not found.enough
    assert open_sum(found) is found
    opened = open_sum(receive_shares(found, E, shares[E]))
    assert isinstance(opened, Opened)
    assert opened.total.tolist() == plain_sum(FIVE.members, made.asked, 5)


def test_shares_are_taken_once_from_a_survivor_in_their_number_and_signed() -> None:
    made = Round(FIVE, {}, lost=(E,))
    state, shares = made.opening()
    taken = receive_shares(state, A, shares[A])
    true = Shares.decode(shares[A])
    wrong = [
        replace(true, blinds=true.blinds[33:]),
        replace(true, blinds=true.blinds + bytes(33)),
        replace(true, secrets=b""),
        replace(true, secrets=true.secrets * 2),
        replace(true, secrets=bytes(33)),
        replace(true, signature=bytes(64)),
    ]
    for where, sender, data in (
        (taken, A, shares[A]),
        (state, B, shares[A]),
        (state, E, shares[A]),
        *((state, A, one.encode()) for one in wrong),
    ):
        with pytest.raises(PeerError):
            receive_shares(where, sender, data)


def crooked(holder: InstitutionId, pair: SharePair) -> SharePair:
    """Shares on no polynomial of the right degree, the same ones that are committed to."""
    return (pair[0] + 1, pair[1] + 1) if holder in (B, D) else pair


@pytest.mark.parametrize("lost", [(), (C,)])
@pytest.mark.parametrize("how", ["commitment", "shares"])
def test_a_dealer_whose_shares_do_not_give_back_its_keys_is_blamed(
    lost: tuple[InstitutionId, ...], how: str
) -> None:
    """Whether it is still there or lost; holders have revealed what they were dealt."""
    elsewhere = {"public": public_of(b"k" * 32), "blind": blind_digest(b"b" * 32)}
    false = (
        dealing(identity(C), FIVE, changes=elsewhere)
        if how == "commitment"
        else dealing(identity(C), FIVE, sent=crooked, promised=crooked)
    )
    made = Round(FIVE, {C: false}, lost=lost)
    state, shares = made.opening()
    for name, data in shares.items():
        state = receive_shares(state, name, data)
    found = open_sum(state)
    assert isinstance(found, Aborted)
    assert found.blamed == (C,)


def test_a_dealer_is_blamed_though_more_shares_of_another_are_wanted() -> None:
    """C has committed to another seed; of D's shares one is missing as yet."""
    elsewhere = {"blind": blind_digest(b"b" * 32)}
    missing = dealing(identity(D), FIVE, sent=lambda to, pair: (0, 0) if to == A else pair)
    made = Round(FIVE, {C: dealing(identity(C), FIVE, changes=elsewhere), D: missing})
    state, shares = made.opening()
    for name in (A, B, C, D):
        state = receive_shares(state, name, shares[name])
    found = open_sum(state)
    assert isinstance(found, Aborted)
    assert found.blamed == (C,)


def test_who_accused_a_dealer_is_not_asked_for_its_shares() -> None:
    """B's shares never reached A, so B's seed comes from the four others."""
    false = dealing(identity(B), FIVE, sent=lambda to, pair: (0, 0) if to == A else pair)
    made = Round(FIVE, {B: false})
    state, shares = made.opening()
    for name in (A, B, C, D):
        state = receive_shares(state, name, shares[name])
    assert state.enough
    assert open_sum(state) is state  # four have revealed, three of them B's
    opened = open_sum(receive_shares(state, E, shares[E]))
    assert isinstance(opened, Opened)
    assert not opened.liars
    assert opened.total.tolist() == plain_sum(FIVE.members, made.asked, 5)


def test_a_sum_cannot_be_written_to() -> None:
    state, shares = Round(FIVE, {}).opening()
    for name, data in shares.items():
        state = receive_shares(state, name, data)
    found = open_sum(state)
    assert isinstance(found, Opened)
    with pytest.raises(ValueError, match="read-only"):
        found.total[0] = 0
