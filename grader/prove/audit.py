"""The course proves itself: every stub earns nothing, every reference and every right solution earns everything, every
submission that is wrong on purpose fails exactly what it promises, and every check is failed by one of them.

Each grading is one as a person would order it, over a few slots that stay warm; the audit only reads reports.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from grader.box.scratch import held_folder
from grader.course.model import Course, Exercise
from grader.course.stubs import stale_stub
from grader.errors import KitError
from grader.grading.one import grade
from grader.grading.order import Order
from grader.grading.slot import Slots, Tools
from grader.prove.figures import Measured, check_of, disagreements, figures_of, table, without_limits
from grader.prove.playback import without_needs, write_playback
from grader.prove.promises import DEAR, Promises, folders, points_lost, read_promises
from grader.prove.translated import lacking, languages_of
from grader.report.model import Isolation, Machine, Outcome, Refused, Report

_EARN_NOTHING = {"stub": "the stub earns", "playback": "what plays back the answers of another seed earns"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much to grade.

    Attributes:
        quick: each wrong submission only on what it promises to fail, and no right one with hidden sizes.
        references: only stubs and references.
        repeat: how often each reference.
        burn: how many processes burn CPU meanwhile.
        measure: tell every figure of exercise.yaml with what was measured of it.
    """

    quick: bool = False
    references: bool = False
    repeat: int = 1
    burn: int = 0
    measure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to audit, and how."""

    course: Course
    exercises: tuple[Exercise, ...]
    extent: Extent
    jobs: int  # gradings at a time
    tools: Tools
    machine: Machine


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
    shows: bool = False  # graded without limits and needs, for its figures alone: it promises nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    row: Row
    report: Report | None
    off: tuple[str, ...]  # what is not as promised

    @property
    def measured(self) -> dict[str, float]:
        """The values of the budgets that were compared, by name."""
        checks = self.report.checks if self.report else ()
        return {one.name: one.value for check in checks for one in check.measurements if one.value is not None}

    def as_values(self) -> dict[str, object]:
        outcomes = {check.name: str(check.outcome) for check in self.report.checks} if self.report else {}
        return {
            "exercise": self.row.exercise,
            "submission": self.row.submission,
            "run": self.row.run,
            "hidden": self.row.hidden,
            "outcomes": outcomes,
            "measured": self.measured,
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
        for line in (*_table(exercise, promises), *_untranslated(exercise)):
            say(line)
    for line in off:
        say(f"OFF  {line}")
    results = []
    with _burners(plan.extent.burn), _graders(plan) as results_of:
        for result in results_of(rows):
            results.append(result)
            say(_line(plan, result))
            for complaint in result.off:
                say(f"       OFF  {complaint}")
    for exercise in plan.exercises:
        for line in _behind_the_matrix(plan, exercise, results, say):
            say(f"OFF  {line}")
            off.append(line)
    found = Found(results=tuple(results), off=tuple(off))
    say(_conclusion(found))
    return found


def _static(exercise: Exercise) -> Iterator[str]:
    """What can be told without running anything. Points, needs and tests were checked when the course was read."""
    if not (exercise.handout_dir / "README.md").is_file():
        yield (
            f"exercises/{exercise.slug}/README.md: there is no handout. Write what is to be built, what is measured, "
            "and why."
        )
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
    for run in range(1, plan.extent.repeat + 1):
        yield row("reference", exercise.solution_dir, run=run)
    if plan.extent.references:
        return
    yield row("playback", exercise.solution_dir, hidden=exercise.hidden_sizes is not None)
    right = {f"right/{folder.name}": folder for folder in folders(exercise.checks_dir / "right")}
    for name, folder in right.items():
        yield row(name, folder)
    if exercise.hidden_sizes is not None and not plan.extent.quick:
        for name, folder in {"reference": exercise.solution_dir, **right}.items():
            yield row(name, folder, hidden=True)
    for name, promise in promises.wrong.items():
        only = promise.red if plan.extent.quick else ()
        source = exercise.checks_dir / "wrong" / name
        yield row(f"wrong/{name}", source, only=only, red=promise.red)
        if promise.shows:
            checks = {check for budget in promise.shows if (check := check_of(exercise, budget))}
            yield replace(row(f"wrong/{name}", source, only=sorted(checks)), shows=True)


@contextlib.contextmanager
def _graders(plan: Plan) -> Iterator[Callable[[Sequence[Row]], Iterator[Result]]]:
    """As many threads as there are jobs, each with slots of its own; they give results in the order of the rows."""
    own = threading.local()
    all_slots: list[Slots] = []

    def begin() -> None:
        own.slots = Slots(plan.tools)
        all_slots.append(own.slots)

    pool = ThreadPoolExecutor(plan.jobs, initializer=begin)
    try:
        yield lambda rows: pool.map(lambda row: _graded(plan, row, own.slots), rows)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for slots in all_slots:  # whoever still grades ends without a verdict
            slots.close()
        pool.shutdown()


def _graded(plan: Plan, row: Row, slots: Slots) -> Result:
    exercise = plan.course.find(row.exercise)
    try:
        if row.submission == "playback":
            report = _played_back(plan, row, exercise, slots)
        else:
            asked = without_limits(exercise) if row.shows else exercise
            report = _report(_order(plan, row, asked, row.source), slots)
    except KitError as error:
        return Result(row=row, report=None, off=(f"no report: {error}",))
    return Result(row=row, report=report, off=tuple(_off(row, report)))


class _More(TypedDict, total=False):
    seed: int
    keep: Path
    trust: bool


def _order(plan: Plan, row: Row, exercise: Exercise, source: Path, **more: Unpack[_More]) -> Order:
    return Order.of(plan.course, exercise, source, plan.machine, hidden=row.hidden, checks=row.only, **more)


def _report(order: Order, slots: Slots) -> Report:
    return grade(order, slots, lambda _start: None, lambda _check: None)


def _played_back(plan: Plan, row: Row, exercise: Exercise, slots: Slots) -> Report:
    """The reference's answers to one seed, handed in at another. As a stranger's work it gets the hidden sizes."""
    with held_folder() as scratch:
        kept, file = scratch / "kept", scratch / exercise.submit[0]
        report = _report(_order(plan, row, exercise, row.source, seed=1, keep=kept), slots)
        if not report.graded:
            return report
        write_playback(kept, file)
        bare = report.isolation is Isolation.BARE
        return _report(_order(plan, row, without_needs(exercise), file, seed=2, trust=bare), slots)


def _off(row: Row, report: Report) -> Iterator[str]:
    if not report.graded:
        yield f"{'refused' if isinstance(report, Refused) else 'no verdict'}: {report.reason}"
        return
    if row.shows:
        return
    red = {check.name for check in report.checks if check.outcome.failed}
    if row.submission in _EARN_NOTHING:
        if report.score:
            earned = ", ".join(f"{check.name} ({check.score:g})" for check in report.checks if check.score)
            yield f"{_EARN_NOTHING[row.submission]} {report.score:g} points; it must earn none: {earned}"
        return
    unmeasured = {check.name for check in report.checks if check.outcome is Outcome.UNMEASURED}
    for name in sorted(row.promised - red - unmeasured):
        yield f"{name} was to fail, and did not"
    for check in report.checks:
        if check.failure is not None and check.name not in row.promised:
            words = f"expected: {check.failure.expected} / seen: {check.failure.seen}"
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


def _untranslated(exercise: Exercise) -> Iterator[str]:
    """Said, and nothing that is off: a reader gets the English text, which is the one that is graded by."""
    for code in sorted(languages_of(exercise)):
        for line in lacking(exercise, code):
            yield f"{exercise.number}, {code}: {line}"


def _line(plan: Plan, result: Result) -> str:
    row = result.row
    exercise = plan.course.find(row.exercise)
    cells = {check.name: check.outcome.letter for check in result.report.checks} if result.report else {}
    matrix = "".join(cells.get(check.name, " ") for check in exercise.checks)
    run = f" #{row.run}" if plan.extent.repeat > 1 and row.submission == "reference" and not row.hidden else ""
    run += " for its figures" if row.shows else ""
    run += " hidden" if row.hidden and row.submission != "playback" else ""
    return f"{'OFF' if result.off else 'ok':4} {row.exercise} {row.submission + run:32} {matrix}"


def _behind_the_matrix(plan: Plan, exercise: Exercise, results: Sequence[Result], say: Say) -> Iterator[str]:
    """What can be told of one exercise when all of it has been graded."""
    ours = [result for result in results if result.row.exercise == exercise.slug and result.report is not None]
    figures = figures_of(
        exercise, [Measured(submission=one.row.submission, values=one.measured) for one in ours if not one.row.hidden]
    )
    if plan.extent.references:
        figures = [figure for figure in figures if figure.kind == "reference"]
    else:
        yield from _never_red(exercise, results)
    if plan.extent.measure:
        for line in table(exercise, figures):
            say(line)
    checks = [check for one in ours if one.report and one.row.submission == "reference" for check in one.report.checks]
    unmeasured = frozenset(check.name for check in checks if check.outcome is Outcome.UNMEASURED)
    yield from disagreements(exercise, figures, unmeasured)


def _never_red(exercise: Exercise, results: Sequence[Result]) -> Iterator[str]:
    """A check that no wrong submission fails has proven nothing."""
    promised = {name for result in results if result.row.exercise == exercise.slug for name in result.row.promised}
    for check in exercise.checks:
        if check.name not in promised:
            yield f"{exercise.slug}: no wrong submission promises to fail {check.name}. Write one."


def _conclusion(found: Found) -> str:
    off = sum(bool(result.off) for result in found.results)
    legend = "  ".join(f"{outcome.letter} {outcome}" for outcome in Outcome)
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
