"""What a platform's entry point runs, on the platform, once for each submission: it finds the files that were handed
in, has them graded, and leaves an answer that the platform can read, however that ended. Knows what each platform makes
of an answer without a score; knows nothing of how a report becomes one (`grader.report.formats`).

A submission that is refused has a report like any other. Whatever else breaks has none, and must not be read as a zero:

* Gradescope calls a run without any score a failed autograder, and tells the instructor (docs/specs.md and
  docs/submission_metadata.md of gradescope/autograder_samples, `autograder_error`).
* PrairieLearn takes `gradable: false` without a score for no attempt at all (docs/externalGrading.md), if the container
  ended with 0 (apps/prairielearn/src/lib/externalGraderLocal.ts of PrairieLearn/PrairieLearn).
* Autolab makes a zero of a last line that it cannot read, and keeps a score that is null as no score (saveAutograde in
  app/helpers/assessment_autograde_core.rb of autolab/Autolab). Its parser writes quotes around each word before a
  colon, inside of texts too, so the line holds no text.
"""

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import click

from grader.course.load import load_course
from grader.course.model import Course, Exercise
from grader.doctor.machine import machine
from grader.doctor.programs import search_path
from grader.errors import CourseError, GraderError, KitError
from grader.grading.one import Start, grade
from grader.grading.order import Order
from grader.grading.slot import Slots, Tools
from grader.report import terminal
from grader.report.formats import render
from grader.report.model import Check, Report, scored
from grader.report.output import STDOUT, Target
from grader.safe_text import safe_text
from grader.start import open_streams

PLATFORMS = ("gradescope", "prairielearn", "autolab")

_CALLED = "What was handed in"  # a platform's own folders and file names tell a student nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One submission on one platform.

    Attributes:
        course: a folder with a course of one exercise.
        deadline_s: when the grading is given up; sooner than the platform would end it, because that is a zero.
        trust, hidden: as for `grade`.
    """

    platform: str
    course: Path
    handed_in: Path
    output: Target
    deadline_s: float
    trust: bool = False
    hidden: bool = False


def run(job: Job) -> None:
    """Grade, and leave the answer."""
    if not job.output.is_stdout:  # for whoever kills us
        job.output.write(_no_verdict(job, "The grading was ended from outside, or the machine went down."))
    try:
        answer = _answer(job)
    except (KitError, OSError) as error:
        answer = _no_verdict(job, str(error))
    job.output.write(answer)


def _answer(job: Job) -> str:
    course = load_course(job.course)
    exercises = course.exercises
    if len(exercises) != 1:
        raise CourseError(f"{job.course}: {len(exercises)} exercises, where a platform grades one. Publish again.")
    (exercise,) = exercises
    return render(job.platform, _graded(job, course, exercise))


def _graded(job: Job, course: Course, exercise: Exercise) -> Report:
    """A report; what a person may read of it on the way goes to standard output, where that is not the answer's."""
    path = search_path()
    hidden = True if job.hidden else None
    order = Order.of(
        course, exercise, job.handed_in, machine(path=path), own=False, trust=job.trust, hidden=hidden, called=_CALLED
    )
    with Slots(Tools.found(path)) as slots, Path(os.devnull).open("w") as nowhere:
        screen = terminal.make_console(nowhere if job.output.is_stdout else sys.stdout, colour=False, width=None)

        def ready(start: Start) -> None:
            if start.taken:
                screen.print(f"Graded: {start.taken}", markup=False, highlight=False)
            terminal.show_start(screen, refused=start.refused, untraceable=start.untraceable, asked=True)

        def check(check: Check) -> None:
            terminal.show_check(screen, scored(check), order.language)

        deadline = threading.Timer(job.deadline_s, slots.close)
        deadline.start()
        try:
            report = grade(order, slots, ready, check)
        finally:
            deadline.cancel()  # it is a thread that this process would wait for
        if slots.closed:
            raise GraderError(
                f"The grading had not ended after {job.deadline_s:g} s. Allow more time, or more processors."
            )
        terminal.show_report(screen, report)
        return report


# --- answers without a report -------------------------------------------------------------------------------------


def _no_verdict(job: Job, why: str) -> str:
    said = (
        f"There is no verdict, and this is no zero: {safe_text(why, max_line=1_000)}\n"
        "It is not the submission's fault. Tell your instructor, who mends it and grades again."
    )
    if job.platform == "autolab":
        return f"{said}\n{_autolab_scores(job)}"
    answer: dict[str, object] = {"output": said, "output_format": "text"}
    if job.platform == "prairielearn":
        answer = {"gradable": False, "format_errors": [said], "message": said}
    return json.dumps(answer, ensure_ascii=False, indent=2) + "\n"


def _autolab_scores(job: Job) -> str:
    """The last line. Its one problem is the exercise, by the name of the folder that it was published in."""
    exercises = sorted(path.name for path in (job.course / "exercises").iterdir())
    return json.dumps({"scores": dict.fromkeys(exercises)}) + "\n"


@click.command()
@click.argument("platform", type=click.Choice(PLATFORMS))
@click.option("--course", type=click.Path(path_type=Path), required=True, help="A course of one exercise.")
@click.option("--submission", type=click.Path(path_type=Path), required=True, help="What was handed in.")
@click.option("--output", default=STDOUT, metavar="FILE", help="The platform's file; - is standard output.")
@click.option("--deadline", type=float, required=True, metavar="SECONDS", help="When to give up.")
@click.option("--trust", is_flag=True, help="Run without isolation.")
@click.option("--hidden", is_flag=True, help="With the hidden sizes.")
def main(
    *, platform: str, course: Path, submission: Path, output: str, deadline: float, trust: bool, hidden: bool
) -> None:
    """Grade what was handed in on a platform."""
    job = Job(
        platform=platform,
        course=course.absolute(),
        handed_in=submission.absolute(),
        output=Target(output),
        deadline_s=deadline,
        trust=trust,
        hidden=hidden,
    )
    run(job)


if __name__ == "__main__":
    open_streams()
    main()
