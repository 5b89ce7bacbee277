"""What a check's author holds: counts and budgets, and a submission that serves or runs a scenario in a real box.

Whatever needs a box runs in a judge's process (judged.py), on the exercise of the tiny course. Patience is shortened
there, where a test would otherwise wait for its end.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.box import box as sandbox
from grader.box import levels
from grader.box import wall as walls
from grader.box.levels import Level
from grader.checks import loading, program
from grader.checks import submission as handed_over
from grader.checks.budgets import Budgets, Count
from grader.checks.last_words import last_lines, problem
from grader.checks.program import quiet_for
from grader.checks.server import Server
from grader.checks.shapes import Plain
from grader.checks.shipping import source_of
from grader.course.model import Budget
from grader.course.text import Text
from grader.errors import GraderError
from grader.failures import CheckFailed, Crashed, Evidence, ForbiddenUse, Raised
from grader.measure import vitals
from handing_in import TINY, failure_of, handed_in

Judged = Callable[..., Any]

REFERENCE = (TINY / "solutions/ex90_tiny/tiny.py").read_text()


def shout(line: bytes) -> bytes:
    return line.upper()


def server(body: str, *, before: str = "") -> str:
    """A server's source with this body, each line of which is indented already where it must be."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"import os, select, socket, sys, time\n{before}\ndef serve_tiny(lsock, handler, stop_fd):\n{lines}\n"


ASLEEP = server("select.epoll().poll()")
BUSY = server("while True: pass")


# --- counts and budgets -------------------------------------------------------------------------------------------


def rule(name: str = "calls", limit: float = 4.0, **more: Any) -> Budget:
    words: dict[str, Any] = {
        "formula": Text({"en": "calls / requests", "ko": "호출 / 요청"}),
        "why": Text({"en": "one each"}),
    }
    return Budget(
        name=name, limit=limit, reference=3.0, naive=53.0, unit=Text.model_validate("calls/request"), **words, **more
    )


def budgets(*rules: Budget, language: str = "en") -> Budgets:
    return Budgets(rules=rules or (rule(),), language=language)


class Takes:
    """A count that is taken anew at each call, from a list."""

    def __init__(self, *values: float | None) -> None:
        self.left = list(values)

    def __call__(self) -> Count:
        value = self.left.pop(0)
        return Count(value=value, evidence=(f"take of {value}",))


def test_a_count_is_divided_with_its_evidence_and_what_was_not_counted_stays_so() -> None:
    assert Count(value=600, evidence=("a line",)) / 200 == Count(value=3.0, evidence=("a line",))
    assert Count(value=None) / 200 == Count(value=None)


@pytest.mark.parametrize(
    ("values", "left"),
    [
        pytest.param((3.0,), 0, id="within"),
        pytest.param((4.0,), 0, id="exactly"),
        pytest.param((5.0, 4.1, 4.0), 0, id="at the third take"),
        pytest.param((5.0, 3.0, 3.0), 1, id="at the second, and no third is taken"),
        pytest.param((None, 3.0), 1, id="not counted"),
    ],
)
def test_a_budget_is_met_by_the_least_of_three_takes(values: tuple[float | None, ...], left: int) -> None:
    takes = Takes(*values)
    budget = budgets()

    budget.at_most("calls", takes)

    assert len(takes.left) == left
    taken = [value for value in values if value is not None]
    assert [one.value for one in budget.measurements] == [None if None in values else min(taken)]


def test_three_takes_over_the_limit_fail_with_the_least_and_its_evidence() -> None:
    budget = budgets()

    with pytest.raises(CheckFailed) as failure:
        budget.at_most("calls", Takes(7.0, 5.0, 1234567.0, 0.0))

    assert failure.value.expected == "at most 4 calls/request: calls / requests (one each)"
    assert failure.value.seen == "5 calls/request, the least of 3 takes; the reference needs 3"
    assert failure.value.evidence == (Evidence("take of 5.0"),)
    assert [(m.name, m.value, m.limit, m.reference, m.naive) for m in budget.measurements] == [
        ("calls", 5.0, 4.0, 3.0, 53.0)
    ]


@pytest.mark.parametrize("limit", [4.0, 0.0])
def test_what_is_far_over_the_limit_is_not_taken_again(limit: float) -> None:
    takes = Takes(41.0, 0.0)

    with pytest.raises(CheckFailed) as failure:
        budgets(rule(limit=limit)).at_most("calls", takes)

    assert len(takes.left) == 1
    assert failure.value.seen == "41 calls/request; the reference needs 3"


def test_a_plain_number_is_taken_as_it_is() -> None:
    budget = budgets(rule("a"), rule("b"))

    budget.at_most("a", 3)
    with pytest.raises(CheckFailed, match=r"seen 1,234.57 calls/request; the reference"):
        budget.at_most("b", 1234.567)

    assert [(m.name, m.value) for m in budget.measurements] == [("a", 3.0), ("b", 1234.567)]


def test_a_measurement_of_a_check_that_is_taken_again_replaces_the_first() -> None:
    budget = budgets(rule("a"), rule("b"))

    for value in (4.0, 2.0):
        budget.at_most("a", value)
        budget.at_most("b", 1.0)

    assert [(m.name, m.value) for m in budget.measurements] == [("a", 2.0), ("b", 1.0)]


def test_a_failure_is_told_in_the_persons_language() -> None:
    with pytest.raises(CheckFailed) as failure:
        budgets(language="ko").at_most("calls", 50)

    assert failure.value.expected == "at most 4 calls/request: 호출 / 요청 (one each)"


def test_a_budget_that_the_exercise_does_not_have_is_the_authors_mistake() -> None:
    with pytest.raises(GraderError, match=r"asks for the budget cals, which its entry in exercise\.yaml does not list"):
        budgets().at_most("cals", 1)


# --- words of strangers -------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PROBLEM = st.dictionaries(st.sampled_from(["kind", "text", "trace", "exception", "says", "errno"]), JSON)


@given(JSON | PROBLEM)
def test_whatever_a_box_calls_a_problem_is_a_failure_in_words(found: Any) -> None:
    failure = problem(found, "it raised", "it goes on")

    assert isinstance(failure, CheckFailed)
    assert failure.expected in ("it goes on", "a solution without it")
    assert all(isinstance(text, str) for text in (failure.seen, *(row.text for row in failure.evidence)))
    assert all((row.file is None) == (row.line is None) for row in failure.evidence)
    assert len(failure.evidence) <= 12


@pytest.mark.parametrize(
    ("found", "kind", "seen"),
    [
        (
            {"kind": "raised", "text": "KeyError: 1", "trace": [["tiny.py:1", "tiny.py", 1]]},
            Raised,
            "serve raised KeyError: 1",
        ),
        ({"kind": "forbidden", "text": "asyncio is not allowed"}, ForbiddenUse, "asyncio is not allowed"),
        ({"kind": "missing", "text": "no function serve"}, CheckFailed, "no function serve"),
        ({"kind": ["raised"]}, Raised, "serve raised "),
        ({"kind": {}, "text": [[["deep"]]], "trace": [1, ["x"], ["a", 1, 2]]}, Raised, "serve raised "),
        (None, Crashed, "the program garbled its last words"),
        ([1], Crashed, "the program garbled its last words"),
    ],
)
def test_a_problem_is_the_failure_that_it_says(found: Any, kind: type[CheckFailed], seen: str) -> None:
    failure = problem(found, "serve raised", "it goes on")

    assert (type(failure), failure.seen) == (kind, seen)


def test_an_exception_is_known_by_its_class_and_its_frames_by_file_and_line() -> None:
    rows = [["tiny.py:3 in f: 1 / 0", "tiny.py", 3], ["a", "../../x", 1], ["b", "x.py", 0], [3, "x.py", 1], "c"]
    failure = problem(
        {"kind": "raised", "text": "uring.Misuse: no", "exception": "Misuse", "says": "no", "errno": 9, "trace": rows},
        "it raised",
        "x",
    )

    assert isinstance(failure, Raised)
    assert (failure.exception, failure.says, failure.errno) == ("Misuse", "no", 9)
    assert failure.evidence == (Evidence("tiny.py:3 in f: 1 / 0", "tiny.py", 3), Evidence("a"), Evidence("b"))


def test_the_last_lines_of_an_output_are_told_whatever_bytes_they_are() -> None:
    assert last_lines(b"1\n2\n3\n4\n5\n6\n") == [Evidence(f"printed: {n}") for n in (2, 3, 4, 5, 6)]
    assert last_lines(b"\xff\xfe\n", 2) == [Evidence(r"printed: \xff\xfe")]
    assert last_lines(b"") == []


@pytest.mark.parametrize(
    ("row", "place"),
    [
        ('  File "/box/submission/tiny.py", line 12, in serve', ("tiny.py", 12)),
        ('  File "tiny.py", line 3', ("tiny.py", 3)),
        ('  File "tiny.py", line 0, in serve', (None, None)),
        ('  File "tiny.py", line 99999999, in serve', (None, None)),
        ("tiny.py:12 in serve", (None, None)),
    ],
)
def test_a_traceback_that_was_printed_names_lines_of_files(row: str, place: tuple[str | None, int | None]) -> None:
    (printed,) = last_lines(row.encode())

    assert (printed.file, printed.line) == place


# --- what is shipped ----------------------------------------------------------------------------------------------


def stands_alone(line: bytes) -> bytes:
    import os

    def inner(number: int) -> int:
        return number if number == 0 else inner(number - 1)

    return bytes(sorted(line))[inner(3) :] + os.fsencode(str(len(line)))


def recurses(number: int) -> int:
    return number and recurses(number - 1)


def uses_its_file(line: bytes) -> bytes:
    return shout(line) + bytes([os.getpid() % 2])


def uses_it_inside(line: bytes) -> list[bytes]:
    return [each for each in [line] if any(REFERENCE for _ in each)]


def test_a_function_that_stands_alone_is_shipped_with_its_source() -> None:
    assert source_of(stands_alone).startswith("def stands_alone(line: bytes) -> bytes:\n    import os\n")
    assert "recurses(number - 1)" in source_of(recurses)


@pytest.mark.parametrize(("function", "left"), [(uses_its_file, "os, shout"), (uses_it_inside, "REFERENCE")])
def test_a_function_that_uses_its_file_is_the_authors_mistake(function: Callable[..., Any], left: str) -> None:
    line = function.__code__.co_firstlineno
    said = rf"{__file__}:{line}: {function.__name__} is shipped alone, and {left} stays behind\."

    with pytest.raises(GraderError, match=said):
        source_of(function)


# --- a scenario ---------------------------------------------------------------------------------------------------


def scale(student: Any, _room: Any, number: int) -> Plain:
    value: Plain = student.scaled(number)
    return value


def run_scale(level: Level, source: str) -> list[Any]:
    submission = handed_in(level, source)
    return failure_of(lambda: submission.run(scale, 21))


def test_a_scenario_gives_what_it_returns(judged: Judged) -> None:
    assert judged(run_scale, REFERENCE) == ["nothing", 42]


def waits(_student: Any, room: Any) -> int:
    room.pause("held")
    return 42


def heard_of(level: Level) -> list[bool]:
    with handed_in(level, REFERENCE).running(waits) as run:
        run.until("held")
        while_it_pauses = run.has_ended()
        run.go()
        run.wait_until(run.has_ended)
        return [while_it_pauses, run.has_ended(), run.result() == 42]


def test_that_a_scenario_has_something_to_say_is_seen_without_taking_it(judged: Judged) -> None:
    assert judged(heard_of) == [False, True, True]


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        pytest.param(
            "def scaled(number):\n    return number / 0\n",
            [
                "Raised",
                "the scenario runs to its end",
                "it raised ZeroDivisionError: division by zero",
                ["tiny.py:2 in scaled: return number / 0"],
            ],
            id="it raises",
        ),
        pytest.param(
            "import nothing_of_that_name\n",
            [
                "NotImported",
                "tiny.py can be imported",
                "importing it raised ModuleNotFoundError: No module named 'nothing_of_that_name'",
                ["tiny.py:1 in <module>: import nothing_of_that_name"],
            ],
            id="it cannot be imported",
        ),
        pytest.param(
            "import asyncio\n",
            [
                "ForbiddenUse",
                "a solution without it",
                "asyncio is not allowed here: asyncio is the loop that you are asked to write",
                ["tiny.py:1 in <module>: import asyncio"],
            ],
            id="it uses what is forbidden",
        ),
        pytest.param(
            "import os\nos.write(2, b'one\\ntwo\\n')\nos._exit(5)\n",
            [
                "Crashed",
                "tiny.py can be imported",
                "the program has ended: exit status 5",
                ["printed: one", "printed: two"],
            ],
            id="it ends at import",
        ),
        pytest.param(
            "import os, sys\nos.write(int(sys.argv[1]), bytes([0, 0, 0, 2]) + b'[]')\n",
            [
                "Crashed",
                "tiny.py can be imported",
                "what came out of the box is not a message: it still runs, but closed its channel",
                [],
            ],
            id="it garbles its answer",
        ),
        pytest.param(
            "import os, sys\nos.write(int(sys.argv[1]), bytes([0, 0, 0, 2]) + b'{}')\n",
            ["Crashed", "tiny.py can be imported", "the program garbled its last words", []],
            id="it answers nothing",
        ),
    ],
)
def test_a_scenario_that_cannot_run_is_told_whose_line_it_is(judged: Judged, source: str, failure: list[Any]) -> None:
    assert judged(run_scale, source) == failure


def endless_import(level: Level) -> list[Any]:
    loading._ASLEEP_LOOKS = 4
    return run_scale(level, "import time\ntime.sleep(600)\n")


def test_an_import_without_an_end_is_told_so(judged: Judged) -> None:
    seen = "nothing: the import does not come to its end, in sleep() of line 2"
    rows = ["tiny.py:2 in <module>: time.sleep(600)"]
    assert judged(endless_import) == ["NoAnswer", "tiny.py can be imported", seen, rows]


# --- a server -----------------------------------------------------------------------------------------------------


@contextmanager
def serving(level: Level, source: str, **options: Any) -> Iterator[Server]:
    strace = options.pop("strace", None)
    with handed_in(level, source, strace=strace).serve(shout, **options) as running:
        yield running


def answers(level: Level) -> list[Any]:
    with serving(level, REFERENCE) as running:
        with running.client() as client:
            client.ask(b"hello", b"HELLO")
        with running.crowd(20) as crowd:
            crowd.ask_each()
            running.add_clients(crowd, 5)
            crowd.ask_each()
            found = [len(crowd), running.threads(), list(running.children()), running.rss_bytes() > 1 << 20]
            held = running.open_fds()
        running.wait_until(lambda: running.open_fds() == held - 25)
        running.stop()
        return found


def test_a_server_is_asked_looked_at_and_stopped(judged: Judged) -> None:
    assert judged(answers) == [25, 1, [], True]


def options_of_a_server(level: Level) -> list[Any]:
    tells = (
        "connection, _ = lsock.accept()\n"
        "connection.sendall(b'%d %d\\n' % (size(connection), files()))\n"
        "select.epoll().poll()"
    )
    before = (
        "import resource\n"
        "size = lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)\n"
        "files = lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0]"
    )
    with (
        serving(level, server(tells, before=before), open_files=40, send_buffer=8192) as running,
        running.client(receive_buffer=4096) as client,
    ):
        return [int(word) for word in client.read_line().split()]


def test_descriptors_and_buffers_are_as_the_check_wants_them(judged: Judged) -> None:
    assert judged(options_of_a_server) == [2 * 8192, 40]  # the kernel doubles it: socket(7)


def counted(level: Level, strace: str) -> dict[str, Any]:
    with serving(level, REFERENCE, strace=strace, traced=True) as running, running.crowd(2) as crowd:
        crowd.ask_each()
        with running.counting() as idle:
            quiet_for(0.1)
        with running.counting() as calls:
            crowd.ask_serially(20)
        with running.counting() as joined:
            running.add_clients(crowd, 3)
            crowd.ask_each()
        return {
            "idle": idle.total().value,
            "total": (calls.total() / 20).value,
            "sent": calls.of("sendto").value,
            "seen": list(calls.seen(["sendto", "write"])),
            "evidence": list(calls.total().evidence),
            "handed over": joined.fds_handed_over().value,
            "accepted": joined.of("accept4", "accept").value,
        }


def test_the_calls_of_a_window_are_counted_from_one_settled_moment_to_another(judged: Judged, strace: str) -> None:
    found = judged(counted, strace)

    assert found["idle"] == 0
    assert found["total"] == pytest.approx(3.0, abs=0.1)
    assert (found["sent"], found["seen"]) == (20, ["sendto"])
    assert found["evidence"][0].startswith("20 x ") or "20 x sendto" in found["evidence"][0]
    assert len(found["evidence"]) == 6
    assert (found["accepted"], found["handed over"]) == (3, 3)


def slept(level: Level, strace: str, nap: str) -> list[Any]:
    """The calls in which a server of one client waited for the clock while a request was there, and what was set up."""
    body = (
        "connection, _ = lsock.accept()\n"
        "while True:\n"
        f"    {nap}\n"
        "    select.select([connection], [], [])\n"
        "    connection.setblocking(True)\n"
        "    connection.sendall(connection.recv(100).upper())"
    )
    with (
        serving(level, server(body), strace=strace, traced=True) as running,
        running.crowd(1) as crowd,
    ):
        crowd.ask_each()
        running.settle()
        with running.stopped():
            crowd.queue_each()
            with running.counting(settled=False) as calls:
                os.kill(running.pid, signal.SIGCONT)
                crowd.collect()
        with running.counting() as alone:
            for _ in range(5):
                running.rest()
                crowd.ask_serially(1)
        setup = alone.besides("pselect6", "select", "clock_nanosleep", "recvfrom", "sendto")
        return [calls.sleeps_before_a_reply().value, (setup / 5).value]


@pytest.mark.parametrize(
    ("nap", "sleeps"),
    [
        pytest.param("pass", 0, id="it does not sleep"),
        pytest.param("time.sleep(0.2)", 1, id="it sleeps"),
        pytest.param("select.select([], [], [], 0.2)", 1, id="it waits for nothing"),
        pytest.param("select.select([], [], [], 0)", 0, id="it looks at nothing, and does not wait"),
    ],
)
def test_who_sleeps_while_a_request_is_there_is_told_by_its_calls(
    judged: Judged, strace: str, nap: str, sleeps: int
) -> None:
    found, setup = judged(slept, strace, nap)

    assert (min(found, 1), setup) == (sleeps, 1)  # the call that sets up again what was set up


def untraced(level: Level) -> list[Any]:
    budget = budgets()
    submission = handed_in(level, REFERENCE)
    with submission.serve(shout, traced=True) as running, running.crowd(2) as crowd:

        def per_request() -> Count:
            with running.counting() as calls:
                crowd.ask_serially(5)
            assert calls.of("sendto") == calls.fds_handed_over() == Count(value=None)
            assert calls.besides("sendto") == calls.sleeps_before_a_reply() == Count(value=None)
            assert calls.seen(["sendto"]) == {}
            return calls.total() / 5

        budget.at_most("calls", per_request)
    with_failing_calls = failure_of(lambda: submission.serve(shout, inject=["accept4:error=EMFILE"]).__enter__())
    return [[m.value for m in budget.measurements], with_failing_calls]


def test_where_nothing_can_be_traced_counts_are_unmeasured_and_the_rest_goes_on(judged: Judged) -> None:
    values, failing = judged(untraced)

    assert values == [None]
    assert failing == ["Unmeasured", "System calls cannot be counted here: strace is not installed."]


def dead_trace(level: Level, strace: str, disk_is_full: bool) -> list[Any]:
    program.SILENT_S = 1.0
    if disk_is_full:
        program._TRACE_ROOM_BYTES = 1 << 62
    with serving(level, REFERENCE, strace=strace, traced=True) as running:
        with running.counting() as calls:
            quiet_for(0.05)
        assert running.trace is not None
        running.trace.path.unlink()  # what strace writes from now on, nobody reads
        return failure_of(calls.total)


def test_a_trace_that_stops_proves_nothing(judged: Judged, strace: str) -> None:
    kind, expected, seen, _ = judged(dead_trace, strace, False)

    assert (kind, expected) == ("NoAnswer", "a trace that goes on behind the window")
    assert seen == "nothing for 1 seconds, while the program runs"


def test_a_trace_that_stops_on_a_full_disk_is_unmeasured(judged: Judged, strace: str) -> None:
    assert judged(dead_trace, strace, True) == [
        "Unmeasured",
        "The disk is full, so the trace stops before the end of the window.",
    ]


# --- settling and watching ----------------------------------------------------------------------------------------


def settled(level: Level, source: str) -> list[Any]:
    with serving(level, source) as running:
        before_s = vitals.pulse(running.pid).cpu_s
        done = running.settle()
        spent_s = vitals.pulse(running.pid).cpu_s - before_s
        return [done, spent_s, running.busy_s(), vitals.pulse(running.pid).sleeping]


def test_a_program_that_waits_has_settled(judged: Judged) -> None:
    done, _, busy_s, sleeping = judged(settled, ASLEEP)

    assert (done, sleeping) == (True, True)
    assert busy_s < program.BUSY_CPU_S


def test_settling_gives_up_on_a_program_that_never_rests(judged: Judged) -> None:
    done, spent_s, busy_s, sleeping = judged(settled, BUSY)

    assert (done, sleeping) == (False, False)
    assert 0 < spent_s < program.SETTLED_S
    assert busy_s > 0


def silent(level: Level, source: str, silent_s: float = 1.5, silent_cpu_s: float = 60.0) -> list[Any]:
    program.ASLEEP_S, program.SILENT_S, program.SILENT_CPU_S = 0.5, silent_s, silent_cpu_s
    with serving(level, source) as running, running.client() as client:
        return failure_of(lambda: client.ask(b"hello", b"HELLO"))


def test_a_program_that_sleeps_through_a_question_is_told_where(judged: Judged) -> None:
    kind, expected, seen, _ = judged(silent, ASLEEP)

    assert (kind, expected) == ("NoAnswer", "the reply b'HELLO' to b'hello'")
    where = "in poll() of line 4"
    assert seen in (f"nothing: the program sleeps in epoll_wait(), {where}", f"nothing: the program sleeps, {where}")


def test_a_program_that_is_busy_with_other_things_is_told_after_a_longer_silence(judged: Judged) -> None:
    assert judged(silent, BUSY)[2] == "nothing for 2 seconds, while the program runs, in line 4"


def test_a_program_that_uses_much_processor_time_meanwhile_is_told_at_once(judged: Judged) -> None:
    assert judged(silent, BUSY, 60.0, 0.6)[2] == "nothing, while the program used 1 s of processor time, in line 4"


SPEAKS_AND_ENDS = server("lsock.accept()\nprint('one')\nprint('two', file=sys.stderr)\nos._exit(3)")


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        pytest.param(
            SPEAKS_AND_ENDS,
            [
                "Crashed",
                "serve_tiny goes on serving",
                "the program ended with exit status 3",
                ["printed: one", "printed: two"],
            ],
            id="it ends",
        ),
        pytest.param(
            server("lsock.accept()\nraise OSError('no more')"),
            [
                "Raised",
                "serve_tiny goes on serving",
                "serve_tiny raised OSError: no more",
                ["tiny.py:5 in serve_tiny: raise OSError('no more')"],
            ],
            id="it raises",
        ),
        pytest.param(
            server("lsock.accept()"),
            ["Crashed", "serve_tiny goes on serving", "serve_tiny returned before it was told to", []],
            id="it returns",
        ),
    ],
)
def test_a_server_that_stops_serving_is_told_by_its_cause(judged: Judged, source: str, failure: list[Any]) -> None:
    assert judged(a_check_on, source) == failure


def a_check_on(level: Level, source: str) -> list[Any]:
    """The failure of a whole check: it only sees that its connection has been closed."""

    def check() -> None:
        with serving(level, source) as running, running.client() as client:
            client.ask(b"hello", b"HELLO")

    return failure_of(check)


def looked_at_when_dead(level: Level) -> list[Any]:
    with serving(level, REFERENCE) as running:
        program = psutil.Process(running.pid)
        program.kill()
        psutil.wait_procs([program], timeout=120)
        found = [failure_of(look)[:3] for look in (running.threads, running.open_fds, running.check_alive)]
        with_stop = failure_of(lambda: running.stopped().__enter__())
        return [*found, with_stop[:3]]


def hides(level: Level, could_be_seen: bool) -> list[Any]:
    """A kernel that does not let it be looked at any more; before it was loaded, perhaps."""
    look = vitals.open_fds

    def refused(pid: int) -> int:
        raise vitals.Hidden.by(pid, PermissionError("no"))

    def check() -> None:
        vitals.open_fds = look if could_be_seen else refused
        with serving(level, REFERENCE) as running:
            vitals.open_fds = refused
            running.open_fds()

    return failure_of(check)[:1]


@pytest.mark.parametrize(("could_be_seen", "kind"), [(True, "ForbiddenUse"), (False, "Hidden")])
def test_a_program_does_not_choose_to_be_unmeasured(judged: Judged, could_be_seen: bool, kind: str) -> None:
    failed = judged(hides, could_be_seen)

    assert failed == [kind]


def test_a_server_that_was_killed_is_gone_whatever_is_asked_of_it(judged: Judged) -> None:
    killed = ["Crashed", "serve_tiny goes on serving", "the program ended with signal SIGKILL"]

    assert judged(looked_at_when_dead) == [killed] * 4


# --- stopping -----------------------------------------------------------------------------------------------------


def stop(level: Level, source: str) -> list[Any]:
    program.SILENT_S = 1.0
    with serving(level, source) as running:
        return failure_of(running.stop)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        pytest.param("os.read(stop_fd, 1)", ["nothing", None], id="it returns"),
        pytest.param(
            "select.epoll().poll()",
            [
                "NoAnswer",
                "serve_tiny returns when stop_fd is readable",
                "it has not returned, and still runs, in poll() of line 4",
                ["tiny.py:4 in serve_tiny: select.epoll().poll()"],
            ],
            id="it is deaf",
        ),
        pytest.param(
            "os.read(stop_fd, 1)\nlsock.no_such_thing()",
            [
                "Raised",
                "serve_tiny returns",
                "serve_tiny raised AttributeError: 'socket' object has no attribute 'no_such_thing'",
                ["tiny.py:5 in serve_tiny: lsock.no_such_thing()"],
            ],
            id="it raises",
        ),
        pytest.param(
            "os.read(stop_fd, 1)\nprint('bye', flush=True)\nos._exit(0)",
            [
                "Crashed",
                "serve_tiny returns when stop_fd is readable",
                "the program ended with exit status 0",
                ["printed: bye"],
            ],
            id="it exits",
        ),
        pytest.param(
            "os.read(stop_fd, 1)\nos.write(int(sys.argv[1]), bytes([0, 0, 0, 2]) + b'{}')",
            ["Crashed", "serve_tiny returns", "the program garbled its last words", []],
            id="it says nothing",
        ),
    ],
)
def test_a_server_is_told_to_return_and_must(judged: Judged, body: str, failure: list[Any]) -> None:
    assert judged(stop, server(body)) == failure


def left_behind(level: Level, body: str) -> list[Any]:
    with serving(level, server(body, before="kept, spare = [], os.dup(0)")) as running:
        running.stop()
        return [running.opened_since(running.held_at_start), running.holds_what_was_lent()]


@pytest.mark.parametrize(
    ("body", "left"),
    [
        pytest.param("os.read(stop_fd, 1)", [0, True], id="nothing"),
        pytest.param("kept.append(select.epoll())\nos.read(stop_fd, 1)", [1, True], id="what it has kept"),
        pytest.param("here = [select.epoll()]\nhere.append(here)\nos.read(stop_fd, 1)", [0, True], id="garbage"),
        pytest.param("os.read(stop_fd, 1)\nlsock.close()", [0, False], id="less than it was lent"),
        pytest.param(
            "os.close(spare)\nkept.append(select.epoll())\nos.read(stop_fd, 1)", [1, True], id="another one for a spare"
        ),
    ],
)
def test_what_a_server_leaves_behind_is_seen_after_its_return(judged: Judged, body: str, left: list[Any]) -> None:
    assert judged(left_behind, body) == left


def stopped(level: Level) -> list[Any]:
    found: list[Any] = []
    with serving(level, REFERENCE) as running, running.crowd(10) as crowd:
        crowd.ask_each()
        try:
            with running.stopped():
                found.append(vitals.is_stopped(running.pid))
                crowd.queue_each()
                raise KeyError
        except KeyError:
            crowd.collect()
        found.append(vitals.is_stopped(running.pid))
    return found


def test_a_stopped_server_has_work_queued_up_and_goes_on_whatever_happened(judged: Judged) -> None:
    assert judged(stopped) == [True, False]


# --- boxes --------------------------------------------------------------------------------------------------------


def killed(level: Level, outside: bool) -> list[Any]:
    pids: list[int] = []
    submission = handed_in(level, REFERENCE)
    submission.on_box = pids.append

    def check() -> None:
        with submission.serve(shout) as running, running.client() as client:
            program = psutil.Process(running.pid)
            os.kill(pids[0] if outside else running.pid, signal.SIGKILL)
            psutil.wait_procs([program], timeout=120)
            client.ask(b"hello", b"HELLO")

    return [failure_of(check)[0], submission.sigkilled.name, submission.box_count, len(pids)]


def killed_at_its_start(level: Level) -> list[Any]:
    submission = handed_in(level, REFERENCE)

    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    submission.on_box = kill

    def check() -> None:
        with submission.serve(shout):
            pass

    return [failure_of(check)[0], submission.sigkilled.name]


def test_a_box_that_was_killed_before_it_has_proven_its_wall_is_lost_as_well(judged: Judged) -> None:
    """Then the check is taken again, as behind any other kill."""
    assert judged(killed_at_its_start) == ["GraderError", "OUTSIDE"]


@pytest.mark.parametrize(("outside", "lost"), [(True, "OUTSIDE"), (False, "INSIDE")])
def test_a_box_that_was_killed_is_remembered_as_lost(judged: Judged, outside: bool, lost: str) -> None:
    assert judged(killed, outside) == ["Crashed", lost, 1, 1]


def kept(level: Level, strace: str, folder: str) -> None:
    submission = handed_in(level, SPEAKS_AND_ENDS, strace=strace, keep=Path(folder))

    def check() -> None:
        with submission.serve(shout, traced=True) as running, running.client() as client:
            client.ask(b"hello", b"HELLO")

    failure_of(check)
    failure_of(check)


def test_outputs_and_traces_are_kept_for_who_asks(judged: Judged, strace: str, tmp_path: Path) -> None:
    judged(kept, strace, str(tmp_path))

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "check-1.channel",
        "check-1.output",
        "check-1.strace",
        "check-2.channel",
        "check-2.output",
        "check-2.strace",
    ]
    assert (tmp_path / "check-1.output").read_text() == "one\ntwo\n"
    assert "exit_group(3)" in (tmp_path / "check-1.strace").read_text()


def traced_without_an_end(level: Level, strace: str, folder: str) -> list[Any]:
    sandbox.TRACE_BYTES, handed_over._KEPT_BYTES = 200_000, 1000
    source = "import os\n\ndef serve_tiny(lsock, handler, stop_fd):\n    while True: os.access('x' * 4000, 0)\n"

    def check() -> None:
        with handed_in(level, source, strace=strace, keep=Path(folder)).serve(shout, traced=True) as running:
            running.wait_until(lambda: False)

    return [failure_of(check)[:3], len(list(level.traces.iterdir()))]


@pytest.mark.parametrize("boxed", [True, False], ids=["boxed", "bare"])
def test_a_trace_has_an_end_and_its_program_with_it(judged: Judged, strace: str, tmp_path: Path, boxed: bool) -> None:
    failure, left = judged(traced_without_an_end, strace, str(tmp_path), boxed=boxed)

    seen = "the program ended with signal SIGXFSZ: a trace of its system calls has more than 0 MiB"
    assert failure == ["Crashed", "serve_tiny goes on serving", seen]
    assert left == 0
    kept = (tmp_path / "check-1.strace").read_text()
    assert len(kept) < 1100 and re.search(r"\n\.\.\. and [0-9]+ bytes more\n$", kept)


def through_a_hole(level: Level) -> list[Any]:
    whole = walls.bwrap_options
    vars(levels)["bwrap_options"] = lambda *limits, **shown: [
        "0" if word == "1000" else word for word in whole(*limits, **shown)
    ]
    return run_scale(level, REFERENCE)


def test_a_wall_that_does_not_hold_is_no_verdict(judged: Judged) -> None:
    assert judged(through_a_hole) == [
        "GraderError",
        "The wall does not hold: privileges: the program runs as root",
    ]


def never_started(level: Level) -> list[Any]:
    (level.staging / "inside.py").write_text("print('no room')\nraise SystemExit(4)\n")
    return run_scale(level, REFERENCE)


def test_a_box_that_does_not_start_is_no_verdict_and_its_words_are_told(judged: Judged) -> None:
    kind, said = judged(never_started)

    assert kind == "GraderError"
    assert said == "A box could not be started: the program has ended; exit status 4. printed: no room"


def crowd_that_does_not_fit(level: Level) -> list[Any]:
    import resource

    with serving(level, REFERENCE) as running:
        before = len(os.listdir("/proc/self/fd"))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        failure = failure_of(lambda: running.crowd(soft))
        return [failure[0], len(os.listdir("/proc/self/fd")) - before, running.not_accepted()]


def test_a_crowd_that_cannot_be_gathered_leaves_nobody_behind(judged: Judged) -> None:
    assert judged(crowd_that_does_not_fit) == ["Unmeasured", 0, 0]


def bare(level: Level) -> list[Any]:
    with serving(level, REFERENCE) as running:
        with running.client() as client:
            client.ask(b"hello", b"HELLO")
        program = psutil.Process(running.pid)
    return [program.is_running() and program.status() != psutil.STATUS_ZOMBIE]


def test_without_a_box_a_server_is_served_and_ended_alike(judged: Judged) -> None:
    assert judged(bare, boxed=False) == [False]
