"""The commands that prove a course and its machine, or make exercises: `doctor`, `audit`, `new`, `stubs`, `schema`."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from grader.commands.environment import (
    course_at,
    find_tools,
    make_console,
    owning_what_runs_below,
    this_machine,
)
from grader.doctor.programs import search_path
from grader.errors import PASSED, SOMETHING_FAILED, CourseError
from grader.report.output import Target, require_writable

if TYPE_CHECKING:
    from grader.course.model import Course, Exercise
    from grader.prove.audit import Extent, Found

course_option = click.option(
    "--course", "course_dir", type=click.Path(path_type=Path), help="The folder with course.yaml."
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON, on standard output.")
def doctor(as_json: bool) -> NoReturn:
    """What this machine can isolate and measure, and the line that mends the rest."""
    from grader.doctor.examine import examine
    from grader.doctor.finding import to_json
    from grader.doctor.screen import show

    findings = examine(path=search_path())
    if as_json:
        click.echo(to_json(findings))
    else:
        with make_console() as console:
            show(console, findings)
    sys.exit(PASSED if all(finding.ok for finding in findings) else SOMETHING_FAILED)


@click.command()
@click.argument("exercises", nargs=-1)
@click.option("--quick", is_flag=True, help="Each wrong submission only on what it promises to fail.")
@click.option("--repeat", type=click.IntRange(1), default=1, metavar="N", help="Grade each reference N times.")
@click.option("--burn", type=click.IntRange(0), default=0, metavar="N", help="Beside N processes that burn CPU.")
@click.option("--measure", is_flag=True, help="Print each figure of exercise.yaml beside what was measured.")
@click.option("--references", is_flag=True, help="Only stubs and references.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Gradings at a time; two a processor if left out, as each waits half of its time.",
)
@click.option("--json", "json_file", type=click.Path(), metavar="FILE", help="Write the matrix; - is standard output.")
@course_option
def audit(
    *,
    exercises: tuple[str, ...],
    quick: bool,
    repeat: int,
    burn: int,
    measure: bool,
    references: bool,
    jobs: int | None,
    json_file: str | None,
    course_dir: Path | None,
) -> NoReturn:
    """Prove the course: each stub, reference, right and wrong submission gets what it promises."""
    from grader.prove.audit import Extent

    targets = [] if json_file is None else [Target(json_file)]
    require_writable(targets)
    course = course_at(course_dir)
    extent = Extent(quick=quick, references=references, repeat=repeat, burn=burn, measure=measure)
    with make_console(to_stderr=json_file == "-") as console:

        def say(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        found = run_audit(course, course.choose(exercises), extent, say, jobs=jobs)
    for target in targets:
        target.write(found.to_json() + "\n")
    sys.exit(PASSED if found.clean else SOMETHING_FAILED)


def run_audit(
    course: "Course",
    exercises: "Sequence[Exercise]",
    extent: "Extent",
    report_line: Callable[[str], None],
    *,
    jobs: int | None = None,
) -> "Found":
    """Audit these, report what is found as it is found, and remember what was proven."""
    from grader.prove import remembered
    from grader.prove.audit import Plan, prove

    plan = Plan(
        course=course,
        exercises=tuple(exercises),
        extent=extent,
        jobs=jobs or 2 * len(os.sched_getaffinity(0)),
        tools=find_tools(),
        machine=this_machine(),
    )
    with owning_what_runs_below():
        found = prove(plan, report_line)
    if found.proves_all and (warning := remembered.remember(course, exercises)):
        report_line(warning)
    return found


@click.command()
@click.argument("exercises", nargs=-1)
@course_option
def stubs(exercises: tuple[str, ...], course_dir: Path | None) -> None:
    """Generate the students' stubs from the reference solutions (authors only: it replaces the stubs)."""
    from grader.course.stubs import read_text, stub_of

    course = course_at(course_dir)
    for exercise in course.choose(exercises):
        if not exercise.solution_dir.is_dir():
            raise CourseError(f"{exercise.solution_dir}: no reference here; references stand in the instructor's copy.")
        for name in exercise.submit:
            stub = stub_of(read_text(exercise.solution_dir / name), name=f"solutions/{exercise.slug}/{name}")
            (exercise.handout_dir / name).write_text(stub, encoding="utf-8")
            click.echo(f"exercises/{exercise.slug}/{name}")


@click.command()
@click.argument("name")
@course_option
def new(name: str, course_dir: Path | None) -> None:
    """Begin an exercise, such as ex20_tee: a small one that passes the audit as it is (authors only).

    A handout, exercise.yaml, a reference and its stub, checks, and submissions that are right and wrong on purpose are
    written, and the exercise is listed in course.yaml. Change them one by one; `grade audit` tells what does not agree.
    """
    from grader.course.beginning import begin_exercise

    for written in begin_exercise(course_at(course_dir), name):
        click.echo(written)
    click.echo(f"Next: grade audit {name.partition('_')[0]}")


@click.command()
def schema() -> None:
    """The JSON Schema of a report."""
    from grader.report.model import json_schema_text

    click.echo(json_schema_text(), nl=False)
