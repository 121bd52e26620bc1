"""What a coordinator can make of what it is sent: forged requests, and numbers laid open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

from fedcredit.errors import PeerError
from fedcredit.secagg.masks import add_masks, pair_mask, self_seed
from fedcredit.secagg.messages import (
    Receipt,
    Reveal,
    Shares,
    Survive,
    Upload,
    encode_request,
)
from fedcredit.secagg.session import Asked, Session
from fedcredit.secagg.shamir import SHARE_BYTES, combine, weights_at_zero
from fedcredit.units import InstitutionId
from tests.adversaries.secagg_made import MOST_BYTES, NO_SIGNATURE, Names


def survive(context: bytes, uploads: Mapping[InstitutionId, bytes]) -> bytes:
    """A list of survivors; whoever has not uploaded gets a receipt that nobody signed."""
    receipts = tuple(
        Upload.decode(data, MOST_BYTES).receipt
        if data
        else Receipt(bytes(32), bytes(16), NO_SIGNATURE)
        for data in uploads.values()
    )
    return encode_request(Survive(context, tuple(uploads), receipts))


def forged_reveal(context: bytes, survivors: Names, threshold: int) -> bytes:
    """A request for shares under signatures that nobody made."""
    signers = survivors[:threshold]
    return encode_request(Reveal(context, survivors, signers, (NO_SIGNATURE,) * len(signers)))


def shares_of(data: bytes, survivors: Names, names: Names) -> dict[InstitutionId, tuple[int, int]]:
    """By participant: which kind of share was revealed (0 of b, 1 of k), and the share."""
    message = Shares.decode(data)
    lost = tuple(name for name in names if name not in survivors)
    found = {}
    for kind, whose, text in ((0, survivors, message.blinds), (1, lost, message.secrets)):
        for at, name in enumerate(whose):
            piece = text[SHARE_BYTES * at : SHARE_BYTES * (at + 1)]
            found[name] = kind, int.from_bytes(piece, "big")
    return found


def recovered(session: Session, shares: Mapping[InstitutionId, int]) -> Iterator[bytes]:
    """Every secret that t of these shares could stand for."""
    for holders in combinations(sorted(shares), session.threshold):
        weights = weights_at_zero([session.point(one) for one in holders])
        try:
            yield combine(weights, [shares[one] for one in holders])
        except PeerError:
            continue


def unmasked(
    upload: Upload,
    asked: Asked,
    victim: InstitutionId,
    publics: Mapping[InstitutionId, bytes],
    secrets: tuple[bytes, bytes],
) -> list[int]:
    """A single member's numbers, for whoever knows its b and its k."""
    blind, secret = secrets
    me = victim, publics[victim]
    masks = [(self_seed(blind, upload.context, victim), -1)]
    for name, public in publics.items():
        if name != victim:
            seed, sign = pair_mask(secret, upload.context, me, (name, public))
            masks.append((seed, -sign))
    words = asked.ring.unpack(upload.vector, asked.dim).copy()
    add_masks(words, masks, asked.ring)  # type: ignore[arg-type]
    return [int(x) for x in asked.ring.centre(words)]
