"""`grade class`: a class's work, from what was handed in to a folder of reports."""

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from grader.commands.course import course_option
from grader.commands.environment import course_at, find_tools, owning_what_runs_below, this_machine
from grader.errors import NO_VERDICT, PASSED
from grader.report.output import Target, require_writable

if TYPE_CHECKING:
    from grader.batch.worklist import Found, Item
    from grader.report.model import Report

_AGAIN = {"refused": ("refused", "absent"), "ungraded": ("ungraded",), "changed": ("changed",)}
_SECRET = ".grade/class-secret"  # a path


@click.group("class")
def class_() -> None:
    """Grade a class: everybody's work, on several slots, and go on where it ended."""


@class_.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "platform",
    type=click.Choice(["moodle", "canvas", "classroom", "nbgrader", "folders"]),
    help="Whose export it is.",
)
@click.option("--map", "pattern", metavar="REGEX", help="Of other paths: groups (?P<name>...) and (?P<file>...).")
@click.option("--roster", required=True, type=click.Path(path_type=Path), metavar="CSV", help="Who is in the class.")
@click.option(
    "--to", "submissions", required=True, type=click.Path(path_type=Path), metavar="DIR", help="A new folder."
)
def collect(*, source: Path, platform: str | None, pattern: str | None, roster: Path, submissions: Path) -> None:
    """Sort SOURCE, a platform's export (a zip or a folder), into a folder for each student.

    Work of nobody in the roster is kept in DIR/_unknown. Where each file came from: DIR/collected.json.
    """
    from grader.batch.intake import collect_class
    from grader.batch.layouts import Layout
    from grader.batch.roster import read_roster

    if (platform is None) == (pattern is None):
        raise click.UsageError("Name one of --from and --map.")
    layout = Layout(pattern) if pattern is not None else Layout.of(platform or "")
    intake = collect_class(source, layout, read_roster(roster), submissions)
    click.echo(f"{len(intake.taken)} students' work is in {submissions}.")
    for words, names in (
        ("handed in nothing", intake.missing),
        ("kept in _unknown", intake.unknown),
        ("older, not taken", intake.older),
        ("left out", intake.left_out),
    ):
        if names:
            click.echo("\n".join([f"{len(names)} {words}:", *(f"  {name}" for name in names)]))


def _places(command: Callable[..., object]) -> Callable[..., object]:
    """SUBMISSIONS, --to and EXERCISES, as each of these commands has them."""
    submissions = click.argument("submissions", type=click.Path(path_type=Path))
    exercises = click.argument("exercises", nargs=-1)
    results = click.option(
        "--to", "results", required=True, type=click.Path(path_type=Path), metavar="DIR", help="The folder of reports."
    )
    return submissions(exercises(results(course_option(command))))


@class_.command()
@_places
@click.option("--jobs", type=click.IntRange(1, 64), help="Gradings at a time. [default: one for each core]")
@click.option(
    "--again",
    multiple=True,
    type=click.Choice([*_AGAIN, "all"]),
    help="Also what is refused, ungraded, or graded from other files or by other checks. Repeatable.",
)
@click.option(
    "--seed-by",
    type=click.Choice(["student", "chance"]),
    default="student",
    show_default=True,
    help="The same seed whenever a student is graded again, or a new one each time.",
)
@click.option("--language", default="en", show_default=True, help="Language of titles and hints, where there is one.")
@click.option("--quiet", is_flag=True, help="Say how it ended, and nothing on the way.")
@click.option("--json", "json_file", type=click.Path(), metavar="FILE", help="What each report says, as JSON.")
def run(
    *,
    submissions: Path,
    exercises: tuple[str, ...],
    results: Path,
    course_dir: Path | None,
    jobs: int | None,
    again: tuple[str, ...],
    seed_by: str,
    language: str,
    quiet: bool,
    json_file: str | None,
) -> NoReturn:
    """Grade SUBMISSIONS/<student> in the EXERCISES (all of the course), a report each: RESULTS/<student>/ex01.json.

    What has a report is done. Whatever ends this command, type it again: it goes on, and nothing is graded twice.
    The exit code is 3 when somebody is left without a verdict, else 0.
    """
    from grader.batch.running import Plan, writing_to
    from grader.batch.running import run as run_all
    from grader.batch.worklist import Seeds, Standing, items_of, look, remove_halves, wanted

    targets = [] if json_file is None else [Target(json_file)]
    require_writable(targets)
    course = course_at(course_dir)
    items = items_of(submissions, results, course.choose(exercises))
    plan = Plan(
        course=course,
        machine=this_machine(),
        tools=find_tools(),
        jobs=jobs or len(os.sched_getaffinity(0)),
        seeds=Seeds(course.root / _SECRET) if seed_by == "student" else None,
        language=language,
    )
    words = [word for choice in again for word in (_AGAIN.get(choice) or [one.value for one in Standing])]
    with writing_to(results), owning_what_runs_below():
        remove_halves(results)
        found = [look(item) for item in items]
        todo = wanted(found, {Standing(word) for word in words})
        progress = _Progress(len(todo), quiet=quiet)
        progress.begin(len(items), plan.jobs)
        run_all(todo, plan, progress.end)
        found = [look(item) for item in items]
    for target in targets:
        target.write(_as_json(found))
    for line in _summary(found):
        click.echo(line, err=json_file == "-")
    sys.exit(NO_VERDICT if any(one.standing is Standing.UNGRADED for one in found) else PASSED)


@class_.command()
@_places
@click.option("--json", "json_file", type=click.Path(), metavar="FILE", help="The same as JSON.")
def status(
    *, submissions: Path, exercises: tuple[str, ...], results: Path, course_dir: Path | None, json_file: str | None
) -> None:
    """How far the gradings of a class have come, and who waits for what."""
    from grader.batch.worklist import items_of, look

    found = [look(item) for item in items_of(submissions, results, course_at(course_dir).choose(exercises))]
    if json_file is not None:
        Target(json_file).write(_as_json(found))
    for line in _summary(found):
        click.echo(line, err=json_file == "-")


class _Progress:
    """A line for each grading that has ended, with how many are left and for how long at this rate."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total, self._quiet = total, quiet
        self._ended = 0
        self._begun_s = time.monotonic()

    def begin(self, items: int, jobs: int) -> None:
        if not self._quiet:
            click.echo(f"{items - self._total} of {items} are done. Grading {self._total}, {jobs} at a time.")

    def end(self, item: "Item", report: "Report") -> None:
        self._ended += 1
        if self._quiet:
            return
        spent_s = time.monotonic() - self._begun_s
        left_s = spent_s / self._ended * (self._total - self._ended)
        rate = f"{60 * self._ended / spent_s:.1f} a minute" if spent_s else ""
        left = f", {_duration(left_s)} left" if self._ended < self._total else ""
        click.echo(
            f"[{self._ended}/{self._total}] {item.student} {item.exercise.number}: {_told(report)} ({rate}{left})"
        )


def _told(report: "Report") -> str:
    from grader.report.model import Graded, Refused

    match report:
        case Graded():
            return f"{report.score} of {report.max_score}"
        case Refused():
            return f"refused. {report.reason}"
    return f"no verdict. {report.reason}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


_WORDS = {
    "new": "without a report: `grade class run` grades them",
    "changed": "graded from other files, by other checks or another kit: `--again changed` grades them anew",
    "ungraded": "without a verdict: `--again ungraded` tries again",
    "refused": "refused, and waiting for a person",
    "absent": "with nothing handed in",
}


def _summary(found: "Sequence[Found]") -> Sequence[str]:
    """How many have come how far; behind each kind that waits for somebody, who."""
    from grader.batch.worklist import Standing

    counts = Counter(one.standing for one in found)
    unofficial = [one for one in found if one.standing is Standing.GRADED and one.report and not one.report.official]
    lines = [f"{counts[Standing.GRADED]} of {len(found)} graded."]
    if unofficial:
        lines += [f"{len(unofficial)} of them not official:", *_who(unofficial)]
    for standing, words in _WORDS.items():
        waiting = [one for one in found if one.standing is Standing(standing)]
        if waiting:
            lines += [f"{len(waiting)} {words}:", *_who(waiting)]
    return lines


def _who(found: "Sequence[Found]") -> Sequence[str]:
    from grader.report.model import Graded

    return [
        f"  {one.item.student} {one.item.exercise.number}"
        + ("" if one.report is None or isinstance(one.report, Graded) else f": {one.report.reason}")
        for one in found
    ]


def _as_json(found: "Sequence[Found]") -> str:
    import json

    from grader.report.model import Graded

    rows = [
        {
            "student": one.item.student,
            "exercise": one.item.exercise.slug,
            "standing": str(one.standing),
            "score": one.report.score if isinstance(one.report, Graded) else None,
            "max_score": one.report.max_score if isinstance(one.report, Graded) else None,
            "reason": "" if one.report is None or isinstance(one.report, Graded) else one.report.reason,
            "report": str(one.item.file) if one.report else None,
        }
        for one in found
    ]
    return json.dumps(rows, ensure_ascii=False, indent=2) + "\n"
