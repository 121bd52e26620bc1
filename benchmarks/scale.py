"""Time and peak memory of one institution's rounds, from a Parquet file, by number of rows.

    python benchmarks/scale.py [--rows 100000,1000000,10000000] [--columns 50] [--json]

Each size runs in a process of its own, so that its peak memory is its own. `open` reads,
checks and encodes the file; `rounds` is the institution's share of the nine rounds of
boosting (charge, measure, noise, record, send), without the coordinator's folds; `pass` is
one count of every cell by plain numpy over the same cells held in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from fedcredit.adapters.system import utc_now
from fedcredit.adapters.tables import open_table
from fedcredit.data.columns import Numeric
from fedcredit.data.schema import Label, Schema
from fedcredit.federation.institution import Institution, private_sum
from fedcredit.federation.ledgers import unwitnessed
from fedcredit.federation.messages import Question, encode_question, request_digest
from fedcredit.federation.plan import alone
from fedcredit.federation.study import Study, draw_up
from fedcredit.federation.terms import terms_of
from fedcredit.learners.program import NoisyTotal
from fedcredit.learners.registry import learner_named
from fedcredit.units import InstitutionId

CHUNK = 500_000
MEMORY_BAR_BYTES = 2 << 30


def schema_of(columns: int) -> Schema:
    """A table of numbers from 0 to 1 with a person in every row."""
    return Schema(
        name="scale",
        version=1,
        description="A made-up table, as wide and as long as wanted",
        columns=tuple(Numeric(name=f"x{k}", unit="1", low=0.0, high=1.0) for k in range(columns)),
        label=Label("bad", ("0",), ("1",), "made up", 12),
        person="person",
        size_class="over 10M",
    )


def write_tables(folder: Path, rows: int, columns: int) -> None:
    """Write the rows as Parquet files of at most CHUNK rows."""
    rng = np.random.default_rng(7)
    for part, start in enumerate(range(0, rows, CHUNK)):
        size = min(CHUNK, rows - start)
        shared = rng.random(size, dtype=np.float32)
        values = {
            f"x{k}": np.round(0.5 * (shared + rng.random(size, dtype=np.float32)), 3)
            for k in range(columns)
        }
        odds = -2.5 + 1.5 * values["x0"] - 1.0 * values["x1"] + 0.5 * shared
        frame = pl.DataFrame(values).with_columns(
            pl.Series("bad", (rng.random(size) < 1 / (1 + np.exp(-odds))).astype(np.int8)),
            pl.Series("person", np.arange(start, start + size)),
        )
        frame.write_parquet(folder / f"part-{part:04}.parquet")


def run_rounds(folder: Path, columns: int) -> dict[str, float]:
    """Open the table, answer every question of a boosting study, and pass over it once."""
    schema = schema_of(columns)
    started = time.perf_counter()
    records = open_table(str(folder / "*.parquet"), schema, b"benchmark")
    opened = time.perf_counter() - started

    learner = learner_named("boosting")
    study = Study(
        name="scale",
        purpose="benchmark",
        learner="boosting",
        salt="00" * 16,
        seed="11" * 16,
        retries=0,
        evaluate=False,
    )
    names = tuple(InstitutionId(f"bank-{k}") for k in range(3))
    plan = alone(draw_up(study, learner, schema, names), names[0])
    institution = Institution(
        name=names[0],
        plan=plan,
        terms=terms_of(plan),
        records=records,
        book=unwitnessed(names[0], terms_of(plan).budget, os.urandom, utc_now),
        random=os.urandom,
    )
    spent: list[float] = []
    program = learner.start(schema, bytes.fromhex(plan.seed), plan.noise_levels)
    for index in range(len(learner.steps)):
        question = Question(plan.digest(), index, 0, program.query())
        begun = time.perf_counter()
        name = request_digest(encode_question(question))
        reply = private_sum(institution, question, name, lambda _: lambda value: value.tobytes())
        spent.append(time.perf_counter() - begun)
        variance = plan.event(index, question.query).variance
        program = program.fold(NoisyTotal(np.frombuffer(reply, dtype=np.int64), variance))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    plain = 0.0
    for batch in records.batches():
        begun = time.perf_counter()
        for cells in batch.cells:
            np.bincount(cells, minlength=256)
        plain += time.perf_counter() - begun
    return {
        "open_s": opened,
        "rounds_s": sum(spent),
        "rounds": float(len(spent)),
        "pass_s": plain,
        "rounds_over_pass": sum(spent) / plain,
        "peak_bytes": float(peak),
    }


def main() -> None:
    """Run each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="100000,1000000,10000000")
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(run_rounds(options.folder, options.columns)))
        return
    found: dict[str, dict[str, float]] = {}
    for rows in map(int, options.rows.split(",")):
        with tempfile.TemporaryDirectory() as name:
            write_tables(Path(name), rows, options.columns)
            command = [sys.executable, __file__, "--folder", name]
            done = subprocess.run(
                [*command, "--columns", str(options.columns)],
                check=True,
                capture_output=True,
                text=True,
            )
        figures = json.loads(done.stdout)
        figures["us_per_row"] = 1e6 * (figures["open_s"] + figures["rounds_s"]) / rows
        found[str(rows)] = figures
        if not options.json:
            print(
                f"{rows:>10,} rows x {options.columns}: open {figures['open_s']:7.1f} s, "
                f"{figures['rounds']:.0f} rounds {figures['rounds_s']:7.1f} s, "
                f"{figures['us_per_row']:5.2f} us a row, "
                f"{figures['rounds_over_pass']:5.1f} x one numpy pass, "
                f"peak {figures['peak_bytes'] / 2**20:,.0f} MiB"
            )
    if options.json:
        print(json.dumps(found))
    else:
        most = max(figures["peak_bytes"] for figures in found.values())
        met = "met" if most <= MEMORY_BAR_BYTES else "missed"
        print(f"peak memory {most / 2**30:.2f} GiB; bar 2 GiB {met}")


if __name__ == "__main__":
    main()
