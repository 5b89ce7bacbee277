"""Two gradings at a time in one program; the slot, the judge or a box of one is killed at a random moment, fifty times:
`make bench`. The other grading must have its right verdict each time, and nothing may be left behind.

Ends with 1 when one has not. The seed is printed; give it as the argument to repeat the order of the moments.
"""

import os
import random
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil

from grader.course.load import load_course
from grader.doctor.machine import machine
from grader.grading.one import grade
from grader.grading.order import Order
from grader.grading.slot import BEST_LEVEL, Slots, Tools
from grader.report.model import Graded, Report, Ungraded

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 50
TOOLS = Tools.found(os.defpath)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:  # nobody else's gradings are in the way
        Path(scratch).chmod(0o755)
        tempfile.tempdir = scratch
        run(scratch)


def run(scratch: str) -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    course = load_course(ROOT, only="ex01")
    exercise = course.exercises[0]
    order = Order.of(course, exercise, exercise.solution_dir, machine(path=os.defpath), own=False)
    ended: Counter[str] = Counter()
    wrong = []
    with Slots(TOOLS) as undisturbed, ThreadPoolExecutor(2) as pool:
        grade(order, undisturbed, lambda _start: None, lambda _check: None)
        for number in range(ROUNDS):
            with Slots(TOOLS) as disturbed:
                slot_pid = disturbed.get(BEST_LEVEL).pid
                other = pool.submit(grade, order, undisturbed, lambda _start: None, lambda _check: None)
                killed = pool.submit(grade, order, disturbed, lambda _start: None, lambda _check: None)
                threading.Event().wait(rng.uniform(0.0, 3.0))
                who = kill_one(slot_pid, rng)
                report, own = other.result(), killed.result()
            if not (isinstance(report, Graded) and report.official and report.score == 100):
                wrong.append(f"round {number}: {who} was killed, and the other grading has {told(report)}")
            if isinstance(own, Graded) and own.score != 100:
                wrong.append(f"round {number}: {who} was killed, and its own grading has {told(own)}")
            ended[f"{who}: {'ungraded' if isinstance(own, Ungraded) else 'graded'}"] += 1
    left = [*psutil.Process().children(recursive=True), *os.listdir(scratch)]
    for how, count in sorted(ended.items()):
        print(f"{count:3} x {how}")
    for line in [*wrong, *(f"left behind: {one}" for one in left)]:
        print(line)
    print(f"{ROUNDS} rounds, {len(wrong)} wrong verdicts, {len(left)} left behind")
    sys.exit(bool(wrong or left))


def kill_one(slot_pid: int, rng: random.Random) -> str:
    """Kill the slot or one of its descendants with SIGKILL.

    Returns:
        What it was.
    """
    with suppress(psutil.Error):
        slot = psutil.Process(slot_pid)
        one = rng.choice([slot, *slot.children(recursive=True)])
        name = "slot" if one.pid == slot_pid else "judge" if one.ppid() == slot_pid else one.name()
        one.kill()
        return name
    return "nobody"


def told(report: Report) -> str:
    return f"{report.score} points" if isinstance(report, Graded) else f"no verdict: {report.reason}"


if __name__ == "__main__":
    main()
