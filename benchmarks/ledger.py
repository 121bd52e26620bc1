"""Ledgers: what writing costs, and verifying, and whether that is linear.

Writing is wall time: an entry on the disk, a charge that two witnesses on loopback, processes of
their own, have signed for, and its release. Verifying is processor time of one core: entries per
second, and what signatures cost beside it. Its ledgers are made here with throw-away keys: rounds
of four entries (charge, release, agree, reveal), a checkpoint for every charge.

    python benchmarks/ledger.py [--json] [--entries 10000,1000000]
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # before Opacus, which brings a package `benchmarks` of its own

from benchmarks.ledger_writing import writing  # noqa: E402
from fedcredit.verifier import Tree, event_cost, key_id, verify  # noqa: E402

ORIGIN = "fedcredit.example/benchmark/bank-a/ledger"
EVENT = {
    "dim": 4096, "event": "gaussian-sum", "honest": 4, "name": "boosting/1 histograms",
    "part": "train", "sensitivity_squared": 23, "variance": 2**38,
}  # fmt: skip
MOST = 2**53 - 1


def main() -> None:
    """Measure, and print a table or one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--entries", default="10000,1000000", help="sizes of ledgers")
    parser.add_argument("--times", type=int, default=300, help="entries written")
    arguments = parser.parse_args()

    measure(100)  # imports, once
    found = [measure(int(size)) for size in arguments.entries.split(",")]

    wrote = writing(arguments.times)
    if arguments.json:
        print(json.dumps({"verify": found, "write": wrote}))
        return
    for name in ("append", "charge", "release"):
        print(
            f"{name:>10}{wrote[f'{name}_ms']:>8.2f} ms median"
            f"{wrote[f'{name}_p95_ms']:>8.2f} ms p95, of {wrote['times']:.0f}"
        )
    print(
        f"{'entries':>10}{'MB':>8}{'entries/s':>12}{'signatures':>12}{'us each':>9}{'peak MB':>9}"
    )
    for row in found:
        print(
            f"{row['entries']:>10,}{row['megabytes']:>8,.0f}{row['entries_per_s']:>12,.0f}"
            f"{row['signatures']:>12,}{row['us_per_signature']:>9,.0f}{row['peak_mb']:>9,.0f}"
        )


def measure(entries: int) -> dict[str, float]:
    """Write a ledger of about so many entries, and verify it with and without signatures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "bank-a"
        folder.mkdir()
        signatures, written = write(folder, entries)
        megabytes = sum(one.stat().st_size for one in folder.iterdir()) / 1e6
        bare = seconds(folder, signatures=False)
        full = seconds(folder, signatures=True)
    return {
        "entries": written,
        "megabytes": megabytes,
        "entries_per_s": written / bare,
        "signatures": signatures,
        "us_per_signature": 1e6 * (full - bare) / signatures,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def seconds(folder: Path, *, signatures: bool) -> float:
    """Processor time of one verification that finds everything in order."""
    start = time.process_time()
    found = verify([folder], entries=False, signatures=signatures)
    taken = time.process_time() - start
    if found["verdict"] != "holds":
        raise SystemExit(f"the benchmark's own ledger: {found['problems']}")
    return taken


def write(folder: Path, entries: int) -> tuple[int, int]:
    """Write a ledger, and return its numbers of checkpoints and of entries."""
    root, officer, key = (Ed25519PrivateKey.generate() for _ in range(3))
    publics = {
        name: one.public_key().public_bytes_raw().hex()
        for name, one in (("root", root), ("officer", officer), ("key", key))
    }
    most = ("rho", "rho_local", "person_rho", "person_rho_local", "study_rho", "automatic_rho")
    policy = {
        **dict.fromkeys(most, MOST), "delta": "1e-05", "persons": 3, "begins": "2026-01-01",
        "ends": "2027-01-01", "purposes": [], "quorum": 0, "beside_coordinator": 0, "witnesses": [],
    }  # fmt: skip
    words = ("fedcredit/ledger/grant/1", ORIGIN, publics["key"], publics["officer"])
    grant = root.sign("".join(f"{word}\n" for word in words).encode()).hex()
    plan = "ab" * 32
    short = key_id(ORIGIN, 1, bytes.fromhex(publics["key"]))
    tree, prev, count = Tree(), "0" * 64, 0
    with (
        (folder / "ledger.jsonl").open("wb") as lines,
        (folder / "checkpoints.note").open("w", encoding="utf-8") as notes,
    ):

        def add(table: dict[str, object]) -> None:
            nonlocal prev
            table |= {"seq": tree.size, "prev": prev, "time": "2026-03-01T00:00:00Z"}
            line = json.dumps(table, sort_keys=True, separators=(",", ":")).encode() + b"\n"
            prev = hashlib.sha256(line).hexdigest()
            tree.add(hashlib.sha256(b"\0" + line).digest())
            lines.write(line)

        def sign() -> None:
            nonlocal count
            body = f"{ORIGIN}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n"
            signature = base64.b64encode(short + key.sign(body.encode())).decode()
            notes.write(f"{body}\n— {ORIGIN} {signature}\n")
            count += 1

        add({
            "kind": "genesis", "format": "fedcredit/ledger/1", "origin": ORIGIN, "role":
            "institution", "institution": "bank-a", **publics, "unit": "record",
            "adjacency": "add-remove", "policy": policy, "grant": grant,
        })  # fmt: skip
        add({
            "kind": "plan", "plan": plan, "name": "n", "purpose": "p", "noise": "distributed",
            "institutions": 6, "threshold": 5, "colluders": 1, "rounds": MOST, "retries": 0,
            "rho": MOST, "rho_local": MOST, "person_rho": MOST, "person_rho_local": MOST,
        })  # fmt: skip
        add({"kind": "approve", "plan": plan, "by": "policy", "note": "", "second": ""})
        costs = {"rho": event_cost(23, 2**38, 4), "rho_local": event_cost(23, 2**38, 1)}
        for turn in range(max(1, (entries - 3) // 4)):
            of = {"plan": plan, "round": turn, "attempt": 0}
            digests = {"request": prev, "reply": prev}
            add({
                "kind": "charge", **of, "request": prev, "event": EVENT, **costs,
                "software": "fedcredit 0.1.0", "sampler": "discrete-gaussian/1",
            })  # fmt: skip
            sign()
            add({"kind": "release", **of, "charge": tree.size - 1, "reply": prev})
            add({"kind": "agree", **of, **digests})
            add({"kind": "reveal", **of, **digests})
        sign()
    return count, tree.size


if __name__ == "__main__":
    main()
