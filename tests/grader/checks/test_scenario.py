"""A scenario in a real box: pauses, windows, instructions; and a server's processes, for those that have several."""

import os
import re
import signal
from collections.abc import Callable
from typing import Any

import pytest
from typing_extensions import TypedDict  # pydantic reads typing's from Python 3.12 on

from grader.box import channel
from grader.box.levels import Level
from grader.checks import program
from grader.checks import scenario as scenarios
from grader.checks.meeting import Meeting
from grader.checks.program import quiet_for
from grader.checks.scenario import Run, Stuck
from grader.failures import CheckFailed
from grader.measure import vitals
from grader.measure.strace import CLONE_CALLS
from handing_in import failure_of, handed_in

Judged = Callable[..., Any]


def shout(line: bytes) -> bytes:
    return line.upper()


# --- pauses -------------------------------------------------------------------------------------------------------


def two_pauses(student: Any, room: Any) -> list[int]:
    import threading

    gate = threading.Event()
    held = [threading.Thread(target=gate.wait) for _ in range(3)]
    for thread in held:
        thread.start()
    room.pause("held")
    gate.set()
    for thread in held:
        thread.join()
    room.pause("free")
    return [student.scaled(21), threading.active_count()]


SCALES = "def scaled(number):\n    return 2 * number\n"


def looked_at(level: Level) -> list[Any]:
    with handed_in(level, SCALES).running(two_pauses) as run:
        run.until("held")
        held = run.threads()
        slept = run.switches()
        run.until("free")
        run.wait_until(lambda: run.threads() == 1)  # join() returns before the kernel has taken a thread away
        return [held, slept > 0, run.result()]


def test_a_scenario_waits_at_its_pauses_for_a_look_from_outside(judged: Judged) -> None:
    assert judged(looked_at) == [4, True, [42, 1]]


def passed(level: Level) -> object:
    return handed_in(level, SCALES).run(two_pauses)


def test_pauses_that_nobody_waits_for_are_passed(judged: Judged) -> None:
    assert judged(passed) == [42, 1]


def never_there(student: Any, room: Any) -> int:
    return int(student.scaled(1))


def waits_for(level: Level, source: str) -> list[Any]:
    program.ASLEEP_S, program.SILENT_S, program.SILENT_CPU_S = 0.5, 1.0, 0.3  # the last is for who is asked, not for it
    with handed_in(level, source).running(never_there) as run:
        return failure_of(lambda: run.until("held"))


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param(
            "return 1",
            ["Crashed", "the scenario pauses at 'held'", "the program says 'value'", []],
            id="it is over",
        ),
        pytest.param(
            "raise OSError('no')",
            [
                "Raised",
                "the scenario runs to its end",
                "it raised OSError: no",
                ["tiny.py:4 in scaled: raise OSError('no')"],
            ],
            id="it raises",
        ),
        pytest.param(
            "threading.Lock().acquire() and threading.Semaphore(0).acquire()",
            [
                "NoAnswer",
                "an answer",
                "nothing: the program sleeps in a lock, in acquire() of line 4",
                ["tiny.py:4 in scaled: threading.Lock().acquire() and threading.Semaphore(0).acquire()"],
            ],
            id="it is locked",
        ),
        pytest.param(
            "os.kill(os.getpid(), signal.SIGSTOP)",
            ["NoAnswer", "an answer", "nothing: the program has stopped itself", []],
            id="it stops itself",
        ),
        pytest.param(
            "while True: pass",
            [
                "NoAnswer",
                "the scenario runs to its end",
                "no end after 1 seconds of processor time, in line 4",
                ["tiny.py:4 in scaled: while True: pass"],
            ],
            id="it spins",
        ),
        pytest.param(
            "print('bye', flush=True)\n    os._exit(4)",
            [
                "Crashed",
                "the scenario runs to its end",
                "the program ended with exit status 4",
                ["printed: bye"],
            ],
            id="it ends",
        ),
        pytest.param(
            "os.write(int(sys.argv[1]), bytes([0, 0, 0, 9]) + b'{\"no\": 1}')\n    threading.Semaphore(0).acquire()",
            ["Crashed", "the scenario runs to its end", "the program says 'no'", []],
            id="it garbles",
        ),
    ],
)
def test_a_pause_that_never_comes_is_told_by_its_cause(judged: Judged, body: str, failure: list[Any]) -> None:
    source = f"import os, signal, sys, threading\n\ndef scaled(number):\n    {body}\n"

    assert judged(waits_for, source) == failure


# --- one that never ends ------------------------------------------------------------------------------------------


def keeps_a_list(student: Any, room: Any, count: int) -> list[list[int]]:
    room.so_far = [[]]
    for number in range(count):
        room.so_far[0].append(number)
        room.pause("here")
        student.scaled(number)
    return list(room.so_far)


def watched(level: Level, source: str, count: int) -> list[Any]:
    with handed_in(level, source).running(keeps_a_list, count, cpu_s=0.3) as run:
        run.until("here")
        quiet_for(4.0)  # longer than anybody may sleep: the judge has the word
        try:
            return [run.result()]
        except Stuck as stuck:
            return [stuck.seen, [row.text for row in stuck.evidence], stuck.so_far]


NAP = "import threading, time\n\ndef scaled(number):\n    time.sleep(2.0)\n"
LOCKED = "import threading\nlock = threading.Lock()\n\ndef scaled(number):\n    lock.acquire()\n"
SPINS = "def scaled(number):\n    while number:\n        pass\n"
POLLS = """
import queue, threading

def worker(q=queue.Queue()):
    while True:
        try:
            q.get(timeout=0.05)
        except queue.Empty:
            pass

def scaled(number):
    thread = threading.Thread(target=worker)
    thread.start()
    thread.join()
"""
WAITS = "it waits for what never comes"
BROKEN = "def scaled(number):\n    raise OSError('no')\n"


def test_a_scenario_that_is_watched_ends_as_any_other(judged: Judged) -> None:
    assert judged(watched, NAP, 3) == [[[0, 1, 2]]]


@pytest.mark.parametrize(
    ("source", "count", "seen", "line", "so_far"),
    [
        pytest.param(
            LOCKED, 5, "it waits for what never comes", "tiny.py:5 in scaled: lock.acquire()", [0, 1], id="it is locked"
        ),
        pytest.param(
            SPINS,
            5,
            "it was still busy after 0.3 seconds of processor time: a loop that does not end",
            "tiny.py:3 in scaled: pass",
            [0, 1],
            id="it spins",
        ),
        pytest.param(
            POLLS, 1, "it waits for what never comes", "tiny.py:14 in scaled: thread.join()", [0], id="it polls"
        ),
    ],
)
def test_a_scenario_that_is_stuck_tells_in_which_line_and_what_it_has_so_far(
    judged: Judged, source: str, count: int, seen: str, line: str, so_far: list[int]
) -> None:
    found, rows, left = judged(watched, source, count)

    assert found == seen
    assert re.sub(":[23] in scaled: (while number:|pass)", ":3 in scaled: pass", rows[0]) == line
    assert left == [so_far]


def watched_and_broken(level: Level, source: str) -> list[Any]:
    submission = handed_in(level, source)
    return failure_of(lambda: submission.run(keeps_a_list, 1, cpu_s=0.3))


def test_what_a_watched_scenario_raises_is_told_with_its_lines(judged: Judged) -> None:
    rows = ["tiny.py:2 in scaled: raise OSError('no')"]

    assert judged(watched_and_broken, BROKEN) == [
        "Raised",
        "the scenario runs to its end",
        "it raised OSError: no",
        rows,
    ]


# --- where processes meet -----------------------------------------------------------------------------------------


def two_meet(student: Any, room: Any, arrivals: int, waiting: int) -> int:
    import os

    for _ in range(2):
        if os.fork() == 0:
            os.write(arrivals, b"%d\n" % os.getpid())
            os.read(waiting, 1)
            os._exit(0)
    room.pause("forked")
    return sum(os.wait()[1] for _ in range(2))


def meets(level: Level, more: int) -> list[Any]:
    program.ASLEEP_S = 0.5
    with (
        Meeting() as meeting,
        handed_in(level, SCALES).running(two_meet, *meeting.pass_fds, pass_fds=meeting.pass_fds) as run,
    ):
        run.until("forked")
        meeting.gather(run, 2, expected="two", seen=str)
        there = set(meeting.processes) == set(run.inner(run.others()))
        told = failure_of(lambda: meeting.gather(run, more, expected="one more", seen=str)) if more else []
        meeting.let_go(2)
        return [there, run.result(), told]


def test_processes_meet_and_are_let_go(judged: Judged) -> None:
    assert judged(meets, 0) == [True, 0, []]


def test_who_does_not_come_to_a_meeting_is_waited_for_in_vain(judged: Judged) -> None:
    assert judged(meets, 1) == [True, 0, ["NoAnswer", "one more", "0", []]]


# --- questions ----------------------------------------------------------------------------------------------------


def asks(student: Any, room: Any, count: int) -> list[int]:
    total = sum(room.ask({"number": student.scaled(number)}) for number in range(count))
    room.pause("half")
    return [total, room.ask({"number": -1})]


class Question(TypedDict):
    number: int


def half_way_to_the_end(run: Run) -> object:
    run.until("half")
    return run.result()


def answers(level: Level, source: str, count: int) -> list[Any]:
    heard: list[int] = []

    def successor(question: Question) -> int:
        heard.append(question["number"])
        if question["number"] > 1000:
            raise CheckFailed(expected="small numbers", seen="a large one")
        return question["number"] + 1

    with handed_in(level, source).running(asks, count, answering=successor) as run:
        told = failure_of(lambda: half_way_to_the_end(run))
    return [len(heard), heard[-1:], told]


def test_a_scenario_asks_the_judge_who_may_end_the_check(judged: Judged) -> None:
    assert judged(answers, SCALES, 300) == [301, [-1], ["nothing", [90_000, 0]]]
    assert judged(answers, SCALES, 600) == [502, [1002], ["CheckFailed", "small numbers", "a large one", []]]


SPEAKS = """
import json, os, struct, sys, threading

def say(text):
    os.write(int(sys.argv[1]), struct.pack(">I", len(text)) + text)

def scaled(number):
    BODY
    threading.Semaphore(0).acquire()
"""


def a_stranger_asks(level: Level, body: str) -> list[Any]:
    program.ASLEEP_S, scenarios.MAX_QUESTIONS, channel._SEND_S = 0.5, 50, 0.2
    count, _, told = answers(level, SPEAKS.replace("BODY", body), 1)
    return [count, *told[:3:2]]


@pytest.mark.parametrize(
    ("body", "answered", "seen"),
    [
        pytest.param("say(b'{\"ask\": null}')", 0, "None", id="of another type"),
        pytest.param('say(b\'{"ask": {"number": true}}\')', 0, "True at ['number']", id="a bool"),
        pytest.param('say(b\'{"ask": {"number": 1e3}}\')', 0, "1000.0 at ['number']", id="a float"),
        pytest.param('say(b\'{"ask": {"number": [[[]]]}}\')', 0, "[[[]]] at ['number']", id="a nest"),
        pytest.param("say(b'ask')", 0, "it still runs, but closed its channel", id="no JSON"),
        pytest.param('[say(b\'{"ask": {"number": 1}}\') for _ in range(60)]', 50, "more than 50 questions", id="many"),
        pytest.param('say(b\'{"ask": {"number": 1}}\'); os._exit(3)', 1, "exit status 3", id="and is gone"),
    ],
)
def test_a_question_is_a_strangers_message(judged: Judged, body: str, answered: int, seen: str) -> None:
    count, kind, said = judged(a_stranger_asks, body)

    assert (count, kind) == (answered, "Crashed")
    assert seen in said


def nobody_answers(level: Level) -> list[Any]:
    return failure_of(lambda: handed_in(level, SCALES).run(asks, 1))


def test_a_question_that_the_check_does_not_answer_is_no_part_of_its_scenario(judged: Judged) -> None:
    assert judged(nobody_answers)[:3] == ["Crashed", "the scenario runs to its end", "the program says 'ask'"]


# --- windows ------------------------------------------------------------------------------------------------------


def opens_a_window(student: Any, room: Any) -> int:
    import os

    os.getuid()
    count: int = room.pause("begin")
    for _ in range(count):
        student.scaled(1)
    return int(student.scaled(count))


CALLS = "import os\nos.getppid()\ndef scaled(number):\n    os.getppid()\n    return 2 * number\n"


def windows_of(level: Level, source: str, strace: str | None) -> list[Any]:
    with handed_in(level, source, strace=strace).running(opens_a_window, traced=True) as run:
        run.until("begin")
        with run.counting() as calls:
            run.go(30)
            result = run.result()
        whole = run.calls()
        return [result, calls.of("getppid").value, whole.of("getppid").value, whole.of("getuid").value]


def test_a_go_brings_what_opens_a_window_and_all_calls_are_those_from_the_import_on(
    judged: Judged, strace: str
) -> None:
    assert judged(windows_of, CALLS, strace) == [60, 31, 32, 1]


def test_without_strace_no_window_is_measured(judged: Judged) -> None:
    assert judged(windows_of, CALLS, None) == [60, None, None, None]


MOVES_THE_BEGINNING = """
import gc, os, sys

def scaled(number):
    os.getppid()
    return 2 * number

def later(room, label):
    room_pause(room, label)
    return 0

Room = sys.modules["__main__"].Room
room_pause, Room.pause = Room.pause, later
"""


def test_who_does_not_wait_for_the_go_does_not_do_what_it_says(judged: Judged, strace: str) -> None:
    assert judged(windows_of, MOVES_THE_BEGINNING, strace)[0] == 0


# --- instructions -------------------------------------------------------------------------------------------------


def scales_between_pauses(student: Any, room: Any, rounds: list[int]) -> str:
    for count in rounds:
        room.pause("before")
        for _ in range(count):
            student.scaled(1)
        room.pause("behind")
    return "done"


def instructions(level: Level) -> list[Any]:
    submission, counts = handed_in(level, SCALES), []
    rounds = [20, 20, 20, 40]
    with submission.running(scales_between_pauses, rounds, alone=True) as run:
        for _ in rounds:
            run.until("before")
            with run.stepped(limit=100_000) as counted:
                run.until("behind")
            counts.append(counted.count)
        return [counts[1:], run.result()]


def test_the_instructions_between_two_pauses_are_counted_in_proportion(judged: Judged, strace: str) -> None:
    (first, again, twice), value = judged(instructions)

    assert value == "done"
    assert first > 1_000
    assert again == pytest.approx(first, rel=0.02)
    assert twice > first + 1_000


def works_elsewhere(_student: Any, room: Any, how: str) -> None:
    import os
    import threading

    go, done = threading.Semaphore(0), threading.Semaphore(0)

    def helper() -> None:
        go.acquire()
        done.release()

    if how == "a thread that waits":
        threading.Thread(target=helper).start()
    room.pause("before")
    if how == "a thread that waits":
        go.release()
        done.acquire()
    elif how == "a new thread":
        threading.Thread(target=done.release).start()
        done.acquire()
    elif os.fork() == 0:
        os._exit(0)
    else:
        os.wait()
    room.pause("behind")


def elsewhere(level: Level, how: str) -> Any:
    with handed_in(level, SCALES).running(works_elsewhere, how, alone=True) as run:
        run.until("before")

        def stepped() -> None:
            with run.stepped(limit=500_000):
                run.until("behind")

        return failure_of(stepped)[:3]


@pytest.mark.parametrize(
    ("how", "seen"),
    [
        ("a thread that waits", "others worked meanwhile"),
        ("a new thread", "a thread or process was made for it"),
        ("a child", "a thread or process was made for it"),
    ],
)
def test_what_somebody_else_does_meanwhile_is_no_count(judged: Judged, strace: str, how: str, seen: str) -> None:
    expected = "the thread that is counted does the work itself"
    assert judged(elsewhere, how) == ["ForbiddenUse", expected, seen]


def dies(_student: Any, room: Any) -> None:
    import os

    room.pause("before")
    os._exit(7)


def died(level: Level) -> Any:
    with handed_in(level, SCALES).running(dies, alone=True) as run:
        run.until("before")

        def stepped() -> None:
            with run.stepped(limit=100_000):
                run.until("behind")

        return failure_of(stepped)[:3]


def test_a_program_that_dies_while_it_is_stepped_through_has_crashed(judged: Judged, strace: str) -> None:
    kind, _, seen = judged(died)

    assert (kind, seen) == ("Crashed", "the program ended with exit status 7")


# --- a box without a submission -----------------------------------------------------------------------------------


def who_is_there(student: Any, _room: Any, number: int) -> tuple[None, int, int]:
    import factor  # type: ignore[import-not-found]  # given in the box

    return (student, factor.FACTOR, number)


def alone(level: Level) -> list[Any]:
    submission = handed_in(level, "raise SystemExit('never loaded')")
    found = [submission.on_this_machine(who_is_there, 7) for _ in range(2)]
    boxes = submission.box_count
    return [found, boxes, failure_of(lambda: submission.on_this_machine(never_there))]


def test_what_a_machine_can_do_is_asked_once_and_without_the_submission(judged: Judged) -> None:
    found, boxes, failure = judged(alone)

    assert (found, boxes) == ([[None, 2, 7]] * 2, 1)
    assert failure[0] == "GraderError"
    assert "A box without a submission fails" in failure[1]


# --- a server with several processes ------------------------------------------------------------------------------


FORKS = """
import os, signal, time

def serve_tiny(lsock, handler, stop_fd):
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            BODY
        children.append(child)
    lsock.accept()
    if END:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
"""
PAUSES = FORKS.replace("BODY", "signal.pause()").replace("END", "True")


def its_processes(level: Level, strace: str | None) -> list[Any]:
    with handed_in(level, PAUSES, strace=strace).serve(shout, traced=True) as server:
        server.wait_until(lambda: len(server.processes()) == 4)
        first, *workers = server.processes()
        numbers = [vitals.inner_pid(pid) for pid in server.processes()]
        server.kill(workers[0])
        server.wait_until(lambda: server.zombies() == 1)
        left = len(server.processes())
        server.kill(workers[0])  # nobody, by now
        with server.counting() as calls:
            quiet_for(0.1)
        idle = calls.of(*CLONE_CALLS).value
        with server.client():
            server.returned("when a client comes")
        return [first == server.pid, len(set(numbers)), left, idle, server.zombies(), len(server.processes())]


@pytest.mark.parametrize("boxed", [True, False], ids=["boxed", "bare"])
def test_processes_of_a_program_are_seen_killed_and_counted(judged: Judged, strace: str, boxed: bool) -> None:
    assert judged(its_processes, strace, boxed=boxed) == [True, 4, 3, 0, 0, 1]


ORPHANS = FORKS.replace("BODY", "os.fork() and os._exit(0); signal.pause()").replace("END", "False")


def its_orphans(level: Level) -> list[Any]:
    with handed_in(level, ORPHANS).serve(shout) as server:
        server.wait_until(lambda: server.zombies() == 3 and len(server.processes()) == 4)
        return [server.processes()[0] == server.pid, len(server.children())]


@pytest.mark.parametrize("boxed", [True, False], ids=["boxed", "bare"])
def test_orphans_belong_to_the_program_too(judged: Judged, boxed: bool) -> None:
    assert judged(its_orphans, boxed=boxed) == [True, 0]


LEAVES = """
import os, sys, time

def serve_tiny(lsock, handler, stop_fd):
    child = os.fork()
    if child == 0:
        BODY
    os.waitpid(child, 0)
    lsock.accept()
    sys.exit(0)
"""


def after_a_child(level: Level, body: str) -> list[Any]:
    with handed_in(level, LEAVES.replace("BODY", body)).serve(shout) as server:
        server.settle()
        with server.client():
            return failure_of(lambda: server.returned("when a client comes"))


@pytest.mark.parametrize(
    "body", ["sys.exit(0)", "sys.exit(1)", "raise ValueError('a child of its own')", "os._exit(0)"]
)
def test_a_child_that_exits_or_raises_ends_alone_and_sys_exit_is_a_return(judged: Judged, body: str) -> None:
    assert judged(after_a_child, body) == ["nothing", None]


def test_a_child_that_returns_into_its_callers_code_is_told(judged: Judged) -> None:
    failure = judged(a_stray)

    assert failure[:3] == [
        "CheckFailed",
        "a child process never leaves serve_tiny: it ends there",
        "a child process returned from serve_tiny, and went on in its caller's code",
    ]


def a_stray(level: Level) -> list[Any]:
    def check() -> None:
        with handed_in(level, LEAVES.replace("BODY", "return")).serve(shout) as server:
            server.wait_until(lambda: False)

    return failure_of(check)


def another_entry(level: Level) -> list[Any]:
    reading, writing = os.pipe()
    source = "import os\n\ndef other(lsock, handler, fd):\n    os.write(fd, b'here')\n    lsock.accept()\n"
    with (
        handed_in(level, source).with_entry("other") as submission,
        submission.serve(shout, arguments=[writing], pass_fds=[writing]) as server,
    ):
        server.signal(signal.SIGCONT)
        return [os.read(reading, 4).decode()]


def test_another_entry_function_and_more_descriptors_can_be_asked_for(judged: Judged) -> None:
    assert judged(another_entry) == ["here"]
