"""A report on another submission than the one that is handed in now is found by its digest, whatever its form."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from grader.batch.outdated import compare
from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.doctor.programs import search_path
from grader.errors import UsageError
from grader.grading.one import grade_quietly
from grader.grading.order import Order
from grader.grading.slot import Tools
from grader.report.folder import Result, read_results
from grader.report.model import Refused, Report, to_json
from gradings import SOLUTION, run
from places import TESTS

COURSE = load_course(TESTS / "tiny_course")
GOOD = TESTS / "tiny_course" / SOLUTION


def refused_report(source: Path) -> Report:
    """What grading it gives, where it is refused, which needs no box."""
    order = Order.of(COURSE, COURSE.exercises[0], source, machine(path=search_path()))
    report = grade_quietly(order, Tools.found(search_path()))
    assert isinstance(report, Refused)
    return report


def lines(results: Sequence[Result], submissions: Path) -> Sequence[str]:
    return compare(results, submissions, COURSE)[1]


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    folder = tmp_path / "submissions"
    (folder / "zoe").mkdir(parents=True)
    (folder / "zoe" / "tiny.py").write_bytes(b"# \xfc\n")
    return folder


def result(student: str, report: Report) -> Result:
    return Result(student, report, Path(student, "ex90.json"))


def test_a_report_is_outdated_as_soon_as_another_file_is_handed_in(submissions: Path) -> None:
    report = refused_report(submissions / "zoe")
    assert lines([result("zoe", report)], submissions) == []

    shutil.copy(GOOD, submissions / "zoe" / "tiny.py")

    (line,) = lines([result("zoe", report)], submissions)
    assert line == f"zoe/ex90.json: of {report.graded_at}, and {submissions / 'zoe'} is another submission"


def test_a_refusal_of_what_cannot_be_read_holds_until_it_can(submissions: Path) -> None:
    (submissions / "zoe" / "tiny.py").unlink()
    report = refused_report(submissions / "zoe")
    assert lines([result("zoe", report)], submissions) == []

    shutil.copy(GOOD, submissions / "zoe")

    assert lines([result("zoe", report)], submissions) != []


def test_what_says_nothing_of_its_submission_is_not_looked_at(submissions: Path) -> None:
    report = refused_report(submissions / "zoe")
    old = report.model_copy(update={"graded_at": None, "submission_digest": None})

    assert lines([result("zoe", old), result("nobody", report)], submissions) == []


def test_who_has_handed_in_is_named_whatever_its_form(submissions: Path) -> None:
    for name in ("bob.py", "cyd.zip", ".hidden"):
        (submissions / name).touch()

    assert compare([result("zoe", refused_report(submissions / "zoe"))], submissions, COURSE)[0] == {
        "bob",
        "cyd",
        "zoe",
    }


def test_a_folder_that_is_not_there_and_an_exercise_of_another_course_are_told(submissions: Path) -> None:
    report = refused_report(submissions / "zoe")
    with pytest.raises(UsageError, match=r"none: there is no such folder\. Name the one"):
        compare([result("zoe", report)], submissions / "none", COURSE)
    other = report.model_copy(update={"exercise": "ex91_other"})
    with pytest.raises(UsageError, match=r"the course has no exercise 'ex91_other'\. Name its course with --course"):
        compare([result("zoe", other)], submissions, COURSE)


@pytest.mark.parametrize(
    "words", [["convert", "--format", "canvas", "--output", "-"], ["gradebook", "sync", "--db", "sqlite:///none.db"]]
)
def test_the_commands_take_no_report_on_another_submission_and_name_who_has_none(
    submissions: Path, tmp_path: Path, words: list[str]
) -> None:
    file = tmp_path / "results" / "zoe" / "ex90.json"
    file.parent.mkdir(parents=True)
    file.write_text(to_json(refused_report(submissions / "zoe")))
    (submissions / "dan.py").touch()
    words = [*words, str(tmp_path / "results"), "--submissions", str(submissions), "--course", str(COURSE.root)]
    words = [word.replace("none.db", f"{tmp_path}/none.db") for word in words]

    named = run(*words)
    shutil.copy(GOOD, submissions / "zoe" / "tiny.py")
    stale = run(*words)

    assert "dan" in named.stdout + named.stderr and "no report" in (named.stdout + named.stderr).lower()
    assert stale.returncode == 2
    assert f"{file}: of " in stale.stderr and "Grade these submissions again." in stale.stderr
    assert len(read_results(tmp_path / "results")) == 1


def test_an_option_for_a_class_is_refused_for_one_report(submissions: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(to_json(refused_report(submissions / "zoe")))

    done = run("convert", str(file), "--format", "junit", "--output", "-", "--submissions", str(submissions))

    assert done.returncode == 2
    assert "they go with canvas and moodle. Leave out --submissions." in done.stderr
