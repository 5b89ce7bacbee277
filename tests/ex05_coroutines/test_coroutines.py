"""What a submission of ex05 is graded by. Its words and numbers stand in exercises/ex05_coroutines/exercise.yaml.

A scenario carries out a program of tasks in a fresh box. It is drawn from the seed, so that nobody foresees it, and the
model that says what must come of it stays here. What comes through a descriptor is written by the judge while the tasks
run, and when a sleep is over the judge's own clock tells, too.

No verdict hangs on how long something took. A sleep that was too short is one: load makes sleeps longer, never shorter.
"""

from __future__ import annotations  # of the functions within scenarios, which are shipped without what they would name

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from random import Random
from typing import Any

from typing_extensions import TypedDict

from grader.checks import NOISE_FACTOR, Budgets, Count, Plain, Run, Sizes, Submission, line_server
from grader.failures import CheckFailed, Crashed, ForbiddenUse, Omitted, demand
from grader.measure.strace import CLONE_CALLS

# What a thread cannot sleep in, and what tells nothing of descriptors and clocks: any other call may be a wait.
ARRANGING = (
    *("epoll_create1", "epoll_ctl", "timerfd_create", "timerfd_settime", "setitimer", "timer_create", "timer_settime"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn"),
)
NANOSLEEPS = ("clock_nanosleep", "nanosleep")
# A deadline may be rounded up by a few milliseconds, so sleepers whose deadlines are closer may wake in any order.
CLOSE_S = 0.010
# What a sleep may lack: a scheduler that reads the clock once a turn takes a deadline from the turn's beginning.
SLACK_S = 0.0005
TRIES = 3
RETURNS = "run() returns when all tasks are done"
MODULUS = 2**31 - 1  # numbers that tasks compute stay below it

# Of each task, what it does, step by step: see `play`.
Program = Mapping[str, Sequence[Sequence[Any]]]


@contextmanager
def in_box(
    submission: Submission,
    scenario: Callable[..., Any],
    *arguments: Any,
    traced: bool = False,
    alone: bool = False,
    fds: Sequence[int] = (),
    returns: str = RETURNS,
) -> Iterator[Run]:
    """A scenario that ends when the submission's function does, and says so when it does not."""
    with submission.running(scenario, *arguments, traced=traced, alone=alone, pass_fds=fds) as run:
        try:
            yield run
        except CheckFailed as failure:
            if failure.expected not in ("an answer", "the scenario runs to its end") or isinstance(failure, Crashed):
                raise
            raise CheckFailed(expected=returns, seen=failure.seen) from failure


def outcome(submission: Submission, scenario: Callable[..., Any], *arguments: Any) -> Any:
    with in_box(submission, scenario, *arguments) as run:
        return run.result()


def nonce(rng: Random) -> str:
    return f"{rng.getrandbits(40):010x}"


# --- what the judge writes and hears ------------------------------------------------------------------------------


@contextmanager
def wires(count: int) -> Iterator[tuple[list[socket.socket], list[int]]]:
    """Connections: the judge's ends, and the descriptors of the tasks' ends. Nothing on them blocks, and a message
    stays whole."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
    try:
        for end in (end for pair in pairs for end in pair):
            end.setblocking(False)
        yield [near for near, _ in pairs], [far.fileno() for _, far in pairs]
    finally:
        for end in (end for pair in pairs for end in pair):
            end.close()


def say(wire: socket.socket, word: str) -> None:
    """A message for a task. A program that has shut its end down gets none, as who listens for an answer will find."""
    with suppress(OSError):
        wire.send(word.encode())


def hear(run: Run, wire: socket.socket, rule: str) -> str:
    """The next message that a task sends.

    Raises:
        CheckFailed: none comes.
    """
    heard: list[bytes] = []

    def listen() -> bool:
        over = run.has_ended()  # looked at before the wire: what was sent until then is there
        with suppress(BlockingIOError):
            heard.append(wire.recv(2000))
        return over or bool(heard)

    try:
        run.wait_until(listen)
    except CheckFailed as failure:
        if isinstance(failure, Crashed):
            raise
        raise CheckFailed(expected=rule, seen=failure.seen) from failure
    if not heard:
        run.result()
        raise CheckFailed(expected=rule, seen="run() returned, and nothing of it had happened")
    return heard[0].decode(errors="backslashreplace")


# --- programs that nobody foresees --------------------------------------------------------------------------------


class Played(TypedDict):
    """What a scheduler made of a program; values and errors as text."""

    early: int  # how much was logged before run()
    log: list[tuple[str, str]]  # a task, and what it says or what a join gave it
    ends: dict[str, tuple[bool, str, str]]  # done, value, error
    errors: list[str]
    escaped: str  # what came out of run()


def play(student: Any, room: Any, program: Program, first: list[str]) -> Played:  # noqa: C901 - it stands alone
    """Carry out a program. The tasks named in `first` are spawned before run().

    yields; says text; adds number; adds_in_a_part number, behind a `yield from`; spawns task; outwaits task, by yields;
    joins task, and fails as it does; catches task: joins it, and goes on; raises kind, word; returns what it added up.
    """
    from traps import Join

    kinds = {kind.__name__: kind for kind in (ValueError, LookupError, OSError)}
    scheduler, tasks, log = student.Scheduler(), {}, []

    def told(error: BaseException | None) -> str:
        return "" if error is None else " ".join([type(error).__name__, *map(str, error.args)])

    def part(total: int, number: int) -> Any:
        yield
        return total + number

    def joined(name: str, other: str, total: int) -> Any:
        value = yield Join(tasks[other])
        log.append((name, f"gets {value!r} from {other}"))
        return 3 * total + value if isinstance(value, int) else total

    def task(name: str) -> Any:  # noqa: C901, PLR0912 - a case for each word
        total = 0
        for act, *rest in program[name]:
            match act:
                case "yields":
                    yield
                case "says":
                    log.append((name, rest[0]))
                case "adds":
                    total += rest[0]
                case "adds_in_a_part":
                    total = yield from part(total, rest[0])
                case "spawns":
                    tasks[rest[0]] = scheduler.spawn(task(rest[0]))
                case "outwaits":
                    for _ in range(100):
                        if tasks[rest[0]].done:
                            break
                        yield
                case "joins":
                    total = yield from joined(name, rest[0], total)
                case "catches":
                    try:
                        total = yield from joined(name, rest[0], total)
                    except Exception as error:  # noqa: BLE001 - whatever comes is told
                        log.append((name, f"is raised {told(error)} from {rest[0]}"))
                case "raises":
                    raise kinds[rest[0]](rest[1])
                case "returns":
                    return total
        return None

    for name in first:
        tasks[name] = scheduler.spawn(task(name))
    early, escaped = len(log), ""
    try:
        scheduler.run()
    except Exception as error:
        escaped = told(error)
        if not any(["raises", *escaped.split()] == list(step) for steps in program.values() for step in steps):
            raise  # a mistake of the scheduler's own, which is shown with its line
    return {
        "early": early,
        "log": log,
        "ends": {name: (bool(task.done), repr(task.value), told(task.error)) for name, task in tasks.items()},
        "errors": [told(error) for error in scheduler.errors],
        "escaped": escaped,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What becomes of one task under a right scheduler: what it logs, each with the rule behind it, and its end."""

    story: tuple[tuple[str, str], ...]
    joined: frozenset[str]  # the tasks that it joins
    value: int | None = None
    error: str = ""


def due(program: Program) -> dict[str, Due]:  # noqa: C901 - a case for each word
    """The model. Tasks depend on one another by joins alone, so it needs no order."""
    joins = [step[1] for steps in program.values() for step in steps if step[0] in ("joins", "catches")]
    known: dict[str, Due] = {}

    def rule(name: str, *, late: bool) -> str:
        gives = "raises what the task raised" if known[name].error else "gives what the task returned"
        if late:
            return f"`yield Join(task)` {gives}, also when that is done already"
        if joins.count(name) > 1:
            return f"`yield Join(task)` {gives}, in each task that joins it"
        return f"`yield Join(task)` {gives}"

    def follow(name: str) -> Due:
        story, total, done, joined = [], 0, set[str](), set[str]()
        for act, *rest in program[name]:
            match act:
                case "says":
                    story.append((rest[0], "a task goes on to its end"))
                case "adds" | "adds_in_a_part":
                    total += rest[0]
                case "outwaits":
                    done.add(rest[0])
                case "joins" | "catches":
                    joined.add(rest[0])
                    other = known.get(rest[0]) or known.setdefault(rest[0], follow(rest[0]))
                    if other.error and act == "joins":
                        return Due(story=tuple(story), joined=frozenset(joined), error=other.error)
                    got = f"is raised {other.error}" if other.error else f"gets {other.value!r}"
                    story.append((f"{got} from {rest[0]}", rule(rest[0], late=rest[0] in done)))
                    total = total if other.error or other.value is None else 3 * total + other.value
                    done.add(rest[0])
                case "raises":
                    return Due(story=tuple(story), joined=frozenset(joined), error=" ".join(rest))
                case "returns":
                    return Due(story=tuple(story), joined=frozenset(joined), value=total)
        return Due(story=tuple(story), joined=frozenset(joined))

    for name in program:
        known[name] = known.get(name) or follow(name)
    return known


def written(program: Program, *names: str) -> list[str]:
    """These tasks' programs, a line each, for a student."""
    lines = []
    for name in names:
        steps = groupby(" ".join(map(str, step)) for step in program[name])
        counted = ((step, len(list(same))) for step, same in steps)
        lines.append(f"task {name}: {', '.join(f'{step} {n} times' if n > 1 else step for step, n in counted)}")
    return lines


def require_stories(program: Program, played: Played) -> None:
    """Each task has been given what it should have been, in its own order, whatever came between.

    Raises:
        CheckFailed: with the first that is otherwise.
    """
    for name, task in due(program).items():
        said = [text for who, text in played["log"] if who == name]
        for place, (text, rule) in enumerate(task.story):
            seen = said[place] if place < len(said) else "nothing: it never went on"
            involved = [name, *(other for other in program if text.endswith(f" from {other}"))]
            demand(seen == text, f"{rule}: {name} {text}", f"{name}: {seen}", written(program, *involved))


def require_ends(program: Program, played: Played) -> None:
    for name, task in due(program).items():
        done, value, error = played["ends"].get(name, (False, "", ""))
        demand(
            done, "task.done is True for each task when run() has returned", f"not for {name}", written(program, name)
        )
        rule = f"task.value is what the task returned: {task.value!r}"
        demand(task.error or value == repr(task.value), rule, value, written(program, name))
        rule = f"task.error is what the task raised: {task.error or None}"
        demand(error == task.error, rule, error or "None", written(program, name))


class Author:
    """Writes a program: one task after another, with names that are not in the order of anything."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._names = rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 26)
        self.program: dict[str, list[list[Any]]] = {}
        self.first: list[str] = []

    def task(self, *steps: Sequence[Any], spawned: bool = False) -> str:
        """A task's name. Unless another task spawns it, it is spawned before run()."""
        name = self._names.pop()
        self.program[name] = [list(step) for step in steps]
        self.first += [] if spawned else [name]
        return name

    def yields(self, least: int, most: int) -> list[list[Any]]:
        return [["yields"]] * self._rng.randint(least, most)

    def number(self) -> int:
        return self._rng.randrange(1000, 10**6)

    def word(self) -> tuple[str, str]:
        """An error that nobody else raises."""
        return self._rng.choice(["ValueError", "LookupError", "OSError"]), f"broken-{nonce(self._rng)}"

    def shuffle(self) -> None:
        """Spawn in an order that says nothing."""
        self._rng.shuffle(self.first)

    def played(self, submission: Submission) -> Played:
        played: Played = outcome(submission, play, self.program, self.first)
        return played


# --- turns --------------------------------------------------------------------------------------------------------


def steps_of(rng: Random, steps: int, **spawns: str) -> list[list[Any]]:
    """One line and a yield for each step; what is to be spawned, on the way."""
    lines: list[list[Any]] = []
    at = dict(zip(rng.sample(range(1, steps), len(spawns)), spawns.values(), strict=True))
    for step in range(1, steps + 1):
        lines.append(["says", str(step)])
        lines += [["spawns", at[step]]] if step in at else []
        lines.append(["yields"])
    return lines


def test_runs(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    few = rng.randint(1, 3)
    for count in (few, *(rng.randint(1, 9) for _ in range(rng.randint(1, 4))), few + 6, few):  # no end is the last
        author.task(*(step for _ in range(count) for step in (["says", nonce(rng)], *author.yields(1, 2))))
    played = author.played(submission)
    require_stories(author.program, played)


def test_roundrobin(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    for steps in rng.sample(range(1, 8), 5):
        author.task(*steps_of(rng, steps))
    played = author.played(submission)
    early = f"{played['early']} of them before run()"
    demand(played["early"] == 0, "spawn() only queues a task: its first step comes in run()", early)
    most = max(len(steps) for steps in author.program.values()) // 2
    expected = [
        f"{name}{n}" for n in range(1, most + 1) for name in author.first if n <= len(author.program[name]) // 2
    ]
    seen = [f"{name}{step}" for name, step in played["log"]]
    rule = f"tasks that yield take turns, in the order they were spawned: {' '.join(expected)}"
    demand(seen == expected, rule, " ".join(seen) or "no step at all")

    author = Author(rng)
    grandchild = author.task(*steps_of(rng, 5), spawned=True)
    children = [
        author.task(*steps_of(rng, rng.randint(6, 9), child=grandchild), spawned=True),
        author.task(*steps_of(rng, rng.randint(4, 6)), spawned=True),
    ]
    author.task(*steps_of(rng, rng.randint(12, 15), one=children[0], another=children[1]))
    for _ in range(rng.randint(1, 3)):
        author.task(*steps_of(rng, rng.randint(8, 12)))
    author.shuffle()
    played = author.played(submission)
    require_stories(author.program, played)
    wrong = out_of_turn(author.program, author.first, played["log"])
    spawners = [f"{who} spawns {step[1]}" for who, row in author.program.items() for step in row if step[0] == "spawns"]
    evidence = [" ".join(f"{name}{step}" for name, step in played["log"]), ", ".join(spawners)]
    demand(not wrong, "a task that is spawned in run() goes to the end of the queue, and takes turns", wrong, evidence)


def out_of_turn(program: Program, first: Sequence[str], log: Sequence[tuple[str, str]]) -> str:
    """The first step that is out of turn, in words. Who goes round a list of tasks may see a newcomer a turn later."""
    order = [name for name, _ in log]
    at = {name: [place for place, who in enumerate(order) if who == name] for name in program}
    if order[: len(first)] != list(first):
        return f"the first steps are those of {' '.join(order[: len(first)])}, and {' '.join(first)} were spawned"
    for name, places in at.items():
        for here, there in pairwise(places):
            for other in program:
                if at[other][0] < here < at[other][-1] and order[here:there].count(other) != 1:
                    return f"between two steps of {name}, {other} takes {order[here:there].count(other)}"
    for spawner, steps in program.items():
        for child, step in spawned_at(steps):
            here, there = at[spawner][step - 1], at[child][0]
            for other in program:
                taken = order[here + 1 : there].count(other)
                ready = other not in (spawner, child) and at[other][0] < here < at[other][-1]
                if (ready and taken < 1) or taken > (1 if other == spawner else 2):
                    return f"{spawner} spawns {child}, and before that takes its first step, {other} takes {taken}"
    return ""


def spawned_at(steps: Sequence[Sequence[Any]]) -> Iterator[tuple[str, int]]:
    """Whom a task spawns, and at which of its own steps."""
    said = 0
    for act, *rest in steps:
        said += act == "says"
        if act == "spawns":
            yield rest[0], said


# --- ends ---------------------------------------------------------------------------------------------------------


def test_value(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    slow = author.task(
        *author.yields(4, 7),
        ["adds", author.number()],
        ["adds_in_a_part", author.number()],
        *author.yields(0, 2),
        ["returns"],
    )
    quick = author.task(["adds", author.number()], ["returns"])
    silent, nought = author.task(*author.yields(1, 3)), author.task(*author.yields(0, 3), ["returns"])
    child = author.task(*author.yields(1, 3), ["adds", author.number()], ["returns"], spawned=True)
    author.task(*author.yields(1, 3), ["joins", slow], ["returns"])
    author.task(*author.yields(1, 3), ["joins", slow], ["returns"])
    author.task(*author.yields(1, 3), ["joins", silent], ["joins", nought], ["joins", slow], ["returns"])
    author.task(["yields"], ["outwaits", quick], *author.yields(0, 2), ["joins", quick], ["returns"])
    author.task(["spawns", child], *author.yields(0, 4), ["joins", child], ["returns"])
    for _ in range(rng.randint(3, 5)):  # a web of tasks, each of which joins some that are there already
        others = rng.sample(author.first, rng.randint(1, 3))
        joins = [step for other in others for step in (["joins", other], *author.yields(0, 1))]
        author.task(*author.yields(1, 3), ["adds", author.number()], *joins, ["returns"])
    author.shuffle()
    played = author.played(submission)
    require_stories(author.program, played)
    require_ends(author.program, played)


def survives(played: Played) -> None:
    rule = "an exception ends the task that raised it, and run() goes on"
    demand(not played["escaped"], rule, f"run() raised {played['escaped']}")


def test_exc(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    broken = author.task(*author.yields(4, 7), ["raises", *author.word()])
    another = author.task(*author.yields(0, 2), ["raises", *author.word()])
    middle = author.task(*author.yields(1, 3), ["joins", broken], ["says", "this is never reached"])
    for target in (broken, broken, middle):
        author.task(*author.yields(1, 3), ["catches", target], *author.yields(0, 1), ["says", "and goes on"])
    author.task(["yields"], ["outwaits", another], ["catches", another], *author.yields(0, 1), ["says", "and goes on"])
    for _ in range(rng.randint(2, 4)):
        catches = [step for other in rng.sample(author.first, 2) for step in (["catches", other], *author.yields(0, 1))]
        author.task(*author.yields(1, 3), *catches, ["adds", author.number()], ["returns"])
    author.task(*[step for n in range(1, 11) for step in (["says", f"bystander {n}"], ["yields"])])
    author.shuffle()
    played = author.played(submission)
    survives(played)
    require_stories(author.program, played)
    require_ends(author.program, played)


def test_unjoined(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    for most in (0, 4, rng.randint(0, 8)):
        author.task(*author.yields(most // 2, most), ["raises", *author.word()])
    waited_for = [author.task(*author.yields(4, 7), ["raises", *author.word()]) for _ in range(2)]
    over = [author.task(*author.yields(0, 3), ["raises", *author.word()]) for _ in range(3)]
    for target in waited_for:
        author.task(*author.yields(1, 3), ["catches", target])
    for target in (*over, over[0], waited_for[0]):  # behind its end, the first of them by two tasks
        author.task(["yields"], ["outwaits", target], *author.yields(0, 2), ["catches", target])
    author.task(["yields"], ["outwaits", over[1]], ["catches", over[1]], ["catches", over[1]])  # twice
    author.task(["yields"], ["outwaits", over[2]], ["catches", over[2]], ["raises", *author.word()])  # and fails itself
    author.shuffle()
    played = author.played(submission)
    survives(played)
    ends = due(author.program)
    joined = frozenset[str]().union(*(task.joined for task in ends.values()))
    words = ", ".join(played["errors"]) or "no error"
    for name in joined:
        when = "before it failed" if name in waited_for else "after it had failed"
        demand(
            ends[name].error not in played["errors"],
            "scheduler.errors holds no error of a task that another one has joined",
            f"{ends[name].error}, of {name}, which was joined {when}",
            written(author.program, name, *(who for who in author.program if ["catches", name] in author.program[who])),
        )
    expected = sorted(task.error for name, task in ends.items() if task.error and name not in joined)
    rule = f"scheduler.errors holds what unjoined tasks raised, each once: {', '.join(expected)}"
    demand(sorted(played["errors"]) == expected, rule, words)


class Chained(TypedDict):
    chain: Plain
    gathered: Plain
    errors: list[str]
    escaped: bool


def join_deeply(student: Any, room: Any, numbers: list[int], modulus: int) -> Chained:
    from traps import Join

    scheduler = student.Scheduler()

    def first() -> Any:
        yield
        return 0

    def link(task: Any, number: int) -> Any:
        return (3 * (yield Join(task)) + number) % modulus

    task = scheduler.spawn(first())
    for number in numbers:
        task = scheduler.spawn(link(task, number))

    def quick(number: int) -> Any:
        return number
        yield

    finished = [scheduler.spawn(quick(number)) for number in numbers]

    def gather() -> Any:
        for _ in range(100):
            if all(task.done for task in finished):
                break
            yield
        total = 0
        for one in finished:
            total += yield Join(one)
        return total

    gathered = scheduler.spawn(gather())
    escaped = False
    try:
        scheduler.run()
    except RecursionError:
        escaped = True
    errors = [type(error).__name__ for error in (task.error, gathered.error) if error is not None]
    return {"chain": task.value, "gathered": gathered.value, "errors": errors, "escaped": escaped}


def test_deep(submission: Submission, sizes: Sizes, rng: Random) -> None:
    numbers = [rng.randrange(1000) for _ in range(sizes["chain"])]
    found: Chained = outcome(submission, join_deeply, numbers, MODULUS)
    shallow = "resuming takes no stack: joiners are queued when a task ends, not resumed from within"
    demand(not found["escaped"], shallow, "run() raised RecursionError")
    demand("RecursionError" not in found["errors"], shallow, "a task failed with RecursionError")
    last = 0
    for number in numbers:
        last = (3 * last + number) % MODULUS
    rule = f"the last of {len(numbers):,} tasks, each of which joins the one before and goes on with its value"
    demand(found["chain"] == last, f"{rule}, returns {last}", found["chain"])
    rule = f"one task joins {len(numbers):,} that are done already, and adds up their values: {sum(numbers)}"
    demand(found["gathered"] == sum(numbers), rule, found["gathered"])


# --- time ---------------------------------------------------------------------------------------------------------


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


def test_sleep_order(submission: Submission, sizes: Sizes, rng: Random) -> None:
    milliseconds = [12 * step + rng.randint(0, 2) for step in range(1, sizes["sleepers"] + 1)]
    longest = milliseconds.pop()
    rng.shuffle(milliseconds)
    milliseconds.insert(0, longest)  # whoever looks only at the one who went to sleep first has to wait for it
    naps_s = [[number / 1000] for number in milliseconds]
    naps_s.append([rng.randint(15, 24) / 1000 for _ in range(3)])
    rule = "no sleeper wakes before its time has passed, counted from its yield"
    for tries_left in reversed(range(TRIES)):
        with stamped(submission, sleep_and_tell, naps_s) as (run, stamps):
            naps: list[Nap] = run.result()
        wanted = sum(map(len, naps_s))
        demand(len(naps) == wanted, "each sleep ends, once", f"{len(naps)} of {wanted} ended")
        asked_s = sorted(nap["asked_s"] for nap in naps)
        demand(
            any(later - sooner < row[0] for (sooner, later), row in zip(pairwise(asked_s), naps_s, strict=False)),
            "while one task sleeps, the next one takes its first step, and yields Sleep too",
            "each task took its first step when the one before had slept its time",
        )
        early = stamps.too_early(naps_s)
        demand(not early, rule, early)
        before = misplaced(naps)
        order = " ".join(f"{1000 * nap['seconds']:.0f}" for nap in naps)
        evidence = [f"they woke in this order: {order} (milliseconds)"]
        demand(not before, "sleepers wake in the order of their deadlines", before, evidence)
        short_s, seconds = max((nap["asked_s"] + nap["seconds"] - nap["woke_s"], nap["seconds"]) for nap in naps)
        if short_s <= SLACK_S:
            return
        demand(tries_left > 0, rule, f"Sleep({seconds}) ended {1000 * short_s:.2f} ms too early")


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


def test_sleep_together(submission: Submission, sizes: Sizes, rng: Random) -> None:
    words, seconds = [nonce(rng) for _ in range(2 * sizes["sleepers"])], rng.randint(90, 110) / 1000
    for tries_left in reversed(range(TRIES)):
        with stamped(submission, sleep_together, words, seconds) as (run, stamps):
            found: Together = run.result()
        started = (found["log"] + ["ends"]).index("ends")
        ended = f"{len(found['words'])} ended"
        demand(sorted(found["words"]) == sorted(words), f"{len(words)} sleepers start, sleep and end", ended)
        early = stamps.too_early([[seconds]] * len(words))
        demand(not early, f"Sleep({seconds}) takes its time", early)
        good = started == len(words) and found["steps"] >= 15
        demand(
            good or tries_left > 0,
            f"{len(words)} sleepers are asleep at once, and another task goes on meanwhile, for 15 steps and more",
            f"{started} had started when the first one ended; the other task took {found['steps']} steps meanwhile",
        )
        if good:
            return


# --- descriptors --------------------------------------------------------------------------------------------------


def hand_on(student: Any, room: Any, judges: list[int], messages: list[list[int]]) -> list[str]:
    """At each of the judge's wires: pairs of tasks, one after another, of which one hands on what comes to the other,
    which turns it round. A pair talks through sockets of its own and closes them; the next one gets their numbers."""
    import socket

    from traps import Readable

    scheduler = student.Scheduler()

    def receive(sock: Any, wire: Any) -> Any:
        yield Readable(sock.fileno())
        try:
            return sock.recv(1000)
        except BlockingIOError:
            wire.send(b"a task went on, and there was nothing to read")
            return b""

    def asks(sock: Any, wire: Any, count: int) -> Any:
        for _ in range(count):
            word = yield from receive(wire, wire)
            sock.send(word or b"?")
            wire.send((yield from receive(sock, wire)) or b"?")
        sock.close()

    def answers(sock: Any, wire: Any, counts: list[int]) -> Any:
        while got := (yield from receive(sock, wire)):
            sock.send(got[::-1])
        sock.close()
        if counts:
            start_pair(wire, counts)

    def start_pair(wire: Any, counts: list[int]) -> None:
        here, there = socket.socketpair()
        here.setblocking(False)
        there.setblocking(False)
        scheduler.spawn(answers(there, wire, counts[1:]))  # first, so that it waits before there is anything
        scheduler.spawn(asks(here, wire, counts[0]))

    for fd, counts in zip(judges, messages, strict=True):
        start_pair(socket.socket(fileno=fd), counts)
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def fill(student: Any, room: Any, full: int, told: int) -> list[str]:
    """A task fills a wire, waits for room, and sends what the judge has told it on the other one."""
    import contextlib
    import socket

    from traps import Readable, Writable

    scheduler = student.Scheduler()
    wire, judge = socket.socket(fileno=full), socket.socket(fileno=told)

    def fills() -> Any:
        yield Readable(told)
        word = judge.recv(1000)
        with contextlib.suppress(BlockingIOError):
            while wire.send(bytes(1000)):
                pass
        judge.send(b"it is full")
        yield Writable(full)
        try:
            wire.send(word)
        except BlockingIOError:
            judge.send(b"a task went on, and there was no room to write")

    scheduler.spawn(fills())
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def no_error(errors: list[str]) -> None:
    demand(not errors, "no task fails: each read and write succeeds that a task has waited for", "; ".join(errors))


def drained(run: Run, full: socket.socket, rule: str) -> str:
    """What follows the zeros that fill a wire."""
    while not (got := hear(run, full, rule).strip("\0")):
        pass
    return got


def test_io(submission: Submission, rng: Random) -> None:
    counts = [[rng.randint(1, 2), rng.randint(1, 2)] for _ in range(2)]
    turns = [place for place, row in enumerate(counts) for _ in range(sum(row))]
    rng.shuffle(turns)
    rule = "a task reads what has come, hands it to another one through a socketpair, and that one turns it round"
    with wires(2) as (judge, fds), in_box(submission, hand_on, fds, counts, fds=fds) as run:
        for place in turns:
            word = nonce(rng)
            say(judge[place], word)
            got = hear(run, judge[place], rule)
            demand(got == word[::-1], f"{rule}: {word[::-1]} for {word}", got)
        no_error(run.result())
    rule = "a task that waits for Writable goes on when there is room"
    with wires(2) as ((full, told), fds), in_box(submission, fill, *fds, fds=fds) as run:
        word = nonce(rng)
        say(told, word)
        said = hear(run, told, "a task fills a socket, and then waits for Writable")
        demand(said == "it is full", rule, said)
        run.settle()
        with suppress(BlockingIOError):
            demand(False, rule, told.recv(1000).decode(errors="backslashreplace"))
        got = drained(run, full, rule)
        demand(got == word, f"{rule}, and sends {word}", got)
        no_error(run.result())


def wait_both_ways(student: Any, room: Any, both: int, told: int, reads: int) -> list[str]:
    import contextlib
    import socket

    from traps import Readable, Writable

    scheduler = student.Scheduler()
    wire, judge = socket.socket(fileno=both), socket.socket(fileno=told)

    def writer() -> Any:
        with contextlib.suppress(BlockingIOError):
            while wire.send(bytes(1000)):
                pass
        judge.send(b"it is full")
        yield Writable(both)
        judge.send(b"the writer goes on")

    def reader() -> Any:
        for _ in range(reads):
            yield Readable(both)
            judge.send(b"the reader has " + wire.recv(1000))

    scheduler.spawn(writer())
    scheduler.spawn(reader())
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def test_duplex(submission: Submission, rng: Random) -> None:
    acts = ["send", "send", "drain"]
    rng.shuffle(acts)
    rule = "of two tasks at one descriptor, each goes on for its own event"
    with wires(2) as ((both, told), fds), in_box(submission, wait_both_ways, *fds, 2, fds=fds) as run:
        full = hear(run, told, "a task fills a socket, and then waits for Writable")
        demand(full == "it is full", rule, full)
        for act in acts:
            run.settle()
            word = nonce(rng)
            if act == "drain":
                wanted = "the writer goes on"
                with suppress(BlockingIOError):
                    while both.recv(65536):
                        pass
            else:
                wanted = f"the reader has {word}"
                say(both, word)
            got = hear(run, told, f"{rule}: {wanted}")
            demand(got == wanted, f"{rule}: {wanted}", got)
        no_error(run.result())


def wait_for_the_end(student: Any, room: Any, reading: int, writing: int, told: int, words: list[str]) -> list[str]:
    import contextlib
    import os

    from traps import Readable, Writable

    scheduler = student.Scheduler()

    def reads() -> Any:
        yield Readable(reading)
        os.write(told, f"{words[0]} {os.read(reading, 10)!r}".encode())

    def writes() -> Any:
        with contextlib.suppress(BlockingIOError):
            while os.write(writing, bytes(4096)):
                pass
        yield Writable(writing)
        try:
            os.write(writing, b"!")
        except OSError as error:
            os.write(told, f"{words[1]} {type(error).__name__}".encode())

    scheduler.spawn(reads())
    scheduler.spawn(writes())
    scheduler.run()
    return [repr(error) for error in scheduler.errors]


def test_hangup(submission: Submission, rng: Random) -> None:
    words, (reading, far_writing), (far_reading, writing) = [nonce(rng), nonce(rng)], os.pipe(), os.pipe()
    for fd in (reading, writing):
        os.set_blocking(fd, False)
    ends = {
        far_writing: (f"{words[0]} b''", "the end of a pipe is readable: the task that waits for it reads b''"),
        far_reading: (
            f"{words[1]} BrokenPipeError",
            "a pipe that nobody reads is writable: a write tells that it broke",
        ),
    }
    fds = [reading, writing]
    left = {*fds, *ends}
    try:
        with (
            wires(1) as ((told,), tell),
            in_box(submission, wait_for_the_end, *fds, *tell, words, fds=[*fds, *tell]) as run,
        ):
            for fd in rng.sample(list(ends), 2):
                run.settle()
                left.remove(fd)
                os.close(fd)
                wanted, rule = ends[fd]
                got = hear(run, told, rule)
                demand(got == wanted, rule, got)
            no_error(run.result())
    finally:
        for fd in left:
            os.close(fd)


# --- waiting ------------------------------------------------------------------------------------------------------


def doze(student: Any, room: Any, judge: int, told: int) -> None:
    import socket
    import time

    from traps import Join, Readable, Sleep

    wire, tells = socket.socket(fileno=judge), socket.socket(fileno=told)

    def sleeps(seconds: float) -> Any:
        yield Sleep(seconds)

    scheduler = student.Scheduler()  # so that what is imported late is there
    scheduler.spawn(sleeps(0.001))
    scheduler.run()

    def sleeps_until(due_s: float) -> Any:  # so that deadlines are the same, whenever a task takes its first step
        yield Sleep(max(0.0, due_s - time.monotonic()))

    naps_s = room.pause("sleepers")
    scheduler, began_s = student.Scheduler(), time.monotonic()
    for seconds in naps_s:
        scheduler.spawn(sleeps_until(began_s + seconds))
    scheduler.run()

    def joins(task: Any, word: bytes) -> Any:
        yield Join(task)
        tells.send(word)

    def reads() -> Any:
        while True:
            yield Readable(judge)
            tells.send(wire.recv(1000)[::-1])

    soon_s = room.pause("mixed")
    scheduler = student.Scheduler()
    scheduler.spawn(reads())
    scheduler.spawn(joins(scheduler.spawn(sleeps(soon_s)), b"soon"))
    scheduler.spawn(joins(scheduler.spawn(sleeps(3600.0)), b"in an hour"))
    scheduler.run()


def test_idle(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    deadlines, gap_s, soon_s = 20, 0.015, 0.4
    naps_s = [gap_s * (1 + number % deadlines) for number in range(10 * sizes["sleepers"])]
    rng.shuffle(naps_s)
    with wires(2) as ((judge, told), fds), in_box(submission, doze, *fds, traced=True, fds=fds) as run:
        run.until("sleepers")
        before_s = run.cpu_s()
        with run.counting() as for_deadlines:
            began_s = time.monotonic()
            run.go(naps_s)  # which nobody can have slept before
            run.until("mixed")
            slept_s = time.monotonic() - began_s
        budget.at_most("waits_for_deadlines", for_deadlines.besides(*ARRANGING))
        rule = f"Sleep({max(naps_s):.2f}) takes its time"
        demand(slept_s >= max(naps_s), rule, f"all was over after {slept_s:.3f} s, by the clock of the judge")
        with run.counting() as for_both:
            began_s = time.monotonic()
            run.go(soon_s)
            soon_at_s = hears_meanwhile(run, judge, told, rng)
        for name, line in for_both.seen(NANOSLEEPS).items():
            raise ForbiddenUse(
                expected="while a task waits for a descriptor, the thread waits for that and for deadlines at once",
                seen=f"{name}: time.sleep() hears of no descriptor",
                evidence=[line],
            )
        budget.at_most("waits_for_both", for_both.besides(*ARRANGING))
        budget.at_most("waiting_cpu", 1000 * (run.cpu_s() - before_s))
        early = f"Sleep({soon_s}) was over after {soon_at_s - began_s:.3f} s, by the clock of the judge"
        demand(soon_at_s - began_s >= soon_s, "bytes that come for one task wake no sleeper", early)


def hears_meanwhile(run: Run, judge: socket.socket, told: socket.socket, rng: Random) -> float:
    """Two messages to the task that reads, each when the program sleeps, and the end of the short sleep: its time."""
    heard: dict[str, float] = {}
    due = ["soon"]

    def wait_for(word: str, rule: str) -> None:
        while word not in heard:
            got = hear(run, told, rule)
            demand(got in due, "bytes that come for one task wake no sleeper, and come to that task", got)
            heard[got] = time.monotonic()

    for _ in range(2):
        run.settle()
        word = nonce(rng)
        say(judge, word)
        due.append(word[::-1])
        wait_for(word[::-1], "while others sleep, a task that waits for a descriptor goes on when bytes have come")
    wait_for("soon", "the task that joins a sleeper goes on when that is done")
    return heard["soon"]


class Crowded(TypedDict):
    before_read: int
    before_write: int
    before_timer: int
    word: str


def crowd_out(  # noqa: C901 - a scenario stands alone
    student: Any, room: Any, cap: int, lead: int, judge: int, full: int
) -> Crowded:
    import contextlib
    import os
    import time

    from traps import Readable, Sleep, Writable

    words: list[str] = []

    def reads() -> Any:
        yield Readable(judge)
        words.append(os.read(judge, 100).decode())

    def writes() -> Any:
        with contextlib.suppress(BlockingIOError):
            while os.write(full, bytes(1000)):
                pass
        yield Writable(full)
        words.append("writes")

    def switches_before(task: Any, pause: str) -> int:
        scheduler, switches, before = student.Scheduler(), 0, len(words)

        def spins() -> Any:
            nonlocal switches
            for _ in range(lead):
                yield
            room.pause(pause)
            while len(words) == before and switches < cap:
                switches += 1
                yield

        scheduler.spawn(task)
        scheduler.spawn(spins())
        scheduler.run()
        return switches

    def switches_before_timer() -> int:
        scheduler, switches, woken, due_s = student.Scheduler(), 0, False, float("inf")

        def sleeps() -> Any:
            nonlocal due_s, woken
            due_s = time.monotonic() + 0.02
            yield Sleep(0.02)
            woken = True

        def spins() -> Any:
            nonlocal switches
            while time.monotonic() < due_s + 0.03 and not woken:
                yield
            while not woken and switches < cap:
                switches += 1
                yield

        scheduler.spawn(sleeps())
        scheduler.spawn(spins())
        scheduler.run()
        return switches

    before_read, before_write = switches_before(reads(), "write"), switches_before(writes(), "drain")
    return {
        "before_read": before_read,
        "before_write": before_write,
        "before_timer": switches_before_timer(),
        "word": words[0] if words else "",
    }


def test_starve(submission: Submission, budget: Budgets, rng: Random) -> None:
    word, lead = nonce(rng), rng.randint(10, 30)
    with wires(2) as ((judge, full), fds), in_box(submission, crowd_out, 200_000, lead, *fds, fds=fds) as run:
        run.until("write")
        say(judge, word)
        run.until("drain")
        with suppress(BlockingIOError):
            while full.recv(65536):
                pass
        found: Crowded = run.result()
    budget.at_most("switches_before_io", max(found["before_read"], found["before_write"]))
    demand(found["word"] == word, f"a task that waits for a descriptor reads what has come: {word}", found["word"])
    budget.at_most("switches_before_timer", found["before_timer"])


# --- what it costs ------------------------------------------------------------------------------------------------


def switch(student: Any, room: Any, times: int, modulus: int) -> list[tuple[int, int]]:
    """Of each task, how many steps it takes and the number that it comes to, from step to step."""
    import time

    ends: list[tuple[int, int]] = []

    def task(place: int, give_up_s: float, least: int) -> Any:
        for step in range(1, times + 1):
            ends[place] = (step, 69621 * ends[place][1] % modulus)
            yield
            if step >= least and time.monotonic() > give_up_s:
                break

    def switches(numbers: list[int], seconds: float, least: int) -> None:
        ends[:] = [(0, number) for number in numbers]
        scheduler = student.Scheduler()
        for place in range(len(numbers)):
            scheduler.spawn(task(place, time.monotonic() + seconds, least))
        scheduler.run()

    switches([1], 0.0, 1)  # so that what is imported late is there
    # With traced calls at each switch it would take a quarter of a minute: then fewer steps are enough. How many is
    # counted, lest a machine that stands still for so long should decide.
    switches(room.pause("begin"), 2.0, 1_000)
    return ends


def test_zero_syscall(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    numbers = [rng.randrange(1, MODULUS) for _ in range(10)]
    times = sizes["switches"] // len(numbers)

    def calls() -> Count:
        with in_box(submission, switch, times, MODULUS, traced=True) as run:
            run.until("begin")
            with run.counting() as window:
                run.go(numbers)  # which nobody can have begun with before
                ends: list[tuple[int, int]] = run.result()
            count = window.total()
            for (steps, end), number in zip(ends, numbers, strict=True):
                due = number * pow(69621, steps, MODULUS) % MODULUS
                demand(end == due, f"each task goes on with its own variables: {due} after {steps} steps", end)
            switches = sum(steps for steps, _ in ends)
            enough = switches == len(numbers) * times or (count.value or 0) > 100 or switches >= 1_000 * len(numbers)
            demand(enough, f"{len(numbers)} tasks yield {times:,} times each", f"{switches:,} switches")
            return count

    budget.at_most("calls_for_switches", calls)


def switch_beside(student: Any, room: Any, parked: int, lead: int) -> None:
    """A task that spins beside parked ones, first `lead` times, then as often as the judge says, between pauses; it is
    over when the judge has seen enough."""
    from traps import Join, Sleep

    scheduler = student.Scheduler()

    def sleeps(seconds: float) -> Any:
        yield Sleep(seconds)

    def joins(task: Any) -> Any:
        yield Join(task)

    def spins() -> Any:
        for _ in range(lead):  # behind the first two, all are parked; the first ones are dearer
            yield
        while True:
            switches = range(room.pause("spun"))
            room.pause("ready")
            for _ in switches:
                yield
            room.pause("done")

    for task in [scheduler.spawn(sleeps(3600.0 + number)) for number in range(parked // 2)]:
        scheduler.spawn(joins(task))
    scheduler.spawn(spins())
    scheduler.run()


def test_ops(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    few, many = 10, sizes["parked"]
    most, most_each = budget.limit_of("instructions_per_switch"), budget.limit_of("instructions_per_parked_task")

    def used_s(run: Run) -> float:
        """Processor time of 500 switches."""
        run.until("spun")
        run.go(500)
        run.until("ready")
        began_s = run.cpu_s()
        run.until("done")
        return run.cpu_s() - began_s

    def instructions(run: Run, switches: int, limit: float) -> float:
        """Of a switch. Counting ends at the limit, so more than that is seen as a little more."""
        run.until("spun")
        run.go(switches)
        run.until("ready")
        with run.stepped(limit=round(switches * limit) + 10_000) as counted:
            run.until("done")
        return counted.count / switches

    def compared() -> tuple[float, float]:
        lead = 100 + rng.randrange(500)  # nobody knows which switch is counted, not even by its number
        with (
            in_box(submission, switch_beside, few, lead, alone=True) as beside_few,
            in_box(submission, switch_beside, many, lead, alone=True) as beside_many,
        ):

            def dearer(switches: int) -> tuple[float, float]:
                """Instructions of a switch beside few tasks, and how many more it has for each further one."""
                one = instructions(beside_few, switches, most)
                no_noise = 1.01 * NOISE_FACTOR * most_each * (many - few)
                further = instructions(beside_many, switches, one + no_noise) - one
                return one, max(0.0, further) / (many - few)

            one, further = dearer(1)
            few_s, many_s = used_s(beside_few), used_s(beside_many)
            # Where switches use no more processor time, one tells. Else five in a row are counted as well: what is done
            # at each fifth switch only is work for a switch too.
            if further <= most_each and many_s > 1.5 * few_s:
                further = dearer(5)[1]
            return one, further

    first = [compared()]
    budget.at_most("instructions_per_switch", first[0][0])
    budget.at_most("instructions_per_parked_task", lambda: (first.pop() if first else compared())[1])


def hold(student: Any, room: Any, sleepers: int, judge: int) -> str:
    import os

    from traps import Join, Readable, Sleep

    word = ""

    def sleeps() -> Any:
        yield Sleep(0.05)

    def reads() -> Any:
        nonlocal word
        yield Readable(judge)
        word = os.read(judge, 100).decode()

    def joins(task: Any) -> Any:
        yield Join(task)

    def looks() -> Any:
        for _ in range(3):
            yield
        room.pause("held")

    room.pause("begin")
    scheduler = student.Scheduler()
    for task in (reads(), *(sleeps() for _ in range(sleepers))):
        scheduler.spawn(joins(scheduler.spawn(task)))
    scheduler.spawn(looks())
    scheduler.run()
    return word


def test_threads(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    word = nonce(rng)
    with (
        wires(1) as ((judge,), fds),
        in_box(submission, hold, sizes["sleepers"], *fds, traced=True, fds=fds) as run,
    ):
        run.until("begin")
        with run.counting() as calls:
            run.until("held")
            if helpers := run.threads() - 1 + len(run.children()):
                budget.at_most("threads_and_processes", helpers)
            say(judge, word)
            got: str = run.result()
        demand(got == word, f"a task that waits for a descriptor reads what has come: {word}", got)
        budget.at_most("threads_and_processes", calls.of(*CLONE_CALLS))


def park(student: Any, room: Any, tasks: int) -> None:
    from traps import Join, Sleep

    scheduler, parked = student.Scheduler(), 0

    def sleeps() -> Any:
        nonlocal parked
        parked += number
        yield Sleep(3600.0)

    def joins(task: Any) -> Any:
        yield Join(task)

    def looks() -> Any:
        yield
        room.pause(f"parked {parked}")

    number = room.pause("empty")
    for _ in range(tasks // 2):
        scheduler.spawn(joins(scheduler.spawn(sleeps())))
    scheduler.spawn(looks())
    scheduler.run()


def test_memory(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    tasks, number = sizes["held"], rng.randrange(1, MODULUS)
    with in_box(submission, park, tasks) as run:
        run.until("empty")
        before = run.rss_bytes()
        run.go(number)
        run.until(f"parked {tasks // 2 * number}")
        budget.at_most("bytes_per_task", max(0, run.rss_bytes() - before) / tasks)


# --- the optional server ------------------------------------------------------------------------------------------


def serves(student: Any, room: Any) -> bool:
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


def test_echo_basic(submission: Submission) -> None:
    with in_box(submission, serves, returns="serve_echo returns when stop_fd is readable") as run:
        if not run.result():
            raise Omitted("serve_echo is optional, and is not there.")
    with submission.with_entry("serve_echo"):
        line_server.test_basic(submission)


def test_echo_many(submission: Submission, sizes: Sizes) -> None:
    with submission.with_entry("serve_echo"):
        line_server.test_many(submission, sizes)


def test_echo_frag(submission: Submission) -> None:
    with submission.with_entry("serve_echo"):
        line_server.test_frag(submission)


def test_echo_partial(submission: Submission, budget: Budgets, sizes: Sizes) -> None:
    with submission.with_entry("serve_echo"):
        line_server.partial(submission, budget, sizes, briefly=True)
