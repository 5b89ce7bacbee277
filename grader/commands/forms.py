"""`grade convert`, and the words that every command with forms understands: --format and --output, in pairs."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from grader.commands.course import course_option
from grader.commands.submissions import students_who_handed_in, submissions_option
from grader.errors import PASSED, SOMETHING_FAILED, UsageError
from grader.report.formats import FORMATS, Roster, Sheet, render, render_class
from grader.report.output import Target, require_writable

_Command = TypeVar("_Command", bound=Callable[..., Any])


def format_options(names: Iterable[str]) -> Callable[[_Command], _Command]:
    """--format and --output, for a command that writes reports in these forms."""
    known = click.Choice(tuple(names))
    what = "Write this form; with --output, in pairs: " + ", ".join(known.choices) + "."

    def add(command: _Command) -> _Command:
        output = click.option(
            "--output", "outputs", multiple=True, metavar="FILE", help="Where the form goes; - is standard output."
        )
        return click.option("--format", "formats", multiple=True, metavar="NAME", type=known, help=what)(
            output(command)
        )

    return add


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


def files_first(targets: Sequence[tuple[str, Target]]) -> list[tuple[str, Target]]:
    """In the order to write them: files are there even if whoever read standard output has gone."""
    return sorted(targets, key=lambda pair: pair[1].is_stdout)


_FORMS = "\b\nForms:\n" + "\n".join(f"  {name:<16}{form.purpose}" for name, form in FORMATS.items())


@click.command(epilog=_FORMS)
@click.argument("results", required=False, metavar="RESULTS", type=click.Path(path_type=Path))
@format_options(FORMATS)
@click.option("--exercise", metavar="NAME", help="Only the grades of this exercise (canvas, moodle).")
@click.option("--roster", type=click.Path(path_type=Path), metavar="FILE", help="Canvas's own export (canvas).")
@click.option("--unofficial", is_flag=True, help="Also grades that are not official (canvas, moodle).")
@submissions_option
@course_option
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
    if any(options.values()):
        given = next(name for name, value in options.items() if value)
        said = "--exercise, --unofficial, --submissions and --course are about a class: they go with canvas and moodle."
        raise UsageError(f"{said} Leave out --{given.removesuffix('_dir')}.")
    _convert_report(results, targets)
    sys.exit(PASSED)


def _convert_report(file: Path, targets: Sequence[tuple[str, Target]]) -> None:
    from grader.report.folder import read_report

    report = read_report(file)
    for name, target in files_first(targets):
        target.write(render(name, report))


def _convert_class(
    folder: Path,
    targets: Sequence[tuple[str, Target]],
    *,
    exercise: str | None,
    roster: Path | None,
    unofficial: bool,
    submissions: Path | None,
    course_dir: Path | None,
) -> Sequence[Sheet]:
    from grader.report.folder import absent_from, read_results, students_in

    results = read_results(folder)
    found = [result for result in results if _is_of(result.report.exercise, exercise)]
    if not found:
        raise UsageError(f"{folder}: no report on {exercise} here. Name the exercise as its reports do.")
    everybody = {*students_in(folder), *students_who_handed_in(found, submissions, course_dir)}
    listed = None if roster is None else Roster(str(roster), _text_of(roster))
    sheets = [render_class(name, found, unofficial=unofficial, roster=listed) for name, _ in targets]
    for (_, target), sheet in zip(targets, sheets, strict=True):
        target.write(sheet.text)
    nobody = sorted(everybody - {result.student for result in results})
    left_out = [f"{student}: no report. Nothing was handed in, or it was not graded." for student in nobody]
    elsewhere = absent_from(found, {result.student for result in results})
    notes = [f"{student}, {slug}: no report." for slug, students in elsewhere.items() for student in students]
    return [replace(one, left_out=[*one.left_out, *left_out], notes=[*one.notes, *notes]) for one in sheets]


def _is_of(slug: str, wanted: str | None) -> bool:
    return wanted is None or wanted in (slug, slug.partition("_")[0])


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}. Name a file that can.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: this is not UTF-8. Export it again.") from error
