"""The keys of secure aggregation: who a member is, and what may be sealed for whom.

A member has two long-term keys: one that signs (Ed25519) and one that lanes are sealed
for (HPKE, RFC 9180, in base mode: the sender is authenticated by a signature beside it).
One-time keys (X25519) are drawn afresh for every turn. Everything is a call of
`cryptography`; here are the domain separation and the errors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from fedcredit.errors import LocalError, PeerError
from fedcredit.secagg.shamir import RandomBytes
from fedcredit.units import InstitutionId

__all__ = [
    "KINDS",
    "SIGNATURE_BYTES",
    "TAG_BYTES",
    "Identity",
    "Kind",
    "Member",
    "OneTime",
    "Sealer",
    "agree_on",
    "check_point",
    "derive",
    "expand",
    "identity_of",
    "lock",
    "new_identity",
    "one_time",
    "public_of",
    "seal",
    "sealed_bytes",
    "signed_by",
    "unlock",
    "unseal",
]

OneTime: TypeAlias = bytes | X25519PrivateKey
"""A one-time secret: 32 bytes, or read already by who agrees with many."""

Kind: TypeAlias = Literal["mlkem768-x25519", "x25519"]
KINDS: Final[tuple[Kind, ...]] = ("mlkem768-x25519", "x25519")  # best first

SIGNATURE_BYTES: Final = 64
_MLKEM_PUBLIC_BYTES: Final = 1184
_MLKEM_SEED_BYTES: Final = 64
_SUITES: Final = {
    "x25519": Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    "mlkem768-x25519": Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
}
_ENCAPSULATED_BYTES: Final = {"x25519": 32, "mlkem768-x25519": 1088 + 32}
TAG_BYTES: Final = 16  # of ChaCha20-Poly1305
_NONCE: Final = bytes(12)
_Sealing: TypeAlias = X25519PrivateKey | MLKEM768X25519PrivateKey
_SealingPublic: TypeAlias = X25519PublicKey | MLKEM768X25519PublicKey


@dataclass(frozen=True, slots=True)
class Member:
    """A member as everybody knows it.

    Attributes:
        name: as plans name it.
        signing: Ed25519 public key, 32 bytes.
        sealing: HPKE public key: 32 bytes of X25519, after 1184 of ML-KEM-768 where it
            is hybrid.

    Raises:
        PeerError: a key is not of the length of one.
    """

    name: InstitutionId
    signing: bytes
    sealing: bytes

    def __post_init__(self) -> None:
        """Refuse keys that could not be read later, in the middle of a round."""
        try:
            _signing_key(self.signing)
            _sealing_key(self.sealing)
            agree_on(_PROBE, self.sealing[-32:])  # a key of small order stops whoever seals for it
        except (PeerError, ValueError):
            raise PeerError(
                f"a key of {self.name!r} is not one",
                remedy="have the institution make its keys anew and send its card again",
            ) from None

    @property
    def kind(self) -> Kind:
        """How its cards are sealed, see `lanes`."""
        return "x25519" if len(self.sealing) == 32 else "mlkem768-x25519"


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A member's own secret keys; see `new_identity`.

    Attributes:
        name: as plans name it.
        signing: Ed25519 seed, 32 bytes.
        sealing: X25519 private key, 32 bytes, after the 64 of an ML-KEM-768 seed where
            it is hybrid.
    """

    name: InstitutionId
    signing: bytes
    sealing: bytes
    _sign: Ed25519PrivateKey = field(init=False, repr=False)
    _seal: _Sealing = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the keys once."""
        object.__setattr__(self, "_sign", Ed25519PrivateKey.from_private_bytes(self.signing))
        curve = X25519PrivateKey.from_private_bytes(self.sealing[-32:])
        if len(self.sealing) == 32:
            object.__setattr__(self, "_seal", curve)
            return
        lattice = MLKEM768PrivateKey.from_seed_bytes(self.sealing[:-32])
        object.__setattr__(self, "_seal", MLKEM768X25519PrivateKey(lattice, curve))

    def __repr__(self) -> str:
        """Never print a key."""
        return f"Identity({self.name!r})"

    @property
    def card(self) -> Member:
        """What everybody may know."""
        curve = X25519PrivateKey.from_private_bytes(self.sealing[-32:]).public_key()
        sealing = curve.public_bytes_raw()
        if len(self.sealing) > 32:
            lattice = MLKEM768PrivateKey.from_seed_bytes(self.sealing[:-32]).public_key()
            sealing = lattice.public_bytes_raw() + sealing
        return Member(self.name, self._sign.public_key().public_bytes_raw(), sealing)

    def sign(self, message: bytes) -> bytes:
        """Sign a domain-separated digest; 64 bytes. Deterministic (RFC 8032)."""
        return self._sign.sign(message)

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """See `unseal`."""
        kind: Kind = "x25519" if len(self.sealing) == 32 else "mlkem768-x25519"
        return _SUITES[kind].decrypt(sealed, self._seal, info=info)


@runtime_checkable
class Sealer(Protocol):
    """Seals a text for a member; `seal`, but in tests that must know every byte."""

    def __call__(self, member: Member, text: bytes, info: bytes, /) -> bytes:
        """Return the sealed text."""
        ...


def new_identity(
    name: InstitutionId, random: RandomBytes, kind: Kind = "mlkem768-x25519"
) -> Identity:
    """Draw a member's keys.

    Args:
        name: as plans name it.
        random: secret bytes; 64 are drawn, and 64 more for a hybrid key.
        kind: how cards are sealed for it. The hybrid one stays closed as long as either
            of its two parts is unbroken.
    """
    lattice = random(_MLKEM_SEED_BYTES) if kind == "mlkem768-x25519" else b""
    return Identity(name, random(32), lattice + random(32))


def identity_of(name: InstitutionId, signing: bytes, sealing: bytes) -> Identity:
    """Read a member's keys back.

    Raises:
        LocalError: they are not of the length of keys.
    """
    if len(signing) != 32 or len(sealing) not in (32, 32 + _MLKEM_SEED_BYTES):
        raise LocalError(
            f"the keys of {name!r} are not of the length of keys",
            remedy="restore them from their backup, or make new ones and have the roster signed",
        )
    return Identity(name, signing, sealing)


def signed_by(member: Member, signature: bytes, message: bytes) -> bool:
    """Whether a member has signed a message."""
    try:
        _signing_key(member.signing).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def sealed_bytes(kind: Kind, text: int) -> int:
    """Length of a text of so many bytes once it is sealed."""
    return _ENCAPSULATED_BYTES[kind] + text + TAG_BYTES


def seal(member: Member, text: bytes, info: bytes) -> bytes:
    """Seal a text so that only one member can read it.

    Args:
        member: who shall read it.
        text: at most a few hundred bytes.
        info: public context; the text opens under the same one only.

    Returns:
        The encapsulated key and the encrypted text. Its one-time key is drawn by
        `cryptography` from the operating system.

    Source: RFC 9180, section 6.1; X25519 or X-Wing, HKDF-SHA256, ChaCha20-Poly1305.
    """
    return _SUITES[member.kind].encrypt(text, _sealing_key(member.sealing), info=info)


def unseal(identity: Identity, sealed: bytes, info: bytes) -> bytes:
    """Open what was sealed for us.

    Raises:
        PeerError: it was sealed for another, in another context, or was altered.
    """
    try:
        return identity.open(sealed, info)
    except (InvalidTag, ValueError):
        raise PeerError(
            "a sealed text does not open", remedy="drop it; it is not for us, or was altered"
        ) from None


def one_time(secret: bytes) -> X25519PrivateKey:
    """Read a one-time secret of 32 bytes; that takes as long as to agree on a key with it."""
    return X25519PrivateKey.from_private_bytes(secret)


_PROBE: Final = one_time(bytes(range(32)))  # a key that gives nothing away with this never will


def public_of(secret: bytes) -> bytes:
    """The X25519 public key of a one-time secret; both are 32 bytes."""
    return one_time(secret).public_key().public_bytes_raw()


_SMALL_ORDER: Final = frozenset(
    number.to_bytes(32, "little")
    for number in (
        0,
        1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
        2**255 - 20,
        2**255 - 19,
        2**255 - 18,
    )
)  # every u below 2^255 of a point of order 1, 2, 4 or 8, on the curve or its twist


def check_point(public: bytes) -> None:
    """Refuse a one-time public key that is of small order, or none at all.

    Guarantee: refuses just what `agree_on` would, at no cost: the keys that it refuses are
    known, and X25519 does not look at a key's highest bit.

    Raises:
        PeerError: it could not be agreed on with.
    """
    if len(public) != 32 or public[:31] + bytes([public[31] & 0x7F]) in _SMALL_ORDER:
        raise _useless()


def agree_on(secret: OneTime, public: bytes) -> bytes:
    """The 32 bytes that a one-time secret and another's public key have in common.

    Raises:
        PeerError: the public key is no point, or one of the few that give nothing away to
            agree on (RFC 7748, section 6.1).
    """
    try:
        key = one_time(secret) if isinstance(secret, bytes) else secret
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise _useless() from None


def _useless() -> PeerError:
    """The error for a key that nothing can be agreed on with."""
    return PeerError(
        "a public key of small order, or none at all",
        remedy="drop the package and its sender from the turn",
    )


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """A 32-byte key from a secret, by HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), 32, salt, info).derive(secret)


def expand(secret: bytes, info: bytes) -> bytes:
    """A 32-byte key from one that is uniform, by HKDF-Expand (RFC 5869, section 2.3)."""
    return HKDFExpand(SHA256(), 32, info).derive(secret)


def lock(secret: bytes, text: bytes, info: bytes) -> bytes:
    """Encrypt a text under a key that is used for it alone; `TAG_BYTES` longer than the text.

    The nonce is zero, so the caller sees to it that no two texts have one secret and one info.

    Args:
        secret: 32 bytes, uniform.
        text: at most a few hundred bytes.
        info: what the text is bound to; 32 bytes.

    Source: RFC 8439, ChaCha20-Poly1305.
    """
    return ChaCha20Poly1305(expand(secret, info)).encrypt(_NONCE, text, None)


def unlock(secret: bytes, locked: bytes, info: bytes) -> bytes:
    """The inverse of `lock`.

    Raises:
        PeerError: it was locked under another secret or info, or was altered.
    """
    try:
        return ChaCha20Poly1305(expand(secret, info)).decrypt(_NONCE, locked, None)
    except InvalidTag:
        raise PeerError(
            "a locked text does not open", remedy="drop it; it is not for us, or was altered"
        ) from None


@lru_cache(maxsize=4096)
def _signing_key(data: bytes) -> Ed25519PublicKey:
    """A public signing key; ValueError if it is none."""
    return Ed25519PublicKey.from_public_bytes(data)


@lru_cache(maxsize=4096)
def _sealing_key(data: bytes) -> _SealingPublic:
    """A public sealing key; ValueError if it is none."""
    if len(data) not in (32, _MLKEM_PUBLIC_BYTES + 32):
        raise ValueError
    curve = X25519PublicKey.from_public_bytes(data[-32:])
    if len(data) == 32:
        return curve
    return MLKEM768X25519PublicKey(MLKEM768PublicKey.from_public_bytes(data[:-32]), curve)
