"""One grading, end to end: which outcome each way to fail has, and that a kit that broke never becomes a zero.

Student programs, boxes and judges are real. Only where a judge must lie does a process take its place that writes
events as a test wants them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from grader.errors import GraderError
from grader.grading import one, slot
from grader.grading.slot import Slot, Tools
from grader.judge.protocol import Job
from grader.report.model import Check, Failure, Isolation, Outcome
from gradings import CHECKS, EXERCISE, SLUG, Tiny, tiny_course

LOOP = "            for fd, _ in epoll.poll():\n"
"""The first line of the reference's loop; what stands before it runs when a server has begun."""


@pytest.fixture
def course(tmp_path: Path) -> Tiny:
    return tiny_course(tmp_path)


@pytest.fixture
def boxed(private_network: None, bwrap: str, strace: str) -> None:
    """Only on a machine that can box and count."""


# --- outcomes -----------------------------------------------------------------------------------------------------


def test_the_reference_passes_every_check_and_gets_every_point(course: Tiny, boxed: None) -> None:
    done = course.grade("ex90", "--solution")

    assert done.code == 0, done.out + done.err
    assert set(done.outcomes.values()) == {"passed"}
    assert (done.graded.score, done.graded.max_score, done.graded.measurable_score) == (100, 100, 100)
    assert done.graded.official
    assert done.graded.isolation is Isolation.BOXED
    assert [check.message("en") for check in done.graded.checks] == [""] * 4
    (measurement,) = done.graded.checks[2].measurements
    assert measurement.value is not None
    assert 0 < measurement.value <= measurement.limit


def test_a_wrong_answer_is_failed_and_what_needs_it_is_not_run(course: Tiny) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/own_words/tiny.py")

    done = course.grade("ex90")

    assert done.code == 1
    assert done.outcomes == {"scaled": "passed", "echo": "failed", "calls": "not_run", "stop": "not_run"}
    assert done.graded.score == 20
    assert done.message("calls") == "needs echo"
    expected, seen, hint = done.message("echo").splitlines()
    assert expected.startswith("expected: the reply b'LINE ")
    assert seen.startswith("seen: b'line ")
    assert hint == "try: Write handler(line) and a newline for each line."


def test_a_plain_assertion_is_failed_with_its_own_words(course: Tiny) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/unscaled/tiny.py")

    done = course.grade("ex90", "--only", "scaled")

    assert done.code == 1
    assert done.outcomes == {"scaled": "failed"}
    assert "was not scaled by 2" in done.message("scaled")
    assert done.message("scaled").endswith("try: Multiply by factor.FACTOR.")


def test_a_count_over_its_limit_is_failed_with_the_numbers_and_the_evidence(course: Tiny, strace: str) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/chatty/tiny.py")

    done = course.grade("ex90", "--only", "calls")

    assert done.code == 1
    assert done.outcomes == {"echo": "passed", "calls": "failed"}
    message = done.message("calls")
    assert "at most 4.5 calls/request" in message
    assert "the reference needs 3" in message
    assert "  | " in message
    assert "sendto(" in message
    (measurement,) = done.graded.checks[1].measurements
    assert measurement.value is not None
    assert measurement.value > measurement.limit


def test_a_server_that_does_not_end_is_timed_out_at_its_own_deadline(course: Tiny) -> None:
    course.edit(EXERCISE, "  - name: stop\n", "  - name: stop\n    deadline_s: 2\n")
    course.hand_in(("epoll.register(stop_fd, select.EPOLLIN)", "pass"))

    done = course.grade("ex90", "--only", "stop")

    assert done.code == 1
    assert done.outcomes == {"echo": "passed", "stop": "timed_out"}
    assert "seen: no end after 2 seconds" in done.message("stop")


def test_a_submission_that_never_finishes_its_import_is_failed_and_named(course: Tiny) -> None:
    course.edit(EXERCISE, "  - name: scaled\n", "  - name: scaled\n    deadline_s: 2\n")
    course.hand_in(("import factor\n", "import factor\n\nwhile True:\n    pass\n"))

    done = course.grade("ex90", "--only", "scaled")

    assert done.code == 1
    assert done.outcomes == {"scaled": "timed_out"}


@pytest.mark.parametrize(
    ("program", "seen"),
    [
        pytest.param("raise LookupError('lost')", "raised LookupError: lost", id="an exception"),
        pytest.param("__import__('os')._exit(9)", "exit status 9", id="os._exit"),
        pytest.param("raise SystemExit(0)", "raised SystemExit before it was told to", id="a friendly exit"),
        pytest.param("return", "returned before it was told to", id="a return"),
        pytest.param("__import__('ctypes').string_at(0)", "signal SIGSEGV", id="a segmentation fault"),
        pytest.param("__import__('os').kill(__import__('os').getpid(), 9)", "signal SIGKILL", id="its own SIGKILL"),
        pytest.param("x = [0] * 10**9", "raised MemoryError", id="more memory than it may map"),
    ],
)
def test_a_server_that_ends_when_it_should_serve_has_crashed(course: Tiny, program: str, seen: str) -> None:
    course.hand_in((LOOP, f"            {program}\n{LOOP}"))

    done = course.grade("ex90", "--only", "echo")

    assert done.code == 1
    assert done.outcomes == {"echo": "crashed"}
    assert seen in done.message("echo")


def test_a_crash_is_told_with_the_line_in_the_students_file_and_what_was_printed(course: Tiny) -> None:
    course.hand_in((LOOP, f"            print('so far, so good', flush=True)\n            1 / 0\n{LOOP}"))

    raised = course.grade("ex90", "--only", "echo")
    course.hand_in(
        (LOOP, f"            print('\\x1b[31mlast words', flush=True)\n            __import__('os').abort()\n{LOOP}")
    )
    aborted = course.grade("ex90", "--only", "echo")

    assert "tiny.py:" in raised.message("echo")
    assert "1 / 0" in raised.message("echo")
    assert "signal SIGABRT" in aborted.message("echo")
    assert "last words" in aborted.message("echo")
    assert "\x1b" not in aborted.message("echo")


def test_a_submission_that_is_not_python_has_crashed_and_its_line_is_told(course: Tiny) -> None:
    course.hand_in(("import factor\n", "import factor\n\ndef broken(:\n"))

    done = course.grade("ex90", "--only", "scaled")

    assert done.code == 1
    assert done.outcomes == {"scaled": "crashed"}
    assert "SyntaxError" in done.message("scaled")
    assert "def broken(:" in done.message("scaled")


def test_a_submission_without_the_entry_function_is_failed_and_told_which(course: Tiny) -> None:
    course.hand_in(("def serve_tiny(", "def serve_tony("))

    done = course.grade("ex90", "--only", "echo")

    assert done.code == 1
    assert done.outcomes == {"echo": "failed"}
    assert "tiny.py has no function serve_tiny" in done.message("echo")


@pytest.mark.parametrize(
    ("imported", "used", "reason"),
    [
        pytest.param("import asyncio", "pass", "asyncio is the loop that you are asked to write", id="asyncio"),
        pytest.param("import asyncio.events", "pass", "asyncio is the loop", id="a part of asyncio"),
        pytest.param("pass", "import asyncio", "asyncio is the loop", id="asyncio, late"),
        pytest.param("import selectors", "selectors.DefaultSelector()", "selectors hides the loop", id="selectors"),
    ],
)
def test_a_forbidden_library_is_forbidden_with_the_courses_reason(
    course: Tiny, imported: str, used: str, reason: str
) -> None:
    course.hand_in(("import factor\n", f"{imported}\nimport factor\n"), (LOOP, f"            {used}\n{LOOP}"))

    done = course.grade("ex90", "--only", "echo")

    assert done.code == 1
    assert done.outcomes == {"echo": "forbidden"}
    assert reason in done.message("echo")


def test_an_import_of_selectors_alone_is_allowed_because_socket_does_the_same(course: Tiny) -> None:
    course.hand_in(("import factor\n", "import selectors  # noqa\nimport factor\n"))

    done = course.grade("ex90", "--only", "echo")

    assert done.outcomes == {"echo": "passed"}


def test_the_stub_earns_nothing_and_does_not_break_the_grading(course: Tiny) -> None:
    done = course.grade("ex90")

    assert done.code == 1
    assert done.outcomes == {"scaled": "failed", "echo": "not_run", "calls": "not_run", "stop": "not_run"}
    assert done.graded.score == 0
    assert "not begun" in done.message("scaled")


# --- what this machine cannot measure -----------------------------------------------------------------------------


def test_without_strace_a_count_is_unmeasured_and_neither_points_nor_a_zero(course: Tiny) -> None:
    done = course.grade("ex90", "--solution", prefix=hiding("strace"))

    assert done.code == 0, done.out + done.err
    assert done.outcomes == {"scaled": "passed", "echo": "passed", "calls": "unmeasured", "stop": "passed"}
    assert (done.graded.score, done.graded.max_score, done.graded.measurable_score) == (70, 100, 70)
    assert done.graded.machine.strace is None
    assert done.graded.checks[2].score is None
    assert [measurement.value for measurement in done.graded.checks[2].measurements] == [None]
    assert "strace is not installed" in done.message("calls")
    assert "System calls cannot be counted: strace is not installed" in done.out


def test_without_bubblewrap_ones_own_work_runs_bare_and_other_peoples_does_not(course: Tiny, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "tiny.py").write_text((course.root / "solutions" / SLUG / "tiny.py").read_text())

    own = course.grade("ex90", "--solution", "--only", "scaled", prefix=hiding("bwrap"))
    others = course.grade("ex90", "--submission", str(stranger), "--only", "scaled", prefix=hiding("bwrap"))

    assert own.code == 0, own.out + own.err
    assert own.graded.isolation is Isolation.BARE
    assert own.graded.missing_protections == ("bubblewrap is not installed",)
    assert not own.graded.official
    assert others.code == 3
    assert "bubblewrap is not installed" in others.ungraded.reason
    assert "--trust" in others.ungraded.reason
    assert others.ungraded.checks == ()


def hiding(program: str) -> Sequence[str]:
    """Words before a command that hide a program from it, in mounts of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root can hide a program from a command")
    places = [str(folder / program) for folder in (Path("/usr/bin"), Path("/bin")) if (folder / program).exists()]
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine refuses mounts, even to root")
    cover = "".join(f"mount --bind /dev/null {place} && " for place in places)
    return ["unshare", "--mount", "sh", "-c", f'{cover}exec "$@"', "sh"]


# --- a check that itself breaks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param(
            "number = rng.randrange(1, 1000)",
            "number = 1 // 0",
            "The check scaled itself broke: ZeroDivisionError",
            id="it divides by zero",
        ),
        pytest.param(
            "    requests = sizes[",
            "    import pytest\n\n    pytest.skip('not today')\n    requests = sizes[",
            "The check calls itself broke: Skipped",
            id="it skips itself",
        ),
        pytest.param(
            'budget.at_most("syscalls_per_request"',
            'budget.at_most("calls_per_request"',
            "the budget calls_per_request",
            id="it names a budget that there is not",
        ),
        pytest.param(
            "def test_stop(submission", "def test_stop(submision", "The check stop itself broke", id="a fixture"
        ),
        pytest.param(
            "from random import Random", "from random import Random, Ramdon", "cannot be loaded", id="an import"
        ),
        pytest.param(
            "    return student.scaled(number)",
            "    return student.scaled(Mapping and number)",
            "scale is shipped alone, and Mapping stays behind",
            id="a scenario that does not stand alone",
        ),
    ],
)
def test_a_check_that_itself_breaks_is_no_verdict_and_never_a_zero(
    course: Tiny, old: str, new: str, reason: str
) -> None:
    course.edit(CHECKS, old, new)

    done = course.grade("ex90", "--solution")

    assert done.code == 3, done.out + done.err
    assert reason in done.ungraded.reason
    assert not done.ungraded.official
    assert "NO VERDICT" in done.out
    assert "Nobody got a zero" in done.out
    assert not any(check.outcome in (Outcome.FAILED, Outcome.CRASHED) for check in done.ungraded.checks)


def test_a_scenarios_annotations_may_name_what_stays_behind(course: Tiny) -> None:
    course.edit(CHECKS, "def shout(line: bytes) -> bytes:", "def shout(line: Mapping[str, ModuleType]) -> Count:")

    done = course.grade("ex90", "--solution", "--only", "echo")

    assert done.outcomes == {"echo": "passed"}


def test_the_checks_that_ended_before_a_check_broke_are_shown_without_a_score(course: Tiny) -> None:
    course.edit(CHECKS, "    with submission.serve(shout) as server:\n        server.stop()", "    assert 1 // 0")

    done = course.grade("ex90", "--solution", "--only", "scaled", "--only", "stop")

    assert done.code == 3
    assert done.outcomes == {"scaled": "passed", "echo": "passed"}
    assert "score" not in (done.ungraded.model_dump() | done.ungraded.checks[0].model_dump())


# --- what is graded -----------------------------------------------------------------------------------------------


def test_given_files_are_the_courses_own_whatever_lies_beside_the_submission(course: Tiny) -> None:
    wrong = course.root.parent / "handed_in"
    wrong.mkdir()
    (wrong / "tiny.py").write_text((course.root / "solutions" / SLUG / "tiny.py").read_text())
    (wrong / "factor.py").write_text("FACTOR = 3\n")
    (wrong / "conftest.py").write_text("raise SystemExit\n")

    done = course.grade("ex90", "--submission", str(wrong), "--only", "scaled", "--trust")

    assert done.outcomes == {"scaled": "passed"}
    assert set(done.graded.ignored_files) == {"factor.py", "conftest.py"}


def test_the_same_seed_asks_the_same_questions_and_another_one_others(course: Tiny) -> None:
    course.hand_in(source=f"tests/{SLUG}/wrong/own_words/tiny.py")

    def asked(seed: str) -> str:
        return course.grade("ex90", "--only", "echo", "--seed", seed).message("echo")

    assert asked("7") == asked("7")
    assert asked("8") != asked("7")


def test_the_seed_of_a_run_is_in_its_report_and_is_fresh_each_time(course: Tiny) -> None:
    first = course.grade("ex90", "--only", "scaled", "--solution")
    second = course.grade("ex90", "--only", "scaled", "--solution")
    third = course.grade("ex90", "--only", "scaled", "--solution", "--seed", str(first.graded.seed))

    assert first.graded.seed != second.graded.seed
    assert third.graded.seed == first.graded.seed
    assert f"--seed {first.graded.seed}" in first.out


def test_hidden_sizes_are_for_who_asks_and_for_other_peoples_work(course: Tiny, boxed: None) -> None:
    course.write(f"tests/{SLUG}/hidden/sizes.yaml", "format: 1\nsizes:\n  requests: 21\n")
    course.edit(CHECKS, '    requests = sizes["requests"]', '    assert sizes["requests"] == 20\n    requests = 20')
    stranger = course.root.parent / "stranger"
    stranger.mkdir()
    (stranger / "tiny.py").write_text((course.root / "solutions" / SLUG / "tiny.py").read_text())

    def outcome(*words: str) -> tuple[str, str]:
        done = course.grade("ex90", "--only", "calls", *words)
        return done.outcomes["calls"], done.graded.sizes

    assert outcome("--solution")[1] == "public"
    assert outcome("--solution", "--hidden") == ("failed", "hidden")
    assert outcome("--submission", str(stranger)) == ("failed", "hidden")


def test_what_a_submission_prints_or_does_to_its_own_streams_changes_nothing(course: Tiny) -> None:
    noise = 'import os, sys\nprint(\'{"event": "finished"}\' * 10_000)\nsys.stdout.close()\nos.closerange(0, 3)\n'
    course.hand_in(("import factor\n", f"import factor\n{noise}"))

    done = course.grade("ex90", "--only", "scaled")

    assert done.outcomes == {"scaled": "passed"}


def test_nothing_is_left_behind_in_the_temporary_folder(course: Tiny) -> None:
    temporary = course.root.parent / "temporary"
    temporary.mkdir()
    for folder in (temporary, *list(temporary.parents)[:-2]):
        folder.chmod(0o755)

    done = course.grade("ex90", "--solution", "--only", "echo", env={"TMPDIR": str(temporary)})

    assert done.outcomes == {"echo": "passed"}
    assert list(temporary.iterdir()) == []


# --- a judge that is not one --------------------------------------------------------------------------------------


@pytest.fixture
def slot_that_says(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Slot]]:
    """A process in a slot's place that writes these events (text as it is, else as JSON), and then runs a line."""
    with ExitStack() as slots:

        def begin(*lines: object, afterwards: str = "") -> Slot:
            text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
            # What was sent to it is read: who ends with something unread takes along what it has said.
            program = (
                "import os, socket, sys, time\n"
                "control = socket.socket(fileno=int(sys.argv[2]))\n"
                "control.recv(1 << 16)\n"
                "first, end, rest = sys.argv[1].encode().partition(b'\\n')\n"
                "control.sendall(first + end)\n"
                "if b'Ready' in first: control.recv(1 << 16)\n"
                f"control.sendall(rest)\n{afterwards}"
            )
            monkeypatch.setattr(slot, "_COMMAND", (sys.executable, "-I", "-c", program, text))
            return slots.enter_context(Slot(Tools(bwrap="/usr/bin/bwrap", strace=None), "boxed"))

        yield begin


def check(name: str, outcome: str = "passed") -> Mapping[str, object]:
    ending = Outcome(outcome)
    failure = Failure(kind="crashed", expected="it goes on", seen="it ended", hint="") if ending.failed else None
    one = Check(name=name, title="A check", points=10, outcome=ending, duration_s=0.1, failure=failure)
    return {"event": "CheckEnded", "check": one.model_dump(mode="json")}


def started(name: str, *, deadline_s: float = 30.0) -> Mapping[str, object]:
    return {"event": "Started", "check": name, "deadline_s": deadline_s}


READY: Mapping[str, object] = {"event": "Ready", "untraceable": None}
FINISHED: Mapping[str, object] = {"event": "Finished"}
ENDED: Mapping[str, object] = {"event": "Ended", "how": "exit status 0"}
JOB = Job(exercise="", staging="", seed=1, sizes={}, checks=["one", "two"], language="en", keep=None, beside=[])


def followed(judge: Slot, names: tuple[str, ...] = ("one", "two")) -> list[str]:
    """Follow a judge to its end: the checks that it reported."""
    ended: list[str] = []
    verdict = one._Verdict(names, lambda check: ended.append(check.name))
    for event in judge.judge(JOB):
        verdict.take(event)
    verdict.require_whole()
    return ended


def test_a_judge_that_reports_every_check_once_and_finishes_is_believed(slot_that_says: Callable[..., Slot]) -> None:
    box = {"event": "BoxStarted", "pid": 1}
    events = [READY, started("one"), box, check("one"), started("two"), check("two"), FINISHED, ENDED]

    assert followed(slot_that_says(*events)) == ["one", "two"]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([READY, FINISHED, ENDED], "finished with 0 of 2 checks", id="no check at all"),
        pytest.param([READY, check("one"), FINISHED, ENDED], "finished with 1 of 2 checks", id="a check too few"),
        pytest.param([check("one"), check("two"), FINISHED], "was not to come", id="no proof of the wall"),
        pytest.param(
            [READY, check("two"), check("one"), FINISHED, ENDED], "finished with 2 of 2", id="in another order"
        ),
        pytest.param([READY, check("one"), check("one")], "check one, which was not to come", id="a check twice"),
        pytest.param([READY, check("three")], "check three, which was not to come", id="a check that nobody asked for"),
        pytest.param([READY, FINISHED, check("one")], "check one, which was not to come", id="a check behind the end"),
        pytest.param([READY, check("one")], "ended before its verdict (exit status 0)", id="it ends early"),
        pytest.param(
            [READY, check("one"), ENDED], "its verdict (exit status 0)", id="its slot says that it ended early"
        ),
        pytest.param([], "ended before its verdict", id="it says nothing"),
        pytest.param([READY, "{\n"], "not JSON", id="half a line"),
        pytest.param(
            [READY, "\udcff\n".encode("utf-8", "surrogateescape").decode("latin-1")], "not JSON", id="no text"
        ),
        pytest.param([READY, "[1, 2]\n"], "not an event", id="a list"),
        pytest.param([{"event": "Verdict", "score": 100}], "not an event", id="an event that there is not"),
        pytest.param([READY, {"event": "CheckEnded"}], "not an event", id="an empty check"),
        pytest.param(
            [READY, {"event": "CheckEnded", "check": {"name": "one", "outcome": "splendid"}}],
            "a check that is not one",
            id="an outcome that there is not",
        ),
        pytest.param([READY, {"event": "Started"}], "not an event", id="a start without a deadline"),
        pytest.param(
            [READY, {"event": "Started", "check": "one", "deadline_s": "soon"}],
            "not an event",
            id="a deadline in words",
        ),
        pytest.param([READY, {"event": "BoxStarted", "pid": None}], "not an event", id="a box without a number"),
        pytest.param([READY, {"event": "BoxStarted", "pid": True}], "not an event", id="a truth for a number"),
        pytest.param([READY, {**FINISHED, "score": 100}], "not an event", id="more than an event has"),
        pytest.param([{"event": "Broken", "reason": "out of paper"}], "out of paper", id="its slot says that it broke"),
        pytest.param(
            [READY, {"event": "Broken", "reason": "out of paper"}], "out of paper", id="it says that it broke"
        ),
        pytest.param(["9" * 5000 + "\n"], "not JSON", id="a number without end"),
        pytest.param(["[" * 100_000 + "\n"], "not JSON", id="nested without end"),
    ],
)
def test_whatever_else_a_judge_says_is_no_verdict(
    events: list[object], reason: str, slot_that_says: Callable[..., Slot]
) -> None:
    with pytest.raises(GraderError) as raised:
        followed(slot_that_says(*events))

    assert reason in str(raised.value)


def test_a_line_without_an_end_is_not_an_event_when_the_judge_dies_in_it(slot_that_says: Callable[..., Slot]) -> None:
    judge = slot_that_says(READY, check("one"), check("two"), FINISHED, json.dumps(ENDED))
    with pytest.raises(GraderError, match="ended before its verdict"):
        followed(judge)


def test_a_judge_that_was_killed_is_named_with_the_signal(slot_that_says: Callable[..., Slot]) -> None:
    judge = slot_that_says(READY, afterwards="os.kill(os.getpid(), 9)")
    with pytest.raises(GraderError, match="signal SIGKILL"):
        followed(judge)


def test_a_refusal_is_not_taken_for_a_verdict(slot_that_says: Callable[..., Slot]) -> None:
    judge = slot_that_says({"event": "Refused", "reason": "no namespaces"})
    with pytest.raises(slot.IsolationRefused, match="no namespaces"):
        followed(judge)


@pytest.mark.parametrize(
    ("answer", "kind"), [("Refused", slot.IsolationRefused), ("Broken", GraderError)], ids=["refused", "broken"]
)
def test_what_a_slot_has_refused_it_refuses_the_next_grading_too(
    slot_that_says: Callable[..., Slot], answer: str, kind: type[Exception]
) -> None:
    judge = slot_that_says({"event": answer, "reason": "no namespaces"})

    for _ in range(2):
        with pytest.raises(kind, match=r"^no namespaces$"):
            judge.wait_until_ready()


def test_behind_the_deadline_the_box_is_killed_first_and_the_judge_may_go_on(
    monkeypatch: pytest.MonkeyPatch, slot_that_says: Callable[..., Slot]
) -> None:
    monkeypatch.setattr(slot, "BOX_GRACE_S", 0.1)
    ends = check("one", "crashed")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as box:
        events = [READY, started("one", deadline_s=0.0), {"event": "BoxStarted", "pid": box.pid}]
        # The judge waits for its box as a real one does, and reports when that has gone.
        told = "".join(json.dumps(event) + "\n" for event in (ends, FINISHED, ENDED))
        wait = f"while os.path.exists('/proc/{box.pid}/exe'): time.sleep(0.01)\n"
        judge = slot_that_says(*events, afterwards=f"{wait}control.sendall({told!r}.encode())\ntime.sleep(600)")
        ended = followed(judge, ("one",))

    assert ended == ["one"]
    assert box.returncode == -9


def test_a_judge_that_hangs_although_its_box_is_gone_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, slot_that_says: Callable[..., Slot]
) -> None:
    monkeypatch.setattr(slot, "BOX_GRACE_S", 0.1)
    monkeypatch.setattr(slot, "JUDGE_GRACE_S", 0.1)
    judge = slot_that_says(READY, started("one", deadline_s=0.0), afterwards="time.sleep(600)")
    with pytest.raises(GraderError, match="The judge hangs"):
        followed(judge)


def test_a_judge_that_never_starts_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, slot_that_says: Callable[..., Slot]
) -> None:
    monkeypatch.setattr(slot, "START_TIMEOUT_S", 0.1)
    judge = slot_that_says(afterwards="time.sleep(600)")
    with pytest.raises(GraderError, match="The judge hangs"):
        followed(judge)


def test_a_slot_that_ignores_its_end_is_killed(
    monkeypatch: pytest.MonkeyPatch, slot_that_says: Callable[..., Slot]
) -> None:
    monkeypatch.setattr(slot, "_ENDING_TIMEOUT_S", 0.1)
    ready = json.dumps(READY) + "\n"
    deaf = f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ncontrol.sendall({ready!r}.encode())\n"
    judge = slot_that_says(afterwards=f"{deaf}time.sleep(600)")
    judge.wait_until_ready()

    judge.close()

    assert judge._process.returncode == -9


JUDGE_WITH_A_GRANDCHILD = """
import subprocess, sys
import psutil
from grader.judge.descendants import end_descendants
from grader.box import kernel

kernel.adopt_orphans()
child = "import subprocess; subprocess.run(['sleep', '600'], start_new_session=True)"
judge = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
while not (below := psutil.Process(judge.pid).children()):
    pass
end_descendants()
print([one.is_running() for one in below], psutil.Process().children(recursive=True))
"""


def test_the_end_of_a_judge_is_the_end_of_all_that_it_started() -> None:
    done = subprocess.run([sys.executable, "-c", JUDGE_WITH_A_GRANDCHILD], capture_output=True, text=True, check=False)

    assert done.stdout == "[False] []\n", done.stderr


def test_the_judge_takes_no_code_from_another_process(course: Tiny) -> None:
    told = '[os.environ["PYTHON_DISABLE_REMOTE_DEBUG"], sys._xoptions["disable-remote-debug"]] == ["1", True]'
    course.edit(
        CHECKS, "    number = rng.randrange(1, 1000)\n", f"    import os, sys\n    assert {told}\n    number = 1\n"
    )

    assert course.grade("ex90", "--solution", "--only", "scaled").outcomes == {"scaled": "passed"}


# A judge that leaves a child whose own child has ended. That child does not wait for it, and nobody else can.
NEGLECTS = "import os, signal; os.fork() or os._exit(0); print('neglects', flush=True); signal.pause()"
LEAVES_A_ZOMBIE = f"""
import subprocess, sys
import psutil
from grader.judge.descendants import _descendants, end_descendants
from grader.box import kernel

kernel.adopt_orphans()
judge = subprocess.Popen(["sh", "-c", "$0 -c \\"$1\\" & wait", sys.executable, {NEGLECTS!r}], stdout=subprocess.PIPE)
judge.stdout.readline()
while psutil.STATUS_ZOMBIE not in [one.status() for one in psutil.Process().children(recursive=True)]:
    pass
assert len(_descendants()) == 3
end_descendants()
print(psutil.Process().children(recursive=True))
"""


def test_the_end_of_a_grading_does_not_break_on_a_zombie_that_is_anothers_child() -> None:
    done = subprocess.run([sys.executable, "-c", LEAVES_A_ZOMBIE], capture_output=True, text=True, check=False, cwd="/")

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
