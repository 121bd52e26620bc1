"""Half of the witnesses are no quorum: such a policy begins no ledger."""

from __future__ import annotations

from pathlib import Path

from fedcredit.adapters.witness_folder import new_key
from tests.faults.world import WitnessProcess, make_bank


def test_row_6_two_of_four_witnesses_are_no_quorum(
    tmp_path: Path, witnesses: list[WitnessProcess]
) -> None:
    """An older copy, refused by two of them, would find the two that were never asked."""
    folder = tmp_path / "fourth"
    new_key(folder, "fourth.example/witness")
    fourth = WitnessProcess(folder)
    try:
        make_bank(tmp_path / "bank", [fourth, *witnesses])
    except AssertionError as problem:
        assert "more than half as the quorum" in str(problem)  # noqa: PT017 - `make_bank` says what it was told
    else:
        raise AssertionError("a quorum of half was taken")
    finally:
        fourth.end()
