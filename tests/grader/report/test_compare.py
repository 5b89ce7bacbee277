"""What makes two verdicts comparable is told, and so is what stands in the way."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import grader
from grader.report import compare as parity
from grader.report.model import Graded, Isolation, Machine, Outcome, Report, Ungraded, to_json
from grader.versions import kit_version
from gradings import SLUG, Done, Tiny, environment, tiny_course
from places import TESTS

GOLDEN = TESTS / "golden"
SAMPLES: dict[str, Any] = runpy.run_path(str(GOLDEN / "regenerate.py"))
HERE: parity.Block = SAMPLES["HERE"]
SAME: Graded = SAMPLES["FULL_PASS"].model_copy(update={"kit_version": HERE.kit_version})


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


def against(course: Tiny, report: Report, *words: str) -> Done:
    file = course.write("elsewhere.json", to_json(report))
    return course.type("verify-parity", "--against", str(file), *words)


def row(report: Report, what: str, here: parity.Block = HERE) -> parity.Row:
    return next(one for one in parity.compare(here, report).rows if one.what == what)


@pytest.mark.parametrize("name", sorted(SAMPLES["TEXTS"]))
def test_what_a_person_reads(name: str) -> None:
    assert SAMPLES["text"](name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_a_grading_of_the_same_installation_is_comparable_and_its_command_repeats_it(course: Tiny) -> None:
    course.hand_in()
    first = course.grade(SLUG, "--only", "scaled", "--seed", "7").graded

    done = against(course, first, "--json")

    said = json.loads(done.out)
    assert (done.code, done.err, said["comparable"]) == (0, "", True)
    command = shlex.split(said["repeat"])
    assert command[:4] == ["grade", SLUG, "--seed", "7"]
    again = course.grade(*command[1:]).graded
    assert (again.seed, [check.name for check in again.checks]) == (7, [check.name for check in first.checks])


def test_the_block_is_of_the_exercises_that_are_named(course: Tiny) -> None:
    whole = course.type("verify-parity", "--json")
    named = course.type("verify-parity", "90")

    block = json.loads(whole.out)
    assert (whole.code, named.code) == (0, 0)
    assert [one["exercise"] for one in block["exercises"]] == [SLUG]
    assert block["kit_version"] == kit_version()
    assert block["machine"]["kernel"] == os.uname().release
    assert block["exercises"][0]["checks_digest"][:12] in named.out


def test_other_checks_are_not_to_be_compared(course: Tiny) -> None:
    report = SAME.model_copy(update={"exercise": SLUG, "kit_version": kit_version()})

    done = against(course, report)

    assert done.code == 1
    assert re.search(r"^NO  checks .* other checks: do not compare$", done.out, re.MULTILINE)


def test_an_edited_kit_is_seen_wherever_it_stands(tmp_path: Path) -> None:
    kit = shutil.copytree(Path(grader.__file__).parent, tmp_path / "grader", ignore=shutil.ignore_patterns("*.pyc"))

    def version() -> str:
        said = [sys.executable, "-c", "from grader.versions import kit_version; print(kit_version())"]
        environ = environment(PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
        return subprocess.run(
            said, capture_output=True, text=True, check=True, cwd=tmp_path, env=environ
        ).stdout.strip()

    assert version() == kit_version()
    with (kit / "report.py").open("a") as file:
        file.write("\n")
    assert version() != kit_version()
    assert version().startswith(f"{grader.__version__}+")


@pytest.mark.parametrize(
    ("there", "means"),
    [
        ("0.0.9+5c0b91c4b07d", "another version"),
        ("0.1.0+000000000000", "one of the two was changed"),
        ("0.1.0", "does not say which files"),
    ],
)
def test_another_kit_forbids_to_compare(there: str, means: str) -> None:
    found = row(SAME.model_copy(update={"kit_version": there}), "kit")

    assert found.forbids and means in found.means


def test_what_was_not_measured_there_is_named() -> None:
    checks = (*SAME.checks, SAMPLES["scored"]("c10k", "10,000", 2, Outcome.UNMEASURED))
    report = SAMPLES["graded"](*checks, kit_version=HERE.kit_version)

    found = row(report, "verdict")

    assert (found.forbids, found.means) == (True, "1 check was unmeasured there: c10k")


def test_without_a_verdict_there_is_nothing_to_compare() -> None:
    report: Ungraded = SAMPLES["UNGRADED"].model_copy(update={"kit_version": HERE.kit_version})

    compared = parity.compare(HERE, report)

    assert not compared.comparable
    assert [one.what for one in compared.rows if one.forbids] == ["verdict"]


def test_hidden_sizes_that_are_not_here_cannot_be_repeated() -> None:
    report = SAME.model_copy(update={"sizes": "hidden"})
    checks = parity.Checks(exercise="ex03_epoll", checks_digest="5f" * 32, sizes=("public",))
    student = parity.Block(
        kit_version=HERE.kit_version, isolation=Isolation.BARE, machine=HERE.machine, cores=2, exercises=(checks,)
    )

    assert row(report, "sizes", student).forbids
    assert row(report, "sizes").means == "repeat with --hidden"
    assert parity.compare(HERE, report).repeat == "grade ex03_epoll --seed 20250901 --hidden"
    assert row(SAME, "isolation", student).means == "nothing that is graded here is official"


@pytest.mark.parametrize("where", ["here", "there"])
def test_where_strace_is_missing_fewer_checks_are_measured(where: str) -> None:
    without = Machine(kernel="6.8.0", python="3.11.9", strace=None, bwrap="0.9.0", nofile=1_048_576)
    here = (
        HERE
        if where == "there"
        else parity.Block(
            kit_version=HERE.kit_version, isolation=HERE.isolation, machine=without, cores=8, exercises=HERE.exercises
        )
    )
    report = SAME.model_copy(update={"machine": without}) if where == "there" else SAME

    found = row(report, "strace", here)

    assert found.forbids and found.means.startswith(f"missing {where}: ")
    assert row(report, "python", here).means == "", "a patch of Python changes nothing that is counted"


def test_words_of_a_report_cannot_move_the_cursor() -> None:
    machine = Machine(kernel="\x1b[2J" + "x" * 5_000, python="3\n4", strace="6", bwrap="1", nofile=1)
    report = SAME.model_copy(update={"machine": machine, "kit_version": "\x1b]0;\x07", "checks_digest": "\x1b[1m"})

    said = "\n".join(parity.compare(HERE, report).lines())

    assert "\x1b" not in said and len(max(said.splitlines(), key=len)) < 200


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "word"),
    [
        pytest.param(None, "there is no such file", id="no file"),
        pytest.param("not JSON", "this is no report", id="no JSON"),
        pytest.param('{"schema": "tracegrade/report/9"}', "of version 9", id="another schema"),
        pytest.param(to_json(SAME), "this course has no exercise 'ex03_epoll'", id="another course"),
    ],
)
def test_a_file_that_cannot_be_compared_with_is_told(course: Tiny, content: str | None, word: str) -> None:
    file = course.root / "elsewhere.json"
    if content is not None:
        file.write_text(content)

    done = course.type("verify-parity", "--against", str(file))

    assert (done.code, done.out) == (2, "")
    assert str(file) in done.err and word in done.err


def test_a_folder_is_no_report(course: Tiny) -> None:
    done = course.type("verify-parity", "--against", str(course.root))

    assert done.code == 2 and "cannot be read" in done.err


def test_the_exercise_is_named_by_the_report_alone(course: Tiny) -> None:
    done = against(course, SAME, SLUG)

    assert done.code == 2 and "leave the exercise out" in done.err


def test_an_exercise_that_is_not_there_is_told(course: Tiny) -> None:
    done = course.type("verify-parity", "ex77")

    assert done.code == 2 and "there is no exercise 'ex77'" in done.err
