"""The values that a course is made of, and the shapes that its files must have. Knows what can be asked of one
exercise; knows nothing of how files are read or what they must agree on (`load`).
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

from grader.course.text import Filled, LanguageCode, Text, shape
from grader.course.yaml_file import choices
from grader.errors import UsageError
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
    """A named number with a limit. `limit`, `reference` and `naive` are counted in `unit`; the latter two are what
    `grade audit` measures, or it complains."""

    name: _Name
    limit: float = Field(ge=0)
    reference: float = Field(ge=0, description="What the reference solution needs.")
    naive: float | None = Field(default=None, ge=0, description="What the well-known mistake needs.")
    varies: float = Field(
        default=1.1, ge=1, description="How many times more or less the figures may be on another machine."
    )
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
    hints: dict[_Name, Text] = Field(default={}, description="What to try instead of `hint`, by what was seen.")
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


class Written(_Value):
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


class ExerciseFile(Written):
    format: int
    limits: dict[str, Any] = {}


class HiddenFile(_Value):
    format: int
    sizes: dict[_Name, _Size]


class CourseFile(_Value):
    format: int
    title: Text
    languages: tuple[LanguageCode, ...]
    exercises: tuple[_Slug, ...] = Field(min_length=1)
    defaults: Defaults


class Exercise(Written):
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
        return by_slug[meant_slug(word, tuple(by_slug))]

    def choose(self, words: Iterable[str]) -> tuple[Exercise, ...]:
        """The exercises that these words mean, as `find` takes them; all of the course, when there is no word."""
        return tuple(map(self.find, words)) or self.exercises


def _number(slug: str) -> str:
    return slug.partition("_")[0]


def meant_slug(word: str, slugs: Sequence[str]) -> str:
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
