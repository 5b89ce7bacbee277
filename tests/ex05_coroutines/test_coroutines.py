"""What a submission of ex05 is graded by. Its words and numbers stand in exercises/ex05_coroutines/exercise.yaml.

A scenario spawns tasks in a fresh box and brings back what they wrote down; what that should have been is known here.
No verdict hangs on how long something took. A sleep that was too short is one: load makes sleeps longer, never shorter.
"""

from __future__ import annotations  # of the functions within scenarios, which are shipped without what they would name

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from random import Random
from typing import Any

from grader import line_server
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Omitted, demand
from grader.harness import Budgets, Calls, Count, Run, Submission
from grader.line_server import Sizes
from grader.strace import CLONE_CALLS, READINESS_CALLS

NANOSLEEPS = ("clock_nanosleep", "nanosleep")
# In what a thread may wait with a deadline. A clock_nanosleep is forbidden, so it is no way around the count.
WAITS = (*READINESS_CALLS, "rt_sigtimedwait", "io_uring_enter")
# A deadline may be rounded up by a few milliseconds, so sleepers whose deadlines are closer may wake in any order.
CLOSE_S = 0.010
# What a sleep may lack: a scheduler that reads the clock once a turn takes a deadline from the turn's beginning.
SLACK_S = 0.0005
TRIES = 3
RETURNS = "run() returns when all tasks are done"


@contextmanager
def in_box(
    submission: Submission, scenario: Callable[..., Any], *arguments: Any, traced: bool = False, returns: str = RETURNS
) -> Iterator[Run]:
    """A scenario that ends when the submission's function does, and says so when it does not."""
    with submission.running(scenario, *arguments, traced=traced) as run:
        try:
            yield run
        except CheckFailed as failure:
            if failure.expected not in ("an answer", "the scenario runs to its end") or isinstance(failure, Crashed):
                raise
            raise CheckFailed(expected=returns, seen=failure.seen) from failure


def outcome(submission: Submission, scenario: Callable[..., Any], *arguments: Any) -> Any:
    with in_box(submission, scenario, *arguments) as run:
        return run.result()


# --- turns --------------------------------------------------------------------------------------------------------


def take_turns(student: Any, room: Any, lengths: list[int], steps: int) -> Any:
    def task(scheduler: Any, log: list[str], name: str, steps: int, child: str = "") -> Any:
        for step in range(1, steps + 1):
            log.append(f"{name}{step}")
            if child and step == 2:
                scheduler.spawn(task(scheduler, log, child, steps))
            yield

    scheduler, log = student.Scheduler(), []
    tasks = [scheduler.spawn(task(scheduler, log, "ABCDEFGHIJ"[n], most)) for n, most in enumerate(lengths)]
    early = list(log)
    scheduler.run()
    done = [task.done for task in tasks]

    scheduler, midway = student.Scheduler(), []
    scheduler.spawn(task(scheduler, midway, "P", steps, "C"))
    scheduler.spawn(task(scheduler, midway, "Q", steps))
    scheduler.run()
    return {"early": early, "log": log, "done": done, "midway": midway}


def test_roundrobin(submission: Submission, rng: Random) -> None:
    lengths = rng.sample(range(1, 8), 5)
    found = outcome(submission, take_turns, lengths, 9)
    demand(
        found["early"] == [],
        "spawn() only queues a task: its first step comes in run()",
        f"{found['early']} before run()",
    )
    expected = [f"{'ABCDEFGHIJ'[n]}{step}" for step in range(1, 9) for n, most in enumerate(lengths) if step <= most]
    demand(
        found["log"] == expected,
        f"tasks that yield take turns, in the order they were spawned: {' '.join(expected)}",
        " ".join(map(str, found["log"])) or "no step at all",
    )
    demand(
        found["done"] == [True] * len(lengths), "task.done is True for each task when run() has returned", found["done"]
    )
    log = found["midway"]
    words = " ".join(map(str, log))
    demand(
        sorted(log) == sorted(f"{name}{step}" for name in "PQC" for step in range(1, 10)),
        "all steps of P, Q and C",
        words,
    )
    first = log.index("C1")
    demand(
        log.index("P2") < first < log.index("P4"), "C, which P spawns at its step 2, starts before P's step 4", words
    )
    for step in range(1, 6):
        between = sorted(word[0] for word in log[log.index(f"C{step}") + 1 : log.index(f"C{step + 1}")])
        demand(
            between == ["P", "Q"], "a task that is spawned in run() takes turns with the others, one step each", words
        )


# --- ends ---------------------------------------------------------------------------------------------------------


def join_for_values(student: Any, room: Any, numbers: list[int]) -> Any:
    from traps import Join

    scheduler, got = student.Scheduler(), {}

    def add(left: int, right: int) -> Any:  # a part of a task, for `yield from`
        yield
        return left + right

    def slow(left: int, right: int) -> Any:
        total = yield from add(left, right)
        yield
        return total

    def quick(value: int) -> Any:
        return value
        yield

    def silent() -> Any:
        yield

    def join(name: str, task: Any) -> Any:
        got[name] = yield Join(task)

    def late(name: str, task: Any) -> Any:
        while not task.done:
            yield
        got[name] = yield Join(task)

    def both(name: str, first: Any, second: Any) -> Any:
        one = yield Join(first)
        two = yield Join(second)
        got[name] = [one, two]

    a, b, c = numbers
    tasks = {
        "slow": scheduler.spawn(slow(a, b)),
        "quick": scheduler.spawn(quick(c)),
        "silent": scheduler.spawn(silent()),
    }
    scheduler.spawn(join("running", tasks["slow"]))
    scheduler.spawn(join("another", tasks["slow"]))
    scheduler.spawn(late("finished", tasks["quick"]))
    scheduler.spawn(both("both", tasks["slow"], tasks["quick"]))
    scheduler.spawn(join("nothing", tasks["silent"]))
    scheduler.run()
    return {"got": got, "value": {name: task.value for name, task in tasks.items()}}


def test_value(submission: Submission, rng: Random) -> None:
    a, b, c = (rng.randrange(1000, 10**6) for _ in range(3))
    found = outcome(submission, join_for_values, [a, b, c])
    cases = {
        "running": (a + b, "`yield Join(task)` gives what a running task returns at last, through its `yield from`"),
        "another": (a + b, "each of two tasks that join the same one gets its value"),
        "finished": (c, "`yield Join(task)` gives the value of a task that is done already"),
        "both": ([a + b, c], "a task may join two others, one after the other"),
        "nothing": (None, "`yield Join(task)` gives None for a task that returns nothing"),
    }
    for name, (value, rule) in cases.items():
        seen = repr(found["got"][name]) if name in found["got"] else "the joining task never went on"
        demand(name in found["got"] and found["got"][name] == value, f"{rule}: {value!r}", seen)
    for name, value in {"slow": a + b, "quick": c, "silent": None}.items():
        demand(found["value"][name] == value, f"task.value is what the task returned: {value!r}", found["value"][name])


def fail_and_join(student: Any, room: Any, word: str) -> Any:
    from traps import Join

    scheduler, got, steps = student.Scheduler(), {}, []

    def fails() -> Any:
        for _ in range(3):
            yield
        raise ValueError(word)

    def join(name: str, task: Any) -> Any:
        try:
            got[name] = ["returned", repr((yield Join(task)))]
        except Exception as error:  # noqa: BLE001 - whatever comes is told
            got[name] = [type(error).__name__, *map(str, error.args)]
        yield
        got[name].append("and went on")

    def late(name: str, task: Any) -> Any:
        while not task.done and len(steps) < 10:
            yield
        yield from join(name, task)

    def passes_on(task: Any) -> Any:
        yield Join(task)

    def bystander() -> Any:
        for step in range(10):
            steps.append(step)
            yield

    broken = scheduler.spawn(fails())
    scheduler.spawn(join("waiting", broken))
    scheduler.spawn(join("another", broken))
    middle = scheduler.spawn(passes_on(broken))
    scheduler.spawn(join("through", middle))
    scheduler.spawn(bystander())
    scheduler.spawn(late("late", broken))
    try:
        scheduler.run()
    except ValueError as error:
        return {"escaped": repr(error)}
    stored = [type(broken.error).__name__, *map(str, getattr(broken.error, "args", ()))]
    return {
        "got": got,
        "steps": len(steps),
        "stored": stored,
        "done": [broken.done, middle.done],
        "value": broken.value,
    }


def survived(found: Any) -> None:
    rule = "an exception ends the task that raised it, and run() goes on"
    demand("escaped" not in found, rule, f"run() raised {found.get('escaped')}")
    demand(found["steps"] == 10, "the other tasks go on when one fails: 10 steps", f"{found['steps']} steps")


def test_exc(submission: Submission, rng: Random) -> None:
    word = f"broken-{rng.getrandbits(32):x}"
    found = outcome(submission, fail_and_join, word)
    survived(found)
    cases = {
        "waiting": "`yield Join(task)` raises in the joining task what the joined one raised",
        "another": "each of the tasks that join a failed one gets its exception",
        "through": "a task that does not catch it fails with it as well, and passes it on to its own joiner",
        "late": "joining a task that has failed already raises its exception too",
    }
    for name, rule in cases.items():
        seen = " ".join(found["got"].get(name, ["nothing: the joining task never went on"]))
        demand(
            found["got"].get(name) == ["ValueError", word, "and went on"],
            f"{rule}: ValueError {word} and went on",
            seen,
        )
    rule = f"task.error is what the task raised: ValueError {word}"
    demand(found["stored"] == ["ValueError", word], rule, " ".join(found["stored"]))
    demand(found["done"] == [True, True], "task.done is True for a task that failed", found["done"])


def fail_alone(student: Any, room: Any, word: str) -> Any:
    import contextlib

    from traps import Join

    scheduler, steps = student.Scheduler(), []

    def fails(after: int, error: Exception) -> Any:
        for _ in range(after):
            yield
        raise error

    def catches(task: Any) -> Any:
        with contextlib.suppress(OSError):
            yield Join(task)

    def bystander() -> Any:
        for step in range(10):
            steps.append(step)
            yield

    joined = scheduler.spawn(fails(4, OSError(word)))
    scheduler.spawn(catches(joined))
    lonely = [scheduler.spawn(fails(0, ValueError(word + "-1"))), scheduler.spawn(fails(3, KeyError(word + "-2")))]
    scheduler.spawn(bystander())
    try:
        scheduler.run()
    except (ValueError, KeyError, OSError) as error:
        return {"escaped": repr(error)}
    reported = [[type(error).__name__, *map(str, error.args)] for error in scheduler.errors]
    stored = [type(task.error).__name__ for task in lonely]
    return {"reported": reported, "steps": len(steps), "stored": stored}


def test_unjoined(submission: Submission, rng: Random) -> None:
    word = f"lonely-{rng.getrandbits(32):x}"
    found = outcome(submission, fail_alone, word)
    survived(found)
    expected = [["KeyError", word + "-2"], ["ValueError", word + "-1"]]
    words = ", ".join(" ".join(error) for error in found["reported"]) or "no error"
    demand(
        not any("OSError" in error for error in found["reported"]),
        "scheduler.errors holds no error that a joining task has been given",
        words,
    )
    demand(
        sorted(found["reported"]) == expected,
        f"scheduler.errors holds what unjoined tasks raised, each once: {', '.join(' '.join(e) for e in expected)}",
        words,
    )
    demand(
        found["stored"] == ["ValueError", "KeyError"],
        "task.error of both is set: ValueError, KeyError",
        found["stored"],
    )


def join_deeply(student: Any, room: Any, length: int) -> Any:
    from traps import Join

    scheduler = student.Scheduler()

    def first() -> Any:
        yield
        return 0

    def link(task: Any) -> Any:
        return (yield Join(task)) + 1

    task = scheduler.spawn(first())
    for _ in range(length):
        task = scheduler.spawn(link(task))

    def quick() -> Any:
        return 1
        yield

    finished = [scheduler.spawn(quick()) for _ in range(length)]

    def gather() -> Any:
        while not all(task.done for task in finished):
            yield
        total = 0
        for one in finished:
            total += yield Join(one)
        return total

    gathered = scheduler.spawn(gather())
    try:
        scheduler.run()
    except RecursionError:
        return {"escaped": True}
    errors = [type(error).__name__ for error in (task.error, gathered.error) if error is not None]
    return {"chain": task.value, "gathered": gathered.value, "errors": errors}


def test_deep(submission: Submission, sizes: Sizes) -> None:
    length = sizes["chain"]
    found = outcome(submission, join_deeply, length)
    shallow = "resuming takes no stack: joiners are queued when a task ends, not resumed from within"
    demand("escaped" not in found, shallow, "run() raised RecursionError")
    demand("RecursionError" not in found["errors"], shallow, "a task failed with RecursionError")
    rule = f"the last of {length:,} tasks, each joining the one before, returns {length}"
    demand(found["chain"] == length, rule, found["chain"])
    demand(found["gathered"] == length, f"one task joins {length:,} that are done already", found["gathered"])


# --- time ---------------------------------------------------------------------------------------------------------


def sleep_and_tell(student: Any, room: Any, seconds: list[float]) -> Any:
    import time

    from traps import Sleep

    scheduler, events, rested = student.Scheduler(), [], []

    def sleeper(number: int) -> Any:
        events.append(["asks", number, time.monotonic()])
        yield Sleep(seconds[number])
        events.append(["wakes", number, time.monotonic()])

    def naps() -> Any:
        began_s = time.monotonic()
        events.append(["naps", -1, began_s])
        for _ in range(3):
            yield Sleep(0.02)
        rested.append(time.monotonic() - began_s)

    for number in range(len(seconds)):
        scheduler.spawn(sleeper(number))
    scheduler.spawn(naps())
    scheduler.run()
    return [events, rested]


def test_sleep_order(submission: Submission, sizes: Sizes, rng: Random) -> None:
    milliseconds = [12 * step for step in range(1, sizes["sleepers"] + 1)]
    longest = milliseconds.pop()
    rng.shuffle(milliseconds)
    milliseconds.insert(0, longest)  # whoever looks only at the one who went to sleep first has to wait for it
    for tries_left in reversed(range(TRIES)):
        events, rested = outcome(submission, sleep_and_tell, [number / 1000 for number in milliseconds])
        woken = [number for what, number, _ in events if what == "wakes"]
        demand(
            sorted(woken) == list(range(len(milliseconds))), "each sleeper wakes, once", f"{len(woken)} of them woke"
        )
        demand(
            not one_by_one(milliseconds, events),
            "while one task sleeps, the next one takes its first step, and yields Sleep too",
            "each task took its first step when the one before had slept its time",
        )
        before = misplaced(milliseconds, events)
        demand(
            not before,
            "sleepers wake in the order of their deadlines",
            before,
            [f"they woke in this order: {' '.join(str(milliseconds[n]) for n in woken)} (milliseconds)"],
        )
        demand(len(rested) == 1, "a task that sleeps three times wakes three times", "fewer")
        short_s = max(0.06 - rested[0], *(milliseconds[n] / 1000 - slept(events, n) for n in woken))
        if short_s <= SLACK_S:
            return
        early = f"{1000 * short_s:.2f} ms too early"
        seen = f"three times Sleep(0.02) ended {early}" if short_s == 0.06 - rested[0] else f"one woke {early}"
        demand(tries_left > 0, "no sleeper wakes before its time has passed, counted from its yield", seen)


def slept(events: list[Any], number: int) -> float:
    at = {what: at_s for what, who, at_s in events if who == number}
    return float(at["wakes"] - at["asks"])


def one_by_one(milliseconds: Sequence[int], events: list[Any]) -> bool:
    asked_s = [at_s for what, _, at_s in events if what in ("asks", "naps")]
    gaps_s = [later - sooner for sooner, later in pairwise(asked_s)]
    return all(gap_s >= number / 1000 for gap_s, number in zip(gaps_s, milliseconds, strict=True))


def misplaced(milliseconds: Sequence[int], events: list[Any]) -> str:
    """Two sleeps, of which the one that was due first woke last, in words.

    A deadline is known only to lie between two times of the clock: when its task asked, and when the next one ran.
    """
    due: dict[int, tuple[float, float]] = {}
    for place, (what, number, at_s) in enumerate(events):
        if what == "asks":
            seconds = milliseconds[number] / 1000
            due[number] = (at_s + seconds, events[place + 1][2] + seconds)
    woken = [number for what, number, _ in events if what == "wakes"]
    for place, early in enumerate(woken):
        for late in woken[place + 1 :]:
            if due[late][1] + CLOSE_S < due[early][0]:
                return f"Sleep({milliseconds[early] / 1000}) woke before Sleep({milliseconds[late] / 1000})"
    return ""


def sleep_together(student: Any, room: Any, sleepers: int) -> Any:
    import math

    from traps import Sleep

    class Rounded(float):
        """Seconds that make equal deadlines, as a clock with large steps would: a sum with them is rounded up."""

        def __add__(self, clock: float) -> float:
            return math.ceil(64 * (float(self) + clock)) / 64

        __radd__ = __add__

    scheduler, log, steps = student.Scheduler(), [], []

    def sleeper() -> Any:
        log.append("starts")
        yield Sleep(Rounded(0.05))
        log.append("ends")

    def bystander() -> Any:
        while "ends" not in log and len(steps) < 20:
            steps.append(log.count("starts"))
            yield

    for _ in range(sleepers):
        scheduler.spawn(sleeper())
    scheduler.spawn(bystander())
    scheduler.run()
    return {"log": log, "steps": steps.count(sleepers)}


def test_sleep_together(submission: Submission, sizes: Sizes) -> None:
    sleepers = 2 * sizes["sleepers"]
    for tries_left in reversed(range(TRIES)):
        found = outcome(submission, sleep_together, sleepers)
        started = (found["log"] + ["ends"]).index("ends")
        ended = found["log"].count("ends")
        demand(ended == sleepers, f"{sleepers} sleepers start, sleep and end", f"{ended} ended")
        good = started == sleepers and found["steps"] >= 15
        demand(
            good or tries_left > 0,
            f"{sleepers} sleepers are asleep at once, and another task goes on meanwhile, for 15 steps and more",
            f"{started} had started when the first one ended; the other task took {found['steps']} steps meanwhile",
        )
        if good:
            return


# --- descriptors --------------------------------------------------------------------------------------------------


def talk(student: Any, room: Any, words: list[str]) -> Any:
    import socket

    from traps import Readable

    scheduler, log = student.Scheduler(), []

    def receive(sock: Any) -> Any:
        yield Readable(sock.fileno())
        try:
            return sock.recv(1000)
        except BlockingIOError:
            log.append("went on too early")
            return b""

    def asks(sock: Any) -> Any:
        for word in words:
            for _ in range(3):
                yield
            log.append("asks " + word)
            sock.send(word.encode())
            got = yield from receive(sock)
            log.append("gets " + got.decode())
        sock.close()

    def answers(sock: Any) -> Any:
        while got := (yield from receive(sock)):
            log.append("hears " + got.decode())
            sock.send(got[::-1])
        log.append("closes")
        sock.close()
        if log.count("closes") < 2:
            start_pair()  # which gets the descriptors of this one

    def start_pair() -> None:
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        scheduler.spawn(answers(there))  # first, so that it waits before there is anything
        scheduler.spawn(asks(here))

    start_pair()
    scheduler.run()
    return [*log, *(repr(error) for error in scheduler.errors)]


def fill(student: Any, room: Any) -> Any:
    import contextlib
    import socket

    from traps import Readable, Writable

    scheduler, log = student.Scheduler(), []
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)

    def fills() -> Any:
        with contextlib.suppress(BlockingIOError):
            while here.send(bytes(65536)):
                pass
        log.append("full")
        yield Writable(here.fileno())
        try:
            here.send(b"!")
            log.append("goes on")
        except BlockingIOError:
            log.append("went on too early")
        here.close()

    def drains() -> Any:
        for _ in range(5):
            yield
        log.append("drained")
        while there.recv(65536):
            yield Readable(there.fileno())

    scheduler.spawn(fills())
    scheduler.spawn(drains())
    scheduler.run()
    return [*log, *(repr(error) for error in scheduler.errors)]


def test_io(submission: Submission, rng: Random) -> None:
    words = [f"{rng.randrange(10, 50)}", f"{rng.randrange(51, 99)}"]
    log = outcome(submission, talk, words)
    pair = [said for word in words for said in (f"asks {word}", f"hears {word}", f"gets {word[::-1]}")]
    pair.append("closes")
    rule = "tasks at both ends of a socketpair wait for each other; then two others at a second pair: "
    demand(log == pair * 2, rule + "; ".join(pair * 2), "; ".join(log))
    log, expected = outcome(submission, fill), ["full", "drained", "goes on"]
    demand(
        log == expected,
        "a task that waits for Writable goes on when there is room: full; drained; goes on",
        "; ".join(log),
    )


def wait_both_ways(student: Any, room: Any, acts: list[str]) -> Any:
    import contextlib
    import socket

    from traps import Readable, Sleep, Writable

    scheduler, log = student.Scheduler(), []
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)

    def writes() -> Any:
        with contextlib.suppress(BlockingIOError):
            while here.send(bytes(65536)):
                pass
        yield Writable(here.fileno())
        log.append("writer goes on")

    def reads() -> Any:
        yield Readable(here.fileno())
        log.append("reader goes on")

    def other_side() -> Any:
        for act in acts:
            yield Sleep(0.01)
            log.append(act)
            if act == "sent":
                there.send(b"!")
            else:
                with contextlib.suppress(BlockingIOError):
                    while there.recv(65536):
                        pass

    for task in (writes(), reads(), other_side()):
        scheduler.spawn(task)
    scheduler.run()
    return [*log, *(repr(error) for error in scheduler.errors)]


def test_duplex(submission: Submission) -> None:
    events = {"drained": "writer goes on", "sent": "reader goes on"}
    for acts in (["drained", "sent"], ["sent", "drained"]):
        log = outcome(submission, wait_both_ways, acts)
        wanted = [word for act in acts for word in (act, events[act])]
        rule = "of two tasks at one descriptor, each goes on for its own event: "
        demand(log == wanted, rule + "; ".join(wanted), "; ".join(log))


def wait_for_the_end(student: Any, room: Any) -> Any:
    import os

    from traps import Readable, Sleep

    reading, writing = os.pipe()
    scheduler, log = student.Scheduler(), []

    def reads() -> Any:
        yield Readable(reading)
        log.append(f"reads {os.read(reading, 10)!r}")

    def closes() -> Any:
        for _ in range(3):
            yield
        log.append("closes")
        os.close(writing)

    def gives_up() -> Any:  # so that run() returns in any case
        yield Sleep(0.02)
        for _ in range(1000):
            yield
        if len(log) < 2:
            log.append("nothing for a long time")
            os.write(os.open(f"/proc/self/fd/{reading}", os.O_WRONLY), b"!")

    for task in (reads(), closes(), gives_up()):
        scheduler.spawn(task)
    scheduler.run()
    return log


def test_hangup(submission: Submission) -> None:
    log = outcome(submission, wait_for_the_end)
    demand(log == ["closes", "reads b''"], "end of file is readable: closes; reads b''", "; ".join(log))


# --- waiting ------------------------------------------------------------------------------------------------------


def doze(student: Any, room: Any, deadlines: int, sleepers: int) -> Any:
    import socket
    import time

    from traps import Join, Readable, Sleep

    scheduler = student.Scheduler()

    def sleeper(seconds: float) -> Any:
        yield Sleep(seconds)

    for number in range(1, deadlines + 1):
        for _ in range(sleepers // deadlines):
            scheduler.spawn(sleeper(number * 0.03))
    room.pause("before")
    room.mark("sleepers")
    scheduler.run()
    room.mark("sleepers_end")

    scheduler = student.Scheduler()
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)

    def sends() -> Any:
        here.send(b"!")
        asked_s = time.monotonic()
        yield Sleep(0.2)
        slept_s = time.monotonic() - asked_s
        here.send(b"?")
        return slept_s

    def reads() -> Any:
        for _ in range(2):
            yield Readable(there.fileno())
            there.recv(10)

    def joins(task: Any) -> Any:
        return (yield Join(task))

    scheduler.spawn(reads())
    joiner = scheduler.spawn(joins(scheduler.spawn(sends())))
    room.mark("mixed")
    scheduler.run()
    room.mark("mixed_end")
    room.pause("after")
    return joiner.value


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    for tries_left in reversed(range(TRIES)):
        with in_box(submission, doze, 10, 10 * sizes["sleepers"], traced=True) as run:
            run.until("before")
            before_s = run.cpu_s()
            run.until("after")
            busy_s = run.cpu_s() - before_s
            slept_s = run.result()
            windows = [run.between("sleepers", "sleepers_end"), run.between("mixed", "mixed_end")]
            for calls in windows:
                refuse_nanosleep(calls)
            budget.at_most("waits_for_deadlines", windows[0].of(*WAITS))
            budget.at_most("waits_for_both", windows[1].of(*WAITS))
            budget.at_most("waiting_cpu", 1000 * busy_s)
        if slept_s >= 0.2 - SLACK_S:
            return
        seen = f"Sleep(0.2) ended after {slept_s:.4f} s, in which bytes came for another task"
        demand(tries_left > 0, "bytes that come for one task wake no sleeper", seen)


def refuse_nanosleep(calls: Calls) -> None:
    for name, line in calls.seen(NANOSLEEPS).items():
        raise ForbiddenUse(
            expected="the thread waits for deadlines and descriptors at once, in one call",
            seen=f"{name}: time.sleep() stops every task, and hears of no descriptor",
            evidence=[line],
        )


def crowd_out(student: Any, room: Any, cap: int) -> Any:
    import os
    import time

    from traps import Readable, Sleep

    def switches_before_io() -> int:
        scheduler, switches, served = student.Scheduler(), 0, False
        reading, writing = os.pipe()

        def reads() -> Any:
            nonlocal served
            yield Readable(reading)
            served = True

        def spins() -> Any:
            nonlocal switches
            for _ in range(10):
                yield
            os.write(writing, b"!")
            while not served and switches < cap:
                switches += 1
                yield

        scheduler.spawn(reads())
        scheduler.spawn(spins())
        scheduler.run()
        return switches

    def switches_before_timer() -> int:
        scheduler, switches, woken, due_s = student.Scheduler(), 0, False, 0.0

        def sleeps() -> Any:
            nonlocal due_s, woken
            due_s = time.monotonic() + 0.02
            yield Sleep(0.02)
            woken = True

        def spins() -> Any:
            nonlocal switches
            while time.monotonic() < due_s + 0.01 and not woken:
                yield
            while not woken and switches < cap:
                switches += 1
                yield

        scheduler.spawn(sleeps())
        scheduler.spawn(spins())
        scheduler.run()
        return switches

    return [switches_before_io(), switches_before_timer()]


def test_starve(submission: Submission, budget: Budgets) -> None:
    before_io, before_timer = outcome(submission, crowd_out, 200_000)
    budget.at_most("switches_before_io", before_io)
    budget.at_most("switches_before_timer", before_timer)


# --- what it costs ------------------------------------------------------------------------------------------------


def switch(student: Any, room: Any, tasks: int, times: int) -> Any:
    import time

    scheduler, switches, running = student.Scheduler(), 0, tasks
    give_up_s = time.monotonic() + 2.0  # with traced calls at each switch it would take a quarter of a minute

    def task() -> Any:
        nonlocal switches, running
        for _ in range(times):
            switches += 1
            yield
            if time.monotonic() > give_up_s:
                break
        running -= 1

    def first() -> Any:
        room.mark("begin")
        return
        yield

    def last() -> Any:
        while running:
            yield
        room.mark("end")

    scheduler.spawn(first())
    for _ in range(tasks):
        scheduler.spawn(task())
    scheduler.spawn(last())
    scheduler.run()
    return switches


def test_zero_syscall(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    tasks = 10
    times = sizes["switches"] // tasks

    def calls() -> Count:
        with in_box(submission, switch, tasks, times, traced=True) as run:
            switches = run.result()
            window = run.between("begin", "end")
            refuse_nanosleep(window)
            count = window.total()
            enough = switches == tasks * times or (count.value or 0) > 10 or switches > 10_000
            demand(enough, f"{tasks} tasks yield {times:,} times each", f"{switches:,} switches in two seconds")
            return count

    budget.at_most("calls_for_switches", calls)


def switch_beside(student: Any, room: Any, crowds: list[int]) -> Any:  # noqa: C901 - a scenario stands alone
    """For each crowd of parked tasks: the opcodes that one switch of another task costs."""
    import time

    from traps import Join, Sleep

    def compare(name: str) -> Any:
        plain = getattr(float, name)

        def compared(self: float, other: float) -> Any:
            return plain(self, other)

        return compared

    # A time whose comparisons are Python code, so that a search of all deadlines in C is counted too.
    comparisons = {name: compare(name) for name in ("__lt__", "__le__", "__gt__", "__ge__")}
    moment = type("Moment", (float,), comparisons)
    moment.__add__ = moment.__radd__ = lambda self, other: moment(float(self) + other)

    def switches_beside(parked: int, seconds: float) -> float | None:
        scheduler, steps, cost = student.Scheduler(), [], None
        began_s = time.monotonic()

        def sleeps() -> Any:
            yield Sleep(moment(seconds))

        def joins(task: Any) -> Any:
            yield Join(task)

        def spins() -> Any:
            nonlocal cost
            yield  # behind it, all are parked
            before = room.opcodes_so_far()
            for step in range(320):
                steps.append(step + len(steps))
                yield
            if time.monotonic() - began_s < seconds:  # else some woke meanwhile, and the others were fewer
                cost = (room.opcodes_so_far() - before) / len(steps)

        for task in [scheduler.spawn(sleeps()) for _ in range(parked // 2)]:
            scheduler.spawn(joins(task))
        scheduler.spawn(spins())
        room.opcodes(scheduler.run)
        return cost

    costs = []
    for parked in crowds:
        for patience in (1, 5, 30):
            cost = switches_beside(parked, patience * (0.02 + 0.00004 * parked))
            if cost is not None:
                costs.append(cost)
                break
        else:
            break
    return costs


def test_ops(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    # The spinning generator's own part of a switch is more than 20 opcodes.
    honest_floor = 20

    def ratio() -> float:
        costs = outcome(submission, switch_beside, [10, sizes["parked"]])
        if len(costs) < 2:
            seen = "a few hundred switches beside tasks that wait took seconds"
            raise CheckFailed(expected="a switch that costs as much beside thousands as beside ten", seen=seen)
        few, many = costs
        if min(few, many) < honest_floor:
            seen = f"{min(few, many):.0f}: the tasks run elsewhere, or the count was switched off"
            rule = f"at least {honest_floor} opcodes for a switch, in the thread that calls run()"
            raise ForbiddenUse(expected=rule, seen=seen)
        return float(many / (few + 10))  # so that a ratio of 2 is twice as many, and 20 more

    budget.at_most("opcode_ratio", ratio)


def hold(student: Any, room: Any, sleepers: int) -> Any:
    import os

    from traps import Join, Readable, Sleep

    scheduler = student.Scheduler()
    reading, writing = os.pipe()

    def sleeps() -> Any:
        yield Sleep(0.05)

    def reads() -> Any:
        yield Readable(reading)

    def joins(task: Any) -> Any:
        yield Join(task)

    def looks() -> Any:
        for _ in range(3):
            yield
        room.pause("held")
        os.write(writing, b"!")

    room.mark("begin")
    for task in (reads(), *(sleeps() for _ in range(sleepers))):
        scheduler.spawn(joins(scheduler.spawn(task)))
    scheduler.spawn(looks())
    scheduler.run()
    room.mark("end")


def test_threads(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with in_box(submission, hold, sizes["sleepers"], traced=True) as run:
        run.until("held")
        if helpers := run.threads() - 1 + len(run.children()):
            budget.at_most("threads_and_processes", helpers)
        run.result()
        budget.at_most("threads_and_processes", run.between("begin", "end").of(*CLONE_CALLS))


def park(student: Any, room: Any, tasks: int) -> Any:
    from traps import Join, Sleep

    scheduler = student.Scheduler()

    def sleeps() -> Any:
        yield Sleep(3600.0)

    def joins(task: Any) -> Any:
        yield Join(task)

    def looks() -> Any:
        yield
        room.pause("parked")

    room.pause("empty")
    for _ in range(tasks // 2):
        scheduler.spawn(joins(scheduler.spawn(sleeps())))
    scheduler.spawn(looks())
    scheduler.run()


def test_memory(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    tasks = sizes["held"]
    with in_box(submission, park, tasks) as run:
        run.until("empty")
        before = run.rss_bytes()
        run.until("parked")
        budget.at_most("bytes_per_task", max(0, run.rss_bytes() - before) / tasks)


# --- the optional server ------------------------------------------------------------------------------------------


class Echo:
    """The submission as the checks of a line server know it, with `serve_echo` for its entry function."""

    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def __getattr__(self, name: str) -> Any:
        return getattr(self._submission, name)

    def serve(self, handler: Any, **options: Any) -> Any:
        return self._submission.serve(handler, entry="serve_echo", **options)


def serves(student: Any, room: Any) -> Any:
    """Whether serve_echo is more than its stub; it returns at once, for it is told to stop."""
    import os
    import socket

    if not callable(getattr(student, "serve_echo", None)):
        return False
    reading, writing = os.pipe()
    os.write(writing, b"!")
    with socket.create_server(("127.0.0.1", 0)) as lsock:
        try:
            student.serve_echo(lsock, bytes.upper, reading)
        except NotImplementedError:
            return False
    return True


def echo(submission: Submission) -> Any:
    return Echo(submission)


def test_echo_basic(submission: Submission) -> None:
    with in_box(submission, serves, returns="serve_echo returns when stop_fd is readable") as run:
        if not run.result():
            raise Omitted("serve_echo is optional, and is not there.")
    line_server.basic(echo(submission))


def test_echo_many(submission: Submission, sizes: Sizes) -> None:
    line_server.many(echo(submission), sizes)


def test_echo_frag(submission: Submission) -> None:
    line_server.frag(echo(submission))


def test_echo_partial(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    line_server.partial(echo(submission), budget, sizes, briefly=True)
