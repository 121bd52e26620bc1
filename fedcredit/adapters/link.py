"""A node's way to its coordinator's front, over TLS with the institution's certificate."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from zipfile import BadZipFile, ZipFile

import httpx

from fedcredit.adapters.fleet_calls import HttpsLine
from fedcredit.adapters.https import https_client
from fedcredit.adapters.joining import read_place
from fedcredit.adapters.tls import client_context, reason_of
from fedcredit.errors import ConfigError, PeerError, UnreachableError

__all__ = ["FrontDesk", "fetch_result", "fleet_line"]

_MEMBER: Final = "keys/member.pem"
_AUTHORITY: Final = "keys/authority.pem"
_NODE_KEY: Final = "keys/node.key"
_LIMIT_BYTES: Final = 64 << 20


class FrontDesk:
    """A `visiting.Desk`: the coordinator's front, as one institution reaches it."""

    def __init__(self, folder: Path) -> None:
        """Read who we are and where to go.

        Args:
            folder: of a node that has joined.

        Raises:
            ConfigError: it has not, or a file is wrong.
        """
        self._url = read_place(folder).url
        try:
            authority = (folder / _AUTHORITY).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(
                f"{folder / _AUTHORITY} cannot be read",
                remedy="join a consortium: fedcredit node join FOLDER INVITE",
            ) from None
        member = folder / _MEMBER
        self._client = https_client(client_context(authority, member, member), {})

    def get(self, path: str) -> bytes:
        """See `Desk`."""
        return self._ask("GET", path, b"")

    def post(self, path: str, body: bytes) -> bytes:
        """See `Desk`."""
        return self._ask("POST", path, body)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        """One request."""
        try:
            with self._client.stream(method, self._url + path, content=body or None) as answer:
                pieces, size = [], 0
                for piece in answer.iter_bytes():
                    size += len(piece)
                    if size > _LIMIT_BYTES:
                        raise PeerError("an answer without end", remedy="tell the coordinator")
                    pieces.append(piece)
        except httpx.HTTPError as problem:
            why = reason_of(problem) or type(problem).__name__
            raise UnreachableError(
                f"the coordinator at {self._url} cannot be reached: {why}",
                remedy="look at the name, the port and the certificate: fedcredit doctor",
            ) from None
        if answer.status_code != httpx.codes.OK:
            raise PeerError(
                f"the coordinator refuses {path}: status {answer.status_code}",
                remedy="ask its operator",
            )
        return b"".join(pieces)


def fleet_line(folder: Path) -> HttpsLine:
    """The way to Flower's Fleet API, through the same front.

    Raises:
        ConfigError: the node has not joined.
    """
    there = urlsplit(read_place(folder).url)
    return HttpsLine(
        address=there.netloc,
        root=folder / _AUTHORITY,
        key=folder / _NODE_KEY,
        certificate=folder / _MEMBER,
        certificate_key=folder / _MEMBER,
    )


def fetch_result(folder: Path, study: str) -> dict[str, bytes]:
    """What a study has published, by file name.

    Args:
        folder: the node's.
        study: its id.

    Raises:
        UnreachableError: the coordinator cannot be reached.
        PeerError: the study is not over, or the answer is no bundle of files.
    """
    desk = FrontDesk(folder)
    try:
        data = desk.get(f"/v1/studies/{study}/result")
    finally:
        desk.close()
    try:
        with ZipFile(BytesIO(data)) as file:
            if sum(one.file_size for one in file.infolist()) > _LIMIT_BYTES:
                raise PeerError("a result without end", remedy="tell the coordinator")
            return {one.filename: file.read(one) for one in file.infolist()}
    except BadZipFile:
        raise PeerError("the result is no zip", remedy="tell the coordinator") from None
