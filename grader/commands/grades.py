"""What becomes of reports: `grade gradebook sync`; and `grade verify-parity`: whether two can be compared."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from grader.commands.course import course_option
from grader.commands.environment import course_at
from grader.commands.submissions import students_who_handed_in, submissions_option
from grader.doctor.programs import search_path
from grader.errors import PASSED, SOMETHING_FAILED, UsageError

_DEFAULT_DB = "sqlite:///gradebook.db"  # as nbgrader's own commands, in the folder where they are typed


@click.group()
def gradebook() -> None:
    """Reports into the gradebook of nbgrader."""


@gradebook.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--db", default=_DEFAULT_DB, show_default=True, metavar="URL", help="SQLite, or postgresql://user@host/name."
)
@click.option("--unofficial", is_flag=True, help="Take reports that are not official, or of some checks only.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@submissions_option
@course_option
def sync(
    results: Path, db: str, *, unofficial: bool, dry_run: bool, submissions: Path | None, course_dir: Path | None
) -> None:
    """Write the reports RESULTS/<student>/<name>.json into the gradebook: all of them, or nothing.

    What a person entered there stays. To do it again changes nothing.
    """
    from grader.notebooks import gradebook as book
    from grader.report.folder import read_results, students_in

    found = read_results(results)
    students = {*students_in(results), *students_who_handed_in(found, submissions, course_dir)}
    synced = book.sync(found, db, students=students, unofficial=unofficial, dry_run=dry_run)
    for line in synced.lines(db, dry_run=dry_run):
        click.echo(line)


@click.command("verify-parity")
@click.argument("exercises", nargs=-1)
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="REPORT.json", help="Compare with the grading of this report."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, on standard output.")
@course_option
def verify_parity(
    exercises: tuple[str, ...], against: Path | None, *, as_json: bool, course_dir: Path | None
) -> NoReturn:
    """What makes a verdict here and one elsewhere comparable: kit, checks, machine.

    With --against: what differs, what it means, and the command that repeats that grading here. The exit code is 0
    when the scores can be compared, 1 when not.
    """
    from grader.doctor.examine import examine
    from grader.doctor.finding import isolation_possible
    from grader.doctor.machine import machine
    from grader.report import compare as parity
    from grader.report.folder import read_report
    from grader.report.model import Isolation
    from grader.versions import kit_version

    if against and exercises:
        raise UsageError("--against names the exercise by its report: leave the exercise out.")
    report = read_report(against) if against else None
    course = course_at(course_dir)
    if report and report.exercise not in {exercise.slug for exercise in course.exercises}:
        raise UsageError(f"{against}: this course has no exercise {report.exercise!a}. Go to the course that has it.")
    chosen = course.choose((report.exercise,) if report else exercises)
    path = search_path()
    block = parity.Block(
        kit_version=kit_version(),
        isolation=Isolation.BOXED if isolation_possible(examine(path=path)) else Isolation.BARE,
        machine=machine(path=path),
        cores=len(os.sched_getaffinity(0)),
        exercises=parity.checks_of(chosen),
    )
    said = parity.compare(block, report) if report else block
    click.echo(said.to_json() if as_json else "\n".join(said.lines()))
    sys.exit(PASSED if not isinstance(said, parity.Comparison) or said.comparable else SOMETHING_FAILED)
