"""Opening: shares come in, the masks come off the sum of the survivors, and liars are named.

    Agreeing --ask_shares-->  Opening + Reveal   (threshold or more have signed)
    Opening  --shares------>  Opening
    Opening  --open_sum---->  Opened
                              | Opening          (a holder lied: more shares are wanted)
                              | Aborted          (a dealer did: it is named)

Whether a share is the one that was dealt is looked at only when the sum does not open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from fedcredit.errors import PeerError
from fedcredit.secagg.keys import one_time, public_of, signed_by
from fedcredit.secagg.masks import Mask, add_masks, pair_mask, self_seed
from fedcredit.secagg.messages import Reveal, Shares, encode_request
from fedcredit.secagg.packages import blind_digest, commitment, read_parcel
from fedcredit.secagg.server import Aborted, Agreeing
from fedcredit.secagg.shamir import combine, read_shares, weights_at_zero, write_shares
from fedcredit.secagg.signed import shares_digest
from fedcredit.units import InstitutionId, Ints

__all__ = ["Opened", "Opening", "ask_shares", "open_sum", "receive_shares"]


@dataclass(frozen=True, slots=True, eq=False)
class Opening:
    """Enough have signed; shares come in.

    Attributes:
        agreeing: what was agreed.
        shares: so far, by holder: of the survivors' b, then of the others' k.
        liars: holders whose shares were not what they had been dealt.
    """

    agreeing: Agreeing
    shares: Mapping[InstitutionId, tuple[tuple[int, ...], tuple[int, ...]]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    liars: tuple[InstitutionId, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether opening may be tried."""
        return len(self.shares) >= self.agreeing.collecting.gathering.session.threshold

    def __repr__(self) -> str:
        """Print no share."""
        return f"Opening({len(self.shares)} holders)"


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """The sum, and nothing else.

    Attributes:
        total: int64, shape ``(dim,)``.
        survivors: whose numbers are in it.
        liars: holders whose shares were false; the sum is right all the same.
    """

    total: Ints
    survivors: tuple[InstitutionId, ...]
    liars: tuple[InstitutionId, ...]

    def __repr__(self) -> str:
        """Print neither vectors nor shares nor a sum."""
        return f"Opened({len(self.survivors)} survivors)"


def ask_shares(state: Agreeing) -> tuple[Opening, bytes] | Aborted:
    """Ask for shares, or end the turn with nothing revealed."""
    if not state.enough:
        return Aborted(f"{len(state.signatures)} survivors have signed, too few")
    signers = tuple(sorted(state.signatures))[: state.collecting.gathering.session.threshold]
    message = Reveal(
        state.collecting.context,
        state.survivors,
        signers,
        tuple(state.signatures[name] for name in signers),
    )
    return Opening(state), encode_request(message)


def receive_shares(state: Opening, sender: InstitutionId, data: bytes) -> Opening:
    """Take one survivor's shares; whether they are true is seen when they are used.

    Raises:
        PeerError: they are none, or not signed by the sender; the state is unchanged.
    """
    agreeing = state.agreeing
    collecting = agreeing.collecting
    if sender not in agreeing.survivors:
        raise PeerError(f"{sender!r} is no survivor", remedy="drop the message")
    if sender in state.shares or sender in state.liars:
        raise PeerError(f"{sender!r} has already answered", remedy="keep the first answer")
    message = Shares.decode(data)
    lost = len(collecting.manifest.participants) - len(agreeing.survivors)
    blinds = read_shares(message.blinds, len(agreeing.survivors))
    secrets = read_shares(message.secrets, lost)
    member = collecting.gathering.session.roster.member(sender)
    signed = shares_digest(collecting.context, sender, message.blinds, message.secrets)
    if not signed_by(member, message.signature, signed):
        raise PeerError(f"{sender!r} has not signed its shares", remedy="drop the message")
    both = {**state.shares, sender: (blinds, secrets)}
    return replace(state, shares=MappingProxyType(both))


def open_sum(state: Opening) -> Opened | Opening | Aborted:
    """Take the masks off the sum.

    Guarantee: the total is exactly the sum of the survivors' integers, in the ring, if
    every survivor masked as the protocol says; no single member's mask is taken off.

    Returns:
        The sum; or the state without the shares of holders that lied, for more to come;
        or the end, when a dealer's shares do not give back what it had committed to.
    """
    collecting = state.agreeing.collecting
    seeds = _recover(state)
    if not isinstance(seeds, dict):
        return seeds
    packages, context = collecting.gathering.packages, collecting.context
    publics = {name: packages[name].header.public for name in collecting.manifest.participants}
    masks: list[Mask] = []
    for name, seed in seeds.items():
        if name in collecting.uploads:
            masks.append((self_seed(seed, context, name), -1))
            continue
        me, secret = (name, publics[name]), one_time(seed)
        masks += [  # what the lost one would have added itself
            pair_mask(secret, context, me, (other, publics[other]))
            for other in state.agreeing.survivors
        ]
    asked = collecting.manifest.asked
    words = state.agreeing.masked.copy()
    add_masks(words, masks, asked.ring)
    total = asked.ring.centre(words)
    total.flags.writeable = False
    return Opened(total, state.agreeing.survivors, state.liars)


def _recover(state: Opening) -> dict[InstitutionId, bytes] | Opening | Aborted:
    """Each survivor's b and each other participant's k, checked against its header."""
    collecting = state.agreeing.collecting
    session = collecting.gathering.session
    alive = state.agreeing.survivors
    lost = tuple(one for one in collecting.manifest.participants if one not in alive)
    weights: dict[tuple[InstitutionId, ...], tuple[int, ...]] = {}
    seeds: dict[InstitutionId, bytes] = {}
    blamed: list[InstitutionId] = []
    ready = [(one, collecting.uploads[one].accused) for one in sorted(state.shares)]
    for kind, dealers in ((0, alive), (1, lost)):
        for at, dealer in enumerate(dealers):
            holders = _holders(ready, dealer, session.threshold)
            if len(holders) < session.threshold:
                if blamed:
                    break
                return state
            if holders not in weights:
                weights[holders] = weights_at_zero([session.point(one) for one in holders])
            header = collecting.gathering.packages[dealer].header
            try:
                seed = combine(weights[holders], [state.shares[one][kind][at] for one in holders])
            except PeerError:
                seed = bytes(32)
            fits = public_of(seed) == header.public if kind else blind_digest(seed) == header.blind
            if fits:
                seeds[dealer] = seed
                continue
            liars = [one for one in holders if not _true_share(state, kind, at, dealer, one)]
            if liars:
                honest = {k: v for k, v in state.shares.items() if k not in liars}
                return replace(
                    state,
                    shares=MappingProxyType(honest),
                    liars=tuple(sorted({*state.liars, *liars})),
                )
            blamed.append(dealer)
    if blamed:
        return Aborted("a dealer's shares do not give back its keys", tuple(blamed))
    return seeds


def _holders(
    ready: Sequence[tuple[InstitutionId, tuple[InstitutionId, ...]]],
    dealer: InstitutionId,
    threshold: int,
) -> tuple[InstitutionId, ...]:
    """The first t of those who have revealed, each with whom it accuses, but not the dealer."""
    return tuple([one for one, accused in ready if dealer not in accused][:threshold])


def _true_share(
    state: Opening, kind: int, at: int, dealer: InstitutionId, holder: InstitutionId
) -> bool:
    """Whether a revealed share is the one that its dealer had committed to."""
    gathering = state.agreeing.collecting.gathering
    package = gathering.packages[dealer].package
    parcel = read_parcel(package.parcels, gathering.session.point(holder) - 1)
    share = write_shares([state.shares[holder][kind][at]])
    name = ("blind", "secret")[kind]
    return commitment(name, package.header, holder, share) == (
        parcel.secret if kind else parcel.blind
    )
