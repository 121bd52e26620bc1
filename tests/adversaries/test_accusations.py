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
    close,
    receive_upload,
)
from fedcredit.units import InstitutionId
from tests.adversaries.coordinator_attacks import signed_upload
from tests.adversaries.secagg_made import MOST_BYTES, Agreeable, World, answered, plant, world


def honest_dealer_is_blamed(w: World, accusers: int) -> bool:
    """The first member dealt truly; the last ones say that it did not."""
    packages = w.packages()
    liars = w.names[len(w.names) - accusers :]
    collecting = w.collected(packages, [name for name in w.names if name not in liars])
    _, starts = w.hand_out(packages, w.asked)
    for name in liars:
        data = w.banks[name].upload(starts[name], w.asked)
        accusing = replace(Upload.decode(data, MOST_BYTES), accused=w.names[:1])
        collecting = receive_upload(collecting, name, signed_upload(w.banks[name], accusing))
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
    data = signed_upload(last, replace(upload, accused=w.names[:1]))
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
    signed = Upload.decode(signed_upload(last, replace(upload, accused=true)), MOST_BYTES)
    altered = replace(signed, accused=w.names[:sent]).encode()
    return answered(lambda: receive_upload(collecting, last.name, altered))


@pytest.mark.parametrize(("true", "sent"), [(0, 1), (1, 0), (1, 2)])
def test_an_accusation_that_its_member_did_not_sign_is_not_taken(
    true: int, sent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the tag of an upload is not looked at, it is."""
    names = world().names[:true]
    assert not accusation_is_altered(world(), names, sent)
    plant(monkeypatch, "vector_tag", lambda *_: Agreeable(), lacking="admit")
    assert accusation_is_altered(world(), names, sent)
