"""The commands that an instructor or an author types: what proves a course, and what carries it elsewhere. `cli` adds
them to `grade`.

The heavy imports stand in the functions that need them.
"""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from grader.border import course_at, make_console, search_path
from grader.errors import CourseError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from grader.audit import Found
    from grader.course import Course, Exercise
    from grader.publish import Build

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
    from grader.audit import Plan, prove

    course = course_at(course_dir)
    chosen = tuple(course.find(word) for word in exercises) or course.exercises
    jobs = options.pop("jobs") or 2 * len(os.sched_getaffinity(0))
    with make_console(to_stderr=json_file == "-") as console:
        plan = Plan(course=course, exercises=chosen, jobs=jobs, command=grade, **options)
        found = prove(plan, lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True))
        _remember(console, course, chosen, found)
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


@click.command()
@click.argument("target", type=click.Choice(("folder", "classroom")))
@click.argument("exercises", nargs=-1)
@click.option(
    "--to", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new folder, or an empty one."
)
@click.option(
    "--pinned", metavar="OWNER/REPOSITORY@COMMIT", help="classroom: the published folder that a push is graded by."
)
@click.option("--no-audit", is_flag=True, help="Publish what no audit has proven; what is published says so.")
@click.option("--course", "course_dir", type=click.Path(path_type=Path), help="The folder with course.yaml.")
@click.pass_obj
def publish(
    grade: Callable[[], object],
    /,
    *,
    target: str,
    exercises: tuple[str, ...],
    to: Path,
    pinned: str | None,
    no_audit: bool,
    course_dir: Path | None,
) -> None:
    """Write what students or a platform receive: no solution, no hidden size.

    \b
    folder        a student's repository: stubs, handouts, checks, the kit
    classroom     the same, with a workflow that grades each push (GitHub Classroom)

    All exercises, when none is named. What no audit has found as it is now is audited first; what an audit finds off is
    not published.
    """
    from grader import publish as publishing

    course = course_at(course_dir)
    chosen = tuple(course.find(word) for word in exercises) or course.exercises
    build = _target(target, pinned)
    with make_console() as console:
        audited = _proven(console, grade, course, chosen, no_audit=no_audit)
        commit = publishing.publish(target, build, course, chosen, to, audited=audited)
        origin = f"commit {commit[:12]}" if commit else "files that are not all committed"
        doubt = "" if audited else "; NOT AUDITED, as you asked"
        names = ", ".join(one.number for one in chosen)
        console.print(f"{to}: {target} of {names}, from {origin}{doubt}", markup=False, highlight=False, soft_wrap=True)


def _target(target: str, pinned: str | None) -> "Build":
    if (pinned is None) == (target == "classroom"):
        raise UsageError("--pinned OWNER/REPOSITORY@COMMIT belongs to the target classroom, which needs it.")
    if pinned is not None:
        from grader.publish import classroom

        return partial(classroom.tree, pinned=pinned)
    from grader.publish import folder

    return folder.tree


def _proven(
    console: "Console", grade: Callable[[], object], course: "Course", chosen: "Sequence[Exercise]", *, no_audit: bool
) -> bool:
    """Whether these were audited as they are now; if not, and unless that was refused, they are audited here.

    Raises:
        CourseError: the audit found something off.
    """
    from grader import audited
    from grader.audit import Plan, prove

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    unproven = audited.unproven(course, chosen)
    if not unproven or no_audit:
        return not unproven
    names = ", ".join(one.number for one in unproven)
    say(f"No audit has found {names} as they are now: `grade audit --quick` runs first (--no-audit leaves it out).")
    jobs = 2 * len(os.sched_getaffinity(0))
    plan = Plan(
        course=course, exercises=unproven, jobs=jobs, command=grade, quick=True, references=False, repeat=1, burn=0
    )
    found = prove(plan, say)
    if not found.clean:
        raise CourseError(
            "The audit found what stands above under OFF: nothing was published. Mend it, or publish with --no-audit."
        )
    _remember(console, course, unproven, found)
    return True


def _remember(console: "Console", course: "Course", exercises: "Sequence[Exercise]", found: "Found") -> None:
    """Write a clean audit down, if it measured all and not the references alone."""
    from grader import audited

    if found.proves_all and (warning := audited.remember(course, exercises)):
        console.print(warning, markup=False, highlight=False)


COMMANDS = (audit, doctor, publish, schema, stubs)
