"""Without a second accountant, which takes a second to import and has tests of its own."""

from __future__ import annotations

from functools import lru_cache

import pytest

from fedcredit import verifier


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No dp-accounting, and no signature is checked twice: the answer would be the same."""
    monkeypatch.setattr(verifier, "_version", lambda _: None)
    monkeypatch.setattr(verifier, "signed", lru_cache(maxsize=None)(verifier.signed))
