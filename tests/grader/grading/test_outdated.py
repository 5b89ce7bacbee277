"""A report on another submission than the one that is handed in now is found by its digest, whatever its form."""

import shutil
import zipfile
from pathlib import Path

import pytest

from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.doctor.programs import search_path
from grader.errors import UsageError
from grader.grading.one import grade_quietly
from grader.grading.order import Order
from grader.grading.outdated import digest_of, outdated, submissions_in
from grader.grading.slot import Tools
from grader.report.folder import Result, read_results
from grader.report.model import Refused, Report, to_json
from gradings import SOLUTION, run
from places import TESTS

COURSE = load_course(TESTS / "tiny_course")
EXERCISES = {one.slug: one for one in COURSE.exercises}
GOOD = TESTS / "tiny_course" / SOLUTION


def refused_report(source: Path) -> Report:
    """What grading it gives, where it is refused, which needs no box."""
    order = Order.of(COURSE, COURSE.exercises[0], source, machine(path=search_path()))
    report = grade_quietly(order, Tools.found(search_path()))
    assert isinstance(report, Refused)
    return report


@pytest.fixture
def submissions(tmp_path: Path) -> Path:
    folder = tmp_path / "submissions"
    (folder / "zoe").mkdir(parents=True)
    (folder / "zoe" / "tiny.py").write_bytes(b"# \xfc\n")
    return folder


def result(student: str, report: Report) -> Result:
    return Result(student, report, Path(student, "ex90.json"))


def test_the_same_files_have_one_digest_in_a_folder_alone_and_in_a_zip(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    shutil.copy(GOOD, tmp_path / "folder" / "inner")
    shutil.copy(GOOD, tmp_path / "bob.py")
    with zipfile.ZipFile(tmp_path / "cyd.zip", "w") as archive:
        archive.write(GOOD, "tiny.py")

    digests = {digest_of(tmp_path / name, COURSE.exercises[0]) for name in ("folder", "bob.py", "cyd.zip")}

    assert len(digests) == 1 and None not in digests


def test_a_report_is_outdated_as_soon_as_another_file_is_handed_in(submissions: Path) -> None:
    report = refused_report(submissions / "zoe")
    assert outdated([result("zoe", report)], submissions_in(submissions), EXERCISES) == []

    shutil.copy(GOOD, submissions / "zoe" / "tiny.py")

    (line,) = outdated([result("zoe", report)], submissions_in(submissions), EXERCISES)
    assert line == f"zoe/ex90.json: of {report.graded_at}, and {submissions / 'zoe'} is another submission"


def test_a_refusal_of_what_cannot_be_read_holds_until_it_can(submissions: Path) -> None:
    (submissions / "zoe" / "tiny.py").unlink()
    report = refused_report(submissions / "zoe")
    assert outdated([result("zoe", report)], submissions_in(submissions), EXERCISES) == []

    shutil.copy(GOOD, submissions / "zoe")

    assert outdated([result("zoe", report)], submissions_in(submissions), EXERCISES) != []


def test_what_says_nothing_of_its_submission_is_not_looked_at(submissions: Path) -> None:
    report = refused_report(submissions / "zoe")
    old = report.model_copy(update={"graded_at": None, "submission_digest": None})

    assert outdated([result("zoe", old), result("nobody", report)], submissions_in(submissions), EXERCISES) == []


def test_submissions_are_named_by_their_students(submissions: Path) -> None:
    for name in ("bob.py", "cyd.ZIP", "Doe, J. R.zip", ".hidden"):
        (submissions / name).touch()

    assert list(submissions_in(submissions)) == ["Doe, J. R", "bob", "cyd", "zoe"]


def test_a_folder_that_is_not_there_and_an_exercise_of_another_course_are_told(submissions: Path) -> None:
    with pytest.raises(UsageError, match=r"--submissions .*/none: No such file or directory\. Name the folder"):
        submissions_in(submissions / "none")
    other = refused_report(submissions / "zoe").model_copy(update={"exercise": "ex91_other"})
    with pytest.raises(UsageError, match=r"the course has no exercise 'ex91_other'\. Name it with --course"):
        outdated([result("zoe", other)], submissions_in(submissions), EXERCISES)


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
