"""Tables with the planted values in them, and a folder in which commands read them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from fedcredit.units import InstitutionId
from tests.e2e.canaries import FLOATS, INTS, PLANTED_FLOATS, TEXTS

ROOT = Path(__file__).resolve().parents[2]
ROWS: Final = 1500  # of each of three institutions
NAMES: Final = tuple(InstitutionId(f"bank-{letter}") for letter in "abc")

SCHEMA = """
name = "small"
version = 1
description = "made up"
person = "person"
ids = ["loan"]

[label]
column = "bad"
good = ["0"]
bad = ["1"]
definition = "a made-up outcome"
outcome_months = 12

[[column]]
kind = "numeric"
name = "income"
unit = "EUR"
low = 0
high = 10000
cells = 16
direction = "risk-down"

[[column]]
kind = "numeric"
name = "turnover"
unit = "EUR"
low = 1
high = 2000000000
spacing = "log"
cells = 16

[[column]]
kind = "categorical"
name = "town"
categories = ["north", "south"]
other = true
"""
STUDY = """
name = "A small study"
purpose = "a test"
learner = "boosting"
salt = "00112233445566778899aabbccddeeff"
seed = "ffeeddccbbaa99887766554433221100"
schema = "schema.toml"
"""


def table(part: int) -> pl.DataFrame:
    """One institution's rows: each third planted value stands in it, and in one row only."""
    draw = np.random.default_rng(part)
    income = draw.uniform(0, 10_000, ROWS)
    columns: dict[str, list[object]] = {
        "loan": [f"loan-{part}-{at}" for at in range(ROWS)],
        "person": [f"person-{part}-{at}" for at in range(ROWS)],
        "bad": (draw.random(ROWS) < 0.4 - income / 30_000).astype(int).tolist(),
        "income": income.round(1).tolist(),
        "turnover": draw.integers(1, 1000, ROWS).tolist(),
        "town": [("north", "south")[at % 2] for at in range(ROWS)],
        "note": ["" for _ in range(ROWS)],
    }
    kinds: dict[str, Sequence[object]] = {**TEXTS, "income": FLOATS, "turnover": INTS}
    for start, (name, values) in enumerate(kinds.items()):
        for at, value in enumerate(values[part::3]):
            columns[name][7 * start + at] = value
    return pl.DataFrame(columns)


def broken(part: int) -> pl.DataFrame:
    """The same rows with texts among numbers, undeclared outcomes, gaps and repeated ids."""
    whole = table(part)
    persons = whole["person"].to_list()
    return whole.with_columns(
        person=pl.Series([persons[0] if at % 3 else None for at in range(ROWS)]),
        loan=pl.Series([persons[at // 2 % 80] for at in range(ROWS)]),
        income=pl.Series(
            [str(FLOATS[at % PLANTED_FLOATS]) for at in range(ROWS - 2)] + persons[:2]
        ),
        bad=pl.Series([("0", "1", "", persons[at % 80])[at % 4] for at in range(ROWS)]),
    )


@dataclass
class Workplace:
    """A folder in which commands run, with all that they have said."""

    folder: Path
    given: set[Path] = field(default_factory=set)
    said: list[tuple[str, bytes]] = field(default_factory=list)

    def give(self, name: str, data: bytes) -> None:
        """Put a file there that is ours, and is not searched."""
        path = self.folder / "work" / name
        path.write_bytes(data)
        self.given.add(path)

    def run(self, *words: str) -> int:
        """Run the program, and keep what it prints."""
        environment = {
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "scratch"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "fedcredit.cli.main", *words],
            env=environment,
            cwd=self.folder / "work",
            capture_output=True,
            check=False,
        )
        self.said.append((" ".join(words), done.stdout + b"\n" + done.stderr))
        return done.returncode

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every file that is not ours; a table in Parquet also as text, as it is compressed."""
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and path not in self.given:
                yield str(path), path.read_bytes()
                if path.suffix == ".parquet":
                    yield f"{path} as text", pl.read_parquet(path).write_csv().encode()

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """All that was said and written."""
        yield from self.said
        yield from self.files()


def institutions(*sources: str) -> bytes:
    """A study file with tables of these names."""
    lines = "".join(
        f'\n[[institutions]]\nname = "{name}"\ntable = "{source}"\n'
        for name, source in zip(NAMES, sources, strict=False)
    )
    return (STUDY + lines).encode()


def parquet(frame: pl.DataFrame) -> bytes:
    """A table as the bytes of a Parquet file, not compressed."""
    data = BytesIO()
    frame.write_parquet(data, compression="uncompressed")
    return data.getvalue()
