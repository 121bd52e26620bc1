"""Check fedcredit ledgers offline, with this one file: read it, then believe its verdict.

    python verifier.py BUNDLE... [--trust trust.toml] [--save FILE] [--json]

It needs Python 3.11 or newer and `cryptography` (for Ed25519), and dp-accounting for a second
opinion about epsilon. It imports nothing of fedcredit: grammar, tree, signatures, rules and costs
are written here a second time, on purpose, so that a fault of the writer is no fault of the
checker. It reads; it writes only what ``--save`` names; it never opens a connection.

In the order of this file: bundles, grammar, policies, notes, tree, costs, one ledger's rules,
keys, checkpoints and quorum, a second accountant, reading one ledger, what several ledgers say
together, the trust file, the report. `docs/ledger.md` of fedcredit is the text that it follows.

Exit status: 0 everything holds; 1 the evidence is sound and a rule is broken (a cap, an approval,
a quorum, the period, the order of entries); 2 it was called wrongly; 5 the evidence is broken
(grammar, chain, tree, signatures, keys, or two ledgers that contradict each other). Evidence that
is broken ends the reading of its ledger at the first bad entry; a broken rule does not, because
whether the rest is sound must still be known.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import io
import json
import math
import re
import stat
import struct
import sys
import tomllib
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from functools import lru_cache
from importlib import metadata
from operator import le
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = [
    "Book", "Broken", "Checked", "Entry", "Event", "Note", "Paid", "Plan", "Policy", "Shape",
    "Source", "Sums", "Together", "Tree", "Trust", "UsageProblem", "check_note", "cross_check",
    "epsilon_of", "event_cost", "key_id", "ledger_findings", "main", "notes_of", "paid_under",
    "persons", "read_entry", "read_ledger", "refuse_small", "renyi_cost", "room_for",
    "second_opinion", "signed", "sources_of", "verify",
]  # fmt: skip

FORMAT: Final = "fedcredit/ledger/1"
MOST_LEDGERS: Final = 1000
MOST_BYTES: Final = 2 << 30  # of one bundle, unpacked
MOST_DIRECTORY: Final = 1 << 20  # of a zip: a thousand ledgers need a fifth of it
MOST_LINE: Final = 16_384  # bytes, the newline among them
MOST_LISTED: Final = 100  # broken rules and exceptions of one ledger, in full
MOST_DISTINCT: Final = 10_000  # kinds of events that a second accountant is asked to add up
MOST_INTEGER: Final = 2**53 - 1
ALL: Final = 2**20  # parts of a sampling rate: all records


class Broken(Exception):
    """Evidence is broken; nothing after it in this ledger is believed."""


class UsageProblem(Exception):
    """The verifier was called wrongly: no such file, an unreadable trust file."""


# ---------------------------------------------------------------------------- bundles and folders

LEDGER, NOTES = "ledger.jsonl", "checkpoints.note"
_MEMBER: Final = re.compile(r"([a-z0-9][a-z0-9._-]{0,63})/(ledger\.jsonl|checkpoints\.note)")


class Source(NamedTuple):
    """One ledger as it was handed in: its folder's name, or "" for a folder given by itself."""

    where: str
    name: str
    bytes: int
    open: Callable[[str], BinaryIO]


class _Metered(io.RawIOBase):
    """A file that stops when its bundle has given more bytes than a bundle may."""

    def __init__(self, file: BinaryIO, left: list[int]) -> None:
        self._file, self._left = file, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            data = self._file.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as problem:
            raise Broken(f"the zip cannot be unpacked ({problem})") from None
        self._left[0] -= len(data)
        if self._left[0] < 0:
            raise Broken(f"the bundle unpacks to more than {MOST_BYTES} bytes")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def sources_of(path: Path) -> list[Source]:
    """The ledgers of a zip, of a folder of ledgers, or of one ledger's folder."""
    left = [MOST_BYTES]
    if path.is_dir():
        folders = [path] if (path / LEDGER).exists() else sorted(path.iterdir())
        if not 1 <= len(folders) <= MOST_LEDGERS:
            raise UsageProblem(f"{path} holds {len(folders)} ledgers, expected 1 to {MOST_LEDGERS}")
        return [_folder(one, "" if one is path else one.name, left) for one in folders]
    try:
        with path.open("rb") as file:
            file.seek(-min(42, path.stat().st_size), io.SEEK_END)
            tail = file.read()
    except OSError as problem:
        raise UsageProblem(f"{path} cannot be read ({problem.strerror})") from None
    return _zipped(path, tail, left)


def _folder(path: Path, name: str, left: list[int]) -> Source:
    for one in (path, path / LEDGER, path / NOTES):
        if one.is_symlink() or not (one.is_dir() if one is path else one.is_file()):
            raise Broken(f"{one} is not a plain {'folder' if one is path else 'file'}")

    def opened(member: str) -> BinaryIO:
        return io.BufferedReader(_Metered((path / member).open("rb"), left), 1 << 16)

    return Source(str(path), name, (path / LEDGER).stat().st_size, opened)


def _zipped(path: Path, tail: bytes, left: list[int]) -> list[Source]:
    """Look at a zip's own list of members before anything is unpacked."""
    # The last 22 bytes end the list. A comment, or the 64-bit form, is nothing that we write.
    if tail[-22:-18] != b"PK\5\6" or tail[-2:] != b"\0\0":
        raise UsageProblem(f"{path} is neither a folder nor a plain zip")
    if tail[:4] == b"PK\6\7" or struct.unpack("<I", tail[-10:-6])[0] > MOST_DIRECTORY:
        raise Broken("the zip's list of members is too long")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, RuntimeError, ValueError) as problem:
        raise Broken(f"the zip cannot be read ({problem})") from None
    found: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for info in archive.infolist():
        match = _MEMBER.fullmatch(info.orig_filename)
        kind = stat.S_IFMT(info.external_attr >> 16)
        # Other ways of packing could make gigabytes of one small read.
        packed = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        plain = kind in (0, stat.S_IFREG) and packed and not info.flag_bits & 1
        if match is None or not plain:
            raise Broken(f"the zip holds {info.orig_filename!r}, which is no file of a ledger")
        if found.setdefault(match[1], {}).setdefault(match[2], info) is not info:
            raise Broken(f"the zip holds {info.orig_filename!r} twice")
    if not 1 <= len(found) <= MOST_LEDGERS:
        raise Broken(f"the zip holds {len(found)} ledgers, expected 1 to {MOST_LEDGERS}")
    alone = [name for name, files in found.items() if len(files) != 2]
    if alone:
        raise Broken(f"the zip holds only one of {alone[0]}'s two files")

    def opener(files: dict[str, zipfile.ZipInfo]) -> Callable[[str], BinaryIO]:
        def opened(member: str) -> BinaryIO:
            try:
                file = archive.open(files[member])
            except (zipfile.BadZipFile, RuntimeError) as problem:
                raise Broken(f"the zip cannot be unpacked ({problem})") from None
            return io.BufferedReader(_Metered(file, left), 1 << 16)  # type: ignore[arg-type]

        return opened

    return [
        Source(f"{path}:{name}", name, files[LEDGER].file_size, opener(files))
        for name, files in sorted(found.items())
    ]


# --------------------------------------------------------------------------------------- grammar

_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
_HASH: Final = re.compile("[0-9a-f]{64}")
_SIGNATURE: Final = re.compile("[0-9a-f]{128}")
_OPTIONAL: Final = re.compile("(?:[0-9a-f]{128})?")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,200}")  # the name of a key: no space, no plus


class Shape(NamedTuple):
    """The keys of one kind of entry: texts, integers, at most one table, and forms of texts."""

    texts: frozenset[str]
    numbers: frozenset[str]
    table: str
    forms: tuple[tuple[str, re.Pattern[str]], ...]


def _shape(texts: str = "", hashes: str = "", numbers: str = "", *, signed: str = "",
           optional: str = "", table: str = "") -> Shape:  # fmt: skip
    """Write a shape down from lists of names; hashes and keys are 32 bytes, in hex."""
    forms = dict.fromkeys(hashes.split(), _HASH) | dict.fromkeys(signed.split(), _SIGNATURE)
    forms |= dict.fromkeys(optional.split(), _OPTIONAL)
    names = frozenset([*texts.split(), *forms, "kind", "prev", "time"])
    return Shape(names, frozenset([*numbers.split(), "seq"]), table, tuple(forms.items()))


_TURN: Final = "round attempt"
_MOST: Final = "rho rho_local person_rho person_rho_local"
SHAPES: Final[dict[str, Shape]] = {
    "genesis": _shape("format origin institution role unit adjacency", "root officer key",
                      signed="grant", table="policy"),
    "plan": _shape("name purpose noise", "plan",
                   f"institutions threshold colluders rounds retries {_MOST}"),
    "approve": _shape("by note", "plan", optional="second"),
    "charge": _shape("software sampler", "plan request", f"{_TURN} rho rho_local", table="event"),
    "release": _shape("", "plan reply", f"{_TURN} charge"),
    "agree": _shape("", "plan request reply", _TURN),
    "reveal": _shape("", "plan request reply", _TURN),
    "burn": _shape("why", "plan", f"{_TURN} charge"),
    "refuse": _shape("why", "plan request", _TURN),
    "policy_change": _shape(signed="root", optional="second", table="policy"),
    "key_rotate": _shape("", "key", signed="proof", optional="old root"),
    "audit": _shape("what result"),
    "note": _shape("text"),
    "receipt": _shape("institution", "plan reply", _TURN),
    "close": _shape("outcome", "plan transcript", f"{_TURN} survivors"),
}  # fmt: skip
ONE_OF: Final[dict[str, tuple[str, ...]]] = {  # texts with few values
    "role": ("institution", "coordinator"), "unit": ("record",), "adjacency": ("add-remove",),
    "by": ("policy", "officer"), "sampler": ("discrete-gaussian/1",),
    "outcome": ("opened", "aborted"), "noise": ("distributed", "local", "alone"),
}  # fmt: skip
REASONS: Final = ("budget", "policy", "plan")  # of a refusal


class Event(NamedTuple):
    """What was done to the records: one sum of bounded integer rows with Gaussian noise.

    `rate` is that of the secret sample it is over, in parts of 2^-20; `ALL` for all records.
    """

    dim: int
    honest: int
    sensitivity_squared: int
    variance: int
    part: str
    rate: int = ALL


class Entry(NamedTuple):
    """One line that keeps to the grammar and to its kind's shape."""

    kind: str
    seq: int
    time: str
    texts: dict[str, str]
    numbers: dict[str, int]
    event: Event | None
    policy: Policy | None
    curves: dict[str, tuple[int, ...]]  # of a sampled charge, or of a plan with sampled rounds
    rates: tuple[int, ...]  # of such a plan's rounds

    @property
    def turn(self) -> tuple[int, int]:
        """Round and attempt."""
        return self.numbers["round"], self.numbers["attempt"]

    @property
    def label(self) -> str:
        """The turn, for people."""
        return f"round {self.numbers['round']}, attempt {self.numbers['attempt']}"


def _parsed(line: bytes) -> dict[str, object]:
    """Read a line without its newline, and refuse it unless writing it again gives the same."""
    text = line.decode("latin-1")
    if not (text.isascii() and text.isprintable()):
        raise Broken("not printable ASCII")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise Broken("not JSON") from None
    if type(table) is not dict or _encode(table) != text:
        raise Broken("not in the one canonical form")
    # With that, the only escapes that could stand here are those of JSON; two are allowed.
    if "\\" in text and "\\" in text.replace("\\\\", "").replace('\\"', ""):
        raise Broken("a string is escaped that needs no escape")
    return table


def read_entry(line: bytes, seq: int, prev: str) -> Entry:
    """Read one line: its grammar, its shape, its number and its link to the line before."""
    table = _parsed(line)
    kind = table.get("kind")
    if kind == "genesis" and table.get("format") != FORMAT:
        raise Broken(f"another format than {FORMAT}: take the verifier that belongs to it")
    shape = SHAPES.get(kind) if type(kind) is str else None
    if type(kind) is not str or shape is None:
        raise Broken("an entry of an unknown kind")
    texts = {key: value for key, value in table.items() if type(value) is str}
    numbers = {key: value for key, value in table.items() if type(value) is int}
    rest = table.keys() - texts.keys() - numbers.keys()
    beside = rest & _BESIDE.get(kind, set())
    rest -= beside
    found = frozenset(texts), frozenset(numbers), frozenset(rest)
    if found != (shape.texts, shape.numbers, frozenset({shape.table} - {""})):
        raise Broken(f"not the keys and kinds of value that a {kind} has")
    if min(numbers.values()) < 0 or max(numbers.values()) > MOST_INTEGER:
        raise Broken("an integer is not from 0 to 2^53 - 1")
    for key, form in shape.forms:
        if form.fullmatch(texts[key]) is None:
            raise Broken(f"{key} is not lower-case hex of the right length")
    for key, values in ONE_OF.items():
        if key in texts and texts[key] not in values:
            raise Broken(f"{key} is none of {', '.join(values)}")
    if numbers["seq"] != seq:
        raise Broken(f"seq is {numbers['seq']}, expected {seq}")
    if texts["prev"] != prev:
        raise Broken("prev is not the digest of the line before")
    _check_time(texts["time"])
    event = _event(table["event"]) if shape.table == "event" else None
    rates, curves = _curves(kind, table, beside, event)
    policy, bare = None, texts.get("role") == "coordinator"
    if shape.table == "policy":
        policy = Policy.read(table["policy"], bare=bare)
    return Entry(kind, seq, texts["time"], texts, numbers, event, policy, curves, rates)


def _check_time(text: str) -> None:
    try:
        good = _TIME.fullmatch(text) is not None and datetime.fromisoformat(text[:-1])
    except ValueError:
        good = False
    if not good:
        raise Broken("time is no date and time such as 2026-11-25T14:11:40Z")


_BESIDE: Final = {"charge": {"renyi"}, "plan": {"sampled"}}  # tables that need not be there


def _curves(kind: str, line: dict[str, object], beside: AbstractSet[str],
            event: Event | None) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:  # fmt: skip
    """Read divergences at `ORDERS`, one list a figure, and the rates of a plan's rounds."""
    if event and bool(beside) != (event.rate != ALL):
        raise Broken("a charge has divergences if and only if its event is over a sample")
    if not beside:
        return (), {}
    table = line[next(iter(beside))]
    keys = ("rates", *_CAPS) if kind == "plan" else _CAPS[:2]
    if type(table) is not dict or table.keys() != set(keys):
        raise Broken("divergences are not those of the figures that they belong to")
    if not all(type(table[key]) is list for key in keys):
        raise Broken("divergences are not lists")
    if not all(type(one) is int and 0 <= one <= MOST_INTEGER for key in keys for one in table[key]):
        raise Broken("a divergence or a rate is no integer from 0 to 2^53 - 1")
    curves = {key: tuple(table[key]) for key in keys}
    rates = curves.pop("rates", ())
    if any(len(curve) != len(ORDERS) for curve in curves.values()):
        raise Broken(f"divergences are not at the {len(ORDERS)} orders")
    if kind == "plan" and (min(rates, default=0) < 1 or max(rates) > ALL or min(rates) == ALL):
        raise Broken("the rates are not from 1 to 2^20, one at least below it")
    return rates, curves


def _event(table: object) -> Event:
    """Read an event: exactly its keys, every value in the range that the costs are proven for."""
    numbers = {
        "dim": (1, 2**32), "honest": (1, 2**20),
        "sensitivity_squared": (1, 2**52), "variance": (16, 2**40),
    }  # fmt: skip
    sampled = type(table) is dict and table.get("event") == "sampled-gaussian-sum"
    if sampled:
        numbers["rate"] = (1, ALL - 1)
    if type(table) is not dict or table.keys() != {*numbers, "event", "name", "part"}:
        raise Broken("event has not the keys of an event")
    for key, (low, high) in numbers.items():
        if type(table[key]) is not int or not low <= table[key] <= high:
            raise Broken(f"the event's {key} is not from {low} to {high}")
    if not sampled and table["event"] != "gaussian-sum":
        raise Broken("an event of an unknown kind")
    if type(table["name"]) is not str or not 1 <= len(table["name"]) <= 64:
        raise Broken("the event's name is not of 1 to 64 characters")
    if table["part"] not in ("train", "held-out"):
        raise Broken("the event's part is neither train nor held-out")
    dim, honest, squared, variance, *rate = (table[key] for key in numbers)
    return Event(dim, honest, squared, variance, table["part"], *rate)


# -------------------------------------------------------------------------------------- policies

_CAPS: Final = ("rho", "rho_local", "person_rho", "person_rho_local")
_POLICY_NUMBERS: Final = (*_CAPS, "study_rho", "automatic_rho", "persons", "quorum",
                          "beside_coordinator")  # fmt: skip
_POLICY_KEYS: Final = {*_POLICY_NUMBERS, "delta", "begins", "ends", "purposes", "witnesses"}

KeyId = tuple[str, bytes]
"""A key's name and the four bytes that tell it from others of that name."""


class Policy(NamedTuple):
    """What an institution allows; `table` is as written, `digest` of its canonical form."""

    table: dict[str, object]
    digest: str
    numbers: dict[str, int]
    delta: float
    begins: str
    ends: str
    purposes: frozenset[str]
    witnesses: dict[KeyId, tuple[bytes, str]]

    @classmethod
    def read(cls, table: object, *, bare: bool) -> Policy:
        """Read a policy; a coordinator's is ``bare``: it spends nothing, so all is zero."""
        if type(table) is not dict or table.keys() != _POLICY_KEYS:
            raise Broken("policy has not the keys of a policy")
        numbers = {key: table[key] for key in _POLICY_NUMBERS}
        if not all(type(value) is int and 0 <= value <= MOST_INTEGER for value in numbers.values()):
            raise Broken("a number of the policy is no integer from 0 to 2^53 - 1")
        delta, begins, ends, purposes = (table[k] for k in ("delta", "begins", "ends", "purposes"))
        if not all(type(text) is str for text in (delta, begins, ends)):
            raise Broken("a text of the policy is no text")
        if type(purposes) is not list or not all(type(text) is str for text in purposes):
            raise Broken("the policy's purposes are not a list of texts")
        witnesses = _witnesses(table["witnesses"])
        if bare and any(numbers[key] for key in (*_CAPS, "study_rho", "automatic_rho")):
            raise Broken("a coordinator's policy allows nothing to be spent")
        if not bare:
            _check_policy(numbers, delta, (begins, ends), len(witnesses))
        digest = hashlib.sha256(_encode(table).encode()).hexdigest()
        allowed = frozenset(purposes)
        return cls(table, digest, numbers, 0.0 if bare else float(delta), begins, ends, allowed,
                   witnesses)  # fmt: skip

    def asks_officer(self, old: Policy) -> str:
        """What in this policy needs the officer's signature if ``old`` is in force, or ""."""
        raised = [key for key in (*_CAPS, "study_rho", "automatic_rho")
                  if self.numbers[key] > old.numbers[key]]  # fmt: skip
        lowered = [key for key in ("quorum", "beside_coordinator", "persons")
                   if self.numbers[key] < old.numbers[key]]  # fmt: skip
        opened = old.purposes and not (self.purposes and self.purposes <= old.purposes)
        changed = [key for key in ("delta", "witnesses") if self.table[key] != old.table[key]]
        what = [f"raises {key}" for key in raised] + [f"lowers {key}" for key in lowered]
        what += ["allows more purposes"] * bool(opened) + [f"changes {key}" for key in changed]
        return ", ".join(what + ["begins a new period"] * (self.begins != old.begins))


def _check_policy(numbers: dict[str, int], delta: str, period: tuple[str, str], seen: int) -> None:
    """Refuse a policy under which a figure would mean nothing."""
    try:
        days = [date.fromisoformat(day).isoformat() for day in period]
        good = repr(float(delta)) == delta and 1e-300 <= float(delta) < 1
    except ValueError:
        raise Broken("the policy's delta, begins or ends cannot be read") from None
    if not good:
        raise Broken("the policy's delta is not the shortest text of a number between 0 and 1")
    if tuple(days) != period or days[0] >= days[1]:
        raise Broken("the policy's period does not end after it begins")
    if not 1 <= numbers["persons"] <= 1000:
        raise Broken("the policy's persons is not from 1 to 1000")
    if not numbers["beside_coordinator"] <= numbers["quorum"] <= seen:
        raise Broken("the policy's quorum is more than its witnesses, or less than a part of it")
    if numbers["quorum"] and 2 * numbers["quorum"] <= seen:
        raise Broken("the policy's quorum is half of its witnesses or fewer, so two need not meet")


def _witnesses(rows: object) -> dict[KeyId, tuple[bytes, str]]:
    """Read a policy's, or a trust file's, list of witnesses."""
    if type(rows) is not list or not all(type(row) is dict for row in rows):
        raise Broken("witnesses is not a list of keys with roles")
    found: dict[KeyId, tuple[bytes, str]] = {}
    for row in rows:
        if row.keys() != {"key", "role"} or type(row["key"]) is not str:
            raise Broken("a witness is not a key and a role")
        if row["role"] not in ("institution", "coordinator", "regulator"):
            raise Broken("a witness's role is none of institution, coordinator, regulator")
        name, public = _verifier_key(row["key"])
        refuse_small(public.hex())
        found[name, key_id(name, 4, public)] = public, row["role"]
    if len({public for public, _ in found.values()}) != len(rows):
        raise Broken("a witness is named twice")  # or one key under two names: it would count twice
    return found


# ----------------------------------------------------------------------------------------- notes


class Note(NamedTuple):
    """A signed checkpoint: so many entries have this root. Signatures are (key, bytes)."""

    origin: str
    size: int
    root: bytes
    body: bytes
    signatures: tuple[tuple[KeyId, bytes], ...]
    text: str


_SIZE: Final = re.compile("[1-9][0-9]{0,15}")


def key_id(name: str, kind: int, public: bytes) -> bytes:
    """The first four bytes of the digest that names a key: C2SP signed-note."""
    return hashlib.sha256(b"%s\n%c%s" % (name.encode(), kind, public)).digest()[:4]


def _verifier_key(text: str) -> tuple[str, bytes]:
    """Read ``name+id+base64(type || key)`` of a witness, whose type is 4."""
    name, _, rest = text.partition("+")
    short, _, coded = rest.partition("+")
    data = _base64(coded)
    if _ORIGIN.fullmatch(name) is None or len(data) != 33 or data[0] != 4:
        raise Broken("a witness's key is no verifier key of type 4")
    if key_id(name, 4, data[1:]).hex() != short:
        raise Broken("a verifier key's id is not that of its key")
    return name, data[1:]


def _base64(text: str) -> bytes:
    """Decode base64 that is spelled in the one canonical way; empty if it is not."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def notes_of(file: BinaryIO) -> Iterator[Note]:
    """Read a file of checkpoints: body lines, an empty line, signature lines, and so on."""

    def line() -> str:
        data = file.readline(2048)
        if data and not data.endswith(b"\n"):
            raise Broken(f"{NOTES}: a line is cut off or too long")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise Broken(f"{NOTES}: not UTF-8") from None

    at = line()
    while at:
        lines, signatures = [at, line(), line(), line()], []
        while (at := line()).startswith("— "):
            signatures.append(at)
            if len(signatures) > MOST_LEDGERS:
                raise Broken(f"{NOTES}: a checkpoint has too many signatures")
        yield _note(lines, signatures)


def _note(lines: Sequence[str], signatures: Sequence[str]) -> Note:
    """Read one checkpoint, in the only spelling it has."""
    origin, size, root = (one.removesuffix("\n") for one in lines[:3])
    data = _base64(root)
    if _SIZE.fullmatch(size) is None or len(data) != 32 or lines[3:] != ["\n"] or not signatures:
        raise Broken(f"{NOTES}: not a checkpoint with a size, a root and signatures")
    found = []
    for one in signatures:
        words = one.removesuffix("\n").split(" ")
        signature = _base64(words[-1])
        if len(words) != 3 or _ORIGIN.fullmatch(words[1]) is None or len(signature) < 5:
            raise Broken(f"{NOTES}: not a signature line")
        found.append(((words[1], signature[:4]), signature[4:]))
    body = "".join(lines[:3])
    text = "".join([*lines, *signatures])
    return Note(origin, int(size), data, body.encode(), tuple(found), text)


_PRIME: Final = 2**255 - 19
_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL: Final = {0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8}


def refuse_small(*keys: str) -> None:
    """Refuse keys (hex) of small order: under those anybody can sign."""
    for key in keys:
        if (int.from_bytes(bytes.fromhex(key), "little") & (2**255 - 1)) % _PRIME in _SMALL:
            raise Broken("a key of small order: anybody could sign in its name")


@lru_cache(maxsize=4096)
def _public(key: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(key)


def signed(public: bytes, signature: bytes, text: bytes) -> bool:
    """Whether an Ed25519 signature is good."""
    try:
        _public(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


# ------------------------------------------------------------------------------------------ tree


class Tree:
    """The RFC 6962 tree over all lines so far, kept as the roots of its full subtrees."""

    def __init__(self) -> None:
        self.size = 0
        self._full: list[bytes] = []  # largest first; their sizes are the bits of `size`

    def add(self, leaf: bytes) -> None:
        """Append the hash of a leaf."""
        rest = self.size
        while rest & 1:
            leaf = hashlib.sha256(b"\1" + self._full.pop() + leaf).digest()
            rest >>= 1
        self._full.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of everything appended, one leaf at least."""
        *others, root = self._full
        for left in reversed(others):
            root = hashlib.sha256(b"\1" + left + root).digest()
        return root


# ----------------------------------------------------------------------------------------- costs


@lru_cache(maxsize=65_536)
def event_cost(sensitivity_squared: int, variance: int, honest: int) -> int:
    """What an event costs, in 1e-9 zCDP, rounded up: integers only, so that nothing is lost.

    ``R^2 / (2hV) + tau (isqrt(R^2 2^32 / hV) + 1) + tau^2 2^31`` with ``tau = 10 (h - 1) / 2^227``:
    arXiv 2102.06387, the theorem on sums of discrete Gaussians.
    """
    above, below = _exact(sensitivity_squared, variance, honest)
    return -(-(10**9 * above) // below)


def _exact(sensitivity_squared: int, variance: int, honest: int) -> tuple[int, int]:
    """The formula of `event_cost` as a fraction, in rho."""
    noise, tau = honest * variance, 10 * (honest - 1)
    cross = math.isqrt((sensitivity_squared << 32) // noise) + 1
    above = (sensitivity_squared << 454) + 2 * noise * ((tau * cross << 227) + (tau * tau << 31))
    return above, 2 * noise << 454


ORDERS: Final = (*range(2, 65), 72, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 512)
"""Renyi orders at which sums over samples are counted; at order alpha others count alpha rho."""


@lru_cache(maxsize=16_384)
def renyi_cost(rate: int, squared: int, variance: int, honest: int, m: int = 1) -> tuple[int, ...]:
    """What a sum over a sample costs at each of `ORDERS`, in 1e-9, rounded up.

    ``ln(sum_k C(alpha, k) (1-q)^(alpha-k) q^k exp(k (k-1) rho)) / (alpha - 1)``, k from 0 to
    alpha, rho as in `event_cost`: arXiv 1908.10530, section 3.3. Never above ``alpha rho``. A
    person with m records, each in the sample or not by itself, moves the sum by at most m steps,
    and only if one of them is in: q is then ``1 - (1-q)^m``, to the next part of 2^20.
    """
    above, below = _exact(m * m * squared, variance, honest)
    full = tuple(-(-(10**9 * order * above) // below) for order in ORDERS)
    missed = (ALL - rate) ** m >> 20 * (m - 1)
    if missed == 0 or above > 1000 * below:
        return full
    with localcontext(prec=80, Emax=MAX_EMAX, Emin=MIN_EMIN):
        q, rho = 1 - Decimal(missed) / ALL, Decimal(above) / below
        inside = [q**k * (k * (k - 1) * rho).exp() for k in range(ORDERS[-1] + 1)]
        outside = [(1 - q) ** k for k in range(ORDERS[-1] + 1)]
        found = []
        for order in ORDERS:
            moment = sum(math.comb(order, k) * outside[order - k] * inside[k]
                         for k in range(order + 1))  # fmt: skip
            found.append(math.ceil(10**9 * Decimal(moment).ln() / (order - 1)))
    return tuple(map(min, found, full))


@lru_cache(maxsize=1024)
def room_for(cap: int, delta: float) -> tuple[int, int]:
    """The one order at which sampled sums are held against a cap, and the divergence it allows.

    The order is that at which a zCDP of the cap gives its least epsilon; one order, fixed by the
    cap alone, because rounds may be chosen after earlier answers (arXiv 2008.11193). The
    divergence, in 1e-9 and rounded down, is that which gives at this order the epsilon that the
    cap gives at the best of all real orders: where ``rho (alpha - 1)^2 = ln(1 / (alpha delta))``.
    """
    with localcontext(prec=60):
        cost, minus = Decimal(cap) / 10**9, -Decimal(delta).ln()

        def constant(order: Decimal) -> Decimal:  # epsilon less the divergence
            return (minus - order.ln()) / (order - 1) + (1 - 1 / order).ln()

        order = min(ORDERS, key=lambda one: cost * one + constant(Decimal(one)))
        if not cap:
            return order, 0
        low, high = Decimal(1), 1 + (minus / cost).sqrt()
        for _ in range(200):
            half = (low + high) / 2
            if cost * (half - 1) ** 2 + half.ln() < minus:
                low = half
            else:
                high = half
        room = cost * high + constant(high) - constant(Decimal(order))
        return order, max(math.floor(10**9 * room), 0)


class Paid(NamedTuple):
    """What somebody has paid: in 1e-9 zCDP, and at `ORDERS` if a sum was over a sample.

    The zCDP counts such a sum as if it were over all records.
    """

    rho: int
    renyi: tuple[int, ...] = ()

    @property
    def curve(self) -> tuple[int, ...]:
        """At `ORDERS`, sampled or not."""
        return self.renyi or tuple(order * self.rho for order in ORDERS)

    def plus(self, *others: Paid) -> Paid:
        """All together."""
        every = (self, *others)
        curves = [one.curve for one in every] if any(one.renyi for one in every) else []
        rho = sum(one.rho for one in every)
        return Paid(rho, tuple(map(sum, zip(*curves, strict=True))))

    def times(self, count: int) -> Paid:
        """So many times as much."""
        return Paid(count * self.rho, tuple(count * one for one in self.renyi))

    def within(self, most: Paid) -> bool:
        """Whether it is no more than another, at any order."""
        sampled = self.renyi or most.renyi
        return self.rho <= most.rho and (not sampled or all(map(le, self.curve, most.curve)))

    def epsilon(self, delta: float) -> float:
        """The least epsilon over the orders, rounded up: arXiv 2004.00010, Proposition 12."""
        if not self.renyi:
            return epsilon_of(self.rho, delta)
        least: float = min(
            cost / 1e9 - (math.log(order) + math.log(delta)) / (order - 1) + math.log1p(-1 / order)
            for order, cost in zip(ORDERS, self.renyi, strict=True)
        )
        return max(least, 0.0) * (1 + 1e-11) + 1e-14


def paid_under(paid: Paid, cap: int, delta: float) -> int:
    """What of a cap is taken up: above the cap if and only if the cap does not hold."""
    if not paid.renyi:
        return paid.rho
    order, room = room_for(cap, delta)
    taken = paid.renyi[ORDERS.index(order)]
    if room == 0:
        return 10**18 if taken else 0
    return min(-(-cap * taken // room), 10**18)


def _dearer(one: Paid, other: Paid) -> Paid:
    """The larger of both at every order."""
    curve = tuple(map(max, one.curve, other.curve)) if one.renyi or other.renyi else ()
    return Paid(max(one.rho, other.rho), curve)


def epsilon_of(cost: int, delta: float) -> float:
    """The epsilon at ``delta`` that a cost in 1e-9 zCDP implies, rounded up.

    arXiv 2004.00010, Proposition 12: the least over orders alpha > 1 of
    ``rho alpha + ln(1 / (alpha delta)) / (alpha - 1) + ln(1 - 1/alpha)``. Every order gives a
    valid epsilon, so the search may stop anywhere.
    """

    def at(x: float) -> float:  # x = ln(alpha - 1): unimodal
        less_one = math.exp(x)
        known = (math.log1p(less_one) + math.log(delta)) / less_one + math.log1p(1 / less_one)
        return cost / 1e9 * (1 + less_one) - known

    if cost == 0:
        return 0.0
    low, high = -12.0, 18.0
    for _ in range(80):
        third = (high - low) / 3
        low, high = (
            (low, high - third) if at(low + third) < at(high - third) else (low + third, high)
        )
    return max(at((low + high) / 2), 0.0) * (1 + 1e-11) + 1e-14


def _of_kind(kind: tuple[str, int, int, int, int], m: int, *, alone: bool) -> Paid:
    """What one sum over a sample costs somebody with m records in it."""
    _, rate, squared, variance, honest = kind
    if alone:
        cost = event_cost(squared, variance, 1), renyi_cost(rate, squared, variance, 1)
        return Paid(*cost).times(m)
    rho = m * m * event_cost(squared, variance, honest)
    return Paid(rho, renyi_cost(rate, squared, variance, honest, m))


class Sums:
    """What has been paid, by part of the records: kinds of events, with how many of each."""

    def __init__(self) -> None:
        self.rho = {"train": [0, 0], "held-out": [0, 0]}  # of sums over all: distributed, local
        self.sampled: Counter[tuple[str, int, int, int, int]] = Counter()
        self.parts: set[str] = set()  # with a sum over a sample
        self.known: dict[tuple[str, int, bool], Paid] = {}  # of those over samples, so far

    def add(self, event: Event) -> None:
        """Add an event."""
        part, squared, variance, honest = event.part, *event[2:4], event.honest
        if event.rate == ALL:
            self.rho[part][0] += event_cost(squared, variance, honest)
            self.rho[part][1] += event_cost(squared, variance, 1)
            return
        kind = part, event.rate, squared, variance, honest
        self.sampled[kind] += 1
        self.parts.add(part)
        for (of, m, alone), paid in self.known.items():
            if of == part:
                self.known[of, m, alone] = paid.plus(_of_kind(kind, m, alone=alone))

    def of_part(self, part: str, m: int, *, alone: bool) -> Paid:
        """What somebody with m records in every sum on one part has paid for that part."""
        full = Paid(self.rho[part][alone]).times(m if alone else m * m)
        if part not in self.parts:
            return full
        if (part, m, alone) not in self.known:
            pairs = self.sampled.items()
            costs = [_of_kind(kind, m, alone=alone).times(count) for kind, count in pairs
                     if kind[0] == part]  # fmt: skip
            self.known[part, m, alone] = Paid(0).plus(*costs)
        return full.plus(self.known[part, m, alone])

    def record(self) -> tuple[Paid, Paid]:
        """What a record has paid: it is in one part, so the dearer one."""
        if not self.sampled:
            train, held_out = self.rho.values()
            return Paid(max(train[0], held_out[0])), Paid(max(train[1], held_out[1]))
        there, alone = (
            _dearer(*(self.of_part(part, 1, alone=alone) for part in self.rho))
            for alone in (False, True)
        )
        return there, alone

    def person(self, m: int) -> tuple[Paid, Paid]:
        """What a person at m institutions has paid: both parts, m records in every sum."""
        if not self.sampled:
            train, held_out = self.rho.values()
            return Paid(m * m * (train[0] + held_out[0])), Paid(m * (train[1] + held_out[1]))
        there, alone = (
            self.of_part("train", m, alone=alone).plus(self.of_part("held-out", m, alone=alone))
            for alone in (False, True)
        )
        return there, alone

    def figures(self, m: int) -> dict[str, Paid]:
        """All four, by their names in a policy."""
        return dict(zip(_CAPS, (*self.record(), *self.person(m)), strict=True))


# ---------------------------------------------------------------------------- one ledger's rules

Turn = tuple[int, int]


@dataclass(slots=True)
class Plan:
    """A plan as written, and what has become of it."""

    texts: dict[str, str]
    numbers: dict[str, int]
    approved_by: str = ""
    approved_at: str = ""
    last: Turn = (-1, 0)
    most: dict[str, Paid] = field(default_factory=dict)
    rates: tuple[int, ...] = ()
    earlier_attempts: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    spent: Sums = field(default_factory=Sums)
    waiting: dict[Turn, str] = field(default_factory=dict)  # released, and not yet revealed
    receipts: dict[Turn, set[str]] = field(default_factory=dict)  # a coordinator's
    closed: set[Turn] = field(default_factory=set)


@dataclass(slots=True)
class Book:
    """One ledger while it is read."""

    where: str
    trust: Trust
    keep: bool  # turns, releases and receipts, to hold several ledgers against one another
    listing: bool
    signatures: bool
    problems: list[dict[str, object]] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)
    more: Counter[str] = field(default_factory=Counter)
    genesis: Entry | None = None
    policy: Policy | None = None
    whole: bool = False
    at: int = 0  # the entry that is looked at
    time: str = ""
    saved: dict[int, set[bytes]] = field(default_factory=dict)
    tree: Tree = field(default_factory=Tree)
    keys: list[tuple[str, int]] = field(default_factory=list)  # hex, first seq
    known: dict[KeyId, tuple[bytes, str]] = field(default_factory=dict)  # every witness so far
    seen: dict[bytes, int] = field(default_factory=dict)  # a witness's latest time
    note: Note | None = None
    cosigned: dict[KeyId, int] = field(default_factory=dict)  # of the size of `note`
    last_cosigned: tuple[int, dict[KeyId, int]] = (0, {})
    quorate: int = 0  # largest size with a quorum
    ahead: int = 0  # seconds
    plans: dict[str, Plan] = field(default_factory=dict)
    open: tuple[int, str, Turn] | None = None
    spent: Sums = field(default_factory=Sums)
    lifetime: Sums = field(default_factory=Sums)
    events: Counter[tuple[str, int, int, int]] = field(default_factory=Counter)
    recompute: list[dict[str, object]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    software: set[str] = field(default_factory=set)
    turns: dict[tuple[str, Turn], Event] = field(default_factory=dict)
    releases: dict[tuple[str, Turn], str] = field(default_factory=dict)
    receipts: dict[tuple[str, str, Turn], tuple[int, str]] = field(default_factory=dict)
    entries: list[dict[str, object]] = field(default_factory=list)

    @property
    def first(self) -> dict[str, str]:
        """The texts of the genesis; empty if even that could not be read."""
        return self.genesis.texts if self.genesis else {}

    @property
    def name(self) -> str:
        """The institution, or where its ledger came from if that is not known."""
        return self.first.get("institution", self.where)

    @property
    def rules(self) -> Policy:
        """The policy in force."""
        if self.policy is None:  # the genesis has set it before anything asks
            raise Broken("there is no policy")
        return self.policy

    def under(self, paid: Paid, key: str) -> int:
        """What of a cap of the policy in force is taken up."""
        return paid_under(paid, self.rules.numbers[key], self.rules.delta)

    def problem(self, kind: str, seq: int | None, what: str) -> None:
        """Note what is wrong; after the first hundred broken rules only their number."""
        if kind == "rule" and len(self.problems) >= MOST_LISTED:
            self.more["rule"] += 1
        else:
            self.problems.append({"ledger": self.name, "seq": seq, "kind": kind, "what": what})

    def breaks(self, entry: Entry, what: str) -> None:
        """Note that an entry breaks a rule; reading goes on."""
        self.problem("rule", entry.seq, f"{entry.kind}: {what}")

    def excepts(self, what: str) -> None:
        """Note what is allowed, and what an auditor may want to ask about."""
        if len(self.exceptions) < MOST_LISTED:
            self.exceptions.append(what)
        else:
            self.more["exception"] += 1

    def all_exceptions(self) -> list[str]:
        """All that were noted, and how many more there were."""
        more = self.more["exception"]
        return self.exceptions + [f"and {more} more"] * bool(more)


def _genesis(book: Book, e: Entry) -> str:
    """Entry 0: who writes, under whose root, by which policy."""
    if book.genesis is not None:
        book.breaks(e, "there is one already")
        return "a second genesis"
    book.genesis, book.policy = e, e.policy
    texts = e.texts
    if not _ORIGIN.fullmatch(texts["origin"]) or not _NAME.fullmatch(texts["institution"]):
        raise Broken("the origin or the institution has a name that cannot be one")
    if len({texts["root"], texts["officer"], texts["key"]}) != 3:
        raise Broken("root, officer and key are not three different keys")
    refuse_small(texts["root"], texts["officer"], texts["key"])
    pinned = book.trust.roots.get(texts["origin"])
    if book.trust.roots and pinned != texts["root"]:
        found = "another root than the trust file names" if pinned else "an origin not in it"
        raise Broken(f"unknown key: {found}")
    words = ("fedcredit/ledger/grant/1", texts["origin"], texts["key"], texts["officer"])
    _check_signed(texts["root"], texts["grant"], words, "root's grant")
    book.keys.append((texts["key"], 0))
    book.known |= book.trust.witnesses
    _check_witnesses(book, e, book.rules)
    return f"the ledger of {texts['institution']} begins"


def _check_signed(public: str, signature: str, words: Sequence[object], whose: str) -> None:
    """Refuse a signature that is not over these lines."""
    text = "".join(f"{word}\n" for word in words).encode()
    if not signed(bytes.fromhex(public), bytes.fromhex(signature), text):
        raise Broken(f"{whose}: the signature is not good")


def _check_witnesses(book: Book, e: Entry, policy: Policy) -> None:
    """From here on these are known; none of them is the ledger's own key under another name."""
    book.known |= policy.witnesses
    own = {key for key, _ in book.keys} | {book.first["root"], book.first["officer"]}
    if own & {public.hex() for public, _ in policy.witnesses.values()}:
        book.breaks(e, "one of its witnesses has a key of the ledger itself")


def _plan(book: Book, e: Entry) -> str:
    """A plan, before it is approved."""
    texts, numbers = e.texts, e.numbers
    said = f"plan {texts['plan'][:12]} ({texts['name']}) is proposed"
    if texts["plan"] in book.plans:
        book.breaks(e, "this plan was written before")
        return said
    most = {key: Paid(numbers[key], e.curves.get(key, ())) for key in _CAPS}
    plan = book.plans[texts["plan"]] = Plan(texts, numbers, most=most, rates=e.rates)
    if e.rates and len(e.rates) != numbers["rounds"]:
        book.breaks(e, f"it has {numbers['rounds']} rounds and {len(e.rates)} rates")
    if book.first["role"] == "institution":
        if book.rules.purposes and texts["purpose"] not in book.rules.purposes:
            book.breaks(e, "the policy does not allow its purpose")
        cost = book.under(plan.most["rho"], "study_rho")
        if cost > book.rules.numbers["study_rho"]:
            book.breaks(e, f"it may cost {cost}, above study_rho")
    return said


def _approve(book: Book, e: Entry) -> str:
    """An approval, once, after its plan."""
    plan, by, second = book.plans.get(e.texts["plan"]), e.texts["by"], e.texts["second"]
    if by == "officer" or second:
        words = ("fedcredit/ledger/approve/1", book.first["origin"], e.texts["plan"])
        _check_signed(book.first["officer"], second, words, "officer")
    if plan is None:
        book.breaks(e, "no such plan")
    elif plan.approved_by:
        book.breaks(e, "it was approved before")
    else:
        plan.approved_by, plan.approved_at = by, e.time
        cost = book.under(plan.most["rho"], "automatic_rho") if by == "policy" else 0
        if cost > book.rules.numbers["automatic_rho"]:
            book.breaks(e, "the plan may cost more than automatic_rho, so an officer must approve")
    return f"plan {e.texts['plan'][:12]} is approved by the {by}"


def _charge(book: Book, e: Entry) -> str:
    """A charge: the only entry that spends."""
    event, numbers, digest = e.event, e.numbers, e.texts["plan"]
    if event is None:
        raise Broken("a charge without an event")  # its shape has been checked: never so
    squared, variance = event.sensitivity_squared, event.variance
    cost = event_cost(squared, variance, event.honest)
    alone = event_cost(squared, variance, 1)
    if (numbers["rho"], numbers["rho_local"]) != (cost, alone):
        said = f"{numbers['rho']} and {numbers['rho_local']}"
        book.breaks(e, f"it says that it costs {said}, its event costs {cost} and {alone}")
    for key, honest in zip(_CAPS, (event.honest, 1), strict=False):
        stated = e.curves.get(key, ())
        true = renyi_cost(event.rate, squared, variance, honest) if stated else ()
        if wrong := [at for at, pair in enumerate(zip(stated, true, strict=True))
                     if pair[0] != pair[1]]:  # fmt: skip
            at = wrong[0]
            said = f"{key} diverges by {stated[at]} at order {ORDERS[at]}"
            book.breaks(e, f"it says that {said}, by its event and rate it is {true[at]}")
    if book.open is not None:
        book.breaks(e, f"the charge of entry {book.open[0]} is still open")
    book.open = e.seq, digest, e.turn
    for sums in (book.spent, book.lifetime):
        sums.add(event)
    book.events[event.part, event.rate, squared, event.honest * variance] += 1
    book.software.add(e.texts["software"])
    if book.keep:
        book.turns[digest, e.turn] = event
    _check_caps(book, e)
    plan = book.plans.get(digest)
    if plan is None:
        book.breaks(e, "no such plan")
    else:
        plan.spent.add(event)
        _check_turn(book, e, plan, event)
    if not book.rules.begins <= e.time[:10] < book.rules.ends:
        book.breaks(e, f"its date is outside {book.rules.begins} to {book.rules.ends}")
    sampled = "" if event.rate == ALL else f", if it were not a sample of {event.rate} in 2^20"
    return f"{e.label} is charged: {cost} (alone {alone}) of 1e-9 rho{sampled}"


def _check_caps(book: Book, e: Entry) -> None:
    """The four caps, after a charge."""
    policy = book.rules.numbers
    for key, figure in book.spent.figures(policy["persons"]).items():
        paid = book.under(figure, key)
        if paid > policy[key]:
            book.breaks(e, f"budget exceeded: {key} comes to {paid}, the cap is {policy[key]}")


def _check_turn(book: Book, e: Entry, plan: Plan, event: Event) -> None:
    """A charge's turn against its plan."""
    numbers = plan.numbers
    if not plan.approved_by:
        book.breaks(e, "its plan is not approved")
    if e.turn <= plan.last:
        last = f"round {plan.last[0]}, attempt {plan.last[1]}"
        book.breaks(e, f"this turn does not come after {last}")
    if e.turn[0] > plan.last[0]:
        plan.earlier_attempts += plan.last[1]
    plan.last = max(plan.last, e.turn)
    if e.turn[0] >= numbers["rounds"]:
        book.breaks(e, f"the plan has only {numbers['rounds']} rounds")
    if plan.earlier_attempts + plan.last[1] > numbers["retries"]:
        book.breaks(e, f"the plan has only {numbers['retries']} retries")
    honest = numbers["threshold"] - numbers["colluders"]
    if event.honest != (honest if plan.texts["noise"] == "distributed" else 1):
        book.breaks(e, f"it counts on {event.honest} honest institutions, which the plan does not")
    rate = plan.rates[e.turn[0]] if e.turn[0] < len(plan.rates) else ALL
    if event.rate != rate:
        book.breaks(e, f"its rate is {event.rate} in 2^20, the plan has {rate} for this round")
    paid, alone = plan.spent.record()
    fits = paid.within(plan.most["rho"]) and alone.within(plan.most["rho_local"])
    if not fits or book.under(paid, "study_rho") > book.rules.numbers["study_rho"]:
        said = f"{paid.rho} (alone {alone.rho})"
        book.breaks(e, f"budget exceeded: the plan has cost {said}, above its most")
    plan.counts["charge"] += 1


def _closes(book: Book, e: Entry) -> bool:
    """Whether a release or burn is of the open charge; then that is closed."""
    if book.open != (e.numbers["charge"], e.texts["plan"], e.turn):
        book.breaks(e, "it is not of the open charge")
        return False
    book.open = None
    if plan := book.plans.get(e.texts["plan"]):
        plan.counts[e.kind] += 1
    return True


def _release(book: Book, e: Entry) -> str:
    """A release: a quorum has seen the charge before."""
    if _closes(book, e):
        if book.quorate <= e.numbers["charge"]:
            book.breaks(e, "no quorum had signed for its charge")
        if plan := book.plans.get(e.texts["plan"]):
            plan.waiting[e.turn] = "release"
        if book.keep:
            book.releases[e.texts["plan"], e.turn] = e.texts["reply"]
    return f"{e.label} may leave"


def _burn(book: Book, e: Entry) -> str:
    """A charge whose answer never left; it stays paid."""
    _closes(book, e)
    return f"{e.label} is burned: {e.texts['why']}"


def _step(book: Book, e: Entry) -> str:
    """`agree` follows a release, `reveal` a release or an agree; nothing follows a reveal."""
    plan = book.plans.get(e.texts["plan"])
    before = plan.waiting.get(e.turn) if plan else None
    if plan is None or before is None or before == e.kind:
        book.breaks(e, "it does not follow a release of its turn, or comes a second time")
    elif e.kind == "reveal":
        del plan.waiting[e.turn]
    else:
        plan.waiting[e.turn] = e.kind
    said = "agrees on who stayed" if e.kind == "agree" else "reveals shares"
    return f"{e.label}: {said}"


def _refuse(_: Book, e: Entry) -> str:
    """A question that was not answered."""
    if e.texts["why"] not in REASONS:
        raise Broken(f"why is none of {', '.join(REASONS)}")
    return f"{e.label} is refused: {e.texts['why']}"


def _policy_change(book: Book, e: Entry) -> str:
    """Another policy: by root, and by the officer too where it allows more."""
    old, new = book.rules, e.policy
    if new is None:
        raise Broken("a change without a policy")  # its shape has been checked: never so
    words = ("fedcredit/ledger/policy/1", book.first["origin"], e.seq, new.digest)
    _check_signed(book.first["root"], e.texts["root"], words, "root")
    if e.texts["second"]:
        _check_signed(book.first["officer"], e.texts["second"], words, "officer")
    if book.open is not None:
        book.breaks(e, f"the charge of entry {book.open[0]} is still open")
    why = new.asks_officer(old)
    if why and not e.texts["second"]:
        book.breaks(e, f"it {why}, and the officer has not signed")
    fresh = new.begins != old.begins
    if fresh and new.begins < old.ends:
        book.breaks(e, f"its period begins before the old one ends ({old.ends})")
    if not fresh and new.ends > old.ends:
        book.breaks(e, "it moves the end of the period back")
    if not fresh and new.ends < old.ends:
        book.excepts(f"entry {e.seq}: the end of the period is brought forward to {new.ends}")
    second_opinion(book, e.seq, at_head=False)
    if fresh:
        book.spent = Sums()
        book.events.clear()
    book.policy = new
    _check_witnesses(book, e, new)
    return f"the policy changes: {why or 'nothing is allowed that was not'}"


def _key_rotate(book: Book, e: Entry) -> str:
    """Another key: its own proof, and the old key or root vouching for it."""
    key, old, root = e.texts["key"], e.texts["old"], e.texts["root"]
    used = {one for one, _ in book.keys} | {book.first["root"], book.first["officer"]}
    words = ("fedcredit/ledger/rotate/1", book.first["origin"], e.seq, key)
    refuse_small(key)
    if key in used:
        raise Broken("a key that was used before")
    if not old and not root:
        raise Broken("neither the old key nor root has signed for the new one")
    _check_signed(key, e.texts["proof"], words, "the new key")
    if old:
        _check_signed(book.keys[-1][0], old, words, "the key in force")
    if root:
        _check_signed(book.first["root"], root, words, "root")
    book.keys.append((key, e.seq + 1))
    return f"the key changes, signed by {'the old key' if old else 'root'}"


def _said(_: Book, e: Entry) -> str:
    """A note, or the outcome of a privacy audit."""
    return e.texts["text"] if e.kind == "note" else f"audit: {e.texts['what']}: {e.texts['result']}"


def _receipt(book: Book, e: Entry) -> str:
    """A coordinator has had an answer: one an institution and turn, before the turn's close."""
    plan, who = book.plans.get(e.texts["plan"]), e.texts["institution"]
    if plan is None:
        book.breaks(e, "no such plan")
    elif e.turn in plan.closed:
        book.breaks(e, "its turn was closed before")
    elif who in plan.receipts.setdefault(e.turn, set()):
        book.breaks(e, "a second receipt of one institution")
    else:
        plan.receipts[e.turn].add(who)
    book.receipts[who, e.texts["plan"], e.turn] = e.seq, e.texts["reply"]
    return f"{e.label}: received from {who}"


def _close(book: Book, e: Entry) -> str:
    """A coordinator's turn ends."""
    plan = book.plans.get(e.texts["plan"])
    if plan is None:
        book.breaks(e, "no such plan")
    elif e.turn in plan.closed:
        book.breaks(e, "its turn was closed before")
    else:
        plan.closed.add(e.turn)
        if e.numbers["survivors"] > len(plan.receipts.pop(e.turn, ())):
            book.breaks(e, "more survivors than receipts")
    return f"{e.label} is {e.texts['outcome']}"


RULES: Final[dict[str, Callable[[Book, Entry], str]]] = {
    "genesis": _genesis, "plan": _plan, "approve": _approve, "charge": _charge,
    "release": _release, "agree": _step, "reveal": _step, "burn": _burn, "refuse": _refuse,
    "policy_change": _policy_change, "key_rotate": _key_rotate, "audit": _said, "note": _said,
    "receipt": _receipt, "close": _close,
}  # fmt: skip
KINDS: Final = {
    "institution": RULES.keys() - {"receipt", "close"},
    "coordinator": {"genesis", "plan", "receipt", "close", "key_rotate", "note"},
}
_SENT: Final = ("release", "agree", "reveal")


# --------------------------------------------------------------- checkpoints, keys and the quorum


def check_note(book: Book, note: Note) -> None:
    """Check a checkpoint of exactly the entries read so far: root, signatures, times, quorum."""
    what = f"the checkpoint of size {note.size}"
    if note.origin != book.first["origin"]:
        raise Broken(f"{what} is of another ledger")
    if note.root != book.tree.root():
        raise Broken(f"{what} has another root than the entries: one was altered after signing")
    if book.note is None or book.note.size != note.size:
        book.cosigned = {}
    writer = _writer(book, -1)
    if [key for key, _ in note.signatures].count(writer) != 1:
        old = {_writer(book, at): at for at in range(len(book.keys) - 1)}
        used = [key[1].hex() for key, _ in note.signatures if key in old]
        found = f"is signed by key {used[0]}, which was replaced" if used else "is not signed"
        raise Broken(f"unknown key: {what} {found} by key {writer[1].hex()}, which is in force")
    for key, signature in note.signatures:
        if key == writer:
            good = not book.signatures or signed(_key(book), signature, note.body)
        elif key in book.known:
            good = _cosigned(book, key, signature, note)
        else:
            raise Broken(f"unknown key: {what} is signed by {key[0]} with key {key[1].hex()}")
        if not good:
            raise Broken(f"{what}: the signature of {key[0]} is not good")
    if book.cosigned:
        book.last_cosigned = note.size, book.cosigned
    if _quorum(book):
        book.quorate = note.size
    book.note = note


def _writer(book: Book, at: int) -> KeyId:
    """Name and id of a key of the ledger."""
    origin = book.first["origin"]
    return origin, key_id(origin, 1, bytes.fromhex(book.keys[at][0]))


def _key(book: Book) -> bytes:
    return bytes.fromhex(book.keys[-1][0])


def _cosigned(book: Book, key: KeyId, signature: bytes, note: Note) -> bool:
    """Check a witness's signature, over its time and the checkpoint: C2SP cosignature/v1."""
    if len(signature) != 72:
        return False
    public, _ = book.known[key]
    (time,) = struct.unpack(">Q", signature[:8])
    text = b"cosignature/v1\ntime %d\n%s" % (time, note.body)
    if book.signatures and not signed(public, signature[8:], text):
        return False
    if time < book.seen.get(public, 0):
        raise Broken(f"the times of witness {key[0]} fall at the checkpoint of size {note.size}")
    book.seen[public] = book.cosigned[key] = time
    written = datetime.fromisoformat(book.time[:-1]).replace(tzinfo=UTC).timestamp()
    book.ahead = max(book.ahead, int(written) - time)
    return True


def _quorum(book: Book) -> bool:
    """Whether enough of the policy's witnesses have signed the latest checkpoint."""
    policy, trusted = book.rules, book.trust.witnesses
    roles = [
        (trusted or policy.witnesses)[key][1]
        for key in book.cosigned
        if key in policy.witnesses and (key in trusted or not trusted)
    ]
    beside = sum(role != "coordinator" for role in roles)
    needed = policy.numbers["quorum"], policy.numbers["beside_coordinator"]
    return len(roles) >= needed[0] and beside >= needed[1]


# ---------------------------------------------------------------------------- a second accountant


def _version(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def second_opinion(book: Book, seq: int, *, at_head: bool) -> None:
    """Compare what a record has paid in the period with dp-accounting's figures.

    Renyi accounting of the same events must agree to a thousandth, apart from what rounding each
    cost up can make; the exact figure of continuous noise must be below ours, and within 12 percent
    unless a sum is over a sample: of few sums over small samples ours is many times as much.
    """
    delta, events = book.rules.delta, book.events.total()
    paid = book.spent.record()[0]
    ours = paid.epsilon(delta)
    row: dict[str, object] = {"at": seq, "events": events, "epsilon": ours}
    row |= {"rdp": None, "pld": None}
    book.recompute.append(row)
    many = len(book.events) > MOST_DISTINCT
    if not events or many or ours > 100 or _version("dp-accounting") is None:
        return
    lower = (max(one - 2 * events * of, 0) for one, of in zip(paid.renyi, ORDERS, strict=False))
    # If rounding up had cost nothing.
    least = Paid(max(paid.rho - 2 * events, 0), tuple(lower)).epsilon(delta)
    row["rdp"] = rdp = _opinion(book, delta, "rdp")
    if not least * (1 - 1e-3) - 1e-6 <= rdp <= ours * (1 + 1e-3) + 1e-6:
        book.problem("evidence", seq, f"epsilon is {ours}, a second accountant says {rdp}")
    if at_head and len(book.events) <= MOST_DISTINCT // 50 and delta >= 1e-12:
        row["pld"] = pld = _opinion(book, delta, "pld")
        if ours >= 0.1 and not (0 if paid.renyi else least / 1.12) <= pld <= ours:
            book.problem("evidence", seq, f"epsilon is {ours}, the reference says {pld}")


def _opinion(book: Book, delta: float, which: str) -> float:
    """The dearer part's epsilon, by dp-accounting; equal events are composed together."""
    from dp_accounting import (  # noqa: PLC0415 - an extra, and slow to import
        GaussianDpEvent,
        PoissonSampledDpEvent,
    )
    from dp_accounting.pld import PLDAccountant  # noqa: PLC0415
    from dp_accounting.rdp import RdpAccountant  # noqa: PLC0415

    orders = [1 + math.exp(x / 116) for x in range(-454, 1604)]  # .02 to 1e6
    if any(rate != ALL for _, rate, _, _ in book.events):
        orders = list(map(float, ORDERS))
    found = 0.0
    for part in ("train", "held-out"):
        accountant = RdpAccountant(orders) if which == "rdp" else PLDAccountant()
        for (of, rate, squared, noise), count in book.events.items():
            if of == part:
                done = GaussianDpEvent(math.sqrt(noise / squared))
                sampled = done if rate == ALL else PoissonSampledDpEvent(rate / ALL, done)
                accountant.compose(sampled, count)
        found = max(found, float(accountant.get_epsilon(delta)))
    return found


# ---------------------------------------------------------------------------- reading one ledger


def read_ledger(source: Source, book: Book) -> None:
    """Read a ledger to its end, or to the first entry whose evidence is broken."""
    try:
        with source.open(LEDGER) as lines, source.open(NOTES) as file:
            _read(source, book, lines, notes_of(file))
        book.whole = True
    except Broken as problem:
        place = "" if str(problem).startswith(NOTES) else f"line {book.at + 1}: "
        book.problem("evidence", book.at, f"{place}{problem}")
    except OSError as problem:
        raise UsageProblem(f"{source.where} cannot be read ({problem.strerror})") from None
    if book.whole and book.first["role"] == "institution":
        second_opinion(book, book.tree.size - 1, at_head=True)


def _read(source: Source, book: Book, lines: BinaryIO, notes: Iterator[Note]) -> None:
    """Hold every entry, and then every checkpoint that ends with it, to what it must be."""
    prev, note = "0" * 64, next(notes, None)
    while line := lines.readline(MOST_LINE + 1):
        book.at = seq = book.tree.size
        if len(line) > MOST_LINE:
            raise Broken(f"longer than {MOST_LINE} bytes")
        if not line.endswith(b"\n"):
            raise Broken(f"incomplete tail: cut off, {'yet' if note else 'and not'} signed for")
        entry = read_entry(line[:-1], seq, prev)
        prev, leaf = hashlib.sha256(line).hexdigest(), hashlib.sha256(b"\0" + line)
        said = _apply(source, book, entry)
        if book.listing:
            row = {"seq": seq, "kind": entry.kind, "time": entry.time, "what": said}
            book.entries.append({**row, "leaf": leaf.hexdigest()})
        book.tree.add(leaf.digest())
        if seq + 1 in book.saved and book.saved.pop(seq + 1) != {book.tree.root()}:
            raise Broken(f"another root than the checkpoint of size {seq + 1} saved earlier")
        while note is not None and note.size == seq + 1:
            check_note(book, note)
            note = next(notes, None)
        if note is not None and note.size <= seq:
            raise Broken(f"after a checkpoint of size {seq + 1} there is one of size {note.size}")
        if entry.kind in _SENT and book.quorate <= seq and book.genesis:
            book.excepts(f"entry {seq}: {entry.kind} was not cosigned at once, may not have left")
    _check_end(book, note)


def _apply(source: Source, book: Book, entry: Entry) -> str:
    """Put an entry into the book, by the rules of its kind."""
    if (entry.seq == 0) != (entry.kind == "genesis") and book.genesis is None:
        raise Broken("the first entry is no genesis")
    if entry.time < book.time:
        book.excepts(f"entry {entry.seq}: the clock goes back, from {book.time} to {entry.time}")
    book.time = entry.time
    book.counts[entry.kind] += 1
    if book.genesis and entry.kind not in KINDS[book.first["role"]]:
        book.breaks(entry, f"not an entry of a {book.first['role']}'s ledger")
        return f"a {entry.kind} where none belongs"
    said = RULES[entry.kind](book, entry)
    if entry.seq == 0 and source.name not in ("", book.first["institution"]):
        raise Broken(f"the ledger of {book.first['institution']} lies in folder {source.name}")
    if entry.seq == 0:
        book.saved = dict(book.trust.saved.get(book.first["origin"], {}))
    return said


def _check_end(book: Book, note: Note | None) -> None:
    """At the end of a ledger everything has been signed for, and nothing more."""
    size, signed_for = book.tree.size, book.note.size if book.note else 0
    book.at = size
    if size == 0:
        raise Broken("the ledger is empty")
    if note is not None:
        raise Broken(f"a checkpoint covers {note.size} entries, there are only {size}")
    if book.saved:
        raise Broken(f"set back: a checkpoint of size {max(book.saved)} was saved earlier")
    if signed_for < size:
        book.at = signed_for
        raise Broken(f"incomplete tail: {size - signed_for} entries that no checkpoint covers")
    if book.open is not None:
        book.excepts(f"entry {book.open[0]}: its charge is still open, neither released nor burned")
    if book.ahead > 5:
        book.excepts(f"the clock of the ledger is {book.ahead} s ahead of a witness's")


# ------------------------------------------------------------------------ what one ledger shows


def _epsilons(figures: Mapping[str, Paid], delta: float) -> dict[str, float]:
    """Each cost as epsilon, by the name that goes with it."""
    return {key.replace("rho", "epsilon"): one.epsilon(delta) for key, one in figures.items()}


def ledger_findings(book: Book) -> dict[str, object]:
    """All that is known of one ledger."""
    first, policy = book.first, book.policy
    ends = [since - 1 for _, since in book.keys[1:]]
    known: dict[str, object] = {
        "institution": book.name, "origin": first.get("origin", ""), "role": first.get("role", ""),
        "where": book.where, "size": book.tree.size, "time": book.time, "whole": book.whole,
        "root": base64.b64encode(book.tree.root()).decode() if book.tree.size else "",
        "head": book.note.text if book.note and book.note.size == book.tree.size else "",
        "cosigned_size": book.last_cosigned[0],
        "cosigned": [
            {"name": key[0], "role": book.known[key][1], "time": _iso(time)}
            for key, time in sorted(book.last_cosigned[1].items())
        ],
        "policy": policy.table if policy else {},
        "keys": [
            {"key": key, "from": since, "to": until}
            for (key, since), until in zip(book.keys, [*ends, None], strict=True)
        ] if book.keys else [],
        "software": sorted(book.software), "refusals": book.counts["refuse"],
        "burns": book.counts["burn"], "kinds": dict(book.counts), "recompute": book.recompute,
        "exceptions": book.all_exceptions(),
        "further_broken_rules": book.more["rule"],
        "plans": [_plan_findings(book, *pair) for pair in book.plans.items()],
    }  # fmt: skip
    m, delta = policy.numbers["persons"] if policy else 1, policy.delta if policy else 0.0
    caps = {key: policy.numbers[key] if policy else 0 for key in _CAPS}
    life = dict(zip(_CAPS, book.lifetime.record(), strict=False))
    paid = {key: Paid(cap) for key, cap in caps.items()}
    for name, figures in (("spent", book.spent.figures(m)), ("caps", paid), ("lifetime", life)):
        rho = {key: paid_under(one, caps[key], delta) for key, one in figures.items()}
        known[name] = {**rho, **_epsilons(figures, delta)}
    if book.listing:
        known["entries"] = book.entries
    return known


def _plan_findings(book: Book, digest: str, plan: Plan) -> dict[str, object]:
    """A plan and what has become of it; where rounds are sampled, as rho of the caps."""
    keys = ("study_rho", "rho_local")  # of the policy: no cap on a study is on one noise alone
    spends = book.policy is not None and book.policy.delta > 0
    paid, alone, most, most_alone = (
        book.under(one, key) if spends else one.rho
        for pair in (plan.spent.record(), (plan.most["rho"], plan.most["rho_local"]))
        for one, key in zip(pair, keys, strict=True)
    )
    wanted = ["institutions", "threshold", "colluders", "rounds", "retries"]
    numbers = {key: plan.numbers[key] for key in wanted} | {"rho": most, "rho_local": most_alone}
    texts = {key: plan.texts[key] for key in ("name", "purpose", "noise")}
    counts = {f"{kind}s": plan.counts[kind] for kind in ("charge", "release", "burn")}
    return {"plan": digest, **texts, **numbers, "spent_rho": paid, "spent_rho_local": alone,
            "approved_by": plan.approved_by, "approved_at": plan.approved_at, **counts}  # fmt: skip


def _iso(time: int) -> str:
    """Seconds since 1970 as a date and time."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time} s"


# ----------------------------------------------------------- what several ledgers say together


class Together(NamedTuple):
    """Receipts against releases."""

    present: bool
    receipts: int
    matched: int
    unmatched: list[str]
    releases_without_receipt: list[str]


def cross_check(books: Sequence[Book]) -> Together:
    """Hold the coordinators' receipts against the institutions' releases, both ways."""
    banks = {book.name: book for book in books if book.first.get("role") == "institution"}
    coordinators = [book for book in books if book.first.get("role") == "coordinator"]
    matched, unmatched, missing = 0, [], []
    received: set[tuple[str, str, Turn]] = set()
    for book in coordinators:
        for (who, plan, turn), (seq, reply) in book.receipts.items():
            received.add((who, plan, turn))
            bank = banks.get(who)
            left = bank.releases.get((plan, turn)) if bank else None
            if left == reply:
                matched += 1
                continue
            label = f"{who}: plan {plan[:12]}, round {turn[0]}, attempt {turn[1]}"
            unmatched.append(label)
            if bank and (bank.whole or left):
                says = "releases other bytes" if left else "has no such release (or is older)"
                book.problem("evidence", seq, f"receipt from {label}: {who}'s own ledger {says}")
    for name, book in banks.items() if coordinators else ():
        for plan, turn in book.releases:
            alone = plan in book.plans and book.plans[plan].texts["noise"] == "alone"
            if (name, plan, turn) not in received and not alone:
                label = f"plan {plan[:12]}, round {turn[0]}, attempt {turn[1]}"
                missing.append(f"{name}: {label}")
                book.excepts(f"released and not received by a coordinator: {label}")
    count = sum(len(book.receipts) for book in coordinators)
    return Together(bool(coordinators), count, matched, unmatched, missing)


def persons(books: Sequence[Book]) -> list[tuple[int, float, float, float]]:
    """What a person with a record at each of m institutions has paid over all ledgers given.

    Where sums alone are seen, m records move a joint sum by m times one record's step: m^2 times
    each distinct turn. Where every institution's release is seen apart, the m dearest add up.
    Rows of m, epsilon, epsilon alone, delta: of all time, at the least delta of the policies.
    """
    banks = [book for book in books if book.policy and book.policy.delta]
    if not banks:
        return []
    joint: dict[tuple[str, Turn], Event] = {}
    for book in banks:
        for turn, event in book.turns.items():
            joint[turn] = max(event, joint.get(turn, event), key=_weight)
    together = Sums() if len(banks) > 1 else banks[0].lifetime
    for event in joint.values() if len(banks) > 1 else ():
        together.add(event)
    delta = min(book.rules.delta for book in banks)
    apart = sorted((book.lifetime.person(1)[1] for book in banks),
                   key=lambda one: one.epsilon(delta), reverse=True)  # fmt: skip
    return [
        (m, together.person(m)[0].epsilon(delta), Paid(0).plus(*apart[:m]).epsilon(delta), delta)
        for m in sorted({1, 2, 3} | {book.rules.numbers["persons"] for book in banks})
    ]


def _weight(event: Event) -> int:
    """What an event costs over all orders: the dearer of two that name one turn."""
    _, honest, squared, variance, _, rate = event
    return sum(renyi_cost(rate, squared, variance, honest))


# ------------------------------------------------------------------------------------- trust file


@dataclass(frozen=True, slots=True)
class Trust:
    """What the auditor knows from elsewhere: roots, witnesses, and checkpoints saved earlier."""

    roots: dict[str, str] = field(default_factory=dict)
    witnesses: dict[KeyId, tuple[bytes, str]] = field(default_factory=dict)
    saved: dict[str, dict[int, set[bytes]]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Trust:
        """Read a trust file, strictly."""
        try:
            table = tomllib.loads(path.read_text("utf-8"))
            trust = cls(
                {row["origin"]: row["root"] for row in table.pop("ledger", [])},
                _witnesses(table.pop("witness", [])),
            )
            for row in table.pop("saved", []):
                for note in notes_of(io.BytesIO(row["note"].encode())):
                    trust.save(note.origin, note.size, note.root)
            good = not table and all(map(_HASH.fullmatch, trust.roots.values()))
        except OSError as problem:
            raise UsageProblem(f"{path} cannot be read ({problem.strerror})") from None
        except (Broken, ValueError, KeyError, TypeError, AttributeError) as problem:
            raise UsageProblem(f"{path} is no trust file: {problem}") from None
        if not good:
            raise UsageProblem(f"{path} holds more than ledger (hex roots), witness and saved")
        return trust

    def save(self, origin: str, size: int, root: bytes) -> None:
        """Add a checkpoint that later copies of its ledger are held to."""
        self.saved.setdefault(origin, {}).setdefault(size, set()).add(root)


# --------------------------------------------------------------------------------------- report

ALWAYS_UNKNOWN: Final = (
    "what a person has paid at institutions whose ledgers were not given",
    "that an institution ran the software it names, drew its noise, and used its real table",
    "that entries were made at the time they name: only cosignatures are dated by others",
)


@dataclass(frozen=True, slots=True)
class Checked:
    """All that one run has found."""

    books: list[Book]
    problems: list[dict[str, object]]
    trust: Trust
    pinned: bool
    signatures: bool
    coordinator: Together
    persons: list[tuple[int, float, float, float]]

    @property
    def status(self) -> int:
        """The exit status."""
        kinds = {problem["kind"] for problem in self.problems}
        return 5 if "evidence" in kinds else 1 if kinds else 0

    @property
    def verdict(self) -> str:
        """The status in words."""
        return {0: "holds", 1: "rule broken", 5: "evidence broken"}[self.status]

    def verified(self) -> list[str]:
        """What was checked and found good, ledger by ledger."""
        found = []
        for book in self.books:
            good = "form, chain, costs, tree"
            good += ", signatures, keys and cosignatures" * self.signatures
            good += ", order, approvals, caps at every prefix, period" * (not book.problems)
            if book.whole:
                found.append(f"{book.name}: {book.tree.size} entries: {good}")
            elif book.note is not None:
                found.append(f"{book.name}: form, chain and tree up to size {book.note.size} only")
            if any(row["rdp"] is not None for row in book.recompute):
                found.append(f"{book.name}: epsilon by a second accountant too")
        return found

    def not_verified(self) -> list[str]:
        """What this run could not show, and what no run can."""
        given = {book.first.get("origin", "") for book in self.books}
        names = {book.name for book in self.books}
        reasons = {
            "any signature of a checkpoint: it was left out": not self.signatures,
            "that root keys belong to their institutions: each was taken from its own ledger, "
            "because no trust file names any": not self.pinned,
            "that witnesses are who the policies say: no trust file names any": not (
                self.trust.witnesses
            ),
            "epsilon by a second accountant: dp-accounting is not installed": not (
                _version("dp-accounting")
            ),
            "that what was released is what was received: no coordinator's ledger was given": not (
                self.coordinator.present
            ),
        }
        found = [reason for reason, holds in reasons.items() if holds]
        absent = {who for book in self.books for who, _, _ in book.receipts} - names
        found += [f"receipts from {name}: its ledger was not given" for name in sorted(absent)]
        for origin in sorted((self.trust.roots.keys() | self.trust.saved.keys()) - given):
            found.append(f"{origin}: the trust file names it, and it was not given")
        for book in self.books:
            rows = [row["at"] for row in book.recompute if row["events"] and row["rdp"] is None]
            if rows and _version("dp-accounting"):
                found.append(f"{book.name}: epsilon by a second accountant at entries {rows}: "
                             "it is above 100, or the events are too many")  # fmt: skip
        parts = [book for book in self.books if not book.whole]
        found += [f"{book.name}: anything after line {book.at + 1}" for book in parts]
        return found + list(ALWAYS_UNKNOWN)

    def findings(self) -> dict[str, object]:
        """Everything as one object of the form ``fedcredit/findings/1``."""
        names = ("institutions", "epsilon", "epsilon_local", "delta")
        return {
            "format": "fedcredit/findings/1", "verdict": self.verdict, "exit": self.status,
            "problems": self.problems, "ledgers": list(map(ledger_findings, self.books)),
            "coordinator": self.coordinator._asdict(),
            "persons": [dict(zip(names, row, strict=True)) for row in self.persons],
            "verified": self.verified(), "not_verified": self.not_verified(),
            "versions": {"python": sys.version.split()[0], "cryptography": _version("cryptography"),
                         "dp_accounting": _version("dp-accounting")},
        }  # fmt: skip

    def text(self) -> str:
        """Everything for people; the verdict is the last line."""
        said = [line for book in self.books for line in (*_block(book), "")]
        for m, epsilon, alone, delta in self.persons:
            said.append(f"a person at {m} institutions, over all ledgers given: epsilon "
                        f"{_up(epsilon)}, alone {_up(alone)} (delta {delta!r})")  # fmt: skip
        said += ["", "Verified:", *(f"  {line}" for line in self.verified())]
        said += ["", "NOT verified:", *(f"  {line}" for line in self.not_verified()), ""]
        for row in self.problems:
            at = "" if row["seq"] is None else f", entry {row['seq']}"
            said.append(f"{row['kind']} broken: {row['ledger']}{at}: {row['what']}")
        return "\n".join([*said, f"verdict: {self.verdict}"]) + "\n"

    def heads(self) -> str:
        """The heads of the ledgers that are sound, in the form that a trust file takes."""
        notes = [book.note.text for book in self.books if book.whole and book.note]
        quoted = [note.replace("\\", "\\\\").replace('"', '\\"') for note in notes]
        return "".join(f'[[saved]]\nnote = """\n{note}"""\n\n' for note in quoted)


def _block(book: Book) -> list[str]:
    """One ledger, for people."""
    size, cosigned = book.last_cosigned
    names = ", ".join(name for name, _ in sorted(cosigned))
    by = f"{names} at size {size}, {_iso(max(cosigned.values()))}" if cosigned else "nobody"
    root = base64.b64encode(book.tree.root()).decode() if book.tree.size else "none"
    state = "verified" if book.whole else "read only"
    said = [f"{book.name}: {state} to size {book.tree.size}, root {root},", f"  cosigned by {by}"]
    if book.policy and book.policy.delta:
        numbers, delta = book.policy.numbers, book.policy.delta
        paid = book.spent.figures(numbers["persons"])
        a, b, c, d = (
            f"{_up(paid[key].epsilon(delta))} of {_up(epsilon_of(numbers[key], delta))}"
            for key in _CAPS
        )
        said += [
            f"  a record has paid epsilon {a} (delta {delta!r}), alone {b}",
            f"  a person at {numbers['persons']} institutions {c}, alone {d}",
            f"  {book.counts['burn']} burned, {book.counts['refuse']} refused",
        ]
    return said + [f"  note: {text}" for text in book.all_exceptions()]


def _up(epsilon: float) -> str:
    """An epsilon with two places, rounded up: never less than it is."""
    return f"{math.ceil(epsilon * 100 - 1e-9) / 100:.2f}"


def _check(paths: Sequence[str | Path], trust: str | Path | None, *, entries: bool,
           signatures: bool) -> Checked:  # fmt: skip
    """Read all bundles, one ledger after another, and hold them against each other."""
    known = Trust.read(Path(trust)) if trust else Trust()
    problems: list[dict[str, object]] = []
    sources: list[Source] = []
    for path in map(Path, paths):
        try:
            sources += sources_of(path)
        except Broken as problem:
            what = f"the bundle is not safe to read: {problem}"
            problems.append({"ledger": str(path), "seq": None, "kind": "evidence", "what": what})
    books = []
    # A ledger given twice is read from its shortest copy on: each holds the next to its head.
    for source in sorted(sources, key=lambda one: (one.bytes, one.where)):
        book = Book(source.where, known, len(sources) > 1, entries, signatures)
        read_ledger(source, book)
        books.append(book)
        if book.whole:
            known.save(book.first["origin"], book.tree.size, book.tree.root())
    latest = {book.first.get("origin", book.where): book
              for book in sorted(books, key=lambda book: book.tree.size)}  # fmt: skip
    books.sort(key=lambda book: (book.first.get("role") == "coordinator", book.name))
    for name, count in Counter(book.name for book in latest.values()).items():
        if count > 1:
            what = f"{count} ledgers of different origins in its name"
            problems.append({"ledger": name, "seq": None, "kind": "evidence", "what": what})
    together = cross_check(list(latest.values()))
    for book in books:
        problems += book.problems
    return Checked(books, problems, known, bool(known.roots), signatures, together,
                   persons(list(latest.values())))  # fmt: skip


def verify(
    paths: Sequence[str | Path],
    trust: str | Path | None = None,
    *,
    entries: bool = True,
    signatures: bool = True,
) -> dict[str, object]:
    """Check bundles, and return all findings.

    Args:
        paths: zips, folders of ledgers, or single ledgers' folders.
        trust: a trust file; without one each ledger's own root is taken, and that is said.
        entries: whether to list every entry; leave out for ledgers of millions.
        signatures: whether to check the checkpoints' signatures; to measure their cost only.

    Returns:
        An object of the form ``fedcredit/findings/1``, ready for JSON.

    Raises:
        UsageProblem: a path or the trust file cannot be read.
    """
    return _check(paths, trust, entries=entries, signatures=signatures).findings()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verifier as a program, and return its exit status."""
    parser = argparse.ArgumentParser(prog="verifier.py", description="Check ledgers offline.")
    parser.add_argument(
        "bundles", nargs="+", metavar="BUNDLE", help="a zip, or a folder of ledgers"
    )
    parser.add_argument("--trust", metavar="FILE", help="roots, witnesses and saved checkpoints")
    parser.add_argument("--save", metavar="FILE", help="write the heads found to this new file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--no-entries", action="store_true", help="with --json, list no entries")
    try:
        asked = parser.parse_args(arguments)
        listing = asked.json and not asked.no_entries
        checked = _check(asked.bundles, asked.trust, entries=listing, signatures=True)
        if asked.save:
            with Path(asked.save).open("x", encoding="utf-8") as file:
                file.write(checked.heads())
    except SystemExit as stopped:
        return stopped.code if isinstance(stopped.code, int) else 2
    except (UsageProblem, OSError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 2
    sys.stdout.write(json.dumps(checked.findings()) + "\n" if asked.json else checked.text())
    return checked.status


if __name__ == "__main__":
    sys.exit(main())
