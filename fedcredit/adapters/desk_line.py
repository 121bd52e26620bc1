"""Requests to a coordinator's enrolment desk, from a node's side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import httpx

from fedcredit.adapters.tls import client_context, reason_of
from fedcredit.errors import EnrolmentRefused, PeerError, UnreachableError

__all__ = ["DeskLine", "shown"]

_ANSWER_LIMIT_BYTES: Final = 64 << 10
_TEXT_LIMIT: Final = 300  # characters of a refusal that are shown


class DeskLine:
    """Requests to one coordinator, which is told by its authority; a context manager."""

    def __init__(self, url: str, authority: str, member: Path | None = None) -> None:
        """Set up.

        Args:
            url: of the coordinator.
            authority: certificate of its authority, PEM.
            member: our key and certificate in one file; none for a stranger.
        """
        context = client_context(authority, member)
        self._url = url
        self._client = httpx.Client(verify=context, trust_env=False, timeout=10.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, step: str, table: Mapping[str, object]) -> Mapping[str, object]:
        """One request and its answer.

        Args:
            step: the last part of its path.
            table: its body.

        Raises:
            EnrolmentRefused: the coordinator refuses; ``kind`` says why.
            PeerError: it is another, or makes no sense.
            UnreachableError: it does not answer.
        """
        try:
            with self._client.stream("POST", f"{self._url}/enrol/{step}", json=table) as answer:
                data = b""
                for piece in answer.iter_bytes():
                    data += piece
                    if len(data) > _ANSWER_LIMIT_BYTES:
                        break
        except httpx.HTTPError as problem:
            raise _no_answer(self._url, problem) from None
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if answer.status_code == 200 and isinstance(found, dict):
            return found
        error = found.get("error") if isinstance(found, dict) else None
        if not isinstance(error, dict):
            raise PeerError(
                f"{self._url} answers with status {answer.status_code} and no reason",
                remedy="ask the coordinator's operator whether its front runs",
            )
        raise EnrolmentRefused(
            shown(error.get("what")),
            remedy=shown(error.get("fix")),
            kind=shown(error.get("kind")),
        )


def shown(text: object) -> str:
    """What the other side has written, as far as it can be shown."""
    plain = str(text)[:_TEXT_LIMIT]
    return "".join(sign if sign.isprintable() else " " for sign in plain)


def _no_answer(url: str, problem: httpx.HTTPError) -> PeerError | UnreachableError:
    """Why there was no answer."""
    reason = reason_of(problem)
    if reason:
        return PeerError(
            f"no secure connection to {url}: {reason}",
            remedy="check the clock and the address; telephone the coordinator before you go on",
        )
    return UnreachableError(
        f"no answer from the coordinator at {url}", remedy="ask its operator whether it is up"
    )
