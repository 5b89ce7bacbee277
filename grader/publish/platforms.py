"""What every platform grades with: the kit, one exercise's public files, and, only if the instructor asks for it, the
hidden sizes. Knows nothing of any one platform.
"""

import shlex
from collections.abc import Sequence
from dataclasses import replace

import yaml

from grader.course.model import Course, Exercise
from grader.errors import UsageError
from grader.publish import folder
from grader.publish.tree import File, Tree, text_file
from grader.versions import digest_of

KIT_DIGEST = "kit.digest"  # the file that holds it: in an image, and in what the image is to grade


def course_files(course: Course, exercise: Exercise, *, hidden: bool) -> Tree:
    """A course of this exercise alone. With `hidden` it holds the instructor's sizes, where there are any: whoever can
    read it knows them.

    Raises:
        CourseError: as for the target `folder`.
    """
    files = dict(folder.public_files(course, [exercise]))
    if hidden and exercise.hidden_sizes is not None:
        sizes = yaml.safe_dump({"format": 1, "sizes": dict(exercise.hidden_sizes)})
        files[f"tests/{exercise.slug}/hidden/sizes.yaml"] = text_file(sizes)
    return files


def refuse_nothing_hidden(exercises: Sequence[Exercise]) -> None:
    """Nothing, when there is something to hide.

    Raises:
        UsageError: hidden sizes were asked for, and no exercise has any.
    """
    if all(one.hidden_sizes is None for one in exercises):
        raise UsageError("--hidden: none of these exercises has hidden sizes. Leave it out.")


def kit_of_image() -> Tree:
    """The kit as an image holds it, with a digest of all of it: unlike the kit's version, of what installs it too.

    Raises:
        GraderError: as for the target `folder`.
    """
    kit = folder.kit_files()
    digest = digest_of({name: file.data for name, file in kit.items()})
    return {**kit, KIT_DIGEST: text_file(f"{digest}\n")}


def image_tag(kit: Tree) -> str:
    """What tells an image with this kit from one with another: 12 hexadecimal digits."""
    return kit[KIT_DIGEST].data[:12].decode()


def options(exercise: Exercise, *, trust: bool, hidden: bool) -> list[str]:
    """What `grading.on_platform` is told."""
    return ["--trust"] * trust + ["--hidden"] * (hidden and exercise.hidden_sizes is not None)


def script(name: str, **words: str) -> File:
    """A template that is run."""
    return replace(folder.template(name, **words), executable=True)


def shell(words: Sequence[str]) -> str:
    """Words behind a command, as a shell reads them."""
    return "".join(f" {shlex.quote(word)}" for word in words)
