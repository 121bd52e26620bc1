"""`fedcredit ledger page` and `fedcredit ledger export`: what was verified, for people and forms.

Both check the bundles first, with the verifier that an auditor runs; neither has a figure of
its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` does not wait for it
    from collections.abc import Mapping, Sequence

__all__ = ["export", "page"]

_FORMATS: Final = ("dp-registry",)


def page(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Zip files or folders of ledgers.")
    ],
    trust: Annotated[
        Path | None,
        typer.Option(help="TOML file with root keys, witnesses and checkpoints saved earlier."),
    ] = None,
    output: Annotated[Path, typer.Option("--out", help="HTML file to write.")] = Path("audit.html"),
) -> None:
    """Check BUNDLES offline and write the auditor's page.

    One HTML file without script and without any reference to other files: read it in a
    browser, on a phone or on paper. It is written whatever the verdict is.

    Exit status: 0 everything holds; 1 a rule is broken; 2 wrong usage; 5 the evidence is
    broken.

    Example: fedcredit ledger page audit.zip --trust trust.toml --out audit.html
    """
    from fedcredit.report.audit_page import audit_page

    found = _findings(bundles, trust)
    _write(output, audit_page(found))
    typer.echo(f"{found['verdict']}: {output}", err=True)
    raise typer.Exit(_status(found))


def export(
    bundles: Annotated[
        list[Path], typer.Argument(metavar="BUNDLE...", help="Zip files or folders of ledgers.")
    ],
    form: Annotated[str, typer.Option("--format", help="dp-registry.")] = "dp-registry",
    output: Annotated[
        Path | None, typer.Option("--out", help="File to write; standard output if not given.")
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option(help="TOML file with root keys, witnesses and checkpoints saved earlier."),
    ] = None,
) -> None:
    """Check BUNDLES offline and draft an entry for the DP Deployments Registry.

    JSON, which is YAML too, with the registry's own fields at Tier 3. What no ledger knows is
    named on standard error: somebody must write it before the entry is handed in.

    Exit status: 0 done; 1 done, and a rule is broken; 2 wrong usage; 5 the evidence is broken,
    nothing was written.

    Example: fedcredit ledger export audit.zip --format dp-registry --out entry.json
    """
    import json

    from fedcredit.report.registry import open_fields, registry_entry

    if form not in _FORMATS:
        raise typer.BadParameter(f"{form!r} is none of {', '.join(_FORMATS)}")
    found = _findings(bundles, trust)
    entry = registry_entry(found)
    text = json.dumps(entry, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text)
    typer.echo("to be written by hand: " + ", ".join(open_fields(entry)), err=True)
    raise typer.Exit(_status(found))


def _findings(bundles: Sequence[Path], trust: Path | None) -> Mapping[str, object]:
    """What the verifier finds; a path that cannot be read is wrong usage."""
    from fedcredit.verifier import UsageProblem, verify

    try:
        return verify(bundles, trust)
    except UsageProblem as problem:
        raise typer.BadParameter(str(problem)) from problem


def _status(found: Mapping[str, object]) -> int:
    """The verifier's exit status; a verdict without one is no success."""
    status = found.get("exit")
    return status if type(status) is int else 5


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    from fedcredit.adapters.disk import write_file

    try:
        write_file(path, text.encode())
    except OSError as problem:
        raise ConfigError(
            f"{path} cannot be written: {problem.strerror}",
            remedy="name a file in a folder that is there and may be written to",
        ) from problem
