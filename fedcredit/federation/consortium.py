"""A consortium whose members are all on this machine: keys for a simulation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fedcredit.secagg.keys import Identity, Kind, new_identity
from fedcredit.secagg.roster import Roster, SignedRoster, check_roster, sign_roster
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.units import InstitutionId

__all__ = ["found"]


def found(
    names: Iterable[InstitutionId], random: RandomBytes, kind: Kind = "mlkem768-x25519"
) -> tuple[Mapping[InstitutionId, Identity], Roster]:
    """Draw keys for every member, and a roster that all of them have signed.

    Args:
        names: of the members, in any order.
        random: secret bytes.
        kind: how shares are sealed.

    Returns:
        Each member's keys, and the roster, checked as each member would.
    """
    identities = {name: new_identity(name, random, kind) for name in sorted(names)}
    signed = SignedRoster(Roster(0, b"", tuple(one.card for one in identities.values())))
    for identity in identities.values():
        signed = sign_roster(signed, identity)
    for identity in identities.values():
        check_roster(signed, identity.card)
    return identities, signed.roster
