"""The documents say what is so: links and paths lead somewhere, commands can be typed, generated pages are current, the
picture shows the course's own words, and the tutorial works from its first file to its last command.
"""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest

from grader import __version__
from grader.box import inside
from grader.checks.budgets import Budgets
from grader.checks.server import Server
from grader.checks.submission import Submission
from grader.checks.windows import Calls
from grader.commands import main as cli
from grader.course.load import load_course
from grader.course.model import Course
from grader.doctor.finding import NOT_LINUX
from grader.measure import strace
from grader.measure.clients import Client, Crowd
from grader.report.model import Isolation, Outcome, json_schema_text

ROOT = Path(cli.__file__).parents[2]
TUTORIAL = ROOT / "docs" / "writing-an-exercise.md"
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("exercises/*/README.md")])
FOLDERS = ("bench", "docs", "exercises", "grader", "requirements", "solutions", "tests", "tools", ".ci")

every_document = pytest.mark.parametrize("document", DOCS, ids=lambda path: str(path.relative_to(ROOT)))

_FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^\*\*`(?P<path>[^`]+)`\*\*\n\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@pytest.fixture(scope="module")
def course() -> Course:
    return load_course(ROOT)


def prose(document: Path) -> str:
    """A document without its code blocks."""
    return _FENCE.sub("", document.read_text())


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ +(.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- links, paths, names ------------------------------------------------------------------------------------------


@every_document
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(document: Path) -> None:
    for target in _LINK.findall(prose(document)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@every_document
def test_every_path_that_is_named_is_there(document: Path) -> None:
    for words in _CODE.findall(document.read_text()):
        for word in words.split():
            path = re.sub(r"<\w+>", "*", word.rstrip(",;:"))  # `tests/<slug>/hidden/sizes.yaml`
            if not path.startswith(tuple(f"{folder}/" for folder in FOLDERS)) or "ex90_echo" in path:
                continue
            assert any(ROOT.glob(path)), word


@every_document
def test_no_path_of_a_persons_machine_is_named(document: Path) -> None:
    assert not re.findall(r"(?<![\w.])/(?:home|root|work|Users)\b\S*", document.read_text())


def test_the_readme_names_every_folder() -> None:
    readme = (ROOT / "README.md").read_text()
    for folder in FOLDERS:
        if any(file.is_file() and "__pycache__" not in file.parts for file in (ROOT / folder).rglob("*")):
            assert f"[{folder}/](" in readme or f"[{folder}](" in readme, folder


@every_document
def test_what_a_check_calls_exists(document: Path) -> None:
    held: Mapping[str, type] = {
        "submission": Submission,
        "server": Server,
        "client": Client,
        "crowd": Crowd,
        "calls": Calls,
        "budget": Budgets,
    }
    for thing, name in re.findall(r"\b(submission|server|client|crowd|calls|budget)\.(\w+)\(", document.read_text()):
        assert callable(getattr(held[thing], name, None)), f"{thing}.{name}"


# --- commands -----------------------------------------------------------------------------------------------------


def typed(document: Path) -> Iterator[list[str]]:
    """The words of each command that a document tells to type: in blocks, and in backticks in the text."""
    lines = [line for fence in _FENCE.finditer(document.read_text()) for line in fence["text"].splitlines()]
    text = re.sub(r"(?m)^#.*$", "", prose(document))  # a heading names a command and leaves out what it needs
    for line in [*lines, *_CODE.findall(text)]:
        command = re.split(r"  +|;|>", line.strip().removeprefix("$ "))[0]  # behind two blanks stands what it does
        if re.match(r"(grade|make)( |$)", command):
            yield shlex.split(command)


def test_commands_are_found_in_the_documents() -> None:
    words = [words for document in DOCS for words in typed(document)]

    assert ["make", "test"] in words
    assert ["grade", "ex03", "--only", "idle", "--keep", "out"] in words


@every_document
def test_every_make_target_that_is_named_is_there(document: Path) -> None:
    for command in typed(document):
        if command[0] == "make" and len(command) > 1:
            done = subprocess.run([*command, "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


@every_document
def test_every_grade_command_can_be_typed(document: Path, course: Course) -> None:
    for command in typed(document):
        if command[0] == "grade" and "COMMAND" not in command:
            _parse(command[1:], course)


def _parse(words: list[str], course: Course) -> None:
    """What `grade` does with these words before it does anything."""
    try:
        inner = cli.commands.make_context("grade", list(words))
        while isinstance(inner.command, click.Group):
            with inner:
                name, command, rest = inner.command.resolve_command(inner, [*inner._protected_args, *inner.args])
                assert command is not None
                inner = command.make_context(name, rest, parent=inner)
    except (click.exceptions.Exit, click.exceptions.NoArgsIsHelpError, click.MissingParameter):
        return  # --help and --version have been served, or a command is only named
    with inner:
        named = [inner.params.get("exercise"), *inner.params.get("exercises", ())]
        for word in (word for word in named if word and word != "ex90"):  # ex90 is the tutorial's
            course.find(word).with_needs(inner.params.get("only", ()))


def test_the_command_page_is_current() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "commands.py"))["page"]()

    assert (ROOT / "docs" / "commands.md").read_text() == page, "run `python docs/commands.py`"


def test_the_table_of_floors_is_current() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "floors.py"))["page"]()

    assert (ROOT / "docs" / "design.md").read_text() == page, "run `python docs/floors.py`"
    assert page.count("| `") > 10


def test_the_container_command_is_the_one_that_the_kit_prints() -> None:
    assert NOT_LINUX.splitlines()[-1] in (ROOT / "README.md").read_text()


# --- the report ---------------------------------------------------------------------------------------------------


def test_the_committed_schema_is_current() -> None:
    schema = ROOT / "grader" / "report" / "schemas" / "report-2.json"

    assert schema.read_text() == json_schema_text(), "run `grade schema > grader/report/schemas/report-2.json`"


def test_the_report_page_names_every_field_of_the_schema_and_no_other() -> None:
    page = (ROOT / "docs" / "report.md").read_text()
    definitions = json.loads(json_schema_text())["$defs"]
    fields = {name for definition in definitions.values() for name in definition.get("properties", {})}
    rows = re.findall(r"^\| (`[^|]+) \| [a-z ]+ \| [^|]", page, re.MULTILINE)
    named = {name.removeprefix("machine.") for row in rows for name in _CODE.findall(row)}

    assert fields - named == set()
    assert named - fields - {outcome.value for outcome in Outcome} == set()


def test_the_report_page_names_every_outcome_level_and_exit_code() -> None:
    page = (ROOT / "docs" / "report.md").read_text()

    for word in (*Outcome, *Isolation):
        assert f"`{word}`" in page
    assert set(re.findall(r"^\| (\d) \|", page, re.MULTILINE)) == {"0", "1", "2", "3"}


def test_the_example_in_the_report_page_has_only_fields_that_exist() -> None:
    example = next(fence for fence in _FENCE.finditer((ROOT / "docs" / "report.md").read_text()) if fence["language"])
    shown = json.loads(example["text"])
    definitions = json.loads(json_schema_text())["$defs"]

    assert shown.keys() <= definitions["Graded"]["properties"].keys()
    assert shown["checks"][0].keys() == definitions["ScoredCheck"]["properties"].keys()
    assert shown["checks"][0]["measurements"][0].keys() == definitions["Measurement"]["properties"].keys()


def test_the_threat_model_names_what_every_box_tries() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()

    assert set(inside.PROBES) == {"files", "network", "secrets", "privileges", "processes", "system calls", "limits"}
    for protection in ("file of the host", "port", "abstract socket", "secret", "untraced", "namespace", "forks"):
        assert protection in page


# --- the picture --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def picture() -> str:
    """The text of docs/run.svg, its lines joined."""
    root = ET.fromstring((ROOT / "docs" / "run.svg").read_bytes())
    return " ".join("".join(root.itertext()).replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_picture_shows_a_run_of_this_course(picture: str, course: Course) -> None:
    check = course.find("ex03").check("idle")
    budget = check.budgets[0]

    for words in (
        "grade ex03 --submission tests/ex03_epoll/wrong/timeout_10ms --only idle",
        check.title.in_("en"),
        check.hint.in_("en"),
        f"at most {budget.limit:g} {budget.unit.in_('en')}: {budget.formula.in_('en')}",
        f"{budget.name} ({budget.unit.in_('en')})",
        "FAIL",
        "epoll_wait(",
        "grade ex03 --solution",
        "Score 100 of 100",
        "Isolation: boxed",
    ):
        assert words in picture, "run `python docs/record.py`"


def test_the_number_in_the_readme_is_the_one_in_the_picture(picture: str) -> None:
    (said,) = re.findall(r"!\[[^\]]*?([\d,]+) system calls[^\]]*\]\(docs/run\.svg\)", (ROOT / "README.md").read_text())

    assert f"seen: {said} calls, the least of" in picture


def test_the_picture_loads_nothing_and_runs_nothing() -> None:
    root = ET.fromstring((ROOT / "docs" / "run.svg").read_bytes())
    text = (ROOT / "docs" / "run.svg").read_text()

    assert re.findall(r"https?://[^\s\"']+", text) == ["http://www.w3.org/2000/svg"]
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        "svg", "title", "style", "defs", "clipPath", "rect", "g", "circle", "text",
    }  # fmt: skip


def test_the_recorder_takes_down_what_a_terminal_shows() -> None:
    graded = runpy.run_path(str(ROOT / "docs" / "record.py"))["graded"]

    assert [line.plain for line in graded(["--version"], expected_code=0)] == [
        "$ grade --version",
        f"grade, version {__version__}",
    ]


def test_the_recorder_refuses_a_run_that_ends_otherwise_than_it_should() -> None:
    graded = runpy.run_path(str(ROOT / "docs" / "record.py"))["graded"]

    with pytest.raises(SystemExit, match=r"--version ended with 0:\ngrade, version"):
        graded(["--version"], expected_code=1)


# --- the tutorial -------------------------------------------------------------------------------------------------


def test_the_tutorial_shows_every_file_that_a_course_needs() -> None:
    shown = [found["path"] for found in _FILE.finditer(TUTORIAL.read_text())]

    assert shown[0] == "course.yaml"
    assert len(shown) == len(set(shown))
    languages = ("python", "yaml", "markdown")
    assert len(shown) == len([f for f in _FENCE.finditer(TUTORIAL.read_text()) if f["language"] in languages])


def test_the_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    refusal = strace.refusal("/usr/bin/strace", tmp_path)
    if refusal:
        pytest.skip(refusal)
    folder = tmp_path / "course"
    for found in _FILE.finditer(TUTORIAL.read_text()):
        file = folder / found["path"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found["text"])
    (folder / "exercises" / "ex90_echo").mkdir(exist_ok=True)
    sessions = [fence["text"] for fence in _FENCE.finditer(TUTORIAL.read_text()) if fence["language"] == "console"]

    for session in sessions:
        command, expected = session.removeprefix("$ ").split("\n", 1)
        assert matches(expected, said(command, folder)), f"$ {command}\n{said(command, folder)}"


def said(command: str, folder: Path) -> str:
    """What a shell prints for a command line, with `grade` on its path."""
    commands = folder.parent / "bin"
    commands.mkdir(exist_ok=True)
    grade = commands / "grade"
    grade.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m grader "$@"\n')
    grade.chmod(0o755)
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    environment.pop("COLUMNS", None)
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def matches(expected: str, output: str) -> bool:
    """Line by line; a line of three dots stands for any number of lines."""
    pattern = "".join("(?:.*\n)*" if line == "..." else re.escape(line) + "\n" for line in expected.splitlines())
    return re.fullmatch(pattern, output) is not None
