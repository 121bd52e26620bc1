"""`fedcredit model export`: a released model for other programs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fedcredit.errors import ConfigError

__all__ = ["model"]

model = typer.Typer(no_args_is_help=True, help="Use a released model elsewhere.")


@model.callback()
def _models() -> None:
    """Use a released model elsewhere."""


@model.command()
def export(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="With model.safetensors and manifest.json.")
    ],
    out: Annotated[Path, typer.Option(help="File to write, .onnx.")],
) -> None:
    """Write the released model in FOLDER as ONNX: from cells to log-odds, PD and score.

    The graph takes the cells of the data contract, int64 of shape (n, features), and gives
    the scores that fedcredit score gives. Needs fedcredit[onnx].

    Exit status: 0 done; 1 onnx is not installed, or a file cannot be read or written; 5 the
    model is not what its digest says.

    Example: fedcredit model export fedcredit-demo --out model.onnx
    """
    from fedcredit.adapters.disk import write_file
    from fedcredit.adapters.folders import read_released

    released = read_released(folder)
    if find_spec("onnx") is None:
        raise ConfigError("onnx is not installed", remedy="install fedcredit[onnx]")
    from fedcredit.scoring.onnx_graph import to_onnx

    data = to_onnx(released)
    try:
        write_file(out, data)
    except OSError as problem:
        raise ConfigError(
            f"{out} cannot be written: {problem.strerror}",
            remedy="name a file in a folder that is there and may be written to",
        ) from problem
    typer.echo(f"{out}: {len(data)} bytes, of the model {released.digest}")
