"""The target `autolab`: a lab's folder for each exercise, and the recipe of the image that grades them. Knows what
Autolab imports (docs/lab.md and app/models/assessment.rb of autolab/Autolab) and how Tango runs it (vmms/localDocker.py
and autodriver/autodriver.c of autolab/Tango); knows nothing of what the driver prints (`grader.report.formats`).

Tango puts `autograde-Makefile`, `autograde.tar` and what was handed in into one folder, and types `make` there as a
user without rights: nothing can be installed then, so the image holds the kit. The tar holds it too, for an image that
does not, and for one with another version.
"""

from collections.abc import Sequence

import yaml

from grader.course.model import Course, Exercise
from grader.publish import folder, platforms
from grader.publish.tree import File, Tree, below, tarred, text_file

_TIMEOUT_S = 900  # the most that Autolab allows (app/models/autograder.rb)
_DEADLINE_S = 840.0
_LARGEST_MB = 2  # of a handin


def tree(
    course: Course,
    exercises: Sequence[Exercise],
    *,
    trust: bool = False,
    hidden: bool = False,
) -> Tree:
    """A folder for each exercise, named as Autolab's rules for labs want it, and `image/`, to be built on Tango's host.

    Args:
        trust: grade without a box, which Tango's containers refuse; such a report is never official.
        hidden: `autograde.tar` holds the instructor's sizes.

    Raises:
        CourseError, GraderError: as for the target `folder`.
        UsageError: `hidden`, and there is nothing hidden.
    """
    if hidden:
        platforms.refuse_nothing_hidden(exercises)
    kit = platforms.kit_of_image()
    # No hyphen, which Tango splits names at, and no tag, which it does not know.
    image = f"tracegrade_{platforms.image_tag(kit)}"
    files: dict[str, File] = {
        "README.md": folder.template("autolab_README.md", IMAGE=image, SLUG=exercises[0].slug),
        "image/Dockerfile": folder.template("autolab_Dockerfile"),
        **below("image/tracegrade", kit),
    }
    for one in exercises:
        options = platforms.options(one, trust=trust, hidden=hidden)
        grading = {
            **kit,
            **platforms.course_files(course, one, hidden=hidden),
            "driver.sh": platforms.script(
                "autolab_driver.sh", DEADLINE=f"{_DEADLINE_S:g}", OPTIONS=platforms.shell(options)
            ),
        }
        files.update(below(one.slug, _lab(course, one, grading, image)))
    return files


def _lab(course: Course, exercise: Exercise, grading: Tree, image: str) -> Tree:
    handin = exercise.submit[0] if len(exercise.submit) == 1 else "handin.zip"
    handout = f"{exercise.slug}-handout"
    return {
        f"{exercise.slug}.yml": text_file(_properties(exercise, handin, image)),
        "autograde-Makefile": folder.template("autolab_Makefile", HANDIN=handin, SLUG=exercise.slug),
        "autograde.tar": File(tarred(below("tracegrade", grading))),
        f"{handout}.tar": File(tarred(below(handout, folder.tree(course, [exercise])))),
    }


def _properties(exercise: Exercise, handin: str, image: str) -> str:
    """What the lab is imported from. Without dates it opens a day after its import."""
    properties = {
        "general": {
            "name": exercise.slug,
            "display_name": exercise.title.in_("en"),
            "description": exercise.summary.in_("en"),
            "category_name": "Lab",
            "handin_filename": handin,
            "handin_directory": "handin",
            "handout": f"{exercise.slug}-handout.tar",
            "max_grace_days": 0,
            "max_submissions": -1,
            "max_size": _LARGEST_MB,
            "disable_handins": False,
            "disable_network": True,
        },
        # The driver's scores name the problem as this does.
        "problems": [
            {"name": exercise.slug, "description": "", "max_score": float(exercise.max_score), "optional": False}
        ],
        "autograder": {"autograde_timeout": _TIMEOUT_S, "autograde_image": image, "release_score": True},
    }
    return yaml.safe_dump(properties, sort_keys=False, allow_unicode=True)
