"""Secure aggregation a second time, in plain Python, from what the messages are said to be.

Nothing of `fedcredit` is imported here: the two agree only where both read the protocol alike.
`secagg_records.py` writes down what it says.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, Union

from tests.vectors.secagg_primitives import (
    chacha20_poly1305_seal,
    ctr_stream,
    ed25519_public,
    ed25519_sign,
    fletcher,
    hkdf,
    hkdf_expand,
    hpke_seal,
    x25519,
)

Plain: TypeAlias = Union[int, str, bytes, "tuple[Plain, ...]", "dict[str, Plain]"]
Random: TypeAlias = Callable[[int], bytes]

PRIME: Final = 2**256 + 297
VERSION: Final = "fedcredit/secagg/1"


class Stream:
    """Random bytes that are the same on every run: SHA-256 of a label and a counter."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.drawn = 0

    def __call__(self, count: int, /) -> bytes:
        blocks = range(self.drawn, self.drawn + -(-count // 32))
        self.drawn += len(blocks)
        texts = (hashlib.sha256(f"{self.label} {at}".encode()).digest() for at in blocks)
        return b"".join(texts)[:count]


# ------------------------------------------------------------------------ bytes and hashes


def canonical(value: Plain) -> bytes:
    """One byte string a value: a tag, and lengths before what has one."""
    match value:
        case int():
            size = 1
            while not -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1:
                size += 1
            return b"i" + struct.pack(">I", size) + value.to_bytes(size, "big", signed=True)
        case str():
            text = value.encode()
            return b"s" + struct.pack(">I", len(text)) + text
        case bytes():
            return b"b" + struct.pack(">I", len(value)) + value
        case tuple():
            return b"t" + struct.pack(">I", len(value)) + b"".join(map(canonical, value))
        case dict():
            pairs = (canonical(key)[1:] + canonical(value[key]) for key in sorted(value))
            return b"m" + struct.pack(">I", len(value)) + b"".join(pairs)


def digest(domain: str, *parts: bytes) -> bytes:
    """SHA-256 over lengths and texts."""
    text = struct.pack(">II", len(domain), len(parts)) + domain.encode()
    for part in parts:
        text += struct.pack(">Q", len(part)) + part
    return hashlib.sha256(text).digest()


def secagg(what: str, *parts: bytes) -> bytes:
    """A digest in this protocol's own domains."""
    return digest(f"fedcredit/secagg/{what}/1", *parts)


# ------------------------------------------------------------------- shares, seeds and words


def split(secret: bytes, coefficients: Sequence[int], count: int) -> list[int]:
    """The polynomial of these coefficients, lowest power last, at 1 to ``count``."""
    constant = int.from_bytes(secret, "big")
    powers = [*reversed(coefficients)]
    return [
        (constant + sum(c * point**power for power, c in enumerate(powers, 1))) % PRIME
        for point in range(1, count + 1)
    ]


def draw_split(secret: bytes, threshold: int, count: int, random: Random) -> list[int]:
    """Shares with coefficients of 48 random bytes each, drawn at once."""
    drawn = random(48 * (threshold - 1))
    pieces = [drawn[at : at + 48] for at in range(0, len(drawn), 48)]
    return split(secret, [int.from_bytes(one, "big") % PRIME for one in pieces], count)


def interpolate(shares: Mapping[int, int]) -> bytes:
    """The value at zero of the polynomial through points and shares."""
    total = 0
    for mine, share in shares.items():
        for other in shares:
            if other != mine:
                share = share * other * pow(other - mine, -1, PRIME) % PRIME
        total += share
    return (total % PRIME).to_bytes(32, "big")


def written(share: int) -> bytes:
    """33 bytes."""
    return share.to_bytes(33, "big")


def self_seed(blind: bytes, context: bytes, name: str) -> bytes:
    """The key of a member's own mask."""
    return hkdf(blind, context, secagg("self", name.encode()))


def pair_seed(
    secret: bytes, context: bytes, mine: tuple[str, bytes], other: tuple[str, bytes]
) -> bytes:
    """The key of a pair's mask; names and public keys by rising name."""
    parts = [part for name, key in sorted([mine, other]) for part in (name.encode(), key)]
    return hkdf(x25519(secret, other[1]), context, secagg("pair", *parts))


def word_bytes(bits: int) -> int:
    """A word of a 24-bit ring takes 32 bits of the key stream."""
    return {16: 2, 24: 4, 32: 4, 64: 8}[bits]


def stream_words(seed: bytes, bits: int, start: int, stop: int) -> list[int]:
    """Words ``start`` to ``stop`` of a mask, modulo 2^bits."""
    size = word_bytes(bits)
    stream = ctr_stream(seed, size * start, size * stop)
    return [
        int.from_bytes(stream[at : at + size], "little") % (1 << bits)
        for at in range(0, len(stream), size)
    ]


def packed(words: Sequence[int], bits: int) -> bytes:
    """Little-endian, ``bits / 8`` bytes a word."""
    return b"".join((word % (1 << bits)).to_bytes(bits // 8, "little") for word in words)


# ------------------------------------------------------------------------- one turn's messages


@dataclass(frozen=True)
class Person:
    """A member's secret keys."""

    name: str
    signing: bytes
    sealing: bytes

    def sign(self, message: bytes) -> bytes:
        return ed25519_sign(self.signing, message)

    @property
    def card(self) -> tuple[str, bytes, bytes]:
        return self.name, ed25519_public(self.signing), x25519(self.sealing)


@dataclass(frozen=True)
class Case:
    """What one recorded turn is about."""

    count: int
    threshold: int
    colluders: int
    bits: int
    lost: tuple[str, ...] = ()
    study: bytes = bytes(range(32))
    turn: tuple[int, int] = (3, 1)
    question: bytes = b"what is the sum?"
    following: bytes = b"what follows"
    step: int = 2

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"bank-{at}" for at in range(1, self.count + 1))

    @property
    def parameters(self) -> dict[str, int | str]:
        return {"bound": 1000, "noise": "none", "clip": 256, "a": -129}

    def value(self, name: str) -> list[int]:
        """Numbers of either sign, not a multiple of a block long."""
        own = self.names.index(name)
        return [(-1) ** at * (100 * own + at) for at in range(21)]

    @property
    def people(self) -> dict[str, Person]:
        streams = {name: Stream(f"identity {name}") for name in self.names}
        return {name: Person(name, draw(32), draw(32)) for name, draw in streams.items()}


CASES: Final = {"3": Case(3, 3, 1, 32), "5": Case(5, 4, 1, 24, lost=("bank-3",))}


def roster_digest(cards: Sequence[tuple[str, bytes, bytes]], epoch: int, previous: bytes) -> bytes:
    """What members sign to be members."""
    return digest("fedcredit/roster/1", canonical((epoch, previous, tuple(cards))))


def ephemeral(info: bytes) -> bytes:
    """The one-time key of a sealed text, made from its context so that it is known."""
    return hashlib.sha256(b"ephemeral" + info).digest()


def sealed(public: bytes, text: bytes, info: bytes) -> bytes:
    """A sealed text that is the same on every run."""
    return hpke_seal(ephemeral(info), public, info, text)


class Turn:
    """One turn, played by itself; ``messages`` by the name that the product's test knows."""

    def __init__(self, case: Case) -> None:
        self.case, self.people = case, case.people
        self.messages: dict[str, bytes] = {}
        self.signed: dict[str, bytes] = {}
        cards = [person.card for person in self.people.values()]
        self.public_keys = {name: sealing for name, _, sealing in cards}
        self.roster = roster_digest(cards, 0, b"")
        agreed = canonical((case.names, case.threshold, case.colluders))
        self.session = digest(VERSION, case.study, self.roster, agreed)
        self.secrets: dict[str, tuple[bytes, bytes]] = {}
        self.shares: dict[str, tuple[list[int], list[int]]] = {}
        self.headers: dict[str, bytes] = {}
        self.header_signatures: dict[str, bytes] = {}
        self.parcels: dict[tuple[str, str], bytes] = {}
        self.cards: dict[tuple[str, str], bytes] = {}
        self.receipts: dict[str, bytes] = {}
        for name in case.names:
            self.deal(name)
        self.start()
        self.survivors = tuple(name for name in case.names if name not in case.lost)
        self.vectors = {name: self.upload(name) for name in self.survivors}
        self.agree()
        self.reveal()

    def deal(self, name: str) -> None:
        random, case, person = Stream(f"deal {name}"), self.case, self.people[name]
        secret, blind = random(32), random(32)
        epoch, lanes = self.lanes(name)
        fields: dict[str, Plain] = {
            "session": self.session,
            "round": case.turn[0],
            "attempt": case.turn[1],
            "name": name,
            "public": x25519(secret),
            "blind": secagg("blind", blind),
            "epoch": epoch,
            "step": case.step,
        }
        header = canonical(fields)
        of_blind = draw_split(blind, case.threshold, case.count, random)
        of_secret = draw_split(secret, case.threshold, case.count, random)
        self.secrets[name], self.shares[name] = (secret, blind), (of_blind, of_secret)
        for at, holder in enumerate(case.names):
            one, two = written(of_blind[at]), written(of_secret[at])
            promises = (
                secagg("commit-blind", header, holder.encode(), one),
                secagg("commit-secret", header, holder.encode(), two),
            )
            info = secagg("sealed", header, holder.encode(), *promises)
            box = (
                bytes(66 + 16)
                if holder == name
                else chacha20_poly1305_seal(
                    hkdf_expand(lanes[holder], info, 32), bytes(12), one + two, b""
                )
            )
            to_sign = secagg("parcel", header, holder.encode(), box, *promises)
            self.signed[f"parcel/{name}/{holder}"] = to_sign
            self.parcels[name, holder] = box + b"".join(promises) + person.sign(to_sign)
        self.signed[f"header/{name}"] = secagg("header", header)
        signature = person.sign(self.signed[f"header/{name}"])
        self.headers[name], self.header_signatures[name] = header, signature
        parcels = b"".join(self.parcels[name, holder] for holder in case.names)
        package = canonical({"header": header, "signature": signature, "parcels": parcels})
        cards = b"".join(self.cards[name, holder] for holder in case.names)
        self.messages[f"package/{name}"] = canonical({"cards": cards, "package": package})

    def lanes(self, name: str) -> tuple[bytes, dict[str, bytes]]:
        """The epoch, and the lane keys as they stand; the cards hold them as they were."""
        random = Stream(f"lanes {name}")
        epoch, lanes = random(32), {}
        for holder in self.case.names:
            if holder == name:
                self.cards[name, holder] = bytes(32 + 32 + 16)
                continue
            lane = random(32)
            info = secagg("lane", self.session, name.encode(), epoch, holder.encode())
            self.cards[name, holder] = sealed(self.public_keys[holder], lane, info)
            for _ in range(self.case.step):
                lane = hkdf_expand(lane, secagg("lane-step"), 32)
            lanes[holder] = lane
        return epoch, lanes

    def start(self) -> None:
        case = self.case
        self.manifest = canonical(
            {
                "version": VERSION,
                "session": self.session,
                "round": case.turn[0],
                "attempt": case.turn[1],
                "participants": case.names,
                "packages": tuple(self.signed[f"header/{name}"] for name in case.names),
                "question": secagg("question", case.question),
                "dim": len(case.value(case.names[0])),
                "bits": case.bits,
                "parameters": {**case.parameters},
            }
        )
        self.context = secagg("context", self.manifest)
        for name in case.names:
            common: dict[str, Plain] = {
                "manifest": self.manifest,
                "question": case.question,
                "headers": tuple(self.headers[one] for one in case.names),
                "signatures": b"".join(self.header_signatures[one] for one in case.names),
            }
            parcels = b"".join(self.parcels[one, name] for one in case.names)
            cards = b"".join(self.cards[one, name] for one in case.names)
            body: dict[str, Plain] = {
                "common": canonical(common),
                "parcels": parcels,
                "cards": cards,
            }
            self.messages[f"start/{name}"] = canonical({"kind": "start", "body": body})

    def card(self, name: str) -> tuple[str, bytes]:
        """A member's name and one-time public key."""
        return name, x25519(self.secrets[name][0])

    def pair(self, name: str, other: str) -> tuple[bytes, int]:
        """Seed and sign of what ``name`` does for a pair."""
        seed = pair_seed(self.secrets[name][0], self.context, self.card(name), self.card(other))
        return seed, 1 if name < other else -1

    def upload(self, name: str) -> list[int]:
        case = self.case
        words = case.value(name)
        masks = [(self_seed(self.secrets[name][1], self.context, name), 1)]
        masks += [self.pair(name, other) for other in case.names if other != name]
        for seed, sign in masks:
            stream = stream_words(seed, case.bits, 0, len(words))
            words = [word + sign * add for word, add in zip(words, stream, strict=True)]
        vector = packed(words, case.bits)
        content = secagg("content", vector, canonical(()))
        over = secagg("accused", canonical(()))
        tag = bytes(a ^ b for a, b in zip(fletcher(words, case.bits), over, strict=False))
        to_sign = secagg("receipt", self.context, name.encode(), content, tag)
        self.signed[f"receipt/{name}"] = to_sign
        receipt = content + tag + self.people[name].sign(to_sign)
        self.receipts[name] = receipt
        fields: dict[str, Plain] = {"context": self.context, "accused": (), "receipt": receipt}
        rest = canonical({**fields, "following": case.following})
        self.messages[f"upload/{name}"] = vector + rest + struct.pack(">I", len(rest))
        return words

    def agree(self) -> None:
        receipts = b"".join(self.receipts[name] for name in self.survivors)
        body: dict[str, Plain] = {
            "context": self.context,
            "survivors": self.survivors,
            "receipts": receipts,
        }
        self.messages["survive"] = canonical({"kind": "survive", "body": body})
        to_sign = secagg("agreement", self.context, canonical(self.survivors))
        self.signed["agreement"] = to_sign
        signatures = {name: self.people[name].sign(to_sign) for name in self.survivors}
        for name, signature in signatures.items():
            self.messages[f"agreed/{name}"] = canonical({"agreed": signature})
        signers = self.survivors[: self.case.threshold]
        body = {
            "context": self.context,
            "survivors": self.survivors,
            "signers": signers,
            "signatures": b"".join(signatures[name] for name in signers),
        }
        self.messages["reveal"] = canonical({"kind": "reveal", "body": body})

    def reveal(self) -> None:
        for name in self.survivors:
            at = self.case.names.index(name)
            blinds = b"".join(written(self.shares[one][0][at]) for one in self.survivors)
            secrets = b"".join(written(self.shares[one][1][at]) for one in self.case.lost)
            to_sign = secagg("shares", self.context, name.encode(), blinds, secrets)
            self.signed[f"shares/{name}"] = to_sign
            signature = self.people[name].sign(to_sign)
            self.messages[f"shares/{name}"] = canonical(
                {"blinds": blinds, "secrets": secrets, "signature": signature}
            )

    def opened(self) -> list[int]:
        """The sum, from vectors and shares alone."""
        case = self.case
        holders = [case.names.index(name) for name in self.survivors[: case.threshold]]
        total = [sum(column) for column in zip(*self.vectors.values(), strict=True)]
        masks = []
        for name in self.survivors:
            blind = interpolate({at + 1: self.shares[name][0][at] for at in holders})
            masks.append((self_seed(blind, self.context, name), -1))
        for name in case.lost:
            secret = interpolate({at + 1: self.shares[name][1][at] for at in holders})
            for other in self.survivors:
                seed = pair_seed(secret, self.context, self.card(name), self.card(other))
                masks.append((seed, 1 if name < other else -1))
        for seed, sign in masks:
            stream = stream_words(seed, case.bits, 0, len(total))
            total = [word + sign * add for word, add in zip(total, stream, strict=True)]
        half = 1 << case.bits - 1
        return [(word + half) % (1 << case.bits) - half for word in total]
