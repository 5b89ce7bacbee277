"""`grade --format` and `grade convert` as a person types them: what is written where, what is told, and exit codes."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import junitparser
import pytest

from form_samples import MEASURED, REPORTS, SAMPLES
from grader.commands.environment import path_in_repository
from grader.report.model import Report, from_json, to_json
from gradings import SLUG, Done, run, tiny_course

# --- one grading, every form --------------------------------------------------------------------------------------

NAMES = ["junit", "github-summary", "classroom", "gradescope", "prairielearn", "autolab", "plain"]


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Path]:
    """A submission that raises, graded once: annotations on standard output, every other form in a file."""
    folder = tmp_path_factory.mktemp("forms")
    course = tiny_course(folder)
    subprocess.run(["git", "init", "-q", str(course.root)], check=True)
    course.hand_in(("    return number * factor.FACTOR\n", "    raise KeyError(number)\n"))
    for name in ("github-summary", "classroom"):
        (folder / name).write_text("what other steps wrote\n")
    words = [word for name in NAMES for word in ("--format", name, "--output", str(folder / name))]
    done = course.grade("ex90", "--only", "scaled", *words, "--format", "github", "--output", "-")
    return done, folder


def test_one_grading_writes_every_form_that_was_asked_for(graded: tuple[Done, Path]) -> None:
    done, folder = graded

    assert done.code == 1, done.err
    assert done.outcomes == {"scaled": "crashed"}
    assert junitparser.JUnitXml.fromfile(str(folder / "junit")).failures == 1
    assert json.loads((folder / "gradescope").read_text())["tests"][0]["status"] == "failed"
    assert json.loads((folder / "prairielearn").read_text())["gradable"] is False
    assert json.loads((folder / "plain").read_text())["status"] == "fail"
    assert json.loads((folder / "autolab").read_text().rstrip().split("\n")[-1]) == {"scores": {SLUG: None}}


def test_what_other_steps_of_a_job_wrote_stays(graded: tuple[Done, Path]) -> None:
    _, folder = graded

    assert (folder / "github-summary").read_text().startswith("what other steps wrote\n## ")
    assert (folder / "classroom").read_text().startswith("what other steps wrote\nresult=")


def test_annotations_are_all_that_is_on_standard_output_and_name_the_students_line(graded: tuple[Done, Path]) -> None:
    done, folder = graded
    file = folder / "course" / "exercises" / SLUG / "tiny.py"
    line = 1 + next(n for n, text in enumerate(file.read_text().split("\n")) if "raise KeyError(number)" in text)

    error, notice = done.out.splitlines()

    assert error.startswith(f"::error file=exercises/{SLUG}/tiny.py,line={line},title=")
    assert notice.startswith("::notice ")
    assert "Grading ex90_tiny" in done.err


def test_all_exercises_go_into_a_form_that_can_be_joined(tmp_path: Path) -> None:
    course = tiny_course(tmp_path)
    course.hand_in()

    done = course.type("--all", "--format", "github", "--output", "-")

    assert done.code == 0, done.err
    assert [line.partition(" ")[0] for line in done.out.splitlines()] == ["::notice"]
    assert "All exercises: 100 of 100" in done.err


def test_a_file_is_named_from_its_repositorys_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    file = tmp_path / "repository" / "ex" / "a.py"
    file.parent.mkdir(parents=True)
    assert path_in_repository(file) is None

    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert path_in_repository(file) == "repository/ex/a.py"

    (tmp_path / "repository" / ".git").mkdir()  # a job may check a repository out into a folder
    assert path_in_repository(file) == "ex/a.py"


# --- reports that are made already --------------------------------------------------------------------------------


def convert(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return run("convert", *map(str, words))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A class: one has a grade, one has none."""
    folder = tmp_path / "results"
    for student, report in {"kim": MEASURED, "lee": REPORTS["ungraded"]}.items():
        write(folder / student / "ex03.json", report)
    return folder


def write(file: Path, report: Report) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(to_json(report), encoding="utf-8")
    return file


def test_a_report_is_converted_without_its_course(results: Path, tmp_path: Path) -> None:
    done = convert(
        results / "kim" / "ex03.json",
        "--format",
        "json",
        "--output",
        "-",
        "--format",
        "junit",
        "--output",
        tmp_path / "x",
    )

    assert (done.returncode, done.stderr) == (0, "")
    report = from_json(done.stdout)
    assert report.graded and report.score == MEASURED.score
    assert junitparser.JUnitXml.fromfile(str(tmp_path / "x")).failures == 4


def test_a_class_is_converted_and_who_is_left_out_is_told(results: Path, tmp_path: Path) -> None:
    done = convert(results, "--format", "moodle", "--output", "-", "--format", "canvas", "--output", tmp_path / "c.csv")

    assert done.returncode == 1
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == ["Student", "kim"]
    assert (tmp_path / "c.csv").read_text().splitlines()[2] == "kim,,,kim,,12"
    assert done.stderr.count("lee, ex03_epoll: no grade. There is no verdict") == 1


def test_one_exercise_of_a_class_is_converted_without_holes(results: Path) -> None:
    write(results / "song" / "ex04.json", SAMPLES["graded"](SAMPLES["BASIC"], exercise="ex04_io_uring"))

    done = convert(results, "--format", "moodle", "--output", "-", "--exercise", "ex04")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("song,4,")


def test_students_are_found_in_canvass_own_export(results: Path, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    roster.write_text("\ufeffStudent,ID,SIS Login ID,Section,ex03_epoll (7)\nKim,101,kim,A1,\n", encoding="utf-8")

    done = convert(results, "--format", "canvas", "--output", "-", "--roster", roster)

    assert done.stdout.splitlines()[0] == "Student,ID,SIS Login ID,Section,ex03_epoll (7)"
    assert done.stdout.splitlines()[2] == "Kim,101,kim,A1,12"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "add --format NAME --output FILE", id="nothing to write"),
        pytest.param(["--format", "moodle"], "write them in pairs", id="no place"),
        pytest.param(["--format", "junit", "--output", "-"], "is made of one report's file", id="a form of one"),
        pytest.param(["--format", "canvas", "--output", "no/x"], "there is no folder no", id="no such folder"),
        pytest.param(["--format", "canvas", "--output", "-", "--exercise", "ex09"], "no report on ex09", id="exercise"),
        pytest.param(["--format", "moodle", "--output", "-", "--roster", "x"], "--format canvas alone", id="roster"),
        pytest.param(
            ["--format", "canvas", "--output", "-", "--roster", "/no/r"], "/no/r: cannot be read", id="no roster"
        ),
        pytest.param(["--format", "canvas", "--output", "-", "--roster", "/bin/sh"], "this is not UTF-8", id="no text"),
    ],
)
def test_wrong_words_are_refused_with_the_cure(results: Path, words: Sequence[str], said: str) -> None:
    done = convert(results, *words)

    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert done.stdout == ""


def test_what_is_of_a_class_is_refused_for_one_report(results: Path) -> None:
    report = results / "kim" / "ex03.json"

    assert "is made of a class's folder" in convert(report, "--format", "canvas", "--output", "-").stderr
    told = convert(report, "--format", "junit", "--output", "-", "--unofficial").stderr
    assert "they go with canvas and moodle" in told


@pytest.mark.parametrize(
    ("words", "said"), [([], "name a report's file"), (["/no/such.json"], "/no/such.json: there is no such file")]
)
def test_reports_that_are_not_there_are_told(words: Sequence[str], said: str) -> None:
    done = convert(*words, "--format", "junit", "--output", "-")

    assert done.returncode == 2
    assert said in done.stderr


def test_a_file_that_is_no_report_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}")

    done = convert(file, "--format", "junit", "--output", "-")

    assert done.returncode == 2
    assert f"{file}: this is no report of this kit" in done.stderr


def test_grades_that_are_not_official_are_written_only_if_they_are_wanted(results: Path) -> None:
    bare = SAMPLES["graded"](SAMPLES["BASIC"], isolation="bare", official=False)
    write(results / "kim" / "ex03.json", bare)

    refused = convert(results, "--format", "canvas", "--output", "-")
    wanted = convert(results, "--format", "canvas", "--output", "-", "--unofficial")

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "kim, ex03_epoll: the program was not boxed" in refused.stderr
    assert wanted.stdout.splitlines()[2] == "kim,,,kim,,4"
