"""How to check a ledger without us, in twelve commands, and the words met on the way.

The commands are data, so that a test can run what a page prints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["GLOSSARY", "RECIPE", "RECIPE_NEEDS", "Step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One command.

    Attributes:
        command: for a POSIX shell; all steps run one after the other in the same shell.
        shows: what to look for.
    """

    command: str
    shows: str


RECIPE_NEEDS: Final = "sh, coreutils, grep, sed, openssl 3 and, for zip and verifier.py, Python"

RECIPE: Final[tuple[Step, ...]] = (
    Step(
        "bundle=audit.zip name=bank-a check=$PWD",
        "names the bundle and an institution in it; verifier.py lies in the same folder",
    ),
    Step(
        'python3 -m zipfile -e "$bundle" unpacked && cd "unpacked/$name"',
        "two files: ledger.jsonl, one entry a line, and checkpoints.note",
    ),
    Step(
        "sed -n 1p ledger.jsonl | sha256sum; sed -n 2p ledger.jsonl",
        "the hash of line 1 is the prev of line 2",
    ),
    Step(
        'prev=$(printf %064d 0); while IFS= read -r line; do printf %s "$line" | '
        'grep -q "\\"prev\\":\\"$prev\\"" || echo "chain broken: $line"; '
        "prev=$(printf '%s\\n' \"$line\" | sha256sum | cut -c1-64); done < ledger.jsonl",
        "the same for every line; it prints nothing where the chain holds",
    ),
    Step(
        'start=$(grep -nxF "$(head -n 1 checkpoints.note)" checkpoints.note | tail -n 1 | '
        'cut -d: -f1); tail -n "+$start" checkpoints.note > last.note; cat last.note',
        "the last checkpoint: origin, number of entries, root, and who signed",
    ),
    Step(
        'size=$(sed -n 2p last.note); echo "$(wc -l < ledger.jsonl) lines, $size signed for"',
        "the two numbers are equal, but for lines that nobody acted upon",
    ),
    Step(
        'head -n "$size" ledger.jsonl | while IFS= read -r line; do '
        "printf '\\000%s\\n' \"$line\" | sha256sum | cut -c1-64; done > level; head -n 3 level",
        "line n + 1 of the file level is the leaf hash of entry n in the timeline above",
    ),
    Step(
        'while [ "$(wc -l < level)" -gt 1 ]; do paste -d" " - - < level | while read -r a b; do '
        'if [ "$b" ]; then printf "01$a$b" | tr a-f A-F | basenc -d --base16 | sha256sum | '
        'cut -c1-64; else echo "$a"; fi; done > up; mv up level; done; cat level',
        "the root of the tree: leaves are joined two by two until one hash is left",
    ),
    Step(
        "sed -n 3p last.note | base64 -d | od -An -v -tx1 | tr -d ' \\n'; echo",
        "the root that was signed; it is the same",
    ),
    Step(
        'key=$(grep -o \'"key":"[0-9a-f]\\{64\\}"\' ledger.jsonl | tail -n 1 | cut -d\'"\' -f4); '
        "{ echo '-----BEGIN PUBLIC KEY-----'; printf MCowBQYDK2VwAyEA; printf %s \"$key\" | "
        "tr a-f A-F | basenc -d --base16 | base64; echo '-----END PUBLIC KEY-----'; } > key.pem",
        "the ledger's key in force, from its first entry or its last change of keys",
    ),
    Step(
        'head -n 3 last.note > body; grep -F "$(printf "\\342\\200\\224 %s " "$(head -n 1 body)")" '
        "last.note | sed 's/.* //' | base64 -d | tail -c 64 > signature; "
        "openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in body -sigfile signature",
        "Signature Verified Successfully",
    ),
    Step(
        'cd "$check" && python3 verifier.py "$bundle"',
        "all of this and the rules, costs and cosignatures, for every ledger of the bundle",
    ),
)

GLOSSARY: Final[tuple[tuple[str, str], ...]] = (
    ("Ledger", "what an institution writes down before anything leaves it; only ever added to"),
    ("Entry", "one line of a ledger; it names the hash of the line before"),
    ("Charge", "an entry that takes the cost of an answer from the budget, before it is computed"),
    ("Release", "an entry that says which bytes may leave after a charge"),
    ("Burn", "a charge whose answer never left; its cost stays"),
    ("Epsilon", "how much an answer can tell about one record at most; smaller is more private"),
    ("Delta", "the chance that is set aside when epsilon is stated; far below one in the records"),
    ("Rho", "the cost in zero-concentrated differential privacy; costs add up, epsilons do not"),
    ("Cap", "what a record or a person may pay within a period, set by the institution's policy"),
    ("Checkpoint", "the number of entries and the root of their tree, signed by the ledger's key"),
    ("Cosignature", "a witness's signature: this checkpoint continues the one it saw before"),
    ("Bundle", "the ledgers and checkpoints of one or more institutions in one zip file"),
)
