"""`grade ex03`: grading an exercise, on a screen and in any form.

The judge starts before what this process needs itself is imported: both take their time side by side.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from grader.commands.course import course_option
from grader.commands.environment import (
    course_at,
    find_tools,
    make_console,
    owning_what_runs_below,
    path_in_repository,
    this_machine,
)
from grader.commands.forms import files_first, format_options, targets_of
from grader.commands.student import show_overview
from grader.errors import MISUSED, NO_VERDICT, PASSED, SOMETHING_FAILED, SubmissionError, UsageError
from grader.report.formats import FORMATS, Context, render
from grader.report.output import require_writable

if TYPE_CHECKING:
    from rich.console import Console

    from grader.course.model import Course, Exercise
    from grader.grading.one import Start
    from grader.grading.order import Order
    from grader.grading.slot import Slots
    from grader.report.model import Check, Graded, Machine, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What was typed, besides the exercise and where the reports go."""

    solution: bool
    submission: Path | None
    all_: bool
    only: tuple[str, ...]
    seed: int | None
    hidden: bool
    trust: bool
    keep: Path | None
    language: str

    @property
    def own_work(self) -> bool:
        return self.submission is None and not self.solution

    def source(self, exercise: "Exercise") -> Path:
        """What is graded: a folder, a file or a zip."""
        if self.submission is not None:
            return Path(os.path.realpath(self.submission))  # a link that a person typed is meant; one inside is not
        return exercise.solution_dir if self.solution else exercise.handout_dir


@click.command("exercise", hidden=True)
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
def grade_exercise(
    *,
    exercise: str | None,
    all_: bool,
    course_dir: Path | None,
    solution: bool,
    submission: Path | None,
    only: tuple[str, ...],
    seed: int | None,
    hidden: bool,
    formats: tuple[str, ...],
    outputs: tuple[str, ...],
    json_file: str | None,
    trust: bool,
    keep: Path | None,
    language: str,
) -> NoReturn:
    """Grade one exercise."""
    if json_file is not None:  # first: the others can be made of it
        formats, outputs = ("json", *formats), (json_file, *outputs)
    targets = targets_of(formats, outputs)
    if exercise is None and not all_:
        course = course_at(course_dir)
        given = {"solution": solution, "submission": submission, "only": only, "json": json_file}
        _refuse_without_exercise({**given, "format": formats, "trust": trust, "keep": keep})
        show_overview(course, language)
        sys.exit(PASSED)
    if all_ and (exercise or submission or only or json_file):
        raise UsageError("--all grades every exercise: leave out the exercise, --submission, --only and --json.")
    if all_ and (single := next((name for name, _ in targets if not FORMATS[name].joinable), None)):
        raise UsageError(f"--format {single} holds one report: grade one exercise at a time, without --all.")
    if solution and submission:
        raise UsageError("--solution and --submission name two things to grade: leave one out.")
    wish = _Wish(
        solution=solution,
        submission=submission,
        all_=all_,
        only=only,
        seed=seed,
        hidden=hidden,
        trust=trust,
        keep=keep,
        language=language,
    )
    with _slots(trust=trust) as slots:
        course = course_at(course_dir, only=None if all_ else exercise)
        require_writable([target for _, target in targets])
        to_stderr = any(target.is_stdout for _, target in targets)
        with make_console(to_stderr=to_stderr, may_lose_reader=bool(targets)) as console:
            machine: Machine | None = None
            reports = []
            for one in course.exercises:
                title = one.title.in_(language)
                console.print(f"Grading {one.slug}: {title}", markup=False, highlight=False)
                machine = machine or this_machine()
                reports.append(_grade_one(console, _order(course, one, machine, wish), slots, wish))
            if all_:
                _sum_up(console, reports)
    contexts = [Context(_files(one, wish)) for one in course.exercises]
    for name, target in files_first(targets):
        target.write("".join(map(render, [name] * len(reports), reports, contexts)))
    sys.exit(max(_exit_code(report) for report in reports))


@contextlib.contextmanager
def _slots(*, trust: bool) -> "Iterator[Slots]":
    """A slot that starts now, while its first job is still unknown."""
    from grader.grading.slot import BEST_LEVEL, TRUSTED_LEVEL, Slots

    with owning_what_runs_below(), Slots(find_tools()) as slots:
        slots.get(TRUSTED_LEVEL if trust else BEST_LEVEL)
        yield slots


def _order(course: "Course", exercise: "Exercise", machine: "Machine", wish: _Wish) -> "Order":
    from grader.grading.names import shown_name
    from grader.grading.order import Order

    if wish.solution and not exercise.solution_dir.is_dir():
        raise UsageError(
            f"--solution: this copy of the course has no references ({exercise.solution_dir} is not there)."
        )
    return Order.of(
        course,
        exercise,
        wish.source(exercise),
        machine,
        own=True if wish.submission is None else None,
        trust=wish.trust,
        hidden=True if wish.hidden else None,
        checks=wish.only,
        seed=wish.seed,
        language=wish.language,
        keep=wish.keep and (wish.keep / exercise.slug if wish.all_ else wish.keep),  # checks are called alike
        called="" if wish.submission is None else shown_name(str(wish.submission)),
    )


def _grade_one(console: "Console", order: "Order", slots: "Slots", wish: _Wish) -> "Report":
    from grader.grading.one import grade
    from grader.report import terminal

    live = _Live(console, order)
    report = grade(order, slots, live.ready, live.check)
    terminal.show_report(console, report)
    if report.graded and not report.partial and wish.own_work:
        _remember(console, order.course, report)
    return report


def _files(exercise: "Exercise", wish: _Wish) -> dict[str, str]:
    """The files that are graded, by name, with their paths in the repository."""
    from grader.grading.finding import find

    source = wish.source(exercise)
    if wish.submission is not None:
        with contextlib.suppress(SubmissionError):  # it is refused, and told
            source = find(source, exercise.submit, exercise.slug)
    paths = {name: source if _is_file(source) else source / name for name in exercise.submit}
    found = {name: path_in_repository(path) for name, path in paths.items() if path.suffix == ".py" and _is_file(path)}
    return {name: path for name, path in found.items() if path is not None}


def _is_file(path: Path) -> bool:
    """Whether there is a file, as far as we may look."""
    try:
        return path.is_file()
    except OSError:  # a folder that is closed to us, a name that is too long
        return False


class _Live:
    """Shows checks as they end."""

    def __init__(self, console: "Console", order: "Order") -> None:
        self._console, self._order = console, order

    def ready(self, start: "Start") -> None:
        from grader.report import terminal

        if start.taken:
            self._console.print(f"Graded: {start.taken}", markup=False, highlight=False)
        asked = self._order.trust or not self._order.own
        terminal.show_start(self._console, refused=start.refused, untraceable=start.untraceable, asked=asked)

    def check(self, check: "Check") -> None:
        from grader.report import terminal
        from grader.report.model import scored

        terminal.show_check(self._console, scored(check), self._order.language)


def _exit_code(report: "Report") -> int:
    from grader.report.model import Graded, Refused

    if isinstance(report, Graded):
        return PASSED if report.passed else SOMETHING_FAILED
    return MISUSED if isinstance(report, Refused) else NO_VERDICT


def _sum_up(console: "Console", reports: "Sequence[Report]") -> None:
    score = sum(report.score for report in reports if report.graded)
    of = sum(report.max_score for report in reports if report.graded)
    console.print(f"\nAll exercises: {score} of {of}", markup=False, highlight=False)


def _remember(console: "Console", course: "Course", report: "Graded") -> None:
    from datetime import UTC, datetime

    from grader.report import history

    warning = history.remember(course.root, report, datetime.now(UTC))
    if warning:
        console.print(warning, markup=False, highlight=False)


def _refuse_without_exercise(options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value]
    if given:
        raise UsageError(f"--{given[0]} needs an exercise: `grade ex03 ...`.")
