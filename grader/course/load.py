"""The course's files, read: course.yaml, exercises/<slug>/exercise.yaml, tests/<slug>/test_*.py and
tests/<slug>/hidden/sizes.yaml. Knows what these files must agree on; knows nothing of YAML, processes or reports.

A mistake of the author's is a `CourseError`: `<path in the course>:<line>: what is wrong; the cure`. The first mistake
of a file is the one that is told.
"""

import ast
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from grader.course.model import (
    COURSE_FILE,
    POINTS,
    Budget,
    Check,
    Course,
    CourseFile,
    Defaults,
    Exercise,
    ExerciseFile,
    Forbidden,
    HiddenFile,
    Watch,
    Written,
    meant_slug,
)
from grader.course.text import Text, places
from grader.course.yaml_file import Located, choices, decoded, read_bytes
from grader.errors import CourseError
from grader.safe_text import is_utf8
from grader.versions import digest_of

# Until 3.11.4, two threads that parse at a time may end in "AST constructor recursion depth mismatch" (CPython
# issue 106905).
_PARSING = threading.Lock()

# The keys of a mapping, by the name that it stands under; those of the file are its model's.
_PARTS: dict[str, type[BaseModel]] = {
    "checks": Check,
    "budgets": Budget,
    "watches": Watch,
    "forbidden": Forbidden,
    "defaults": Defaults,
    "limits": Defaults,
}


def find_course_root(start: Path) -> Path:
    """The nearest folder with a course.yaml, from `start` upwards; absolute.

    Raises:
        CourseError: there is none up to the root of the file system.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        if os.access(folder / COURSE_FILE, os.F_OK):  # Path.exists raises in a folder that is closed to us
            return folder
    raise CourseError(f"{start}: no {COURSE_FILE} here or in any folder above; go to the course's folder and try again")


def load_course(root: Path, *, only: str | None = None) -> Course:
    """The course in the folder `root`, every file of it read and found in agreement with the others.

    Args:
        only: the one exercise that is wanted, in a person's words, as for `Course.find`; the others' files are not
            looked at, and it is the only one that the course has.

    Raises:
        CourseError: a file is missing, unreadable, malformed or at odds with another one; or the path is not UTF-8.
        UsageError: `only` may mean none or several.
    """
    root = root.resolve()
    if not is_utf8(root):
        raise CourseError(f"{root}: the path of this folder is not UTF-8; rename the folders that are not")
    document = Located.read(root, COURSE_FILE)
    if document is None:
        raise CourseError(f"{root / COURSE_FILE}: there is no such file; name the folder that holds the course")
    course = document.value(CourseFile, parts=_PARTS)
    document.refuse_repeated("exercise", [(("exercises", i), slug) for i, slug in enumerate(course.exercises)])
    if "en" not in course.languages:
        raise document.error(("languages",), "English is the fallback of every text; add en")
    document.value(
        CourseFile, languages=course.languages, parts=_PARTS
    )  # again: its own title can only now be held against them
    wanted = None if only is None else meant_slug(only, course.exercises)
    exercises = (
        _exercise(root, document, course, i) for i, slug in enumerate(course.exercises) if wanted in (None, slug)
    )
    return Course(
        root=root,
        title=course.title,
        languages=course.languages,
        defaults=course.defaults,
        exercises=tuple(exercises),
    )


def _exercise(root: Path, listing: "Located", course: CourseFile, index: int) -> Exercise:
    slug = course.exercises[index]
    name = f"exercises/{slug}/exercise.yaml"
    document = Located.read(root, name)
    if document is None:
        said = f"{slug} is listed, but there is no {name}; write it, or take {slug} off the list"
        raise listing.error(("exercises", index), said)
    written = document.value(ExerciseFile, languages=course.languages, parts=_PARTS)
    limits = document.value(Defaults, {**course.defaults.model_dump(), **written.limits}, at=("limits",))
    _require_agreement(document, written)
    tests = _test_files(root, slug)
    _match_tests(document, written.checks, slug, tests)
    given = _given_files(root, slug, document, written)
    return Exercise(
        **{field: getattr(written, field) for field in Written.model_fields},
        slug=slug,
        root=root,
        limits=limits,
        hidden_sizes=_hidden_sizes(root, slug, written),
        digest=digest_of({COURSE_FILE: limits.model_dump_json().encode(), name: document.raw, **given, **tests}),
    )


def _require_agreement(document: "Located", written: Written) -> None:
    """What the schema alone cannot say of one exercise.yaml."""
    checks = list(enumerate(written.checks))
    budgets = [(i, j, budget.name) for i, check in checks for j, budget in enumerate(check.budgets)]
    files = [((key, i), file) for key in ("submit", "given") for i, file in enumerate(getattr(written, key))]
    document.refuse_repeated("check", [(("checks", i, "name"), check.name) for i, check in checks])
    document.refuse_repeated("budget", [(("checks", i, "budgets", j, "name"), name) for i, j, name in budgets])
    document.refuse_repeated("file", files)
    for size in written.bounds:
        if size not in written.sizes:
            said = f"there is no size {size!r} that this could bound; {choices(size, written.sizes)}"
            raise document.error(("bounds", size), said)
    _require_bounds(document, written.bounds, written.sizes)
    _require_places(document, written.words)
    names = [check.name for check in written.checks]
    for i, check in checks:
        for j, need in enumerate(check.needs):
            if need not in names[:i]:
                said = f"{check.name} needs {need!r}, which is no check; {choices(need, names[:i])}"
                if need in names:
                    said = f"{check.name} needs {need!r}, which does not stand above it; move it up or drop the need"
                raise document.error(("checks", i, "needs", j), said)
    total = sum(check.points for check in written.checks)
    if total != POINTS:
        cure = f"add {POINTS - total}" if total < POINTS else f"take away {total - POINTS}"
        raise document.error(("checks",), f"the checks' points add up to {total}, not {POINTS}; {cure}")


def _require_places(document: "Located", words: Sequence[Text]) -> None:
    """A sentence and its translations get the same values."""
    for i, text in enumerate(words):
        for key, sentence in text.root.items():
            try:
                wrong = sorted(places(sentence) ^ places(text.english))
            except ValueError as error:
                raise document.error(("words", i, key), f"this is no sentence: {error}; close its braces") from error
            if wrong:
                said = f"{{{wrong[0]}}} stands here or in the English text alone; write it in both"
                raise document.error(("words", i, key), said)


def _require_bounds(document: "Located", bounds: Mapping[str, tuple[int, int]], sizes: Mapping[str, int]) -> None:
    """A submission that keeps to the handout must not fail by a size that the handout rules out."""
    for size, number in sizes.items():
        least, most = bounds.get(size, (number, number))
        if not least <= number <= most:
            said = (
                f"{size} is {number}, and the exercise promises {least} to {most}; choose one of those, or other bounds"
            )
            raise document.error(("sizes", size), said)


def _match_tests(document: "Located", checks: Sequence[Check], slug: str, files: Mapping[str, bytes]) -> None:
    """Every check has its one test function, and every test function its check."""
    expected = [f"test_{check.name}" for check in checks]
    seen: dict[str, str] = {}
    for path in (path for path in files if path.rpartition("/")[2].startswith("test_")):
        for name, line in _tests(path, files[path]):
            if name in seen:
                raise CourseError(f"{path}:{line}: {name} stands in {seen[name]} already; rename or remove one")
            if name not in expected:
                cure = f"rename it or add the check to {document.name}; {choices(name, expected)}"
                raise CourseError(f"{path}:{line}: {name} is the test of no check; {cure}")
            seen[name] = f"{path}:{line}"
    for i, name in enumerate(expected):
        if name not in seen:
            said = f"the check {checks[i].name} has no test; write the function {name} in tests/{slug}/test_*.py"
            raise document.error(("checks", i, "name"), said)


def _tests(path: str, raw: bytes) -> Iterator[tuple[str, int]]:
    """Name and line of each function that pytest would collect; nothing is imported."""
    try:
        with _PARSING:
            module = ast.parse(decoded(path, raw), path)
    except SyntaxError as error:
        raise CourseError(f"{path}:{error.lineno or 1}: this is not Python: {error.msg}; correct it") from error
    except (ValueError, RecursionError, MemoryError) as error:  # a NUL in 3.11.3; nested deeper than the parser goes
        raise CourseError(f"{path}:1: Python's parser gives up on this file; make it plainer") from error
    for node in module.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            raise CourseError(f"{path}:{node.lineno}: {node.name} is a class of tests; write a function for each check")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            yield node.name, node.lineno
        if isinstance(node, ast.ImportFrom):  # a check that exercises share
            names = (one.asname or one.name for one in node.names)
            yield from ((name, node.lineno) for name in names if name.startswith("test_"))


def _test_files(root: Path, slug: str) -> dict[str, bytes]:
    names = sorted(path.name for path in (root / "tests" / slug).glob("*.py"))
    read = {f"tests/{slug}/{name}": read_bytes(root, f"tests/{slug}/{name}") for name in names}
    return {name: raw for name, raw in read.items() if raw is not None}  # None: a dangling link, an editor's lock


def _given_files(root: Path, slug: str, document: "Located", written: Written) -> dict[str, bytes]:
    found = {}
    for i, file in enumerate(written.given):
        name = f"exercises/{slug}/{file}"
        raw = read_bytes(root, name)
        if raw is None:
            raise document.error(("given", i), f"there is no {name}; put it there, or take it off the list")
        found[name] = raw
    return found


def _hidden_sizes(root: Path, slug: str, written: Written) -> dict[str, int] | None:
    name = f"tests/{slug}/hidden/sizes.yaml"
    document = Located.read(root, name)
    if document is None:
        return None
    hidden = document.value(HiddenFile).sizes
    for size in hidden:
        if size not in written.sizes:
            said = f"exercise.yaml has no size {size!r} that this could replace; {choices(size, written.sizes)}"
            raise document.error(("sizes", size), said)
    _require_bounds(document, written.bounds, hidden)
    return {**written.sizes, **hidden}
