"""A new exercise in a course, made from a small one that keeps every promise: what an author changes is a course that
works already. Knows where an exercise's files stand; knows nothing of what they say.
"""

import re
import shutil
from pathlib import Path

import grader
from grader.course.model import COURSE_FILE, Course
from grader.course.stubs import read_text, stub_of
from grader.errors import CourseError, GraderError, UsageError

_MODEL = Path(grader.__file__).parents[1] / "tools" / "new_exercise"  # no part of what is published
_SLUG, _NAME, _NUMBER = "ex00_newname", "newname", "ex00"  # what is replaced in it, in texts and in names
_TOPS = ("exercises", "solutions", "tests")


def begin_exercise(course: Course, slug: str) -> list[str]:
    """Write a new exercise into the course and list it in course.yaml.

    Returns:
        The files that were written, by their path in the course.

    Raises:
        UsageError: the name is no exercise's name, or is taken; or the course's folder cannot be written.
        CourseError: where in course.yaml the exercise belongs cannot be told.
        GraderError: the kit was installed without its own project's files.
    """
    _refuse(course, slug)
    listing = _listing(course, slug)
    files = _files(slug)
    try:
        for name, text in files.items():
            path = course.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (course.root / COURSE_FILE).write_bytes(listing.encode())
    except OSError as error:
        for top in _TOPS:
            shutil.rmtree(course.root / top / slug, ignore_errors=True)
        raise UsageError(f"{course.root}: cannot be written: {error.strerror}. Nothing was begun.") from error
    return [*files, COURSE_FILE]


def _refuse(course: Course, slug: str) -> None:
    if not re.fullmatch("ex[0-9]{2,3}_[a-z][a-z0-9_]*", slug):
        raise UsageError(f"{slug!a} is no name of an exercise. Write ex, two or three digits, and a word: ex20_tee.")
    number = slug.partition("_")[0]
    for one in course.exercises:
        if int(one.number[2:]) == int(number[2:]):
            raise UsageError(f"The course has an exercise {one.number} already: {one.slug}. Choose another number.")
    for top in _TOPS:
        if (course.root / top / slug).exists():
            raise UsageError(f"{course.root / top / slug}: there is something already. Choose another name.")


def _files(slug: str) -> dict[str, str]:
    """Every file of the new exercise, by its path in the course."""
    sources = sorted(path for path in _MODEL.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    if not sources:
        raise GraderError(f"The kit was installed without its own project's files, {_MODEL}: begin an exercise there.")

    def renamed(text: str) -> str:
        number, _, name = slug.partition("_")
        return text.replace(_SLUG, slug).replace(_NAME, name).replace(_NUMBER, number)

    files = {renamed(path.relative_to(_MODEL).as_posix()): renamed(read_text(path)) for path in sources}
    for name in [name for name in files if name.startswith("solutions/")]:
        files[name.replace("solutions/", "exercises/", 1)] = stub_of(files[name], name=name)
    return files


def _listing(course: Course, slug: str) -> str:
    """course.yaml with the exercise behind the last one, and all else as it stands."""
    text = read_text(course.root / COURSE_FILE)
    last = re.escape(course.exercises[-1].slug)
    in_a_line = rf"(?m)^(?P<before>[ \t]*-[ \t]+)[\"']?{last}[\"']?[ \t]*(?:#[^\r\n]*)?(?P<end>\r?\n|\Z)"
    if found := re.search(in_a_line, text):
        end = found["end"] or "\n"
        whole = found[0] if found["end"] else f"{found[0]}\n"
        return f"{text[: found.start()]}{whole}{found['before']}{slug}{end}{text[found.end() :]}"
    if found := re.search(rf"[\"']?{last}[\"']?(?=\s*,?\s*\])", text):
        return f"{text[: found.end()]}, {slug}{text[found.end() :]}"
    raise CourseError(f"{COURSE_FILE}: list the exercises one a line, `- {course.exercises[-1].slug}`, then try again.")
