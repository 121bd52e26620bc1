"""The program's own version, as it was installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["program_version"]


def program_version() -> str:
    """Name and version, such as ``fedcredit 0.1.0``."""
    try:
        return f"fedcredit {version('fedcredit')}"
    except PackageNotFoundError:  # imported from a folder that nobody installed
        return "fedcredit, not installed"
