"""The app of the coordinator: it conducts the study in the folder that the run names."""

from __future__ import annotations

from fedcredit.adapters.conducting import conduct_folder
from fedcredit.adapters.flower import server_app

__all__ = ["app"]

app = server_app(conduct_folder)
