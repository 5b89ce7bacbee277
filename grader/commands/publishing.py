"""`grade publish`: the course for students and platforms, once an audit has proven it."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from grader.commands.course import course_option, run_audit
from grader.commands.environment import course_at, make_console
from grader.errors import CourseError, UsageError

if TYPE_CHECKING:
    from grader.course.model import Course, Exercise
    from grader.publish.publication import Build


# The options of each target, those first that it needs.
_TARGETS: Mapping[str, tuple[str, ...]] = {
    "folder": (),
    "classroom": ("pinned",),
    "nbgrader": (),
    "gradescope": ("hidden", "trust"),
    "prairielearn": ("image", "hidden", "trust"),
    "autolab": ("hidden", "trust"),
}
# What an instructor may edit in a publication: patterns of paths.
_YOURS: Mapping[str, tuple[str, ...]] = {"nbgrader": ("nbgrader_config.py", "source/*/*.ipynb")}
_NEEDED = {"pinned": "OWNER/REPOSITORY@COMMIT", "image": "OWNER/NAME"}


@click.command()
@click.argument("target", type=click.Choice(tuple(_TARGETS)))
@click.argument("exercises", nargs=-1)
@click.option(
    "--to", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new folder, or an empty one."
)
@click.option(
    "--update", is_flag=True, help="DIR holds an earlier publication: replace what it wrote, and nothing else."
)
@click.option("--pinned", metavar=_NEEDED["pinned"], help="classroom: the published folder that a push is graded by.")
@click.option("--image", metavar=_NEEDED["image"], help="prairielearn: what you push its image as.")
@click.option(
    "--hidden", is_flag=True, help="gradescope, prairielearn, autolab: with the hidden sizes. Then it is a secret."
)
@click.option("--trust", is_flag=True, help="gradescope, prairielearn, autolab: grade there without a box.")
@click.option("--no-audit", is_flag=True, help="Publish what no audit has proven; what is published says so.")
@course_option
def publish(
    *,
    target: str,
    exercises: tuple[str, ...],
    to: Path,
    update: bool,
    no_audit: bool,
    course_dir: Path | None,
    **options: Any,
) -> None:
    """Write what students or a platform receive: no solution, no hidden size.

    \b
    folder        a student's repository: stubs, handouts, checks, the kit
    classroom     the same, with a workflow that grades each push (GitHub Classroom)
    nbgrader      a course directory: notebooks, which hold the references, and settings
    gradescope    an autograder's zip for each exercise
    prairielearn  a question for each exercise, and the image that grades it
    autolab       a lab for each exercise, and the image that grades it

    All exercises, when none is named. What no audit has found as it is now is audited first; what an audit finds off is
    not published. With --update what changes in limits and words is told.
    """
    from grader.publish import publication as publishing

    course = course_at(course_dir)
    chosen = course.choose(exercises)
    build = _build(target, options)
    with make_console() as console:

        def say(line: str) -> None:
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        audited = _proven(say, course, chosen, no_audit=no_audit)
        done = publishing.publish(
            target,
            build,
            course,
            chosen,
            to,
            audited=audited,
            with_sizes=options["hidden"],
            update=update,
            yours=_YOURS.get(target, ()),
        )
        for line in ("What changes:", *done.told) if done.told else ():
            say(line)
        doubt = "" if audited else "; NOT AUDITED, as you asked"
        names = ", ".join(one.number for one in chosen)
        say(f"{to}: {target} of {names}, from {done.origin.words}{doubt}")


def _build(target: str, options: Mapping[str, Any]) -> "Build":
    """The target's function with its options.

    Raises:
        UsageError: an option is missing, or belongs to another target.
    """
    for name, value in options.items():
        if value and name not in _TARGETS[target]:
            targets = [other for other, known in _TARGETS.items() if name in known]
            raise UsageError(f"--{name} belongs to {', '.join(targets)}, not to {target}: leave it out.")
        if not value and name in _NEEDED and name in _TARGETS[target]:
            raise UsageError(f"The target {target} needs --{name} {_NEEDED[name]}: see `grade publish --help`.")
    module = importlib.import_module(f"grader.publish.{target}")
    return partial(module.tree, **{name: options[name] for name in _TARGETS[target]})


def _proven(
    say: Callable[[str], None],
    course: "Course",
    chosen: "Sequence[Exercise]",
    *,
    no_audit: bool,
) -> bool:
    """Whether these were audited as they are now; if not, and unless that was refused, they are audited here.

    Raises:
        CourseError: the audit found something off.
    """
    from grader.prove import remembered as audited
    from grader.prove.audit import Extent

    unproven = audited.unproven(course, chosen)
    if not unproven or no_audit:
        return not unproven
    names = ", ".join(one.number for one in unproven)
    say(f"No audit has found {names} as they are now: `grade audit --quick` runs first (--no-audit leaves it out).")
    if not run_audit(course, unproven, Extent(quick=True), say).clean:
        raise CourseError(
            "The audit found what stands above under OFF: nothing was published. Mend it, or publish with --no-audit."
        )
    return True
