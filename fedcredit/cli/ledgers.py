"""`fedcredit ledger init|show|bundle|rotate`: an institution's own ledger, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` waits for none of these
    from fedcredit.adapters.policies import CoordinatorFile, PolicyFile
    from fedcredit.ledger.entries import Genesis

__all__ = ["bundle", "init", "rotate", "show"]

_Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
]


def init(
    folder: _Folder,
    *,
    coordinator: Annotated[
        bool, typer.Option("--coordinator", help="It is the coordinator's, which has no records.")
    ] = False,
) -> None:
    """Begin the ledger of the institution in FOLDER, by its node.toml and policy.toml.

    Uses keys/root.key, keys/officer.key and keys/ledger.key, as fedcredit node init has made
    them, or makes them. The node needs the last one only: take the other two away, to the
    people whose keys they are, before it runs.

    Exit status: 0 done; 1 a file is missing or wrong, or there is a ledger already, or only
    some of the keys; 4 the policy could not be kept.

    Example: fedcredit ledger init /etc/fedcredit
    """
    from fedcredit.adapters.folders import read_node
    from fedcredit.adapters.ledgers import open_store
    from fedcredit.adapters.policies import read_roles, write_roles
    from fedcredit.adapters.system import system_random, utc_now
    from fedcredit.ledger.founding import draw_roles, found_ledger

    written = _policy(folder, coordinator=coordinator)
    name = "coordinator" if coordinator else read_node(folder).institution
    policy, made = written.policy, (folder / "keys/root.key").exists()
    roles = read_roles(folder / "keys") if made else draw_roles(system_random)
    with open_store(folder / "ledger") as store:
        if store.lines():
            raise ConfigError(f"there is a ledger in {folder}", remedy="keep it: it is for good")
        if not made:
            write_roles(folder / "keys", roles)
        found_ledger(
            store,
            roles,
            policy,
            utc_now,
            origin=written.origin,
            institution=name,
            role="coordinator" if coordinator else "institution",
        )
    typer.echo(f"{written.origin}\nroot    {roles.root.public.hex()}")
    typer.echo(f"ledger  {_verifier(written.origin, roles.key.public)}")
    typer.echo(
        "next: give the root to auditors and the ledger's key to witnesses; take "
        "keys/root.key and keys/officer.key away",
        err=True,
    )


def show(
    folder: _Folder,
    since: Annotated[str, typer.Option(help="Only entries from this day on, 2026-01-31.")] = "",
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the entries' own lines.")] = False,
) -> None:
    """Show the ledger in FOLDER: what was planned, approved, charged, released and refused.

    Exit status: 0 done; 1 there is no ledger; 5 it is damaged.

    Example: fedcredit ledger show /etc/fedcredit --since 2026-11-01
    """
    from fedcredit.adapters.ledgers import Copy
    from fedcredit.ledger.chain import Chain
    from fedcredit.ledger.words import what_of

    copy, chain = Copy(folder / "ledger"), Chain()
    for line in copy.lines().splitlines(keepends=True):
        chain.take(line)
        written = chain.written[-1]
        if written.time[:10] < since:
            continue
        if as_json:
            typer.echo(line.decode("ascii"), nl=False)
        else:
            typer.echo(f"{written.seq:>6}  {written.time}  {what_of(written.entry)}")


def bundle(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Nodes' or coordinators' folders.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The new file.")] = Path("audit.zip"),
) -> None:
    """Pack ledgers for an auditor: entries and checkpoints, nothing else.

    Exit status: 0 done; 1 there is no ledger, two of one institution, or OUT exists.

    Example: fedcredit ledger bundle /etc/fedcredit -o audit.zip
    """
    from fedcredit.adapters.disk import write_file
    from fedcredit.adapters.ledgers import Copy
    from fedcredit.ledger.bundle import bundle as packed
    from fedcredit.ledger.chain import Chain

    if out.exists():
        raise ConfigError(f"{out} exists", remedy="name another file with --out")
    copies: dict[str, Copy] = {}
    for folder in folders:
        copy, chain = Copy(folder / "ledger"), Chain()
        chain.take(copy.lines().splitlines(keepends=True)[0])
        name = chain.account.genesis.institution
        if name in copies:
            raise ConfigError(f"two ledgers of {name!r}", remedy="name each folder once")
        copies[name] = copy
    write_file(out, packed(copies))
    typer.echo(str(out))


def rotate(
    folder: _Folder,
    root: Annotated[
        Path | None,
        typer.Option(help="The root's key file, where the ledger's own key is lost."),
    ] = None,
) -> None:
    """Give the ledger in FOLDER a new key; the old one hands over, or the root does.

    Witnesses that do not know the new key cannot sign, so this ends with status 3: give them
    the key that is printed, for `fedcredit witness add`, and run this again. With --root just
    so; whatever fails before the end, the key so far is still in its place.

    Exit status: 0 done; 1 a file is missing; 3 too few witnesses answer or know the new key;
    5 the ledger is damaged, open elsewhere, or the root is not its root.

    Example: fedcredit ledger rotate /etc/fedcredit
    """
    from fedcredit.adapters.keyring import write_secret
    from fedcredit.adapters.ledgers import open_ledger
    from fedcredit.adapters.policies import read_key_file
    from fedcredit.adapters.system import system_random

    current, coming = (folder / "keys" / f"{name}.key" for name in ("ledger", "ledger.next"))
    if not coming.exists():  # one that is there was begun before, and crashed
        write_secret(coming, {"ed25519": system_random(32).hex()})
    new, signer = read_key_file(coming), read_key_file(root) if root else None
    written = _policy(folder, coordinator=_genesis(folder).role == "coordinator")
    with open_ledger(folder, written, root=signer, successor=new) as opened:
        if opened.account.keys[-1] != new.public.hex():
            opened.rotate(new)
        # Said at once: witnesses must know the new key before they sign under it.
        typer.echo(f"ledger  {_verifier(opened.origin, new.public)}")
        opened.settle()
    coming.replace(current)  # last: until here, whatever fails, the key so far is there


def _policy(folder: Path, *, coordinator: bool) -> PolicyFile | CoordinatorFile:
    """The policy in a folder."""
    from fedcredit.adapters.policies import read_coordinator, read_policy

    path = folder / "policy.toml"
    return read_coordinator(path) if coordinator else read_policy(path)


def _genesis(folder: Path) -> Genesis:
    """The first entry of the ledger in a folder."""
    from fedcredit.adapters.ledgers import Copy
    from fedcredit.ledger.chain import Chain

    chain = Chain()
    chain.take(Copy(folder / "ledger").lines().splitlines(keepends=True)[0])
    return chain.account.genesis


def _verifier(origin: str, public: bytes) -> str:
    """A ledger's key as witnesses want it."""
    from fedcredit.ledger.signatures import PLAIN, VerifierKey

    return str(VerifierKey(origin, PLAIN, public))
