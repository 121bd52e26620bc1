"""A witness's folder: its key, the ledgers it witnesses, and what it has signed for each.

key.json        secret: the witness's key, mode 0600
ledgers.json    public: for each origin the verifier keys of its writer
seen/           one file an origin: the last checkpoint signed, a C2SP note
accused/        signed checkpoints that were offered without a proof: possible evidence
lock            held while a note is compared and replaced
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedcredit.adapters.disk import write_file
from fedcredit.adapters.system import system_random, unix_time
from fedcredit.errors import ConfigError, FedCreditError, IntegrityError, LocalError
from fedcredit.ledger.notes import NOTE_LIMIT_BYTES, Note, read_note
from fedcredit.ledger.signatures import COSIGNATURE, PLAIN, VerifierKey, is_name, read_key
from fedcredit.ledger.witness import Witness

__all__ = [
    "ACCUSED_LIMIT",
    "DiskWitnessStore",
    "add_ledger",
    "ledgers",
    "new_key",
    "open_witness",
    "witness_key",
]

ACCUSED_LIMIT: Final = 16  # files of one origin: whoever holds a ledger's key could send any number

_KEY: Final = "key.json"
_LEDGERS: Final = "ledgers.json"
_SEEN: Final = "seen"
_ACCUSED: Final = "accused"
_SECRET_BYTES: Final = 32


class DiskWitnessStore:
    """A `WitnessStore` in a folder, for any number of threads and processes at once.

    Args:
        folder: made if it is not there, for its owner's eyes only.

    Raises:
        LocalError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            for name in (_SEEN, _ACCUSED):
                (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            with _lock(folder):  # nobody writes now, so these are what crashes have left
                for part in (folder / _SEEN).glob(".*.part"):
                    part.unlink()
        except OSError as problem:
            raise _failed(folder, problem) from None

    def load(self, origin: str) -> Note | None:
        """See `WitnessStore`.

        Raises:
            IntegrityError: the file is damaged.
            LocalError: it cannot be read.
        """
        path = self._folder / _SEEN / f"{_file(origin)}.note"
        try:
            with path.open("rb") as file:
                data = file.read(NOTE_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise _failed(path, problem) from None
        try:
            return read_note(data)
        except IntegrityError:
            raise IntegrityError(
                f"{path} is damaged", remedy="restore it; this ledger gets no signature meanwhile"
            ) from None

    def keep(self, origin: str, before: Note | None, after: Note) -> bool:
        """See `WitnessStore`."""
        path = self._folder / _SEEN / f"{_file(origin)}.note"
        try:
            with _lock(self._folder):
                if self.load(origin) != before:
                    return False
                write_file(path, after.data())
        except OSError as problem:
            raise _failed(path, problem) from None
        return True

    def accuse(self, origin: str, offered: Note) -> None:
        """See `WitnessStore`."""
        folder, name = self._folder / _ACCUSED, _file(origin)
        data = offered.data()
        path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}.note"
        with suppress(OSError):
            if not path.exists() and len(list(folder.glob(f"{name}-*"))) < ACCUSED_LIMIT:
                write_file(path, data)


def new_key(folder: Path, name: str) -> VerifierKey:
    """Make a witness's key, for its owner's eyes; an existing one is never replaced.

    Args:
        folder: made if it is not there.
        name: of the key, such as ``bank.example/witness``.

    Returns:
        The public half, for whoever counts on the witness.

    Raises:
        ConfigError: there is a key already, the name is none, or nothing can be written.
    """
    if not is_name(name) or not name.isascii():
        raise ConfigError(
            "a witness's name has a space, a plus sign or a letter that is not ASCII",
            remedy="use a name such as bank.example/witness",
        )
    secret = system_random(_SECRET_BYTES)
    path = folder / _KEY
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="ascii") as opened:
            opened.write(json.dumps({"name": name, "secret": secret.hex()}, indent=2) + "\n")
            opened.flush()
            os.fsync(file)
    except FileExistsError:
        raise ConfigError(f"{path} exists", remedy="keep it, or name another folder") from None
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be written: {problem.strerror}", remedy="name another folder"
        ) from None
    return _public(name, Ed25519PrivateKey.from_private_bytes(secret))


def witness_key(folder: Path) -> VerifierKey:
    """The verifier key of the witness in a folder.

    Raises:
        ConfigError: there is no key, it is malformed, or others may read it.
    """
    return _public(*_read_key(folder / _KEY))


def ledgers(folder: Path) -> dict[str, tuple[VerifierKey, ...]]:
    """The ledgers that the witness in a folder signs for: verifier keys by origin.

    Raises:
        ConfigError: the file is malformed.
    """
    path = folder / _LEDGERS
    if not path.exists():
        return {}
    table = _table(path)
    found: dict[str, tuple[VerifierKey, ...]] = {}
    for origin, texts in table.items():
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{path} has no list of keys for a ledger", remedy="write it anew")
        found[origin] = tuple(map(read_key, texts))
    return found


def add_ledger(folder: Path, origin: str, key: VerifierKey, *, only: bool = False) -> None:
    """Let the witness in a folder sign for a ledger whose writer has this key.

    A witness that runs takes it up at its next request.

    Args:
        folder: the witness's.
        origin: the ledger's.
        key: of its writer, kind ``PLAIN``.
        only: forget the ledger's other keys, such as one that was stolen.

    Raises:
        ConfigError: the origin or key is none of a writer, or the file is malformed.
        LocalError: it cannot be written.
    """
    if not is_name(origin) or key.kind != PLAIN:
        raise ConfigError(
            "a ledger has an origin without spaces and plus signs, and a key of type 1",
            remedy="copy both from the institution's own print",
        )
    try:
        with _lock(folder):
            known = ledgers(folder)
            before = () if only else known.get(origin, ())
            known[origin] = tuple(dict.fromkeys((*before, key)))
            table = {name: [str(one) for one in keys] for name, keys in sorted(known.items())}
            write_file(folder / _LEDGERS, (json.dumps(table, indent=2) + "\n").encode())
    except OSError as problem:
        raise _failed(folder, problem) from None


def open_witness(folder: Path) -> Witness:
    """The witness in a folder, with the machine's clock; it reads its ledgers at each request.

    Raises:
        ConfigError: there is no key, a file is malformed, or others may read the key.
        LocalError: the folder cannot be written.
    """
    name, secret = _read_key(folder / _KEY)
    ledgers(folder)  # a malformed file is found now, and not at the first request
    return Witness(
        name=name,
        signer=secret.sign,
        public=secret.public_key().public_bytes_raw(),
        store=DiskWitnessStore(folder),
        keys_of=lambda origin: ledgers(folder).get(origin, ()),
        time_s=unix_time,
    )


def _public(name: str, secret: Ed25519PrivateKey) -> VerifierKey:
    """The public half of a key."""
    return VerifierKey(name, COSIGNATURE, secret.public_key().public_bytes_raw())


def _read_key(path: Path) -> tuple[str, Ed25519PrivateKey]:
    """Name and secret key of a witness."""
    table = _table(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:04o}: others may read it", remedy=f"chmod 0600 {path}"
        )
    name, text = table.get("name"), table.get("secret")
    try:
        if isinstance(name, str) and isinstance(text, str) and set(table) == {"name", "secret"}:
            secret = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
            _public(name, secret)  # so the name is one
            return name, secret
    except (ValueError, FedCreditError):  # the text of either could hold the key
        pass
    raise ConfigError(f"{path} holds no witness's key", remedy="restore it from its backup")


def _table(path: Path) -> Mapping[str, object]:
    """A file's JSON object."""
    try:
        table = json.loads(path.read_text("utf-8"))
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be read: {problem.strerror}",
            remedy="make a witness first: fedcredit witness key FOLDER --name NAME",
        ) from None
    except (UnicodeDecodeError, ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ConfigError(f"{path} is not a JSON object", remedy="restore it from its backup")
    return table


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Held by one thread of one process at a time; given back when it ends, however it ends."""
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _file(origin: str) -> str:
    """A file name for an origin, which may hold any character."""
    return hashlib.sha256(origin.encode()).hexdigest()[:32]


def _failed(path: Path, problem: OSError) -> LocalError:
    """The error of a disk that keeps nothing."""
    return LocalError(
        f"{path} failed: {problem.strerror}",
        remedy="look at the disk; nothing was signed, and the same request may be sent again",
    )
