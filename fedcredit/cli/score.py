"""`fedcredit score`: every row of a table gets its score, its probability of default, its tier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.errors import ConfigError, DataError

if TYPE_CHECKING:  # `--help` waits for neither of these
    import polars as pl

    from fedcredit.scoring.model import ReleasedModel

__all__ = ["score"]


def score(
    model: Annotated[Path, typer.Option(help="Folder with model.safetensors and manifest.json.")],
    table: Annotated[
        str, typer.Option("--in", metavar="TABLE", help="CSV or Parquet file, or a glob of them.")
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv or .parquet.")],
    id_column: Annotated[
        str, typer.Option("--id", metavar="COLUMN", help="A column to carry over, and no other.")
    ] = "",
    personal: Annotated[
        Path | None, typer.Option(help="A layer of our own: see fedcredit node personal.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score the rows of TABLE with a released model, in their order.

    Writes score, pd and tier for each row. The model's folder holds all that is needed:
    no schema file, no label column, no connection. If a row breaks the model's data
    contract, nothing is written.

    Exit status: 0 done; 1 the table breaks the contract; 2 wrong usage; 5 the model is not
    what its digest says.

    Example: fedcredit score --model fedcredit-demo --in applicants.csv --out scores.csv
    """
    from fedcredit.adapters.folders import read_released

    released = read_released(model)
    kind = out.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise ConfigError(f"{out} is neither .csv nor .parquet", remedy="name it by its format")
    used = released if personal is None else _personal(released, personal)
    frame = _scores(used, table, id_column)
    _write(frame, out, kind)
    if as_json:
        import json

        typer.echo(
            json.dumps({"rows": frame.height, "out": str(out), "model_digest": released.digest})
        )
    else:
        typer.echo(f"{frame.height} rows scored: {out}", err=True)


def _personal(released: ReleasedModel, file: Path) -> ReleasedModel:
    """The model with the institution's own head."""
    from fedcredit.scoring.personal import read_personal, with_personal

    try:
        data = file.read_bytes()
    except OSError as problem:
        raise ConfigError(
            f"{file} cannot be read: {problem.strerror}",
            remedy="make it: fedcredit node personal",
        ) from problem
    return with_personal(released, read_personal(data))


def _scores(released: ReleasedModel, table: str, id_column: str) -> pl.DataFrame:
    """Score, PD and tier of every row, after its id if one is asked for."""
    import numpy as np
    import polars as pl

    from fedcredit.adapters.tables import scoring_batches
    from fedcredit.scoring.points import TIERS

    parts = [released.scores(cells) for cells in scoring_batches(table, released.schema)]
    tiers = pl.Series([tier.name for tier in TIERS])
    frame = pl.DataFrame(
        {
            "score": np.concatenate([part.score for part in parts]),
            "pd": np.concatenate([part.pd for part in parts]),
            "tier": tiers.gather(np.concatenate([part.tier for part in parts])),
        }
    )
    return frame.insert_column(0, _ids(table, id_column)) if id_column else frame


def _ids(table: str, name: str) -> pl.Series:
    """The column that is carried over."""
    import polars as pl

    from fedcredit.adapters.frames import files_of, frames

    if name in ("score", "pd", "tier"):
        raise ConfigError(f"--id names {name!r}", remedy="rename that column of the table")
    files = files_of(table)
    for file in files:
        if name not in file.columns:
            raise DataError(
                f"{file.path} has no column {name!r}", remedy="name a column of the table"
            )
    return pl.concat([frame[name] for file in files for frame in frames(file, [name])])


def _write(frame: pl.DataFrame, out: Path, kind: str) -> None:
    """Write the file whole or not at all."""
    from io import BytesIO

    from fedcredit.adapters.disk import write_file

    data = BytesIO()
    if kind == ".csv":
        frame.write_csv(data)
    else:
        frame.write_parquet(data)
    try:
        write_file(out, data.getvalue())
    except OSError as problem:
        raise ConfigError(
            f"{out} cannot be written: {problem.strerror}",
            remedy="name a file in a folder that is there and may be written to",
        ) from problem
