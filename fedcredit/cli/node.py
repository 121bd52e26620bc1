"""`fedcredit node`: an institution's keys, and the roster of members that it signs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedcredit.errors import ConfigError, PeerError

if TYPE_CHECKING:  # `--help` waits for none of these
    from fedcredit.secagg.keys import Identity, Member
    from fedcredit.secagg.roster import SignedRoster

__all__ = ["node"]

node = typer.Typer(no_args_is_help=True, help="Run an institution's node.")
roster = typer.Typer(no_args_is_help=True, help="Who the members are, signed by themselves.")
node.add_typer(roster, name="roster")

_Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
]


@node.command()
def keys(
    folder: _Folder,
    name: Annotated[str, typer.Option(help="The institution's name, as plans will have it.")],
) -> None:
    """Make the institution's keys in FOLDER, and the card that others may see.

    identity.json is secret and stays; card.json is for whoever draws up the roster. Read
    the fingerprint to the other members by telephone: they compare it before they sign.

    Exit status: 0 done; 1 there are keys already, or the folder cannot be written.

    Example: fedcredit node keys /etc/fedcredit --name north-bank
    """
    from fedcredit.adapters.disk import write_file
    from fedcredit.adapters.keyring import card_to_json, write_identity
    from fedcredit.adapters.system import system_random
    from fedcredit.federation.plan import check_name
    from fedcredit.secagg.keys import new_identity
    from fedcredit.units import InstitutionId

    identity = new_identity(check_name(InstitutionId(name)), system_random)
    folder.mkdir(parents=True, exist_ok=True)
    write_identity(folder / "identity.json", identity)
    write_file(folder / "card.json", card_to_json(identity.card).encode())
    typer.echo(f"{name}  {_fingerprint(identity.card)}")


@roster.command()
def draft(
    cards: Annotated[list[Path], typer.Argument(metavar="CARD.json...", help="One a member.")],
    out: Annotated[Path, typer.Option(help="The new roster file.")] = Path("roster.json"),
    after: Annotated[
        Path | None, typer.Option(help="The roster that counted until now, if there is one.")
    ] = None,
) -> None:
    """Draw up a roster from members' cards; it counts when the members have signed it.

    Exit status: 0 done; 1 a card is missing or malformed, or OUT exists; 5 the cards do
    not make a roster.

    Example: fedcredit node roster draft north.json shop.json telco.json --out roster.json
    """
    from fedcredit.adapters.keyring import read_card, read_roster, write_roster
    from fedcredit.secagg.roster import Roster, SignedRoster

    if out.exists():
        raise ConfigError(f"{out} exists", remedy="name another file with --out")
    members = tuple(sorted(map(read_card, cards), key=lambda one: one.name))
    before = read_roster(after).roster if after else None
    epoch, previous = (before.epoch + 1, before.digest()) if before else (0, b"")
    signed = SignedRoster(Roster(epoch, previous, members))
    write_roster(out, signed)
    _print(signed)


@roster.command()
def show(
    folder: _Folder,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the roster in FOLDER: members, fingerprints, who has signed, whether it counts.

    Exit status: 0 it counts for this institution; 1 a file is missing; 5 it does not count.

    Example: fedcredit node roster show /etc/fedcredit
    """
    import json

    identity, signed = _read(folder)
    verdict = _verdict(identity, signed)
    if as_json:
        members = [
            {
                "name": one.name,
                "fingerprint": _fingerprint(one),
                "signed": one.name in signed.signatures,
            }
            for one in signed.roster.members
        ]
        found = {"digest": signed.roster.digest().hex(), "counts": not verdict}
        typer.echo(json.dumps({"epoch": signed.roster.epoch, "members": members, **found}))
    else:
        _print(signed)
    if verdict:
        raise verdict
    if not as_json:
        typer.echo(f"It counts for {identity.name}.")


@roster.command()
def sign(
    folder: _Folder,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Sign without asking.")] = False,
) -> None:
    """Sign the roster in FOLDER with the institution's key, after looking at it.

    Compare every fingerprint with its member first: whoever stands in the roster can hold
    shares of what hides your sums.

    Exit status: 0 signed; 1 a file is missing, or you said no; 5 the roster gives this
    institution other keys than its own.

    Example: fedcredit node roster sign /etc/fedcredit
    """
    from fedcredit.adapters.keyring import write_roster
    from fedcredit.secagg.roster import sign_roster

    identity, signed = _read(folder)
    _print(signed)
    if signed.roster.member(identity.name) != identity.card:
        raise PeerError(
            f"the roster gives {identity.name!r} other keys than its own",
            remedy="have it drawn up again, with your own card",
        )
    if not yes and not typer.confirm("Have you compared every fingerprint with its member?"):
        raise typer.Exit(1)
    write_roster(folder / "roster.json", sign_roster(signed, identity))
    typer.echo(f"signed by {identity.name}")


def _read(folder: Path) -> tuple[Identity, SignedRoster]:
    """The institution's keys and the roster in its folder."""
    from fedcredit.adapters.keyring import read_identity, read_roster

    return read_identity(folder / "identity.json"), read_roster(folder / "roster.json")


def _verdict(identity: Identity, signed: SignedRoster) -> PeerError | None:
    """Why the roster does not count; None where it does."""
    from fedcredit.secagg.roster import check_roster

    try:
        check_roster(signed, identity.card)
    except PeerError as problem:
        return problem
    return None


def _print(signed: SignedRoster) -> None:
    """A line a member."""
    from fedcredit.secagg.roster import quorum_of

    members = signed.roster.members
    width = max(len(one.name) for one in members)
    for one in members:
        mark = "signed" if one.name in signed.signatures else "-"
        typer.echo(f"{one.name:{width}}  {_fingerprint(one)}  {mark}")
    typer.echo(
        f"epoch {signed.roster.epoch}, shares sealed by {signed.roster.kind}, "
        f"{len(signed.signatures)} of {len(members)} have signed, {quorum_of(len(members))} needed"
    )


def _fingerprint(member: Member) -> str:
    """128 bits of a card, in groups that can be read aloud."""
    from fedcredit.codec import digest

    text = digest("fedcredit/card/1", member.name.encode(), member.signing, member.sealing).hex()
    return " ".join(text[at : at + 4] for at in range(0, 32, 4))
