"""All that a coordinator and its coalition can bring members to sign and to reveal.

Members of the coalition sign and reveal for as many lists as they like; every other member
does so once. A set of members is a number whose bits are their places in the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import numpy as np

from fedcredit.errors import PeerError
from fedcredit.secagg.client import Masked
from fedcredit.secagg.keys import public_of
from fedcredit.secagg.messages import (
    Agreement,
    Reveal,
    Upload,
    encode_request,
)
from fedcredit.secagg.packages import (
    blind_digest,
    decode_header,
)
from fedcredit.secagg.shamir import combine, weights_at_zero
from fedcredit.units import InstitutionId
from tests.adversaries.laid_open import shares_of, survive, unmasked
from tests.adversaries.secagg_made import (
    MOST_BYTES,
    TURN,
    Names,
    World,
    answered,
    package_in,
    publics_of,
)

Shares = dict[InstitutionId, tuple[int, int]]


def subsets(of: int) -> Iterator[int]:
    """Every part of a set, from the whole down to nothing."""
    part = of
    while True:
        yield part
        if not part:
            return
        part = (part - 1) & of


@dataclass
class Turn:
    """A turn in which every list of survivors has been put to every member.

    Attributes:
        signers: by list, the members that sign it when it is the first they see.
        revealed: by list, what each of them then reveals.
        own: by member, the shares of b and k that it holds of everybody.
    """

    world: World
    packages: dict[InstitutionId, bytes]
    uploads: dict[InstitutionId, bytes]
    signers: dict[int, int] = field(default_factory=dict)
    revealed: dict[int, dict[int, Shares]] = field(default_factory=dict)
    own: list[dict[InstitutionId, tuple[int, int]]] = field(default_factory=list)

    @property
    def names(self) -> Names:
        return self.world.names

    def set_of(self, names: Names) -> int:
        return sum(1 << self.names.index(name) for name in names)


def turn_of(w: World) -> Turn:
    """Let everybody upload, then put every list to everybody; each time from the same vault."""
    packages = w.packages()
    manifest, starts = w.hand_out(packages, w.asked)
    context = manifest.context()
    turn = Turn(w, packages, {n: b.upload(starts[n], w.asked) for n, b in w.banks.items()})
    vaults = {name: bank.kept for name, bank in w.banks.items()}
    for bank in w.banks.values():
        state = bank.holding().states[TURN]
        assert isinstance(state, Masked)
        turn.own.append(dict(zip(state.participants, state.shares, strict=True)))
    for size in range(w.session.threshold - 1, len(w.names) + 1):
        for listed in combinations(w.names, size):
            message = survive(context, {name: turn.uploads[name] for name in listed})
            signatures = {}
            for name, bank in w.banks.items():
                if answered(lambda b=bank, m=message: b.agree(m), bank):  # type: ignore[misc]
                    signatures[name] = Agreement.decode(bank.sent[-1]).signature
            who = turn.set_of(tuple(signatures))
            signers = tuple(signatures)[: w.session.threshold]
            ask = encode_request(
                Reveal(context, listed, signers, tuple(signatures[name] for name in signers))
            )
            shares = {}
            for at, bank in enumerate(w.banks.values()):
                if answered(lambda b=bank, m=ask: b.reveal(m), bank):  # type: ignore[misc]
                    shares[at] = shares_of(bank.sent[-1], listed, w.names)
                bank.kept = vaults[bank.name]
            if who:
                turn.signers[turn.set_of(listed)] = who
                turn.revealed[turn.set_of(listed)] = shares
    return turn


def two_lists_are_signed(turn: Turn, coalition: int) -> bool:
    """Whether t signatures can be had on two lists, however the others are divided."""
    t, everybody = turn.world.session.threshold, (1 << len(turn.names)) - 1
    honest = everybody & ~coalition
    for one, two in combinations(turn.signers.values(), 2):
        for side in subsets(honest):
            here, there = side | coalition, honest & ~side | coalition
            if (one & here).bit_count() >= t and (two & there).bit_count() >= t:
                return True
    return False


def somebody_is_read(turn: Turn, coalition: int) -> bool:
    """Whether the numbers of one member outside the coalition can be worked out."""
    honest = ((1 << len(turn.names)) - 1) & ~coalition
    return any(_read(turn, coalition, at) for at in range(len(turn.names)) if honest & (1 << at))


def _read(turn: Turn, coalition: int, at: int) -> bool:
    """Every list with the victim, every one without, and every way to divide the others."""
    w, victim = turn.world, turn.names[at]
    t, honest = w.session.threshold, ((1 << len(turn.names)) - 1) & ~coalition
    header = decode_header(package_in(turn.packages[victim]).header)
    publics = publics_of(turn.packages)

    @cache
    def secret(kind: int, holders: int) -> bytes:
        """What these holders' shares stand for, few or many as they are."""
        places = [i for i in range(len(turn.names)) if holders & (1 << i)]
        try:
            return combine(
                weights_at_zero([i + 1 for i in places]),
                [turn.own[i][victim][kind] for i in places],
            )
        except PeerError:
            return bytes(32)

    def holders(kind: int, listed: int, side: int) -> int:
        """Who gives a share of this kind: the coalition, and whoever is brought to reveal it."""
        if (turn.signers.get(listed, 0) & (side | coalition)).bit_count() < t:
            return coalition
        found = coalition
        for place, shares in turn.revealed[listed].items():
            if side & (1 << place) and shares[victim] == (kind, turn.own[place][victim][kind]):
                found |= 1 << place
        return found

    tried = set()
    lists = [0, *turn.signers]
    for listed in (one for one in lists if one & (1 << at)):
        for other in (one for one in lists if not one & (1 << at)):
            for side in subsets(honest):
                both = holders(0, listed, side), holders(1, other, honest & ~side)
                if both in tried:
                    continue
                tried.add(both)
                blind, key = secret(0, both[0]), secret(1, both[1])
                if blind_digest(blind) == header.blind and public_of(key) == header.public:
                    upload = Upload.decode(turn.uploads[victim], MOST_BYTES)
                    read = unmasked(upload, w.asked, victim, publics, (blind, key))
                    return np.array_equal(read, w.banks[victim].value)
    return False
