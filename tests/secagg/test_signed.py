"""What is signed or committed to: the reference's bytes, every part counts, no two are alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.codec import encode
from fedcredit.errors import PeerError
from fedcredit.secagg.keys import new_identity
from fedcredit.secagg.lanes import MOST_STEPS
from fedcredit.secagg.packages import (
    Header,
    Parcel,
    blind_digest,
    commitment,
    decode_header,
    header_digest,
)
from fedcredit.secagg.ring import RING_BITS, Ring
from fedcredit.secagg.roster import Roster
from fedcredit.secagg.session import Asked, Manifest, Session, encode_manifest
from fedcredit.secagg.signed import (
    agreement_digest,
    content_digest,
    receipt_digest,
    shares_digest,
)
from fedcredit.units import InstitutionId
from tests.vectors.secagg_reference import Plain, Stream, canonical, digest, secagg

Name: TypeAlias = InstitutionId
Signed: TypeAlias = Callable[[bytes, InstitutionId, bytes, bytes, tuple[InstitutionId, ...]], bytes]

NAMED = st.text(max_size=6).map(InstitutionId)
NAMES = st.lists(NAMED, max_size=4).map(tuple)
BYTES = st.binary(max_size=40)
DIGESTS = st.binary(min_size=32, max_size=32)
COUNTS = st.integers(0, 2**20 - 1)
PARTS = st.tuples(BYTES, NAMED, BYTES, BYTES, NAMES)

OURS: Final[dict[str, Signed]] = {
    "header": lambda a, name, b, c, names: header_digest(a),
    "parcel": lambda a, name, b, c, names: Parcel(b, c, b, b"").digest(a, name),
    "commit-blind": lambda a, name, b, c, names: commitment("blind", a, name, b),
    "commit-secret": lambda a, name, b, c, names: commitment("secret", a, name, b),
    "blind": lambda a, name, b, c, names: blind_digest(a),
    "content": lambda a, name, b, c, names: content_digest(a, names),
    "receipt": lambda a, name, b, c, names: receipt_digest(a, name, b, c),
    "agreement": lambda a, name, b, c, names: agreement_digest(a, names),
    "shares": lambda a, name, b, c, names: shares_digest(a, name, b, c),
}
THEIRS: Final[dict[str, Signed]] = {
    "header": lambda a, name, b, c, names: secagg("header", a),
    "parcel": lambda a, name, b, c, names: secagg("parcel", a, name.encode(), b, c, b),
    "commit-blind": lambda a, name, b, c, names: secagg("commit-blind", a, name.encode(), b),
    "commit-secret": lambda a, name, b, c, names: secagg("commit-secret", a, name.encode(), b),
    "blind": lambda a, name, b, c, names: secagg("blind", a),
    "content": lambda a, name, b, c, names: secagg("content", a, canonical(names)),
    "receipt": lambda a, name, b, c, names: secagg("receipt", a, name.encode(), b, c),
    "agreement": lambda a, name, b, c, names: secagg("agreement", a, canonical(names)),
    "shares": lambda a, name, b, c, names: secagg("shares", a, name.encode(), b, c),
}
USED: Final = {
    "header": (0,),
    "parcel": (0, 1, 2, 3),
    "commit-blind": (0, 1, 2),
    "commit-secret": (0, 1, 2),
    "blind": (0,),
    "content": (0, 4),
    "receipt": (0, 1, 2, 3),
    "agreement": (0, 4),
    "shares": (0, 1, 2, 3),
}
"""Which of the five parts each of them is made of."""

EVERY = pytest.mark.parametrize("what", OURS)


@EVERY
@given(parts=PARTS)
def test_what_is_signed_is_the_reference_s_bytes(
    what: str, parts: tuple[bytes, Name, bytes, bytes, tuple[Name, ...]]
) -> None:
    assert OURS[what](*parts) == THEIRS[what](*parts)


@EVERY
@given(one=PARTS, other=PARTS)
def test_every_part_of_it_counts_and_nothing_else(
    what: str,
    one: tuple[bytes, Name, bytes, bytes, tuple[Name, ...]],
    other: tuple[bytes, Name, bytes, bytes, tuple[Name, ...]],
) -> None:
    (a, name, b, c, names), make = one, OURS[what]
    mixed = [
        make(other[0], name, b, c, names),
        make(a, other[1], b, c, names),
        make(a, name, other[2], c, names),
        make(a, name, b, other[3], names),
        make(a, name, b, c, other[4]),
    ]
    for at, found in enumerate(mixed):
        alike = one[at] == other[at] or at not in USED[what]
        assert (found == make(*one)) == alike


@given(whole=st.binary(min_size=1, max_size=40), cut=st.integers(0, 39))
def test_a_byte_that_moves_from_one_part_to_the_next_is_noticed(whole: bytes, cut: int) -> None:
    """Parts are told apart by their lengths, not by how they run on."""
    name, at = InstitutionId("bank"), cut % len(whole)

    assert receipt_digest(b"", name, whole, b"") != receipt_digest(
        b"", name, whole[:at], whole[at:]
    )
    assert shares_digest(b"", name, whole, b"") != shares_digest(b"", name, whole[:at], whole[at:])


@given(parts=PARTS)
def test_a_signature_under_one_kind_of_thing_is_none_under_another(
    parts: tuple[bytes, Name, bytes, bytes, tuple[Name, ...]],
) -> None:
    assert len({make(*parts) for make in OURS.values()}) == len(OURS)


@given(
    digests=st.tuples(DIGESTS, DIGESTS, DIGESTS, DIGESTS),
    turn=st.tuples(COUNTS, COUNTS),
    name=NAMED,
    step=st.integers(0, MOST_STEPS - 1),
)
def test_a_header_has_the_reference_s_bytes_and_is_read_back(
    digests: tuple[bytes, bytes, bytes, bytes], turn: tuple[int, int], name: Name, step: int
) -> None:
    session, public, blind, epoch = digests
    header = Header(
        session=session, turn=turn, name=name, public=public, blind=blind, epoch=epoch, step=step
    )
    expected: dict[str, Plain] = {
        "attempt": turn[1],
        "blind": blind,
        "epoch": epoch,
        "name": name,
        "public": public,
        "round": turn[0],
        "session": session,
        "step": step,
    }

    assert header.encode() == canonical(expected)
    assert decode_header(header.encode()) == header


@pytest.mark.parametrize("step", [-1, MOST_STEPS, 1 << 40, True, "0", b"0"], ids=repr)
def test_a_header_of_a_step_that_no_dealer_reaches_is_refused(step: Plain) -> None:
    """Whoever holds shares under it would walk for ever."""
    fields: dict[str, Plain] = dict.fromkeys(("session", "public", "blind", "epoch"), bytes(32))
    fields |= {"attempt": 0, "round": 0, "name": "bank", "step": 7}
    assert decode_header(canonical(fields)).step == 7
    wrong = encode({**fields, "step": step})
    with pytest.raises(PeerError):
        decode_header(wrong)


@given(
    session=DIGESTS,
    turn=st.tuples(COUNTS, COUNTS),
    dim=COUNTS,
    bits=st.sampled_from(RING_BITS),
    question=BYTES,
    parameters=st.dictionaries(st.text(max_size=5), st.integers() | st.text(), max_size=3),
    packages=st.lists(st.tuples(NAMED, DIGESTS), max_size=3),
)
def test_a_manifest_and_its_context_have_the_reference_s_bytes(
    session: bytes,
    turn: tuple[int, int],
    dim: int,
    bits: int,
    question: bytes,
    parameters: dict[str, int | str],
    packages: list[tuple[Name, bytes]],
) -> None:
    asked = Asked(turn=turn, dim=dim, ring=Ring(bits), question=question, parameters=parameters)
    manifest = Manifest(
        session=session,
        asked=asked,
        participants=tuple(name for name, _ in packages),
        packages=tuple(package for _, package in packages),
    )
    expected: dict[str, Plain] = {
        "attempt": turn[1],
        "bits": bits,
        "dim": dim,
        "packages": tuple(package for _, package in packages),
        "parameters": {**parameters},
        "participants": tuple(name for name, _ in packages),
        "question": secagg("question", question),
        "round": turn[0],
        "session": session,
        "version": "fedcredit/secagg/1",
    }

    assert encode_manifest(manifest) == canonical(expected)
    assert manifest.context() == secagg("context", canonical(expected))


@given(study=DIGESTS, count=st.integers(3, 9), data=st.data())
def test_a_session_is_named_by_study_roster_members_and_thresholds(
    study: bytes, count: int, data: st.DataObject
) -> None:
    identities = [
        new_identity(InstitutionId(f"bank-{at}"), Stream(f"signed {at}"), "x25519")
        for at in range(count)
    ]
    roster = Roster(0, b"", tuple(one.card for one in identities))
    names = tuple(one.name for one in identities)
    threshold = data.draw(st.integers((count + 1) // 2 + 1, count))
    agreed = canonical((names, threshold, 1))

    assert Session(study, roster, names, threshold, 1).digest() == digest(
        "fedcredit/secagg/1", study, roster.digest(), agreed
    )
