"""`fedcredit coordinator` and `fedcredit node init|join|renew|leave`: who is in a consortium."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from fedcredit.errors import ConfigError

if TYPE_CHECKING:  # `--help` waits for none of these
    from datetime import datetime

    from fedcredit.adapters.institutions import Institution, Role
    from fedcredit.adapters.joining import Patience

__all__ = ["coordinator", "node_init", "node_join", "node_leave", "node_renew"]

coordinator = typer.Typer(no_args_is_help=True, help="Conduct a consortium.")

_Centre = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The coordinator's folder.", file_okay=False)
]
_Node = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The node's folder.", file_okay=False)
]
_Name = Annotated[str, typer.Argument(metavar="NAME", help="The institution's name.")]
_Wait = Annotated[float, typer.Option("--timeout", help="Seconds to wait for approval.", min=0)]
_SPAN: Final = re.compile(r"([1-9][0-9]{0,3})([hd])").fullmatch
_ROLES: Final = ("auditor", "institution")


@coordinator.command("init")
def coordinator_init(
    folder: _Centre,
    *,
    consortium: Annotated[str, typer.Option(help="The consortium's name.")],
    host: Annotated[
        list[str], typer.Option(help="Name or address that members reach it by; can be repeated.")
    ],
    port: Annotated[int, typer.Option(help="The only open port.", min=1, max=65535)] = 8443,
) -> None:
    """Found a consortium in FOLDER: its authority, the servers' certificates, a register.

    pki/authority.key lets institutions in. It is needed to approve, revoke and renew, and not
    to run: keep it elsewhere in between if you can.

    Exit status: 0 done; 1 there is a consortium in FOLDER, a host is none, or FOLDER cannot
    be written.

    Example: fedcredit coordinator init /etc/fedcredit --consortium Delta --host fed.example.org
    """
    from fedcredit.adapters.coordinator_folder import CoordinatorSettings, init_coordinator
    from fedcredit.adapters.system import system_random, utc_moment

    settings = CoordinatorSettings(consortium=consortium, hosts=tuple(host), port=port)
    init_coordinator(folder, settings, utc_moment(), system_random)
    typer.echo(settings.url)


@coordinator.command("invite")
def coordinator_invite(
    folder: _Centre,
    name: _Name,
    *,
    role: Annotated[str, typer.Option(help="institution, or auditor, who reads.")] = "institution",
    expires: Annotated[str, typer.Option(help="How long it is open: 12h, 7d; at most 90d.")] = "7d",
    out: Annotated[Path, typer.Option("--out", "-o", help="The new file.")] = Path("invite.json"),
) -> None:
    """Invite the institution NAME; send OUT to it by a way that nobody else reads.

    Exit status: 0 done; 1 the name, role or time is none, or OUT exists; 5 the name is taken.

    Example: fedcredit coordinator invite /etc/fedcredit north-bank --expires 7d -o north.json
    """
    from fedcredit.adapters.coordinator_folder import invite_institution
    from fedcredit.adapters.invitation import write_invitation
    from fedcredit.adapters.system import system_random, utc_moment

    if out.exists():
        raise ConfigError(f"{out} exists", remedy="name another file with --out")
    invitation = invite_institution(
        folder, name, _role(role), _span(expires), utc_moment(), system_random
    )
    write_invitation(out, invitation)
    typer.echo(str(out))
    typer.echo(f"for {name}, until {invitation.expires}", err=True)


@coordinator.command("institutions")
def coordinator_institutions(
    folder: _Centre,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show who belongs to the consortium, who waits, and whose certificate ends soon.

    Exit status: 0 done; 1 there is no consortium in FOLDER.

    Example: fedcredit coordinator institutions /etc/fedcredit
    """
    import json

    from fedcredit.adapters.coordinator_folder import read_register, server_warning
    from fedcredit.adapters.system import utc_moment

    now = utc_moment()
    found = read_register(folder).institutions
    if warning := server_warning(folder, now):
        typer.echo(warning, err=True)
    if as_json:
        rows = [
            {
                "name": one.name,
                "role": one.role,
                "state": one.state,
                "renewal_waits": bool(one.renewal),
                "days_left": _days(one, now) if one.certificate else None,
                "ledger": one.card.ledger,
                "witness": one.card.witness,
                "node": one.card.node,
                "reason": one.reason,
            }
            for one in found
        ]
        typer.echo(json.dumps({"institutions": rows}))
        return
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        typer.echo(f"{one.name:{width}}  {one.role:11}  {one.state:7}  {_remark(one, now)}")


@coordinator.command("approve")
def coordinator_approve(
    folder: _Centre,
    name: _Name,
    *,
    words: Annotated[str, typer.Option(help="The six words that its people read to you.")],
) -> None:
    """Let NAME in, or give it its next certificate, if the words are those of its keys.

    Have the words read out to you by telephone: do not copy them from this machine, which
    shows what came, and not what was sent.

    Exit status: 0 done; 1 nobody has the name; 5 the words are others, or it does not wait.

    Example: fedcredit coordinator approve /etc/fedcredit north-bank --words "six words as heard"
    """
    from fedcredit.adapters.coordinator_folder import approve_institution
    from fedcredit.adapters.system import system_random, utc_moment

    now = utc_moment()
    found = approve_institution(folder, name, words, now, system_random)
    typer.echo(f"{name} is a member; its certificate ends in {_days(found, now)} days")


@coordinator.command("revoke")
def coordinator_revoke(
    folder: _Centre,
    name: _Name,
    *,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
) -> None:
    """Let NAME in no more. A front that runs refuses its next request.

    Exit status: 0 done; 1 nobody has the name; 5 it is revoked already.

    Example: fedcredit coordinator revoke /etc/fedcredit north-bank --reason "key lost"
    """
    from fedcredit.adapters.coordinator_folder import revoke_institution
    from fedcredit.adapters.system import utc_moment

    revoke_institution(folder, name, reason, utc_moment())
    typer.echo(f"{name} is revoked")


@coordinator.command("renew")
def coordinator_renew(folder: _Centre) -> None:
    """Make new keys and certificates for the servers in FOLDER; they count after a restart.

    Exit status: 0 done; 1 there is no consortium in FOLDER, or its authority's key is away.

    Example: fedcredit coordinator renew /etc/fedcredit
    """
    from fedcredit.adapters.coordinator_folder import renew_servers
    from fedcredit.adapters.system import system_random, utc_moment

    renew_servers(folder, utc_moment(), system_random)
    typer.echo("restart the coordinator")


def node_init(
    folder: _Node,
    name: Annotated[str, typer.Option(help="The institution's name, as plans will have it.")],
) -> None:
    """Make a node's folder: node.toml and policy.toml to be filled in, and all its keys.

    Exit status: 0 done; 1 there is a node in FOLDER, the name is none, or FOLDER cannot be
    written.

    Example: fedcredit node init /etc/fedcredit --name north-bank
    """
    from fedcredit.adapters.node_folder import init_node
    from fedcredit.adapters.system import system_random, utc_moment

    init_node(folder, name, utc_moment().year, system_random)
    typer.echo(str(folder))
    typer.echo(
        "next: fill in node.toml and policy.toml, then fedcredit node join FOLDER INVITE", err=True
    )


def node_join(
    folder: _Node,
    invite: Annotated[Path, typer.Argument(metavar="INVITE", help="As the coordinator sent it.")],
    *,
    timeout_s: _Wait = 3600.0,
) -> None:
    """Join the consortium that INVITE is of: read the six words to its coordinator, and wait.

    The key stays in FOLDER. To break off is harmless: the same command goes on.

    Exit status: 0 joined; 1 a file is missing or wrong, or FOLDER has joined already; 3 the
    coordinator does not answer, or has not approved in time; 5 it refuses, or is another.

    Example: fedcredit node join /etc/fedcredit invite.json
    """
    from fedcredit.adapters.invitation import read_invitation
    from fedcredit.adapters.joining import join

    invitation = read_invitation(invite)
    join(folder, invitation, _patience(timeout_s), _say)
    typer.echo(f"{invitation.name} is a member of {invitation.consortium}")


def node_renew(folder: _Node, *, timeout_s: _Wait = 3600.0) -> None:
    """Get the next certificate for the node in FOLDER, with a new key; read the words as before.

    Exit status: 0 done; 1 FOLDER has not joined; 3 the coordinator does not answer, or has
    not approved in time; 5 it refuses, or is another.

    Example: fedcredit node renew /etc/fedcredit
    """
    from fedcredit.adapters.joining import renew

    renew(folder, _patience(timeout_s), _say)
    typer.echo("the new certificate counts from the node's next start")


def node_leave(
    folder: _Node,
    *,
    reason: Annotated[
        str, typer.Option(help="Why; it stands in the coordinator's ledger, for auditors.")
    ] = "",
) -> None:
    """Leave the consortium: the node in FOLDER ends, and the coordinator lets it in no more.

    Studies that are under way go on without it, or stop where too few are left. Keys and
    ledger stay where they are: keep them, the ledger is evidence. The node does not run again
    until it is invited and joins anew. If the coordinator cannot be told, the node has ended
    all the same: give the command again.

    Exit status: 0 done, or done before; 1 FOLDER has not joined; 3 the coordinator does not
    answer, and does not know yet; 5 it refuses, or is another.

    Example: fedcredit node leave /etc/fedcredit --reason "merged with south-bank"
    """
    from fedcredit.adapters.leaving import leave
    from fedcredit.adapters.system import utc_now

    done = leave(folder, reason, utc_now())
    typer.echo("the node has left the consortium" if done else "the node had left before")


def _say(words: str) -> None:
    """The six words, for people."""
    typer.echo(f"Read these six words to the coordinator's operator by telephone:\n\n  {words}\n")


def _patience(timeout_s: float) -> Patience:
    """How long to wait, by the machine's clock."""
    from fedcredit.adapters.joining import Patience
    from fedcredit.adapters.system import SystemClock

    return Patience(clock=SystemClock(), most_s=timeout_s)


def _role(text: str) -> Role:
    """One of the two roles."""
    if text == "institution":
        return "institution"
    if text == "auditor":
        return "auditor"
    raise ConfigError(f"{text!r} is no role", remedy=f"choose one of {', '.join(_ROLES)}")


def _span(text: str) -> timedelta:
    """Hours or days."""
    found = _SPAN(text)
    if not found:
        raise ConfigError(f"{text!r} is no length of time", remedy="write it as 12h or 7d")
    count = int(found[1])
    return timedelta(hours=count) if found[2] == "h" else timedelta(days=count)


def _days(one: Institution, now: datetime) -> int:
    """Days until its certificate ends."""
    from fedcredit.adapters.pki import days_left, read_certificate

    return days_left(read_certificate(one.certificate.encode()), now)


def _remark(one: Institution, now: datetime) -> str:
    """What an operator has to know of one."""
    from fedcredit.adapters.pki import WARN_DAYS

    if one.state == "waiting":
        return "have its six words read to you, then approve"
    if one.state == "invited":
        return f"until {one.expires}"
    if one.state == "revoked":
        return one.reason
    left = _days(one, now)
    warning = "  ENDS SOON: it must renew" if left < WARN_DAYS else ""
    waits = "  its next one waits for approval" if one.renewal else ""
    return f"certificate ends in {left} days{warning}{waits}"
