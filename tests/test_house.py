"""The rules of the house that no other tool keeps."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT: Final = Path(__file__).resolve().parents[1]
PACKAGES: Final = ("fedcredit", "nodes", "coordinator")
CONFIG: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS: Final[dict[str, dict[str, Any]]] = {
    contract["id"]: contract for contract in CONFIG["tool"]["importlinter"]["contracts"]
}

WITH_IO: Final = {"adapters", "cli", "config", "serving", "verifier"}
"""The rooms that may ask the machine for something; all others are handed it."""

MOST_LINES: Final = 400
LONG: Final = {"fedcredit/verifier.py": 1910}
"""Files that may be longer, and how long: an auditor reads one file (docs/adr/0015)."""

SLOW_TO_IMPORT: Final = ("dp_accounting", "flwr", "jinja2", "numpy", "polars", "scipy", "torch")

WRITTEN: Final = {"", ".css", ".html", ".js", ".json", ".md", ".py", ".sh", ".toml", ".yml"}
"""Endings of the files that people write."""

VAGUE: Final = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
"""Names that say nothing about what a file is."""


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def texts() -> Iterator[tuple[Path, str]]:
    """Every text that the repository ships, but for this file, which names what is banned."""
    folders = [*PACKAGES, ".ci", "benchmarks", "configs", "docs", "tests"]
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    found += [ROOT / name for name in ("CONTRIBUTING.md", "Makefile", "README.md")]
    for path in found:
        if path.is_file() and path != Path(__file__) and path.suffix in WRITTEN:
            yield path, path.read_text("utf-8")


def room_of(path: Path) -> str:
    """The room, or the single file, that stands directly under ``fedcredit/``."""
    return path.relative_to(ROOT / "fedcredit").parts[0].removesuffix(".py")


ROOMS: Final = {room_of(path) for path in sources() if path.is_relative_to(ROOT / "fedcredit")} - {
    "__init__"
}


def lint_imports(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter over the packages in ``folder``, as its command would."""
    only = [word for contract in contracts for word in ("--contract", contract)]
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache", *only],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_our_package_is_the_one_imported(name: str) -> None:
    """The index has a distribution called ``nodes``; it must never win."""
    module = importlib.import_module(name)
    assert module.__file__ is not None, "a directory without __init__.py loses to any package"
    assert ROOT in Path(module.__file__).resolve().parents


def test_every_floor_imports_only_what_is_below() -> None:
    """All import contracts of pyproject.toml hold."""
    verdict = lint_imports(ROOT)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize(
    ("contract", "path", "line"),
    [
        ("floors", "fedcredit/models/bins.py", "import fedcredit.learners"),
        ("floors", "fedcredit/privacy/sums.py", "import fedcredit.data"),
        ("floors", "fedcredit/newroom.py", '"""A room without a floor."""'),
        ("apps", "fedcredit/units.py", "import nodes"),
        ("apps", "nodes/client_app.py", "import coordinator"),
        ("pure-core", "fedcredit/privacy/noise.py", "import secrets"),
        ("pure-core", "fedcredit/federation/institution.py", "import time"),
        ("pure-core", "fedcredit/data/table.py", "from urllib import request"),
        ("one-exit", "fedcredit/cli/main.py", "from fedcredit.privacy.release import release"),
        ("one-exit", "fedcredit/federation/simulate.py", "import fedcredit.privacy.release"),
        (
            "two-sides",
            "fedcredit/federation/coordinator.py",
            "import fedcredit.federation.institution",
        ),
        ("flower", "fedcredit/cli/main.py", "import flwr"),
        ("no-torch", "fedcredit/learners/program.py", "import torch"),
        ("no-pickle", "fedcredit/models/released.py", "import pickle"),
        ("floors", "fedcredit/verifier.py", "import fedcredit.privacy"),
        ("floors", "fedcredit/verifier.py", "import fedcredit.errors"),
        ("no-cycles", "fedcredit/units.py", "import fedcredit.codec"),
    ],
)
def test_a_forbidden_import_is_noticed(contract: str, path: str, line: str, tmp_path: Path) -> None:
    """The contracts would fail if the rule were broken: each is broken here on purpose."""
    ignore = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / path).open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")

    verdict = lint_imports(tmp_path, contract)

    assert verdict.returncode == 1
    assert "1 broken" in verdict.stdout, verdict.stdout + verdict.stderr


def test_every_room_without_io_is_held_to_purity() -> None:
    """A new room cannot be forgotten in the contract that keeps the core pure."""
    listed = {name.removeprefix("fedcredit.") for name in CONTRACTS["pure-core"]["source_modules"]}
    assert listed == ROOMS - WITH_IO


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_what_it_is(path: Path) -> None:
    """It opens with a sentence, has a name of the field, and is short enough to read in one go."""
    text = path.read_text("utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "a module opens with one sentence that says what it is"
    assert docstring.split("\n\n")[0].endswith((".", ":")), "the first paragraph is a sentence"
    assert path.stem not in VAGUE
    most = LONG.get(str(path.relative_to(ROOT)), MOST_LINES)
    assert len(text.splitlines()) <= most, "one file = one idea: what would a second be called?"


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if path.name == "__init__.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_package_holds_one_sentence(path: Path) -> None:
    """Names are imported from where they are written, so a package has nothing to hand on."""
    body = ast.parse(path.read_text("utf-8")).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


def test_every_folder_of_a_package_is_a_package() -> None:
    """A folder without ``__init__.py`` would be left out of doctests and of import contracts."""
    bare = {path.parent for path in sources() if not (path.parent / "__init__.py").exists()}
    assert not bare


def is_command(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether typer hands it on, as in ``@study.command()``."""
    return any(re.search(r"\.(command|callback)\b", ast.unparse(d)) for d in node.decorator_list)


@pytest.mark.parametrize(
    "path",
    [path for path in sources() if path.name != "__init__.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_public_names_are_declared(path: Path) -> None:
    """``__all__`` names what a module offers: no more than it has, no less than it shows."""
    declared: set[str] | None = None
    defined: set[str] = set()
    shown: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        match node:
            case (
                ast.ClassDef(name=name)
                | ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
            ):
                defined.add(name)
                if not name.startswith("_") and not is_command(node):
                    shown.add(name)
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                declared = set(ast.literal_eval(value))
            case ast.Assign(targets=targets):
                defined |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                defined.add(name)
            case ast.ImportFrom(names=names) | ast.Import(names=names):
                defined |= {alias.asname or alias.name for alias in names}
    assert declared is not None, "a module says in __all__ what it offers"
    assert declared <= defined, f"not here: {sorted(declared - defined)}"
    assert shown <= declared, f"make private or declare: {sorted(shown - declared)}"


def test_nothing_is_put_off_and_no_machine_is_named() -> None:
    """No note to self, no skipped test, no path of the machine it was written on."""
    banned = re.compile(
        r"\b(?:TODO|FIXME|XXX|HACK)\b"
        r"|NotImplementedError"
        r"|pytest\.(?:mark\.)?(?:skip|xfail|importorskip)"
        r"|(?<![\w.])/(?:work|root|home/\w|tmp/\w)/"
        r"|\bshared/(?:design|hooks|containers)"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if banned.search(line)
        # What makes a machine of the integration able to run containers is no part of this.
        if not (path == ROOT / ".ci/run" and "../shared/containers/setup.sh" in line)
    ]
    assert not found


def test_help_does_not_wait_for_heavy_libraries() -> None:
    """``--help`` answers at once, because commands import what is heavy when they run."""
    code = f"""
import json, sys
import fedcredit.cli.main
print(json.dumps([name for name in {SLOW_TO_IMPORT!r} if name in sys.modules]))
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == []


def test_the_wheel_holds_fedcredit_alone(tmp_path: Path) -> None:
    """What a bank audits and installs has no app folder, no test and no second package."""
    wheel = next(
        iter(WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    )
    names = ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"fedcredit", "fedcredit-0.1.0.dist-info"}
    assert "fedcredit/py.typed" in names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_lock_names_the_public_index_and_what_we_declare() -> None:
    """``uv.lock`` carries no private address, and was written after the last change of extras."""
    text = (ROOT / "uv.lock").read_text("utf-8")
    lock = tomllib.loads(text)
    sources_named = {json.dumps(package["source"]) for package in lock["package"]}
    assert sources_named == {
        json.dumps({"registry": "https://pypi.org/simple"}),
        json.dumps({"editable": "."}),
    }
    assert set(re.findall(r"\w+://[^/\"]*", text)) == {
        "https://files.pythonhosted.org",
        "https://pypi.org",
    }

    (ours,) = [package for package in lock["package"] if package["name"] == "fedcredit"]
    locked = {
        (need["name"], need.get("specifier", ""), need.get("marker", ""))
        for need in ours["metadata"]["requires-dist"]
    }
    assert locked == declared_requirements()


def declared_requirements() -> set[tuple[str, str, str]]:
    """The requirements of pyproject.toml as the lock writes them."""
    project = CONFIG["project"]
    lists = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        (name, ranges, f"extra == '{extra}'" if extra else "")
        for extra, lines in lists.items()
        for line in lines
        for name, ranges in [re.fullmatch(r"([\w-]+)(?:\[[\w,]+\])?(.*)", line).groups()]  # type: ignore[union-attr]
    }
