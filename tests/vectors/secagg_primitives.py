"""The cryptography of secure aggregation a second time, in plain integers, for its test vectors.

Written from the standards and from nothing of ours, to be read and compared with them. It is
slow and its time depends on secrets: it is fit for known answers and for nothing else.

Sources: RFC 5869 (HKDF), RFC 7748 (X25519), RFC 8032 (Ed25519), RFC 8439
(ChaCha20-Poly1305), RFC 9180 (HPKE), FIPS 197 (AES), NIST SP 800-38A (CTR) and Fletcher (1982).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeAlias

Point: TypeAlias = tuple[int, int, int, int]  # X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, P) % P
BASE_Y: Final = 4 * pow(5, -1, P) % P


# ---------------------------------------------------------------- RFC 5869 and RFC 7748


def hkdf_extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), secret, "sha256")


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    block, out = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), "sha256")
        out += block
    return out[:length]


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int = 32) -> bytes:
    return hkdf_expand(hkdf_extract(salt, secret), info, length)


def x25519(secret: bytes, public: bytes = (9).to_bytes(32, "little")) -> bytes:
    """The Montgomery ladder; with one argument, the public key of a secret."""
    k = int.from_bytes(secret, "little") & ~7 & (1 << 255) - 1 | 1 << 254
    u = int.from_bytes(public, "little") & (1 << 255) - 1
    x2, z2, x3, z3 = 1, 0, u, 1
    for at in reversed(range(255)):
        bit = k >> at & 1
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        aa, bb, da, cb = a * a % P, b * b % P, d * a % P, c * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
        if bit:
            x2, z2, x3, z3 = x3, z3, x2, z2
    return (x2 * pow(z2, -1, P) % P if z2 else 0).to_bytes(32, "little")


# ---------------------------------------------------------------------------- RFC 8032


def _base_x() -> int:
    """The even x that belongs to the base point's y."""
    square = (BASE_Y**2 - 1) * pow(D * BASE_Y**2 + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return x if x % 2 == 0 else P - x


BASE: Final[Point] = (_base_x(), BASE_Y, 1, _base_x() * BASE_Y % P)


def _add(one: Point, two: Point) -> Point:
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c, d = 2 * one[3] * two[3] * D % P, 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


@lru_cache(maxsize=1)
def _doublings() -> tuple[Point, ...]:
    """The base point, its double, the double of that, and so on."""
    points = [BASE]
    for _ in range(255):
        points.append(_add(points[-1], points[-1]))
    return tuple(points)


def _times_base(number: int) -> bytes:
    """A multiple of the base point, compressed."""
    total: Point = (0, 1, 1, 0)
    for at, point in enumerate(_doublings()):
        if number >> at & 1:
            total = _add(total, point)
    inverse = pow(total[2], -1, P)
    x, y = total[0] * inverse % P, total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _sha512(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def ed25519_public(seed: bytes) -> bytes:
    scalar = _sha512(seed) & (1 << 254) - 8 | 1 << 254
    return _times_base(scalar)


def ed25519_sign(seed: bytes, message: bytes) -> bytes:
    expanded = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(expanded[:32], "little") & (1 << 254) - 8 | 1 << 254
    nonce = _sha512(expanded[32:], message) % ORDER
    point = _times_base(nonce)
    challenge = _sha512(point, _times_base(scalar), message)
    return point + ((nonce + challenge * scalar) % ORDER).to_bytes(32, "little")


# ------------------------------------------------------------------- AES-256, CTR and GMAC


def _xtime(value: int) -> int:
    return value << 1 ^ (0x11B if value & 0x80 else 0)


def _sbox() -> bytes:
    """Inverses in GF(2^8) by powers of 3, then the affine map (FIPS 197, 5.1.1)."""
    powers = [1]
    for _ in range(254):
        powers.append(_xtime(powers[-1]) ^ powers[-1])
    inverse = {powers[at]: powers[-at % 255] for at in range(255)} | {0: 0}
    return bytes(0x63 ^ inverse[value] ^ _rotations(inverse[value]) for value in range(256))


def _rotations(b: int) -> int:
    """A byte rotated by one, two, three and four bits, added up."""
    total = 0
    for by in range(1, 5):
        total ^= (b << by | b >> 8 - by) & 0xFF
    return total


SBOX: Final = _sbox()
DOUBLE: Final = tuple(_xtime(value) for value in range(256))


@lru_cache(maxsize=64)
def _round_keys(key: bytes) -> tuple[bytes, ...]:
    words = [key[at : at + 4] for at in range(0, 32, 4)]
    constant = 1
    for at in range(8, 60):
        word = words[-1]
        if at % 8 == 0:
            word = bytes(SBOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _xtime(constant)
        elif at % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(_xor(word, words[-8]))
    return tuple(b"".join(words[at : at + 4]) for at in range(0, 60, 4))


def _xor(one: bytes, two: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, two, strict=True))


def aes256_block(key: bytes, block: bytes) -> bytes:
    keys = _round_keys(key)
    state = _xor(block, keys[0])
    for number in range(1, 15):
        shifted = bytes(SBOX[state[5 * at % 16]] for at in range(16))  # SubBytes, ShiftRows
        if number < 14:
            mixed = []
            for at in range(0, 16, 4):
                a, b, c, d = shifted[at : at + 4]
                for one, two, three, four in (
                    (a, b, c, d),
                    (b, c, d, a),
                    (c, d, a, b),
                    (d, a, b, c),
                ):
                    mixed.append(DOUBLE[one] ^ DOUBLE[two] ^ two ^ three ^ four)
            shifted = bytes(mixed)
        state = _xor(shifted, keys[number])
    return state


def ctr_stream(key: bytes, start: int, stop: int, counter: int = 0) -> bytes:
    """Bytes ``start`` to ``stop`` of AES-256-CTR's key stream from a first counter block."""
    first, last = start // 16, -(-stop // 16)
    blocks = b"".join(
        aes256_block(key, ((counter + at) % (1 << 128)).to_bytes(16, "big"))
        for at in range(first, last)
    )
    return blocks[start - 16 * first : stop - 16 * first]


def fletcher(words: Sequence[int], bits: int) -> bytes:
    """Fletcher's two sums modulo 2^bits: of words, and of each times its place from one."""
    placed = sum(place * word for place, word in enumerate(words, 1))
    return struct.pack(">QQ", sum(words) % (1 << bits), placed % (1 << bits))


# --------------------------------------------------------------------- RFC 8439 and RFC 9180


def _chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), counter]
    start += struct.unpack("<3I", nonce)
    s = list(start)
    columns = [(at, 4 + at, 8 + at, 12 + at) for at in range(4)]
    diagonals = [(at, 4 + (at + 1) % 4, 8 + (at + 2) % 4, 12 + (at + 3) % 4) for at in range(4)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = s[x] + s[y] & 0xFFFFFFFF
                turned = s[z] ^ s[x]
                s[z] = (turned << by | turned >> 32 - by) & 0xFFFFFFFF
    return struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(s, start, strict=True)))


def chacha20_poly1305_seal(key: bytes, nonce: bytes, text: bytes, beside: bytes) -> bytes:
    blocks = range(1, -(-len(text) // 64) + 1)
    stream = b"".join(_chacha20_block(key, at, nonce) for at in blocks)
    sealed = _xor(text, stream[: len(text)])
    one_time = _chacha20_block(key, 0, nonce)
    r = int.from_bytes(one_time[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    data = beside + bytes(-len(beside) % 16) + sealed + bytes(-len(sealed) % 16)
    data += struct.pack("<QQ", len(beside), len(sealed))
    total = 0
    for at in range(0, len(data), 16):
        total = (total + int.from_bytes(data[at : at + 16] + b"\1", "little")) * r
        total %= (1 << 130) - 5
    tag = (total + int.from_bytes(one_time[16:32], "little")) % (1 << 128)
    return sealed + tag.to_bytes(16, "little")


def chacha20_poly1305_open(key: bytes, nonce: bytes, sealed: bytes, beside: bytes) -> bytes:
    text = chacha20_poly1305_seal(key, nonce, sealed[:-16], beside)[:-16]  # the stream once more
    if chacha20_poly1305_seal(key, nonce, text, beside) != sealed:
        raise ValueError("a sealed text does not open")
    return text


DHKEM: Final = 0x20  # DHKEM(X25519, HKDF-SHA256)
KEM_SUITE: Final = b"KEM" + struct.pack(">H", DHKEM)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + secret)


def _labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return hkdf_expand(key, struct.pack(">H", length) + b"HPKE-v1" + suite + label + info, length)


def hpke_seal(
    ephemeral: bytes, public: bytes, info: bytes, text: bytes, beside: bytes = b""
) -> bytes:
    """Base mode, first message; the ephemeral key is given so that the answer is known."""
    own = x25519(ephemeral)
    shared = _labeled_extract(KEM_SUITE, b"", b"eae_prk", x25519(ephemeral, public))
    shared = _labeled_expand(KEM_SUITE, shared, b"shared_secret", own + public, 32)
    return own + chacha20_poly1305_seal(*hpke_keys(DHKEM, shared, info), text, beside)


def hpke_keys(kem: int, shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of the first message in base mode (RFC 9180, 5.1), whatever the KEM."""
    suite = b"HPKE" + struct.pack(">HHH", kem, 1, 3)  # HKDF-SHA256, ChaCha20-Poly1305
    context = b"\0" + _labeled_extract(suite, b"", b"psk_id_hash", b"")
    context += _labeled_extract(suite, b"", b"info_hash", info)
    secret = _labeled_extract(suite, shared, b"secret", b"")
    key = _labeled_expand(suite, secret, b"key", context, 32)
    return key, _labeled_expand(suite, secret, b"base_nonce", context, 12)
