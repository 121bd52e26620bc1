"""A consortium on the disk with members, and its front on loopback before a SuperLink of ours."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

from fedcredit.adapters.asgi import App, Receive, Scope, Send, answer, body_of, headers_of
from fedcredit.adapters.coordinator_folder import (
    CoordinatorSettings,
    approve_institution,
    change_register,
    init_coordinator,
    invite_institution,
    read_register,
)
from fedcredit.adapters.front import (
    INSTITUTION,
    ROLE,
    FrontLimits,
    SuperLinkPlace,
    open_front,
    superlink_in,
)
from fedcredit.adapters.institutions import PublicCard, ask, stamp
from fedcredit.adapters.listener import Listener, ListenerLimits
from fedcredit.adapters.node_folder import card_of, init_node
from fedcredit.adapters.pki import Authority, key_pem, new_key, request_for
from fedcredit.adapters.system import system_random, utc_moment
from fedcredit.adapters.tls import client_context, server_context

HOST = "127.0.0.1"
AUTHORITY = "pki/authority.pem"


@dataclass(slots=True)
class Consortium:
    """A coordinator's folder, and its members' folders beside it."""

    base: Path
    now: datetime = field(default_factory=utc_moment)

    @property
    def folder(self) -> Path:
        return self.base / "coordinator"

    @property
    def authority(self) -> Authority:
        key = (self.folder / "pki/authority.key").read_bytes()
        return Authority.read((self.folder / AUTHORITY).read_bytes(), key)

    def found(self) -> Consortium:
        settings = CoordinatorSettings(consortium="Delta", hosts=(HOST,), port=8443)
        init_coordinator(self.folder, settings, self.now, system_random)
        return self

    def node(self, name: str) -> Path:
        folder = self.base / name
        if not folder.exists():
            init_node(folder, name, self.now.year, system_random)
        return folder

    def card(self, name: str, request: str = "") -> PublicCard:
        """A node's card, with a key of its own in member.next.pem."""
        folder = self.node(name)
        if not request:
            key = new_key()
            request = request_for(key, name).decode()
            (folder / "keys/member.next.pem").write_bytes(key_pem(key) + request.encode())
        return card_of(folder, request)

    def member(self, name: str, *, auditor: bool = False, at: datetime | None = None) -> Path:
        """Let one in; the file with its key and certificate."""
        invitation = invite_institution(
            self.folder,
            name,
            "auditor" if auditor else "institution",
            timedelta(days=7),
            self.now,
            system_random,
        )
        card = self.card(name)
        if auditor:
            card = PublicCard(request=card.request)
        register = change_register(
            self.folder,
            lambda one: ask(one, name, invitation.token, card, stamp(self.now)),
        )
        words = register.named(name).words
        approve_institution(self.folder, name, words, at or self.now, system_random)
        return self.kept(name)

    def kept(self, name: str) -> Path:
        """A member's key and present certificate, in one file."""
        path = self.base / name / "keys/member.pem"
        key = (self.base / name / "keys/member.next.pem").read_bytes().split(b"-----BEGIN CERT")[0]
        found = read_register(self.folder).named(name)
        path.write_bytes(key + found.certificate.encode())
        return path

    def node_header(self, name: str) -> dict[str, str]:
        """The header that names a node key to Flower."""
        key = load_ssh_public_key((self.base / name / "keys/node.pub").read_bytes())
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {"flwr-public-key": base64.b64encode(pem).decode()}

    def tls(self, member: Path | None = None) -> ssl.SSLContext:
        return client_context((self.folder / AUTHORITY).read_text("ascii"), member)

    def client(self, port: int, member: Path | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=f"https://{HOST}:{port}", verify=self.tls(member), trust_env=False, timeout=20
        )


async def superlink(scope: Scope, receive: Receive, send: Send) -> None:
    """Say what has come: path, headers, and the body's hash."""
    state, count = hashlib.sha256(), 0
    async for piece in body_of(receive, 1 << 40):
        state.update(piece)
        count += len(piece)
    headers = [
        [name.decode("latin-1"), value.decode("latin-1")] for name, value in headers_of(scope)
    ]
    found = {
        "path": scope["path"],
        "headers": headers,
        "sha256": state.hexdigest(),
        "bytes": count,
    }
    await answer(send, 200, found)


async def studies(scope: Scope, receive: Receive, send: Send) -> None:
    """Say who asks."""
    count = 0
    async for piece in body_of(receive, 1 << 40):
        count += len(piece)
    await answer(send, 200, {"name": scope[INSTITUTION], "role": scope[ROLE], "bytes": count})


@contextmanager
def upstream(consortium: Consortium, app: App = superlink) -> Iterator[SuperLinkPlace]:
    """A server in the place of Flower's."""
    pki = consortium.folder / "pki"

    @asynccontextmanager
    async def lifetime() -> AsyncIterator[App]:
        yield app

    context = server_context(pki / "superlink.pem", pki / "superlink.key", pki / "authority.pem")
    with Listener(lifetime, context, HOST, 0) as there:
        yield superlink_in(consortium.folder, f"https://{HOST}:{there.port}")


@contextmanager
def serving(
    consortium: Consortium,
    place: SuperLinkPlace,
    *,
    limits: FrontLimits | None = None,
    times: ListenerLimits | None = None,
    apps: Mapping[str, App] | None = None,
    ahead: timedelta = timedelta(),
) -> Iterator[int]:
    """The front of a consortium, and its port."""
    listener = open_front(
        consortium.folder,
        place,
        HOST,
        0,
        now=lambda: utc_moment() + ahead,
        apps={"/v1/studies": studies} if apps is None else apps,
        limits=limits or FrontLimits(),
        times=times or ListenerLimits(),
    )
    with listener:
        yield listener.port


def kind_of(answered: httpx.Response) -> str:
    """The one word of a refusal."""
    return str(json.loads(answered.content)["error"]["kind"])
