"""Plain `pytest` on a course: each check is an item, graded once against the reference (tests/conftest.py)."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from grader.box import seccomp as call_filter
from gradings import CHECKS, COURSE, REFUSING, SOLUTION, Tiny, environment, tiny_course


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    course = tiny_course(tmp_path)
    course.write("tests/conftest.py", (COURSE / "tests" / "conftest.py").read_text())
    return course


def pytest_on(course: Tiny, *words: str, prefix: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    command = [*prefix, sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "-ra", *words]
    command += ["--rootdir", str(course.root), str(course.root / "tests" / "ex90_tiny")]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd=course.root)


def test_each_check_of_the_reference_is_an_item_that_passes(course: Tiny) -> None:
    done = pytest_on(course, "-v", "-k", "not calls")

    assert done.returncode == 0, done.stdout
    assert "test_tiny.py::test_scaled PASSED" in done.stdout
    assert "3 passed, 1 deselected" in done.stdout


def test_a_broken_reference_fails_the_check_with_the_reports_words_and_its_seed(course: Tiny) -> None:
    course.edit(SOLUTION, "handler(line) + b", "line + b")

    done = pytest_on(course, "-k", "scaled or stop")

    assert done.returncode == 1
    assert "1 failed, 1 passed, 2 deselected" in done.stdout
    assert "The reference of ex90_tiny, check stop: not_run, seed " in done.stdout
    assert "needs echo" in done.stdout
    assert "INTERNALERROR" not in done.stdout


def test_only_what_was_selected_and_what_it_needs_is_graded(course: Tiny) -> None:
    course.edit(CHECKS, "number = rng.randrange(1, 1000)", "number = 1 // 0")

    done = pytest_on(course, "-k", "echo")

    assert done.returncode == 0, done.stdout
    assert "1 passed, 3 deselected" in done.stdout


def test_a_grading_without_a_verdict_fails_every_item_with_the_reason(course: Tiny) -> None:
    course.edit(CHECKS, "number = rng.randrange(1, 1000)", "number = 1 // 0")

    done = pytest_on(course, "-k", "scaled or echo")

    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert done.stdout.count("there is no verdict: The check scaled itself broke: ZeroDivisionError") >= 2


def test_a_course_that_cannot_be_read_fails_every_item_with_the_file_and_the_line(course: Tiny) -> None:
    course.edit("course.yaml", "languages: [en, ko]", "languages: en")

    done = pytest_on(course)

    assert done.returncode == 1
    assert "4 failed" in done.stdout
    assert "course.yaml:4:" in done.stdout
    assert "exit code 2" in done.stdout


@pytest.mark.skipif(call_filter.libseccomp() is None, reason="the refusing machine is built with libseccomp")
def test_what_cannot_be_measured_is_skipped_and_summed_up_with_its_reason(course: Tiny) -> None:
    done = pytest_on(course, "-k", "calls or echo", prefix=[sys.executable, str(REFUSING), "--"])

    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped, 2 deselected" in done.stdout
    assert "1 test was skipped, because this machine refuses what they need" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("    1  ")]
    assert "System calls cannot be counted here: strace cannot trace a child" in line
