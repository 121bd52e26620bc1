"""The app of an institution's node: it answers the rounds of the studies in the node's folder."""

from __future__ import annotations

from fedcredit.adapters.flower import client_app
from fedcredit.adapters.hosting import Hosts

__all__ = ["app"]

app = client_app(Hosts())
