"""The author's door: a check's file imports of the kit what `grader.checks` has, and docs/checks.md tells of every name
there.
"""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import checks
from grader.checks import line_server
from places import ROOT

CHECK_FILES = sorted([*ROOT.glob("tests/ex*/*.py"), *ROOT.glob("tests/grader/tiny_course/tests/*/*.py")])
DOORS = {"grader.checks": set(checks.__all__), "grader.checks.line_server": set(line_server.__all__)}
PAGE = (ROOT / "docs" / "checks.md").read_text()
NAMED = {word for code in re.findall(r"`([^`]+)`", PAGE) for word in re.findall(r"[A-Za-z_]\w*", code)}
CLASSES = [one for one in map(checks.__dict__.get, checks.__all__) if inspect.isclass(one)]


def imported(file: Path) -> Iterator[tuple[str, str]]:
    """Which names a file imports of which modules of the kit."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((one.name, "") for one in node.names if one.name.partition(".")[0] == "grader")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "grader":
            yield from ((node.module or "", one.name) for one in node.names)


@pytest.mark.parametrize("file", CHECK_FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_checks_file_imports_nothing_of_the_kit_but_what_the_door_has(file: Path) -> None:
    others = [f"{module}: {name}" for module, name in imported(file) if name not in DOORS.get(module, ())]

    assert not others


@pytest.mark.parametrize("door", DOORS)
def test_what_the_door_has_is_there(door: str) -> None:
    module = sys.modules[door]

    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", sorted(DOORS["grader.checks"]))
def test_every_name_of_the_door_is_documented(name: str) -> None:
    assert name in NAMED


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_public_member_of_what_an_author_holds_is_documented(one: type) -> None:
    of_the_kit = [base for base in one.__mro__ if base.__module__.startswith("grader.")]
    members = {
        name
        for base in of_the_kit
        for name, member in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    }

    assert members <= NAMED


def test_a_command_that_runs_no_check_does_not_load_what_checks_need() -> None:
    program = "import sys, grader.commands.main; print(*(name for name in sys.modules if 'grader.checks' in name))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []
