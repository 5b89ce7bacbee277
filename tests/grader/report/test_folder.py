"""A folder of reports: whose each is, and every way in which it is none."""

import os
from pathlib import Path
from typing import Any

import pytest

from grader.errors import UsageError
from grader.report.folder import read_results, students_in
from grader.report.model import Machine, Ungraded, to_json


def put(folder: Path, student: str, name: str, *, exercise: str = "ex03_epoll") -> Path:
    machine = Machine(kernel="6", python="3", strace=None, bwrap=None, nofile=1)
    common: dict[str, Any] = {
        "title": "",
        "isolation": None,
        "seed": 1,
        "kit_version": "0",
        "checks_digest": "0",
        "machine": machine,
    }
    file = folder / student / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(to_json(Ungraded(exercise=exercise, reason="it rained", **common)))
    return file


def test_reports_come_by_student_and_exercise_whatever_their_files_are_called(tmp_path: Path) -> None:
    put(tmp_path, "bob", "a.json")
    put(tmp_path, "ada", "z.json", exercise="ex01_callbacks")
    put(tmp_path, "ada", "b.json", exercise="ex04_io_uring")
    put(tmp_path, "ada", ".hidden.json")
    put(tmp_path, ".trash", "a.json")
    (tmp_path / "ada" / "trace.txt").write_text("no report")

    found = [(one.student, one.report.exercise, one.file.name) for one in read_results(tmp_path)]

    assert found == [
        ("ada", "ex01_callbacks", "z.json"),
        ("ada", "ex04_io_uring", "b.json"),
        ("bob", "ex03_epoll", "a.json"),
    ]


def refusal(folder: Path) -> str:
    with pytest.raises(UsageError) as refused:
        read_results(folder)
    return str(refused.value)


def test_a_folder_that_is_not_there_or_holds_no_report_is_told(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == (
        f"{tmp_path}/none: there is no such folder. Name the one with a folder of reports for each student."
    )
    assert refusal(tmp_path) == f"{tmp_path}: no reports here. They are looked for as {tmp_path}/<student>/<name>.json."


def test_two_reports_of_a_student_on_one_exercise_are_named(tmp_path: Path) -> None:
    first, second = put(tmp_path, "ada", "a.json"), put(tmp_path, "ada", "b.json")

    assert refusal(tmp_path) == f"{second}: ada has a report on ex03_epoll already, {first}. Keep one of them."


def test_a_file_that_is_no_report_is_named_and_its_words_are_not_repeated(tmp_path: Path) -> None:
    file = put(tmp_path, "ada", "a.json")
    file.write_text('{"schema": "tracegrade/report/2", "title": "\x1b[31mmalice"}')

    assert refusal(tmp_path) == (
        f"{file}: this is no report of this kit. Grade the submission again, or take the file away."
    )


def test_a_student_whose_name_would_paint_the_terminal_is_refused_in_escapes(tmp_path: Path) -> None:
    put(tmp_path, "ada\x1b[31m", "a.json")

    said = refusal(tmp_path)

    assert said.endswith(r"a student's folder has a name that cannot be printed: 'ada\x1b[31m'. Rename it.")
    assert "\x1b" not in said


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_report_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = put(tmp_path, "ada", "a.json")
    file.chmod(0)

    assert refusal(tmp_path).startswith(f"{file}: cannot be read: Permission denied.")


@pytest.mark.parametrize("names", [("Jos\u00e9", "Jose\u0301"), ("ada", "Ada")], ids=["accent", "case"])
def test_two_folders_that_may_be_one_students_are_refused_with_both_names(
    names: tuple[str, str], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).mkdir()

    with pytest.raises(UsageError) as refused:
        read_results(tmp_path)

    assert all(ascii(name) in str(refused.value) for name in names)


def test_a_name_with_its_accents_apart_is_the_composed_one(tmp_path: Path) -> None:
    (tmp_path / "Jose\u0301").mkdir()

    assert students_in(tmp_path) == ["Jos\u00e9"]


def test_a_report_beside_the_folders_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "ada.json").write_text("{}")

    with pytest.raises(UsageError, match=r"ada\.json: it lies beside the students' folders"):
        read_results(tmp_path)
