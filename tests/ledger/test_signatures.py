"""Verifier keys and signature lines, with the test data of Go's sumdb/note."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from fedcredit.errors import ConfigError, IntegrityError, LocalError
from fedcredit.ledger.signatures import (
    COSIGNATURE,
    PLAIN,
    SIGNATURES_LIMIT,
    Signature,
    VerifierKey,
    read_key,
    read_signatures,
    sign,
)
from tests.ledger.made import Pair

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
WITNESS = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
LINE = Signature("a.example/w", b"\x01\x02\x03\x04", bytes(64)).line()


@pytest.mark.parametrize(("text", "kind"), [(PETER, PLAIN), (WITNESS, COSIGNATURE)])
def test_a_published_key_reads_and_prints(text: str, kind: int) -> None:
    key = read_key(text)
    assert (str(key), key.kind, len(key.public)) == (text, kind, 32)
    assert key.id.hex() == text.split("+")[1]


def test_no_part_of_a_key_is_a_key() -> None:
    """As in Go's own test: every proper substring, and every byte raised by one."""
    for start in range(len(PETER)):
        for end in range(start + 1, len(PETER) + 1):
            if (start, end) != (0, len(PETER)):
                with pytest.raises(ConfigError):
                    read_key(PETER[start:end])
    for at, one in enumerate(PETER):
        with pytest.raises(ConfigError):
            read_key(PETER[:at] + chr(ord(one) + 1) + PETER[at + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PETER.replace("c74f20a3", "C74F20A3"),
        PETER + "\n",
        PETER + "=",
        " " + PETER,
        PETER.replace("PeterNeumann", "Peter Neumann"),
        PETER.replace("+c74f20a3", ""),
        "rekor.sigstore.dev+12345678+AwEB",
        "rekor.sigstore.dev+12345678+THIS_IS_NOT_BASE64!",
        "bananas.sigstore.dev+12344556",
        "PeterNeumann+c74f20a3+é",
    ],
)
def test_a_mangled_key_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="verifier key"):
        read_key(text)


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "a\u2003b", "a\x00", "\ud800"]
)
def test_a_name_with_spaces_plus_signs_or_control_characters_is_none(name: str) -> None:
    with pytest.raises(LocalError, match="no verifier key"):
        VerifierKey(name, PLAIN, bytes(32))


@pytest.mark.parametrize(("kind", "length"), [(0, 32), (2, 32), (6, 32), (PLAIN, 31), (PLAIN, 33)])
def test_a_key_of_another_kind_or_length_is_none(kind: int, length: int) -> None:
    with pytest.raises(LocalError, match="no verifier key"):
        VerifierKey("name", kind, bytes(length))


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    """The sum of two points of the curve -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, section 5.1)."""
    (x1, y1), (x2, y2) = one, other
    both = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + both, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - both, -1, P) % P


def small() -> set[Point]:
    """The points of order 8 or less: the prime order times any point."""
    order = 2**252 + 27742317777372353535851937790883648493
    found: set[Point] = set()
    for y in range(3, 40):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
        if x * x % P == square:
            point, total = (x, y), (0, 1)
            for bit in f"{order:b}":
                total = add(total, total)
                total = add(total, point) if bit == "1" else total
            found.add(total)
    return found


def test_a_key_of_small_order_is_refused_in_every_encoding() -> None:
    """Under it one signature is good for many texts, as the first lines show."""
    key = Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    for text in (b"one", b"another"):
        key.verify((1).to_bytes(32, "little") + bytes(32), text)
    ys = {y for _, y in small()}
    assert len(ys) == 5
    for y in ys | {P + y for y in ys if P + y < 2**255}:
        for sign_bit in (0, 2**255):
            with pytest.raises(LocalError, match="small order"):
                VerifierKey("w", PLAIN, (y + sign_bit).to_bytes(32, "little"))
    weak = base64.b64encode(b"\x01" + bytes(32)).decode()
    name_id = hashlib.sha256(b"w\n\x01" + bytes(32)).hexdigest()[:8]
    with pytest.raises(ConfigError, match="weak"):
        read_key(f"w+{name_id}+{weak}")


PUBLIC = st.binary(min_size=32, max_size=32).filter(lambda data: 9 < data[0] < 200)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
    lambda name: not any(one == "+" or one < " " or one.isspace() for one in name)
)


@given(NAMES, st.sampled_from([PLAIN, COSIGNATURE]), PUBLIC)
def test_a_key_reads_back(name: str, kind: int, public: bytes) -> None:
    key = VerifierKey(name, kind, public)
    assert read_key(str(key)) == key


@given(st.lists(st.tuples(NAMES, st.binary(min_size=5, max_size=90)), min_size=1, max_size=5))
def test_signature_lines_read_back(made: list[tuple[str, bytes]]) -> None:
    lines = tuple(Signature(name, data[:4], data[4:]) for name, data in made)
    assert read_signatures(b"".join(one.line() for one in lines)) == lines


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        LINE[:-1],
        LINE + b"\n",
        b"\n" + LINE,
        LINE + b"x\n",
        LINE.replace(b"\xe2\x80\x94", b"-"),
        LINE.replace(b"\xe2\x80\x94", b"\xe2\x80\x93"),
        LINE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94"),
        LINE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94  "),
        LINE.replace(b"a.example/w ", b"a.example/w  "),
        LINE.replace(b"a.example/w ", b"a.example/w\xc2\xa0x "),
        LINE.replace(b"a.example/w ", b"a+example/w "),
        LINE.replace(b"a.example/w ", b""),
        LINE.replace(b"\n", b" \n"),
        LINE.replace(b"\n", b"\r\n"),
        LINE.replace(b"\n", b" x\n"),
        LINE.replace(b"A=\n", b"A\n"),
        LINE.replace(b"A=\n", b"A==\n"),
        LINE.replace(b"A=\n", b"B=\n"),  # bits beyond the last byte: a second way to write it
        LINE.replace(b"AQID", b"AQI-"),
        LINE.replace(b"AQID", b"A QID"),
        "\N{EM DASH} a AQIDBA==\n".encode(),  # an id and no signature
        "\N{EM DASH} a \n".encode(),
        LINE + b"\xff\n",
        LINE * (SIGNATURES_LIMIT + 1),
    ],
)
def test_other_lines_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="a note is malformed"):
        read_signatures(data)


def test_as_many_lines_as_the_limit_are_read() -> None:
    assert len(read_signatures(LINE * SIGNATURES_LIMIT)) == SIGNATURES_LIMIT


def test_a_time_is_read_from_a_published_cosignature() -> None:
    """The layout: 4 bytes of id, 8 of time, 64 of signature."""
    text = (
        "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFi"
        "EBYJXORmnFBOBA=="
    )
    (one,) = read_signatures(f"\N{EM DASH} w {text}\n".encode())
    assert int.from_bytes(one.data[:8], "big") == 1727964367
    assert len(base64.b64decode(text)) == 76


@given(st.binary(max_size=50), st.integers(0, 2**63 - 1))
def test_only_the_signer_of_the_very_text_and_time_has_signed(body: bytes, time_s: int) -> None:
    pair, other = Pair("w"), Pair("w", "another")
    timed = sign(body, time_s, "w", COSIGNATURE, pair.secret.sign, pair.public)
    plain = sign(body, time_s, "w", PLAIN, pair.secret.sign, pair.public)
    assert pair.witness.time_of(body, timed) == time_s
    assert pair.writer.time_of(body, plain) == 0
    for key in (pair.writer, other.witness, other.writer):
        assert key.time_of(body, timed) is None
    assert pair.witness.time_of(body, plain) is None
    assert pair.witness.time_of(body + b"x", timed) is None
    moved = Signature("w", timed.id, (time_s ^ 1).to_bytes(8, "big") + timed.data[8:])
    assert pair.witness.time_of(body, moved) is None
    for data in (b"", timed.data[:-1], timed.data + b"\0", bytes(72), b"\xff" * 72):
        assert pair.witness.time_of(body, Signature("w", timed.id, data)) is None


def test_a_time_that_no_clock_shows_is_not_signed_and_not_believed() -> None:
    pair = Pair("w")
    for time_s, believed in ((2**63 - 1, 2**63 - 1), (2**63, None)):
        data = pair.secret.sign(f"cosignature/v1\ntime {time_s}\nbody\n".encode())
        line = Signature("w", pair.witness.id, time_s.to_bytes(8, "big") + data)
        assert pair.witness.time_of(b"body\n", line) == believed
    for time_s in (-1, 2**63):
        with pytest.raises(LocalError, match="a time is before 1970 or too late"):
            pair.cosign(b"body\n", time_s)


def test_a_signer_of_another_scheme_is_noticed() -> None:
    with pytest.raises(LocalError, match="a signer gave 3 bytes"):
        sign(b"body\n", 0, "w", PLAIN, lambda _: b"abc", Pair("w").public)
