"""The recipe on the auditor's page does what it says, with the shell's own tools."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedcredit.report.recipe import GLOSSARY, RECIPE

ORIGIN = "fedcredit/consortium 100%/bank-a"
FIRST, SECOND = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)
BANNER = "== step"


def public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()


def lines_of(count: int) -> list[bytes]:
    """A chain of lines; one changes the key, one holds what a shell could stumble over."""
    lines: list[bytes] = []
    prev = "0" * 64
    for seq in range(count):
        text = f'"prev\\":\\"{prev}\\" $(false) `id` %s \\\\n  two  spaces '
        key = f'"key":"{public(FIRST if seq == 0 else SECOND).hex()}",' if seq in (0, 3) else ""
        line = f'{{{key}"prev":"{prev}","seq":{seq},"text":"{text}"}}\n'.encode()
        prev = hashlib.sha256(line).hexdigest()
        lines.append(line)
    return lines


def root_of(lines: list[bytes]) -> bytes:
    """The tree of RFC 6962, by its own recursive definition."""
    if len(lines) == 1:
        return hashlib.sha256(b"\0" + lines[0]).digest()
    half = 1 << (len(lines) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root_of(lines[:half]) + root_of(lines[half:])).digest()


def note_of(lines: list[bytes]) -> str:
    """A checkpoint signed by the key in force, and cosigned by a witness."""
    key = SECOND if len(lines) > 3 else FIRST
    body = f"{ORIGIN}\n{len(lines)}\n{base64.b64encode(root_of(lines)).decode()}\n"
    signed = base64.b64encode(b"\0\1\2\3" + key.sign(body.encode())).decode()
    cosigned = base64.b64encode(b"\4\5\6\7" + bytes(8) + WITNESS.sign(body.encode())).decode()
    return f"{body}\n\u2014 bank-b {cosigned}\n\u2014 {ORIGIN} {signed}\n"


def follow(folder: Path, ledger: bytes, notes: str) -> list[str]:
    """Run all steps in one shell, and return what each printed."""
    with ZipFile(folder / "audit.zip", "w") as bundle:
        bundle.writestr("bank-a/ledger.jsonl", ledger)
        bundle.writestr("bank-a/checkpoints.note", notes)
    (folder / "verifier.py").write_text("import sys; print('checks', *sys.argv[1:])\n", "utf-8")
    script = "\n".join(f"echo '{BANNER}'\n{step.command}" for step in RECIPE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not [line for line in run.stderr.splitlines() if "pkeyutl" not in line], run.stderr
    return [part.strip() for part in run.stdout.split(BANNER)[1:]]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 13])
def test_a_sound_ledger_is_found_sound(count: int, tmp_path: Path) -> None:
    lines = lines_of(count)
    notes = "".join(note_of(lines[:size]) for size in range(1, count + 1))
    said = follow(tmp_path, b"".join(lines), notes)
    assert said[2].splitlines()[0] == f"{hashlib.sha256(lines[0]).hexdigest()}  -"
    assert said[3] == ""
    assert said[4].splitlines()[:2] == [ORIGIN, str(count)]
    assert said[5] == f"{count} lines, {count} signed for"
    leaves = [hashlib.sha256(b"\0" + line).hexdigest() for line in lines]
    assert said[6].splitlines() == leaves[:3]
    assert said[7] == said[8] == root_of(lines).hex()
    assert said[10] == "Signature Verified Successfully"
    assert said[11] == "checks audit.zip"


def test_a_changed_line_is_seen_in_the_chain_and_in_the_root(tmp_path: Path) -> None:
    lines = lines_of(6)
    changed = [*lines[:2], lines[2].replace(b"two", b"2.0"), *lines[3:]]
    said = follow(tmp_path, b"".join(changed), note_of(lines))
    assert said[3].startswith("chain broken: ")
    assert '"seq":3' in said[3]
    assert said[7] != said[8]


def test_a_line_that_is_left_out_is_seen(tmp_path: Path) -> None:
    lines = lines_of(6)
    said = follow(tmp_path, b"".join(lines[:4] + lines[5:]), note_of(lines))
    assert '"seq":5' in said[3]
    assert said[5] == "5 lines, 6 signed for"
    assert said[7] != said[8]


def test_a_stranger_s_signature_is_seen(tmp_path: Path) -> None:
    lines = lines_of(3)  # signed by the first key, and said to be a ledger after a change of keys
    with_key = [*lines, lines_of(4)[3]]
    said = follow(tmp_path, b"".join(with_key), note_of(lines))
    assert said[10] != "Signature Verified Successfully"
    assert "Fail" in said[10]


def test_there_are_twelve_steps_and_twelve_words() -> None:
    assert len(RECIPE) == len(GLOSSARY) == 12
    assert len({word for word, _ in GLOSSARY}) == 12
    assert all("\n" not in step.command for step in RECIPE)
