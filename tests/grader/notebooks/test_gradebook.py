"""Reports come into nbgrader's gradebook whole or not at all, on SQLite and on a real PostgreSQL server; what a person
entered stays; and nbgrader's own commands and pages work on what is there.
"""

import csv
import http.client
import json
import os
import runpy
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, select
from sqlalchemy.pool import NullPool

from grader.errors import GraderError, UsageError
from grader.notebooks.gradebook import sync
from grader.notebooks.synced import Synced
from grader.report.folder import read_results
from grader.report.model import Failure, Graded, Outcome, Report, ScoredCheck, to_json
from gradings import GRADE, environment, run, wait_until
from places import TESTS
from postgres import PASSWORD, Server, server

SAMPLES: dict[str, Any] = runpy.run_path(str(TESTS / "golden" / "regenerate.py"))
BIN = Path(sys.executable).parent
LOST, REFUSED, ABSENT = SAMPLES["UNGRADED"], SAMPLES["REFUSED"], SAMPLES["ABSENT"]


scored: Callable[..., ScoredCheck] = SAMPLES["scored"]
failure: Callable[..., Failure] = SAMPLES["failure"]
graded: Callable[..., Graded] = SAMPLES["graded"]


def report(idle: int = 4, c10k: int = 6, *, exercise: str = "ex03_epoll", **more: object) -> Graded:
    """A grading with two checks that count, of 4 and 6 points, and one that only says something."""

    def check(name: str, title: str, points: int, got: int) -> ScoredCheck:
        if got:
            return scored(name, title, points)
        return scored(name, title, points, Outcome.FAILED, failure=failure(f"less of {name}", "<b>more</b>"))

    checks = (check("idle", "Idle is free", 4, idle), check("c10k", "Many", 6, c10k), scored("sleeps", "Sleeps", 0))
    return graded(*checks, exercise=exercise, **more)


def hand_in(folder: Path, **students: "Report") -> Path:
    """A folder of results with these reports, beside those that are there."""
    for student, one in students.items():
        file = folder / student / f"{one.exercise}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_json(one))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a gradebook that is not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/gradebook.db"
    running: Server = request.getfixturevalue("postgres")
    return running.new_database(secrets.token_hex(8))


@contextmanager
def opened(db: str) -> Iterator[Any]:
    """The gradebook as nbgrader opens it."""
    from nbgrader.api import Gradebook

    with Gradebook(db) as gradebook:
        yield gradebook


def rows(db: str) -> dict[str, list[tuple[Any, ...]]]:
    """All that is in the database, by table."""
    engine = create_engine(db, poolclass=NullPool)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for name, table in tables.tables.items()
        }


def write(db: str, folder: Path, **options: Any) -> Synced:
    return sync(read_results(folder), db, **options)


def scores(db: str, assignment: str = "ex03") -> dict[str, float]:
    with opened(db) as gradebook:
        return {one["student"]: one["score"] for one in gradebook.submission_dicts(assignment)}


# --- what is written ----------------------------------------------------------------------------------------------


def test_nbgrader_reads_what_the_reports_say(db: str, results: Path) -> None:
    hand_in(results, ada=report(), bob=report(idle=0))

    write(db, results)

    with opened(db) as gradebook:
        submissions = {one["student"]: one for one in gradebook.submission_dicts("ex03")}
        cells = {cell.name: cell.max_score for cell in gradebook.find_notebook("ex03", "ex03").grade_cells}
        comment = gradebook.find_comment("solution", "ex03", "ex03", "bob").comment
        assert gradebook.find_comment("solution", "ex03", "ex03", "ada").comment is None
    assert {name: (one["score"], one["max_score"]) for name, one in submissions.items()} == {
        "ada": (10, 10),
        "bob": (6, 10),
    }
    assert not any(one["needs_manual_grade"] for one in submissions.values())
    assert cells == {"check-idle": 4, "check-c10k": 6, "check-sleeps": 0}
    assert comment.split("\n") == [
        "    idle: Idle is free (failed, 0 of 4)",
        "      expected: less of idle",
        "      seen: <b>more</b>",
    ]


def test_to_sync_again_changes_nothing(db: str, results: Path) -> None:
    hand_in(results, ada=report(), bob=report(idle=0), eve=LOST)
    first = write(db, results)
    before = rows(db)

    again = write(db, results)

    assert (len(first.changes), len(again.changes), again.unchanged) == (3, 0, 3)
    assert rows(db) == before
    assert "0 changed, 3 unchanged" in "\n".join(again.lines(db, dry_run=False))


def test_a_changed_report_is_told_and_replaces_the_score(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(idle=0), bob=report()))

    synced = write(db, hand_in(results, ada=report()))

    assert list(synced.lines("sqlite:///g.db", dry_run=False)) == [
        "ex03 ada: 6 of 10 -> 10 of 10",
        "1 changed, 1 unchanged, in sqlite:///g.db",
    ]
    assert scores(db) == {"ada": 10, "bob": 10}
    with opened(db) as gradebook:
        assert gradebook.find_comment("solution", "ex03", "ex03", "ada").comment is None


def test_another_message_alone_is_a_change_too(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(idle=0)))
    crashed = scored("idle", "Idle is free", 4, Outcome.CRASHED, failure=failure("", "it ended"))

    synced = write(db, hand_in(results, ada=graded(crashed, *report().checks[1:])))

    assert [change.after for change in synced.changes] == ["6 of 10, with another comment"]


def test_what_a_person_entered_stays(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(idle=0), bob=report(idle=0)))
    with opened(db) as gradebook:
        gradebook.update_or_create_student("ada", first_name="Ada", last_name="Lovelace", email="ada@example.org")
        gradebook.find_grade("check-idle", "ex03", "ex03", "ada").manual_score = 3
        gradebook.find_grade("check-c10k", "ex03", "ex03", "ada").extra_credit = 1
        gradebook.find_comment("solution", "ex03", "ex03", "ada").manual_comment = "Well tried."
        gradebook.find_submission_notebook("ex03", "ex03", "ada").late_submission_penalty = 2
        gradebook.db.commit()

    synced = write(db, hand_in(results, ada=report()))

    with opened(db) as gradebook:
        idle = gradebook.find_grade("check-idle", "ex03", "ex03", "ada")
        assert (idle.auto_score, idle.manual_score, idle.score) == (4, 3, 3)
        assert idle.needs_manual_grade, "whoever gave 3 instead of 0 looks again, now that it would be 4"
        c10k = gradebook.find_grade("check-c10k", "ex03", "ex03", "ada")
        assert (c10k.extra_credit, c10k.score, c10k.needs_manual_grade) == (1, 7, False)
        comment = gradebook.find_comment("solution", "ex03", "ex03", "ada")
        assert (comment.auto_comment, comment.comment) == (None, "Well tried.")
        assert gradebook.find_submission("ex03", "ada").late_submission_penalty == 2
        student = gradebook.find_student("ada")
        assert (student.first_name, student.last_name, student.email) == ("Ada", "Lovelace", "ada@example.org")
    assert "  idle: a person's score stays; look again, as the automatic one has changed" in list(
        synced.lines(db, dry_run=False)
    )
    assert not write(db, results).changes, "the mark stays until a person has looked"


def test_a_student_of_the_class_list_who_hands_in_later_keeps_the_name(db: str, results: Path) -> None:
    with opened_new(db) as gradebook:
        gradebook.add_student("ada", first_name="Ada")

    write(db, hand_in(results, ada=report()))

    with opened(db) as gradebook:
        assert gradebook.find_student("ada").first_name == "Ada"
    assert scores(db) == {"ada": 10}


@contextmanager
def opened_new(db: str) -> Iterator[Any]:
    """A gradebook that nbgrader makes: it starts alembic, which is not in the tests' PATH."""
    subprocess.run([BIN / "nbgrader", "db", "student", "list", f"--db={db}"], env=activated(), check=True, cwd="/")
    with opened(db) as gradebook:
        yield gradebook


def activated(**more: str) -> dict[str, str]:
    return environment(PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}", **more)


def test_what_an_instructor_added_to_the_assignment_is_handed_in_too_and_left_to_a_person(
    db: str, results: Path
) -> None:
    write(db, hand_in(results, ada=report(), cyd=report()))
    with opened(db) as gradebook:
        gradebook.add_grade_cell("why", "ex03", "ex03", max_score=5, cell_type="markdown")
        gradebook.add_task_cell("plot", "ex03", "ex03", max_score=3, cell_type="markdown")
        gradebook.add_notebook("survey", "ex03")
        gradebook.add_grade_cell("hours", "survey", "ex03", max_score=1, cell_type="markdown")
        gradebook.add_solution_cell("hours", "survey", "ex03")
        gradebook.remove_submission_notebook("ex03", "ex03", "cyd")

    write(db, hand_in(results, ada=report(idle=0), bob=report()))

    with opened(db) as gradebook:
        for student in ("ada", "bob", "cyd"):
            for cell in ("why", "plot"):
                grade = gradebook.find_grade(cell, "ex03", "ex03", student)
                assert (grade.auto_score, grade.needs_manual_grade) == (None, True)
            assert gradebook.find_comment("plot", "ex03", "ex03", student).comment is None
        assert gradebook.find_grade("hours", "survey", "ex03", "bob").auto_score is None
        assert gradebook.find_comment("hours", "survey", "ex03", "bob").comment is None
    assert scores(db) == {"ada": 6, "bob": 10, "cyd": 10}
    assert not write(db, results).changes


# --- no verdict ---------------------------------------------------------------------------------------------------


def test_what_has_no_verdict_is_no_zero_and_asks_for_a_person(db: str, results: Path) -> None:
    unmeasured = graded(
        scored("idle", "Idle is free", 4, Outcome.FAILED),
        scored("c10k", "Many", 6, Outcome.UNMEASURED, reason="This machine allows 4,096 descriptors."),
    )
    omitted = graded(scored("idle", "Idle is free", 4), scored("c10k", "Many", 6, Outcome.OMITTED))

    synced = write(db, hand_in(results, ada=report(), bob=unmeasured, cyd=omitted, eve=LOST))

    def grade(gradebook: Any, student: str, check: str) -> tuple[float | None, bool]:
        one = gradebook.find_grade(f"check-{check}", "ex03", "ex03", student)
        return one.auto_score, one.needs_manual_grade

    with opened(db) as gradebook:
        assert grade(gradebook, "bob", "idle") == (0, False), "a failure is a zero"
        for student, check in (("bob", "c10k"), ("cyd", "c10k"), ("eve", "idle"), ("eve", "c10k")):
            assert grade(gradebook, student, check) == (None, True)
        comments = {name: gradebook.find_comment("solution", "ex03", "ex03", name).comment for name in ("bob", "eve")}
        marked = {one["student"] for one in gradebook.submission_dicts("ex03") if one["needs_manual_grade"]}
    assert "c10k: Many (unmeasured, no verdict, and no zero)\n      This machine allows" in comments["bob"]
    assert "no verdict" in comments["eve"] and "ptrace is not permitted" in comments["eve"]
    assert marked == {"bob", "cyd", "eve"}
    said = "\n".join(synced.lines(db, dry_run=False))
    assert "ex03 bob: nothing -> 0 of 10, no verdict on 6" in said
    assert "ex03 eve: nothing -> no verdict" in said
    assert "No verdict, or not on every check: ex03 bob, ex03 cyd, ex03 eve." in said
    assert "--exporter=grader.notebooks.autograde.ExportVerdicts" in said


def test_a_comment_tells_a_paragraph_whole(db: str, results: Path) -> None:
    hint, reason = ("a paragraph on one line, " * 20 + end for end in ("and its hint", "and its reason"))
    failed = graded(scored("idle", "Idle is free", 4, Outcome.FAILED, failure=failure("less", "more", hint)))

    write(db, hand_in(results, ada=failed, eve=LOST.model_copy(update={"reason": reason})))

    with opened(db) as gradebook:
        comments = {name: gradebook.find_comment("solution", "ex03", "ex03", name).comment for name in ("ada", "eve")}
    assert f"try: {hint}" in comments["ada"] and reason in comments["eve"]


def test_a_score_by_hand_settles_what_has_no_verdict(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(), eve=LOST))
    with opened(db) as gradebook:
        for check, score in (("idle", 4), ("c10k", 5)):
            grade = gradebook.find_grade(f"check-{check}", "ex03", "ex03", "eve")
            grade.manual_score, grade.needs_manual_grade = score, False
        gradebook.db.commit()

    again = write(db, results)

    assert not again.changes
    assert scores(db) == {"ada": 10, "eve": 9}


def test_an_exercise_without_any_verdict_waits_for_one(db: str, results: Path) -> None:
    first = write(db, hand_in(results, eve=LOST, ada=report(exercise="ex04_io_uring")))

    assert first.unknown == ("ex03",)
    assert "ex03: left out" in "\n".join(first.lines(db, dry_run=False))
    with opened(db) as gradebook:
        assert [assignment.name for assignment in gradebook.assignments] == ["ex04"]

    write(db, hand_in(results, bob=report()))
    last = write(db, hand_in(results, bob=LOST))

    assert not last.unknown, "the gradebook knows the checks by now"
    assert [(change.before, change.after) for change in last.changes] == [("10 of 10", "no verdict")]


# --- refused, absent, stale ----------------------------------------------------------------------------------------


def test_a_refused_student_waits_for_a_person_with_the_reason_and_loses_the_score_before(
    db: str, results: Path
) -> None:
    write(db, hand_in(results, ada=report(), zoe=report()))

    synced = write(db, hand_in(results, zoe=REFUSED))

    said = list(synced.lines(db, dry_run=False))
    assert said[0] == "ex03 zoe: 10 of 10 -> refused"
    assert "  ex03 zoe: epoll_server.py:12: the byte 0xfc is not UTF-8. Save as UTF-8 in your editor." in said
    assert not [line for line in said if line.startswith("No verdict")]
    with opened(db) as gradebook:
        grade = gradebook.find_grade("check-idle", "ex03", "ex03", "zoe")
        comment = gradebook.find_comment("solution", "ex03", "ex03", "zoe").comment
    assert (grade.auto_score, grade.needs_manual_grade) == (None, True)
    assert comment.startswith("    Refused: ") and "epoll_server.py:12: the byte 0xfc" in comment
    assert comment.endswith("    Submission 1a1a1a1a1a1a read at 2026-11-27T15:43:17Z")
    assert write(db, results).changes == ()


def test_a_report_that_nothing_was_handed_in_is_no_refusal(db: str, results: Path) -> None:
    synced = write(db, hand_in(results, ada=report(), fay=ABSENT))

    assert (synced.absent, synced.refused, synced.no_verdict) == (("ex03 fay",), (), ())
    assert "ex03 fay: nothing -> nothing handed in" in list(synced.lines(db, dry_run=False))


def test_who_is_refused_is_named_where_nobody_knows_the_checks(db: str, results: Path) -> None:
    said = list(write(db, hand_in(results, zoe=REFUSED)).lines(db, dry_run=False))

    assert said[0].startswith("ex03: left out")
    assert any(line.startswith("  ex03 zoe: epoll_server.py:12: ") for line in said)


def test_who_has_no_report_is_named_by_the_folder_the_gradebook_and_the_other_exercises(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(), bob=report()))
    shutil.rmtree(results / "bob")
    (results / "dan").mkdir()

    synced = write(db, hand_in(results, ada=report(exercise="ex04_io_uring")), students=["ada", "dan"])

    assert synced.absent == ("ex03 dan", "ex04 bob", "ex04 dan")  # bob's row of ex03 stays
    assert "No report: ex03 dan, ex04 bob, ex04 dan." in list(synced.lines(db, dry_run=False))


def test_the_command_names_who_has_a_folder_without_a_report(results: Path, tmp_path: Path) -> None:
    hand_in(results, ada=report())
    (results / "dan").mkdir()

    done = run("gradebook", "sync", str(results), "--db", f"sqlite:///{tmp_path}/gradebook.db")

    assert done.returncode == 0, done.stderr
    assert "No report: ex03 dan." in done.stdout


def test_a_report_that_is_older_than_the_recorded_one_is_refused(db: str, results: Path) -> None:
    newer: dict[str, Any] = {"graded_at": "2026-11-02T10:00:00Z", "submission_digest": "2b" * 32}
    older: dict[str, Any] = {"graded_at": "2026-11-01T10:00:00Z", "submission_digest": "1a" * 32}
    write(db, hand_in(results, ada=report(4, 0, **newer)))
    before = rows(db)

    with pytest.raises(UsageError) as stale:
        write(db, hand_in(results, ada=report(**older), bob=report()))

    assert "graded at 2026-11-01T10:00:00Z, and the gradebook has a grading of 2026-11-02T10:00:00Z" in str(stale.value)
    assert str(results / "ada") in str(stale.value) and "Grade these submissions again" in str(stale.value)
    assert rows(db) == before
    again = write(db, hand_in(results, ada=report(4, 0, **newer | {"graded_at": "2026-11-03T10:00:00Z"})))
    assert "ex03 bob: nothing -> 10 of 10" in again.lines(db, dry_run=False)
    assert [change.student for change in again.changes] == ["bob"], "graded again with the same score: nothing is new"


def test_a_report_that_is_older_than_the_submission_in_the_gradebook_is_refused(db: str, results: Path) -> None:
    when: dict[str, Any] = {"graded_at": "2026-11-01T10:00:00Z"}
    write(db, hand_in(results, ada=report(**when)))
    with opened(db) as gradebook:
        gradebook.find_submission("ex03", "ada").timestamp = datetime(2026, 11, 1, 10, 0, 1)
        gradebook.db.commit()

    with pytest.raises(UsageError, match="the submission in the gradebook is of 2026-11-01T10:00:01Z"):
        write(db, results)

    hand_in(results, ada=report(graded_at="2026-11-01T10:00:01Z"))
    assert write(db, results).unchanged == 1


def test_what_a_program_has_printed_is_no_stamp(db: str, results: Path) -> None:
    lie = "Submission read at 2099-01-01T00:00:00Z"
    failed = graded(scored("idle", "Idle is free", 4, Outcome.FAILED, failure=failure("a", "b", "", lie)))

    write(db, hand_in(results, ada=failed))

    assert write(db, hand_in(results, ada=failed.model_copy(update={"graded_at": "2026-11-01T10:00:00Z"}))).unchanged


def test_an_export_says_why_there_is_no_score(db: str, results: Path, tmp_path: Path) -> None:
    hand_in(results, ada=report(), eve=LOST, zoe=REFUSED, fay=ABSENT)
    hand_in(results, **{"Doe, Jane": REFUSED, "two\nlines": report()})
    write(db, results)
    with opened(db) as gradebook:
        gradebook.add_student("dan", first_name="D, \nan")
    exporter = "--exporter=grader.notebooks.autograde.ExportVerdicts"
    done = subprocess.run(
        [BIN / "nbgrader", "export", f"--db={db}", exporter],
        cwd=tmp_path, env=environment(PGPASSWORD=PASSWORD), capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    with (tmp_path / "grades.csv").open(newline="") as file:
        found = {row["student_id"]: (row["score"], row["no_score"]) for row in csv.DictReader(file)}
    assert found == {
        "ada": ("10.0", ""),
        "eve": ("", "no verdict"),
        "zoe": ("", "refused"),
        "fay": ("", "nothing handed in"),
        "Doe, Jane": ("", "refused"),
        "two\nlines": ("10.0", ""),
        "dan": ("", "nothing handed in"),
    }
    assert "zoe has no score of ex03 yet (refused): it is left empty" in done.stderr


# --- which reports are taken --------------------------------------------------------------------------------------


def test_reports_that_are_not_official_or_not_whole_are_refused_by_name(results: Path, tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path}/gradebook.db"
    hand_in(results, ada=report(official=False), bob=report(), cyd=report(partial=True))

    with pytest.raises(UsageError) as refused:
        write(db, results)

    assert f"{results}/ada/ex03_epoll.json: not official" in str(refused.value)
    assert f"{results}/cyd/ex03_epoll.json: only some checks" in str(refused.value)
    assert "bob" not in str(refused.value) and "--unofficial" in str(refused.value)
    assert not (tmp_path / "gradebook.db").exists()

    write(db, results, unofficial=True)

    assert scores(db) == {"ada": 10, "bob": 10, "cyd": 10}


def test_of_a_grading_of_some_checks_the_others_have_no_verdict(results: Path, tmp_path: Path) -> None:
    some = graded(scored("idle", "Idle is free", 4), partial=True)
    db = f"sqlite:///{tmp_path}/gradebook.db"

    write(db, hand_in(results, ada=report(), bob=some), unofficial=True)

    with opened(db) as gradebook:
        missing = gradebook.find_grade("check-c10k", "ex03", "ex03", "bob")
        assert (missing.auto_score, missing.needs_manual_grade) == (None, True)
        assert "c10k: not asked for" in gradebook.find_comment("solution", "ex03", "ex03", "bob").comment


def test_a_long_list_of_refused_files_is_cut(results: Path) -> None:
    hand_in(results, **{f"s{number:02}": report(official=False) for number in range(25)})

    with pytest.raises(UsageError, match=r"s19/.*\n  and 5 more\n"):
        write("sqlite:///never.db", results)


@pytest.mark.parametrize("unofficial", [False, True], ids=["official", "unofficial"])
def test_reports_of_different_checks_are_refused_by_name(results: Path, unofficial: bool) -> None:
    hand_in(results, ada=report(), bob=report(checks_digest="a" * 64), eve=LOST.model_copy(update={"seed": 1}))

    with pytest.raises(UsageError, match="different checks") as refused:
        write("sqlite:///never.db", results, unofficial=unofficial)

    assert "checks 5f5f5f5f5f5f, 10 points:\n" in str(refused.value)
    assert "bob/ex03_epoll.json" in str(refused.value) and "eve" not in str(refused.value)


def test_two_exercises_of_one_number_are_refused(results: Path) -> None:
    hand_in(results, ada=report(), bob=report(exercise="ex03_kqueue"))

    with pytest.raises(UsageError, match="another exercise is called ex03 too"):
        write("sqlite:///never.db", results)


def test_a_report_on_something_that_is_no_exercise_is_refused(results: Path) -> None:
    folder = hand_in(results, ada=report())
    (folder / "ada" / "ex03_epoll.json").write_text(to_json(report(exercise="../../etc")))

    with pytest.raises(UsageError, match="no name of an exercise"):
        write("sqlite:///never.db", folder)


def test_a_name_that_no_table_can_hold_is_refused(results: Path) -> None:
    hand_in(results, **{"a" * 129: report()})

    with pytest.raises(UsageError, match="Give it a shorter one"):
        write("sqlite:///never.db", results)


def heavier(**more: object) -> Graded:
    """The same checks, worth 5 and 6."""
    return graded(scored("idle", "Idle is free", 5), scored("c10k", "Many", 6), scored("sleeps", "Sleeps", 0), **more)


def test_other_points_need_the_whole_class(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(), bob=report()))
    before = rows(db)
    shutil.rmtree(results / "bob")

    with pytest.raises(UsageError, match="no report:\n  bob\n"):
        write(db, hand_in(results, ada=heavier()))
    assert rows(db) == before

    write(db, hand_in(results, bob=heavier()))

    with opened(db) as gradebook:
        assert {one["student"]: one["max_score"] for one in gradebook.submission_dicts("ex03")} == {
            "ada": 11,
            "bob": 11,
        }


def test_a_check_that_is_new_comes_to_the_whole_class(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(), bob=report(idle=0)))
    more = graded(*report().checks, scored("rst", "Reset", 5))

    write(db, hand_in(results, ada=more, bob=more))

    assert scores(db) == {"ada": 15, "bob": 15}


def test_checks_that_the_gradebook_has_and_the_reports_lack_are_named(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report()))

    with pytest.raises(
        UsageError, match=r"no check for: check-idle, check-sleeps\. .*nbgrader db assignment remove ex03 --force"
    ) as refused:
        write(db, hand_in(results, ada=graded(scored("c10k", "Many", 6))))
    assert PASSWORD not in str(refused.value)


# --- all or nothing -----------------------------------------------------------------------------------------------


def test_a_sync_that_fails_at_its_second_exercise_has_written_nothing_of_the_first(db: str, results: Path) -> None:
    both = {"ada": report(exercise="ex04_io_uring"), "bob": report(exercise="ex04_io_uring")}
    write(db, hand_in(results, **both))
    before = rows(db)
    shutil.rmtree(results)
    hand_in(results, ada=report())
    hand_in(results, ada=heavier(exercise="ex04_io_uring"))

    with pytest.raises(UsageError, match="ex04"):
        write(db, results)

    assert rows(db) == before


def test_a_dry_run_says_what_would_change_and_changes_nothing(db: str, results: Path) -> None:
    hand_in(results, ada=report(idle=0))
    first = write(db, results, dry_run=True)
    assert list(first.lines("sqlite:///g.db", dry_run=True))[-1] == "1 would change, 0 unchanged, in sqlite:///g.db"
    if db.startswith("sqlite"):
        assert not Path(db.removeprefix("sqlite:///")).exists()
    else:
        assert rows(db) == {}
    write(db, results)
    before = rows(db)

    second = write(db, hand_in(results, ada=report()), dry_run=True)

    assert [(change.before, change.after) for change in second.changes] == [("6 of 10", "10 of 10")]
    assert rows(db) == before


# Says when it has a connection, and when it has written the first row; then it waits to be told to go on.
TELLING = """
import sys
from pathlib import Path
from sqlalchemy import event
from sqlalchemy.engine import Engine
from grader.notebooks.gradebook import sync
from grader.report.folder import read_results

@event.listens_for(Engine, "engine_connect")
def connects(connection):
    print("connects", flush=True)

@event.listens_for(Engine, "after_cursor_execute")
def writes(connection, cursor, statement, *more):
    if statement.startswith(("INSERT", "UPDATE")) and not connection.info.get("told"):
        connection.info["told"] = True
        print("writes", flush=True)
        sys.stdin.readline()

done = sync(read_results(Path(sys.argv[1])), sys.argv[2], patience_s=3600)
print(len(done.changes), flush=True)
"""


@contextmanager
def telling(results: Path, db: str) -> Iterator["subprocess.Popen[str]"]:
    """A sync in a process of its own, which tells how far it has come."""
    command = [sys.executable, "-c", TELLING, str(results), db]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment(), cwd="/") as process:
        try:
            yield process
        finally:
            process.kill()


def await_word(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None  # a pipe was asked for
    said: list[str] = []
    while (line := process.stdout.readline()) != f"{word}\n":
        assert line, f"it has ended, and said {said}"
        said.append(line)


def test_a_sync_that_is_killed_halfway_leaves_the_gradebook_as_it_was(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(idle=0)))
    before = rows(db)
    hand_in(results, ada=report(), zoe=report())

    with telling(results, db) as process:
        await_word(process, "writes")
        process.kill()
        assert process.wait() == -signal.SIGKILL

    assert rows(db) == before
    assert len(write(db, results).changes) == 2, "and the next one does it all"


def test_two_syncs_at_once_do_the_work_once(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report()))
    hand_in(results, zoe=report(), **{f"s{number}": report() for number in range(20)})

    with ExitStack() as running:
        one = running.enter_context(telling(results, db))
        await_word(one, "writes")
        two = running.enter_context(telling(results, db))
        await_word(two, "connects")  # and waits for the first one's end, or is about to
        said = [process.communicate("go on\n")[0].splitlines()[-1] for process in (one, two)]
        codes = [process.returncode for process in (one, two)]

    assert codes == [0, 0], said
    assert said == ["21", "0"]
    assert len(scores(db)) == 22


def test_whoever_writes_for_too_long_is_told_of_and_nothing_is_written(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(idle=0)))
    before = rows(db)
    hand_in(results, ada=report())

    with locked(db), pytest.raises(GraderError, match=r"somebody else has been writing there for 0\.01 s"):
        write(db, results, patience_s=0.01)

    assert rows(db) == before


@contextmanager
def locked(db: str) -> Iterator[None]:
    """Somebody in the middle of a change of a grade."""
    with create_engine(db, poolclass=NullPool).connect() as other:
        other.exec_driver_sql("UPDATE grade SET manual_score = 1")
        yield
        other.rollback()


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "word"),
    [
        pytest.param("gradebook.db", "no URL of a database", id="a path"),
        pytest.param("postgresql://me:secret@host:port/grades", "no URL of a database", id="a port in words"),
        pytest.param("mysql://me:secret@host/grades", "not in mysql", id="another database"),
        pytest.param("postgres://me:secret@host/grades", "not in postgres", id="an old name"),
        pytest.param("sqlite://", "names no file", id="no file"),
        pytest.param("sqlite:///:memory:", "names no file", id="in memory"),
        pytest.param("sqlite://me:secret@host/grades", "no URL of a database", id="SQLite with a host"),
        pytest.param("postgresql+pg8000://me:secret@host/grades", "make setup WITH=instructor", id="no driver"),
        pytest.param("postgresql+nothing://me:secret@host/grades", "no URL of a database", id="unknown driver"),
        pytest.param("postgresql://me:secret@/grades?host=/nowhere", "cannot be opened", id="no server"),
        pytest.param("postgresql://me@/g?host=/nowhere&password=secret", "cannot be opened", id="password in options"),
        pytest.param("postgresql://me:secret@/g?host=/nowhere&sslmode=x", "cannot be opened", id="a wrong option"),
        pytest.param("sqlite:////nowhere/gradebook.db", "unable to open database file", id="no folder"),
    ],
)
def test_a_wrong_url_is_told_with_the_cure_and_without_the_password(results: Path, url: str, word: str) -> None:
    with pytest.raises(UsageError, match=word) as refused:
        write(url, hand_in(results, ada=report()))

    assert "secret" not in str(refused.value)


def test_a_refusal_is_exit_code_2_and_words_without_a_password(results: Path) -> None:
    url = "postgresql://me:secret@/grades?host=/nowhere"

    done = run("gradebook", "sync", str(hand_in(results, ada=report())), "--db", url)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("grade: postgresql://me:***@/grades?host=/nowhere cannot be opened: ")
    assert "secret" not in done.stderr and "Traceback" not in done.stderr


def test_a_wrong_password_is_told_and_none_is_shown(postgres: Server, results: Path) -> None:
    hand_in(results, ada=report())

    with pytest.raises(UsageError, match="password authentication failed") as refused:
        write(postgres.url("postgres", "not-this-one"), results)

    assert "not-this-one" not in str(refused.value)
    assert "PGPASSWORD" in str(refused.value)


def test_a_database_that_is_not_there_is_told(postgres: Server, results: Path) -> None:
    with pytest.raises(UsageError, match='database "nowhere" does not exist'):
        write(postgres.url("nowhere"), hand_in(results, ada=report()))


def test_the_password_may_come_from_the_environment(postgres: Server, results: Path) -> None:
    db = postgres.new_database(secrets.token_hex(8))
    bare = db.replace(f":{PASSWORD}@", "@")

    done = run("gradebook", "sync", str(hand_in(results, ada=report())), "--db", bare, env={"PGPASSWORD": PASSWORD})

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f"in {bare}\n")
    assert scores(db) == {"ada": 10}


def test_a_file_that_is_no_database_is_told_and_kept(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "notes.db"
    file.write_text("my notes\n" * 1_000)

    with pytest.raises(UsageError, match="file is not a database"):
        write(f"sqlite:///{file}", hand_in(results, ada=report()))

    assert file.read_text() == "my notes\n" * 1_000


def test_a_gradebook_that_may_not_be_written_is_told(results: Path, tmp_path: Path) -> None:
    write(f"sqlite:///{tmp_path}/gradebook.db", hand_in(results, ada=report(idle=0)))

    with pytest.raises(GraderError, match=r"readonly database\nNothing was written"):
        write(f"sqlite:///file:{tmp_path}/gradebook.db?mode=ro&uri=true", hand_in(results, ada=report()))


def test_a_database_of_something_else_is_left_alone(db: str, results: Path) -> None:
    with create_engine(db, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE wages (name VARCHAR(10))")

    with pytest.raises(UsageError, match="holds tables that are no gradebook's"):
        write(db, hand_in(results, ada=report()))

    assert rows(db) == {"wages": []}


def test_a_gradebook_of_an_older_nbgrader_is_upgraded_by_the_line_that_is_told(db: str, results: Path) -> None:
    write(db, hand_in(results, eve=LOST))  # tables, and nothing in them
    # As nbgrader 0.6 made it: students had no id of a learning management system, and there were no courses.
    with create_engine(db, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE student DROP COLUMN lms_user_id")
        if db.startswith("postgresql"):  # SQLite drops no column that another table is named in; its migration copes
            connection.exec_driver_sql("ALTER TABLE assignment DROP COLUMN course_id")
            connection.exec_driver_sql("DROP TABLE course")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '167914646830'")

    with pytest.raises(UsageError, match="made by an older nbgrader") as refused:
        write(db, hand_in(results, ada=report()))

    line = str(refused.value).rpartition("type: ")[2]
    assert PASSWORD not in line
    upgraded = subprocess.run(
        line.replace("***", PASSWORD), shell=True, capture_output=True, text=True, env=environment()
    )
    assert upgraded.returncode == 0, upgraded.stderr
    write(db, results)
    assert scores(db) == {"ada": 10, "eve": 0}


def test_a_gradebook_of_a_newer_nbgrader_is_left_alone(db: str, results: Path) -> None:
    write(db, hand_in(results, ada=report(idle=0)))
    with create_engine(db, poolclass=NullPool).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'abcdefabcdef'")

    with pytest.raises(UsageError, match="made by a newer nbgrader"):
        write(db, hand_in(results, ada=report()))


@pytest.mark.parametrize("missing", ["nbgrader", "sqlalchemy"])
def test_where_nbgrader_is_not_installed_the_line_that_installs_it_is_told(results: Path, missing: str) -> None:
    hand_in(results, ada=report())
    program = f"import sys; sys.modules[{missing!r}] = None; from grader.commands.main import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", program, "gradebook", "sync", str(results)], capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "nbgrader is not installed here" in done.stderr and "make setup WITH=instructor" in done.stderr


# --- nbgrader's own commands --------------------------------------------------------------------------------------


def test_nbgraders_own_export_and_formgrader_show_the_scores(db: str, results: Path, tmp_path: Path) -> None:
    write(db, hand_in(results, ada=report(), bob=report(idle=0), eve=LOST))
    course = tmp_path / "course"
    (course / "source" / "ex03").mkdir(parents=True)

    export = subprocess.run(
        [
            BIN / "nbgrader",
            "export",
            f"--db={db}",
            "--to=grades.csv",
            "--exporter=grader.notebooks.autograde.ExportVerdicts",
        ],
        capture_output=True,
        text=True,
        cwd=course,
        env=jupyter_environment(course),
    )

    assert export.returncode == 0, export.stderr
    with (course / "grades.csv").open(newline="") as file:
        exported = {
            row["student_id"]: (row["assignment"], row["score"], row["max_score"]) for row in csv.DictReader(file)
        }
    assert exported == {
        "ada": ("ex03", "10.0", "10.0"),
        "bob": ("ex03", "6.0", "10.0"),
        "eve": ("ex03", "", "10.0"),  # nbgrader's own exporter says 0.0
    }
    with formgrader(course, db) as get:
        for page in ("manage_submissions/ex03", "gradebook/ex03", "gradebook/ex03/ex03", "manage_students"):
            assert "<title>nbgrader" in get(page), page
        listed = {one["student"]: one for one in json.loads(get("api/submissions/ex03"))}
        notebook = json.loads(get("api/notebooks/ex03"))[0]
    assert {name: (one["score"], one["needs_manual_grade"]) for name, one in listed.items()} == {
        "ada": (10, False),
        "bob": (6, False),
        "eve": (0, True),
    }
    assert (notebook["name"], notebook["num_submissions"], notebook["max_score"]) == ("ex03", 3, 10)


def jupyter_environment(course: Path) -> dict[str, str]:
    """Jupyter's folders inside of the test's own; without them it reads and writes a person's."""
    names = ("HOME", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")
    return activated(**dict.fromkeys(names, str(course / "jupyter")))


@contextmanager
def formgrader(course: Path, db: str) -> Iterator[Callable[[str], str]]:
    """formgrader in a real Jupyter server, on a socket; gives what fetches one of its pages."""
    token = secrets.token_hex(16)
    (course / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.CourseDirectory.root = {str(course)!r}\nc.CourseDirectory.db_url = {db!r}\n"
    )
    with tempfile.TemporaryDirectory() as folder, (course / "log").open("w") as log:
        address = f"{folder}/socket"  # pytest's own folders are too long for a socket's name
        command = [str(BIN / "jupyter"), "server", "--no-browser", "--allow-root", f"--sock={address}"]
        with subprocess.Popen(
            [*command, f"--IdentityProvider.token={token}"], stderr=log, cwd=course, env=jupyter_environment(course)
        ) as process:

            def get(page: str) -> str:
                with closing(OnSocket(address)) as connection:
                    connection.request("GET", f"/formgrader/{page}", headers={"Authorization": f"token {token}"})
                    answer = connection.getresponse()
                    assert answer.status == 200, f"{page}: {answer.status}\n{(course / 'log').read_text()}"
                    return answer.read().decode()

            def is_up() -> bool:
                assert process.poll() is None, (course / "log").read_text()
                with suppress(FileNotFoundError, ConnectionRefusedError):
                    return '"status": true' in get("api/status")
                return False

            try:
                wait_until(is_up, "the Jupyter server")
                yield get
            finally:
                process.terminate()


class OnSocket(http.client.HTTPConnection):
    """HTTP over a socket in the file system: no port that another test could take."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost")
        self.address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.address)


def test_a_gradebook_and_a_notebook_that_nbgrader_made_show_the_comments(results: Path, tmp_path: Path) -> None:
    course, db = tmp_path / "course", f"sqlite:///{tmp_path}/gradebook.db"
    made = notebook(course / "source" / "ex03" / "ex03.ipynb")
    env = jupyter_environment(course)
    options = [f"--db={db}", f"--course-dir={course}"]
    subprocess.run(
        [BIN / "nbgrader", "generate_assignment", "ex03", *options],
        env=env,
        cwd=course,
        check=True,
        capture_output=True,
    )
    told = failure("no tags", "</pre><script>alert(1)</script>", "", "$$<img src=x>$$", "````")
    checks = [scored("idle", "Idle is free", 4, Outcome.FAILED, failure=told), scored("c10k", "Many", 6)]

    synced = write(db, hand_in(results, ada=graded(*checks)))

    assert [change.after for change in synced.changes] == ["6 of 10"]
    autograded = course / "autograded" / "ada" / "ex03" / "ex03.ipynb"
    autograded.parent.mkdir(parents=True)
    shutil.copy(made, autograded)
    feedback = subprocess.run(
        [BIN / "nbgrader", "generate_feedback", "ex03", *options], env=env, cwd=course, capture_output=True, text=True
    )
    assert feedback.returncode == 0, feedback.stderr
    page = (course / "feedback" / "ada" / "ex03" / "ex03.html").read_text()
    assert "idle: Idle is free (failed, 0 of 4)" in page
    assert "alert(1)" in page and "<script>alert(1)" not in page and "<img src=x>" not in page
    with formgrader(course, db) as get:
        submitted = json.loads(get("api/submitted_notebooks/ex03/ex03"))
        assert [(one["student"], one["score"]) for one in submitted] == [("ada", 6)]
        comments = json.loads(get(f"api/comments?submission_id={submitted[0]['id']}"))
        assert [one["name"] for one in comments] == ["solution"] and "expected: no tags" in comments[0]["auto_comment"]
        assert 'id="solution-comment"' in get(f"submissions/{submitted[0]['id']}/")
    again = subprocess.run(
        [BIN / "nbgrader", "generate_assignment", "ex03", "--force", *options], env=env, cwd=course, capture_output=True
    )
    assert again.returncode == 0, "the sync has added no cell that nbgrader's notebook does not have"
    assert scores(db) == {"ada": 6}


def notebook(file: Path) -> Path:
    """A notebook with one solution cell, and a cell for each check."""

    def cell(name: str, source: str, **more: object) -> Any:
        marks = {
            "schema_version": 3,
            "grade_id": name,
            "grade": False,
            "solution": False,
            "task": False,
            "locked": False,
        }
        return {"id": name, "cell_type": "code", "execution_count": None, "outputs": [], "source": source} | {
            "metadata": {"nbgrader": marks | more}
        }

    cells = [cell("solution", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", solution=True)]
    for name, points in (("idle", 4), ("c10k", 6)):
        cells.append(cell(f"check-{name}", f"check({name!r})", grade=True, locked=True, points=points))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))
    return file


def test_the_command_writes_into_the_current_folder_as_nbgrader_does(results: Path, tmp_path: Path) -> None:
    hand_in(results, ada=report(idle=0))

    done = subprocess.run(
        [*GRADE, "gradebook", "sync", str(results)], capture_output=True, text=True, cwd=tmp_path, env=environment()
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ex03 ada: nothing -> 6 of 10\n1 changed, 0 unchanged, in sqlite:///gradebook.db\n"
    assert scores(f"sqlite:///{tmp_path}/gradebook.db") == {"ada": 6}
