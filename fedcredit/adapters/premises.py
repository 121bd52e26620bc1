"""What a process needs of its machine and folder: versions, disk, keys, ledger, witnesses.

Everything is looked at as it lies there; nothing is opened for writing but one small file of
our own, which is removed again.
"""

from __future__ import annotations

import platform
import shutil
import stat
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from packaging.requirements import InvalidRequirement, Requirement

from fedcredit.adapters.disk import write_file
from fedcredit.adapters.finding import Finding, of_error
from fedcredit.adapters.ledgers import Copy, read_chain
from fedcredit.adapters.pki import WARN_DAYS, days_left, read_certificate
from fedcredit.adapters.system import Clock
from fedcredit.errors import ConfigError, FedCreditError
from fedcredit.ledger.bundle import bundle
from fedcredit.ledger.signatures import read_key
from fedcredit.verifier import UsageProblem, verify

__all__ = [
    "certificate",
    "disk",
    "egress",
    "ledger",
    "secrets_of",
    "versions",
    "witnesses",
]

_ROOM_BYTES: Final = 1 << 30  # the ledger of a year's studies, a model and a table's spool
_SLOW_S: Final = 0.25  # for one small file: every release waits for some ten of them
_WITNESS_S: Final = 5.0
_PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy")
_LOOKED_AT: Final = ("flwr", "cryptography")


def versions() -> list[Finding]:
    """Python and the packages that matter here, against what fedcredit asks for."""
    try:
        wanted = [Requirement(line.split(";")[0]) for line in requires("fedcredit") or ()]
        ours = version("fedcredit")
    except (PackageNotFoundError, InvalidRequirement):
        return [
            Finding(
                check="versions",
                ok=False,
                what="fedcredit is not installed: it was imported from a folder",
                do="install it, so that its version can be told",
            )
        ]
    ranges = {one.name: one.specifier for one in wanted}
    found, wrong = [f"fedcredit {ours}", f"Python {platform.python_version()}"], []
    for name in _LOOKED_AT:
        try:
            there = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        found.append(f"{name} {there}")
        if name in ranges and not ranges[name].contains(there, prereleases=True):
            wrong.append(f"{name} is {there}, and {ranges[name]} is asked for")
    if wrong:
        do = 'install what was tested together: pip install "fedcredit[federation]"'
        return [Finding(check="versions", ok=False, what="; ".join(wrong), do=do)]
    return [Finding(check="versions", ok=True, what=", ".join(found))]


def disk(folder: Path, clock: Clock) -> list[Finding]:
    """Whether there is room, and whether a file is on the disk soon after it was written.

    Args:
        folder: of a node or coordinator.
        clock: to measure by.
    """
    trial = folder / ".doctor"
    try:
        free = shutil.disk_usage(folder).free
        begun = clock.now()
        write_file(trial, bytes(4096))
        taken_s = clock.now() - begun
        trial.unlink()
    except OSError as problem:
        what = f"{folder} cannot be written: {problem.strerror}"
        return [Finding(check="disk", ok=False, what=what, do="make room, or mend its rights")]
    room = f"{free / 2**30:.1f} GiB are free for {folder}"
    do = "make room: a ledger that cannot be written to ends the study"
    enough = Finding(
        check="disk", ok=free >= _ROOM_BYTES, what=room, do="" if free >= _ROOM_BYTES else do
    )
    soon = taken_s <= _SLOW_S
    return [
        enough,
        Finding(
            check="fsync",
            ok=soon,
            what=f"a small file is on the disk after {taken_s * 1000:.1f} ms",
            do="" if soon else "put the folder on a disk of this machine: each answer waits for it",
        ),
    ]


def secrets_of(paths: Iterable[Path]) -> Finding:
    """Whether every file with a secret is for its owner's eyes alone.

    Args:
        paths: those that there should be; one that is away, or taken away, is no fault.
    """
    looked, open_ones = 0, []
    for path in paths:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        looked += 1
        if mode & 0o077:
            open_ones.append(path)
    if open_ones:
        names = ", ".join(map(str, open_ones))
        return Finding(
            check="secrets", ok=False, what=f"others may read {names}", do=f"chmod 0600 {names}"
        )
    return Finding(
        check="secrets", ok=True, what=f"{looked} files with secrets are for their owner alone"
    )


def certificate(path: Path, authority: Path, now: datetime, *, renew: str) -> Finding:
    """Whether a certificate is the authority's, counts today, and will for some time.

    Args:
        path: PEM; a key may stand before it.
        authority: PEM, of the consortium's authority.
        now: with a time zone.
        renew: how the next one is got.
    """
    try:
        found, root = (_certificate_in(one) for one in (path, authority))
        found.verify_directly_issued_by(root)
    except FedCreditError as problem:
        return of_error("certificate", problem)
    except (InvalidSignature, ValueError, TypeError):
        what = f"{path} is not signed by the authority in {authority}"
        return Finding(check="certificate", ok=False, what=what, do=renew)
    left = days_left(found, now)
    if now < found.not_valid_before_utc:
        what = f"{path} counts from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on only"
        return Finding(check="certificate", ok=False, what=what, do="mend this machine's clock")
    on = f"{found.not_valid_after_utc:%Y-%m-%d}"
    ends = f"ends on {on}, in {left} days" if left >= 0 else f"has ended on {on}"
    ok = left >= WARN_DAYS
    return Finding(check="certificate", ok=ok, what=f"{path} {ends}", do="" if ok else renew)


def _certificate_in(path: Path) -> x509.Certificate:
    """A certificate from a file that may hold its key too.

    Raises:
        ConfigError: it holds none.
    """
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be read: {problem.strerror}", remedy="join, or restore it"
        ) from None
    return read_certificate(data[max(data.find(b"-----BEGIN CERTIFICATE"), 0) :])


def ledger(folder: Path) -> Finding:
    """Whether the ledger of a folder holds, as far as it is signed for.

    The auditor's own program judges it, so a fault that an auditor would find is found here.
    """
    try:
        copy, chain = Copy(folder / "ledger"), read_chain(folder / "ledger")
        name = chain.account.genesis.institution
        with TemporaryDirectory() as place:
            path = Path(place) / "ledger.zip"
            path.write_bytes(bundle({name: copy}))
            found = verify([path], entries=False)
    except FedCreditError as problem:
        return of_error("ledger", problem)
    except (OSError, UsageProblem) as problem:
        what = f"the ledger in {folder} cannot be looked at: {type(problem).__name__}"
        return Finding(check="ledger", ok=False, what=what, do="make room for a copy of it")
    if found["verdict"] != "holds":
        do = "see where: fedcredit ledger bundle, then fedcredit ledger verify"
        what = f"the ledger in {folder} does not hold: {found['verdict']}"
        return Finding(check="ledger", ok=False, what=what, do=do)
    what = f"the ledger opens and holds, {len(chain.written)} signed entries"
    return Finding(check="ledger", ok=True, what=what)


def witnesses(places: Mapping[str, str], needed: int) -> list[Finding]:
    """Whether each witness of a policy answers, and as itself.

    Args:
        places: where each answers, by its key.
        needed: how many must sign before anything leaves.
    """
    found, good = list[Finding](), 0
    with httpx.Client(trust_env=False, follow_redirects=False, timeout=_WITNESS_S) as client:
        for key, url in places.items():
            what, do = _witness(client, key, url)
            good += not do
            found.append(Finding(check="witness", ok=not do, what=what, do=do))
    if not places and needed == 0:
        found.append(Finding(check="witness", ok=True, what="the policy names no witness"))
    if good < needed:
        what = f"{good} witnesses answer and {needed} must sign: nothing would leave"
        do = "have witnesses started, or name others in policy.toml"
        found.append(Finding(check="quorum", ok=False, what=what, do=do))
    return found


def _witness(client: httpx.Client, key: str, url: str) -> tuple[str, str]:
    """What a witness says of itself, and what to do if that is no good."""
    try:
        name = read_key(key).name
        answer = client.get(url.rstrip("/") + "/")
    except FedCreditError as problem:
        return problem.what, problem.remedy
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        do = "have its owner start it, or mend its url in policy.toml"
        return f"the witness at {url} does not answer: {type(problem).__name__}", do
    if answer.status_code == httpx.codes.OK and answer.text.strip() == key:
        return f"the witness {name} answers at {url}", ""
    return f"what answers at {url} is not the witness {name}", "mend its url in policy.toml"


def egress(urls: Iterable[str], environment: Mapping[str, str]) -> Finding:
    """What the process will connect to, for whoever opens a firewall.

    Args:
        urls: of everybody that it calls.
        environment: of this process, for proxies, which are never used.
    """
    places = []
    for url in urls:
        there = urlsplit(url)
        host = f"[{there.hostname}]" if ":" in (there.hostname or "") else there.hostname
        places.append(f"{host}:{there.port or (443 if there.scheme == 'https' else 80)}")
    only = ", ".join(dict.fromkeys(places)) or "nothing"
    proxies = sorted(name for name in environment if name.lower() in _PROXIES)
    if not proxies:
        return Finding(check="egress", ok=True, what=f"connects to {only}, and to nothing else")
    return Finding(
        check="egress",
        ok=True,
        what=f"connects to {only}, and to nothing else; {', '.join(proxies)} is set and not used",
        do="have the firewall let these connections through: a proxy could not see into them",
    )
