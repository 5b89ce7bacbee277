"""The story of one grading, seen from outside the judge: a clean folder, a slot, its judge's events, a report.

What was handed in and cannot be graded has a report too, `Refused`: whoever reads a class's reports misses nobody, and
the report of an earlier submission does not stay in its place.

It fails closed. A report is `Graded` only when every check that was asked for has reported, each once, and the judge
said that it was finished; anything else is `Ungraded`, with the checks that ended shown for information.
"""

import contextlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from grader.box.levels import LEVELS, Bare
from grader.box.staging import staging_folder
from grader.errors import GraderError, SubmissionError
from grader.grading.finding import find
from grader.grading.handed_in import Submission, collect
from grader.grading.names import printable
from grader.grading.order import Order
from grader.grading.slot import IsolationRefused, Slot, Slots, Tools
from grader.judge.protocol import Broken, CheckEnded, Ended, Event, Finished, Job
from grader.report.model import Check, Graded, Isolation, Refusal, Refused, Report, Ungraded, moment, scored
from grader.safe_text import safe_text
from grader.versions import kit_version

OnCheck = Callable[[Check], None]
OnReady = Callable[["Start"], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known when the first check begins."""

    isolation: Isolation
    refused: str  # why it has no better level; empty when there is none
    untraceable: str | None
    taken: str = ""  # what is graded of what was handed in, where that is not all of it


def grade(order: Order, slots: Slots, on_ready: OnReady, on_check: OnCheck) -> Report:
    """Grade one submission.

    Args:
        on_ready: called once, when the level of isolation is proven; not at all when the submission is refused.
        on_check: called for each check as it ends.
    """
    read_at = moment(datetime.now(UTC))
    handed_in: Submission | None = None
    seen: list[Check] = []
    starts: list[Start] = []

    def ready(start: Start) -> None:
        starts.append(start)
        on_ready(start)

    def note(check: Check) -> None:
        seen.append(check)
        on_check(check)

    with staging_folder() as staging:
        try:
            handed_in = _stage(order, staging)
            _run(order, _job(order, staging, handed_in.ignored), slots, ready, note)
        except SubmissionError as error:
            return refused(order, error)
        except GraderError as error:
            common = _common(order, starts, handed_in, read_at)
            return Ungraded(reason=str(error), checks=tuple(seen), **common)
    return _graded(order, seen, _common(order, starts, handed_in, read_at))


def grade_quietly(order: Order, tools: Tools) -> Report:
    """Grade one submission in a slot of its own, and tell nothing on the way."""
    with Slots(tools) as slots:
        return grade(order, slots, lambda _start: None, lambda _check: None)


def refused(order: Order, error: SubmissionError, *, absent: bool = False) -> Refused:
    """The report of a submission that cannot be graded; `absent`: because there is none."""
    place = error.place
    refusal = Refusal(
        what=order.called,
        file=place.file,
        line=place.line,
        column=place.column,
        why=f"{place.named(place.file or order.called)}{error.said}.",
        cure=error.cure,
        absent=absent,
    )
    common = _common(order, (), None, moment(datetime.now(UTC)))
    return Refused(refusal=refusal, **common | {"submission_digest": error.digest})


def _stage(order: Order, staging: Path) -> Submission:
    """Copy what was handed in, and the given modules, into the staging folder. Another user reads them, whatever this
    one keeps from others. What the course itself has put beside a student's files is not told as ignored.

    Raises:
        SubmissionError: what was handed in cannot be graded.
    """
    exercise = order.exercise
    handed_in, given = staging / "submission", staging / "given"
    source = order.source if _is_at_home(order) else find(order.source, exercise.submit, exercise.slug)
    collected = collect(source, exercise.submit, handed_in, file_kb=exercise.limits.file_kb)
    for name in exercise.given:
        shutil.copyfile(exercise.handout_dir / name, given / name)
    for folder in (handed_in, given):
        for file in folder.iterdir():
            file.chmod(0o644)
    published = {"README.md", "exercise.yaml", *exercise.given} if order.source == exercise.handout_dir else set()
    return replace(collected, ignored=tuple(safe_text(name) for name in collected.ignored if name not in published))


def _is_at_home(order: Order) -> bool:
    """What the course itself keeps in its place is looked for nowhere else."""
    return order.source in (order.exercise.handout_dir, order.exercise.solution_dir)


def _taken(order: Order) -> str:
    """What is graded of what was handed in, where that is not all of it; safe to print."""
    source = order.source if _is_at_home(order) else find(order.source, order.exercise.submit, order.exercise.slug)
    return "" if source == order.source else printable(str(source.relative_to(order.source)))


def _common(order: Order, starts: Sequence[Start], handed_in: Submission | None, read_at: str) -> dict[str, Any]:
    exercise = order.exercise
    start = starts[-1] if starts else None
    return {
        "exercise": exercise.slug,
        "title": exercise.title.in_(order.language),
        "language": order.language,
        "isolation": None if start is None else start.isolation,
        "missing_protections": (start.refused,) if start is not None and start.refused else (),
        "sizes": "hidden" if order.hidden else "public",
        "seed": order.seed,
        "kit_version": kit_version(),
        "checks_digest": exercise.digest,
        "machine": order.machine,
        "graded_at": read_at,
        "submission_digest": None if handed_in is None else handed_in.digest,
        "ignored_files": () if handed_in is None else handed_in.ignored,
    }


def _graded(order: Order, seen: Sequence[Check], common: dict[str, Any]) -> Graded:
    checks = tuple(scored(check) for check in seen)
    return Graded(
        score=sum(check.score or 0 for check in checks),
        max_score=sum(check.points for check in checks),
        measurable_score=sum(check.points for check in checks if check.outcome.counts),
        partial=bool(order.checks),
        official=common["isolation"] is Isolation.BOXED and not order.checks,
        checks=checks,
        **common,
    )


# --- the judge, from outside --------------------------------------------------------------------------------------


def _run(order: Order, job: Job, slots: Slots, on_ready: OnReady, on_check: OnCheck) -> None:
    """Have it judged at the best level that this machine has and that this work may run at."""
    slot, refusal = _slot(order, slots)
    whole = False
    try:
        untraceable = slot.wait_until_ready().untraceable
        on_ready(Start(isolation=Isolation(slot.level), refused=refusal, untraceable=untraceable, taken=_taken(order)))
        verdict = _Verdict(order.names, on_check)
        for event in slot.judge(job):
            verdict.take(event)
        verdict.require_whole()
        whole = True
    except GraderError as error:
        words = slot.last_words()
        raise GraderError(f"{error} Its log ends: {words}" if words else str(error)) from error
    finally:
        if order.keep is not None:
            with contextlib.suppress(OSError):
                shutil.copyfile(slot.log, order.keep / "judge.log")
        if not whole:
            slots.drop(slot)


def _slot(order: Order, slots: Slots) -> tuple[Slot, str]:
    """A slot to judge this in, and why it has no better level; empty when there is none.

    Raises:
        GraderError: no level that this work may run at can be had.
    """
    levels = [Bare] if order.trust else [level for level in LEVELS if order.own or level.for_strangers]
    refusal = "it was asked for with --trust" if order.trust else ""
    for level in levels:
        slot = slots.get(level.name)
        try:
            slot.wait_until_ready()
        except IsolationRefused as error:
            refusal = str(error)
        except GraderError:
            return slot, refusal  # it is told again where its log is
        else:
            return slot, refusal
    if Bare in levels:
        raise GraderError(f"No program can be run here: {refusal}. `grade doctor` says what is missing.")
    raise GraderError(
        f"Other people's programs run only in a box, and this machine refuses one: {refusal}. "
        "`grade doctor` says what is missing and the line that mends it; --trust runs it without."
    )


def _job(order: Order, staging: Path, beside: Sequence[str] = ()) -> Job:
    exercise = order.exercise
    sizes = exercise.hidden_sizes if order.hidden and exercise.hidden_sizes is not None else exercise.sizes
    return Job(
        exercise=exercise.model_dump_json(),
        staging=str(staging),
        seed=order.seed,
        sizes=dict(sizes),
        checks=list(order.names),
        language=order.language,
        keep=None if order.keep is None else str(order.keep),
        beside=list(beside),
    )


@dataclass(slots=True)
class _Verdict:
    """What a judge has said of the checks, and whether that is a verdict."""

    names: tuple[str, ...]
    on_check: OnCheck
    _ended: list[str] = field(default_factory=list)
    _finished: bool = False
    _how_it_ended: str = ""

    def take(self, event: Event) -> None:
        """
        Raises:
            GraderError: no verdict.
        """
        match event:
            case CheckEnded(found):
                self._check(found)
            case Broken(reason):
                raise GraderError(reason)
            case Finished():
                self._finished = True
            case Ended(how):
                self._how_it_ended = how

    def _check(self, found: object) -> None:
        try:
            check = Check.model_validate(found)
        except ValidationError as error:
            raise GraderError("The judge reported a check that is not one.") from error
        if check.name not in self.names or check.name in self._ended or self._finished:
            raise GraderError(f"The judge reported the check {check.name}, which was not to come.")
        self._ended.append(check.name)
        self.on_check(check)

    def require_whole(self) -> None:
        """
        Raises:
            GraderError: the judge has not said that it is finished, or not every check has reported, in order.
        """
        if not self._finished:
            raise GraderError(f"The judge ended before its verdict ({self._how_it_ended}). Run it again.")
        if tuple(self._ended) != self.names:
            raise GraderError(f"The judge finished with {len(self._ended)} of {len(self.names)} checks.")
