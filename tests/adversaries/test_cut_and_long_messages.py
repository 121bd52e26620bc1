"""A13: messages that are cut, or longer than they should be; and how much memory they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import pytest

from fedcredit import codec
from fedcredit.codec import Value
from fedcredit.errors import PeerError
from fedcredit.secagg import server
from fedcredit.secagg.messages import Agreement, Shares, Upload, decode_request
from fedcredit.secagg.packages import Package, decode_header
from fedcredit.secagg.ring import Ring
from fedcredit.secagg.server import Aborted, Gathering
from tests.adversaries.coordinator_attacks import Attack, first, requests_of_a_turn
from tests.adversaries.planted import leave_out
from tests.adversaries.secagg_made import MOST_BYTES, TURN, Bank, World, answered, plant, world

ANNOUNCED: Final = tuple(tag + b"\x00\x20\0\0" for tag in (b"t", b"m", b"b"))  # 2 097 152
BALLAST: Final = bytes(1 << 22)


# ------------------------------------------------------------- messages that end at another place


def member_takes(bank: Bank, w: World, kind: str, data: bytes) -> bool:
    """Whether a member answers a request that is to be of a kind."""
    steps: dict[str, Callable[[], bytes]] = {
        "start": lambda: bank.upload(data, w.asked),
        "survive": lambda: bank.agree(data),
        "reveal": lambda: bank.reveal(data),
    }
    return answered(steps[kind], bank)


def request_in_time(w: World, kind: str) -> bytes:
    """A request that the first member waits for; the second one has just taken its own."""
    requests, steps = requests_of_a_turn(w), ("start", "survive", "reveal")
    one, two = w.names[:2]
    for before in steps[: steps.index(kind)]:
        assert member_takes(w.banks[one], w, before, requests[one][before])
        assert member_takes(w.banks[two], w, before, requests[two][before])
    assert member_takes(w.banks[two], w, kind, requests[two][kind])
    return requests[one][kind]


def cut_request_is_taken(w: World, kind: str) -> bool:
    """A request without its end, right after another member has taken a whole one."""
    request = request_in_time(w, kind)
    pieces = [request[: -at or None] for at in (1, 2, 3, 5, 8)]
    pieces += [request[:at] for at in range(0, len(request), max(1, len(request) // 97))]
    return any(member_takes(first(w), w, kind, one) for one in pieces if one != request)


def longer_request_is_taken(w: World, kind: str) -> bool:
    """A request with a byte, or with itself, after it."""
    request = request_in_time(w, kind)
    return any(member_takes(first(w), w, kind, request + more) for more in (b"\0", request))


@dataclass
class UsedAgain:
    """The planted fault of a buffer that is used again, and read beyond a message's end."""

    buffer: bytes = b""

    def __call__(self, data: bytes | memoryview, **_: int) -> Value:
        self.buffer = bytes(data) + self.buffer[len(data) :]
        return codec._Reader(self.buffer).value(depth=0)


def read_from_the_front(data: bytes | memoryview, **_: int) -> Value:
    """The planted fault of a reader that does not ask what comes after the value."""
    return codec._Reader(bytes(data)).value(depth=0)


@pytest.mark.parametrize("kind", ["start", "survive", "reveal"])
@pytest.mark.parametrize(
    ("taken", "reader"),
    [(cut_request_is_taken, UsedAgain), (longer_request_is_taken, lambda: read_from_the_front)],
    ids=["cut", "longer"],
)
def test_a_message_that_was_cut_or_has_something_after_it_is_refused(
    kind: str,
    taken: Callable[[World, str], bool],
    reader: Callable[[], Callable[..., Value]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where messages are read beyond their end, or not to it, it is taken."""
    w = world()
    assert not taken(world(), kind)
    assert member_takes(first(w), w, kind, request_in_time(w, kind))
    plant(monkeypatch, "decode", reader(), having="decode_request")
    assert taken(world(), kind)


class AnyLength(int):
    """The planted fault of a length that is not compared."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def cut_upload_stops_the_turn(w: World) -> bool:
    """A member's masked vector without its first numbers; all others are there."""
    packages = w.packages()
    collecting = w.collected(packages, w.names[1:])
    _, starts = w.hand_out(packages, w.asked)
    data = first(w).upload(starts[w.names[0]], w.asked)
    before = collecting
    for at in (4, 8, 12, 1):
        try:
            collecting = server.receive_upload(before, w.names[0], data[at:])
        except PeerError:
            continue
        try:
            server.close(collecting)
        except (PeerError, ValueError):
            return True
    assert not isinstance(server.close(before), Aborted)
    return False


def test_an_upload_that_was_cut_is_dropped_and_the_turn_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where its length is not compared, what it is added to comes to a stop."""
    assert not cut_upload_stops_the_turn(world())
    length = Ring.packed_bytes
    monkeypatch.setattr(Ring, "packed_bytes", lambda ring, dim: AnyLength(length(ring, dim)))
    assert cut_upload_stops_the_turn(world())


# ----------------------------------------------------------------------------------------- memory


def takes_memory(read: Callable[[bytes], object], data: bytes, most: int = 1 << 20) -> bool:
    """Whether a message that is refused takes more memory than so many bytes besides its own."""
    tracemalloc.start()
    try:
        with pytest.raises(PeerError):
            read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak > most


@pytest.mark.parametrize("data", ANNOUNCED, ids=["a tuple", "a mapping", "bytes"])
def test_what_is_announced_takes_no_memory(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of five bytes that announces millions of parts, or four billion.

    Where room is made for them before they have come, it takes that room.
    """
    bank = first(world())
    assert not takes_memory(bank.agree, data)
    assert not takes_memory(bank.agree, data[:1] + b"\xff\xff\xff\xff")
    length, rooms = codec._Reader.length, []

    def with_room(reader: codec._Reader) -> int:
        rooms.append(bytearray(count := length(reader)))
        return count

    monkeypatch.setattr(codec._Reader, "length", with_room)
    assert takes_memory(bank.agree, data)


def too_long(limit: int) -> bytes:
    """One byte string, which is no message, and with its tag and length just above a limit."""
    return b"b" + (limit - 4).to_bytes(4, "big") + bytes(limit - 4)


@pytest.mark.parametrize(
    ("read", "limit", "bound"),
    [
        (decode_request, 1 << 27, "REQUEST_LIMIT_BYTES"),
        (Agreement.decode, 1 << 22, "_SMALL_BYTES"),
        (Shares.decode, 1 << 22, "_SMALL_BYTES"),
        (decode_header, 1 << 22, "_SMALL_BYTES"),
    ],
    ids=["a request", "an agreement", "shares", "a header"],
)
def test_a_message_above_its_limit_is_refused_unread(
    read: Callable[[bytes], object], limit: int, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests 128 MiB, the rest 4 MiB; where the limit is another, it is read into memory."""
    data = too_long(limit)
    assert len(data) == limit + 1
    assert not takes_memory(read, data)
    assert takes_memory(read, data[:1] + (limit - 5).to_bytes(4, "big") + data[6:])
    plant(monkeypatch, bound, 1 << 28)
    assert takes_memory(read, data)


def package_with_more_is_kept(w: World) -> bool:
    """Whether the coordinator keeps parcels that are for nobody."""
    bank = first(w)
    with pytest.MonkeyPatch.context() as patch:
        written = Package.encode
        patch.setattr(
            Package, "encode", lambda one: written(replace(one, parcels=one.parcels + BALLAST))
        )
        data = bank.package()
    gathering = Gathering(w.session, TURN)
    return answered(lambda: server.receive_package(gathering, bank.name, data))


def upload_with_more_is_kept(w: World) -> bool:
    """Whether the coordinator keeps what no receipt speaks of."""
    bank, packages = first(w), w.packages()
    collecting = w.collected(packages, w.names[1:])
    _, starts = w.hand_out(packages, w.asked)
    upload = Upload.decode(bank.upload(starts[bank.name], w.asked), MOST_BYTES)
    data = replace(upload, following=BALLAST).encode()
    return answered(lambda: server.receive_upload(collecting, bank.name, data))


@pytest.mark.parametrize("is_kept", [package_with_more_is_kept, upload_with_more_is_kept])
def test_the_coordinator_keeps_no_more_of_a_message_than_belongs_in_it(
    is_kept: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no limit, nor a length of parcels, it keeps 4 MiB that a member added."""
    assert not is_kept(world())
    plant(monkeypatch, "_PACKAGE_ENVELOPE_BYTES", 1 << 30)
    leave_out(monkeypatch, server, ("or len(package.parcels) != size", ""))
    assert is_kept(world())
