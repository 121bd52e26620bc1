"""A new key of a ledger is told before witnesses must know it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fedcredit.adapters.witness import WitnessServer
from fedcredit.adapters.witness_folder import add_ledger, new_key, open_witness
from fedcredit.cli.main import main
from fedcredit.ledger.signatures import read_key

POLICY = """
origin = "test.example/bank"

[budget]
epsilon = 4.0
epsilon_local = 12.0
person_epsilon = 30.0
person_epsilon_local = 60.0

[period]
begins = "2020-01-01"
ends = "2100-01-01"

[study]
epsilon = 4.0

[quorum]
witnesses = 1
beside_coordinator = 1

[[witness]]
key = "{key}"
url = "http://127.0.0.1:{port}"
"""


@contextmanager
def answering(folder: Path) -> Iterator[WitnessServer]:
    """A witness that answers while the block runs."""
    with WitnessServer(open_witness(folder), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def key_in(out: str) -> str:
    (line,) = [line for line in out.splitlines() if line.startswith("ledger ")]
    return line.split()[1]


@pytest.mark.parametrize("lost", [False, True])
def test_a_rotation_waits_for_witnesses_that_are_told_the_key(
    lost: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Status 3 and the key; the same key again until a witness knows it, then done.

    So too where the key so far is lost and the root hands over.
    """
    bank, shop = tmp_path / "bank", tmp_path / "shop"
    bank.mkdir()
    key = new_key(shop, "shop.example/witness")
    (bank / "node.toml").write_text('institution = "bank"\ntable = "loans.csv"\n', "utf-8")
    with answering(shop) as server:
        policy = POLICY.format(key=key, port=server.server_port)
        (bank / "policy.toml").write_text(policy, "utf-8")
        assert main(["ledger", "init", str(bank)]) == 0
        first = key_in(capsys.readouterr().out)
        add_ledger(shop, "test.example/bank", read_key(first))

        rotate = ["ledger", "rotate", str(bank)]
        if lost:
            (bank / "keys" / "ledger.key").unlink()
            rotate += ["--root", str(bank / "keys" / "root.key")]
        assert main(rotate) == 3
        told = key_in(capsys.readouterr().out)
        assert told != first
        assert main(rotate) == 3
        assert key_in(capsys.readouterr().out) == told
        add_ledger(shop, "test.example/bank", read_key(told), only=True)
        assert main(rotate) == 0
        assert key_in(capsys.readouterr().out) == told
    assert not (bank / "keys" / "ledger.next.key").exists()
