"""The commands that an instructor or an author types: what proves a course, and what carries it elsewhere. `cli` adds
them to `grade`.

The heavy imports stand in the functions that need them.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from grader.border import course_at, make_console, search_path
from grader.errors import UsageError
from grader.formats import FORMATS, Roster, Sheet, render, render_class
from grader.outputs import Target, require_writable

PASSED, SOMETHING_FAILED = 0, 1

_Command = TypeVar("_Command", bound=Callable[..., Any])


def format_options(names: Iterable[str]) -> Callable[[_Command], _Command]:
    """--format and --output, for a command that writes reports in these forms."""
    known = click.Choice(tuple(names))
    what = "Write this form; with --output, in pairs: " + ", ".join(known.choices) + "."

    def add(command: _Command) -> _Command:
        output = click.option("--output", "outputs", multiple=True, metavar="FILE", help=_OUTPUT)
        return click.option("--format", "formats", multiple=True, metavar="NAME", type=known, help=what)(
            output(command)
        )

    return add


_OUTPUT = "Where the form goes; - is standard output."


def targets_of(formats: Sequence[str], outputs: Sequence[str]) -> list[tuple[str, Target]]:
    """Each form with the place that it goes to.

    Raises:
        UsageError: they are not in pairs.
    """
    if len(formats) != len(outputs):
        raise UsageError(
            f"--format is given {len(formats)} times and --output {len(outputs)} times: write them in pairs, "
            "--format NAME --output FILE."
        )
    return [(name, Target(file, appends=FORMATS[name].appends)) for name, file in zip(formats, outputs, strict=True)]


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


_FORMS = "\b\nForms:\n" + "\n".join(f"  {name:<16}{form.purpose}" for name, form in FORMATS.items())


@click.command(epilog=_FORMS)
@click.argument("results", required=False, metavar="RESULTS", type=click.Path(path_type=Path))
@format_options(FORMATS)
@click.option("--exercise", metavar="NAME", help="Only the grades of this exercise (canvas, moodle).")
@click.option("--roster", type=click.Path(path_type=Path), metavar="FILE", help="Canvas's own export (canvas).")
@click.option("--unofficial", is_flag=True, help="Also grades that are not official (canvas, moodle).")
def convert(results: Path | None, formats: tuple[str, ...], outputs: tuple[str, ...], **options: Any) -> NoReturn:
    """Reports that are made already, in other tools' forms.

    RESULTS is a report's file; for canvas and moodle the folder of a class, with
    RESULTS/STUDENT/ANYTHING.json. Who is left out of what is written is told, with
    the reason, and the exit code is 1.
    """
    targets = targets_of(formats, outputs)
    if results is None:
        raise UsageError("There is nothing to convert: name a report's file, or a class's folder.")
    if not targets:
        raise UsageError("There is nothing to write: add --format NAME --output FILE.")
    of_class = results.is_dir()
    for name, _ in targets:
        if FORMATS[name].of_class != of_class:
            wanted = (
                "a class's folder, with a folder for each student" if FORMATS[name].of_class else "one report's file"
            )
            raise UsageError(f"--format {name} is made of {wanted}, and {results} is none.")
        if options["roster"] and name != "canvas":
            raise UsageError("--roster is Canvas's own export: it goes with --format canvas alone.")
    require_writable([target for _, target in targets])
    if of_class:
        sheets = _convert_class(results, targets, **options)
        for said in dict.fromkeys(said for sheet in sheets for said in (*sheet.left_out, *sheet.notes)):
            click.echo(said, err=True)
        sys.exit(SOMETHING_FAILED if any(sheet.left_out for sheet in sheets) else PASSED)
    if options["exercise"] or options["unofficial"]:
        raise UsageError("--exercise and --unofficial choose grades of a class: they go with canvas and moodle.")
    _convert_report(results, targets)
    sys.exit(PASSED)


def _convert_report(file: Path, targets: Sequence[tuple[str, Target]]) -> None:
    from grader.results import read_report

    report = read_report(file)
    for name, target in targets:
        target.write(render(name, report))


def _convert_class(
    folder: Path,
    targets: Sequence[tuple[str, Target]],
    *,
    exercise: str | None,
    roster: Path | None,
    unofficial: bool,
) -> Sequence[Sheet]:
    from grader.results import read_results

    found = [result for result in read_results(folder) if _is_of(result.report.exercise, exercise)]
    if not found:
        raise UsageError(f"{folder}: no report on {exercise} here. Name the exercise as its reports do.")
    listed = None if roster is None else Roster(str(roster), _text_of(roster))
    sheets = [render_class(name, found, unofficial=unofficial, roster=listed) for name, _ in targets]
    for (_, target), sheet in zip(targets, sheets, strict=True):
        target.write(sheet.text)
    return sheets


def _is_of(slug: str, wanted: str | None) -> bool:
    return wanted is None or wanted in (slug, slug.partition("_")[0])


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}. Name a file that can.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: this is not UTF-8. Export it again.") from error


COMMANDS = (audit, convert, doctor, schema, stubs)
