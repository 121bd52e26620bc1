"""What a hostile coordinator tries, each as a function that answers whether it has won."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from fedcredit.codec import digest
from fedcredit.secagg.client import admit
from fedcredit.secagg.forms import cut
from fedcredit.secagg.keys import lock, new_identity, seal
from fedcredit.secagg.lanes import card_bytes, new_lanes
from fedcredit.secagg.masks import add_masks, pair_mask, self_seed
from fedcredit.secagg.messages import (
    Agreement,
    Receipt,
    Reveal,
    Start,
    Upload,
    decode_request,
    encode_request,
)
from fedcredit.secagg.packages import (
    PARCEL_BYTES,
    Prepared,
    decode_header,
    header_digest,
    read_parcel,
)
from fedcredit.secagg.roster import Roster, SignedRoster, check_roster, sign_roster
from fedcredit.secagg.session import Asked, Floor, Manifest
from fedcredit.secagg.signed import (
    content_digest,
    receipt_digest,
    write_tag,
)
from fedcredit.units import InstitutionId
from tests.adversaries.laid_open import forged_reveal, recovered, shares_of, survive
from tests.adversaries.secagg_made import (
    MOST_BYTES,
    TURN,
    Bank,
    Stream,
    World,
    answered,
    asked_of,
    impostor,
    package_in,
    publics_of,
    world,
)

Attack = Callable[[World], bool]

OTHER_TURN: Final = (0, 1)


def first(w: World) -> Bank:
    return w.banks[w.names[0]]


def started(w: World, packages: Mapping[InstitutionId, bytes], asked: Asked | None = None) -> bool:
    """Whether the first member answers a start with these packages."""
    _, starts = w.hand_out(packages, asked or w.asked)
    bank = first(w)
    return answered(lambda: bank.upload(starts[bank.name], w.asked), bank)


def uploaded(w: World) -> tuple[bytes, dict[InstitutionId, bytes]]:
    """An honest turn up to the uploads: its context, and what each member sent."""
    manifest, starts = w.hand_out(w.packages(), w.asked)
    return manifest.context(), {n: b.upload(starts[n], w.asked) for n, b in w.banks.items()}


def requests_of_a_turn(w: World) -> dict[InstitutionId, dict[str, bytes]]:
    """What an honest coordinator sends to each member, by step; all still wait for the first."""
    manifest, starts = w.hand_out(w.packages(), w.asked)
    before = {name: bank.kept for name, bank in w.banks.items()}
    uploads = {name: bank.upload(starts[name], w.asked) for name, bank in w.banks.items()}
    message = survive(manifest.context(), uploads)
    signatures = [Agreement.decode(bank.agree(message)).signature for bank in w.banks.values()]
    for name, bank in w.banks.items():
        bank.kept = before[name]
    last = encode_request(Reveal(manifest.context(), w.names, w.names, tuple(signatures)))
    return {name: {"start": starts[name], "survive": message, "reveal": last} for name in w.names}


def signed_upload(bank: Bank, upload: Upload, asked: Asked) -> bytes:
    """An upload with something else in it, under a receipt that its member has signed."""
    words = asked.ring.unpack(upload.vector, asked.dim)
    content = content_digest(upload.vector, upload.accused)
    tag = write_tag(asked.ring.checksum(words), upload.accused)
    signature = bank.identity.sign(receipt_digest(upload.context, bank.name, content, tag))
    return replace(upload, receipt=Receipt(content, tag, signature)).encode()


# ------------------------------------------------------------------------------------ the attacks


def keys_of_the_coordinator(w: World) -> bool:
    """A1: own one-time keys in the others' place; reads the first member's numbers."""
    victim, *others = w.names
    real = w.packages()
    fakes = {name: impostor(w.banks[name], name) for name in others}
    forged = {name: bank.package() for name, bank in fakes.items()}

    def sent(to: InstitutionId, packages: Mapping[InstitutionId, bytes]) -> Manifest:
        manifest, starts = w.hand_out(packages, w.asked)
        w.banks[to].upload(starts[to], w.asked)
        return manifest

    if not answered(lambda: sent(victim, {**forged, victim: real[victim]}), first(w)):
        return False
    held = {}
    for name in others:
        mixed = {**forged, victim: real[victim], name: real[name]}
        context = sent(name, mixed).context()
        reply = w.banks[name].reveal(forged_reveal(context, w.names, w.session.threshold))
        held[name] = shares_of(reply, w.names, w.names)[victim][1]
    publics = publics_of({**forged, victim: real[victim]})
    upload = Upload.decode(first(w).sent[-1], MOST_BYTES)
    masks = [
        pair_mask(
            fakes[name].dealt().secret,
            upload.context,
            (name, publics[name]),
            (victim, publics[victim]),
        )
        for name in others
    ]
    for blind in recovered(w.session, held):
        words = w.asked.ring.unpack(upload.vector, w.asked.dim).copy()
        own = self_seed(blind, upload.context, victim)
        add_masks(words, [*masks, (own, -1)], w.asked.ring)
        if w.asked.ring.centre(words).tolist() == first(w).value.tolist():
            return True
    return False


def sealing_key_of_the_coordinator(w: World) -> bool:
    """A1: a roster in which shares for the second member are sealed for the coordinator."""
    true = w.session.roster
    fake = new_identity(w.names[1], Stream("fake"), "x25519").card.sealing
    members = tuple(
        replace(one, sealing=fake) if one.name == w.names[1] else one for one in true.members
    )
    signatures = {n: b.identity.sign(true.digest()) for n, b in w.banks.items()}
    signed = SignedRoster(replace(true, members=members), signatures)
    return answered(lambda: check_roster(signed, first(w).identity.card))


def package_of(other: World, turn: tuple[int, int] = TURN) -> Attack:
    """A2: a true package of the second member, but made for something else."""

    def attack(w: World) -> bool:
        foreign = other.banks[w.names[1]].package(turn)
        return started(w, {**w.packages(), w.names[1]: foreign})

    return attack


def parcels_astray(choose: Callable[[World, Mapping[InstitutionId, bytes]], bytes]) -> Attack:
    """A3: other parcels for the first member; it takes them without accusing a dealer."""

    def attack(w: World) -> bool:
        packages = w.packages()
        _, starts = w.hand_out(packages, w.asked)
        request = decode_request(starts[w.names[0]])
        assert isinstance(request, Start)
        changed = encode_request(replace(request, parcels=choose(w, starts)))
        upload = Upload.decode(first(w).upload(changed, w.asked), MOST_BYTES)
        return upload.accused == ()

    return attack


def parcels_in(data: bytes, w: World) -> list[bytes]:
    request = decode_request(data)
    assert isinstance(request, Start)
    return cut(request.parcels, PARCEL_BYTES)


def of_another_holder(w: World, starts: Mapping[InstitutionId, bytes]) -> bytes:
    return b"".join(parcels_in(starts[w.names[2]], w))


def of_another_dealer(w: World, starts: Mapping[InstitutionId, bytes]) -> bytes:
    own, second, third, *rest = parcels_in(starts[w.names[0]], w)
    return b"".join([own, third, second, *rest])


def reflected(w: World, starts: Mapping[InstitutionId, bytes]) -> bytes:
    own, _, *rest = parcels_in(starts[w.names[0]], w)
    return b"".join([own, parcels_in(starts[w.names[1]], w)[0], *rest])


def cards_astray(choose: Callable[[World, list[bytes]], list[bytes]]) -> Attack:
    """A3: other cards for the first member; it takes the shares without accusing a dealer."""

    def attack(w: World) -> bool:
        _, starts = w.hand_out(w.packages(), w.asked)
        request = decode_request(starts[w.names[0]])
        assert isinstance(request, Start)
        cards = b"".join(choose(w, cut(request.cards, card_bytes(w.session.roster.kind))))
        changed = encode_request(replace(request, cards=cards))
        upload = Upload.decode(first(w).upload(changed, w.asked), MOST_BYTES)
        return upload.accused == ()

    return attack


def cards_of_another_holder(w: World, cards: list[bytes]) -> list[bytes]:
    size = card_bytes(w.session.roster.kind)
    return [cards[0], *(cut(w.banks[n].holding().lanes.cards, size)[2] for n in w.names[1:])]


def cards_of_another_dealer(w: World, cards: list[bytes]) -> list[bytes]:
    own, second, third, *rest = cards
    return [own, third, second, *rest]


def cards_of_an_epoch_before(w: World, cards: list[bytes]) -> list[bytes]:
    """The second member's vault was lost once; these are its cards before that."""
    bank = w.banks[w.names[1]]
    old = new_lanes(bank.identity, w.session, Stream("before"))
    return [cards[0], old.cards[: len(cards[0])], *cards[2:]]


def no_cards(w: World, cards: list[bytes]) -> list[bytes]:
    return [bytes(len(one)) for one in cards]


def lane_of_the_coordinator(w: World) -> bool:
    """A3: a card in the second member's name, and shares under it that nobody has dealt."""
    _, starts = w.hand_out(w.packages(), w.asked)
    request = decode_request(starts[w.names[0]])
    assert isinstance(request, Start)
    victim, dealer = w.names[:2]
    lanes = new_lanes(impostor(w.banks[dealer], "lanes").identity, w.session, Stream("lanes"))
    lanes = replace(lanes, epoch=decode_header(request.headers[1]).epoch)
    names = dealer.encode(), lanes.epoch, victim.encode()
    info = digest("fedcredit/secagg/lane/1", w.session.digest(), *names)
    card = seal(w.session.roster.member(victim), lanes.key(0), info)
    true = read_parcel(request.parcels, 1)
    header = request.headers[1], victim.encode(), true.blind, true.secret
    false = lock(lanes.key(0), bytes(66), digest("fedcredit/secagg/sealed/1", *header))
    parcels, cards = parcels_in(starts[victim], w), cut(request.cards, len(card))
    parcels[1], cards[1] = replace(true, sealed=false).encode(), card
    changed = replace(request, parcels=b"".join(parcels), cards=b"".join(cards))
    reply = first(w).upload(encode_request(changed), w.asked)
    return Upload.decode(reply, MOST_BYTES).accused == ()


def receipt_that_nobody_signed(w: World) -> bool:
    """A4: one of the survivors has not uploaded."""
    context, uploads = uploaded(w)
    message = survive(context, {**uploads, w.names[-1]: b""})
    return answered(lambda: first(w).agree(message), first(w))


def below_the_floor(**floor: int) -> Attack:
    """A9: a session that the member's own floor forbids."""

    def attack(w: World) -> bool:
        first(w).floor = replace(Floor(), **floor)  # type: ignore[arg-type]
        return started(w, w.packages())

    return attack


def other_numbers(asked: Asked) -> Attack:
    """A9: a manifest with other public numbers than the member worked out."""
    return lambda w: started(w, w.packages(), asked)


def two_models(w: World) -> tuple[dict[InstitutionId, bytes], bytes]:
    """Two members are asked about one model, the others about another."""
    packages = w.packages()
    other = asked_of(w.asked.dim, b"another model")
    uploads: dict[InstitutionId, bytes] = {}
    context = b""
    for asked, names in ((other, w.names[:2]), (w.asked, w.names[2:])):
        manifest, starts = w.hand_out(packages, asked)
        context = manifest.context()
        uploads |= {name: w.banks[name].upload(starts[name], asked) for name in names}
    return uploads, context


def sum_of_two_models(w: World, blinds: Mapping[InstitutionId, bytes]) -> list[int]:
    """What the coordinator has even if somebody gave it every b."""
    uploads, _ = two_models(w)
    words = np.zeros(w.asked.dim, w.asked.ring.word)
    for name, data in uploads.items():
        upload = Upload.decode(data, MOST_BYTES)
        words += w.asked.ring.unpack(upload.vector, w.asked.dim)
        add_masks(words, [(self_seed(blinds[name], upload.context, name), -1)], w.asked.ring)
    return [int(x) for x in w.asked.ring.centre(words)]


def blinds_of(w: World) -> dict[InstitutionId, bytes]:
    """Every b, told by the same members in a world of its own."""
    twin = world(dim=w.asked.dim)
    twin.packages()
    return {name: bank.dealt().blind for name, bank in twin.banks.items()}


def different_models_add_up(w: World) -> bool:
    """A10: the masks of members with different models cancel."""
    return sum_of_two_models(w, blinds_of(w)) == w.total(w.names)


def different_models_are_agreed_on(w: World) -> bool:
    """A10: somebody signs a list of survivors with other models than its own."""
    uploads, context = two_models(w)
    message = survive(context, uploads)
    last = w.banks[w.names[-1]]
    return answered(lambda: last.agree(message), last)


def key_that_was_revoked(w: World) -> bool:
    """A11: the second member's package, made with a key that is in no roster any more."""
    revoked = impostor(w.banks[w.names[1]], "the key before")
    return started(w, {**w.packages(), w.names[1]: revoked.package()})


def member_that_never_enrolled(w: World) -> bool:
    """A11: a participant that the session does not have."""
    packages = w.packages()
    packages[InstitutionId("mallory")] = impostor(w.banks[w.names[1]], "mallory").package()
    return started(w, packages)


def roster_with_one_more(w: World) -> bool:
    """A11: a roster with a member of the coordinator's, signed by it and by one other."""
    mallory = new_identity(InstitutionId("mallory"), Stream("mallory"), "x25519")
    members = (*w.session.roster.members, mallory.card)
    signed = SignedRoster(replace(w.session.roster, members=members))
    for identity in (mallory, first(w).identity):
        signed = sign_roster(signed, identity)
    return answered(lambda: check_roster(signed, first(w).identity.card))


def roster_of_other_keys(w: World) -> bool:
    """A11: a next roster with keys of the coordinator's under all names but one's own."""
    true, own = w.session.roster, first(w).identity
    others = [new_identity(name, Stream(f"other/{name}"), "x25519") for name in w.names[1:]]
    members = (own.card, *(one.card for one in others))
    signed = SignedRoster(Roster(1, true.digest(), members))
    for identity in (own, *others):  # the member itself did not look at the fingerprints
        signed = sign_roster(signed, identity)
    return answered(lambda: check_roster(signed, own.card, true))


def with_key(w: World, name: InstitutionId, data: bytes, public: bytes) -> bytes:
    """A package whose dealer has put another key into its header and signed it."""
    package = package_in(data)
    header = replace(decode_header(package.header), public=public).encode()
    signature = w.banks[name].identity.sign(header_digest(header))
    other = replace(package, header=header, signature=signature).encode()
    return replace(Prepared.decode(data, MOST_BYTES), package=other).encode()


def point_of_small_order(point: bytes) -> Attack:
    """A12: the second member conspires, and its key leaves nothing to agree on."""

    def attack(w: World) -> bool:
        packages = w.packages()
        bank, second = first(w), w.names[1]
        packages[second] = with_key(w, second, packages[second], point)
        request = decode_request(w.hand_out(packages, w.asked)[1][bank.name])
        assert isinstance(request, Start)
        dealt = bank.dealt()
        return answered(  # before a member has charged for anything
            lambda: admit(bank.identity, w.session, bank.floor, dealt, request, w.asked)
        )

    return attack


def request_of_the_turn_before(w: World) -> bool:
    """A14: a request for shares that enough members had signed, sent again a turn later."""
    context, uploads = uploaded(w)
    message = survive(context, uploads)
    signatures = [Agreement.decode(bank.agree(message)).signature for bank in w.banks.values()]
    old = encode_request(Reveal(context, w.names, w.names, tuple(signatures)))
    later = World(w.session, w.banks, asked_of(w.asked.dim, turn=OTHER_TURN))
    _, starts = w.hand_out(later.packages(OTHER_TURN), later.asked)
    first(w).upload(starts[first(w).name], later.asked)
    return answered(lambda: first(w).reveal(old, OTHER_TURN), first(w))
