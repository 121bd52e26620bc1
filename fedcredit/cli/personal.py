"""`fedcredit node personal`: a layer of the institution's own on a released network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedcredit.errors import ConfigError

__all__ = ["node_personal"]


def node_personal(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
    ],
    model: Annotated[Path, typer.Option(help="Folder with model.safetensors and manifest.json.")],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; personal.layer in FOLDER if not given."),
    ] = None,
) -> None:
    """Learn the head of a released network further on our own rows, for our own use.

    Reads the node's table under the study that the model is of. The file is as sensitive as
    the rows: nothing of it is released, sent or charged, and the ledger is not opened. Score
    with it: fedcredit score --personal FILE. AUCs are of our own held-out records, without
    noise, for our own eyes.

    Exit status: 0 done; 1 the study, the table or the file is not right; 5 the model is not
    what its digest says, or is no network.

    Example: fedcredit node personal /etc/fedcredit --model runs/spring
    """
    from fedcredit.adapters.disk import write_file
    from fedcredit.adapters.folders import read_agreed, read_node, read_released
    from fedcredit.adapters.hosting import plan_folders
    from fedcredit.adapters.sources import open_source
    from fedcredit.scoring.personal import personalise, with_personal, write_personal
    from fedcredit.scoring.ranking import own_auc

    released = read_released(model)
    agreed = [read_agreed(place) for place in plan_folders(folder)]
    fits = [one for one in agreed if one[1].digest().hex() == released.plan_digest]
    if not fits:
        raise ConfigError(
            f"no study in {folder} is the one that the model is of",
            remedy="name the model of a study that was put before this node",
        )
    schema, plan = fits[0]
    records = open_source(folder, read_node(folder), schema, bytes.fromhex(plan.salt))
    own = personalise(released, records)
    path = out or folder / "personal.layer"
    try:
        write_file(path, write_personal(own))
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be written: {problem.strerror}", remedy="name a file in a folder"
        ) from problem
    before = own_auc(records, released.model)
    after = own_auc(records, with_personal(released, own).model)
    typer.echo(f"{path}: AUC {before:.3f} before, {after:.3f} after, on our held-out records")
    typer.echo("nothing was charged or sent; the file is as sensitive as the rows")
