"""ML-KEM-768 and X-Wing a second time, in plain integers: what a hybrid sealing is made of.

Written from the standards and from nothing of ours, to be read and compared with them; the
names and numbers of algorithms are theirs. It is slow and its time depends on secrets: it is
fit for known answers and for nothing else.

Sources: FIPS 203 (ML-KEM), draft-connolly-cfrg-xwing-kem (X-Wing), RFC 9180 (HPKE; X-Wing is
KEM 0x647A in the registry of IANA).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final, TypeAlias

from tests.vectors.secagg_primitives import (
    chacha20_poly1305_open,
    chacha20_poly1305_seal,
    hpke_keys,
    x25519,
)

Poly: TypeAlias = tuple[int, ...]  # 256 numbers modulo Q
Vector: TypeAlias = tuple[Poly, ...]  # K of them

N: Final = 256
Q: Final = 3329
K: Final = 3
ETA: Final = 2  # of secrets and of errors alike
DU: Final = 10
DV: Final = 4
SHARED_BYTES: Final = 32
PUBLIC_BYTES: Final = 384 * K + 32
CIPHER_BYTES: Final = 32 * (DU * K + DV)
X_WING: Final = 0x647A
LABEL: Final = bytes.fromhex("5c2e2f2f5e5c")


# -------------------------------------------------------------- numbers, bits and bytes (4.2.1)


def _encode(poly: Sequence[int], bits: int) -> bytes:
    """Algorithm 5."""
    whole = sum(number << bits * at for at, number in enumerate(poly))
    return whole.to_bytes(N * bits // 8, "little")


def _decode(data: bytes, bits: int) -> Poly:
    """Algorithm 6."""
    whole = int.from_bytes(data, "little")
    numbers = (whole >> bits * at & (1 << bits) - 1 for at in range(N))
    return tuple(number % Q if bits == 12 else number for number in numbers)


def _decode_all(data: bytes, bits: int) -> Vector:
    size = 32 * bits
    return tuple(_decode(data[at : at + size], bits) for at in range(0, len(data), size))


def _compress(poly: Poly, bits: int) -> Poly:
    """Equation 4.7: to the nearest, a half upwards."""
    return tuple((2 * (number << bits) + Q) // (2 * Q) % (1 << bits) for number in poly)


def _decompress(poly: Poly, bits: int) -> Poly:
    """Equation 4.8."""
    return tuple((2 * Q * number + (1 << bits)) >> bits + 1 for number in poly)


# ----------------------------------------------------------------------------- sampling (4.2.2)


def _uniform(seed: bytes) -> Poly:
    """Algorithm 7: numbers of twelve bits, until 256 are below Q; already transformed."""
    stream = hashlib.shake_128(seed).digest(3 * 1024)
    found: list[int] = []
    for at in range(0, len(stream), 3):
        one, two, three = stream[at : at + 3]
        found += [x for x in (one | (two & 15) << 8, two >> 4 | three << 4) if x < Q]
    assert len(found) >= N
    return tuple(found[:N])


def _binomial(seed: bytes, nonce: int) -> Poly:
    """Algorithm 8, of PRF (equation 4.3): ETA coins less ETA others."""
    stream = hashlib.shake_256(seed + bytes([nonce])).digest(64 * ETA)
    whole = int.from_bytes(stream, "little")
    coins = [(whole >> ETA * at & (1 << ETA) - 1).bit_count() for at in range(2 * N)]
    return tuple((coins[2 * at] - coins[2 * at + 1]) % Q for at in range(N))


# ---------------------------------------------------------------------- the transform (4.3)


def _bits_turned(number: int) -> int:
    """BitRev7."""
    return int(f"{number:07b}"[::-1], 2)


ZETAS: Final = tuple(pow(17, _bits_turned(at), Q) for at in range(128))
GAMMAS: Final = tuple(pow(17, 2 * _bits_turned(at) + 1, Q) for at in range(128))


def _transformed(poly: Poly) -> Poly:
    """Algorithm 9."""
    f, at, length = list(poly), 1, 128
    while length >= 2:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = ZETAS[at] * f[j + length]
                f[j], f[j + length] = (f[j] + t) % Q, (f[j] - t) % Q
            at += 1
        length //= 2
    return tuple(f)


def _back(poly: Poly) -> Poly:
    """Algorithm 10."""
    f, at, length = list(poly), 127, 2
    while length <= 128:
        for start in range(0, N, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j], f[j + length] = (t + f[j + length]) % Q, ZETAS[at] * (f[j + length] - t) % Q
            at -= 1
        length *= 2
    return tuple(number * pow(128, -1, Q) % Q for number in f)


def _times(f: Poly, g: Poly) -> Poly:
    """Algorithms 11 and 12."""
    h: list[int] = []
    for at, gamma in enumerate(GAMMAS):
        (a0, a1), (b0, b1) = f[2 * at : 2 * at + 2], g[2 * at : 2 * at + 2]
        h += [(a0 * b0 + a1 * b1 * gamma) % Q, (a0 * b1 + a1 * b0) % Q]
    return tuple(h)


def _sum(polys: Iterable[Poly]) -> Poly:
    return tuple(sum(column) % Q for column in zip(*polys, strict=True))


def _inner(one: Vector, other: Vector) -> Poly:
    return _sum(_times(f, g) for f, g in zip(one, other, strict=True))


def _matrix(rho: bytes) -> dict[tuple[int, int], Poly]:
    """A, by row and column."""
    return {(i, j): _uniform(rho + bytes([j, i])) for i, j in product(range(K), range(K))}


# ------------------------------------------------------------------------- K-PKE and ML-KEM


def _g(data: bytes) -> tuple[bytes, bytes]:
    whole = hashlib.sha3_512(data).digest()
    return whole[:32], whole[32:]


def _h(data: bytes) -> bytes:
    return hashlib.sha3_256(data).digest()


def mlkem_keys(seed: bytes) -> tuple[bytes, bytes]:
    """Algorithms 13 and 16: the public and the secret key of a seed, d || z."""
    d, z = seed[:32], seed[32:]
    rho, sigma = _g(d + bytes([K]))
    a = _matrix(rho)
    s = tuple(_transformed(_binomial(sigma, at)) for at in range(K))
    e = tuple(_transformed(_binomial(sigma, K + at)) for at in range(K))
    t = (_sum([_inner(tuple(a[i, j] for j in range(K)), s), e[i]]) for i in range(K))
    public = b"".join(_encode(poly, 12) for poly in t) + rho
    return public, b"".join(_encode(poly, 12) for poly in s) + public + _h(public) + z


def _encrypt(public: bytes, m: bytes, r: bytes) -> bytes:
    """Algorithm 14."""
    t, a = _decode_all(public[: 384 * K], 12), _matrix(public[384 * K :])
    y = tuple(_transformed(_binomial(r, at)) for at in range(K))
    e1 = [_binomial(r, K + at) for at in range(K)]
    e2 = _binomial(r, 2 * K)
    u = [_sum([_back(_inner(tuple(a[j, i] for j in range(K)), y)), e1[i]]) for i in range(K)]
    v = _sum([_back(_inner(t, y)), e2, _decompress(_decode(m, 1), 1)])
    return b"".join(_encode(_compress(poly, DU), DU) for poly in u) + _encode(_compress(v, DV), DV)


def _decrypt(secret: bytes, cipher: bytes) -> bytes:
    """Algorithm 15."""
    u = tuple(_decompress(poly, DU) for poly in _decode_all(cipher[: 32 * DU * K], DU))
    v = _decompress(_decode(cipher[32 * DU * K :], DV), DV)
    s = _decode_all(secret, 12)
    w = _back(_inner(s, tuple(_transformed(poly) for poly in u)))
    return _encode(_compress(tuple(one - other for one, other in zip(v, w, strict=True)), 1), 1)


def mlkem_encapsulate(public: bytes, m: bytes) -> tuple[bytes, bytes]:
    """Algorithm 17: a shared secret and its encapsulation, from 32 random bytes."""
    shared, r = _g(m + _h(public))
    return shared, _encrypt(public, m, r)


def mlkem_decapsulate(secret: bytes, cipher: bytes) -> bytes:
    """Algorithm 18: another secret, and no error, where it was not encapsulated for us."""
    own, public = secret[: 384 * K], secret[384 * K : 384 * K + PUBLIC_BYTES]
    h, z = secret[-64:-32], secret[-32:]
    m = _decrypt(own, cipher)
    shared, r = _g(m + h)
    if _encrypt(public, m, r) != cipher:
        return hashlib.shake_256(z + cipher).digest(SHARED_BYTES)
    return shared


# -------------------------------------------------------------------------- X-Wing and HPKE


def x_wing_keys(seed: bytes) -> bytes:
    """A secret key of the draft, 32 bytes, as the 96 that it stands for: ML-KEM's and X25519's."""
    return hashlib.shake_256(seed).digest(96)


def x_wing_public(keys: bytes) -> bytes:
    """Of the 96 bytes of a secret key: a seed of ML-KEM and a secret of X25519."""
    return mlkem_keys(keys[:64])[0] + x25519(keys[64:])


def _combined(lattice: bytes, curve: bytes, cipher: bytes, public: bytes) -> bytes:
    """The combiner: both secrets, what the curve's was agreed on with, and the draft's label."""
    return _h(lattice + curve + cipher + public + LABEL)


def x_wing_encapsulate(public: bytes, random: bytes) -> tuple[bytes, bytes]:
    """A shared secret and its encapsulation, from 64 random bytes."""
    lattice, cipher = mlkem_encapsulate(public[:-32], random[:32])
    ephemeral, other = random[32:], public[-32:]
    own = x25519(ephemeral)
    return _combined(lattice, x25519(ephemeral, other), own, other), cipher + own


def x_wing_decapsulate(keys: bytes, encapsulated: bytes) -> bytes:
    """The shared secret, from 96 bytes of keys."""
    lattice = mlkem_decapsulate(mlkem_keys(keys[:64])[1], encapsulated[:CIPHER_BYTES])
    other = encapsulated[CIPHER_BYTES:]
    return _combined(lattice, x25519(keys[64:], other), other, x25519(keys[64:]))


def hybrid_seal(public: bytes, info: bytes, text: bytes, random: bytes) -> bytes:
    """HPKE over X-Wing, base mode, first message; its 64 random bytes are given."""
    shared, encapsulated = x_wing_encapsulate(public, random)
    return encapsulated + chacha20_poly1305_seal(*hpke_keys(X_WING, shared, info), text, b"")


def hybrid_open(keys: bytes, info: bytes, sealed: bytes) -> bytes:
    """The inverse; ValueError where it does not open."""
    size = CIPHER_BYTES + 32
    shared = x_wing_decapsulate(keys, sealed[:size])
    return chacha20_poly1305_open(*hpke_keys(X_WING, shared, info), sealed[size:], b"")
