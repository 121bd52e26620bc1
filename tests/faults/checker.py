"""Judges what institutions did by what is left of it: ledgers, bytes on the wire, exit statuses.

It imports nothing of fedcredit. Grammar, tree, signatures, quorum and costs are written here
a second time, after docs/ledger.md, so that a fault of the writer is no fault of its judge.

    I1   bytes that left have an earlier charge that was durable and cosigned by a quorum
    I2   recomputed costs are within every cap, at every prefix of the ledger
    I3   what stood in the ledger when bytes left stands in it for ever
    I4   every head that was ever signed is a head of the ledger as it is now
    I7   a failure has an exit status of its kind, a cause and a next step, and no traceback
    I9   one turn has one output
    I10  no value of a record stands in a ledger, an error or a message
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, NamedTuple, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["Capture", "Ended", "Evidence", "Head", "digest_of", "heads_of", "judge", "two_heads"]

Table: TypeAlias = dict[str, object]

KILLED: Final = -9
STATUSES: Final = (0, 1, 3, 4, 5, 75, KILLED)
PLAIN: Final = 1
COSIGNATURE: Final = 4
STEPS: Final = {"start": "release", "survive": "agree", "reveal": "reveal"}


class Head(NamedTuple):
    """A checkpoint as it was signed."""

    origin: str
    size: int
    root: bytes
    body: bytes
    signatures: tuple[tuple[str, bytes], ...]  # name, and key id with what follows


@dataclass(frozen=True)
class Capture:
    """Bytes that left an institution, and its ledger as it was on the disk then."""

    kind: str  # prepare, start, survive, reveal
    plan: str
    turn: tuple[int, int]
    reply: bytes
    lines: bytes
    notes: bytes


@dataclass(frozen=True)
class Ended:
    """A process that ended."""

    status: int
    said: str


@dataclass
class Evidence:
    """All that is known of one institution, from outside."""

    lines: bytes = b""
    notes: bytes = b""
    captures: list[Capture] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)  # notes that witnesses and auditors kept
    ended: list[Ended] = field(default_factory=list)
    secrets: Sequence[str] = ()


def judge(evidence: Evidence) -> list[str]:
    """What is wrong, each with the invariant that it breaks; empty if all is well."""
    try:
        entries = _entries(evidence.lines)
        wrong = [*_caps(entries), *_survives(evidence, entries)]
        for capture in evidence.captures:
            wrong += _paid(capture)
    except (KeyError, ValueError, TypeError) as problem:
        wrong = [f"I4: the ledger cannot be read: {type(problem).__name__}: {problem}"]
    return [*wrong, *_ends(evidence.ended), *_outputs(evidence.captures), *_leaks(evidence)]


def two_heads(notes: Sequence[bytes]) -> list[tuple[Head, Head]]:
    """Pairs of heads of one origin and size with two roots: proof that a writer lied."""
    found: dict[tuple[str, int], Head] = {}
    pairs = []
    for head in (one for data in notes for one in heads_of(data)):
        first = found.setdefault((head.origin, head.size), head)
        if first.root != head.root:
            pairs.append((first, head))
    return pairs


def digest_of(name: str, *parts: bytes) -> str:
    """A hash under a name, hex."""
    state = hashlib.sha256(struct.pack(">II", len(name), len(parts)) + name.encode())
    for part in parts:
        state.update(struct.pack(">Q", len(part)) + part)
    return state.hexdigest()


def heads_of(data: bytes) -> Iterator[Head]:
    """The whole notes of a file; what a crash has cut off at its end is left out."""
    text = data[: data.rfind(b"\n") + 1].decode()
    lines = text.split("\n")[:-1]
    at = 0
    while at + 4 < len(lines):
        origin, size, root, empty = lines[at : at + 4]
        if empty:
            raise ValueError("a note has no empty line after its body")
        end = at + 4
        signatures = []
        while end < len(lines) and lines[end].startswith("\N{EM DASH} "):
            _, name, value = lines[end].split(" ")
            signatures.append((name, base64.b64decode(value, validate=True)))
            end += 1
        if not signatures:
            if end >= len(lines):
                return
            raise ValueError("a note is not signed")
        body = f"{origin}\n{size}\n{root}\n".encode()
        yield Head(origin, int(size), base64.b64decode(root), body, tuple(signatures))
        at = end


def _entries(data: bytes) -> list[Table]:
    """All whole lines, chained."""
    entries: list[Table] = []
    prev = "0" * 64
    for line in _whole(data):
        table = json.loads(line)
        if _written(table) != line:
            raise ValueError(f"line {len(entries) + 1} is not in its one form")
        if table["seq"] != len(entries) or table["prev"] != prev:
            raise ValueError(f"line {len(entries) + 1} does not follow")
        prev = hashlib.sha256(line).hexdigest()
        entries.append(table)
    if not entries or entries[0]["kind"] != "genesis":
        raise ValueError("there is no genesis")
    return entries


def _written(table: Table) -> bytes:
    """The one form of a line: this grammar is a subset of what the library writes."""
    return json.dumps(table, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _whole(data: bytes) -> list[bytes]:
    """Lines with their ends."""
    return data[: data.rfind(b"\n") + 1].splitlines(keepends=True)


def _root(leaves: Sequence[bytes]) -> bytes:
    """Of the RFC 6962 tree."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def _leaves(data: bytes) -> list[bytes]:
    """Hashes of lines."""
    return [hashlib.sha256(b"\x00" + line).digest() for line in _whole(data)]


def _signed(public: bytes, signature: bytes, text: bytes) -> bool:
    """Whether a key has signed a text."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except InvalidSignature:
        return False
    return True


def _writers(entries: Sequence[Table]) -> list[tuple[int, str]]:
    """From which size on which key signs."""
    keys = [(0, str(entries[0]["key"]))]
    return keys + [
        (int(str(one["seq"])) + 1, str(one["key"]))
        for one in entries
        if one["kind"] == "key_rotate"
    ]


def _by_writer(head: Head, writers: Sequence[tuple[int, str]]) -> bool:
    """Whether the ledger's own key has signed a head."""
    key = bytes.fromhex([key for since, key in writers if since <= head.size][-1])
    start = hashlib.sha256(head.origin.encode() + b"\n" + bytes([PLAIN]) + key).digest()[:4]
    return any(
        name == head.origin and value[:4] == start and _signed(key, value[4:], head.body)
        for name, value in head.signatures
    )


def _quorum(head: Head, policy: Table) -> bool:
    """Whether a quorum of the policy's witnesses has signed a head."""
    count = others = 0
    witnesses = policy["witnesses"]
    assert isinstance(witnesses, list)
    for one in witnesses:
        name, _, rest = one["key"].partition("+")
        key = base64.b64decode(rest.partition("+")[2])
        start = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
        for signer, value in head.signatures:
            if key[0] != COSIGNATURE or signer != name or value[:4] != start or len(value) != 76:
                continue
            time_s = int.from_bytes(value[4:12], "big")
            text = f"cosignature/v1\ntime {time_s}\n".encode() + head.body
            if _signed(key[1:], value[12:], text):
                count += 1
                others += one["role"] != "coordinator"
                break
    return count >= _number(policy["quorum"]) and others >= _number(policy["beside_coordinator"])


def _number(value: object) -> int:
    """A number of a line."""
    if type(value) is not int:
        raise TypeError("a number was expected")
    return value


def _policy(entries: Sequence[Table], size: int) -> Table:
    """In force after so many entries."""
    found = [one["policy"] for one in entries[:size] if one["kind"] in ("genesis", "policy_change")]
    assert isinstance(found[-1], dict)
    return found[-1]


def _cosigned(lines: bytes, notes: bytes) -> list[int]:
    """Sizes for which the ledger holds its own signature and those of a quorum."""
    entries, leaves = _entries(lines), _leaves(lines)
    writers = _writers(entries)
    return [
        head.size
        for head in heads_of(notes)
        if head.size <= len(leaves)
        and head.root == _root(leaves[: head.size])
        and _by_writer(head, writers)
        and _quorum(head, _policy(entries, head.size))
    ]


def _paid(capture: Capture) -> list[str]:
    """I1, for one output, by the ledger as it stood when it left."""
    if capture.kind == "prepare":  # keys: they are drawn before any record is read
        return []
    entries, what = _entries(capture.lines), f"I1: a {capture.kind} of {capture.turn} left"
    mine = [
        one
        for one in entries
        if (one.get("plan"), one.get("round"), one.get("attempt")) == (capture.plan, *capture.turn)
    ]
    charges = [_number(one["seq"]) for one in mine if one["kind"] == "charge"]
    name = digest_of("fedcredit/reply/1", capture.reply)
    kind = STEPS[capture.kind]
    written = [
        _number(one["seq"]) for one in mine if one["kind"] == kind and one.get("reply") == name
    ]
    if not charges:
        return [f"{what} without a charge"]
    if not written:
        return [f"{what} which the ledger does not name"]
    sizes = _cosigned(capture.lines, capture.notes)
    wrong = []
    released = next((_number(one["seq"]) for one in mine if one["kind"] == "release"), -1)
    if not any(charges[0] < size <= released for size in sizes):
        wrong.append(f"{what} and its charge was not cosigned before it was measured")
    if not any(size > written[0] for size in sizes):
        wrong.append(f"{what} before its {kind} was cosigned")
    return wrong


def _cost(event: Table, honest: int) -> int:
    """What an event costs, in 1e-9 zCDP, rounded up; docs/ledger.md, Every entry."""
    squared, variance = _number(event["sensitivity_squared"]), _number(event["variance"])
    ratio = Fraction(squared, honest * variance)
    tau = Fraction(10 * (honest - 1), 1 << 227)
    shift = math.isqrt(math.floor(ratio * (1 << 32))) + 1
    return math.ceil(10**9 * (ratio / 2 + tau * shift + tau**2 * (1 << 31)))


def _caps(entries: Sequence[Table]) -> list[str]:
    """I2: costs as recomputed, against each cap, after each charge."""
    wrong = []
    seen, alone = defaultdict[str, int](int), defaultdict[str, int](int)
    plans = defaultdict[tuple[str, str], int](int)
    for at, one in enumerate(entries):
        policy = _policy(entries, at + 1)
        if one["kind"] == "policy_change" and policy["begins"] != _policy(entries, at)["begins"]:
            seen.clear()
            alone.clear()
        if one["kind"] != "charge":
            continue
        event = one["event"]
        assert isinstance(event, dict)
        part, plan, persons = str(event["part"]), str(one["plan"]), _number(policy["persons"])
        cost, local = _cost(event, _number(event["honest"])), _cost(event, 1)
        if (one["rho"], one["rho_local"]) != (cost, local):
            wrong.append(f"I2: entry {at} says another cost than its event has")
        seen[part] += cost
        alone[part] += local
        plans[plan, part] += cost
        figures = {
            "rho": max(seen.values()),
            "rho_local": max(alone.values()),
            "person_rho": persons**2 * sum(seen.values()),
            "person_rho_local": persons * sum(alone.values()),
            "study_rho": max(sum_ for (of, _), sum_ in plans.items() if of == plan),
        }
        wrong += [
            f"I2: after entry {at}, {name} is {figure}, its cap is {policy[name]}"
            for name, figure in figures.items()
            if figure > _number(policy[name])
        ]
    return wrong


def _survives(evidence: Evidence, entries: Sequence[Table]) -> list[str]:
    """I3 and I4."""
    wrong = [
        f"I3: lines that stood when a {one.kind} of {one.turn} left are gone"
        for one in evidence.captures
        if not evidence.lines.startswith(b"".join(_whole(one.lines)))
    ]
    leaves, writers, origin = _leaves(evidence.lines), _writers(entries), entries[0]["origin"]
    files = [evidence.notes, *evidence.seen, *(one.notes for one in evidence.captures)]
    for head in {head for data in files for head in heads_of(data)}:
        if head.origin != origin or not _by_writer(head, writers):
            wrong.append(f"I4: a head of {head.size} entries is of another ledger or key")
        elif head.size > len(leaves):
            wrong.append(f"I4: a head of {head.size} entries, and the ledger has {len(leaves)}")
        elif head.root != _root(leaves[: head.size]):
            wrong.append(f"I4: a head of {head.size} entries that the ledger never was")
    return wrong


def _ends(ended: Sequence[Ended]) -> list[str]:
    """I7."""
    wrong = []
    for one in ended:
        if one.status not in STATUSES:
            wrong.append(f"I7: a process ended with {one.status}: {one.said[-300:]}")
        if "Traceback" in one.said:
            wrong.append("I7: a process showed a traceback")
        if one.status > 0 and not ("error: " in one.said and "\n  fix: " in one.said):
            wrong.append(f"I7: a process ended with {one.status} and no cause or next step")
    return wrong


def _outputs(captures: Sequence[Capture]) -> list[str]:
    """I9."""
    found = defaultdict[tuple[str, str, tuple[int, int]], set[bytes]](set)
    for one in captures:
        if one.kind != "prepare":  # the same, unless the vault was lost before anything else left
            found[one.kind, one.plan, one.turn].add(one.reply)
    return [
        f"I9: {len(replies)} outputs of {kind} in {turn}"
        for (kind, _, turn), replies in found.items()
        if len(replies) > 1
    ]


def _leaks(evidence: Evidence) -> list[str]:
    """I10."""
    places = {
        "the ledger": evidence.lines,
        "a checkpoint": evidence.notes,
        "an error": "".join(one.said for one in evidence.ended).encode(),
        "the wire": b"\x00".join(one.reply for one in evidence.captures),
    }
    return [
        f"I10: a record's value stands in {place}"
        for place, data in places.items()
        if any(secret.encode() in data for secret in evidence.secrets)
    ]
