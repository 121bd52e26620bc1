"""A member's side of secure aggregation, as pure steps over frozen states.

    (nothing) --deal----> Dealt      keys and shares for a turn; the package may leave
    Dealt     --admit---> Admitted   every signature and parameter of a start holds
    Admitted  --mask----> Masked     the masked vector may leave
    Masked    --agree---> Agreed     one list of survivors is signed, ever
    Masked    --reveal--> Revealed   ) one kind of share a participant; then all that was
    Agreed    --reveal--> Revealed   ) secret is gone

There is no other step, and no step is taken twice: a caller keeps the new state durably
before it sends, and sends what it kept when it is asked again. Nobody here reads a clock,
a disk or a random source. Whatever the coordinator sends, a step returns or raises
PeerError (or PrivacyError, below the floor), and then the state is as it was.

Source: Bonawitz et al. (2017), https://eprint.iacr.org/2017/281, Figure 4, active variant,
with one-time keys dealt a turn ahead and every secret bound to the manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from fedcredit.errors import LocalError, PeerError
from fedcredit.secagg.dealing import NO_PAIR, Dealt, SharePair, open_parcel
from fedcredit.secagg.forms import (
    malformed,
)
from fedcredit.secagg.keys import (
    SIGNATURE_BYTES,
    Identity,
    one_time,
    signed_by,
)
from fedcredit.secagg.lanes import card_bytes, read_card
from fedcredit.secagg.masks import Mask, add_masks, pair_mask, self_seed
from fedcredit.secagg.messages import (
    Agreement,
    Receipt,
    Reveal,
    Shares,
    Start,
    Survive,
    Upload,
)
from fedcredit.secagg.packages import (
    PARCEL_BYTES,
    Header,
    Package,
    decode_header,
    header_digest,
    read_parcel,
)
from fedcredit.secagg.session import (
    Asked,
    Floor,
    Manifest,
    Session,
    Turn,
    check_floor,
    decode_manifest,
)
from fedcredit.secagg.shamir import (
    write_shares,
)
from fedcredit.secagg.signed import (
    agreement_digest,
    content_digest,
    receipt_digest,
    shares_digest,
    write_tag,
)
from fedcredit.units import InstitutionId, Ints

__all__ = [
    "Admitted",
    "Agreed",
    "Masked",
    "Revealed",
    "State",
    "admit",
    "agree",
    "mask",
    "reveal",
]


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """A start that holds: nothing has been charged, measured or sent.

    Attributes:
        dealt: the keys that it will use.
        manifest: of the turn.
        context: of the turn.
        masks: the keys of this member's masks, every one of them agreed upon.
        shares: by dealer, that this member holds.
        accused: dealers whose parcel was not what they had committed to.
    """

    dealt: Dealt
    manifest: Manifest
    context: bytes
    masks: tuple[Mask, ...]
    shares: Mapping[InstitutionId, SharePair]
    accused: tuple[InstitutionId, ...]

    def __repr__(self) -> str:
        """Never print a share."""
        return f"Admitted({self.dealt.turn})"


@dataclass(frozen=True, slots=True, eq=False)
class Masked:
    """The masked vector may have left; shares wait for the survivors to be known.

    Attributes:
        turn: the one.
        context: of the turn.
        participants: U1.
        shares: by dealer, in the order of the participants.
    """

    turn: Turn
    context: bytes
    participants: tuple[InstitutionId, ...]
    shares: tuple[SharePair, ...]

    def __repr__(self) -> str:
        """Never print a share."""
        return f"Masked({self.turn})"


@dataclass(frozen=True, slots=True, eq=False)
class Agreed:
    """One list of survivors has been signed, and no other will be.

    Attributes:
        masked: as before.
        survivors: U3.
    """

    masked: Masked
    survivors: tuple[InstitutionId, ...]


@dataclass(frozen=True, slots=True)
class Revealed:
    """The turn is over: nothing secret of it is left.

    Attributes:
        turn: the one.
    """

    turn: Turn


State: TypeAlias = Dealt | Masked | Agreed | Revealed


def admit(
    identity: Identity,
    session: Session,
    floor: Floor,
    dealt: Dealt,
    start: Start,
    asked: Asked,
) -> Admitted:
    """Check a start before anything is charged.

    Guarantee: if this returns, every participant has signed the one-time key that the
    manifest names for it, ours is our own, and every parameter is what we worked out.

    Args:
        identity: ours.
        session: ours.
        floor: ours.
        dealt: our keys for the turn.
        start: what the coordinator sent.
        asked: worked out from the question by ourselves.

    Raises:
        PrivacyError: the session or the ring is below the floor.
        PeerError: anything in it is not as it must be; a key of small order too.
    """
    check_floor(floor, session)
    if asked.ring.bits not in floor.rings or asked.turn != dealt.turn:
        raise PeerError("a start for another turn or ring than ours", remedy="refuse the turn")
    manifest = decode_manifest(start.manifest, session, asked)
    names, kind = manifest.participants, session.roster.kind
    sizes = tuple(map(len, (start.headers, start.signatures, start.parcels, start.cards)))
    expected = (1, SIGNATURE_BYTES, PARCEL_BYTES, card_bytes(kind))
    if identity.name not in names or sizes != tuple(one * len(names) for one in expected):
        raise malformed()
    publics: dict[InstitutionId, bytes] = {}
    shares: dict[InstitutionId, SharePair] = {}
    accused = []
    for at, name in enumerate(names):
        data = start.headers[at]
        header = _checked_header(session, manifest, at, start)
        publics[name] = header.public
        if name == identity.name:
            if data != Package.decode(dealt.package, len(dealt.package)).header:
                raise PeerError("our own keys were replaced", remedy="refuse the turn")
            shares[name] = dealt.own
            continue
        parcel, card = read_parcel(start.parcels, at), read_card(start.cards, at, kind)
        pair = open_parcel(identity, session, (header, data), parcel, card)
        shares[name] = pair
        if pair == NO_PAIR:
            accused.append(name)
    if len(set(publics.values())) != len(names):
        raise PeerError("two participants have one key", remedy="refuse the turn")
    context = manifest.context()
    masks = _masks(identity.name, dealt, context, publics)
    return Admitted(dealt, manifest, context, masks, shares, tuple(accused))


def mask(
    identity: Identity, admitted: Admitted, value: Ints, following: bytes = b""
) -> tuple[Masked, bytes]:
    """Mask a vector; the caller has charged, measured and noised it.

    Guarantee: to whoever does not know the own seed, or one pair's seed, the vector is
    uniform over the ring.

    Args:
        identity: ours.
        admitted: the turn.
        value: int64, shape ``(dim,)``, within the bound that the ring was chosen for.
        following: our package for the turn to come, empty if there is none.

    Returns:
        The state to keep before sending, and the bytes to send.

    Raises:
        LocalError: the vector is of another length than the manifest says.
    """
    dealt, context, asked = admitted.dealt, admitted.context, admitted.manifest.asked
    if value.shape != (asked.dim,):
        raise LocalError(
            f"a vector of {value.size} numbers, the manifest says {asked.dim}",
            remedy="measure the question that was admitted",
        )
    words = asked.ring.wrap(value)
    add_masks(words, admitted.masks, asked.ring)
    vector = asked.ring.pack(words)
    content = content_digest(vector, admitted.accused)
    tag = write_tag(asked.ring.checksum(words), admitted.accused)
    signature = identity.sign(receipt_digest(context, identity.name, content, tag))
    receipt = Receipt(content, tag, signature)
    upload = Upload(context, vector, admitted.accused, receipt, following)
    names = admitted.manifest.participants
    state = Masked(dealt.turn, context, names, tuple(admitted.shares[name] for name in names))
    return state, upload.encode()


def agree(
    identity: Identity, session: Session, state: Masked, message: Survive
) -> tuple[Agreed, bytes]:
    """Sign one list of survivors.

    Guarantee: at most one list is signed in a turn, and only one in which every member
    has signed that it uploaded for this very context. With t above (n + c) / 2 no second
    list can gather t signatures.

    Returns:
        The state to keep before sending, and the bytes to send.

    Raises:
        PeerError: the list is not one that may be signed.
    """
    _check_survivors(session, identity.name, state, message.context, message.survivors)
    if len(message.receipts) != len(message.survivors):
        raise malformed()
    for name, receipt in zip(message.survivors, message.receipts, strict=True):
        signed = receipt_digest(state.context, name, receipt.content, receipt.tag)
        if not signed_by(session.roster.member(name), receipt.signature, signed):
            raise PeerError(
                f"{name!r} is listed as a survivor without having uploaded for our manifest",
                remedy="sign nothing; the coordinator showed members different turns",
            )
    signature = identity.sign(agreement_digest(state.context, message.survivors))
    return Agreed(state, message.survivors), Agreement(signature).encode()


def reveal(
    identity: Identity, session: Session, state: Masked | Agreed, message: Reveal
) -> tuple[Revealed, bytes]:
    """Give up what hides the sum of the survivors, and nothing else.

    Guarantee: of each participant one kind of share at most: of b if it survived, of k if
    not. Only for a list that at least t members have signed, and only once.

    Returns:
        The state to keep before sending, in which nothing is secret, and the bytes to send.

    Raises:
        PeerError: the list is not the one that we signed, or too few others did.
    """
    masked = state.masked if isinstance(state, Agreed) else state
    _check_survivors(session, identity.name, masked, message.context, message.survivors)
    if isinstance(state, Agreed) and message.survivors != state.survivors:
        raise PeerError(
            "shares are asked for other survivors than we signed",
            remedy="reveal nothing; the coordinator shows members different lists",
        )
    if (
        len(message.signers) != len(message.signatures)
        or len(message.signers) < session.threshold
        or not set(message.signers) <= set(message.survivors)
    ):
        raise PeerError(
            f"{len(message.signers)} signatures of survivors, expected {session.threshold} or more",
            remedy="reveal nothing",
        )
    signed = agreement_digest(masked.context, message.survivors)
    for name, signature in zip(message.signers, message.signatures, strict=True):
        if not signed_by(session.roster.member(name), signature, signed):
            raise PeerError(f"{name!r} has not signed these survivors", remedy="reveal nothing")
    alive = set(message.survivors)
    held = list(zip(masked.participants, masked.shares, strict=True))
    blinds = write_shares([pair[0] for name, pair in held if name in alive])
    secrets = write_shares([pair[1] for name, pair in held if name not in alive])
    signature = identity.sign(shares_digest(masked.context, identity.name, blinds, secrets))
    return Revealed(masked.turn), Shares(blinds, secrets, signature).encode()


def _masks(
    name: InstitutionId, dealt: Dealt, context: bytes, publics: Mapping[InstitutionId, bytes]
) -> tuple[Mask, ...]:
    """The keys of all masks of a member: its own, and one for each other participant."""
    me, secret = (name, publics[name]), one_time(dealt.secret)
    own: Mask = self_seed(dealt.blind, context, name), 1
    pairs = [
        pair_mask(secret, context, me, (other, public))
        for other, public in publics.items()
        if other != name
    ]
    return (own, *pairs)


def _checked_header(session: Session, manifest: Manifest, at: int, start: Start) -> Header:
    """One participant's header: named by the manifest, of this turn, and signed."""
    data, name = start.headers[at], manifest.participants[at]
    signature = start.signatures[SIGNATURE_BYTES * at : SIGNATURE_BYTES * (at + 1)]
    header = decode_header(data)
    if header_digest(data) != manifest.packages[at]:
        raise PeerError(f"the package of {name!r} is not the manifest's", remedy="refuse the turn")
    if (header.session, header.turn, header.name) != (
        manifest.session,
        manifest.asked.turn,
        name,
    ):
        raise PeerError(
            f"the package of {name!r} is for another session or turn", remedy="refuse the turn"
        )
    if not signed_by(session.roster.member(name), signature, header_digest(data)):
        raise PeerError(
            f"the package of {name!r} is not signed by the key in the roster",
            remedy="refuse the turn; somebody put a key of theirs in its place",
        )
    return header


def _check_survivors(
    session: Session,
    me: InstitutionId,
    state: Masked,
    context: bytes,
    survivors: tuple[InstitutionId, ...],
) -> None:
    """A list that this member could agree to."""
    if context != state.context:
        raise PeerError("a message for another turn or manifest than ours", remedy="drop it")
    if (
        me not in survivors
        or not set(survivors) <= set(state.participants)
        or len(survivors) < session.threshold
    ):
        raise PeerError(
            f"a list of {len(survivors)} survivors that is not ours to sign: expected "
            f"{session.threshold} or more participants, and ourselves",
            remedy="sign and reveal nothing",
        )
