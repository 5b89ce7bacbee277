"""What a grading costs besides the submission: `make bench`. Everything side by side in one run, as ratios where that
is possible; the least of some rounds counts, because a machine's noise only adds.

    help         `grade --help`, above a bare interpreter
    first line   of `grade ex01`, above a bare interpreter
    cold         a course of one check without a trace, in a new process, against plain pytest on the same asserts
    warm         the same over a slot that is ready
    besides      what of the references of ex01 and ex03, over a slot that is ready, is no box with the submission in it

Ends with 1 when a figure is over its limit.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from grader.box.staging import staging_folder
from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.grading.one import _job, _stage, grade
from grader.grading.order import Order
from grader.grading.slot import Slots, Tools, _surroundings

ROOT = Path(__file__).resolve().parents[1]
GRADE = Path(sys.executable).with_name("grade")
ROUNDS = 7
TOOLS = Tools.found(os.defpath)

COURSE = """\
format: 1
title: One check
languages: [en]
exercises: [ex01_sum]
defaults: {deadline_s: 30, memory_mb: 512, processes: 32, tmp_mb: 8, file_kb: 64}
"""
EXERCISE = """\
format: 1
title: A sum
summary: Add two numbers.
submit: [adding.py]
entry: add
checks:
  - {name: adds, points: 100, title: It adds, hint: Add.}
"""
CHECK = """\
def ask(student, room) -> "list[int]":
    return [student.add(one, other) for one, other in ((1, 2), (0, 0), (-3, 3), (40, 2))]


def test_adds(submission):
    assert submission.run(ask) == [3, 0, 0, 42]
"""
PLAIN = """\
import adding


def test_adds():
    assert [adding.add(one, other) for one, other in ((1, 2), (0, 0), (-3, 3), (40, 2))] == [3, 0, 0, 42]
"""
ADDING = "def add(one, other):\n    return one + other\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        figures = [*started(), *one_check(folder), *besides()]
    for name, value, limit, unit in figures:
        print(f"{'ok' if value <= limit else 'OVER':4} {name:34} {value:7.2f} of {limit:g} {unit}")
    sys.exit(any(value > limit for _, value, limit, _ in figures))


def least(*acts: Callable[[], object]) -> list[float]:
    """The least time of each, in seconds; they take turns."""
    found = [float("inf")] * len(acts)
    for _ in range(ROUNDS):
        for place, act in enumerate(acts):
            begun_s = time.perf_counter()
            act()
            found[place] = min(found[place], time.perf_counter() - begun_s)
    return found


def run(*command: object, cwd: Path = ROOT) -> None:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}")


def started() -> Iterator[tuple[str, float, float, str]]:
    lines_s: list[float] = []
    bare_s, help_s, _ = least(
        lambda: run(sys.executable, "-c", "pass"),
        lambda: run(GRADE, "--help"),
        lambda: lines_s.append(first_line_s()),
    )
    yield "grade --help above an interpreter", 1000 * (help_s - bare_s), 60, "ms"
    yield "first line above an interpreter", 1000 * (min(lines_s) - bare_s), 150, "ms"


def first_line_s() -> float:
    """Seconds until the first line of a grading; the rest is not waited for."""
    begun_s = time.perf_counter()
    command = [str(GRADE), "ex01", "--solution"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        taken_s = time.perf_counter() - begun_s
        process.terminate()
        process.stdout.read()
    return taken_s


def one_check(folder: Path) -> Iterator[tuple[str, float, float, str]]:
    course = folder / "course"
    for name, text in {
        "course.yaml": COURSE,
        "exercises/ex01_sum/exercise.yaml": EXERCISE,
        "exercises/ex01_sum/adding.py": ADDING,
        "tests/ex01_sum/test_sum.py": CHECK,
        "../plain/adding.py": ADDING,
        "../plain/test_sum.py": PLAIN,
    }.items():
        file = course / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    loaded = load_course(course)
    order = Order.of(loaded, loaded.exercises[0], course / "exercises/ex01_sum", machine(path=os.defpath))
    with Slots(TOOLS) as slots:

        def warm() -> None:
            report = grade(order, slots, lambda _start: None, lambda _check: None)
            if not report.graded or report.score != 100:
                sys.exit(f"the check of the benchmark did not pass: {report}")

        warm()
        pytest_s, cold_s, warm_s = least(
            lambda: run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder / "plain"),
            lambda: run(GRADE, "ex01", cwd=course),
            warm,
        )
    yield "cold, against plain pytest", cold_s / pytest_s, 1.5, "x"
    yield "warm, against plain pytest", warm_s / pytest_s, 0.4, "x"


def besides() -> Iterator[tuple[str, float, float, str]]:
    for number in ("ex01", "ex03"):
        yield f"besides the boxes of {number}", min(besides_once(number) for _ in range(3)), 0.3, "s"


def besides_once(number: str) -> float:
    """Judge a reference in a child, as a slot does, and take away the time in which a box had the submission in it."""
    reading, writing = os.pipe()
    parent_pid = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, f"{judged_s(number, parent_pid):.6f}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        text = told.read()
    os.waitpid(child, 0)
    return float(text)


def judged_s(number: str, parent_pid: int) -> float:
    from grader.checks.submission import Submission
    from grader.judge.judging import judge
    from grader.judge.preparing import prepare

    in_boxes_s = 0.0
    enter = Submission._box

    @contextlib.contextmanager
    def timed(self: Submission, *arguments: Any, **more: Any) -> Iterator[Any]:
        nonlocal in_boxes_s
        with enter(self, *arguments, **more) as entered:
            begun_s = time.perf_counter()
            try:
                yield entered
            finally:
                in_boxes_s += time.perf_counter() - begun_s

    Submission._box = timed  # type: ignore[method-assign]
    course = load_course(ROOT, only=number)
    order = Order.of(course, course.exercises[0], course.exercises[0].solution_dir, machine(path=os.defpath))
    with (
        contextlib.ExitStack() as stack,
        staging_folder() as own,
        staging_folder() as staging,
        Path(os.devnull).open("w") as nowhere,
    ):
        os.dup2(nowhere.fileno(), 2)
        surroundings = _surroundings(TOOLS, "boxed", stack)
        prepared = stack.enter_context(prepare(surroundings, own, parent_pid, lambda: None))
        begun_s = time.perf_counter()
        _stage(order, staging)
        judge(_job(order, staging), prepared, lambda _event: None)
        return time.perf_counter() - begun_s - in_boxes_s


if __name__ == "__main__":
    main()
