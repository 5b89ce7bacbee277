"""The course's files as values: course.yaml, exercises/<slug>/exercise.yaml, tests/<slug>/test_*.py and
tests/<slug>/hidden/sizes.yaml. Knows what these files must agree on; knows nothing of YAML, processes or reports.

A mistake of the author's is a `CourseError`: `<path in the course>:<line>: what is wrong; the cure`. The first mistake
of a file is the one that is told.
"""

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from grader.course.text import Filled, LanguageCode, Text, places, shape
from grader.course.yaml_file import Located, choices, decoded, read_bytes
from grader.errors import CourseError, UsageError
from grader.versions import digest_of
from grader.words.languages import Language, language

COURSE_FILE = "course.yaml"
POINTS = 100  # of each exercise, so that a score reads as a percentage

# Values


_Size = Annotated[int, Field(ge=0)]
_Name = Annotated[str, shape("[a-z][a-z0-9_]*", "a name in lower case (letters, digits and _)")]
_Identifier = Annotated[str, shape("[A-Za-z_][A-Za-z0-9_]*", "a Python identifier")]
_Module = Annotated[str, shape(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", "the name of a module")]
_PythonFile = Annotated[str, shape(r"[A-Za-z_]\w*\.py", "the plain name of a Python file, such as server.py")]
_FileName = Annotated[str, shape(r"\w[\w.-]*", "the plain name of a file, without a folder")]
_Slug = Annotated[str, shape("ex[0-9]{2,3}_[a-z0-9_]+", "the name of an exercise, such as ex03_epoll")]


class _Value(BaseModel):
    # strict: YAML has types of its own, so "4" is text and `yes` is no number
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Budget(_Value):
    """A named number with a limit. `limit`, `reference` and `naive` are counted in `unit`."""

    name: _Name
    limit: float = Field(ge=0)
    reference: float = Field(ge=0, description="What the reference solution needs.")
    naive: float | None = Field(default=None, ge=0, description="What the well-known mistake needs.")
    unit: Text
    formula: Text = Field(description="What is counted, in which window, divided by what.")
    why: Text = Field(description="Why the limit stands where it stands.")


class Watch(_Value):
    """Calls that are looked for in every box of the exercise, whichever check's it is."""

    calls: tuple[_Name, ...] = Field(min_length=1)
    having: Filled | None = Field(default=None, description="Only those whose line in the trace holds this text.")
    most: int = Field(default=0, ge=0, description="So many that they have started may be there at a time.")
    rule: Text = Field(description="What every run keeps to.")


class Check(_Value):
    """One test function, `test_<name>`, with points."""

    name: _Name
    points: int = Field(ge=0)
    title: Text
    hint: Text
    needs: tuple[str, ...] = Field(default=(), description="Checks above this one that must have passed.")
    deadline_s: float | None = Field(default=None, gt=0)
    watches: tuple[Watch, ...] = Field(default=(), description="What breaks one of them is told at this check.")
    budgets: tuple[Budget, ...] = ()


class Forbidden(_Value):
    """What a submission must not use, and the reason why, by name."""

    modules: dict[_Module, Text] = {}
    calls: dict[_Name, Text] = Field(default={}, description="System calls.")


class Defaults(_Value):
    """How long a check may take and how much a submission may use: ways out, never a score."""

    deadline_s: float = Field(gt=0)
    memory_mb: int = Field(gt=0, description="What one process may map, in MiB.")
    processes: int = Field(gt=0, description="Processes and threads together.")
    tmp_mb: int = Field(gt=0, description="The only writable folder, in MiB.")
    file_kb: int = Field(gt=0, description="The largest file that can be handed in, in KiB.")


class _Written(_Value):
    title: Text
    summary: Text
    submit: tuple[_PythonFile, ...] = Field(min_length=1)
    given: tuple[_FileName, ...] = ()
    entry: _Identifier
    forbidden: Forbidden = Forbidden()
    allows: tuple[Literal["io_uring", "locks"], ...] = Field(
        default=(), description="What other exercises' boxes refuse."
    )
    sizes: dict[_Name, _Size] = {}
    bounds: dict[_Name, tuple[_Size, _Size]] = Field(
        default={},
        description="The least and the most that a size may be, public or hidden: what the handout promises.",
    )
    checks: tuple[Check, ...] = Field(min_length=1)
    words: tuple[Text, ...] = Field(default=(), description="Sentences that the checks say, with their translations.")


class _ExerciseFile(_Written):
    format: int
    limits: dict[str, Any] = {}


class _HiddenFile(_Value):
    format: int
    sizes: dict[_Name, _Size]


class _CourseFile(_Value):
    format: int
    title: Text
    languages: tuple[LanguageCode, ...]
    exercises: tuple[_Slug, ...] = Field(min_length=1)
    defaults: Defaults


class Exercise(_Written):
    """One exercise, its files in agreement. The first file of `submit` is the module that holds `entry`.

    `hidden_sizes` is whole: `sizes` with the instructor's numbers in their place; None when there is no overlay.
    `digest` is the SHA-256, in hex, of what decides a verdict: the limits (of course.yaml nothing else counts, so it
    may list other exercises elsewhere), and the names in the course and bytes of exercise.yaml, the given files and
    tests/<slug>/*.py, as they were when the course was loaded.
    """

    slug: _Slug
    root: Path = Field(description="The course's folder, absolute.")
    limits: Defaults
    hidden_sizes: dict[_Name, int] | None
    digest: str

    @property
    def number(self) -> str:
        """The slug's first word: "ex03"."""
        return _number(self.slug)

    @property
    def handout_dir(self) -> Path:
        return self.root / "exercises" / self.slug

    @property
    def solution_dir(self) -> Path:
        return self.root / "solutions" / self.slug

    @property
    def checks_dir(self) -> Path:
        return self.root / "tests" / self.slug

    @property
    def max_score(self) -> int:
        return sum(check.points for check in self.checks)

    def check(self, name: str) -> Check:
        """The check of that name.

        Raises:
            UsageError: there is none; the message says which there are.
        """
        for check in self.checks:
            if check.name == name:
                return check
        raise UsageError(f"{self.slug} has no check {name!r}; {choices(name, [c.name for c in self.checks])}")

    def speaking(self, code: str) -> Language:
        """What is said of this exercise in that language: the kit's sentences, and those of its own checks."""
        told = {text.english: text.in_(code) for text in self.words}
        return language(code, {english: text for english, text in told.items() if text != english})

    def deadline_s(self, check: Check) -> float:
        """Seconds until the check is timed out: its own, else the exercise's."""
        return self.limits.deadline_s if check.deadline_s is None else check.deadline_s

    def with_needs(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those checks and all that they need, each once, in the exercise's order.

        Raises:
            UsageError: a name is not a check.
        """
        wanted = {self.check(name).name for name in names}
        for check in reversed(self.checks):  # what a check needs stands above it
            if check.name in wanted:
                wanted.update(check.needs)
        return tuple(check.name for check in self.checks if check.name in wanted)


class Course(_Value):
    """The whole course, its exercises in the author's order. `root` is absolute."""

    root: Path
    title: Text
    languages: tuple[str, ...]
    defaults: Defaults
    exercises: tuple[Exercise, ...]

    def find(self, word: str) -> Exercise:
        """The exercise that a person means: by slug, by number ("ex03", "03", "3") or by the one slug's beginning.

        Raises:
            UsageError: none or several; the message lists them.
        """
        by_slug = {exercise.slug: exercise for exercise in self.exercises}
        return by_slug[_meant(word, tuple(by_slug))]

    def choose(self, words: Iterable[str]) -> tuple[Exercise, ...]:
        """The exercises that these words mean, as `find` takes them; all of the course, when there is no word."""
        return tuple(map(self.find, words)) or self.exercises


def _number(slug: str) -> str:
    return slug.partition("_")[0]


def _meant(word: str, slugs: Sequence[str]) -> str:
    word = word.strip().lower()
    if word in slugs:
        return word
    digits = re.fullmatch("(?:ex)?([0-9]{1,3})", word)
    found = [slug for slug in slugs if digits and int(_number(slug)[2:]) == int(digits[1])]
    found = found or [slug for slug in slugs if word and slug.startswith(word)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{word!r} may be any of {', '.join(found)}; write more of the name")
    raise UsageError(f"there is no exercise {word!r}; {choices(word, slugs)}")


# Loading


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
        CourseError: a file is missing, unreadable, malformed or at odds with another one.
        UsageError: `only` may mean none or several.
    """
    root = root.resolve()
    document = Located.read(root, COURSE_FILE)
    if document is None:
        raise CourseError(f"{root / COURSE_FILE}: there is no such file; name the folder that holds the course")
    course = document.value(_CourseFile, parts=_PARTS)
    document.refuse_repeated("exercise", [(("exercises", i), slug) for i, slug in enumerate(course.exercises)])
    if "en" not in course.languages:
        raise document.error(("languages",), "English is the fallback of every text; add en")
    document.value(
        _CourseFile, languages=course.languages, parts=_PARTS
    )  # again: its own title can only now be held against them
    wanted = None if only is None else _meant(only, course.exercises)
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


def _exercise(root: Path, listing: "Located", course: _CourseFile, index: int) -> Exercise:
    slug = course.exercises[index]
    name = f"exercises/{slug}/exercise.yaml"
    document = Located.read(root, name)
    if document is None:
        said = f"{slug} is listed, but there is no {name}; write it, or take {slug} off the list"
        raise listing.error(("exercises", index), said)
    written = document.value(_ExerciseFile, languages=course.languages, parts=_PARTS)
    limits = document.value(Defaults, {**course.defaults.model_dump(), **written.limits}, at=("limits",))
    _require_agreement(document, written)
    tests = _test_files(root, slug)
    _match_tests(document, written.checks, slug, tests)
    given = _given_files(root, slug, document, written)
    return Exercise(
        **{field: getattr(written, field) for field in _Written.model_fields},
        slug=slug,
        root=root,
        limits=limits,
        hidden_sizes=_hidden_sizes(root, slug, written),
        digest=digest_of({COURSE_FILE: limits.model_dump_json().encode(), name: document.raw, **given, **tests}),
    )


def _require_agreement(document: "Located", written: _Written) -> None:
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


def _given_files(root: Path, slug: str, document: "Located", written: _Written) -> dict[str, bytes]:
    found = {}
    for i, file in enumerate(written.given):
        name = f"exercises/{slug}/{file}"
        raw = read_bytes(root, name)
        if raw is None:
            raise document.error(("given", i), f"there is no {name}; put it there, or take it off the list")
        found[name] = raw
    return found


def _hidden_sizes(root: Path, slug: str, written: _Written) -> dict[str, int] | None:
    name = f"tests/{slug}/hidden/sizes.yaml"
    document = Located.read(root, name)
    if document is None:
        return None
    hidden = document.value(_HiddenFile).sizes
    for size in hidden:
        if size not in written.sizes:
            said = f"exercise.yaml has no size {size!r} that this could replace; {choices(size, written.sizes)}"
            raise document.error(("sizes", size), said)
    _require_bounds(document, written.bounds, hidden)
    return {**written.sizes, **hidden}
