"""The commands that an instructor or an author types: what proves a course, and what carries it elsewhere. `cli` adds
them to `grade`.

The heavy imports stand in the functions that need them.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from grader.border import course_at, make_console, search_path
from grader.errors import UsageError

PASSED, SOMETHING_FAILED = 0, 1
DEFAULT_DB = "sqlite:///gradebook.db"  # as nbgrader's own commands, in the folder where they are typed


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, on standard output.")
def doctor(as_json: bool) -> NoReturn:
    """What this machine can isolate and measure, and the line that mends the rest."""
    from grader import doctor as examination

    findings = examination.examine(path=search_path())
    if as_json:
        click.echo(examination.to_json(findings))
    else:
        with make_console() as console:
            examination.show(console, findings)
    sys.exit(PASSED if all(finding.ok for finding in findings) else SOMETHING_FAILED)


@click.command()
@click.argument("exercises", nargs=-1)
@click.option("--quick", is_flag=True, help="Each wrong submission only on what it promises to fail.")
@click.option("--repeat", type=click.IntRange(1), default=1, metavar="N", help="Grade each reference N times.")
@click.option("--burn", type=click.IntRange(0), default=0, metavar="N", help="Beside N processes that burn CPU.")
@click.option("--references", is_flag=True, help="Only stubs and references.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Gradings at a time; two a processor if left out, as each waits half of its time.",
)
@click.option("--json", "json_file", type=click.Path(), metavar="FILE", help="Write the matrix; - is standard output.")
@click.option("--course", "course_dir", type=click.Path(path_type=Path), help="The folder with course.yaml.")
@click.pass_obj
def audit(
    grade: Callable[[], object],
    /,
    exercises: tuple[str, ...],
    json_file: str | None,
    course_dir: Path | None,
    **options: Any,
) -> NoReturn:
    """Prove the course: each stub, reference, right and wrong submission gets what it promises."""
    from grader.audit import Plan, prove

    course = course_at(course_dir)
    chosen = tuple(course.find(word) for word in exercises) or course.exercises
    jobs = options.pop("jobs") or 2 * len(os.sched_getaffinity(0))
    with make_console(to_stderr=json_file == "-") as console:
        plan = Plan(course=course, exercises=chosen, jobs=jobs, command=grade, **options)
        found = prove(plan, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
    if json_file == "-":
        click.echo(found.to_json())
    elif json_file:
        Path(json_file).write_text(found.to_json() + "\n", encoding="utf-8")
    sys.exit(PASSED if found.clean else SOMETHING_FAILED)


@click.command()
@click.argument("exercises", nargs=-1)
@click.option("--course", "course_dir", type=click.Path(path_type=Path), help="The folder with course.yaml.")
def stubs(exercises: tuple[str, ...], course_dir: Path | None) -> None:
    """Generate the students' stubs from the reference solutions (authors only: it replaces the stubs)."""
    from grader.stubs import stub_of

    course = course_at(course_dir)
    for exercise in tuple(course.find(word) for word in exercises) or course.exercises:
        for name in exercise.submit:
            source = (exercise.solution_dir / name).read_text(encoding="utf-8")
            stub = stub_of(source, name=f"solutions/{exercise.slug}/{name}")
            (exercise.handout_dir / name).write_text(stub, encoding="utf-8")
            click.echo(f"exercises/{exercise.slug}/{name}")


@click.command()
def schema() -> None:
    """The JSON Schema of a report."""
    from grader.report import json_schema_text

    click.echo(json_schema_text(), nl=False)


@click.group()
def gradebook() -> None:
    """Reports into the gradebook of nbgrader."""


@gradebook.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "--db", default=DEFAULT_DB, show_default=True, metavar="URL", help="SQLite, or postgresql://user@host/name."
)
@click.option("--unofficial", is_flag=True, help="Take reports that are not official, or of some checks only.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
def sync(results: Path, db: str, *, unofficial: bool, dry_run: bool) -> None:
    """Write the reports RESULTS/<student>/<name>.json into the gradebook: all of them, or nothing.

    What a person entered there stays. To do it again changes nothing.
    """
    from grader import gradebook as book
    from grader.results import read_results

    synced = book.sync(read_results(results), db, unofficial=unofficial, dry_run=dry_run)
    for line in synced.lines(db, dry_run=dry_run):
        click.echo(line)


@click.command("verify-parity")
@click.argument("exercises", nargs=-1)
@click.option(
    "--against", type=click.Path(path_type=Path), metavar="REPORT.json", help="Compare with the grading of this report."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, on standard output.")
@click.option("--course", "course_dir", type=click.Path(path_type=Path), help="The folder with course.yaml.")
def verify_parity(
    exercises: tuple[str, ...], against: Path | None, *, as_json: bool, course_dir: Path | None
) -> NoReturn:
    """What makes a verdict here and one elsewhere comparable: kit, checks, machine.

    With --against: what differs, what it means, and the command that repeats that grading here. The exit code is 0
    when the scores can be compared, 1 when not.
    """
    from grader import doctor, parity
    from grader.kit import kit_version
    from grader.report import Isolation
    from grader.results import read_report

    if against and exercises:
        raise UsageError("--against names the exercise by its report: leave the exercise out.")
    report = read_report(against) if against else None
    course = course_at(course_dir)
    if report and report.exercise not in {exercise.slug for exercise in course.exercises}:
        raise UsageError(f"{against}: this course has no exercise {report.exercise!a}. Go to the course that has it.")
    words = (report.exercise,) if report else exercises
    chosen = tuple(course.find(word) for word in words) or course.exercises
    path = search_path()
    block = parity.Block(
        kit_version=kit_version(),
        isolation=Isolation.BOXED if doctor.isolation_possible(doctor.examine(path=path)) else Isolation.BARE,
        machine=doctor.machine(path=path),
        cores=len(os.sched_getaffinity(0)),
        exercises=parity.checks_of(chosen),
    )
    said = parity.compare(block, report) if report else block
    click.echo(said.to_json() if as_json else "\n".join(said.lines()))
    sys.exit(PASSED if not isinstance(said, parity.Comparison) or said.comparable else SOMETHING_FAILED)


COMMANDS = (audit, doctor, gradebook, schema, stubs, verify_parity)
