"""What the pages say is true: examples run, links lead somewhere, commands exist."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final, get_args, get_type_hints

import pytest
from sybil import Document, Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from fedcredit.adapters.policies import PolicyFile

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
DECISIONS: Final = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))


def same_output(example: Example) -> str | None:
    """Run a ``console`` block: after each ``$ command`` its output, where ``...`` stands for any.

    The commands of a page run in a folder of its own, which was empty, with this environment
    first on the path. A newcomer's terminal has none of make's own variables, so neither have
    they.
    """
    environment = {name: text for name, text in os.environ.items() if "MAKE" not in name}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment["COLUMNS"] = "100"
    check = doctest.OutputChecker().check_output
    for step in re.split(r"(?m)^\$ ", example.parsed)[1:]:
        command, _, expected = step.partition("\n")
        run = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=example.namespace["folder"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not check(expected.rstrip() + "\n", run.stdout.rstrip() + "\n", doctest.ELLIPSIS):
            return f"{command} (exit status {run.returncode}) printed\n{run.stdout}"
    return None


def write_named(example: Example) -> None:
    """Write a ``toml`` block to the file that a comment in its first line names, if one does."""
    named = re.match(r"# ([\w-]+(?:/[\w-]+)*\.toml)\n", example.parsed)
    if named:
        path = Path(example.namespace["folder"], named[1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.parsed, "utf-8")


EXAMPLES: Final = Sybil(
    parsers=[
        SkipParser(),
        PythonCodeBlockParser(doctest_optionflags=doctest.ELLIPSIS),
        CodeBlockParser("console", same_output),
        CodeBlockParser("toml", write_named),
    ]
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    """Python blocks execute, files are written, and transcripts print what the page shows."""
    document: Document = EXAMPLES.parse(page)
    document.namespace["folder"] = tmp_path
    for example in document.examples():
        example.evaluate()


def test_a_wrong_transcript_is_noticed(tmp_path: Path) -> None:
    """The check of transcripts would fail on a page that has grown old."""
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one two\none ...\n$ echo three\nfour\n```\n", "utf-8")
    document = EXAMPLES.parse(page)
    document.namespace["folder"] = tmp_path
    (example,) = document.examples()
    with pytest.raises(Exception, match=r"echo three \(exit status 0\) printed\nthree"):
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file or folder of this checkout."""
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_a_make_target_that_a_page_names_exists() -> None:
    """Nobody is sent to a target that is gone."""
    known = set(re.findall(r"(?m)^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8")))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?m)(?:^|`)make ([a-z0-9-]+)", page.read_text("utf-8"))
    }
    assert named <= known


def test_a_command_that_a_page_names_exists() -> None:
    """Whoever follows a page can ask each of its commands for help."""
    named = {
        command
        for page in PAGES
        for command in re.findall(
            r"(?m)(?:^|`|\$ )fedcredit((?: [a-z]+)+)", page.read_text("utf-8")
        )
    }
    program = str(Path(sys.executable).with_name("fedcredit"))
    unknown = {
        command
        for command in named
        if subprocess.run(
            [program, *command.split(), "--help"], capture_output=True, check=False
        ).returncode
    }
    assert unknown == set()


def test_the_page_of_the_ledger_names_every_key_of_a_policy() -> None:
    """And no other: a policy is read strictly."""
    page = (ROOT / "docs/ledger.md").read_text("utf-8")
    (section,) = re.findall(r"(?ms)^## Policy$(.*?)^## ", page)
    named = set(re.findall(r"(?m)^\| `([a-z_.]+)` \|", section))
    known = set()
    for name, kind in get_type_hints(PolicyFile).items():
        table = get_args(kind)[0] if get_args(kind) else kind
        inner = [one.name for one in fields(table)] if is_dataclass(table) else []
        known |= {f"{name}.{one}" for one in inner} or {name}
    assert named == known


@pytest.mark.parametrize("number", range(1, len(DECISIONS) + 1))
def test_a_decision_follows_the_template(number: int) -> None:
    """Decisions are numbered without a gap, and each owns up to what it costs."""
    page = DECISIONS[number - 1]
    assert page.name.startswith(f"{number:04}-")
    headings = re.findall(r"(?m)^#+ .*", page.read_text("utf-8"))
    assert headings[0].startswith(f"# {number}. ")
    assert headings[1:] == re.findall(
        r"(?m)^## .*", (ROOT / "docs/adr/template.md").read_text("utf-8")
    )


def test_every_decision_is_in_the_list() -> None:
    """The folder's first page leads to all of them."""
    listed = (ROOT / "docs/adr/README.md").read_text("utf-8")
    assert [page.name for page in DECISIONS if f"]({page.name})" not in listed] == []
