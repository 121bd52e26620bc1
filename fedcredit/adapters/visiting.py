"""A node's visits to its coordinator: what is new is fetched, what was decided is told.

Each visit is short and may fail: the next one makes it good. A study that is put before the
institution is written into its folder; the policy, or a person's word beside it, decides; the
coordinator is told. A roster that nobody here has seen is fetched for a person to look at.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from fedcredit.adapters.disk import write_file, write_folder
from fedcredit.adapters.folders import read_agreed
from fedcredit.adapters.hosting import Host
from fedcredit.adapters.keyring import read_roster
from fedcredit.adapters.studies import study_id
from fedcredit.errors import FedCreditError, PeerError

__all__ = ["Desk", "Visitor"]

_ID: Final = re.compile(r"[0-9a-f]{12}")
_FILES: Final = ("plan.json", "schema.toml", "roster.json")
_LOG: Final = logging.getLogger("fedcredit.node")


@runtime_checkable
class Desk(Protocol):
    """The coordinator, as a node reaches it; see `studies_api`."""

    def get(self, path: str) -> bytes:
        """The body of an answer.

        Raises:
            UnreachableError: there was no answer.
            PeerError: it was a refusal.
        """
        ...

    def post(self, path: str, body: bytes) -> bytes:
        """The same after sending something."""
        ...


class Visitor:
    """Goes to the coordinator for a host."""

    def __init__(self, host: Host, desk: Desk) -> None:
        """Set up.

        Args:
            host: the node.
            desk: the coordinator.
        """
        self._host, self._desk = host, desk
        self._told: dict[str, str] = {}

    def visit(self) -> None:
        """One visit.

        Raises:
            UnreachableError: the coordinator was not there.
            PeerError: it said something that makes no sense.
        """
        self._visit_roster()
        listed = _json(self._desk.get("/v1/studies")).get("studies")
        for one in listed if isinstance(listed, list) else []:
            name = one.get("id") if isinstance(one, dict) else None
            if not isinstance(name, str) or not _ID.fullmatch(name):
                raise PeerError("a study without an id", remedy="tell the coordinator")
            try:
                self._visit_study(name)
            except FedCreditError as problem:
                _LOG.warning("study %s: %s", name, problem.what)
                self._tell(name, "refused", problem.what[:200])

    def _visit_roster(self) -> None:
        """Fetch the roster for people to look at; send our signature, take the others'."""
        path = self._host.folder / "roster.json"
        try:
            theirs = self._desk.get("/v1/roster")
        except PeerError:  # there is none yet
            return
        if not path.exists():
            write_file(path, theirs)
            _LOG.info("a roster to look at: fedcredit node roster show, fedcredit node roster sign")
            return
        ours = read_roster(path)
        signature = ours.signatures.get(self._host.identity.name)
        if signature is None:
            return
        body = json.dumps({"signature": signature.hex()}).encode()
        try:
            answer = self._desk.post("/v1/roster", body)
        except PeerError:  # another roster: a person must look at that one first
            _LOG.warning("the coordinator has another roster than the one that we signed")
            return
        merged = _merged(answer, path)
        if merged != path.read_bytes():
            write_file(path, merged)

    def _visit_study(self, name: str) -> None:
        """Fetch a study that is new, have it considered, and tell what came of it."""
        place = self._host.folder / "studies" / name
        if not place.exists():
            body = _json(self._desk.get(f"/v1/studies/{name}"))
            files = {one: str(body.get(one, "")).encode() for one in _FILES}
            write_folder(place, files)
        _, plan = read_agreed(place)
        if study_id(plan) != name:
            raise PeerError("a study under another id than its plan's", remedy="refuse it")
        self._tell(name, self._host.consider(place), "")

    def _tell(self, name: str, word: str, note: str) -> None:
        """Tell the coordinator, once."""
        if self._told.get(name) == word:
            return
        body = json.dumps({"note": note, "word": word}).encode()
        self._desk.post(f"/v1/studies/{name}/answer", body)
        self._told[name] = word


def _merged(data: bytes, path: Path) -> bytes:
    """A roster's file as it was sent, if it is the one that is there, with more signatures.

    Raises:
        PeerError: it is another roster.
    """
    part = path.with_name(".roster.part.json")
    write_file(part, data)
    try:
        if read_roster(part).roster.digest() != read_roster(path).roster.digest():
            raise PeerError("another roster than ours", remedy="compare fingerprints again")
    finally:
        part.unlink(missing_ok=True)
    return data


def _json(data: bytes) -> Mapping[str, object]:
    """An answer's object."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise PeerError("an answer that is no object", remedy="tell the coordinator")
    return table
