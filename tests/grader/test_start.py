"""How a command begins: whatever is set, closed or in the way where it is typed, it is the kit that runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grader.report.model import from_json
from gradings import GRADE, SOLUTION, environment, tiny_course

SCRIPT = (sys.executable, "-c", "import sys; sys.path.pop(0); from grader.__main__ import main; main()")
PLANTED = ("click", "yaml", "pydantic", "signal", "json", "psutil", "rich", "tempfile", "re")


def in_shell(command: str, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """What a shell makes of COMMAND, in which "$@" is `grade` with these words."""
    return subprocess.run(
        ["sh", "-c", command, "sh", *GRADE, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment(**settings),
        cwd="/",
        timeout=240,
    )


@pytest.mark.parametrize("command", [SCRIPT, GRADE], ids=["the script", "the module"])
def test_modules_on_somebody_elses_path_are_not_the_kits(command: tuple[str, ...], tmp_path: Path) -> None:
    for name in PLANTED:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')")

    done = subprocess.run(
        [*command, "--version"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(PYTHONPATH=str(tmp_path)),
        cwd="/",
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_settings_of_the_interpreter_change_no_verdict(tmp_path: Path) -> None:
    course = tiny_course(tmp_path)
    (tmp_path / "path").mkdir()
    for name in PLANTED:
        (tmp_path / "path" / f"{name}.py").write_text("raise SystemExit('planted')")
    settings = {"PYTHONPATH": str(tmp_path / "path"), "PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error"}

    done = course.grade("ex90", "--solution", env=settings)

    assert (done.code, done.err) == (0, "")
    assert done.graded.score == 100


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_streams_that_a_daemon_has_closed_cost_no_verdict(closed: str, tmp_path: Path) -> None:
    course, report = tiny_course(tmp_path), tmp_path / "report.json"

    done = in_shell(
        f'"$@" {closed}', "ex90", "--solution", "--course", str(course.root), "--json", str(report), PYTHONPATH="/no"
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert from_json(report.read_bytes()).graded


def test_a_report_for_an_output_that_is_closed_is_refused_before_anything_runs(tmp_path: Path) -> None:
    course = tiny_course(tmp_path)

    done = in_shell('"$@" >&-', "ex90", "--solution", "--course", str(course.root), "--json", "-")

    assert done.returncode == 2
    assert "Nothing can be written to -: standard output is closed." in done.stderr


@pytest.mark.parametrize("place", [".", "./", "tmp"])
def test_a_relative_place_for_temporary_files_is_that_of_the_caller(place: str, tmp_path: Path) -> None:
    course = tiny_course(tmp_path)
    (tmp_path / "tmp").mkdir(mode=0o755)
    tmp_path.chmod(0o755)

    done = subprocess.run(
        [*GRADE, "ex90", "--solution", "--trust", "--course", str(course.root)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(TMPDIR=place),
        cwd=tmp_path,
        timeout=240,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_part_of_a_path_that_is_not_utf8_is_shown_escaped(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xf6urse"))
    folder.mkdir()

    for locale in "C.UTF-8", "C":
        done = subprocess.run(
            [*GRADE, "--course", folder],
            capture_output=True,
            check=False,
            env=environment(LC_ALL=locale),
            cwd="/",
        )
        assert done.returncode == 2
        assert b"c\\udcf6urse: no course.yaml here" in done.stderr


@pytest.mark.parametrize("which", ["the course", "TMPDIR", "--keep", "--submission"])
def test_a_folder_whose_path_is_not_utf8_works_or_is_refused_in_a_sentence(which: str, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/c\xf6urse"))
    odd.mkdir(mode=0o755)
    course = tiny_course(odd if which == "the course" else tmp_path)
    if which == "--submission":
        shutil.copy(course.root / SOLUTION, odd)
    words = {"--keep": ["--keep", str(odd)], "--submission": ["--submission", str(odd), "--trust"]}.get(which, [])
    words += [] if which == "--submission" else ["--solution"]

    done = subprocess.run(
        [*GRADE, "ex90", "--only", "scaled", *words, "--course", course.root],
        capture_output=True,
        text=True,
        check=False,
        env=environment(**({"TMPDIR": str(odd)} if which == "TMPDIR" else {})),
        cwd="/",
        timeout=240,
    )

    assert done.returncode == {"TMPDIR": 3, "--submission": 0}.get(which, 2), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert which == "--submission" or "is not UTF-8" in done.stderr
    assert "\udcf6" not in done.stdout + done.stderr
