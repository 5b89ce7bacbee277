"""The target `gradescope`: an autograder for each exercise, as the zip that is uploaded. Knows what Gradescope finds
where (docs/specs.md of gradescope/autograder_samples) and its limits; knows nothing of its results
(`grader.report.formats`).

A zip holds `setup.sh` and `run_autograder` at its top, beside the kit and a course of one exercise. Gradescope unpacks
it to /autograder/source.
"""

from collections.abc import Sequence

from grader.course.model import Course, Exercise
from grader.publish import folder, platforms
from grader.publish.tree import File, Tree, zipped

# Gradescope ends a run after 600 s, with a zero; its settings allow 2,400 (docs/troubleshooting.md).
_DEADLINE_S = 540.0


def tree(
    course: Course,
    exercises: Sequence[Exercise],
    *,
    trust: bool = False,
    hidden: bool = False,
) -> Tree:
    """`ex03_autograder.zip` for each exercise, and what to do with them.

    Args:
        trust: grade without a box, where Gradescope refuses one; such a report is never official.
        hidden: the zips hold the instructor's sizes.

    Raises:
        CourseError, GraderError: as for the target `folder`.
        UsageError: `hidden`, and there is nothing hidden.
    """
    if hidden:
        platforms.refuse_nothing_hidden(exercises)
    kit = folder.kit_files()
    files = {
        f"{one.number}_autograder.zip": _autograder(course, one, kit, trust=trust, hidden=hidden) for one in exercises
    }
    rows = "\n".join(
        f"| `{one.number}_autograder.zip` | {one.title.in_('en')} | {', '.join(f'`{name}`' for name in one.submit)} |"
        f" {one.max_score} |"
        for one in exercises
    )
    return {**files, "README.md": folder.template("gradescope_README.md", ROWS=rows, DEADLINE=f"{_DEADLINE_S:g}")}


def _autograder(course: Course, exercise: Exercise, kit: Tree, *, trust: bool, hidden: bool) -> File:
    words = platforms.shell(platforms.options(exercise, trust=trust, hidden=hidden))
    scripts = {
        "setup.sh": platforms.script("gradescope_setup.sh"),
        "run_autograder": platforms.script("gradescope_run_autograder", DEADLINE=f"{_DEADLINE_S:g}", OPTIONS=words),
    }
    return File(zipped({**kit, **platforms.course_files(course, exercise, hidden=hidden), **scripts}))
