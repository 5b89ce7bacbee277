"""What a student's notebook loads: the cell magic `%%solution FILE`, and `check("idle")`.

Knows IPython's extensions, and that a check's cell tells a terminal's words and has its points for a value. The course
is the one in the folder `course` beside the notebook. Everything is graded once for one text of the solution.
"""

import io
import linecache
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from grader.course.load import load_course
from grader.course.model import Course
from grader.errors import CourseError, GraderError, KitError, UsageError
from grader.grading.hosted import grade_own_work
from grader.notebooks.cells import COURSE, first_line
from grader.report import terminal
from grader.report.model import Graded, Outcome, Refused, Report, ScoredCheck
from grader.safe_text import safe_text

_LONGEST = 4_000  # characters of a line: a reason is a paragraph, which a browser wraps
_COLUMNS = 82  # of a cell's output, which does not wrap; of what is longer, `nbgrader validate` shows the beginning


class NoVerdict(Exception):
    """Neither points nor a zero, and why, safe to print. A notebook shows the reason without a traceback."""

    def __init__(self, reason: str) -> None:
        super().__init__(safe_text(reason, max_line=_LONGEST))

    def _render_traceback_(self) -> list[str]:
        return [f"No verdict. {self}"]


def load_ipython_extension(shell: "_Shell") -> None:
    """What `%load_ext` calls."""
    try:
        cells = _Cells(shell, _course_of_one(Path(COURSE)))
    except KitError as error:
        raise NoVerdict(str(error)) from error
    shell.register_magic_function(cells.solution, magic_kind="cell", magic_name="solution")
    shell.push({"check": cells.check})


def words(check: ScoredCheck, language: str) -> str:
    """What a terminal shows of one check, in its report's language."""
    stream = io.StringIO()
    terminal.show_check(terminal.make_console(stream, colour=False, width=_COLUMNS), check, language)
    return stream.getvalue()


def verdict(report: Report, name: str) -> ScoredCheck:
    """That check of the report, with a score.

    Raises:
        NoVerdict: there is none, in the whole report or of this check.
    """
    if isinstance(report, Refused):
        raise NoVerdict(f"This is refused, and no zero: {report.reason}")
    if not isinstance(report, Graded):
        raise NoVerdict(f"Nobody got a zero: {report.reason}")
    check = next((one for one in report.checks if one.name == name), None)
    if check is None:
        raise NoVerdict(f"{report.exercise} has no check {name!r}.")
    if not check.outcome.counts and check.points:
        why = "cannot be measured on this machine" if check.outcome is Outcome.UNMEASURED else "was not handed in"
        raise NoVerdict(f"{check.name} {why}: {check.reason}")
    return check


class _Shell(Protocol):
    """What is used of IPython's `InteractiveShell`."""

    def register_magic_function(self, func: Callable[..., object], *, magic_kind: str, magic_name: str) -> None: ...
    def push(self, variables: dict[str, Any]) -> None: ...


class _Cells:
    """The cells of one kernel."""

    def __init__(self, shell: _Shell, course: Course) -> None:
        self._shell, self._course = shell, course
        (self._exercise,) = course.exercises
        self._texts: dict[str, str] = {}  # of the solution's cells, by file
        self._graded: tuple[Mapping[str, str], Report] | None = None

    def solution(self, line: str, text: str) -> None:
        """The magic: the cell becomes the exercise's file, and the module of that name."""
        name = line.strip()
        if name not in self._exercise.submit:
            wanted = " or ".join(f"`{first_line(one)}`" for one in self._exercise.submit)
            raise NoVerdict(f"A cell of {self._exercise.slug} begins with {wanted}.")
        file = self._exercise.handout_dir / name
        self._write(file, text)
        self._texts[name] = text
        if str(file.parent) not in sys.path:
            sys.path.append(str(file.parent))  # where given modules are
        module = ModuleType(file.stem)
        module.__file__ = str(file)
        linecache.checkcache(str(file))  # tracebacks show this text, not the one before
        exec(compile(text, str(file), "exec"), module.__dict__)  # not imported: bytecode may be of the text before
        sys.modules[file.stem] = module
        self._shell.push({file.stem: module})

    def check(self, name: str) -> float:
        """Print what a terminal would show of this check; return its points. What has lost points goes to standard
        error: nothing else of a cell is shown by `nbgrader validate`."""
        report = self._report()
        check = verdict(report, name)
        print(words(check, report.language), end="", file=sys.stderr if check.outcome.loses_points else sys.stdout)
        return float(check.score or 0)

    def _report(self) -> Report:
        for name in self._exercise.submit:
            if name not in self._texts:
                raise NoVerdict(f"Run the cell that begins with `{first_line(name)}` first.")
            if _text_in(self._exercise.handout_dir / name) != self._texts[name]:
                raise NoVerdict(f"{name} was changed outside of its cell. The cell is handed in: run it again.")
        if self._graded is None or self._graded[0] != self._texts:
            print(f"Grading all checks of {self._exercise.number}, once for this text of the solution ...")
            try:
                report = grade_own_work(self._course, self._exercise)
            except KitError as error:
                raise NoVerdict(str(error)) from error
            for missing in report.missing_protections:
                print(f"NOT ISOLATED: {safe_text(missing, max_line=_LONGEST)}. This is your own work, so it ran bare.")
            self._graded = dict(self._texts), report
        return self._graded[1]

    def _write(self, file: Path, text: str) -> None:
        """What stands there and did not come from the cell is somebody's work: it is kept."""
        kept = self._exercise.root / ".grade" / "cells" / file.name
        there, ours = _text_in(file), _text_in(kept)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            if there not in (None, ours, text):
                file.replace(kept.with_suffix(".before.py"))
                if ours is not None:
                    print(f"{file.name} had been edited outside of this cell: see {kept.with_suffix('.before.py')}")
            for target in (file, kept):
                target.write_text(text, encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise NoVerdict(f"{file}: cannot be written: {error}. The folder `{COURSE}` is the notebook's.") from error


def _text_in(file: Path) -> str | None:
    with suppress(OSError):
        return file.read_bytes().decode("utf-8", "backslashreplace")
    return None


def _course_of_one(folder: Path) -> Course:
    try:
        course = load_course(folder)
    except CourseError as error:
        raise GraderError(f"{error}. The folder `{COURSE}` belongs beside the notebook.") from error
    if len(course.exercises) != 1:
        raise UsageError(f"{folder} has {len(course.exercises)} exercises, where a notebook has one.")
    return course
