"""The course proves itself: every stub earns nothing, every reference and every right solution earns everything, every
submission that is wrong on purpose fails exactly what it promises, and every check is failed by one of them.

Each grading is a `grade --json FILE` in a process of its own, as a person would type it; the audit only reads reports.
"""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from grader.box.scratch import held_folder
from grader.course.load import Course, Exercise
from grader.course.stubs import stale_stub
from grader.prove.playback import course_without_needs, write_playback
from grader.prove.promises import DEAR, Promises, folders, points_lost, read_promises
from grader.report.model import Graded, Isolation, Outcome, Ungraded, from_json

_RED = (Outcome.FAILED, Outcome.TIMED_OUT, Outcome.CRASHED, Outcome.FORBIDDEN)
_CELL = {
    Outcome.PASSED: ".",
    Outcome.FAILED: "F",
    Outcome.TIMED_OUT: "T",
    Outcome.CRASHED: "C",
    Outcome.FORBIDDEN: "X",
    Outcome.NOT_RUN: "-",
    Outcome.UNMEASURED: "?",
    Outcome.OMITTED: "o",
}

_EARN_NOTHING = {"stub": "the stub earns", "playback": "what plays back the answers of another seed earns"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to audit, and how."""

    course: Course
    exercises: tuple[Exercise, ...]
    jobs: int
    quick: bool = False
    references: bool = False
    repeat: int = 1
    burn: int = 0
    command: Callable[[], object]  # `grade`, with its words in sys.argv; it is run in a process of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One grading of the matrix."""

    exercise: str
    submission: str  # "stub", "reference", "playback", "right/<style>" or "wrong/<fault>"
    source: Path
    run: int
    only: tuple[str, ...]
    promised: frozenset[str]  # names of red checks
    hidden: bool  # with the hidden sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    row: Row
    report: Graded | Ungraded | None
    off: tuple[str, ...]  # what is not as promised

    def as_values(self) -> dict[str, object]:
        outcomes = {check.name: str(check.outcome) for check in self.report.checks} if self.report else {}
        return {
            "exercise": self.row.exercise,
            "submission": self.row.submission,
            "run": self.row.run,
            "hidden": self.row.hidden,
            "outcomes": outcomes,
            "off": list(self.off),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The matrix, and what is off besides single rows."""

    results: tuple[Result, ...]
    off: tuple[str, ...]

    @property
    def clean(self) -> bool:
        return not self.off and not any(result.off for result in self.results)

    @property
    def proves_all(self) -> bool:
        """Clean, with wrong submissions among it, and nothing that this machine could not measure."""
        checks = [check for result in self.results if result.report for check in result.report.checks]
        wrong = any(result.row.promised for result in self.results)
        return self.clean and wrong and not any(check.outcome is Outcome.UNMEASURED for check in checks)

    def to_json(self) -> str:
        rows = [result.as_values() for result in self.results]
        return json.dumps({"clean": self.clean, "off": list(self.off), "rows": rows}, indent=2)


def prove(plan: Plan, say: Say) -> Found:
    """Grade everything that the course promises something about, and compare.

    Raises:
        CourseError: expected.yaml is wrong.
    """
    off: list[str] = []
    rows: list[Row] = []
    for exercise in plan.exercises:
        promises = read_promises(exercise)
        off += [*_static(exercise), *promises.off]
        rows += rows_of(plan, exercise, promises)
        for line in _table(exercise, promises):
            say(line)
    for line in off:
        say(f"OFF  {line}")
    with _burners(plan.burn), ThreadPoolExecutor(plan.jobs) as pool:
        results = []
        for result in pool.map(lambda row: _graded(plan, row), rows):
            results.append(result)
            say(_line(plan, result))
            for complaint in result.off:
                say(f"       OFF  {complaint}")
    if not plan.references:
        for exercise in plan.exercises:
            for line in _never_red(exercise, results):
                say(f"OFF  {line}")
                off.append(line)
    found = Found(results=tuple(results), off=tuple(off))
    say(_conclusion(found))
    return found


def _static(exercise: Exercise) -> Iterator[str]:
    """What can be told without running anything. Points, needs and tests were checked when the course was read."""
    for name in exercise.submit:
        complaint = stale_stub(exercise.solution_dir / name, exercise.handout_dir / name)
        if complaint:
            yield complaint
    for check in exercise.checks:
        for budget in check.budgets:
            if budget.reference > budget.limit:
                yield f"{exercise.slug}: the reference's {budget.name} is over its limit. Mend exercise.yaml."
            if budget.naive is not None and budget.naive <= budget.limit:
                yield f"{exercise.slug}: the naive {budget.name} is within its limit. Mend exercise.yaml."


def rows_of(plan: Plan, exercise: Exercise, promises: Promises) -> Iterator[Row]:
    """The gradings of one exercise. A quick plan has none with hidden sizes but the playback's."""

    def row(
        name: str,
        source: Path,
        *,
        run: int = 1,
        only: Sequence[str] = (),
        red: Sequence[str] = (),
        hidden: bool = False,
    ) -> Row:
        return Row(
            exercise=exercise.slug,
            submission=name,
            source=source,
            run=run,
            only=tuple(only),
            promised=frozenset(red),
            hidden=hidden,
        )

    yield row("stub", exercise.handout_dir)
    for run in range(1, plan.repeat + 1):
        yield row("reference", exercise.solution_dir, run=run)
    if plan.references:
        return
    yield row("playback", exercise.solution_dir, hidden=exercise.hidden_sizes is not None)
    right = {f"right/{folder.name}": folder for folder in folders(exercise.checks_dir / "right")}
    for name, folder in right.items():
        yield row(name, folder)
    if exercise.hidden_sizes is not None and not plan.quick:
        for name, folder in {"reference": exercise.solution_dir, **right}.items():
            yield row(name, folder, hidden=True)
    for name, promise in promises.wrong.items():
        only = promise.red if plan.quick else ()
        yield row(f"wrong/{name}", exercise.checks_dir / "wrong" / name, only=only, red=promise.red)


# Forked from a process that has imported everything already: a third of what a short grading costs.
_FORKS = multiprocessing.get_context("forkserver")
_REPORT, _OUTPUT = "report.json", "output"
_FORKS.set_forkserver_preload(
    ["grader.commands.main", "grader.grading.one", "grader.report.history", "grader.report.terminal"]
)


def _graded(plan: Plan, row: Row) -> Result:
    with held_folder() as scratch:
        try:
            if row.submission == "playback":
                report = _played_back(plan, row, scratch)
            else:
                words = [word for name in row.only for word in ("--only", name)]
                report = _report(plan, row, row.source, [*words, *_sizes(row)], scratch)
        except _NoReport as error:
            return Result(row=row, report=None, off=(f"no report: {error}",))
    return Result(row=row, report=report, off=tuple(_off(row, report)))


def _sizes(row: Row) -> list[str]:
    return ["--hidden"] if row.hidden else []


def _played_back(plan: Plan, row: Row, scratch: Path) -> Graded | Ungraded:
    """The reference's answers to one seed, handed in at another. As a stranger's work it gets the hidden sizes."""
    (first, second), kept = (scratch / "first", scratch / "second"), scratch / "kept"
    first.mkdir()
    second.mkdir()
    report = _report(plan, row, row.source, ["--seed", "1", "--keep", str(kept), *_sizes(row)], first)
    if not report.graded:
        return report
    exercise = plan.course.find(row.exercise)
    file = second / exercise.submit[0]
    write_playback(kept, file)
    course_without_needs(exercise, scratch / "course")
    bare = ["--trust"] if report.isolation is Isolation.BARE else []
    return _report(plan, row, file, ["--seed", "2", "--course", str(scratch / "course"), *bare], second)


class _NoReport(Exception):
    """A grading that ended without one: its last words."""


def _report(plan: Plan, row: Row, source: Path, words: Sequence[str], scratch: Path) -> Graded | Ungraded:
    command = ["exercise", row.exercise, "--course", str(plan.course.root), "--submission", str(source), *words]
    grading = _FORKS.Process(target=_grade, args=(plan.command, command, str(scratch)))
    grading.start()
    grading.join()
    try:
        return from_json((scratch / _REPORT).read_bytes())
    except (OSError, ValueError) as error:
        said = [f"it ended with {grading.exitcode}"]
        with contextlib.suppress(OSError):  # it may have been killed before it opened it
            said += (scratch / _OUTPUT).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise _NoReport(said[-1]) from error


def _grade(command: Callable[[], object], words: Sequence[str], scratch: str) -> None:
    """The command with these words, in this process; what it says goes into a file."""
    os.chdir(scratch)
    with Path(_OUTPUT).open("wb") as output:
        for fd in (1, 2):
            os.dup2(output.fileno(), fd)
    sys.argv = ["grade", *words, "--json", _REPORT]
    command()


def _off(row: Row, report: Graded | Ungraded) -> Iterator[str]:
    if not report.graded:
        yield f"no verdict: {report.reason}"
        return
    red = {check.name for check in report.checks if check.outcome in _RED}
    if row.submission in _EARN_NOTHING:
        if report.score:
            earned = ", ".join(f"{check.name} ({check.score:g})" for check in report.checks if check.score)
            yield f"{_EARN_NOTHING[row.submission]} {report.score:g} points; it must earn none: {earned}"
        return
    unmeasured = {check.name for check in report.checks if check.outcome is Outcome.UNMEASURED}
    for name in sorted(row.promised - red - unmeasured):
        yield f"{name} was to fail, and did not"
    for check in report.checks:
        if check.name in red - row.promised:
            words = " / ".join(check.message.splitlines()[:2])
            yield f"{check.name} was not to fail ({check.outcome}): {words} (seed {report.seed})"


def _table(exercise: Exercise, promises: Promises) -> Iterator[str]:
    """Each rule of the handout, what checks it, and what proves that; then the mistakes on which much hangs."""
    if not promises.rules:
        return
    yield f"{exercise.number}: rule | check | wrong submissions"
    for rule in promises.rules:
        text = " ".join(rule.rule.split())
        held = f"{', '.join(rule.check)} | {', '.join(rule.wrong)}" if rule.check else f"not checked: {rule.unchecked}"
        yield f"  {text} | {held}"
    for fault, promise in promises.wrong.items():
        if (lost := points_lost(exercise, promise.red)) > DEAR:
            yield f"  {lost} points hang on {fault}: {promise.dear or 'nobody said why'}"


def _line(plan: Plan, result: Result) -> str:
    row = result.row
    exercise = plan.course.find(row.exercise)
    cells = {check.name: _CELL[check.outcome] for check in result.report.checks} if result.report else {}
    matrix = "".join(cells.get(check.name, " ") for check in exercise.checks)
    run = f" #{row.run}" if plan.repeat > 1 and row.submission == "reference" and not row.hidden else ""
    run += " hidden" if row.hidden and row.submission != "playback" else ""
    return f"{'OFF' if result.off else 'ok':4} {row.exercise} {row.submission + run:32} {matrix}"


def _never_red(exercise: Exercise, results: Sequence[Result]) -> Iterator[str]:
    """A check that no wrong submission fails has proven nothing."""
    promised = {name for result in results if result.row.exercise == exercise.slug for name in result.row.promised}
    for check in exercise.checks:
        if check.name not in promised:
            yield f"{exercise.slug}: no wrong submission promises to fail {check.name}. Write one."


def _conclusion(found: Found) -> str:
    off = sum(bool(result.off) for result in found.results)
    legend = "  ".join(f"{cell} {outcome}" for outcome, cell in _CELL.items())
    verdict = "All as promised." if found.clean else f"{off} submissions and {len(found.off)} other things are off."
    return f"\n{legend}\n{len(found.results)} gradings. {verdict}"


@contextlib.contextmanager
def _burners(count: int) -> Iterator[None]:
    """Processes that burn CPU beside the gradings, and end with this one."""
    program = (
        "import ctypes, os, sys\n"
        "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
        "while os.getppid() == int(sys.argv[1]):\n"
        "    sum(range(100_000))\n"
    )
    command = [sys.executable, "-I", "-c", program, str(os.getpid())]
    burners = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
