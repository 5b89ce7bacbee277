"""Slots that work through a list of gradings, one on each core, and write each report as it comes. Knows slots, orders
and how a report is written; knows nothing of how the list was made or of screens.

Each slot keeps to a core of its own, with its boxes, their tracers and clients: what one counts or times, no other slot
disturbs.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from grader.batch.worklist import Item, Seeds
from grader.course.model import Course
from grader.errors import GraderError, Place, SubmissionError, UsageError
from grader.grading.one import grade, refused
from grader.grading.order import Order
from grader.grading.slot import BEST_LEVEL, IsolationRefused, Slots, Tools
from grader.report.model import Machine, Report, Ungraded, to_json
from grader.report.output import replace_file

TRIES: Final = 3  # of a grading that came to no verdict: its slot may have been killed by chance
NOTHING: Final = "nothing was handed in"
_CALLED: Final = "What was handed in"

OnEnd = Callable[[Item, Report], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a class is graded.

    Attributes:
        jobs: gradings at a time.
        seeds: None for a fresh seed each.
    """

    course: Course
    machine: Machine
    tools: Tools
    jobs: int
    seeds: Seeds | None
    language: str


@contextlib.contextmanager
def writing_to(results: Path) -> Iterator[None]:
    """The folder of reports is this process's alone.

    Raises:
        UsageError: another command writes there, or it cannot be made.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        lock = os.open(results / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"{results}: {error.strerror}. Name a folder that can be written to.") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(f"{results}: another command grades into this folder. Wait for it, or end it.") from error
        yield
    finally:
        os.close(lock)


def run(items: Sequence[Item], plan: Plan, on_end: OnEnd) -> None:
    """Grade them all, each into its file. `on_end` is called in this thread, in the order in which they end.

    Raises:
        GraderError: this machine has no box for other people's programs, or a report could not be written. What was
            written before is whole, and nothing else is there.
    """
    if not items:
        return
    with _workers(plan) as graded:
        for item, report in graded(items):
            _write(item, report)
            on_end(item, report)


@contextlib.contextmanager
def _workers(plan: Plan) -> Iterator[Callable[[Sequence[Item]], Iterator[tuple[Item, Report]]]]:
    own = threading.local()
    everybody: list[Slots] = []
    cores = sorted(os.sched_getaffinity(0))

    def begin() -> None:
        with lock:
            os.sched_setaffinity(0, {cores[len(everybody) % len(cores)]})  # of this thread, and of all that it starts
            own.slots = Slots(plan.tools)
            everybody.append(own.slots)

    def work(item: Item) -> tuple[Item, Report]:
        return item, _graded(item, plan, own.slots)

    def graded(items: Sequence[Item]) -> Iterator[tuple[Item, Report]]:
        """Few are handed out ahead, so that what is stopped in the middle stops soon."""
        waiting, running = iter(items), set[Future[tuple[Item, Report]]]()
        while True:
            while len(running) < plan.jobs and (item := next(waiting, None)) is not None:
                running.add(pool.submit(work, item))
            if not running:
                return
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (one.result() for one in ended)

    lock = threading.Lock()
    pool = ThreadPoolExecutor(plan.jobs, initializer=begin)
    try:
        yield graded
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for slots in everybody:  # whoever still grades ends without a verdict
            slots.close()
        pool.shutdown()


def _graded(item: Item, plan: Plan, slots: Slots) -> Report:
    order = Order.of(
        plan.course,
        item.exercise,
        item.source or item.exercise.handout_dir,
        plan.machine,
        own=False,
        seed=None if plan.seeds is None else plan.seeds.seed_of(item),
        language=plan.language,
        called=_CALLED if item.source is not None else item.exercise.slug,
    )
    if item.source is None:
        error = SubmissionError(Place(order.called), f": {NOTHING}", "Hand in, or ask your instructor.")
        return refused(order, error, absent=True)
    _require_box(slots)
    for _ in range(TRIES - 1):
        report = grade(order, slots, lambda _start: None, lambda _check: None)
        if not isinstance(report, Ungraded) or slots.closed:
            return report
    return grade(order, slots, lambda _start: None, lambda _check: None)


def _require_box(slots: Slots) -> None:
    """
    Raises:
        GraderError: a level that other people's programs may run at cannot be had: no grading would have a verdict.
    """
    try:
        with contextlib.suppress(GraderError):  # the grading hears the same, tells why, and drops the slot
            slots.get(BEST_LEVEL).wait_until_ready()
    except IsolationRefused as refusal:
        raise GraderError(
            f"Other people's programs run only in a box, and this machine refuses one: {refusal}. `grade doctor` says "
            "what is missing and the line that mends it."
        ) from refusal


def _write(item: Item, report: Report) -> None:
    try:
        item.file.parent.mkdir(exist_ok=True)
        replace_file(item.file, to_json(report) + "\n")
    except OSError as error:
        raise GraderError(
            f"{item.file} cannot be written: {error.strerror}. What is there is whole. Mend that, and type the same "
            "command again: it goes on from here."
        ) from error
