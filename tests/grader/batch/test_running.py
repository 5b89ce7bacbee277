"""A class's gradings as they are typed: `grade class run`, what it leaves, and what becomes of it when it is killed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader.batch import running
from grader.batch.running import TRIES, Plan, writing_to
from grader.batch.worklist import Item
from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.errors import GraderError, UsageError
from grader.grading.one import grade
from grader.grading.order import Order
from grader.grading.slot import BEST_LEVEL, Slots, Tools
from grader.report.model import Graded, Refused, Report, Ungraded, from_json
from gradings import SOLUTION, Done, Tiny, descendants, started, tiny_course, wait_until

STUDENTS = [f"s{number:02}" for number in range(10)]
TOOLS = Tools.found(os.defpath)


@pytest.fixture
def course(tmp_path: Path, private_network: None, bwrap: str, strace: str) -> Tiny:
    """With the work of ten students: eight right ones, one that is not UTF-8, and one folder that is empty."""
    tiny = tiny_course(tmp_path)
    for student in STUDENTS:
        tiny.write(f"submissions/{student}/tiny.py", (tiny.root / SOLUTION).read_text())
    (tiny.root / "submissions/s03/tiny.py").write_bytes(b"x = '\xff'\n")
    (tiny.root / "submissions/s04/tiny.py").unlink()
    return tiny


def words(tiny: Tiny, command: str, *more: str) -> list[str]:
    return ["class", command, str(tiny.root / "submissions"), "--to", str(tiny.root / "results"), *more]


def type_run(tiny: Tiny, *more: str) -> Done:
    return tiny.type(*words(tiny, "run", *more))


def reports(tiny: Tiny) -> dict[str, Report]:
    return {file.parent.name: from_json(file.read_bytes()) for file in (tiny.root / "results").glob("*/ex90.json")}


def scores(tiny: Tiny) -> dict[str, int | str]:
    return {
        student: report.score if isinstance(report, Graded) else type(report).__name__
        for student, report in sorted(reports(tiny).items())
    }


RIGHT = dict.fromkeys(STUDENTS, 100) | {"s03": "Refused", "s04": "Refused"}


def test_everybody_has_a_report_and_a_second_run_grades_nobody(course: Tiny) -> None:
    first = type_run(course)
    before = {file: file.stat().st_mtime_ns for file in (course.root / "results").glob("*/*.json")}
    second = type_run(course, "--json", str(course.root / "all.json"))

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert scores(course) == RIGHT
    assert "0 of 10 are done. Grading 10, " in first.out
    assert "[10/10] " in first.out and " left)" in first.out
    assert "10 of 10 are done. Grading 0, " in second.out
    assert "8 of 10 graded." in second.out
    assert "  s03 ex90: tiny.py:1: the byte 0xff is not UTF-8." in second.out
    assert before == {file: file.stat().st_mtime_ns for file in before}
    rows = json.loads((course.root / "all.json").read_text())
    assert [row["standing"] for row in rows].count("graded") == 8
    assert len({report.seed for report in reports(course).values()}) == len(STUDENTS)
    assert {report.official for report in reports(course).values() if isinstance(report, Graded)} == {True}


def test_who_hands_in_anew_is_told_and_graded_when_that_is_wanted(course: Tiny) -> None:
    type_run(course, "--quiet")
    seed = reports(course)["s00"].seed
    with (course.root / "submissions/s00/tiny.py").open("a") as file:
        file.write("# newer\n")
    course.write("submissions/s04/tiny.py", (course.root / SOLUTION).read_text())

    told = course.type(*words(course, "status"))
    again = type_run(course, "--again", "changed")

    assert "2 graded from other files" in told.out
    assert "[2/2] " in again.out and again.code == 0
    assert scores(course) == RIGHT | {"s04": 100}
    assert reports(course)["s00"].seed == seed


def test_who_is_in_no_folder_of_the_exercise_is_absent(course: Tiny) -> None:
    """Of two exercises, each student has handed in one."""
    for part in ("exercises", "solutions", "tests"):
        source = course.root / part / "ex90_tiny"
        for file in [one for one in source.rglob("*") if one.is_file() and "__pycache__" not in one.parts]:
            course.write(
                f"{part}/ex91_other/{file.relative_to(source)}", file.read_text().replace("tiny.py", "other.py")
            )
        for file in (course.root / part / "ex91_other").rglob("tiny.py"):
            file.rename(file.with_name("other.py"))
    course.edit("course.yaml", "  - ex90_tiny\n", "  - ex90_tiny\n  - ex91_other\n")

    done = type_run(course, "--quiet")

    report = from_json((course.root / "results/s00/ex91.json").read_bytes())
    assert isinstance(report, Refused), done.err
    assert report.refusal.absent
    assert report.reason == "ex91_other: nothing was handed in. Hand in, or ask your instructor."
    assert "11 with nothing handed in:" in done.out  # and s04 in neither


# --- kills --------------------------------------------------------------------------------------------------------


def of_the_command(pid: int) -> psutil.Process | None:
    return psutil.Process(pid)


def slot_of(pid: int) -> psutil.Process | None:
    return next((one for one in psutil.Process(pid).children() if "grader.judge" in one.cmdline()), None)


def judge_of(pid: int) -> psutil.Process | None:
    slot = slot_of(pid)
    return next(iter(slot.children()), None) if slot is not None else None


@pytest.mark.parametrize("whom", [of_the_command, slot_of, judge_of])
def test_a_run_that_is_disturbed_comes_to_the_same_end(
    course: Tiny, whom: Callable[[int], psutil.Process | None]
) -> None:
    with started(*words(course, "run"), "--course", str(course.root)) as command:
        wait_until(lambda: len(reports(course)) >= 3, "three reports")
        victim = whom(command.pid)
        if victim is not None:
            victim.kill()
        below = descendants(command.pid) if whom is of_the_command else []
        command.communicate()
        psutil.wait_procs(below)
    before = {file: file.stat().st_mtime_ns for file in (course.root / "results").glob("*/*.json")}

    done = type_run(course)

    assert command.returncode == (-signal.SIGKILL if whom is of_the_command else 0)
    assert done.code == 0 and scores(course) == RIGHT
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert sorted(file.name for file in (course.root / "results/s00").iterdir()) == ["ex90.json"]


def plan(tiny: Tiny, jobs: int = 1) -> Plan:
    course = load_course(tiny.root)
    return Plan(course=course, machine=machine(path=os.defpath), tools=TOOLS, jobs=jobs, seeds=None, language="en")


def item(tiny: Tiny, student: str = "s00") -> Item:
    return Item(
        student=student,
        exercise=load_course(tiny.root).exercises[0],
        source=tiny.root / "submissions" / student,
        file=tiny.root / "results" / student / "ex90.json",
    )


def test_a_grading_without_a_verdict_is_tried_three_times(course: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def kills(order: object, slots: Slots, *callbacks: object) -> Report:
        tried.append(1)
        slot = slots.get(BEST_LEVEL)
        slot.wait_until_ready()
        os.kill(slot.pid, signal.SIGKILL)
        return grade(order, slots, *callbacks)  # type: ignore[arg-type]

    monkeypatch.setattr(running, "grade", kills)
    ended: list[Report] = []
    with writing_to(course.root / "results"):
        running.run([item(course)], plan(course), lambda _item, report: ended.append(report))

    (report,) = ended
    assert isinstance(report, Ungraded)
    assert "signal SIGKILL" in report.reason
    assert len(tried) == TRIES


def test_each_slot_keeps_to_a_core_of_its_own(course: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = os.sched_getaffinity(0)
    seen: dict[int, list[int]] = {}

    def looks(order: Order, slots: Slots, *callbacks: Any) -> Report:
        slot = slots.get(BEST_LEVEL)
        seen[slot.pid] = psutil.Process(slot.pid).cpu_affinity() or []
        return grade(order, slots, *callbacks)

    monkeypatch.setattr(running, "grade", looks)
    with writing_to(course.root / "results"):
        running.run([item(course, name) for name in STUDENTS[:2]], plan(course, jobs=2), lambda _item, _report: None)

    assert [len(one) for one in seen.values()] == [1] * len(seen)
    assert len({core for one in seen.values() for core in one}) == min(len(seen), len(cores))
    assert os.sched_getaffinity(0) == cores


def test_where_no_box_is_to_be_had_nothing_is_written(course: Tiny) -> None:
    order = plan(course)
    refusing = Plan(
        course=order.course,
        machine=order.machine,
        tools=Tools(bwrap=None, strace=None),
        jobs=1,
        seeds=None,
        language="en",
    )

    with pytest.raises(GraderError, match="this machine refuses one: bubblewrap is not installed"):
        running.run([item(course)], refusing, lambda _item, _report: None)
    assert not (course.root / "results/s00").exists()


def test_a_report_that_cannot_be_written_ends_the_run_and_what_is_there_stays(course: Tiny) -> None:
    course.write("results/s00", "somebody's own\n")

    done = type_run(course, "--jobs", "1")

    assert done.code == 3
    assert "results/s00/ex90.json cannot be written: " in done.err and "it goes on from here" in done.err
    (course.root / "results/s00").unlink()
    assert type_run(course).code == 0 and scores(course) == RIGHT


def test_two_runs_into_one_folder_are_refused(course: Tiny) -> None:
    with writing_to(course.root / "results"):
        done = type_run(course)

    assert done.code == 2
    assert "another command grades into this folder" in done.err


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="Name a folder that can be written to"), writing_to(tmp_path / "file/results"):
        pass
