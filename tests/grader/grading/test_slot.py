"""Slots in one program: warm, several at a time, and the end of one is nothing to another."""

import dataclasses
import os
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.errors import GraderError
from grader.grading.one import Start, grade
from grader.grading.order import Order
from grader.grading.slot import BEST_LEVEL, Slots, Tools
from grader.report.model import Check, Graded, Isolation, Report, Ungraded
from gradings import TINY, descendants, wait_until

TOOLS = Tools.found(os.defpath)


@pytest.fixture
def slots(private_network: None, bwrap: str, strace: str) -> Iterator[Slots]:
    with Slots(TOOLS) as slots:
        yield slots


def order() -> Order:
    course = load_course(TINY)
    return Order.of(course, course.exercises[0], TINY / "solutions/ex90_tiny", machine(path=os.defpath), seed=1)


def graded(slots: Slots, on_check: Callable[[Check], None] = lambda _check: None) -> Report:
    return grade(order(), slots, lambda _start: None, on_check)


def full_marks(report: Report) -> bool:
    return isinstance(report, Graded) and report.official and report.score == report.max_score == 100


def test_a_slot_judges_one_submission_after_another(slots: Slots) -> None:
    first = graded(slots)
    slot = slots.get(BEST_LEVEL)
    second = graded(slots)

    assert full_marks(first)
    assert full_marks(second)
    assert slots.get(BEST_LEVEL) is slot


def test_between_two_submissions_nothing_runs_below_a_slot(slots: Slots) -> None:
    graded(slots)

    assert descendants(slots.get(BEST_LEVEL).pid) == []


def test_a_slot_that_dies_costs_its_own_grading_alone_and_is_replaced(slots: Slots) -> None:
    """Two gradings at a time in this program; the slot of one is killed at its first check."""
    slots.get(BEST_LEVEL).wait_until_ready()
    killed = slots.get(BEST_LEVEL).pid

    def kill(_check: Check) -> None:
        with suppress(ProcessLookupError):
            os.kill(killed, signal.SIGKILL)

    with Slots(TOOLS) as others, ThreadPoolExecutor(1) as pool:
        other = pool.submit(graded, others)
        report = graded(slots, kill)
        assert full_marks(other.result())
        others.close()

    assert isinstance(report, Ungraded)
    assert report.reason.startswith("The judge ended before its verdict (signal SIGKILL)")
    assert full_marks(graded(slots))
    assert slots.get(BEST_LEVEL).pid != killed


def test_a_judge_that_dies_leaves_its_slot_clean(slots: Slots, tmp_path: Path) -> None:
    slot = slots.get(BEST_LEVEL)
    slot.wait_until_ready()
    (tmp_path / "tiny.py").write_text("import time\ntime.sleep(600)\n")
    waits = dataclasses.replace(order(), source=tmp_path)

    def boxes() -> list[psutil.Process]:
        return [one for one in descendants(slot.pid) if "bwrap" in one.name()]

    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(grade, waits, slots, lambda _start: None, lambda _check: None)
        wait_until(lambda: bool(boxes()), "a box")
        judge = psutil.Process(slot.pid).children()[0]  # what it adopts comes later
        judge.kill()

    ended = report.result()
    assert isinstance(ended, Ungraded)
    assert "(signal SIGKILL)" in ended.reason
    assert full_marks(graded(slots))


def test_where_a_level_is_refused_each_grading_gets_the_next_one(strace: str) -> None:
    starts: list[Start] = []
    with Slots(dataclasses.replace(TOOLS, bwrap=None)) as slots:
        own = [grade(order(), slots, starts.append, lambda _check: None) for _ in range(2)]
        strangers = grade(dataclasses.replace(order(), own=False), slots, starts.append, lambda _check: None)

    assert [report.graded and report.score for report in own] == [100, 100]
    assert [(start.isolation, start.refused) for start in starts] == [
        (Isolation.BARE, "bubblewrap is not installed")
    ] * 2
    assert isinstance(strangers, Ungraded)
    assert "this machine refuses one: bubblewrap is not installed" in strangers.reason


def test_a_slot_is_replaced_when_what_its_wall_rests_on_has_changed(
    private_network: None, bwrap: str, strace: str, staging: Path
) -> None:
    changing = staging / "bwrap"
    shutil.copy(bwrap, changing)
    with Slots(dataclasses.replace(TOOLS, bwrap=str(changing))) as slots:
        assert full_marks(graded(slots))
        first = slots.get(BEST_LEVEL).pid
        assert slots.get(BEST_LEVEL).pid == first
        changing.unlink()
        changing.write_text("#!/bin/sh\nexit 1\n")
        changing.chmod(0o755)
        strangers = grade(dataclasses.replace(order(), own=False), slots, lambda _start: None, lambda _check: None)

    assert isinstance(strangers, Ungraded)
    assert "a box cannot be started" in strangers.reason
    assert not psutil.pid_exists(first)


def test_who_closes_all_slots_ends_the_grading_that_is_under_way(slots: Slots) -> None:
    report = graded(slots, lambda _check: slots.close())

    assert isinstance(report, Ungraded)
    with pytest.raises(GraderError, match="The grading was ended"):
        slots.get(BEST_LEVEL)


def test_a_slot_whose_words_nobody_reads_any_more_ends_in_order(slots: Slots) -> None:
    """As when its starter was killed before it listened: no signal comes, and the connection is reset."""
    slot = slots.get(BEST_LEVEL)
    wait_until(lambda: bool(select.select([slot._control], [], [], 0)[0]), "its first word")

    slot._control.close()

    assert slot._process.wait(60) == 0
    assert slot.last_words() == ""


def test_a_slot_that_is_told_nonsense_says_so_in_its_log_and_leaves_nothing(slots: Slots) -> None:
    slot = slots.get(BEST_LEVEL)
    slot.wait_until_ready()

    slot._control.sendall(b"grade this\n")

    assert slot._process.wait(60) == 1
    assert "NotUnderstood: is not JSON" in slot.last_words()


def test_a_closed_slot_leaves_neither_a_process_nor_a_folder(slots: Slots) -> None:
    slot = slots.get(BEST_LEVEL)
    slot.wait_until_ready()
    folder = slot.log.parent

    slots.close()

    assert not Path("/proc", str(slot.pid)).exists()
    assert not folder.exists()
