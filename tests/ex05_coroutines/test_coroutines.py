"""What a submission of ex05 is graded by. Its words and numbers stand in exercises/ex05_coroutines/exercise.yaml.

A scenario carries out a program of tasks in a fresh box (`task_player`). It is drawn from the seed, so that nobody
foresees it (`task_programs`), and the model that says what must come of it stays outside (`task_model`). What comes
through a descriptor is written by the judge while the tasks run (`task_wires`), and when a sleep is over the judge's
own clock tells, too (`task_time`).

No verdict hangs on how long something took. A sleep that was too short is one: load makes sleeps longer, never shorter.
"""

from __future__ import annotations  # of the functions within scenarios, which are shipped without what they would name

import os
import time
from contextlib import suppress
from itertools import pairwise
from random import Random
from typing import Any

from task_model import due, out_of_turn, require_ends, require_stories, survives
from task_programs import Author, nonce, steps_of, written
from task_time import SLACK_S, Nap, Together, misplaced, sleep_and_tell, sleep_together, stamped
from task_watch import in_box, outcome, played_by
from task_wires import (
    Crowded,
    crowd_out,
    doze,
    drained,
    fill,
    hand_on,
    hear,
    hears_meanwhile,
    no_error,
    wait_both_ways,
    wait_for_the_end,
    wires,
    write_to,
)
from typing_extensions import TypedDict

from grader.checks import (
    CLONE_CALLS,
    Budgets,
    Count,
    Growth,
    Omitted,
    Plain,
    Run,
    Sizes,
    Spoilt,
    Submission,
    line_server,
    require,
    unless_noise,
)

# What a thread cannot sleep in, and what tells nothing of descriptors and clocks: any other call may be a wait.
ARRANGING = (
    *("epoll_create1", "epoll_ctl", "timerfd_create", "timerfd_settime", "setitimer", "timer_create", "timer_settime"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn"),
)
MODULUS = 2**31 - 1  # numbers that tasks compute stay below it

# --- turns --------------------------------------------------------------------------------------------------------


def test_runs(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    few = rng.randint(1, 3)
    for count in (few, *(rng.randint(1, 9) for _ in range(rng.randint(1, 4))), few + 6, few):  # no end is the last
        author.task(*(step for _ in range(count) for step in (["says", nonce(rng)], *author.yields(1, 2))))
    played = played_by(submission, author)
    require_stories(author.program, played)


def test_roundrobin(submission: Submission, rng: Random) -> None:
    author = Author(rng)
    for steps in rng.sample(range(1, 8), 5):
        author.task(*steps_of(rng, steps))
    played = played_by(submission, author)
    early = f"{played['early']} of them before run()"
    require(played["early"] == 0, expected="spawn() only queues a task: its first step comes in run()", seen=early)
    most = max(len(steps) for steps in author.program.values()) // 2
    expected = [
        f"{name}{n}" for n in range(1, most + 1) for name in author.first if n <= len(author.program[name]) // 2
    ]
    seen = [f"{name}{step}" for name, step in played["log"]]
    rule = f"tasks that yield take turns, in the order they were spawned: {' '.join(expected)}"
    require(seen == expected, expected=rule, seen=" ".join(seen) or "no step at all")

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
    played = played_by(submission, author)
    require_stories(author.program, played)
    wrong = out_of_turn(author.program, author.first, played["log"])
    spawners = [f"{who} spawns {step[1]}" for who, row in author.program.items() for step in row if step[0] == "spawns"]
    evidence = [" ".join(f"{name}{step}" for name, step in played["log"]), ", ".join(spawners)]
    require(
        not wrong,
        expected="a task that is spawned in run() goes to the end of the queue, and takes turns",
        seen=wrong,
        evidence=evidence,
    )


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
    played = played_by(submission, author)
    require_stories(author.program, played)
    require_ends(author.program, played)


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
    played = played_by(submission, author)
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
    played = played_by(submission, author)
    survives(played)
    ends = due(author.program)
    joined = frozenset[str]().union(*(task.joined for task in ends.values()))
    words = ", ".join(played["errors"]) or "no error"
    for name in sorted(joined):
        when = "before it failed" if name in waited_for else "after it had failed"
        require(
            ends[name].error not in played["errors"],
            expected="scheduler.errors holds no error of a task that another one has joined",
            seen=f"{ends[name].error}, of {name}, which was joined {when}",
            evidence=written(
                author.program, name, *(who for who in author.program if ["catches", name] in author.program[who])
            ),
        )
    expected = sorted(task.error for name, task in ends.items() if task.error and name not in joined)
    rule = f"scheduler.errors holds what unjoined tasks raised, each once: {', '.join(expected)}"
    require(sorted(played["errors"]) == expected, expected=rule, seen=words)


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
    require(not found["escaped"], expected=shallow, seen="run() raised RecursionError")
    require("RecursionError" not in found["errors"], expected=shallow, seen="a task failed with RecursionError")
    last = 0
    for number in numbers:
        last = (3 * last + number) % MODULUS
    rule = f"the last of {len(numbers):,} tasks, each of which joins the one before and goes on with its value"
    require(found["chain"] == last, expected=f"{rule}, returns {last}", seen=found["chain"])
    rule = f"one task joins {len(numbers):,} that are done already, and adds up their values: {sum(numbers)}"
    require(found["gathered"] == sum(numbers), expected=rule, seen=found["gathered"])


# --- time ---------------------------------------------------------------------------------------------------------


def test_sleep_order(submission: Submission, sizes: Sizes, rng: Random) -> None:
    milliseconds = [12 * step + rng.randint(0, 2) for step in range(1, sizes["sleepers"] + 1)]
    longest = milliseconds.pop()
    rng.shuffle(milliseconds)
    milliseconds.insert(0, longest)  # whoever looks only at the one who went to sleep first has to wait for it
    naps_s = [[number / 1000] for number in milliseconds]
    naps_s.append([rng.randint(15, 24) / 1000 for _ in range(3)])
    rule = "no sleeper wakes before its time has passed, counted from its yield"

    def sleeps() -> None:
        with stamped(submission, sleep_and_tell, naps_s) as (run, stamps):
            naps: list[Nap] = run.result()
        wanted = sum(map(len, naps_s))
        require(len(naps) == wanted, expected="each sleep ends, once", seen=f"{len(naps)} of {wanted} ended")
        asked_s = sorted(nap["asked_s"] for nap in naps)
        require(
            any(later - sooner < row[0] for (sooner, later), row in zip(pairwise(asked_s), naps_s, strict=False)),
            expected="while one task sleeps, the next one takes its first step, and yields Sleep too",
            seen="each task took its first step when the one before had slept its time",
        )
        early = stamps.too_early(naps_s)
        require(not early, expected=rule, seen=early)
        before = misplaced(naps)
        order = " ".join(f"{1000 * nap['seconds']:.0f}" for nap in naps)
        evidence = [f"they woke in this order: {order} (milliseconds)"]
        require(not before, expected="sleepers wake in the order of their deadlines", seen=before, evidence=evidence)
        short_s, seconds = max((nap["asked_s"] + nap["seconds"] - nap["woke_s"], nap["seconds"]) for nap in naps)
        short = f"Sleep({seconds}) ended {1000 * short_s:.2f} ms too early"
        require(short_s <= SLACK_S, expected=rule, seen=short, kind=Spoilt)  # something may stand between two clocks

    unless_noise(sleeps)


def test_sleep_together(submission: Submission, sizes: Sizes, rng: Random) -> None:
    words, seconds = [nonce(rng) for _ in range(2 * sizes["sleepers"])], rng.randint(90, 110) / 1000

    def sleep() -> None:
        with stamped(submission, sleep_together, words, seconds) as (run, stamps):
            found: Together = run.result()
        started = (found["log"] + ["ends"]).index("ends")
        ended = f"{len(found['words'])} ended"
        require(
            sorted(found["words"]) == sorted(words), expected=f"{len(words)} sleepers start, sleep and end", seen=ended
        )
        early = stamps.too_early([[seconds]] * len(words))
        require(not early, expected=f"Sleep({seconds}) takes its time", seen=early)
        require(
            started == len(words) and found["steps"] >= 15,
            expected=f"{len(words)} sleepers are asleep at once, and another task goes on meanwhile, for 15 steps and "
            "more",
            seen=f"{started} had started when the first one ended; the other task took {found['steps']} steps "
            "meanwhile",
            kind=Spoilt,
        )

    unless_noise(sleep)


# --- descriptors --------------------------------------------------------------------------------------------------


def test_io(submission: Submission, rng: Random) -> None:
    counts = [[rng.randint(1, 2), rng.randint(1, 2)] for _ in range(2)]
    turns = [place for place, row in enumerate(counts) for _ in range(sum(row))]
    rng.shuffle(turns)
    rule = "a task reads what has come, hands it to another one through a socketpair, and that one turns it round"
    with wires(2) as (judge, fds), in_box(submission, hand_on, fds, counts, fds=fds) as run:
        for place in turns:
            word = nonce(rng)
            write_to(judge[place], word)
            got = hear(run, judge[place], rule)
            require(got == word[::-1], expected=f"{rule}: {word[::-1]} for {word}", seen=got)
        no_error(run.result())
    rule = "a task that waits for Writable goes on when there is room"
    with wires(2) as ((full, told), fds), in_box(submission, fill, *fds, fds=fds) as run:
        word = nonce(rng)
        write_to(told, word)
        said = hear(run, told, "a task fills a socket, and then waits for Writable")
        require(said == "it is full", expected=rule, seen=said)
        run.settle()
        with suppress(BlockingIOError):
            require(False, expected=rule, seen=told.recv(1000).decode(errors="backslashreplace"))
        got = drained(run, full, rule)
        require(got == word, expected=f"{rule}, and sends {word}", seen=got)
        no_error(run.result())


def test_duplex(submission: Submission, rng: Random) -> None:
    acts = ["send", "send", "drain"]
    rng.shuffle(acts)
    rule = "of two tasks at one descriptor, each goes on for its own event"
    with wires(2) as ((both, told), fds), in_box(submission, wait_both_ways, *fds, 2, fds=fds) as run:
        full = hear(run, told, "a task fills a socket, and then waits for Writable")
        require(full == "it is full", expected=rule, seen=full)
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
                write_to(both, word)
            got = hear(run, told, f"{rule}: {wanted}")
            require(got == wanted, expected=f"{rule}: {wanted}", seen=got)
        no_error(run.result())


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
                require(got == wanted, expected=rule, seen=got)
            no_error(run.result())
    finally:
        for fd in left:
            os.close(fd)


# --- waiting ------------------------------------------------------------------------------------------------------


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
        require(
            slept_s >= max(naps_s), expected=rule, seen=f"all was over after {slept_s:.3f} s, by the clock of the judge"
        )
        with run.counting() as for_both:
            began_s = time.monotonic()
            run.go(soon_s)
            soon_at_s = hears_meanwhile(run, judge, told, rng)
        for_both.require_none_of(
            dict.fromkeys(("clock_nanosleep", "nanosleep"), "time.sleep() hears of no descriptor"),
            expected="while a task waits for a descriptor, the thread waits for that and for deadlines at once",
        )
        budget.at_most("waits_for_both", for_both.besides(*ARRANGING))
        budget.at_most("waiting_cpu", 1000 * (run.cpu_s() - before_s))
        early = f"Sleep({soon_s}) was over after {soon_at_s - began_s:.3f} s, by the clock of the judge"
        require(soon_at_s - began_s >= soon_s, expected="bytes that come for one task wake no sleeper", seen=early)


def test_starve(submission: Submission, budget: Budgets, rng: Random) -> None:
    word, lead = nonce(rng), rng.randint(10, 30)
    with wires(2) as ((judge, full), fds), in_box(submission, crowd_out, 200_000, lead, *fds, fds=fds) as run:
        run.until("write")
        write_to(judge, word)
        run.until("drain")
        with suppress(BlockingIOError):
            while full.recv(65536):
                pass
        found: Crowded = run.result()
    budget.at_most("switches_before_io", max(found["before_read"], found["before_write"]))
    require(
        found["word"] == word,
        expected=f"a task that waits for a descriptor reads what has come: {word}",
        seen=found["word"],
    )
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
                require(
                    end == due,
                    expected=f"each task goes on with its own variables: {due} after {steps} steps",
                    seen=end,
                )
            switches = sum(steps for steps, _ in ends)
            enough = switches == len(numbers) * times or (count.value or 0) > 100 or switches >= 1_000 * len(numbers)
            require(
                enough,
                expected=f"{len(numbers)} tasks yield {times:,} times each",
                seen=f"{switches:,} switches",
            )
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
            room.pause("ready", then="done")
            for _ in switches:
                yield
            room.pause("done")

    for task in [scheduler.spawn(sleeps(3600.0 + number)) for number in range(parked // 2)]:
        scheduler.spawn(joins(task))
    scheduler.spawn(spins())
    scheduler.run()


def test_ops(submission: Submission, budget: Budgets, sizes: Sizes, rng: Random) -> None:
    growth = Growth(
        budget=budget,
        one="instructions_per_switch",
        each="instructions_per_parked_task",
        few=10,
        many=sizes["parked"],
    )

    def used_s(run: Run) -> float:
        """Processor time of 500 switches."""
        run.until("spun")
        run.go(500)
        run.until("ready")
        began_s = run.cpu_s()
        run.until("done")
        return run.cpu_s() - began_s

    def compared() -> tuple[float, float]:
        lead = 100 + rng.randrange(500)  # nobody knows which switch is counted, not even by its number
        with (
            in_box(submission, switch_beside, growth.few, lead, alone=True) as beside_few,
            in_box(submission, switch_beside, growth.many, lead, alone=True) as beside_many,
        ):

            def instructions(many: bool, switches: int, limit: int) -> float:
                run = beside_many if many else beside_few
                run.until("spun")
                run.go(switches)
                run.until("ready")
                with run.stepped(limit=limit) as counted:
                    run.until("done")
                return counted.count / switches

            def grew() -> bool:
                few_s, many_s = used_s(beside_few), used_s(beside_many)
                return many_s > 1.5 * few_s

            return growth.compared(instructions, grew=grew)

    growth.at_most(compared)


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
            write_to(judge, word)
            got: str = run.result()
        require(got == word, expected=f"a task that waits for a descriptor reads what has come: {word}", seen=got)
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
