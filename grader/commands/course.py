"""The commands that prove a course and its machine, or make its stubs: `doctor`, `audit`, `stubs`, `schema`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from grader.border import course_at, make_console, search_path
from grader.errors import CourseError

PASSED, SOMETHING_FAILED = 0, 1


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
    from grader import audited
    from grader.audit import Plan, prove

    course = course_at(course_dir)
    chosen = tuple(course.find(word) for word in exercises) or course.exercises
    jobs = options.pop("jobs") or 2 * len(os.sched_getaffinity(0))
    with make_console(to_stderr=json_file == "-") as console:
        plan = Plan(course=course, exercises=chosen, jobs=jobs, command=grade, **options)
        found = prove(plan, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        if found.proves_all and (warning := audited.remember(course, chosen)):
            console.print(warning, markup=False, highlight=False)
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
            reference = exercise.solution_dir / name
            try:
                source = reference.read_text(encoding="utf-8")
            except FileNotFoundError as error:
                said = f"{reference}: there is no reference here; references stand in the instructor's copy."
                raise CourseError(said) from error
            stub = stub_of(source, name=f"solutions/{exercise.slug}/{name}")
            (exercise.handout_dir / name).write_text(stub, encoding="utf-8")
            click.echo(f"exercises/{exercise.slug}/{name}")


@click.command()
def schema() -> None:
    """The JSON Schema of a report."""
    from grader.report import json_schema_text

    click.echo(json_schema_text(), nl=False)
