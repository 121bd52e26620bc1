"""Members accuse a dealer of false shares, and nobody but the two of them can tell who lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedcredit.secagg.messages import Upload
from fedcredit.secagg.opening import (
    Opened,
)
from fedcredit.secagg.server import (
    Aborted,
    Collecting,
    close,
    receive_upload,
)
from fedcredit.units import InstitutionId
from tests.adversaries.coordinator_attacks import signed_upload
from tests.adversaries.secagg_made import MOST_BYTES, World, everything_is_signed, plant, world


def honest_dealer_is_blamed(w: World, accusers: int) -> bool:
    """The first member dealt truly; the last ones say that it did not."""
    packages = w.packages()
    liars = w.names[len(w.names) - accusers :]
    collecting = w.collected(packages, [name for name in w.names if name not in liars])
    _, starts = w.hand_out(packages, w.asked)
    for name in liars:
        data = w.banks[name].upload(starts[name], w.asked)
        accusing = replace(Upload.decode(data, MOST_BYTES), accused=w.names[:1])
        data = signed_upload(w.banks[name], accusing, w.asked)
        collecting = receive_upload(collecting, name, data)
    result = close(collecting)
    return isinstance(result, Aborted) and bool(result.blamed)


@pytest.mark.parametrize(("n", "t", "c"), [(3, 3, 1), (5, 5, 1), (7, 7, 2)])
def test_c_members_that_lie_have_no_honest_dealer_put_out(n: int, t: int, c: int) -> None:
    """They can stop the turn, in which nothing is revealed; one more of them would be believed."""
    assert not honest_dealer_is_blamed(world(n, t, c), accusers=c)
    assert honest_dealer_is_blamed(world(n, t, c), accusers=c + 1)


def test_a_false_accusation_harms_nobody_while_enough_others_hold_shares() -> None:
    """The sum is exact, and no one is blamed."""
    w = world()
    packages = w.packages()
    last = w.banks[w.names[-1]]
    collecting = w.collected(packages, w.names[:-1])
    _, starts = w.hand_out(packages, w.asked)
    upload = Upload.decode(last.upload(starts[last.name], w.asked), MOST_BYTES)
    data = signed_upload(last, replace(upload, accused=w.names[:1]), w.asked)
    result = w.finish(receive_upload(collecting, last.name, data))

    assert isinstance(result, Opened)
    assert result.total.tolist() == w.total(w.names)
    assert result.liars == ()


def accusation_is_altered(w: World, true: tuple[InstitutionId, ...], sent: int) -> bool:
    """What one member says of a dealer is put in or taken out on its way."""
    packages = w.packages()
    last = w.banks[w.names[-1]]
    collecting = w.collected(packages, w.names[:-1])
    _, starts = w.hand_out(packages, w.asked)
    upload = Upload.decode(last.upload(starts[last.name], w.asked), MOST_BYTES)
    data = signed_upload(last, replace(upload, accused=true), w.asked)
    altered = replace(Upload.decode(data, MOST_BYTES), accused=w.names[:sent]).encode()
    return is_counted(collecting, last.name, altered)


def vector_is_altered(w: World, at: int) -> bool:
    """A bit of what one member sent is turned over on its way."""
    last = w.names[-1]
    collecting = w.collected(w.packages(), w.names)
    upload = collecting.uploads[last]
    vector = bytearray(upload.vector)
    vector[at] ^= 1
    altered = replace(upload, vector=bytes(vector)).encode()
    others = {name: one for name, one in collecting.uploads.items() if name != last}
    return is_counted(replace(collecting, uploads=others), last, altered)


def is_counted(collecting: Collecting, name: InstitutionId, data: bytes) -> bool:
    """Whether an upload goes into the sum."""
    closed = close(receive_upload(collecting, name, data))
    return not isinstance(closed, Aborted) and name in closed[0].survivors


@pytest.mark.parametrize(("true", "sent"), [(0, 1), (1, 0), (1, 2)])
def test_an_accusation_that_its_member_did_not_sign_is_not_taken(
    true: int, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tags of the uploads are not looked at, it is."""
    names = world().names[:true]
    assert not accusation_is_altered(world(), names, sent)
    plant(monkeypatch, "_as_signed", everything_is_signed)
    assert accusation_is_altered(world(), names, sent)


@pytest.mark.parametrize("at", [0, -1])
def test_a_vector_that_its_member_did_not_sign_is_not_summed(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of its first and last bytes."""
    assert not vector_is_altered(world(), at)
    plant(monkeypatch, "_as_signed", everything_is_signed)
    assert vector_is_altered(world(), at)
