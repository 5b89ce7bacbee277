"""Words on a command line, and exit codes: grading an exercise, and the only place that turns exceptions into text.
The other commands stand in `grader.commands`.

Exit codes: 0 everything passed · 1 graded, something failed · 2 wrong usage, course or submission · 3 no verdict.

The heavy imports stand in the functions that need them: a person sees the first line at once.
"""

import contextlib
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from grader import __version__
from grader.commands import COMMANDS
from grader.commands.course import course_option
from grader.commands.environment import course_at, make_console, path_in_repository, search_path
from grader.commands.forms import format_options, targets_of
from grader.errors import MISUSED, NO_VERDICT, PASSED, SOMETHING_FAILED, KitError, UsageError
from grader.report.formats import FORMATS, Context, render
from grader.report.output import Target, require_writable

if TYPE_CHECKING:
    from rich.console import Console

    from grader.course.load import Course, Exercise
    from grader.grading.one import Order
    from grader.report.model import Graded, Ungraded


class _ExerciseFirst(click.Group):
    """`grade ex03` is `grade exercise ex03`: the word that is typed most often is left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((word for word in args if not word.startswith("-")), None)
        if first not in self.commands and (first or not {"-h", "--help", "--version"} & set(args)):
            args = ["exercise", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:  # click would exit with 1, which says that a check failed
            raise _ReaderGone from error


class _ReaderGone(Exception):
    """Whoever reads the output has seen enough, as in `grade ex03 | head`."""


@click.group(cls=_ExerciseFirst, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="grade")
def commands() -> None:
    """Grade a concurrent server: what it answers, and how it behaves.

    \b
    grade                 the exercises, your best results, and what to type next
    grade ex03            grade exercises/ex03_epoll/
    grade ex03 --only idle --keep out
                          one check and what it needs; traces and logs in out/
    grade ex03 --help     all that can be said about one grading

    Exit codes: 0 everything passed, 1 something failed, 2 wrong usage, course or submission, 3 no verdict.
    """


for _command in COMMANDS:
    commands.add_command(_command)


@commands.command("exercise", hidden=True)
@click.argument("exercise", required=False)
@click.option("--solution", is_flag=True, help="Grade the reference solution.")
@click.option("--submission", type=click.Path(path_type=Path), help="Grade this folder, file or zip.")
@click.option("--all", "all_", is_flag=True, help="Grade every exercise and sum up.")
@click.option("--only", "only", multiple=True, metavar="CHECK", help="Only this check and what it needs. Repeatable.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Repeat a run with the seed that it printed.")
@click.option("--hidden", is_flag=True, help="With the instructor's hidden sizes.")
@format_options(name for name, form in FORMATS.items() if not form.of_class)
@click.option("--json", "json_file", type=click.Path(), metavar="FILE", help="Short for --format json --output FILE.")
@click.option("--trust", is_flag=True, help="Run without isolation: only what you would run by hand.")
@click.option("--keep", type=click.Path(path_type=Path), metavar="DIR", help="Keep traces and logs here.")
@click.option("--language", default="en", show_default=True, help="Language of titles and hints, where there is one.")
@course_option
def grade_exercise(exercise: str | None, all_: bool, course_dir: Path | None, **options: Any) -> NoReturn:
    """Grade one exercise."""
    targets = _targets(**options)
    course = course_at(course_dir, only=None if all_ else exercise)
    if exercise is None and not all_:
        _refuse_options_without_exercise(options)
        _overview(course, options["language"])
        sys.exit(PASSED)
    if all_ and (exercise or options["submission"] or options["only"] or options["json_file"]):
        raise UsageError("--all grades every exercise: leave out the exercise, --submission, --only and --json.")
    if all_ and (single := next((name for name, _ in targets if not FORMATS[name].joinable), None)):
        raise UsageError(f"--format {single} holds one report: grade one exercise at a time, without --all.")
    if options["language"] not in course.languages:
        raise UsageError(f"The course has no texts in {options['language']}: it has {', '.join(course.languages)}.")
    require_writable([target for _, target in targets])
    with make_console(to_stderr=any(target.is_stdout for _, target in targets)) as console:
        reports = [_grade_one(console, course, one, **options) for one in course.exercises]
        if all_:
            _sum_up(console, reports)
    contexts = [Context(_files(one, **options)) for one in course.exercises]
    for name, target in targets:
        target.write("".join(map(render, [name] * len(reports), reports, contexts)))
    sys.exit(max(_exit_code(report) for report in reports))


def _targets(
    *, formats: Sequence[str], outputs: Sequence[str], json_file: str | None, **_: Any
) -> list[tuple[str, Target]]:
    if json_file is not None:  # first: the others can be made of it
        formats, outputs = ("json", *formats), (json_file, *outputs)
    return targets_of(formats, outputs)


def _grade_one(console: "Console", course: "Course", exercise: "Exercise", **options: Any) -> "Graded | Ungraded":
    title = exercise.title.in_(options["language"])
    console.print(f"Grading {exercise.slug}: {title}", markup=False, highlight=False)
    from grader.grading.one import grade
    from grader.report import terminal

    order = _order(course, exercise, **options)
    scored = _Live(console, order)
    report = grade(order, scored.ready, scored.check)
    terminal.show_report(console, report)
    if report.graded and not report.partial and options["submission"] is None and not options["solution"]:
        _remember(console, course, report)
    return report


def _source(exercise: "Exercise", **options: Any) -> Path:
    """What is graded: a folder, a file or a zip."""
    own: Path = exercise.solution_dir if options["solution"] else exercise.handout_dir
    return (options["submission"] or own).absolute()


def _files(exercise: "Exercise", **options: Any) -> dict[str, str]:
    """The files that are graded, by name, with their paths in the repository."""
    source = _source(exercise, **options)
    paths = {name: source if source.is_file() else source / name for name in exercise.submit}
    found = {name: path_in_repository(path) for name, path in paths.items() if path.suffix == ".py" and path.is_file()}
    return {name: path for name, path in found.items() if path is not None}


def _order(course: "Course", exercise: "Exercise", **options: Any) -> "Order":
    from grader.doctor.examine import find_program, machine
    from grader.grading.one import Order

    if options["solution"] and options["submission"]:
        raise UsageError("--solution and --submission name two things to grade: leave one out.")
    if options["solution"] and not exercise.solution_dir.is_dir():
        raise UsageError(
            f"--solution: this copy of the course has no references ({exercise.solution_dir} is not there)."
        )
    exercise.with_needs(options["only"])  # a check that does not exist is told before anything starts
    source = _source(exercise, **options)
    own = options["submission"] is None or _is_the_courses(source, course.root)
    if options["hidden"] and exercise.hidden_sizes is None:
        raise UsageError(f"{exercise.slug} has no hidden sizes here: {exercise.checks_dir / 'hidden'} is not there.")
    keep: Path | None = options["keep"]
    if keep is not None:
        keep = keep.absolute()
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--keep {keep}: {error.strerror}. Name a folder that can be written to.") from error
    return Order(
        course=course,
        exercise=exercise,
        source=source,
        seed=random.SystemRandom().getrandbits(32) if options["seed"] is None else options["seed"],
        machine=machine(path=search_path()),
        bwrap=find_program("bwrap", path=f"/usr/bin{os.pathsep}{search_path()}"),  # AppArmor's profiles name this path
        strace=find_program("strace", path=search_path()),
        own=own,
        trust=options["trust"],
        # Other people's work is graded with what they have not seen, where the instructor has it.
        hidden=options["hidden"] or (not own and exercise.hidden_sizes is not None),
        checks=options["only"],
        language=options["language"],
        keep=keep,
    )


def _is_the_courses(source: Path, root: Path) -> bool:
    """What stands in the course: one's own work, the reference, and what is wrong or right on purpose."""
    real = source.resolve()
    return any(real.is_relative_to(root / folder) for folder in ("exercises", "solutions", "tests"))


class _Live:
    """Shows checks as they end."""

    def __init__(self, console: "Console", order: "Order") -> None:
        self._console, self._order = console, order

    def ready(self, start: Any) -> None:
        from grader.report import terminal

        if start.refused:
            whose = "This is your own work" if self._order.own and not self._order.trust else "You asked for it"
            lines = [f"NOT ISOLATED: {start.refused}.", f"{whose}, so it runs bare, and the result is not official."]
            terminal.banner(self._console, [*lines, "`grade doctor` says what is missing and the line that mends it."])
        if start.untraceable:
            lines = [f"System calls cannot be counted: {start.untraceable}. Those checks will be unmeasured."]
            terminal.banner(self._console, lines)

    def check(self, check: Any) -> None:
        from grader.report import terminal
        from grader.report.model import scored

        terminal.show_check(self._console, scored(check))


def _exit_code(report: "Graded | Ungraded") -> int:
    if not report.graded:
        return NO_VERDICT
    return PASSED if report.passed else SOMETHING_FAILED


def _sum_up(console: "Console", reports: "Sequence[Graded | Ungraded]") -> None:
    score = sum(report.score for report in reports if report.graded)
    of = sum(report.max_score for report in reports if report.graded)
    console.print(f"\nAll exercises: {score} of {of}", markup=False, highlight=False)


def _remember(console: "Console", course: "Course", report: "Graded") -> None:
    from datetime import UTC, datetime

    from grader.report import history as progress

    warning = progress.remember(course.root, report, datetime.now(UTC))
    if warning:
        console.print(warning, markup=False, highlight=False)


def _refuse_options_without_exercise(options: dict[str, Any]) -> None:
    names = ("solution", "submission", "only", "json_file", "formats", "trust", "keep")
    given = [name.removesuffix("_file").removesuffix("s") for name in names if options[name]]
    if given:
        raise UsageError(f"--{given[0]} needs an exercise: `grade ex03 ...`.")


def _overview(course: "Course", language: str) -> None:
    from grader.report import history as progress
    from grader.report import terminal

    best = progress.best(course.root)
    rows, following = [], None
    for exercise in course.exercises:
        result = best.get(exercise.slug)
        rows.append(
            terminal.OverviewRow(
                slug=exercise.slug,
                title=exercise.title.in_(language),
                points=exercise.max_score,
                score=result.score if result else None,
                measurable_score=result.measurable_score if result else None,
            )
        )
        if following is None and (result is None or result.score < result.measurable_score):
            following = exercise
    command = f"grade {following.number}" if following else "grade --all"
    with make_console() as console:
        terminal.show_overview(console, course.title.in_(language), rows, command)


# --- the end --------------------------------------------------------------------------------------------------------

# Ctrl-C, `timeout` or a cancelled job, a closed terminal, an alarm that the caller has set.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
# What a shell tells a command to ignore, it means: nohup, a script's `&`, no job control.
_LEFT_TO_THE_SHELL = {*_ENDS, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU} - {signal.SIGALRM}


def _end_in_order() -> None:
    """What ends this process is an exception from now on, and what a caller has left behind is no more."""
    from grader.box.kernel import begin_anew

    begin_anew(but=_LEFT_TO_THE_SHELL)
    for number in _ENDS:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    sys.unraisablehook = _interrupt_again


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """An interrupt that came where Python has nobody to tell, as in an import's own bookkeeping, comes once more."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # not at once: it would come in here
    else:
        sys.__unraisablehook__(lost)


def _be_uninterrupted() -> None:
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)


def _drop_output() -> None:
    """What could not be written is given up: Python tries again at its end, and exits with 120 when that fails."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> NoReturn:
    """The command `grade`."""
    if sys.platform != "linux":
        from grader.doctor.examine import NOT_LINUX

        click.echo(NOT_LINUX, err=True)
        sys.exit(NO_VERDICT)
    _end_in_order()
    try:
        _run()
    finally:
        _be_uninterrupted()  # what is left is Python's own end


def _run() -> NoReturn:
    try:
        commands(prog_name="grade", standalone_mode=False, obj=main)  # `audit` types `grade` itself
    except click.ClickException as error:
        error.show()
        sys.exit(MISUSED)
    except KitError as error:
        click.echo(f"grade: {error}", err=True)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _be_uninterrupted()
        click.echo("grade: interrupted, so there is no verdict.", err=True)  # click has ended the line of the ^C
        sys.exit(NO_VERDICT)
    except _ReaderGone:
        _drop_output()
        sys.exit(NO_VERDICT)
    except OSError as error:
        click.echo(f"grade: the machine refused: {error}. There is no verdict.", err=True)
        _drop_output()
        sys.exit(NO_VERDICT)
    except Exception as error:  # noqa: BLE001  # Python itself would exit with 1, which says that a check failed
        import traceback

        traceback.print_exc()
        click.echo(f"grade: the kit broke ({type(error).__name__}), so there is no verdict. Report it.", err=True)
        sys.exit(NO_VERDICT)
    sys.exit(PASSED)
