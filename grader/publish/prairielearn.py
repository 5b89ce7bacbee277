"""The target `prairielearn`: a question for each exercise, and the recipe of the image that grades them. Knows
PrairieLearn's folders and info.json (docs/externalGrading.md and apps/prairielearn/src/schemas/infoQuestion.ts of
PrairieLearn/PrairieLearn); knows nothing of its results (`grader.report.formats`).

The image holds the kit, a question's `tests/` the course of one exercise: a check that is mended needs no new image.
The image's tag tells which kit it holds, and the entry point refuses to grade with another one.
"""

import html
import json
import re
import uuid
from collections.abc import Sequence

from grader.course.model import Course, Exercise
from grader.errors import UsageError
from grader.publish import folder, platforms
from grader.publish.tree import File, Tree, below, text_file, zipped

_TIMEOUT_S = 600  # the most that PrairieLearn allows
_DEADLINE_S = 540.0
_IMAGE = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)+")  # of a registry, without a tag
_NAMESPACE = uuid.UUID("6b1c7a52-6d2c-5a61-9c0c-0f4f7e1f2c11")  # ours, so that a question keeps its uuid


def tree(
    course: Course,
    exercises: Sequence[Exercise],
    *,
    image: str,
    trust: bool = False,
    hidden: bool = False,
) -> Tree:
    """`questions/<slug>/` for each exercise, to be copied into a course's repository, and `image/`, to be built.

    Args:
        image: what the instructor pushes the image as, such as somebody/tracegrade; the tag is made here.
        trust: grade without a box, which PrairieLearn's containers refuse; such a report is never official.
        hidden: `tests/` of a question holds the instructor's sizes.

    Raises:
        CourseError, GraderError: as for the target `folder`.
        UsageError: `image` is no such name; or `hidden`, and there is nothing hidden.
    """
    if _IMAGE.fullmatch(image) is None:
        raise UsageError(f"--image {image}: write OWNER/NAME, in lower case and without a tag, as you will push it.")
    if hidden:
        platforms.refuse_nothing_hidden(exercises)
    kit = platforms.kit_of_image()
    tagged = f"{image}:{platforms.image_tag(kit)}"
    files: dict[str, File] = {
        "README.md": folder.template("prairielearn_README.md", IMAGE=tagged),
        "image/Dockerfile": folder.template("prairielearn_Dockerfile"),
        "image/entrypoint": platforms.script("prairielearn_entrypoint", DEADLINE=f"{_DEADLINE_S:g}"),
        **below("image/tracegrade", kit),
    }
    for one in exercises:
        tests = {**platforms.course_files(course, one, hidden=hidden), platforms.KIT_DIGEST: kit[platforms.KIT_DIGEST]}
        question = {
            "info.json": text_file(_info(course, one, tagged, platforms.options(one, trust=trust, hidden=hidden))),
            "question.html": _question(one),
            f"clientFilesQuestion/{one.number}_handout.zip": File(zipped(below(one.slug, folder.tree(course, [one])))),
            **below("tests", tests),
        }
        files.update(below(f"questions/{one.slug}", question))
    return files


def _info(course: Course, exercise: Exercise, image: str, options: Sequence[str]) -> str:
    info = {
        "uuid": str(uuid.uuid5(_NAMESPACE, f"{course.title.in_('en')}/{exercise.slug}")),
        "title": exercise.title.in_("en"),
        "topic": course.title.in_("en"),
        "type": "v3",
        "singleVariant": True,
        "showCorrectAnswer": False,
        "gradingMethod": "External",
        "externalGradingOptions": {
            "image": image,
            "entrypoint": ["/opt/tracegrade-entrypoint", *options],
            "timeout": _TIMEOUT_S,
            "enableNetworking": False,
        },
    }
    return json.dumps(info, ensure_ascii=False, indent=2) + "\n"


def _question(exercise: Exercise) -> File:
    return folder.template(
        "prairielearn_question.html",
        SUMMARY=_text(exercise.summary.in_("en")),
        HANDOUT=f"{exercise.number}_handout.zip",
        NUMBER=exercise.number,
        FILES=", ".join(exercise.submit),
        PATHS=", ".join(f"<code>exercises/{exercise.slug}/{name}</code>" for name in exercise.submit),
    )


def _text(words: str) -> str:
    """Text as HTML that is a Mustache template, too."""
    return html.escape(words).replace("{", "&#123;").replace("}", "&#125;")
