"""Tasks that sleep: what they do in the box, and when, by the judge's own clock, each sleep is over.

No verdict hangs on how long something took. A sleep that was too short is one: load makes sleeps longer, never shorter.
"""

from __future__ import annotations  # of the functions within scenarios, which are shipped without what they would name

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from task_watch import in_box
from typing_extensions import TypedDict

from grader.checks import Run, Submission

# What a sleep may lack: a scheduler that reads the clock once a turn takes a deadline from the turn's beginning.
SLACK_S = 0.0005
# A deadline may be rounded up by a few milliseconds, so sleepers whose deadlines are closer may wake in any order.
CLOSE_S = 0.010


@dataclass(slots=True)
class Stamps:
    """What tasks write into a pipe, one byte for each sleep that is over, with the judge's time."""

    reading: int
    began_s: float = 0.0
    woken: list[tuple[int, float]] = field(default_factory=list)  # a task's number, seconds since the beginning

    def look(self, run: Run) -> bool:
        """Take down what has come. Whether that is all, or more than can be true."""
        over = run.has_ended()
        with suppress(BlockingIOError):
            self.woken += [(number, time.monotonic() - self.began_s) for number in os.read(self.reading, 1000)]
        return over or len(self.woken) > 1000

    def too_early(self, naps_s: Sequence[Sequence[float]]) -> str:
        """The first task that goes on before its sleeps have passed, in words."""
        counts = [0] * len(naps_s)
        for number, at_s in self.woken:
            if number >= len(naps_s) or counts[number] >= len(naps_s[number]):
                return "more sleeps end than have begun"
            counts[number] += 1
            slept_s = sum(naps_s[number][: counts[number]])
            if at_s < slept_s - SLACK_S:
                return f"{slept_s:.3f} s of sleep were over after {at_s:.3f} s, by the clock of the judge"
        return "" if counts == [len(row) for row in naps_s] else "some never woke"


@contextmanager
def stamped(submission: Submission, scenario: Callable[..., Any], *arguments: Any) -> Iterator[tuple[Run, Stamps]]:
    """A scenario that begins with the pause "begin"; its last argument is the descriptor that sleepers write to."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(reading, False)
        with in_box(submission, scenario, *arguments, writing, fds=[writing]) as run:
            run.until("begin")
            stamps = Stamps(reading, time.monotonic())
            run.go()
            run.wait_until(lambda: stamps.look(run))
            yield run, stamps
    finally:
        os.close(reading)
        os.close(writing)


class Nap(TypedDict):
    """One sleep, by the box's clock. Its deadline was set between two times: its task asked, and another one ran."""

    task: int
    seconds: float
    asked_s: float
    asked_before_s: float
    woke_s: float


def sleep_and_tell(student: Any, room: Any, naps_s: list[list[float]], told: int) -> list[Nap]:
    """All sleeps, in the order in which they end."""
    import os
    import time

    from traps import Sleep

    scheduler, naps, times = student.Scheduler(), [], []

    def sleeper(number: int) -> Any:
        for seconds in naps_s[number]:
            place = len(times)
            times.append(time.monotonic())
            yield Sleep(seconds)
            times.append(time.monotonic())
            naps.append(
                {
                    "task": number,
                    "seconds": seconds,
                    "asked_s": times[place],
                    "asked_before_s": times[place + 1],
                    "woke_s": times[-1],
                }
            )
            os.write(told, bytes([number]))

    for number in range(len(naps_s)):
        scheduler.spawn(sleeper(number))
    room.pause("begin")
    scheduler.run()
    return naps


def misplaced(naps: Sequence[Nap]) -> str:
    """Two sleeps, of which the one that was due first woke last, in words."""
    for place, early in enumerate(naps):
        for late in naps[place + 1 :]:
            if late["asked_before_s"] + late["seconds"] + CLOSE_S < early["asked_s"] + early["seconds"]:
                return f"Sleep({early['seconds']}) woke before Sleep({late['seconds']}), which was due first"
    return ""


class Together(TypedDict):
    log: list[str]
    words: list[str]
    steps: int


def sleep_together(student: Any, room: Any, words: list[str], seconds: float, told: int) -> Together:
    import math
    import os

    from traps import Sleep

    class Rounded(float):
        """Seconds that make equal deadlines, as a clock with large steps would: a sum with them is rounded up."""

        def __add__(self, clock: float) -> float:
            return math.ceil(64 * (float(self) + clock)) / 64

        __radd__ = __add__

    scheduler, log, woken, steps = student.Scheduler(), [], [], []

    def sleeper(number: int) -> Any:
        log.append("starts")
        yield Sleep(Rounded(seconds))
        log.append("ends")
        woken.append(words[number])
        os.write(told, bytes([number]))

    def bystander() -> Any:
        while "ends" not in log and len(steps) < 20:
            steps.append(log.count("starts"))
            yield

    for number in range(len(words)):
        scheduler.spawn(sleeper(number))
    scheduler.spawn(bystander())
    room.pause("begin")
    scheduler.run()
    return {"log": log, "words": woken, "steps": steps.count(len(words))}
