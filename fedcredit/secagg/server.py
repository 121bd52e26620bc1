"""The coordinator's side of secure aggregation, as pure steps over frozen states.

    Gathering  --a package--->  Gathering
    Gathering  --start------->  Collecting + a Start for each participant
    Collecting --an upload--->  Collecting
    Collecting --close------->  Agreeing + Survive    (threshold or more)
    Agreeing   --a signature->  Agreeing              (then see `opening`)
    any        --too few----->  Aborted               (with whom it was the fault of)

A wrong message is a PeerError and leaves the state as it was. What an aborted turn leaves
behind is masked vectors and no key to them; it is never gone on with.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import numpy as np

from fedcredit.errors import PeerError
from fedcredit.secagg.keys import check_point, signed_by
from fedcredit.secagg.lanes import Cards, card_bytes
from fedcredit.secagg.masks import add_vectors
from fedcredit.secagg.messages import (
    Agreement,
    Start,
    Survive,
    Upload,
    encode_request,
    encode_start,
)
from fedcredit.secagg.packages import (
    PARCEL_BYTES,
    Header,
    Package,
    Prepared,
    decode_header,
    header_digest,
)
from fedcredit.secagg.ring import Ring, Words
from fedcredit.secagg.session import Asked, Manifest, Session, Turn, encode_manifest
from fedcredit.secagg.signed import (
    agreement_digest,
    read_tag,
    receipt_digest,
)
from fedcredit.units import InstitutionId

__all__ = [
    "Aborted",
    "Agreeing",
    "Collecting",
    "Gathering",
    "close",
    "only",
    "receive_agreement",
    "receive_following",
    "receive_package",
    "receive_upload",
    "start",
    "unaltered",
]

_PACKAGE_ENVELOPE_BYTES: Final = 4096
_LONGEST_NAME_BYTES: Final = 128


@dataclass(frozen=True, slots=True, eq=False)
class _Dealing:
    """A package that was taken, with its header read."""

    package: Package
    header: Header

    def __repr__(self) -> str:
        """Print no share."""
        return f"_Dealing({self.header.name!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Gathering:
    """A turn that waits for packages.

    Attributes:
        session: of the study.
        turn: the one.
        packages: so far, by dealer.
        cards: of all dealers that have ever sent theirs in the session.
    """

    session: Session
    turn: Turn
    packages: Mapping[InstitutionId, _Dealing] = field(default_factory=lambda: MappingProxyType({}))
    cards: Mapping[InstitutionId, Cards] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Collecting:
    """A turn that waits for masked vectors.

    Attributes:
        gathering: whose packages are used.
        manifest: of the turn.
        context: of the turn.
        uploads: so far, by sender.
    """

    gathering: Gathering
    manifest: Manifest
    context: bytes
    uploads: Mapping[InstitutionId, Upload] = field(default_factory=lambda: MappingProxyType({}))

    def __repr__(self) -> str:
        """Print neither vectors nor shares nor a sum."""
        return f"Collecting({self.manifest.asked.turn}, {len(self.uploads)} uploads)"


@dataclass(frozen=True, slots=True, eq=False)
class Agreeing:
    """The survivors are fixed; they are to sign that they all see the same list.

    Attributes:
        collecting: what was collected; the vectors themselves are gone.
        survivors: U3, by rising name.
        signed: what each of them is to sign, see `agreement_digest`.
        masked: the sum of their vectors.
        signatures: so far, by signer.
    """

    collecting: Collecting
    survivors: tuple[InstitutionId, ...]
    signed: bytes
    masked: Words
    signatures: Mapping[InstitutionId, bytes] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def enough(self) -> bool:
        """Whether shares may be asked for."""
        return len(self.signatures) >= self.collecting.gathering.session.threshold

    def __repr__(self) -> str:
        """Print no sum, masked or not."""
        return f"Agreeing({len(self.survivors)} survivors, {len(self.signatures)} signatures)"


@dataclass(frozen=True, slots=True)
class Aborted:
    """The turn is over without a sum.

    Attributes:
        why: for people; public.
        blamed: dealers whose fault it was; the next turn goes on without them.
    """

    why: str
    blamed: tuple[InstitutionId, ...] = ()


def receive_package(state: Gathering, sender: InstitutionId, data: bytes) -> Gathering:
    """Take one member's answer to `Prepare`: its package, and the cards for it.

    Raises:
        PeerError: it is none, or not of this member for this turn, or its key could not
            be used; the state is unchanged.
    """
    members = len(state.session.members)
    size = card_bytes(state.session.roster.kind) * members
    limit = size + PARCEL_BYTES * members + 2 * _PACKAGE_ENVELOPE_BYTES
    prepared = Prepared.decode(data, limit)
    if len(prepared.cards) != size:
        raise PeerError(f"{sender!r} sent too few cards or too many", remedy="drop the message")
    return _taken(state, sender, prepared.package, prepared.cards)


def receive_following(state: Gathering, sender: InstitutionId, data: bytes) -> Gathering:
    """Take one member's package that rode along with an upload, for which we have the cards.

    Raises:
        PeerError: see `receive_package`; or its cards are not here.
    """
    return _taken(state, sender, data, None)


def _taken(state: Gathering, sender: InstitutionId, data: bytes, cards: bytes | None) -> Gathering:
    """Take a package, with the cards that came with it, if any did."""
    session = state.session
    if sender not in session.members:
        raise PeerError(f"{sender!r} is not in the session", remedy="drop the message")
    size = PARCEL_BYTES * len(session.members)
    package = Package.decode(data, size + _PACKAGE_ENVELOPE_BYTES)
    header = decode_header(package.header)
    named = header.session, header.turn, header.name
    if named != (session.digest(), state.turn, sender) or len(package.parcels) != size:
        raise PeerError(
            f"{sender!r} sent a package for another session, turn or member",
            remedy="drop the message; it may be late",
        )
    member = session.roster.member(sender)
    if not signed_by(member, package.signature, header_digest(package.header)):
        raise PeerError(f"{sender!r} has not signed its package", remedy="drop the message")
    if cards is not None:
        known = {**state.cards, sender: Cards(header.epoch, cards)}
    elif sender in state.cards and state.cards[sender].epoch == header.epoch:
        known = {**state.cards}
    else:
        raise PeerError(
            f"{sender!r} names cards that it has not sent", remedy="ask it for a package"
        )
    check_point(header.public)
    if sender in state.packages:
        raise PeerError(f"{sender!r} has already answered", remedy="keep the first answer")
    taken = {**state.packages, sender: _Dealing(package, header)}
    return replace(state, packages=MappingProxyType(taken), cards=MappingProxyType(known))


def start(
    state: Gathering, asked: Asked
) -> tuple[Collecting, Mapping[InstitutionId, bytes]] | Aborted:
    """Begin the turn with the packages that there are.

    Args:
        state: enough packages.
        asked: what is summed.

    Returns:
        The next state and the bytes for each participant; or the end.
    """
    session = state.session
    names = tuple(sorted(state.packages))
    if len(names) < session.threshold:
        return Aborted(f"{len(names)} packages, the threshold is {session.threshold}")
    packages = [state.packages[name].package for name in names]
    manifest = Manifest(
        session=session.digest(),
        asked=asked,
        participants=names,
        packages=tuple(header_digest(package.header) for package in packages),
    )
    size, card = PARCEL_BYTES, card_bytes(session.roster.kind)
    written = encode_manifest(manifest)
    headers = tuple(package.header for package in packages)
    signatures = b"".join(package.signature for package in packages)
    common = Start(written, asked.question, headers, signatures, b"", b"").common()
    messages = {}
    for name in names:
        point = session.point(name)
        mine, its = slice(size * (point - 1), size * point), slice(card * (point - 1), card * point)
        parcels = b"".join(package.parcels[mine] for package in packages)
        cards = b"".join(state.cards[dealer].sealed[its] for dealer in names)
        messages[name] = encode_start(common, parcels, cards)
    return Collecting(state, manifest, manifest.context()), messages


def receive_upload(state: Collecting, sender: InstitutionId, data: bytes) -> Collecting:
    """Take one participant's masked vector.

    Raises:
        PeerError: it is none, or not of this participant for this turn; the state is
            unchanged. Whether it was altered on its way is seen in `close`.
    """
    session, asked = state.gathering.session, state.manifest.asked
    if sender not in state.manifest.participants:
        raise PeerError(f"{sender!r} takes no part in the turn", remedy="drop the message")
    if sender in state.uploads:
        raise PeerError(f"{sender!r} has already answered", remedy="keep the first answer")
    packed = asked.ring.packed_bytes(asked.dim)
    package = PARCEL_BYTES * len(session.members)
    names = _LONGEST_NAME_BYTES * len(session.members)
    upload = Upload.decode(data, packed + package + names + 3 * _PACKAGE_ENVELOPE_BYTES)
    receipt = upload.receipt
    signed = receipt_digest(state.context, sender, receipt.content, receipt.tag)
    if upload.context != state.context or not signed_by(
        session.roster.member(sender), receipt.signature, signed
    ):
        raise PeerError(
            f"{sender!r} answered another question than that of this turn",
            remedy="drop the message; it may be late",
        )
    if len(upload.vector) != packed:
        raise PeerError(f"{sender!r} sent a vector of another length", remedy="drop the message")
    taken = {**state.uploads, sender: upload}
    return replace(state, uploads=MappingProxyType(taken))


def close(state: Collecting) -> tuple[Agreeing, bytes] | Aborted:
    """Fix the survivors and add up what they sent, or end the turn with nothing revealed.

    Guarantee: an upload that was altered on its way is not in the sum, and its sender no
    survivor, as if it had not answered.
    """
    session, ring = state.gathering.session, state.manifest.asked.ring
    survivors = tuple(sorted(state.uploads))
    if len(survivors) < session.threshold:
        return Aborted(
            f"{len(survivors)} of {len(state.manifest.participants)} uploads, "
            f"the threshold is {session.threshold}"
        )
    masked = np.zeros(state.manifest.asked.dim, dtype=ring.word)
    add_vectors(masked, [state.uploads[name].vector for name in survivors], ring)
    if not _as_signed(masked, state.uploads.values(), ring):
        return close(unaltered(state))
    masked.flags.writeable = False
    accusers = {  # of uploads as they were signed: an altered accusation blames nobody
        dealer: [one for one in survivors if dealer in state.uploads[one].accused]
        for dealer in state.manifest.participants
    }
    lost = [
        dealer
        for dealer, against in accusers.items()
        if len(survivors) - len(against) < session.threshold
    ]
    if lost:
        # Of more than c accusers one at least is honest; of fewer nobody can say who lies.
        blamed = tuple(one for one in lost if len(accusers[one]) > session.colluders)
        words = "; ".join(f"{one!r} is accused by {', '.join(accusers[one])}" for one in lost)
        return Aborted(f"a dealer's shares reached too few members: {words}", blamed)
    receipts = tuple(state.uploads[name].receipt for name in survivors)
    message = Survive(state.context, survivors, receipts)
    signed = agreement_digest(state.context, survivors)
    light = {name: replace(upload, vector=b"") for name, upload in state.uploads.items()}
    state = replace(state, uploads=MappingProxyType(light))
    return Agreeing(state, survivors, signed, masked), encode_request(message)


def only(state: Collecting, names: Collection[InstitutionId]) -> Collecting:
    """With the uploads of these members alone."""
    kept = {name: upload for name, upload in state.uploads.items() if name in names}
    return replace(state, uploads=MappingProxyType(kept))


def unaltered(state: Collecting) -> Collecting:
    """Without the uploads that are not what their senders have signed; slower than a sum."""
    asked = state.manifest.asked
    kept = {
        name: upload
        for name, upload in state.uploads.items()
        if _as_signed(asked.ring.unpack(upload.vector, asked.dim), [upload], asked.ring)
    }
    return replace(state, uploads=MappingProxyType(kept))


def _as_signed(words: Words, uploads: Collection[Upload], ring: Ring) -> bool:
    """Whether a sum of vectors has the checksum that their senders have signed."""
    tags = [read_tag(upload.receipt.tag, upload.accused) for upload in uploads]
    sums = tuple(sum(column) % (1 << ring.bits) for column in zip(*tags, strict=True))
    return ring.checksum(words) == sums


def receive_agreement(state: Agreeing, sender: InstitutionId, data: bytes) -> Agreeing:
    """Take one survivor's signature.

    Raises:
        PeerError: it is not the sender's under our list; the state is unchanged.
    """
    session = state.collecting.gathering.session
    if sender not in state.survivors:
        raise PeerError(f"{sender!r} is no survivor", remedy="drop the message")
    if sender in state.signatures:
        raise PeerError(f"{sender!r} has already answered", remedy="keep the first answer")
    signature = Agreement.decode(data).signature
    if not signed_by(session.roster.member(sender), signature, state.signed):
        raise PeerError(f"{sender!r} has signed other survivors", remedy="drop the message")
    both = {**state.signatures, sender: signature}
    return replace(state, signatures=MappingProxyType(both))
