"""A consortium for a simulation."""

from __future__ import annotations

from itertools import permutations

import pytest

from fedcredit.federation.consortium import found
from fedcredit.secagg.keys import Kind
from fedcredit.secagg.roster import Roster, SignedRoster, check_roster, sign_roster
from tests.federation.made import NAMES, Stream


def test_every_member_has_keys_of_its_own_and_a_card_in_the_roster() -> None:
    identities, roster = found(NAMES, Stream("founding"), "x25519")
    assert tuple(identities) == NAMES == tuple(one.name for one in roster.members)
    for name, identity in identities.items():
        assert roster.member(name) == identity.card
    secrets = [one.signing for one in identities.values()]
    secrets += [one.sealing for one in identities.values()]
    assert len(set(secrets)) == 2 * len(NAMES)


def test_the_order_of_the_names_does_not_matter() -> None:
    digests = {
        found(order, Stream("founding"), "x25519")[1].digest() for order in permutations(NAMES[:3])
    }
    assert len(digests) == 1


def test_other_randomness_is_another_consortium() -> None:
    one, other = (found(NAMES[:3], Stream(seed), "x25519")[1] for seed in ("one", "other"))
    assert not {m.signing for m in one.members} & {m.signing for m in other.members}


@pytest.mark.parametrize("kind", ["x25519", "mlkem768-x25519"])
def test_every_member_would_accept_the_roster(kind: Kind) -> None:
    """Signed by all, as members who are apart would have it signed."""
    identities, roster = found(NAMES[:3], Stream("founding"), kind)
    assert (roster.kind, roster.epoch, roster.previous) == (kind, 0, b"")
    signed = SignedRoster(Roster(0, b"", roster.members))
    for identity in identities.values():
        signed = sign_roster(signed, identity)
    for identity in identities.values():
        assert check_roster(signed, identity.card) == roster


def test_keys_stand_against_a_quantum_computer_unless_told_otherwise() -> None:
    assert found(NAMES[:3], Stream("founding"))[1].kind == "mlkem768-x25519"
